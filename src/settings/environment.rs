//! The environment as a layer of the tree: `LIVESTREAMD__SECTION__KEY=value`, on top of the file.
//!
//! | variable | key |
//! | --- | --- |
//! | `LIVESTREAMD__STATE_DIR` | `state_dir` |
//! | `LIVESTREAMD__KAFKA__BROKERS` | `kafka.brokers` |
//! | `LIVESTREAMD__UPSTREAM__TLS__CA_FILE` | `upstream.tls.ca_file` |
//! | `LIVESTREAMD__STREAMS__MY_SITE__COOLDOWN` | `streams.my_site.cooldown`, or `streams.my-site.cooldown` if the file has that |
//! | `LIVESTREAMD__CREDENTIALS__DEFAULT__CLIENT_SECRET` | `credentials.default.client_secret` |
//! | `LIVESTREAMD__KAFKA__PROPERTIES__LINGER_MS` | `"linger.ms"` of `[kafka.properties]` |
//! | `LIVESTREAMD__KAFKA__PROPERTY_FILES__SASL_PASSWORD` | `"sasl.password"` of `[kafka.property_files]` |
//!
//! Everything is text here, and read as what the key wants; lists are comma-separated. The prefix is upper case, letter case does not
//! matter after it. A shell cannot write `-` in a name, so a stream's (or credential's) name is looked up in the file with `-` and `_`
//! taken as one; when two names of the file differ in nothing else, the variable is refused rather than guessed at. A name that the file
//! does not have makes a new section, so that a container can do with variables alone (`-` may be written where the platform permits).
//! Variables without the prefix are not ours and not looked at here; `HTTPS_PROXY` and the like are, where proxies are chosen.

use std::collections::BTreeMap;

use config::{Map, Value, ValueKind};

use super::fault::{Place, Report};
use super::source::{Origin, Shape, is_property_table, is_subsection, shape_of, top_keys};
use super::tree::unknown_key;

/// What our variables begin with.
pub(super) const PREFIX: &str = "LIVESTREAMD__";

/// Between the parts of a key.
const SEPARATOR: &str = "__";

/// librdkafka's properties with an underscore in their name; in all others an underscore of a variable stands for a dot.
const PROPERTIES_WITH_UNDERSCORE: [&str; 2] = ["log_level", "enabled_events"];

/// The environment of this program. Text that is not UTF-8 becomes replacement characters, which no key takes.
pub fn environment() -> Vec<(String, String)> {
    std::env::vars_os()
        .map(|(name, value)| {
            (
                name.to_string_lossy().into_owned(),
                value.to_string_lossy().into_owned(),
            )
        })
        .collect()
}

/// Our variables as a tree. What is wrong is reported and left out.
pub(super) fn layer(
    env: impl IntoIterator<Item = (String, String)>,
    file: &Map<String, Value>,
    report: &mut Report,
) -> Map<String, Value> {
    let ours: BTreeMap<String, String> = env.into_iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    let mut taken: BTreeMap<Vec<String>, String> = BTreeMap::new();
    let mut tree = Map::new();
    for (variable, text) in ours {
        match path_of(&variable[PREFIX.len()..], file) {
            Ok(path) => {
                if let Some(other) = taken.get(&path) {
                    let problem = format!("{other} sets the same key; keep one of them");
                    report.fault(&place(path.join("."), &variable), None, problem);
                } else {
                    insert(&mut tree, &path, Value::new(Some(&variable), text));
                    taken.insert(path, variable);
                }
            }
            Err((key, problem)) => {
                report.fault(&place(key, &variable), None, problem);
            }
        }
    }
    tree
}

fn place(key: String, variable: &str) -> Place {
    Place {
        key,
        origin: Origin::Variable(variable.to_owned()),
    }
}

