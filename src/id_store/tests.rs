//! The files of ids: what comes back, what is cut, and what arbitrary bytes do. Histories are in `history_tests`.

use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::journal::DEFAULT_CURSOR;

const MINUTE: u64 = 60_000;
const LIMITS: Limits = Limits {
    window_ms: 15 * MINUTE,
    max_ids: 100,
};
const BEYOND_ALL: Position = Position(u64::MAX);

fn entry(position: u64, received_ms: u64) -> Entry {
    Entry {
        id: (position, !position),
        hash: position ^ 0x5555,
        position,
        received_ms,
    }
}

fn entries(positions: std::ops::Range<u64>) -> Vec<Entry> {
    positions.map(|position| entry(position, 1000)).collect()
}

fn open(dir: &TempDir, cursor: Position) -> (IdStore, Found, Vec<Entry>) {
    let mut given = Vec::new();
    let (store, found) = IdStore::open(dir.path(), "web", DEFAULT_CURSOR, LIMITS, cursor, |entry| {
        given.push(entry);
    })
    .unwrap();
    assert_eq!(found.kept, given.len() as u64);
    (store, found, given)
}

fn path(dir: &TempDir, file: &str) -> PathBuf {
    dir.path().join("dedup/web").join(file)
}

fn size(dir: &TempDir, file: &str) -> usize {
    fs::metadata(path(dir, file)).map_or(0, |found| found.len() as usize)
}

/// A stream's ids of one output, of these positions.
fn keep(dir: &TempDir, stream: &str, output: &str, positions: std::ops::Range<u64>) {
    let (mut store, _) = IdStore::open(dir.path(), stream, output, LIMITS, BEYOND_ALL, |_| {}).unwrap();
    store.append(&entries(positions)).unwrap();
}

fn kept(dir: &TempDir, stream: &str, output: &str) -> Vec<u64> {
    let mut given = Vec::new();
    let remember = |entry: Entry| given.push(entry.position);
    IdStore::open(dir.path(), stream, output, LIMITS, BEYOND_ALL, remember).unwrap();
    given
}

#[test]
fn each_output_has_ids_of_its_own_and_those_of_one_that_is_gone_are_forgotten() {
    let dir = scratch();
    let cursors = dir.path().join("journal/web");
    fs::create_dir_all(&cursors).unwrap();
    let all = [
        ("web", DEFAULT_CURSOR),
        ("web", "sold"),
        ("web", "bots"),
        ("we", "sold"),
        ("web-2", "sold"),
    ];
    for (nth, (stream, output)) in (0_u64..).zip(all) {
        keep(&dir, stream, output, nth..nth + 1);
        fs::write(cursors.join(format!("cursor.{output}")), "").unwrap();
    }
    for (nth, (stream, output)) in (0_u64..).zip(all) {
        assert_eq!(kept(&dir, stream, output), [nth], "{stream} {output}");
    }
    assert!(dir.path().join("dedup/web.sold/ids.current").exists());
    forget_others(dir.path(), "web", &["sold", "new"]).unwrap();
    let left = all.map(|(stream, output)| kept(&dir, stream, output));
    assert_eq!(left, [vec![0], vec![1], vec![], vec![3], vec![4]]);
    // One that is wanted, and begins anew.
    fs::remove_file(cursors.join("cursor.sold")).unwrap();
    forget_others(dir.path(), "web", &["sold"]).unwrap();
    assert_eq!(kept(&dir, "web", "sold"), [0; 0]);
    assert_eq!(kept(&dir, "web", DEFAULT_CURSOR), [0]);
    // Nothing there at all.
    forget_others(scratch().path(), "web", &[]).unwrap();
}

