//! How livestreamd compares with the leanest loop that could do its work, with `curl | kcat` and with a client in Python: whole processes,
//! side by side, against one Kafka. `cargo bench --bench pipeline -- --help`, and docs/performance.md for what the figures mean.
//!
//! | module | job |
//! | --- | --- |
//! | `settings` | the command line |
//! | `suites` | what is measured: a module for each |
//! | `rounds` | runs one after the other, in turn |
//! | `contenders` | who competes |
//! | `corpus` | hits, made and compressed once |
//! | `serve`, `kafka` | both ends, each in a process of its own |
//! | `child`, `procfs` | processes, and what the kernel has counted for them |
//! | `stats`, `report` | medians; tables, goals, CSV and plots |
//! | `support` | a real broker |
//!
//! One program with roles: the harness starts it again as the service, as Kafka and as the leanest loop.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it talks to whoever runs it, and to itself"
)]

mod child;
mod contenders;
mod corpus;
mod kafka;
mod procfs;
mod report;
mod rounds;
mod serve;
mod settings;
mod stats;
mod suites;
mod support;

use std::process::ExitCode;

use clap::{Parser as _, Subcommand};

use settings::{Arguments, Settings};

/// What this program is when it starts itself.
#[derive(clap::Parser)]
struct Itself {
    #[command(subcommand)]
    role: Role,
}

#[derive(Subcommand)]
enum Role {
    #[command(name = "as-server")]
    Server(serve::Plan),
    #[command(name = "as-kafka")]
    Kafka(kafka::Wanted),
    #[command(name = "as-lean")]
    Lean(contenders::lean::Errand),
    #[command(name = "as-bonded")]
    Bonded {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        command: Vec<String>,
    },
}

fn main() -> ExitCode {
    let is_role = std::env::args().nth(1).is_some_and(|first| first.starts_with("as-"));
    let outcome = if is_role {
        play(Itself::parse().role)
    } else {
        measure(&Arguments::parse())
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("pipeline: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn play(role: Role) -> anyhow::Result<()> {
    match role {
        Role::Server(plan) => serve::run(&plan),
        Role::Kafka(wanted) => kafka::run(&wanted),
        Role::Lean(errand) => contenders::lean::run(&errand),
        Role::Bonded { command } => child::become_bonded(&command),
    }
}

fn measure(arguments: &Arguments) -> anyhow::Result<()> {
    let all_met = suites::run(&arguments.suites, arguments.real, &Settings::from(arguments))?;
    // Figures of a short run mean nothing.
    if !all_met && !arguments.quick {
        eprintln!("pipeline: not all goals are met");
    }
    Ok(())
}
