//! `[shape]`, the shapes of streams, and further outputs: what is taken, and what is refused with its place.

use super::*;
use crate::settings::{MessageKey, MessageTime, OutputSettings, Topics};
use crate::shape::Fields;

/// The outputs of the one stream of a configuration that must be fine.
fn outputs(text: &str, env: &[(&str, &str)]) -> Vec<OutputSettings> {
    let settings = settings(text, env);
    let outputs = settings.streams[0].outputs.iter();
    outputs.map(|output| output.settings().clone()).collect()
}

fn filters(output: &OutputSettings) -> Vec<&str> {
    output.shape.filters.iter().map(|(name, _)| name.as_str()).collect()
}

fn shape(keys: &str) -> String {
    with(&format!("[shape]\n{keys}"))
}

fn stream_shape(keys: &str) -> String {
    with_stream(&format!("[streams.web.shape]\n{keys}"))
}

#[test]
fn a_stream_goes_by_the_shape_of_all_unless_it_says_otherwise() {
    let text = format!(
        "[shape]\nbots = \"drop\"\nrequired = [\"/a\"]\n[shape.drop_if]\nz = '/z == 1'\n[shape.keep_if]\nb = '/b == 1'\n{}{}",
        with_stream("[streams.web.shape]\nexcluded = \"drop\"\nkeep_if = { c = '/c == 1' }\ndrop = [\"/props/*\"]"),
        "[streams.plain]\nurl = \"https://livestream.adobe.net/api/1/stream/plain\"\n"
    );
    let settings = settings(&text, &[]);
    let [plain, web] = [0, 1].map(|nth| settings.streams[nth].outputs[0].settings());
    assert_eq!(filters(plain), ["bots", "b", "z"]);
    assert_eq!(filters(web), ["bots", "excluded", "c", "z"]);
    assert_eq!(plain.shape.required, web.shape.required);
    assert_eq!((&plain.shape.fields, &plain.shape.required.len()), (&Fields::All, &1));
    assert!(matches!(&web.shape.fields, Fields::Drop(pointers) if pointers.len() == 1));
}

