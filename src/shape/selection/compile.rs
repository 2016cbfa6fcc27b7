//! From pointers to an automaton over keys: a node for each set of pointers that begin alike.
//!
//! A walk is in one node at a time, also where `/a/*/x` and `/a/b/y` both may go on.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::sheet::NONE;
use crate::shape::pointer::{Pointer, Segment, index};

/// More nodes than any sensible shape has. Only pointers with stars can come near: each level of stars may double the nodes.
const MAX_NODES: usize = 20_000;

/// The pointers of a shape, with stars, are too many to be looked for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the shape has too many fields with stars: name fewer, or name them without stars")]
pub struct TooManyFields;

/// What a pointer is in the shape for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::shape) enum Role {
    /// Something asks for its value: the answer is under this number.
    Question(u32),
    /// Privacy does this to it; of several the lowest.
    Act(u32),
    /// Privacy removes it.
    Remove,
    /// It is left out.
    Drop,
    /// It is kept, and what no other such pointer names is left out.
    Keep,
}

/// Pointers, ready for walks.
pub(in crate::shape) struct Selection {
    pub(super) nodes: Vec<Node>,
    pub(super) questions: usize,
    /// Whether what no pointer names is kept.
    pub(super) is_whole: bool,
}

/// A place in hits that pointers lead to.
#[expect(clippy::struct_excessive_bools, reason = "facts that hold side by side")]
#[derive(Default)]
pub(super) struct Node {
    keys: Keys,
    indices: Vec<(usize, u32)>,
    any: Option<u32>,
    /// What asks for this value, and whether with stars.
    pub(super) questions: Vec<(u32, bool)>,
    /// What asks, without stars, for values in this one.
    pub(super) questions_within: Vec<u32>,
    pub(super) act: Option<u32>,
    pub(super) is_removed: bool,
    pub(super) is_dropped: bool,
    pub(super) is_kept: bool,
    pub(super) leads_to_kept: bool,
}

impl Node {
    /// Whether a pointer leads further in.
    pub(super) fn is_inner(&self) -> bool {
        self.any.is_some() || !self.keys.entries.is_empty()
    }

    #[inline]
    pub(super) fn of_key(&self, key: &[u8]) -> u32 {
        self.keys.get(key).or(self.any).unwrap_or(NONE)
    }

    pub(super) fn of_index(&self, index: usize) -> u32 {
        let found = self.indices.binary_search_by_key(&index, |(index, _)| *index);
        found.map_or_else(|_| self.any.unwrap_or(NONE), |at| self.indices[at].1)
    }
}

/// Keys by length, then by their bytes: most keys of a hit are turned away by their length alone.
#[derive(Default)]
struct Keys {
    entries: Vec<(Box<[u8]>, u32)>,
    /// Where the entries of each length begin, and one more.
    by_length: Vec<u32>,
}

impl Keys {
    fn new(mut entries: Vec<(Box<[u8]>, u32)>) -> Self {
        entries.sort_by(|(one, _), (other, _)| one.len().cmp(&other.len()).then_with(|| one.cmp(other)));
        let longest = entries.last().map_or(0, |(key, _)| key.len());
        let by_length = (0..=longest + 1)
            .map(|length| entries.partition_point(|(key, _)| key.len() < length) as u32)
            .collect();
        Self { entries, by_length }
    }

    #[inline]
    fn get(&self, key: &[u8]) -> Option<u32> {
        let from = *self.by_length.get(key.len())? as usize;
        let to = *self.by_length.get(key.len() + 1)? as usize;
        if from == to {
            return None;
        }
        let alike = self.entries.get(from..to)?;
        let at = alike
            .binary_search_by(|(candidate, _)| candidate.as_ref().cmp(key))
            .ok()?;
        Some(alike[at].1)
    }
}

/// The pointers that have come so far, by their numbers, and how far that is.
type Place = (usize, Vec<usize>);

impl Selection {
    /// Puts pointers together; `is_whole` says whether what none of them names is kept.
    ///
    /// # Errors
    /// If stars make it too large.
    pub(in crate::shape) fn new(roles: &[(Pointer, Role)], is_whole: bool) -> Result<Self, TooManyFields> {
        let mut known: HashMap<Place, u32> = HashMap::new();
        let mut places: Vec<Place> = vec![(0, (0..roles.len()).collect())];
        let mut nodes: Vec<Node> = Vec::new();
        while let Some((depth, here)) = places.get(nodes.len()).cloned() {
            let mut node = node(roles, depth, &here);
            let mut child = |here: Vec<usize>| {
                let place = (depth + 1, here);
                *known.entry(place.clone()).or_insert_with(|| {
                    places.push(place);
                    places.len() as u32 - 1
                })
            };
            let (keys, stars) = next(roles, depth, &here);
            let mut entries = Vec::new();
            for (key, mut further) in keys {
                further.extend(&stars);
                further.sort_unstable();
                let to = child(further);
                entries.push((key.as_bytes().into(), to));
                node.indices.extend(index(key).map(|index| (index, to)));
            }
            node.indices.sort_unstable();
            node.keys = Keys::new(entries);
            if !stars.is_empty() {
                node.any = Some(child(stars));
            }
            nodes.push(node);
            if places.len() > MAX_NODES {
                return Err(TooManyFields);
            }
        }
        let questions: BTreeSet<u32> = roles.iter().filter_map(|(_, role)| question(*role)).collect();
        Ok(Self {
            nodes,
            questions: questions.last().map_or(0, |last| *last as usize + 1),
            is_whole,
        })
    }
}

fn question(role: Role) -> Option<u32> {
    match role {
        Role::Question(question) => Some(question),
        Role::Act(_) | Role::Remove | Role::Drop | Role::Keep => None,
    }
}

/// What the pointers that end here, and those that go on, say of a place.
fn node(roles: &[(Pointer, Role)], depth: usize, here: &[usize]) -> Node {
    let mut node = Node::default();
    for (pointer, role) in here.iter().filter_map(|at| roles.get(*at)) {
        if pointer.segments().len() > depth {
            node.leads_to_kept |= *role == Role::Keep;
            node.questions_within
                .extend(question(*role).filter(|_| !pointer.is_wild()));
            continue;
        }
        match *role {
            Role::Question(question) => node.questions.push((question, pointer.is_wild())),
            Role::Act(act) => node.act = Some(node.act.map_or(act, |other| other.min(act))),
            Role::Remove => node.is_removed = true,
            Role::Drop => node.is_dropped = true,
            Role::Keep => node.is_kept = true,
        }
    }
    node
}

/// The keys with which pointers go on from a place, and those that go on with any.
fn next<'a>(roles: &'a [(Pointer, Role)], depth: usize, here: &[usize]) -> (BTreeMap<&'a str, Vec<usize>>, Vec<usize>) {
    let mut keys: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    let mut stars = Vec::new();
    for at in here {
        match roles.get(*at).and_then(|(pointer, _)| pointer.segments().get(depth)) {
            Some(Segment::Key(key)) => keys.entry(key).or_default().push(*at),
            Some(Segment::Any) => stars.push(*at),
            None => {}
        }
    }
    (keys, stars)
}
