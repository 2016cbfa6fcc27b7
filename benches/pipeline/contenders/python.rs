//! The client in Python: its packages, made once, and its process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, bail};

use super::Child;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pipeline/contenders/client.py");
const PACKAGES: [&str; 2] = ["requests==2.32.5", "confluent-kafka==2.12.1"];

/// Makes the virtual environment if it is not there.
pub fn prepare(bench: &Path) -> anyhow::Result<()> {
    let (venv, done) = (venv(bench), venv(bench).join(PACKAGES.join("-")));
    if done.is_file() {
        return Ok(());
    }
    eprintln!("Python: installing {}", PACKAGES.join(" and "));
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv))?;
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary",
        ":all:",
    ];
    run(Command::new(venv.join("bin/python")).args(install).args(PACKAGES))?;
    std::fs::write(&done, []).with_context(|| format!("cannot write {}", done.display()))
}

/// Starts it.
pub fn start(bench: &Path, url: &str, brokers: &str, topic: &str) -> anyhow::Result<Child> {
    let mut command = Command::new(venv(bench).join("bin/python"));
    command.args([SCRIPT, url, brokers, topic]);
    Child::foreign("python", &command)
}

fn venv(bench: &Path) -> PathBuf {
    bench.join("venv")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command
        .stdin(Stdio::null())
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
