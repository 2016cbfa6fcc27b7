//! Leases on disk: what a slot must remember across restarts, durable before a connect goes out.
//!
//! One small JSON file a slot under `state_dir/leases`, found again by URL and slot, so that neither renaming a stream nor spelling
//! its URL in another way forgets its cooldown; `url` is the [`canonical_url`]:
//!
//! ```json
//! {"version":1,"url":"https://…","slot":0,"phase":"closed","not_before":81234567,"failures":0,
//!  "boot_id":"1d4f…","boottime":81174567,"wall":"2026-11-21T09:00:00.123Z",
//!  "last_alive":{"boot_id":"1d4f…","boottime":81174321,"wall":"2026-11-21T08:59:59.877Z"}}
//! ```
//!
//! `"reset":{"to":"smallest","wall":"…"}` is there after a reset on purpose that the service has answered ([`ResetDone`]).
//!
//! `not_before` and `boottime` (when it was written) are milliseconds since the boot that `boot_id` names; `wall` is for people.
//! `last_alive` (when a connection last lived, if one ever did) and the file's time of modification are for gap reports ([`trace`]).
//! A file that cannot be read asks for a whole cooldown. One of a newer version, whose JSON has a larger `version` and may have any other
//! fields, is refused ([`newer`]): it is never written over, so nothing connects by it.

use std::collections::HashMap;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;

use crate::clock::{Clock, since_epoch};
use crate::lifecycle::lease::{Found, FoundLease};
use crate::lifecycle::life::{Stamp, Trace};
use crate::lifecycle::{BootId, Lease, Moment, Phase, ResetDone};
use crate::settings::canonical_url;
use crate::state_dir::{TooNew, make_private_dir, open_regular, write_durably};
use trace::StoredStamp;

pub mod trace;

const VERSION: u32 = 1;
/// A lease is a few hundred bytes; what is longer is not one.
const MAX_BYTES: u64 = 64 * 1024;

/// What may be done about a lease that is too new, besides running what wrote it.
const OTHERWISE: &str = "move the file away after the newer one has been stopped for longer than its longest wait (long_retry, Retry-After): a \
                         connect without its lease may come too early";

/// Whose lease: a slot of a stream's URL, however that is spelled.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseKey {
    /// The canonical form.
    url: String,
    slot: u8,
}

impl LeaseKey {
    /// The key of connection slot `slot` of the stream at `url`.
    pub fn new(url: &Url, slot: u8) -> Self {
        Self {
            url: canonical_url(url),
            slot,
        }
    }

    /// The endpoint's name for people, and a hash of the whole URL for certainty.
    fn file_name(&self) -> String {
        let path = self.url.split(['?', '#']).next().unwrap_or_default();
        let endpoint = path.rsplit('/').next().unwrap_or_default();
        let legible = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let endpoint: String = endpoint.chars().filter(|c| legible(*c)).take(64).collect();
        let digest = Sha256::digest(self.url.as_bytes());
        let hash = digest
            .iter()
            .take(8)
            .fold(0_u64, |hash, byte| hash << 8 | u64::from(*byte));
        format!("{endpoint}.{hash:016x}.{}.json", self.slot)
    }
}

/// What a slot remembers.
#[derive(Debug)]
pub struct Remembered {
    /// Its lease.
    pub lease: Found,
    /// The reset on purpose that was answered: by this process, or else on disk.
    pub reset: Option<ResetDone>,
    /// What the lease tells of the last connection. Nothing if there is none, or none that can be read.
    pub trace: Option<Trace>,
}

impl Remembered {
    const fn only(lease: Found) -> Self {
        Self {
            lease,
            reset: None,
            trace: None,
        }
    }
}

/// Proof that an open lease is durable. Only [`LeaseDir::store_open`] makes one, and a connect needs one.
#[derive(Debug)]
pub struct DurableLease(());

/// The leases under one `state_dir`. Clones share them.
///
/// Writes of one lease land in the order in which they were asked for, even if whoever asked is gone by then: a task that panicked
/// may leave a write behind that is still on its way when its successor asks for the next.
#[derive(Clone)]
pub struct LeaseDir {
    dir: PathBuf,
    clock: Arc<dyn Clock>,
    asked: Arc<AtomicU64>,
    /// For each lease the number of the last write that landed; locked during a write.
    landed: Arc<Mutex<HashMap<LeaseKey, Arc<Mutex<u64>>>>>,
    /// What each lease is to say of a reset from the next write on. In memory it outlives a write that fails and a driver that panics.
    resets: Arc<Mutex<HashMap<LeaseKey, Option<ResetDone>>>>,
    /// When a connection of a slot last lived.
    last_alive: Arc<Mutex<HashMap<LeaseKey, Stamp>>>,
    /// Locked by whoever may connect.
    claims: Arc<Mutex<HashMap<LeaseKey, Arc<tokio::sync::Mutex<()>>>>>,
}

