//! Which field of a hit is meant: JSON pointers (RFC 6901), with stars.
//!
//! Promise: a text is a pointer that names what its writer meant, or a fault that says where it is not one. What is nearly always a slip is
//! refused, though the RFC would let it pass and name nothing: privacy hangs on pointers.

use std::fmt;
use std::str::FromStr;

use super::fault::Fault;

/// More segments than any field of a hit has. It bounds how deep a walk over a hit looks.
pub const MAX_SEGMENTS: usize = 32;

/// A field of a hit, or with stars several: `/pageURL`, `/evars/evars/evar1`, `/products/0/name`, `/props/*`.
///
/// Segments stand behind slashes, and are keys of objects or indices of arrays. `*` as a whole segment is every key and every index of its level. `~0` stands for
/// `~`, `~1` for `/`, and `~2` for `*` (which the RFC does not have).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointer {
    text: Box<str>,
    segments: Vec<Segment>,
}

/// What stands between two slashes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Segment {
    /// This key, unescaped; in an array the element of this index, if it is written as one.
    Key(Box<str>),
    /// Every key and every index.
    Any,
}

impl Pointer {
    /// Reads a pointer.
    ///
    /// # Errors
    /// If it does not begin with a slash, has an empty segment, a star beside other characters, an escape that is none, or more than
    /// [`MAX_SEGMENTS`] segments.
    pub fn parse(text: &str) -> Result<Self, Fault> {
        let fault = |at: usize, what: &str| Err(Fault::new(text, at, what));
        let Some(rest) = text.strip_prefix('/') else {
            return Err(Fault::new(text, 0, no_slash(text)));
        };
        let mut segments = Vec::new();
        let mut at = 1;
        for segment in rest.split('/') {
            if segments.len() == MAX_SEGMENTS {
                return fault(at, "a pointer has at most 32 segments");
            }
            if segment.is_empty() {
                return fault(
                    at,
                    if at == text.len() {
                        "nothing follows the slash: leave it out, or end in /* for all that is within"
                    } else {
                        "nothing stands between two slashes: leave one out, or write * for every key"
                    },
                );
            }
            segments.push(read_segment(segment).map_err(|fault| fault.within(text, at))?);
            at += segment.len() + 1;
        }
        Ok(Self {
            text: text.into(),
            segments,
        })
    }

    /// The member of the hit itself that has this key.
    pub fn of_key(key: &str) -> Self {
        let escaped = key.replace('~', "~0").replace('/', "~1").replace('*', "~2");
        Self {
            text: format!("/{escaped}").into(),
            segments: vec![Segment::Key(key.into())],
        }
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it has stars, and so may name several fields of one hit.
    pub fn is_wild(&self) -> bool {
        self.segments.contains(&Segment::Any)
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }
}

impl FromStr for Pointer {
    type Err = Fault;

