//! The window: single facts, and random streams against a plain list.

use proptest::prelude::*;

use super::*;

const MINUTE: u64 = 60_000;
const LIMITS: Limits = Limits {
    window_ms: 15 * MINUTE,
    max_ids: 1000,
};

/// A hit with ids `(7, id)`.
fn entry(id: u64, hash: u64, position: u64, received_ms: u64) -> Entry {
    Entry {
        id: (7, id),
        hash,
        position,
        received_ms,
    }
}

fn window() -> Window {
    Window::new(LIMITS)
}

/// Asks about the hits that are numbered so, each at a position of its own, all received at this time.
fn fill(window: &mut Window, ids: std::ops::Range<u64>, received_ms: u64) {
    for id in ids {
        assert_eq!(window.judge(entry(id, 1, id, received_ms)), Verdict::First);
    }
}

#[test]
fn a_copy_further_on_is_a_duplicate_of_the_first() {
    let mut window = window();
    assert_eq!(window.judge(entry(1, 1, 100, 0)), Verdict::First);
    assert_eq!(window.judge(entry(1, 1, 200, 5)), Verdict::Duplicate { of: 100 });
    assert_eq!(window.judge(entry(1, 1, 300, 9)), Verdict::Duplicate { of: 100 });
    assert_eq!(window.ids(), 1);
}

#[test]
fn each_half_of_the_ids_counts() {
    let mut window = window();
    for (position, id) in [(7, 1), (1, 7), (7, 7), (1, 1)].into_iter().enumerate() {
        let entry = Entry {
            id,
            hash: 1,
            position: position as u64,
            received_ms: 0,
        };
        assert_eq!(window.judge(entry), Verdict::First, "{id:?}");
    }
}

#[test]
fn a_record_is_no_duplicate_of_itself_when_the_stream_is_rewound() {
    let mut window = window();
    for _ in 0..3 {
        assert_eq!(window.judge(entry(1, 1, 100, 0)), Verdict::First);
        assert_eq!(window.judge(entry(1, 2, 200, 0)), Verdict::Twin);
        assert_eq!(window.judge(entry(1, 1, 300, 0)), Verdict::Duplicate { of: 100 });
        assert_eq!(window.judge(entry(1, 2, 400, 0)), Verdict::Duplicate { of: 200 });
    }
}

#[test]
fn a_record_before_the_known_copy_becomes_the_first() {
    let mut window = window();
    assert_eq!(window.judge(entry(1, 1, 300, 0)), Verdict::First);
    assert_eq!(window.judge(entry(1, 1, 100, 0)), Verdict::First);
    assert_eq!(window.judge(entry(1, 1, 200, 0)), Verdict::Duplicate { of: 100 });
    assert_eq!(window.judge(entry(1, 1, 300, 0)), Verdict::Duplicate { of: 100 });
}

#[test]
fn the_same_ids_with_other_bytes_are_a_hit_and_have_duplicates_of_their_own() {
    let mut window = window();
    assert_eq!(window.judge(entry(1, 1, 10, 0)), Verdict::First);
    assert_eq!(window.judge(entry(1, 2, 20, 0)), Verdict::Twin);
    assert_eq!(window.judge(entry(1, 3, 30, 0)), Verdict::Twin);
    assert_eq!(window.judge(entry(1, 2, 40, 0)), Verdict::Duplicate { of: 20 });
    assert_eq!(window.judge(entry(1, 3, 50, 0)), Verdict::Duplicate { of: 30 });
    assert_eq!(window.judge(entry(1, 1, 60, 0)), Verdict::Duplicate { of: 10 });
}

#[test]
fn a_twin_is_remembered_when_the_hit_it_was_a_twin_of_is_not() {
    let mut window = window();
    window.judge(entry(1, 1, 10, 0));
    window.judge(entry(2, 1, 20, 15 * MINUTE));
    assert_eq!(window.judge(entry(1, 2, 30, 29 * MINUTE)), Verdict::Twin);
    window.judge(entry(3, 1, 40, 30 * MINUTE));
    assert_eq!(
        window.judge(entry(1, 2, 50, 31 * MINUTE)),
        Verdict::Duplicate { of: 30 }
    );
    assert_eq!(
        window.judge(entry(1, 1, 60, 31 * MINUTE)),
        Verdict::First,
        "this one is forgotten"
    );
}

