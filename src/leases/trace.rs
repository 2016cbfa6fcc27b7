//! What a lease tells of the connection before it, for gap reports: when that last lived. No decision to connect reads any of it.
//!
//! A streaming connection only touches its lease's file now and then ([`Heartbeat`]): that needs no write of the lease, unless that failed
//! at its 200 ([`Owed`]). What is known at a disconnect goes into each lease that is written after it, as `last_alive`, until another connection has streamed.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::{LeaseDir, LeaseKey, Stored, millis, moment, read_stored};
use crate::clock::since_epoch;
use crate::lifecycle::life::{Stamp, Trace};
use crate::lifecycle::{BootId, Lease, Moment};

impl LeaseDir {
    /// A connection last lived then: every lease of this slot that is written from now on says so.
    pub fn last_alive(&self, key: &LeaseKey, at: Stamp) {
        super::lock(&self.last_alive).insert(key.clone(), at);
    }

    /// What keeps the lease of a streaming connection young.
    pub fn heartbeat(&self, key: &LeaseKey) -> Heartbeat {
        Heartbeat {
            leases: self.clone(),
            key: key.clone(),
            touching: None,
            owed: None,
        }
    }

    /// A lease that could not be written just now, as it would have been.
    pub fn owed(&self, key: &LeaseKey, lease: Lease) -> Option<Owed> {
        let content = self.content(key, lease).ok()?;
        let written = Arc::default();
        Some(Owed { content, written })
    }

    /// Writes what is owed, and touches the file.
    fn touch(&self, key: &LeaseKey, alive: Moment, owed: Option<&Owed>) -> JoinHandle<()> {
        let (path, landed) = (self.dir.join(key.file_name()), self.landed(key));
        let owed = owed.map(|owed| (self.write(key, owed.content.clone()), owed.written.clone()));
        tokio::task::spawn_blocking(move || {
            if let Some((write, written)) = owed {
                if let Err(error) = write() {
                    tracing::debug!(file = %path.display(), %error, "the lease of an open connection still cannot be written");
                    return;
                }
                written.store(true, Ordering::Relaxed);
                tracing::info!(file = %path.display(), "the lease of an open connection can be written again");
            }
            let _no_write_meanwhile = super::lock(&landed);
            if let Err(error) = touch(&path, alive) {
                tracing::debug!(file = %path.display(), %error, "a lease cannot be touched: after a crash a gap would seem longer");
            }
        })
    }
}

/// Touches the lease of a streaming connection, so that after a crash it is known when the connection last lived.
pub struct Heartbeat {
    leases: LeaseDir,
    key: LeaseKey,
    touching: Option<JoinHandle<()>>,
    owed: Option<Owed>,
}

/// What the disk did not take when it was to be stored: written as it was then, so that it tells the moment of the 200.
pub struct Owed {
    content: Vec<u8>,
    written: Arc<AtomicBool>,
}

impl Heartbeat {
    /// This lease, or none, is to be written with the beats until that succeeds.
    pub fn owe(&mut self, owed: Option<Owed>) {
        self.owed = owed;
    }

    /// Whether the lease is still to be written.
    pub fn owes(&self) -> bool {
        self.owed
            .as_ref()
            .is_some_and(|owed| !owed.written.load(Ordering::Relaxed))
    }

    /// The connection lived at `alive`. Waits for nothing; on a disk that hangs, beats are left out.
    pub fn beat(&mut self, alive: Moment) {
        if self.touching.as_ref().is_none_or(JoinHandle::is_finished) {
            let owed = self.owed.as_ref().filter(|_| self.owes());
            self.touching = Some(self.leases.touch(&self.key, alive, owed));
        }
    }
}

/// A [`Stamp`] in a lease.
#[derive(Serialize, Deserialize)]
pub(super) struct StoredStamp {
    boot_id: String,
    boottime: u64,
    wall: String,
}

impl From<&Stamp> for StoredStamp {
    fn from(stamp: &Stamp) -> Self {
        Self {
            boot_id: stamp.boot.as_str().to_owned(),
            boottime: millis(stamp.at),
            wall: shown(stamp.wall),
        }
    }
}

impl StoredStamp {
    fn stamp(&self) -> Option<Stamp> {
        stamp(&self.boot_id, self.boottime, &self.wall)
    }
}

/// A time since the Unix epoch, as it is written and logged.
pub fn shown(wall: Duration) -> String {
    let year_9999 = Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + wall.min(year_9999)).to_string()
}

fn stamp(boot_id: &str, boottime: u64, wall: &str) -> Option<Stamp> {
    Some(Stamp {
        boot: BootId::known(boot_id),
        at: moment(boottime),
        wall: since_epoch(humantime::parse_rfc3339(wall).ok()?),
    })
}

impl Stored {
    /// What it tells of the last connection.
    pub(super) fn trace(&self, path: &Path) -> Option<Trace> {
        Some(Trace {
            phase: (&self.phase).into(),
            written: self.written()?,
            touched: touched(path).ok().map(since_epoch),
            last_alive: self.last_alive.as_ref().and_then(StoredStamp::stamp),
        })
    }

