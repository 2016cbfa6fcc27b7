//! The language of conditions: what is true of which hit, and what is refused where.

use super::*;
use crate::shape::{Filter, Plan, Scratch, Verdict};

/// Whether a condition is true of a hit, by way of a shape.
pub(in crate::shape) fn is_true(condition: &str, hit: &str) -> bool {
    let condition = Condition::parse(condition).unwrap_or_else(|fault| panic!("{condition}: {fault}"));
    let plan = Plan {
        filters: vec![Filter::KeepIf(condition)],
        ..Plan::default()
    };
    let mut scratch = Scratch::default();
    let verdict = plan.shape().unwrap().apply(hit.as_bytes(), &mut scratch);
    let is_forwarded = matches!(verdict, Verdict::Forward(_));
    assert!(
        is_forwarded || matches!(verdict, Verdict::Dropped { filter: 0 }),
        "{verdict:?}: {hit}"
    );
    is_forwarded
}

#[track_caller]
fn holds(hit: &str, conditions: &[(&str, bool)]) {
    for (condition, expected) in conditions {
        assert_eq!(is_true(condition, hit), *expected, "{condition} of {hit}");
    }
}

#[test]
fn strings_compare_by_what_they_say() {
    holds(
        r#"{"a":"x\u0031","u":"https:\/\/shop.example\/","e":"","q":"it's \"so\""}"#,
        &[
            ("/a == 'x1'", true),
            ("/a != 'x1'", false),
            ("/a != 'X1'", true),
            ("/a < 'x2'", true),
            ("/a >= 'x1'", true),
            ("/a > 'x1'", false),
            ("/u starts_with 'https://shop.'", true),
            ("/u ends_with '/'", true),
            ("/u ends_with 'shop'", false),
            ("/u contains 'shop'", true),
            ("/u contains 'Shop'", false),
            (r#"/u =~ "^https://shop\.""#, true),
            (r"/u =~ '^http://'", false),
            (r"/u !~ '^http://'", true),
            ("/u =~ '(?i)SHOP'", true),
            ("/e == \"\"", true),
            (r#"/q == 'it''s "so"'"#, true),
            (r#"/q == "it's ""so""""#, true),
            ("/q == \"it's\"", false),
        ],
    );
}

#[test]
fn numbers_compare_exactly_also_where_they_stand_in_strings() {
    holds(
        r#"{"id":9007199254740993,"price":12.50,"text":"0","padded":"0000000000000000042","word":"4x","neg":-3}"#,
        &[
            ("/id == 9007199254740993", true),
            ("/id == 9007199254740992", false),
            ("/id > 9007199254740992", true),
            ("/price == 12.5", true),
            ("/price == 125e-1", true),
            ("/price in 12..13", true),
            ("/price in 12.6..13", false),
            ("/price in [1, 12..13]", true),
            ("/text == 0", true),
            ("/text != 0", false),
            ("/padded == 42", true),
            ("/padded in 42..42", true),
            ("/word == 4", false),
            ("/word != 4", true),
            ("/word < 5", false),
            ("/neg < -2", true),
            ("/neg in -3..-1", true),
        ],
    );
}

#[test]
fn a_number_is_no_string_and_nothing_else_turns_into_another() {
    holds(
        r#"{"n":0,"t":true,"f":false,"z":null,"o":{},"l":[],"s":"true"}"#,
        &[
            ("/n == '0'", false),
            ("/n =~ '0'", false),
            ("/n !~ '0'", true),
            ("/n starts_with '0'", false),
            ("/n == false", false),
            ("/f == 0", false),
            ("/t == true", true),
            ("/t != true", false),
            ("/s == true", false),
            ("/z == null", true),
            ("/z == ''", false),
            ("/z != 5", true),
            ("/z < 5", false),
            ("/o == null", false),
            ("/o != null", true),
            ("/l in [null, 0, 'x', false, true]", false),
        ],
    );
}

#[test]
fn of_what_is_not_there_every_comparison_is_false() {
    let tests = [
        "== 1",
        "!= 1",
        "< 1",
        "<= 1",
        "> 1",
        ">= 1",
        "in [1]",
        "in 1..2",
        "=~ 'x'",
        "!~ 'x'",
        "== null",
        "!= null",
        "starts_with ''",
        "ends_with ''",
        "contains ''",
    ];
    for test in tests {
        for field in ["/x", "/a/x", "/s/0", "/l/2", "/l/-", "/x/*"] {
            holds(
                r#"{"a":{},"s":"string","l":[1,2]}"#,
                &[
                    (&format!("{field} {test}"), false),
                    (&format!("not {field} {test}"), true),
                ],
            );
        }
    }
    holds(
        r#"{"a":null,"b":{"c":0}}"#,
        &[
            ("exists(/a)", true),
            ("exists(/b/c)", true),
            ("exists(/c)", false),
            ("exists ( /b/d )", false),
            ("exists(/b/*)", true),
        ],
    );
}

#[test]
fn and_binds_closer_than_or_and_not_closest() {
    let hit = r#"{"t":1}"#;
    for (condition, expected) in [
        ("T or T and F", true),
        ("(T or T) and F", false),
        ("not F and F", false),
        ("not (F and F)", true),
        ("not not T", true),
        ("F or F or T", true),
        ("T and T and F", false),
        ("F and F or T", true),
        ("((T))", true),
    ] {
        let spelled = condition.replace('T', "/t == 1").replace('F', "/t == 2");
        assert_eq!(is_true(&spelled, hit), expected, "{condition}");
    }
}

#[test]
fn with_a_star_one_that_passes_is_enough() {
    let hit = r#"{"products":[{"name":"bell","revenue":5},{"name":"lamp","revenue":"1799"},7],"events":{"event1":[]}}"#;
    holds(
        hit,
        &[
            ("/products/*/name == 'lamp'", true),
            ("/products/*/name == 'tyre'", false),
            ("/products/*/name != 'lamp'", true),
            ("not /products/*/name == 'lamp'", false),
            ("/products/*/revenue > 1000", true),
            ("/products/0/revenue > 1000", false),
            ("/products/* == 7", true),
            ("exists(/events/*)", true),
            ("exists(/*/event1)", true),
            ("exists(/*/event2)", false),
        ],
    );
}

#[test]
fn of_a_doubled_key_the_last_counts_and_with_a_star_each() {
    holds(
        r#"{"a":1,"a":2,"b":{"c":1},"b":{"d":1},"e":{"f":1},"e":7,"\u0061":3}"#,
        &[
            ("/a == 3", true),
            ("/a == 1", false),
            ("exists(/b/c)", false),
            ("exists(/b/d)", true),
            ("exists(/e/f)", false),
            ("/* == 1", true),
            ("/*/f == 1", true),
        ],
    );
}

#[test]
fn a_field_with_strange_characters_stands_in_quotes() {
    holds(
        r#"{"a b":1,"it's(=)":2}"#,
        &[
            ("'/a b' == 1", true),
            ("\"/it's(=)\" == 2", true),
            ("'/it''s(=)'==2", true),
            ("exists('/a b')", true),
        ],
    );
    holds(r#"{"a":1}"#, &[("/a==1", true), ("(/a)==1", false)][..1]);
}

#[test]
fn bots_and_excluded_hits_are_told_by_conditions_like_any_other() {
    for (hit, bot) in [
        (r#"{"bot":"<Not a bot>"}"#, false),
        (r#"{"bot":"Googlebot"}"#, true),
        (r#"{"bot":17}"#, true),
        (r#"{"bot":""}"#, false),
        (r#"{"bot":null}"#, false),
        (r#"{"bot":false}"#, false),
        ("{}", false),
    ] {
        assert_eq!(is_true(IS_BOT, hit), bot, "{hit}");
    }
    for (hit, excluded) in [
        (r#"{"exclude":{"id":"0","value":"no"}}"#, false),
        (r#"{"exclude":{"id":0}}"#, false),
        (r#"{"exclude":{"id":5}}"#, true),
        (r#"{"exclude":{"id":"5"}}"#, true),
        (r#"{"exclude":{"id":""}}"#, false),
        (r#"{"exclude":{}}"#, false),
        (r#"{"exclude":"5"}"#, false),
        ("{}", false),
    ] {
        assert_eq!(is_true(IS_EXCLUDED, hit), excluded, "{hit}");
    }
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    for (condition, at, what) in [
        (
            "",
            0,
            "expected a field such as /pageName, exists, not or (, found the end",
        ),
        ("/a", 2, "expected ==, !=, <"),
        (
            "/a == ",
            6,
            "expected a value: a string in quotes, a number, true, false or null, found the end",
        ),
        (
            "/a == bot",
            6,
            "expected a value: a string in quotes, a number, true, false or null, found bot",
        ),
        ("/a = 1", 3, "write: =="),
        ("/a == 1 && /b == 2", 8, "write: and"),
        ("/a == 1 || /b == 2", 8, "write: or"),
        ("! /a == 1", 0, "write: not"),
        (
            "/a == 1 /b",
            8,
            "expected and, or, or the end of the condition, found /b",
        ),
        ("(/a == 1", 8, "expected ), found the end"),
        ("/a == 'x", 6, "lacks its end: '"),
        ("/a == /b", 6, "not with another field"),
        ("/a < null", 5, "expected a number or a string, found null"),
        (
            "/a in 5",
            6,
            "expected a list such as [1, 2] or a range such as 1..9, found 5",
        ),
        ("/a in []", 7, "expected a value"),
        ("/a in [1 2]", 9, "expected , or ], found 2"),
        ("/a in 9..1", 6, "the range 9..1 is empty"),
        ("/a in 1..", 9, "expected the number at which the range ends"),
        ("/a in 1..'x'", 9, "expected the number at which the range ends"),
        ("/a not in [1]", 3, "not stands in front of the field"),
        ("/a == 01", 6, "01 is no number"),
        ("/a == 1x", 6, "1x is no number"),
        ("/a == 1.", 6, "1. is no number"),
        ("/a =~ '('", 6, "no regular expression"),
        ("/a =~ 5", 6, "expected a string in quotes, found 5"),
        ("exclude.id == 0", 0, "/exclude/id is probably meant"),
        ("exists(bot)", 7, "/bot is probably meant"),
        ("/a == 1 and /b/ == 2", 15, "nothing follows the slash"),
        ("/props/prop* == 1", 11, "a star is a whole segment"),
        ("/a == 1 and #", 12, "'#' means nothing here"),
        ("/a is 1", 3, "expected ==, !="),
        ("exists /a", 7, "expected (, found /a"),
        ("/a == 'é' and", 14, "found the end"),
    ] {
        let fault = Condition::parse(condition).unwrap_err();
        assert_eq!(fault.offset(), at, "{condition}: {fault}");
        assert!(fault.what().contains(what), "{condition}: {fault}");
    }
}

#[test]
fn a_fault_shows_its_place_with_a_caret() {
    let fault = Condition::parse("/bot == 'x' and\n  /exclude/id = 0").unwrap_err();
    assert_eq!(fault.to_string(), "line 2, column 15: one = is nothing here, write: ==");
    assert_eq!(fault.excerpt(), "  /exclude/id = 0\n              ^");
}

#[test]
fn nesting_is_refused_before_it_can_hurt_and_length_is_not() {
    let deep = |depth: usize| format!("{}/a == 1{}", "(".repeat(depth), ")".repeat(depth));
    assert!(is_true(&deep(63), "{\"a\":1}"));
    assert!(Condition::parse(&deep(64)).unwrap_err().what().contains("too deep"));
    assert!(
        Condition::parse(&"not ".repeat(1_000_000))
            .unwrap_err()
            .what()
            .contains("too deep")
    );
    let long = vec!["/a == 2"; 10_000].join(" or ");
    assert!(!is_true(&long, "{\"a\":1}"));
    assert!(is_true(&format!("{long} or /a == 1"), "{\"a\":1}"));
}

#[test]
fn a_regular_expression_takes_time_in_proportion_to_the_text() {
    // A backtracking one would take 2^100000 steps.
    let hit = format!("{{\"a\":\"{}\"}}", "a".repeat(100_000));
    assert!(!is_true("/a =~ '^(a+)+b$'", &hit));
    let fault = Condition::parse("/a =~ '((x{100}){100}){100}'").unwrap_err();
    assert!(fault.what().contains("no regular expression"), "{fault}");
}
