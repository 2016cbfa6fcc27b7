//! Walks the merged tree: each key is taken out by name and by the type that is wanted, every fault is reported with its place, and
//! whatever nobody asked for is an unknown key.
//!
//! In a file a value must be written as what it is: a number is no text and a text no number. In the environment all is text, and read
//! as what is wanted.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use bytesize::ByteSize;
use config::{Map, Value, ValueKind};
use secrecy::SecretString;

use super::fault::{Place, Report, Reported};
use super::secret;
use super::source::Origin;
use super::suggest::nearest;

/// No more of a value than this is repeated in a message, in characters.
const SHOWN: usize = 120;

/// A value that was found, where it stands, and how it may be printed.
#[derive(Clone, Debug)]
pub(super) struct Found<T> {
    pub(super) place: Place,
    pub(super) shown: Option<String>,
    pub(super) value: T,
}

/// A value if the key is there, or a fault that has been reported.
pub(super) type Maybe<T> = Result<Option<Found<T>>, Reported>;

/// One section of the tree.
pub(super) struct Section<'r> {
    path: String,
    entries: BTreeMap<String, Value>,
    asked: Vec<&'static str>,
    /// Where faults go.
    pub(super) report: &'r mut Report,
}

impl<'r> Section<'r> {
    /// Hands a section to `take`, and reports as unknown what is left in it afterwards. `path` is empty for the whole tree.
    pub(super) fn read<T>(
        path: String,
        table: Map<String, Value>,
        report: &'r mut Report,
        take: impl FnOnce(&mut Section<'_>) -> T,
    ) -> T {
        let mut section = Section {
            path,
            entries: table.into_iter().collect(),
            asked: Vec::new(),
            report,
        };
        let taken = take(&mut section);
        section.report_unknown();
        taken
    }

    /// The section under `key`, empty if it is absent.
    pub(super) fn section<T>(&mut self, key: &'static str, take: impl FnOnce(&mut Section<'_>) -> T) -> T {
        let table = self.table_or_none(key);
        Section::read(self.path_of(key), table, self.report, take)
    }

