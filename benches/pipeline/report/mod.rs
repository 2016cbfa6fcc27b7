//! What is shown and written down: tables for people and for docs/performance.md, a CSV with every run, and plots.

mod csv;
pub mod goals;
pub mod plot;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub use goals::Check;
pub use table::{Goal, Table, compare, contenders, per_contender, per_million};

use super::rounds::Run;

/// Where it goes. What is there of an earlier run is replaced, file by file.
pub struct Report {
    dir: PathBuf,
    csv: String,
    checks: Vec<Check>,
}

impl Report {
    /// Into this directory.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self {
            dir: dir.to_owned(),
            csv: csv::HEADER.to_owned(),
            checks: Vec::new(),
        })
    }

    /// Adds runs to `pipeline.csv`.
    pub fn runs(&mut self, runs: &[Run]) -> anyhow::Result<()> {
        self.csv.extend(runs.iter().map(csv::row));
        self.write("pipeline.csv", &self.csv)
    }

    /// Shows a table, and writes it to `NAME.md`.
    pub fn table(&mut self, name: &str, table: &Table) -> anyhow::Result<()> {
        let text = table.to_string();
        println!("\n{name}\n\n{text}");
        self.write(&format!("{name}.md"), &text)
    }

    /// Holds figures to their goals, and adds them to `goals.md`.
    pub fn checks(&mut self, checks: impl IntoIterator<Item = Check>) -> anyhow::Result<()> {
        let known = self.checks.len();
        self.checks.extend(checks);
        println!("\n{}", goals::table(&self.checks[known..]));
        self.write("goals.md", &goals::table(&self.checks).to_string())
    }

    /// Writes a plot to `NAME.svg`.
    pub fn plot(&self, name: &str, svg: &str) -> anyhow::Result<()> {
        self.write(&format!("{name}.svg"), svg)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
