//! What shapes cost: hits that are only looked into, and hits that are written anew.

use crate::contenders::Contender;
use crate::report::{Check, Page, per_contender, per_million};
use crate::rounds::{Load, rounds};
use crate::settings::Settings;

const CONTENDERS: [Contender; 3] = [Contender::Daemon, Contender::Filtered, Contender::Rewritten];
/// With a shape against without.
const AT_MOST: [(Contender, &str, f64); 2] = [
    (Contender::Filtered, "shape: CPU with a filter against without", 1.25),
    (
        Contender::Rewritten,
        "shape: CPU with hits written anew against as they came",
        1.5,
    ),
];

pub fn run(settings: &Settings, page: &mut Page) -> anyhow::Result<()> {
    let runs = rounds("shape", &CONTENDERS, &[Load::burst(settings)], settings)?;
    page.runs(&runs);
    page.table("Shaped and as it came", &per_contender(&runs));
    let plain = per_million(&runs, Contender::Daemon);
    page.checks(
        AT_MOST.map(|(contender, what, goal)| Check::at_most(what, per_million(&runs, contender) / plain, "x", goal)),
    );
    Ok(())
}
