//! What is done to a field that holds personal data: removed, hashed, masked, an address made coarser.
//!
//! Promise: what an action cannot be applied to is removed, and never left as it is; but for `null`, which stays, because it tells nothing. Hashes are the same
//! after a restart and on every machine that has the key.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::fmt;
use std::io::Write;

use ring::hmac;

use super::text::{Meaning, meaning, write_string};

/// Shorter keys can be found by trying.
pub const MIN_KEY_BYTES: usize = 16;

/// How many characters a mask leaves if nothing else is said.
pub const MASK_LEAVES: usize = 4;

/// The key that fields are hashed with. It shows its id and nothing else.
#[derive(Clone)]
pub struct HashKey {
    key: hmac::Key,
    id: Box<str>,
}

/// The key is shorter than [`MIN_KEY_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key for hashes needs at least {MIN_KEY_BYTES} bytes and has {0}: make one with `openssl rand -hex 32`")]
pub struct KeyTooShort(pub usize);

impl HashKey {
    /// Takes the bytes of a key as they are: who reads them from a file strips its line ending before.
    ///
    /// # Errors
    /// If they are fewer than [`MIN_KEY_BYTES`].
    pub fn new(bytes: &[u8]) -> Result<Self, KeyTooShort> {
        if bytes.len() < MIN_KEY_BYTES {
            return Err(KeyTooShort(bytes.len()));
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, bytes);
        let mut id = Vec::new();
        write_hex(&hmac::sign(&key, b"livestreamd: id of this key").as_ref()[..8], &mut id);
        let id = String::from_utf8_lossy(&id).into_owned().into();
        Ok(Self { key, id })
    }

    /// Tells keys apart and says nothing of them: 16 hex digits, computed from the key. Hashes of different key ids cannot be compared.
    pub fn id(&self) -> &str {
        &self.id
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HashKey({})", self.id)
    }
}

/// What is done to a field.
#[derive(Clone, Debug)]
pub enum Action {
    /// The field is left out.
    Remove,
    /// Its HMAC-SHA-256 stands in its place, as 64 hex digits in a string: of a string's characters in UTF-8, of a number, `true` or `false` as it is written,
    /// of an object or an array the whole text. So `1` and `"1"` have the same hash, and nothing of what is nested stays readable, keys included.
    Hash(HashKey),
    /// An address in a string loses what tells one visitor from the next: IPv4 keeps 24 bits, IPv6 keeps 48, and IPv4 in IPv6 keeps 24 of the IPv4. What is no
    /// address is removed.
    TruncateIp,
    /// Stars in place of all but the last characters (not bytes), as a string; of all, if there are no more than `leaves`, and of `true` and `false`. Objects
    /// and arrays are removed.
    Mask {
        /// How many characters are left; see [`MASK_LEAVES`].
        leaves: usize,
    },
}

/// What an action makes of a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Effect {
    /// It stays as it is.
    Keep,
    /// Nothing stands in its place.
    Remove,
    /// What [`Action::write`] writes stands in its place.
    Replace,
}

impl Action {
    /// What becomes of this value.
    pub(super) fn effect(&self, value: &str, buffer: &mut String) -> Effect {
        match (self, meaning(value, buffer)) {
            (Self::Hash(_) | Self::TruncateIp | Self::Mask { .. }, Meaning::Null) => Effect::Keep,
            (Self::TruncateIp, Meaning::String(text)) if Address::parse(text).is_none() => Effect::Remove,
            (Self::Remove, _)
            | (Self::TruncateIp, Meaning::Number(_) | Meaning::True | Meaning::False | Meaning::Nested)
            | (Self::Mask { .. }, Meaning::Nested) => Effect::Remove,
            (Self::Hash(_), _)
            | (Self::TruncateIp, Meaning::String(_))
            | (Self::Mask { .. }, Meaning::String(_) | Meaning::Number(_) | Meaning::True | Meaning::False) => {
                Effect::Replace
            }
        }
    }

    /// Writes what stands in place of a value that is to be replaced, without quotes: nothing in it needs an escape but what a mask leaves.
    pub(super) fn write(&self, value: &str, buffer: &mut String, out: &mut Vec<u8>) {
        let meaning = meaning(value, buffer);
        let text = match meaning {
            Meaning::String(text) => text,
            Meaning::Number(_) | Meaning::True | Meaning::False | Meaning::Null | Meaning::Nested => value,
        };
        match self {
            Self::Hash(key) => write_hex(hmac::sign(&key.key, text.as_bytes()).as_ref(), out),
            Self::TruncateIp => {
                if let Some(address) = Address::parse(text) {
                    address.write(out);
                }
            }
            Self::Mask { leaves } => {
                let leaves = match meaning {
                    Meaning::String(_) | Meaning::Number(_) => *leaves,
                    Meaning::True | Meaning::False | Meaning::Null | Meaning::Nested => 0,
                };
                let count = text.chars().count();
                let hidden = if count > leaves { count - leaves } else { count };
                out.resize(out.len() + hidden, b'*');
                out.extend(text.chars().skip(hidden).flat_map(|c| {
                    let mut bytes = [0; 4];
                    let length = c.encode_utf8(&mut bytes).len();
                    bytes.into_iter().take(length)
                }));
            }
            Self::Remove => {}
        }
    }

    /// The same as a JSON string.
    pub(super) fn write_quoted(&self, value: &str, buffers: &mut Buffers, out: &mut Vec<u8>) {
        match self {
            Self::Mask { .. } => {
                buffers.plain.clear();
                self.write(value, &mut buffers.text, &mut buffers.plain);
                write_string(std::str::from_utf8(&buffers.plain).unwrap_or_default(), out);
            }
            Self::Hash(_) | Self::TruncateIp | Self::Remove => {
                out.push(b'"');
                self.write(value, &mut buffers.text, out);
                out.push(b'"');
            }
        }
    }
}

/// Room for texts on the way, used again and again.
#[derive(Default)]
pub(super) struct Buffers {
    pub(super) text: String,
    pub(super) plain: Vec<u8>,
}

/// An address without the bits that are cut off. Addresses are no sockets: this is as pure as the rest.
enum Address {
    V4(Ipv4Addr),
    V6(Ipv6Addr),
}

impl Address {
    fn parse(text: &str) -> Option<Self> {
        let v4 = |address: Ipv4Addr| {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, 0)
        };
        if let Ok(address) = text.parse::<Ipv4Addr>() {
            return Some(Self::V4(v4(address)));
        }
        let address = text.parse::<Ipv6Addr>().ok()?;
        if let Some(mapped) = address.to_ipv4_mapped() {
            return Some(Self::V6(v4(mapped).to_ipv6_mapped()));
        }
        let [a, b, mut c, ..] = address.segments();
        // 6to4 (RFC 3056): an IPv4 address stands behind 2002.
        if a == 0x2002 {
            c &= 0xff00;
        }
        Some(Self::V6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0)))
    }

    fn write(&self, out: &mut Vec<u8>) {
        // Writing into memory does not fail.
        let _ = match self {
            Self::V4(address) => write!(out, "{address}"),
            Self::V6(address) => write!(out, "{address}"),
        };
    }
}

fn write_hex(bytes: &[u8], out: &mut Vec<u8>) {
    let digit = |nibble: u8| b"0123456789abcdef"[usize::from(nibble)];
    out.extend(bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]));
}

#[cfg(test)]
#[path = "privacy_tests.rs"]
mod tests;
