//! `livestreamd simulate`: a Live Stream service for people without a contract.

use std::io::Write as _;

use super::{block_on, failure, signals};
use crate::exit_code::ExitCode;
use crate::settings::{LogFormat, LogSettings};
use crate::simulator::SimulateArgs;
use crate::telemetry::logs;

pub(super) fn simulate(args: SimulateArgs) -> ExitCode {
    let log = LogSettings {
        filter: "info".to_owned(),
        format: LogFormat::Auto,
    };
    if let Err(error) = logs::init(&log) {
        return failure(&error);
    }
    let asked_to_end = match signals::listen() {
        Ok(stop) => stop,
        Err(error) => return failure(&error),
    };
    let announce = |text: &str| {
        // Whoever reads this may be a script that waits for it.
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}").and_then(|()| out.flush());
    };
    match block_on(crate::simulator::run(args, announce, async move {
        asked_to_end.requested().await;
    })) {
        Ok(Ok(_)) => ExitCode::Ok,
        Ok(Err(error)) => failure(&error),
        Err(code) => code,
    }
}
