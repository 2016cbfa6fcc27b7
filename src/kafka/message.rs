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
