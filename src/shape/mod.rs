//! What of a hit is forwarded, in which form, and where to: bytes of a hit in, a verdict out.
//!
//! Promise: whatever the bytes, [`Shape::apply`] ends without a panic, in bounded stack, in time that grows with the hit and not with its nesting; in the steady state it allocates
//! nothing. What is not changed goes out byte for byte. What cannot be shaped is said to be so, and never lost or let through.
//!
//! The order of things, which docs/shaping.md promises: filters see the hit as it came; then fields that must be there; then privacy; then `keep` and `drop`. Keys, headers and
//! topics take their values after privacy, whether or not the field is kept.
//!
//! | module | job |
//! | --- | --- |
//! | [`pointer`] | which field is meant |
//! | [`condition`] | is this true of a hit? |
//! | [`privacy`] | removed, hashed, masked, made coarser |
//! | [`template`] | names and fields of a hit in a text |
//! | [`topic`] | which topic a hit goes to |
//! | [`parcel`] | what a record goes out as: a hit or a dead letter |
//! | [`output`] | all that an output does with a hit: filters, fields, topic, key, time, headers |
//! | [`message`] | the message that all that makes |
//! | [`outcome`] | what becomes of a record, all of it told |
//! | [`trial`] | a test of a configuration: is that what was expected? |
//! | [`fault`] | what is wrong with a text of the configuration, and where |
//! | `selection` | all fields of a shape found in one walk, without a tree |
//! | `edit` | the hit with its changes |
//! | `text`, `number` | what strings and numbers of JSON mean |

pub mod condition;
mod edit;
pub mod fault;
pub mod message;
mod number;
pub mod outcome;
pub mod output;
pub mod parcel;
mod plan;
pub mod pointer;
pub mod privacy;
mod selection;
pub mod template;
mod text;
pub mod topic;
pub mod trial;

use std::fmt;
use std::ops::Range;

use crate::hit::{self, NotAHit, inspect, scan::NotJson};
use condition::Condition;
pub use plan::{Fields, Filter, Plan, SeveralFields, ValueId, Values};
use privacy::{Action, Buffers, Effect};
pub use selection::TooManyFields;
use selection::{Fate, Selection, Sheet};
use text::{Meaning, meaning};

/// How the hits of one output are shaped. Made by [`Plan::shape`].
pub struct Shape {
    selection: Selection,
    actions: Vec<Action>,
    filters: Vec<Step>,
    /// The questions whether required fields are there.
    required: Vec<u32>,
    /// The questions for values.
    values: Vec<u32>,
}

/// A filter, and under which numbers the answers for its pointers are.
struct Step {
    drops_if: bool,
    condition: Condition,
    questions: Vec<u32>,
}

/// What becomes of a hit.
#[derive(Clone, Copy, Debug)]
pub enum Verdict<'a> {
    /// It goes out.
    Forward(Shaped<'a>),
    /// A filter holds it back: the one with this index in [`Plan::filters`].
    Dropped {
        /// The index.
        filter: usize,
    },
    /// It lacks a field: that with this index in [`Plan::required`], the first of those it lacks. To be dropped, or to go to a topic of its own; shaped there too.
    Incomplete {
        /// The index.
        field: usize,
        /// What may go out.
        shaped: Shaped<'a>,
    },
    /// It is not a hit, so it cannot be shaped: a dead letter.
    Unshapable(NotAHit),
}

/// A hit that may go out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Shaped<'a> {
    bytes: &'a [u8],
    is_rewritten: bool,
    texts: &'a str,
    values: &'a [Option<Range<usize>>],
}

impl<'a> Shaped<'a> {
    /// A hit that goes out as it came, without values.
    pub const fn untouched(hit: &'a [u8]) -> Self {
        Self {
            bytes: hit,
            is_rewritten: false,
            texts: "",
            values: &[],
        }
    }

    /// One JSON object.
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether [`Self::bytes`] are other than those that came; else they are the very same, and not a copy.
    pub const fn is_rewritten(&self) -> bool {
        self.is_rewritten
    }

    /// A field for a key, a header or a topic, as privacy leaves it: what a string says, and a number, `true` or `false` as it is written. `None` if it is not there, or `null`, or
    /// an object or an array, or removed or within what is removed or hashed.
    pub fn value(&self, id: ValueId) -> Option<&'a str> {
        let range = self.values.get(id.0)?.clone()?;
        self.texts.get(range)
    }
}

