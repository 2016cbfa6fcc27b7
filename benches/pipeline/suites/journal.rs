//! What it costs to have what was read on disk before anything else happens to it.

use crate::contenders::Contender;
use crate::report::{Check, Report, per_contender, per_million};
use crate::rounds::{Load, rounds};
use crate::settings::Settings;

const CONTENDERS: [Contender; 2] = [Contender::Daemon, Contender::NoJournal];
/// On against off.
const AT_MOST: f64 = 1.08;

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let runs = rounds("journal", &CONTENDERS, &[Load::burst(settings)], settings)?;
    report.runs(&runs)?;
    report.table("journal", &per_contender(&runs))?;
    let ratio = per_million(&runs, Contender::Daemon) / per_million(&runs, Contender::NoJournal);
    report.checks([Check::at_most(
        "journal: CPU with it against without",
        ratio,
        "x",
        AT_MOST,
    )])
}
