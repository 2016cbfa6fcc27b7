//! The same decisions made the slow way, on a tree of the hit, and compared on random hits and random shapes.

use proptest::prelude::*;

use super::*;
use crate::shape::pointer::{Segment, index};

/// A value of JSON that forgets nothing but spaces: doubled keys, their order, and the text of scalars are there.
#[derive(Clone, Debug, PartialEq)]
enum Tree {
    Object(Vec<(String, Tree)>),
    Array(Vec<Tree>),
    Scalar(String),
}

impl Tree {
    fn text(&self, space: &str) -> String {
        let join = |parts: Vec<String>| parts.join(&format!("{space},{space}"));
        match self {
            Self::Scalar(text) => text.clone(),
            Self::Array(elements) => {
                format!(
                    "[{space}{}{space}]",
                    join(elements.iter().map(|element| element.text(space)).collect())
                )
            }
            Self::Object(members) => {
                let member = |(key, value): &(String, Self)| format!("{key}{space}:{space}{}", value.text(space));
                format!("{{{space}{}{space}}}", join(members.iter().map(member).collect()))
            }
        }
    }

    /// Its members or elements: each with the step that leads to it.
    fn children(&self) -> Vec<(Step, &Self)> {
        match self {
            Self::Scalar(_) => vec![],
            Self::Array(elements) => (0..).map(Step::Index).zip(elements).collect(),
            Self::Object(members) => {
                let step = |key: &String| Step::Key(serde_json::from_str(&key.replace("\\ud800", "\\ufffd")).unwrap());
                members.iter().map(|(key, value)| (step(key), value)).collect()
            }
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Step {
    Key(String),
    Index(usize),
}

fn fits(segment: &Segment, step: &Step) -> bool {
    match (segment, step) {
        (Segment::Any, _) => true,
        (Segment::Key(key), Step::Key(other)) => **key == **other,
        (Segment::Key(key), Step::Index(at)) => index(key) == Some(*at),
    }
}

/// Whether the pointer leads to this path or on from it.
fn leads(pointer: &Pointer, path: &[Step]) -> bool {
    pointer.segments().len() >= path.len()
        && pointer
            .segments()
            .iter()
            .zip(path)
            .all(|(segment, step)| fits(segment, step))
}

fn names(pointer: &Pointer, path: &[Step]) -> bool {
    pointer.segments().len() == path.len() && leads(pointer, path)
}

/// What is left of a value whose path has been kept.
fn shaped(plan: &Plan, tree: &Tree, path: &mut Vec<Step>, is_whole: bool) -> Tree {
    let mut left = Vec::new();
    for (at, (step, child)) in tree.children().into_iter().enumerate() {
        path.push(step);
        left.extend(one(plan, child, path, is_whole).map(|child| (at, child)));
        path.pop();
    }
    match tree {
        Tree::Object(members) => Tree::Object(
            left.into_iter()
                .map(|(at, child)| (members[at].0.clone(), child))
                .collect(),
        ),
        Tree::Array(_) => Tree::Array(left.into_iter().map(|(_, child)| child).collect()),
        Tree::Scalar(_) => tree.clone(),
    }
}

fn one(plan: &Plan, tree: &Tree, path: &mut Vec<Step>, is_whole: bool) -> Option<Tree> {
    let named = |pointers: &[Pointer]| pointers.iter().any(|pointer| names(pointer, path));
    let mut actions = plan.privacy.iter().filter(|(pointer, _)| names(pointer, path));
    if actions.clone().any(|(_, action)| matches!(action, Action::Remove)) {
        return None;
    }
    let action = actions.next().map(|(_, action)| action);
    let is_whole = match &plan.fields {
        Fields::Drop(fields) if named(fields) => return None,
        Fields::All | Fields::Drop(_) => true,
        Fields::Keep(fields) => is_whole || named(fields),
    };
    let leads_to_kept = matches!(&plan.fields, Fields::Keep(fields) if fields.iter().any(|field| leads(field, path)));
    if !is_whole && (!leads_to_kept || matches!(tree, Tree::Scalar(_)) || action.is_some()) {
        return None;
    }
    let Some(action) = action else {
        return Some(shaped(plan, tree, path, is_whole));
    };
    // What an action makes of a value is held to its own tests.
    let text = tree.text("");
    match action.effect(&text, &mut String::new()) {
        Effect::Keep => Some(tree.clone()),
        Effect::Remove => None,
        Effect::Replace => {
            let mut out = Vec::new();
            action.write_quoted(&text, &mut Buffers::default(), &mut out);
            Some(Tree::Scalar(String::from_utf8(out).unwrap()))
        }
    }
}

/// The value that a pointer without stars names, of doubled keys the last.
fn value<'a>(tree: &'a Tree, segments: &[Segment]) -> Option<&'a Tree> {
    let Some((first, rest)) = segments.split_first() else {
        return Some(tree);
    };
    let (_, child) = tree.children().into_iter().rfind(|(step, _)| fits(first, step))?;
    value(child, rest)
}

fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        r#""a""#,
        r#""b""#,
        r#""\u0061""#,
        r#""0""#,
        r#""1""#,
        r#""*""#,
        r#""long key\n""#,
        r#""\ud800""#,
        r#""""#,
    ])
    .prop_map(String::from)
}

