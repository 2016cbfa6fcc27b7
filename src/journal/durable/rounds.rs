//! What the writer thread and the syncer thread do for one journal, whenever it is its turn.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::AppendError;
use super::super::room::Charge;
use super::super::store::Trouble;
use super::super::work::Passed;
use super::Durable;
use super::front::{Queued, extend};

/// A cursor that moves is made durable so often, and whenever a segment can go.
const CURSOR_SYNC_INTERVAL: Duration = Duration::from_secs(1);

impl Durable {
    // --- the writer thread

    /// Writes what is queued. Says whether the disk is to be tried again after a while.
    pub fn write_out(self: &Arc<Self>) -> bool {
        let (queued, in_trouble) = {
            let mut front = self.front();
            let queued: Vec<Queued> = front.queue.drain(..).collect();
            front.in_hand = queued.len();
            (queued, front.trouble.is_some())
        };
        if queued.is_empty() && !in_trouble {
            self.news.notify_waiters();
            return false;
        }
        let (entries, replies): (Vec<_>, Vec<_>) = queued
            .into_iter()
            .map(|queued| (queued.entry, (queued.reply, queued.place)))
            .unzip();
        let mut store = self.store();
        if self.is_retired() {
            return false;
        }
        let tried = if in_trouble { store.try_disk() } else { Ok(()) };
        let (positions, outcome) = match tried {
            Ok(()) => store.append(&entries),
            Err(trouble) => (Vec::new(), Err(trouble)),
        };
        let (faults, end) = (store.take_faults(), store.end());
        let mut answers = Vec::new();
        let again = {
            let mut front = self.front();
            let mut unwritten = Vec::new();
            let mut positions = positions.into_iter();
            for (entry, (reply, place)) in entries.into_iter().zip(replies) {
                if let Some(position) = positions.next() {
                    let batch = Arc::new(entry.batch.at(position));
                    extend(&mut front.ranges, (position, batch.end()));
                    front.tail.push(batch);
                    front.unsynced_since.get_or_insert_with(Instant::now);
                    answers.push((reply, Ok(position)));
                } else if front.closed {
                    self.room.give_back(entry.charge);
                    answers.push((reply, Err(AppendError::Closed)));
                } else {
                    unwritten.push(Queued { entry, reply, place });
                }
            }
            for queued in unwritten.into_iter().rev() {
                front.queue.push_front(queued);
            }
            front.end = end;
            front.in_hand = 0;
            front.trouble = outcome.err();
            front.trouble.is_some() && !front.closed
        };
        drop(store);
        for (reply, answer) in answers {
            // Whoever asked may be gone. The batch is there all the same.
            let _ = reply.send(answer);
        }
        self.news.notify_waiters();
        self.report(faults);
        self.log_condition();
        again
    }

    // --- the syncer thread

    /// Notes the cursors, makes durable what is not, and removes what all have passed. `all`: the cursors too, in any case. False if
    /// nothing was to be made durable.
    pub fn sync_round(self: &Arc<Self>, all: bool) -> bool {
        // No cursor comes or goes meanwhile.
        let _turn = self.turn();
        let in_need = self.is_waiting();
        let (cursors, cursors_due) = {
            let mut front = self.front();
            front.syncing_since = front.unsynced_since.take();
            let due = front
                .cursors_synced
                .is_none_or(|synced| synced.elapsed() >= CURSOR_SYNC_INTERVAL);
            (front.cursors.clone(), due)
        };
        for guard in cursors.values().filter_map(|cursor| cursor.guard.as_ref()) {
            guard.store();
        }
        let (work, dir, to_remove) = {
            let mut store = self.store();
            let mut outcome = Ok(());
            for (name, cursor) in &cursors {
                outcome = outcome.and(store.write_cursor(name, cursor.position));
            }
            if let Err(trouble) = outcome {
                drop(store);
                self.sync_ended(Err(trouble), false);
                return false;
            }
            let with_cursors = all || cursors_due || in_need || store.a_segment_could_go();
            // In need even a segment that is written to may go, if all have passed it already.
            let to_remove = in_need || store.has_passed();
            (store.begin_sync(with_cursors), store.dir().to_owned(), to_remove)
        };
        let is_work = !work.is_empty();
        if !is_work && !to_remove {
            self.sync_ended(Ok(()), false);
            self.log_condition();
            return false;
        }
        let with_cursors = work.has_cursors();
        let synced = work.cursors().filter_map(|name| cursors.get(name));
        for guard in synced.filter_map(|cursor| cursor.guard.as_ref()) {
            guard.sync();
        }
        let synced = work.run(&*self.files, &dir);
        let (outcome, passed) = {
            let mut store = self.store();
            (store.end_sync(synced), store.take_passed(in_need))
        };
        let removals = Passed::remove(passed, &*self.files);
        let (freed, removed, faults, first) = {
            let mut store = self.store();
            let (freed, removed) = store.removed(removals);
            let first = store.extents().next().map(|(begin, _)| begin);
            (freed, removed, store.take_faults(), first)
        };
        {
            let mut front = self.front();
            front.forget_before(first);
        }
        self.free(freed);
        self.report(faults);
        self.sync_ended(outcome.and(removed), with_cursors);
        self.log_condition();
        is_work
    }

    fn sync_ended(self: &Arc<Self>, outcome: Result<(), Trouble>, with_cursors: bool) {
        let retry = {
            let mut front = self.front();
            let syncing = front.syncing_since.take();
            if with_cursors {
                front.cursors_synced = Some(Instant::now());
            }
            match outcome {
                Ok(()) => false,
                Err(trouble) => {
                    front.unsynced_since = syncing.or(front.unsynced_since);
                    front.trouble.get_or_insert(trouble);
                    true
                }
            }
        };
        if retry {
            self.log_condition();
            // Tries the disk, after a while, and goes on when that works.
            self.engine.retry(self);
        }
    }

    pub(super) fn free(&self, charge: Charge) {
        if charge != Charge::default() {
            self.room.give_back(charge);
        }
    }
}
