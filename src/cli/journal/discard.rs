//! `livestreamd journal discard`: throws away what a journal holds, after saying what that is.

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use super::super::output::{answer, failure, tell};
use super::super::shown::figures::count;
use super::{OneDirArgs, exact};
use crate::exit_code::ExitCode;
use crate::journal::inspect::{Place, discard as throw_away, hold, inspect};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct DiscardArgs {
    #[command(flatten)]
    dir: OneDirArgs,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub(super) fn discard(args: &DiscardArgs) -> Result<(), ExitCode> {
    let place = args.dir.find()?;
    // Before anything is said or asked, so that what is said stays true until it is done.
    let held = hold(&place).map_err(|error| failure(&error))?;
    let inspection = inspect(&place.dir).map_err(|error| failure(&error))?;
    if inspection.segments.is_empty() {
        return answer(format_args!("{}: there is nothing to discard", place.stream));
    }
    let segments = count(inspection.segments.len() as u64, "segment", "segments");
    tell(format_args!(
        "{}: {segments} with {} would be lost, of which not delivered: {}",
        place.stream,
        exact(inspection.held_bytes()),
        exact(inspection.backlog_bytes)
    ));
    if inspection.backlog_bytes > 0 {
        tell(format_args!(
            "to keep what is not delivered, first: livestreamd journal export {} --output FILE",
            place.dir.display()
        ));
    }
    if !args.yes {
        confirm(&place)?;
    }
    let bytes = throw_away(&held).map_err(|error| failure(&error))?;
    answer(format_args!("{}: {} discarded", place.stream, exact(bytes)))
}

/// Asks, if there is somebody to ask.
fn confirm(place: &Place) -> Result<(), ExitCode> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        tell("livestreamd: nobody can be asked whether to discard this: if it shall be, say --yes");
        return Err(ExitCode::Usage);
    }
    let mut err = io::stderr().lock();
    let asked = write!(err, "type {} to discard it: ", place.stream).and_then(|()| err.flush());
    drop(err);
    let mut answered = String::new();
    let read = asked.and_then(|()| io::stdin().lock().read_line(&mut answered));
    if read.is_ok() && answered.trim() == place.stream {
        Ok(())
    } else {
        Err(failure(&"nothing was discarded"))
    }
}
