//! Whether a condition is true of a hit.

use std::cmp::Ordering;

use super::{Condition, Item, Literal, Node, Ordered, Test, number};
use crate::shape::number::Decimal;
use crate::shape::selection::Sheet;
use crate::shape::text::{Meaning, meaning};

impl Condition {
    /// Whether it is true of the hit that was walked over. `questions` says for each of its pointers under which number the sheet has the answer.
    pub(in crate::shape) fn is_true(&self, text: &str, sheet: &Sheet, questions: &[u32], buffer: &mut String) -> bool {
        let mut look = Look {
            text,
            sheet,
            questions,
            buffer,
        };
        look.is_true(&self.root)
    }
}

struct Look<'a> {
    text: &'a str,
    sheet: &'a Sheet,
    questions: &'a [u32],
    buffer: &'a mut String,
}

impl Look<'_> {
    fn is_true(&mut self, node: &Node) -> bool {
        match node {
            Node::Any(parts) => parts.iter().any(|part| self.is_true(part)),
            Node::All(parts) => parts.iter().all(|part| self.is_true(part)),
            Node::Not(part) => !self.is_true(part),
            Node::Field(field, test) => {
                let Some(question) = self.questions.get(*field as usize) else {
                    return false;
                };
                let buffer = &mut *self.buffer;
                self.sheet.values(*question).any(|(span, _)| {
                    matches!(test, Test::Exists)
                        || passes(test, meaning(self.text.get(span).unwrap_or_default(), buffer))
                })
            }
        }
    }
}

fn passes(asked: &Test, value: Meaning<'_>) -> bool {
    let string = match value {
        Meaning::String(text) => Some(text),
        Meaning::Number(_) | Meaning::True | Meaning::False | Meaning::Null | Meaning::Nested => None,
    };
    match asked {
        Test::Exists => true,
        Test::Equals(literal) => equals(value, literal),
        Test::Differs(literal) => !equals(value, literal),
        Test::Less(limit) => order(value, limit).is_some_and(Ordering::is_lt),
        Test::LessOrEqual(limit) => order(value, limit).is_some_and(Ordering::is_le),
        Test::Greater(limit) => order(value, limit).is_some_and(Ordering::is_gt),
        Test::GreaterOrEqual(limit) => order(value, limit).is_some_and(Ordering::is_ge),
        Test::OneOf(items) => items.iter().any(|item| match item {
            Item::One(literal) => equals(value, literal),
            Item::Range(from, to) => numeric(value)
                .is_some_and(|value| Some(value) >= number(from) && number(to).is_some_and(|to| value <= to)),
        }),
        Test::Matches(regex) => string.is_some_and(|text| regex.is_match(text)),
        Test::MatchesNot(regex) => !string.is_some_and(|text| regex.is_match(text)),
        Test::StartsWith(part) => string.is_some_and(|text| text.starts_with(&**part)),
        Test::EndsWith(part) => string.is_some_and(|text| text.ends_with(&**part)),
        Test::Contains(part) => {
            string.is_some_and(|text| memchr::memmem::find(text.as_bytes(), part.as_bytes()).is_some())
        }
    }
}

fn equals(value: Meaning<'_>, literal: &Literal) -> bool {
    match literal {
        Literal::Null => value == Meaning::Null,
        Literal::Bool(true) => value == Meaning::True,
        Literal::Bool(false) => value == Meaning::False,
        Literal::Ordered(literal) => order(value, literal) == Some(Ordering::Equal),
    }
}

/// How a value stands to a literal, if they can be compared: strings with strings, and numbers with numbers, also with one that stands in a string.
fn order(value: Meaning<'_>, literal: &Ordered) -> Option<Ordering> {
    match (literal, value) {
        (Ordered::String(literal), Meaning::String(value)) => Some(value.cmp(literal)),
        (Ordered::Number(literal), value) => Some(numeric(value)?.cmp(&number(literal)?)),
        (Ordered::String(_), Meaning::Number(_) | Meaning::True | Meaning::False | Meaning::Null | Meaning::Nested) => {
            None
        }
    }
}

fn numeric(value: Meaning<'_>) -> Option<Decimal<'_>> {
    match value {
        Meaning::String(text) | Meaning::Number(text) => Decimal::parse(text),
        Meaning::True | Meaning::False | Meaning::Null | Meaning::Nested => None,
    }
}
