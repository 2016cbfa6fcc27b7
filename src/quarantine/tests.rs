//! The quarantine on a real directory: what it keeps, what it finds again, what goes, and what it leaves alone.

use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use tempfile::TempDir;

use super::*;
use crate::hit::NotAHit;

const DAY: Duration = Duration::from_hours(24);
const TOO_LARGE: DeadLetterReason = DeadLetterReason::TooLargeForKafka;

struct Trial {
    state_dir: TempDir,
    quarantine: Quarantine,
}

impl Trial {
    fn new(max_bytes: u64) -> Self {
        let state_dir = tempfile::tempdir().unwrap();
        let settings = QuarantineSettings {
            max_bytes,
            max_age: 30 * DAY,
        };
        let quarantine = Quarantine::open(state_dir.path(), settings).unwrap();
        Self { state_dir, quarantine }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.state_dir.path().join("quarantine").join(name)
    }

    fn keep(&self, position: u64, record: &[u8]) -> Kept {
        let kept = self
            .quarantine
            .keep_record("web", Position(position), record, TOO_LARGE);
        kept.unwrap()
    }

    /// Puts a file there that was changed so long from now, in the future: the time of a change of its name cannot be set.
    fn put(&self, name: &str, bytes: usize, from_now: Duration) {
        fs::write(self.path(name), vec![b'x'; bytes]).unwrap();
        let file = File::options().write(true).open(self.path(name)).unwrap();
        file.set_modified(SystemTime::now() + from_now).unwrap();
    }

