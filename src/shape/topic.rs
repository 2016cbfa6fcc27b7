//! Which topic a hit goes to: a template with fields of the hit in it, within a list of allowed names.
//!
//! Promise: what comes out is the name of a topic that is on the list, or the fallback; without fields in the template no list is needed. Names that Kafka does not take, and its own (`__...`), never come out of a field:
//! a hit says what it wants, not where it goes.

use super::fault::Fault;
use super::template::{Filled, Names, Template};
use super::{Plan, Shaped};

/// The longest name of a topic, in bytes (Kafka's limit).
pub const MAX_TOPIC_BYTES: usize = 249;

const fn is_legal(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn legal(text: &str) -> Result<(), Fault> {
    match text.find(|c| !is_legal(c)) {
        Some(at) => Err(Fault::new(
            text,
            at,
            "the name of a topic has letters without accents, digits, full stops, underscores and hyphens only",
        )),
        None => Ok(()),
    }
}

/// Reads a template for topics.
///
/// # Errors
/// As [`Template::parse`], and if a character may not be in the name of a topic, or the topic is one of Kafka's own.
pub fn parse(text: &str) -> Result<Template, Fault> {
    let template = Template::parse_within(text, legal)?;
    if text.is_empty() {
        return Err(Fault::new(text, 0, "the topic has no name"));
    }
    if text.starts_with("__") {
        let what = "topics whose names begin with two underscores are Kafka's own";
        return Err(Fault::new(text, 0, what));
    }
    Ok(template)
}

/// Whether Kafka takes it as the name of a topic.
pub fn is_topic(name: &str) -> bool {
    (1..=MAX_TOPIC_BYTES).contains(&name.len()) && name.chars().all(is_legal) && !matches!(name, "." | "..")
}

/// A pattern for names of topics, in which `*` stands for any number of characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

/// As it was written.
impl std::fmt::Display for Glob {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl Glob {
    /// Reads a pattern.
    ///
    /// # Errors
    /// If it is empty, or has a character that no name has.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        if text.is_empty() {
            return Err(Fault::new(text, 0, "the pattern is empty: * allows every topic"));
        }
        match text.find(|c| c != '*' && !is_legal(c)) {
            Some(at) => Err(legal(&text[at..]).map_or_else(
                |fault| fault.within(text, at),
                |()| Fault::new(text, at, "no name has this character"),
            )),
            None => Ok(Self(text.into())),
        }
    }

    /// The name, if only one is meant.
    pub fn only(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&*self.0)
    }

    /// Whether a name is one of those meant.
    pub fn matches(&self, name: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = name.strip_prefix(first) else {
            return false;
        };
        let Some(last) = pieces.next_back() else {
            return rest.is_empty();
        };
        // The leftmost place for each piece leaves the most room for those behind it.
        for piece in pieces {
            match rest.find(piece) {
                Some(at) => rest = &rest[at + piece.len()..],
                None => return false,
            }
        }
        rest.ends_with(last)
    }
}

/// A template, what may come out of it, and what is taken in place of all else.
#[derive(Clone, Debug)]
pub struct Topic {
    template: Filled,
    allowed: Vec<Glob>,
    fallback: Box<str>,
}

/// The fallback is not a name that Kafka takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no name of a topic: 1 to {MAX_TOPIC_BYTES} letters without accents, digits, full stops, underscores and hyphens"
)]
pub struct NotATopic(pub Box<str>);

impl Topic {
    /// Puts a template together with the names that are allowed, and the topic for hits that ask for another. The fields of the template become values of `plan`: it
    /// is the shape of that plan whose hits this is for.
    ///
    /// # Errors
    /// If Kafka would not take the fallback.
    pub fn new(plan: &mut Plan, template: &Template, allowed: Vec<Glob>, fallback: &str) -> Result<Self, NotATopic> {
        if !is_topic(fallback) {
            return Err(NotATopic(fallback.into()));
        }
        Ok(Self {
            template: template.fill(plan),
            allowed,
            fallback: fallback.into(),
        })
    }

    /// The topic for a hit: what the template says, with `_` for each character that no name may have; the fallback, if that is not allowed, or a field is not there
    /// (or empty) and the template does not say what stands in its place.
    pub fn name<'a>(&'a self, shaped: &Shaped<'_>, names: Names<'_>, buffer: &'a mut String) -> &'a str {
        buffer.clear();
        let is_whole = self.template.write(shaped, names, |text| {
            // No longer than it takes to see that it is too long.
            let legal = text.chars().map(|c| if is_legal(c) { c } else { '_' });
            buffer.extend(legal.take(MAX_TOPIC_BYTES + 1));
        });
        // What no hit has a say in needs no list.
        let is_allowed = !self.template.has_fields() || self.allowed.iter().any(|glob| glob.matches(buffer));
        if is_whole && is_allowed && is_topic(buffer) && !buffer.starts_with("__") {
            buffer
        } else {
            &self.fallback
        }
    }
}

#[cfg(test)]
#[path = "topic_tests.rs"]
mod tests;
