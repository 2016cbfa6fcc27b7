//! Numbers compared by what they say, digit by digit: ids beyond 2^53, prices, and both together.
//!
//! Promise: no float, no rounding. `1`, `1.0`, `10e-1` and `0.1e1` are the same number; `9007199254740993` is not `9007199254740992`. Exponents count up to
//! 10^18 and are alike beyond.

use std::cmp::Ordering;

/// A number as it was written: its sign, its digits from the first that is not zero, and where the point is.
#[derive(Clone, Copy)]
pub(super) struct Decimal<'a> {
    /// -1, 0 or 1.
    sign: i8,
    /// How many digits stand before the point, counted from the first that is not zero; negative for zeros behind the point.
    lead: i64,
    /// The digits, in two pieces.
    digits: [&'a [u8]; 2],
}

/// Beyond this an exponent is not read further.
const EXPONENT_LIMIT: i64 = 1_000_000_000_000_000_000;

impl<'a> Decimal<'a> {
    /// Reads a number of JSON; zeros in front are allowed, because Adobe pads some ids in strings with them. `None` if it is none.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let text = text.as_bytes();
        let (negative, text) = match text.strip_prefix(b"-") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, rest) = digits(text);
        let (fraction, rest) = match rest.strip_prefix(b".") {
            Some(rest) => {
                let (fraction, rest) = digits(rest);
                (Some(fraction), rest)
            }
            None => (None, rest),
        };
        let exponent = match rest {
            [] => 0,
            [b'e' | b'E', rest @ ..] => exponent(rest)?,
            _ => return None,
        };
        if whole.is_empty() || fraction.is_some_and(<[u8]>::is_empty) {
            return None;
        }
        let pieces = [whole, fraction.unwrap_or_default()];
        let zeros = pieces.into_iter().flatten().take_while(|digit| **digit == b'0').count();
        let digits = [
            &pieces[0][zeros.min(pieces[0].len())..],
            &pieces[1][zeros.saturating_sub(pieces[0].len())..],
        ];
        let sign = match (digits, negative) {
            ([[], []], _) => 0,
            (_, true) => -1,
            (_, false) => 1,
        };
        Some(Self {
            sign,
            lead: length(whole.len()) - length(zeros) + exponent,
            digits,
        })
    }
}

fn length(digits: usize) -> i64 {
    i64::try_from(digits).unwrap_or(EXPONENT_LIMIT)
}

/// The digits at the start, and what follows them.
fn digits(text: &[u8]) -> (&[u8], &[u8]) {
    let end = text.iter().position(|byte| !byte.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

fn exponent(text: &[u8]) -> Option<i64> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] | rest => (false, rest),
    };
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let size = text.iter().fold(0_i64, |size, digit| {
        size.saturating_mul(10)
            .saturating_add(i64::from(digit - b'0'))
            .min(EXPONENT_LIMIT)
    });
    Some(if negative { -size } else { size })
}

impl Decimal<'_> {
    fn count(&self) -> usize {
        self.digits[0].len() + self.digits[1].len()
    }
}

impl Ord for Decimal<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        let size = || {
            self.lead.cmp(&other.lead).then_with(|| {
                let mine = self.digits.into_iter().flatten();
                let theirs = other.digits.into_iter().flatten();
                let (most, zeros) = (self.count().max(other.count()), || std::iter::repeat(&b'0'));
                mine.chain(zeros()).take(most).cmp(theirs.chain(zeros()).take(most))
            })
        };
        self.sign.cmp(&other.sign).then_with(|| match self.sign {
            0 => Ordering::Equal,
            1 => size(),
            _ => size().reverse(),
        })
    }
}

impl PartialOrd for Decimal<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Decimal<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Decimal<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn compare(one: &str, other: &str) -> Ordering {
        Decimal::parse(one).unwrap().cmp(&Decimal::parse(other).unwrap())
    }

    #[test]
    fn the_same_number_may_be_written_in_many_ways() {
        for (one, other) in [
            ("1", "1.0"),
            ("1", "10e-1"),
            ("1", "0.1E+1"),
            ("0", "-0.00e7"),
            ("100", "1e2"),
            ("0.001", "1e-3"),
            ("12.50", "0012.5"),
            ("-7", "-70e-1"),
            ("0e99999999999999999999999", "0"),
        ] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
            assert_eq!(compare(other, one), Ordering::Equal, "{other} {one}");
        }
    }

    #[test]
    fn numbers_stand_in_their_order() {
        let sorted = [
            "-1e99999999999999999999",
            "-10",
            "-9.5",
            "-9",
            "-0.1",
            "-1e-99999999999999999999",
            "0",
            "1e-400",
            "0.09",
            "0.1",
            "0.10000000000000000000000000000001",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
            "18446744073709551615",
            "18446744073709551615.1",
            "18446744073709551616",
            "1e400",
        ];
        for (place, one) in sorted.iter().enumerate() {
            for (other_place, other) in sorted.iter().enumerate() {
                assert_eq!(compare(one, other), place.cmp(&other_place), "{one} {other}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_not_read() {
        for text in [
            "", "-", ".5", "5.", "1e", "1e+", "+1", " 1", "1 ", "0x1", "1.e5", "NaN", "1_000", "--1", "é",
        ] {
            assert!(Decimal::parse(text).is_none(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn integers_compare_as_they_do_elsewhere(one in any::<i128>(), other in any::<i128>(), digits in 0..20_u32) {
            for (one, other) in [(one, other), (one, one), (one, one.saturating_add(1)), (one >> 100, other >> 100)] {
                prop_assert_eq!(compare(&one.to_string(), &other.to_string()), one.cmp(&other));
                // The same with the point elsewhere.
                let spelled = format!("{one}e-{digits}");
                prop_assert_eq!(compare(&spelled, &format!("{other}.000e-{digits}")), one.cmp(&other));
            }
        }
    }
}
