//! `livestreamd journal inspect`: what journals are made of.

use std::fmt::{self, Write};
use std::path::Path;

use serde_json::{Value, json};

use super::super::output::{answer, failure};
use super::super::shown::figures::count;
use super::{DirArgs, Owners, exact, size};
use crate::exit_code::ExitCode;
use crate::journal::format;
use crate::journal::inspect::{CursorInfo, Inspection, Place, Places, inspect as look_into};
use crate::journal::store::Quarantined;

#[derive(Debug, clap::Args)]
pub(in crate::cli) struct InspectArgs {
    #[command(flatten)]
    dir: DirArgs,
    /// For programs: everything, as one JSON object
    #[arg(long)]
    json: bool,
}

/// One journal, looked into.
struct Looked {
    place: Place,
    inspection: Inspection,
    is_orphan: Option<bool>,
}

pub(super) fn inspect(args: &InspectArgs) -> Result<(), ExitCode> {
    let (places, owners) = args.dir.find()?;
    let Places {
        journals,
        is_one,
        foreign,
    } = places;
    let mut looked = Vec::new();
    for place in journals {
        let inspection = look_into(&place.dir).map_err(|error| failure(&error))?;
        let is_orphan = owners.as_ref().map(|owners| owners.lack(&place));
        looked.push(Looked {
            place,
            inspection,
            is_orphan,
        });
    }
    if args.json {
        let journals: Vec<Value> = looked.iter().map(as_json).collect();
        return answer(json!({ "journals": journals, "foreign": foreign }));
    }
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write_all(&mut text, &looked, is_one, owners.as_ref(), &foreign);
    answer(text.trim_end())
}

fn write_all(
    out: &mut String,
    looked: &[Looked],
    is_one: bool,
    owners: Option<&Owners>,
    foreign: &[String],
) -> fmt::Result {
    if looked.is_empty() {
        writeln!(out, "there are no journals here")?;
    }
    for looked in looked {
        write_one(out, looked, is_one, owners)?;
        writeln!(out)?;
    }
    if !is_one && looked.iter().any(|looked| !looked.inspection.segments.is_empty()) {
        writeln!(
            out,
            "segments are shown for a directory of one of these streams, or by --json"
        )?;
    }
    write_foreign(out, foreign)
}

fn write_one(out: &mut String, looked: &Looked, with_segments: bool, owners: Option<&Owners>) -> fmt::Result {
    let Looked { place, inspection, .. } = looked;
    writeln!(out, "{}  {}", place.stream, place.dir.display())?;
    if let (Some(true), Some(owners)) = (looked.is_orphan, owners) {
        let file = owners.file.display();
        writeln!(
            out,
            "  orphan         no stream of {file} has this name, so nobody forwards it"
        )?;
        if inspection.held_bytes() > 0 {
            let dir = place.dir.display();
            writeln!(out, "                 it is kept until somebody decides:")?;
            writeln!(out, "                 livestreamd journal export {dir} --output FILE")?;
            writeln!(out, "                 livestreamd journal discard {dir}")?;
        }
    }
    writeln!(out, "  not delivered  {}", exact(inspection.backlog_bytes))?;
    let segments = &inspection.segments;
    match (segments.first(), segments.last()) {
        (Some(first), Some(last)) => {
            let end = last.base.plus(last.bytes);
            let held = inspection.held_bytes();
            let number = count(segments.len() as u64, "segment", "segments");
            writeln!(
                out,
                "  held           {} in {number}, positions {} to {end}",
                exact(held),
                first.base
            )?;
        }
        (None, _) | (_, None) => writeln!(out, "  held           nothing")?,
    }
    for (name, cursor) in &inspection.cursors {
        write!(out, "  cursor         {name}: ")?;
        match cursor {
            // With one cursor that is said already.
            CursorInfo::At(position) if inspection.cursors.len() == 1 => writeln!(out, "{position}")?,
            CursorInfo::At(position) => {
                let backlog = exact(inspection.backlog_from(*position));
                writeln!(out, "{position}, not delivered {backlog}")?;
            }
            CursorInfo::Unreadable => {
                writeln!(out, "cannot be read: the daemon forwards everything again that is here")?;
            }
            CursorInfo::TooNew(version) => writeln!(out, "of version {version}, which this livestreamd does not read")?,
        }
    }
    if let Some(version) = inspection.version() {
        let unknown = if version > format::VERSION {
            ", which this livestreamd does not read: use a newer one"
        } else {
            ""
        };
        writeln!(out, "  format         version {version}{unknown}")?;
    }
    if !inspection.kept.is_empty() {
        writeln!(out, "  set aside      in quarantine, for a person to look into:")?;
        for kept in &inspection.kept {
            let why = match kept.kind {
                Quarantined::Segment(_) => "a segment with damage",
                Quarantined::Cut(_) => "what the journal ended in after a crash",
                Quarantined::Cursor => "a cursor that could not be read",
            };
            writeln!(
                out,
                "                 {} {}: {why}",
                name_of(&kept.path),
                size(kept.bytes)
            )?;
        }
    }
    if with_segments && !segments.is_empty() {
        writeln!(out, "  {:>20} {:>10}  file", "base", "size")?;
        for segment in segments {
            let size = size(segment.bytes).to_string();
            let name = name_of(&segment.path);
            let damaged = if segment.damaged {
                "  damaged: set aside when all have passed it"
            } else {
                ""
            };
            writeln!(out, "  {:>20} {size:>10}  {name}{damaged}", segment.base.0)?;
        }
    }
    write_foreign(out, &inspection.foreign)
}

fn write_foreign(out: &mut String, foreign: &[String]) -> fmt::Result {
    for name in foreign {
        // In quotes and escaped: whoever made it may have put anything into its name.
        writeln!(out, "  {name:?} is none of a journal's, and left alone")?;
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn as_json(looked: &Looked) -> Value {
    let Looked {
        place,
        inspection,
        is_orphan,
    } = looked;
    let segments = inspection.segments.iter().map(|segment| {
        json!({
            "file": name_of(&segment.path),
            "base": segment.base.0,
            "bytes": segment.bytes,
            "damaged": segment.damaged,
            "format_version": segment.version,
        })
    });
    let cursors = inspection.cursors.iter().map(|(name, cursor)| {
        let (position, state) = match cursor {
            CursorInfo::At(position) => (Some(position.0), "good"),
            CursorInfo::Unreadable => (None, "unreadable"),
            CursorInfo::TooNew(_) => (None, "too_new"),
        };
        let backlog_bytes = inspection.backlog_from(cursor.position());
        json!({ "name": name, "position": position, "state": state, "backlog_bytes": backlog_bytes })
    });
    let kept = inspection.kept.iter().map(|kept| {
        let kind = match kept.kind {
            Quarantined::Segment(_) => "segment",
            Quarantined::Cut(_) => "cut",
            Quarantined::Cursor => "cursor",
        };
        json!({ "file": kept.path, "bytes": kept.bytes, "kind": kind })
    });
    json!({
        "stream": place.stream,
        "dir": place.dir,
        "orphan": is_orphan,
        "format_version": inspection.version(),
        "backlog_bytes": inspection.backlog_bytes,
        "held_bytes": inspection.held_bytes(),
        "cursors": cursors.collect::<Vec<_>>(),
        "segments": segments.collect::<Vec<_>>(),
        "quarantine": kept.collect::<Vec<_>>(),
        "foreign": inspection.foreign,
    })
}
