//! What can be made to go wrong, and how it is written down as text.
//!
//! A fault either befalls the next *attempts* ([`AttemptFault`]) or a *stream that is open* ([`StreamFault`]). Both can be asked for
//! from code, from the command line and over HTTP; the latter two write `name` or `name:key=value,key=value`, for example
//! `stall:for=30s` or `status:code=503,times=2,retry-after=5`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::Serialize;

/// The longest record that [`StreamFault::Oversized`] makes, in bytes.
pub const MOST_OVERSIZED: usize = 64 * 1024 * 1024;
/// The most times that anything is done for one order.
const MOST_TIMES: u32 = 1_000_000;

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

    const fn name(self) -> &'static str {
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

/// Why a fault was not understood, or not taken on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize)]
#[serde(into = "String")]
pub enum FaultError {
    /// No fault has this name.
    #[error("unknown fault {0:?}: use one of {KNOWN}")]
    Unknown(String),
    /// No fault of the token endpoint has this name.
    #[error("unknown fault {0:?} of the token endpoint: use one of status, garbage, slow, hang-up")]
    UnknownOfToken(String),
    /// A key that this fault does not have.
    #[error("fault {fault}: unknown key {key:?}")]
    Key {
        /// The fault's name.
        fault: String,
        /// The key.
        key: String,
    },
    /// A value that does not fit its key.
    #[error("fault {fault}: {key} cannot be {value:?}: {expected}")]
    Value {
        /// The fault's name.
        fault: String,
        /// The key.
        key: &'static str,
        /// What was given.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// The simulator has no such stream.
    #[error("there is no stream {0:?}: use the name of a simulated stream")]
    NoStream(String),
    /// Too many are waiting already.
    #[error("stream {0}: too many faults are waiting: connect a client that meets them first")]
    Full(String),
}

impl From<FaultError> for String {
    fn from(error: FaultError) -> Self {
        error.to_string()
    }
}

const KNOWN: &str = "close, close-without-trailer, cut, cut-between, reset, stall, corrupt-gzip, wrong-trailer, truncated-gzip, \
     corrupt-chunk, garbage, empty, oversized, odd-ids, twin, repeat, slow, status, no-answer, hang-up, strange-coding, silence";

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (name, keys) = text.split_once(':').unwrap_or((text, ""));
        let mut fields = Fields::parse(name, keys);
        let fault = match name {
            "close" => StreamFault::Close { trailer: true }.into(),
            "close-without-trailer" => StreamFault::Close { trailer: false }.into(),
            "cut" => StreamFault::Cut.into(),
            "cut-between" => StreamFault::CutBetween.into(),
            "reset" => StreamFault::Reset.into(),
            "stall" => StreamFault::Stall {
                lasts: fields.duration("for")?,
            }
            .into(),
            "corrupt-gzip" => StreamFault::CorruptGzip.into(),
            "wrong-trailer" => StreamFault::WrongTrailer.into(),
            "truncated-gzip" => StreamFault::TruncatedGzip.into(),
            "corrupt-chunk" => StreamFault::CorruptChunk.into(),
            "garbage" => StreamFault::Garbage {
                kind: fields.garbage()?,
                times: fields.times()?,
            }
            .into(),
            "empty" => StreamFault::Empty { times: fields.times()? }.into(),
            "oversized" => StreamFault::Oversized { bytes: fields.bytes()? }.into(),
            "odd-ids" => StreamFault::OddIds { times: fields.times()? }.into(),
            "twin" => StreamFault::Twin.into(),
            "repeat" => StreamFault::Repeat {
                records: fields.number("records", 10)?,
            }
            .into(),
            "slow" => {
                let pause = fields.duration("pause")?.unwrap_or(Duration::from_millis(1));
                StreamFault::Slow {
                    records: fields.number("records", 1)?,
                    pause,
                }
                .into()
            }
            "status" => {
                let code = fields.status()?;
                AttemptFault::Status {
                    code,
                    retry_after: fields.retry_after()?,
                }
                .times(fields.times()?)
            }
            "no-answer" => AttemptFault::NoAnswer.times(fields.times()?),
            "hang-up" => AttemptFault::HangUp.times(fields.times()?),
            "strange-coding" => AttemptFault::StrangeCoding.times(fields.times()?),
            "silence" => AttemptFault::Silence.times(fields.times()?),
            unknown => return Err(FaultError::Unknown(unknown.chars().take(40).collect())),
        };
        fields.done()?;
        Ok(fault)
    }
}

impl FromStr for TokenFault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let (name, keys) = text.split_once(':').unwrap_or((text, ""));
        let mut fields = Fields::parse(name, keys);
        let fault = match name {
            "status" => Self::Status {
                code: fields.status()?,
                retry_after: fields.retry_after()?,
            },
            "garbage" => Self::Garbage,
            "slow" => Self::Slow(fields.duration("for")?.unwrap_or(Duration::from_secs(5))),
            "hang-up" => Self::HangUp,
            unknown => return Err(FaultError::UnknownOfToken(unknown.chars().take(40).collect())),
        };
        fields.done()?;
        Ok(fault)
    }
}

