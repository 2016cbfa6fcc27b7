//! What a shape is made of, before it is put together.

use super::condition::Condition;
use super::pointer::Pointer;
use super::privacy::Action;
use super::selection::{Role, Selection, TooManyFields};
use super::{Shape, Step};

/// What is asked of hits, and done to them. An empty one lets all pass as they are.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// In this order; the first that holds a hit back is the one that is counted.
    pub filters: Vec<Filter>,
    /// Fields that must be there, be it as `null`; with stars, one of those that are meant.
    pub required: Vec<Pointer>,
    /// What is done to which field. The first that names a field is the one, but that [`Action::Remove`] goes before all. What is done to an object or an array goes before
    /// what is done to fields in it.
    pub privacy: Vec<(Pointer, Action)>,
    /// Which fields go out.
    pub fields: Fields,
    /// What [`Plan::value`] was asked for.
    pub values: Values,
}

/// The fields that keys, headers and topics take.
#[derive(Clone, Debug, Default)]
pub struct Values(Vec<Pointer>);

/// Whether a hit is held back.
#[derive(Clone, Debug)]
pub enum Filter {
    /// It is, if this is true.
    DropIf(Condition),
    /// It is, unless this is true.
    KeepIf(Condition),
}

/// Which fields go out. What surrounds a kept field stays, and so does an object or an array that has lost all that was in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Fields {
    /// All.
    #[default]
    All,
    /// These, and what is in them; the rest is left out.
    Keep(Vec<Pointer>),
    /// All but these.
    Drop(Vec<Pointer>),
}

/// A value that [`super::Shaped::value`] has for each hit. It belongs to the plan that it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ValueId(pub(super) usize);

/// A pointer with stars was given where one field is needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} may be several fields: a key, a header or a topic takes one, without stars")]
pub struct SeveralFields(pub Pointer);

impl Plan {
    /// Asks for a field, for a key, a header or a topic.
    ///
    /// # Errors
    /// If it may be several.
    pub fn value(&mut self, pointer: Pointer) -> Result<ValueId, SeveralFields> {
        if pointer.is_wild() {
            return Err(SeveralFields(pointer));
        }
        let known = self.values.0.iter().position(|known| *known == pointer);
        Ok(ValueId(known.unwrap_or_else(|| {
            self.values.0.push(pointer);
            self.values.0.len() - 1
        })))
    }

    /// Whether nothing is asked of a hit, and nothing done to it.
    pub fn is_empty(&self) -> bool {
        let Self {
            filters,
            required,
            privacy,
            fields,
            values,
        } = self;
        let has_all = matches!(fields, Fields::All);
        filters.is_empty() && required.is_empty() && privacy.is_empty() && has_all && values.0.is_empty()
    }

    /// Puts it together.
    ///
    /// # Errors
    /// If it has too many pointers with stars.
    pub fn shape(self) -> Result<Shape, TooManyFields> {
        let mut roles = Roles::default();
        let filters = self
            .filters
            .into_iter()
            .map(|filter| {
                let (drops_if, condition) = match filter {
                    Filter::DropIf(condition) => (true, condition),
                    Filter::KeepIf(condition) => (false, condition),
                };
                let questions = condition.pointers().iter().map(|pointer| roles.ask(pointer)).collect();
                Step {
                    drops_if,
                    condition,
                    questions,
                }
            })
            .collect();
        let required = self.required.iter().map(|pointer| roles.ask(pointer)).collect();
        let values = self.values.0.iter().map(|pointer| roles.ask(pointer)).collect();
        let mut actions = Vec::new();
        for (pointer, action) in self.privacy {
            let role = if matches!(action, Action::Remove) {
                Role::Remove
            } else {
                actions.push(action);
                Role::Act(actions.len() as u32 - 1)
            };
            roles.all.push((pointer, role));
        }
        let (pointers, role, is_whole) = match self.fields {
            Fields::All => (Vec::new(), Role::Drop, true),
            Fields::Keep(pointers) => (pointers, Role::Keep, false),
            Fields::Drop(pointers) => (pointers, Role::Drop, true),
        };
        roles.all.extend(pointers.into_iter().map(|pointer| (pointer, role)));
        Ok(Shape {
            selection: Selection::new(&roles.all, is_whole)?,
            actions,
            filters,
            required,
            values,
        })
    }
}

/// All pointers of a shape. Those that several ask for are one question.
#[derive(Default)]
struct Roles {
    all: Vec<(Pointer, Role)>,
    questions: u32,
}

impl Roles {
    fn ask(&mut self, pointer: &Pointer) -> u32 {
        let known = self.all.iter().find_map(|(known, role)| match role {
            Role::Question(question) if known == pointer => Some(*question),
            Role::Question(_) | Role::Act(_) | Role::Remove | Role::Drop | Role::Keep => None,
        });
        known.unwrap_or_else(|| {
            let question = self.questions;
            self.questions += 1;
            self.all.push((pointer.clone(), Role::Question(question)));
            question
        })
    }
}