    /// Every section under `key` with its name, in the order of the names. A bad name is reported, and the section read all the same.
    pub(super) fn named<T>(
        &mut self,
        key: &'static str,
        mut take: impl FnMut(&str, &mut Section<'_>) -> T,
    ) -> BTreeMap<String, T> {
        let sections: BTreeMap<String, Value> = self.table_or_none(key).into_iter().collect();
        let mut taken = BTreeMap::new();
        for (name, value) in sections {
            let path = format!("{}.{name}", self.path_of(key));
            let Ok(table) = self.table_in(&place_of(path.clone(), &value), value) else {
                continue;
            };
            if !is_name(&name) {
                let place = Place {
                    key: path.clone(),
                    origin: origin_of_all(&table),
                };
                self.report
                    .fault(&place, None, "is a bad name; use 1 to 64 of a-z, 0-9, - and _");
            }
            let made = Section::read(path, table, self.report, |section| take(&name, section));
            taken.insert(name, made);
        }
        taken
    }

    /// Each section of the list under `key` with its number, from 1 on.
    pub(super) fn sections<T>(
        &mut self,
        key: &'static str,
        mut take: impl FnMut(usize, &mut Section<'_>) -> T,
    ) -> Result<Vec<T>, Reported> {
        self.asked.push(key);
        let path = self.path_of(key);
        let Some(value) = self.entries.remove(key) else {
            return Ok(Vec::new());
        };
        if matches!(value.kind, ValueKind::Nil) {
            return Ok(Vec::new());
        }
        let noun = noun(&value.kind);
        let ValueKind::Array(items) = value.kind else {
            let problem = format!("{noun} stands where a list of sections belongs, each under [[{path}]]");
            return Err(self.report.fault(&Place::file(path), None, problem));
        };
        let mut taken = Vec::new();
        for (at, item) in items.into_iter().enumerate() {
            let path = format!("{path}.{}", at + 1);
            let table = self.table_in(&Place::file(path.as_str()), item);
            taken.push(table.map(|table| Section::read(path, table, self.report, |section| take(at + 1, section))));
        }
        taken.into_iter().collect()
    }

    /// What stands under `key`, whose keys are not ours, in the order of the keys.
    pub(super) fn foreign(&mut self, key: &'static str) -> Vec<(String, Place, Value)> {
        let path = self.path_of(key);
        let table: BTreeMap<String, Value> = self.table_or_none(key).into_iter().collect();
        let found = |(name, value): (String, Value)| (name.clone(), place_of(format!("{path}.{name}"), &value), value);
        table.into_iter().map(found).collect()
    }

    /// A table whose keys are the operator's, in the order of the keys, each made something of by `make`.
    pub(super) fn entries_of<T>(
        &mut self,
        key: &'static str,
        make: impl Fn(&str, &Place, &ValueKind, &mut Report) -> Result<T, Reported>,
    ) -> Maybe<Vec<(String, T)>> {
        let Some(found) = self.table(key)? else {
            return Ok(None);
        };
        let (path, mut taken) = (self.path_of(key), Vec::new());
        let entries: BTreeMap<String, Value> = found.value.into_iter().collect();
        for (name, value) in entries {
            let place = place_of(format!("{path}.{name}"), &value);
            taken.push(make(&name, &place, &value.kind, self.report).map(|value| (name, value)));
        }
        Ok(Some(Found {
            place: found.place,
            shown: None,
            value: taken.into_iter().collect::<Result<_, _>>()?,
        }))
    }

    /// The table under `key`, if there is one, or the fault that something else stands there.
    fn table(&mut self, key: &'static str) -> Maybe<Map<String, Value>> {
        self.asked.push(key);
        let Some(value) = self.entries.remove(key) else {
            return Ok(None);
        };
        let place = place_of(self.path_of(key), &value);
        let table = self.table_in(&place, value)?;
        Ok(Some(Found {
            place,
            shown: None,
            value: table,
        }))
    }

    /// The same; an empty one if there is none.
    fn table_or_none(&mut self, key: &'static str) -> Map<String, Value> {
        let table = self.table(key).ok().flatten();
        table.map_or_else(Map::new, |found| found.value)
    }

    /// The table that a value is; nothing counts as an empty one.
    fn table_in(&mut self, place: &Place, value: Value) -> Result<Map<String, Value>, Reported> {
        if let ValueKind::Table(table) = value.kind {
            return Ok(table);
        }
        if matches!(value.kind, ValueKind::Nil) {
            return Ok(Map::new());
        }
        let problem = format!("{} stands where the section [{}] belongs", noun(&value.kind), place.key);
        Err(self.report.fault(place, None, problem))
    }

    /// Reports a key that belongs elsewhere, if it is there.
    pub(super) fn refuse(&mut self, key: &str, problem: &str) {
        if let Some(value) = self.entries.remove(key) {
            let place = place_of(self.path_of(key), &value);
            self.report.fault(&place, None, problem);
        }
    }

    /// The place of a key that is not there.
    pub(super) fn absent(&self, key: &str) -> Place {
        Place::absent(self.path_of(key))
    }

    /// The dotted path of this section.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Text: not empty, without control characters, without white space around it.
    pub(super) fn text(&mut self, key: &'static str) -> Maybe<String> {
        self.parsed(key, "text in quotes", |text| Ok(text.to_owned()))
    }

    /// Text as it stands, whatever is in it; it is in no message.
    pub(super) fn verbatim(&mut self, key: &'static str) -> Maybe<String> {
        self.found(key, false, |value| {
            let noun = noun(&value.kind);
            let ValueKind::String(text) = value.kind else {
                return Err(format!("{noun} stands where text in quotes belongs"));
            };
            Ok(text)
        })
    }

    /// Text that `parse` makes something of; its error completes "KEY = VALUE: ".
    pub(super) fn parsed<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Maybe<T> {
        self.found(key, true, |value| parse(plain_text(&value, wanted)?))
    }

    /// The same for text that may hold a secret: its value is in no message.
    pub(super) fn parsed_hushed<T>(
        &mut self,
        key: &'static str,
        wanted: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Maybe<T> {
        self.found(key, false, |value| parse(plain_text(&value, wanted)?))
    }

    /// One of the words of `choices`.
    pub(super) fn choice<T: Copy>(&mut self, key: &'static str, choices: &[(&str, T)]) -> Maybe<T> {
        self.parsed(key, "a word in quotes", |text| {
            choices
                .iter()
                .find(|(word, _)| *word == text)
                .map(|(_, choice)| *choice)
                .ok_or_else(|| {
                    let words = choices.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ");
                    format!("is none of {words}")
                })
        })
    }

    /// A span of time with its unit, as in `"60s"`.
    pub(super) fn duration(&mut self, key: &'static str, range: RangeInclusive<Duration>) -> Maybe<Duration> {
        self.parsed(key, "a time in quotes, as in \"60s\",", |text| {
            let duration = humantime::parse_duration(text)
                .map_err(|_| "is not a time; write a number and a unit, as in \"60s\" or \"2m\"".to_owned())?;
            let shown = |bound: &Duration| humantime::format_duration(*bound).to_string();
            if range.contains(&duration) {
                Ok(duration)
            } else {
                Err(format!(
                    "is out of range; it may be {} to {}",
                    shown(range.start()),
                    shown(range.end())
                ))
            }
        })
    }

    /// A number of bytes with its unit, as in `"8MiB"`.
    pub(super) fn size(&mut self, key: &'static str, range: RangeInclusive<u64>) -> Maybe<u64> {
        self.parsed(key, "a size in quotes, as in \"8MiB\",", |text| {
            let size: ByteSize = text
                .parse()
                .map_err(|_| "is not a size; write a number and a unit, as in \"8MiB\"".to_owned())?;
            let shown = |bound: &u64| ByteSize(*bound).display().iec().to_string();
            if range.contains(&size.0) {
                Ok(size.0)
            } else {
                Err(format!(
                    "is out of range; it may be {} to {}",
                    shown(range.start()),
                    shown(range.end())
                ))
            }
        })
    }

    /// A whole number.
    pub(super) fn number<N>(&mut self, key: &'static str, range: RangeInclusive<N>) -> Maybe<N>
    where
        N: FromStr + TryFrom<i128> + PartialOrd + Display,
    {
        self.found(key, true, |value| {
            let number = if let Some(text) = text_of_variable(&value) {
                text.trim().parse().ok()
            } else if let Some(number) = whole(&value.kind) {
                N::try_from(number).ok()
            } else {
                return Err(format!("{} stands where a whole number belongs", noun(&value.kind)));
            };
            number
                .filter(|number| range.contains(number))
                .ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
        })
    }

    /// True or false.
    pub(super) fn flag(&mut self, key: &'static str) -> Maybe<bool> {
        self.found(key, true, |value| {
            if let Some(text) = text_of_variable(&value) {
                return text.trim().parse().map_err(|_| "must be true or false".to_owned());
            }
            let ValueKind::Boolean(flag) = value.kind else {
                return Err(format!("{} stands where true or false belongs", noun(&value.kind)));
            };
            Ok(flag)
        })
    }

    /// A list of texts, each made something of by `check`; may be empty.
    pub(super) fn list<T>(&mut self, key: &'static str, check: impl Fn(&str) -> Result<T, String>) -> Maybe<Vec<T>> {
        let checked = |text: &str| {
            plain(text)
                .and_then(|()| check(text))
                .map_err(|why| format!("{} {why}", quoted(text)))
        };
        self.found(key, true, |value| {
            if let Some(text) = text_of_variable(&value) {
                let items = text.split(',').map(str::trim);
                return if text.trim().is_empty() {
                    Ok(Vec::new())
                } else {
                    items.map(checked).collect()
                };
            }
            let ValueKind::Array(items) = value.kind else {
                return Err(format!(
                    "{} stands where a list belongs, as in [\"a\", \"b\"]",
                    noun(&value.kind)
                ));
            };
            let item = |item: Value| {
                let ValueKind::String(text) = item.kind else {
                    return Err(format!(
                        "{} stands in the list, where texts in quotes belong",
                        noun(&item.kind)
                    ));
                };
                checked(&text)
            };
            items.into_iter().map(item).collect()
        })
    }

    /// A secret. Its value is in no message.
    pub(super) fn secret(&mut self, key: &'static str) -> Maybe<SecretString> {
        self.found(key, false, |value| {
            let ValueKind::String(text) = value.kind else {
                return Err(format!("{} stands where text in quotes belongs", noun(&value.kind)));
            };
            secret::check(&text).map_err(|flaw| flaw.to_string())?;
            Ok(SecretString::from(text))
        })
    }

    fn found<T>(&mut self, key: &'static str, show: bool, read: impl FnOnce(Value) -> Result<T, String>) -> Maybe<T> {
        self.asked.push(key);
        let Some(value) = self.entries.remove(key) else {
            return Ok(None);
        };
        let place = place_of(self.path_of(key), &value);
        let shown = if show { shown(&value.kind) } else { None };
        if matches!(value.kind, ValueKind::Nil) {
            return Err(self
                .report
                .fault(&place, None, "has no value; set it, or remove the key"));
        }
        match read(value) {
            Ok(value) => Ok(Some(Found { place, shown, value })),
            Err(problem) => Err(self.report.fault(&place, shown, problem)),
        }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn report_unknown(&mut self) {
        for (key, value) in std::mem::take(&mut self.entries) {
            let place = place_of(self.path_of(&key), &value);
            self.report
                .fault(&place, None, unknown_key(&key, self.asked.iter().copied()));
        }
    }
}

impl<T> Found<T> {
    /// The same place, and what `make` makes of the value.
    pub(super) fn map<U>(self, make: impl FnOnce(T) -> U) -> Found<U> {
        Found {
            place: self.place,
            shown: self.shown,
            value: make(self.value),
        }
    }

    /// Reports what is wrong with this value.
    pub(super) fn fault(&self, report: &mut Report, problem: impl Into<String>) -> Reported {
        report.fault(&self.place, self.shown.clone(), problem)
    }
}

/// What is set here, else there.
pub(super) fn over<T: Clone>(own: Maybe<T>, shared: &Maybe<T>) -> Maybe<T> {
    match own {
        Ok(None) => shared.clone(),
        own => own,
    }
}

/// What is set, else the default, which stands at `place`.
pub(super) fn or<T>(found: Maybe<T>, place: Place, default: T) -> Result<Found<T>, Reported> {
    Ok(found?.unwrap_or(Found {
        place,
        shown: None,
        value: default,
    }))
}

/// The value that is set, else the default.
pub(super) fn value_or<T>(found: Maybe<T>, default: T) -> Result<T, Reported> {
    Ok(found?.map_or(default, |found| found.value))
}

/// What to say of a key that we do not know.
pub(super) fn unknown_key(key: &str, known: impl Iterator<Item = &'static str> + Clone) -> String {
    match nearest(key, known.clone()) {
        Some(near) => format!("is not a known key; did you mean {near}?"),
        None => format!(
            "is not a known key; known here are {}",
            known.collect::<Vec<_>>().join(", ")
        ),
    }
}

/// What a value is, for "a number stands where text belongs".
pub(super) const fn noun(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Nil => "nothing",
        ValueKind::Boolean(_) => "true or false",
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) | ValueKind::Float(_) => {
            "a number"
        }
        ValueKind::String(_) => "text",
        ValueKind::Table(_) => "a section",
        ValueKind::Array(_) => "a list",
    }
}

/// A text as it may be printed: escaped, of bounded length, and without what stands before an `@`, which may be a password.
pub(super) fn quoted(text: &str) -> String {
    let safe = match text.rsplit_once('@') {
        Some((before, host)) => {
            let scheme = before.find("://").map_or("", |end| &before[..end + 3]);
            format!("{scheme}***@{host}")
        }
        None => text.to_owned(),
    };
    let mut short: String = safe.chars().take(SHOWN).collect();
    if short.len() < safe.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// The names that an operator may give to streams and credentials.
pub(super) fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

/// Text that is not empty, without control characters, without white space around it.
pub(super) fn plain_text<'v>(value: &'v Value, wanted: &str) -> Result<&'v str, String> {
    let ValueKind::String(text) = &value.kind else {
        return Err(format!("{} stands where {wanted} belongs", noun(&value.kind)));
    };
    plain(text)?;
    Ok(text)
}

fn plain(text: &str) -> Result<(), String> {
    if text.is_empty() {
        Err("is empty; set it, or remove the key".to_owned())
    } else if text.chars().any(char::is_control) {
        Err("holds a control character (such as a line break); remove it".to_owned())
    } else if text.trim() != text {
        Err("has white space around it; remove that".to_owned())
    } else {
        Ok(())
    }
}

fn shown(kind: &ValueKind) -> Option<String> {
    if let ValueKind::String(text) = kind {
        return Some(quoted(text));
    }
    plain_number_or_flag(kind)
}

/// A number or flag as text; nothing for what is neither.
pub(super) fn plain_number_or_flag(kind: &ValueKind) -> Option<String> {
    match kind {
        ValueKind::Boolean(flag) => Some(flag.to_string()),
        ValueKind::Float(number) => number.is_finite().then(|| number.to_string()),
        ValueKind::I64(_) | ValueKind::I128(_) | ValueKind::U64(_) | ValueKind::U128(_) => {
            whole(kind).map(|number| number.to_string())
        }
        ValueKind::String(_) | ValueKind::Nil | ValueKind::Table(_) | ValueKind::Array(_) => None,
    }
}

fn whole(kind: &ValueKind) -> Option<i128> {
    match kind {
        ValueKind::I64(number) => Some(i128::from(*number)),
        ValueKind::U64(number) => Some(i128::from(*number)),
        ValueKind::I128(number) => Some(*number),
        ValueKind::U128(number) => i128::try_from(*number).ok(),
        ValueKind::Nil
        | ValueKind::Boolean(_)
        | ValueKind::Float(_)
        | ValueKind::String(_)
        | ValueKind::Table(_)
        | ValueKind::Array(_) => None,
    }
}

/// The text of an environment variable, which may stand for a number, a flag or a list.
fn text_of_variable(value: &Value) -> Option<&str> {
    value.origin()?;
    if let ValueKind::String(text) = &value.kind {
        Some(text)
    } else {
        None
    }
}

fn place_of(key: String, value: &Value) -> Place {
    let origin = value
        .origin()
        .map_or(Origin::File, |variable| Origin::Variable(variable.to_owned()));
    Place { key, origin }
}

/// The origin of a section: one of its variables if nothing in it came from the file.
fn origin_of_all(table: &Map<String, Value>) -> Origin {
    let mut variables: Vec<&str> = Vec::new();
    for value in table.values() {
        match value.origin() {
            Some(variable) => variables.push(variable),
            None => return Origin::File,
        }
    }
    variables
        .into_iter()
        .min()
        .map_or(Origin::File, |variable| Origin::Variable(variable.to_owned()))
}
