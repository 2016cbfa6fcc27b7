//! The running daemon, asked through its admin server: where that is, how it is asked, and what its answer says.
//!
//! | module | does |
//! | --- | --- |
//! | [`address`] | an address as people write it |
//! | [`client`] | asks, with limits of time and size |
//! | [`document`] | makes the status of an answer, also of another version's |

pub(super) mod address;
pub(super) mod client;
pub(super) mod document;
#[cfg(test)]
pub(super) mod testing;

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::{DEFAULT_CONFIG, tell_faults};
use crate::exit_code::ExitCode;
use crate::settings::{AdminSettings, SecretSource, environment, load_admin};
use address::Address;

use super::output::{failure, tell};

/// By which variable a token may be given.
const TOKEN_VARIABLE: &str = "LIVESTREAMD_ADMIN_TOKEN";

/// Which daemon is asked. Without any of these it is that of the default configuration, or of the default address if there is none.
#[derive(Debug, clap::Args)]
pub(super) struct AdminArgs {
    /// The daemon's configuration: admin.listen and its token are taken from it
    #[arg(long, short, value_name = "FILE", conflicts_with = "admin")]
    config: Option<PathBuf>,
    /// Where the daemon's admin server is: `HOST:PORT`, `http://HOST:PORT` or `unix:/PATH`
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<Address>,
    /// A file with the token that the admin server wants, if it wants one; or put it into `LIVESTREAMD_ADMIN_TOKEN`
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Which daemon, and what to show it.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Where it is.
    pub(super) address: Address,
    /// Shown if there is one.
    pub(super) token: Option<SecretString>,
}

impl AdminArgs {
    /// Where to ask.
    ///
    /// # Errors
    /// The exit code, once it was told what is wrong.
    pub(super) fn place(&self) -> Result<Place, ExitCode> {
        let (address, configured) = match &self.admin {
            Some(address) => (address.clone(), None),
            None => self.configured()?,
        };
        let given = match &self.token_file {
            Some(path) => Some(SecretSource::File(path.clone())),
            None => std::env::var(TOKEN_VARIABLE)
                .ok()
                .filter(|token| !token.is_empty())
                .map(|token| SecretSource::Inline(token.into())),
        };
        let token = given
            .or(configured)
            .map(|source| source.read())
            .transpose()
            .map_err(|error| failure(&format_args!("the token of the admin server: {error}")))?;
        Ok(Place { address, token })
    }

    fn configured(&self) -> Result<(Address, Option<SecretSource>), ExitCode> {
        let path = match &self.config {
            Some(path) => Some(path.as_path()),
            // Where there is no configuration, such as beside a container, there may still be a daemon.
            None => Some(Path::new(DEFAULT_CONFIG)).filter(|path| path.exists()),
        };
        let shown = path.unwrap_or(Path::new(DEFAULT_CONFIG));
        let settings = load_admin(path, environment()).map_err(|faults| {
            let code = tell_faults(shown, &faults);
            tell("without a configuration: --admin ADDRESS says where the daemon's admin server is");
            code
        })?;
        let AdminSettings {
            listen,
            token,
            hosts: _,
        } = settings;
        match Address::of_listener(&listen) {
            Ok(address) => Ok((address, token)),
            Err(problem) => {
                tell(format_args!("livestreamd: {}: {problem}", shown.display()));
                Err(ExitCode::Configuration)
            }
        }
    }
}
