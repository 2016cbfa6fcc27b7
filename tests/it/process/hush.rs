//! What must not stand in a log: the content of hits, taken from the hits themselves, and tokens.

use std::collections::HashSet;

use livestreamd::demo::chaos::CLIENT_SECRET;
use serde_json::Value;

use crate::support::kafka::Record;

/// Shorter values, such as a language or a colour depth, are also words or numbers of other things.
const SHORTEST_TEXT: usize = 12;
const LEAST_NUMBER: u64 = 10_000_000_000;
/// So many bytes of what is no hit are looked for.
const PIECE: usize = 24;

/// Values that stand in hits and dead letters.
#[derive(Default)]
pub struct HitContent {
    numbers: HashSet<String>,
    texts: HashSet<String>,
}

impl HitContent {
    /// All ids and addresses, and all values and keys that are too long to be anything else.
    pub fn of<'r>(
        hits: impl IntoIterator<Item = &'r Record>,
        dead_letters: impl IntoIterator<Item = &'r Record>,
    ) -> Self {
        let mut content = Self::default();
        for hit in hits {
            // Odd ones may hold a key twice, which is as well.
            let hit: Value = serde_json::from_slice(&hit.value).expect("a hit is JSON");
            content
                .texts
                .insert(hit["ip"].as_str().expect("a hit has an address").to_owned());
            content.add(&hit);
        }
        for letter in dead_letters {
            let text = String::from_utf8_lossy(&letter.value);
            let whole: Vec<char> = text.chars().collect();
            for piece in whole.chunks_exact(PIECE).take(4) {
                content.texts.insert(piece.iter().collect());
            }
        }
        content
    }

    fn add(&mut self, value: &Value) {
        match value {
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.add_text(key);
                    self.add(value);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.add(value)),
            Value::String(text) => self.add_text(text),
            Value::Number(number) => {
                if number.as_u64().is_some_and(|number| number >= LEAST_NUMBER) {
                    self.numbers.insert(number.to_string());
                }
            }
            Value::Bool(_) | Value::Null => {}
        }
    }

    fn add_text(&mut self, text: &str) {
        if text.len() >= SHORTEST_TEXT {
            self.texts.insert(text.to_owned());
        }
    }

    /// How many values are looked for.
    pub fn len(&self) -> usize {
        self.numbers.len() + self.texts.len()
    }

    /// The first of them in a log, with the line that it stands in.
    pub fn in_log(&self, log: &str) -> Option<(String, String)> {
        let words: HashSet<&str> = log.split(|c: char| !c.is_ascii_digit()).collect();
        let number = self.numbers.iter().find(|number| words.contains(number.as_str()));
        let found = number.or_else(|| self.texts.iter().find(|text| log.contains(text.as_str())))?;
        let line = log.lines().find(|line| line.contains(found.as_str()));
        Some((found.clone(), line.unwrap_or_default().to_owned()))
    }
}

/// The first secret in the log of a chaotic run: what the daemon gets tokens with, or a token, or the header for one.
pub fn secret_in(log: &str) -> Option<&str> {
    let is_secret = |line: &&str| {
        let token = line.split("sim-").skip(1).any(|rest| {
            let digits = rest.bytes().take_while(u8::is_ascii_hexdigit);
            digits.count() >= 8
        });
        token || line.contains(CLIENT_SECRET) || line.to_ascii_lowercase().contains("bearer ")
    };
    log.lines().find(is_secret)
}

/// Panics unless everything that was looked for would have been found.
#[track_caller]
pub fn assert_it_could_fail(content: &HitContent, log: &str) {
    for planted in content.numbers.iter().take(50).chain(content.texts.iter().take(50)) {
        let log = format!("{log}\n{{\"level\":\"DEBUG\",\"fields\":{{\"record\":\"x={planted};\"}}}}\n");
        assert_eq!(
            content.in_log(&log).map(|(found, _)| found).as_deref(),
            Some(planted.as_str())
        );
    }
    for planted in [CLIENT_SECRET, "sim-0123abcd99", "Authorization: Bearer x"] {
        let log = format!("{log}\n{planted}\n");
        assert_eq!(secret_in(&log), Some(planted));
    }
}
