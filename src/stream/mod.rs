//! One stream's tasks: a driver for each connection slot, and the forwarder behind them.
//!
//! | module | job |
//! | --- | --- |
//! | [`slot_driver`] | carries out what one slot's lifecycle decides: sockets, timers, leases |
//! | [`next_connect`] | what holds from the next connect on |
//! | [`reading`] | reads one open connection into the journal until it ends |
//! | `appends` | what was read and is on its way into the journal |
//! | `gaps` | notes when a slot has no connection, and tells of it |
//! | [`resetting`] | what the slots share of a reset on purpose |
//! | [`revival`] | starts a task again that panicked |
//! | [`stop`] | the word to stop, for all who wait |
//! | `telling` | what the log says of a slot |

mod appends;
#[cfg(test)]
mod emulation;
mod gaps;
pub mod next_connect;
pub mod reading;
pub mod resetting;
pub mod revival;
pub mod slot_driver;
pub mod stop;
mod telling;

pub use next_connect::NextConnect;
pub use resetting::SharedReset;
pub use slot_driver::SlotDriver;
pub use stop::{Stop, StopSwitch, stop_switch};
