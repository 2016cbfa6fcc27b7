//! How log lines are written: text on a terminal, into the journal of systemd where standard error leads there, JSON otherwise.
//!
//! Promise: a line that cannot be written is dropped; nothing waits for it, or fails because of it. What is kept to be shown
//! ([`events`]) does not depend on the filter.

mod journald;

use std::io::{self, IsTerminal as _};
use std::sync::OnceLock;

use thiserror::Error;
use tracing::Subscriber;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{Layer, Registry, fmt, reload};

use super::events::Events;
use crate::settings::{LogFilterError, LogFormat, LogSettings, log_filter};
use journald::Journald;

/// Set once logs are set up by us.
static FILTER: OnceLock<Handle> = OnceLock::new();
static EVENTS: OnceLock<Events> = OnceLock::new();

/// Why logs are not as they should be.
#[derive(Debug, Error)]
pub enum LogError {
    /// The filter does not parse. Settings that were resolved have one that does.
    #[error("log.filter: {filter:?} is not a log filter ({error}); write as in \"info\" or \"info,livestreamd=debug\"")]
    Filter {
        /// The filter.
        filter: String,
        /// What is wrong with it.
        error: LogFilterError,
    },
    /// The journal was asked for and is not there.
    #[error(
        "log.format is journald, and nobody listens at {path} ({error}); see to systemd-journald, or set log.format to auto",
        path = journald::SOCKET
    )]
    NoJournald {
        /// What the system said.
        error: io::Error,
    },
    /// Logs of this process were not set up by [`init`].
    #[error("the log's filter cannot be changed: this process has set its logs up otherwise")]
    NotOurs,
}

/// Sends all further log lines where `settings` say, and keeps them as [`events`]. Call it once; later calls change nothing.
///
/// # Errors
/// If the filter does not parse, or the journal is asked for and is not there.
pub fn init(settings: &LogSettings) -> Result<(), LogError> {
    let filter = parse(&settings.filter)?;
    let surroundings = Surroundings::look();
    let lines = match Shape::of(settings.format, &surroundings) {
        Shape::Text { colours } => text(colours),
        Shape::Json => json(),
        Shape::Journald { or_json } => match (Journald::connect(journald::SOCKET.as_ref()), or_json) {
            (Ok(journald), _) => journald.boxed(),
            (Err(_), true) => json(),
            (Err(error), false) => return Err(LogError::NoJournald { error }),
        },
    };
    let (subscriber, handle) = assemble(lines, filter, &events());
    // Otherwise something in this process, such as a test, has set logs up already.
    if subscriber.try_init().is_ok() {
        let _ = FILTER.set(handle);
    }
    Ok(())
}

type Handle = reload::Handle<Targets, Registry>;

/// Lines are filtered, events are not; the handle changes the filter.
fn assemble(lines: Lines, filter: Targets, events: &Events) -> (impl Subscriber + Send + Sync + use<>, Handle) {
    let (filter, handle) = reload::Layer::new(filter);
    let subscriber = tracing_subscriber::registry()
        .with(lines.with_filter(filter))
        .with(events.layer());
    (subscriber, handle)
}

/// From now on lines are written as `filter` says. The events that are kept stay the same.
///
/// # Errors
/// If the filter does not parse, or [`init`] has not set the logs up. Then nothing changes.
pub fn set_filter(filter: &str) -> Result<(), LogError> {
    let filter = parse(filter)?;
    let handle = FILTER.get().ok_or(LogError::NotOurs)?;
    handle.reload(filter).map_err(|_| LogError::NotOurs)
}

/// The latest log lines of this process, kept to be shown.
pub fn events() -> Events {
    EVENTS.get_or_init(Events::new).clone()
}

fn parse(filter: &str) -> Result<Targets, LogError> {
    log_filter(filter).map_err(|error| LogError::Filter {
        filter: filter.to_owned(),
        error,
    })
}

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

fn text(colours: bool) -> Lines {
    let lines = fmt::layer().with_ansi(colours).with_writer(io::stderr);
    lines.log_internal_errors(false).boxed()
}

fn json() -> Lines {
    let lines = fmt::layer().json().flatten_event(true).with_writer(io::stderr);
    // Otherwise a line that cannot be written (a closed pipe, a full disk) makes the task panic that had something to say.
    lines.log_internal_errors(false).boxed()
}

/// What decides how lines look where it is left to us.
struct Surroundings {
    on_terminal: bool,
    to_journal: bool,
    no_colours: bool,
}

