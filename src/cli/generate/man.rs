//! The manual pages of the commands: what `clap` knows of them, and what a reader of a manual page looks for besides: exit codes, files,
//! the environment, and where to read on.

use clap::Command;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, bold, roman};

use super::Made;
use crate::cli::DEFAULT_CONFIG;
use crate::exit_code::ExitCode;

/// The files beside the program.
const FILES: [(&str, &str); 3] = [
    (DEFAULT_CONFIG, "The configuration: livestreamd.toml(5)."),
    (
        "/var/lib/livestreamd",
        "What outlives a restart, unless state_dir says another place: leases, journals, ids of delivered hits, the quarantine. It holds personal data.",
    ),
    (
        "/usr/share/doc/livestreamd",
        "What the package brings to read: the documentation, the runbook, the licences and the list of all that is linked.",
    ),
];

/// The variables that are looked at.
const ENVIRONMENT: [(&str, &str); 6] = [
    (
        "LIVESTREAMD__SECTION__KEY",
        "Sets a key of the configuration, on top of the file: LIVESTREAMD__KAFKA__BROKERS sets kafka.brokers.",
    ),
    (
        "LIVESTREAMD_ADMIN_TOKEN",
        "The token that status and top show to the admin server.",
    ),
    (
        "HTTPS_PROXY, ALL_PROXY, NO_PROXY",
        "The proxy to connect through, and who is reached without it; also in lower case, which goes first.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "Where files with secrets are looked for first: what LoadCredential= of systemd sets.",
    ),
    (
        "SSL_CERT_FILE, SSL_CERT_DIR",
        "The authorities to trust, instead of those of this machine.",
    ),
    ("NO_COLOR", "If set, status and top show no colours."),
];

/// The page of `command`, and of each command below it that people see.
pub(super) fn pages(command: Command) -> Vec<Made> {
    // A page for `help` would say nothing.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add_pages(&command, None, &mut pages);
    pages
}

fn add_pages(command: &Command, above: Option<&Command>, pages: &mut Vec<Made>) {
    pages.push((file_name(command), page(command, above)));
    for below in seen(command) {
        add_pages(below, Some(command), pages);
    }
}

/// The commands below this one that people see.
fn seen(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|one| !one.is_hide_set())
}

/// As the page is called: `livestreamd-journal-inspect`.
fn title(command: &Command) -> &str {
    command.get_display_name().unwrap_or(command.get_name())
}

fn file_name(command: &Command) -> String {
    format!("{}.1", title(command))
}

fn page(command: &Command, above: Option<&Command>) -> String {
    let man = Man::new(command.clone());
    let preamble = Roff::new().render();
    let mut page = beginning(title(command), "1").render();
    let mut add = |section: &[u8]| {
        let section = String::from_utf8_lossy(section);
        page.push_str(section.strip_prefix(preamble.as_str()).unwrap_or(&section));
    };
    let mut sections = vec![
        Man::render_name_section,
        Man::render_synopsis_section,
        Man::render_description_section,
        Man::render_options_section,
    ];
    if seen(command).next().is_some() {
        sections.push(Man::render_subcommands_section);
    }
    for render in sections {
        let mut section = Vec::new();
        // Writing into memory does not fail.
        let _ = render(&man, &mut section);
        add(&section);
    }
    add(ending(command, above).render().as_bytes());
    without_marks(&page)
}

/// What every page begins with, also that of the configuration. No date: it would change with every build, or not at all.
pub(super) fn beginning(title: &str, section: &str) -> Roff {
    let made_by = concat!("livestreamd ", env!("CARGO_PKG_VERSION"));
    let mut roff = Roff::new();
    roff.control("TH", [title, section, "", made_by, "livestreamd manual"]);
    // Names of keys and files are neither cut in two nor pulled apart.
    roff.control("nh", []).control("ad", ["l"]);
    roff
}

/// What every page ends with.
fn ending(command: &Command, above: Option<&Command>) -> Roff {
    let mut roff = Roff::new();
    roff.control("SH", ["EXIT STATUS"]);
    if above.is_none() {
        for code in ExitCode::ALL {
            entry(&mut roff, &(code as u8).to_string(), code.meaning());
        }
        roff.control("SH", ["ENVIRONMENT"]);
        for (name, meaning) in ENVIRONMENT {
            entry(&mut roff, name, meaning);
        }
        roff.control("SH", ["FILES"]);
        for (name, meaning) in FILES {
            entry(&mut roff, name, meaning);
        }
    } else {
        roff.text([roman("As listed in livestreamd(1).")]);
    }
    roff.control("SH", ["SEE ALSO"]);
    let mut others: Vec<String> = above.map(|one| page_of(title(one))).into_iter().collect();
    others.extend(seen(command).map(|one| page_of(title(one))));
    others.push("livestreamd.toml(5)".to_owned());
    if above.is_none() {
        others.extend(["systemctl(1)", "journalctl(1)"].map(str::to_owned));
    } else if !others.contains(&page_of("livestreamd")) {
        others.insert(0, page_of("livestreamd"));
    }
    roff.text([roman(others.join(", "))]);
    roff
}

fn page_of(title: &str) -> String {
    format!("{title}(1)")
}

fn entry(roff: &mut Roff, name: &str, meaning: &str) {
    roff.control("TP", []);
    roff.text([bold(name)]);
    roff.text([roman(meaning)]);
}

/// Sets in bold what stands between a pair of backticks: that is how help texts mark what is to be typed.
pub(super) fn without_marks(page: &str) -> String {
    let mut bare = String::with_capacity(page.len());
    for line in page.lines() {
        for (i, part) in line.split('`').enumerate() {
            if i > 0 {
                bare.push_str(if i % 2 == 1 { "\\fB" } else { "\\fR" });
            }
            bare.push_str(part);
        }
        bare.push('\n');
    }
    bare
}
