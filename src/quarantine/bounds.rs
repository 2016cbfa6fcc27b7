//! What of the quarantine goes when it holds too much. Pure: files, limits and the time in; what to remove out.
//!
//! Promises:
//! - Nothing goes that is within all bounds together with everything else.
//! - What stays is within all bounds, the newcomer included if it is within them by itself.
//! - What goes to make room is older than whatever stays; but a file that alone is more than `max_bytes` goes first, because no other
//!   would make room for it.

use std::ffi::OsString;
use std::time::Duration;

use crate::settings::QuarantineSettings;

/// More files are not kept, whatever their size: each takes up an inode and a block, and must be listed to know what there is.
pub const MAX_FILES: u64 = 100_000;

/// This part of a bound is made free once the bound is reached, so that a flood of records does not list the directory for each.
pub(super) const SPARE: u64 = 16;

/// A file of the quarantine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Its name in the directory.
    pub name: OsString,
    /// Its length.
    pub bytes: u64,
    /// Since when it is there, by wall time: since the Unix epoch.
    pub since: Duration,
}

/// Why a file goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bound {
    /// It is older than `max_age`.
    Age,
    /// There are more bytes than `max_bytes`.
    Bytes,
    /// There are more files than [`MAX_FILES`].
    Files,
}

impl Bound {
    /// The key that sets it, or what it is.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Age => "quarantine.max_age",
            Self::Bytes => "quarantine.max_bytes",
            Self::Files => "the number of files",
        }
    }
}

/// What goes and what stays, each oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SortedOut {
    /// What is to be removed, and why.
    pub goes: Vec<(Held, Bound)>,
    /// The rest.
    pub stays: Vec<Held>,
}

/// Sorts out what goes. `newcomer` is the length of a file that is not among `held`, and stays. `now` is wall time since the Unix
/// epoch; a file from the future counts as one of now.
pub fn sort_out(mut held: Vec<Held>, newcomer: Option<u64>, limits: &QuarantineSettings, now: Duration) -> SortedOut {
    held.sort_by(|a, b| (a.since.min(now), &a.name).cmp(&(b.since.min(now), &b.name)));
    let verdict = |file: &Held| {
        if now.saturating_sub(file.since) > limits.max_age {
            Some(Bound::Age)
        } else {
            (file.bytes > limits.max_bytes).then_some(Bound::Bytes)
        }
    };
    let (mut bytes, mut files) = (newcomer.unwrap_or(0), u64::from(newcomer.is_some()));
    for file in held.iter().filter(|file| verdict(file).is_none()) {
        (bytes, files) = (bytes.saturating_add(file.bytes), files + 1);
    }
    let (down_to_bytes, down_to_files) = (down_to(bytes, limits.max_bytes), down_to(files, MAX_FILES));
    let mut sorted = SortedOut::default();
    for file in held {
        if let Some(why) = verdict(&file) {
            sorted.goes.push((file, why));
            continue;
        }
        let why = if bytes > down_to_bytes {
            Bound::Bytes
        } else if files > down_to_files {
            Bound::Files
        } else {
            sorted.stays.push(file);
            continue;
        };
        (bytes, files) = (bytes.saturating_sub(file.bytes), files - 1);
        sorted.goes.push((file, why));
    }
    sorted
}

