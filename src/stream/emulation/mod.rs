//! A network of our own, in virtual time, between the real client and the simulator: ten thousand short histories from seeds, each judged.
//!
//! | file | job |
//! | --- | --- |
//! | `line` | one connection: delay, partial reads and writes, single bytes, and how it is lost |
//! | `network` | connects: which are refused, hang or succeed, and what their lines are like |
//! | `world` | one history: drivers, simulator, journal and leases, and what befalls them |
//! | `decode` | a reading of our own of what the client was handed |
//! | `judge` | the rules |
//! | `tally` | what occurred, so that "nothing went wrong" says something |
//! | `runs` | the tests |
//!
//! Promise: a history depends on nothing but its seed, so that one that fails can be run again alone.

mod decode;
mod judge;
mod line;
mod network;
mod runs;
mod tally;
mod world;
