//! A message as rdkafka takes it.

use rdkafka::message::{Header, OwnedHeaders};

use super::forwarder::ForwarderSettings;
use super::lane::Message;
use crate::shape::message::Texts;
use crate::shape::parcel::Parcel;

/// The message for a parcel that came off the wire at `received_ms`. `texts` has room for its texts.
pub(super) fn message<'a>(
    texts: &'a mut Texts,
    settings: &'a ForwarderSettings,
    parcel: Parcel<'a>,
    received_ms: u64,
) -> Message<'a> {
    let (output, names) = (&settings.output, settings.names());
    let made = texts.message(output, names, parcel, received_ms, OwnedHeaders::new(), with);
    let mut message = Message::with_opaque_to(made.topic, 0)
        .payload(made.value)
        .timestamp(i64::try_from(made.timestamp_ms).unwrap_or(i64::MAX))
        .headers(made.headers);
    message.key = made.key.map(str::as_bytes);
    message
}

fn with(headers: OwnedHeaders, key: &str, value: &str) -> OwnedHeaders {
    headers.insert(Header {
        key,
        value: Some(value),
    })
}
