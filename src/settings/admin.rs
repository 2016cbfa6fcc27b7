//! `[admin]`: where the admin server listens, who may ask it, and by which names. Promise: whoever holds [`AdminSettings`] that listen
//! beyond this machine also holds a token.

use std::path::{Path, PathBuf};

use super::address;
use super::credentials;
use super::defaults;
use super::fault::Reported;
use super::resolve::Surroundings;
use super::resolved::{AdminListen, AdminSettings};
use super::tree::Section;

/// The longest path of a socket, in bytes: the system takes 107, and one that is being made has an ending more.
const MAX_SOCKET_PATH: usize = 100;

/// Takes all of `[admin]`.
pub(super) fn take(section: &mut Section<'_>, around: &Surroundings) -> Result<AdminSettings, Reported> {
    let found = section.parsed("listen", "text in quotes", listen);
    let token = credentials::source(section, "token", "token_file", around);
    let hosts = section.list("hosts", host);
    let (found, token) = (found?, token?);
    if let Some(found) = &found
        && found.value.is_beyond_this_machine()
        && token.is_none()
    {
        let problem = "can be reached from other machines, so a token is needed: set admin.token_file (or admin.token), or listen on \
                       127.0.0.1, [::1] or a unix: socket";
        return Err(found.fault(section.report, problem));
    }
    Ok(AdminSettings {
        listen: found.map_or(defaults::ADMIN_LISTEN, |found| found.value),
        token,
        hosts: hosts?.map_or_else(Vec::new, |found| found.value),
    })
}

fn listen(text: &str) -> Result<AdminListen, String> {
    if text == "off" {
        return Ok(AdminListen::Off);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return socket(Path::new(path));
    }
    text.parse().map(AdminListen::Tcp).map_err(|_| {
        "is not an address and port; write as in \"127.0.0.1:9600\", \"[::1]:9600\" or \"unix:/run/livestreamd/admin.sock\", or \
         \"off\""
            .to_owned()
    })
}

fn socket(path: &Path) -> Result<AdminListen, String> {
    if !path.is_absolute() || path.file_name().is_none() {
        return Err("is no whole path; write as in \"unix:/run/livestreamd/admin.sock\"".to_owned());
    }
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        return Err(format!(
            "is longer than the path of a socket may be ({MAX_SOCKET_PATH} bytes)"
        ));
    }
    Ok(AdminListen::Unix(PathBuf::from(path)))
}

/// A name or an address, as [`address::canonical_host`] writes it.
fn host(text: &str) -> Result<String, String> {
    address::canonical_host(text).ok_or_else(|| {
        "is not a host; write the name or address alone, as in \"livestreamd.example.com\", without a port and without http://"
            .to_owned()
    })
}
