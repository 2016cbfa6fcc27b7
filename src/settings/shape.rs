//! `[shape]` and `[streams.NAME.shape]`: which hits go out, and what of them.
//!
//! Promise: an expression that cannot be read is a fault that shows its place. What a section sets, it sets whole: a list or a table is not added to that of the section behind it.

use config::ValueKind;
use secrecy::ExposeSecret as _;

use super::credentials::{fit_for_use, secret_file};
use super::fault::{Place, Report, Reported};
use super::resolve::Surroundings;
use super::resolved::{SecretSource, ShapeSettings};
use super::topic;
use super::tree::{Found, Maybe, Section, is_name, noun, over, quoted, value_or};
use crate::shape::condition::{Condition, IS_BOT, IS_EXCLUDED};
use crate::shape::fault::Fault;
use crate::shape::pointer::Pointer;
use crate::shape::privacy::{Action, HashKey, MASK_LEAVES};
use crate::shape::template::Template;
use crate::shape::{Fields, Filter};

/// The filters that have a switch of their own: (key, condition).
const NAMED: [(&str, &str); 2] = [("bots", IS_BOT), ("excluded", IS_EXCLUDED)];
/// More than any field has.
const MOST_LEFT: u16 = 1000;
/// Our own headers begin so.
const OURS: &str = "livestream.";

/// The keys of a shape, each of which a stream or an output may set again.
#[derive(Clone)]
pub(super) struct ShapeKeys {
    /// Whether each of [`NAMED`] drops hits.
    named: [Maybe<bool>; 2],
    drop_if: Maybe<Vec<(String, Condition)>>,
    keep_if: Maybe<Vec<(String, Condition)>>,
    fields: Maybe<Fields>,
    required: Maybe<Vec<Pointer>>,
    incomplete_topic: Maybe<String>,
    headers: Maybe<Vec<(String, Template)>>,
    remove: Maybe<Vec<Pointer>>,
    hash: Maybe<Vec<Pointer>>,
    mask: Maybe<Vec<Pointer>>,
    truncate_ip: Maybe<Vec<Pointer>>,
    mask_leaves: Maybe<u16>,
    hash_key: Maybe<HashKey>,
}

impl ShapeKeys {
    /// Takes them out of the section.
    pub(super) fn take(section: &mut Section<'_>, around: &Surroundings) -> Self {
        let switch = [("keep", false), ("drop", true)];
        let named = NAMED.map(|(key, _)| section.choice(key, &switch));
        let drop_if = conditions(section, "drop_if");
        let keep_if = conditions(section, "keep_if");
        let fields = fields(section);
        let required = section.list("required", pointer);
        let incomplete_topic = section.text("incomplete_topic");
        let headers = headers(section);
        let privacy = section.section("privacy", |privacy| {
            let [remove, hash, mask, truncate_ip] =
                ["remove", "hash", "mask", "truncate_ip"].map(|key| privacy.list(key, pointer));
            let mask_leaves = privacy.number("mask_leaves", 0..=MOST_LEFT);
            let hash_key = hash_key(privacy, around);
            (remove, hash, mask, truncate_ip, mask_leaves, hash_key)
        });
        let (remove, hash, mask, truncate_ip, mask_leaves, hash_key) = privacy;
        Self {
            named,
            drop_if,
            keep_if,
            fields,
            required,
            incomplete_topic,
            headers,
            remove,
            hash,
            mask,
            truncate_ip,
            mask_leaves,
            hash_key,
        }
    }

