//! Processes that this program starts: itself in another role, and foreign programs. None outlives it.

use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, nice, set_parent_process_death_signal, waitid};

use super::procfs::{Cpu, cpu};

/// How often something is looked at that has no wake-up to offer.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A running process. Dropping it kills it and waits for its death.
pub struct Child {
    name: &'static str,
    process: std::process::Child,
    stdin: Option<ChildStdin>,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Child {
    /// This program in another role, which is spoken with line by line, and ends with its standard input.
    pub fn role(role: &'static str, arguments: &[String]) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .arg(role)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("cannot start {role}"))?;
        Ok(Self {
            name: role,
            stdin: process.stdin.take(),
            stdout: process.stdout.take().map(BufReader::new),
            process,
        })
    }

    /// A foreign program, which is killed should this one die.
    pub fn foreign(name: &'static str, command: &Command) -> anyhow::Result<Self> {
        Self::spawned(name, bonded(command)?.stdin(Stdio::null()))
    }

    /// The same; what it says is for another process.
    pub fn piped(name: &'static str, command: &Command) -> anyhow::Result<Self> {
        Self::spawned(name, bonded(command)?.stdin(Stdio::null()).stdout(Stdio::piped()))
    }

    /// The same; it reads this.
    pub fn fed(name: &'static str, command: &Command, input: Stdio) -> anyhow::Result<Self> {
        Self::spawned(name, bonded(command)?.stdin(input))
    }

    /// A process that is started as `command` says.
    pub fn spawned(name: &'static str, command: &mut Command) -> anyhow::Result<Self> {
        let process = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            name,
            process,
            stdin: None,
            stdout: None,
        })
    }

    /// Its name, for people.
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// The standard output of one that is piped.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// Waits for the next line that a role says.
    pub fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        let stdout = self.stdout.as_mut().context("it says nothing to us")?;
        if stdout.read_line(&mut line)? == 0 {
            bail!("{} has ended", self.name);
        }
        Ok(line.trim_end().to_owned())
    }

    /// Says a line to a role.
    pub fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("it does not listen to us")?;
        writeln!(stdin, "{line}").with_context(|| format!("{} does not listen", self.name))
    }

    /// The processor time that it has used so far.
    pub fn cpu(&self) -> anyhow::Result<Cpu> {
        cpu(self.pid()).with_context(|| format!("{} is gone", self.name))
    }

    /// True once it has ended. Its times can still be read.
    pub fn has_ended(&self) -> anyhow::Result<bool> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT | WaitIdOptions::NOHANG;
        Ok(waitid(WaitId::Pid(self.id()?), options)?.is_some())
    }

    /// Waits for its end by itself, and returns all the processor time that it has used. The time is read when it is dead and not yet
    /// buried, so nothing is missing.
    pub fn cpu_at_its_end(&mut self, limit: Duration) -> anyhow::Result<Cpu> {
        let deadline = Instant::now() + limit;
        while !self.has_ended()? {
            if Instant::now() > deadline {
                bail!("{} did not end within {limit:?}", self.name);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        let cpu = self.cpu()?;
        let status = self.process.wait()?;
        if !status.success() {
            bail!("{} ended with {status}", self.name);
        }
        Ok(cpu)
    }

    fn id(&self) -> anyhow::Result<Pid> {
        let id = i32::try_from(self.pid())?;
        Pid::from_raw(id).context("a process has an id")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Both fail only if it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The same command by way of the role that bonds it to this process.
fn bonded(command: &Command) -> anyhow::Result<Command> {
    let mut bonded = Command::new(std::env::current_exe()?);
    bonded
        .arg("as-bonded")
        .arg(command.get_program())
        .args(command.get_args());
    Ok(bonded)
}

/// How far contenders stand back for the processor.
const NICE: i32 = 10;

/// The role of a foreign program: it asks to be killed should its parent die, stands back for the processor, and becomes the program. Costs
/// each of them the same. Kafka and its readers go first, because as a rule they have a machine of their own, and because the mock throws
/// away what the readers have not had in time.
pub fn become_bonded(command: &[String]) -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    nice(NICE)?;
    let (program, arguments) = command.split_first().context("there is no program to become")?;
    Err(Command::new(program).args(arguments).exec()).with_context(|| format!("cannot become {program}"))
}
