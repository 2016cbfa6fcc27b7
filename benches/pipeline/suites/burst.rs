//! A burst: all hits as fast as they go, over one connection.

use crate::contenders::Contender;
use crate::report::{Goal, Report, compare};
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

pub fn run(settings: &Settings, report: &mut Report) -> anyhow::Result<()> {
    let load = Load {
        case: "burst".to_owned(),
        mean: settings.mean,
        streams: 1,
        pieces: settings.pieces,
        live: (0, 0),
    };
    let runs = rounds("burst", &settings.wanted(&CONTENDERS), &[load], settings)?;
    report.runs(&runs)?;
    report.table("burst", &compare(&runs, &GOALS))
}