/// Down to where the oldest go: nowhere if the bound is kept, and a part below it if not.
const fn down_to(there: u64, bound: u64) -> u64 {
    if there > bound { bound - bound / SPARE } else { bound }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn held(name: u64, bytes: u64, since_s: u64) -> Held {
        Held {
            name: format!("{name:05}").into(),
            bytes,
            since: Duration::from_secs(since_s),
        }
    }

    fn names(goes: &[(Held, Bound)]) -> Vec<(u64, Bound)> {
        let number = |held: &Held| held.name.to_str().unwrap().parse().unwrap();
        goes.iter().map(|(held, bound)| (number(held), *bound)).collect()
    }

    fn limits(max_bytes: u64) -> QuarantineSettings {
        QuarantineSettings {
            max_bytes,
            max_age: DAY,
        }
    }

    #[test]
    fn what_is_too_old_goes_and_then_the_oldest_until_there_is_room_and_a_little_more() {
        let now = DAY * 3;
        let old = now.as_secs() - DAY.as_secs();
        let files = vec![
            held(4, 400, old + 3),
            held(1, 400, old - 1),
            held(2, 400, old),
            held(3, 400, old + 1),
        ];
        let goes = |max_bytes, newcomer| names(&sort_out(files.clone(), newcomer, &limits(max_bytes), now).goes);
        assert_eq!(goes(1200, None), [(1, Bound::Age)]);
        assert_eq!(goes(1199, None), [(1, Bound::Age), (2, Bound::Bytes)]);
        assert_eq!(goes(1600, Some(401)), [(1, Bound::Age), (2, Bound::Bytes)]);
        assert_eq!(
            goes(1600, Some(800)),
            [(1, Bound::Age), (2, Bound::Bytes), (3, Bound::Bytes)],
            "800 + 800 would be enough but for what is made free besides"
        );
    }

    #[test]
    fn a_file_that_alone_is_too_large_does_not_take_the_others_with_it() {
        let files = vec![held(1, 10, 1), held(2, 20, 2), held(3, 5000, 3)];
        assert_eq!(
            names(&sort_out(files, Some(30), &limits(1000), Duration::from_secs(4)).goes),
            [(3, Bound::Bytes)]
        );
    }

    #[test]
    fn files_are_counted_too() {
        let files: Vec<Held> = (0..MAX_FILES).map(|n| held(n, 0, n)).collect();
        let now = Duration::from_secs(MAX_FILES);
        let wide = QuarantineSettings {
            max_bytes: 1,
            max_age: DAY * 10,
        };
        assert_eq!(sort_out(files.clone(), None, &wide, now).goes, []);
        let goes = names(&sort_out(files, Some(1), &wide, now).goes);
        assert_eq!(goes.len() as u64, MAX_FILES / SPARE + 1);
        assert_eq!((goes[0], goes[1]), ((0, Bound::Files), (1, Bound::Files)));
    }

    #[test]
    fn a_time_in_the_future_is_now() {
        let files = vec![held(2, 10, 100), held(1, 10, 900), held(3, 10, 700)];
        let goes = names(&sort_out(files, None, &limits(15), Duration::from_secs(200)).goes);
        assert_eq!(
            goes,
            [(2, Bound::Bytes), (1, Bound::Bytes)],
            "the first by name of those of now"
        );
    }

    fn a_file() -> impl Strategy<Value = (u64, u64)> {
        (
            prop_oneof![8 => 0_u64..500, 1 => 500_u64..3000, 1 => Just(u64::MAX)],
            0_u64..200_000,
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 5000, rng_seed: RngSeed::Fixed(11), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_stays_is_within_bounds_and_nothing_goes_without_need(
            files in prop::collection::vec(a_file(), 0..40),
            newcomer in prop::option::of(0_u64..2500),
            max_bytes in 1_u64..4000,
            now in 80_000_u64..200_000,
        ) {
            let limits = limits(max_bytes);
            let now = Duration::from_secs(now);
            let all: Vec<Held> = files.iter().enumerate().map(|(n, (bytes, since))| held(n as u64, *bytes, *since)).collect();
            let SortedOut { goes, stays } = sort_out(all.clone(), newcomer, &limits, now);
            let too_old = |file: &Held| now.saturating_sub(file.since) > DAY;
            let order = |file: &Held| (file.since.min(now), file.name.clone());
            // Each file goes or stays.
            let mut both: Vec<Held> = goes.iter().map(|(file, _)| file).chain(&stays).cloned().collect();
            both.sort_by_key(|file| file.name.clone());
            prop_assert_eq!(both, all);
            // Within bounds.
            let left = stays.iter().map(|file| u128::from(file.bytes)).sum::<u128>() + u128::from(newcomer.unwrap_or(0));
            prop_assert!(left <= u128::from(max_bytes) || (stays.is_empty() && newcomer > Some(max_bytes)), "{left}");
            prop_assert!(stays.iter().all(|file| !too_old(file)));
            // Oldest first.
            prop_assert!(goes.is_sorted_by_key(|(file, _)| order(file)) && stays.is_sorted_by_key(order));
            let made_room: Vec<&Held> = goes.iter().map(|(file, _)| file).filter(|file| !too_old(file) && file.bytes <= max_bytes).collect();
            for gone in &made_room {
                prop_assert!(stays.iter().all(|stays| order(stays) > order(gone)));
            }
            // Not without need.
            if let Some(last) = made_room.last() {
                let room_made: u128 = made_room.iter().map(|file| u128::from(file.bytes)).sum();
                prop_assert!(left + room_made > u128::from(max_bytes), "there was no need");
                prop_assert!(left + u128::from(last.bytes) > u128::from(max_bytes - max_bytes / SPARE), "one too many");
            }
            for (file, bound) in &goes {
                prop_assert_eq!(*bound == Bound::Age, too_old(file));
            }
            // Once is enough.
            let again = sort_out(stays.clone(), newcomer, &limits, now);
            prop_assert_eq!(again, SortedOut { goes: Vec::new(), stays });
        }
    }
}
