//! A daemon that is made up, shown by the real admin server: everything that a page must be able to show, also what cannot be had at
//! once from a real one, such as a quarter of an hour of hits and two hundred streams.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, SystemTime};

use livestreamd::admin::{Admin, Listener};
use livestreamd::settings::{AdminListen, AdminSettings};
use livestreamd::status::{
    Board, Connection, ConnectionState, Credential, Daemon, Delivery, DeliveryState, Disconnect, FORMAT, Gap, Journal,
    Journals, Kafka, LastReload, Output, Quarantine, Rates, Reason, Stream, hindrances,
};
use livestreamd::telemetry::counters::{DeadLetterSnapshot, StreamSnapshot};
use livestreamd::telemetry::events::Event;

/// What somebody might try who can put words into an answer.
pub const HOSTILE: &str =
    "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>&lt;b&gt;";

const NAMES: [&str; 6] = ["app", "checkout", "intranet", "news", "shop", "web"];

/// Shows a board on a free port.
pub async fn show(board: &Board) -> Admin {
    let settings = AdminSettings {
        listen: AdminListen::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
        token: None,
        hosts: Vec::new(),
    };
    let listener = Listener::bind(&settings).await.expect("a free port can be had");
    let listener = listener.expect("it is not off");
    listener.serve(board.clone()).await.expect("it can be served")
}

/// A time so many seconds ago, or to come, as the daemon writes it.
fn ago(seconds: f64) -> String {
    let distance = Duration::from_secs_f64(seconds.abs());
    let now = SystemTime::now();
    let then = if seconds < 0.0 { now + distance } else { now - distance };
    humantime::format_rfc3339_millis(then).to_string()
}

fn closed() -> Reason {
    Reason {
        name: "closed".to_owned(),
        title: "the service ended the stream".to_owned(),
        text: "in good order, after 23 h 51 min".to_owned(),
        means: "Adobe ends connections now and then: deployments, load balancers".to_owned(),
        daemon: "waits for a whole cooldown, then connects again".to_owned(),
        operator: "nothing".to_owned(),
    }
}

/// Streams that fare well, all of them.
pub fn well() -> Daemon {
    daemon(
        NAMES
            .into_iter()
            .enumerate()
            .map(|(nth, name)| stream(nth, name))
            .collect(),
    )
}

/// The same with one that waits for its cooldown.
pub fn with_a_cooldown() -> Daemon {
    let mut sample = well();
    let news = &mut sample.streams[3];
    wait(&mut news.connections[0], 18.0, 42.0, closed());
    news.rates.now = 0.0;
    news.rates.history[88..].fill(0.0);
    finished(sample)
}

/// All that can be the matter, with words from outside in it.
pub fn in_trouble() -> Daemon {
    let mut sample = well();
    let refused = Reason {
        name: "401".to_owned(),
        title: "the token is not taken".to_owned(),
        text: format!("the service answered 401: {HOSTILE}"),
        means: "the token is missing or has expired, or Adobe has not linked the technical account to this stream"
            .to_owned(),
        daemon: "fetches a fresh token and tries it at once, once in a cooldown; after that it waits".to_owned(),
        operator: "ask Customer Care whether the technical account of this credential is linked to the stream"
            .to_owned(),
    };
    let shop = &mut sample.streams[4];
    wait(&mut shop.connections[0], 1_310.0, 490.0, refused);
    shop.connections[0].failing = true;
    shop.connections[0].failures = 4;
    shop.connections[0].gap = Some(Gap {
        from: ago(1_340.0),
        seconds: 1_340.0,
        probable: true,
    });
    shop.rates.now = 0.0;
    shop.rates.history[..].rotate_left(8);
    shop.rates.history[60..].fill(0.0);

    let intranet = &mut sample.streams[2];
    intranet.delivery = Delivery {
        state: DeliveryState::SetBack,
        since_seconds: Some(94.2),
        retry_seconds: Some(11.4),
        reason: Some("Broker: Topic authorization failed (livestream.intranet)".to_owned()),
        advice: Some("let the daemon's principal write to the topic".to_owned()),
        failures: 7,
        last_seconds: Some(96.0),
    };
    intranet.journal.backlog_bytes = 73_400_320;
    intranet.journal.backlog_records = Some(91_200);
    intranet.journal.oldest_seconds = Some(96.2);

    let checkout = &mut sample.streams[1];
    let sold = &mut checkout.outputs[1];
    sold.delivery = Delivery {
        state: DeliveryState::Stalled,
        since_seconds: Some(41.0),
        ..Delivery::default()
    };
    sold.backlog_bytes = 9_437_184;
    checkout.delivery = Delivery {
        reason: Some("output purchases".to_owned()),
        ..sold.delivery.clone()
    };
    (checkout.journal.backlog_bytes, checkout.journal.oldest_seconds) = (sold.backlog_bytes, Some(41.3));

    let web = &mut sample.streams[5];
    let mut second = web.connections[0].clone();
    second.slot = 1;
    wait(
        &mut second,
        13.0,
        47.0,
        Reason {
            name: "503".to_owned(),
            title: "the service is not available just now".to_owned(),
            text: "the service answered 503".to_owned(),
            ..closed()
        },
    );
    web.connections.push(second);

    sample.last_reload = Some(LastReload {
        at: ago(3_000.0),
        ok: true,
        summary: "1 stream added, 1 changed".to_owned(),
        needs_restart: vec!["kafka.brokers".to_owned()],
        faults: Vec::new(),
    });
    sample.events.push(event(
        8,
        96.0,
        "ERROR",
        "intranet",
        "Kafka does not take records",
        ("topic", "livestream.intranet"),
    ));
    sample.events.push(event(
        9,
        13.0,
        "WARN",
        "web",
        "failing: waiting before the next attempt",
        ("why", HOSTILE),
    ));
    finished(sample)
}

