//! A live stream: 1,000 hits a second, as they come on a busy day.

use crate::contenders::Contender;
use crate::report::{Check, Goal, Page, Table, compare, per_contender};
use crate::rounds::{Load, rounds};
use crate::settings::Settings;
use crate::stats::median;

const CONTENDERS: [Contender; 3] = [Contender::Daemon, Contender::KcatDefaults, Contender::Python];
const GOALS: [Goal; 1] = [Goal {
    of: Contender::KcatDefaults,
    at_most: 0.5,
}];
const RATE: u64 = 1_000;
/// The daemon's `linger.ms` and 50 ms more.
const LONGEST_MS: f64 = 250.0;

pub fn run(settings: &Settings, page: &mut Page) -> anyhow::Result<()> {
    let load = Load {
        case: "live".to_owned(),
        mean: settings.mean,
        streams: 1,
        pieces: 0,
        live: (RATE, settings.seconds),
    };
    // A minute is its own warm-up.
    let settings = &Settings {
        warm_up: false,
        ..settings.clone()
    };
    let runs = rounds("live", &settings.wanted(&CONTENDERS), &[load], settings)?;
    page.runs(&runs);
    page.table("Processor time", &per_contender(&runs));
    page.plot_cpu("1,000 hits a second: CPU-seconds for a million hits", &runs)?;
    let mut table = Table::new(&["contender", "p50 ms", "p99 ms", "longest ms", "own p99 below ms"]);
    for contender in settings.wanted(&CONTENDERS) {
        let own: Vec<_> = runs.iter().filter(|run| run.contender == contender).collect();
        let ms = |figure: fn(&crate::kafka::Latency) -> u64| {
            median(
                &own.iter()
                    .map(|run| figure(&run.latency) as f64 / 1e3)
                    .collect::<Vec<_>>(),
            )
        };
        let own_p99: Vec<f64> = own
            .iter()
            .filter_map(|run| run.own_p99)
            .map(|seconds| seconds * 1e3)
            .collect();
        table.row([
            contender.name().to_owned(),
            format!("{:.0}", ms(|latency| latency.p50)),
            format!("{:.0}", ms(|latency| latency.p99)),
            format!("{:.0}", ms(|latency| latency.max)),
            if own_p99.is_empty() {
                String::new()
            } else {
                format!("{:.0}", median(&own_p99))
            },
        ]);
    }
    page.table("From socket to Kafka", &table);
    page.checks(compare(&runs, &GOALS));
    let p99: Vec<f64> = runs
        .iter()
        .filter(|run| run.contender == Contender::Daemon)
        .map(|run| run.latency.p99 as f64 / 1e3)
        .collect();
    page.checks(
        (!p99.is_empty()).then(|| Check::at_most("live: p99 from socket to Kafka", median(&p99), " ms", LONGEST_MS)),
    );
    Ok(())
}
