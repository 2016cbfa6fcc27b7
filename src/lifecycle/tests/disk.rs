//! The disk that holds one lease, as the store writes it: whole or not at all, in order, durable when it says so.
//!
//! A write takes time. It may fail without a trace, or fail after the new content is in place. Whoever dies with writes under way
//! finds any number of them done, always the first ones. What was not durable may be gone after a power loss.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::lease::{Found, FoundLease, Lease, Phase};
use super::super::time::{BootId, Moment};
use super::chance::Chance;
use super::truth::Real;

/// One boot of one host.
#[derive(Clone, Debug)]
pub struct Boot {
    pub id: BootId,
    /// When it began to count, in the world's time.
    pub began: Real,
    /// From which number it counts. Near zero after a reboot, anything on another host.
    pub base: Duration,
}

impl Boot {
    pub fn moment(&self, at: Real) -> Moment {
        Moment(self.base + at.saturating_sub(self.began))
    }

    pub fn real(&self, moment: Moment) -> Real {
        (self.began.saturating_add(moment.0)).saturating_sub(self.base)
    }
}

/// What is on disk.
#[derive(Clone, Debug)]
pub enum Content {
    Nothing,
    Lease { found: FoundLease, serial: u64 },
    Garbage,
}

impl Content {
    pub fn found(&self) -> Found {
        match self {
            Self::Nothing => Found::Nothing,
            Self::Lease { found, .. } => Found::Lease(found.clone()),
            Self::Garbage => Found::Unreadable,
        }
    }

    fn serial_in(&self, phase: Phase) -> Option<u64> {
        match self {
            Self::Lease { found, serial } if found.lease.phase == phase => Some(*serial),
            Self::Nothing | Self::Lease { .. } | Self::Garbage => None,
        }
    }
}

/// What becomes of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Lands,
    Fails,
    FailsButLands,
}

/// A write under way.
#[derive(Clone, Debug)]
struct Write {
    content: Content,
    serial: u64,
    due: Real,
    fate: Fate,
}

/// The disk.
#[derive(Clone, Debug)]
pub struct Disk {
    visible: Content,
    durable: Content,
    under_way: VecDeque<Write>,
    asked: u64,
}

/// A write came to its end.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    pub serial: u64,
    pub stored: bool,
}

impl Disk {
    pub const fn empty() -> Self {
        Self {
            visible: Content::Nothing,
            durable: Content::Nothing,
            under_way: VecDeque::new(),
            asked: 0,
        }
    }

    pub const fn visible(&self) -> &Content {
        &self.visible
    }

    /// Puts `content` there by force: damage, or another hand.
    pub fn overwrite(&mut self, content: Content) {
        self.visible = content.clone();
        self.durable = content;
    }

    /// Begins to write `lease`; it is done `takes` after all earlier writes are, and not before `at`.
    pub fn write(&mut self, lease: Lease, boot: &Boot, at: Real, takes: Duration, fate: Fate) -> u64 {
        self.asked += 1;
        let after = self.under_way.back().map_or(at, |last| last.due.max(at));
        self.under_way.push_back(Write {
            content: stored_by(lease, self.asked, boot, at),
            serial: self.asked,
            due: after + takes,
            fate,
        });
        self.asked
    }

    /// When the next write is done.
    pub fn next_due(&self) -> Option<Real> {
        self.under_way.front().map(|write| write.due)
    }

    /// When the last write is done.
    pub fn last_due(&self) -> Option<Real> {
        self.under_way.back().map(|write| write.due)
    }

    /// Ends the first write under way.
    pub fn finish_one(&mut self) -> Option<Written> {
        let write = self.under_way.pop_front()?;
        let stored = write.fate == Fate::Lands;
        if write.fate != Fate::Fails {
            if stored {
                self.durable = write.content.clone();
            }
            self.visible = write.content;
        }
        Some(Written {
            serial: write.serial,
            stored,
        })
    }

    /// The writer died: some of its writes are done, the others will never be. Whether any was lost.
    pub fn writer_died(&mut self, chance: &mut Chance) -> bool {
        let done = self.under_way.len() as u64 - chance.below(self.under_way.len() as u64 + 1);
        for _ in 0..done {
            self.finish_one();
        }
        let lost = !self.under_way.is_empty();
        self.under_way.clear();
        lost
    }

    /// The power went. What was not durable may be gone; whether it is.
    pub fn power_lost(&mut self, chance: &mut Chance) -> bool {
        let differs = match (&self.visible, &self.durable) {
            (Content::Lease { serial, .. }, Content::Lease { serial: safe, .. }) => serial != safe,
            (Content::Lease { .. }, Content::Nothing | Content::Garbage) => true,
            (Content::Nothing | Content::Garbage, _) => false,
        };
        let lost = differs && !chance.one_in(2);
        if lost {
            self.visible = self.durable.clone();
        } else {
            self.durable = self.visible.clone();
        }
        lost
    }

    /// Whether the lease with this serial is durable, and open for a connect.
    pub fn is_durably_open(&self, serial: u64) -> bool {
        self.durable.serial_in(Phase::Connecting) == Some(serial)
    }

    /// Whether the lease with this serial is there, and closed.
    pub fn holds_closed(&self, serial: u64) -> bool {
        self.visible.serial_in(Phase::Closed) == Some(serial)
    }
}

/// Milliseconds, with the end of the wait rounded up: never a shorter wait than the one that was asked for.
fn stored_by(lease: Lease, serial: u64, boot: &Boot, at: Real) -> Content {
    let millis = |moment: Moment| u64::try_from(moment.0.as_millis()).unwrap_or(u64::MAX);
    let rounded_up = millis(lease.not_before).saturating_add(1);
    Content::Lease {
        found: FoundLease {
            lease: Lease {
                not_before: Moment(Duration::from_millis(rounded_up)),
                ..lease
            },
            boot: boot.id.clone(),
            written: Moment(Duration::from_millis(millis(boot.moment(at)))),
        },
        serial,
    }
}
