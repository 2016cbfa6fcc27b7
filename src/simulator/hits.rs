//! Makes hits that look like those of Live Stream (protocol notes, section 8): 1.5 to 4 KB of JSON each.
//!
//! A hit depends on nothing but seed, stream, its number and its time, so that it can be made again byte by byte when the
//! service repeats it, and nothing needs to be kept. Ids never repeat within a stream. Visitors take turns: each visitor has one
//! hit in every round of `visitors` hits, and the round's number is the hit's sequence number within its visitor, written as the
//! last prop ([`sequence_of`] reads it back).
//!
//! Fields come, go and change their types as section 8 lists. The ids are always plain numbers, except in
//! [`HitMaker::write_odd`]. No person's data is in it: addresses and hosts are those reserved for documentation.

use super::random::{Random, key_of, mix};
use super::vocabulary as words;

/// What stands in front of the sequence number of a hit within its visitor.
const SEQUENCE: &[u8] = b"\"prop75\":\"";

/// What stands in front of the lower half of a visitor's id.
const VISITOR: &[u8] = b"\"visIdLow\":";

/// The two halves of a hit's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HitId {
    /// `hitIdHigh`.
    pub high: u64,
    /// `hitIdLow`.
    pub low: u64,
}

/// The sequence number of a hit within its visitor (from 0, without holes as the hits are made), read from a record that the
/// simulator wrote.
pub fn sequence_of(record: &[u8]) -> Option<u64> {
    let start = record.windows(SEQUENCE.len()).position(|window| window == SEQUENCE)? + SEQUENCE.len();
    let digits = record[start..].split(|byte| *byte == b'"').next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// What tells the visitor of a hit from the stream's others (`visIdLow`), read from a record that the simulator wrote.
pub fn visitor_of(record: &[u8]) -> Option<u64> {
    let start = record.windows(VISITOR.len()).position(|window| window == VISITOR)? + VISITOR.len();
    let digits = record[start..].split(|byte| !byte.is_ascii_digit()).next()?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Makes the hits of one stream.
#[derive(Clone, Debug)]
pub struct HitMaker {
    key: u64,
    visitors: u64,
    report_suite: Vec<u8>,
}

/// How the ids of a hit can be odd. Such a record is a hit all the same (design, "De-duplication").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OddId {
    Missing,
    Text,
    TooLarge,
    Doubled,
}

impl HitMaker {
    /// Makes the hits of the stream with this name. `visitors` is rounded up to a power of two.
    pub fn new(seed: u64, stream: &str, report_suite: &str, visitors: u32) -> Self {
        let report_suite = report_suite
            .chars()
            .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'))
            .collect::<String>();
        Self {
            key: mix(seed ^ key_of(stream)),
            visitors: u64::from(visitors.max(1)).next_power_of_two(),
            report_suite: report_suite.into_bytes(),
        }
    }

    /// The id of the hit with this number: different for every number.
    pub const fn id(&self, number: u64) -> HitId {
        // `mix` is a bijection, so the lower half alone is unique within the stream; the upper half tells streams apart.
        HitId {
            high: mix(self.key.wrapping_add(mix(number))),
            low: mix(number ^ self.key),
        }
    }

    /// Which visitor made the hit with this number.
    pub const fn visitor(&self, number: u64) -> u64 {
        // A permutation within each round, another one in the next: an odd factor is invertible modulo a power of two.
        let round = number / self.visitors;
        (number.wrapping_mul(0x9E37_79B1).wrapping_add(mix(round))) & (self.visitors - 1)
    }

    /// Writes the hit with this number to the end of `out`, without a line end. `time` is in Unix seconds.
    pub fn write(&self, number: u64, time: u64, out: &mut Vec<u8>) {
        self.write_hit(number, time, None, 0, out);
    }

    /// Writes a hit of at least `bytes` bytes.
    pub(super) fn write_long(&self, number: u64, time: u64, bytes: usize, out: &mut Vec<u8>) {
        self.write_hit(number, time, None, bytes, out);
    }

    /// Writes a hit whose ids cannot be used.
    pub(super) fn write_odd(&self, number: u64, time: u64, odd: OddId, out: &mut Vec<u8>) {
        self.write_hit(number, time, Some(odd), 0, out);
    }

    fn write_hit(&self, number: u64, time: u64, odd: Option<OddId>, at_least: usize, buffer: &mut Vec<u8>) {
        let start = buffer.len();
        let random = &mut Random::new(self.key ^ mix(number.wrapping_add(1)));
        let visitor = self.visitor(number);
        let out = &mut Json(buffer);
        // Two draws: most hits are of middling length.
        let length = 1_500 + (random.below(1_000) + random.below(1_000)) as usize;

        out.text("{\"bot\":\"<Not a bot>\",\"browser\":")
            .quoted(random.pick(words::BROWSERS));
        out.text(",\"browserHeight\":").number(random.between(500, 1_400));
        out.text(",\"browserWidth\":").number(random.between(320, 2_560));
        out.text(",\"cookies\":\"")
            .text(if random.once_in(9) { "N" } else { "Y" });
        out.text("\",\"currency\":\"EUR\",\"evars\":{\"evars\":{\"campaign\":")
            .quoted(random.pick(words::CAMPAIGNS));
        let mut evar = 1;
        while evar <= 200 && out.0.len() - start < length / 2 {
            out.text(",\"evar").number(evar).text("\":\"");
            phrase(random, out);
            out.text("\"");
            evar += random.between(1, 4);
        }
        if at_least > 0 {
            out.text(",\"evar250\":\"");
            while out.0.len() - start < at_least {
                phrase(random, out);
                out.text(" ");
            }
            out.text("\"");
        }
        out.text("}}");
        events(random, out);
        exclude(random, out);
        place(random, out);
        self.ids(number, odd, out);
        out.text(",\"hitSource\":1,\"ip\":\"");
        address(visitor, out);
        out.text("\",\"javascript\":\"Y\",\"language\":")
            .quoted(random.pick(words::LANGUAGES));
        drifting_fields(random, out);
        list_variables(random, out);
        out.text(",\"os\":").quoted(random.pick(words::OPERATING_SYSTEMS));
        page(random, out);
        products(random, out);
        let mut prop = 1;
        out.text(",\"props\":{");
        while prop < 75 && out.0.len() - start < length.saturating_sub(330) {
            out.text("\"prop").number(prop).text("\":\"");
            phrase(random, out);
            out.text("\",");
            prop += random.between(1, 3);
        }
        out.text("\"prop75\":\"").number(number / self.visitors).text("\"}");
        out.text(",\"receivedTimeGMT\":").number(time);
        if random.once_in(4) {
            out.text(",\"referrer\":").quoted(random.pick(words::REFERRERS));
        }
        out.text(",\"reportSuite\":\"");
        out.0.extend_from_slice(&self.report_suite);
        // A customer may set the time of a hit; as a rule it lies a little before its receipt.
        out.text("\",\"timeGMT\":").number(time.saturating_sub(random.below(3)));
        out.text(",\"truncated\":false,\"userAgent\":\"");
        if random.once_in(12) {
            out.text("Mozilla\\/5.0 (X11; Linux x86_64) Example\\/1.0");
        }
        out.text("\",\"visIdHigh\":").number(mix(self.key ^ (visitor << 1) ^ 1));
        out.text(",\"visIdLow\":").number(mix(self.key.wrapping_add(visitor)));
        out.text(",\"visIdType\":")
            .number(3 + 2 * (visitor % 2))
            .text(",\"visitNumber\":")
            .number(1 + number / self.visitors / 20);
        out.text("}");
    }

    fn ids(&self, number: u64, odd: Option<OddId>, out: &mut Json<'_>) {
        let HitId { high, low } = self.id(number);
        match odd {
            None => {
                out.text(",\"hitIdHigh\":")
                    .number(high)
                    .text(",\"hitIdLow\":")
                    .number(low);
            }
            Some(OddId::Missing) => {}
            Some(OddId::Text) => {
                out.text(",\"hitIdHigh\":\"0")
                    .number(high)
                    .text("\",\"hitIdLow\":\"0")
                    .number(low)
                    .text("\"");
            }
            Some(OddId::TooLarge) => {
                // Three more digits than any unsigned 64-bit number has.
                out.text(",\"hitIdHigh\":9")
                    .number(u64::MAX - 999)
                    .text("99,\"hitIdLow\":")
                    .number(low);
            }
            Some(OddId::Doubled) => {
                out.text(",\"hitIdHigh\":")
                    .number(high)
                    .text(",\"hitIdLow\":")
                    .number(low);
                out.text(",\"hitIdHigh\":")
                    .number(low)
                    .text(",\"hitIdLow\":")
                    .number(high);
            }
        }
    }
}

fn events(random: &mut Random, out: &mut Json<'_>) {
    out.text(",\"events\":{");
    let mut event = random.between(1, 20);
    for place in 0..random.between(1, 4) {
        if place > 0 {
            out.text(",");
        }
        // count x 10^exponent
        out.text("\"event")
            .number(event)
            .text("\":[{\"count\":")
            .number(random.between(1, 9_999));
        out.text(",\"exponent\":")
            .text(if random.once_in(5) { "-2" } else { "0" })
            .text(",\"unique\":\"");
        if random.once_in(6) {
            out.number(random.next());
        }
        out.text("\"}]");
        event += random.between(1, 60);
    }
    out.text("}");
}

fn exclude(random: &mut Random, out: &mut Json<'_>) {
    let quote = if random.once_in(3) { "" } else { "\"" };
    let (id, value, description) = if random.once_in(40) {
        (5, "yes", "excluded by ip address")
    } else {
        (0, "no", "include")
    };
    out.text(",\"exclude\":{\"id\":").text(quote).number(id).text(quote);
    out.text(",\"value\":\"")
        .text(value)
        .text("\",\"description\":\"")
        .text(description)
        .text("\"}");
}

fn place(random: &mut Random, out: &mut Json<'_>) {
    if let Some((city, country, lat, lon)) = random.pick(words::CITIES).copied().filter(|_| !random.once_in(8)) {
        out.text(",\"geoCity\":\"")
            .text(city)
            .text("\",\"geoCountry\":\"")
            .text(country);
        out.text("\",\"lat\":\"")
            .text(lat)
            .text("\",\"lon\":\"")
            .text(lon)
            .text("\"");
    }
}

/// Fields that the guide, its example and its release notes give different types.
fn drifting_fields(random: &mut Random, out: &mut Json<'_>) {
    if random.once_in(3) {
        let shape = random.below(3);
        out.text(",\"hierarchies\":{\"hier1\":{\"delim\":")
            .text(["\"|\"", "124", "\"\""][shape as usize]);
        out.text(",\"values\":")
            .text(["[\"shop\",\"garden\"]", "\"shop|garden\"", "[]"][shape as usize])
            .text("}}");
    }
    if random.once_in(3) {
        out.text(",\"mobileAudioSupport\":")
            .text(if random.once_in(2) { "true" } else { "\"mp3,aac\"" });
    }
    if random.once_in(3) {
        let shape = if random.once_in(2) {
            "{}"
        } else {
            "[{\"id\":\"118203:0:0\"}]"
        };
        out.text(",\"tnt\":").text(shape).text(",\"tntAction\":").text(shape);
    }
    if random.once_in(25) {
        // A soft hyphen within a key has been seen.
        out.text(",\"mobile\u{ad}Device\":\"phone\"");
    }
    if random.once_in(2) {
        out.text(",\"mcVisIdHigh\":")
            .number(random.next())
            .text(",\"mcVisIdLow\":")
            .number(random.next());
    }
}

fn list_variables(random: &mut Random, out: &mut Json<'_>) {
    out.text(",\"mvvars\":{");
    for list in 1..=random.below(3) {
        if list > 1 {
            out.text(",");
        }
        out.text("\"").number(list).text("\":{\"m\":{\"values\":[");
        for value in 0..random.between(1, 4) {
            out.text(if value > 0 { "," } else { "" })
                .quoted(random.pick(words::WORDS));
        }
        out.text("],\"delim\":44}}");
    }
    out.text("}");
}

fn page(random: &mut Random, out: &mut Json<'_>) {
    let section = random.pick(words::SECTIONS).copied().unwrap_or_default();
    let number = random.below(4_000);
    out.text(",\"pageName\":\"shop:").text(section).text(":").number(number);
    out.text("\",\"pageURL\":\"https:\\/\\/www.example.com\\/")
        .text(section)
        .text("\\/")
        .number(number);
    out.text(".html\",\"pageEventType\":0");
}

fn products(random: &mut Random, out: &mut Json<'_>) {
    out.text(",\"products\":[");
    for place in 0..random.below(4) {
        out.text(if place > 0 { "," } else { "" });
        out.text("{\"category\":").quoted(random.pick(words::CATEGORIES));
        out.text(",\"evars\":{},\"events\":")
            .text(if random.once_in(4) { "[]" } else { "{}" });
        out.text(",\"name\":")
            .quoted(random.pick(words::GOODS))
            .text(",\"revenue\":")
            .number(random.between(100, 90_000));
        if random.once_in(5) {
            out.text(".").number(random.between(10, 99));
        }
        out.text(",\"units\":").number(random.between(1, 15)).text("}");
    }
    out.text("]");
}

fn phrase(random: &mut Random, out: &mut Json<'_>) {
    out.text(random.pick(words::WORDS).copied().unwrap_or_default());
    if random.once_in(3) {
        out.text(" ").number(random.below(100_000));
    }
}

/// An address out of the three blocks that are reserved for documentation.
fn address(visitor: u64, out: &mut Json<'_>) {
    let block = ["192.0.2.", "198.51.100.", "203.0.113."][(visitor % 3) as usize];
    out.text(block).number(1 + visitor % 254);
}

/// Writes JSON piece by piece. Texts are given as they stand in JSON, escapes included.
struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn quoted(&mut self, text: Option<&&str>) -> &mut Self {
        self.text("\"").text(text.copied().unwrap_or_default()).text("\"")
    }

    fn number(&mut self, mut number: u64) -> &mut Self {
        let mut digits = [0; 20];
        let mut first = digits.len();
        loop {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                break;
            }
        }
        self.0.extend_from_slice(&digits[first..]);
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::*;

    fn maker() -> HitMaker {
        HitMaker::new(42, "examplecomprod", "examplecomprod", 64)
    }

    fn hit(number: u64) -> Vec<u8> {
        let mut out = Vec::new();
        maker().write(number, 1_750_000_000, &mut out);
        out
    }

    #[test]
    fn ids_are_unique_over_a_million_hits_of_two_streams_and_too_large_for_a_double() {
        let other = HitMaker::new(42, "exampleshop", "exampleshop", 64);
        let ids: HashSet<HitId> = (0..500_000)
            .flat_map(|number| [maker().id(number), other.id(number)])
            .collect();
        assert_eq!(ids.len(), 1_000_000);
        assert!(ids.iter().filter(|id| id.high > 1 << 63).count() > 100_000);
        assert!(ids.iter().filter(|id| id.low > 1 << 53).count() > 990_000);
    }

    #[test]
    fn sizes_lie_between_one_and_a_half_and_four_kilobytes_on_the_whole() {
        let sizes: Vec<usize> = (0..5_000).map(|number| hit(number).len()).collect();
        let mean = sizes.iter().sum::<usize>() / sizes.len();
        assert!((2_200..2_800).contains(&mean), "{mean}");
        let inside = sizes.iter().filter(|size| (1_500..4_000).contains(*size)).count();
        assert!(
            inside * 100 >= sizes.len() * 98,
            "{inside}, {:?} {:?}",
            sizes.iter().min(),
            sizes.iter().max()
        );
    }

    #[test]
    fn every_hit_is_json_with_its_ids_on_one_line() {
        for number in 0..3_000 {
            let hit = hit(number);
            assert!(!hit.iter().any(|byte| matches!(byte, b'\r' | b'\n')));
            let json: serde_json::Value = serde_json::from_slice(&hit).unwrap();
            let id = maker().id(number);
            assert_eq!(json["hitIdHigh"].as_u64(), Some(id.high));
            assert_eq!(json["hitIdLow"].as_u64(), Some(id.low));
            assert_eq!(json["receivedTimeGMT"], 1_750_000_000);
            assert!(json["products"].is_array() && json["evars"]["evars"].is_object());
            let ip = json["ip"].as_str().unwrap();
            assert!(
                ["192.0.2.", "198.51.100.", "203.0.113."]
                    .iter()
                    .any(|block| ip.starts_with(block)),
                "{ip}"
            );
        }
    }

    #[test]
    fn a_visitors_hits_are_numbered_without_a_hole() {
        let mut next: HashMap<u64, u64> = HashMap::new();
        for number in 0..640 {
            let hit = hit(number);
            let json: serde_json::Value = serde_json::from_slice(&hit).unwrap();
            let visitor = json["visIdLow"].as_u64().unwrap();
            assert_eq!(visitor_of(&hit), Some(visitor));
            let sequence = next.entry(visitor).or_default();
            assert_eq!(sequence_of(&hit), Some(*sequence));
            *sequence += 1;
        }
        assert_eq!(next.len(), 64);
        assert!(next.values().all(|count| *count == 10));
    }

    #[test]
    fn types_drift_as_the_guides_do() {
        let mut seen = HashSet::new();
        for number in 0..500 {
            let json: serde_json::Value = serde_json::from_slice(&hit(number)).unwrap();
            seen.insert(format!("exclude {}", json["exclude"]["id"].is_string()));
            if !json["tnt"].is_null() {
                seen.insert(format!("tnt {}", json["tnt"].is_array()));
            }
            for product in json["products"].as_array().unwrap() {
                seen.insert(format!("events {}", product["events"].is_array()));
                seen.insert(format!("revenue {}", product["revenue"].is_f64()));
            }
        }
        assert_eq!(seen.len(), 8, "{seen:?}");
    }

    #[test]
    fn odd_ids_are_json_and_a_long_hit_is_long() {
        let mut out = Vec::new();
        for odd in [OddId::Missing, OddId::Text, OddId::TooLarge, OddId::Doubled] {
            out.clear();
            maker().write_odd(3, 5, odd, &mut out);
            assert!(
                serde_json::from_slice::<&serde_json::value::RawValue>(&out).is_ok(),
                "{odd:?}"
            );
            let plain = serde_json::from_slice::<serde_json::Value>(&out).unwrap();
            assert_ne!(plain["hitIdHigh"].as_u64(), Some(maker().id(3).high), "{odd:?}");
        }
        out.clear();
        maker().write_long(4, 5, 300_000, &mut out);
        assert!((300_000..304_000).contains(&out.len()), "{}", out.len());
        let json: serde_json::Value = serde_json::from_slice(&out).unwrap();
        assert_eq!(json["hitIdLow"].as_u64(), Some(maker().id(4).low));
    }
}
