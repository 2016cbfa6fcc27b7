//! The walk itself: hostile bytes, and the size of what is compiled. What it finds is held to a slow reference in `shape/tests`.

use super::*;
use crate::shape::pointer::Pointer;

fn selection(pointers: &[&str], role: Role) -> Result<Selection, TooManyFields> {
    let roles: Vec<_> = pointers
        .iter()
        .map(|text| (Pointer::parse(text).unwrap(), role))
        .collect();
    Selection::new(&roles, true)
}

#[test]
fn a_walk_checks_the_grammar_of_what_no_pointer_touches() {
    let selection = selection(&["/a/b", "/l/*"], Role::Drop).unwrap();
    for (text, ok) in [
        ("{}", true),
        ("{ }", true),
        (
            r#"{"x":[1,{"y":[]},{}],"a":{"b":[[]],"c":-1.5e3},"l":[true,false,null,"\n"]}"#,
            true,
        ),
        (r#"{"x":[1,]}"#, false),
        (r#"{"x":[,1]}"#, false),
        (r#"{"x":[1}"#, false),
        (r#"{"x":{"y":1]}"#, false),
        (r#"{"x":{"y"}}"#, false),
        (r#"{"x":{"y":1,}}"#, false),
        (r#"{"x":01}"#, false),
        (r#"{"l":[1,]}"#, false),
        (r#"{"l":[,]}"#, false),
        (r#"{"l":[1}"#, false),
        (r#"{"a":{"b":1]}"#, false),
        (r#"{"a":{"b":1,}}"#, false),
        (r#"{"a":{,"b":1}}"#, false),
        (r#"{"a":{"b":1}"#, false),
        (r#"{"a":{"b":tru}}"#, false),
        (r#"{"a":{"b":"\x"}}"#, false),
        (r#"{"a":{"b""#, false),
        ("{", false),
    ] {
        let end = selection.walk(text, 0, &[], &mut Sheet::default());
        assert_eq!(end.is_ok(), ok, "{text}");
        assert_eq!(
            serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(),
            ok,
            "{text}"
        );
        if ok {
            assert_eq!(end, Ok(text.len()));
        }
    }
}

#[test]
fn a_million_brackets_are_walked_over_in_a_small_stack() {
    let walk = || {
        let pointers = ["/a".repeat(32), "/*".repeat(32)];
        let selection = selection(&[&pointers[0], &pointers[1]], Role::Drop).unwrap();
        let mut sheet = Sheet::default();
        let deep =
            |open: &str, close: &str| format!("{{\"a\":{}1{}}}", open.repeat(1_000_000), close.repeat(1_000_000));
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let text = deep(open, close);
            assert_eq!(selection.walk(&text, 0, &[], &mut sheet), Ok(text.len()));
            assert_eq!(sheet.edits.len(), 1);
            assert!(selection.walk(&deep(open, ""), 0, &[], &mut sheet).is_err());
        }
        assert!(selection.walk(&deep("[", "}"), 0, &[], &mut sheet).is_err());
    };
    let thread = std::thread::Builder::new().stack_size(128 * 1024).spawn(walk);
    thread.unwrap().join().unwrap();
}

#[test]
fn pointers_that_would_explode_are_refused() {
    // Each level doubles the sets of pointers that a key leads to.
    let pointers: Vec<String> = (0..20)
        .map(|at| (0..20).map(|level| if level == at { "/a" } else { "/*" }).collect())
        .collect();
    let pointers: Vec<&str> = pointers.iter().map(String::as_str).collect();
    assert!(selection(&pointers, Role::Drop).is_err());
    assert!(selection(&pointers[..8], Role::Drop).is_ok());
    let many: Vec<String> = (0..1_000).map(|number| format!("/evars/evars/evar{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(selection(&many, Role::Keep).is_ok());
}
