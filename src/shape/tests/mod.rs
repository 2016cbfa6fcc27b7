//! A whole shape: its order of things, what it leaves byte for byte, and a slow reference beside it.

mod examples;
mod reference;

use super::*;
use pointer::Pointer;
use privacy::HashKey;

fn pointers(text: &str) -> Vec<Pointer> {
    text.split_whitespace()
        .map(|text| Pointer::parse(text).unwrap())
        .collect()
}

fn keep(fields: &str) -> Plan {
    Plan {
        fields: Fields::Keep(pointers(fields)),
        ..Plan::default()
    }
}

fn drop_fields(fields: &str) -> Plan {
    Plan {
        fields: Fields::Drop(pointers(fields)),
        ..Plan::default()
    }
}

fn private(rules: &[(&str, Action)]) -> Plan {
    Plan {
        privacy: rules
            .iter()
            .map(|(field, action)| (Pointer::parse(field).unwrap(), action.clone()))
            .collect(),
        ..Plan::default()
    }
}

fn hash() -> Action {
    Action::Hash(HashKey::new(b"a key of sixteen").unwrap())
}

/// The hash of a string, as it stands in a hit.
fn hashed(text: &str) -> String {
    let mut out = Vec::new();
    hash().write_quoted(&format!("{text:?}"), &mut Buffers::default(), &mut out);
    String::from_utf8(out).unwrap()
}

/// What goes out for a hit.
fn out(plan: Plan, hit: &str) -> String {
    let mut scratch = Scratch::default();
    let shaped = forwarded(plan.shape().unwrap().apply(hit.as_bytes(), &mut scratch));
    assert!(inspect(shaped.bytes()).is_ok(), "{}", shaped.bytes().escape_ascii());
    assert_eq!(shaped.is_rewritten(), shaped.bytes() != hit.as_bytes());
    String::from_utf8(shaped.bytes().to_vec()).unwrap()
}

