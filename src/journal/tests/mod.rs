//! Proof that the store keeps its promises, on a disk that does its worst and by a judge that knows all that was appended.
//!
//! | module | holds |
//! | --- | --- |
//! | [`chance`] | seeded draws |
//! | [`disk`] | a disk with a page cache that forgets, tears and refuses |
//! | [`world`] | one history: a store, its disk, and the judge |
//! | [`histories`] | a hundred thousand of them, and the planted faults that must be found |
//! | [`shell`] | the journal with its threads, on real files |
//! | [`several`] | several cursors, on real files: they come, go and lag |
//! | [`guard`] | what must be on disk before a cursor is |
//! | [`lost_cursors`] | what becomes of a journal whose cursor cannot be read |
//! | [`newer`] | what a newer livestreamd has written |
//! | [`ages`] | how old the oldest batch is, and how long syncs take |
//! | [`release`] | a journal that is let go of while the others go on |
//! | [`outside`] | a look into it from outside |

mod ages;
mod chance;
mod disk;
mod guard;
mod histories;
mod lost_cursors;
mod newer;
mod outside;
mod release;
mod several;
mod shell;
mod world;
