//! What `log.filter` says: a level, or levels by module.
//!
//! Promise: what is not such a thing is refused, with the part that is wrong, since a misspelt level that is taken for a module would silence
//! the log. A comma or a space too many is no fault. There are no spans in livestreamd, so filters by span, and the regular expressions that
//! they need (a quarter of a megabyte in the program), are not there.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// What is wrong with a filter.
#[derive(Debug, thiserror::Error)]
pub enum LogFilterError {
    /// A part of the filter says no level.
    #[error("{0:?} is no level: they are off, error, warn, info, debug and trace")]
    Level(String),
    /// A part of the filter says a level for what cannot be a module.
    #[error("{0:?} is no name of a module")]
    Module(String),
}

/// Reads a filter such as `info` or `warn,livestreamd::upstream=debug`. The longest name that a module begins with decides, in whatever order
/// they stand. The empty filter lets nothing through.
///
/// # Errors
/// If a part of it is neither `LEVEL` nor `MODULE=LEVEL`.
pub fn log_filter(text: &str) -> Result<Targets, LogFilterError> {
    let mut targets = Targets::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        targets = match part.split_once('=') {
            None => targets.with_default(level(part)?),
            Some((name, word)) => targets.with_target(module(name.trim())?, level(word.trim())?),
        };
    }
    Ok(targets)
}

fn level(word: &str) -> Result<LevelFilter, LogFilterError> {
    let refused = || LogFilterError::Level(word.to_owned());
    // The library takes an empty word for `error`.
    if word.is_empty() {
        Err(refused())
    } else {
        word.parse().map_err(|_| refused())
    }
}

fn module(name: &str) -> Result<&str, LogFilterError> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b':');
    if !name.is_empty() && name.bytes().all(is_plain) {
        Ok(name)
    } else {
        Err(LogFilterError::Module(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    /// Whether a line of this module and level is let through.
    fn lets_through(filter: &str, module: &str, level: Level) -> bool {
        log_filter(filter).unwrap().would_enable(module, &level)
    }

    #[test]
    fn a_level_is_for_all_modules() {
        assert!(lets_through("info", "livestreamd::upstream", Level::INFO));
        assert!(lets_through("WARN", "hyper", Level::ERROR));
        assert!(!lets_through("info", "livestreamd::upstream", Level::DEBUG));
        assert!(!lets_through("off", "livestreamd", Level::ERROR));
    }

    #[test]
    fn the_longest_name_of_a_module_decides_in_whatever_order() {
        for filter in [
            "info,livestreamd::upstream=debug,livestreamd=warn",
            "livestreamd=warn,livestreamd::upstream=debug,info",
        ] {
            assert!(lets_through(filter, "livestreamd::upstream::dial", Level::DEBUG));
            assert!(!lets_through(filter, "livestreamd::journal", Level::INFO));
            assert!(lets_through(filter, "rustls", Level::INFO));
        }
        assert!(lets_through("livestreamd=trace", "livestreamd::journal", Level::TRACE));
        assert!(!lets_through("livestreamd=trace", "rustls", Level::ERROR));
    }

    #[test]
    fn spaces_and_empty_parts_say_nothing() {
        for filter in [" info", "info,", ",info, ,", "livestreamd=trace , info"] {
            assert!(lets_through(filter, "hyper", Level::INFO), "{filter:?}");
            assert!(!lets_through(filter, "hyper", Level::DEBUG), "{filter:?}");
        }
        assert!(!lets_through(" ,", "livestreamd", Level::ERROR));
    }

    #[test]
    fn what_is_no_level_and_what_is_no_module_is_refused_with_the_part_that_is_wrong() {
        let level = |word| format!("{word:?} is no level: they are off, error, warn, info, debug and trace");
        let module = |name| format!("{name:?} is no name of a module");
        for (filter, fault) in [
            ("inof", level("inof")),
            ("[[", level("[[")),
            ("info,livestreamd", level("livestreamd")),
            ("livestreamd=loud", level("loud")),
            ("info, livestreamd = ", level("")),
            ("a=b=c", level("b=c")),
            ("info,=debug", module("")),
            ("livestreamd[span]=debug", module("livestreamd[span]")),
        ] {
            assert_eq!(log_filter(filter).unwrap_err().to_string(), fault, "{filter:?}");
        }
    }
}
