//! What is measured, one module for each suite.

mod burst;
mod drain;
mod journal;
mod live;
mod memory;
mod outage;
mod scale;
mod start;

use super::report::Report;
use super::settings::{Settings, Suite};
use super::support::broker::Broker;

/// All of them, in their order.
const ALL: [Suite; 8] = [
    Suite::Burst,
    Suite::Live,
    Suite::Journal,
    Suite::Scale,
    Suite::Memory,
    Suite::Drain,
    Suite::Outage,
    Suite::Start,
];

/// Runs these suites, or all, on a broker of its own if it is to be real, and writes down what came of each as soon as it is known.
pub fn run(wanted: &[Suite], real: bool, settings: &Settings) -> anyhow::Result<()> {
    let mut report = Report::new(&settings.out)?;
    let broker = real
        .then(|| Broker::try_start(&[]))
        .transpose()
        .map_err(anyhow::Error::msg)?;
    let settings = &Settings {
        brokers: broker
            .as_ref()
            .map(|broker| broker.addr().to_owned())
            .or_else(|| settings.brokers.clone()),
        ..settings.clone()
    };
    for suite in ALL {
        if !wanted.is_empty() && !wanted.contains(&suite) {
            continue;
        }
        let run = match suite {
            Suite::Burst => burst::run,
            Suite::Live => live::run,
            Suite::Journal => journal::run,
            Suite::Scale => scale::run,
            Suite::Memory => memory::run,
            Suite::Drain => drain::run,
            Suite::Outage => outage::run,
            Suite::Start => start::run,
        };
        run(settings, &mut report)?;
    }
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
