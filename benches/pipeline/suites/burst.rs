//! A burst: all hits as fast as they go, over one connection.

use crate::contenders::Contender;
use crate::procfs::Cpu;
use crate::report::{Bar, Check, Goal, Page, bars, compare, contenders, per_contender};
use crate::rounds::{Load, Run, rounds};
use crate::settings::Settings;
use crate::stats::median;

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
    page.plot(
        "Burst: CPU-seconds for a million hits",
        &bars(
            "Burst: CPU-seconds for a million hits",
            &["user", "system"],
            &split(&runs),
        ),
    )?;
    page.checks(compare(&runs, &GOALS));
    let peak = runs.iter().filter_map(|run| run.memory).map(|memory| memory.peak).max();
    page.checks(peak.map(|peak| Check::at_most("burst: peak RSS", crate::suites::mib(peak), " MiB", MOST_RESIDENT)));
    Ok(())
}

/// User and system time of each contender.
pub fn split(runs: &[Run]) -> Vec<Bar> {
    let bar = |contender: Contender| {
        let of = |part: fn(Cpu) -> f64| {
            let own = runs.iter().filter(|run| run.contender == contender);
            median(
                &own.map(|run| part(run.cpu()) / run.hits as f64 * 1e6)
                    .collect::<Vec<_>>(),
            )
        };
        Bar {
            name: contender.name().to_owned(),
            parts: vec![of(|cpu| cpu.user), of(|cpu| cpu.system)],
        }
    };
    contenders(runs).into_iter().map(bar).collect()
}
