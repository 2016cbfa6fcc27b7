//! A quarter of a million random histories, judged; and the table of what they went through.

use super::chance::{Chance, simplest};
use super::coverage::Coverage;
use super::planted::Plant;
use super::truth::{Rule, Violation};
use super::world::World;

const HISTORIES: u64 = 250_000;
/// How often each kind must come up, so that "nothing went wrong" says something about it.
const LEAST: u64 = 100;
/// The histories are shared out among threads.
const THREADS: u64 = 2;

struct Played {
    tape: Vec<u64>,
    trace: Vec<String>,
    violation: Option<Violation>,
}

fn play(chance: Chance, plant: Plant, judged: &[Rule], coverage: &mut Coverage, traced: bool) -> Played {
    let mut world = World::new(chance, plant, judged, coverage, traced);
    let counts = |violation: &Violation| judged.is_empty() || judged.contains(&violation.rule);
    let violation = world.live().err().filter(counts);
    let (tape, trace) = world.into_record();
    Played { tape, trace, violation }
}

/// The first of `histories` in which one of the judged rules is broken by what is planted: its seed, and how. All rules are judged
/// if none is named.
pub fn first_violation(plant: Plant, histories: u64, judged: &[Rule]) -> Option<(u64, Violation)> {
    let mut coverage = Coverage::default();
    let mut tape = Vec::new();
    for seed in 0..histories {
        let played = play(Chance::seeded(seed, tape), plant, judged, &mut coverage, false);
        if let Some(violation) = played.violation {
            return Some((seed, violation));
        }
        tape = played.tape;
    }
    None
}

/// The history of `seed`, made as simple as it can be while the same rule is broken, for people to read.
fn explain(seed: u64, plant: Plant, judged: &[Rule]) -> String {
    let mut coverage = Coverage::default();
    let first = play(Chance::seeded(seed, Vec::new()), plant, judged, &mut coverage, false);
    let Some(rule) = first.violation.as_ref().map(|violation| violation.rule) else {
        return format!("history {seed} breaks no rule");
    };
    let breaks = |tape: &[u64]| {
        let played = play(
            Chance::replayed(tape.to_vec()),
            plant,
            judged,
            &mut Coverage::default(),
            false,
        );
        played.violation.is_some_and(|violation| violation.rule == rule)
    };
    let tape = simplest(first.tape, breaks);
    let last = play(Chance::replayed(tape.clone()), plant, judged, &mut coverage, true);
    let reason = last
        .violation
        .map(|violation| violation.to_string())
        .unwrap_or_default();
    format!(
        "history {seed} breaks a rule; simplified ({} draws):\n{}\n{reason}",
        tape.len(),
        last.trace.join("\n")
    )
}

#[test]
fn no_random_history_breaks_a_rule_and_every_state_transition_and_fault_occurs() {
    let runs = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn(move || {
                    let mut coverage = Coverage::default();
                    let mut tape = Vec::new();
                    let mut seed = thread;
                    let mut steps = 0_u64;
                    while seed < HISTORIES {
                        let played = play(Chance::seeded(seed, tape), Plant::Sound, &[], &mut coverage, false);
                        if played.violation.is_some() {
                            return Err(seed);
                        }
                        steps += played.tape.len() as u64;
                        tape = played.tape;
                        seed += THREADS;
                    }
                    Ok((coverage, steps))
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    let mut coverage = Coverage::default();
    let mut draws = 0;
    for run in runs {
        match run {
            Ok((part, its_draws)) => {
                coverage.add(&part);
                draws += its_draws;
            }
            Err(seed) => panic!("{}", explain(seed, Plant::Sound, &[])),
        }
    }
    println!("{HISTORIES} histories, {draws} draws\n{coverage}");
    let faults = coverage.faults_of_the_suite(LEAST);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_history_that_breaks_a_rule_is_told_in_a_few_lines() {
    let judged = [Rule::Spacing];
    let (seed, _) = first_violation(Plant::NoWaitAfterTheEnd, 1_000, &judged).unwrap();
    let story = explain(seed, Plant::NoWaitAfterTheEnd, &judged);
    println!("{story}");
    assert!(story.contains("Spacing"), "{story}");
    assert!(story.lines().count() < 60, "{story}");
}