fn tree() -> impl Strategy<Value = Tree> {
    let scalars = vec![
        "null",
        "true",
        "false",
        "0",
        "-12.50e3",
        "18446744073709551615",
        r#""""#,
        r#""text""#,
        r#""\u00e9\\ \"é""#,
        r#""203.0.113.9""#,
    ];
    let leaf = prop::sample::select(scalars).prop_map(|text| Tree::Scalar(text.to_owned()));
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..5).prop_map(Tree::Array),
            2 => prop::collection::vec((key(), inner), 0..5).prop_map(Tree::Object),
        ]
    })
}

fn hit() -> impl Strategy<Value = Tree> {
    prop::collection::vec((key(), tree()), 0..6).prop_map(Tree::Object)
}

fn pointer() -> impl Strategy<Value = Pointer> {
    let segment = prop::sample::select(vec!["a", "b", "0", "1", "*", "~2", "long key\n", "\u{fffd}"]);
    prop::collection::vec(segment, 1..5)
        .prop_map(|segments| Pointer::parse(&format!("/{}", segments.join("/"))).unwrap())
}

fn plan() -> impl Strategy<Value = Plan> {
    let action = prop_oneof![
        Just(Action::Remove),
        Just(hash()),
        Just(Action::TruncateIp),
        (0..4_usize).prop_map(|leaves| Action::Mask { leaves }),
    ];
    let pointers = || prop::collection::vec(pointer(), 0..6);
    let fields = prop_oneof![
        Just(Fields::All),
        pointers().prop_map(Fields::Keep),
        pointers().prop_map(Fields::Drop),
    ];
    (prop::collection::vec((pointer(), action), 0..4), fields, pointers()).prop_map(|(privacy, fields, values)| {
        let mut plan = Plan {
            privacy,
            fields,
            ..Plan::default()
        };
        for pointer in values {
            let _ = plan.value(pointer);
        }
        plan
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn a_shape_does_what_the_slow_reference_does(plan in plan(), trees in prop::collection::vec(hit(), 1..4)) {
        let shape = plan.clone().shape().unwrap();
        // One scratch for all, because it must not remember.
        let mut scratch = Scratch::default();
        for tree in &trees {
            for space in ["", " \t"] {
                // A hash is of the text as it stands, so the reference hashes it without spaces.
                let has_nested_hash = !space.is_empty() && plan.privacy.iter().any(|(_, action)| matches!(action, Action::Hash(_)));
                if has_nested_hash {
                    continue;
                }
                let text = tree.text(space);
                let Verdict::Forward(found) = shape.apply(text.as_bytes(), &mut scratch) else {
                    return Err(TestCaseError::fail(format!("not forwarded: {text}")));
                };
                prop_assert!(inspect(found.bytes()).is_ok());
                let expected = shaped(&plan, tree, &mut vec![], !matches!(plan.fields, Fields::Keep(_))).text("");
                let found = std::str::from_utf8(found.bytes()).unwrap();
                let found = if space.is_empty() { found.to_owned() } else { found.replace(space, "") };
                prop_assert_eq!(found, expected, "{}", text);
            }
        }
    }

    #[test]
    fn a_value_is_the_one_that_the_slow_reference_finds(tree in hit(), pointers in prop::collection::vec(pointer(), 1..8)) {
        let mut plan = Plan::default();
        let asked: Vec<_> = pointers.iter().filter_map(|pointer| Some((pointer, plan.value(pointer.clone()).ok()?))).collect();
        let shape = plan.shape().unwrap();
        let text = tree.text("");
        let mut scratch = Scratch::default();
        let Verdict::Forward(found) = shape.apply(text.as_bytes(), &mut scratch) else {
            return Err(TestCaseError::fail("not forwarded"));
        };
        for (pointer, id) in asked {
            let expected = match value(&tree, pointer.segments()) {
                Some(Tree::Scalar(text)) if text.starts_with('"') => Some(serde_json::from_str::<String>(text).unwrap()),
                Some(Tree::Scalar(text)) if text != "null" => Some(text.clone()),
                Some(_) | None => None,
            };
            prop_assert_eq!(found.value(id), expected.as_deref(), "{} of {}", pointer, text);
        }
    }

    #[test]
    fn hostile_bytes_get_a_verdict_and_the_same_as_elsewhere(plan in plan(), tree in hit(), cut in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)) {
        let shape = plan.shape().unwrap();
        let mut bytes = tree.text("").into_bytes();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for bytes in [&bytes[..], &bytes[..cut.index(bytes.len())]] {
            match (shape.apply(bytes, &mut Scratch::default()), inspect(bytes)) {
                (Verdict::Forward(shaped), Ok(_)) => prop_assert!(inspect(shaped.bytes()).is_ok()),
                (Verdict::Unshapable(told), Err(reason)) => prop_assert_eq!(told, reason),
                (verdict, inspected) => prop_assert!(false, "{:?} but {:?}: {}", verdict, inspected, bytes.escape_ascii()),
            }
        }
    }
}
