//! What happens to a store: media that fail, a kill or a power loss, and the start after it.

use std::sync::Arc;

use super::super::super::Position;
use super::super::super::room::Charge;
use super::super::super::segment::FileName;
use super::super::super::store::Store;
use super::super::disk::{FaultKind, SimulatedFiles};
use super::rules::{Judged, Rule, violated};
use super::{Plant, World};

impl World {
    /// The medium fails: a bit here, a file there.
    pub(super) fn rot(&mut self) {
        if self.chance.permille(700) {
            return;
        }
        if self.chance.permille(200) {
            let Some(path) = self.disk.lose_a_segment() else { return };
            self.note(|| format!("{} is gone", path.display()));
            let FileName::Segment { base, .. } = FileName::of(path.file_name().unwrap().to_str().unwrap()) else {
                return;
            };
            let end = self.next_base_after(base);
            for (_, known) in self.known.range_mut(base..end) {
                known.rotten = true;
                known.lost_file = true;
            }
            return;
        }
        let Some((path, at)) = self.disk.flip_a_bit() else {
            return;
        };
        self.note(|| format!("a bit of {} flips at {at}", path.display()));
        let FileName::Segment { base, .. } = FileName::of(path.file_name().unwrap().to_str().unwrap()) else {
            return;
        };
        let position = base.plus(at);
        if let Some((_, known)) = self.known.range_mut(..=position).next_back()
            && known.batch.end() > position
            && known.batch.position >= base
        {
            known.rotten = true;
        }
    }

    pub(super) fn next_base_after(&self, base: Position) -> Position {
        let files = self.disk.files();
        let bases = files
            .iter()
            .filter_map(|(path, _)| match FileName::of(path.file_name()?.to_str()?) {
                FileName::Segment { base: other, .. } if other > base => Some(other),
                FileName::Segment { .. } | FileName::Cursor(_) | FileName::Foreign => None,
            });
        bases.min().unwrap_or(Position(u64::MAX))
    }

    pub(super) fn crash(&mut self, kind: FaultKind) -> Judged<()> {
        self.note(|| format!("--- {kind:?}"));
        self.store = None;
        self.queue.clear();
        self.in_trouble = false;
        if kind == FaultKind::PowerLost {
            self.disk.lose_power();
        } else {
            self.disk.kill();
        }
        self.start(Some(kind))
    }

    /// Opens the store, and judges what is there.
    pub(super) fn start(&mut self, after: Option<FaultKind>) -> Judged<()> {
        let mut after = after;
        let tries = self.chance.below(4);
        let mut round = 0;
        let outputs = self.configure();
        let mut store = loop {
            self.disk.set_rate(if round < tries { self.rate } else { 0 });
            let files = Arc::new(SimulatedFiles(self.disk.clone()));
            let opened = Store::open_for(files, self.settings.clone(), &outputs);
            match opened {
                Ok(store) if !self.disk.is_dead() => break store,
                Ok(_) | Err(_) if self.disk.is_dead() => self.disk.kill(),
                Err(_) if round < tries && self.rate > 0 => {
                    // The power may fail while it starts.
                    if self.chance.permille(200) {
                        self.disk.lose_power();
                        after = after.map(|_| FaultKind::PowerLost);
                    }
                }
                Err(error) => return violated(Rule::Alive, format!("on a good disk: {error}")),
                Ok(_) => unreachable!("not dead"),
            }
            round += 1;
        };
        if self.plant == Plant::PositionTwice {
            let tail = store.extents().next_back();
            store.end = tail.map_or(Position(0), |(_, end)| end);
        }
        self.disk.set_rate(0);
        self.charged = 0;
        self.freed = 0;
        store.charge_held(|bytes| {
            self.charged += bytes;
            Charge {
                stream: bytes,
                ..Charge::default()
            }
        });
        let faults_before = self.faults.len();
        self.faults.extend(store.take_faults());
        let (end, cursors) = (store.end(), store.cursors());
        let extents: Vec<_> = store.extents().collect();
        self.note(|| format!("open: {extents:?}, end {end}, cursors {cursors:?}"));
        self.store = Some(store);
        let passed = self.judge_cursors(after, &outputs, &cursors, faults_before)?;
        if let Some(after) = after {
            self.judge_survivors(after, passed)?;
        }
        for cursor in self.cursors.values_mut() {
            cursor.read_to = cursor.at;
        }
        self.disk.set_rate(self.rate);
        Ok(())
    }
}
