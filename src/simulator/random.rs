//! A small seeded source of randomness: the same seed gives the same run on every machine.

/// `SplitMix64`: one addition and one mix a number. Not for secrets.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// A source that depends on nothing but `seed`.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any 64-bit number.
    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }

    /// A number below `limit`; 0 when `limit` is 0. The bias is far below what a test could see.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True once in `times` on the average; never when `times` is 0.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        times > 0 && self.below(times) == 0
    }

    /// One of `choices`, or nothing if there are none.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> Option<&'a T> {
        choices.get(self.below(choices.len() as u64) as usize)
    }

    /// A waiting time with this mean, exponentially distributed: how faults come that know nothing of each other.
    pub(super) fn waiting_time(&mut self, mean: std::time::Duration) -> std::time::Duration {
        // 53 random bits, never 0, so that the logarithm is finite.
        let uniform = ((self.next() >> 11) + 1) as f64 / (1_u64 << 53) as f64;
        mean.mul_f64(-uniform.ln())
    }
}

/// The finishing step of `SplitMix64`: a bijection, so that different numbers stay different.
pub(super) const fn mix(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}

/// A number for a text, so that streams with one seed differ by their names.
pub(super) fn key_of(text: &str) -> u64 {
    text.bytes()
        .fold(0x51_7C_C1_B7_27_22_0A_95, |key, byte| mix(key ^ u64::from(byte)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_numbers_within_the_bounds_asked_for() {
        let (mut one, mut other) = (Random::new(7), Random::new(7));
        let mut seen = [false; 4];
        for _ in 0..1_000 {
            let number = one.between(3, 6);
            assert_eq!(number, other.between(3, 6));
            seen[(number - 3) as usize] = true;
        }
        assert_eq!(seen, [true; 4], "every number from low to high comes");
        assert_eq!(one.below(0), 0);
        assert!(!one.once_in(0));
        assert_ne!(key_of("a"), key_of("b"));
    }

    #[test]
    fn waiting_times_have_the_mean_asked_for() {
        let mut random = Random::new(1);
        let mean = std::time::Duration::from_secs(10);
        let sum: f64 = (0..20_000).map(|_| random.waiting_time(mean).as_secs_f64()).sum();
        assert!((9.7..10.3).contains(&(sum / 20_000.0)), "{sum}");
    }
}
