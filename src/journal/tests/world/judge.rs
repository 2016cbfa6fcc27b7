//! What must hold of what is read, and of what a start finds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::super::faults::Fault;
use super::super::super::segment::FileName;
use super::super::super::{Batch, Position};
use super::super::disk::{FaultKind, SimulatedFiles};
use super::World;
use super::rules::{Judged, Rule, violated};

impl World {
    pub(super) fn judge_read(&mut self, from: Position, to: Position, found: &[Arc<Batch>]) -> Judged<()> {
        let mut at = Position(0);
        for batch in found {
            if batch.position < at || batch.end() <= from {
                return violated(
                    Rule::Order,
                    format!("{} comes after {at}, read from {from}", batch.position),
                );
            }
            at = batch.end();
            match self.known.get(&batch.position) {
                Some(known) if known.batch == **batch => {}
                Some(known) => return violated(Rule::Changed, format!("{batch:?} was {:?}", known.batch)),
                None => return violated(Rule::Changed, format!("{batch:?} was never appended")),
            }
        }
        let there: BTreeSet<Position> = found.iter().map(|batch| batch.position).collect();
        let passed = self.store.as_ref().expect("open").durably_passed();
        for known in self.known.values_mut() {
            let wanted = known.batch.end() > from && known.batch.position < to && known.batch.end() > passed;
            if wanted && !there.contains(&known.batch.position) {
                if !known.rotten {
                    return violated(
                        Rule::Lost,
                        format!("{:?} is not there, read from {from} to {to}", known.batch),
                    );
                }
                known.noticed = true;
            }
        }
        Ok(())
    }

    pub(super) fn judge_survivors(&mut self, after: FaultKind, passed: Position) -> Judged<()> {
        let files = SimulatedFiles(self.disk.clone());
        let mut survivors = BTreeMap::new();
        let mut at = Position(0);
        while let Some(plan) = self.store().plan_read(at) {
            match plan.run(&files, 1000) {
                Ok(out) => {
                    self.store().after_read(&out);
                    for batch in &out.batches {
                        survivors.insert(batch.position, Batch::clone(batch));
                    }
                    if out.resume <= at {
                        return violated(Rule::Alive, format!("reading gets no further than {at}"));
                    }
                    at = out.resume;
                }
                Err(_) => self.store().missing(&plan),
            }
        }
        self.take_faults();
        let mut last = Position(0);
        for (position, batch) in &survivors {
            if *position < last {
                return violated(Rule::PositionTwice, format!("{position} lies in what ends at {last}"));
            }
            last = batch.end();
            match self.known.get(position) {
                Some(known) if known.batch == *batch => {}
                Some(known) => return violated(Rule::Changed, format!("{batch:?} was {:?}", known.batch)),
                // One that was under way: it may be there, if it is whole.
                None => match self.attempted.get(&batch.received_ms) {
                    Some(attempted) if attempted.clone().at(*position) == *batch => self.know(batch.clone()),
                    Some(_) | None => return violated(Rule::Changed, format!("{batch:?} was never appended")),
                },
            }
        }
        let extents: Vec<_> = self.store().extents().collect();
        let mut gone = Vec::new();
        for (position, known) in &self.known {
            if survivors.contains_key(position) {
                continue;
            }
            let needed =
                (known.durable || after == FaultKind::Killed) && known.batch.end() > passed && !known.lost_file;
            if needed && !known.rotten {
                return violated(Rule::Lost, format!("{:?} is not there after {after:?}", known.batch));
            }
            if needed && !self.is_reported(*position) {
                return violated(
                    Rule::Reported,
                    format!("{:?} is not there after {after:?}", known.batch),
                );
            }
            let inside = extents.iter().any(|(from, to)| (*from..*to).contains(position));
            if !known.rotten || known.lost_file || !inside {
                gone.push(*position);
            }
        }
        for (position, known) in &mut self.known {
            known.noticed = !survivors.contains_key(position) && known.batch.end() > passed;
        }
        // What a cursor has passed is used, whether it is there or not.
        let cursors = self
            .cursors
            .values()
            .map(|cursor| cursor.durable)
            .max()
            .unwrap_or_default();
        for position in gone {
            self.known.remove(&position);
        }
        self.used_to = last.max(cursors).max(self.removed_to);
        Ok(())
    }

    pub(super) fn judge_reports(&self, from: Position) -> Judged<()> {
        let mut noticed = self
            .known
            .values()
            .filter(|known| known.batch.end() > from && known.noticed);
        match noticed.find(|known| !self.is_reported(known.batch.position)) {
            Some(known) => violated(
                Rule::Reported,
                format!("{:?} is missing, and nobody said so", known.batch),
            ),
            None => Ok(()),
        }
    }

    /// Whether damage was reported that a batch at this position is in.
    pub(super) fn is_reported(&self, position: Position) -> bool {
        // What a start has cut off that did not live to say so is kept all the same.
        let is_kept = self.disk.files().iter().any(|(path, length)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let begin = name.strip_prefix("web.").and_then(|name| name.strip_suffix(".cut"));
            let begin = begin.and_then(|begin| begin.parse().ok()).map(Position);
            begin.is_some_and(|begin| (begin..begin.plus(*length)).contains(&position))
        });
        is_kept
            || self.faults.iter().any(|fault| match fault {
                Fault::Cut { damage, .. } | Fault::Damaged { damage, .. } => {
                    (damage.position..damage.position.plus(damage.bytes)).contains(&position)
                }
                Fault::Missing { segment, bytes } => match FileName::of(segment) {
                    FileName::Segment { base, .. } => (base..base.plus(*bytes)).contains(&position),
                    FileName::Cursor(_) | FileName::Foreign => false,
                },
                Fault::SetAside { .. }
                | Fault::CursorUnreadable { .. }
                | Fault::CursorNotWanted { .. }
                | Fault::NotSynced { .. } => false,
            })
    }
}
