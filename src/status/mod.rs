//! What the daemon says of itself: one model for everything that shows it. `/status` sends it as JSON, `livestreamd status` and `top`
//! read it back, the status page draws it, `/metrics` is made from it, and readiness is decided from it.
//!
//! | module | holds |
//! | --- | --- |
//! | [`model`] | the daemon, its streams and their connections at one moment |
//! | [`readiness`] | does it work, and if not, what stands in the way? |
//! | [`board`] | where it is posted about once a second |
//! | [`rate`] | hits a second, now and over the last quarter of an hour |
//!
//! Promise: pure (but for the board), and without secrets or personal data. Whoever shows the same thing elsewhere takes it from here, words included.

pub mod board;
pub mod model;
pub mod rate;
pub mod readiness;

#[cfg(test)]
mod docs_tests;

pub use board::{Board, Post};
pub use model::*;
pub use rate::{RateWatch, Rates};
pub use readiness::{Hindrance, hindrances};