    /// What is set here, else there.
    pub(super) fn over(self, shared: &Self) -> Self {
        let [bots, excluded] = self.named;
        Self {
            named: [over(bots, &shared.named[0]), over(excluded, &shared.named[1])],
            drop_if: over(self.drop_if, &shared.drop_if),
            keep_if: over(self.keep_if, &shared.keep_if),
            fields: over(self.fields, &shared.fields),
            required: over(self.required, &shared.required),
            incomplete_topic: over(self.incomplete_topic, &shared.incomplete_topic),
            headers: over(self.headers, &shared.headers),
            remove: over(self.remove, &shared.remove),
            hash: over(self.hash, &shared.hash),
            mask: over(self.mask, &shared.mask),
            truncate_ip: over(self.truncate_ip, &shared.truncate_ip),
            mask_leaves: over(self.mask_leaves, &shared.mask_leaves),
            hash_key: over(self.hash_key, &shared.hash_key),
        }
    }

    /// Makes the shape of an output of this stream and report suite.
    pub(super) fn make(self, stream: &str, report_suite: &str, report: &mut Report) -> Result<ShapeSettings, Reported> {
        let filters = filters(self.named, self.drop_if, self.keep_if, report);
        let incomplete_topic = match self.incomplete_topic? {
            None => None,
            Some(template) => match topic::fill(&template.value, stream, report_suite) {
                Ok(name) => Some(name),
                Err(problem) => return Err(template.fault(report, problem)),
            },
        };
        let leaves = usize::from(value_or(self.mask_leaves, MASK_LEAVES as u16)?);
        let mut privacy = Vec::new();
        let mut apply = |pointers: Option<Found<Vec<Pointer>>>, action: &Action| {
            let pointers = pointers.into_iter().flat_map(|found| found.value);
            privacy.extend(pointers.map(|pointer| (pointer, action.clone())));
        };
        apply(self.remove?, &Action::Remove);
        let hash = self.hash?.filter(|found| !found.value.is_empty());
        if let Some(hash) = hash {
            let Some(key) = self.hash_key? else {
                let problem =
                    "needs a key: set hash_key_file beside it to a file with the output of: openssl rand -hex 32";
                return Err(hash.fault(report, problem));
            };
            apply(Some(hash), &Action::Hash(key.value));
        }
        apply(self.mask?, &Action::Mask { leaves });
        apply(self.truncate_ip?, &Action::TruncateIp);
        Ok(ShapeSettings {
            filters: filters?,
            required: value_or(self.required, Vec::new())?,
            incomplete_topic,
            privacy,
            fields: value_or(self.fields, Fields::All)?,
            headers: value_or(self.headers, Vec::new())?,
        })
    }
}

/// A field, or with stars several.
fn pointer(text: &str) -> Result<Pointer, String> {
    Pointer::parse(text).map_err(|fault| format!("is no JSON pointer ({fault})"))
}

/// All filters, in the order in which they are asked: those with a switch, then the others by name.
fn filters(
    named: [Maybe<bool>; 2],
    drop_if: Maybe<Vec<(String, Condition)>>,
    keep_if: Maybe<Vec<(String, Condition)>>,
    report: &mut Report,
) -> Result<Vec<(String, Filter)>, Reported> {
    let mut filters = Vec::new();
    for ((key, condition), is_dropped) in NAMED.into_iter().zip(named) {
        let Some(is_dropped) = is_dropped?.filter(|found| found.value) else {
            continue;
        };
        // A condition of ours: it can be read.
        let condition = Condition::parse(condition).map_err(|fault| is_dropped.fault(report, fault.to_string()))?;
        filters.push((key.to_owned(), Filter::DropIf(condition)));
    }
    let mut others: Vec<(String, Filter)> = Vec::new();
    let drop_if = value_or(drop_if, Vec::new())?.into_iter();
    others.extend(drop_if.map(|(name, condition)| (name, Filter::DropIf(condition))));
    if let Some(keep_if) = keep_if? {
        for (name, condition) in keep_if.value {
            if others.iter().any(|(other, _)| *other == name) {
                let place = Place {
                    key: format!("{}.{name}", keep_if.place.key),
                    ..keep_if.place
                };
                let problem = "is the name of a filter in drop_if too; what a filter drops is counted under its name, so give them two";
                return Err(report.fault(&place, None, problem));
            }
            others.push((name, Filter::KeepIf(condition)));
        }
    }
    others.sort_by(|(one, _), (other, _)| one.cmp(other));
    filters.extend(others);
    Ok(filters)
}