/// The right to connect as one slot of one endpoint, and to keep its lease. In this process nobody else has it.
#[derive(Debug)]
pub struct Claim {
    _held: tokio::sync::OwnedMutexGuard<()>,
}

impl LeaseDir {
    /// Opens `state_dir/leases`, and makes it if it is missing.
    pub fn open(state_dir: &Path, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let dir = dir_in(state_dir);
        make_private_dir(&dir)?;
        Ok(Self {
            dir,
            clock,
            asked: Arc::default(),
            landed: Arc::default(),
            resets: Arc::default(),
            last_alive: Arc::default(),
            claims: Arc::default(),
        })
    }

    /// Waits until nobody else may connect as this slot of this endpoint: a stream that another one replaces closes its connection and its
    /// lease first. Who waits is served in turn.
    pub async fn claim(&self, key: &LeaseKey) -> Claim {
        let claim = lock(&self.claims).entry(key.clone()).or_default().clone();
        Claim {
            _held: claim.lock_owned().await,
        }
    }

    /// What is on disk for `key`. What is wrong with it is logged.
    pub async fn find(&self, key: &LeaseKey) -> Remembered {
        let (path, landed, of) = (self.dir.join(key.file_name()), self.landed(key), key.clone());
        let read = move || {
            let _no_write_meanwhile = lock(&landed);
            Ok(read(&path, &of))
        };
        let mut remembered = off_the_async_threads(read)
            .await
            .unwrap_or_else(|_| Remembered::only(Found::Unreadable));
        let noted = lock(&self.resets).get(key).cloned();
        remembered.reset = noted.unwrap_or(remembered.reset);
        remembered
    }

    /// What is remembered of a reset: by this process, or else on disk. What is wrong with the lease is passed over: [`Self::find`] tells.
    pub async fn reset(&self, key: &LeaseKey) -> Option<ResetDone> {
        let noted = lock(&self.resets).get(key).cloned();
        if let Some(noted) = noted {
            return noted;
        }
        let (path, landed, key) = (self.dir.join(key.file_name()), self.landed(key), key.clone());
        let read = move || {
            let _no_write_meanwhile = lock(&landed);
            Ok(read_stored(&path)?.of(&key).and_then(Stored::reset))
        };
        off_the_async_threads(read).await.ok().flatten()
    }

    /// What the lease of `key` is to say of a reset. It goes to disk with each write from now on.
    pub fn note_reset(&self, key: &LeaseKey, done: Option<ResetDone>) {
        lock(&self.resets).insert(key.clone(), done);
    }

    /// Makes an open lease durable: the only way to a [`DurableLease`].
    pub async fn store_open(&self, key: &LeaseKey, lease: Lease) -> io::Result<DurableLease> {
        self.store(key, lease).await.map(|()| DurableLease(()))
    }

    /// Makes a lease durable.
    pub async fn store(&self, key: &LeaseKey, lease: Lease) -> io::Result<()> {
        off_the_async_threads(self.write(key, self.content(key, lease)?)).await
    }

    /// What the file of a lease that is written now says.
    fn content(&self, key: &LeaseKey, lease: Lease) -> io::Result<Vec<u8>> {
        let stored = Stored {
            version: VERSION,
            url: key.url.clone(),
            slot: key.slot,
            phase: lease.phase.into(),
            // Rounded up: a millisecond more, never less.
            not_before: millis(lease.not_before).saturating_add(1),
            failures: lease.failures,
            boot_id: self.clock.boot().as_str().to_owned(),
            boottime: millis(self.clock.now()),
            wall: trace::shown(since_epoch(self.clock.wall())),
            last_alive: lock(&self.last_alive).get(key).map(StoredStamp::from),
            reset: lock(&self.resets).get(key).cloned().flatten().map(StoredReset::from),
        };
        Ok(serde_json::to_vec(&stored)?)
    }

