//! Where hits go: templates, allowed names and what hits may not do.

use super::*;
use crate::shape::{Scratch, Verdict};

const NAMES: Names<'_> = Names {
    stream: "web",
    report_suite: "acme.shop",
};

fn topic(template: &str, allowed: &str, hit: &str) -> String {
    let mut plan = Plan::default();
    let allowed = allowed.split(' ').map(|glob| Glob::parse(glob).unwrap()).collect();
    let topic = Topic::new(&mut plan, &parse(template).unwrap(), allowed, "fallback").unwrap();
    let shape = plan.shape().unwrap();
    let mut scratch = Scratch::default();
    let verdict = shape.apply(hit.as_bytes(), &mut scratch);
    let Verdict::Forward(shaped) = verdict else {
        panic!("{verdict:?}")
    };
    topic.name(&shaped, NAMES, &mut String::from("left over")).to_owned()
}

#[test]
fn a_template_takes_names_and_fields() {
    let hit = r#"{"geoCountry":"deu","n":7,"slash":"a\/b é","empty":"","nested":{},"dot":"."}"#;
    for (template, expected) in [
        ("hits", "hits"),
        ("{stream}-{report_suite}.v1", "web-acme.shop.v1"),
        ("hits.{field:/geoCountry|unknown}", "hits.deu"),
        ("hits.{field:/geoCountry}", "hits.deu"),
        ("hits.{field:/n}", "hits.7"),
        ("hits.{field:/slash}", "hits.a_b__"),
        ("hits.{field:/city|unknown}", "hits.unknown"),
        ("hits.{field:/empty|unknown}", "hits.unknown"),
        ("hits.{field:/nested|unknown}", "hits.unknown"),
        ("hits.{field:/city}", "fallback"),
        ("hits.{field:/empty}", "fallback"),
        ("{field:/dot}", "fallback"),
        ("{field:/dot}{field:/dot}", "fallback"),
    ] {
        assert_eq!(topic(template, "*", hit), expected, "{template}");
    }
}

#[test]
fn what_is_not_allowed_goes_to_the_fallback() {
    for (allowed, value, expected) in [
        ("hits.deu", "deu", "hits.deu"),
        ("hits.fra hits.d*", "deu", "hits.deu"),
        ("hits.fra", "deu", "fallback"),
        ("hits.", "deu", "fallback"),
    ] {
        let hit = format!("{{\"c\":\"{value}\"}}");
        assert_eq!(topic("hits.{field:/c}", allowed, &hit), expected, "{allowed}");
    }
}

#[test]
fn what_no_hit_has_a_say_in_needs_no_list() {
    assert_eq!(topic("{stream}.hits", "other", "{}"), "web.hits");
    assert_eq!(topic("{stream}.{field:/c|hits}", "other", "{}"), "fallback");
    let long = "x".repeat(MAX_TOPIC_BYTES + 1);
    assert_eq!(topic(&long, "*", "{}"), "fallback");
}

#[test]
fn a_hit_reaches_neither_kafka_s_own_topics_nor_names_that_are_too_long() {
    assert_eq!(topic("{field:/t}", "*", r#"{"t":"__consumer_offsets"}"#), "fallback");
    assert_eq!(topic("{field:/t}", "*", r#"{"t":"\/\/consumer_offsets"}"#), "fallback");
    for (length, expected) in [
        (MAX_TOPIC_BYTES, None),
        (MAX_TOPIC_BYTES + 1, Some("fallback")),
        (100_000, Some("fallback")),
    ] {
        let name = "x".repeat(length);
        let hit = format!("{{\"t\":\"{name}\"}}");
        assert_eq!(topic("{field:/t}", "*", &hit), expected.unwrap_or(&name));
    }
}

#[test]
fn globs_match_whole_names() {
    for (glob, name, matches) in [
        ("*", "anything", true),
        ("hits", "hits", true),
        ("hits", "hits2", false),
        ("hits*", "hits", true),
        ("*.de", "hits.de", true),
        ("*.de", "hits.dex", false),
        ("h*s.*.v1", "hits.a.b.v1", true),
        ("h*s.*.v1", "hits.v1", false),
        ("a*a", "a", false),
        ("a**a", "aa", true),
        ("a*b*c", "axcxb", false),
        ("a*ab", "aab", true),
    ] {
        assert_eq!(Glob::parse(glob).unwrap().matches(name), matches, "{glob} {name}");
    }
    assert_eq!(Glob::parse("hits,other").unwrap_err().offset(), 4);
    assert_eq!(Glob::parse("").unwrap_err().offset(), 0);
}

#[test]
fn what_is_wrong_with_a_template_is_told_with_its_place() {
    for (template, at, what) in [
        ("", 0, "no name"),
        ("__hits", 0, "Kafka's own"),
        ("hits/{stream}", 4, "letters without accents"),
        ("hits.{stream", 5, "not closed"),
        ("hits.{suite}", 6, "{suite} is nothing: write {stream}"),
        ("hits}", 4, "letters without accents"),
        ("x{field:geoCountry}", 8, "/geoCountry is probably meant"),
        ("x{field:/a/}", 11, "nothing follows the slash"),
        ("x{field:/a/*}", 8, "without stars"),
        ("x{field:/a|}", 11, "nothing follows the |"),
        ("x{field:/a|ü}", 11, "letters without accents"),
    ] {
        let fault = parse(template).unwrap_err();
        assert_eq!(fault.offset(), at, "{template}: {fault}");
        assert!(fault.what().contains(what), "{template}: {fault}");
    }
}

#[test]
fn a_template_is_shown_as_it_was_written() {
    for text in ["hits", "{stream}.{report_suite}.{field:/a/b|c}{field:/d}"] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
}

#[test]
fn the_fallback_is_a_topic() {
    for name in ["", "..", "a/b", "ü"] {
        let template = parse("x").unwrap();
        assert_eq!(
            Topic::new(&mut Plan::default(), &template, vec![], name).unwrap_err(),
            NotATopic(name.into())
        );
    }
}
