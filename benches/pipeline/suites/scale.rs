//! Whether a hit costs the same whatever is around it: more streams, smaller and larger hits, a million hits before it.

use std::time::Duration;

use anyhow::bail;

use crate::contenders::Contender;
use crate::corpus::PIECE_HITS;
use crate::report::{Check, Page, Table};
use crate::rounds::{Load, Run, Stage, rounds};
use crate::settings::Settings;
use crate::stats::{median, spread};

const STREAMS: [usize; 3] = [1, 10, 50];
const SIZES: [usize; 3] = [1_000, 2_460, 16_000];
/// Against the case that is least of the same kind.
const AT_MOST: f64 = 1.10;
const MILLION: u64 = 1_000_000;

pub fn run(settings: &Settings, page: &mut Page) -> anyhow::Result<()> {
    // So many that each stream gets one piece at least.
    let pieces = settings.pieces.next_multiple_of(50);
    let by_streams = STREAMS.map(|streams| Load {
        case: format!("{streams} streams"),
        mean: settings.mean,
        streams,
        pieces: pieces / streams as u64,
        live: (0, 0),
    });
    compare(
        "The same hits over more streams",
        "streams",
        Run::per_million,
        &by_streams,
        settings,
        page,
    )?;
    let bytes = settings.pieces * 2_460;
    let by_size = SIZES.map(|mean| Load {
        case: format!("{mean} bytes a hit"),
        mean,
        streams: 1,
        pieces: (bytes / mean as u64).max(1),
        live: (0, 0),
    });
    compare(
        "The same bytes in larger hits",
        "sizes",
        Run::per_gigabyte,
        &by_size,
        settings,
        page,
    )?;
    after_a_million(settings, page)
}

/// The same figure of several loads, and how far apart they are.
fn compare(
    title: &str,
    what: &'static str,
    figure: fn(&Run) -> f64,
    loads: &[Load],
    settings: &Settings,
    page: &mut Page,
) -> anyhow::Result<()> {
    let runs = rounds(what, &[Contender::Daemon], loads, settings)?;
    page.runs(&runs);
    let mut table = Table::new(&["case", "cpu/M", "CPU-s/GB", "spread", "wall s", "peak RSS MiB", "hits"]);
    let mut medians = Vec::new();
    for load in loads {
        let own: Vec<&Run> = runs.iter().filter(|run| run.case == load.case).collect();
        let of = |figure: &dyn Fn(&Run) -> f64| own.iter().map(|run| figure(run)).collect::<Vec<f64>>();
        let figures = of(&figure);
        medians.push(median(&figures));
        let peak = own.iter().filter_map(|run| run.memory).map(|memory| memory.peak).max();
        table.row([
            load.case.clone(),
            format!("{:.2}", median(&of(&Run::per_million))),
            format!("{:.2}", median(&of(&Run::per_gigabyte))),
            format!("{:.0} %", spread(&figures) * 100.0),
            format!("{:.2}", median(&of(&|run: &Run| run.wall.as_secs_f64()))),
            format!("{:.0}", super::mib(peak.unwrap_or_default())),
            own.first().map_or_else(String::new, |run| run.hits.to_string()),
        ]);
    }
    page.table(title, &table);
    let least = medians.iter().copied().fold(f64::MAX, f64::min);
    let most = medians.iter().copied().fold(0.0, f64::max);
    let (from, to) = (&loads[0].case, &loads[loads.len() - 1].case);
    page.checks([Check::at_most(
        format!("scale: dearest against cheapest, {from} to {to}"),
        most / least,
        "x",
        AT_MOST,
    )]);
    Ok(())
}

/// One run of two million hits: what the second million costs, against the first.
fn after_a_million(settings: &Settings, page: &mut Page) -> anyhow::Result<()> {
    let half = if settings.quick { 5 } else { MILLION / PIECE_HITS };
    let load = Load {
        case: "two million hits".to_owned(),
        mean: settings.mean,
        streams: 1,
        pieces: half * 2,
        live: (0, 0),
    };
    let mut stage = Stage::set(Contender::Daemon, &load, settings)?;
    let daemon = stage.start_daemon(settings)?;
    let mut costs = Vec::new();
    for million in [1, 2] {
        let hits = million * half * PIECE_HITS;
        if stage.kafka.wait(hits, Duration::from_secs(900))?.different() < hits {
            bail!("{hits} hits did not arrive");
        }
        costs.push(daemon.child.cpu()?.total());
    }
    daemon.wait_until_delivered(load.pieces * PIECE_HITS, Duration::from_secs(60))?;
    let peak = crate::procfs::memory(daemon.child.pid())?.peak;
    let in_a_million = |seconds: f64| seconds / (half * PIECE_HITS) as f64 * 1e6;
    let (first, second) = (in_a_million(costs[0]), in_a_million(costs[1] - costs[0]));
    let mut table = Table::new(&["hits", "cpu/M"]);
    table.row(["the first half".to_owned(), format!("{first:.2}")]);
    table.row(["the second half".to_owned(), format!("{second:.2}")]);
    page.table("Two million hits in a row", &table);
    page.checks([
        Check::at_most("scale: second million against first", second / first, "x", AT_MOST),
        Check::at_most(
            "scale: peak RSS over two million hits",
            super::mib(peak),
            " MiB",
            super::burst::MOST_RESIDENT,
        ),
    ]);
    Ok(())
}