/// The keys of a fault as text; each may be taken once.
struct Fields {
    fault: String,
    fields: BTreeMap<String, String>,
}

impl Fields {
    fn parse(fault: &str, keys: &str) -> Self {
        let pair = |pair: &str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key.trim().to_owned(), value.trim().to_owned())
        };
        let fields = keys.split(',').filter(|part| !part.is_empty()).map(pair).collect();
        Self {
            fault: fault.to_owned(),
            fields,
        }
    }

    fn wrong(&self, key: &'static str, value: String, expected: &'static str) -> FaultError {
        FaultError::Value {
            fault: self.fault.clone(),
            key,
            value,
            expected,
        }
    }

    fn duration(&mut self, key: &'static str) -> Result<Option<Duration>, FaultError> {
        let Some(value) = self.fields.remove(key) else {
            return Ok(None);
        };
        humantime::parse_duration(&value)
            .map(Some)
            .map_err(|_| self.wrong(key, value, "use a duration such as 30s"))
    }

    fn number<T: FromStr>(&mut self, key: &'static str, default: T) -> Result<T, FaultError> {
        let Some(value) = self.fields.remove(key) else {
            return Ok(default);
        };
        value.parse().map_err(|_| self.wrong(key, value, "use a whole number"))
    }

    fn times(&mut self) -> Result<u32, FaultError> {
        let times = self.number("times", 1)?;
        if times == 0 || times > MOST_TIMES {
            return Err(self.wrong("times", times.to_string(), "use 1 to 1000000"));
        }
        Ok(times)
    }

    fn bytes(&mut self) -> Result<usize, FaultError> {
        let bytes = self.number("bytes", 9 * 1024 * 1024)?;
        if bytes > MOST_OVERSIZED {
            return Err(self.wrong("bytes", bytes.to_string(), "use at most 67108864"));
        }
        Ok(bytes)
    }

    fn status(&mut self) -> Result<u16, FaultError> {
        let code = self.number("code", 503)?;
        if !(200..=999).contains(&code) {
            return Err(self.wrong("code", code.to_string(), "use a status such as 503"));
        }
        Ok(code)
    }

    fn retry_after(&mut self) -> Result<Option<u64>, FaultError> {
        let Some(value) = self.fields.remove("retry-after") else {
            return Ok(None);
        };
        value
            .parse()
            .map(Some)
            .map_err(|_| self.wrong("retry-after", value, "use whole seconds"))
    }

    fn garbage(&mut self) -> Result<Garbage, FaultError> {
        let Some(value) = self.fields.remove("kind") else {
            return Ok(Garbage::Text);
        };
        let kind = Garbage::ALL.into_iter().find(|kind| kind.name() == value);
        kind.ok_or_else(|| self.wrong("kind", value, "use text, array, truncated or invalid-utf8"))
    }

    fn done(self) -> Result<(), FaultError> {
        match self.fields.into_keys().next() {
            Some(key) => Err(FaultError::Key { fault: self.fault, key }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_from_text() {
        let read = |text: &str| text.parse::<Fault>();
        assert_eq!(read("close"), Ok(StreamFault::Close { trailer: true }.into()));
        assert_eq!(read("stall"), Ok(StreamFault::Stall { lasts: None }.into()));
        assert_eq!(
            read("stall:for=30s"),
            Ok(StreamFault::Stall {
                lasts: Some(Duration::from_secs(30))
            }
            .into())
        );
        assert_eq!(
            read("status:code=429,times=2,retry-after=5"),
            Ok(AttemptFault::Status {
                code: 429,
                retry_after: Some(5)
            }
            .times(2))
        );
        assert_eq!(
            read("garbage:kind=array,times=3"),
            Ok(StreamFault::Garbage {
                kind: Garbage::Array,
                times: 3
            }
            .into())
        );
    }

    #[test]
    fn every_name_that_an_error_lists_is_read() {
        for name in KNOWN.split(", ") {
            let fault = name.trim().parse::<Fault>().unwrap();
            if let Fault::Stream(fault) = fault {
                assert_eq!(fault.name(), name.trim());
            }
        }
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let message = |text: &str| text.parse::<Fault>().unwrap_err().to_string();
        assert!(message("melt").starts_with("unknown fault \"melt\": use one of close,"));
        assert_eq!(message("cut:times=2"), "fault cut: unknown key \"times\"");
        assert_eq!(
            message("stall:for=long"),
            "fault stall: for cannot be \"long\": use a duration such as 30s"
        );
        assert_eq!(
            message("empty:times=0"),
            "fault empty: times cannot be \"0\": use 1 to 1000000"
        );
        assert!(message("status:code=99").contains("use a status such as 503"));
    }
}
