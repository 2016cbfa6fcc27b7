//! `livestreamd journal`: a look into journals on disk, while the daemon runs or not, and what to do with one that nobody forwards.
//!
//! | module | command |
//! | --- | --- |
//! | [`inspect`] | segments, cursors, backlog, what was set aside |
//! | [`verify`] | reads all of it, and says what is not whole |
//! | [`export`] | writes out the records |
//! | [`discard`] | throws away what is there |
//!
//! [`progress`] says how far a long reading has come.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::path::{Path, PathBuf};

use bytesize::ByteSize;

use super::load_or_explain;
use super::output::{failure, tell};
use crate::exit_code::ExitCode;
use crate::journal::inspect::{Place, Places, find};

mod discard;
mod export;
mod inspect;
mod progress;
mod verify;

/// What is to be done.
#[derive(Debug, clap::Subcommand)]
pub(super) enum JournalCommand {
    /// Show segments, cursors, backlog and what was set aside
    ///
    /// Reads names, lengths and cursors, no batches: quick, whatever the backlog.
    Inspect(inspect::InspectArgs),
    /// Read all of it, and say what is not whole: where, how much, and what the daemon does with it
    ///
    /// Ends with 1 if there is damage. An unfinished batch at the very end is none: the daemon is writing it, or a crash has left it.
    Verify(verify::VerifyArgs),
    /// Write out the records that are not delivered, byte for byte as they came
    ///
    /// With several outputs: what is not delivered to all of them. Ends with 1 if not all could be written out.
    Export(export::ExportArgs),
    /// Throw away what a journal holds, delivered or not: for a stream that was removed or renamed
    ///
    /// Refuses while the daemon runs. The cursors stay, at the end: if the stream comes back, it goes on behind what was here.
    Discard(discard::DiscardArgs),
}

/// Where to look.
#[derive(Debug, clap::Args)]
struct DirArgs {
    /// `STATE_DIR/journal/STREAM`, or `STATE_DIR` for the journals of all streams
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Also say which journals no stream of this configuration owns
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Where to look, if only one will do.
#[derive(Debug, clap::Args)]
struct OneDirArgs {
    /// `STATE_DIR/journal/STREAM`
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(super) fn journal(command: JournalCommand) -> ExitCode {
    let done = match command {
        JournalCommand::Inspect(args) => inspect::inspect(&args),
        JournalCommand::Verify(args) => verify::verify(&args),
        JournalCommand::Export(args) => export::export(&args),
        JournalCommand::Discard(args) => discard::discard(&args),
    };
    match done {
        Ok(()) => ExitCode::Ok,
        Err(code) => code,
    }
}

/// The streams of a configuration.
struct Owners {
    file: PathBuf,
    streams: BTreeSet<String>,
}

impl Owners {
    /// Whether no stream owns the journal.
    fn lack(&self, place: &Place) -> bool {
        !self.streams.contains(&place.stream)
    }
}

impl DirArgs {
    fn find(&self) -> Result<(Places, Option<Owners>), ExitCode> {
        let owners = self.config.as_deref().map(owners).transpose()?;
        let places = find(&self.dir).map_err(|error| failure(&error))?;
        if let Some((owners, state_dir)) = &owners {
            let elsewhere = |place: &Place| {
                let theirs = state_dir.canonicalize();
                place
                    .state_dir()
                    .is_some_and(|ours| theirs.is_ok_and(|theirs| theirs != ours))
            };
            if places.journals.iter().any(elsewhere) {
                tell(format_args!(
                    "warning: the state_dir of {} is {}, and this is another",
                    owners.file.display(),
                    state_dir.display()
                ));
            }
        }
        Ok((places, owners.map(|(owners, _)| owners)))
    }
}

fn owners(file: &Path) -> Result<(Owners, PathBuf), ExitCode> {
    let settings = load_or_explain(file)?.settings;
    let streams = settings.streams.iter().map(|stream| stream.name.clone()).collect();
    let file = file.to_owned();
    Ok((Owners { file, streams }, settings.state_dir))
}

impl OneDirArgs {
    fn find(&self) -> Result<Place, ExitCode> {
        let mut places = find(&self.dir).map_err(|error| failure(&error))?;
        if let (true, Some(place)) = (places.is_one, places.journals.pop()) {
            return Ok(place);
        }
        Err(failure(&format_args!(
            "{} holds the journals of all streams: give one, such as {}",
            self.dir.display(),
            places.journals.first().map_or_else(
                || "STATE_DIR/journal/STREAM".to_owned(),
                |place| place.dir.display().to_string()
            )
        )))
    }
}

/// A number of bytes for people, and exactly: `1.5 KiB (1536 bytes)`.
fn exact(bytes: u64) -> impl Display {
    std::fmt::from_fn(move |f| match bytes {
        0 => f.write_str("nothing"),
        1 => f.write_str("1 byte"),
        2..1024 => write!(f, "{bytes} bytes"),
        _ => write!(f, "{} ({bytes} bytes)", size(bytes)),
    })
}

/// A number of bytes for people.
fn size(bytes: u64) -> impl Display {
    ByteSize(bytes).display().iec()
}