#[test]
fn a_hit_is_remembered_for_the_window_and_not_for_ever() {
    for began in 0..20 {
        let mut window = window();
        window.judge(entry(0, 1, 0, 0));
        window.judge(entry(1, 1, 1, began * MINUTE));
        for (position, minute) in (began..began + 15).enumerate() {
            let copy = entry(1, 1, 10 + position as u64, minute * MINUTE);
            assert_eq!(window.judge(copy), Verdict::Duplicate { of: 1 }, "{began}, {minute}");
            window.judge(entry(100 + minute, 1, 50 + minute, minute * MINUTE));
        }
        fill(&mut window, 500..501, (began + 30) * MINUTE);
        fill(&mut window, 501..502, (began + 45) * MINUTE);
        let late = entry(1, 1, 1000, (began + 45) * MINUTE);
        assert_eq!(window.judge(late), Verdict::First);
        assert_eq!(window.shortened(), 0);
    }
}

#[test]
fn no_more_than_max_ids_are_remembered_and_the_newest_half_for_certain() {
    let mut window = window();
    fill(&mut window, 0..10_000, 0);
    assert!(window.ids() <= 1000, "{}", window.ids());
    for id in 9500..10_000 {
        assert_eq!(window.judge(entry(id, 1, 20_000, 0)), Verdict::Duplicate { of: id });
    }
    assert_eq!(window.judge(entry(0, 1, 20_000, 0)), Verdict::First);
}

#[test]
fn a_window_that_max_ids_cuts_short_says_so() {
    let mut window = window();
    fill(&mut window, 0..1000, 0);
    assert_eq!(window.shortened(), 0, "nothing is forgotten yet");
    fill(&mut window, 1000..1001, MINUTE);
    assert_eq!((window.shortened(), window.reach_ms()), (1, MINUTE));
    fill(&mut window, 1001..1500, 2 * MINUTE);
    fill(&mut window, 1500..1501, 20 * MINUTE);
    assert_eq!(window.shortened(), 1, "these were old enough to be forgotten");
}

#[test]
fn a_clock_that_was_set_back_does_not_make_the_window_longer_than_it_may_be() {
    const DAY: u64 = 24 * 60 * MINUTE;
    let mut window = window();
    window.judge(entry(1, 1, 1, DAY));
    window.judge(entry(2, 1, 2, MINUTE));
    assert_eq!(window.judge(entry(1, 1, 3, MINUTE)), Verdict::Duplicate { of: 1 });
    fill(&mut window, 3..4, 16 * MINUTE);
    fill(&mut window, 4..5, 31 * MINUTE);
    assert_eq!(window.judge(entry(1, 1, 5, 31 * MINUTE)), Verdict::First);
}

#[test]
fn bounds_of_next_to_nothing_forget_and_do_no_harm() {
    for max_ids in 0..4 {
        let mut window = Window::new(Limits { window_ms: 0, max_ids });
        for position in 0..20 {
            let verdict = window.judge(entry(position % 2, 1, position, u64::MAX - position));
            assert_ne!(verdict, Verdict::Twin);
            assert!(window.ids() <= max_ids.max(2));
        }
    }
}

#[test]
fn a_million_hits_with_one_id_are_spread_as_others_are() {
    let mut window = Window::new(Limits {
        max_ids: 400_000,
        ..LIMITS
    });
    assert_eq!(window.judge(entry(1, 0, 0, 0)), Verdict::First);
    for hash in 1..100_000 {
        assert_eq!(window.judge(entry(1, hash, hash, 0)), Verdict::Twin);
    }
    assert!(window.current.twins.largest_part() < 2000);
    assert_eq!(window.judge(entry(1, 500, 200_000, 0)), Verdict::Duplicate { of: 500 });
}

#[test]
fn no_insert_moves_more_than_a_small_part_of_the_window() {
    let mut window = Window::new(Limits {
        max_ids: 400_000,
        ..LIMITS
    });
    // Numbered ids, the worst that a weak hash could be given.
    fill(&mut window, 0..200_000, 0);
    assert!(window.current.firsts.largest_part() < 200_000 / 64 * 11 / 10);
    // The next generation is made for as many at once, and nothing of it moves.
    fill(&mut window, 200_000..200_001, 0);
    let prepared = window.current.memory();
    fill(&mut window, 200_001..400_000, 0);
    assert_eq!(window.current.memory(), prepared);
}

#[test]
fn the_default_bound_takes_up_no_more_memory_than_is_said() {
    let max_ids = crate::settings::defaults::DEDUP_MAX_IDS;
    let mut window = Window::new(Limits { max_ids, ..LIMITS });
    fill(&mut window, 0..max_ids as u64, 0);
    assert_eq!((window.ids(), window.shortened()), (max_ids, 0));
    assert!(window.memory() <= 40 * max_ids, "{} bytes", window.memory());
}

