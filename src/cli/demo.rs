//! `livestreamd demo`: everything in one process.

use super::{block_on, failure};
use crate::demo::DemoArgs;
use crate::exit_code::ExitCode;

pub(super) fn demo(args: &DemoArgs) -> ExitCode {
    match block_on(crate::demo::run(args)) {
        Ok(Ok(report)) if report.is_good() => ExitCode::Ok,
        Ok(Ok(_)) => ExitCode::Failure,
        Ok(Err(error)) => failure(&format!("{error:#}")),
        Err(code) => code,
    }
}
