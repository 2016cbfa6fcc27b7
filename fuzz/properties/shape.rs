//! A shape, whatever its texts and the hit: bytes that are a hit get a verdict and a hit goes out; other bytes are refused, for the reason that is told elsewhere; what privacy
//! removes is not there any more; and faults point into the text.
//!
//! An input is a condition and a pointer, each behind its length, and a hit; all made of parts.

use livestreamd::hit::inspect;
use livestreamd::shape::condition::Condition;
use livestreamd::shape::fault::Fault;
use livestreamd::shape::pointer::Pointer;
use livestreamd::shape::privacy::{Action, HashKey};
use livestreamd::shape::template::Template;
use livestreamd::shape::topic;
use livestreamd::shape::{Fields, Filter, Plan, Scratch, Verdict};

use super::SECRET;
use super::cursor::Cursor;

/// A byte above 0x7f stands for one of these.
const PARTS: [&str; 40] = [
    "/",
    "*",
    "a",
    "~",
    "1",
    "0",
    "exists(",
    "not ",
    " and ",
    " or ",
    "(",
    ")",
    " == ",
    " != ",
    " in ",
    "[",
    "]",
    ",",
    "..",
    " =~ ",
    "'",
    "\"",
    "{",
    "}",
    ":",
    "{\"a\":",
    "\"a\"",
    "\"\\u0061\":",
    "\"b\":{",
    "null",
    "true",
    "-12.5e3",
    "[[",
    "]]",
    "{field:",
    "\\",
    "\\ud800",
    SECRET,
    "\"s\":\"p8e-s3cr3t\"",
    "é",
];

pub fn check(input: &[u8]) {
    let mut cursor = Cursor(input);
    let mut text = |most: u8| {
        let length = usize::from(cursor.byte() % most);
        spelled(cursor.bytes(length))
    };
    let (condition, pointer) = (text(24), text(8));
    let mut hit = spelled(cursor.0);
    if input.len().is_multiple_of(2) {
        hit = [b"{", &hit[..], b"}"].concat();
    }
    let condition_text = String::from_utf8_lossy(&condition);
    let pointer_text = String::from_utf8_lossy(&pointer);
    let condition = pointing(Condition::parse(&condition_text), &condition_text);
    let pointer = pointing(Pointer::parse(&pointer_text), &pointer_text);
    pointing(Template::parse(&pointer_text), &pointer_text);
    pointing(topic::parse(&pointer_text), &pointer_text);

    let key = HashKey::new(SECRET.as_bytes()).expect("long enough");
    let secret = Pointer::parse("/s").expect("a pointer");
    let mut plan = Plan {
        filters: condition.map(Filter::DropIf).into_iter().collect(),
        privacy: vec![(secret, Action::Remove)],
        ..Plan::default()
    };
    if let Some(pointer) = pointer {
        match input.len() % 5 {
            0 => plan.fields = Fields::Keep(vec![pointer]),
            1 => plan.fields = Fields::Drop(vec![pointer]),
            2 => plan.privacy.push((pointer, Action::Hash(key))),
            3 => plan.privacy.push((pointer, Action::Mask { leaves: 1 })),
            _ => plan.required.push(pointer),
        }
    }
    let Ok(shape) = plan.shape() else { return };
    let mut scratch = Scratch::default();
    match (shape.apply(&hit, &mut scratch), inspect(&hit)) {
        (Verdict::Forward(shaped) | Verdict::Incomplete { shaped, .. }, Ok(_)) => {
            assert!(inspect(shaped.bytes()).is_ok(), "{}", shaped.bytes().escape_ascii());
            let again = serde_json::from_slice::<serde_json::Value>(shaped.bytes());
            assert!(
                again.is_err() || again.is_ok_and(|again| again.get("s").is_none()),
                "it is still there"
            );
        }
        (Verdict::Dropped { .. }, Ok(_)) => {}
        (Verdict::Unshapable(told), Err(reason)) => assert_eq!(told, reason),
        (verdict, inspected) => panic!("{verdict:?} but {inspected:?}: {}", hit.escape_ascii()),
    }
}

/// What was read; a fault must have a place in the text.
fn pointing<T>(read: Result<T, Fault>, text: &str) -> Option<T> {
    let fault = match read {
        Ok(read) => return Some(read),
        Err(fault) => fault,
    };
    assert!(text.is_char_boundary(fault.offset()), "{fault}");
    assert!(fault.excerpt().ends_with('^') && !fault.what().is_empty(), "{fault}");
    None
}

/// The parts that the bytes stand for.
pub fn spelled(part: &[u8]) -> Vec<u8> {
    let mut spelled = Vec::new();
    for byte in part {
        match PARTS.get(usize::from(*byte).wrapping_sub(0x80)) {
            Some(part) => spelled.extend_from_slice(part.as_bytes()),
            None => spelled.push(*byte),
        }
    }
    spelled
}
