//! One history: a store on a disk that fails, is killed and loses power, and a judge who knows all that was appended.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
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
}

/// What must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What was appended is there after a kill, and what was durable after a power loss.
    Lost,
    /// What is read was appended, and so.
    Changed,
    /// Batches are read in order.
    Order,
    /// A position means one thing, for good.
    PositionTwice,
    /// A segment goes only when every cursor is durably past it.
    UnlinkedTooEarly,
    /// A segment with damage is set aside.
    SetAside,
    /// What is missing was reported.
    Reported,
    /// A cursor stands where it was last noted.
    Cursor,
    /// When the disk works again, so does the journal.
    Alive,
    /// All room is given back in the end.
    Room,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

type Judged<T> = Result<T, Violation>;

fn violated<T>(rule: Rule, what: impl fmt::Display) -> Judged<T> {
    Err(Violation {
        rule,
        what: what.to_string(),
    })
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
    cursors: BTreeMap<&'static str, CursorTruth>,
    faults: Vec<Fault>,
    charged: u64,
    freed: u64,
    pub trace: Option<Vec<String>>,
}

const CURSORS: [&str; 2] = [DEFAULT_CURSOR, "audit"];

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
        let cursors = 1 + chance.below(2) as usize;
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
            cursors: CURSORS
                .iter()
                .take(cursors)
                .map(|name| (*name, CursorTruth::default()))
                .collect(),
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
            match self.chance.below(20) {
                0..=6 => self.append()?,
                7..=9 => self.read()?,
                10..=12 => self.advance(),
                13..=16 => self.sync_round()?,
                17 => self.crash(FaultKind::Killed)?,
                18 => self.crash(FaultKind::PowerLost)?,
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
            count += out.batches.len();
            at = upto;
        }
        Ok((count, at, false))
    }

    fn judge_read(&mut self, from: Position, to: Position, found: &[Arc<Batch>]) -> Judged<()> {
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
        let passed = self.store().take_passed(in_need);
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
        CURSORS[self.chance.below(self.cursors.len() as u64) as usize]
    }

    // --- what the world does

    /// The medium fails: a bit here, a file there.
    fn rot(&mut self) {
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

    fn next_base_after(&self, base: Position) -> Position {
        let files = self.disk.files();
        let bases = files
            .iter()
            .filter_map(|(path, _)| match FileName::of(path.file_name()?.to_str()?) {
                FileName::Segment { base: other, .. } if other > base => Some(other),
                FileName::Segment { .. } | FileName::Cursor(_) | FileName::Foreign => None,
            });
        bases.min().unwrap_or(Position(u64::MAX))
    }

    fn crash(&mut self, kind: FaultKind) -> Judged<()> {
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
    fn start(&mut self, after: Option<FaultKind>) -> Judged<()> {
        let mut after = after;
        let tries = self.chance.below(4);
        let mut round = 0;
        let mut store = loop {
            self.disk.set_rate(if round < tries { self.rate } else { 0 });
            let opened = Store::open(Arc::new(SimulatedFiles(self.disk.clone())), self.settings.clone());
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
        self.faults.extend(store.take_faults());
        let (end, cursors, passed) = (store.end(), store.cursors(), store.durably_passed());
        let extents: Vec<_> = store.extents().collect();
        self.note(|| format!("open: {extents:?}, end {end}, cursors {cursors:?}"));
        self.store = Some(store);
        if let Some(after) = after {
            self.judge_cursors(after, &cursors)?;
            self.judge_survivors(after, passed)?;
        }
        for cursor in self.cursors.values_mut() {
            cursor.read_to = cursor.at;
        }
        self.disk.set_rate(self.rate);
        Ok(())
    }

    fn judge_cursors(&mut self, after: FaultKind, found: &BTreeMap<String, Position>) -> Judged<()> {
        let Self { cursors, .. } = self;
        for (name, cursor) in cursors {
            let at = found.get(*name).copied().unwrap_or_default();
            if at < cursor.durable || at > cursor.at {
                let (from, to) = (cursor.durable, cursor.at);
                return violated(
                    Rule::Cursor,
                    format!("{name} stands at {at} after {after:?}, and not from {from} to {to}"),
                );
            }
            cursor.at = at;
            cursor.durable = at;
        }
        Ok(())
    }

    fn judge_survivors(&mut self, after: FaultKind, passed: Position) -> Judged<()> {
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
        self.used_to = last.max(cursors);
        Ok(())
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

    fn judge_reports(&self, from: Position) -> Judged<()> {
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
    fn is_reported(&self, position: Position) -> bool {
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
                Fault::SetAside { .. } | Fault::CursorUnreadable { .. } | Fault::NotSynced { .. } => false,
            })
    }
}
