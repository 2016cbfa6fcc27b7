//! How log lines are written: text on a terminal, JSON otherwise.

use std::io::{self, IsTerminal};

use tracing_subscriber::EnvFilter;

use crate::settings::{LogFormat, LogSettings};

/// Sends all further log lines to standard error as `settings` say. Call it once; later calls change nothing.
///
/// # Errors
/// If the filter does not parse; settings that were resolved have one that does.
pub fn init(settings: &LogSettings) -> Result<(), tracing_subscriber::filter::ParseError> {
    let filter = EnvFilter::builder().parse(&settings.filter)?;
    let as_text = match settings.format {
        LogFormat::Auto => io::stderr().is_terminal(),
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Otherwise a line that cannot be written (a closed pipe, a full disk) makes the task panic that had something to say.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    // A second call only means that something in this process, such as a test, has set logs up already.
    let _ = if as_text {
        lines.with_ansi(io::stderr().is_terminal()).try_init()
    } else {
        lines.json().flatten_event(true).try_init()
    };
    Ok(())
}
