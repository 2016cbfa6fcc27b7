//! `livestreamd run`: the daemon.

use super::output::failure;
use super::{ConfigArgs, block_on, load_or_explain, signals};
use crate::app::{Daemon, Ended};
use crate::exit_code::ExitCode;
use crate::settings::Loaded;
use crate::telemetry::logs;
use crate::upstream::Dialer;

pub(super) fn run(args: &ConfigArgs) -> ExitCode {
    let Loaded { settings, warnings } = match load_or_explain(&args.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    if let Err(error) = logs::init(&settings.log) {
        return failure(&error);
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    // Before anything is started, so that no signal is missed.
    let asked_to_end = match signals::listen() {
        Ok(stop) => stop,
        Err(error) => return failure(&error),
    };
    let outcome = block_on(async {
        let dialer = Dialer::new([]);
        if let Some(fault) = dialer.tls_fault() {
            tracing::warn!("no https connection can be made: {fault}");
        }
        let daemon = Daemon::start(settings, dialer).await?;
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
