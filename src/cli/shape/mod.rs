//! `livestreamd shape`: what would come out for given hits.
//!
//! | module | does |
//! | --- | --- |
//! | [`input`] | reads hits, one a line, in bounded memory |
//! | [`shown`] | shows what becomes of one, for people or as JSON |
//! | [`tally`] | counts, for the end |
//!
//! Promise: messages are made by the code that makes the daemon's; nothing is connected to; and nothing in a hit steers a terminal.

use std::fs::File;
use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, StdoutLock, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use super::output::{failure, tell};
use super::shown::text::escaped;
use super::{ConfigArgs, load_or_explain};
use crate::clock::since_epoch;
use crate::exit_code::ExitCode;
use crate::settings::{Output, StreamSettings, defaults};
use crate::shape::outcome::{Outcome, Room, outcome, outcome_of_too_long};
use crate::shape::template::Names;
use input::Line;
use shown::{Form, Place};
use tally::Tally;

mod input;
mod shown;
mod tally;

/// What stands for standard input.
const STDIN: &str = "-";

#[derive(Debug, clap::Args)]
pub(super) struct ShapeArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The stream whose hits these are; may be left out if there is only one
    #[arg(long, short, value_name = "NAME")]
    stream: Option<String>,
    /// Only this output of the stream; that of the stream itself is called default. All, if not given
    #[arg(long, short, value_name = "NAME")]
    output: Option<String>,
    /// One JSON object a line for each hit and output
    ///
    /// Its fields: `file` (if one was given), `line`, `stream`, `output`; `outcome`: forwarded, `held_back`, incomplete or `dead_letter`; `held_back_by`, `incomplete`,
    /// `dead_letter`: the filter, the field that is missing, the reason; and of what comes out, if anything does: `topic`, `key` (null if there is none), `timestamp`
    /// (milliseconds), `headers` (an object), `value` (a string; bytes that are not UTF-8 become U+FFFD).
    #[arg(long)]
    json: bool,
    /// As if the hits had come at this time, in milliseconds since 1970, so that two runs can be compared; now, if not given
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(defaults::TEST_TIMES))]
    received: Option<u64>,
    /// Files with one hit a line; standard input, if none is given or for -
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

pub(super) fn shape(args: &ShapeArgs) -> ExitCode {
    match shown_all(args) {
        Ok(()) => ExitCode::Ok,
        Err(code) => code,
    }
}

fn shown_all(args: &ShapeArgs) -> Result<(), ExitCode> {
    let streams = load_or_explain(&args.config.config)?.settings.streams;
    let stream = stream(&streams, args.stream.as_deref()).map_err(|fault| usage(&fault))?;
    let outputs = outputs(stream, args.output.as_deref()).map_err(|fault| usage(&fault))?;
    let now = || u64::try_from(since_epoch(SystemTime::now()).as_millis()).unwrap_or(u64::MAX);
    let mut trial = Trial {
        stream,
        tallies: outputs.iter().map(|output| Tally::of(output.name())).collect(),
        outputs,
        form: if args.json { Form::Json } else { Form::Text },
        received_ms: args.received.unwrap_or_else(now),
        room: Room::default(),
        out: BufWriter::new(io::stdout().lock()),
        hits: 0,
    };
    let standard_input = [PathBuf::from(STDIN)];
    let files = if args.files.is_empty() {
        &standard_input[..]
    } else {
        &args.files
    };
    for file in files {
        match trial.read(file) {
            Ok(()) => {}
            // Such as `head`: it has seen enough.
            Err(Failed::Output(error)) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
            Err(Failed::Output(error)) => {
                return Err(failure(&format_args!("cannot write to standard output: {error}")));
            }
            Err(Failed::Input(error)) => {
                return Err(failure(&format_args!(
                    "cannot read {}: {error}",
                    escaped(&file.display().to_string())
                )));
            }
        }
    }
    tell(format_args!(
        "{} read",
        super::shown::figures::count(trial.hits, "hit", "hits")
    ));
    for tally in &trial.tallies {
        tell(tally);
    }
    Ok(())
}