/// As many streams as a daemon is meant for, one of them in trouble.
pub fn many() -> Daemon {
    let mut sample = daemon((0..200).map(|nth| stream(nth, &format!("suite-{nth:03}"))).collect());
    let last = sample.streams.last_mut().expect("there are two hundred");
    wait(&mut last.connections[0], 10.0, 50.0, closed());
    last.connections[0].failing = true;
    finished(sample)
}

fn wait(connection: &mut Connection, since: f64, remaining: f64, reason: Reason) {
    connection.state = ConnectionState::Waiting;
    connection.since = ago(since);
    connection.since_seconds = since;
    connection.until = Some(ago(-remaining));
    connection.remaining_seconds = Some(remaining);
    connection.reason = Some(reason);
    connection.last_byte_seconds = Some(since + 0.4);
    connection.gap = Some(Gap {
        from: ago(since),
        seconds: since,
        probable: false,
    });
    connection.last_disconnect = Some(Disconnect {
        at: ago(since),
        ago_seconds: since,
        lasted_seconds: 40_000.0,
        reason: closed(),
    });
}

fn daemon(streams: Vec<Stream>) -> Daemon {
    finished(Daemon {
        format: FORMAT,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        at: ago(0.0),
        started: ago(273_000.0),
        uptime_seconds: 273_000.0,
        streams,
        kafka: Kafka {
            brokers: "kafka-1.example.com:9092,kafka-2.example.com:9092".to_owned(),
            brokers_up: 3,
            brokers_known: 3,
            producers: 1,
            queue_records: 23,
            queue_bytes: 18_400,
            round_trip_seconds: Some(0.0021),
            ..Kafka::default()
        },
        journals: Journals {
            held_bytes: 352_000_000,
            max_bytes: 16 << 30,
            ..Journals::default()
        },
        quarantine: Quarantine {
            files: 2,
            bytes: 2_400_000,
            max_bytes: 1 << 30,
            ..Quarantine::default()
        },
        credentials: vec![Credential {
            name: "default".to_owned(),
            token_age_seconds: Some(3_400.0),
            token_expires_seconds: Some(82_000.0),
            fetches: 4,
            failures: 0,
        }],
        events: vec![
            event(1, 273_000.0, "INFO", "", "started", ("streams", "6")),
            event(
                2,
                11_640.0,
                "WARN",
                "web",
                "the stream ended: waiting out the cooldown",
                ("reason", "closed"),
            ),
            event(3, 11_580.0, "INFO", "web", "streaming", ("status", "200")),
            event(
                4,
                1_340.0,
                "INFO",
                "shop",
                "the access token was renewed",
                ("credential", "default"),
            ),
        ],
        ..Daemon::default()
    })
}

/// With the verdict that belongs to it.
fn finished(mut daemon: Daemon) -> Daemon {
    daemon.hindrances = hindrances(&daemon);
    daemon.ready = daemon.hindrances.is_empty();
    daemon
}

