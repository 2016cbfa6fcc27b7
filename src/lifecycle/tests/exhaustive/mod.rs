//! Every history within a small bound, breadth first: all events in all orders, with time in ticks of a second, a cooldown of
//! six, and a crash, a restart, a reboot, a late, failed or lost write wherever there may be one.
//!
//! Two histories that have come to the same point (the same slot, lease and truth, seen from the present moment) are one. So the
//! search comes to an end: it sees every point that any history of any length can reach under these settings. In each it judges
//! what is carried out, and tries whether the stream would come up in time if all went well from there.

mod point;
mod terms;

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use self::point::Point;
use self::terms::Step;
use super::planted::Plant;

/// What a search has seen: how it came to each point, by the point's hash.
struct Search {
    came: Vec<(usize, Step)>,
    transitions: u64,
}

impl Search {
    fn path(&self, mut at: usize) -> String {
        let mut lines = Vec::new();
        while at != 0 {
            lines.push(format!("{:?}", self.came[at].1));
            at = self.came[at].0;
        }
        lines.reverse();
        lines.join("\n")
    }
}

/// Visits every point, up to `most` of them. If a rule is broken: how, after which steps.
fn search(plant: Plant, most: usize) -> Result<Search, String> {
    let hasher: BuildHasherDefault<DefaultHasher> = BuildHasherDefault::default();
    // Two hashes of 64 bits: that two of a few million points share both is not to be expected.
    let key = |point: &Point| (hasher.hash_one(point), hasher.hash_one((point, 1_u8)));
    let mut seen = HashSet::new();
    let first = Point::first(plant);
    seen.insert(key(&first));
    let mut search = Search {
        came: vec![(0, Step::TimePasses)],
        transitions: 0,
    };
    let mut frontier = VecDeque::from([(0, first)]);
    while let Some((at, point)) = frontier.pop_front() {
        let steps = point.comes_up().and_then(|()| point.steps());
        let steps = steps.map_err(|reason| format!("{}\n{point:?}\n{reason}", search.path(at)))?;
        for (how, next) in steps {
            search.transitions += 1;
            if seen.len() < most && seen.insert(key(&next)) {
                frontier.push_back((search.came.len(), next));
                search.came.push((at, how));
            }
        }
    }
    Ok(search)
}

#[test]
fn no_point_that_any_history_can_reach_breaks_a_rule_or_is_a_dead_end() {
    let most = 3_000_000;
    let search = search(Plant::Sound, most).unwrap_or_else(|reason| panic!("{reason}"));
    let points = search.came.len();
    println!("{points} points, {} transitions", search.transitions);
    assert!(points < most, "the search did not come to its end");
    assert!(points > 100_000, "only {points} points");
}

#[test]
fn planted_faults_are_found_by_the_search_too() {
    let plants = [
        Plant::NoWaitAfterTheEnd,
        Plant::LeaseIgnored,
        Plant::OpenLeaseTakenForClosed,
        Plant::ForeignBootBelieved,
    ];
    for plant in plants {
        let found = search(plant, 100_000).err();
        let reason = found.unwrap_or_else(|| panic!("{plant:?} goes unnoticed"));
        println!("{plant:?}:\n{reason}\n");
        assert!(reason.contains("too early"), "{plant:?}: {reason}");
    }
}
