//! From a file's text and the environment to one merged tree; crate `config` reads the formats and lays one layer over the other.
//!
//! What `config` would do behind our back is dealt with before it sees a layer: it takes a dot or a bracket in a top-level key for a
//! path (so only known top-level keys reach it), lets a table silently replace a value and the reverse (so sections are checked first),
//! and its syntax errors quote the line, which may hold a secret (so only the place and the reason are passed on). Keys below the top
//! keep their dots, which `[kafka.properties]` needs.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::path::Path;

use config::{Config, ConfigError, File, FileFormat, Map, Source, Value, ValueKind};

use super::environment;
use super::fault::{Place, Report, Reported};
use super::tree::{noun, unknown_key};

/// The largest configuration file that is read; ours has a few KiB.
const MAX_FILE_BYTES: u64 = 1024 * 1024;

/// What the YAML reader says of a key that stands twice.
const DOUBLED: &str = "duplicated key in mapping";

/// How a configuration is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML: `.toml`.
    Toml,
    /// YAML: `.yaml` or `.yml`.
    Yaml,
    /// JSON: `.json`.
    Json,
}

impl Format {
    /// The format that a file's extension tells.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "toml" => Some(Self::Toml),
            "yaml" | "yml" => Some(Self::Yaml),
            "json" => Some(Self::Json),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Toml => "TOML",
            Self::Yaml => "YAML",
            Self::Json => "JSON",
        }
    }

    const fn reader(self) -> FileFormat {
        match self {
            Self::Toml => FileFormat::Toml,
            Self::Yaml => FileFormat::Yaml,
            Self::Json => FileFormat::Json,
        }
    }
}

/// What set a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The configuration file.
    File,
    /// This environment variable.
    Variable(String),
    /// Nothing: the key is absent.
    Absent,
}

/// What stands under a top-level key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// One value.
    Value,
    /// A section of keys.
    Section,
    /// Sections with names that the operator chooses.
    Named,
    /// `[kafka]`: a section of keys, and tables whose keys are librdkafka's.
    Kafka,
    /// A list of sections; in a file only.
    Sections,
}

/// Every top-level key.
const TOP: [(&str, Shape); 13] = [
    ("state_dir", Shape::Value),
    ("shutdown_timeout", Shape::Value),
    ("credentials", Shape::Named),
    ("upstream", Shape::Section),
    ("kafka", Shape::Kafka),
    ("shape", Shape::Section),
    ("journal", Shape::Section),
    ("quarantine", Shape::Section),
    ("dedup", Shape::Section),
    ("admin", Shape::Section),
    ("log", Shape::Section),
    ("streams", Shape::Named),
    ("tests", Shape::Sections),
];

/// Sections in a section: (where it stands, its key).
const SUBSECTIONS: [(&str, &str); 5] = [
    ("upstream", "tls"),
    ("shape", "drop_if"),
    ("shape", "keep_if"),
    ("shape", "headers"),
    ("shape", "privacy"),
];

/// Whether `key` is a section of keys in the section `head`.
pub(super) fn is_subsection(head: &str, key: &str) -> bool {
    SUBSECTIONS.contains(&(head, key))
}

/// The tables in `[kafka]` whose keys are librdkafka's properties.
const PROPERTY_TABLES: [&str; 2] = ["properties", "property_files"];

/// Whether `key` is a table in `[kafka]` whose keys are librdkafka's properties.
pub(super) fn is_property_table(key: &str) -> bool {
    PROPERTY_TABLES.contains(&key)
}

/// The shape of a top-level key, if there is such a key.
pub(super) fn shape_of(key: &str) -> Option<Shape> {
    TOP.iter().find(|(known, _)| *known == key).map(|(_, shape)| *shape)
}

/// The names of all top-level keys.
pub(super) fn top_keys() -> impl Iterator<Item = &'static str> + Clone {
    TOP.iter().map(|(key, _)| *key)
}