    fn sweep_in(&self, time: Duration) -> QuarantineStatus {
        self.quarantine.sweep(SystemTime::now() + time).unwrap()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_record_is_kept_byte_for_byte_for_this_user_alone() {
    let trial = Trial::new(1000);
    let record = b"{\"a\":\"\xff\x00\"}";
    let kept = trial.keep(1234, record);
    let name = format!(
        "web.00000000000000001234.too_large_for_kafka.{:016x}.record",
        hash(record)
    );
    assert_eq!((kept.path.clone(), kept.is_new), (trial.path(&name), true));
    assert_eq!(fs::read(&kept.path).unwrap(), record);
    assert_eq!((mode(&kept.path), mode(&trial.path(""))), (0o600, 0o700));
    assert_eq!(trial.names(), [name], "and nothing else is there");
    let status = trial.quarantine.status();
    assert_eq!((status.files, status.bytes, status.kept), (1, record.len() as u64, 1));
}

#[test]
fn a_replay_of_a_record_finds_its_file_and_another_record_gets_its_own() {
    let trial = Trial::new(1000);
    let first = trial.keep(7, b"one");
    let inode = fs::metadata(&first.path).unwrap().ino();
    // As after a restart.
    let again = Quarantine::open(trial.state_dir.path(), trial.quarantine.0.limits).unwrap();
    let found = again.keep_record("web", Position(7), b"one", TOO_LARGE).unwrap();
    assert_eq!((&found.path, found.is_new), (&first.path, false));
    assert_eq!(
        fs::metadata(&first.path).unwrap().ino(),
        inode,
        "it was not written again"
    );
    assert_eq!(again.status().kept, 0);
    // Positions that began anew, another stream, another reason.
    let not_json = DeadLetterReason::NotAHit(NotAHit::NotJson);
    let others = [
        again.keep_record("web", Position(7), b"two", TOO_LARGE).unwrap(),
        again.keep_record("app", Position(7), b"one", TOO_LARGE).unwrap(),
        again.keep_record("web", Position(7), b"one", not_json).unwrap(),
    ];
    assert!(others.iter().all(|other| other.is_new));
    assert_eq!(fs::read(&first.path).unwrap(), b"one");
    assert_eq!(trial.names().len(), 4);
}

#[test]
fn what_is_not_the_record_under_its_name_is_replaced_and_not_followed() {
    let trial = Trial::new(1000);
    let elsewhere = trial.state_dir.path().join("elsewhere");
    for planted in 0..4 {
        let kept = trial.keep(planted, b"record");
        fs::remove_file(&kept.path).unwrap();
        fs::write(&elsewhere, b"record").unwrap();
        match planted {
            0 => symlink(&elsewhere, &kept.path).unwrap(),
            1 => mknodat(CWD, &kept.path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap(),
            2 => fs::write(&kept.path, b"recorf").unwrap(),
            _ => fs::write(&kept.path, b"").unwrap(),
        }
        symlink(&elsewhere, kept.path.with_extension("tmp")).unwrap();
        assert!(trial.keep(planted, b"record").is_new, "{planted}");
        assert!(fs::symlink_metadata(&kept.path).unwrap().is_file(), "{planted}");
        assert_eq!(fs::read(&kept.path).unwrap(), b"record", "{planted}");
    }
    assert_eq!(trial.names().len(), 4);
}

#[test]
fn a_record_above_the_whole_bound_is_refused_and_takes_nothing_with_it() {
    let trial = Trial::new(100);
    trial.keep(1, &[b'a'; 60]);
    let refused = trial
        .quarantine
        .keep_record("web", Position(2), &[b'b'; 101], TOO_LARGE);
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    assert!(
        error.to_string().contains("raise quarantine.max_bytes (100)"),
        "{error}"
    );
    assert_eq!(trial.names().len(), 1);
    assert_eq!(trial.quarantine.status().not_kept, 1);
    trial.keep(2, &[b'b'; 100]);
    assert_eq!(
        trial.names().len(),
        1,
        "one that just fits takes the place of all others"
    );
}

#[test]
fn a_record_makes_room_for_itself_and_is_never_what_goes() {
    let trial = Trial::new(100);
    // Newer than anything, by their times.
    trial.put("web.1.damaged.seg", 40, DAY);
    trial.put("foreign", 40, 2 * DAY);
    let kept = trial.keep(1, &[b'a'; 30]);
    assert_eq!(trial.names().len(), 2);
    assert!(
        kept.path.exists() && !trial.path("foreign").exists(),
        "both are from the future: {:?}",
        trial.names()
    );
    let status = trial.quarantine.status();
    assert_eq!((status.files, status.bytes), (2, 70));
    assert_eq!((status.removed_files, status.removed_bytes), (1, 40));
}

#[test]
fn a_flood_of_records_stays_within_bounds() {
    let trial = Trial::new(1000);
    for position in 0..300 {
        trial.keep(position, format!("record {position:05}").as_bytes());
        let status = trial.quarantine.status();
        assert!(status.bytes <= 1000, "{status:?}");
    }
    let bytes = |name: &String| fs::metadata(trial.path(name)).unwrap().len();
    let status = trial.quarantine.status();
    assert_eq!(trial.names().iter().map(bytes).sum::<u64>(), status.bytes);
    assert_eq!((status.files + status.removed_files, status.kept), (300, 300));
}

#[test]
fn files_go_when_they_are_too_old_whoever_put_them_there() {
    let trial = Trial::new(10_000);
    trial.keep(1, b"old");
    trial.put("app.2.cut", 10, Duration::ZERO);
    trial.put("app.3.damaged.seg", 10, 2 * DAY);
    let before = trial.sweep_in(29 * DAY);
    assert_eq!((before.files, before.bytes, before.removed_files), (3, 23, 0));
    assert!(
        (28 * DAY..=30 * DAY).contains(&Duration::from_secs(before.oldest_s)),
        "{before:?}"
    );
    let after = trial.sweep_in(31 * DAY);
    assert_eq!(trial.names(), ["app.3.damaged.seg"]);
    assert_eq!(
        (after.files, after.bytes, after.removed_files, after.removed_bytes),
        (1, 10, 2, 13)
    );
}

#[test]
fn what_was_moved_here_is_as_old_as_the_move() {
    let trial = Trial::new(10_000);
    let before = trial.state_dir.path().join("segment");
    fs::write(&before, "batches").unwrap();
    let last_written = SystemTime::now() - 100 * DAY;
    File::options()
        .write(true)
        .open(&before)
        .unwrap()
        .set_modified(last_written)
        .unwrap();
    fs::rename(&before, trial.path("web.1.damaged.seg")).unwrap();
    assert_eq!(trial.sweep_in(Duration::ZERO).files, 1);
    assert_eq!(trial.sweep_in(31 * DAY).files, 0);
}

#[test]
fn only_regular_files_are_counted_and_removed() {
    let trial = Trial::new(10_000);
    let elsewhere = trial.state_dir.path().join("elsewhere");
    fs::create_dir_all(trial.path("by-hand/deeper")).unwrap();
    fs::write(trial.path("by-hand/kept"), "for later").unwrap();
    fs::write(&elsewhere, "not ours").unwrap();
    symlink(&elsewhere, trial.path("link")).unwrap();
    symlink(trial.path(""), trial.path("loop")).unwrap();
    symlink("/nowhere", trial.path("dangling")).unwrap();
    mknodat(CWD, trial.path("pipe"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let odd = OsString::from_vec(b"odd\xff\n".to_vec());
    fs::write(trial.path("").join(&odd), "odd").unwrap();
    fs::write(trial.path("unreadable"), "unreadable").unwrap();
    fs::set_permissions(trial.path("unreadable"), fs::Permissions::from_mode(0o000)).unwrap();
    let before = trial.sweep_in(Duration::ZERO);
    assert_eq!((before.files, before.bytes), (2, 13));
    let after = trial.sweep_in(31 * DAY);
    assert_eq!(
        (after.files, after.bytes, after.stuck_files, after.removed_files),
        (0, 0, 0, 2)
    );
    assert_eq!(trial.names(), ["by-hand", "dangling", "link", "loop", "pipe"]);
    assert!(elsewhere.exists() && trial.path("by-hand/kept").exists());
}

#[test]
fn a_directory_that_is_gone_is_an_error_and_no_more() {
    let trial = Trial::new(10_000);
    fs::remove_dir(trial.path("")).unwrap();
    assert!(trial.quarantine.sweep(SystemTime::now()).is_err());
    let refused = trial.quarantine.keep_record("web", Position(1), b"record", TOO_LARGE);
    assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::NotFound);
    fs::write(trial.path("").parent().unwrap().join("quarantine"), "a file").unwrap();
    assert!(trial.quarantine.sweep(SystemTime::now()).is_err());
    assert!(Quarantine::open(trial.state_dir.path(), trial.quarantine.0.limits).is_err());
}

#[test]
fn a_name_leads_nowhere_else() {
    let trial = Trial::new(10_000);
    for stream in ["", "..", "../leases/x", "/tmp/x", "a\0b"] {
        let refused = trial.quarantine.keep_record(stream, Position(1), b"record", TOO_LARGE);
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::InvalidInput, "{stream:?}");
    }
    assert_eq!(trial.names(), Vec::<String>::new());
}

#[test]
fn clones_that_keep_at_once_lose_nothing() {
    let trial = Trial::new(1 << 20);
    std::thread::scope(|scope| {
        for thread in 0..4_u64 {
            let trial = &trial;
            scope.spawn(move || {
                for position in 0..25 {
                    // Each record by two threads.
                    trial.keep(position, format!("{position} {}", thread / 2).as_bytes());
                    trial.sweep_in(Duration::ZERO);
                }
            });
        }
    });
    let status = trial.sweep_in(Duration::ZERO);
    assert_eq!((status.files, status.kept, status.not_kept), (50, 50, 0));
    assert!(
        trial.names().iter().all(|name| name.ends_with(".record")),
        "{:?}",
        trial.names()
    );
}

#[tokio::test(start_paused = true)]
async fn it_is_swept_at_the_start_and_each_hour_until_the_stop() {
    let trial = Trial::new(100);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let stopped = async {
        let _ = stopped.await;
    };
    let sweeps = tokio::spawn(trial.quarantine.clone().keep_swept(stopped));
    let until_seen = async |files: u64| {
        // Virtual time runs on while a sweep blocks its thread; it is real time that limits this.
        let deadline = Instant::now() + Duration::from_mins(1);
        while trial.quarantine.status().files != files {
            assert!(Instant::now() < deadline, "{:?}", trial.quarantine.status());
            tokio::time::sleep(SWEPT_LATELY).await;
        }
    };
    trial.put("a", 10, Duration::ZERO);
    until_seen(1).await;
    trial.put("b", 20, Duration::ZERO);
    until_seen(2).await;
    trial.put("c", 80, Duration::ZERO);
    until_seen(1).await;
    assert_eq!(trial.names(), ["c"]);
    stop.send(()).unwrap();
    sweeps.await.unwrap();
}