    /// The work of a write. Its place among the writes of this lease is that of this call, whenever it is done.
    fn write(&self, key: &LeaseKey, content: Vec<u8>) -> impl FnOnce() -> io::Result<()> + Send + use<> {
        let path = self.dir.join(key.file_name());
        let (number, landed) = (self.asked.fetch_add(1, Ordering::Relaxed) + 1, self.landed(key));
        move || {
            let mut landed = lock(&landed);
            if number < *landed {
                return Err(io::Error::other("a later write of the same lease came first"));
            }
            // What we have written ourselves need not be looked at.
            if *landed == 0
                && let Some(newer) = newer_at(&path)
            {
                return Err(io::Error::other(newer));
            }
            *landed = number;
            write_durably(&path, &content)
        }
    }

    fn landed(&self, key: &LeaseKey) -> Arc<Mutex<u64>> {
        lock(&self.landed).entry(key.clone()).or_default().clone()
    }
}

/// The lease of `key`, if a newer livestreamd has written it. Blocks on the disk; one that cannot be read is none of a newer one.
pub fn newer(state_dir: &Path, key: &LeaseKey) -> Option<TooNew> {
    newer_at(&dir_in(state_dir).join(key.file_name()))
}

fn dir_in(state_dir: &Path) -> PathBuf {
    state_dir.join("leases")
}

/// What a lease of any version says.
#[derive(Deserialize)]
struct OfAnyVersion {
    version: u32,
}

fn newer_at(path: &Path) -> Option<TooNew> {
    let OfAnyVersion { version } = serde_json::from_slice(&read_bounded(path).ok()?).ok()?;
    (version > VERSION).then(|| TooNew {
        file: path.to_owned(),
        found: version,
        known: VERSION,
        otherwise: OTHERWISE,
    })
}

#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    url: String,
    slot: u8,
    phase: StoredPhase,
    not_before: u64,
    failures: u32,
    boot_id: String,
    boottime: u64,
    wall: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reset: Option<StoredReset>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_alive: Option<StoredStamp>,
}

#[derive(Serialize, Deserialize)]
struct StoredReset {
    to: String,
    wall: String,
}

impl From<ResetDone> for StoredReset {
    fn from(done: ResetDone) -> Self {
        Self {
            to: done.to.as_str().to_owned(),
            wall: done.wall,
        }
    }
}

impl StoredReset {
    /// Nothing, if it was to a place that this version does not know: then it is not what this version is asked for, either.
    fn done(self) -> Option<ResetDone> {
        let to = self.to.parse().ok()?;
        Some(ResetDone { to, wall: self.wall })
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredPhase {
    Connecting,
    Streaming,
    Closed,
}

impl From<Phase> for StoredPhase {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Connecting => Self::Connecting,
            Phase::Streaming => Self::Streaming,
            Phase::Closed => Self::Closed,
        }
    }
}

impl From<&StoredPhase> for Phase {
    fn from(phase: &StoredPhase) -> Self {
        match phase {
            StoredPhase::Connecting => Self::Connecting,
            StoredPhase::Streaming => Self::Streaming,
            StoredPhase::Closed => Self::Closed,
        }
    }
}

impl Stored {
    /// Itself, if it is a lease of `key` that this version understands.
    fn of(self, key: &LeaseKey) -> Option<Self> {
        (self.version == VERSION && self.url == key.url && self.slot == key.slot).then_some(self)
    }

    fn found(&self) -> FoundLease {
        FoundLease {
            lease: Lease {
                phase: (&self.phase).into(),
                not_before: moment(self.not_before),
                failures: self.failures,
            },
            boot: BootId::known(&self.boot_id),
            written: moment(self.boottime),
        }
    }

    fn reset(self) -> Option<ResetDone> {
        self.reset.and_then(StoredReset::done)
    }
}

fn read(path: &Path, key: &LeaseKey) -> Remembered {
    if let Some(error) = newer_at(path) {
        tracing::error!(%error, "lease of a newer version: it is not written over, so this slot does not connect");
        return Remembered::only(Found::Unreadable);
    }
    let stored = match read_stored(path) {
        Ok(stored) => stored,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Remembered::only(Found::Nothing),
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "lease unreadable or damaged: a whole cooldown is waited out");
            return Remembered::only(Found::Unreadable);
        }
    };
    let trace = stored.trace(path);
    let Some(stored) = stored.of(key) else {
        tracing::warn!(file = %path.display(), "lease of another version or stream: a whole cooldown is waited out");
        return Remembered {
            trace,
            ..Remembered::only(Found::Unreadable)
        };
    };
    Remembered {
        lease: Found::Lease(stored.found()),
        reset: stored.reset(),
        trace,
    }
}

