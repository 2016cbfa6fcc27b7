//! `livestreamd journal verify`: reads all of journals, and says what is not whole.

use std::fmt::Write as _;

use super::super::output::{answer, failure};
use super::super::shown::figures::count;
use super::progress::Progress;
use super::{DirArgs, exact};
use crate::exit_code::ExitCode;
use crate::journal::inspect::reading::MOST_TOLD;
use crate::journal::inspect::{CursorInfo, Inspection, Place, Verification, inspect, verify as read_all};

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct VerifyArgs {
    #[command(flatten)]
    dir: DirArgs,
}

pub(super) fn verify(args: &VerifyArgs) -> Result<(), ExitCode> {
    let (places, owners) = args.dir.find()?;
    if places.journals.is_empty() {
        return answer("there are no journals here");
    }
    let mut is_good = true;
    for place in &places.journals {
        // One that cannot be read must not hide what is wrong with the next.
        match look(place) {
            Ok((inspection, verification)) => {
                let (text, good) = told(place, &inspection, &verification);
                answer(text.trim_end())?;
                is_good &= good;
            }
            Err(code) if places.is_one => return Err(code),
            Err(_) => is_good = false,
        }
        if owners.as_ref().is_some_and(|owners| owners.lack(place)) {
            answer("  it is an orphan: no stream of the configuration has this name")?;
        }
    }
    if is_good { Ok(()) } else { Err(ExitCode::Failure) }
}

fn look(place: &Place) -> Result<(Inspection, Verification), ExitCode> {
    let inspection = inspect(&place.dir).map_err(|error| failure(&error))?;
    let mut progress = Progress::of(&place.stream);
    let verified = read_all(&inspection, &mut |done, total| progress.at(done, total));
    drop(progress);
    Ok((inspection, verified.map_err(|error| failure(&error))?))
}

/// What is to be said of a journal, and whether all is well with it.
fn told(place: &Place, inspection: &Inspection, found: &Verification) -> (String, bool) {
    let unreadable = inspection
        .cursors
        .iter()
        .filter(|(_, cursor)| matches!(cursor, CursorInfo::Unreadable));
    let too_new = inspection.cursors.iter().filter_map(|(name, cursor)| match cursor {
        CursorInfo::TooNew(version) => Some((name, version)),
        CursorInfo::At(_) | CursorInfo::Unreadable => None,
    });
    let mut faults = String::new();
    // Writing to a String cannot fail.
    for (path, damage) in &found.damage {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let _ = writeln!(
            faults,
            "  damage at position {} in {file}: {}: {}",
            damage.position,
            exact(damage.bytes),
            damage.why
        );
    }
    if let Some(more) = found
        .damaged_places
        .checked_sub(MOST_TOLD as u64)
        .filter(|more| *more > 0)
    {
        let _ = writeln!(faults, "  and {more} more");
    }
    if found.damaged_places > 0 {
        let _ = writeln!(
            faults,
            "  in all {} in {}: the daemon passes over it, and sets its segments aside in quarantine when the rest is delivered",
            exact(found.damaged_bytes),
            count(found.damaged_places, "place", "places")
        );
    }
    if found.overlapping_bytes > 0 {
        let _ = writeln!(
            faults,
            "  segments overlap by {}: the daemon does not read what another segment begins before, and sets the longer one aside",
            exact(found.overlapping_bytes)
        );
    }
    for (name, _) in unreadable {
        let _ = writeln!(
            faults,
            "  the cursor {name} cannot be read: the daemon forwards everything again that is here"
        );
    }
    for (name, version) in too_new {
        let _ = writeln!(
            faults,
            "  the cursor {name} is of version {version}, which this livestreamd does not read"
        );
    }
    if let Some(version) = found.too_new {
        let _ = writeln!(
            faults,
            "  there are batches of version {version}, which this livestreamd does not read: use a newer one"
        );
    }
    let batches = count(found.batches, "whole batch", "whole batches");
    let state = if faults.is_empty() { "good" } else { "fault" };
    let mut text = format!("{state:5}  {}: {batches} with {}\n", place.stream, exact(found.bytes));
    if let Some(damage) = &found.unfinished {
        let _ = writeln!(
            text,
            "  it ends in {} of an unfinished batch, which is no fault: being written just now, or cut off at the next start",
            exact(damage.bytes)
        );
    }
    text.push_str(&faults);
    (text, faults.is_empty())
}
