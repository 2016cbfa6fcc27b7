//! Whose ids are where: each output of a stream has its own, because each delivers at its own pace.
//!
//! ```text
//! dedup/web/             of the default output
//! dedup/web.purchases/   of another: no stream's name has a dot in it
//! ```

use std::io;
use std::path::{Path, PathBuf};

use super::{IdStoreError, at, forget};
use crate::journal::{self, DEFAULT_CURSOR};

/// Where the ids of an output are.
pub(super) fn dir_of(state_dir: &Path, stream: &str, output: &str) -> PathBuf {
    let name = if output == DEFAULT_CURSOR {
        stream.to_owned()
    } else {
        format!("{stream}.{output}")
    };
    dedup(state_dir).join(name)
}

/// The outputs of a stream of which there are ids.
pub(super) fn outputs_with_ids(state_dir: &Path, stream: &str) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dedup(state_dir)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listed => listed?,
    };
    let mut outputs = Vec::new();
    for entry in entries {
        let Ok(name) = entry?.file_name().into_string() else {
            continue;
        };
        match name.split_once('.') {
            None if name == stream => outputs.push(DEFAULT_CURSOR.to_owned()),
            Some((of, output)) if of == stream => outputs.push(output.to_owned()),
            None | Some(_) => {}
        }
    }
    outputs.sort();
    Ok(outputs)
}

/// Forgets the ids of outputs that the stream does not have, or that have no cursor yet: whoever begins now has delivered nothing. To be
/// called before the journal is opened for these `outputs`, which makes and removes cursors. Those of the default output stay.
///
/// # Errors
/// Those of the disk; and files that are too new, which stay. The ids of all others are forgotten all the same.
pub fn forget_others(state_dir: &Path, stream: &str, outputs: &[&str]) -> Result<(), IdStoreError> {
    let dir = dedup(state_dir);
    let cursors = at(&dir, journal::cursors(state_dir, stream))?;
    let mut outcome = Ok(());
    for output in at(&dir, outputs_with_ids(state_dir, stream))? {
        let goes_on = outputs.contains(&output.as_str()) && cursors.contains(&output);
        if output != DEFAULT_CURSOR && !goes_on {
            outcome = outcome.and(forget(state_dir, stream, &output));
        }
    }
    outcome
}

fn dedup(state_dir: &Path) -> PathBuf {
    state_dir.join("dedup")
}
