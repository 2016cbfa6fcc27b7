//! What operators are given fits together: dashboard, alert rules and runbook name metrics, alerts, panels and commands that there are.
//!
//! Only files are read, and the daemon's `--help`. That the rules fire when they should is for `promtool`: `.ci/run alerts`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use livestreamd::lifecycle::answers;
use serde_json::Value;

static RULES: LazyLock<String> = LazyLock::new(|| read("docs/alerts/livestreamd.rules.yml"));
static RULE_TESTS: LazyLock<String> =
    LazyLock::new(|| read("docs/alerts/livestreamd.rules.test.yml") + &read("docs/alerts/livestreamd.slow.test.yml"));
/// As it would be without JSON's backslashes before quotes.
static EXPRESSIONS: LazyLock<String> = LazyLock::new(|| read(DASHBOARD).replace("\\\"", "\""));
static RUNBOOK: LazyLock<String> = LazyLock::new(|| read("docs/runbook.md"));
const DASHBOARD: &str = "docs/grafana/livestreamd.json";

/// The metrics page that a test holds the daemon to.
const GOLDEN_PAGE: &str = "src/admin/metrics/golden.txt";
/// What Prometheus adds to each metric.
const PROMETHEUS_OWN: [&str; 2] = ["job", "instance"];

#[test]
fn every_metric_of_dashboard_and_alerts_is_on_the_metrics_page_with_its_labels() {
    let page = metrics_page();
    let mut faults = BTreeSet::new();
    for (place, text) in [
        ("rules", RULES.as_str()),
        ("rule tests", &RULE_TESTS),
        ("dashboard", &EXPRESSIONS),
    ] {
        let used = selectors(text);
        assert!(used.len() > 30, "{place}: {used:?}");
        for (name, labels) in used {
            let Some(known) = page.get(&name) else {
                faults.insert(format!("{place}: there is no metric {name}"));
                continue;
            };
            let known: BTreeSet<&str> = known.iter().map(String::as_str).chain(PROMETHEUS_OWN).collect();
            for label in labels.iter().filter(|label| !known.contains(label.as_str())) {
                faults.insert(format!("{place}: {name} has no label {label}"));
            }
        }
    }
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn every_metric_is_on_the_dashboard() {
    let shown: BTreeSet<String> = selectors(&EXPRESSIONS).into_keys().collect();
    // Of a histogram the buckets are shown, and those tell the rest.
    let missing: Vec<String> = metrics_page()
        .into_keys()
        .filter(|name| !name.ends_with("_sum") && !name.ends_with("_count") && !shown.contains(name))
        .collect();
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_alert_has_a_section_a_test_and_a_link_to_it_and_every_section_an_alert() {
    let alerts = alerts();
    let sections: BTreeSet<&str> = RUNBOOK
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .filter(|title| title.starts_with("Livestreamd"))
        .collect();
    assert!(alerts.len() > 20, "{alerts:?}");
    assert_eq!(alerts.keys().copied().collect::<BTreeSet<_>>(), sections);
    for (name, rule) in alerts {
        assert!(
            rule.contains(&format!("/docs/runbook.md#{}\n", name.to_lowercase())),
            "{name} does not lead to its section"
        );
        assert!(
            rule.contains("severity: critical") || rule.contains("severity: warning"),
            "{name} has no severity"
        );
        assert!(
            RULE_TESTS.contains(&format!("\"{name}\"")) || RULE_TESTS.contains(&format!(" {name}\n")),
            "{name} has no test"
        );
        for part in ["**Means.**", "**Confirm.**", "**Do.**", "**Do not**", "**Over when**"] {
            assert!(section(name).contains(part), "the section {name} has no {part}");
        }
    }
}

#[test]
fn what_the_runbook_leads_to_exists() {
    let anchors: BTreeSet<String> = RUNBOOK
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .map(|title| title.to_lowercase().replace(' ', "-"))
        .collect();
    let targets = RUNBOOK.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let mut seen = 0;
    for target in targets {
        seen += 1;
        if let Some(anchor) = target.strip_prefix('#') {
            assert!(anchors.contains(anchor), "there is no section {target}");
        } else {
            let file = target.split('#').next().unwrap_or_default();
            assert!(root().join("docs").join(file).exists(), "there is no file {target}");
        }
    }
    assert!(seen > 40, "{seen}");
}

#[test]
fn the_panels_that_the_runbook_names_are_on_the_dashboard() {
    let titles: BTreeSet<String> = panels().iter().map(|panel| text(panel, "title")).collect();
    let named: Vec<&str> = RUNBOOK
        .lines()
        .flat_map(|line| line.split('*').skip(1).step_by(2))
        .filter(|words| words.starts_with(|c: char| c.is_ascii_uppercase()))
        .filter(|words| !RUNBOOK.contains(&format!("**{words}**")))
        .collect();
    assert!(named.len() > 10, "{named:?}");
    for words in named {
        assert!(titles.contains(words), "there is no panel {words}");
    }
}

#[test]
fn every_panel_says_what_it_shows_and_asks_the_data_source_that_was_chosen() {
    let panels = panels();
    assert!(panels.len() > 40, "{}", panels.len());
    for panel in panels.iter().filter(|panel| text(panel, "type") != "row") {
        let title = text(panel, "title");
        assert!(text(panel, "description").ends_with('.'), "{title} has no description");
        let targets = panel["targets"].as_array().unwrap();
        assert!(!targets.is_empty(), "{title} asks for nothing");
        for asked in targets.iter().chain([panel]) {
            assert_eq!(asked["datasource"]["uid"], "${datasource}", "{title}");
        }
        for target in targets {
            let expr = text(target, "expr");
            let chosen = selectors(&expr).into_values().all(|labels| labels.contains("instance"));
            assert!(chosen, "{title} does not keep to the daemons that were chosen: {expr}");
        }
    }
}

#[test]
fn every_command_that_an_operator_is_told_to_run_exists() {
    let mut seen = BTreeSet::new();
    for line in commands() {
        let words: Vec<&str> = line.split_whitespace().skip(1).collect();
        let command = words.first().copied().unwrap_or_default();
        let Some(mut help) = help(&[command]) else {
            panic!("there is no command {command}: {line}");
        };
        if help.contains("\nCommands:\n") {
            let inner = words.get(1).copied().unwrap_or_default();
            help = self::help(&[command, inner])
                .unwrap_or_else(|| panic!("there is no command {command} {inner}: {line}"));
        }
        for flag in words.iter().filter(|word| word.starts_with("--")) {
            let flag = flag.split('=').next().unwrap_or_default();
            assert!(
                help.contains(&format!("{flag} ")) || help.contains(&format!("{flag}\n")),
                "there is no {flag}: {line}"
            );
        }
        seen.insert(command.to_owned());
    }
    assert!(
        ["check", "explain", "journal", "status"]
            .iter()
            .all(|one| seen.contains(*one)),
        "{seen:?}"
    );
}

#[test]
fn every_outcome_and_reason_of_the_runbook_is_in_the_table_of_answers() {
    let mut seen = 0;
    for name in ["LivestreamdConnectFails", "LivestreamdDisconnectsOften"] {
        let firsts = section(name).lines().filter_map(|line| match line.split_once(". `") {
            // An item of a list that begins with names, or the first column of a table.
            Some((number, rest)) if number.parse::<u8>().is_ok() => {
                rest.split_once(':').map(|(names, _)| format!("`{names}"))
            }
            Some(_) | None => line
                .strip_prefix("| `")
                .and_then(|rest| rest.split('|').next())
                .map(|names| format!("`{names}")),
        });
        for names in firsts {
            for one in names.split('`').skip(1).step_by(2) {
                seen += 1;
                assert!(
                    !answers::find(one).is_empty(),
                    "{name}: {one} is no answer and no reason"
                );
            }
        }
    }
    assert!(seen > 25, "{seen}");
}

/// The metrics there are, with their labels.
fn metrics_page() -> BTreeMap<String, BTreeSet<String>> {
    let page = read(GOLDEN_PAGE);
    let samples: String = page
        .lines()
        .filter(|line| !line.starts_with('#'))
        .fold(String::new(), |all, line| all + line + "\n");
    selectors(&samples)
}

/// Each metric that a text names, with the labels that are named in braces behind it.
fn selectors(text: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (at, _) in text.match_indices("livestreamd_") {
        let rest = &text[at..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        let labels = found.entry(rest[..end].to_owned()).or_default();
        let Some(braces) = rest[end..]
            .strip_prefix('{')
            .and_then(|inside| inside.split('}').next())
        else {
            continue;
        };
        // What stands outside of quotes: `a="`, `, b=~"`.
        let names = braces
            .split('"')
            .step_by(2)
            .map(|part| part.trim_matches(|c: char| ", =~!".contains(c)));
        labels.extend(names.filter(|name| !name.is_empty()).map(str::to_owned));
    }
    found
}

/// Each rule by its alert's name.
fn alerts() -> BTreeMap<&'static str, &'static str> {
    RULES
        .split("- alert: ")
        .skip(1)
        .filter_map(|rule| rule.split_once('\n'))
        .collect()
}

fn section(name: &str) -> &'static str {
    let begin = format!("\n## {name}\n");
    let (_, rest) = RUNBOOK
        .split_once(&begin)
        .unwrap_or_else(|| panic!("there is no section {name}"));
    rest.split("\n## ").next().unwrap_or_default()
}

fn panels() -> Vec<Value> {
    let dashboard: Value = serde_json::from_str(&read(DASHBOARD)).unwrap();
    dashboard["panels"].as_array().unwrap().clone()
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// What stands in code and begins with the daemon's name, in the runbook and the alerts.
fn commands() -> Vec<&'static str> {
    let quoted = [RUNBOOK.as_str(), RULES.as_str()]
        .into_iter()
        .flat_map(|text| text.lines())
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    let blocks = RUNBOOK.split("```").skip(1).step_by(2).flat_map(|block| block.lines());
    let found: Vec<&str> = quoted
        .chain(blocks)
        .map(|line| line.split(" #").next().unwrap_or(line))
        .filter(|line| line.starts_with("livestreamd "))
        .collect();
    assert!(found.len() > 20, "{found:?}");
    found
}

/// What `livestreamd COMMAND --help` says, if there is such a command.
fn help(command: &[&str]) -> Option<String> {
    let output = Command::new(env!("CARGO_BIN_EXE_livestreamd"))
        .args(command)
        .arg("--help")
        .output()
        .unwrap();
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).unwrap())
}

fn read(file: &str) -> String {
    let path = root().join(file);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}