#[test]
fn a_further_output_is_as_its_stream_is_unless_it_says_otherwise() {
    let text = with_stream(
        "key = \"hit\"\nshape = { bots = \"drop\", privacy = { remove = [\"/ip\"] } }\n\
         [streams.web.outputs.a]\ntopic = \"a.{stream}\"\n\
         [streams.web.outputs.b]\ntopic = \"b\"\nkey = \"/geoCountry\"\ntimestamp = \"timeGMT\"\ndead_letter_topic = \"b.dead\"\n\
         shape = { bots = \"keep\", privacy = { remove = [] } }",
    );
    let outputs = outputs(&text, &[]);
    let [web, a, b] = &outputs[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!([web, a, b].map(|output| output.name.as_str()), ["default", "a", "b"]);
    assert_eq!(a.topic, Topics::One("a.web".to_owned()));
    assert_eq!(
        (&a.key, a.timestamp, &a.shape),
        (&MessageKey::Hit, MessageTime::Received, &web.shape)
    );
    assert_eq!(
        (b.key.to_string().as_str(), b.timestamp),
        ("/geoCountry", MessageTime::TimeGmt)
    );
    assert_eq!(
        (filters(b), b.shape.privacy.len(), web.shape.privacy.len()),
        (vec![], 0, 1)
    );
    assert_eq!(
        (web.dead_letter_topic.as_str(), b.dead_letter_topic.as_str()),
        ("livestream.dead-letter", "b.dead")
    );
}

#[test]
fn a_topic_by_hit_needs_what_may_come_out_of_it_and_what_else() {
    let topic = "topic = \"hits.{field:/geoCountry|unknown}\"\n";
    let whole = with_stream(&format!(
        "{topic}allowed_topics = [\"hits.*\"]\nfallback_topic = \"{{stream}}.other\""
    ));
    let Topics::ByHit { template, fallback, .. } = &outputs(&whole, &[])[0].topic else {
        panic!()
    };
    assert_eq!(
        (template.to_string().as_str(), fallback.as_str()),
        ("hits.{field:/geoCountry|unknown}", "web.other")
    );
    for (keys, key, says) in [
        (topic.to_owned(), "streams.web.topic", "name the topics that may come out of it in allowed_topics"),
        (format!("{topic}allowed_topics = [\"hits.*\"]"), "streams.web.topic", "set fallback_topic"),
        (format!("{topic}allowed_topics = [\"hits/*\"]"), "streams.web.allowed_topics", "is no pattern for topics (column 5"),
        ("topic = \"a\"\nallowed_topics = [\"b\"]".to_owned(), "streams.web.allowed_topics", "has no effect"),
        (
            "topic = \"a.{field:geoCountry}\"\nallowed_topics = [\"a.*\"]\nfallback_topic = \"a\"".to_owned(),
            "streams.web.topic",
            "/geoCountry is probably meant\n    a.{field:geoCountry}\n             ^",
        ),
        (
            "report_suite = \"a suite\"\ntopic = \"{report_suite}.{field:/b}\"\nallowed_topics = [\"a\"]\nfallback_topic = \"a\"".to_owned(),
            "streams.web.topic",
            "gives the topic \"a suite.x\"",
        ),
        (
            "topic = \"a\"\ndead_letter_topic = \"b\"\n[streams.web.shape]\nrequired = [\"/c\"]\nincomplete_topic = \"b\"".to_owned(),
            "streams.web.dead_letter_topic",
            "which is a topic for hits of stream web",
        ),
        (
            "topic = \"a.{field:/b}\"\nallowed_topics = [\"*\"]\nfallback_topic = \"a\"\ndead_letter_topic = \"a.dead\"".to_owned(),
            "streams.web.dead_letter_topic",
            "which is a topic for hits of stream web",
        ),
    ] {
        assert_refused(&with_stream(&keys), &[], key, says);
    }
}

#[test]
fn a_wrong_expression_is_refused_with_its_place() {
    for (text, key, says) in [
        (
            shape("drop_if = { a = '/a == 1 and /b = 2' }"),
            "shape.drop_if.a",
            "\n    /a == 1 and /b = 2\n                   ^",
        ),
        (
            stream_shape("keep_if = { a = '''\n/a == 1\nor /b ==\n''' }"),
            "streams.web.shape.keep_if.a",
            "line",
        ),
        (shape("drop_if = { a = '/a =~ \"(\"' }"), "shape.drop_if.a", "column"),
        (
            shape("drop_if = { a = 5 }"),
            "shape.drop_if.a",
            "a number stands where a condition in quotes belongs",
        ),
        (
            shape("drop_if = { bots = '/a == 1' }"),
            "shape.drop_if.bots",
            "is a bad name for a filter",
        ),
        (
            shape("drop_if = { a = '/a == 1' }\nkeep_if = { a = '/a == 1' }"),
            "shape.keep_if.a",
            "is the name of a filter in drop_if too",
        ),
        (shape("bots = true"), "shape.bots", "true or false stands where"),
        (shape("bots = \"remove\""), "shape.bots", "is none of keep, drop"),
        (
            shape("required = [\"pageName\"]"),
            "shape.required",
            "/pageName is probably meant",
        ),
        (
            shape("keep = [\"/a\"]\ndrop = [\"/b\"]"),
            "shape.drop",
            "stands beside keep",
        ),
        (shape("keep = []"), "shape.keep", "would leave nothing of a hit"),
        (
            shape("privacy = { mask = [\"/a/\"] }"),
            "shape.privacy.mask",
            "nothing follows the slash",
        ),
        (
            shape("privacy = { hash = [\"/a\"] }"),
            "shape.privacy.hash",
            "set hash_key_file",
        ),
        (
            shape("privacy = { scrub = [\"/a\"] }"),
            "shape.privacy.scrub",
            "known here are remove, hash, mask",
        ),
        (
            shape("privacy = 1"),
            "shape.privacy",
            "a number stands where the section [shape.privacy] belongs",
        ),
        (
            stream_shape("headers = 1"),
            "streams.web.shape.headers",
            "a number stands where the section",
        ),
        (
            with_stream("shape = \"x\""),
            "streams.web.shape",
            "text stands where the section [streams.web.shape] belongs",
        ),
        (
            shape("headers = { \"livestream.x\" = \"a\" }"),
            "shape.headers.livestream.x",
            "is a bad name for a header",
        ),
        (
            shape("headers = { a = \"{field:/a\" }"),
            "shape.headers.a",
            "not closed",
        ),
        (
            with_stream("key = \"/products/*/name\""),
            "streams.web.key",
            "may be several fields",
        ),
        (
            with_stream("timestamp = \"now\""),
            "streams.web.timestamp",
            "is none of received, timeGMT, receivedTimeGMT",
        ),
        (
            with_stream("[streams.web.outputs.a]\nkey = \"hit\""),
            "streams.web.outputs.a.topic",
            "needs a topic of its own",
        ),
        (
            with_stream("[streams.web.outputs.A]\ntopic = \"a\""),
            "streams.web.outputs.A",
            "is a bad name",
        ),
        (
            with_stream("[streams.web.outputs.default]\ntopic = \"a\""),
            "streams.web.outputs.default",
            "choose another",
        ),
        (
            with_stream("outputs = 1"),
            "streams.web.outputs",
            "a number stands where the section",
        ),
        (
            with_stream("outputs = { a = 1 }"),
            "streams.web.outputs.a",
            "a number stands where the section",
        ),
        (
            with_stream("[streams.web.outputs.a]\ntopic = \"a\"\nurl = \"b\""),
            "streams.web.outputs.a.url",
            "is not a known key",
        ),
    ] {
        assert_refused(&text, &[], key, says);
    }
}

#[test]
fn a_hash_key_is_read_from_its_file_and_shown_by_its_id_alone() {
    let directory = tempfile::tempdir().unwrap();
    let text = shape("privacy = { hash = [\"/ip\"], hash_key_file = \"key\" }");
    let load = |content: &str| {
        std::fs::write(directory.path().join("key"), content).unwrap();
        load_str(&text, Format::Toml, [], directory.path())
    };
    let loaded = load("0123456789abcdef0123456789abcdef\n").unwrap();
    let output = loaded.settings.streams[0].outputs[0].settings();
    let id = output.shape.hash_key_id().unwrap();
    let (shown, printed) = (crate::settings::summary(&loaded.settings), format!("{output:?}"));
    assert!(shown.contains(&format!("/ip hashed with the key {id}")), "{shown}");
    assert!(printed.contains(id) && !printed.contains("0123456789abcdef") && !shown.contains("0123456789abcdef"));
    let other = load("1123456789abcdef0123456789abcdef\n").unwrap();
    assert_ne!(
        other.settings.streams[0].outputs[0], loaded.settings.streams[0].outputs[0],
        "a reload sees it"
    );
    let short = load("hush\n").unwrap_err().to_string();
    assert!(
        short.starts_with("shape.privacy.hash_key_file") && short.contains("at least 16 bytes"),
        "{short}"
    );
    assert!(!short.contains("hush"));
    std::fs::remove_file(directory.path().join("key")).unwrap();
    let missing = load_str(&text, Format::Toml, [], directory.path())
        .unwrap_err()
        .to_string();
    assert!(missing.contains("there is no such file"), "{missing}");
}

#[test]
fn the_shape_of_all_may_come_from_the_environment() {
    let env = [
        ("LIVESTREAMD__SHAPE__BOTS", "drop"),
        ("LIVESTREAMD__SHAPE__REQUIRED", "/a,/b"),
        ("LIVESTREAMD__SHAPE__DROP_IF__INTERNAL", "/a == 1"),
        ("LIVESTREAMD__SHAPE__PRIVACY__REMOVE", "/ip"),
        ("LIVESTREAMD__KAFKA__KEY", "/visitor"),
    ];
    let output = &outputs(&with(""), &env)[0];
    assert_eq!(filters(output), ["bots", "internal"]);
    assert_eq!((output.shape.required.len(), output.shape.privacy.len()), (2, 1));
    assert_eq!(output.key.to_string(), "/visitor");
    assert_refused(&with(""), &[("LIVESTREAMD__SHAPE", "drop")], "shape", "is a section");
    assert_refused(
        &with_stream(""),
        &[("LIVESTREAMD__STREAMS__WEB__SHAPE", "drop")],
        "streams.web.shape",
        "text stands where the section",
    );
    for name in [
        "WEB__SHAPE__BOTS",
        "WEB__SHAPE__PRIVACY__REMOVE",
        "WEB__OUTPUTS__SOLD__TOPIC",
    ] {
        let variable = format!("LIVESTREAMD__STREAMS__{name}");
        let key = format!("streams.{}", name.to_ascii_lowercase().replace("__", "."));
        assert_refused(
            &with_stream(""),
            &[(variable.as_str(), "drop")],
            &key,
            "in the file only",
        );
    }
}

#[test]
fn what_check_shows_of_a_shape_is_all_of_it() {
    let text = with_stream(
        "timestamp = \"timeGMT\"\n[streams.web.shape]\nbots = \"drop\"\nrequired = [\"/a\"]\nincomplete_topic = \"{stream}.incomplete\"\n\
         keep = [\"/a\", \"/b\"]\nheaders = { h = \"{field:/a}\" }\nkeep_if = { k = \"/a == 1\\n  or /b == 2\" }\n\
         privacy = { mask = [\"/b\"], truncate_ip = [\"/ip\"] }\n[streams.web.outputs.other]\ntopic = \"other\"",
    );
    let shown = crate::settings::summary(&settings(&text, &[]));
    for line in [
        "  topic       livestream.web, key visitor, timestamp timeGMT, dead letters to livestream.dead-letter\n",
        "    filter    bots drops: exists(/bot)",
        "    filter    k keeps only: /a == 1 or /b == 2\n",
        "    required  /a; hits without go to web.incomplete\n",
        "    privacy   /b masked but for 4 characters\n",
        "    privacy   /ip made coarser\n",
        "    fields    only /a, /b\n",
        "    header    h: {field:/a}\n",
        "  output      other\n  topic       other, key visitor",
    ] {
        assert!(shown.contains(line), "{line} is not in\n{shown}");
    }
}
