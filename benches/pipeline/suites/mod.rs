//! What is measured, one module for each suite.

mod burst;
mod drain;
mod journal;
mod live;
mod memory;
mod outage;
mod scale;
mod shape;
mod start;

use clap::ValueEnum as _;

use super::report::{Page, verdict};
use super::settings::{Settings, Suite};
use super::support::broker::Broker;

/// Runs these suites, or all, on a broker of its own if it is to be real, and writes down what came of each as soon as it
/// is known. True if all goals are met.
pub fn run(wanted: &[Suite], real: bool, settings: &Settings) -> anyhow::Result<bool> {
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
    let mut checks = Vec::new();
    for suite in Suite::value_variants() {
        if !wanted.is_empty() && !wanted.contains(suite) {
            continue;
        }
        let run = match suite {
            Suite::Burst => burst::run,
            Suite::Live => live::run,
            Suite::Journal => journal::run,
            Suite::Shape => shape::run,
            Suite::Scale => scale::run,
            Suite::Memory => memory::run,
            Suite::Drain => drain::run,
            Suite::Outage => outage::run,
            Suite::Start => start::run,
        };
        let name = suite
            .to_possible_value()
            .map_or_else(String::new, |value| value.get_name().to_owned());
        let mut page = Page::new(&settings.out, &name);
        run(settings, &mut page)?;
        checks.extend(page.finish()?);
    }
    Ok(verdict(&checks))
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
