//! Window and files together through random histories of one stream: repeats, twins, rewinds, kills, power losses. What must hold is
//! judged from the outside: no record is passed by the cursor unless Kafka has one just like it.
//!
//! The journal, Kafka and the disk are played here, each as unkind as it may be: a power loss takes any part of what was not synced,
//! positions that were lost are used again, reports get lost with their process, upstream repeats what it likes.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::dedup::{Verdict, Window, hash};
use crate::journal::DEFAULT_CURSOR;

const HISTORIES: u64 = 20_000;

/// Ids and kind of bytes: what makes two records the same.
type Content = (u64, u8);

#[derive(Clone, Copy, Debug)]
struct Record {
    content: Content,
    position: u64,
    end: u64,
    received_ms: u64,
}

/// What may be wrong with the daemon under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// The cursor moves when a record is produced, and not when its delivery is reported.
    CursorAtEnqueue,
    /// Whatever was seen is a duplicate when it is seen again.
    PositionIgnored,
    /// Entries past the cursor are given out at a start.
    CursorIgnored,
    /// Entries past the cursor are not given out, and stay on disk.
    CutInMemoryOnly,
    /// The same ids are the same hit.
    HashIgnored,
}

/// What happened, over all histories.
#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    duplicates: u32,
    duplicates_of_records_in_flight: u32,
    duplicates_across_restarts: u32,
    twins: u32,
    rewinds: u32,
    kills: u32,
    power_losses: u32,
    records_lost: u32,
    positions_used_again: u32,
    entries_cut: u32,
    entries_damaged: u32,
    appends_failed: u32,
}

#[test]
fn in_no_history_does_the_cursor_pass_a_hit_that_kafka_does_not_have() {
    let mut seen = Seen::default();
    for seed in 0..HISTORIES {
        if let Err(wrong) = history(seed, Fault::None, &mut seen) {
            panic!("history {seed}: {wrong}");
        }
    }
    let counts = [
        seen.duplicates,
        seen.duplicates_of_records_in_flight,
        seen.duplicates_across_restarts,
        seen.twins,
        seen.rewinds,
        seen.kills,
        seen.power_losses,
        seen.records_lost,
        seen.positions_used_again,
        seen.entries_cut,
        seen.entries_damaged,
        seen.appends_failed,
    ];
    assert!(counts.iter().all(|count| *count >= 100), "{seen:?}");
}

#[test]
fn planted_faults_are_found() {
    for fault in [
        Fault::CursorAtEnqueue,
        Fault::PositionIgnored,
        Fault::CursorIgnored,
        Fault::CutInMemoryOnly,
        Fault::HashIgnored,
    ] {
        let found = (0..HISTORIES).find_map(|seed| history(seed, fault, &mut Seen::default()).err());
        let wrong = found.unwrap_or_else(|| panic!("{fault:?} was not found"));
        assert!(wrong.contains("kafka has none like it"), "{fault:?}: {wrong}");
    }
}

fn history(number: u64, fault: Fault, seen: &mut Seen) -> Result<(), String> {
    let mut world = World::new(number, fault, seen);
    for _ in 0..120 {
        match world.random.below(20) {
            0..6 => world.append(),
            6..11 => world.produce()?,
            11..14 => world.deliver()?,
            14 => world.note(),
            15 => world.sync(),
            16 => world.rewind(),
            17 => world.kill(),
            18 => world.lose_power(),
            _ => world.now_ms += world.random.below(300),
        }
        world.judge_the_cursor()?;
    }
    Ok(())
}