#[test]
fn ids_of_any_output_that_are_too_new_are_found_and_stay() {
    let dir = scratch();
    for output in ["sold", "bots"] {
        keep(&dir, "web", output, 0..1);
    }
    assert_eq!(newer(dir.path(), "web"), None);
    let file = dir.path().join("dedup/web.bots/ids.current");
    fs::write(&file, layout::header_of_version(9)).unwrap();
    assert_eq!(newer(dir.path(), "web").map(|newer| newer.file), Some(file.clone()));
    assert_eq!(newer(dir.path(), "we"), None);
    forget_others(dir.path(), "web", &[]).unwrap_err();
    assert!(file.exists() && !dir.path().join("dedup/web.sold").exists());
}

#[test]
fn what_was_appended_comes_back_in_order() {
    let dir = scratch();
    let (mut store, found, given) = open(&dir, BEYOND_ALL);
    assert_eq!((found, given), (Found::default(), vec![]));
    store.append(&entries(0..10)).unwrap();
    store.append(&[]).unwrap();
    store.append(&entries(10..20)).unwrap();
    drop(store);
    let (mut store, found, given) = open(&dir, BEYOND_ALL);
    assert_eq!(given, entries(0..20));
    assert_eq!(
        found,
        Found {
            kept: 20,
            ..Found::default()
        }
    );
    store.append(&entries(20..30)).unwrap();
    drop(store);
    assert_eq!(open(&dir, BEYOND_ALL).2, entries(0..30));
}

#[test]
fn entries_at_or_past_the_cursor_are_gone_for_good() {
    let dir = scratch();
    open(&dir, BEYOND_ALL).0.append(&entries(0..80)).unwrap();
    let (mut store, found, given) = open(&dir, Position(30));
    assert_eq!(given, entries(0..30));
    assert_eq!((found.not_delivered, found.damaged, found.torn_bytes), (50, 0, 0));
    // Position 40 is used for another record now.
    let other = Entry {
        id: (1, 2),
        ..entry(40, 2000)
    };
    store.append(&[other]).unwrap();
    drop(store);
    let (_, found, given) = open(&dir, BEYOND_ALL);
    assert_eq!(given, [entries(0..30), vec![other]].concat());
    assert_eq!(found.not_delivered, 0);
    assert_eq!(open(&dir, Position(0)).2, vec![], "a journal that was begun anew");
    assert_eq!(open(&dir, BEYOND_ALL).2, vec![]);
}

#[test]
fn two_files_take_turns_by_count_and_stay_bounded() {
    let dir = scratch();
    let (mut store, ..) = open(&dir, BEYOND_ALL);
    store.append(&entries(0..1000)).unwrap();
    for position in 1000..1210 {
        store.append(&entries(position..position + 1)).unwrap();
    }
    assert_eq!(size(&dir, PREVIOUS), 51 * PIECE_BYTES);
    assert_eq!(size(&dir, CURRENT), 11 * PIECE_BYTES);
    assert_eq!(fs::read_dir(dir.path().join("dedup/web")).unwrap().count(), 2);
    drop(store);
    let (mut store, _, given) = open(&dir, BEYOND_ALL);
    assert_eq!(given, entries(1150..1210));
    store.append(&entries(1210..1250)).unwrap();
    assert_eq!(
        (size(&dir, PREVIOUS), size(&dir, CURRENT)),
        (51 * PIECE_BYTES, 51 * PIECE_BYTES)
    );
}

#[test]
fn two_files_take_turns_by_time() {
    let dir = scratch();
    let (mut store, ..) = open(&dir, BEYOND_ALL);
    for minute in 0..14 {
        store.append(&[entry(minute, minute * MINUTE)]).unwrap();
    }
    drop(store);
    let (mut store, ..) = open(&dir, BEYOND_ALL);
    store.append(&[entry(15, 15 * MINUTE)]).unwrap();
    assert_eq!(
        (size(&dir, PREVIOUS), size(&dir, CURRENT)),
        (15 * PIECE_BYTES, 2 * PIECE_BYTES)
    );
}

