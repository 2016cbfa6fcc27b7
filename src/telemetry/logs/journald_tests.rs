use std::collections::BTreeMap;

use tracing::{debug, error, info, trace, warn};
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

/// A journal of our own.
struct Listening {
    socket: UnixDatagram,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Listening {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            socket,
            path,
            _dir: dir,
        }
    }

    /// Runs `say` with a log that goes here.
    fn log(&self, say: impl FnOnce()) {
        let journald = Journald::connect(&self.path).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(journald), say);
    }

    /// The next datagram, read as the journal does, and not as it was written.
    fn next(&self) -> Option<BTreeMap<String, String>> {
        let mut datagram = vec![0; 1 << 20];
        let length = self.socket.recv(&mut datagram).ok()?;
        let mut rest = &datagram[..length];
        let mut entry = BTreeMap::new();
        while !rest.is_empty() {
            let end = rest.iter().position(|&byte| byte == b'\n').expect("a field ends");
            let line = std::str::from_utf8(&rest[..end]).unwrap();
            rest = &rest[end + 1..];
            let (name, value) = if let Some((name, value)) = line.split_once('=') {
                (name, value.to_owned())
            } else {
                let (length, after) = rest.split_first_chunk::<8>().expect("a length");
                let (value, after) = after.split_at(usize::try_from(u64::from_le_bytes(*length)).unwrap());
                assert_eq!(after[0], b'\n');
                rest = &after[1..];
                (line, String::from_utf8(value.to_vec()).unwrap())
            };
            assert!(
                name.len() <= 64 && name.starts_with(|c: char| c.is_ascii_uppercase()),
                "{name}"
            );
            assert_eq!(entry.insert(name.to_owned(), value), None, "{name} twice");
        }
        Some(entry)
    }
}

#[test]
fn a_line_is_one_entry_with_its_fields_and_all_of_it_in_the_message() {
    let journal = Listening::new();
    journal.log(|| {
        info!(
            stream = "web",
            slot = 1_u8,
            why = "the end\nof it",
            wait_s = 60.5,
            "waiting"
        );
    });
    let entry = journal.next().unwrap();
    assert_eq!(
        entry["MESSAGE"],
        r#"waiting stream=web slot=1 why="the end\nof it" wait_s=60.5"#
    );
    for (name, value) in [
        ("PRIORITY", "6"),
        ("SYSLOG_IDENTIFIER", "livestreamd"),
        ("LIVESTREAMD_STREAM", "web"),
        ("LIVESTREAMD_SLOT", "1"),
        ("LIVESTREAMD_WHY", "the end\nof it"),
        ("LIVESTREAMD_WAIT_S", "60.5"),
        ("LIVESTREAMD_TARGET", module_path!()),
    ] {
        assert_eq!(entry[name], value, "{name}");
    }
    assert!(entry["CODE_FILE"].ends_with("journald_tests.rs") && entry.contains_key("CODE_LINE"));
    assert_eq!(journal.next(), None, "one line, one entry");
}

#[test]
fn levels_are_priorities_of_syslog() {
    let journal = Listening::new();
    journal.log(|| {
        error!("e");
        warn!("w");
        info!("i");
        debug!("d");
        trace!("t");
    });
    let said: Vec<_> = std::iter::from_fn(|| journal.next())
        .map(|entry| (entry["MESSAGE"].clone(), entry["PRIORITY"].clone()))
        .collect();
    let expected = [("e", "3"), ("w", "4"), ("i", "6"), ("d", "7"), ("t", "7")];
    assert_eq!(
        said,
        expected.map(|(text, priority)| (text.to_owned(), priority.to_owned()))
    );
}

#[test]
fn no_field_of_ours_can_be_taken_for_one_of_the_journal_s_own() {
    let journal = Listening::new();
    journal.log(|| info!(PRIORITY = 0, _pid = 1, a.b = 2, "x"));
    let entry = journal.next().unwrap();
    assert_eq!(entry["PRIORITY"], "6");
    assert_eq!(entry["LIVESTREAMD_PRIORITY"], "0");
    assert_eq!(entry["LIVESTREAMD__PID"], "1");
    assert_eq!(entry["LIVESTREAMD_A_B"], "2");
}

#[test]
fn a_line_of_any_length_goes_into_one_datagram() {
    let journal = Listening::new();
    let (long, breaks) = ("x".repeat(1 << 20), "\n\"".repeat(1 << 19));
    journal.log(|| info!(long, breaks, more = long, "{long}"));
    let entry = journal.next().expect("it fits");
    assert!(entry["LIVESTREAMD_LONG"].ends_with('…') && entry["LIVESTREAMD_LONG"].len() < 20_000);
}

#[test]
fn lines_that_the_journal_does_not_take_at_once_are_dropped_and_counted() {
    let journal = Listening::new();
    let mut sent = 0;
    journal.log(|| {
        // Nobody reads: the socket's queue is soon full. This returns all the same.
        for _ in 0..5000 {
            info!("more");
            sent += 1;
        }
        let taken = std::iter::from_fn(|| journal.next()).count();
        assert!(taken > 0 && taken < sent, "{taken} of {sent}");
        info!("again");
        info!("and again");
        let (again, after) = (journal.next().unwrap(), journal.next().unwrap());
        assert_eq!(again["LIVESTREAMD_LINES_DROPPED"], (sent - taken).to_string());
        assert!(!after.contains_key("LIVESTREAMD_LINES_DROPPED"));
    });
}

#[test]
fn a_journal_that_was_restarted_is_written_to_again() {
    let mut journal = Listening::new();
    let journald = Journald::connect(&journal.path).unwrap();
    tracing::subscriber::with_default(tracing_subscriber::registry().with(journald), || {
        std::fs::remove_file(&journal.path).unwrap();
        info!("to nobody");
        journal.socket = UnixDatagram::bind(&journal.path).unwrap();
        journal.socket.set_nonblocking(true).unwrap();
        info!("to the new one");
    });
    let entry = journal.next().unwrap();
    assert_eq!(entry["MESSAGE"], "to the new one");
    assert_eq!(entry["LIVESTREAMD_LINES_DROPPED"], "1");
}

#[test]
fn where_nobody_listens_there_is_no_journal() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Journald::connect(&dir.path().join("socket")).is_err());
    // A socket that is left over, with nobody behind it.
    let path = dir.path().join("left");
    drop(UnixDatagram::bind(&path).unwrap());
    assert!(Journald::connect(&path).is_err());
}
