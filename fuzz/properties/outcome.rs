//! Whatever a line holds, it is told what becomes of it: a dead letter if it is no hit, and else one of three things; with the headers that are known; and a test that
//! expects just that passes.

use std::path::Path;
use std::sync::{Arc, OnceLock};

use livestreamd::hit::inspect;
use livestreamd::settings::{Format, Output, load_str};
use livestreamd::shape::message::{self, Message};
use livestreamd::shape::outcome::{Headers, Outcome, Room, outcome, outcome_of_too_long};
use livestreamd::shape::template::Names;
use livestreamd::shape::trial::{Expected, Fate, Trial};

use super::shape::spelled;

const SHAPE: &str = r#"
[credentials.default]
access_token = "ready-made"
[streams.web]
url = "https://livestream.adobe.net/api/1/stream/web"
topic = "hits.{field:/a|none}"
allowed_topics = ["hits.*"]
fallback_topic = "other"
timestamp = "timeGMT"
[streams.web.shape]
bots = "drop"
drop_if = { b = 'exists(/b) or /a =~ "true"' }
required = ["/a"]
incomplete_topic = "incomplete"
headers = { a = "{field:/a}" }
privacy = { mask = ["/a", "/s"], mask_leaves = 1 }
[streams.web.outputs.dropping]
topic = "dropping"
key = "/a"
shape = { incomplete_topic = "dropped", keep = ["/a/*"] }
[streams.web.outputs.plain]
topic = "plain"
shape = { bots = "keep", drop_if = {}, required = [], headers = {}, privacy = { mask = [] } }
"#;

const NAMES: Names<'_> = Names {
    stream: "web",
    report_suite: "acme",
};
const RECEIVED_MS: u64 = 1_700_000_000_000;

fn outputs() -> &'static [Arc<Output>] {
    static OUTPUTS: OnceLock<Vec<Arc<Output>>> = OnceLock::new();
    OUTPUTS.get_or_init(|| {
        let loaded = load_str(SHAPE, Format::Toml, [], Path::new("/nonexistent"));
        let mut settings = loaded.unwrap_or_else(|faults| panic!("{faults}")).settings;
        settings.streams.remove(0).outputs
    })
}

pub fn check(input: &[u8]) {
    let mut record = spelled(input);
    if input.len().is_multiple_of(2) {
        record = [b"{", &record[..], b"}"].concat();
    }
    let mut room = Room::default();
    for output in outputs() {
        let told = outcome(output, NAMES, &record, RECEIVED_MS, &mut room);
        let message = told.message();
        if let Some(message) = message {
            assert_sound(output, message);
        }
        let fate = match &told {
            Outcome::Forwarded(_) => Fate::Forwarded,
            Outcome::HeldBack(filter) => Fate::HeldBack((*filter).to_owned()),
            Outcome::Incomplete { field, .. } => Fate::Incomplete((*field).to_owned()),
            Outcome::DeadLetter { reason, .. } => Fate::DeadLetter(reason.name().to_owned()),
        };
        assert_eq!(matches!(fate, Fate::DeadLetter(_)), inspect(&record).is_err(), "{fate}");
        if let Ok(record) = String::from_utf8(record.clone()) {
            let trial = Trial {
                record,
                received_ms: RECEIVED_MS,
                fate,
                message: message.map(expected).unwrap_or_default(),
            };
            let differences = trial.run(output, NAMES).err().unwrap_or_default();
            assert!(differences.is_empty(), "{differences:?}");
        }
        let told = outcome_of_too_long(output, NAMES, &record, 1 << 40, RECEIVED_MS, &mut room);
        // That of `default`, whose shape changes hits: nobody has shaped this one.
        let letter = told.message().map(|message| message.value);
        assert_eq!(letter, output.further().is_none().then_some(&[][..]));
    }
}

/// Just this message.
fn expected(message: &Message<'_, Headers>) -> Expected {
    Expected {
        topic: Some(message.topic.to_owned()),
        key: Some(message.key.unwrap_or_default().to_owned()),
        timestamp_ms: Some(message.timestamp_ms),
        headers: message.headers.clone(),
        value: Some(String::from_utf8_lossy(message.value).into_owned()),
    }
}

fn assert_sound(output: &Output, message: &Message<'_, Headers>) {
    assert!(message.timestamp_ms <= RECEIVED_MS);
    assert!((1..=249).contains(&message.topic.len()));
    for (name, _) in &message.headers {
        let mut own = output.settings().shape.headers.iter();
        assert!(
            message::HEADERS.contains(&name.as_str()) || own.any(|(own, _)| own == name),
            "{name}"
        );
    }
}
