//! The page for Prometheus, made from the model that everybody sees ([`crate::status`]), in the text format 0.0.4.
//!
//! | module | holds |
//! | --- | --- |
//! | [`family`] | what a family of metrics is: name, type, help, and how it is read from the model |
//! | [`daemon`], [`stream`], [`output`], [`around`] | all families: the daemon, its streams, their outputs, and what they share |
//! | [`markdown`] | docs/metrics.md, from the same texts |
//!
//! Promise: pure. A family stands in one place with its name, its help and its reading; there is no register and nothing is counted here.
//! Label values come from the settings, or from fixed tables: whatever else the model may hold counts as `other`, so that the number of
//! time series is bounded by the numbers of streams, connections, outputs, filters and credentials.

pub mod around;
pub mod daemon;
pub mod family;
pub mod markdown;
pub mod output;
pub mod stream;

use prometheus::TextEncoder;
use prometheus::proto::{MetricFamily, MetricType};

use crate::status::Daemon;
use family::{Family, Kind, Out, Samples};

/// What the page is, for the header `Content-Type`.
pub const CONTENT_TYPE: &str = prometheus::TEXT_FORMAT;
/// All names begin with it.
pub const PREFIX: &str = "livestreamd_";

/// All families, in the order of the page.
pub fn families() -> impl Iterator<Item = &'static Family> {
    [daemon::ALL, stream::ALL, output::ALL, around::ALL]
        .into_iter()
        .flatten()
}

/// The page. A family without samples, such as the age of a token when there is none, is left out.
pub fn page(daemon: &Daemon) -> String {
    let (encoder, mut page) = (TextEncoder::new(), String::new());
    for family in families() {
        let family = filled(family, daemon);
        if family.get_metric().is_empty() {
            continue;
        }
        if let Err(error) = encoder.encode_utf8(&[family], &mut page) {
            // It refuses families without a name or samples, and there are none.
            tracing::error!(%error, "a metric cannot be written");
        }
    }
    page
}

fn filled(family: &Family, daemon: &Daemon) -> MetricFamily {
    let mut out = Out::new(family);
    match family.samples {
        Samples::Daemon(read) => read(daemon, &mut out),
        Samples::Stream(read) => {
            for stream in &daemon.streams {
                out.about(&[("stream", &stream.name)]);
                read(stream, &mut out);
            }
        }
        Samples::Output(read) => {
            for stream in &daemon.streams {
                for output in &stream.outputs {
                    out.about(&[("stream", &stream.name), ("output", &output.name)]);
                    read(output, &mut out);
                }
            }
        }
        Samples::Connection(read) => {
            for stream in &daemon.streams {
                for connection in &stream.connections {
                    out.about(&[("stream", &stream.name), ("slot", &connection.slot.to_string())]);
                    read(connection, &mut out);
                }
            }
        }
        Samples::Credential(read) => {
            for credential in &daemon.credentials {
                out.about(&[("credential", &credential.name)]);
                read(credential, &mut out);
            }
        }
    }
    let mut filled = MetricFamily::default();
    filled.set_name(format!("{PREFIX}{}", family.name));
    filled.set_help(family.help.to_owned());
    filled.set_field_type(match family.kind {
        Kind::Counter => MetricType::COUNTER,
        Kind::Gauge => MetricType::GAUGE,
        Kind::Histogram => MetricType::HISTOGRAM,
    });
    filled.set_metric(out.samples());
    filled
}

#[cfg(test)]
mod tests;
