//! Inflates a gzip stream that lasts for days: step by step, member after member.
//!
//! Promise: every byte that can be inflated from what has come is handed out by the calls that take it in, nothing is held back
//! for more; one call writes no more than its caller has room for, so a small input cannot burst into a large buffer; and damage
//! is reported once everything before it has been handed out.

use flate2::{Decompress, FlushDecompress, Status};
use thiserror::Error;

/// zlib's largest window, which every gzip stream may use.
const WINDOW_BITS: u8 = 15;

/// An incremental gzip decoder.
///
/// Where a member ends another may begin, at once and with its own header. Anything else there, zero padding included, is
/// damage: on a live connection it can only come from a fault.
#[derive(Debug)]
pub struct Gunzip {
    inflate: Decompress,
    place: Place,
    /// Damage that was found behind bytes that had to be handed out first.
    found: Option<CorruptGzip>,
}

/// Where in the stream we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Nothing came yet; the decoder is fresh.
    Start,
    /// In a header, in compressed data, or in a trailer.
    InMember,
    /// A trailer was the last thing read; the decoder is used up.
    AfterTrailer,
}

/// What one call did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many bytes of the input were taken in.
    pub consumed: usize,
    /// How many bytes of the output were written.
    pub produced: usize,
    /// Call again, with fresh room and the rest of the input, even if there is none: more can be said without more input.
    pub again: bool,
}

/// The compressed data is damaged; nothing after this can be trusted.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct CorruptGzip(pub &'static str);

impl Gunzip {
    /// A decoder that expects the header of a first member.
    pub fn new() -> Self {
        Self {
            inflate: fresh(),
            place: Place::Start,
            found: None,
        }
    }

    /// Inflates from `input` into `output`; see [`Step`].
    ///
    /// # Errors
    /// The data is damaged. Every later call says so again.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, CorruptGzip> {
        if let Some(damage) = &self.found {
            return Err(damage.clone());
        }
        if self.is_between_members() {
            if input.is_empty() {
                return Ok(Step {
                    consumed: 0,
                    produced: 0,
                    again: false,
                });
            }
            if self.place == Place::AfterTrailer {
                self.inflate = fresh();
            }
            self.place = Place::InMember;
        }

        let (consumed_before, produced_before) = (self.inflate.total_in(), self.inflate.total_out());
        let outcome = self.inflate.decompress(input, output, FlushDecompress::None);
        let consumed = (self.inflate.total_in() - consumed_before) as usize;
        let produced = (self.inflate.total_out() - produced_before) as usize;
        match outcome {
            Ok(Status::StreamEnd) => self.place = Place::AfterTrailer,
            Ok(Status::Ok | Status::BufError) => {}
            Err(error) => {
                let damage = CorruptGzip(describe(&error));
                self.found = Some(damage.clone());
                if produced == 0 {
                    return Err(damage);
                }
            }
        }
        let moved = consumed > 0 || produced > 0;
        let again = self.found.is_some()
            || (moved && consumed < input.len())
            // A full output may have left inflated bytes behind in the window, unless the member is over.
            || (produced == output.len() && !output.is_empty() && self.place == Place::InMember);
        Ok(Step {
            consumed,
            produced,
            again,
        })
    }

    /// Whether a trailer was the last thing read, or nothing came yet: the only places where a gzip stream may end.
    pub const fn is_between_members(&self) -> bool {
        match self.place {
            Place::Start | Place::AfterTrailer => true,
            Place::InMember => false,
        }
    }
}

impl Default for Gunzip {
    fn default() -> Self {
        Self::new()
    }
}

/// flate2 can reset a decoder to zlib or raw deflate only, so each member gets a decoder of its own. Members are rare.
fn fresh() -> Decompress {
    Decompress::new_gzip(WINDOW_BITS)
}

