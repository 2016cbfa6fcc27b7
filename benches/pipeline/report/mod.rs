//! What is shown and written down: for each suite a page of tables and goals, a CSV with every run, and a plot.

mod csv;
mod goals;
mod machine;
mod plot;
mod table;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub use goals::Check;
pub use plot::{Event, Panel, course};
pub use table::{Goal, Table, compare, contenders, per_contender, per_million};

use plot::{Bar, bars};

use super::contenders::Contender;
use super::procfs::Cpu;
use super::rounds::Run;
use super::stats::median;

/// The page of one suite. What is there of an earlier run is replaced, and other suites' pages are left alone.
pub struct Page {
    dir: PathBuf,
    name: String,
    text: String,
    csv: String,
    checks: Vec<Check>,
}

impl Page {
    /// An empty page of the suite of this name.
    pub fn new(dir: &Path, name: &str) -> Self {
        let arguments: Vec<String> = std::env::args()
            .skip(1)
            .filter(|argument| argument != "--bench")
            .collect();
        Self {
            dir: dir.to_owned(),
            name: name.to_owned(),
            text: format!(
                "# {name}\n\n`cargo bench --bench pipeline -- {}` on {}\n",
                arguments.join(" "),
                machine::description()
            ),
            csv: csv::HEADER.to_owned(),
            checks: Vec::new(),
        }
    }

    /// Notes every single run.
    pub fn runs(&mut self, runs: &[Run]) {
        self.csv.extend(runs.iter().map(csv::row));
    }

    /// Adds a table, and shows it.
    pub fn table(&mut self, title: &str, table: &Table) {
        println!("\n{title}\n\n{table}");
        // Writing to a string does not fail.
        let _ = write!(self.text, "\n## {title}\n\n{table}");
    }

    /// Adds a plot.
    pub fn plot(&mut self, title: &str, svg: &str) -> anyhow::Result<()> {
        let file = format!("{}.svg", self.name);
        let _ = write!(self.text, "\n![{title}]({file})\n");
        self.write(&file, svg)
    }

    /// Adds bars of each contender's user and system time.
    pub fn plot_cpu(&mut self, title: &str, runs: &[Run]) -> anyhow::Result<()> {
        self.plot(title, &bars(title, &["user", "system"], &split(runs)))
    }

    /// Holds figures to their goals.
    pub fn checks(&mut self, checks: impl IntoIterator<Item = Check>) {
        self.checks.extend(checks);
    }

    /// Writes the page down, and gives out what was held to goals.
    pub fn finish(mut self) -> anyhow::Result<Vec<Check>> {
        if !self.checks.is_empty() {
            self.table("Goals", &goals::table(&self.checks));
        }
        self.write(&format!("{}.md", self.name), &self.text)?;
        if self.csv != csv::HEADER {
            self.write(&format!("{}.csv", self.name), &self.csv)?;
        }
        Ok(self.checks)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        fs::create_dir_all(&self.dir).with_context(|| format!("cannot make {}", self.dir.display()))?;
        let path = self.dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Shows all that was held to goals, and says whether all of them are met.
pub fn verdict(checks: &[Check]) -> bool {
    if !checks.is_empty() {
        println!("\nAll goals\n\n{}", goals::table(checks));
    }
    checks.iter().all(Check::is_met)
}

/// User and system time of each contender.
fn split(runs: &[Run]) -> Vec<Bar> {
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