    fn from_str(text: &str) -> Result<Self, Fault> {
        Self::parse(text)
    }
}

/// As it was written.
impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn read_segment(segment: &str) -> Result<Segment, Fault> {
    if segment == "*" {
        return Ok(Segment::Any);
    }
    let mut key = String::with_capacity(segment.len());
    let mut characters = segment.char_indices();
    while let Some((at, c)) = characters.next() {
        key.push(match c {
            '*' => {
                let what = "a star is a whole segment and stands for every key (~2 is a star in a key)";
                return Err(Fault::new(segment, at, what));
            }
            '~' => match characters.next() {
                Some((_, '0')) => '~',
                Some((_, '1')) => '/',
                Some((_, '2')) => '*',
                Some(_) | None => {
                    let what = "behind ~ comes 0, 1 or 2: ~0 is ~ itself, ~1 a slash and ~2 a star in a key";
                    return Err(Fault::new(segment, at, what));
                }
            },
            c => c,
        });
    }
    Ok(Segment::Key(key.into()))
}

/// What to say of a text without a slash in front: what was probably meant.
fn no_slash(text: &str) -> String {
    let path = text.strip_prefix("$.").unwrap_or(text);
    let spelled: String = if path.contains('/') {
        path.to_owned()
    } else {
        let separators = |c: char| if matches!(c, '.' | '[') { '/' } else { c };
        path.replace([']', '\'', '"'], "").chars().map(separators).collect()
    };
    let guess = format!("/{}", spelled.trim_matches('/'));
    match Pointer::parse(&guess) {
        Ok(_) => format!("a pointer begins with a slash: {guess} is probably meant"),
        Err(_) => "a pointer begins with a slash and names a field, such as /pageName".to_owned(),
    }
}

/// The index that a key is in an array: digits without a leading zero (RFC 6901, section 4).
pub(super) fn index(key: &str) -> Option<usize> {
    let is_index = key == "0" || (!key.starts_with('0') && key.bytes().all(|byte| byte.is_ascii_digit()));
    is_index.then(|| key.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(key: &str) -> Segment {
        Segment::Key(key.into())
    }

    fn segments(text: &str) -> Vec<Segment> {
        Pointer::parse(text).unwrap().segments
    }

    #[track_caller]
    fn refused(text: &str, at: usize, what: &str) {
        let fault = Pointer::parse(text).unwrap_err();
        assert_eq!(fault.offset(), at, "{fault}");
        assert!(fault.what().contains(what), "{fault}");
    }

    #[test]
    fn a_key_of_the_hit_itself_is_a_pointer() {
        for name in ["visIdHigh", "a/b~*", "*", "~1"] {
            let pointer = Pointer::of_key(name);
            assert_eq!(pointer, Pointer::parse(&pointer.to_string()).unwrap());
            assert_eq!(pointer.segments, [key(name)]);
        }
    }

    #[test]
    fn segments_are_keys_indices_and_stars() {
        assert_eq!(
            segments("/evars/evars/evar1"),
            [key("evars"), key("evars"), key("evar1")]
        );
        assert_eq!(segments("/products/0/*"), [key("products"), key("0"), Segment::Any]);
        assert_eq!(segments("/mobile\u{ad}Device"), [key("mobile\u{ad}Device")]);
        assert!(Pointer::parse("/props/*").unwrap().is_wild());
        assert!(!Pointer::parse("/props/~2").unwrap().is_wild());
    }

    #[test]
    fn escapes_stand_for_tilde_slash_and_star() {
        assert_eq!(segments("/a~0b/~1~01/~2"), [key("a~b"), key("/~1"), key("*")]);
        refused("/a/b~3", 4, "behind ~");
        refused("/a/b~", 4, "behind ~");
    }

    #[test]
    fn a_pointer_is_shown_as_it_was_written() {
        for text in ["/a", "/a~1b/*", "/~2"] {
            assert_eq!(Pointer::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn without_a_slash_the_fault_says_what_was_probably_meant() {
        for (text, meant) in [
            ("exclude.id", ": /exclude/id is"),
            ("evars/evars/evar1", ": /evars/evars/evar1 is"),
            ("$.products[0].name", ": /products/0/name is"),
            ("$.props['prop1']", ": /props/prop1 is"),
            ("pageName", ": /pageName is"),
            ("", "such as /pageName"),
            ("evar*", "such as /pageName"),
        ] {
            refused(text, 0, meant);
        }
    }

    #[test]
    fn what_is_nearly_always_a_slip_is_refused() {
        refused("/", 1, "nothing follows the slash");
        refused("/evars/", 7, "nothing follows the slash");
        refused("/evars//evar1", 7, "between two slashes");
        refused("/props/prop*", 11, "a star is a whole segment");
        refused(&"/a".repeat(33), 65, "at most 32");
        assert_eq!(segments(&"/a".repeat(32)).len(), 32);
    }

    #[test]
    fn an_index_has_no_leading_zero() {
        let keys = ["0", "7", "10", "01", "-", "", "1a", "99999999999999999999999", "+1"];
        let indices = [Some(0), Some(7), Some(10), None, None, None, None, None, None];
        assert_eq!(keys.map(index), indices);
    }
}