/// zlib's own messages, kept to those that we know: an error must not be made of what came over the wire.
fn describe(error: &flate2::DecompressError) -> &'static str {
    const KNOWN: [&str; 16] = [
        "incorrect header check",
        "unknown compression method",
        "invalid window size",
        "unknown header flags set",
        "header crc mismatch",
        "invalid block type",
        "invalid stored block lengths",
        "too many length or distance symbols",
        "invalid code lengths set",
        "invalid bit length repeat",
        "invalid code -- missing end-of-block",
        "invalid literal/length code",
        "invalid distance code",
        "invalid distance too far back",
        "incorrect data check",
        "incorrect length check",
    ];
    let message = error.message().unwrap_or_default();
    KNOWN
        .into_iter()
        .find(|known| *known == message)
        .unwrap_or("not valid gzip data")
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::write::GzEncoder;
    use flate2::{Compression, GzBuilder};
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    fn member(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    /// Feeds `pieces` one after another, with `room` bytes of output a call.
    fn gunzip<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, room: usize) -> (Vec<u8>, Result<bool, CorruptGzip>) {
        let mut gunzip = Gunzip::new();
        let mut plain = Vec::new();
        let mut output = vec![0; room];
        for mut input in pieces {
            loop {
                match gunzip.step(input, &mut output) {
                    Ok(step) => {
                        plain.extend_from_slice(&output[..step.produced]);
                        input = &input[step.consumed..];
                        if !step.again {
                            break;
                        }
                    }
                    Err(damage) => {
                        assert_eq!(
                            gunzip.step(b"more", &mut output),
                            Err(damage.clone()),
                            "damage is for good"
                        );
                        return (plain, Err(damage));
                    }
                }
            }
            assert!(
                input.is_empty(),
                "a step left input behind without asking to be called again"
            );
        }
        (plain, Ok(gunzip.is_between_members()))
    }

    fn text(bytes: usize) -> Vec<u8> {
        (0..)
            .flat_map(|n: u64| format!("{n},{};", n.wrapping_mul(0x9e37_79b9_7f4a_7c15)).into_bytes())
            .take(bytes)
            .collect()
    }

    #[test]
    fn a_sync_flush_holds_nothing_back() {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        let mut gunzip = Gunzip::new();
        let mut output = vec![0; 64 * 1024];
        for n in 0..2_000 {
            let record = format!("{{\"hit\":{n},\"page\":\"{}\"}}\r\n", n * 7919);
            encoder.write_all(record.as_bytes()).unwrap();
            encoder.flush().unwrap();
            let sent = std::mem::take(encoder.get_mut());
            let step = gunzip.step(&sent, &mut output).unwrap();
            assert_eq!(
                step,
                Step {
                    consumed: sent.len(),
                    produced: record.len(),
                    again: false
                },
                "record {n}"
            );
            assert_eq!(&output[..step.produced], record.as_bytes());
            assert!(!gunzip.is_between_members());
        }
    }

    #[test]
    fn several_members_in_a_row_are_one_stream() {
        let stream = [member(b"first "), member(b""), member(b"second "), member(b"third")].concat();
        assert_eq!(gunzip([&stream[..]], 64), (b"first second third".to_vec(), Ok(true)));
    }

    #[test]
    fn a_header_with_every_optional_field_is_read() {
        let mut encoder = GzBuilder::new()
            .filename("f")
            .comment("c")
            .extra(vec![1, 2, 3])
            .mtime(7)
            .write(Vec::new(), Compression::fast());
        encoder.write_all(b"plain").unwrap();
        let stream = encoder.finish().unwrap();
        for cut in 0..stream.len() {
            let (plain, end) = gunzip([&stream[..cut], &stream[cut..]], 2);
            assert_eq!((&plain[..], end), (&b"plain"[..], Ok(true)), "cut at {cut}");
        }
    }

    #[test]
    fn a_stream_that_ends_anywhere_but_after_a_trailer_is_known_to_be_cut() {
        let stream = member(&text(5_000));
        assert_eq!(gunzip([&[][..]], 64).1, Ok(true), "nothing came");
        for cut in 1..stream.len() {
            assert_eq!(gunzip([&stream[..cut]], 64).1, Ok(false), "cut at {cut}");
        }
    }

    #[test]
    fn what_follows_a_member_and_is_not_a_member_is_damage() {
        for tail in [&b"\0"[..], b"\0\0\0\0\0\0\0\0", b"garbage", b"\r\n", b"\x1f\x8c"] {
            let stream = [&member(b"plain")[..], tail].concat();
            let (plain, end) = gunzip([&stream[..]], 64);
            assert_eq!(plain, b"plain", "{tail:?}");
            if tail.len() > 1 {
                assert!(end.is_err(), "{tail:?}");
            } else {
                // One byte alone may still be a header's first; but it is not between members, so an end here is a cut.
                assert_ne!(end, Ok(true), "{tail:?}");
            }
        }
    }

    #[test]
    fn a_wrong_checksum_or_length_is_damage() {
        let stream = member(&text(1_000));
        for (back, why) in [(8, "incorrect data check"), (4, "incorrect length check")] {
            let mut stream = stream.clone();
            let at = stream.len() - back;
            stream[at] ^= 1;
            let (plain, end) = gunzip([&stream[..]], 64);
            assert_eq!((plain, end), (text(1_000), Err(CorruptGzip(why))));
        }
    }

    #[test]
    fn a_bomb_fills_the_room_it_is_given_and_no_more() {
        let stream = member(&vec![b'x'; 32 << 20]);
        let mut gunzip = Gunzip::new();
        let mut output = vec![0; 64 * 1024];
        let (mut input, mut total, mut again) = (&stream[..], 0, true);
        while again {
            let step = gunzip.step(input, &mut output).unwrap();
            input = &input[step.consumed..];
            total += step.produced;
            again = step.again;
        }
        assert_eq!((total, input.len(), gunzip.is_between_members()), (32 << 20, 0, true));
    }

    #[test]
    fn without_room_nothing_is_lost_and_nothing_spins() {
        let stream = member(b"plain");
        let mut gunzip = Gunzip::new();
        let mut input = &stream[..];
        for _ in 0..100 {
            let step = gunzip.step(input, &mut []).unwrap();
            input = &input[step.consumed..];
        }
        let mut output = [0; 16];
        let step = gunzip.step(input, &mut output).unwrap();
        assert_eq!(&output[..step.produced], b"plain");
    }

    #[test]
    fn damage_at_any_byte_never_panics_and_keeps_what_was_inflated_before_it() {
        let plain = text(3_000);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        // Where a flush ends, and how much plain text came before: what a receiver has in hand there cannot be taken back.
        let mut flushed = vec![(0, 0)];
        for (n, piece) in plain.chunks(300).enumerate() {
            encoder.write_all(piece).unwrap();
            encoder.flush().unwrap();
            flushed.push((encoder.get_ref().len(), 300 * (n + 1)));
        }
        let stream = encoder.finish().unwrap();
        let mut refused = 0;
        for at in 0..stream.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut damaged = stream.clone();
                damaged[at] ^= flip;
                let (got, end) = gunzip([&damaged[..]], 100);
                let (_, kept) = *flushed.iter().rev().find(|(end, _)| *end <= at).unwrap();
                assert!(
                    got.len() >= kept && got[..kept] == plain[..kept],
                    "byte {at} ^ {flip:#x}"
                );
                refused += usize::from(end.is_err());
                assert!(
                    got == plain || end != Ok(true),
                    "byte {at} ^ {flip:#x} changed the text and nothing noticed"
                );
            }
        }
        assert!(refused > 2 * stream.len(), "{refused} of {}", 3 * stream.len());
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(1), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_split_of_any_members_gives_the_same_bytes(
            members in prop::collection::vec(prop::collection::vec(prop::sample::select(&b"ab\r\n{}\0"[..]), 0..400), 0..5),
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
            room in 1..50_usize,
        ) {
            let stream: Vec<u8> = members.iter().flat_map(|plain| member(plain)).collect();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).chain([0, stream.len()]).collect();
            cuts.sort_unstable();
            let (plain, end) = gunzip(cuts.windows(2).map(|pair| &stream[pair[0]..pair[1]]), room);
            prop_assert_eq!(plain, members.concat());
            prop_assert_eq!(end, Ok(true));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), magic in any::<bool>()) {
            let head: &[u8] = if magic { &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255] } else { &[] };
            let _ = gunzip([head, &bytes], 64);
        }
    }
}