impl Surroundings {
    fn look() -> Self {
        Self {
            on_terminal: io::stderr().is_terminal(),
            to_journal: leads_to_journal(),
            no_colours: std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Text {
        colours: bool,
    },
    Json,
    Journald {
        /// If the journal is not there.
        or_json: bool,
    },
}

impl Shape {
    const fn of(format: LogFormat, around: &Surroundings) -> Self {
        let text = Self::Text {
            colours: around.on_terminal && !around.no_colours,
        };
        match format {
            LogFormat::Auto if around.to_journal => Self::Journald { or_json: true },
            LogFormat::Auto if around.on_terminal => text,
            LogFormat::Auto | LogFormat::Json => Self::Json,
            LogFormat::Text => text,
            LogFormat::Journald => Self::Journald { or_json: false },
        }
    }
}

/// Whether standard error is the stream that systemd has connected to the journal, and not, say, a file to which a service of systemd has
/// redirected it.
fn leads_to_journal() -> bool {
    let (Ok(stream), Ok(stat)) = (std::env::var("JOURNAL_STREAM"), rustix::fs::fstat(io::stderr())) else {
        return false;
    };
    is_stream(&stream, stat.st_dev, stat.st_ino)
}

/// Whether `JOURNAL_STREAM` names this file: device and inode, in decimal, with a colon between them.
fn is_stream(journal_stream: &str, device: u64, inode: u64) -> bool {
    let named = journal_stream.split_once(':');
    named.is_some_and(|(dev, ino)| dev.parse() == Ok(device) && ino.parse() == Ok(inode))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn the_journal_is_used_only_where_standard_error_leads_there_or_it_is_asked_for() {
        let around = |on_terminal, to_journal| Surroundings {
            on_terminal,
            to_journal,
            no_colours: false,
        };
        let (nowhere, terminal, journal) = (around(false, false), around(true, false), around(false, true));
        let shape = |format, around| Shape::of(format, around);
        assert_eq!(shape(LogFormat::Auto, &nowhere), Shape::Json);
        assert_eq!(shape(LogFormat::Auto, &terminal), Shape::Text { colours: true });
        assert_eq!(shape(LogFormat::Auto, &journal), Shape::Journald { or_json: true });
        for around in [&nowhere, &terminal, &journal] {
            assert_eq!(shape(LogFormat::Json, around), Shape::Json);
            assert_eq!(shape(LogFormat::Journald, around), Shape::Journald { or_json: false });
        }
        assert_eq!(shape(LogFormat::Text, &journal), Shape::Text { colours: false });
    }

    #[test]
    fn no_color_takes_colours_off_a_terminal() {
        let around = Surroundings {
            on_terminal: true,
            to_journal: false,
            no_colours: true,
        };
        assert_eq!(Shape::of(LogFormat::Auto, &around), Shape::Text { colours: false });
    }

    #[test]
    fn a_journal_stream_is_known_by_device_and_inode() {
        assert!(is_stream("9:12345", 9, 12345));
        for other in ["9:12346", "8:12345", "9", "", ":", "9:12345:1", "x:12345", "0x9:12345"] {
            assert!(!is_stream(other, 9, 12345), "{other:?}");
        }
    }

    #[test]
    fn another_filter_holds_from_then_on_for_the_lines_and_not_for_the_events() {
        let written: &'static Mutex<Vec<u8>> = Box::leak(Box::default());
        let lines = fmt::layer().with_writer(move || Written(written)).boxed();
        let events = Events::new();
        let (subscriber, handle) = assemble(lines, parse("warn").unwrap(), &events);
        tracing::subscriber::with_default(subscriber, || {
            // The same line each time, whatever was remembered of it before.
            let say = |times: usize| {
                for _ in 0..times {
                    tracing::info!("at info");
                    tracing::debug!("at debug");
                }
            };
            let lines_of = |word: &str| {
                let text = String::from_utf8(std::mem::take(&mut *written.lock().unwrap())).unwrap();
                text.matches(word).count()
            };
            say(1);
            assert_eq!(lines_of("at "), 0);
            handle.reload(parse("debug").unwrap()).unwrap();
            say(2);
            assert_eq!(lines_of("at "), 4);
            handle.reload(parse("info").unwrap()).unwrap();
            say(3);
            assert_eq!(lines_of("at info"), 3);
            handle.reload(parse("off").unwrap()).unwrap();
            say(4);
            assert_eq!(lines_of("at "), 0);
        });
        let kept = events.recent(100);
        assert_eq!(kept.len(), 10);
        assert!(kept.iter().all(|event| event.text == "at info"));
    }

    struct Written(&'static Mutex<Vec<u8>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_filter_that_does_not_parse_says_so_with_the_key() {
        let error = set_filter("livestreamd=loud").unwrap_err().to_string();
        assert!(
            error.starts_with("log.filter: \"livestreamd=loud\" is not a log filter"),
            "{error}"
        );
    }
}
