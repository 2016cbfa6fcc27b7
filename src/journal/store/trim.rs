//! Segments go when all have passed them.

use std::io;

use super::super::cursor::CursorFile;
use super::super::faults::Fault;
use super::super::room::Charge;
use super::super::work::Passed;
use super::{Store, Trouble, trouble};

impl Store {
    /// Whether a segment can go as soon as the cursors are durable.
    pub fn a_segment_could_go(&self) -> bool {
        let written = self.cursors.values().map(CursorFile::written).min().unwrap_or_default();
        let first = self
            .segments
            .front()
            .filter(|_| !self.writing || self.segments.len() > 1);
        first.is_some_and(|segment| segment.end() <= written)
    }

    /// Whether there are segments that could not be removed so far.
    pub const fn has_passed(&self) -> bool {
        !self.passed.is_empty()
    }

    /// Takes out the segments that every cursor has durably passed. `in_need` also ends the segment that is written to, if all of it
    /// is passed.
    pub fn take_passed(&mut self, in_need: bool) -> Vec<Passed> {
        let limit = self.durably_passed();
        while let Some(segment) = self.segments.front() {
            let is_written = self.writing && self.segments.len() == 1;
            let to_be_kept = is_written && (segment.length == 0 || !in_need);
            if segment.end() > limit || to_be_kept {
                break;
            }
            if is_written {
                self.writing = false;
            }
            if let Some(segment) = self.segments.pop_front() {
                self.passed.push(Passed {
                    path: self.settings.dir.join(segment.file_name()),
                    aside: segment.damaged.then(|| self.settings.aside(&segment)),
                    charge: segment.charge,
                });
            }
        }
        std::mem::take(&mut self.passed)
    }

    /// Takes back what could not be removed, to try again, and notes what was set aside.
    pub fn removed(&mut self, removals: Vec<(Passed, io::Result<()>)>) -> (Charge, Result<(), Trouble>) {
        let (mut freed, mut outcome) = (std::mem::take(&mut self.lost), Ok(()));
        for (passed, result) in removals {
            match result {
                Ok(()) => {
                    freed = freed.and(passed.charge);
                    self.faults.extend(passed.aside.map(|to| Fault::SetAside { to }));
                }
                Err(error) => {
                    self.passed.push(passed);
                    outcome = Err(trouble("removing a segment", &error));
                }
            }
        }
        (freed, outcome)
    }
}
