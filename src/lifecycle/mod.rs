//! When may we connect? The one pure answer, for one connection slot.
//!
//! | module | holds |
//! | --- | --- |
//! | [`answers`] | the one table: what each answer and reason means, what we do, what the operator should do |
//! | [`conflict`] | which of its meanings a 409 has |
//! | [`time`] | [`Moment`] and [`BootId`]: the clock that the rule is counted in |
//! | [`outcome`] | how an attempt or a connection ended, classified once, where it entered |
//! | [`wait`] | [`Policy`], and how long to wait after which outcome |
//! | [`lease`] | what is remembered on disk, and the first wait that a found lease asks for |
//! | [`slot`] | the state machine: events in, actions out |
//! | [`reset`] | a reset on purpose: sent once |
//! | [`stall`] | when silence on an open connection means that the peer is gone |
//! | [`life`] | when a connection last showed that it lived, in this process or an earlier one |
//! | [`gap`] | when a slot was without a connection, and what that means for completeness |
//!
//! Nothing in here knows tokio, a socket, a file, the environment or a clock: `now` is an argument. Promise: no two attempts that
//! reach the service are closer together than the cooldown after a disconnect, except redirect hops and the one token retry;
//! and every state has a way out. The rules come from section 1 and 4 of the protocol notes (docs/protocol.md).

pub mod answers;
pub mod conflict;
pub mod gap;
pub mod lease;
pub mod life;
pub mod outcome;
pub mod reset;
pub mod slot;
pub mod stall;
pub mod time;
pub mod wait;

#[cfg(test)]
mod tests;

pub use lease::{FirstWait, Lease, Phase};
pub use outcome::{EndReason, Lost, Refusal, TokenFailure, Unreached};
pub use reset::{Reset, ResetDone, ResetTo};
pub use slot::{Action, Event, Slot, State};
pub use stall::StallWatch;
pub use time::{BootId, Moment};
pub use wait::{Policy, RETRY_AFTER_LIMIT, Why};
