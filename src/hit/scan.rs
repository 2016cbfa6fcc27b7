//! Walks the members of one JSON object (RFC 8259) without building anything of it.
//!
//! [`members`] is the walk that finds ids. The walk that looks further in (`shape/selection`) is made of the same steps, [`Scan`], and not the
//! same loop: this one has one place for all depths, and a question at each bracket would cost every hit that is not shaped.
//!
//! Promise: every byte is checked against the grammar; the stack does not grow with the depth of what is nested, and memory by a bit a
//! level. The text is UTF-8, which the caller has checked. Of strings only the grammar is checked, not whether surrogates come in pairs,
//! and of numbers not whether a machine type holds them.
//!
//! It is most of what a hit costs beside inflating and compressing, so it is written for speed: a string is looked through 32
//! bytes at a time, and what hits are mostly made of, `"key":"value",`, comes first in every choice.

#![expect(
    clippy::inline_always,
    reason = "measured: the walk is one loop, and a call in it costs as much as the work"
)]

use wide::u8x16;

/// The text breaks the grammar, or breaks off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotJson;

/// A member of the object: its key as it stands between the quotes, whether that has escapes, and the text of its value.
pub(super) struct Member<'a> {
    pub(super) key: &'a [u8],
    pub(super) is_escaped: bool,
    pub(super) value: &'a [u8],
}

/// Shows each member of the object that begins at `from`, where a `{` stands. Returns where the object ends.
pub(super) fn members<'a>(text: &'a [u8], from: usize, mut show: impl FnMut(Member<'a>)) -> Result<usize, NotJson> {
    let mut scan = Scan { text, at: from + 1 };
    if scan.token()? == b'}' {
        return Ok(scan.at + 1);
    }
    let mut nested = Nested::default();
    let mut key = scan.key()?;
    let mut value_at = scan.at;
    'value: loop {
        let first = scan.token()?;
        if nested.depth == 0 {
            value_at = scan.at;
        }
        match first {
            b'"' => {
                scan.at += 1;
                scan.string()?;
            }
            b'{' => {
                scan.at += 1;
                nested.open(true);
                if scan.token()? != b'}' {
                    scan.key()?;
                    continue 'value;
                }
            }
            b'[' => {
                scan.at += 1;
                nested.open(false);
                if scan.token()? != b']' {
                    continue 'value;
                }
            }
            b'-' | b'0'..=b'9' => scan.number(first)?,
            b't' => scan.word(b"true")?,
            b'f' => scan.word(b"false")?,
            b'n' => scan.word(b"null")?,
            _ => return Err(NotJson),
        }
        // Behind a value, or at the bracket that closes an empty one.
        loop {
            if nested.depth == 0 {
                show(Member {
                    key: &text[key.start..key.end],
                    is_escaped: key.is_escaped,
                    value: &text[value_at..scan.at],
                });
            }
            loop {
                let next = scan.token()?;
                scan.at += 1;
                if next == b',' {
                    if nested.in_object() {
                        let next = scan.key()?;
                        if nested.depth == 0 {
                            key = next;
                        }
                    }
                    continue 'value;
                }
                if next != if nested.in_object() { b'}' } else { b']' } {
                    return Err(NotJson);
                }
                if nested.depth == 0 {
                    return Ok(scan.at);
                }
                nested.close();
                if nested.depth == 0 {
                    break;
                }
            }
        }
    }
}

/// Where a key stands, without its quotes.
pub(crate) struct Key {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) is_escaped: bool,
}

/// The objects and arrays around the present place, the object that is walked not counted.
#[derive(Default)]
struct Nested {
    depth: usize,
    /// A bit for each level that is an object; the innermost is the lowest. Those of the outermost object itself are not here.
    objects: u64,
    /// 64 levels each, further out.
    outer: Vec<u64>,
}

impl Nested {
    #[inline]
    fn open(&mut self, object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.objects);
        }
        self.objects = self.objects << 1 | u64::from(object);
        self.depth += 1;
    }

    #[inline]
    fn close(&mut self) {
        self.depth -= 1;
        self.objects >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.objects = self.outer.pop().unwrap_or_default();
        }
    }

    #[inline]
    const fn in_object(&self) -> bool {
        self.depth == 0 || self.objects & 1 == 1
    }
}

/// A place in a text, and the steps over what stands there.
pub(crate) struct Scan<'a> {
    pub(crate) text: &'a [u8],
    /// How many bytes are behind.
    pub(crate) at: usize,
}

