//! `livestreamd run`: the daemon.

use super::output::{failure, tell};
use super::reset::{Wish, resets};
use super::{ConfigArgs, block_on, load_or_explain, signals};
use crate::app::{Daemon, Ended};
use crate::exit_code::ExitCode;
use crate::settings::Loaded;
use crate::settings::proxy::{self, Shown};
use crate::telemetry::logs;
use crate::upstream::Dialer;

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Start the stream NAME elsewhere, once: smallest or earliest repeats the oldest that Adobe still keeps, largest or latest THROWS
    /// AWAY what was missed
    ///
    /// Takes effect only if all connections of the stream are closed: stop every other client first. It goes along with the connects of
    /// the stream until the service answers 200, and not again on reconnects, or on restarts with the same command line. To have it once
    /// more, start without it, then with it. May be given several times, for several streams.
    #[arg(long, value_name = "NAME=WHERE")]
    reset: Vec<Wish>,
}

pub(super) fn run(args: &RunArgs) -> ExitCode {
    let Loaded { settings, warnings } = match load_or_explain(&args.config.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let names: Vec<&str> = settings.streams.iter().map(|stream| stream.name.as_str()).collect();
    let resets = match resets(&args.reset, &names) {
        Ok(resets) => resets,
        Err(fault) => {
            tell(format_args!("livestreamd: {fault}"));
            return ExitCode::Usage;
        }
    };
    if let Err(error) = logs::init(&settings.log) {
        return failure(&error);
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    log_proxy(&proxy::shown(&settings));
    // Before anything is started, so that no signal is missed.
    let asked_to_end = match signals::listen() {
        Ok(stop) => stop,
        Err(error) => return failure(&error),
    };
    let outcome = block_on(async {
        let dialer = Dialer::new(&settings.tls, []).through(settings.proxy.clone());
        if let Some(fault) = dialer.tls_fault() {
            tracing::warn!("no https connection can be made: {fault}");
        }
        let daemon = Daemon::start_resetting(settings, dialer, resets).await?;
        asked_to_end.requested().await;
        anyhow::Ok(daemon.stop().await)
    });
    match outcome {
        // What is left is in the journal: that is what it is for.
        Ok(Ok(Ended { durable: true, .. })) => ExitCode::Ok,
        Ok(Ok(Ended { durable: false, .. })) => ExitCode::Failure,
        Ok(Err(error)) => failure(&format!("{error:#}")),
        Err(code) => code,
    }
}

/// Who looks for why nothing can be reached finds here which way was taken.
fn log_proxy(shown: &Shown) {
    let Shown { proxy, through, direct } = shown;
    if through.is_empty() && direct.is_empty() {
        tracing::info!(proxy, "connections go through no proxy");
    } else {
        let (through, direct) = (through.join(", "), direct.join(", "));
        tracing::info!(proxy, through, direct, "connections go through a proxy");
    }
}
