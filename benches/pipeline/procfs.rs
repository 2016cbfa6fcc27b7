//! What the kernel has counted for a process.
//!
//! Processor time is that of `/proc/PID/stat`: of all its threads, those that have ended among them, and of no child. The kernel counts
//! the sum in nanoseconds, shows it in ticks of 10 ms, and only the split into user and system is sampled. It is there while the process
//! runs, which the daemon does when it is measured, and until a dead one is waited for. `wait4` knows microseconds but only of the dead,
//! and `/proc/PID/task/*/schedstat` knows nanoseconds but only of threads that live.

use std::fs;

use anyhow::Context as _;
use rustix::param::clock_ticks_per_second;

/// Processor time in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cpu {
    /// In the program.
    pub user: f64,
    /// In the kernel on its behalf.
    pub system: f64,
}

impl Cpu {
    /// Both.
    pub fn total(self) -> f64 {
        self.user + self.system
    }
}

impl std::ops::Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            user: self.user + other.user,
            system: self.system + other.system,
        }
    }
}

impl std::ops::Sub for Cpu {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            user: self.user - other.user,
            system: self.system - other.system,
        }
    }
}

/// Memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// What is resident, pages of files that others share among it.
    pub rss: u64,
    /// The most that was.
    pub peak: u64,
    /// The same as `rss`, with shared pages counted by share.
    pub pss: u64,
}

/// The processor time of a process so far.
pub fn cpu(pid: u32) -> anyhow::Result<Cpu> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (user, system) = ticks(&stat).context("the kernel counts processor time")?;
    let seconds = |ticks: u64| ticks as f64 / clock_ticks_per_second() as f64;
    Ok(Cpu {
        user: seconds(user),
        system: seconds(system),
    })
}

/// The processor time of the threads that live, to the nanosecond: all of it for a process that has ended no thread.
pub fn cpu_of_threads(pid: u32) -> anyhow::Result<f64> {
    let mut nanoseconds = 0;
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let schedstat = fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += schedstat
            .split(' ')
            .next()
            .and_then(|first| first.parse::<u64>().ok())
            .unwrap_or_default();
    }
    Ok(nanoseconds as f64 / 1e9)
}

/// The memory of a process now.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    Ok(Memory {
        rss: kib(&status, "VmRSS:").context("no VmRSS")?,
        peak: kib(&status, "VmHWM:").context("no VmHWM")?,
        pss: kib(&rollup, "Pss:").context("no Pss")?,
    })
}

/// What is resident now, cheaply.
pub fn rss(pid: u32) -> anyhow::Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    kib(&status, "VmRSS:").context("no VmRSS")
}

/// `utime` and `stime`. The name of the program comes before them, in brackets, and may hold anything.
fn ticks(stat: &str) -> Option<(u64, u64)> {
    let (_, after_name) = stat.rsplit_once(") ")?;
    let mut fields = after_name.split(' ').skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

/// The bytes on the line that begins so.
fn kib(text: &str, line: &str) -> Option<u64> {
    let found = text.lines().find_map(|found| found.strip_prefix(line))?;
    Some(found.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}
