//! The daemon in one line, as `systemctl status` shows it.
//!
//! Promise: pure; one printable line of bounded length whatever is in it, because a line end would begin another message to the
//! service manager.

use bytesize::ByteSize;

use crate::status::{ConnectionState, Daemon};
use crate::upstream::is_unprintable;

/// What does not fit is cut off: a terminal shows no more.
const LONGEST: usize = 240;
/// A backlog is worth a word from here on. A little of it is always there, on its way.
const BACKLOG_FROM: u64 = 1 << 20;

/// How the daemon is: what stands in the way first, then what streams, what waits and what the last reload came to.
pub fn line(daemon: &Daemon) -> String {
    let backlog: u64 = daemon.streams.iter().map(|stream| stream.journal.backlog_bytes).sum();
    if daemon.stopping {
        return fit(&format!(
            "stopping: connections are closed, {} to deliver",
            ByteSize(backlog).display().iec()
        ));
    }
    let mut parts = Vec::new();
    if let [first, others @ ..] = &*daemon.hindrances {
        let mut first = first.clone();
        // It is in the log and on the page; there is no room for it here.
        first.advice = None;
        parts.push(format!("not ready: {first}{}", and_more(others.len(), "")));
    }
    let connections = || daemon.streams.iter().flat_map(|stream| &stream.connections);
    let streaming = connections().filter(|connection| connection.state == ConnectionState::Streaming);
    let rate: f64 = daemon.streams.iter().map(|stream| stream.rates.now).sum();
    parts.push(format!(
        "{}{} of {} connections streaming, {} hits/s",
        if daemon.hindrances.is_empty() { "ready: " } else { "" },
        streaming.count(),
        connections().count(),
        two_digits(rate)
    ));
    if backlog >= BACKLOG_FROM {
        parts.push(format!("{} to deliver", ByteSize(backlog).display().iec()));
    }
    parts.extend(waits(daemon));
    if let Some(reload) = daemon.last_reload.as_ref().filter(|reload| !reload.ok) {
        // Not the faults themselves: they quote the configuration, and everybody on the machine may see this line.
        let faults = reload.faults.len();
        let plural = if faults == 1 { "" } else { "s" };
        parts.push(format!("the last reload had {faults} fault{plural}: see the log"));
    }
    fit(&parts.join("; "))
}

/// Who waits, until when and why; of several the one that connects next.
fn waits(daemon: &Daemon) -> Option<String> {
    let mut waiting: Vec<_> = daemon
        .streams
        .iter()
        .flat_map(|stream| stream.connections.iter().map(move |connection| (stream, connection)))
        .filter_map(|(stream, connection)| Some((connection.until.as_deref()?, stream, connection)))
        .collect();
    // RFC 3339 in UTC sorts by time.
    waiting.sort_by_key(|(until, ..)| *until);
    let ((until, stream, connection), others) = waiting.split_first()?;
    let name = &stream.name;
    let name = if stream.connections.len() > 1 {
        format!("{name}/{}", connection.slot)
    } else {
        name.clone()
    };
    let why = connection.reason.as_ref().map(|reason| format!(" ({})", reason.title));
    Some(format!(
        "{name} waits until {}{}{}",
        time_of_day(until),
        why.unwrap_or_default(),
        and_more(others.len(), " waiting")
    ))
}

fn and_more(count: usize, what: &str) -> String {
    match count {
        0 => String::new(),
        _ => format!(" and {count} more{what}"),
    }
}

/// `2026-11-21T12:03:11.250Z` is `12:03:11Z`; what does not look like that is left as it is.
fn time_of_day(at: &str) -> String {
    match at.split_once('T') {
        Some((_, time)) if at.ends_with('Z') => {
            let seconds = time.split(['.', 'Z']).next().unwrap_or(time);
            format!("{seconds}Z")
        }
        _ => at.to_owned(),
    }
}

/// So that the line does not change with every hit: 812.3 is 810, 0.234 is 0.2.
fn two_digits(rate: f64) -> String {
    if rate < 10.0 {
        return format!("{rate:.1}");
    }
    let unit = 10_f64.powf(rate.log10().floor() - 1.0);
    format!("{:.0}", (rate / unit).round() * unit)
}

