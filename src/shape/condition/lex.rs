//! The words of a condition.

use crate::shape::fault::Fault;
use crate::shape::number::Decimal;

/// One word, and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token<'a> {
    pub(super) at: usize,
    pub(super) word: Word<'a>,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word<'a> {
    /// From a slash on.
    Pointer(&'a str),
    /// A string, without its quotes; a quote that stands twice in it is one.
    String(String),
    Number(&'a str),
    /// A name: `and`, `exists`, `true`.
    Name(&'a str),
    /// `==`, `(`, `..` and the like.
    Sign(&'static str),
    End,
}

/// Longer ones first.
const SIGNS: [&str; 14] = [
    "==", "!=", "<=", ">=", "=~", "!~", "..", "<", ">", "(", ")", "[", "]", ",",
];

/// What people write who know other languages, and what it is here.
const ELSEWHERE: [(&str, &str); 5] = [
    ("&&", "write: and"),
    ("||", "write: or"),
    ("=", "one = is nothing here, write: =="),
    ("~", "write: =~"),
    ("!", "write: not"),
];

/// The first word of `text` from `at` on.
pub(super) fn token(text: &str, at: usize) -> Result<Token<'_>, Fault> {
    let rest = &text[at..];
    let at = at + (rest.len() - rest.trim_start().len());
    let rest = &text[at..];
    let word = match rest.as_bytes().first() {
        None => Word::End,
        Some(b'/') => Word::Pointer(until(rest, |c| {
            c.is_whitespace() || matches!(c, '(' | ')' | '[' | ']' | ',' | '"' | '\'' | '<' | '>' | '=' | '!')
        })),
        Some(b'"' | b'\'') => Word::String(string(text, at)?),
        Some(b'-' | b'0'..=b'9') => Word::Number(number(text, at)?),
        Some(_) => sign_or_name(text, at)?,
    };
    Ok(Token { at, word })
}

/// Where the word that was read ends.
pub(super) fn end(text: &str, token: &Token<'_>) -> usize {
    let length = match &token.word {
        Word::Pointer(word) | Word::Number(word) | Word::Name(word) => word.len(),
        Word::Sign(sign) => sign.len(),
        Word::End => 0,
        Word::String(string) => {
            let quote = text[token.at..].chars().next().unwrap_or_default();
            string.len() + string.matches(quote).count() + 2
        }
    };
    token.at + length
}

fn until(text: &str, is_end: impl Fn(char) -> bool) -> &str {
    &text[..text.find(is_end).unwrap_or(text.len())]
}

fn string(text: &str, at: usize) -> Result<String, Fault> {
    let quote = if text[at..].starts_with('"') { '"' } else { '\'' };
    let mut string = String::new();
    let mut characters = text[at + 1..].chars().peekable();
    while let Some(c) = characters.next() {
        if c != quote || characters.next_if_eq(&quote).is_some() {
            string.push(c);
        } else {
            return Ok(string);
        }
    }
    Err(Fault::new(
        text,
        at,
        format!("the string that begins here lacks its end: {quote}"),
    ))
}

fn number(text: &str, at: usize) -> Result<&str, Fault> {
    let rest = &text[at..];
    // The two points of a range are not of the number.
    let word = until(
        rest,
        |c| !matches!(c, '0'..='9' | '-' | '+' | '.' | '_' | 'a'..='z' | 'A'..='Z'),
    );
    let word = word.split("..").next().unwrap_or_default();
    let digits = word.strip_prefix('-').unwrap_or(word);
    let is_padded = digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit());
    if Decimal::parse(word).is_none() || is_padded {
        let what = format!("{word} is no number: write digits, such as 17 or -2.5 or 1e6, and other values in quotes");
        return Err(Fault::new(text, at, what));
    }
    Ok(word)
}

fn sign_or_name(text: &str, at: usize) -> Result<Word<'_>, Fault> {
    let rest = &text[at..];
    if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
        return Ok(Word::Sign(sign));
    }
    if let Some((_, what)) = ELSEWHERE.into_iter().find(|(sign, _)| rest.starts_with(sign)) {
        return Err(Fault::new(text, at, what));
    }
    let name = until(rest, |c: char| {
        !(c.is_alphanumeric() || matches!(c, '_' | '.' | '$' | '-' | '/'))
    });
    if name.is_empty() {
        let c = rest.chars().next().unwrap_or_default();
        return Err(Fault::new(text, at, format!("{c:?} means nothing here")));
    }
    Ok(Word::Name(name))
}
