//! Texts with names and fields of a hit in them: `hits.{report_suite}.{field:/geoCountry|unknown}`. For topics and headers.

use std::fmt;

use super::fault::Fault;
use super::pointer::Pointer;
use super::{Plan, Shaped, ValueId};

/// A template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Fixed(Box<str>),
    Stream,
    ReportSuite,
    Field(Pointer, Option<Box<str>>),
}

impl Template {
    /// Reads a template, in which any text may stand.
    ///
    /// # Errors
    /// If a brace is open or names nothing, or a pointer cannot be read or has stars.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        Self::parse_within(text, |_| Ok(()))
    }

    /// Reads a template whose own text, and what stands in place of fields, must be `legal`.
    pub(super) fn parse_within(text: &str, legal: fn(&str) -> Result<(), Fault>) -> Result<Self, Fault> {
        let mut parts = Vec::new();
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
            let length = if let Some(inner) = rest.strip_prefix('{') {
                let Some(length) = inner.find('}') else {
                    return Err(Fault::new(text, at, "the brace that opens here is not closed"));
                };
                parts.push(read_braces(&inner[..length], legal).map_err(|fault| fault.within(text, at + 1))?);
                length + 2
            } else {
                let length = rest.find('{').unwrap_or(rest.len());
                let fixed = &rest[..length];
                legal(fixed).map_err(|fault| fault.within(text, at))?;
                parts.push(Part::Fixed(fixed.into()));
                length
            };
            at += length;
        }
        Ok(Self { parts })
    }

    /// Whether a hit has a say in it.
    pub fn has_fields(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, Part::Field(..)))
    }

    /// It with `field` in place of each of its fields.
    pub fn with(&self, names: Names<'_>, field: &str) -> String {
        let texts = self.parts.iter().map(|part| match part {
            Part::Fixed(text) => text,
            Part::Stream => names.stream,
            Part::ReportSuite => names.report_suite,
            Part::Field(..) => field,
        });
        texts.collect()
    }

    /// Asks `plan` for its fields: it is to be written for the hits of that plan's shape.
    pub fn fill(&self, plan: &mut Plan) -> Filled {
        let with_value = |part: &Part| {
            let value = match part {
                // A template has no pointers with stars.
                Part::Field(pointer, _) => plan.value(pointer.clone()).ok(),
                Part::Fixed(_) | Part::Stream | Part::ReportSuite => None,
            };
            (part.clone(), value)
        };
        Filled(self.parts.iter().map(with_value).collect())
    }
}

/// A template that knows where its fields are found.
#[derive(Clone, Debug)]
pub struct Filled(Vec<(Part, Option<ValueId>)>);

/// What a template may ask for beside fields.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The stream's name.
    pub stream: &'a str,
    /// Its report suite.
    pub report_suite: &'a str,
}

impl Filled {
    /// Whether a hit has a say in it.
    pub fn has_fields(&self) -> bool {
        self.0.iter().any(|(part, _)| matches!(part, Part::Field(..)))
    }

    /// Hands out its text, piece by piece. False if a field is not there, or empty, and the template does not say what stands in its place: then what was handed out is
    /// not the whole.
    pub fn write(&self, shaped: &Shaped<'_>, names: Names<'_>, mut take: impl FnMut(&str)) -> bool {
        for (part, value) in &self.0 {
            take(match part {
                Part::Fixed(text) => text,
                Part::Stream => names.stream,
                Part::ReportSuite => names.report_suite,
                Part::Field(_, otherwise) => {
                    let there = value.and_then(|value| shaped.value(value));
                    match there.filter(|text| !text.is_empty()).or(otherwise.as_deref()) {
                        Some(text) => text,
                        None => return false,
                    }
                }
            });
        }
        true
    }
}

/// What stands between two braces.
fn read_braces(text: &str, legal: fn(&str) -> Result<(), Fault>) -> Result<Part, Fault> {
    match text {
        "stream" => return Ok(Part::Stream),
        "report_suite" => return Ok(Part::ReportSuite),
        _ => {}
    }
    let Some(field) = text.strip_prefix("field:") else {
        let what = format!("{{{text}}} is nothing: write {{stream}}, {{report_suite}} or {{field:/pointer|otherwise}}");
        return Err(Fault::new(text, 0, what));
    };
    let before = text.len() - field.len();
    let (pointer, otherwise) = match field.rsplit_once('|') {
        Some((pointer, otherwise)) => (pointer, Some(otherwise)),
        None => (field, None),
    };
    if let Some(otherwise) = otherwise {
        let at = text.len() - otherwise.len();
        if otherwise.is_empty() {
            return Err(Fault::new(
                text,
                at,
                "nothing follows the |: say what stands there for hits without the field",
            ));
        }
        legal(otherwise).map_err(|fault| fault.within(text, at))?;
    }
    let read = Pointer::parse(pointer).map_err(|fault| fault.within(text, before))?;
    if read.is_wild() {
        return Err(Fault::new(
            text,
            before,
            "one field belongs here: a pointer without stars",
        ));
    }
    Ok(Part::Field(read, otherwise.map(Into::into)))
}

/// As it was written.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Fixed(text) => f.write_str(text)?,
                Part::Stream => f.write_str("{stream}")?,
                Part::ReportSuite => f.write_str("{report_suite}")?,
                Part::Field(pointer, None) => write!(f, "{{field:{pointer}}}")?,
                Part::Field(pointer, Some(otherwise)) => write!(f, "{{field:{pointer}|{otherwise}}}")?,
            }
        }
        Ok(())
    }
}