struct World<'s> {
    random: Random,
    fault: Fault,
    seen: &'s mut Seen,
    dir: TempDir,
    now_ms: u64,
    limits: Limits,
    /// Entries go to the store when their records are produced, and not just before the cursor passes them.
    eager: bool,

    // Upstream and the disk.
    sent: Vec<Content>,
    journal: Vec<Record>,
    end: u64,
    /// Where the cursor stands in memory, and on disk as long as the power stays.
    cursor: u64,
    noted: u64,
    synced: Synced,

    // Kafka.
    delivered: BTreeSet<Content>,
    /// What the cursor has passed, and nothing has happened since that may make the daemon forget.
    unforgettable: BTreeMap<Content, u64>,
    may_forget: bool,
    lost: BTreeSet<u64>,
    /// Up to where everything was found delivered.
    judged_to: u64,

    // The daemon.
    window: Window,
    store: IdStore,
    at: u64,
    in_flight: VecDeque<(Record, bool)>,
    not_passed: Vec<Entry>,
    /// What the cursor has passed in memory, on its way to disk.
    queue: Vec<Entry>,
    ever_seen: BTreeSet<(u64, u64)>,
    started_at: u64,
}

/// What a power loss spares.
#[derive(Default)]
struct Synced {
    records: usize,
    cursor: u64,
    files: BTreeMap<&'static str, u64>,
}

impl<'s> World<'s> {
    fn new(number: u64, fault: Fault, seen: &'s mut Seen) -> Self {
        let mut random = Random(number);
        // In memory where there is such a place: a sync is then no matter of milliseconds.
        let dir = TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap();
        let limits = if random.one_in(2) {
            Limits {
                window_ms: 1 + random.below(2000),
                max_ids: 2 + random.below(20) as usize,
            }
        } else {
            ROOMY
        };
        let (store, _) = IdStore::open(dir.path(), "web", DEFAULT_CURSOR, limits, Position(0), |_| {}).unwrap();
        Self {
            fault,
            seen,
            dir,
            now_ms: 1_000_000,
            limits,
            eager: random.one_in(2),
            sent: Vec::new(),
            journal: Vec::new(),
            end: 0,
            cursor: 0,
            noted: 0,
            synced: Synced::default(),
            delivered: BTreeSet::new(),
            unforgettable: BTreeMap::new(),
            may_forget: limits != ROOMY,
            lost: BTreeSet::new(),
            judged_to: 0,
            window: Window::new(limits),
            store,
            at: 0,
            in_flight: VecDeque::new(),
            not_passed: Vec::new(),
            queue: Vec::new(),
            ever_seen: BTreeSet::new(),
            started_at: 0,
            random,
        }
    }

    /// Upstream sends some hits, new ones and old ones.
    fn append(&mut self) {
        for _ in 0..=self.random.below(6) {
            let content = if !self.sent.is_empty() && self.random.one_in(2) {
                self.sent[self.random.index(self.sent.len())]
            } else {
                (self.random.below(30), self.random.below(3) as u8)
            };
            self.sent.push(content);
            let position = self.end;
            self.seen.positions_used_again += u32::from(self.lost.remove(&position));
            // Few sizes, so that positions that are used again are used for the beginning of a record.
            self.end += 10;
            self.now_ms += self.random.below(20);
            self.journal.push(Record {
                content,
                position,
                end: self.end,
                received_ms: self.now_ms,
            });
        }
    }

    fn produce(&mut self) -> Result<(), String> {
        for _ in 0..self.random.below(12) {
            let next = self.journal.partition_point(|record| record.position < self.at);
            let Some(record) = self.journal.get(next).copied() else {
                break;
            };
            self.at = record.end;
            let verdict = self.judge(record)?;
            let sent = match verdict {
                Verdict::Duplicate { .. } => false,
                Verdict::First | Verdict::Twin => true,
            };
            if sent {
                self.not_passed.push(self.entry(record));
                if self.eager {
                    self.queue_up_to(u64::MAX);
                    self.store_queue();
                }
            }
            self.in_flight.push_back((record, sent));
            if self.fault == Fault::CursorAtEnqueue {
                self.cursor = self.at;
            }
        }
        Ok(())
    }