/// Reads the text of a configuration file, and tells its format from its extension.
pub(super) fn read(path: &Path, report: &mut Report) -> Result<(String, Format), Reported> {
    let place = Place::file(path.display().to_string());
    let Some(format) = Format::of(path) else {
        return Err(report.fault(
            &place,
            None,
            "the extension tells the format: name the file .toml, .yaml, .yml or .json",
        ));
    };
    match super::secret::read_bounded(path, MAX_FILE_BYTES) {
        Ok(bytes) if bytes.len() as u64 > MAX_FILE_BYTES => {
            Err(report.fault(&place, None, format!("is larger than {MAX_FILE_BYTES} bytes, which no configuration needs")))
        }
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok((text, format)),
            Err(_) => Err(report.fault(&place, None, "is not UTF-8 text; save it as UTF-8")),
        },
        Err(error) => Err(report.fault(
            &place,
            None,
            format!("the configuration file cannot be read: {error}; name another with --config, or start from config/livestreamd.toml"),
        )),
    }
}

/// The file's text with the environment on top. A syntax fault ends it; everything else that is wrong is reported and left out.
pub(super) fn merge(
    name: &str,
    text: &str,
    format: Format,
    env: impl IntoIterator<Item = (String, String)>,
    report: &mut Report,
) -> Result<Map<String, Value>, Reported> {
    let text_is_deep = if format == Format::Yaml { too_deep(text) } else { None };
    if let Some(line) = text_is_deep {
        return Err(report.fault(
            &Place::file(name),
            None,
            format!("line {line} is nested more deeply than any configuration"),
        ));
    }
    let file = match File::from_str(text.strip_prefix('\u{feff}').unwrap_or(text), format.reader()).collect() {
        Ok(tree) => prune(tree, report),
        Err(error) => return Err(report.fault(&Place::file(name), None, explain(format, error))),
    };
    let env = environment::layer(env, &file, report);
    let merged = Config::builder().add_source(Layer(file)).add_source(Layer(env)).build();
    match merged.map(|config| config.cache.kind) {
        Ok(ValueKind::Table(tree)) => Ok(tree),
        Ok(_) | Err(_) => Err(report.fault(&Place::file(name), None, "file and environment cannot be merged")),
    }
}

/// One layer, as a source for crate `config`.
#[derive(Clone)]
struct Layer(Map<String, Value>);

/// `config` wants a `Debug`; the values may be secrets.
impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer").finish_non_exhaustive()
    }
}

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, ConfigError> {
        Ok(self.0.clone())
    }
}

/// Takes out of a file's tree what must not meet the environment: unknown top-level keys, and values where sections belong. An empty
/// section (YAML has those without a table) becomes an empty table. The property tables of `[kafka]` become flat: an unquoted `linger.ms = 5` in
/// TOML is a table in a table, and means the same as the quoted one.
fn prune(tree: Map<String, Value>, report: &mut Report) -> Map<String, Value> {
    let mut kept = Map::new();
    for (key, value) in in_order(tree) {
        let place = Place::file(key.as_str());
        let value = match shape_of(&key) {
            None => {
                report.fault(&place, None, unknown_key(&key, top_keys()));
                continue;
            }
            // What is in a list of sections is looked at where they are read: the environment adds nothing to it.
            Some(Shape::Value | Shape::Sections) => value,
            Some(Shape::Section) => match table(&place, value, report) {
                Some(section) => with_subsections(&key, section, report).into(),
                None => continue,
            },
            Some(Shape::Named) => match table(&place, value, report) {
                Some(sections) => named(&key, sections, report).into(),
                None => continue,
            },
            Some(Shape::Kafka) => match table(&place, value, report) {
                Some(section) => kafka(section, report).into(),
                None => continue,
            },
        };
        kept.insert(key, value);
    }
    kept
}

fn with_subsections(head: &str, mut section: Map<String, Value>, report: &mut Report) -> Map<String, Value> {
    for (_, key) in SUBSECTIONS.iter().filter(|(above, _)| *above == head) {
        if let Some(value) = section.remove(*key)
            && let Some(below) = table(&Place::file(format!("{head}.{key}")), value, report)
        {
            section.insert((*key).to_owned(), below.into());
        }
    }
    section
}

fn named(key: &str, sections: Map<String, Value>, report: &mut Report) -> Map<String, Value> {
    let mut kept = Map::new();
    for (name, value) in in_order(sections) {
        if let Some(section) = table(&Place::file(format!("{key}.{name}")), value, report) {
            kept.insert(name, section.into());
        }
    }
    kept
}

