//! Settings: file, then environment, to the typed [`Settings`] of [`resolved`], or to every fault at once.

pub mod resolved;

pub use resolved::*;