/// The conditions in a table, by the names that the operator gives them.
fn conditions(section: &mut Section<'_>, key: &'static str) -> Maybe<Vec<(String, Condition)>> {
    section.entries_of(key, |name, place, value, report| {
        if !is_name(name) || NAMED.iter().any(|(taken, _)| *taken == name) {
            let problem = "is a bad name for a filter; use 1 to 64 of a-z, 0-9, - and _, but neither bots nor excluded";
            return Err(report.fault(place, None, problem));
        }
        let text = text(value, "a condition in quotes", place, report)?;
        Condition::parse(&text).map_err(|fault| expression(place, &text, &fault, report))
    })
}

/// Headers by name.
fn headers(section: &mut Section<'_>) -> Maybe<Vec<(String, Template)>> {
    section.entries_of("headers", |name, place, value, report| {
        let is_printable = (1..=255).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_graphic());
        if !is_printable || name.starts_with(OURS) {
            let problem = "is a bad name for a header; use 1 to 255 visible ASCII characters, and leave those that begin with livestream. to livestreamd";
            return Err(report.fault(place, None, problem));
        }
        let text = text(value, "text in quotes", place, report)?;
        Template::parse(&text).map_err(|fault| expression(place, &text, &fault, report))
    })
}

/// The text of a value, which may have several lines.
fn text(value: &ValueKind, wanted: &str, place: &Place, report: &mut Report) -> Result<String, Reported> {
    let ValueKind::String(text) = value else {
        let problem = format!("{} stands where {wanted} belongs", noun(value));
        return Err(report.fault(place, None, problem));
    };
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    if text.chars().all(is_plain) {
        Ok(text.clone())
    } else {
        Err(report.fault(place, None, "holds a control character; remove it"))
    }
}

/// Reports what is wrong with an expression, and shows where.
fn expression(place: &Place, text: &str, fault: &Fault, report: &mut Report) -> Reported {
    report.fault_within(place, Some(quoted(text)), fault.to_string(), &fault.excerpt())
}

fn fields(section: &mut Section<'_>) -> Maybe<Fields> {
    let (keep, drop) = (section.list("keep", pointer), section.list("drop", pointer));
    match (keep?, drop?) {
        (None, None) => Ok(None),
        (Some(keep), None) if keep.value.is_empty() => {
            let problem =
                "is empty, which would leave nothing of a hit; name the fields, or set drop = [] to let all go out";
            Err(keep.fault(section.report, problem))
        }
        (Some(keep), None) => Ok(Some(keep.map(Fields::Keep))),
        (None, Some(drop)) if drop.value.is_empty() => Ok(Some(drop.map(|_| Fields::All))),
        (None, Some(drop)) => Ok(Some(drop.map(Fields::Drop))),
        (Some(_), Some(drop)) => {
            let problem = "stands beside keep, which leaves out all that it does not name; keep one of the two";
            Err(drop.fault(section.report, problem))
        }
    }
}

/// The key that fields are hashed with. It is read now, and again at a reload.
fn hash_key(section: &mut Section<'_>, around: &Surroundings) -> Maybe<HashKey> {
    let Some(path) = secret_file(section, "hash_key_file", around)? else {
        return Ok(None);
    };
    let mut key = None;
    let read = |source: &SecretSource| {
        let secret = source.read()?;
        key = Some(HashKey::new(secret.expose_secret().as_bytes()));
        Ok(secret)
    };
    fit_for_use(&path, read, section)?;
    match key {
        Some(Ok(key)) => Ok(Some(path.map(|_| key))),
        Some(Err(too_short)) => Err(path.fault(section.report, too_short.to_string())),
        // Nothing was read, and that was reported.
        None => Ok(None),
    }
}