    fn judge(&mut self, record: Record) -> Result<Verdict, String> {
        let entry = self.entry(record);
        let mut verdict = self.window.judge(entry);
        if self.fault == Fault::PositionIgnored && !self.ever_seen.insert((entry.id.1, entry.hash)) {
            verdict = Verdict::Duplicate { of: record.position };
        }
        match verdict {
            Verdict::Duplicate { of } => {
                self.seen.duplicates += 1;
                self.seen.duplicates_of_records_in_flight += u32::from(of >= self.cursor);
                self.seen.duplicates_across_restarts += u32::from(of < self.started_at);
                if self.fault == Fault::None && of >= record.position {
                    return Err(format!("{record:?} is called a duplicate of what is not before it"));
                }
            }
            Verdict::First | Verdict::Twin => {
                self.seen.twins += u32::from(verdict == Verdict::Twin);
                if self.fault == Fault::None
                    && let Some(first) = self.unforgettable.get(&record.content)
                    && *first < record.position
                {
                    return Err(format!("{record:?} was at {first} already, and that was forgotten"));
                }
            }
        }
        Ok(verdict)
    }

    fn deliver(&mut self) -> Result<(), String> {
        let count = self.random.index(self.in_flight.len() + 1);
        let passed: Vec<(Record, bool)> = self.in_flight.drain(..count).collect();
        let Some((last, _)) = passed.last() else { return Ok(()) };
        let cursor = last.end;
        self.queue_up_to(cursor);
        self.cursor = cursor.max(self.cursor);
        for (record, sent) in passed {
            if sent {
                self.delivered.insert(record.content);
            }
            if !self.delivered.contains(&record.content) {
                return Err(format!("the cursor passes {record:?}, and kafka has none like it"));
            }
            if !self.may_forget {
                self.unforgettable.entry(record.content).or_insert(record.position);
            }
        }
        Ok(())
    }

    fn queue_up_to(&mut self, cursor: u64) {
        let (now, later): (Vec<Entry>, _) = self.not_passed.drain(..).partition(|entry| entry.position < cursor);
        self.not_passed = later;
        self.queue.extend(now);
    }

    /// As the journal's syncer does: ids first, then the cursor.
    fn note(&mut self) {
        self.store_queue();
        self.noted = self.cursor;
    }

    fn store_queue(&mut self) {
        let now = std::mem::take(&mut self.queue);
        if self.random.one_in(100) {
            self.seen.appends_failed += 1;
            self.unforgettable.clear();
            self.may_forget = true;
        } else {
            self.store.append(&now).unwrap();
        }
    }

    fn sync(&mut self) {
        self.note();
        self.store.syncer().sync().unwrap();
        self.synced = Synced {
            records: self.journal.len(),
            cursor: self.noted,
            files: [CURRENT, PREVIOUS].map(|file| (file, size(&self.path(file)))).into(),
        };
    }

    /// A report told of a failure. Some of what was in flight is delivered nevertheless.
    fn rewind(&mut self) {
        self.seen.rewinds += 1;
        self.leave_in_flight();
        self.at = self.cursor;
    }

    fn kill(&mut self) {
        self.seen.kills += 1;
        self.leave_in_flight();
        self.cursor = self.noted;
        self.start();
    }

    /// What the cursor has passed is in Kafka, in a copy if not by itself; and what is in flight may still get there.
    fn judge_the_cursor(&mut self) -> Result<(), String> {
        let cursor = self
            .in_flight
            .front()
            .map_or(self.cursor, |(record, _)| record.position);
        self.judged_to = self.judged_to.min(cursor);
        let passed = self
            .journal
            .iter()
            .filter(|record| (self.judged_to..cursor).contains(&record.position));
        for record in passed {
            if !self.delivered.contains(&record.content) {
                return Err(format!("the cursor has passed {record:?}, and kafka has none like it"));
            }
        }
        self.judged_to = cursor;
        Ok(())
    }

