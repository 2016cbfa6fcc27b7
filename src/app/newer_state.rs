//! What a newer livestreamd has left in `state_dir` is looked for before anything there is changed, and before anything goes out.
//!
//! Only what the given streams would read is looked at: what belongs to no stream is left alone, and is no reason not to start.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::leases::{self, LeaseKey};
use crate::settings::StreamSettings;
use crate::state_dir::TooNew;
use crate::{id_store, journal};

/// So many files are named. More would hide what to do.
const MOST_NAMED: usize = 3;

/// A newer livestreamd has written what the streams would read. A restart mends nothing: a person has to decide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewerState {
    state_dir: PathBuf,
    /// At least one.
    files: Vec<TooNew>,
}

/// Refuses a state directory in which something of these streams is too new. Blocks on the disk, which it only reads.
///
/// # Errors
/// Names what is too new.
pub fn refuse_newer_state<'s>(
    state_dir: &Path,
    streams: impl IntoIterator<Item = &'s StreamSettings>,
) -> Result<(), NewerState> {
    let files: Vec<TooNew> = streams.into_iter().flat_map(|stream| of(state_dir, stream)).collect();
    if files.is_empty() {
        return Ok(());
    }
    let state_dir = state_dir.to_owned();
    Err(NewerState { state_dir, files })
}

fn of(state_dir: &Path, stream: &StreamSettings) -> impl Iterator<Item = TooNew> {
    let leases = (0..stream.connections).filter_map(|slot| leases::newer(state_dir, &LeaseKey::new(&stream.url, slot)));
    leases
        .chain(journal::newer(state_dir, &stream.name))
        .chain(id_store::newer(state_dir, &stream.name))
}

impl fmt::Display for NewerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state_dir = self.state_dir.display();
        write!(
            f,
            "state_dir {state_dir} was used by a newer livestreamd, and nothing in it is changed: "
        )?;
        for (nth, file) in self.files.iter().take(MOST_NAMED).enumerate() {
            let separator = if nth == 0 { "" } else { "; " };
            write!(f, "{separator}{file}")?;
        }
        match self.files.len().saturating_sub(MOST_NAMED) {
            0 => Ok(()),
            more => write!(f, "; and so on for {more} more"),
        }
    }
}

impl std::error::Error for NewerState {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_new_is_named_with_what_to_do_and_a_flood_of_it_is_summed_up() {
        let file = |nth: u32| TooNew {
            file: format!("/s/{nth}").into(),
            found: nth,
            known: 1,
            otherwise: "move it away",
        };
        let told = |count: u32| {
            let (state_dir, files) = (PathBuf::from("/s"), (2..2 + count).map(file).collect());
            NewerState { state_dir, files }.to_string()
        };
        assert_eq!(
            told(1),
            "state_dir /s was used by a newer livestreamd, and nothing in it is changed: /s/2 is of version 2, and this livestreamd reads \
             versions up to 1: run the newer livestreamd that wrote it, or move it away"
        );
        assert!(told(3).ends_with("or move it away") && told(3).contains("/s/4 is of version 4"));
        assert!(told(5).ends_with("; and so on for 2 more") && !told(5).contains("/s/5"));
    }
}
