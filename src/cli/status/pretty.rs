//! JSON laid out for a terminal: nothing is left out or put into another order, and nothing in it is anything that a terminal would obey.

use std::fmt::Write as _;

use crate::upstream::is_unprintable;

/// Two blanks a level.
const INDENT: &str = "  ";

/// `json`, which must be valid, with one entry a line. What cannot be printed is escaped as JSON has it.
pub(super) fn pretty(json: &str) -> String {
    let mut out = String::with_capacity(json.len() * 2);
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut symbols = json.chars().peekable();
    while let Some(c) = symbols.next() {
        if in_text {
            if is_unprintable(c) {
                escape(&mut out, c);
            } else {
                out.push(c);
            }
            in_text = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            ' ' | '\t' | '\n' | '\r' => {}
            '{' | '[' => {
                out.push(c);
                while symbols.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = symbols.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            _ => {
                in_text = c == '"';
                out.push(c);
            }
        }
    }
    out
}

fn line(out: &mut String, depth: usize) {
    out.push('\n');
    out.push_str(&INDENT.repeat(depth));
}

fn escape(out: &mut String, c: char) {
    for unit in c.encode_utf16(&mut [0; 2]) {
        let _ = write!(out, "\\u{unit:04x}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn entries_stand_on_lines_of_their_own_in_their_order() {
        let given = r#"{"b":[1,{"x":"y, \"z\" {"}], "a" : {}, "c":[ ]}"#;
        let wanted =
            "{\n  \"b\": [\n    1,\n    {\n      \"x\": \"y, \\\"z\\\" {\"\n    }\n  ],\n  \"a\": {},\n  \"c\": []\n}";
        assert_eq!(pretty(given), wanted);
    }

    #[test]
    fn what_a_terminal_obeys_is_escaped() {
        let given = json!({ "a\u{9b}": "\u{7f}\u{202e}\u{e0041}\x1b" });
        let shown = pretty(&given.to_string());
        assert!(!shown.chars().any(|c| is_unprintable(c) && c != '\n'), "{shown:?}");
        assert_eq!(serde_json::from_str::<Value>(&shown).unwrap(), given);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(7), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn it_means_the_same(texts in proptest::collection::vec(".{0,12}", 0..6)) {
            let given = json!({ "l": texts, "m": { "k": texts.first(), "n": [[], {}, [-1.5e3, true, null]] } });
            for written in [given.to_string(), serde_json::to_string_pretty(&given).unwrap()] {
                prop_assert_eq!(&serde_json::from_str::<Value>(&pretty(&written)).unwrap(), &given);
            }
        }
    }
}
