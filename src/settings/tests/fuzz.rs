//! Whatever stands in a file or in the environment, the answer is settings or faults.

use proptest::prelude::*;

use super::*;
use crate::settings::summary;

/// Pieces of which real configurations are made, and of which broken ones are.
const PIECES: [&str; 61] = [
    "[kafka]\n",
    "[kafka.properties]\n",
    "[streams.web]\n",
    "[streams.\"a b\"]\n",
    "[[streams]]\n",
    "[upstream]\n",
    "[credentials.default]\n",
    "[journal]\n",
    "[quarantine]\n",
    "[dedup]\n",
    "[admin]\n",
    "[log]\n",
    "[streams]\n",
    "[[tests]]\n",
    "[tests]\n",
    "name = ",
    "input = ",
    "headers = ",
    "value = ",
    "held_back_by = ",
    "timestamp = ",
    "url = ",
    "client_id = ",
    "client_secret = ",
    "access_token_file = ",
    "cooldown = ",
    "connections = ",
    "max_connections = ",
    "smoothing = ",
    "smoothing_bucket_size = ",
    "max_record_bytes = ",
    "scopes = ",
    "trusted_hosts = ",
    "topic = ",
    "brokers = ",
    "filter = ",
    "listen = ",
    "token = ",
    "hosts = ",
    "max_bytes = ",
    "max_bytes_in_all = ",
    "max_age = ",
    "\"linger.ms\" = ",
    "linger.ms = ",
    "acks = ",
    "\"https://livestream.adobe.net/a\"\n",
    "\"http://127.0.0.1:1/?reset=1#x\"\n",
    "\"60s\"\n",
    "\"8MiB\"\n",
    "1\n",
    "-1\n",
    "1e999\n",
    "true\n",
    "[\"a\", 1]\n",
    "{ a = 1 }\n",
    "1979-05-27\n",
    "\"{stream}{\"\n",
    "\"\"\n",
    "\"\\u0000\"\n",
    "\"a=b=c,[{\"\n",
    "\n",
];

fn environment() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = prop_oneof![
        "LIVESTREAMD__[A-Za-z_.\\-]{0,12}",
        "LIVESTREAMD__(STREAMS|CREDENTIALS)__(WEB|MY_SITE|A__B|)(__)(URL|COOLDOWN|CONNECTIONS|CLIENT_SECRET|X|)",
        "LIVESTREAMD__(KAFKA|UPSTREAM|KAFKA__PROPERTIES|LOG|ADMIN)(__(BROKERS|LINGER_MS|SMOOTHING|SCOPES|FILTER|LISTEN|.)){0,2}",
        "(https|HTTPS|all|no|NO)_(proxy|PROXY)",
        ".{0,8}",
    ];
    prop::collection::vec((name, ".{0,12}"), 0..6)
}

fn exercise(text: &str, format: Format, env: Vec<(String, String)>) {
    match load_str(text, format, env, Path::new("/nonexistent")) {
        Ok(loaded) => assert!(summary(&loaded.settings).lines().count() > 8),
        Err(faults) => assert!(
            faults.iter().count() > 0 && faults.to_string().lines().count() == faults.iter().count(),
            "{faults}"
        ),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_text_gives_settings_or_faults_of_a_line_each(text in ".{0,200}", env in environment()) {
        for format in [Format::Toml, Format::Yaml, Format::Json] {
            exercise(&text, format, env.clone());
        }
    }

    #[test]
    fn arbitrary_toml_of_real_pieces_gives_settings_or_faults_of_a_line_each(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..40),
        env in environment(),
    ) {
        exercise(&pieces.concat(), Format::Toml, env.clone());
        exercise(&with(&pieces.concat()), Format::Toml, env);
    }

    #[test]
    fn an_arbitrary_environment_gives_settings_or_faults_of_a_line_each(env in environment()) {
        exercise(&with(""), Format::Toml, env);
    }

    #[test]
    fn an_arbitrary_value_of_any_key_gives_settings_or_faults_of_a_line_each(value in ".{0,40}") {
        for key in ["url", "topic", "cooldown", "max_record_bytes", "report_suite", "key", "credentials"] {
            exercise(&with_stream(&format!("{key} = {value:?}")), Format::Toml, vec![]);
        }
        for key in ["kafka.brokers", "log.filter", "admin.listen", "admin.hosts", "upstream.trusted_hosts", "upstream.proxy", "upstream.no_proxy", "upstream.connections", "dedup.window"] {
            let variable = format!("LIVESTREAMD__{}", key.to_uppercase().replace('.', "__"));
            exercise(&with(""), Format::Toml, vec![(variable, value.clone())]);
        }
    }
}

#[test]
fn deep_nesting_is_a_fault_and_no_stack_overflow() {
    let steps = |depth: usize| (0..depth).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "-\n");
    let deep = |open: &str| open.repeat(500_000 / open.len());
    for (text, format) in [
        (deep("- "), Format::Yaml),
        (deep("? "), Format::Yaml),
        (deep("-\t"), Format::Yaml),
        (deep("- !t "), Format::Yaml),
        (deep("- &a "), Format::Yaml),
        (deep("? a: "), Format::Yaml),
        (steps(700), Format::Yaml),
        (steps(256) + &" ".repeat(256) + &"- ".repeat(64), Format::Yaml),
        (deep("["), Format::Yaml),
        (deep("{a: "), Format::Yaml),
        (deep("["), Format::Json),
        (deep("{\"a\":"), Format::Json),
        (format!("a = {}", deep("[")), Format::Toml),
        (format!("a = {}", deep("{a = ")), Format::Toml),
        (format!("{}a = 1", deep("a.")), Format::Toml),
        (format!("[{}a]", deep("a.")), Format::Toml),
    ] {
        exercise(&text, format, vec![]);
    }
}
