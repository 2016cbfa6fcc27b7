//! What must be on disk before a cursor is, such as the ids of what the cursor has passed.

use std::fmt::Debug;

/// Stands between a stream's cursor and the disk. Called on the syncer thread, where blocking harms no stream's reading or forwarding.
///
/// Promise of the journal: a cursor position goes into its file only after a [`CursorGuard::store`] that began when the position was
/// known, and is made durable only after a [`CursorGuard::sync`] that did.
pub trait CursorGuard: Debug + Send + Sync {
    /// Hands to the kernel whatever belongs before the cursors as they are now. What cannot be stored is the guard's to report: a
    /// cursor waits for nobody, because a stream that waited for a full disk would never empty its journal.
    fn store(&self);
    /// Makes durable what was stored.
    fn sync(&self);
}
