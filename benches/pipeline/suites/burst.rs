//! A burst: all hits as fast as they go, over one connection.

use crate::contenders::Contender;
use crate::report::{Check, Goal, Page, compare, per_contender};
use crate::rounds::{Load, rounds};
use crate::settings::Settings;

const CONTENDERS: [Contender; 4] = [Contender::Daemon, Contender::Lean, Contender::Kcat, Contender::Python];
/// What the daemon may use at most, as a part of what the other does.
const GOALS: [Goal; 3] = [
    Goal {
        of: Contender::Kcat,
        at_most: 1.0,
    },
    Goal {
        of: Contender::Lean,
        at_most: 1.15,
    },
    Goal {
        of: Contender::Python,
        at_most: 0.25,
    },
];
/// The most that may be resident, in MiB.
pub const MOST_RESIDENT: f64 = 200.0;

pub fn run(settings: &Settings, page: &mut Page) -> anyhow::Result<()> {
    let load = Load::burst(settings);
    let runs = rounds("burst", &settings.wanted(&CONTENDERS), &[load], settings)?;
    page.runs(&runs);
    page.table("As fast as it goes", &per_contender(&runs));
    page.plot_cpu("Burst: CPU-seconds for a million hits", &runs)?;
    page.checks(compare(&runs, &GOALS));
    let peak = runs.iter().filter_map(|run| run.memory).map(|memory| memory.peak).max();
    page.checks(peak.map(|peak| Check::at_most("burst: peak RSS", crate::suites::mib(peak), " MiB", MOST_RESIDENT)));
    Ok(())
}
