//! `livestreamd journal export`: writes out a journal's records.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use super::super::output::{failure, tell};
use super::super::shown::figures::count;
use super::progress::Progress;
use super::{OneDirArgs, exact};
use crate::exit_code::ExitCode;
use crate::journal::Position;
use crate::journal::inspect::{Beginning, Exported, InspectError, Inspection, export as write_out, inspect};
use crate::state_dir::PRIVATE_FILE;

/// What is written at a time.
const BUFFER_BYTES: usize = 256 * 1024;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct ExportArgs {
    #[command(flatten)]
    dir: OneDirArgs,
    /// Write to this file, which must not be there yet, and not to standard output
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Begin at this position, and not at what the slowest cursor has before it
    #[arg(long, value_name = "POSITION", conflicts_with_all = ["all", "cursor"])]
    from: Option<u64>,
    /// Begin at what this cursor has before it: `default`, or the name of a further output of the stream
    #[arg(long, value_name = "NAME", conflicts_with = "all")]
    cursor: Option<String>,
    /// Everything that is still there, delivered or not
    #[arg(long)]
    all: bool,
}

pub(super) fn export(args: &ExportArgs) -> Result<(), ExitCode> {
    let place = args.dir.find()?;
    let inspection = inspect(&place.dir).map_err(|error| failure(&error))?;
    let from = match (args.from, &args.cursor) {
        (Some(position), _) => Beginning::At(Position(position)),
        (None, Some(name)) => Beginning::At(stand_of(name, &inspection)?),
        (None, None) if args.all => Beginning::At(Position::default()),
        (None, None) => Beginning::Undelivered,
    };
    let progress = Progress::of(&place.stream);
    let exported = match &args.output {
        None => to_stdout(&inspection, from, progress)?,
        Some(file) => to_file(&inspection, from, progress, file)?,
    };
    report(exported)
}

/// Where the cursor of this name stands.
fn stand_of(name: &str, inspection: &Inspection) -> Result<Position, ExitCode> {
    let cursors = &inspection.cursors;
    cursors.get(name).map(|cursor| cursor.position()).ok_or_else(|| {
        let names: Vec<&str> = cursors.keys().map(String::as_str).collect();
        failure(&format_args!(
            "there is no cursor {name:?} here: give one of these, or none: {}",
            names.join(", ")
        ))
    })
}

fn to_stdout(inspection: &Inspection, from: Beginning, mut progress: Progress) -> Result<Exported, ExitCode> {
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    let exported = write_out(inspection, from, &mut out, &mut |done, total| progress.at(done, total));
    drop(progress);
    exported.map_err(|error| {
        // What is left in the buffer is not tried again.
        let _ = out.into_parts();
        explain(error, |error| {
            if error.kind() == ErrorKind::BrokenPipe {
                // Such as `head`. Not all is written out all the same, and whoever would discard the rest should know.
                failure(&"standard output was closed before all was written: this is not everything")
            } else {
                failure(&format_args!("cannot write to standard output: {error}"))
            }
        })
    })
}

/// Returns when the file is durable. One that is not whole does not stay.
fn to_file(
    inspection: &Inspection,
    from: Beginning,
    mut progress: Progress,
    path: &Path,
) -> Result<Exported, ExitCode> {
    let refused = |error: io::Error| {
        failure(&if error.kind() == ErrorKind::AlreadyExists {
            format!("{} is there already: give another name", path.display())
        } else {
            format!("cannot write to {}: {error}", path.display())
        })
    };
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(PRIVATE_FILE)
        .open(path);
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, made.map_err(refused)?);
    let written = write_out(inspection, from, &mut out, &mut |done, total| progress.at(done, total));
    drop(progress);
    let (file, _) = out.into_parts();
    let durable = written.and_then(|exported| {
        let synced = file.sync_all().and_then(|()| sync_dir_of(path));
        synced.map(|()| exported).map_err(InspectError::Output)
    });
    durable.map_err(|error| {
        let _ = std::fs::remove_file(path);
        explain(error, refused)
    })
}

/// Says what went wrong; `output` does, if it was with the output.
fn explain(error: InspectError, output: impl FnOnce(io::Error) -> ExitCode) -> ExitCode {
    if let InspectError::Output(error) = error {
        output(error)
    } else {
        failure(&error)
    }
}

fn sync_dir_of(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}

fn report(exported: Exported) -> Result<(), ExitCode> {
    let batches = count(exported.batches, "batch", "batches");
    tell(format_args!("written out: {} from {batches}", exact(exported.bytes)));
    if exported.too_long > 0 {
        let records = count(exported.too_long, "record", "records");
        tell(format_args!(
            "not among it: {records} longer than max_record_bytes, of which the journal has but the beginning"
        ));
    }
    let mut is_all = true;
    if exported.damaged_bytes > 0 {
        is_all = false;
        tell(format_args!(
            "not among it: {} of damage: see livestreamd journal verify",
            exact(exported.damaged_bytes)
        ));
    }
    if let Some(version) = exported.too_new {
        is_all = false;
        tell(format_args!(
            "not among it: batches of version {version}, which this livestreamd does not read: use a newer one"
        ));
    }
    if is_all { Ok(()) } else { Err(ExitCode::Failure) }
}