fn event(seq: u64, seconds: f64, level: &str, stream: &str, text: &str, field: (&str, &str)) -> Event {
    Event {
        seq,
        at: ago(seconds),
        level: level.to_owned(),
        stream: (!stream.is_empty()).then(|| stream.to_owned()),
        slot: (!stream.is_empty()).then_some(0),
        text: text.to_owned(),
        fields: [(field.0.to_owned(), field.1.to_owned())].into(),
    }
}

fn stream(nth: usize, name: &str) -> Stream {
    let since = 3_600.0 * (3.2 + nth as f64 * 1.7);
    let (duplicates, not_json) = ([0, 12, 0, 3][nth % 4], [0, 0, 2][nth % 3]);
    let has_backlog = nth % 2 == 1;
    Stream {
        name: name.to_owned(),
        report_suite: format!("examplecom{name}"),
        topic: format!("livestream.{name}"),
        dead_letter_topic: "livestream.dead-letters".to_owned(),
        connections: vec![Connection {
            state: ConnectionState::Streaming,
            since: ago(since),
            since_seconds: since,
            last_byte_seconds: Some(0.04),
            last_disconnect: Some(Disconnect {
                at: ago(since + 60.0),
                ago_seconds: since + 60.0,
                lasted_seconds: 86_000.0,
                reason: closed(),
            }),
            ..Connection::default()
        }],
        delivery: Delivery {
            last_seconds: Some(0.1),
            ..Delivery::default()
        },
        journal: Journal {
            backlog_bytes: if has_backlog { 18_400 } else { 0 },
            backlog_records: has_backlog.then_some(23),
            oldest_seconds: has_backlog.then_some(0.3),
            held_bytes: 58_000_000,
            max_bytes: 4 << 30,
            sync_lag_seconds: 0.012,
            ..Journal::default()
        },
        counts: StreamSnapshot {
            connects: 3,
            disconnects: 2,
            batches: 120_000,
            bytes: 9_300_000_000,
            hits: 4_812_345,
            duplicates,
            delivered: 4_812_345,
            dead_letters: DeadLetterSnapshot {
                not_json,
                ..DeadLetterSnapshot::default()
            },
            ..StreamSnapshot::default()
        },
        connects: [("streaming".to_owned(), 3), ("503".to_owned(), 1)].into(),
        disconnects: [("closed".to_owned(), 2)].into(),
        rates: rates(nth),
        outputs: if name == "checkout" { outputs() } else { Vec::new() },
        upstream_lag_seconds: Some(1.2 + nth as f64 % 7.0 / 5.0),
        delivery_latency_seconds: Some(0.013),
        ..Stream::default()
    }
}

/// Those of a stream that sends purchases to a topic of their own.
fn outputs() -> Vec<Output> {
    let well = Delivery {
        last_seconds: Some(0.1),
        ..Delivery::default()
    };
    vec![
        Output {
            name: "default".to_owned(),
            topic: "livestream.checkout".to_owned(),
            delivery: well.clone(),
            backlog_bytes: 18_400,
            delivered: 4_812_345,
            ..Output::default()
        },
        Output {
            name: "purchases".to_owned(),
            topic: "livestream.purchases.{field:/geoCountry|other}".to_owned(),
            delivery: well,
            delivered: 96_120,
            filtered: [("no_purchase".to_owned(), 4_716_225)].into(),
            dead_letters: DeadLetterSnapshot {
                too_large_for_kafka: 3,
                ..DeadLetterSnapshot::default()
            },
            quarantined: 3,
            ..Output::default()
        },
    ]
}

/// A quarter of an hour of a busy evening: slow waves with some noise, the same in every run.
fn rates(nth: usize) -> Rates {
    let base = [240.0, 4.2, 38.0, 9.0, 1_150.0, 610.0][nth % 6];
    let history: Vec<f64> = (0..90_usize)
        .map(|step| {
            let wave = (step as f64 / (9.0 + nth as f64 % 5.0) + nth as f64).sin();
            let noise = ((step * 7_919 + nth * 104_729) % 101) as f64 / 101.0 - 0.5;
            base * (1.0 + 0.22 * wave + 0.14 * noise)
        })
        .collect();
    Rates {
        now: history[89],
        step_seconds: 10.0,
        history,
    }
}
