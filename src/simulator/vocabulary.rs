//! The words that hits are made of. All invented; hosts and addresses are those reserved for documentation.

pub(super) const BROWSERS: &[&str] = &[
    "Google Chrome 138.0",
    "Mozilla Firefox 140.0",
    "Safari 18.5",
    "Microsoft Edge 138.0",
    "Mobile Safari 18.5",
    "Samsung Internet 28.0",
    "Opera 119.0",
];

pub(super) const CITIES: &[(&str, &str, &str, &str)] = &[
    ("paris", "fra", "48.86", "2.35"),
    ("lyon", "fra", "45.76", "4.84"),
    ("köln", "deu", "50.94", "6.96"),
    ("zürich", "che", "47.37", "8.54"),
    ("são paulo", "bra", "-23.55", "-46.63"),
    ("osaka", "jpn", "34.69", "135.50"),
    ("chicago", "usa", "41.88", "-87.63"),
    ("nairobi", "ken", "-1.29", "36.82"),
];

pub(super) const LANGUAGES: &[&str] = &["en-us", "en-gb", "fr-fr", "de-de", "pt-br", "ja-jp", "sw-ke"];

pub(super) const SECTIONS: &[&str] = &[
    "home", "women", "men", "garden", "kitchen", "outdoor", "magazine", "checkout", "account", "search", "help",
];

pub(super) const CAMPAIGNS: &[&str] = &[
    "spring-letter-12",
    "cart-reminder",
    "social-video-7",
    "partner-network-b",
    "brand-search-exact",
    "window-poster-qr",
    "loyalty-double-points",
];

pub(super) const CATEGORIES: &[&str] = &[
    "chairs",
    "lamps",
    "teapots",
    "raincoats",
    "seeds",
    "notebooks",
    "bicycles",
];

pub(super) const GOODS: &[&str] = &[
    "folding oak chair",
    "reading lamp \\\"Nord\\\"",
    "cast iron teapot 0.8 l",
    "raincoat, yellow, M",
    "wildflower mix 250 g",
    "dotted notebook A5",
    "city bicycle 7-speed",
    "caf\\u00e9 table",
];

/// Pieces of eVar and prop values. Some hold what JSON writes as an escape, and some hold other scripts.
pub(super) const WORDS: &[&str] = &[
    "landing page",
    "logged-in",
    "guest",
    "A/B variant 3",
    "hero banner",
    "filter: price ascending",
    "newsletter overlay",
    "returning customer",
    "store pick-up",
    "express delivery",
    "voucher \\\"WELCOME\\\"",
    "size guide opened",
    "recommendation row 2",
    "video 75 % watched",
    "https:\\/\\/shop.example.com\\/fr\\/nouveaut\\u00e9s?page=2&sort=price",
    "consent: analytics, functional",
    "日本語のページ",
    "größe wählen",
    "dark mode",
    "scroll depth 90",
    "internal search: garden furniture for a small balcony",
    "error: card declined\\tcode 14",
    "not set",
    "0",
    "true",
    "2.17.0-web",
    "d=g|v12",
    "🚲 test ride",
];

pub(super) const OPERATING_SYSTEMS: &[&str] = &["Windows 11", "macOS 15.5", "Android 16", "iOS 18.5", "Linux"];

pub(super) const REFERRERS: &[&str] = &[
    "https:\\/\\/search.example.net\\/?q=oak+chair",
    "https:\\/\\/news.example.org\\/culture\\/a-chair-for-life",
    "https:\\/\\/mail.example.net\\/",
    "",
];
