//! The port or the socket file. Promise: a socket that somebody listens on is never taken away from them, and ours is gone when we are.

use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};

use super::AdminError;
use crate::settings::AdminListen;

/// Who may connect to the socket: the user that the daemon runs as, and its group. The directory may say less.
const SOCKET_MODE: u32 = 0o660;
/// A socket is made under its name with this ending, and renamed when all is as it should be.
const NEW: &str = ".new";

/// A place that is listened on.
pub(super) enum Bound {
    Tcp(std::net::TcpListener, SocketAddr),
    Unix(std::os::unix::net::UnixListener, SocketFile),
}

/// A socket's file, which goes with this, unless another one has come into its place.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Bound {
    /// Where the page is: a URL, or `unix:` and a path.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Tcp(_, address) => format!("http://{address}/"),
            Self::Unix(_, file) => format!("unix:{}", file.path.display()),
        }
    }

    /// Whether other machines may reach it.
    pub(super) fn is_beyond_this_machine(&self) -> bool {
        match self {
            Self::Tcp(_, address) => AdminListen::Tcp(*address).is_beyond_this_machine(),
            Self::Unix(..) => false,
        }
    }
}

/// Listens there. `None` if it is off.
pub(super) async fn bind(listen: &AdminListen) -> Result<Option<Bound>, AdminError> {
    let bound = match listen {
        AdminListen::Off => return Ok(None),
        AdminListen::Tcp(address) => tcp(*address),
        AdminListen::Unix(path) => unix(path).await?,
    };
    bound.map(Some).map_err(|why| {
        if why.kind() == io::ErrorKind::AddrInUse {
            AdminError::InUse(listen.to_string())
        } else {
            AdminError::Listen {
                listen: listen.to_string(),
                why,
            }
        }
    })
}

fn tcp(address: SocketAddr) -> io::Result<Bound> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok(Bound::Tcp(listener, address))
}

async fn unix(path: &Path) -> Result<io::Result<Bound>, AdminError> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => return Err(AdminError::NoSocket(path.to_owned())),
        Ok(_) => match tokio::net::UnixStream::connect(path).await {
            // What a dead daemon has left behind.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
            // Gone just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // It lives, or we cannot tell.
            Ok(_) => return Ok(Err(io::ErrorKind::AddrInUse.into())),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Ok(Err(io::ErrorKind::AddrInUse.into()));
            }
            Err(error) => return Ok(Err(error)),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Ok(Err(error)),
    }
    Ok(make_socket(path))
}

/// Under another name first: nobody connects before the mode is right, and a stale socket is replaced in one step.
fn make_socket(path: &Path) -> io::Result<Bound> {
    let mut new = path.as_os_str().to_owned();
    new.push(NEW);
    let new = PathBuf::from(new);
    if std::fs::symlink_metadata(&new).is_ok_and(|there| there.file_type().is_socket()) {
        std::fs::remove_file(&new)?;
    }
    let listener = std::os::unix::net::UnixListener::bind(&new)?;
    let made = listener
        .set_nonblocking(true)
        .and_then(|()| std::fs::set_permissions(&new, PermissionsExt::from_mode(SOCKET_MODE)))
        .and_then(|()| std::fs::rename(&new, path))
        .and_then(|()| SocketFile::at(path));
    if made.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    Ok(Bound::Unix(listener, made?))
}

impl SocketFile {
    fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|there| there == self.identity) {
            // What is left behind is found stale by the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let there = std::fs::symlink_metadata(path)?;
    Ok((there.dev(), there.ino()))
}
