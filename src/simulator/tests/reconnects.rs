//! Disconnects and what comes after: early or not, 409 or not, repeats and what was missed.

use std::collections::HashSet;
use std::time::Duration;

use super::super::*;
use super::client::{ended, open, open_with, quiet, send, stream_request};

#[tokio::test]
async fn an_early_reconnect_is_noted_and_answered_409() {
    let simulator = quiet(|_| {}).await;
    let stream = open(&simulator).await;
    simulator.fault("s", StreamFault::Close { trailer: true }).unwrap();
    stream.body().await;
    assert_eq!(open(&simulator).await.status, 409);
    let early = simulator.ledger().early_accepts();
    assert_eq!(early.len(), 1);
    assert_eq!((early[0].connection, early[0].follows), (2, Follows::End));
    assert!(early[0].waited.unwrap() < Duration::from_mins(1));
}

#[tokio::test]
async fn a_reconnect_right_behind_ones_own_close_is_early_however_busy_the_simulator_is() {
    for _ in 0..20 {
        let simulator = quiet(|_| {}).await;
        let stream = open(&simulator).await;
        stream.close();
        assert_eq!(open(&simulator).await.status, 409);
        ended(&simulator, 1).await;
        let early = |ledger: &Ledger| ledger.accept(2).filter(|accept| accept.early);
        simulator.ledger().wait_until(early).await;
        assert_eq!(simulator.ledger().summary().early, 1);
    }
}

#[tokio::test]
async fn who_waits_is_served() {
    let simulator = quiet(|settings| {
        settings.cooldown = Duration::ZERO;
        settings.linger = Duration::ZERO;
    })
    .await;
    for number in 1..=3 {
        let stream = open(&simulator).await;
        assert_eq!(stream.status, 200);
        simulator.fault("s", StreamFault::Cut).unwrap();
        stream.body().await;
        assert!(!simulator.ledger().accept(number).unwrap().early);
    }
}

#[tokio::test]
async fn a_fresh_token_after_a_401_is_not_early_but_a_second_401_is_to_be_waited_out() {
    let simulator = quiet(|_| {}).await;
    simulator.fault("s", AttemptFault::status(401).times(2)).unwrap();
    for status in [401, 401, 200] {
        assert_eq!(open(&simulator).await.status, status);
    }
    let accepts = simulator.ledger().accepts();
    let follows: Vec<_> = accepts.iter().map(|accept| (accept.follows, accept.early)).collect();
    assert_eq!(
        follows,
        [
            (Follows::Nothing, false),
            (Follows::Unauthorized, false),
            (Follows::End, true)
        ]
    );
}

#[tokio::test]
async fn the_last_hits_come_again_byte_by_byte() {
    let simulator = quiet(|settings| {
        settings.linger = Duration::ZERO;
        settings.streams[0].backfill = Backfill::both(5);
    })
    .await;
    let mut stream = open(&simulator).await;
    simulator.burst("s", 12).unwrap();
    let first = stream.records(12).await;
    simulator.fault("s", StreamFault::Reset).unwrap();
    stream.body().await;
    ended(&simulator, 1).await;
    let mut stream = open(&simulator).await;
    simulator.burst("s", 1).unwrap();
    let again = stream.records(6).await;
    // The hit that the reset struck down was sent, as far as the service knows.
    assert_eq!(again[..4], first[8..]);
    let kinds: Vec<_> = simulator
        .ledger()
        .records(2)
        .iter()
        .map(|(record, _)| record.kind)
        .collect();
    assert_eq!(
        kinds[..6],
        [[RecordKind::Repeat; 5].as_slice(), &[RecordKind::Hit]].concat()
    );
    let distinct: HashSet<_> = simulator.ledger().written("s").iter().map(|record| record.id).collect();
    assert_eq!(distinct.len(), 14);
}

#[tokio::test]
async fn two_connections_share_the_visitors_and_the_parameters_are_noted() {
    let simulator = quiet(|_| {}).await;
    let mut one = open_with(&simulator, "?maxConnections=2&reset=latest&smoothing=1").await;
    let mut two = open_with(&simulator, "?maxConnections=2").await;
    simulator.burst("s", 1_024).unwrap();
    let (one, two) = (one.records(300).await, two.records(300).await);
    let visitors = |records: &[Vec<u8>]| -> HashSet<u64> {
        let visitor = |record: &Vec<u8>| {
            serde_json::from_slice::<serde_json::Value>(record).unwrap()["visIdLow"]
                .as_u64()
                .unwrap()
        };
        records.iter().map(visitor).collect()
    };
    assert!(visitors(&one).is_disjoint(&visitors(&two)));
    let first = simulator.ledger().accept(1).unwrap();
    assert_eq!(first.parameter("reset").as_deref(), Some("latest"));
    assert_eq!(first.parameter("smoothing").as_deref(), Some("1"));
    assert!(first.headers.contains(&"x-api-key".to_owned()) && first.token == TokenSeen::Valid);
}

#[tokio::test]
async fn streams_are_apart() {
    let simulator = quiet(|settings| settings.streams.push(SimulatedStream::new("t"))).await;
    let stream = open(&simulator).await;
    let token = simulator.issue_token();
    let mut other = send(simulator.addr(), stream_request("/api/1/stream/t", &token).as_bytes())
        .await
        .unwrap();
    assert_eq!((stream.status, other.status), (200, 200));
    assert!(
        String::from_utf8(other.records(3).await.remove(0))
            .unwrap()
            .contains("\"reportSuite\":\"t\"")
    );
    assert_eq!(simulator.ledger().written("s"), []);
    assert!(simulator.fault("u", StreamFault::Cut).is_err());
}

#[tokio::test]
async fn a_stream_can_end_with_its_token_and_with_its_last_hit() {
    let simulator = quiet(|settings| {
        settings.streams[0].ends_with_token = true;
        settings.tokens.lifetime = Duration::from_millis(50);
    })
    .await;
    let stream = open(&simulator).await;
    assert!(stream.body().await.last_chunk);
    assert_eq!(ended(&simulator, 1).await.end.unwrap().by, EndedBy::Token);

    let simulator = quiet(|settings| {
        settings.streams[0].rate = Rate::Unlimited;
        settings.streams[0].total = Some(3_000);
        settings.streams[0].at_total = AtTotal::Close;
    })
    .await;
    let body = open(&simulator).await.body().await;
    assert_eq!(body.records.len(), 3_000);
    let accept = ended(&simulator, 1).await;
    assert!(accept.ended_cleanly());
    assert_eq!(accept.end.unwrap().by, EndedBy::Total);
    let owed: Vec<u64> = simulator
        .ledger()
        .owed("s")
        .iter()
        .map(|record| record.fingerprint)
        .collect();
    assert_eq!(owed, body.fingerprints());
}

#[tokio::test]
async fn a_stop_ends_open_streams_in_good_order() {
    let simulator = quiet(|_| {}).await;
    let mut stream = open(&simulator).await;
    simulator.burst("s", 3).unwrap();
    stream.records(3).await;
    let (body, ()) = tokio::join!(stream.body(), simulator.stop());
    assert!(body.last_chunk && body.trailer && body.records.len() == 3);
    assert!(ended(&simulator, 1).await.ended_cleanly());
    assert!(tokio::net::TcpStream::connect(simulator.addr()).await.is_err());
}
