//! Texts for a terminal: without anything that a terminal would obey, and cut or wrapped to a width.
//!
//! Widths are columns of the terminal, not characters: some take two, some none.

use std::fmt::Write as _;

use serde_json::Value;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use crate::upstream::is_unprintable;

/// Stands where something was cut off.
const CUT: char = '…';

/// `text` with a blank in the place of each character that could move a cursor, colour what follows, or hide or turn it.
pub(in crate::cli) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_unprintable(c) { ' ' } else { c }).collect()
}

/// `text` with each such character as JSON escapes it, `\u001b`: JSON with any of them in its strings stays the same JSON.
pub(in crate::cli) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unprintable(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// [`clean`] for all texts in it, names of keys included.
pub(in crate::cli) fn clean_all(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clean(&text)),
        Value::Array(values) => values.into_iter().map(clean_all).collect(),
        Value::Object(entries) => entries
            .into_iter()
            .map(|(key, value)| (clean(&key), clean_all(value)))
            .collect(),
        plain @ (Value::Null | Value::Bool(_) | Value::Number(_)) => plain,
    }
}

/// How many columns it takes.
pub(in crate::cli) fn width(text: &str) -> usize {
    text.width()
}

/// As much of `text` as fits into `columns`; if that is not all, it ends in `…`.
pub(in crate::cli) fn cut(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut left = columns.saturating_sub(1);
    for c in text.chars() {
        let Some(rest) = left.checked_sub(c.width().unwrap_or(0)) else {
            break;
        };
        left = rest;
        kept.push(c);
    }
    if columns > 0 {
        kept.push(CUT);
    }
    kept
}

/// `text` in exactly so many columns, cut or padded; at the right edge if it is a number.
pub(in crate::cli) fn cell(text: &str, columns: usize, right: bool) -> String {
    let text = cut(text, columns);
    let blanks = " ".repeat(columns.saturating_sub(width(&text)));
    if right { blanks + &text } else { text + &blanks }
}

/// `text` in lines of at most `columns`, broken at blanks, and within a word only if the word is longer than a line.
pub(in crate::cli) fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(1);
    let mut lines = vec![String::new()];
    let mut used = 0;
    for word in text.split_whitespace() {
        if used > 0 && used + 1 + width(word) <= columns {
            push(&mut lines, " ");
            push(&mut lines, word);
            used += 1 + width(word);
            continue;
        }
        if used > 0 {
            lines.push(String::new());
            used = 0;
        }
        for c in word.chars() {
            let wide = c.width().unwrap_or(0);
            if used > 0 && used + wide > columns {
                lines.push(String::new());
                used = 0;
            }
            push(&mut lines, c.encode_utf8(&mut [0; 4]));
            used += wide;
        }
    }
    lines
}

fn push(lines: &mut [String], text: &str) {
    if let Some(line) = lines.last_mut() {
        line.push_str(text);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_that_a_terminal_obeys_comes_through() {
        let hostile = "a\x1b[2Jb\u{9b}31mc\rd\ne\x07f\u{202e}g\u{200b}h\u{7f}i\tj\u{61c}k";
        assert_eq!(clean(hostile), "a [2Jb 31mc d e f g h i j k");
        let value = json!({ hostile: [hostile, { "deep": hostile }], "n": 1 });
        let shown = clean_all(value).to_string();
        assert!(!shown.chars().any(is_unprintable) && !shown.contains("\\u"), "{shown}");
    }

    #[test]
    fn what_is_escaped_is_harmless_and_the_same_json() {
        let hostile = "a\x1b[2J\u{9b}31m\u{202e}\u{e0041}é\u{7f}";
        assert_eq!(escaped(hostile), r"a\u001b[2J\u009b31m\u202e\udb40\udc41é\u007f");
        let json = serde_json::to_string(hostile).unwrap();
        assert!(json.contains('\u{9b}') && !escaped(&json).contains(is_unprintable));
        assert_eq!(serde_json::from_str::<String>(&escaped(&json)).unwrap(), hostile);
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(
            (cut("abcdef", 6).as_str(), cut("abcdef", 4).as_str()),
            ("abcdef", "abc…")
        );
        assert_eq!((cut("abc", 1).as_str(), cut("abc", 0).as_str()), ("…", ""));
        assert_eq!(cut("漢字漢字", 4), "漢…", "two columns each");
        assert_eq!(
            (cell("ab", 4, false), cell("ab", 4, true)),
            ("ab  ".into(), "  ab".into())
        );
    }

    #[test]
    fn a_long_text_is_broken_at_blanks_and_a_long_word_anywhere() {
        assert_eq!(wrapped("one two three", 7), ["one two", "three"]);
        assert_eq!(wrapped("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrapped("", 3), [""]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(5), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_is_wider_than_asked_for_and_wrapping_loses_nothing(text in "\\PC{0,80}", columns in 0..30_usize) {
            prop_assert!(width(&cut(&text, columns)) <= columns);
            prop_assert_eq!(width(&cell(&text, columns, true)), columns);
            let lines = wrapped(&text, columns.max(2));
            prop_assert!(lines.iter().all(|line| width(line) <= columns.max(2)), "{:?}", lines);
            let letters = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }
    }
}
