//! One history: a store on a disk that fails, is killed and loses power, and a judge who knows all that was appended.
//!
//! | module | holds |
//! | --- | --- |
//! | [`rules`] | what must not happen |
//! | [`misfortune`] | what happens to a store: media that fail, crashes, starts |
//! | [`outputs`] | cursors come and go |
//! | [`judge`] | what must hold of what is read and found |

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::super::faults::Fault;
use super::super::room::Charge;
use super::super::segment::FileName;
use super::super::store::{Entry, Store, StoreSettings};
use super::super::work::{Passed, Synced};
use super::super::{Batch, BatchKind, DEFAULT_CURSOR, NewBatch, Position};
use super::chance::Chance;
use super::disk::{Counts, Disk, FaultKind, SimulatedFiles};
use outputs::Gone;
use rules::{Judged, violated};
pub use rules::{Rule, Violation};

mod judge;
mod misfortune;
mod outputs;
mod rules;

/// What is wrong with the store, or with how it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    /// Nothing.
    Sound,
    /// After a crash the journal goes on at the end of its tail, wherever the cursor stands.
    PositionTwice,
    /// A segment is unlinked when the cursor has passed it, and not when the durable one has.
    UnlinkBeforeTheCursorIsDurable,
    /// What was written is taken for durable.
    SyncNotDone,
    /// A batch that the disk refused is taken for appended.
    RefusalForgotten,
    /// A damaged segment is unlinked as a whole one is.
    DamageForgotten,
    /// A cursor that is added is taken for durable, and is not.
    AddedNotDurable,
    /// A cursor that is removed holds the journal back all the same.
    RemovedHoldsBack,
    /// What a cursor that is removed had passed is not noted.
    RemovedEndForgotten,
    /// One cursor is not asked whether a segment may go.
    CursorNotAsked,
}

/// A batch that the journal has taken.
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
#[derive(Debug)]
struct Known {
    batch: Batch,
    durable: bool,
    /// The medium has failed here: it may be missing, if that is reported.
    rotten: bool,
    /// Its file is gone. After a start nobody can tell any more.
    lost_file: bool,
    /// That it is missing was noticed by a reader, in this life.
    noticed: bool,
}

#[derive(Debug, Default)]
struct CursorTruth {
    /// Where it was moved to.
    at: Position,
    /// What a start after a power loss finds at least.
    durable: Position,
    /// How far its reader has read in this life.
    read_to: Position,
}

pub struct World {
    disk: Arc<Disk>,
    chance: Chance,
    plant: Plant,
    rate: u64,
    settings: StoreSettings,
    store: Option<Store>,
    /// What is appended next, after what the disk refused.
    queue: Vec<Entry>,
    in_trouble: bool,
    next_id: u64,
    known: BTreeMap<Position, Known>,
    /// Everything that was ever handed to the store, by its number.
    attempted: BTreeMap<u64, NewBatch>,
    /// No position before this may be given to anything new.
    used_to: Position,
    /// How far the cursors had come that are removed: so far nothing is given out again, whatever happens.
    removed_to: Position,
    /// Those that are wanted and were said to be there, and the default one.
    cursors: BTreeMap<&'static str, CursorTruth>,
    /// What became of the others.
    gone: BTreeMap<&'static str, Gone>,
    faults: Vec<Fault>,
    charged: u64,
    freed: u64,
    pub trace: Option<Vec<String>>,
}

const CURSORS: [&str; 4] = [DEFAULT_CURSOR, "audit", "buyers", "c"];

