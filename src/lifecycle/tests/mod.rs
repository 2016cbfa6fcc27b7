//! Proof that the machine keeps its promises, by a world that does its worst and a judge that shares no code with it.
//!
//! | module | holds |
//! | --- | --- |
//! | [`chance`] | a tape of draws: histories that can be played again and made simpler |
//! | [`world`] | hosts, boots, the driver, crashes and frozen daemons in virtual time |
//! | [`disk`] | the lease on disk, and all that may become of a write |
//! | [`service`] | what the Live Stream service and the token endpoint answer |
//! | [`truth`] | the judge |
//! | [`coverage`] | what the histories went through |
//! | [`random`] | a quarter of a million random histories |
//! | [`planted`] | faults that the judge must find |
//! | [`exhaustive`] | every history within a small bound, breadth first |
//! | [`regressions`] | the faults that all this has found, one by one |
//! | [`arithmetic`] | waits, first waits and stall limits against naive models |

mod arithmetic;
mod chance;
mod coverage;
mod disk;
mod exhaustive;
mod planted;
mod random;
mod regressions;
mod service;
mod truth;
mod world;
