//! What a newer livestreamd has written, and this one must not touch.
//!
//! Each format under `state_dir` says its version where every later version says it too, so that a file that is too new can be told from
//! one that is damaged. Promise: it is refused by name, before anything is changed; it is never set aside, overwritten or removed.

use std::path::PathBuf;

use thiserror::Error;

/// A file of a version that only a newer livestreamd reads.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{} is of version {found}, and this livestreamd reads versions up to {known}: run the newer livestreamd that wrote it, or {otherwise}",
    file.display()
)]
pub struct TooNew {
    /// The file.
    pub file: PathBuf,
    /// Its version.
    pub found: u32,
    /// The newest version that is read.
    pub known: u32,
    /// What else may be done, and what that costs, in words.
    pub otherwise: &'static str,
}
