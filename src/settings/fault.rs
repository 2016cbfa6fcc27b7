//! What is wrong with a configuration: every fault with its key, its value (never a secret) and what to do, collected until the end.
//!
//! Promise: whoever holds a [`Reported`] has put at least one fault into the [`Report`], so a setting that could not be made is never
//! without an explanation.

use std::fmt;

use super::source::Origin;

/// A line that is longer, in characters, is not shown: the place is told in words too.
const MOST_EXCERPT: usize = 200;

/// One thing that is wrong. `Display` is one line: key, value, environment variable if it came from one, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    key: String,
    shown: Option<String>,
    origin: Origin,
    problem: String,
    /// Lines that show the place within the value.
    excerpt: Vec<String>,
}

impl Fault {
    /// The dotted path of the key, such as `streams.web.cooldown`; for a fault of the file as a whole, its path.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The environment variable that the value came from, if it did.
    pub fn variable(&self) -> Option<&str> {
        match &self.origin {
            Origin::Variable(name) => Some(name),
            Origin::File | Origin::Absent => None,
        }
    }

    /// What is wrong, and what to do.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.key))?;
        if let Some(shown) = &self.shown {
            write!(f, " = {shown}")?;
        }
        if let Some(variable) = self.variable() {
            write!(f, " (from {})", one_line(variable))?;
        }
        write!(f, ": {}", one_line(&self.problem))
    }
}

/// Everything that is wrong with a configuration, one line each; never empty.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// The faults, in the order in which they were found.
    pub fn iter(&self) -> std::slice::Iter<'_, Fault> {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a Faults {
    type Item = &'a Fault;
    type IntoIter = std::slice::Iter<'a, Fault>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Something that works and is probably not meant. `Display` is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    key: String,
    message: String,
}

impl Warning {
    /// The dotted path of the key.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", one_line(&self.key), one_line(&self.message))
    }
}

/// Proof that a fault has been reported. Only [`Report::fault`] makes one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reported(());

/// Where a value stands: its dotted path, and what set it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) key: String,
    pub(super) origin: Origin,
}

impl Place {
    /// The place of a key that nobody has set.
    pub(super) fn absent(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            origin: Origin::Absent,
        }
    }

    /// A place in the file.
    pub(super) fn file(key: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            origin: Origin::File,
        }
    }
}

/// Collects faults and warnings while the tree is walked.
#[derive(Debug, Default)]
pub(super) struct Report {
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
}

impl Report {
    /// Adds a fault; `shown` is the value as it may be printed. The same fault found twice (as for a default that several streams
    /// share) stands once.
    pub(super) fn fault(&mut self, place: &Place, shown: Option<String>, problem: impl Into<String>) -> Reported {
        self.fault_within(place, shown, problem, "")
    }

    /// The same for a fault within a value: the lines of `excerpt` show where.
    pub(super) fn fault_within(
        &mut self,
        place: &Place,
        shown: Option<String>,
        problem: impl Into<String>,
        excerpt: &str,
    ) -> Reported {
        let is_short = excerpt.lines().all(|line| line.chars().count() <= MOST_EXCERPT);
        let excerpt = excerpt.lines().filter(|_| is_short);
        let fault = Fault {
            excerpt: excerpt.map(|line| one_line(&line.replace('\t', " "))).collect(),
            key: place.key.clone(),
            shown,
            origin: place.origin.clone(),
            problem: problem.into(),
        };
        if !self.faults.contains(&fault) {
            self.faults.push(fault);
        }
        Reported(())
    }

    /// Adds a warning, once.
    pub(super) fn warn(&mut self, key: impl Into<String>, message: impl Into<String>) {
        let warning = Warning {
            key: key.into(),
            message: message.into(),
        };
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    /// Whether a fault of just this key has been reported.
    pub(super) fn has(&self, key: &str) -> bool {
        self.faults.iter().any(|fault| fault.key == key)
    }

    /// The end: the warnings if nothing was wrong, else all the faults.
    pub(super) fn finish<T>(self, made: Result<T, Reported>) -> Result<(T, Vec<Warning>), Faults> {
        match made {
            Ok(made) if self.faults.is_empty() => Ok((made, self.warnings)),
            Ok(_) | Err(Reported(())) => Err(Faults(self.faults)),
        }
    }
}

/// Each fault, and below it the place within its value where that helps.
fn lines(faults: &[Fault]) -> String {
    let lines = |fault: &Fault| {
        let excerpt = fault.excerpt.iter().map(|line| format!("    {line}"));
        std::iter::once(fault.to_string()).chain(excerpt).collect::<Vec<_>>()
    };
    faults.iter().flat_map(lines).collect::<Vec<_>>().join("\n")
}

/// Keys come from outside too, and stand in texts: what would break a line, or steer a terminal, is escaped.
fn one_line(text: &str) -> String {
    text.chars()
        .flat_map(|c| {
            if c.is_control() {
                c.escape_default().collect::<Vec<_>>()
            } else {
                vec![c]
            }
        })
        .collect()
}
