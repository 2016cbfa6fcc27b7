//! What one log event says, taken out of it: the message, and its fields as text, within bounds.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};

/// What stands where a text was cut.
const CUT: char = '…';

/// How much is kept of one event.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Of the message, and of each value, in bytes.
    pub(super) text: usize,
    /// Of all values together; what is beyond that is left out but for the first value that does not fit, which is cut.
    pub(super) all: usize,
}

/// The message and the fields of one event, in their order.
#[derive(Debug)]
pub(super) struct Fields {
    pub(super) message: String,
    pub(super) values: Vec<(&'static str, String)>,
    bounds: Bounds,
    left: usize,
}

impl Fields {
    /// Of this event.
    pub(super) fn of(event: &tracing::Event<'_>, bounds: Bounds) -> Self {
        let mut fields = Self {
            message: String::new(),
            values: Vec::new(),
            bounds,
            left: bounds.all,
        };
        event.record(&mut fields);
        // Where a line is shown without its target, what another program says must not be taken for ours.
        let target = event.metadata().target();
        if !is_ours(target) {
            fields.message = format!("{target}: {}", fields.message);
        }
        fields
    }

    fn keep(&mut self, field: &Field, value: impl fmt::Display) {
        if field.name() == "message" {
            self.message = bounded(value, self.bounds.text);
        } else if self.left > 0 {
            let value = bounded(value, self.bounds.text.min(self.left));
            self.left = self.left.saturating_sub(field.name().len() + value.len());
            self.values.push((field.name(), value));
        }
    }
}

/// Whether a target, or the path of a module, is one of this program.
pub(super) fn is_ours(path: &str) -> bool {
    let rest = path.strip_prefix(env!("CARGO_CRATE_NAME"));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.keep(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.keep(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.keep(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.keep(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.keep(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.keep(field, format_args!("{value:?}"));
    }
}

/// The beginning of what is shown, with a mark if something is missing. No more than `most` bytes, the mark aside.
fn bounded(value: impl fmt::Display, most: usize) -> String {
    let mut kept = Bounded {
        text: String::new(),
        most,
    };
    // A value whose own writing fails is kept as far as it got.
    if write!(kept, "{value}").is_err() {
        kept.text.push(CUT);
    }
    kept.text
}

struct Bounded {
    text: String,
    most: usize,
}

impl fmt::Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = self.most - self.text.len().min(self.most);
        let end = more.floor_char_boundary(room);
        self.text.push_str(&more[..end]);
        if end < more.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_cut_between_characters_and_says_so() {
        assert_eq!(bounded("grün", 3), "gr…");
        assert_eq!(bounded("grün", 4), "grü…");
        assert_eq!(bounded("grün", 5), "grün");
        assert_eq!(bounded(format_args!("{}{}", "ab", "cd"), 3), "abc…");
        assert_eq!(bounded("", 0), "");
    }
}