impl Scan<'_> {
    #[inline(always)]
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    /// The next byte that is not space, and moves there.
    #[inline(always)]
    pub(crate) fn token(&mut self) -> Result<u8, NotJson> {
        match self.peek() {
            Some(byte) if byte > b' ' => Ok(byte),
            Some(_) | None => self.token_after_space(),
        }
    }

    #[cold]
    fn token_after_space(&mut self) -> Result<u8, NotJson> {
        self.at += space(&self.text[self.at..]);
        self.peek().ok_or(NotJson)
    }

    /// A key and its colon.
    #[inline(always)]
    pub(crate) fn key(&mut self) -> Result<Key, NotJson> {
        if self.token()? != b'"' {
            return Err(NotJson);
        }
        self.at += 1;
        let start = self.at;
        let is_escaped = self.string()?;
        let end = self.at - 1;
        if self.token()? != b':' {
            return Err(NotJson);
        }
        self.at += 1;
        Ok(Key { start, end, is_escaped })
    }

    /// From a value's first byte to behind the value, whatever is nested in it.
    #[inline(always)]
    pub(crate) fn value(&mut self, first: u8) -> Result<(), NotJson> {
        match first {
            b'"' => {
                self.at += 1;
                self.string().map(drop)
            }
            b'{' | b'[' => self.nested(first),
            first => self.plain_value(first),
        }
    }

    /// From the first byte of what is neither a string nor nested to behind it.
    #[inline(always)]
    fn plain_value(&mut self, first: u8) -> Result<(), NotJson> {
        match first {
            b'-' | b'0'..=b'9' => self.number(first),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'n' => self.word(b"null"),
            _ => Err(NotJson),
        }
    }

    /// From an opening bracket to behind the one that closes it.
    #[inline(never)]
    fn nested(&mut self, first: u8) -> Result<(), NotJson> {
        let mut nested = Nested::default();
        let mut first = first;
        'value: loop {
            match first {
                b'"' => {
                    self.at += 1;
                    self.string()?;
                }
                b'{' => {
                    self.at += 1;
                    nested.open(true);
                    if self.token()? != b'}' {
                        self.key()?;
                        first = self.token()?;
                        continue 'value;
                    }
                }
                b'[' => {
                    self.at += 1;
                    nested.open(false);
                    first = self.token()?;
                    if first != b']' {
                        continue 'value;
                    }
                }
                first => self.plain_value(first)?,
            }
            loop {
                let next = self.token()?;
                self.at += 1;
                if next == b',' {
                    if nested.in_object() {
                        self.key()?;
                    }
                    first = self.token()?;
                    continue 'value;
                }
                if next != if nested.in_object() { b'}' } else { b']' } {
                    return Err(NotJson);
                }
                nested.close();
                if nested.depth == 0 {
                    return Ok(());
                }
            }
        }
    }

    /// From behind the opening quote to behind the closing one. Whether there are escapes between them.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, NotJson> {
        let mut is_escaped = false;
        loop {
            let rest = self.text.get(self.at..).ok_or(NotJson)?;
            let Some(plain) = plain(rest) else {
                self.at += STEP;
                continue;
            };
            self.at += plain;
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(is_escaped);
                }
                Some(b'\\') => {
                    is_escaped = true;
                    self.escape()?;
                }
                Some(_) | None => return Err(NotJson),
            }
        }
    }

    /// From a backslash to behind its escape.
    #[inline(never)]
    fn escape(&mut self) -> Result<(), NotJson> {
        let length = match self.text.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
            Some(b'u') => {
                let hex = self.text.get(self.at + 2..self.at + 6).ok_or(NotJson)?;
                if !hex.iter().all(u8::is_ascii_hexdigit) {
                    return Err(NotJson);
                }
                6
            }
            Some(_) | None => return Err(NotJson),
        };
        self.at += length;
        Ok(())
    }

    #[inline(always)]
    fn number(&mut self, first: u8) -> Result<(), NotJson> {
        if first == b'-' {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    /// One digit or more.
    #[inline(always)]
    fn digits(&mut self) -> Result<(), NotJson> {
        let from = self.at;
        while let Some(b'0'..=b'9') = self.peek() {
            self.at += 1;
        }
        if self.at > from { Ok(()) } else { Err(NotJson) }
    }

    fn word(&mut self, word: &[u8]) -> Result<(), NotJson> {
        if !self.text[self.at..].starts_with(word) {
            return Err(NotJson);
        }
        self.at += word.len();
        Ok(())
    }
}

/// How many bytes at the start of `text` JSON counts as space between tokens.
pub(crate) fn space(text: &[u8]) -> usize {
    let other = |byte: &u8| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
    text.iter().position(other).unwrap_or(text.len())
}

/// What is looked through at a time.
const STEP: usize = 32;

/// How many bytes of a string pass before the first that ends it, escapes something, or may not stand there; at the end of the text that
/// is their number. `None` if a whole step passes.
#[inline(always)]
fn plain(text: &[u8]) -> Option<usize> {
    let Some((low, rest)) = text.split_first_chunk::<16>() else {
        return Some(plain_at_the_end(text));
    };
    let Some(high) = rest.first_chunk::<16>() else {
        return Some(plain_at_the_end(text));
    };
    let marks = marks(*low) | marks(*high) << 16;
    (marks != 0).then(|| marks.trailing_zeros() as usize)
}

#[cold]
fn plain_at_the_end(text: &[u8]) -> usize {
    let end = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    text.iter().position(end).unwrap_or(text.len())
}

/// A bit for each byte that is a quote, a backslash or a control character.
#[inline(always)]
fn marks(bytes: [u8; 16]) -> u32 {
    let bytes = u8x16::new(bytes);
    let is_control = bytes.min(u8x16::splat(0x1f)).simd_eq(bytes);
    (bytes.simd_eq(u8x16::splat(b'"')) | bytes.simd_eq(u8x16::splat(b'\\')) | is_control).to_bitmask()
}