#[test]
fn memory_follows_the_rate_down_again() {
    let mut window = Window::new(Limits {
        max_ids: 400_000,
        ..LIMITS
    });
    fill(&mut window, 0..200_000, 0);
    let busy = window.memory();
    for quarter in 1..4 {
        fill(&mut window, 200_000 + quarter..200_001 + quarter, quarter * 15 * MINUTE);
    }
    assert!(window.memory() < busy / 20, "{} of {busy}", window.memory());
}

/// What the window may not do better than: a list of everything, asked from the beginning.
#[derive(Default)]
struct List(Vec<(Entry, Verdict)>);

impl List {
    fn judge(&mut self, entry: Entry) -> Verdict {
        let copies = self
            .0
            .iter()
            .filter(|(known, _)| (known.id, known.hash) == (entry.id, entry.hash));
        let first = copies.map(|(known, _)| known.position).min();
        if let Some(of) = first.filter(|first| *first < entry.position) {
            return Verdict::Duplicate { of };
        }
        let same_place = self
            .0
            .iter()
            .find(|(known, _)| (known.id, known.hash, known.position) == (entry.id, entry.hash, entry.position));
        let verdict = match same_place {
            Some((_, verdict)) => *verdict,
            None if self.0.iter().any(|(known, _)| known.id == entry.id) => Verdict::Twin,
            None => Verdict::First,
        };
        self.0.push((entry, verdict));
        verdict
    }
}

/// A stream: hits of few ids and few kinds of bytes, with some time between them; and how far it is rewound after each.
fn stream() -> impl Strategy<Value = Vec<(u64, u64, u64, Option<usize>)>> {
    let rewind = prop_oneof![8 => Just(None), 1 => (0..40_usize).prop_map(Some)];
    prop::collection::vec((0..12_u64, 1..4_u64, 0..60_u64, rewind), 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn a_window_with_room_judges_as_a_list_of_everything_does(stream in stream()) {
        let (mut window, mut list) = (Window::new(Limits { window_ms: 1_000_000, max_ids: 10_000 }), List::default());
        for entry in with_rewinds(&stream) {
            prop_assert_eq!(window.judge(entry), list.judge(entry));
        }
    }

    #[test]
    fn a_small_window_calls_nothing_a_duplicate_that_is_none(stream in stream(), window_ms in 1..400_u64, max_ids in 2..30_usize) {
        let mut window = Window::new(Limits { window_ms, max_ids });
        let mut judged: Vec<Entry> = Vec::new();
        for entry in with_rewinds(&stream) {
            if let Verdict::Duplicate { of } = window.judge(entry) {
                prop_assert!(of < entry.position);
                let copy = Entry { position: of, ..entry };
                prop_assert!(judged.iter().any(|known| Entry { received_ms: entry.received_ms, ..*known } == copy), "{entry:?}");
            }
            prop_assert!(window.ids() <= max_ids);
            judged.push(entry);
        }
    }

    #[test]
    fn a_small_window_forgets_nothing_before_its_time(stream in stream(), window_ms in 1..400_u64, max_ids in 2..30_usize) {
        let limits = Limits { window_ms, max_ids };
        let mut window = Window::new(limits);
        // What was remembered, in that order.
        let mut remembered: Vec<Entry> = Vec::new();
        for entry in in_order(&stream) {
            let known = remembered.iter().rposition(|known| (known.id, known.hash) == (entry.id, entry.hash));
            if matches!(window.judge(entry), Verdict::Duplicate { .. }) {
                continue;
            }
            if let Some(index) = known {
                let age = entry.received_ms - remembered[index].received_ms;
                let since = remembered.len() - index - 1;
                prop_assert!(age >= window_ms || since >= limits.ids_in_a_generation(), "{entry:?} was forgotten");
            }
            remembered.push(entry);
        }
    }
}

/// The records of a stream as they stand in the journal.
fn in_order(stream: &[(u64, u64, u64, Option<usize>)]) -> Vec<Entry> {
    let mut now = 1000;
    let place = |(index, (id, hash, wait, _)): (usize, &(u64, u64, u64, Option<usize>))| {
        now += wait;
        entry(*id, *hash, index as u64 * 10, now)
    };
    stream.iter().enumerate().map(place).collect()
}

/// The records of a stream in the order in which a forwarder asks about them.
fn with_rewinds(stream: &[(u64, u64, u64, Option<usize>)]) -> Vec<Entry> {
    let journal = in_order(stream);
    let mut asked = Vec::new();
    for (index, (.., rewind)) in stream.iter().enumerate() {
        asked.push(journal[index]);
        if let Some(back) = rewind {
            asked.extend(&journal[index.saturating_sub(*back)..=index]);
        }
    }
    asked
}
