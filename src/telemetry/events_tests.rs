use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// Runs `say` with a log that keeps its events, and with another layer that is filtered.
fn kept_of(log_filter: &str, say: impl FnOnce(&Events)) -> Vec<Arc<Event>> {
    let events = Events::new();
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
    let subscriber = tracing_subscriber::registry()
        .with(lines.with_filter(crate::settings::log_filter(log_filter).unwrap()))
        .with(events.layer());
    tracing::subscriber::with_default(subscriber, || say(&events));
    events.recent(usize::MAX)
}

#[test]
fn an_event_holds_what_the_line_says() {
    let kept = kept_of("info", |_| {
        warn!(stream = "web", slot = 3_u8, why = %"no route", wait_s = 60.5, none = None::<u8>, "waiting");
    });
    let event = kept[0].as_ref();
    assert_eq!(
        (event.seq, event.level.as_str(), event.text.as_str()),
        (1, "WARN", "waiting")
    );
    assert_eq!((event.stream.as_deref(), event.slot), (Some("web"), Some(3)));
    let fields: Vec<_> = event
        .fields
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(fields, [("wait_s", "60.5"), ("why", "no route")]);
    assert!(humantime::parse_rfc3339(&event.at).is_ok() && event.at.len() == "2026-01-01T00:00:00.000Z".len());
    let json = serde_json::to_string(event).unwrap();
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), *event);
}

#[test]
fn what_is_kept_does_not_depend_on_the_log_s_filter() {
    for filter in ["off", "warn", "trace", "livestreamd=error"] {
        let kept = kept_of(filter, |_| {
            error!("e");
            warn!("w");
            info!("i");
            debug!("d");
            trace!("t");
            info!(target: "librdkafka", "ours, under another name");
        });
        let texts: Vec<&str> = kept.iter().map(|event| event.text.as_str()).collect();
        assert_eq!(
            texts,
            ["e", "w", "i", "librdkafka: ours, under another name"],
            "{filter}"
        );
    }
}

#[test]
fn lines_below_info_are_not_even_asked_for() {
    kept_of("warn", |_| {
        assert!(tracing::enabled!(Level::INFO));
        assert!(!tracing::enabled!(Level::DEBUG));
        // A field that is made for a line which nobody wants would cost something for each hit.
        debug!(cost = panic_if_asked(), "d");
    });
}

fn panic_if_asked() -> u8 {
    panic!("a field of a line that nobody wants was asked for")
}

#[test]
fn lines_of_other_crates_are_not_kept() {
    use tracing::Callsite as _;
    let (ours, other) = (Some("livestreamd::kafka"), Some("livestreamd_other::x"));
    let callsite = tracing::callsite!(name: "x", kind: tracing::metadata::Kind::EVENT, fields: message);
    let fields = || tracing::field::FieldSet::new(&[], callsite.metadata().callsite());
    let of = |module, level| {
        Metadata::new(
            "x",
            "x",
            level,
            None,
            None,
            module,
            fields(),
            tracing::metadata::Kind::EVENT,
        )
    };
    assert!(is_kept(&of(ours, Level::INFO)) && is_kept(&of(Some("livestreamd"), Level::ERROR)));
    assert!(!is_kept(&of(ours, Level::DEBUG)));
    assert!(!is_kept(&of(other, Level::ERROR)) && !is_kept(&of(Some("hyper"), Level::ERROR)));
}

#[test]
fn the_last_200_are_kept_within_bounds_however_long_they_are() {
    let long = "ü".repeat(1 << 20);
    let kept = kept_of("off", |_| {
        for n in 0..1000 {
            info!(n, long, more = long, still_more = long, most = long, "{long}");
        }
    });
    assert_eq!(kept.len(), KEPT);
    assert_eq!((kept[0].seq, kept[KEPT - 1].seq), (801, 1000));
    let bytes: usize = kept
        .iter()
        .map(|event| serde_json::to_string(&**event).unwrap().len())
        .sum();
    assert!(bytes < 2_000_000, "{bytes}");
    assert_eq!(kept[0].fields["n"], "800", "what comes first is kept whole");
}

#[test]
fn as_many_as_asked_for_are_told_newest_last() {
    let events = Events::new();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(events.layer()), || {
        for n in 0..5 {
            info!("{n}");
        }
    });
    let texts = |most| {
        let recent = events.recent(most);
        recent.iter().map(|event| event.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(texts(2), ["3", "4"]);
    assert_eq!(texts(0), [""; 0]);
    assert_eq!(texts(9).len(), 5);
}

#[tokio::test]
async fn a_watcher_sees_each_event_once_after_those_it_was_given_and_learns_what_it_missed() {
    let events = Events::new();
    let _log = tracing::subscriber::set_default(tracing_subscriber::registry().with(events.layer()));
    info!("before");
    let (recent, mut watch) = events.follow(10);
    assert_eq!(recent.len(), 1);
    info!("after");
    match watch.next().await {
        Some(News::Event(event)) => assert_eq!((event.seq, event.text.as_str()), (2, "after")),
        other => panic!("{other:?}"),
    }
    for n in 0..LAG + 10 {
        info!(n, "too many");
    }
    assert_eq!(watch.next().await, Some(News::Missed(10)));
    match watch.next().await {
        Some(News::Event(event)) => assert_eq!(event.seq, 13, "what comes next is there"),
        other => panic!("{other:?}"),
    }
}