#[test]
fn what_is_older_than_the_window_is_dropped_at_a_start() {
    let dir = scratch();
    let (mut store, ..) = open(&dir, BEYOND_ALL);
    for minute in 0..25 {
        store.append(&[entry(minute, minute * MINUTE)]).unwrap();
    }
    let (_, found, given) = open(&dir, BEYOND_ALL);
    assert_eq!((found.too_old, found.kept), (9, 16));
    assert_eq!(given.first(), Some(&entry(9, 9 * MINUTE)));
    assert_eq!(
        open(&dir, BEYOND_ALL).1,
        Found {
            kept: 16,
            ..Found::default()
        }
    );
}

#[test]
fn a_torn_tail_is_cut() {
    for torn in 1..PIECE_BYTES {
        let dir = scratch();
        open(&dir, BEYOND_ALL).0.append(&entries(0..10)).unwrap();
        let file = OpenOptions::new().write(true).open(path(&dir, CURRENT)).unwrap();
        file.set_len((10 * PIECE_BYTES + torn) as u64).unwrap();
        let (mut store, found, given) = open(&dir, BEYOND_ALL);
        assert_eq!((given, found.torn_bytes), (entries(0..9), torn as u64));
        store.append(&entries(9..11)).unwrap();
        let (_, found, given) = open(&dir, BEYOND_ALL);
        assert_eq!((given, found.torn_bytes, found.damaged), (entries(0..11), 0, 0));
    }
}

#[test]
fn a_damaged_entry_costs_itself_alone() {
    let dir = scratch();
    open(&dir, BEYOND_ALL).0.append(&entries(0..40)).unwrap();
    let file = OpenOptions::new().write(true).open(path(&dir, CURRENT)).unwrap();
    for damaged in [3, 17] {
        file.write_all_at(b"?", ((1 + damaged) * PIECE_BYTES + 20) as u64)
            .unwrap();
    }
    let expected: Vec<Entry> = entries(0..40)
        .into_iter()
        .filter(|entry| ![3, 17].contains(&entry.position))
        .collect();
    let (_, found, given) = open(&dir, BEYOND_ALL);
    assert_eq!((given, found.damaged), (expected, 2));
    assert_eq!(
        open(&dir, BEYOND_ALL).1,
        Found {
            kept: 38,
            ..Found::default()
        }
    );
}

#[test]
fn a_file_of_a_newer_version_is_refused_and_neither_it_nor_the_other_is_touched() {
    for name in [CURRENT, PREVIOUS] {
        let dir = scratch();
        open(&dir, BEYOND_ALL).0.append(&entries(0..70)).unwrap();
        assert_eq!(newer(dir.path(), "web"), None);
        let file = OpenOptions::new().write(true).open(path(&dir, name)).unwrap();
        file.write_all_at(&layout::header_of_version(9), 0).unwrap();
        let bytes = || [CURRENT, PREVIOUS].map(|name| fs::read(path(&dir, name)).unwrap());
        let before = bytes();
        let found = newer(dir.path(), "web").unwrap();
        assert_eq!((&found.file, found.found, found.known), (&path(&dir, name), 9, VERSION));
        // At a cursor at which nothing of either file would stay.
        let opened = IdStore::open(dir.path(), "web", DEFAULT_CURSOR, LIMITS, Position(0), |_| {
            panic!("nothing is given out")
        });
        let refused = opened.unwrap_err().to_string();
        assert!(refused.contains(name) && refused.contains("version 9"), "{refused}");
        forget(dir.path(), "web", DEFAULT_CURSOR).unwrap_err();
        assert_eq!(bytes(), before);
    }
}

#[test]
fn a_damaged_version_is_damage_and_no_newer_version() {
    let dir = scratch();
    open(&dir, BEYOND_ALL).0.append(&entries(0..70)).unwrap();
    let file = OpenOptions::new().write(true).open(path(&dir, CURRENT)).unwrap();
    file.write_all_at(&[9], 8).unwrap();
    assert_eq!(newer(dir.path(), "web"), None);
    let (mut store, found, given) = open(&dir, BEYOND_ALL);
    assert_eq!((given, found.damaged), (entries(0..50), 1));
    store.append(&entries(70..71)).unwrap();
    assert_eq!(open(&dir, BEYOND_ALL).2, [entries(0..50), entries(70..71)].concat());
}

