//! Tables in Markdown that can be read as they stand.

use std::fmt;

use super::goals::Check;
use crate::contenders::Contender;
use crate::rounds::Run;
use crate::stats::{median, spread};

/// What the daemon may use at most, as a part of what a contender does.
#[derive(Clone, Copy, Debug)]
pub struct Goal {
    pub of: Contender,
    pub at_most: f64,
}

/// Rows of cells under a header.
#[derive(Clone, Debug, Default)]
pub struct Table {
    header: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// Without rows.
    pub fn new(header: &[&str]) -> Self {
        Self {
            header: header.iter().map(|cell| (*cell).to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row of as many cells.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = || std::iter::once(&self.header).chain(&self.rows);
        let width = |column: usize| {
            all()
                .filter_map(|row| row.get(column))
                .map(|cell| cell.chars().count())
                .max()
        };
        let widths: Vec<usize> = (0..self.header.len())
            .map(|column| width(column).unwrap_or_default())
            .collect();
        for (nth, row) in all().enumerate() {
            for (column, width) in widths.iter().enumerate() {
                let cell = row.get(column).map_or("", String::as_str);
                // The first says what it is, the others are figures.
                if column == 0 {
                    write!(f, "| {cell:width$} ")?;
                } else {
                    write!(f, "| {cell:>width$} ")?;
                }
            }
            writeln!(f, "|")?;
            if nth == 0 {
                for (column, width) in widths.iter().enumerate() {
                    let line = "-".repeat(if column == 0 { *width } else { width.saturating_sub(1) });
                    write!(f, "| {line}{} ", if column == 0 { "" } else { ":" })?;
                }
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// What the contenders of one load have used.
pub fn per_contender(runs: &[Run]) -> Table {
    let mut table = Table::new(&[
        "contender",
        "cpu/M",
        "spread",
        "user",
        "system",
        "wall s",
        "livestreamd takes",
    ]);
    for contender in contenders(runs) {
        let part = |part: fn(&Run) -> f64| {
            format!(
                "{:.2}",
                median(&figures(runs, contender, |run| part(run) / run.hits as f64 * 1e6))
            )
        };
        let ratio = ratio(runs, contender).filter(|_| contender != Contender::Daemon);
        table.row([
            contender.name().to_owned(),
            format!("{:.2}", per_million(runs, contender)),
            format!("{:.0} %", spread(&figures(runs, contender, Run::per_million)) * 100.0),
            part(|run| run.cpu().user),
            part(|run| run.cpu().system),
            format!("{:.2}", median(&figures(runs, contender, |run| run.wall.as_secs_f64()))),
            ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}x")),
        ]);
    }
    table
}

/// The daemon held to its goals.
pub fn compare(runs: &[Run], goals: &[Goal]) -> Vec<Check> {
    let check = |goal: &Goal| {
        let ratio = ratio(runs, goal.of)?;
        let what = format!("{}: CPU of livestreamd against {}", runs.first()?.suite, goal.of.name());
        Some(Check::at_most(what, ratio, "x", goal.at_most))
    };
    goals.iter().filter_map(check).collect()
}

/// Who has run.
pub fn contenders(runs: &[Run]) -> Vec<Contender> {
    let mut contenders: Vec<Contender> = runs.iter().map(|run| run.contender).collect();
    contenders.sort_unstable();
    contenders.dedup();
    contenders
}

/// The median of a contender's CPU-seconds for a million hits; 0 if it has not run.
pub fn per_million(runs: &[Run], contender: Contender) -> f64 {
    median(&figures(runs, contender, Run::per_million))
}

/// What the daemon uses as a part of what another does, if both have run.
fn ratio(runs: &[Run], other: Contender) -> Option<f64> {
    let (daemon, other) = (per_million(runs, Contender::Daemon), per_million(runs, other));
    (daemon > 0.0 && other > 0.0).then_some(daemon / other)
}

fn figures(runs: &[Run], contender: Contender, figure: impl Fn(&Run) -> f64) -> Vec<f64> {
    runs.iter()
        .filter(|run| run.contender == contender)
        .map(figure)
        .collect()
}
