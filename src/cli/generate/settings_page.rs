//! livestreamd.toml(5): the commented example as a manual page. The example has the words of every key already, so this only tells
//! comments from settings by their marks: `# ` begins prose, `# ---- ` a heading, and all else is to be typed as it stands.

use clap_mangen::roff::{Roff, bold, roman};

use super::Made;
use super::man::without_marks;

const EXAMPLE: &str = include_str!("../../../config/livestreamd.toml");

pub(super) fn page() -> Made {
    let mut roff = Roff::new();
    let source = concat!("livestreamd ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["livestreamd.toml", "5", "", source, "livestreamd manual"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("livestreamd.toml - the configuration of livestreamd")]);
    roff.control("SH", ["DESCRIPTION"]);
    for line in EXAMPLE.lines() {
        add(&mut roff, line);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("livestreamd(1), livestreamd-check(1), livestreamd-run(1)")]);
    ("livestreamd.toml.5".to_owned(), without_marks(&roff.render()))
}

fn add(roff: &mut Roff, line: &str) {
    if let Some(heading) = line.strip_prefix("# ---- ") {
        let heading = heading.trim_end_matches('-').trim_end().to_uppercase();
        roff.control("SH", [heading.as_str()]);
    } else if let Some(prose) = line.strip_prefix("# ") {
        roff.text([roman(prose)]);
    } else if line.is_empty() || line == "#" {
        roff.control("PP", []);
    } else {
        // A long line of prose may stand behind a setting; it breaks where there is room.
        let (setting, prose) = line.split_once("  ").unwrap_or((line, ""));
        roff.control("RS", ["4"]);
        roff.text([bold(setting), roman(format!(" {}", prose.trim_start()).trim_end())]);
        roff.control("RE", []);
    }
}
