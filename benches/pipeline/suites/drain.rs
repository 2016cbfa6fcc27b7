//! A backlog that goes out while new hits keep coming, against the same hits in a burst.

use std::time::{Duration, Instant};

use anyhow::bail;

use crate::contenders::Contender;
use crate::corpus::PIECE_HITS;
use crate::report::{Check, Page, Table};
use crate::rounds::{Load, Stage, rounds};
use crate::settings::Settings;
use crate::stats::median;

const RATE: u64 = 1_000;
/// How long new hits come, counted from the end of the burst: for longer than all of it takes.
const NEW_HITS_FOR: u64 = 120;
const LONGEST: Duration = Duration::from_secs(600);
/// How much faster the backlog goes out than the same hits come in and go out in a burst.
const AT_LEAST: f64 = 3.0;

/// In seconds.
struct Times {
    /// Until all hits were in the journal, while Kafka was away.
    read: f64,
    /// From Kafka's return to the first hit that arrived: librdkafka's pause between two tries to connect.
    reconnect: f64,
    /// From there to the last hit of the backlog.
    drain: f64,
}

pub fn run(settings: &Settings, page: &mut Page) -> anyhow::Result<()> {
    // Only the mock goes away and comes back at a word.
    let settings = &Settings {
        brokers: None,
        ..settings.clone()
    };
    let bursts = rounds("drain", &[Contender::Daemon], &[Load::burst(settings)], settings)?;
    page.runs(&bursts);
    let burst = median(&bursts.iter().map(|run| run.wall.as_secs_f64()).collect::<Vec<_>>());
    let mut all = Vec::new();
    for round in 0..settings.rounds {
        let times = drain(settings)?;
        eprintln!(
            "drain round {round}: read in {:.2} s, drained in {:.2} s",
            times.read, times.drain
        );
        all.push(times);
    }
    let of = |figure: fn(&Times) -> f64| median(&all.iter().map(figure).collect::<Vec<_>>());
    let (read, drain) = (of(|times| times.read), of(|times| times.drain));
    let hits = (settings.pieces * PIECE_HITS) as f64;
    let mut table = Table::new(&["what", "seconds", "hits/s"]);
    let mut row = |what: &str, seconds: f64| {
        table.row([
            what.to_owned(),
            format!("{seconds:.2}"),
            format!("{:.0}", hits / seconds),
        ]);
    };
    row("burst, from the start to the last arrival", burst);
    row(
        "the same hits, read into the journal while Kafka is away (to the second)",
        read,
    );
    row(
        "the backlog, from the first arrival to the last, with 1,000 new hits a second",
        drain,
    );
    table.row([
        "Kafka's return to the first arrival".to_owned(),
        format!("{:.2}", of(|times| times.reconnect)),
        String::new(),
    ]);
    page.table("A backlog and a burst", &table);
    page.checks([Check::at_least(
        "drain: faster than the burst",
        burst / drain,
        "x",
        AT_LEAST,
    )]);
    Ok(())
}

fn drain(settings: &Settings) -> anyhow::Result<Times> {
    let load = Load {
        case: "backlog".to_owned(),
        live: (RATE, NEW_HITS_FOR),
        ..Load::burst(settings)
    };
    let backlog = settings.pieces * PIECE_HITS;
    let mut stage = Stage::set(Contender::Daemon, &load, settings)?;
    stage.kafka.set_up(false)?;
    let began = Instant::now();
    let daemon = stage.start_daemon(settings)?;
    daemon.wait_for("livestreamd_stream_records_total", backlog as f64, LONGEST)?;
    let read = began.elapsed().as_secs_f64();
    stage.kafka.set_up(true)?;
    let back = Instant::now();
    stage.kafka.wait(1, LONGEST)?;
    let first = back.elapsed().as_secs_f64();
    if stage.kafka.wait(backlog, LONGEST)?.different() < backlog {
        bail!("the backlog did not arrive within {LONGEST:?}");
    }
    Ok(Times {
        read,
        reconnect: first,
        drain: back.elapsed().as_secs_f64() - first,
    })
}
