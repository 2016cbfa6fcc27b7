//! The command line: parse, run one command, map the outcome to an exit code.
//!
//! | module | command |
//! | --- | --- |
//! | [`run`] | the daemon |
//! | [`check`] | validates a configuration, and asks Kafka and the token endpoint |
//! | [`simulate`] | a Live Stream service for people without a contract |
//! | [`demo`] | everything in one process |
//! | [`explain`] | what an answer of the service means, and what to do |
//! | [`status`] | how the running daemon is, in one table; a health check |
//! | [`top`] | the same, live |
//! | [`shape`] | what would come out for given hits |
//! | [`journal`] | a look into journals on disk, and what to do with one that nobody forwards any more |
//! | [`generate`] | manual pages and completions, for packages |
//!
//! [`admin`] asks the running daemon, and [`shown`] is what `status` and `top` show of its answer. [`reset`] reads what `run --reset` wishes, [`missing_topics`] says how to make what `check` has not found, [`output`] is what they talk to people by, and [`signals`] how people tell them to end.

use std::ffi::OsString;
use std::fmt::Display;
use std::future::Future;
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};

use crate::exit_code::ExitCode;
use crate::kafka::try_out;
use crate::settings::{Loaded, environment, load};

mod admin;
mod check;
mod demo;
mod explain;
mod generate;
mod journal;
mod missing_topics;
mod output;
mod reset;
mod run;
mod shape;
mod shown;
mod signals;
mod simulate;
mod status;
mod top;

use output::{failure, tell};

const DEFAULT_CONFIG: &str = "/etc/livestreamd/livestreamd.toml";

/// Forwards Adobe Analytics Live Stream into Apache Kafka: never loses a hit it was given, nor hammers the service.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 fine, 3 not ready (status), 64 wrong usage, 78 wrong configuration, or a state_dir that a newer
version has used (restarting does not help), 1 anything else.
Configuration keys can be set in the environment: LIVESTREAMD__SECTION__KEY; in the file only: [streams.NAME.shape],
[streams.NAME.outputs] and [[tests]]. HTTPS_PROXY, ALL_PROXY and NO_PROXY are honoured too.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the daemon: one long-lived connection per report suite, every hit into Kafka
    ///
    /// SIGTERM or SIGINT ends it: connections are closed, what was read is delivered within `shutdown_timeout`, and the wait
    /// before the next connect is remembered on disk. A second signal ends it at once.
    ///
    /// SIGHUP loads the configuration again: streams are added, removed and changed, and those that did not change keep their
    /// connections. A configuration with a fault changes nothing. The log names the keys that need a restart.
    Run(run::RunArgs),
    /// Validate a configuration, and run its tests: every fault at once, each with its key and what to do
    ///
    /// Exit codes: 0 all is well; 78 the configuration cannot be used; 1 one of its `[[tests]]`, or with --connect Kafka or a token, fails.
    Check(check::CheckArgs),
    /// Run a Live Stream service to try things against: no Adobe contract needed
    Simulate(Box<crate::simulator::SimulateArgs>),
    /// See it work in one process with nothing installed: simulator, daemon and an embedded Kafka
    Demo(crate::demo::DemoArgs),
    /// How the running daemon is: one line for each connection, and what stands in the way; also a health check
    ///
    /// Exit codes: 0 ready; 3 not ready, with what stands in the way; 1 the daemon cannot be reached, or its answer is of no use.
    /// With STREAM, only these streams count, and what concerns the whole daemon.
    Status(status::StatusArgs),
    /// How the running daemon is, live: keys are shown by ?
    Top(top::TopArgs),
    /// What an answer of the service, or a reason in the log, means, what the daemon does, and what to do
    Explain(explain::ExplainArgs),
    /// Show what would come out for given hits: topic, key, timestamp, headers and value; or why nothing would
    ///
    /// Reads one hit a line, from files or standard input. Connects to nothing, and may be used while the daemon runs. What only the daemon knows
    /// is left out: which hits are copies (`[dedup]`), and which Kafka finds too large. The whole configuration must be fine, its secret files included.
    ///
    /// What is not a hit is shown as a dead letter and is no failure: the exit code is 0 if all was read.
    Shape(shape::ShapeArgs),
    /// Look into journals on disk: what is in them, is it whole, write it out, throw it away
    ///
    /// DIR is the journal of one stream, `STATE_DIR/journal/STREAM`; or `STATE_DIR`, for all streams. All but `discard` change nothing,
    /// and may be used while the daemon runs.
    #[command(subcommand)]
    Journal(journal::JournalCommand),
    /// Write what a package ships beside the program: manual pages, completions
    #[command(subcommand, hide = true)]
    Generate(generate::GenerateCommand),
}

/// Where the configuration is.
#[derive(Debug, clap::Args)]
struct ConfigArgs {
    /// The configuration: TOML, YAML or JSON, by its extension
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_CONFIG)]
    config: PathBuf,
}

/// Runs the command line `args`, program name first.
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // `--help` and `--version` come as errors too, and go to standard output. A closed pipe is nobody's fault.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::Usage
            } else {
                ExitCode::Ok
            };
        }
    };
    match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Check(args) => check::check(&args),
        Command::Simulate(args) => simulate::simulate(*args),
        Command::Demo(args) => demo::demo(&args),
        Command::Explain(args) => explain::explain(&args),
        Command::Status(args) => status::status(&args),
        Command::Top(args) => top::top(&args),
        Command::Shape(args) => shape::shape(&args),
        Command::Journal(command) => journal::journal(command),
        Command::Generate(command) => generate::generate(&command),
    }
}

/// Loads the configuration, or prints all its faults.
fn load_or_explain(path: &Path) -> Result<Loaded, ExitCode> {
    let loaded = load(path, environment()).map_err(|faults| tell_faults(path, faults.to_string().lines()))?;
    // What is wrong with Kafka's own properties, and with the files that they name, librdkafka alone can tell.
    try_out(&loaded.settings.kafka).map_err(|faults| tell_faults(path, faults.to_string().lines()))?;
    Ok(loaded)
}

/// Says what is wrong with the configuration.
fn tell_faults(path: &Path, faults: impl IntoIterator<Item = impl Display>) -> ExitCode {
    tell(format_args!(
        "livestreamd: the configuration {} cannot be used:",
        path.display()
    ));
    for fault in faults {
        tell(format_args!("  {fault}"));
    }
    ExitCode::Configuration
}

/// Runs `work` on all cores.
fn block_on<T>(work: impl Future<Output = T>) -> Result<T, ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| failure(&error))?;
    let result = runtime.block_on(work);
    // Whatever still blocks a thread, such as a lookup of a name, must not hold the exit up.
    runtime.shutdown_background();
    Ok(result)
}
