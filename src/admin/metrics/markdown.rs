//! All families as a page of Markdown: docs/metrics.md, which a test holds to it.

use std::fmt::Write as _;

use super::family::Kind;
use super::{PREFIX, families};

const HEAD: &str = "# Metrics

What `GET /metrics` shows, in the text format of Prometheus. Counters begin with 0 when the daemon starts. Values are of the last look at everything, which
is taken about once a second. Label values come from the settings (`stream`, `slot`, `output`, `filter`, `credential`) or from fixed lists, so there are no more time series
than the configuration has streams, connections, outputs, filters and credentials for: about 135 a stream with one connection and no further output. Metrics
of a stream that speak of hits, duplicates, dead letters and deliveries are those of its output `default`; each output has `livestreamd_output_...`. `livestreamd_delivery_state` is of the output that fares worst.

This page is made from the tables in `src/admin/metrics`; do not edit it, but renew it by `livestreamd explain --metrics > docs/metrics.md`.

| metric | type | labels | meaning |
| --- | --- | --- | --- |
";

/// The page.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    for family in families() {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let labels: Vec<String> = family.labels().map(|label| format!("`{label}`")).collect();
        let (name, labels, help) = (family.name, labels.join(", "), family.help);
        let _ = writeln!(page, "| `{PREFIX}{name}` | {kind} | {labels} | {help} |");
    }
    page.truncate(page.trim_end().len());
    page
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_page_in_docs_is_the_tables_of_the_code() {
        let in_docs = include_str!("../../../docs/metrics.md");
        assert!(
            in_docs == format!("{}\n", page()),
            "docs/metrics.md is not what the tables say: renew it by cargo run -- explain --metrics > docs/metrics.md"
        );
    }
}