/// The path that a variable (without its prefix) names, or the key as far as it can be told, and what is wrong with it.
fn path_of(rest: &str, file: &Map<String, Value>) -> Result<Vec<String>, (String, String)> {
    let lower = rest.to_ascii_lowercase();
    let dotted = lower.replace(SEPARATOR, ".");
    let (head, tail) = match lower.split_once(SEPARATOR) {
        Some((head, tail)) => (head, Some(tail)),
        None => (lower.as_str(), None),
    };
    let Some(shape) = shape_of(head) else {
        return Err((dotted, unknown_key(head, top_keys())));
    };
    let section = |path: String| {
        Err((
            dotted.clone(),
            format!("is a section; set one of its keys with {PREFIX}{path}"),
        ))
    };
    let path = match (shape, tail) {
        (Shape::Value, None) => vec![head],
        (Shape::Value, Some(_)) => {
            return Err((
                dotted.clone(),
                format!("{head} is one value and has no keys of its own"),
            ));
        }
        (Shape::Sections, _) => {
            return Err((
                dotted.clone(),
                format!("{head} is a list of sections; write it into the file"),
            ));
        }
        (Shape::Section | Shape::Kafka, None) => return section(format!("{}__KEY", head.to_ascii_uppercase())),
        (Shape::Named, None) => return section(format!("{}__NAME__KEY", head.to_ascii_uppercase())),
        (Shape::Section, Some(key)) if is_subsection(head, key) => {
            return section(format!("{}__KEY", rest.to_ascii_uppercase()));
        }
        (Shape::Section, Some(key)) => match key.split_once(SEPARATOR) {
            Some((below, key)) if is_subsection(head, below) => vec![head, below, key],
            _ => vec![head, key],
        },
        (Shape::Kafka, Some(key)) if is_property_table(key) => {
            return section(format!("KAFKA__{}__NAME", key.to_ascii_uppercase()));
        }
        (Shape::Kafka, Some(key)) => match key.split_once(SEPARATOR) {
            Some((table, name)) if is_property_table(table) => {
                return Ok(vec![head.to_owned(), table.to_owned(), property(name)]);
            }
            _ => vec![head, key],
        },
        // The name may hold the separator itself; no key does.
        (Shape::Named, Some(tail)) => match tail.rsplit_once(SEPARATOR) {
            None => {
                return section(format!(
                    "{}__{}__KEY",
                    head.to_ascii_uppercase(),
                    tail.to_ascii_uppercase()
                ));
            }
            Some((name, _)) if head == "streams" && is_below_a_stream(name) && !is_section(name, file.get(head)) => {
                let problem = "shapes and outputs of a stream can be set in the file only; of shapes, [shape] can be set here: SHAPE__KEY";
                return Err((dotted, problem.to_owned()));
            }
            Some((name, key)) => {
                let name = existing(name, file.get(head)).map_err(|problem| (dotted.clone(), problem))?;
                return Ok(vec![head.to_owned(), name, key.to_owned()]);
            }
        },
    };
    Ok(path.into_iter().map(str::to_owned).collect())
}

/// librdkafka's name for a property written as part of a variable.
fn property(name: &str) -> String {
    if name.contains('.') || PROPERTIES_WITH_UNDERSCORE.contains(&name) {
        name.to_owned()
    } else {
        name.replace('_', ".")
    }
}

/// The name in the file that a variable's name stands for, else the name as it is.
fn is_below_a_stream(name: &str) -> bool {
    let mut parts = name.split(SEPARATOR).skip(1);
    parts.any(|part| ["shape", "outputs"].contains(&part))
}

/// Whether the file has a section of this name, whatever stands in it.
fn is_section(name: &str, sections: Option<&Value>) -> bool {
    matches!(sections, Some(Value { kind: ValueKind::Table(sections), .. }) if sections.contains_key(name))
}

fn existing(name: &str, sections: Option<&Value>) -> Result<String, String> {
    let Some(Value {
        kind: ValueKind::Table(sections),
        ..
    }) = sections
    else {
        return Ok(name.to_owned());
    };
    if name.contains('-') && sections.contains_key(name) {
        return Ok(name.to_owned());
    }
    let fold = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let mut alike: Vec<&str> = sections
        .keys()
        .map(String::as_str)
        .filter(|known| fold(known) == fold(name))
        .collect();
    alike.sort_unstable();
    match alike[..] {
        [] => Ok(name.to_owned()),
        [one] => Ok(one.to_owned()),
        _ => Err(format!(
            "may mean any of {}; set it in the file, or rename",
            alike.join(", ")
        )),
    }
}

fn insert(tree: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    if rest.is_empty() {
        tree.insert(first.clone(), value);
        return;
    }
    let section = tree
        .entry(first.clone())
        .or_insert_with(|| Value::from(Map::<String, Value>::new()));
    if let ValueKind::Table(section) = &mut section.kind {
        insert(section, rest, value);
    }
}