fn read_stored(path: &Path) -> io::Result<Stored> {
    // Damage is an error of kind `InvalidData`, or of an end that came too soon.
    Ok(serde_json::from_slice(&read_bounded(path)?)?)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    open_regular(path)?.take(MAX_BYTES + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MAX_BYTES {
        Err(io::ErrorKind::FileTooLarge.into())
    } else {
        Ok(content)
    }
}

const fn moment(millis: u64) -> Moment {
    Moment(Duration::from_millis(millis))
}

fn millis(at: Moment) -> u64 {
    u64::try_from(at.0.as_millis()).unwrap_or(u64::MAX)
}

/// Nothing panics while it holds one of the locks here, so a poisoned one is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
std::thread_local! {
    /// File work is done at once, where it is asked for: a history in virtual time then depends on its seed alone.
    pub(crate) static AT_ONCE: std::cell::Cell<bool> = const { std::cell::Cell::new(false) };
}

/// Runs file work where blocking is allowed.
async fn off_the_async_threads<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    #[cfg(test)]
    if AT_ONCE.get() {
        return work();
    }
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    fn key(url: &str, slot: u8) -> LeaseKey {
        LeaseKey::new(&Url::parse(url).unwrap(), slot)
    }

    fn leases(dir: &Path) -> LeaseDir {
        LeaseDir::open(dir, Arc::new(SystemClock::new())).unwrap()
    }

    const WEB: &str = "https://livestream.adobe.net/api/1/stream/adobe-livestream-web?beta=true";

    #[tokio::test]
    async fn a_lease_is_found_again_by_url_and_slot() {
        let dir = tempfile::tempdir().unwrap();
        let lease = Lease {
            phase: Phase::Closed,
            not_before: Moment::from_secs(77),
            failures: 3,
        };
        leases(dir.path()).store(&key(WEB, 1), lease).await.unwrap();
        let Found::Lease(found) = leases(dir.path()).find(&key(WEB, 1)).await.lease else {
            panic!("not found")
        };
        assert_eq!((found.lease.phase, found.lease.failures), (Phase::Closed, 3));
        let rounding = found.lease.not_before.since(Moment::from_secs(77));
        assert!(found.lease.not_before >= lease.not_before && rounding <= Duration::from_millis(1));
        assert!(found.boot.is_same_boot(SystemClock::new().boot()));
        assert_eq!(leases(dir.path()).find(&key(WEB, 0)).await.lease, Found::Nothing);
        assert_eq!(
            leases(dir.path())
                .find(&key("https://livestream.adobe.net/x", 1))
                .await
                .lease,
            Found::Nothing
        );
    }

    #[tokio::test]
    async fn a_lease_is_found_again_however_the_url_is_spelled() {
        const PLAIN: &str = "https://livestream.adobe.net/api/1/stream/adobe-livestream-web";
        let dir = tempfile::tempdir().unwrap();
        let lease = Lease {
            phase: Phase::Closed,
            not_before: Moment::from_secs(77),
            failures: 0,
        };
        for (stored, spellings) in [
            (
                PLAIN,
                [
                    format!("{PLAIN}?"),
                    PLAIN.replace(".net/", ".net./"),
                    PLAIN.replace("-web", "-%77eb"),
                    PLAIN.replace("/api/1/", "/api/2/"),
                ],
            ),
            (
                "https://livestream.adobe.net/s?beta=true&a=1",
                [
                    "https://livestream.adobe.net/s?a=1&beta=true".to_owned(),
                    "https://LiveStream.adobe.net:443/s?beta=true&a=1".to_owned(),
                    "https://livestream.adobe.net/s?beta=true&%61=1".to_owned(),
                    "https://livestream.adobe.net/s?beta=true&a=1#x".to_owned(),
                ],
            ),
        ] {
            leases(dir.path()).store(&key(stored, 0), lease).await.unwrap();
            for spelling in spellings {
                assert_ne!(spelling, stored);
                let found = leases(dir.path()).find(&key(&spelling, 0)).await.lease;
                assert!(
                    matches!(found, Found::Lease(_)),
                    "{spelling} forgets the lease of {stored}"
                );
            }
        }
    }

    #[tokio::test]
    async fn a_later_lease_replaces_an_earlier_one() {
        let dir = tempfile::tempdir().unwrap();
        let leases = leases(dir.path());
        for phase in [Phase::Connecting, Phase::Streaming, Phase::Closed] {
            leases
                .store(
                    &key(WEB, 0),
                    Lease {
                        phase,
                        not_before: Moment::default(),
                        failures: 0,
                    },
                )
                .await
                .unwrap();
            let Found::Lease(found) = leases.find(&key(WEB, 0)).await.lease else {
                panic!("not found")
            };
            assert_eq!(found.lease.phase, phase);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_write_that_its_asker_left_behind_does_not_land_over_a_later_one() {
        let dir = tempfile::tempdir().unwrap();
        let leases = leases(dir.path());
        let lease = |phase| Lease {
            phase,
            not_before: Moment::default(),
            failures: 0,
        };
        for _ in 0..200 {
            let (of_the_old, of_the_new) = (leases.clone(), leases.clone());
            let old = tokio::spawn(async move { of_the_old.store(&key(WEB, 0), lease(Phase::Closed)).await });
            tokio::task::yield_now().await;
            old.abort();
            let _ = old.await;
            of_the_new
                .store_open(&key(WEB, 0), lease(Phase::Connecting))
                .await
                .unwrap();
            // Whatever is still on its way has landed when another write has.
            let other = key("https://livestream.adobe.net/other", 0);
            leases.store(&other, lease(Phase::Closed)).await.unwrap();
            let Found::Lease(found) = leases.find(&key(WEB, 0)).await.lease else {
                panic!("not found")
            };
            assert_eq!(found.lease.phase, Phase::Connecting);
        }
    }

    #[tokio::test]
    async fn what_is_no_lease_of_ours_is_unreadable_and_not_missing() {
        let dir = tempfile::tempdir().unwrap();
        let leases = leases(dir.path());
        let key = key(WEB, 0);
        let lease = Lease {
            phase: Phase::Closed,
            not_before: Moment::default(),
            failures: 0,
        };
        leases.store(&key, lease).await.unwrap();
        let path = dir.path().join("leases").join(key.file_name());
        let good = std::fs::read_to_string(&path).unwrap();
        for bad in [
            String::new(),
            "{".to_owned(),
            good.replace("\"version\":1", "\"version\":2"),
            good.replace("beta=true", "beta=false"),
            good.replace("\"slot\":0", "\"slot\":1"),
            good.replace("closed", "shut"),
            good.replace("\"failures\":0", "\"failures\":-1"),
            format!("{good}{}", " ".repeat(70_000)),
        ] {
            std::fs::write(&path, &bad).unwrap();
            assert_eq!(
                leases.find(&key).await.lease,
                Found::Unreadable,
                "{}",
                &bad[..bad.len().min(200)]
            );
        }
    }

    #[tokio::test]
    async fn a_lease_of_a_newer_version_is_never_written_over_and_gives_no_permit() {
        let dir = tempfile::tempdir().unwrap();
        let (key, lease) = (
            key(WEB, 0),
            Lease {
                phase: Phase::Closed,
                not_before: Moment::default(),
                failures: 0,
            },
        );
        leases(dir.path()).store(&key, lease).await.unwrap();
        assert_eq!(newer(dir.path(), &key), None);
        let path = dir.path().join("leases").join(key.file_name());
        // Its other fields may be any.
        for text in [r#"{"version":2,"until":[7]}"#.to_owned(), {
            let good = std::fs::read_to_string(&path).unwrap();
            good.replace("\"version\":1", "\"version\":2")
        }] {
            std::fs::write(&path, &text).unwrap();
            let found = newer(dir.path(), &key).unwrap();
            assert_eq!((&found.file, found.found, found.known), (&path, 2, VERSION));
            let leases = leases(dir.path());
            assert_eq!(leases.find(&key).await.lease, Found::Unreadable);
            let open = Lease {
                phase: Phase::Connecting,
                ..lease
            };
            // The second as well as the first.
            for _ in 0..2 {
                let refused = leases.store_open(&key, open).await.unwrap_err().to_string();
                assert!(refused.contains("is of version 2"), "{refused}");
            }
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
    }

    #[tokio::test]
    async fn a_lease_that_cannot_be_written_gives_no_permit() {
        let dir = tempfile::tempdir().unwrap();
        let leases = leases(dir.path());
        std::fs::remove_dir(dir.path().join("leases")).unwrap();
        let lease = Lease {
            phase: Phase::Connecting,
            not_before: Moment::default(),
            failures: 0,
        };
        assert!(leases.store_open(&key(WEB, 0), lease).await.is_err());
    }

    #[test]
    fn a_hostile_url_makes_a_plain_file_name() {
        let name = key("https://h/a/..%2f..%2fetc%2fpasswd%00\u{e4}?x=/../../y", 7).file_name();
        assert!(!name.contains(['/', '%', '?']) && name.ends_with(".7.json"), "{name}");
    }
}

#[cfg(test)]
mod reset_tests;
