//! What a command tells people, on either standard stream. Nothing panics here: a reader that has gone, such as `head`, is no fault,
//! and what cannot be said on standard error is not said.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write as _};

use crate::exit_code::ExitCode;

/// Writes a line, or several, of the command's answer to standard output.
///
/// # Errors
/// The exit code, if the answer could not be written for any reason but that nobody reads on; that is then told, too.
pub(super) fn answer(text: impl Display) -> Result<(), ExitCode> {
    let mut out = io::stdout().lock();
    match writeln!(out, "{text}").and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(failure(&format!("cannot write to standard output: {error}")))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a line to standard error.
pub(super) fn tell(text: impl Display) {
    // There is nobody left to tell that this went wrong.
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Says on standard error what went wrong.
pub(super) fn failure(error: &dyn Display) -> ExitCode {
    tell(format_args!("livestreamd: {error}"));
    ExitCode::Failure
}
