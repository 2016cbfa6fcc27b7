//! The status page in a real browser: headless Chromium, looked into by its `DevTools` protocol.
//!
//! | module | holds |
//! | --- | --- |
//! | [`chromium`] | the browser as a child process, and its protocol |
//! | [`tab`] | one page: what is on it, what it complains of, how it looks |
//! | [`stand`] | a simulated service, the real daemon and a page that shows it |
//! | [`sample`] | a daemon that is made up, with everything that a page must be able to show |
//! | [`looks`] | tests of the page with that: words, widths, colours, many streams; these leave screenshots in `target/ci-artifacts` |
//! | [`faring`] | tests of the page with the real daemon, as its streams come and go |
//! | [`trouble`] | tests of it as things fail: refusals, secrets, Kafka, hostile words |
//! | [`link`] | tests of what the page does when the daemon is gone |

mod chromium;
mod faring;
mod link;
mod looks;
mod sample;
mod stand;
mod tab;
mod trouble;