/// As one printable line that is not too long.
pub(super) fn fit(text: &str) -> String {
    let printable = text.chars().map(|c| if is_unprintable(c) { ' ' } else { c });
    let mut kept: String = printable.clone().take(LONGEST).collect();
    if printable.count() > LONGEST {
        kept.pop();
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::status::{Connection, Hindrance, LastReload, Rates, Reason, Stream};

    fn stream(name: &str, rate: f64, connections: Vec<Connection>) -> Stream {
        Stream {
            name: name.to_owned(),
            connections,
            rates: Rates {
                now: rate,
                ..Rates::default()
            },
            ..Stream::default()
        }
    }

    fn streaming(slot: u8) -> Connection {
        Connection {
            slot,
            state: ConnectionState::Streaming,
            ..Connection::default()
        }
    }

    fn waiting(slot: u8, until: &str, why: &str) -> Connection {
        Connection {
            slot,
            state: ConnectionState::Waiting,
            until: Some(until.to_owned()),
            reason: Some(Reason {
                title: why.to_owned(),
                ..Reason::default()
            }),
            ..Connection::default()
        }
    }

    #[test]
    fn a_daemon_without_trouble_says_what_streams() {
        let daemon = Daemon {
            streams: vec![
                stream("shop", 0.3, vec![streaming(0)]),
                stream("web", 812.0, vec![streaming(0), streaming(1)]),
            ],
            ..Daemon::default()
        };
        assert_eq!(line(&daemon), "ready: 3 of 3 connections streaming, 810 hits/s");
    }

    #[test]
    fn who_waits_is_named_with_the_time_and_the_reason_and_the_next_one_first() {
        let late = waiting(0, "2026-11-21T12:09:00.000Z", "the service is unavailable");
        let soon = waiting(1, "2026-11-21T12:03:11.250Z", "cooldown");
        let daemon = Daemon {
            streams: vec![
                stream("shop", 0.0, vec![late]),
                stream("web", 5.0, vec![streaming(0), soon]),
            ],
            ..Daemon::default()
        };
        assert_eq!(
            line(&daemon),
            "ready: 1 of 3 connections streaming, 5.0 hits/s; web/1 waits until 12:03:11Z (cooldown) and 1 more waiting"
        );
    }

    #[test]
    fn what_stands_in_the_way_comes_first_and_a_refused_reload_last() {
        let hindrance = Hindrance {
            stream: Some("web".to_owned()),
            text: "no connection after 3 attempts: 503".to_owned(),
            advice: Some("wait".to_owned()),
            ..Hindrance::default()
        };
        let mut web = stream("web", 0.0, vec![]);
        web.journal.backlog_bytes = 3 << 20;
        let daemon = Daemon {
            streams: vec![web],
            hindrances: vec![hindrance.clone(), hindrance],
            last_reload: Some(LastReload {
                faults: vec!["kafka.brokers: is missing".to_owned()],
                ..LastReload::default()
            }),
            ..Daemon::default()
        };
        assert_eq!(
            line(&daemon),
            "not ready: stream web: no connection after 3 attempts: 503 and 1 more; 0 of 0 connections streaming, \
             0.0 hits/s; 3.0 MiB to deliver; the last reload had 1 fault: see the log"
        );
    }

    #[test]
    fn a_daemon_that_stops_says_how_much_is_left() {
        let mut web = stream("web", 9.0, vec![]);
        web.journal.backlog_bytes = 2048;
        let daemon = Daemon {
            stopping: true,
            streams: vec![web],
            ..Daemon::default()
        };
        assert_eq!(line(&daemon), "stopping: connections are closed, 2.0 KiB to deliver");
    }

    #[test]
    fn a_rate_is_told_in_two_digits() {
        let told = [0.0, 0.234, 9.96, 99.4, 812.3, 1234.0, 98_765.0].map(two_digits);
        assert_eq!(told, ["0.0", "0.2", "10.0", "99", "810", "1200", "99000"]);
    }

    proptest! {
        #[test]
        fn no_text_of_the_service_begins_another_message_or_makes_the_line_long(text in "\\PC*\n?\\PC*[\u{1b}\r\n]{0,3}\\PC{0,300}") {
            let daemon = Daemon {
                hindrances: vec![Hindrance { text: text.clone(), ..Hindrance::default() }],
                streams: vec![stream("web", 0.0, vec![waiting(0, &text, &text)])],
                ..Daemon::default()
            };
            let line = line(&daemon);
            prop_assert!(!line.chars().any(is_unprintable), "{line:?}");
            prop_assert!(line.chars().count() <= LONGEST);
            prop_assert!(line.starts_with("not ready: "));
        }
    }
}