    fn written(&self) -> Option<Stamp> {
        stamp(&self.boot_id, self.boottime, &self.wall)
    }
}

/// By the clocks at the writing of the lease, not by the wall clock of now: that may have leapt since, and the time between the two could
/// not be told any more.
fn touch(path: &Path, alive: Moment) -> io::Result<()> {
    let written = read_stored(path)?.written();
    let written = written.ok_or_else(|| io::Error::other("the lease does not tell when it was written"))?;
    let at = SystemTime::UNIX_EPOCH + written.wall + alive.since(written.at);
    File::options().write(true).open(path)?.set_modified(at)
}

fn touched(path: &Path) -> io::Result<SystemTime> {
    std::fs::metadata(path)?.modified()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use url::Url;

    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::lifecycle::lease::Found;
    use crate::lifecycle::{Lease, Phase};

    const ENDED: Duration = Duration::from_millis(1_800_000_000_123);

    fn key() -> LeaseKey {
        LeaseKey::new(&Url::parse("https://livestream.adobe.net/api/1/stream/web").unwrap(), 0)
    }

    fn open(dir: &Path) -> LeaseDir {
        LeaseDir::open(dir, Arc::new(SystemClock::new())).unwrap()
    }

    fn lease(phase: Phase) -> Lease {
        Lease {
            phase,
            not_before: Moment::default(),
            failures: 0,
        }
    }

    fn ended() -> Stamp {
        Stamp {
            boot: BootId::known("that"),
            at: Moment::from_secs(77),
            wall: ENDED,
        }
    }

    fn path(dir: &Path) -> std::path::PathBuf {
        dir.join("leases").join(key().file_name())
    }

    #[tokio::test]
    async fn the_end_of_a_connection_is_in_every_lease_after_it_until_it_is_known_anew() {
        let dir = tempfile::tempdir().unwrap();
        let leases = open(dir.path());
        assert_eq!(leases.find(&key()).await.trace, None);
        leases.store(&key(), lease(Phase::Closed)).await.unwrap();
        assert_eq!(leases.find(&key()).await.trace.unwrap().last_alive, None);
        leases.last_alive(&key(), ended());
        for phase in [Phase::Closed, Phase::Connecting, Phase::Closed] {
            leases.store(&key(), lease(phase)).await.unwrap();
            let trace = open(dir.path()).find(&key()).await.trace.unwrap();
            assert_eq!((trace.phase, trace.last_alive), (phase, Some(ended())));
            assert!(trace.written.boot.is_same_boot(SystemClock::new().boot()));
        }
    }

    #[tokio::test]
    async fn a_heartbeat_touches_the_lease_and_changes_nothing_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let leases = open(dir.path());
        leases.store(&key(), lease(Phase::Streaming)).await.unwrap();
        let before = std::fs::read(path(dir.path())).unwrap();
        let mut heartbeat = leases.heartbeat(&key());
        let written = leases.find(&key()).await.trace.unwrap().written;
        let later = Duration::from_secs(480);
        for _ in 0..2 {
            heartbeat.beat(written.at + later);
            heartbeat.touching.take().unwrap().await.unwrap();
            let touched = leases.find(&key()).await.trace.unwrap().touched;
            assert_eq!(touched, Some(written.wall + later));
        }
        assert_eq!(std::fs::read(path(dir.path())).unwrap(), before);
    }

    #[tokio::test]
    async fn a_heartbeat_that_fails_is_no_matter() {
        let dir = tempfile::tempdir().unwrap();
        let mut heartbeat = open(dir.path()).heartbeat(&key());
        heartbeat.beat(SystemClock::new().now());
        heartbeat.touching.take().unwrap().await.unwrap();
        assert!(!path(dir.path()).exists(), "and makes no lease");
    }

    #[tokio::test]
    async fn what_a_lease_tells_of_gaps_has_no_say_in_whether_it_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let leases = open(dir.path());
        leases.last_alive(&key(), ended());
        leases.store(&key(), lease(Phase::Closed)).await.unwrap();
        let good = std::fs::read_to_string(path(dir.path())).unwrap();
        let mut without: serde_json::Value = serde_json::from_str(&good).unwrap();
        without.as_object_mut().unwrap().remove("last_alive").unwrap();
        for odd in [without.to_string(), good.replace("2027-01-15", "yesterday")] {
            assert_ne!(odd, good);
            std::fs::write(path(dir.path()), odd).unwrap();
            assert!(matches!(leases.find(&key()).await.lease, Found::Lease(_)));
            assert_eq!(leases.find(&key()).await.trace.unwrap().last_alive, None);
        }
        for (odd, is_lease) in [
            (good.replace("\"closed\",", "\"shut\","), false),
            (good.replace("\"wall\":\"2", "\"wall\":\"x"), true),
        ] {
            assert_ne!(odd, good);
            std::fs::write(path(dir.path()), odd).unwrap();
            assert_eq!(matches!(leases.find(&key()).await.lease, Found::Lease(_)), is_lease);
            assert_eq!(leases.find(&key()).await.trace, None);
        }
    }
}
