//! What is wrong with a text of the configuration, and where.

use std::fmt;

use unicode_width::UnicodeWidthChar;

/// Why a pointer, a condition or a template cannot be read. It shows as one line with the column; [`Fault::excerpt`] shows the place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    text: Box<str>,
    at: usize,
    what: Box<str>,
}

impl Fault {
    /// A fault `at` so many bytes into `text`.
    pub(super) fn new(text: &str, at: usize, what: impl Into<Box<str>>) -> Self {
        let mut at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        Self {
            text: text.into(),
            at,
            what: what.into(),
        }
    }

    /// The same fault of a longer text, in which what was read begins `before` bytes behind its start.
    #[must_use]
    pub(super) fn within(self, text: &str, before: usize) -> Self {
        Self::new(text, before + self.at, self.what)
    }

    /// How many bytes of the text are in front of the place.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// What is wrong, without the place.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// The line of the text in which the place is, and below it a line with a caret that points there.
    pub fn excerpt(&self) -> String {
        let (before, line) = self.line();
        let pad = |c: char| match c {
            '\t' => "\t".to_owned(),
            c => " ".repeat(c.width().unwrap_or(0)),
        };
        let space: String = before.chars().map(pad).collect();
        format!("{line}\n{space}^")
    }

    /// What stands before the place in its line, and the whole line.
    fn line(&self) -> (&str, &str) {
        let start = self.text[..self.at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[self.at..]
            .find('\n')
            .map_or(self.text.len(), |length| self.at + length);
        (&self.text[start..self.at], self.text[start..end].trim_end_matches('\r'))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.text[..self.at].matches('\n').count() + 1;
        let column = self.line().0.chars().count() + 1;
        if self.text.contains('\n') {
            write!(f, "line {line}, column {column}: {}", self.what)
        } else {
            write!(f, "column {column}: {}", self.what)
        }
    }
}

impl std::error::Error for Fault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_caret_stands_under_the_place() {
        let fault = Fault::new("/a == 1\n\tand /é$ == 2", 14, "no");
        assert_eq!(fault.to_string(), "line 2, column 7: no");
        assert_eq!(fault.excerpt(), "\tand /é$ == 2\n\t     ^");
        assert_eq!(Fault::new("日本x", 6, "no").excerpt(), "日本x\n    ^");
        let end = Fault::new("/a ==", 99, "no");
        assert_eq!((end.offset(), end.to_string().as_str()), (5, "column 6: no"));
        assert_eq!(end.excerpt(), "/a ==\n     ^");
    }

    #[test]
    fn a_place_within_a_character_is_its_beginning() {
        assert_eq!(Fault::new("é", 1, "no").offset(), 0);
    }
}
