//! A message as rdkafka takes it.

use rdkafka::message::{Header, OwnedHeaders};

use super::forwarder::ForwarderSettings;
use super::lane::Message;
use crate::shape::message::Texts;
use crate::shape::parcel::Parcel;

/// The message for a parcel that came off the wire at `received_ms`, and how many bytes it has with its topic, key and headers: librdkafka counts the value alone.
/// `texts` has room for its texts.
pub(super) fn message<'a>(
    texts: &'a mut Texts,
    settings: &'a ForwarderSettings,
    parcel: Parcel<'a>,
    received_ms: u64,
) -> (Message<'a>, usize) {
    let (output, names) = (&settings.output, settings.names());
    let made = texts.message(output, names, parcel, received_ms, (OwnedHeaders::new(), 0), with);
    let (headers, header_bytes) = made.headers;
    let bytes = made.value.len() + made.topic.len() + made.key.map_or(0, str::len) + header_bytes;
    let mut message = Message::with_opaque_to(made.topic, 0)
        .payload(made.value)
        .timestamp(i64::try_from(made.timestamp_ms).unwrap_or(i64::MAX))
        .headers(headers);
    message.key = made.key.map(str::as_bytes);
    (message, bytes)
}

fn with((headers, bytes): (OwnedHeaders, usize), key: &str, value: &str) -> (OwnedHeaders, usize) {
    let header = Header {
        key,
        value: Some(value),
    };
    (headers.insert(header), bytes + key.len() + value.len())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::hit::Hit;
    use crate::settings::{DedupMode, DedupSettings, Output, OutputSettings};
    use crate::shape::Shaped;

    #[test]
    fn a_message_counts_with_its_topic_key_and_headers() {
        let settings = ForwarderSettings {
            name: "web".to_owned(),
            report_suite: "acme".to_owned(),
            output: Arc::new(Output::new(OutputSettings::to("hits", "dead")).unwrap()),
            dedup: DedupSettings {
                mode: DedupMode::Off,
                window: Duration::from_secs(60),
                max_ids: 1,
            },
        };
        let size = |hit: Hit| {
            let parcel = Parcel::Hit {
                shaped: Shaped::untouched(b"{}"),
                hit,
                duplicate: false,
                lacks: None,
            };
            message(&mut Texts::default(), &settings, parcel, 0).1
        };
        let headers = "livestream.stream".len() + "web".len() + "livestream.report_suite".len() + "acme".len();
        let least = size(Hit::default());
        assert_eq!(least, "{}".len() + "hits".len() + headers);
        let with_ids = Hit {
            visitor_id: Some((1, 2)),
            hit_id: Some((3, 4)),
            ..Hit::default()
        };
        assert_eq!(
            size(with_ids) - least,
            "1_2".len() + "livestream.hit_id".len() + "3_4".len()
        );
    }
}
