//! `[[tests]]`: what is taken, what a test finds, and what is refused with its place.

use super::*;
use crate::settings::TestSettings;

/// A stream with a filter, a required field, a header, and a further output.
const SHAPED: &str = "
[streams.web.shape]
bots = \"drop\"
required = [\"/pageName\"]
headers = { country = \"{field:/geoCountry}\" }
[streams.web.outputs.purchases]
topic = \"purchases\"
timestamp = \"timeGMT\"
shape = { bots = \"keep\", required = [], drop = [\"/ip\"] }
";

const SECOND: &str = "[streams.app]\nurl = \"https://livestream.adobe.net/api/1/stream/app\"\n";

/// A configuration with [`SHAPED`] and this test.
fn with_test(keys: &str) -> String {
    format!("{}[[tests]]\n{keys}", with_stream(SHAPED))
}

/// The tests of a configuration that must be fine.
fn tests(text: &str) -> Vec<TestSettings> {
    settings(text, &[]).tests
}

/// What is otherwise than expected, a line each.
fn differences(test: &TestSettings) -> Vec<String> {
    let found = test.run().err().unwrap_or_default();
    found.iter().map(ToString::to_string).collect()
}

#[test]
fn tests_are_taken_in_their_order_and_find_what_differs() {
    let text = with_test(
        r#"
name = "bots do not get to Kafka"
stream = "web"
output = "default"
input = '''
  {"bot":"Googlebot"}
'''
held_back_by = "bots"

[[tests]]
name = "purchases have no addresses"
output = "purchases"
input = '{"ip":"::1","timeGMT":1700000000}'
topic = "purchases"
key = ""
timestamp = 1700000000000
headers = { "livestream.stream" = "web", country = "" }
value = ' {"timeGMT":1700000000} '

[[tests]]
name = "a time of the future is none"
output = "purchases"
input = '{"timeGMT":1700000000}'
received = 5
timestamp = 5

[[tests]]
name = "wrong"
input = '{"pageName":"home"}'
topic = "elsewhere"
key = "1_2"
"#,
    );
    let tests = tests(&text);
    let found: Vec<_> = tests.iter().map(|test| (test.number, differences(test))).collect();
    let wrong = [
        r#"topic is "livestream.web" where "elsewhere" was expected"#,
        r#"key is none where "1_2" was expected"#,
    ];
    let wrong = wrong.map(str::to_owned).to_vec();
    assert_eq!(found, [(1, vec![]), (2, vec![]), (3, vec![]), (4, wrong)]);
    assert_eq!(
        (tests[0].name.as_str(), tests[0].trial.record.as_str()),
        ("bots do not get to Kafka", "{\"bot\":\"Googlebot\"}")
    );
}

#[test]
fn tests_are_the_same_in_every_format() {
    let yaml = "
credentials: {default: {client_id: client, client_secret: hush}}
streams: {web: {url: 'https://livestream.adobe.net/api/1/stream/web'}}
tests:
- {name: passes, input: '{}', topic: livestream.web}
- {name: is no hit, input: '[]', dead_letter: not_an_object}
";
    let loaded = load_str(yaml, Format::Yaml, [], Path::new("/nonexistent")).unwrap();
    let found: Vec<_> = loaded.settings.tests.iter().map(differences).collect();
    assert_eq!(found, [[""; 0]; 2]);
    assert!(tests(&with("tests = []")).is_empty());
}

#[test]
fn a_test_that_could_not_fail_or_not_pass_is_refused_with_its_place() {
    let named = |keys: &str| with_test(&format!("name = \"x\"\n{keys}"));
    let hit = |keys: &str| named(&format!("input = '{{}}'\n{keys}"));
    for (text, key, says) in [
        (with_test("input = '{}'\ntopic = 'a'"), "tests.1.name", "is missing"),
        (named("topic = 'a'"), "tests.1.input", "is missing"),
        (named("input = ' '\ntopic = 'a'"), "tests.1.input", "is empty"),
        (
            named("input = \"{}\\n{}\"\ntopic = 'a'"),
            "tests.1.input",
            "a hit is one line",
        ),
        (
            named("input = 7\ntopic = 'a'"),
            "tests.1.input",
            "a number stands where text",
        ),
        (hit(""), "tests.1", "expects nothing"),
        (hit("headers = {}"), "tests.1", "expects nothing"),
        (
            hit("topic = 'a'\ntopics = 'a'"),
            "tests.1.topics",
            "did you mean topic?",
        ),
        (
            hit("topic = 'a'\nstream = 'wep'"),
            "tests.1.stream",
            "is no stream; choose one of web",
        ),
        (
            hit("topic = 'a'\noutput = 'all'"),
            "tests.1.output",
            "choose one of default, purchases",
        ),
        (
            hit("held_back_by = 'bot'"),
            "tests.1.held_back_by",
            "choose one of bots",
        ),
        (
            hit("held_back_by = 'bots'\noutput = 'purchases'"),
            "tests.1.held_back_by",
            "there is none",
        ),
        (
            hit("incomplete = '/pageNam'"),
            "tests.1.incomplete",
            "choose one of /pageName",
        ),
        (
            hit("dead_letter = 'not_utf8'"),
            "tests.1.dead_letter",
            "choose one of not_json, not_an_object, trailing_bytes",
        ),
        (
            hit("held_back_by = 'bots'\ntopic = 'a'"),
            "tests.1.held_back_by",
            "nothing comes out",
        ),
        (
            hit("incomplete = '/pageName'\ndead_letter = 'not_json'"),
            "tests.1.dead_letter",
            "cannot be as well",
        ),
        (
            hit("headers = { \"livestream.hitid\" = '' }"),
            "tests.1.headers.livestream.hitid",
            "livestream.hit_id, ",
        ),
        (hit("value = ' '"), "tests.1.value", "is empty"),
        (
            hit("headers = { \"livestream.duplicate\" = 'true' }"),
            "tests.1.headers.livestream.duplicate",
            "the daemon alone sets",
        ),
        (
            hit("headers = { county = '' }"),
            "tests.1.headers.county",
            "is no header",
        ),
        (
            hit("headers = { country = 7 }"),
            "tests.1.headers.country",
            "a number stands",
        ),
        (
            hit("topic = 'a'\nreceived = 5"),
            "tests.1.received",
            "has no effect without timestamp",
        ),
        (hit("timestamp = -1"), "tests.1.timestamp", "whole number"),
        (
            hit("topic = 'a'\n[[tests]]\nname = 'y'\ninput = '{}'"),
            "tests.2",
            "expects nothing",
        ),
        (with("tests = ['{}']"), "tests.1", "text stands where the section"),
        (with("[tests]\nname = 'x'"), "tests", "each under [[tests]]"),
        (
            with_stream(&format!("{SECOND}[[tests]]\nname = 'x'\ninput = '{{}}'\ntopic = 'a'")),
            "tests.1.stream",
            "is missing; there are several streams: choose one of app, web",
        ),
    ] {
        assert_refused(&text, &[], key, says);
    }
}

#[test]
fn a_hit_of_a_test_is_in_no_fault() {
    let text = with_test("name = 'x'\ninput = \"{\\\"secretive\\\":1}\\n{}\"\ntopic = 'a'");
    let faults = from_toml(&text).unwrap_err().to_string();
    assert!(
        !faults.contains("secretive") && faults.contains("tests.1.input"),
        "{faults}"
    );
}

#[test]
fn the_environment_sets_no_tests() {
    for variable in ["LIVESTREAMD__TESTS", "LIVESTREAMD__TESTS__1__NAME"] {
        let key = variable
            .trim_start_matches("LIVESTREAMD__")
            .to_lowercase()
            .replace("__", ".");
        assert_refused(&with(""), &[(variable, "x")], &key, "write it into the file");
    }
}

#[test]
fn a_reload_has_nothing_to_do_for_tests() {
    use crate::settings::Changes;
    let before = settings(&with_stream(SHAPED), &[]);
    let after = settings(&with_test("name = 'x'\ninput = '{}'\ntopic = 'a'"), &[]);
    assert_eq!(after.tests.len(), 1);
    assert!(Changes::between(&before, &after).is_empty());
}
