//! Conditions on the fields of a hit: `/bot == "bot" or /exclude/id in [1, 2]`.
//!
//! Promise: a condition of any length and nesting is read without a deep stack, or refused with its place; whatever a hit holds, a condition is true or false of it
//! in bounded time. Numbers compare exactly. Regular expressions take time in proportion to the text.
//!
//! The language, for its users: docs/shaping.md.

mod lex;
mod parse;
mod truth;

use regex_lite::Regex;

use super::fault::Fault;
use super::number::Decimal;
use super::pointer::Pointer;

/// True of a hit that Adobe has flagged as a bot's (protocol notes, section 8). A hit without the field, or where it is empty, is none.
pub const IS_BOT: &str = r#"exists(/bot) and not /bot in ["<Not a bot>", "", null, false]"#;

/// True of a hit that Adobe excludes from reports, by the number of the reason; 0, in a string or not, is none (protocol notes, section 8).
pub const IS_EXCLUDED: &str = r#"exists(/exclude/id) and not /exclude/id in [0, "", null, false]"#;

/// What is asked of a hit.
#[derive(Clone, Debug)]
pub struct Condition {
    text: Box<str>,
    pointers: Vec<Pointer>,
    root: Node,
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// If it is none; the fault says where, and what was expected there.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let (root, pointers) = parse::parse(text)?;
        Ok(Self {
            text: text.into(),
            pointers,
            root,
        })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The fields that it asks for.
    pub fn pointers(&self) -> &[Pointer] {
        &self.pointers
    }
}

/// A part of a condition.
#[derive(Clone, Debug)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Not(Box<Node>),
    /// One of the values of this pointer is there, and passes.
    Field(u32, Test),
}

/// What is asked of one value.
#[derive(Clone, Debug)]
enum Test {
    /// Nothing but to be there.
    Exists,
    Equals(Literal),
    Differs(Literal),
    Less(Ordered),
    LessOrEqual(Ordered),
    Greater(Ordered),
    GreaterOrEqual(Ordered),
    OneOf(Vec<Item>),
    Matches(Regex),
    MatchesNot(Regex),
    StartsWith(Box<str>),
    EndsWith(Box<str>),
    Contains(Box<str>),
}

/// A value in a condition.
#[derive(Clone, Debug)]
enum Literal {
    Null,
    Bool(bool),
    Ordered(Ordered),
}

/// A value in a condition that has an order.
#[derive(Clone, Debug)]
enum Ordered {
    Number(Box<str>),
    String(Box<str>),
}

/// What a list holds.
#[derive(Clone, Debug)]
enum Item {
    One(Literal),
    /// From the one number to the other, both included.
    Range(Box<str>, Box<str>),
}

/// The number of a literal: the parser has seen that it is one.
fn number(text: &str) -> Option<Decimal<'_>> {
    Decimal::parse(text)
}

#[cfg(test)]
pub(in crate::shape) mod tests;
