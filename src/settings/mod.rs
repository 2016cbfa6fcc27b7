//! Settings: file, then environment, to the typed [`Settings`] of [`resolved`], or to every fault at once.
//!
//! | step | module | does |
//! | --- | --- | --- |
//! | read | `source`, `environment` | a file (TOML, YAML, JSON) and `LIVESTREAMD__SECTION__KEY` become one tree |
//! | walk | `tree`, `suggest`, `fault` | keys are taken out by type; what is wrong or unknown is collected |
//! | make | `resolve`, `credentials`, `streams`, `proxy`, `tls`, `admin`, `kafka_properties`, `kafka_files`, `address`, `outputs`, `shape`, `trials`, `topic`, `log_filter` | the rules of each section |
//! | | [`defaults`] | what holds when a key is not set, with the reason |
//! | use | [`resolved`], [`secret`], [`summary()`] | what the daemon gets, how it reads a secret, what `check` shows |
//! | reload | [`changes`] | what differs between two settings, and what that asks for |
//!
//! Promise: who holds [`Settings`] need not check them again; who gets [`Faults`] learns of all that is wrong, not only of the first;
//! and no secret is in any message, `Debug` or `Display`. (A file whose syntax is broken has one fault, the place where it breaks.)

mod address;
mod admin;
pub mod changes;
mod credentials;
pub mod defaults;
mod environment;
mod fault;
mod kafka_files;
mod kafka_properties;
mod log_filter;
mod outputs;
pub mod proxy;
mod resolve;
pub mod resolved;
pub mod secret;
mod shape;
mod source;
mod streams;
mod suggest;
mod summary;
#[cfg(test)]
mod tests;
pub(crate) mod tls;
mod topic;
mod tree;
mod trials;

use std::path::Path;

pub use address::{canonical as canonical_url, canonical_host, is_loopback};
pub use changes::{ChangedKeys, Changes, DaemonChanges, StreamChange};
pub use environment::environment;
pub use fault::{Fault, Faults, Warning};
pub use kafka_properties::{canonical as canonical_property, is_secret as is_secret_property};
pub use log_filter::{LogFilterError, log_filter};
pub use proxy::{Proxy, ProxyScheme, ProxySettings, Route};
pub use resolved::*;
pub use secret::{SecretError, SecretFlaw};
pub use source::Format;
pub use summary::summary;
pub use tls::{ClientFiles, TlsFileError, TlsFiles, TlsMaterial, TlsSettings};

use fault::Report;
use resolve::{Surroundings, resolve};

/// Settings, and what is probably not meant about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// To be logged at the start, and shown by `check`.
    pub warnings: Vec<Warning>,
}

/// Loads the file at `path`, whose extension tells the format, with `env` on top; usually [`environment()`]. Secret files must exist, and
/// are looked for in the `CREDENTIALS_DIRECTORY` of `env`, then beside the file. `HTTPS_PROXY` and the like are taken from `env` too.
pub fn load(path: &Path, env: impl IntoIterator<Item = (String, String)>) -> Result<Loaded, Faults> {
    // Whole, so that a secret file is found wherever the daemon goes afterwards. Fails for an empty path only, which is no file either.
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let mut report = Report::default();
    let made = source::read(&path, &mut report).and_then(|(text, format)| {
        let base_dir = path.parent().unwrap_or(Path::new("/"));
        make(
            &path.display().to_string(),
            &text,
            format,
            env,
            base_dir,
            Some(&path),
            &mut report,
        )
    });
    report
        .finish(made)
        .map(|(settings, warnings)| Loaded { settings, warnings })
}

/// Loads nothing but `[admin]`, so that who asks a running daemon how it is need not be allowed to read its other secrets. Without a
/// `path` it is what `env` says.
pub fn load_admin(
    path: Option<&Path>,
    env: impl IntoIterator<Item = (String, String)>,
) -> Result<AdminSettings, Faults> {
    let path = path.map(|path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned()));
    let mut report = Report::default();
    let read = match &path {
        Some(path) => source::read(path, &mut report),
        None => Ok((String::new(), Format::Toml)),
    };
    let env: Vec<(String, String)> = env.into_iter().collect();
    let base_dir = path.as_deref().and_then(Path::parent).unwrap_or(Path::new("/"));
    let around = Surroundings::new(base_dir, &env, path.as_deref());
    let made = read.and_then(|(text, format)| {
        let name = path.as_ref().map(|path| path.display().to_string());
        let name = name.as_deref().unwrap_or("the configuration");
        let mut tree = source::merge(name, &text, format, env, &mut report)?;
        let alone = tree.remove_entry("admin").into_iter().collect();
        resolve::admin_alone(alone, &around, &mut report)
    });
    report.finish(made).map(|(settings, _)| settings)
}

/// Loads a configuration from its text; relative secret files are looked for in the `CREDENTIALS_DIRECTORY` of `env`, then in `base_dir`.
pub fn load_str(
    text: &str,
    format: Format,
    env: impl IntoIterator<Item = (String, String)>,
    base_dir: &Path,
) -> Result<Loaded, Faults> {
    let mut report = Report::default();
    let made = make("the configuration", text, format, env, base_dir, None, &mut report);
    report
        .finish(made)
        .map(|(settings, warnings)| Loaded { settings, warnings })
}

fn make(
    name: &str,
    text: &str,
    format: Format,
    env: impl IntoIterator<Item = (String, String)>,
    base_dir: &Path,
    file: Option<&Path>,
    report: &mut Report,
) -> Result<Settings, fault::Reported> {
    let env: Vec<(String, String)> = env.into_iter().collect();
    let around = Surroundings::new(base_dir, &env, file);
    let tree = source::merge(name, text, format, env, report)?;
    resolve(tree, &around, report)
}
