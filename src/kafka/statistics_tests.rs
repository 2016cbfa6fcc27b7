use serde_json::json;

use super::super::producer::Company;
use super::*;

const SHARED: Pace = Pace::InBatches(Company::All);

/// Statistics as librdkafka writes them, of one broker.
fn one_broker(node: i32, state: &str, connects: i64, errors: i64) -> Statistics {
    let broker = json!({
        "name": "a:9092/1", "nodeid": node, "source": "learned", "state": state, "connects": connects, "disconnects": 0,
        "txerrs": errors, "rxerrs": errors, "req_timeouts": errors, "rtt": {"min": 1, "max": 9, "avg": 2_500, "cnt": 3},
    });
    read(&json!({ "msg_cnt": 7, "msg_size": 700, "brokers": { "a:9092/1": broker }, "topics": {} }))
}

fn read(json: &serde_json::Value) -> Statistics {
    Statistics::read(json.to_string().as_bytes()).unwrap()
}

#[test]
fn what_is_counted_never_goes_back_when_a_producer_is_built_anew() {
    let status = KafkaStatus::default();
    let first = status.enter(SHARED);
    first.note(&one_broker(1, "UP", 3, 10));
    first.note(&one_broker(1, "UP", 4, 11));
    let counts = |status: &KafkaStatus| {
        let now = status.now();
        (
            now.producers,
            now.rebuilds,
            now.request_errors,
            now.connection_errors,
            now.queue_records,
        )
    };
    // The connection that is up is no error.
    assert_eq!(counts(&status), (1, 0, 33, 3, 7));
    // Twice, as after a stall and then a fatal error.
    first.give_up();
    first.give_up();
    assert_eq!(counts(&status), (0, 0, 33, 3, 7), "what is in its queue is still there");
    assert_eq!((status.now().brokers_known, status.now().round_trip_seconds), (0, None));
    let second = status.enter(SHARED);
    drop(first);
    assert_eq!(counts(&status), (1, 1, 33, 3, 0));
    second.note(&one_broker(1, "DOWN", 1, 2));
    assert_eq!(counts(&status), (1, 1, 39, 4, 7));
    // A broker that leaves the cluster takes its numbers along.
    second.note(&read(&json!({ "brokers": {} })));
    second.note(&one_broker(2, "UP", 1, 1));
    assert_eq!(counts(&status), (1, 1, 42, 4, 7));
}

#[test]
fn a_producer_that_is_not_needed_any_more_is_not_built_anew_when_it_is_needed_again() {
    let status = KafkaStatus::default();
    let _shared = status.enter(SHARED);
    drop(status.enter(Pace::OneByOne));
    let single = status.enter(Pace::OneByOne);
    assert_eq!((status.now().producers, status.now().rebuilds), (2, 0));
    // One of another kind takes nobody's place.
    single.give_up();
    let _troubled = status.enter(Pace::InBatches(Company::Troubled));
    assert_eq!(status.now().rebuilds, 0);
    let _single = status.enter(Pace::OneByOne);
    assert_eq!((status.now().producers, status.now().rebuilds), (3, 1));
}

#[test]
fn a_broker_that_two_producers_know_is_one_broker() {
    let status = KafkaStatus::default();
    let (one, other) = (status.enter(SHARED), status.enter(Pace::OneByOne));
    one.note(&one_broker(1, "DOWN", 1, 0));
    other.note(&one_broker(1, "UP", 1, 0));
    let now = status.now();
    assert_eq!((now.brokers_known, now.brokers_up), (1, 1));
    assert_eq!((now.queue_records, now.queue_bytes), (14, 1_400));
    assert_eq!(now.round_trip_seconds, Some(0.0025));
}

#[test]
fn configured_brokers_count_only_until_one_tells_its_number() {
    let status = KafkaStatus::default();
    let entry = status.enter(SHARED);
    let configured = |state: &str| json!({ "nodeid": -1, "source": "configured", "state": state, "connects": 2 });
    let internal = json!({ "nodeid": -1, "source": "internal", "state": "UP", "connects": 9 });
    let before = json!({ "brokers": { "a:1/bootstrap": configured("CONNECT"), "b:1/bootstrap": configured("DOWN"), ":0/internal": internal } });
    entry.note(&read(&before));
    let now = status.now();
    assert_eq!(
        (now.brokers_known, now.brokers_up, now.connection_errors),
        (2, 0, 3),
        "an attempt that is under way has not failed yet"
    );
    let learned =
        json!({ "nodeid": 5, "source": "learned", "state": "UP", "connects": 1, "rtt": { "avg": 900, "cnt": 0 } });
    entry.note(&read(
        &json!({ "brokers": { "a:1/bootstrap": configured("UP"), "kafka:1/5": learned } }),
    ));
    let now = status.now();
    assert_eq!((now.brokers_known, now.brokers_up), (1, 1));
    assert_eq!(now.round_trip_seconds, None, "nothing was sent meanwhile");
}
