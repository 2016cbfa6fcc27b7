//! What it costs to have what was read on disk before anything else happens to it.

use crate::contenders::Contender;
use crate::report::{Check, Page, per_contender, per_million};
use crate::rounds::{Load, rounds};
use crate::settings::Settings;

const CONTENDERS: [Contender; 2] = [Contender::Daemon, Contender::NoJournal];
/// On against off.
const AT_MOST: f64 = 1.08;

pub fn run(settings: &Settings, page: &mut Page) -> anyhow::Result<()> {
    let runs = rounds("journal", &CONTENDERS, &[Load::burst(settings)], settings)?;
    page.runs(&runs);
    page.table("On disk and in memory", &per_contender(&runs));
    let ratio = per_million(&runs, Contender::Daemon) / per_million(&runs, Contender::NoJournal);
    page.checks([Check::at_most(
        "journal: CPU with it against without",
        ratio,
        "x",
        AT_MOST,
    )]);
    Ok(())
}
