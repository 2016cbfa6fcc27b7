//! An answer's bytes become a [`Daemon`] that may be shown on a terminal, also if another version of livestreamd wrote them: what is
//! known is taken, and what is not is said to be missing.

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::cli::shown::text::clean_all;
use crate::status::{Connection, Daemon, FORMAT, Stream};

/// A status that was read.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Document {
    /// It. No text in it holds anything that a terminal would obey.
    pub(in crate::cli) daemon: Daemon,
    /// It is not all there, or may mean something else than we think: why.
    pub(in crate::cli) notice: Option<String>,
    /// As it came: valid JSON.
    pub(in crate::cli) raw: Bytes,
}

/// Reads an answer.
///
/// # Errors
/// What is wrong, if this is no status of any livestreamd.
pub(in crate::cli) fn read(raw: Bytes) -> Result<Document, String> {
    let Ok(value) = serde_json::from_slice::<Value>(&raw) else {
        return Err("its status is no JSON".to_owned());
    };
    let value = clean_all(value);
    let is_array = value.get("streams").is_some_and(Value::is_array);
    let Some(format) = value.get("format").and_then(Value::as_u64).filter(|_| is_array) else {
        return Err("its status lacks what every livestreamd says".to_owned());
    };
    let (daemon, whole) = match serde_json::from_value::<Daemon>(value.clone()) {
        Ok(daemon) => (daemon, true),
        Err(_) => (piecemeal(value), false),
    };
    let version = &daemon.version;
    let notice = if format > u64::from(FORMAT) {
        Some(format!(
            "the daemon's version {version} writes its status in format {format}, and this livestreamd reads up to {FORMAT}: some of it may be \
             missing or wrong here; use that version"
        ))
    } else if whole {
        None
    } else {
        Some(format!(
            "the daemon's version {version} writes its status otherwise: some of it is missing here; use that version"
        ))
    };
    Ok(Document { daemon, notice, raw })
}

/// What is understood of a status.
fn piecemeal(value: Value) -> Daemon {
    let (mut entries, streams) = parted(value, "streams");
    // Format numbers that do not fit are of no further use.
    entries.remove("format");
    let mut daemon: Daemon = by_field(entries);
    daemon.streams = streams
        .into_iter()
        .map(|stream| {
            let (entries, connections) = parted(stream, "connections");
            let mut stream: Stream = by_field(entries);
            stream.connections = connections
                .into_iter()
                .map(|connection| by_field::<Connection>(parted(connection, "").0))
                .collect();
            stream
        })
        .collect();
    daemon
}

/// An object, and the list that stood in it under `key`.
fn parted(value: Value, key: &str) -> (Map<String, Value>, Vec<Value>) {
    let Value::Object(mut entries) = value else {
        return Default::default();
    };
    let list = match entries.remove(key) {
        Some(Value::Array(list)) => list,
        Some(_) | None => Vec::new(),
    };
    (entries, list)
}

/// No object of ours has so many fields. Each is tried for itself, which takes its time.
const MOST_FIELDS: usize = 256;

/// A default with each field taken over that can be read.
fn by_field<T: Default + Serialize + DeserializeOwned>(entries: Map<String, Value>) -> T {
    let Ok(Value::Object(mut taken)) = serde_json::to_value(T::default()) else {
        return T::default();
    };
    for (key, value) in entries.into_iter().take(MOST_FIELDS) {
        let before = taken.insert(key.clone(), value);
        if T::deserialize(Value::Object(taken.clone())).is_err() {
            match before {
                Some(before) => taken.insert(key, before),
                None => taken.remove(&key),
            };
        }
    }
    serde_json::from_value(Value::Object(taken)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cli::shown::made_up::daemon;

    fn read_value(value: &Value) -> Result<Document, String> {
        read(value.to_string().into())
    }

    #[test]
    fn a_newer_format_is_shown_as_far_as_it_is_known() {
        let mut value = serde_json::to_value(daemon()).unwrap();
        value["format"] = json!(FORMAT + 1);
        value["colour"] = json!("blue");
        let read = read_value(&value).unwrap();
        assert_eq!(read.daemon.streams, daemon().streams);
        assert!(read.notice.unwrap().contains(&format!("in format {}", FORMAT + 1)));

        value["streams"][1]["connections"][0]["state"] = json!("dreaming");
        value["streams"][1]["delivery"] = json!(["otherwise"]);
        value["uptime_seconds"] = json!("long");
        value["kafka"] = Value::Null;
        let read = read_value(&value).unwrap();
        let (shown, wanted) = (&read.daemon.streams, daemon().streams);
        assert_eq!((&shown[0], &shown[2..]), (&wanted[0], &wanted[2..]));
        assert_eq!(shown[1].connections[1], wanted[1].connections[1]);
        assert_eq!(shown[1].connections[0].since, wanted[1].connections[0].since);
        assert_eq!(
            (shown[1].rates.clone(), read.daemon.hindrances),
            (wanted[1].rates.clone(), daemon().hindrances)
        );
        assert!(read.notice.is_some());
    }

    #[test]
    fn an_older_version_without_a_field_of_ours_is_shown_too() {
        let mut value = serde_json::to_value(daemon()).unwrap();
        value.as_object_mut().unwrap().remove("credentials");
        value["streams"][0].as_object_mut().unwrap().remove("rates");
        let read = read_value(&value).unwrap();
        assert_eq!(read.daemon.streams[1..], daemon().streams[1..]);
        assert!(read.notice.unwrap().contains("some of it is missing here"));
        value["streams"] = json!([7, null, []]);
        assert_eq!(read_value(&value).unwrap().daemon.streams.len(), 3);
    }

    #[test]
    fn no_text_is_left_that_a_terminal_obeys() {
        let mut hostile = daemon();
        hostile.streams[0].connections[0].reason.as_mut().unwrap().text =
            "\x1b]0;gotcha\x07\u{9b}2J\u{202e}".to_owned();
        let read = read_value(&serde_json::to_value(hostile).unwrap()).unwrap();
        let text = &read.daemon.streams[0].connections[0].reason.as_ref().unwrap().text;
        assert_eq!(text, " ]0;gotcha  2J ");
    }
}
