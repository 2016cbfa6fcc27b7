//! `run --reset NAME=WHERE`: what the operator wishes, held against the streams that there are.

use std::collections::BTreeMap;
use std::str::FromStr;

use crate::lifecycle::ResetTo;

/// One `NAME=WHERE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    stream: String,
    to: ResetTo,
}

impl FromStr for Wish {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (stream, to) = text
            .split_once('=')
            .ok_or("use NAME=WHERE, for example web=latest; WHERE is smallest, earliest, largest or latest")?;
        Ok(Self {
            stream: stream.to_owned(),
            to: to.parse()?,
        })
    }
}

/// The wishes by the names of streams.
///
/// # Errors
/// What is wrong, if a stream is not among `streams` or is to start at two places.
pub(super) fn resets(wishes: &[Wish], streams: &[&str]) -> Result<BTreeMap<String, ResetTo>, String> {
    let mut resets = BTreeMap::new();
    for Wish { stream, to } in wishes {
        if !streams.contains(&stream.as_str()) {
            let known = streams.join(", ");
            return Err(format!(
                "--reset names the stream {stream:?}, which the configuration does not have: use one of {known}"
            ));
        }
        match resets.insert(stream.clone(), *to) {
            Some(other) if other != *to => {
                return Err(format!(
                    "--reset wants the stream {stream} at {other} and at {to}: use one of them"
                ));
            }
            Some(_) | None => {}
        }
    }
    Ok(resets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(texts: &[&str]) -> Result<BTreeMap<String, ResetTo>, String> {
        let wishes: Result<Vec<Wish>, String> = texts.iter().map(|text| text.parse()).collect();
        resets(&wishes?, &["shop", "web"])
    }

    #[test]
    fn wishes_are_taken_by_stream() {
        assert_eq!(asked(&[]), Ok(BTreeMap::new()));
        let both = asked(&["web=latest", "shop=smallest", "web=latest"]).unwrap();
        assert_eq!(both["web"], ResetTo::Latest);
        assert_eq!(both["shop"], ResetTo::Smallest);
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        for (texts, told) in [
            (&["web"][..], "NAME=WHERE"),
            (&["web=newest"], "smallest, earliest, largest or latest"),
            (&["wbe=latest"], "shop, web"),
            (&["web=latest", "web=smallest"], "latest and at smallest"),
        ] {
            let error = asked(texts).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
    }
}