#[track_caller]
fn forwarded(verdict: Verdict<'_>) -> Shaped<'_> {
    let Verdict::Forward(shaped) = verdict else {
        panic!("{verdict:?}")
    };
    shaped
}

#[track_caller]
fn becomes(plan: &Plan, table: &[(&str, &str)]) {
    for (hit, expected) in table {
        assert_eq!(out(plan.clone(), hit), *expected, "{hit}");
    }
}

#[test]
fn a_hit_that_nothing_changes_is_not_copied() {
    let hit = br#" {"a" : 1} "#;
    for plan in [
        Plan::default(),
        drop_fields("/b"),
        keep("/a"),
        private(&[("/b", hash())]),
    ] {
        let mut scratch = Scratch::default();
        let shaped = forwarded(plan.shape().unwrap().apply(hit, &mut scratch));
        assert!(std::ptr::eq(shaped.bytes(), hit.as_slice()));
        assert!(!shaped.is_rewritten());
    }
}

#[test]
fn a_dropped_member_takes_one_comma_with_it() {
    becomes(
        &drop_fields("/a /l/1"),
        &[
            (r#"{"a":1,"b":2,"c":3}"#, r#"{"b":2,"c":3}"#),
            (r#"{"b":2,"a":1,"c":3}"#, r#"{"b":2,"c":3}"#),
            (r#"{"b":2,"c":3,"a":1}"#, r#"{"b":2,"c":3}"#),
            (r#"{"a":1}"#, "{}"),
            (r#"{"a":1,"a":2,"b":3,"a":4,"a":5}"#, r#"{"b":3}"#),
            (r#"{"l":[1,2,3]}"#, r#"{"l":[1,3]}"#),
            (r#"{"l":[1,2]}"#, r#"{"l":[1]}"#),
            (r#"{ "a" : 1 , "b" : 2 }"#, r#"{ "b" : 2 }"#),
            (r#"{ "b" : 2 , "a" : 1 }"#, r#"{ "b" : 2 }"#),
            (r#"{"x":{"a":1},"a":{"deep":[{}]},"y":0}"#, r#"{"x":{"a":1},"y":0}"#),
        ],
    );
    becomes(
        &drop_fields("/l/0 /l/2 /o/*"),
        &[
            (r#"{"l":[1,2,3,4]}"#, r#"{"l":[2,4]}"#),
            (r#"{"l":[1]}"#, r#"{"l":[]}"#),
            (r#"{"o":{"a":1,"b":[2]},"p":1}"#, r#"{"o":{},"p":1}"#),
            (r#"{"o":[1,2],"l":{"0":1,"1":2}}"#, r#"{"o":[],"l":{"1":2}}"#),
        ],
    );
}

#[test]
fn what_is_kept_is_kept_byte_for_byte() {
    becomes(
        &drop_fields("/x"),
        &[(
            r#"{"visIdHigh":18446744073709551615,"x":0,"f":1.50e+01,"s":"\/\u00e9é\ud800","b" : [ 1 ,2 ]}"#,
            r#"{"visIdHigh":18446744073709551615,"f":1.50e+01,"s":"\/\u00e9é\ud800","b" : [ 1 ,2 ]}"#,
        )],
    );
}

#[test]
fn what_surrounds_a_kept_field_stays_and_its_siblings_go() {
    becomes(
        &keep("/evars/evars/evar1 /products/*/name /page"),
        &[
            (
                r#"{"ip":"x","evars":{"evars":{"evar1":"a","evar2":"b"},"other":1},"page":{"all":[1]}}"#,
                r#"{"evars":{"evars":{"evar1":"a"}},"page":{"all":[1]}}"#,
            ),
            (r#"{"evars":{"evars":{"evar2":"b"}}}"#, r#"{"evars":{"evars":{}}}"#),
            (r#"{"evars":{},"x":1}"#, r#"{"evars":{}}"#),
            (r#"{"evars":"text","page":1}"#, r#"{"page":1}"#),
            (
                r#"{"products":[{"name":"a","x":1},5,{"x":2},[{"name":1}]]}"#,
                r#"{"products":[{"name":"a"},{},[]]}"#,
            ),
            ("{\"x\":1}", "{}"),
        ],
    );
    becomes(&keep(""), &[(r#"{"a":1,"b":{}}"#, "{}")]);
    becomes(&keep("/0/1"), &[(r#"{"0":[1,2,3],"1":[2]}"#, r#"{"0":[2]}"#)]);
}

#[test]
fn privacy_is_not_dodged_by_doubled_keys_or_escapes() {
    let a = hashed("a");
    becomes(
        &private(&[("/ip", hash()), ("/x/ip", Action::Remove)]),
        &[
            (r#"{"ip":"a","ip":"a"}"#, &format!(r#"{{"ip":{a},"ip":{a}}}"#)),
            (r#"{"\u0069p":"a"}"#, &format!(r#"{{"\u0069p":{a}}}"#)),
            (
                r#"{"x":{"ip":1},"x":{"i\u0070":2,"ip":3,"y":4}}"#,
                r#"{"x":{},"x":{"y":4}}"#,
            ),
        ],
    );
}

#[test]
fn of_several_actions_remove_wins_then_the_outer_then_the_first() {
    let mask = |leaves| Action::Mask { leaves };
    let hit = r#"{"a":{"b":"secret"},"c":"secret"}"#;
    let whole = {
        let mut out = Vec::new();
        hash().write_quoted(r#"{"b":"secret"}"#, &mut Buffers::default(), &mut out);
        String::from_utf8(out).unwrap()
    };
    becomes(
        &private(&[("/c", mask(1)), ("/*", hash())]),
        &[(hit, &format!(r#"{{"a":{whole},"c":"*****t"}}"#))],
    );
    becomes(
        &private(&[("/a/b", mask(1)), ("/a", hash())]),
        &[(hit, &format!(r#"{{"a":{whole},"c":"secret"}}"#))],
    );
    becomes(&private(&[("/c", mask(1)), ("/*", Action::Remove)]), &[(hit, "{}")]);
    becomes(&private(&[("/a", mask(1))]), &[(hit, r#"{"c":"secret"}"#)]);
}

#[test]
fn privacy_comes_before_keep_and_drop() {
    let hit = r#"{"ip":"a","x":{"y":"a","z":"a"}}"#;
    let mut plan = keep("/ip /x/y");
    plan.privacy = private(&[("/ip", hash())]).privacy;
    becomes(&plan, &[(hit, &format!(r#"{{"ip":{},"x":{{"y":"a"}}}}"#, hashed("a")))]);
    // A text has no fields, and so none to keep.
    plan.privacy = private(&[("/x", hash())]).privacy;
    becomes(&plan, &[(hit, r#"{"ip":"a"}"#)]);
    plan.fields = Fields::Drop(pointers("/x"));
    becomes(&plan, &[(hit, r#"{"ip":"a"}"#)]);
}

#[test]
fn filters_see_the_hit_as_it_came_and_the_first_is_told() {
    let mut plan = private(&[("/ip", Action::Remove)]);
    plan.fields = Fields::Drop(pointers("/bot /exclude"));
    plan.filters = [condition::IS_BOT, condition::IS_EXCLUDED, "/ip == 'a'"]
        .map(|text| Filter::DropIf(Condition::parse(text).unwrap()))
        .into();
    plan.filters
        .push(Filter::KeepIf(Condition::parse("exists(/page)").unwrap()));
    let shape = plan.shape().unwrap();
    let mut scratch = Scratch::default();
    for (hit, dropped) in [
        (r#"{"bot":"x","ip":"a","page":1}"#, Some(0)),
        (r#"{"exclude":{"id":"5"},"page":1}"#, Some(1)),
        (r#"{"ip":"a","page":1}"#, Some(2)),
        (r#"{"ip":"b"}"#, Some(3)),
        (r#"{"ip":"b","page":1}"#, None),
    ] {
        match (shape.apply(hit.as_bytes(), &mut scratch), dropped) {
            (Verdict::Dropped { filter }, Some(expected)) => assert_eq!(filter, expected, "{hit}"),
            (Verdict::Forward(shaped), None) => assert_eq!(shaped.bytes(), br#"{"page":1}"#),
            (other, _) => panic!("{other:?}: {hit}"),
        }
    }
}

#[test]
fn what_lacks_a_required_field_is_told_with_the_field_and_shaped_all_the_same() {
    let mut plan = private(&[("/ip", Action::Remove)]);
    plan.required = pointers("/ip /page /props/*");
    let shape = plan.shape().unwrap();
    let mut scratch = Scratch::default();
    for (hit, lacks) in [
        (r#"{"ip":1,"props":{"prop1":1}}"#, Some(1)),
        (r#"{"ip":1,"page":null,"props":{}}"#, Some(2)),
        ("{}", Some(0)),
        (r#"{"ip":1,"page":null,"props":{"prop7":1}}"#, None),
    ] {
        match (shape.apply(hit.as_bytes(), &mut scratch), lacks) {
            (Verdict::Incomplete { field, shaped }, Some(expected)) => {
                assert_eq!(field, expected, "{hit}");
                assert!(!shaped.bytes().windows(4).any(|part| part == b"\"ip\""));
            }
            (Verdict::Forward(_), None) => {}
            (other, _) => panic!("{other:?}: {hit}"),
        }
    }
}

#[test]
fn values_are_taken_after_privacy_whether_or_not_the_field_is_kept() {
    let mut plan = private(&[
        ("/ip", Action::TruncateIp),
        ("/customVisId", hash()),
        ("/geo", Action::Remove),
        ("/whole", hash()),
        ("/mail", Action::Mask { leaves: 2 }),
    ]);
    plan.fields = Fields::Keep(vec![]);
    let fields = "/ip /customVisId /geo /geo/city /whole /whole/x /mail /visIdHigh /s /yes /null /list /absent /twice";
    let ids: Vec<_> = pointers(fields)
        .into_iter()
        .map(|field| plan.value(field).unwrap())
        .collect();
    assert_eq!(plan.value(pointers("/ip").remove(0)), Ok(ids[0]));
    let shape = plan.shape().unwrap();
    let hit = r#"{"ip":"203.0.113.9","customVisId":"a","geo":{"city":"paris"},"whole":{"x":1},"mail":"q\"\"",
        "visIdHigh":18446744073709551615,"s":"\/\u00e9","yes":true,"null":null,"list":[1],"twice":1,"twice":2}"#;
    let mut scratch = Scratch::default();
    let Verdict::Forward(shaped) = shape.apply(hit.as_bytes(), &mut scratch) else {
        panic!("not forwarded")
    };
    let values: Vec<_> = ids.iter().map(|id| shaped.value(*id)).collect();
    let hash_of_a = hashed("a");
    assert_eq!(
        values,
        [
            Some("203.0.113.0"),
            Some(hash_of_a.trim_matches('"')),
            None,
            None,
            None,
            None,
            Some("*\"\""),
            Some("18446744073709551615"),
            Some("/é"),
            Some("true"),
            None,
            None,
            None,
            Some("2")
        ]
    );
    assert!(shaped.bytes().starts_with(b"{") && shaped.bytes().ends_with(b"}"));
}

#[test]
fn a_value_is_one_field() {
    let field = pointers("/props/*").remove(0);
    assert_eq!(Plan::default().value(field.clone()), Err(SeveralFields(field)));
}

#[test]
fn what_is_no_hit_cannot_be_shaped_and_its_reason_is_told() {
    let shape = drop_fields("/a/b").shape().unwrap();
    let mut scratch = Scratch::default();
    for (bytes, reason) in [
        (&b""[..], NotAHit::NotJson),
        (b"[]", NotAHit::NotAnObject),
        (b"{\"a\":{\"b\":1}", NotAHit::NotJson),
        (b"{\"a\":{\"b\":1}}x", NotAHit::TrailingBytes),
        (b"{\"a\":\"\xff\"}", NotAHit::NotUtf8),
    ] {
        let verdict = shape.apply(bytes, &mut scratch);
        assert!(
            matches!(verdict, Verdict::Unshapable(told) if told == reason),
            "{verdict:?}: {}",
            bytes.escape_ascii()
        );
    }
}

#[test]
fn nothing_of_a_hit_is_in_what_prints() {
    let hit = br#"{"ip":"secret","x":1}"#;
    let mut scratch = Scratch::default();
    let shape = drop_fields("/x").shape().unwrap();
    let told = format!("{:?}", shape.apply(hit, &mut scratch));
    assert_eq!(told, "Forward(Shaped { length: 15, is_rewritten: true, .. })");
    assert!(!format!("{scratch:?}").contains("secret"));
}
