//! What can be made to go wrong, and how it is written down as text.
//!
//! A fault either befalls the next *attempts* ([`AttemptFault`]) or a *stream that is open* ([`StreamFault`]). Both can be asked for
//! from code, from the command line and over HTTP; the latter two write `name` or `name:key=value,key=value`, for example
//! `stall:for=30s` or `status:code=503,times=2,retry-after=5`.

use std::fmt;
use std::time::Duration;

/// The longest record that [`StreamFault::Oversized`] makes, in bytes.
pub const MOST_OVERSIZED: usize = 64 * 1024 * 1024;

/// Something that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The next attempts on a stream, as many as said.
    Attempts(AttemptFault, u32),
    /// A connection of a stream that is open, or the next one to be.
    Stream(StreamFault),
}

/// What befalls an attempt instead of its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptFault {
    /// It is answered with this status.
    Status {
        /// Any status.
        code: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// It is never answered; the connection stays open.
    NoAnswer,
    /// The connection is closed without an answer.
    HangUp,
    /// 200 with a content coding that nobody asked for.
    StrangeCoding,
    /// 200 and the head, then silence for good.
    Silence,
}

impl AttemptFault {
    /// This status, without a `Retry-After`.
    pub const fn status(code: u16) -> Self {
        Self::Status {
            code,
            retry_after: None,
        }
    }

    /// Befalls the next `times` attempts.
    pub const fn times(self, times: u32) -> Fault {
        Fault::Attempts(self, times)
    }
}

/// What befalls an open stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamFault {
    /// The service ends the answer in good order: last chunk, and the gzip trailer or not.
    Close {
        /// Whether the gzip trailer comes first.
        trailer: bool,
    },
    /// The connection closes in the middle of a chunk and of a record.
    Cut,
    /// The connection closes between two chunks, after a whole record, without a last chunk.
    CutBetween,
    /// The connection is reset in the middle of a record.
    Reset,
    /// Nothing is sent for this long, or until another fault; the connection stays open.
    Stall {
        /// How long; nothing means for good.
        lasts: Option<Duration>,
    },
    /// Half a record, then bytes that no inflater accepts.
    CorruptGzip,
    /// The gzip trailer's checksum is wrong; all records are right.
    WrongTrailer,
    /// The gzip data ends in the middle of a record; the chunked coding ends in good order.
    TruncatedGzip,
    /// A chunk head that is none. Without chunked coding the same as [`Self::Cut`].
    CorruptChunk,
    /// Records that are not one JSON object.
    Garbage {
        /// Which kind.
        kind: Garbage,
        /// How many.
        times: u32,
    },
    /// Empty records.
    Empty {
        /// How many.
        times: u32,
    },
    /// One hit of at least this many bytes (up to [`MOST_OVERSIZED`]).
    Oversized {
        /// How many.
        bytes: usize,
    },
    /// Hits whose ids are missing, text, too large, and doubled, in turn.
    OddIds {
        /// How many.
        times: u32,
    },
    /// A hit with the id of the last one, but other bytes (protocol notes, section 6).
    Twin,
    /// The last hits once more.
    Repeat {
        /// How many, as far as they are remembered.
        records: usize,
    },
    /// One hit after the other, byte by byte.
    Slow {
        /// How many hits.
        records: u32,
        /// The pause after each byte; zero sends as fast as single bytes go.
        pause: Duration,
    },
}

/// A record that is no hit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Garbage {
    /// Plain text.
    Text,
    /// A JSON array.
    Array,
    /// A hit that breaks off.
    Truncated,
    /// A JSON object with bytes that are not UTF-8.
    InvalidUtf8,
}

impl Garbage {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Text, Self::Array, Self::Truncated, Self::InvalidUtf8];

    /// Its name, as it is written.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Array => "array",
            Self::Truncated => "truncated",
            Self::InvalidUtf8 => "invalid-utf8",
        }
    }
}

impl StreamFault {
    /// What a demonstration lets happen: everything that ends a connection, and everything strange that a stream can hold, but
    /// nothing that goes on until somebody interferes.
    pub fn usual() -> Vec<Self> {
        let mut faults = vec![
            Self::Close { trailer: true },
            Self::Close { trailer: false },
            Self::Cut,
            Self::CutBetween,
            Self::Reset,
            Self::CorruptGzip,
            Self::WrongTrailer,
            Self::TruncatedGzip,
            Self::CorruptChunk,
            Self::Empty { times: 3 },
            Self::OddIds { times: 4 },
            Self::Twin,
            Self::Repeat { records: 20 },
            Self::Slow {
                records: 1,
                pause: Duration::ZERO,
            },
            Self::Stall {
                lasts: Some(Duration::from_millis(500)),
            },
        ];
        faults.extend(Garbage::ALL.map(|kind| Self::Garbage { kind, times: 1 }));
        faults
    }

    /// A short fixed name, as it is written.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Close { trailer: true } => "close",
            Self::Close { trailer: false } => "close-without-trailer",
            Self::Cut => "cut",
            Self::CutBetween => "cut-between",
            Self::Reset => "reset",
            Self::Stall { .. } => "stall",
            Self::CorruptGzip => "corrupt-gzip",
            Self::WrongTrailer => "wrong-trailer",
            Self::TruncatedGzip => "truncated-gzip",
            Self::CorruptChunk => "corrupt-chunk",
            Self::Garbage { .. } => "garbage",
            Self::Empty { .. } => "empty",
            Self::Oversized { .. } => "oversized",
            Self::OddIds { .. } => "odd-ids",
            Self::Twin => "twin",
            Self::Repeat { .. } => "repeat",
            Self::Slow { .. } => "slow",
        }
    }
}

impl From<StreamFault> for Fault {
    fn from(fault: StreamFault) -> Self {
        Self::Stream(fault)
    }
}

impl From<AttemptFault> for Fault {
    fn from(fault: AttemptFault) -> Self {
        Self::Attempts(fault, 1)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stream(fault) => f.write_str(fault.name()),
            Self::Attempts(AttemptFault::Status { code, .. }, times) => write!(f, "status:code={code},times={times}"),
            Self::Attempts(AttemptFault::NoAnswer, times) => write!(f, "no-answer:times={times}"),
            Self::Attempts(AttemptFault::HangUp, times) => write!(f, "hang-up:times={times}"),
            Self::Attempts(AttemptFault::StrangeCoding, times) => write!(f, "strange-coding:times={times}"),
            Self::Attempts(AttemptFault::Silence, times) => write!(f, "silence:times={times}"),
        }
    }
}

/// What befalls a request for an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenFault {
    /// It is answered with this status.
    Status {
        /// Any status.
        code: u16,
        /// `Retry-After`, in seconds.
        retry_after: Option<u64>,
    },
    /// 200 with a body that is no JSON.
    Garbage,
    /// The right answer, this late.
    Slow(Duration),
    /// The connection is closed without an answer.
    HangUp,
}
