//! What one walk has found: values, and what is to be changed. Used again for the next hit.

use std::ops::Range;

use crate::shape::privacy::Buffers;

/// No match, no node.
pub(super) const NONE: u32 = u32::MAX;

/// What privacy makes of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shape) enum Fate {
    /// It may be shown.
    Open,
    /// It may be shown as this action leaves it.
    Act(u32),
    /// It may not be shown.
    Hidden,
}

/// A value that was asked for.
#[derive(Clone, Copy)]
pub(super) struct Match {
    start: usize,
    end: usize,
    fate: Fate,
    /// The match of the same pointer before this one.
    before: u32,
}

/// Bytes of the hit that do not go out as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::shape) struct Edit {
    /// A value, or with its key and one comma a member.
    pub(in crate::shape) span: Range<usize>,
    /// The action that makes what stands there instead; `None` if nothing does.
    pub(in crate::shape) action: Option<u32>,
}

/// An object or array that the walk is in.
#[expect(clippy::struct_excessive_bools, reason = "facts that hold side by side")]
#[derive(Clone, Copy)]
pub(super) struct Frame {
    pub(super) node: u32,
    pub(super) is_object: bool,
    /// Whether what no pointer names is kept.
    pub(super) is_whole: bool,
    /// Whether it goes out with something around it, or not at all: then nothing in it is changed.
    pub(super) is_settled: bool,
    /// Whether privacy hides what is in it.
    pub(super) is_hidden: bool,
    /// Whether a member before the present one is kept: then a comma stands there.
    pub(super) keeps_one: bool,
    /// Whether the last edit leaves out the members up to here, and so goes on to where the next one begins.
    pub(super) is_open: bool,
    /// The index of the present element.
    pub(super) index: usize,
    /// Where the member before the present one ends.
    pub(super) last_end: usize,
    /// Where the present member begins.
    pub(super) member: usize,
    /// Where its value begins.
    pub(super) value: usize,
    /// The node of the present value.
    pub(super) value_node: u32,
    /// What becomes of the present member.
    pub(super) outcome: Outcome,
    /// What privacy makes of the present value.
    pub(super) fate: Fate,
}

/// What becomes of a member.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Keep,
    LeaveOut,
    Replace(u32),
}

/// The findings of a walk, and the room that it needs.
#[derive(Default)]
pub(in crate::shape) struct Sheet {
    pub(super) frames: Vec<Frame>,
    /// The last match of each question.
    pub(super) last: Vec<u32>,
    pub(super) matches: Vec<Match>,
    pub(in crate::shape) edits: Vec<Edit>,
    pub(super) key: String,
    pub(in crate::shape) buffers: Buffers,
}

impl Sheet {
    pub(super) fn begin(&mut self, questions: usize) {
        self.frames.clear();
        self.last.clear();
        self.last.resize(questions, NONE);
        self.matches.clear();
        self.edits.clear();
    }

    /// Keeps room for so many bytes of each kind of finding.
    pub(in crate::shape) fn trim(&mut self, bytes: usize) {
        self.begin(0);
        self.frames.shrink_to(bytes / size_of::<Frame>());
        self.matches.shrink_to(bytes / size_of::<Match>());
        self.edits.shrink_to(bytes / size_of::<Edit>());
    }

    pub(super) fn answer(&mut self, question: u32, is_wild: bool, span: Range<usize>, fate: Fate) {
        let Some(last) = self.last.get_mut(question as usize) else {
            return;
        };
        let before = if is_wild { *last } else { NONE };
        *last = self.matches.len() as u32;
        self.matches.push(Match {
            start: span.start,
            end: span.end,
            fate,
            before,
        });
    }

    /// Forgets a value: the object around it has come to stand there again.
    pub(super) fn forget(&mut self, question: u32) {
        if let Some(last) = self.last.get_mut(question as usize) {
            *last = NONE;
        }
    }

    /// Where the values stand that answer a question, from the last to the first: one at the most, unless its pointer has stars.
    pub(in crate::shape) fn values(&self, question: u32) -> impl Iterator<Item = (Range<usize>, Fate)> {
        let find = |at: u32| self.matches.get(at as usize);
        let last = self.last.get(question as usize).and_then(|at| find(*at));
        std::iter::successors(last, move |found| find(found.before)).map(|found| (found.start..found.end, found.fate))
    }
}
