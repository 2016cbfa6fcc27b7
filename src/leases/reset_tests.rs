//! What a lease remembers of a reset on purpose.

use super::*;
use crate::clock::SystemClock;
use crate::lifecycle::ResetTo;

const WEB: &str = "https://livestream.adobe.net/api/1/stream/adobe-livestream-web";

fn key(slot: u8) -> LeaseKey {
    LeaseKey::new(&Url::parse(WEB).unwrap(), slot)
}

fn leases(dir: &Path) -> LeaseDir {
    LeaseDir::open(dir, Arc::new(SystemClock::new())).unwrap()
}

const fn lease(phase: Phase) -> Lease {
    Lease {
        phase,
        not_before: Moment::from_secs(0),
        failures: 0,
    }
}

#[tokio::test]
async fn a_reset_is_remembered_with_every_later_write_until_it_is_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let key = key(0);
    let done = Some(ResetDone {
        to: ResetTo::Smallest,
        wall: "2026-11-21T09:00:00Z".to_owned(),
    });
    let first = leases(dir.path());
    first.store(&key, lease(Phase::Connecting)).await.unwrap();
    assert_eq!(first.find(&key).await.reset, None);
    first.note_reset(&key, done.clone());
    assert_eq!(first.find(&key).await.reset, done, "by this process, at once");
    assert_eq!(leases(dir.path()).find(&key).await.reset, None, "not yet on disk");
    for phase in [Phase::Streaming, Phase::Closed] {
        first.store(&key, lease(phase)).await.unwrap();
        let remembered = leases(dir.path()).find(&key).await;
        assert!(matches!(remembered.lease, Found::Lease(found) if found.lease.phase == phase));
        assert_eq!(remembered.reset, done);
        assert_eq!(leases(dir.path()).reset(&key).await, done);
    }
    assert_eq!(first.find(&self::key(1)).await.reset, None, "another slot");

    let next = leases(dir.path());
    next.store(&key, lease(Phase::Closed)).await.unwrap();
    assert_eq!(
        leases(dir.path()).find(&key).await.reset,
        None,
        "a run that does not wish it forgets it"
    );
}

#[tokio::test]
async fn a_reset_to_a_place_unknown_here_costs_the_lease_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let leases = leases(dir.path());
    let key = key(0);
    leases.store(&key, lease(Phase::Closed)).await.unwrap();
    let path = dir.path().join("leases").join(key.file_name());
    let without = std::fs::read_to_string(&path).unwrap();
    assert!(
        !without.contains("reset"),
        "a lease of before has no such field: {without}"
    );
    let with = without.replace("{\"version\"", r#"{"reset":{"to":"middle","wall":""},"version""#);
    assert_ne!(with, without);
    std::fs::write(&path, with).unwrap();
    let remembered = leases.find(&key).await;
    assert!(matches!(remembered.lease, Found::Lease(_)));
    assert_eq!(remembered.reset, None);
}
