//! What holds when a key is not set, and within what bounds it may be: each with its reason.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::time::Duration;

use url::Url;

use super::resolved::AdminListen;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;

/// The least time that is not nothing; where a zero would make no sense, this is where a range begins.
const INSTANT: Duration = Duration::from_millis(1);

/// Where the file hierarchy standard wants a service's state.
pub const STATE_DIR: &str = "/var/lib/livestreamd";

/// Container runtimes kill 30 s after they ask, systemd after 90 s: done before the first of them.
pub const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(25);
/// Nobody waits longer for a service to stop.
pub(super) const SHUTDOWN_TIMEOUTS: RangeInclusive<Duration> = INSTANT..=Duration::from_secs(HOUR);

/// The credential that a stream uses when it names none.
pub const CREDENTIALS: &str = "default";

/// Adobe IMS (protocol notes, section 7).
pub const TOKEN_URL: &str = "https://ims-na1.adobelogin.com/ims/token/v3";

/// [`TOKEN_URL`], parsed.
#[expect(
    clippy::expect_used,
    clippy::missing_panics_doc,
    reason = "a constant; a test parses it"
)]
pub fn token_url() -> Url {
    Url::parse(TOKEN_URL).expect("TOKEN_URL is a URL")
}

/// Adobe's own sample asks for these (protocol notes, section 7), and for job functions, which Live Stream does not look at.
pub const SCOPES: [&str; 4] = [
    "openid",
    "AdobeID",
    "read_organizations",
    "additional_info.projectedProductContext",
];

/// What Adobe asks clients to wait (protocol notes, section 1). Less is allowed for loopback hosts only.
pub const COOLDOWN: Duration = Duration::from_secs(MINUTE);
/// An hour is far past the time for which the service keeps anything.
pub(super) const COOLDOWNS: RangeInclusive<Duration> = INSTANT..=Duration::from_secs(HOUR);

/// What Adobe's own client takes (protocol notes, section 5).
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// A peer that takes five minutes to answer is gone.
pub(super) const CONNECT_TIMEOUTS: RangeInclusive<Duration> = INSTANT..=Duration::from_secs(5 * MINUTE);

/// Twice what Adobe's own client takes, because ending a healthy quiet connection is the very fault to avoid (protocol notes,
/// section 5).
pub const STALL_TIMEOUT: Duration = Duration::from_secs(2 * MINUTE);
/// Up to the limit that it doubles up to by itself (protocol notes, section 5).
pub(super) const STALL_TIMEOUTS: RangeInclusive<Duration> = INSTANT..=Duration::from_secs(30 * MINUTE);
/// Adobe's own client gives up after this long; less, towards the real service, is worth a warning.
pub(super) const STALL_TIMEOUT_WARNED: Duration = Duration::from_secs(MINUTE);

/// Adobe says "a few" or "several minutes" (protocol notes, section 6).
pub const BACKFILL_HORIZON: Duration = Duration::from_secs(3 * MINUTE);
/// It only sorts gaps into small and probable losses; a day is as good as never.
pub(super) const BACKFILL_HORIZONS: RangeInclusive<Duration> = INSTANT..=Duration::from_secs(24 * HOUR);

/// Often enough to notice that somebody has mended things upstream, rare enough to be no load (protocol notes, section 4).
pub const LONG_RETRY: Duration = Duration::from_secs(10 * MINUTE);
/// Once a day is the rarest that still counts as a retry.
pub(super) const LONG_RETRIES: RangeInclusive<Duration> = INSTANT..=Duration::from_secs(24 * HOUR);

/// Hits are a few KB, and the largest variables alone may reach 260 KB (protocol notes, section 5): a long way above that.
pub const MAX_RECORD_BYTES: usize = 8 * MIB as usize;
/// Below 64 KiB real hits would be cut; above 1 GiB no Kafka takes them.
pub(super) const MAX_RECORD_SIZES: RangeInclusive<u64> = 64 * KIB..=GIB;