#[test]
fn an_append_that_failed_half_way_harms_no_later_one() {
    let dir = scratch();
    let (mut store, ..) = open(&dir, BEYOND_ALL);
    store.append(&entries(0..5)).unwrap();
    let writable = Arc::clone(&store.current.file);
    store.current.file = Arc::new(File::open(path(&dir, CURRENT)).unwrap());
    let error = store.append(&entries(5..9)).unwrap_err().to_string();
    assert!(
        error.contains("dedup/web/ids.current") && error.contains("after a restart"),
        "{error}"
    );
    writable.write_all_at(&[7; 100], (6 * PIECE_BYTES) as u64).unwrap();
    store.current.file = writable;
    store.append(&entries(9..12)).unwrap();
    assert_eq!(open(&dir, BEYOND_ALL).2, [entries(0..5), entries(9..12)].concat());
}

#[test]
fn a_turn_that_failed_is_tried_again_and_the_files_stay_bounded() {
    let dir = scratch();
    let (mut store, ..) = open(&dir, BEYOND_ALL);
    store.append(&entries(0..50)).unwrap();
    // A directory cannot be replaced by a file.
    fs::create_dir(path(&dir, PREVIOUS)).unwrap();
    for _ in 0..3 {
        store.append(&entries(50..60)).unwrap_err();
    }
    assert_eq!(size(&dir, CURRENT), 51 * PIECE_BYTES);
    fs::remove_dir(path(&dir, PREVIOUS)).unwrap();
    store.append(&entries(60..70)).unwrap();
    assert_eq!(open(&dir, BEYOND_ALL).2, [entries(0..50), entries(60..70)].concat());
    // The current file is away, as after a turn that broke off between its two steps.
    let (mut store, ..) = open(&dir, BEYOND_ALL);
    store.append(&entries(70..110)).unwrap();
    fs::rename(path(&dir, CURRENT), path(&dir, PREVIOUS)).unwrap();
    store.append(&entries(110..111)).unwrap();
    assert_eq!(open(&dir, BEYOND_ALL).2, [entries(60..110), entries(110..111)].concat());
}

#[test]
fn a_sync_covers_every_file_that_was_written_since_the_last() {
    let dir = scratch();
    let (mut store, ..) = open(&dir, BEYOND_ALL);
    let syncer = store.syncer();
    store.append(&entries(0..70)).unwrap();
    {
        let pending = store.unsynced.lock();
        assert_eq!((pending.files.len(), pending.dir), (2, true));
    }
    syncer.sync().unwrap();
    assert_eq!(store.unsynced.lock().files.len(), 0);
    store.append(&entries(70..71)).unwrap();
    assert_eq!(store.unsynced.lock().files.len(), 1);
    std::thread::spawn(move || syncer.clone().sync())
        .join()
        .unwrap()
        .unwrap();
    let pending = store.unsynced.lock();
    assert_eq!((pending.files.len(), pending.dir), (0, false));
}

#[test]
fn files_are_for_this_user_alone_and_can_be_forgotten() {
    let dir = scratch();
    forget(dir.path(), "web", DEFAULT_CURSOR).unwrap();
    open(&dir, BEYOND_ALL).0.append(&entries(0..70)).unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(path(&dir, CURRENT)), 0o600);
    assert_eq!(mode(path(&dir, PREVIOUS)), 0o600);
    assert_eq!(mode(dir.path().join("dedup/web")), 0o700);
    assert_eq!(mode(dir.path().join("dedup")), 0o700);
    forget(dir.path(), "web", DEFAULT_CURSOR).unwrap();
    assert!(!dir.path().join("dedup/web").exists());
    assert_eq!(open(&dir, BEYOND_ALL).2, vec![]);
}

