//! What must not happen, and that it did.

use std::fmt;

/// What must not happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// What was appended is there after a kill, and what was durable after a power loss.
    Lost,
    /// What is read was appended, and so.
    Changed,
    /// Batches are read in order.
    Order,
    /// A position means one thing, for good.
    PositionTwice,
    /// A segment goes only when every cursor is durably past it.
    UnlinkedTooEarly,
    /// A segment with damage is set aside.
    SetAside,
    /// What is missing was reported.
    Reported,
    /// A cursor stands where it was last noted.
    Cursor,
    /// When the disk works again, so does the journal.
    Alive,
    /// All room is given back in the end.
    Room,
}

#[derive(Clone, Debug)]
pub struct Violation {
    pub rule: Rule,
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.rule, self.what)
    }
}

pub(super) type Judged<T> = Result<T, Violation>;

pub(super) fn violated<T>(rule: Rule, what: impl fmt::Display) -> Judged<T> {
    Err(Violation {
        rule,
        what: what.to_string(),
    })
}
