//! What is resident while nothing happens: with one stream, and what each further one adds.

use std::thread;
use std::time::Duration;

use crate::contenders::Contender;
use crate::procfs::{self, Memory};
use crate::report::{Check, Page, Table};
use crate::rounds::{Load, Stage};
use crate::settings::Settings;

/// How many more streams there are in the second run.
const MORE: usize = 100;
/// What comes to rest within that time has done so.
const REST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(60);
/// In MiB and KiB.
const ONE: f64 = 40.0;
const EACH_FURTHER: f64 = 150.0;

pub fn run(settings: &Settings, page: &mut Page) -> anyhow::Result<()> {
    let mut table = Table::new(&["state", "RSS MiB", "PSS MiB", "peak MiB"]);
    let mut row = |state: String, memory: Memory| {
        let cells = [memory.rss, memory.pss, memory.peak].map(|bytes| format!("{:.1}", super::mib(bytes)));
        table.row(std::iter::once(state).chain(cells));
    };
    let mut checks = Vec::new();
    for (state, live) in [
        ("silent since the connect", (0, 0)),
        ("idle after ten hits each", (10, 1)),
    ] {
        let one = at_rest(1, live, settings)?;
        let many = at_rest(1 + MORE, live, settings)?;
        row(format!("1 stream, {state}"), one);
        row(format!("{} streams, {state}", 1 + MORE), many);
        let each = many.rss.saturating_sub(one.rss) as f64 / MORE as f64 / 1024.0;
        checks.push(Check::at_most(
            format!("memory: RSS, one stream, {state}"),
            super::mib(one.rss),
            " MiB",
            ONE,
        ));
        checks.push(Check::at_most(
            format!("memory: each further stream, {state}"),
            each,
            " KiB",
            EACH_FURTHER,
        ));
    }
    page.table("At rest", &table);
    page.checks(checks);
    Ok(())
}

fn at_rest(streams: usize, live: (u64, u64), settings: &Settings) -> anyhow::Result<Memory> {
    let load = Load {
        case: format!("{streams} idle streams"),
        mean: settings.mean,
        streams,
        pieces: 0,
        live,
    };
    let stage = Stage::set(Contender::Daemon, &load, settings)?;
    let daemon = stage.start_daemon(settings)?;
    daemon.wait_until_streaming(streams, LONGEST)?;
    daemon.wait_until_delivered(stage.hits, LONGEST)?;
    // Nothing tells when threads have given back what they hold.
    thread::sleep(REST);
    procfs::memory(daemon.child.pid())
}
