//! What a value of a hit means: strings without their quotes and escapes, and back.
//!
//! Promise: the text of a value comes from the walk, so its grammar is right; were it not, a wrong meaning comes out and no panic. A lone surrogate
//! (`\ud800`), which no text can hold, means U+FFFD.

/// A value, as conditions and actions look at it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning<'a> {
    /// A string, without quotes and escapes.
    String(&'a str),
    /// A number, as it stands.
    Number(&'a str),
    True,
    False,
    Null,
    /// An object or an array.
    Nested,
}

/// What the JSON text of a value means. `buffer` is used if there are escapes.
#[inline]
pub(super) fn meaning<'a>(value: &'a str, buffer: &'a mut String) -> Meaning<'a> {
    match value.as_bytes().first() {
        Some(b'"') => Meaning::String(unescaped(within_quotes(value), buffer)),
        Some(b'{' | b'[') => Meaning::Nested,
        Some(b't') => Meaning::True,
        Some(b'f') => Meaning::False,
        Some(b'n') | None => Meaning::Null,
        Some(_) => Meaning::Number(value),
    }
}

/// A string's text without the quotes around it.
pub(super) fn within_quotes(value: &str) -> &str {
    value.get(1..value.len().saturating_sub(1)).unwrap_or_default()
}

/// What stands between two quotes, without escapes. `buffer` is used if there are any.
#[inline]
pub(super) fn unescaped<'a>(raw: &'a str, buffer: &'a mut String) -> &'a str {
    let Some(first) = memchr::memchr(b'\\', raw.as_bytes()) else {
        return raw;
    };
    buffer.clear();
    decode(raw, first, buffer);
    buffer
}

fn decode(raw: &str, first: usize, buffer: &mut String) {
    let mut rest = raw;
    let mut next = Some(first);
    while let Some(at) = next {
        buffer.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let Some(letter) = rest.chars().next() else { return };
        rest = &rest[letter.len_utf8()..];
        buffer.push(match letter {
            'b' => '\u{8}',
            'f' => '\u{c}',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'u' => unit_pair(&mut rest),
            letter => letter,
        });
        next = memchr::memchr(b'\\', rest.as_bytes());
    }
    buffer.push_str(rest);
}

/// The character behind `\u`, of two units if it takes two.
fn unit_pair(rest: &mut &str) -> char {
    let Some(high) = unit(rest) else {
        return char::REPLACEMENT_CHARACTER;
    };
    *rest = &rest[4..];
    if (0xd800..0xdc00).contains(&high)
        && let Some(after) = rest.strip_prefix("\\u")
        && let Some(low) = unit(after)
        && (0xdc00..0xe000).contains(&low)
    {
        *rest = &after[4..];
        return char::from_u32(0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00))
            .unwrap_or(char::REPLACEMENT_CHARACTER);
    }
    char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER)
}

fn unit(text: &str) -> Option<u32> {
    u32::from_str_radix(text.get(..4)?, 16).ok()
}

/// Appends a JSON string of this meaning, quotes included.
pub(super) fn write_string(meaning: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut rest = meaning;
    while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        match rest.as_bytes()[at] {
            byte @ (b'"' | b'\\') => out.extend_from_slice(&[b'\\', byte]),
            byte => {
                let hex = |nibble: u8| b"0123456789abcdef"[usize::from(nibble & 15)];
                out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte)]);
            }
        }
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn meant(raw: &str) -> String {
        unescaped(raw, &mut String::from("left over")).to_owned()
    }

    #[test]
    fn escapes_are_what_they_mean() {
        for (raw, meaning) in [
            ("plain é", "plain é"),
            (r"https:\/\/a\/", "https://a/"),
            (r#"\"\\\b\f\n\r\t"#, "\"\\\u{8}\u{c}\n\r\t"),
            (r"evar\u0031x", "evar1x"),
            (r"\ud83d\udeb2 \uD83D\uDEB2", "🚲 🚲"),
            (r"\u0000", "\0"),
        ] {
            assert_eq!(meant(raw), meaning, "{raw}");
        }
    }

    #[test]
    fn a_lone_surrogate_means_the_replacement_character() {
        for (raw, meaning) in [
            (r"a\ud800b", "a\u{fffd}b"),
            (r"\udc00", "\u{fffd}"),
            (r"\ud800\u0041", "\u{fffd}A"),
            (r"\ud800\ud83d\udeb2", "\u{fffd}🚲"),
        ] {
            assert_eq!(meant(raw), meaning, "{raw}");
        }
    }

    #[test]
    fn what_is_no_json_does_not_panic() {
        for raw in ["\\", "\\u", "\\u00é", "\\u12", "\\é", "\\ud800\\u"] {
            meant(raw);
        }
        for value in ["", "\"", "x"] {
            meaning(value, &mut String::new());
        }
    }

    proptest! {
        #[test]
        fn a_string_means_what_another_parser_reads(text in any::<String>()) {
            for raw in [serde_json::to_string(&text).unwrap(), serde_json::to_string(&text).unwrap().replace('/', "\\/")] {
                prop_assert_eq!(&meant(within_quotes(&raw)), &text);
            }
            let escaped: Vec<_> = text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            prop_assert_eq!(&meant(&escaped.concat()), &text);
        }

        #[test]
        fn what_is_written_is_read_back(text in any::<String>()) {
            let mut out = Vec::new();
            write_string(&text, &mut out);
            prop_assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
