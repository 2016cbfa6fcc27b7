//! Which of its two meanings a 409 has, by the words that come with it. It changes what people are told, never how long we wait.
//!
//! Adobe documents both meanings and that `error_description` tells them apart, but not its words (protocol notes, section 4). So words are
//! looked for, tolerantly; what speaks of both, or of neither, is unclear.

/// What a 409 is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Conflict {
    /// As many connections as are allowed are counted, perhaps with one that we lost.
    Reached,
    /// Another client gave another `maxConnections`.
    Differs,
    /// It does not say.
    Unclear,
}

/// Words that say that values differ, if the parameter is spoken of.
const DIFFERS: &[&str] = &[
    "differ",
    "mismatch",
    "not match",
    "n't match",
    "not equal",
    "not the same",
    "same value",
    "same maxconnections",
    "must match",
    "must be the same",
    "inconsistent",
];
/// How the parameter may be spelt, once everything but letters is gone.
const PARAMETER: &[&str] = &["maxconnection", "maximumconnection", "numberofconnections"];
/// Words that say that there is no room.
const REACHED: &[&str] = &["reached", "exceed", "too many", "in use", "no more", "limit"];
/// Says so only where nothing differs: it is part of the parameter's name, too.
const MAXIMUM: &str = "maximum";

/// Tells by the description that came with a 409, if one did.
pub fn conflict(description: Option<&str>) -> Conflict {
    let text = description.unwrap_or_default().to_lowercase();
    let letters: String = text.chars().filter(char::is_ascii_alphabetic).collect();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    let differs = says(DIFFERS) && PARAMETER.iter().any(|name| letters.contains(name));
    match (differs, says(REACHED)) {
        (true, false) => Conflict::Differs,
        (false, true) => Conflict::Reached,
        (false, false) if text.contains(MAXIMUM) => Conflict::Reached,
        (true, true) | (false, false) => Conflict::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    #[test]
    fn both_meanings_are_told_apart_in_many_words() {
        for text in [
            "maxConnections differs: this client sent 3, another one 2",
            "The value of maxConnections does not match the other clients",
            "Max Connections mismatch",
            "max_connections must be the same for every client",
            "All clients must send the same value for maxConnections",
            "The maximum number of connections doesn't match",
        ] {
            assert_eq!(conflict(Some(text)), Conflict::Differs, "{text}");
        }
        for text in [
            "maximum number of connections reached: 1 are allowed and counted as open",
            "maxConnections reached",
            "Too many connections",
            "The connection limit was exceeded",
            "Maximum connections: 2",
        ] {
            assert_eq!(conflict(Some(text)), Conflict::Reached, "{text}");
        }
        for text in [
            "",
            "Conflict",
            "the account has a different owner",
            "maxConnections exceeded; every client must send the same value",
        ] {
            assert_eq!(conflict(Some(text)), Conflict::Unclear, "{text}");
        }
        assert_eq!(conflict(None), Conflict::Unclear);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2_000, rng_seed: RngSeed::Fixed(9), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn letter_case_makes_no_difference(text in "(max_?Connections|connection| |differs?|reached|maximum|Ä){0,6}") {
            prop_assert_eq!(conflict(Some(&text)), conflict(Some(&text.to_uppercase())));
        }
    }
}
