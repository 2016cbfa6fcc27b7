//! `livestreamd simulate`: a Live Stream service for people without a contract.

use std::cell::OnceCell;

use super::output::{answer, failure};
use super::{block_on, signals};
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
    let asked_to_end = match signals::listen_for_end() {
        Ok(stop) => stop,
        Err(error) => return failure(&error),
    };
    // Whoever waits for the announcement waits in vain if it cannot be written: then this ends at once.
    let announced = OnceCell::new();
    let ran = block_on(crate::simulator::run(
        args,
        |text: &str| {
            let _ = announced.set(answer(text));
        },
        async {
            if !matches!(announced.get(), Some(Err(_))) {
                asked_to_end.requested().await;
            }
        },
    ));
    match ran {
        Ok(Ok(_)) => announced.into_inner().and_then(Result::err).unwrap_or(ExitCode::Ok),
        Ok(Err(error)) => failure(&error),
        Err(code) => code,
    }
}
