use proptest::prelude::*;

use super::*;

const DAY: u64 = 86_400;

fn at(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn kinds_of<K>(digest: &Digest<K>) -> impl Iterator<Item = &Kind> {
    digest.noted.iter().flat_map(|noted| noted.kinds.values())
}

/// When lines are written of trouble that comes every `step` seconds for `total` seconds.
fn lines_at(step: u64, total: u64) -> Vec<u64> {
    let mut digest = Digest::new(8);
    (0..total)
        .step_by(step as usize)
        .filter(|&now| digest.note("x", at(now)).is_some())
        .collect()
}

#[test]
fn the_same_trouble_is_told_at_once_and_then_ever_more_seldom() {
    let (minute, hour) = (60, 3600);
    let expected = [0, minute, 6 * minute, 21 * minute, 81 * minute, 141 * minute];
    assert_eq!(lines_at(1, 3 * hour)[..6], expected);
    // A retry every 10 minutes is no other trouble.
    assert_eq!(lines_at(600, DAY).len(), 27);
    assert!(lines_at(1, DAY).len() <= 27);
}

#[test]
fn a_line_says_how_often_and_since_when_and_so_does_the_end() {
    let mut digest = Digest::new(8);
    let first = Told {
        untold: 0,
        times: 1,
        lasts: at(0),
    };
    assert_eq!(digest.note("503", at(100)), Some(first));
    assert_eq!(digest.note("503", at(130)), None);
    assert_eq!(digest.note("503", at(159)), None);
    let again = Told {
        untold: 2,
        times: 4,
        lasts: at(60),
    };
    assert_eq!(digest.note("503", at(160)), Some(again));
    assert_eq!(digest.note("503", at(170)), None);
    let over = Over {
        times: 5,
        untold: 1,
        lasted: at(80),
    };
    assert_eq!(digest.over(at(180)), Some(over));
    assert_eq!(digest.over(at(181)), None, "it is over once");
}

#[test]
fn another_kind_is_told_at_once_and_two_that_take_turns_are_both_summed_up() {
    let mut digest = Digest::new(8);
    assert!(digest.note("503", at(0)).is_some());
    assert!(digest.note("unreached", at(1)).is_some());
    let lines = (2..3600).filter(|&now| {
        let kind = if now % 2 == 0 { "503" } else { "unreached" };
        digest.note(kind, at(now)).is_some()
    });
    assert_eq!(lines.count(), 6, "after 1, 5 and 15 minutes, each");
    assert_eq!(digest.over(at(3600)).map(|over| over.times), Some(3600));
}

#[test]
fn trouble_that_comes_and_goes_is_summed_up_and_its_end_is_told_only_if_its_beginning_was() {
    let mut digest = Digest::new(8);
    let (mut begun, mut ended) = (0, 0);
    for now in (0..DAY).step_by(10) {
        begun += usize::from(digest.note("flaps", at(now)).is_some());
        ended += usize::from(digest.over(at(now + 5)).is_some());
    }
    assert_eq!(begun, ended);
    assert!((200..=MOST_LINES_A_DAY).contains(&begun), "{begun}");
}

#[test]
fn after_a_calm_time_trouble_is_told_at_once_again() {
    let mut digest = Digest::new(8);
    for now in 0..4000 {
        digest.note("x", at(now));
    }
    digest.over(at(4000));
    assert!(digest.note("x", at(4000 + 600)).is_some());

    let mut digest = Digest::without_end(8);
    for now in 0..4000 {
        digest.note("x", at(now));
    }
    assert!(digest.is_quiet(&"x", at(4010)) && !digest.is_quiet(&"x", at(3999 + 600)));
    assert_eq!(digest.note("x", at(3999 + 600)).map(|told| told.times), Some(1));
}

#[test]
fn memory_is_bounded_and_what_is_beyond_it_is_told_as_one_kind() {
    let mut digest = Digest::new(16);
    let told = (0..10_000).filter(|n| digest.note(*n, at(0)).is_some()).count();
    assert_eq!((told, kinds_of(&digest).count()), (17, 16));
    assert!(digest.note(99_999, at(61)).is_some());
    // What is past makes room.
    digest.over(at(62));
    digest.note(20_000, at(DAY));
    assert_eq!(kinds_of(&digest).count(), 1);
}

#[test]
fn texts_are_alike_whatever_their_numbers() {
    assert_eq!(
        likeness("no byte came for 121 s from 10.0.0.1:443"),
        likeness("no byte came for 9 s from 10.0.0.22:8443")
    );
    assert_ne!(likeness("connection refused"), likeness("no route to host"));
}

#[derive(Clone, Debug)]
enum Step {
    Trouble { kind: u8, after: u64 },
    Over { after: u64 },
}

fn step() -> impl Strategy<Value = Step> {
    let after = || prop_oneof![5 => 0..90_u64, 2 => 90..900_u64, 1 => 900..9000_u64];
    prop_oneof![
        8 => (0..5_u8, after()).prop_map(|(kind, after)| Step::Trouble { kind, after }),
        1 => after().prop_map(|after| Step::Over { after }),
    ]
}

proptest! {
    #[test]
    fn nothing_is_left_untold_for_more_than_an_hour_and_counts_add_up(
        steps in prop::collection::vec(step(), 1..400), ends_by_itself in any::<bool>(),
    ) {
        let mut digest = if ends_by_itself { Digest::without_end(5) } else { Digest::new(5) };
        let mut now = 0;
        let mut last_line: [Option<u64>; 5] = [None; 5];
        let (mut noted, mut accounted) = (0_u64, 0_u64);
        let (mut in_spell, mut spell_told) = (0_u64, false);
        let mut lines_of: [Vec<u64>; 5] = Default::default();
        for step in steps {
            match step {
                Step::Trouble { kind, after } => {
                    now += after;
                    (noted, in_spell) = (noted + 1, in_spell + 1);
                    let was_quiet = digest.is_quiet(&kind, at(now));
                    let told = digest.note(kind, at(now));
                    prop_assert_eq!(was_quiet, told.is_none());
                    let known = &mut last_line[usize::from(kind)];
                    match told {
                        Some(told) => {
                            accounted += told.untold + 1;
                            spell_told = true;
                            *known = Some(now);
                            lines_of[usize::from(kind)].push(now);
                        }
                        None => prop_assert!(known.is_some_and(|line| now - line < 3600), "{kind} is silent at {now}"),
                    }
                }
                Step::Over { after } => {
                    now += after;
                    let over = digest.over(at(now));
                    prop_assert_eq!(over.is_some(), spell_told);
                    if let Some(over) = over {
                        prop_assert_eq!(over.times, in_spell);
                        accounted += over.untold;
                    }
                    (in_spell, spell_told) = (0, false);
                }
            }
        }
        let held: u64 = kinds_of(&digest).map(|kind| kind.untold).sum();
        prop_assert_eq!(noted, accounted + held);
        for lines in &lines_of {
            for (nth, line) in lines.iter().enumerate() {
                let in_the_day_after = lines[nth..].iter().take_while(|other| **other < line + DAY).count();
                prop_assert!(in_the_day_after <= MOST_LINES_A_DAY);
            }
        }
    }
}
