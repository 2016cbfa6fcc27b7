//! Faults as people write them: `name`, or `name:key=value,key=value`.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use super::faults::{AttemptFault, Fault, Garbage, MOST_OVERSIZED, StreamFault, TokenFault};

/// The most times that anything is done for one order.
const MOST_TIMES: u32 = 1_000_000;

/// Why a fault was not understood, or not taken on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
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
