//! `livestreamd demo`: everything with nothing installed.

use super::output::{answer, failure};
use super::{block_on, signals};
use crate::demo::DemoArgs;
use crate::exit_code::ExitCode;

pub(super) fn demo(args: &DemoArgs) -> ExitCode {
    // Before anything is started, so that no signal is missed.
    let asked_to_end = match signals::listen_for_end() {
        Ok(stop) => stop,
        Err(error) => return failure(&error),
    };
    let ran = block_on(crate::demo::run(args, async move { asked_to_end.requested().await }));
    let outcome = match ran {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => return failure(&format!("{error:#}")),
        Err(code) => return code,
    };
    match answer(outcome.text) {
        Ok(()) if outcome.good => ExitCode::Ok,
        Ok(()) => ExitCode::Failure,
        Err(code) => code,
    }
}