    fn lose_power(&mut self) {
        self.seen.power_losses += 1;
        self.leave_in_flight();
        self.unforgettable.clear();
        let survivors = self.synced.records + self.random.index(self.journal.len() - self.synced.records + 1);
        let lost = self.journal.split_off(survivors);
        self.seen.records_lost += lost.len() as u32;
        self.lost.extend(lost.iter().map(|record| record.position));
        // The cursor stands at the end of a record, of one that is lost perhaps.
        self.cursor = self.synced.cursor + self.random.below((self.noted - self.synced.cursor) / 10 + 1) * 10;
        self.noted = self.cursor;
        self.end = self.cursor.max(self.journal.last().map_or(0, |record| record.end));
        for file in [CURRENT, PREVIOUS] {
            let path = self.path(file);
            // Files that took turns since the last sync keep what they have: a name may come late, never bytes that were not there.
            let (all, synced) = (size(&path), self.synced.files.get(file).copied().unwrap_or(0));
            if all > synced {
                let length = synced + self.random.below(all - synced + 1);
                let file = OpenOptions::new().write(true).open(&path).unwrap();
                file.set_len(length).unwrap();
                if self.random.one_in(2) {
                    file.set_len(all).unwrap();
                }
            }
        }
        self.start();
        self.sync();
    }

    fn start(&mut self) {
        self.at = self.cursor;
        self.started_at = self.cursor;
        self.not_passed.clear();
        self.queue.clear();
        self.ever_seen.clear();
        self.window = Window::new(self.limits);
        let remember = |entry: Entry| {
            self.window.judge(entry);
        };
        let open = |dir: &Path, cursor, remember: &mut dyn FnMut(Entry)| {
            IdStore::open(dir, "web", DEFAULT_CURSOR, self.limits, Position(cursor), remember).unwrap()
        };
        let (store, found) = match self.fault {
            Fault::CursorIgnored => open(self.dir.path(), u64::MAX, &mut { remember }),
            Fault::CutInMemoryOnly => {
                let copy = TempDir::new_in(self.dir.path()).unwrap();
                fs::create_dir_all(dir_of(copy.path(), "web", DEFAULT_CURSOR)).unwrap();
                for file in [CURRENT, PREVIOUS] {
                    let (from, to) = (
                        dir_of(self.dir.path(), "web", DEFAULT_CURSOR),
                        dir_of(copy.path(), "web", DEFAULT_CURSOR),
                    );
                    let _ = fs::copy(from.join(file), to.join(file));
                }
                open(copy.path(), self.cursor, &mut { remember });
                open(self.dir.path(), u64::MAX, &mut |_| {})
            }
            Fault::None | Fault::CursorAtEnqueue | Fault::PositionIgnored | Fault::HashIgnored => {
                open(self.dir.path(), self.cursor, &mut { remember })
            }
        };
        self.store = store;
        self.seen.entries_cut += found.not_delivered as u32;
        self.seen.entries_damaged += (found.damaged + found.torn_bytes) as u32;
    }

    fn leave_in_flight(&mut self) {
        for (record, sent) in self.in_flight.drain(..) {
            if sent && self.random.one_in(3) {
                self.delivered.insert(record.content);
            }
        }
        self.not_passed.clear();
    }

    fn entry(&self, record: Record) -> Entry {
        Entry {
            id: (1, record.content.0),
            hash: match self.fault {
                Fault::HashIgnored => 0,
                Fault::None
                | Fault::CursorAtEnqueue
                | Fault::PositionIgnored
                | Fault::CursorIgnored
                | Fault::CutInMemoryOnly => hash(&[record.content.1]),
            },
            position: record.position,
            received_ms: record.received_ms,
        }
    }

    fn path(&self, file: &str) -> PathBuf {
        dir_of(self.dir.path(), "web", DEFAULT_CURSOR).join(file)
    }
}

/// Room for everything: nothing may be forgotten.
const ROOMY: Limits = Limits {
    window_ms: u64::MAX,
    max_ids: 100_000,
};

fn size(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |found| found.len())
}

/// `SplitMix64`.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound.max(1)
    }

    fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}
