//! Chance for the world: a tape of draws, so that a history can be played again, cut short and made simpler.
//!
//! Promise: a draw of zero, and every draw past the end of a replayed tape, is the tame choice. Simpler tapes make tamer worlds.

use std::time::Duration;

/// Where the world's choices come from.
pub struct Chance {
    tape: Vec<u64>,
    at: usize,
    /// The generator that lengthens the tape; none while a tape is replayed.
    generator: Option<u64>,
}

impl Chance {
    /// Draws that depend on `seed` alone. `tape` is only the memory to use.
    pub fn seeded(seed: u64, mut tape: Vec<u64>) -> Self {
        tape.clear();
        Self {
            tape,
            at: 0,
            generator: Some(seed),
        }
    }

    /// The draws of `tape`, and zeros after it.
    pub const fn replayed(tape: Vec<u64>) -> Self {
        Self {
            tape,
            at: 0,
            generator: None,
        }
    }

    /// What was drawn.
    pub fn into_tape(self) -> Vec<u64> {
        self.tape
    }

    /// The next draw.
    pub fn draw(&mut self) -> u64 {
        if self.at == self.tape.len()
            && let Some(state) = &mut self.generator
        {
            *state = state.wrapping_add(0xA076_1D64_78BD_642F);
            let mixed = u128::from(*state) * u128::from(*state ^ 0xE703_7ED1_A0B4_28DB);
            self.tape.push((mixed >> 64) as u64 ^ mixed as u64);
        }
        let draw = self.tape.get(self.at).copied().unwrap_or_default();
        self.at += 1;
        draw
    }

    /// True once in `n` times; false is tame.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.draw() % n == n - 1
    }

    /// A number under `n`; zero is tame.
    pub fn below(&mut self, n: u64) -> u64 {
        self.draw() % n
    }

    /// One of `choices`; the first is tame.
    pub fn pick<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }

    /// A duration under `most`; zero is tame.
    pub fn upto(&mut self, most: Duration) -> Duration {
        match u64::try_from(most.as_micros()).unwrap_or(u64::MAX) {
            0 => Duration::ZERO,
            micros => Duration::from_micros(self.below(micros)),
        }
    }
}

/// The simplest tape that can be found in a few thousand tries and that `fails` still.
pub fn simplest(mut tape: Vec<u64>, fails: impl Fn(&[u64]) -> bool) -> Vec<u64> {
    let mut tries = 4_000_u32;
    let mut size = tape.len().div_ceil(2);
    while size > 0 {
        let mut start = 0;
        let mut simpler = false;
        while start < tape.len() && tries > 0 {
            let end = (start + size).min(tape.len());
            let without = [&tape[..start], &tape[end..]].concat();
            let mut tamed = tape.clone();
            tamed[start..end].fill(0);
            let candidates = [without, tamed];
            tries = tries.saturating_sub(2);
            match candidates
                .into_iter()
                .find(|candidate| *candidate != tape && fails(candidate))
            {
                Some(found) => {
                    simpler = true;
                    tape = found;
                }
                None => start = end,
            }
        }
        if !simpler {
            size /= 2;
        }
        if tries == 0 {
            break;
        }
    }
    tape
}

#[test]
fn a_failing_tape_is_cut_down_to_what_makes_it_fail() {
    let tape: Vec<u64> = (0..200).collect();
    let fails = |tape: &[u64]| tape.contains(&77) && tape.contains(&150);
    assert_eq!(simplest(tape, fails), [77, 150]);
}

#[test]
fn the_same_seed_draws_the_same_and_a_tape_ends_in_zeros() {
    let draws = |seed| {
        let mut chance = Chance::seeded(seed, Vec::new());
        (0..9).map(|_| chance.draw()).collect::<Vec<_>>()
    };
    assert_eq!(draws(1), draws(1));
    assert_ne!(draws(1), draws(2));
    let mut chance = Chance::replayed(vec![7]);
    assert_eq!([chance.draw(), chance.draw(), chance.draw()], [7, 0, 0]);
}
