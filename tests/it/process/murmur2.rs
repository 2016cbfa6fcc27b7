//! The partition that a Java client gives for a key, computed from the published algorithm and not by librdkafka.

const MIX: u32 = 0x5bd1_e995;
const SEED: u32 = 0x9747_b28c;

/// The partition, of so many, for `key`.
pub fn partition(key: &[u8], partitions: i32) -> i32 {
    let positive = hash(key) & 0x7fff_ffff;
    i32::try_from(positive).expect("31 bits") % partitions
}

/// `MurmurHash2` of 32 bits with Kafka's seed.
fn hash(key: &[u8]) -> u32 {
    let length = u32::try_from(key.len()).expect("keys are short");
    let mut words = key.chunks_exact(4);
    let mut hash = SEED ^ length;
    for word in &mut words {
        let mut word = u32::from_le_bytes(word.try_into().expect("4 bytes")).wrapping_mul(MIX);
        word ^= word >> 24;
        hash = hash.wrapping_mul(MIX) ^ word.wrapping_mul(MIX);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (place, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * place);
        }
        hash = hash.wrapping_mul(MIX);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

/// What Kafka's own tests expect of its Java code.
#[test]
fn the_hash_is_that_of_javas_client() {
    for (key, expected) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("abc", 479_470_107),
    ] {
        assert_eq!(hash(key.as_bytes()).cast_signed(), expected, "{key}");
    }
}
