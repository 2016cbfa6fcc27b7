//! Hits as Live Stream sends them (protocol notes, section 8), of any mean size, each a function of its number alone.
//!
//! Not those of the simulator: here the size is a parameter, and they are made to compress as much as real ones do, about 5.5 to 1. Ids
//! never repeat. There is no person's data: all is invented, and addresses are those reserved for documentation.

/// What a live hit begins with: when it was sent, in microseconds since the Unix epoch, as text of [`STAMP_DIGITS`] digits.
pub const STAMP: &[u8] = b"{\"sent\":\"";
/// Enough for the next 200 years.
pub const STAMP_DIGITS: usize = 16;
/// What stands before the lower half of a hit's id, which alone tells hits apart.
pub const ID: &[u8] = b"\"hitIdLow\":";

const EVARS: u64 = 250;
const PROPS: u64 = 75;
/// Visitors take turns with their hits, so that a key stands for several of them.
const VISITORS: u64 = 16_384;
const RECEIVED: u64 = 1_750_000_000;

const SECTIONS: [&str; 8] = [
    "home", "women", "men", "garden", "kitchen", "outdoor", "magazine", "checkout",
];
const BROWSERS: [&str; 5] = [
    "Google Chrome 138.0",
    "Mozilla Firefox 140.0",
    "Safari 18.5",
    "Microsoft Edge 138.0",
    "Mobile Safari 18.5",
];
const CITIES: [(&str, &str); 6] = [
    ("paris", "fra"),
    ("lyon", "fra"),
    ("osaka", "jpn"),
    ("chicago", "usa"),
    ("nairobi", "ken"),
    ("cologne", "deu"),
];
const WORDS: [&str; 32] = [
    "logged-in",
    "guest",
    "returning",
    "new customer",
    "spring campaign",
    "autumn sale",
    "newsletter",
    "mobile app",
    "desktop",
    "tablet",
    "category page",
    "product detail",
    "search results",
    "internal promotion",
    "recommendation",
    "wishlist",
    "store finder",
    "free shipping",
    "gift card",
    "loyalty silver",
    "loyalty gold",
    "paid search",
    "organic",
    "social",
    "referral",
    "direct",
    "en-gb|eur",
    "fr-fr|eur",
    "de-de|eur",
    "consent:all",
    "consent:functional",
    "not set",
];

/// Appends the hit with this number, about `mean` bytes long in the mean of many, without a line end. What every hit has takes a kilobyte;
/// below that the mean is not met. `sent` makes it a live one.
pub fn write(number: u64, mean: usize, sent: Option<u64>, out: &mut Vec<u8>) {
    let start = out.len();
    let random = &mut Random(mix(number ^ 0x6C69_7665));
    // From 0.6 to 1.4 times the mean; two draws make the middle likelier.
    let length = mean * (600 + random.below(401) as usize + random.below(401) as usize) / 1000;
    let visitor = mix(number) % VISITORS;
    let out = &mut Json(out);
    match sent {
        Some(sent) => out.text("{\"sent\":\"").padded(sent, STAMP_DIGITS).text("\","),
        None => out.text("{"),
    };
    let (city, country) = random.pick(&CITIES);
    let section = random.pick(&SECTIONS);
    out.text("\"bot\":\"<Not a bot>\",\"browser\":\"")
        .text(random.pick(&BROWSERS));
    out.text("\",\"browserHeight\":").number(500 + random.below(900));
    out.text(",\"browserWidth\":").number(320 + random.below(1600));
    out.text(",\"cookies\":\"Y\",\"currency\":\"EUR\",\"evars\":{\"evars\":{\"campaign\":\"")
        .text(random.pick(&WORDS));
    // What comes after the evars, without props, and after the props is about so long.
    let (rest, tail) = (535, 215);
    fill(
        random,
        out,
        "evar",
        EVARS,
        start + length.saturating_sub(rest) / 2 + 120,
    );
    out.text("\"}},\"events\":{\"event")
        .number(1 + random.below(40))
        .text("\":[{\"count\":")
        .number(1 + random.below(9));
    out.text(
        ",\"exponent\":0,\"unique\":\"\"}]},\"exclude\":{\"id\":\"0\",\"value\":\"no\",\"description\":\"include\"}",
    );
    out.text(",\"geoCity\":\"")
        .text(city)
        .text("\",\"geoCountry\":\"")
        .text(country);
    out.text("\",\"hitIdHigh\":")
        .number(mix(number.wrapping_add(0x4869_6768)));
    // `mix` is a bijection, so no two numbers have the same.
    out.text(",\"hitIdLow\":").number(mix(number));
    out.text(",\"hitSource\":1,\"ip\":\"192.0.2.").number(1 + visitor % 254);
    out.text("\",\"javascript\":\"1.6\",\"mvvars\":{\"1\":{\"m\":{\"values\":[\"")
        .text(random.pick(&WORDS))
        .text("\",\"")
        .text(random.pick(&WORDS));
    out.text("\"],\"delim\":44}}},\"pageName\":\"shop:")
        .text(section)
        .text(":")
        .number(random.below(900));
    out.text("\",\"pageURL\":\"https:\\/\\/www.example.com\\/")
        .text(section)
        .text("\\/")
        .number(random.below(9_000));
    out.text("\",\"products\":[{\"category\":\"")
        .text(section)
        .text("\",\"evars\":{},\"events\":{},\"name\":\"sku-")
        .number(random.below(5_000));
    out.text("\",\"revenue\":")
        .number(random.below(90_000))
        .text(",\"units\":1}],\"props\":{\"prop0\":\"");
    fill(random, out, "prop", PROPS, start + length.saturating_sub(tail));
    out.text("\"},\"receivedTimeGMT\":")
        .number(RECEIVED)
        .text(",\"reportSuite\":\"bench\",\"timeGMT\":")
        .number(RECEIVED - random.below(3));
    out.text(",\"truncated\":false,\"userAgent\":\"\",\"visIdHigh\":")
        .number(mix(visitor ^ 0x7669_7369));
    out.text(",\"visIdLow\":")
        .number(mix(visitor))
        .text(",\"visIdType\":3,\"visitNumber\":")
        .number(1 + random.below(40))
        .text("}");
}

/// Ends the value that is open and adds others of this kind up to `end`; leaves the last one open. What does not fit into as many as
/// there are makes the last one long.
fn fill(random: &mut Random, out: &mut Json<'_>, kind: &str, most: u64, end: usize) {
    let mut nth = 1 + random.below(3);
    while out.0.len() < end {
        if nth <= most {
            out.text("\",\"").text(kind).number(nth).text("\":\"");
            nth += 1 + random.below(4);
        } else {
            out.text("|");
        }
        out.text(random.pick(&WORDS));
        if random.below(3) == 0 {
            out.text(" ").number(random.below(100_000));
        }
    }
}

/// Writes JSON piece by piece.
struct Json<'a>(&'a mut Vec<u8>);

impl Json<'_> {
    fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn number(&mut self, number: u64) -> &mut Self {
        self.padded(number, 1)
    }

    fn padded(&mut self, mut number: u64, digits: usize) -> &mut Self {
        let mut text = [b'0'; 20];
        let mut first = text.len();
        while number > 0 {
            first -= 1;
            text[first] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.0.extend_from_slice(&text[first.min(text.len() - digits)..]);
        self
    }
}

/// The same numbers from the same seed, on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        ((u128::from(mix(self.0)) * u128::from(limit)) >> 64) as u64
    }

    fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }
}

/// A bijection that leaves no pattern: different numbers stay different.
const fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    number ^ (number >> 31)
}
