//! The examples of docs/shaping.md are true.

use super::*;
use crate::shape::condition::tests::is_true;
use crate::shape::template::Names;
use crate::shape::topic::{self, Glob, Topic};

const PAGE: &str = include_str!("../../../docs/shaping.md");

/// The lines of the table with this head, each with what stands in its cells between backquotes, or else as it is.
fn table(head: &str) -> Vec<Vec<String>> {
    let head = format!("| {head} |");
    let lines = PAGE.lines().skip_while(|line| *line != head).skip(2);
    let rows: Vec<_> = lines.take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(rows.len() > 1, "{head}");
    rows
}

fn cells(line: &str) -> Vec<String> {
    let line = line.replace("\\|", "\0");
    let cells = line.trim_matches('|').split('|');
    cells.map(|cell| cell.trim().replace('\0', "|")).collect()
}

/// What stands between backquotes.
fn codes(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

fn code(cell: &str) -> &str {
    codes(cell)
        .first()
        .unwrap_or_else(|| panic!("nothing in backquotes: {cell}"))
}

#[test]
fn the_named_conditions_are_those_of_the_page() {
    let named: Vec<_> = table("named | is the condition")
        .iter()
        .map(|row| code(&row[1]).to_owned())
        .collect();
    assert_eq!(named, [condition::IS_BOT, condition::IS_EXCLUDED]);
}

#[test]
fn the_conditions_of_the_page_are_as_it_says() {
    for row in table("condition | hit | true?") {
        let [condition, hit, truth] = &row[..] else {
            panic!("{row:?}")
        };
        assert!(matches!(truth.as_str(), "yes" | "no"), "{row:?}");
        assert_eq!(is_true(code(condition), code(hit)), truth == "yes", "{row:?}");
    }
}

#[test]
fn the_fields_of_the_page_go_out_as_it_says() {
    for row in table("fields | hit | goes out") {
        let [fields, hit, expected] = &row[..] else {
            panic!("{row:?}")
        };
        let pointers = codes(fields).join(" ");
        let plan = if fields.starts_with("keep") {
            keep(&pointers)
        } else {
            drop_fields(&pointers)
        };
        assert_eq!(out(plan, code(hit)), code(expected), "{row:?}");
    }
}

#[test]
fn the_actions_of_the_page_do_as_it_says() {
    for row in table("action | value | goes out") {
        let [action, value, expected] = &row[..] else {
            panic!("{row:?}")
        };
        let action = match action.split_once(' ').unwrap_or((action, "")) {
            ("remove", "") => Action::Remove,
            ("hash", "") => hash(),
            ("truncate_ip", "") => Action::TruncateIp,
            ("mask", leaves) => Action::Mask {
                leaves: leaves.parse().unwrap(),
            },
            other => panic!("{other:?}"),
        };
        let hit = format!("{{\"x\":{}}}", code(value));
        let expected = match codes(expected).first() {
            Some(expected) => format!("{{\"x\":{expected}}}"),
            None => "{}".to_owned(),
        };
        assert_eq!(out(private(&[("/x", action)]), &hit), expected, "{row:?}");
    }
}

#[test]
fn the_topics_of_the_page_are_as_it_says() {
    let names = Names {
        stream: "web",
        report_suite: "acme",
    };
    for row in table("template | hit | topic") {
        let [template, hit, expected] = &row[..] else {
            panic!("{row:?}")
        };
        let mut plan = Plan::default();
        let template = topic::parse(code(template)).unwrap();
        let topic = Topic::new(&mut plan, &template, vec![Glob::parse("hits.*").unwrap()], "hits.other").unwrap();
        let shape = plan.shape().unwrap();
        let mut scratch = Scratch::default();
        let Verdict::Forward(shaped) = shape.apply(code(hit).as_bytes(), &mut scratch) else {
            panic!("{row:?}")
        };
        assert_eq!(
            topic.name(&shaped, names, &mut String::new()),
            code(expected),
            "{row:?}"
        );
    }
}
