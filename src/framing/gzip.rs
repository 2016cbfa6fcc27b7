//! Inflates a gzip stream that lasts for days: step by step, member after member.
//!
//! Promise: every byte that can be inflated from what has come is handed out by the calls that take it in, nothing is held back
//! for more; one call writes no more than its caller has room for, so a small input cannot burst into a large buffer; and damage
//! is reported once everything before it has been handed out.
//!
//! Header and trailer are read here (RFC 1952), and the inflater sees raw deflate only: then the checksum can be computed with the
//! processor's own instruction for it, and one decoder serves all members.

use crc32fast::Hasher;
use flate2::{Decompress, FlushDecompress, Status};
use thiserror::Error;

use super::gzip_header::GzipHeader;

/// CRC-32 and length of the plain bytes, both little-endian.
const TRAILER_BYTES: usize = 8;

/// An incremental gzip decoder.
///
/// Where a member ends another may begin, at once and with its own header. Anything else there, zero padding included, is
/// damage: on a live connection it can only come from a fault.
#[derive(Debug)]
pub struct Gunzip {
    inflate: Decompress,
    place: Place,
    /// The checksum and length of the member's plain bytes so far.
    plain: Hasher,
    plain_bytes: u32,
    /// Damage that was found behind bytes that had to be handed out first.
    found: Option<CorruptGzip>,
}

/// Where in the stream we are.
#[derive(Debug)]
enum Place {
    /// Nothing came yet, or a trailer was the last thing read.
    Between,
    Header(GzipHeader),
    /// In compressed data.
    Data,
    /// In a trailer, of which so many bytes have come.
    Trailer([u8; TRAILER_BYTES], usize),
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
            inflate: Decompress::new(false),
            place: Place::Between,
            plain: Hasher::new(),
            plain_bytes: 0,
            found: None,
        }
    }

    /// Inflates from `input` into `output`; see [`Step`]. One call goes no further than the end of a member.
    ///
    /// # Errors
    /// The data is damaged. Every later call says so again.
    pub fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, CorruptGzip> {
        if let Some(damage) = &self.found {
            return Err(damage.clone());
        }
        let mut step = Step {
            consumed: 0,
            produced: 0,
            again: false,
        };
        if let Err(damage) = self.go(input, output, &mut step) {
            self.found = Some(damage.clone());
            if step.produced == 0 {
                return Err(damage);
            }
        }
        let moved = step.consumed > 0 || step.produced > 0;
        step.again = self.found.is_some()
            || (moved && step.consumed < input.len())
            // A full output may have left inflated bytes behind in the window, unless the member is over.
            || (step.produced == output.len() && !output.is_empty() && matches!(self.place, Place::Data));
        Ok(step)
    }

    /// Through the parts of one member, as far as input and output go.
    fn go(&mut self, input: &[u8], output: &mut [u8], step: &mut Step) -> Result<(), CorruptGzip> {
        if matches!(self.place, Place::Between) {
            if input.is_empty() {
                return Ok(());
            }
            self.place = Place::Header(GzipHeader::default());
        }
        if let Place::Header(header) = &mut self.place {
            step.consumed = header.take(input)?;
            if !header.is_whole() {
                return Ok(());
            }
            self.inflate.reset(false);
            self.plain.reset();
            self.plain_bytes = 0;
            self.place = Place::Data;
        }
        if matches!(self.place, Place::Data) {
            let (consumed, produced, outcome) = self.inflate(&input[step.consumed..], output);
            step.consumed += consumed;
            step.produced = produced;
            self.plain.update(&output[..produced]);
            self.plain_bytes = self.plain_bytes.wrapping_add(produced as u32);
            match outcome? {
                Status::StreamEnd => self.place = Place::Trailer([0; TRAILER_BYTES], 0),
                Status::Ok | Status::BufError => {}
            }
        }
        if let Place::Trailer(trailer, filled) = &mut self.place {
            let rest = &input[step.consumed..];
            let more = rest.len().min(TRAILER_BYTES - *filled);
            trailer[*filled..*filled + more].copy_from_slice(&rest[..more]);
            *filled += more;
            step.consumed += more;
            if *filled == TRAILER_BYTES {
                let expected = u64::from(self.plain_bytes) << 32 | u64::from(self.plain.clone().finalize());
                check(u64::from_le_bytes(*trailer), expected)?;
                self.place = Place::Between;
            }
        }
        Ok(())
    }

    fn inflate(&mut self, input: &[u8], output: &mut [u8]) -> (usize, usize, Result<Status, CorruptGzip>) {
        let (consumed_before, produced_before) = (self.inflate.total_in(), self.inflate.total_out());
        let outcome = self.inflate.decompress(input, output, FlushDecompress::None);
        let consumed = (self.inflate.total_in() - consumed_before) as usize;
        let produced = (self.inflate.total_out() - produced_before) as usize;
        (
            consumed,
            produced,
            outcome.map_err(|error| CorruptGzip(describe(&error))),
        )
    }

    /// Whether a trailer was the last thing read, or nothing came yet: the only places where a gzip stream may end.
    pub const fn is_between_members(&self) -> bool {
        matches!(self.place, Place::Between)
    }
}

impl Default for Gunzip {
    fn default() -> Self {
        Self::new()
    }
}

/// Length above checksum, as they stand in a trailer.
const fn check(told: u64, expected: u64) -> Result<(), CorruptGzip> {
    if told as u32 != expected as u32 {
        return Err(CorruptGzip("incorrect data check"));
    }
    if told != expected {
        return Err(CorruptGzip("incorrect length check"));
    }
    Ok(())
}

/// zlib's own messages, kept to those that we know: an error must not be made of what came over the wire.
fn describe(error: &flate2::DecompressError) -> &'static str {
    const KNOWN: [&str; 11] = [
        "invalid block type",
        "invalid stored block lengths",
        "too many length or distance symbols",
        "invalid code lengths set",
        "invalid bit length repeat",
        "invalid code -- missing end-of-block",
        "invalid literal/lengths set",
        "invalid distances set",
        "invalid literal/length code",
        "invalid distance code",
        "invalid distance too far back",
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
