//! What is measured, one module for each suite.

mod burst;

use super::report::Report;
use super::settings::{Settings, Suite};

/// Runs these suites, or all, in their order, and writes down what came of each as soon as it is known.
pub fn run(wanted: &[Suite], settings: &Settings) -> anyhow::Result<()> {
    let mut report = Report::new(&settings.out)?;
    let is_wanted = |suite| wanted.is_empty() || wanted.contains(&suite);
    if is_wanted(Suite::Burst) {
        burst::run(settings, &mut report)?;
    }
    Ok(())
}