/// One connection is what the service gives when nothing is asked (protocol notes, section 2).
pub const CONNECTIONS: u8 = 1;
/// What `maxConnections` may be (protocol notes, section 2).
pub(super) const CONNECTION_COUNTS: RangeInclusive<u16> = 1..=8;

/// What `smoothingBucketSize` may be, in seconds (protocol notes, section 2).
pub(super) const SMOOTHING_BUCKET_SIZES: RangeInclusive<u16> = 1..=7200;

/// The domains that Adobe is known to redirect to (protocol notes, section 3).
pub const TRUSTED_HOSTS: [&str; 2] = ["adobe.net", "adobe.io"];

/// A broker on this machine: what a first trial has.
pub const BROKERS: &str = "localhost:9092";

/// One topic for each stream, because each has its own readers.
pub const TOPIC: &str = "livestream.{stream}";

/// One for all: what lands there is rare, and for a person to look at.
pub const DEAD_LETTER_TOPIC: &str = "livestream.dead-letter";

/// What may be lost to a power failure, against the price of an fsync; Live Stream itself lags by more.
pub const SYNC_INTERVAL: Duration = Duration::from_millis(100);
/// A minute's hits are as much as anybody would give for fewer writes.
pub(super) const SYNC_INTERVALS: RangeInclusive<Duration> = INSTANT..=Duration::from_secs(MINUTE);

/// Hours of a busy report suite while Kafka is away.
pub const JOURNAL_MAX_BYTES: u64 = 20 * GIB;
/// Five streams whose journals are full. Whatever it is, a reserve of the disk stays free.
pub const JOURNAL_MAX_BYTES_IN_ALL: u64 = 100 * GIB;
/// It must hold at least the smallest `max_record_bytes`; above a pebibyte it is a slip of the pen.
pub(super) const JOURNAL_SIZES: RangeInclusive<u64> = 64 * KIB..=1024 * 1024 * GIB;

/// A hundred of the longest records, or a dozen broken segments: a person finds enough to learn from, and no disk is filled.
pub const QUARANTINE_MAX_BYTES: u64 = GIB;
/// It must hold at least the smallest `max_record_bytes`; above a pebibyte it is a slip of the pen.
pub(super) const QUARANTINE_SIZES: RangeInclusive<u64> = 64 * KIB..=1024 * 1024 * GIB;

/// Long enough for a holiday. It is personal data, so not for ever.
pub const QUARANTINE_MAX_AGE: Duration = Duration::from_secs(30 * DAY);
/// Under an hour nobody could look; ten years are as good as for ever.
pub(super) const QUARANTINE_AGES: RangeInclusive<Duration> =
    Duration::from_secs(HOUR)..=Duration::from_secs(3650 * DAY);

/// Repeats come within minutes of a reconnect (protocol notes, section 6), which is within a few times the backfill horizon.
pub const DEDUP_WINDOW: Duration = Duration::from_secs(15 * MINUTE);
/// Under a second nothing is caught; past a day the ids fill the memory.
pub(super) const DEDUP_WINDOWS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(24 * HOUR);

/// A window of 15 minutes at 970 hits a second, twice, because ids go half by half; and as many as tables of 66 MiB hold (measured).
/// A busier stream is remembered for a shorter time, and says so.
pub const DEDUP_MAX_IDS: usize = 1_750_000;
/// Under a thousand a burst after a reconnect is too much already; past a hundred million the tables take up 4 GiB.
pub(super) const DEDUP_ID_COUNTS: RangeInclusive<usize> = 1000..=100_000_000;

/// This machine only: whoever wants it seen from elsewhere says so.
pub const ADMIN_LISTEN: AdminListen = AdminListen::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9600));

/// Starts, stops, waits and faults; nothing for each hit.
pub const LOG_FILTER: &str = "info";

/// When the hit of a test comes, in milliseconds since the Unix epoch, unless it says so: in 2100, so that no time in a hit lies after it.
pub const TEST_RECEIVED: u64 = 4_102_444_800_000;
/// Up to the end of the year 9999.
pub const TEST_TIMES: RangeInclusive<u64> = 0..=253_402_300_799_999;
