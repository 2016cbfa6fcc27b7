//! Tables in Markdown that can be read as they stand.

use std::fmt;

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

/// How the contenders of one load compare with the daemon.
pub fn compare(runs: &[Run], goals: &[Goal]) -> Table {
    let mut table = Table::new(&[
        "contender",
        "cpu/M",
        "spread",
        "user",
        "system",
        "wall s",
        "peak RSS MiB",
        "livestreamd takes",
        "goal",
        "met",
    ]);
    let of = |contender: Contender| runs.iter().filter(move |run| run.contender == contender);
    let figure = |contender, figure: &dyn Fn(&Run) -> f64| of(contender).map(figure).collect::<Vec<f64>>();
    let per_million = |contender| median(&figure(contender, &Run::per_million));
    let daemon = per_million(Contender::Daemon);
    let mut contenders: Vec<Contender> = runs.iter().map(|run| run.contender).collect();
    contenders.sort_unstable();
    contenders.dedup();
    for contender in contenders {
        let all = figure(contender, &Run::per_million);
        let part = |part: fn(&Run) -> f64| {
            format!(
                "{:.2}",
                median(&figure(contender, &|run: &Run| part(run) / run.hits as f64 * 1e6))
            )
        };
        let ratio = daemon / per_million(contender);
        let goal = goals.iter().find(|goal| goal.of == contender).filter(|_| daemon > 0.0);
        table.row([
            contender.name().to_owned(),
            format!("{:.2}", median(&all)),
            format!("{:.0} %", spread(&all) * 100.0),
            part(|run| run.cpu().user),
            part(|run| run.cpu().system),
            format!("{:.2}", median(&figure(contender, &|run: &Run| run.wall.as_secs_f64()))),
            match median(&figure(contender, &|run: &Run| run.memory.peak as f64)) {
                0.0 => String::new(),
                peak => format!("{:.0}", peak / f64::from(1 << 20)),
            },
            if contender == Contender::Daemon || daemon <= 0.0 {
                String::new()
            } else {
                format!("{ratio:.2}x")
            },
            goal.map_or_else(String::new, |goal| format!("{:.2}x", goal.at_most)),
            goal.map_or_else(String::new, |goal| {
                if ratio <= goal.at_most { "yes" } else { "no" }.to_owned()
            }),
        ]);
    }
    table
}
