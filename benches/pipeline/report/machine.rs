//! Where and with what it was measured, in one sentence.

use std::fs;
use std::process::Command;

/// The processor, the memory, the system, and the versions of what competes.
pub fn description() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let cpu = value_of(&read("/proc/cpuinfo"), "model name");
    let memory = value_of(&read("/proc/meminfo"), "MemTotal");
    let gigabytes = memory.trim_end_matches(" kB").parse::<u64>().unwrap_or_default() / (1 << 20);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let kernel = read("/proc/sys/kernel/osrelease");
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    // What was built, if it was built from a checkout.
    let commit = first_line("git", &["describe", "--always", "--dirty"]);
    let commit = if commit.is_empty() { "?".to_owned() } else { commit };
    format!(
        "{cpu}, {threads} threads, {gigabytes} GiB, Linux {kernel}; livestreamd {} at {commit}; {}; {}; {}",
        env!("CARGO_PKG_VERSION"),
        first_line("curl", &["--version"])
            .split(" (")
            .next()
            .unwrap_or_default(),
        first_line("kcat", &["-V"])
            .replace("Version", "kcat")
            .split(" (")
            .next()
            .unwrap_or_default(),
        first_line("python3", &["--version"]),
    )
}

/// The value on the first line of this name.
fn value_of(text: &str, name: &str) -> String {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':'));
    line.unwrap_or("?").trim().to_owned()
}

/// The first line that a program says of a version: kcat has others before it. Nothing if it cannot be run.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    let line = text
        .lines()
        .find(|line| line.starts_with("Version"))
        .or_else(|| text.lines().next());
    line.unwrap_or_default().trim().to_owned()
}