impl World {
    pub fn new(seed: u64, plant: Plant) -> Self {
        let mut chance = Chance::seeded(seed);
        let disk = Disk::new(Chance::seeded(chance.draw()));
        // Many histories on a good disk, some on a bad one.
        let rate = [0, 10, 40, 120][chance.below(4) as usize];
        let settings = StoreSettings {
            dir: PathBuf::from("/state/journal/web"),
            quarantine: PathBuf::from("/state/quarantine"),
            segment_bytes: [150, 400, 2000][chance.below(3) as usize],
            // A first write of a cursor that is torn leaves one that cannot be read.
            if_unknown: Position(seed % 3 * 20_000),
        };
        if plant == Plant::UnlinkBeforeTheCursorIsDurable {
            disk.lie_about_cursors();
        }
        Self {
            disk,
            chance,
            plant,
            rate,
            settings,
            store: None,
            queue: Vec::new(),
            in_trouble: false,
            next_id: 0,
            known: BTreeMap::new(),
            attempted: BTreeMap::new(),
            used_to: Position(0),
            removed_to: Position(0),
            cursors: BTreeMap::from([(DEFAULT_CURSOR, CursorTruth::default())]),
            gone: CURSORS[1..].iter().map(|name| (*name, Gone::ForSure)).collect(),
            faults: Vec::new(),
            charged: 0,
            freed: 0,
            trace: None,
        }
    }

    pub fn counts(&self) -> Counts {
        self.disk.counts()
    }

    /// A whole history.
    pub fn live(&mut self) -> Judged<()> {
        self.start(None)?;
        for _ in 0..10 + self.chance.below(25) {
            if self.chance.permille(25) {
                self.disk.kill_after(self.chance.below(25));
            }
            match self.chance.below(23) {
                0..=6 => self.append()?,
                7..=9 => self.read()?,
                10..=12 => self.advance(),
                13..=16 => self.sync_round()?,
                17 => self.crash(FaultKind::Killed)?,
                18 => self.crash(FaultKind::PowerLost)?,
                19 | 20 => self.add_or_remove()?,
                _ => self.rot(),
            }
            if self.disk.is_dead() {
                self.crash(FaultKind::Killed)?;
            }
        }
        self.finish()
    }

    fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(what());
        }
    }

    fn store(&mut self) -> &mut Store {
        self.store.as_mut().expect("open")
    }

    // --- what the journal's threads do

    fn append(&mut self) -> Judged<()> {
        for _ in 0..=self.chance.below(4) {
            let length = self.chance.below(3) * self.chance.below(60);
            let mut bytes = vec![self.next_id as u8; length as usize];
            if self.chance.permille(100) {
                bytes.extend_from_slice(&super::super::format::MAGIC);
            }
            let too_long = self.chance.permille(100);
            let batch = NewBatch {
                kind: if too_long {
                    BatchKind::TooLong { length: 999 }
                } else {
                    BatchKind::Records
                },
                received_ms: self.next_id,
                slot: self.chance.below(4) as u8,
                bytes: bytes.into(),
            };
            self.next_id += 1;
            self.attempted.insert(batch.received_ms, batch.clone());
            let charge = Charge {
                stream: batch.size(),
                ..Charge::default()
            };
            self.queue.push(Entry { batch, charge });
        }
        if self.in_trouble {
            if self.store().try_disk().is_err() {
                return Ok(());
            }
            self.in_trouble = false;
        }
        let queue = std::mem::take(&mut self.queue);
        let (mut positions, outcome) = self.store().append(&queue);
        self.note(|| format!("append {} batches: at {positions:?}, {outcome:?}", queue.len()));
        self.in_trouble = outcome.is_err();
        if self.plant == Plant::RefusalForgotten
            && outcome.is_err()
            && positions.len() < queue.len()
            && !self.disk.is_dead()
        {
            positions.push(self.store().end());
        }
        for (entry, position) in queue.iter().zip(&positions) {
            let batch = entry.batch.clone().at(*position);
            if *position < self.used_to {
                return violated(
                    Rule::PositionTwice,
                    format!("{position} is given out again, all before {} is used", self.used_to),
                );
            }
            self.used_to = batch.end();
            self.charged += batch.end().since(batch.position);
            self.know(batch);
        }
        self.queue = queue[positions.len()..].to_vec();
        Ok(())
    }

    fn know(&mut self, batch: Batch) {
        let known = Known {
            batch,
            durable: false,
            rotten: false,
            lost_file: false,
            noticed: false,
        };
        self.known.insert(known.batch.position, known);
    }

    /// Reads on with some cursor's reader, or from anywhere.
    fn read(&mut self) -> Judged<()> {
        let name = self.any_cursor();
        let from = if self.chance.permille(700) {
            self.cursors[name].read_to
        } else {
            Position(self.chance.below(self.used_to.0 + 1))
        };
        let readings = 1 + self.chance.below(4);
        let (found, to, complete) = self.read_from(from, readings)?;
        self.note(|| format!("read from {from} to {to}: {found} batches, complete: {complete}"));
        let cursor = self.cursors.get_mut(name).expect("known");
        if from <= cursor.read_to {
            cursor.read_to = cursor.read_to.max(to);
        }
        Ok(())
    }

    /// Reads in up to so many readings. Says how many batches there were, up to where everything is read, and whether that is all.
    fn read_from(&mut self, from: Position, readings: u64) -> Judged<(usize, Position, bool)> {
        let files = SimulatedFiles(self.disk.clone());
        let (mut at, mut count) = (from, 0);
        for _ in 0..readings {
            let Some(plan) = self.store().plan_read(at) else {
                return Ok((count, at, true));
            };
            let most = 1 + self.chance.below(300);
            let out = match plan.run(&files, most) {
                Ok(out) => out,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    self.store().missing(&plan);
                    continue;
                }
                Err(_) => return Ok((count, at, false)),
            };
            self.store().after_read(&out);
            self.take_faults();
            let upto = out
                .batches
                .last()
                .map_or(out.resume, |batch| batch.end().max(out.resume));
            self.judge_read(at, upto, &out.batches)?;
            if upto <= at {
                return violated(Rule::Alive, format!("reading gets no further than {at}"));
            }
            count += out.batches.len();
            at = upto;
        }
        Ok((count, at, false))
    }
    /// Moves a cursor over something that its reader has read.
    fn advance(&mut self) {
        let name = self.any_cursor();
        let cursor = &self.cursors[name];
        let far = cursor.read_to.since(cursor.at);
        let to = if self.chance.permille(600) {
            far
        } else {
            self.chance.below(far + 1)
        };
        let cursor = self.cursors.get_mut(name).expect("known");
        cursor.at = cursor.at.plus(to);
        let at = cursor.at;
        self.note(|| format!("cursor {name} moves to {at}"));
    }

    fn sync_round(&mut self) -> Judged<()> {
        let positions: Vec<_> = self.cursors.iter().map(|(name, cursor)| (*name, cursor.at)).collect();
        for (name, at) in &positions {
            if self.store().write_cursor(name, *at).is_err() {
                self.in_trouble = true;
                return Ok(());
            }
        }
        let files = SimulatedFiles(self.disk.clone());
        let work = self.store().begin_sync(true);
        let appended: Vec<Position> = self.known.keys().copied().collect();
        let synced = if self.plant == Plant::SyncNotDone {
            Synced::pretended(work)
        } else {
            work.run(&files, &self.settings.dir)
        };
        if self.chance.permille(300) {
            self.append()?;
        }
        let outcome = self.store().end_sync(synced);
        self.note(|| format!("sync with cursors {positions:?}: {outcome:?}"));
        self.take_faults();
        if outcome.is_ok() && !self.disk.is_dead() {
            let in_doubt = self.in_doubt();
            for position in appended {
                if let Some(known) = self.known.get_mut(&position) {
                    let doubtful = in_doubt
                        .iter()
                        .any(|(from, to)| *from < known.batch.end() && position < *to);
                    known.durable |= !doubtful;
                }
            }
            for (name, at) in positions {
                self.cursors.get_mut(name).expect("known").durable = at;
            }
        } else {
            self.in_trouble = true;
        }
        let in_need = self.chance.permille(500);
        self.trim(in_need)
    }

    /// What failed syncs have left in doubt, for good.
    fn in_doubt(&self) -> Vec<(Position, Position)> {
        let ranges = self.disk.forgotten().into_iter().filter_map(|(path, from, to)| {
            match FileName::of(path.file_name()?.to_str()?) {
                FileName::Segment { base, .. } => Some((base.plus(from), base.plus(to))),
                FileName::Cursor(_) | FileName::Foreign => None,
            }
        });
        ranges.collect()
    }

    fn trim(&mut self, in_need: bool) -> Judged<()> {
        let files = SimulatedFiles(self.disk.clone());
        let extents: Vec<_> = self.store().extents().collect();
        if self.plant == Plant::DamageForgotten {
            for segment in &mut self.store().segments {
                segment.damaged = false;
            }
        }
        let overlooked = if self.plant == Plant::CursorNotAsked {
            self.store().cursors.pop_first()
        } else {
            None
        };
        let passed = self.store().take_passed(in_need);
        self.store().cursors.extend(overlooked);
        self.note(|| format!("trim, in need: {in_need}: {} segments", passed.len()));
        self.disk.take_removals();
        let removals = Passed::remove(passed, &files);
        for removal in self.disk.take_removals() {
            let FileName::Segment { base, damaged } = FileName::of(&removal.name) else {
                continue;
            };
            // One that could not be removed before is not among the extents.
            let Some((_, end)) = extents.iter().find(|(begin, _)| *begin == base) else {
                continue;
            };
            let inside = self.known.range(base..*end).map(|(_, known)| known);
            for known in inside {
                if known.batch.end() > removal.durably_passed {
                    return violated(
                        Rule::UnlinkedTooEarly,
                        format!(
                            "{} is unlinked, with {:?} in it, and cursors at {}",
                            removal.name, known.batch, removal.durably_passed
                        ),
                    );
                }
                if known.noticed && known.rotten {
                    return violated(Rule::SetAside, format!("{} has damage, and is unlinked", removal.name));
                }
            }
            if damaged && self.plant != Plant::DamageForgotten {
                return violated(Rule::SetAside, format!("{} is unlinked", removal.name));
            }
        }
        let (freed, _) = self.store().removed(removals);
        self.freed += freed.stream;
        self.take_faults();
        Ok(())
    }

    fn take_faults(&mut self) {
        let faults = self.store().take_faults();
        if !faults.is_empty() {
            self.note(|| format!("faults: {faults:?}"));
        }
        self.faults.extend(faults);
    }

    fn any_cursor(&mut self) -> &'static str {
        let nth = self.chance.below(self.cursors.len() as u64) as usize;
        self.cursors.keys().nth(nth).expect("at least the default one")
    }

    /// The disk works again: all must come out, and all room be given back.
    fn finish(&mut self) -> Judged<()> {
        self.disk.set_rate(0);
        self.disk.spare();
        self.append()?;
        for _ in 0..3 {
            if !self.queue.is_empty() {
                self.append()?;
            }
        }
        if self.in_trouble || !self.queue.is_empty() {
            return violated(Rule::Alive, "a good disk takes nothing");
        }
        let names: Vec<_> = self.cursors.keys().copied().collect();
        let slowest = self.cursors.values().map(|cursor| cursor.at).min().unwrap_or_default();
        let (_, to, complete) = self.read_from(slowest, u64::MAX)?;
        if !complete {
            return violated(Rule::Alive, format!("reading ends at {to}"));
        }
        self.judge_reports(slowest)?;
        for name in names {
            self.cursors.get_mut(name).expect("known").at = to.max(self.used_to);
        }
        for _ in 0..3 {
            self.sync_round_in_need()?;
        }
        if self.freed != self.charged {
            return violated(
                Rule::Room,
                format!("{} of {} bytes are given back", self.freed, self.charged),
            );
        }
        Ok(())
    }

    fn sync_round_in_need(&mut self) -> Judged<()> {
        let files = SimulatedFiles(self.disk.clone());
        let positions: Vec<_> = self.cursors.iter().map(|(name, cursor)| (*name, cursor.at)).collect();
        for (name, at) in positions {
            let written = self.store().write_cursor(name, at);
            if written.is_err() {
                return violated(Rule::Alive, format!("{written:?}"));
            }
        }
        let synced = self.store().begin_sync(true).run(&files, &self.settings.dir);
        if let Err(trouble) = self.store().end_sync(synced) {
            return violated(Rule::Alive, trouble);
        }
        self.trim(true)
    }
}
