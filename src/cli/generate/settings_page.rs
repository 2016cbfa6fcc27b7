//! livestreamd.toml(5): the commented example as a manual page. The example has the words of every key already, so this only tells
//! comments from settings by their marks: `# ` begins prose, `# ---- ` a heading, and all else is to be typed as it stands.

use clap_mangen::roff::{Roff, bold, roman};

use super::Made;
use super::man::{beginning, without_marks};

const EXAMPLE: &str = include_str!("../../../config/livestreamd.toml");
/// Where a URL may go on in the next line: stands for what `roff` would escape.
const MAY_BREAK: char = '\u{200b}';

pub(super) fn page() -> Made {
    let mut roff = beginning("livestreamd.toml", "5");
    roff.control("SH", ["NAME"]);
    roff.text([roman("livestreamd.toml - the configuration of livestreamd")]);
    roff.control("SH", ["DESCRIPTION"]);
    for line in EXAMPLE.lines() {
        add(&mut roff, line);
    }
    roff.control("SH", ["SEE ALSO"]);
    roff.text([roman("livestreamd(1), livestreamd-check(1), livestreamd-run(1)")]);
    let page = without_marks(&roff.render()).replace(MAY_BREAK, "\\:");
    ("livestreamd.toml.5".to_owned(), page)
}

fn add(roff: &mut Roff, line: &str) {
    if let Some(heading) = line.strip_prefix("# ---- ") {
        roff.control("SH", [heading.trim_end_matches('-').trim_end()]);
    } else if let Some(prose) = line.strip_prefix("# ") {
        roff.text([roman(prose)]);
    } else if line.is_empty() || line == "#" {
        roff.control("PP", []);
    } else {
        // A long line of prose may stand behind a setting; it breaks where there is room.
        let (setting, prose) = line.split_once("  ").unwrap_or((line, ""));
        roff.control("RS", ["4"]);
        let setting = setting.replace('/', &format!("/{MAY_BREAK}"));
        roff.text([bold(setting), roman(format!(" {}", prose.trim_start()).trim_end())]);
        roff.control("RE", []);
    }
}
