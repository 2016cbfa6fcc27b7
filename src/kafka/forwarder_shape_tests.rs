//! What a shape does to what reaches Kafka, and to what is counted.

use super::settings::numbers;
use super::*;
use crate::settings::MessageTime;
use crate::shape::condition::Condition;
use crate::shape::pointer::Pointer;
use crate::shape::privacy::{Action, HashKey};
use crate::shape::template::Template;
use crate::shape::topic::{self, Glob};
use crate::shape::{Fields, Filter};

fn pointer(text: &str) -> Pointer {
    Pointer::parse(text).unwrap()
}

fn drop_if(name: &str, condition: &str) -> (String, Filter) {
    (name.to_owned(), Filter::DropIf(Condition::parse(condition).unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_filter_holds_back_is_counted_under_its_name_and_the_cursor_passes_it() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let stream = Stream::new("a", &kafka.producer(&[]));
    stream.change_output(|output| {
        output.shape.filters = vec![
            drop_if("even", "/hitIdLow in [0, 2, 4]"),
            drop_if("low", "/hitIdLow < 3"),
        ];
    });
    let forwarder = stream.start();
    stream.append_hits(0..6).await;
    finish(&stream, forwarder).await;
    assert_eq!(numbers(&mut hits, 2).await, [3, 5]);
    let counts = stream.counters.snapshot();
    assert_eq!((counts.hits, counts.delivered), (6, 2));
    assert_eq!(counts.filtered, [("even".to_owned(), 3), ("low".to_owned(), 1)].into());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_without_a_field_that_it_needs_goes_where_such_hits_go_or_nowhere() {
    let kafka = Kafka::start();
    let (mut hits, mut incomplete) = (kafka.topic("a-hits"), kafka.topic("a-incomplete"));
    let stream = Stream::new("a", &kafka.producer(&[]));
    stream.change_output(|output| {
        output.shape.required = vec![pointer("/hitIdLow"), pointer("/page")];
        output.shape.incomplete_topic = Some("a-incomplete".to_owned());
    });
    let forwarder = stream.start();
    stream
        .append("{\"hitIdHigh\":1,\"hitIdLow\":1,\"page\":null}\n{\"hitIdHigh\":1,\"hitIdLow\":2}\n".to_owned())
        .await;
    let (whole, without) = (read(&mut hits).await, read(&mut incomplete).await);
    assert_eq!((whole.number(), without.number()), (1, 2));
    assert_eq!(without.headers["livestream.incomplete"], "/page");
    assert!(!whole.headers.contains_key("livestream.incomplete"));
    stream.change_output(|output| output.shape.incomplete_topic = None);
    stream
        .append("{\"hitIdHigh\":1,\"hitIdLow\":3}\n{\"hitIdHigh\":1,\"hitIdLow\":4,\"page\":1}\n".to_owned())
        .await;
    assert_eq!(read(&mut hits).await.number(), 4);
    finish(&stream, forwarder).await;
    let counts = stream.counters.snapshot();
    assert_eq!((counts.hits, counts.incomplete, counts.delivered), (4, 2, 3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_privacy_hides_is_in_any_part_of_a_message() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let stream = Stream::new("a", &kafka.producer(&[]));
    stream.change_output(|output| {
        let hash = Action::Hash(HashKey::new(b"sixteen bytes of key").unwrap());
        output.topic = Topics::ByHit {
            template: topic::parse("a-{field:/kind|hits}").unwrap(),
            allowed: vec![Glob::parse("a-*").unwrap()],
            fallback: "a-hits".to_owned(),
        };
        output.timestamp = MessageTime::ReceivedTimeGmt;
        let ids = ["/visIdHigh", "/visIdLow", "/hitIdHigh"].map(|id| (pointer(id), hash.clone()));
        output.shape.privacy = ids.into_iter().chain([(pointer("/kind"), Action::Remove)]).collect();
        output.shape.fields = Fields::Drop(vec![pointer("/secret")]);
        output.shape.headers = vec![
            ("visitor".to_owned(), Template::parse("v{field:/visIdLow}").unwrap()),
            ("kind".to_owned(), Template::parse("{field:/kind}").unwrap()),
        ];
    });
    let forwarder = stream.start();
    let raw = r#"{"hitIdHigh":7770001,"hitIdLow":5,"visIdHigh":7770002,"visIdLow":7770003,"kind":"x777","secret":"777","receivedTimeGMT":1700000000}"#;
    stream.append(format!("{raw}\n")).await;
    let hit = read(&mut hits).await;
    let said = format!("{} {hit:?}", String::from_utf8_lossy(&hit.value));
    assert!(!said.contains("777"), "{said}");
    let key = hit.key.as_deref().unwrap();
    assert_eq!(key.len(), 64 + 1 + 64, "{key}");
    assert!(hit.headers["livestream.hit_id"].ends_with("_5"), "{said}");
    assert_eq!(hit.headers["livestream.hash_key"].len(), 16);
    assert_eq!(hit.headers["visitor"], format!("v{}", &key[65..]));
    assert!(!hit.headers.contains_key("kind"));
    assert_eq!(hit.timestamp, 1_700_000_000_000);
    // The same visitor has the same key again, and a hit is still known by what it was when it came.
    stream
        .append(format!("{raw}\n{}\n", raw.replace("\"hitIdLow\":5", "\"hitIdLow\":6")))
        .await;
    let next = read(&mut hits).await;
    assert_eq!((next.number(), next.key.as_deref()), (6, Some(key)));
    finish(&stream, forwarder).await;
    assert_eq!(stream.counters.snapshot().duplicates, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_shape_holds_from_a_hit_on_and_loses_none() {
    let kafka = Kafka::start();
    let mut hits = kafka.topic("a-hits");
    let stream = Stream::new("a", &kafka.producer(&[]));
    let forwarder = stream.start();
    stream.append_hits(0..300).await;
    until("some are in flight", || stream.counters.hits.get() > 0).await;
    stream.change_output(|output| {
        output.shape.headers = vec![("shaped".to_owned(), Template::parse("yes").unwrap())];
    });
    stream.append_hits(300..600).await;
    finish(&stream, forwarder).await;
    let mut turn = None;
    for number in 0..600 {
        let hit = read(&mut hits).await;
        assert_eq!(hit.number(), number);
        if hit.headers.contains_key("shaped") {
            turn.get_or_insert(number);
        } else {
            assert_eq!(turn, None, "no way back");
        }
    }
    assert!(turn.is_some_and(|turn| turn <= 300), "{turn:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shaped_hit_that_is_too_large_is_shaped_in_its_dead_letter_and_whole_in_the_quarantine() {
    let kafka = Kafka::start();
    let mut dead = kafka.topic("a-dead");
    let stream = Stream::new("a", &kafka.producer(&[("message.max.bytes", "100000")]));
    stream.change_output(|output| {
        output.shape.privacy = vec![
            (pointer("/ip"), Action::Remove),
            (pointer("/hitIdHigh"), Action::Remove),
        ];
    });
    let forwarder = stream.start();
    let record = format!(
        "{{\"ip\":\"203.0.113.77\",\"hitIdHigh\":1,\"hitIdLow\":9,\"pad\":\"{}\"}}",
        "x".repeat(200_000)
    );
    stream.append(format!("{record}\n")).await;
    let letter = read(&mut dead).await;
    assert_eq!(letter.headers["livestream.dead_letter.reason"], "too_large_for_kafka");
    let text = String::from_utf8_lossy(&letter.value);
    assert!(text.starts_with("{\"hitIdLow\":9,\"pad\":\"xxx"), "{}", &text[..60]);
    assert!(!letter.headers.contains_key("livestream.hit_id"));
    finish(&stream, forwarder).await;
    let kept = stream.state_dir.path().join("quarantine");
    let files: Vec<_> = std::fs::read_dir(kept)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    let [file] = &files[..] else { panic!("{files:?}") };
    assert_eq!(std::fs::read_to_string(file).unwrap().trim_end(), record);
}