/// Without the hit, which is the visitor's.
impl fmt::Debug for Shaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shaped")
            .field("length", &self.bytes.len())
            .field("is_rewritten", &self.is_rewritten)
            .finish_non_exhaustive()
    }
}

/// Room for the work on one hit, used again for the next, by whatever shape. It grows to what the largest hit needs.
#[derive(Default)]
pub struct Scratch {
    sheet: Sheet,
    text: String,
    out: Vec<u8>,
    texts: Vec<u8>,
    values: Vec<Option<Range<usize>>>,
}

impl Scratch {
    /// Gives back what an unusually large hit has left. To be called between hits.
    pub fn trim(&mut self) {
        const MOST: usize = 1 << 20;
        self.sheet.trim(MOST);
        self.text.clear();
        self.text.shrink_to(MOST);
        for buffer in [&mut self.out, &mut self.texts] {
            buffer.clear();
            buffer.shrink_to(MOST);
        }
    }
}

/// Without what the last hit has left in it.
impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scratch").finish_non_exhaustive()
    }
}

impl Shape {
    /// What becomes of a hit, whose line ending is stripped.
    pub fn apply<'a>(&self, hit: &'a [u8], scratch: &'a mut Scratch) -> Verdict<'a> {
        let Ok(text) = self.walk(hit, &mut scratch.sheet) else {
            // Asked again, because there the reasons are told apart.
            return Verdict::Unshapable(inspect(hit).err().unwrap_or(NotAHit::NotJson));
        };
        let Scratch {
            sheet, text: buffer, ..
        } = scratch;
        for (filter, step) in self.filters.iter().enumerate() {
            if step.condition.is_true(text, sheet, &step.questions, buffer) == step.drops_if {
                return Verdict::Dropped { filter };
            }
        }
        let is_missing = |question: &u32| sheet.values(*question).next().is_none();
        let missing = self.required.iter().position(is_missing);
        let shaped = self.shaped(text, scratch);
        match missing {
            None => Verdict::Forward(shaped),
            Some(field) => Verdict::Incomplete { field, shaped },
        }
    }

    /// Walks over one object and nothing else, in UTF-8.
    fn walk<'a>(&self, hit: &'a [u8], sheet: &mut Sheet) -> Result<&'a str, NotJson> {
        let text = simdutf8::basic::from_utf8(hit).map_err(|_| NotJson)?;
        let start = hit::scan::space(hit);
        if hit.get(start) != Some(&b'{') {
            return Err(NotJson);
        }
        let end = self.selection.walk(text, start, &self.actions, sheet)?;
        let rest = &hit[end..];
        if hit::scan::space(rest) < rest.len() {
            return Err(NotJson);
        }
        Ok(text)
    }

    fn shaped<'a>(&self, text: &'a str, scratch: &'a mut Scratch) -> Shaped<'a> {
        let Scratch {
            sheet,
            out,
            texts,
            values,
            ..
        } = scratch;
        let mut buffers = std::mem::take(&mut sheet.buffers);
        texts.clear();
        values.clear();
        for question in &self.values {
            let found = sheet.values(*question).next();
            values.push(found.and_then(|(span, fate)| {
                let value = text.get(span).unwrap_or_default();
                self.write_value(value, fate, &mut buffers, texts)
            }));
        }
        let is_rewritten = !sheet.edits.is_empty();
        if is_rewritten {
            edit::write(text, &sheet.edits, &self.actions, &mut buffers, out);
        }
        sheet.buffers = buffers;
        Shaped {
            bytes: if is_rewritten { out } else { text.as_bytes() },
            is_rewritten,
            texts: std::str::from_utf8(texts).unwrap_or_default(),
            values,
        }
    }

    /// Appends what may be shown of a value, and says where it stands.
    fn write_value(&self, value: &str, fate: Fate, buffers: &mut Buffers, texts: &mut Vec<u8>) -> Option<Range<usize>> {
        let start = texts.len();
        let shown = match meaning(value, &mut buffers.text) {
            Meaning::Null | Meaning::Nested => return None,
            Meaning::String(text) => text,
            Meaning::Number(_) | Meaning::True | Meaning::False => value,
        };
        match fate {
            Fate::Hidden => return None,
            Fate::Open => texts.extend_from_slice(shown.as_bytes()),
            Fate::Act(action) => {
                let action = self.actions.get(action as usize)?;
                match action.effect(value, &mut buffers.text) {
                    Effect::Remove | Effect::Keep => return None,
                    Effect::Replace => action.write(value, &mut buffers.text, texts),
                }
            }
        }
        Some(start..texts.len())
    }
}

#[cfg(test)]
mod tests;