/// What went wrong with a file.
enum Failed {
    Input(io::Error),
    Output(io::Error),
}

/// Hits held against the outputs of a stream.
struct Trial<'s> {
    stream: &'s StreamSettings,
    outputs: Vec<&'s Arc<Output>>,
    form: Form,
    received_ms: u64,
    room: Room,
    out: BufWriter<StdoutLock<'static>>,
    hits: u64,
    /// One for each output.
    tallies: Vec<Tally>,
}

impl Trial<'_> {
    fn read(&mut self, path: &Path) -> Result<(), Failed> {
        let most = self.stream.max_record_bytes;
        if path == Path::new(STDIN) {
            let stdin = io::stdin();
            if stdin.is_terminal() {
                tell("reading hits, one a line, until Ctrl-D");
            }
            return input::read(stdin.lock(), most, |lines| self.show(None, lines));
        }
        let file = File::open(path).map_err(Failed::Input)?;
        input::read(file, most, |lines| self.show(Some(path), lines))
    }

    /// Shows what becomes of lines, in their order. All of it is written when this returns: more may be long in coming.
    fn show(&mut self, file: Option<&Path>, lines: &mut dyn Iterator<Item = (u64, Line<'_>)>) -> io::Result<()> {
        for (number, line) in lines {
            self.hits += 1;
            self.show_line(file, number, line)?;
        }
        self.out.flush()
    }

    fn show_line(&mut self, file: Option<&Path>, number: u64, line: Line<'_>) -> io::Result<()> {
        let names = Names {
            stream: &self.stream.name,
            report_suite: &self.stream.report_suite,
        };
        let is_one_of_several = self.outputs.len() > 1;
        for (output, tally) in self.outputs.iter().zip(&mut self.tallies) {
            let (received_ms, room) = (self.received_ms, &mut self.room);
            let outcome: Outcome<'_> = match line {
                Line::Record(record) => outcome(output, names, record, received_ms, room),
                Line::TooLong { first_bytes, length } => {
                    outcome_of_too_long(output, names, first_bytes, length, received_ms, room)
                }
            };
            tally.count(&outcome);
            let place = Place {
                file,
                line: number,
                stream: names.stream,
                output: output.name(),
                is_one_of_several,
            };
            self.out.write_all(self.form.of(&place, &outcome).as_bytes())?;
        }
        Ok(())
    }
}

/// The stream of this name, or the only one.
fn stream<'s>(streams: &'s [StreamSettings], name: Option<&str>) -> Result<&'s StreamSettings, String> {
    let names = || {
        let names: Vec<&str> = streams.iter().map(|stream| stream.name.as_str()).collect();
        names.join(", ")
    };
    match (name, streams) {
        (None, [stream]) => Ok(stream),
        (None, _) => Err(format!("there are several streams: give --stream, one of {}", names())),
        (Some(name), _) => {
            let found = streams.iter().find(|stream| stream.name == name);
            found.ok_or_else(|| format!("there is no stream {name:?}: give --stream one of {}", names()))
        }
    }
}

/// The output of this name, or all.
fn outputs<'s>(stream: &'s StreamSettings, name: Option<&str>) -> Result<Vec<&'s Arc<Output>>, String> {
    let Some(name) = name else {
        return Ok(stream.outputs.iter().collect());
    };
    let found: Vec<_> = stream.outputs.iter().filter(|output| output.name() == name).collect();
    if found.is_empty() {
        let names: Vec<&str> = stream.outputs.iter().map(|output| output.name()).collect();
        return Err(format!(
            "stream {} has no output {name:?}: give --output one of {}",
            stream.name,
            names.join(", ")
        ));
    }
    Ok(found)
}

fn usage(fault: &str) -> ExitCode {
    tell(format_args!("livestreamd: {fault}"));
    ExitCode::Usage
}
