//! What is shown and written down: tables for people and for docs/performance.md, a CSV with every run, and plots.

mod csv;
mod table;

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

pub use table::{Goal, Table, compare};

use super::rounds::Run;

/// Where it goes. What is there of an earlier run is replaced, file by file.
pub struct Report {
    dir: PathBuf,
    csv: String,
}

impl Report {
    /// Into this directory.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        Ok(Self {
            dir: dir.to_owned(),
            csv: csv::HEADER.to_owned(),
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

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