#[test]
fn a_file_larger_than_a_chunk_is_read_and_cut_whole() {
    let dir = scratch();
    let limits = Limits {
        max_ids: 20_000,
        ..LIMITS
    };
    let (mut store, _) = IdStore::open(dir.path(), "web", DEFAULT_CURSOR, limits, BEYOND_ALL, |_| {}).unwrap();
    let all: Vec<Entry> = (0..5000_u64).map(|n| entry(n * 7919 % 5000, 1000)).collect();
    store.append(&all).unwrap();
    for cursor in [4000, 2500, 1] {
        let mut given = Vec::new();
        IdStore::open(dir.path(), "web", DEFAULT_CURSOR, limits, Position(cursor), |entry| {
            given.push(entry);
        })
        .unwrap();
        let expected: Vec<Entry> = all.iter().copied().filter(|entry| entry.position < cursor).collect();
        assert_eq!(given, expected);
        assert_eq!(size(&dir, CURRENT), (1 + expected.len()) * PIECE_BYTES);
    }
}

/// In memory where there is such a place: a sync is then no matter of milliseconds.
fn scratch() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// Bytes of a file: nothing like one, or one with damage.
fn file_bytes() -> impl Strategy<Value = Vec<u8>> {
    let arbitrary = prop::collection::vec(any::<u8>(), 0..300);
    let entry =
        (any::<(u64, u64)>(), any::<u64>(), 0..100_u64, 0..40_u64).prop_map(|(id, hash, position, minute)| Entry {
            id,
            hash,
            position,
            received_ms: minute * MINUTE,
        });
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let whole = (
        prop::collection::vec(entry, 0..40),
        damage,
        prop::collection::vec(any::<u8>(), 0..100),
        any::<prop::sample::Index>(),
    );
    let damaged = whole.prop_map(|(entries, damage, rest, length)| {
        let mut bytes = [header().to_vec(), entries.iter().flat_map(encode).collect(), rest].concat();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if length.index(4) == 0 {
            bytes.truncate(length.index(bytes.len()));
        }
        bytes
    });
    prop_oneof![1 => arbitrary, 5 => damaged]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_bytes_only_whole_entries_before_the_cursor_come_back_and_the_files_are_good_again(
        current in prop::option::of(file_bytes()), previous in prop::option::of(file_bytes()), cursor in 0..120_u64,
    ) {
        let dir = scratch();
        fs::create_dir_all(dir.path().join("dedup/web")).unwrap();
        let mut written = Vec::new();
        for (name, bytes) in [(PREVIOUS, previous), (CURRENT, current)] {
            if let Some(bytes) = bytes {
                fs::write(path(&dir, name), &bytes).unwrap();
                written.extend(bytes.as_chunks::<PIECE_BYTES>().0.iter().filter_map(layout::decode));
            }
        }
        let (store, found, given) = open(&dir, Position(cursor));
        for entry in &given {
            prop_assert!(entry.position < cursor && written.contains(entry));
        }
        if found.damaged == 0 {
            // Headers read as entries too, in `written`.
            prop_assert!(written.len() as u64 <= found.kept + found.not_delivered + found.too_old + 2);
        }
        drop(store);
        // The last entry says what is too old, and it may be another one now.
        let (mut store, again, same) = open(&dir, BEYOND_ALL);
        prop_assert_eq!(again, Found { kept: same.len() as u64, too_old: (given.len() - same.len()) as u64, ..Found::default() });
        prop_assert!(same.iter().all(|entry| given.contains(entry)));
        let new = entry(1000, 40 * MINUTE);
        store.append(&[new]).unwrap();
        let last = open(&dir, BEYOND_ALL).2.last().copied();
        prop_assert_eq!(last, Some(new));
    }
}
