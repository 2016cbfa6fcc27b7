//! Notes when a slot has no connection, and tells of it: in the log, in the counts, in the slot's status, and in its lease for the next
//! run. What a gap is, and what it means, is decided in [`crate::lifecycle::gap`]. Nothing here has a say in when we connect.

use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock, as_wall, since_epoch};
use crate::leases::trace::shown;
use crate::leases::{LeaseDir, LeaseKey};
use crate::lifecycle::gap::{Gap, GapWatch, OpenGap};
use crate::lifecycle::life::{Stamp, Trace};
use crate::lifecycle::{EndReason, Event, Moment};
use crate::telemetry::{SlotStatus, StreamCounters};

use super::revival::AbortOnDrop;

/// What noting the gaps of one slot needs.
pub(super) struct Noted {
    pub stream: String,
    pub slot: u8,
    pub horizon: Duration,
    pub leases: LeaseDir,
    pub key: LeaseKey,
    pub clock: Arc<dyn Clock>,
    pub status: SlotStatus,
    pub counters: Arc<StreamCounters>,
}

/// The gaps of one slot.
pub(super) struct Gaps {
    noted: Noted,
    watch: GapWatch,
    /// Tells when the open gap becomes longer than the horizon, unless it is over before.
    alarm: Option<AbortOnDrop>,
}

impl Gaps {
    /// Begins with the gap that `trace`, of the lease on disk, tells of. To be called before that lease is written anew.
    pub(super) fn begin(noted: Noted, trace: Option<&Trace>) -> Self {
        let (now, wall) = (noted.clock.now(), since_epoch(noted.clock.wall()));
        let boot = noted.clock.boot();
        let open = trace.and_then(|trace| {
            noted.leases.last_alive(&noted.key, trace.last_life(now, wall, boot)?);
            OpenGap::found(trace, now, wall, boot)
        });
        let watch = GapWatch::new(noted.horizon, None);
        let mut gaps = Self {
            noted,
            watch,
            alarm: None,
        };
        // Whatever the driver before had shown, of another url perhaps.
        gaps.noted.status.show_gap(None);
        if let Some(open) = open {
            gaps.began(open);
        }
        gaps
    }

    /// A connection that last lived at `last_alive` has ended so. To be called before its lease is closed.
    pub(super) fn connection_ended(&mut self, event: &Event, last_alive: Moment) {
        let clock = &*self.noted.clock;
        let wall = since_epoch(as_wall(clock, last_alive));
        let stamp = Stamp {
            boot: clock.boot().clone(),
            at: last_alive,
            wall,
        };
        self.noted.leases.last_alive(&self.noted.key, stamp);
        // After a stop it is for the next run to tell.
        if let Event::Ended(reason) = event {
            self.began(OpenGap::new(last_alive, wall, EndReason::clone(reason)));
        }
    }

    /// The service streams.
    pub(super) fn streaming(&mut self, now: Moment) {
        drop(self.alarm.take());
        if let Some(gap) = self.watch.ended(now, since_epoch(self.noted.clock.wall())) {
            self.noted.status.show_gap(None);
            self.tell(&gap);
        }
    }

    /// Goes by another horizon from now on. What is to be told of an open gap, and when, stays as it is.
    pub(super) fn set_horizon(&mut self, horizon: Duration) {
        self.noted.horizon = horizon;
        self.watch.set_horizon(horizon);
    }

    fn began(&mut self, gap: OpenGap) {
        self.watch.began(gap.clone());
        self.noted.status.show_gap(Some(gap.clone()));
        self.alarm = self.watch.overdue_at().map(|at| self.sound_at(at, gap));
    }

    /// While the gap is open and passes the horizon, that is said once, so that nobody has to wait for its end to hear of it.
    fn sound_at(&self, overdue_at: Moment, gap: OpenGap) -> AbortOnDrop {
        let Noted {
            stream,
            slot,
            horizon,
            clock,
            ..
        } = &self.noted;
        let (stream, slot, horizon_s, clock) = (stream.clone(), *slot, horizon.as_secs_f64(), clock.clone());
        AbortOnDrop::spawn(async move {
            clock.sleep_until(overdue_at).await;
            let (from, gap_s) = (shown(gap.from), gap.length(clock.now()).as_secs());
            let (reason, why, known_by) = (gap.parting.name(), &gap.parting, gap.known_by.name());
            tracing::warn!(
                stream, slot, from, gap_s, horizon_s, reason, %why, known_by,
                "no connection for longer than backfill_horizon: hits of this time are probably lost, and more are until it connects again"
            );
        })
    }

    fn tell(
        &self,
        Gap {
            gap,
            to,
            length,
            is_probable,
        }: &Gap,
    ) {
        let (stream, slot, counters) = (self.noted.stream.as_str(), self.noted.slot, &self.noted.counters);
        let (from, to, gap_s) = (shown(gap.from), shown(*to), length.as_millis() as f64 / 1000.0);
        let (reason, why, known_by) = (gap.parting.name(), &gap.parting, gap.known_by.name());
        if *is_probable {
            counters.gaps_probable.one();
            counters.probable_gap_seconds.add(length.as_secs());
            tracing::warn!(
                stream, slot, gap = "probable", from, to, gap_s, reason, %why, known_by,
                "a gap longer than backfill_horizon is over: the service repeats only some minutes, so hits between these times are \
                 probably missing here"
            );
        } else {
            counters.gaps_possible.one();
            tracing::info!(
                stream, slot, gap = "possible", from, to, gap_s, reason, %why, known_by,
                "a gap is over: the service goes on where the connection ended, as a rule; a few hits between these times may be missing"
            );
        }
    }
}
