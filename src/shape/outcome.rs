//! What becomes of one record, all of it told: for people who try a configuration out, and for its tests. It decides as the forwarder does, without what the forwarder alone knows:
//! which hits are copies, and what Kafka finds too large.

use super::message::{Message, Texts};
use super::output::Output;
use super::parcel::Parcel;
use super::template::Names;
use super::{Scratch, Verdict};
use crate::hit::{DeadLetterReason, inspect};

/// Headers by name, in their order.
pub type Headers = Vec<(String, String)>;

/// What becomes of a record. No `Debug`: it holds what is the visitor's.
#[derive(Clone, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// It goes out.
    Forwarded(Message<'a, Headers>),
    /// The filter of this name holds it back.
    HeldBack(&'a str),
    /// It lacks a field.
    Incomplete {
        /// Which.
        field: &'a str,
        /// What goes to the topic for such hits; `None` if they are dropped.
        message: Option<Message<'a, Headers>>,
    },
    /// It is not a hit, or too long.
    DeadLetter {
        /// Why.
        reason: DeadLetterReason,
        /// What goes to the dead-letter topic; `None` for a further output: the stream's dead letter is that of the output that every stream has.
        message: Option<Message<'a, Headers>>,
    },
}

/// Room for the work on one record, used again for the next.
#[derive(Debug, Default)]
pub struct Room {
    scratch: Scratch,
    texts: Texts,
}

/// What becomes of a record, whose line ending is stripped, that came off the wire at `received_ms`.
pub fn outcome<'a>(
    output: &'a Output,
    names: Names<'a>,
    record: &'a [u8],
    received_ms: u64,
    room: &'a mut Room,
) -> Outcome<'a> {
    let hit = match inspect(record) {
        Ok(hit) => hit,
        Err(reason) => {
            let letter = Letter::whole(DeadLetterReason::NotAHit(reason), record);
            return letter.outcome(output, names, received_ms, &mut room.texts);
        }
    };
    let Room { scratch, texts } = room;
    let (shaped, lacks) = match output.apply(record, scratch) {
        Verdict::Forward(shaped) => (shaped, None),
        Verdict::Incomplete { field, shaped } => (shaped, Some(output.required(field))),
        Verdict::Dropped { filter } => return Outcome::HeldBack(output.filters().nth(filter).unwrap_or_default()),
        Verdict::Unshapable(reason) => {
            let letter = Letter::whole(DeadLetterReason::NotAHit(reason), record);
            return letter.outcome(output, names, received_ms, texts);
        }
    };
    if let Some(field) = lacks
        && output.incomplete_topic().is_none()
    {
        return Outcome::Incomplete { field, message: None };
    }
    let parcel = Parcel::Hit {
        shaped,
        hit,
        duplicate: false,
        lacks,
    };
    let message = texts.message(output, names, parcel, received_ms, Headers::new(), with);
    match lacks {
        None => Outcome::Forwarded(message),
        Some(field) => Outcome::Incomplete {
            field,
            message: Some(message),
        },
    }
}

/// What becomes of a record of `length` bytes that was too long to keep more of it than `first_bytes`.
pub fn outcome_of_too_long<'a>(
    output: &'a Output,
    names: Names<'a>,
    first_bytes: &'a [u8],
    length: u64,
    received_ms: u64,
    room: &'a mut Room,
) -> Outcome<'a> {
    let letter = Letter {
        reason: DeadLetterReason::TooLong,
        bytes: first_bytes,
        length: Some(length),
    };
    letter.outcome(output, names, received_ms, &mut room.texts)
}

struct Letter<'a> {
    reason: DeadLetterReason,
    bytes: &'a [u8],
    length: Option<u64>,
}

impl<'a> Letter<'a> {
    const fn whole(reason: DeadLetterReason, bytes: &'a [u8]) -> Self {
        Self {
            reason,
            bytes,
            length: None,
        }
    }

    fn outcome(self, output: &'a Output, names: Names<'a>, received_ms: u64, texts: &'a mut Texts) -> Outcome<'a> {
        let parcel = Parcel::DeadLetter {
            bytes: output.told(self.reason, self.bytes),
            length: self.length,
            reason: self.reason,
            of: None,
        };
        Outcome::DeadLetter {
            reason: self.reason,
            message: output
                .describes_what_is_no_hit()
                .then(|| texts.message(output, names, parcel, received_ms, Headers::new(), with)),
        }
    }
}

impl<'a> Outcome<'a> {
    /// What goes to Kafka, if anything does.
    pub const fn message(&self) -> Option<&Message<'a, Headers>> {
        match self {
            Self::Forwarded(message) => Some(message),
            Self::Incomplete { message, .. } | Self::DeadLetter { message, .. } => message.as_ref(),
            Self::HeldBack(_) => None,
        }
    }
}

fn with(mut headers: Headers, name: &str, value: &str) -> Headers {
    headers.push((name.to_owned(), value.to_owned()));
    headers
}

#[cfg(test)]
#[path = "outcome_tests.rs"]
mod tests;
