//! One row for each connection: the cells of the table that `status` and `top` show.

use super::columns::Column;
use super::figures::{bytes, countdown, length, rate};
use crate::status::{Connection, ConnectionState, Daemon, DeliveryState, Disconnect, Stream};

/// The columns.
pub(in crate::cli) const COLUMNS: [Column; 9] = [
    column("STREAM", false, 12, 100),
    column("STATE", false, usize::MAX, 90),
    column("TIME", false, usize::MAX, 80),
    column("HITS/S", true, usize::MAX, 70),
    column("15 MIN", false, 7, 10),
    column("BACKLOG", true, usize::MAX, 60),
    column("OLDEST", true, usize::MAX, 20),
    column("LAG", true, usize::MAX, 30),
    column("LAST DISCONNECT", false, 15, 50),
];

/// The column of the curve: its cells are empty here, because only who draws it knows how wide it is.
pub(in crate::cli) const CURVE: usize = 4;
/// How much it is needed by who wants it more than [`COLUMNS`] say.
pub(in crate::cli) const WANTED: u8 = 25;
/// The column of the state.
pub(in crate::cli) const STATE: usize = 1;

const fn column(title: &'static str, right: bool, least: usize, need: u8) -> Column {
    Column {
        title,
        right,
        least,
        need,
    }
}

/// How a connection fares, in one word. Each has a word of its own, so that no colour need tell them apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Mood {
    /// It streams.
    Good,
    /// It is on its way, in the normal course of things.
    Under,
    /// Somebody should look.
    Bad,
}

/// One connection.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Row<'d> {
    /// Its stream.
    pub(in crate::cli) stream: &'d Stream,
    /// It.
    pub(in crate::cli) connection: &'d Connection,
    /// It is its stream's first.
    pub(in crate::cli) is_first: bool,
    /// How it fares.
    pub(in crate::cli) mood: Mood,
    /// What stands in the columns.
    pub(in crate::cli) cells: [String; COLUMNS.len()],
}

/// The rows of a stream. `passed` is how many seconds ago all this was so.
pub(in crate::cli) fn rows<'d>(daemon: &'d Daemon, stream: &'d Stream, passed: f64) -> impl Iterator<Item = Row<'d>> {
    let marked = rank(daemon, stream) == Rank::Hindered;
    let several = stream.connections.len() > 1;
    stream.connections.iter().enumerate().map(move |(nth, connection)| {
        // What belongs to the stream stands in its first row only.
        let of_stream = |text: String| if nth == 0 { text } else { String::new() };
        let seconds = |seconds: Option<f64>| seconds.map(length).unwrap_or_default();
        let mark = if marked { "! " } else { "  " };
        let name = if several {
            format!("{mark}{}/{}", stream.name, connection.slot)
        } else {
            format!("{mark}{}", stream.name)
        };
        let journal = &stream.journal;
        Row {
            stream,
            connection,
            is_first: nth == 0,
            mood: mood(connection),
            cells: [
                name,
                state(connection).to_owned(),
                time(connection, passed),
                of_stream(rate(stream.rates.now)),
                String::new(),
                of_stream(bytes(journal.backlog_bytes)),
                of_stream(seconds(journal.oldest_seconds.filter(|_| journal.backlog_bytes > 0))),
                of_stream(seconds(stream.upstream_lag_seconds)),
                connection
                    .last_disconnect
                    .as_ref()
                    .map(|ended| last(ended, passed))
                    .unwrap_or_default(),
            ],
        }
    })
}

/// What a connection does, in one word.
pub(in crate::cli) fn state(connection: &Connection) -> &'static str {
    if connection.failing {
        "failing"
    } else {
        connection.state.name()
    }
}

/// For how long it has been so; or, while it waits, how long that still is.
pub(in crate::cli) fn time(connection: &Connection, passed: f64) -> String {
    match connection.remaining_seconds {
        Some(remaining) => format!("{} left", countdown(remaining - passed)),
        None => length(connection.since_seconds + passed),
    }
}

/// By its name, which `explain` knows: titles are long.
fn last(ended: &Disconnect, passed: f64) -> String {
    format!("{} ago, {}", length(ended.ago_seconds + passed), ended.reason.name)
}

fn mood(connection: &Connection) -> Mood {
    match connection.state {
        ConnectionState::Streaming => Mood::Good,
        ConnectionState::Stopped => Mood::Bad,
        ConnectionState::Waiting | ConnectionState::Authorizing | ConnectionState::Connecting if connection.failing => {
            Mood::Bad
        }
        ConnectionState::Waiting | ConnectionState::Authorizing | ConnectionState::Connecting => Mood::Under,
    }
}

/// How much a stream wants to be looked at: the first most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::cli) enum Rank {
    /// Something of it keeps the daemon from being ready.
    Hindered,
    /// It does not stream, or Kafka does not take its records just now.
    Under,
    /// It is well.
    Well,
}

/// How much a stream wants to be looked at.
pub(in crate::cli) fn rank(daemon: &Daemon, stream: &Stream) -> Rank {
    let hindered = daemon
        .hindrances
        .iter()
        .any(|hindrance| hindrance.stream.as_deref() == Some(&stream.name));
    if hindered {
        Rank::Hindered
    } else if stream.delivery.state != DeliveryState::Well
        || stream
            .connections
            .iter()
            .any(|connection| mood(connection) != Mood::Good)
    {
        Rank::Under
    } else {
        Rank::Well
    }
}

#[cfg(test)]
mod tests {
    use super::super::made_up::daemon;
    use super::*;

    fn table(passed: f64) -> Vec<Vec<String>> {
        let daemon = daemon();
        let all = daemon.streams.iter().flat_map(|stream| rows(&daemon, stream, passed));
        all.map(|row| row.cells.to_vec()).collect()
    }

    #[test]
    fn a_connection_says_what_it_does_and_for_how_long() {
        let cells = |row: usize, passed| table(passed)[row][..3].to_vec();
        assert_eq!(cells(0, 0.0), ["! app", "failing", "9m20s left"]);
        assert_eq!(cells(0, 20.0), ["! app", "failing", "9m00s left"]);
        assert_eq!(cells(0, 1e9), ["! app", "failing", "0s left"]);
        assert_eq!(cells(1, 60.0), ["  shop/0", "streaming", "3h13m"]);
        assert_eq!(cells(2, 0.0), ["  shop/1", "waiting", "47s left"]);
    }

    #[test]
    fn what_belongs_to_the_stream_stands_in_its_first_row_only() {
        let table = table(0.0);
        assert_eq!((table[1][3].as_str(), table[2][3].as_str()), ("23.5", ""));
        assert!(table[2][8].ends_with("ago, closed"), "{:?}", table[2]);
    }

    #[test]
    fn troubled_streams_rank_first() {
        let daemon = daemon();
        let ranks: Vec<Rank> = daemon.streams.iter().map(|stream| rank(&daemon, stream)).collect();
        assert_eq!(ranks, [Rank::Hindered, Rank::Under, Rank::Hindered, Rank::Well]);
    }
}
