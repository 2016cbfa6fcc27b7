//! Many pointers, found in one walk over the bytes of a hit.
//!
//! Promise: no tree is built; what no pointer touches is stepped over as fast as the search for ids does, with every byte checked against the
//! grammar all the same. The stack of a walk is as deep as the longest pointer, whatever is nested in the hit.
//!
//! A key that stands twice in an object: whatever changes or leaves out fields (privacy, `keep`, `drop`) does so to each of them; what asks for a value gets the last,
//! as most parsers do. For a pointer with a star each counts.

mod compile;
mod sheet;
mod walk;

pub use compile::TooManyFields;
pub(super) use compile::{Role, Selection};
pub(super) use sheet::{Edit, Fate, Sheet};

#[cfg(test)]
mod tests;
