//! What each action makes of each kind of value: the tables of docs/shaping.md.

use super::*;

/// What stands in place of a value; `None` if nothing does.
fn made(action: &Action, value: &str) -> Option<String> {
    match action.effect(value, &mut String::new()) {
        Effect::Keep => Some(value.to_owned()),
        Effect::Remove => None,
        Effect::Replace => {
            let mut out = Vec::new();
            action.write_quoted(value, &mut Buffers::default(), &mut out);
            let out = String::from_utf8(out).unwrap();
            assert!(serde_json::from_str::<String>(&out).is_ok(), "{out}");
            Some(out)
        }
    }
}

fn key() -> HashKey {
    HashKey::new(b"0123456789abcdef").unwrap()
}

fn hashed(value: &str) -> String {
    made(&Action::Hash(key()), value).unwrap()
}

#[test]
fn a_hash_is_hmac_sha_256_in_hex() {
    // RFC 4231, test case 6, which has a key of 131 bytes.
    let key = HashKey::new(&[0xaa; 131]).unwrap();
    let hash = made(
        &Action::Hash(key),
        "\"Test Using Larger Than Block-Size Key - Hash Key First\"",
    );
    assert_eq!(
        hash.as_deref(),
        Some("\"60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54\"")
    );
}

#[test]
fn a_hash_is_of_what_a_value_means() {
    assert_eq!(hashed(r#""https:\/\/a\u0062""#), hashed(r#""https://ab""#));
    assert_eq!(hashed("\"12\""), hashed("12"));
    assert_ne!(hashed("\"12\""), hashed("13"));
    assert_ne!(hashed("12"), hashed("12.0"));
    let other = HashKey::new(b"0123456789abcdeX").unwrap();
    assert_ne!(Some(hashed("12")), made(&Action::Hash(other), "12"));
}

#[test]
fn a_hash_of_what_is_nested_leaves_nothing_of_it() {
    let hash = hashed(r#"{"mail":"a@example.com"}"#);
    assert_eq!(hash.len(), 66);
    assert_ne!(hash, hashed(r#"{"mail":"b@example.com"}"#));
}

#[test]
fn null_stays_and_is_removed_by_remove_alone() {
    for action in [Action::Hash(key()), Action::TruncateIp, Action::Mask { leaves: 4 }] {
        assert_eq!(made(&action, "null").as_deref(), Some("null"));
    }
    for value in ["null", "1", "\"a\"", "{}", "[]"] {
        assert_eq!(made(&Action::Remove, value), None);
    }
}

#[test]
fn an_address_loses_its_last_bits_and_what_is_none_is_removed() {
    for (address, left) in [
        ("203.0.113.77", Some("203.0.113.0")),
        ("2001:db8:1:2:3:4:5:6", Some("2001:db8:1::")),
        ("::ffff:203.0.113.77", Some("::ffff:203.0.113.0")),
        ("2001:DB8::1", Some("2001:db8::")),
        ("2002:cb00:714d::1", Some("2002:cb00:7100::")),
        ("::1", Some("::")),
        ("203.0.113", None),
        ("203.0.113.77, 198.51.100.1", None),
        (" 203.0.113.77", None),
        ("fe80::1%eth0", None),
        ("203.0.113.77:80", None),
        ("somebody", None),
        ("", None),
    ] {
        let left = left.map(|left| format!("\"{left}\""));
        assert_eq!(made(&Action::TruncateIp, &format!("\"{address}\"")), left, "{address}");
    }
    let escaped = r#""203.0.113\u002e77""#;
    assert_eq!(made(&Action::TruncateIp, escaped).as_deref(), Some("\"203.0.113.0\""));
    for value in ["17", "true", "[\"203.0.113.77\"]", "{}"] {
        assert_eq!(made(&Action::TruncateIp, value), None, "{value}");
    }
}

#[test]
fn a_mask_leaves_the_last_characters_and_never_all_of_them() {
    for (leaves, value, left) in [
        (4, "\"visitor-123\"", Some("\"*******-123\"")),
        (4, "\"abcde\"", Some("\"*bcde\"")),
        (4, "\"abcd\"", Some("\"****\"")),
        (4, "\"\"", Some("\"\"")),
        (0, "\"abc\"", Some("\"***\"")),
        (2, "\"né€🚲é\"", Some("\"***🚲é\"")),
        (2, r#""xx\"\\""#, Some(r#""**\"\\""#)),
        (1, r#""x\u0001""#, Some(r#""*\u0001""#)),
        (2, "-12345", Some("\"****45\"")),
        (4, "false", Some("\"*****\"")),
        (1, "true", Some("\"****\"")),
        (4, "{\"a\":\"secret\"}", None),
        (4, "[\"secret\"]", None),
    ] {
        assert_eq!(made(&Action::Mask { leaves }, value).as_deref(), left, "{value}");
    }
}

#[test]
fn a_key_shows_its_id_and_short_ones_are_refused() {
    assert_eq!(key().id().len(), 16);
    assert_eq!(key().id(), key().id());
    assert_ne!(key().id(), HashKey::new(b"0123456789abcdeX").unwrap().id());
    assert_eq!(
        format!("{:?}", Action::Hash(key())),
        format!("Hash(HashKey({}))", key().id())
    );
    assert_eq!(HashKey::new(b"0123456789abcde").unwrap_err(), KeyTooShort(15));
}