fn kafka(mut section: Map<String, Value>, report: &mut Report) -> Map<String, Value> {
    for key in PROPERTY_TABLES {
        if let Some(properties) = section.remove(key) {
            let place = Place::file(format!("kafka.{key}"));
            let mut flat = Map::new();
            if let Some(properties) = table(&place, properties, report) {
                flatten(&place.key, "", properties, &mut flat, report);
            }
            section.insert(key.to_owned(), flat.into());
        }
    }
    section
}

fn flatten(path: &str, prefix: &str, nested: Map<String, Value>, flat: &mut Map<String, Value>, report: &mut Report) {
    for (key, value) in in_order(nested) {
        let name = if prefix.is_empty() {
            key
        } else {
            format!("{prefix}.{key}")
        };
        if let ValueKind::Table(table) = value.kind {
            flatten(path, &name, table, flat, report);
        } else if flat.insert(name.clone(), value).is_some() {
            let place = Place::file(format!("{path}.{name}"));
            report.fault(
                &place,
                None,
                "is set twice, once in quotes and once as a table; keep one",
            );
        }
    }
}

/// `config` has its tables in no order; faults are to come in one.
fn in_order(table: Map<String, Value>) -> BTreeMap<String, Value> {
    table.into_iter().collect()
}

/// The table that belongs here; an empty value or an empty list counts as one that is empty.
fn table(place: &Place, value: Value, report: &mut Report) -> Option<Map<String, Value>> {
    if let ValueKind::Table(table) = value.kind {
        return Some(table);
    }
    if matches!(&value.kind, ValueKind::Nil) || matches!(&value.kind, ValueKind::Array(list) if list.is_empty()) {
        return Some(Map::new());
    }
    report.fault(
        place,
        None,
        format!("{} stands where the section [{}] belongs", noun(&value.kind), place.key),
    );
    None
}

/// The first line that is indented further, or opens more lists, than a configuration has use for. The YAML reader calls itself for each
/// level of block nesting, without an end (the readers of TOML and JSON have one).
fn too_deep(text: &str) -> Option<usize> {
    let is_deep = |line: &str| {
        let indentation = line.len() - line.trim_start().len();
        let opened = line
            .as_bytes()
            .windows(2)
            .filter(|pair| b"-?".contains(&pair[0]) && b" \t".contains(&pair[1]))
            .count();
        indentation > 256 || opened > 64
    };
    text.lines().position(is_deep).map(|line| line + 1)
}

/// What is wrong with the syntax, and where, without a word of the text itself: the line may hold a secret.
fn explain(format: Format, error: ConfigError) -> String {
    let ConfigError::FileParse { cause, .. } = error else {
        return format!("is not valid {}", format.name());
    };
    if is_root_fault(cause.as_ref()) {
        return format!("is {}, but not a table of keys at its top level", format.name());
    }
    let text = cause.to_string();
    // TOML: the place, three lines that quote the text, then the reason. The others: one line, the place at its end.
    let (place, reason) = match format {
        Format::Toml if text.starts_with("TOML parse error") => (
            text.lines().next().unwrap_or_default(),
            text.lines().skip(4).collect::<Vec<_>>().join(", "),
        ),
        Format::Toml => ("", text.trim().to_owned()),
        Format::Yaml => (
            text.as_str(),
            text.split(" at byte ").next().unwrap_or_default().to_owned(),
        ),
        Format::Json => (
            text.as_str(),
            text.split(" at line ").next().unwrap_or_default().to_owned(),
        ),
    };
    let at = match (last_number_after("line ", place), last_number_after("column ", place)) {
        (Some(line), Some(column)) => format!("line {line}, column {column} "),
        _ => String::new(),
    };
    // The YAML reader repeats a doubled key, and one character that it did not expect; everything else that it says is its own.
    let reason = if reason.ends_with(DOUBLED) {
        DOUBLED
    } else {
        reason.as_str()
    };
    let reason = if reason.is_empty() || reason.contains('"') {
        String::new()
    } else {
        format!(": {reason}")
    };
    format!("{at}is not valid {}{reason}", format.name())
}

/// Whether the text was read well and holds something else than a table; that error's text quotes it.
fn is_root_fault(cause: &(dyn Error + Send + Sync + 'static)) -> bool {
    cause.downcast_ref::<ConfigError>().is_some() || cause.downcast_ref::<Box<ConfigError>>().is_some()
}

fn last_number_after(word: &str, text: &str) -> Option<u64> {
    let (_, rest) = text.rsplit_once(word)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
