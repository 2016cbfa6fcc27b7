//! `livestreamd journal`: the real binary on journals of this process, of a running daemon, and on what only looks like one.

use std::fmt::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use livestreamd::journal::{BatchKind, DEFAULT_CURSOR, Journal, Journals, JournalsSettings, NewBatch, Position};
use livestreamd::simulator::{SimulatedStream, SimulatorSettings};
use livestreamd::state_dir::StateDir;
use rustix::process::Signal;
use serde_json::Value;

use super::child::{Ended, LIMIT, Livestreamd, Scratch, path};
use super::trial::Trial;
use crate::support::wait_until;

/// What a record of ours takes up in the journal, on its own in a batch.
const ONE: u64 = 32 + 9;
/// Where the cursor of [`State::filled`] stands.
const DELIVERED: u64 = 4 * ONE;

fn record(number: u64) -> String {
    format!("record {number}\n")
}

/// A `state_dir` with the journals `web`, of ten records of which four are delivered, and `app`, of one.
struct State {
    scratch: Scratch,
}

impl State {
    async fn filled() -> Self {
        Self::filled_for(&[]).await
    }

    /// With cursors of these outputs as well, of which each has passed one record more than the one before it, beginning with one.
    async fn filled_for(outputs: &[&str]) -> Self {
        let state = Self {
            scratch: Scratch::new(),
        };
        let settings = JournalsSettings {
            state_dir: state.path(),
            sync_interval: Duration::from_millis(5),
            max_bytes: 1 << 20,
            max_bytes_in_all: 1 << 21,
            streams: 2,
        };
        drop(StateDir::lock(&state.path()).unwrap());
        let journals = Journals::start(settings).unwrap();
        let web = journals.open("web", outputs).unwrap();
        for number in 0..10 {
            append(&web, number).await;
        }
        for (name, passed) in outputs.iter().zip(1..) {
            web.advance(name, Position(passed * ONE));
        }
        web.advance(DEFAULT_CURSOR, Position(DELIVERED));
        append(&journals.open("app", &[]).unwrap(), 7).await;
        assert!(journals.stop());
        state
    }

    fn path(&self) -> PathBuf {
        self.scratch.path().join("state")
    }

    /// A directory or file in the journal of a stream.
    fn of(&self, rest: &str) -> PathBuf {
        self.path().join("journal").join(rest)
    }

    fn run(&self, command: &str, dir: &Path, more: &[&str]) -> Ended {
        let mut arguments = vec!["journal", command, path(dir)];
        arguments.extend(more);
        let ended = Livestreamd::run(&self.scratch, &arguments, &[]);
        assert!(!ended.stderr.contains("panicked"), "{ended:?}");
        ended
    }

    fn config(&self, streams: &[&str]) -> PathBuf {
        let mut text = format!(
            "state_dir = {:?}\n[credentials.default]\nclient_id = \"a\"\nclient_secret = \"hush\"\n[kafka]\nbrokers = \"k:9092\"\n",
            path(&self.path())
        );
        for stream in streams {
            writeln!(
                text,
                "[streams.{stream}]\nurl = \"https://livestream.adobe.net/{stream}\""
            )
            .unwrap();
        }
        self.scratch.write("livestreamd.toml", &text)
    }
}

async fn append(journal: &Journal, number: u64) {
    let batch = NewBatch {
        kind: BatchKind::Records,
        received_ms: number,
        slot: 0,
        bytes: record(number).into(),
    };
    journal.append(batch).await.unwrap();
}

fn undelivered() -> String {
    (4..10).map(record).collect()
}

/// Everything in a directory and below, with the content of files.
fn everything(dir: &Path) -> Vec<(PathBuf, Option<Vec<u8>>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(everything(&path));
            found.push((path, None));
        } else {
            let content = std::fs::read(&path).unwrap();
            found.push((path, Some(content)));
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_journal_is_shown_with_its_segments_cursors_and_backlog() {
    let state = State::filled().await;
    let ended = state.run("inspect", &state.of("web"), &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    for told in [
        "web  ",
        "not delivered  246 bytes",
        "held           410 bytes in 1 segment, positions 0 to 410",
        "cursor         default: 164",
        "format         version 1",
        "410 B  00000000000000000000.seg",
    ] {
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
    }
    for all in [state.path(), state.of("")] {
        let ended = state.run("inspect", &all, &[]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let at = |name: &str| ended.stdout.find(&format!("{name}  ")).expect(name);
        assert!(at("app") < at("web"), "each under its name: {}", ended.stdout);
        assert!(!ended.stdout.contains("orphan"), "nobody asked: {}", ended.stdout);
    }
}

#[tokio::test]
async fn programs_are_told_all_of_it_as_json() {
    let state = State::filled().await;
    std::fs::write(state.of("web/note\x1b[2J"), "").unwrap();
    std::fs::write(state.path().join("quarantine/web.00000000000000000100.cut"), "abc").unwrap();
    let ended = state.run(
        "inspect",
        &state.path(),
        &["--json", "--config", path(&state.config(&["web"]))],
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    let [app, web] = told["journals"].as_array().unwrap().as_slice() else {
        panic!("{told}")
    };
    assert_eq!((&app["stream"], &app["orphan"]), (&"app".into(), &true.into()));
    assert_eq!((&web["stream"], &web["orphan"]), (&"web".into(), &false.into()));
    assert_eq!((&web["held_bytes"], &web["backlog_bytes"]), (&410.into(), &246.into()));
    assert_eq!(web["cursors"][0]["position"], DELIVERED);
    assert_eq!(web["segments"][0]["file"], "00000000000000000000.seg");
    assert_eq!(
        (&web["format_version"], &web["quarantine"][0]["bytes"]),
        (&1.into(), &3.into())
    );
    assert_eq!(web["foreign"][0], "note\x1b[2J");
    // People see such a name without its effect on their terminal.
    let ended = state.run("inspect", &state.of("web"), &[]);
    assert!(
        !ended.stdout.contains('\x1b') && ended.stdout.contains("note"),
        "{ended:?}"
    );
    assert!(ended.stdout.contains("web.00000000000000000100.cut"), "{ended:?}");
}

#[tokio::test]
async fn a_journal_that_no_stream_owns_is_shown_as_an_orphan() {
    let state = State::filled().await;
    let config = state.config(&["web"]);
    for command in ["inspect", "verify"] {
        let ended = state.run(command, &state.path(), &["--config", path(&config)]);
        assert_eq!(ended.code, 0, "{ended:?}");
        let (app, web) = ended.stdout.split_once("web").unwrap();
        assert!(app.contains("orphan") && !web.contains("orphan"), "{}", ended.stdout);
    }
    let ended = state.run("inspect", &state.path(), &["--config", "/no/such/file.toml"]);
    assert_eq!(ended.code, 78, "{ended:?}");
    // A configuration of somewhere else says nothing about this.
    let other = State::filled().await;
    let ended = other.run("inspect", &other.path(), &["--config", path(&config)]);
    assert!(ended.stderr.starts_with("warning: the state_dir of "), "{ended:?}");
}

#[tokio::test]
async fn a_whole_journal_is_verified_and_damage_is_told_with_its_place() {
    let state = State::filled().await;
    let ended = state.run("verify", &state.path(), &[]);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert!(
        ended.stdout.contains("good   web: 10 whole batches with 90 bytes"),
        "{ended:?}"
    );

    // An end that is not finished is no fault.
    let segment = state.of("web/00000000000000000000.seg");
    let whole = std::fs::read(&segment).unwrap();
    std::fs::write(&segment, &whole[..whole.len() - 3]).unwrap();
    let ended = state.run("verify", &state.of("web"), &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("38 bytes of an unfinished batch"), "{ended:?}");

    let mut damaged = whole.clone();
    damaged[ONE as usize * 5 + 35] ^= 1;
    std::fs::write(&segment, &damaged).unwrap();
    std::fs::write(state.of("app/cursor.default"), "garbage").unwrap();
    let ended = state.run("verify", &state.path(), &[]);
    assert_eq!(ended.code, 1, "{ended:?}");
    for told in [
        "fault  web: 9 whole batches",
        "damage at position 205 in 00000000000000000000.seg: 41 bytes: the checksum is wrong",
        "the daemon passes over it, and sets its segments aside",
        "fault  app: 1 whole batch",
        "the cursor default cannot be read",
    ] {
        assert!(ended.stdout.contains(told), "{told}: {}", ended.stdout);
    }
    // What is damaged cannot be exported, and that is said.
    let ended = state.run("export", &state.of("web"), &[]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert_eq!(ended.stdout, undelivered().replace("record 5\n", ""));
    assert!(ended.stderr.contains("not among it: 41 bytes of damage"), "{ended:?}");
}

#[tokio::test]
async fn what_is_not_delivered_is_exported_byte_for_byte() {
    let state = State::filled().await;
    let web = state.of("web");
    let ended = state.run("export", &web, &[]);
    assert_eq!((ended.code, ended.stdout), (0, undelivered()));
    assert_eq!(ended.stderr, "written out: 54 bytes from 6 batches\n");
    let all: String = (0..10).map(record).collect();
    assert_eq!(state.run("export", &web, &["--all"]).stdout, all);
    let from = (ONE * 9).to_string();
    assert_eq!(state.run("export", &web, &["--from", &from]).stdout, record(9));
    assert_eq!(state.run("export", &web, &["--from=7", "--all"]).code, 64);
    let ended = state.run("export", &state.path(), &[]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (1, ""),
        "of one stream only: {ended:?}"
    );
    assert!(ended.stderr.contains(path(&state.of("app"))), "{ended:?}");
}

#[tokio::test]
async fn each_cursor_of_a_journal_is_shown_exported_from_and_moved_by_a_discard() {
    let state = State::filled_for(&["bots", "sold"]).await;
    let web = state.of("web");
    let told = state.run("inspect", &web, &[]).stdout;
    for line in [
        "not delivered  369 bytes",
        "cursor         bots: 41, not delivered 369 bytes",
        "cursor         default: 164, not delivered 246 bytes",
        "cursor         sold: 82, not delivered 328 bytes",
    ] {
        assert!(told.contains(line), "{line}: {told}");
    }
    let told: Value = serde_json::from_str(&state.run("inspect", &web, &["--json"]).stdout).unwrap();
    let cursors = told["journals"][0]["cursors"].as_array().unwrap();
    let backlogs: Vec<_> = cursors.iter().map(|cursor| &cursor["backlog_bytes"]).collect();
    assert_eq!(backlogs, [369, 246, 328]);

    let after = |passed| (passed..10).map(record).collect::<String>();
    assert_eq!(state.run("export", &web, &[]).stdout, after(1), "not delivered to all");
    for (name, passed) in [("bots", 1), ("sold", 2), ("default", 4)] {
        assert_eq!(
            state.run("export", &web, &["--cursor", name]).stdout,
            after(passed),
            "{name}"
        );
    }
    let ended = state.run("export", &web, &["--cursor=buyers"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""));
    assert!(
        ended.stderr.contains("give one of these, or none: bots, default, sold"),
        "{ended:?}"
    );
    assert_eq!(state.run("export", &web, &["--cursor=sold", "--all"]).code, 64);

    assert_eq!(state.run("discard", &web, &["--yes"]).code, 0);
    let told = state.run("inspect", &web, &[]).stdout;
    for name in ["bots", "default", "sold"] {
        assert!(told.contains(&format!("{name}: 410, not delivered nothing")), "{told}");
    }
}

#[tokio::test]
async fn an_export_to_a_file_is_private_and_overwrites_nothing() {
    let state = State::filled().await;
    let file = state.scratch.path().join("hits.json");
    let export = || state.run("export", &state.of("web"), &["--output", path(&file)]);
    let ended = export();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), undelivered());
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(&file, "mine").unwrap();
    let ended = export();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("is there already"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
    let ended = state.run("export", &state.of("web"), &["--output", "/no/such/dir/file"]);
    assert!(
        ended.code == 1 && ended.stderr.contains("/no/such/dir/file"),
        "{ended:?}"
    );
}

/// Runs the binary in a shell script, as `$1` with its arguments.
fn sh(script: &str, arguments: &[&str]) -> Output {
    Command::new("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_livestreamd"), "journal"])
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

#[tokio::test]
async fn an_export_whose_reader_goes_away_ends_without_panic_and_says_that_it_is_not_all() {
    let state = State::filled().await;
    let web = state.of("web");
    let arguments = ["export", path(&web)];
    let piped = sh("{ sleep 1; \"$@\"; echo \"code $?\" >&2; } | true", &arguments);
    let said = String::from_utf8(piped.stderr).unwrap();
    assert!(
        said.contains("this is not everything") && said.ends_with("code 1\n"),
        "{said}"
    );
    let full = sh("exec \"$@\" >/dev/full", &arguments);
    let said = String::from_utf8(full.stderr).unwrap();
    assert_eq!(full.status.code(), Some(1));
    assert!(
        said.starts_with("livestreamd: cannot write to standard output"),
        "{said}"
    );
}

#[tokio::test]
async fn a_discard_says_what_would_be_lost_and_wants_to_be_sure() {
    let state = State::filled().await;
    let before = everything(&state.path());
    let ended = state.run("discard", &state.of("web"), &[]);
    assert_eq!((ended.code, ended.stdout.as_str()), (64, ""), "{ended:?}");
    for told in [
        "410 bytes would be lost",
        "not delivered: 246 bytes",
        "journal export",
        "--yes",
    ] {
        assert!(ended.stderr.contains(told), "{told}: {ended:?}");
    }
    for wrong in [state.path(), state.of("")] {
        let ended = state.run("discard", &wrong, &["--yes"]);
        assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
    }
    assert_eq!(everything(&state.path()), before, "nothing was touched");
}

#[tokio::test]
async fn a_discarded_journal_is_empty_and_its_stream_goes_on_behind_it() {
    let state = State::filled().await;
    let web = state.of("web");
    let ended = state.run("discard", &web, &["--yes"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, "web: 410 bytes discarded\n"),
        "{ended:?}"
    );
    let ended = state.run("discard", &web, &["--yes"]);
    assert_eq!(
        (ended.code, ended.stdout.as_str()),
        (0, "web: there is nothing to discard\n")
    );
    let ended = state.run("inspect", &web, &[]);
    assert!(ended.stdout.contains("cursor         default: 410"), "{ended:?}");
    assert_eq!(
        state.run("export", &state.of("app"), &[]).stdout,
        record(7),
        "another is not touched"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_journal_of_a_running_daemon_can_be_read_and_not_discarded() {
    let stream = SimulatedStream::new("watched");
    let trial = Trial::start(SimulatorSettings::with_stream(stream), Duration::from_secs(60)).await;
    // Nobody takes anything.
    let daemon = trial.run_with(&[("LIVESTREAMD__KAFKA__BROKERS", "127.0.0.1:1")]);
    let state_dir = trial.scratch.path().join("state");
    let dir = state_dir.join("journal/watched");
    let run = |command: &str, dir: &Path, more: &[&str]| {
        let mut arguments = vec!["journal", command, path(dir)];
        arguments.extend(more);
        Livestreamd::run(&trial.scratch, &arguments, &[])
    };
    let mut told = Value::Null;
    wait_until("something is in the journal", LIMIT, || {
        let ended = run("inspect", &state_dir, &["--json", "--config", trial.config()]);
        told = serde_json::from_str(&ended.stdout).unwrap_or_default();
        told["journals"][0]["backlog_bytes"].as_u64() > Some(20_000)
    });
    assert_eq!(
        (&told["journals"][0]["stream"], &told["journals"][0]["orphan"]),
        (&"watched".into(), &false.into())
    );
    for _ in 0..10 {
        let ended = run("verify", &state_dir, &[]);
        assert!(
            ended.code == 0 && ended.stdout.starts_with("good   watched: "),
            "{ended:?}"
        );
    }
    let exported = run("export", &dir, &[]);
    assert_eq!(exported.code, 0, "{}", exported.stderr);
    let hits = exported.stdout.lines().filter(|line| !line.is_empty());
    assert!(hits.clone().count() > 10);
    for hit in hits {
        assert!(serde_json::from_str::<Value>(hit).is_ok(), "{hit}");
    }
    let ended = run("discard", &dir, &["--yes"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, ""), "{ended:?}");
    assert!(
        ended.stderr.contains("a livestreamd runs on ") && ended.stderr.contains("stop it first"),
        "{ended:?}"
    );
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    // And when it is gone, all that it read is still there.
    let later = run("export", &dir, &[]);
    assert!(later.stdout.starts_with(&exported.stdout) && later.code == 0);
    assert_eq!(run("discard", &dir, &["--yes"]).code, 0);
}

#[tokio::test]
async fn what_only_looks_like_a_journal_hangs_nothing_and_is_left_alone() {
    let state = State::filled().await;
    let web = state.of("web");
    for name in ["00000000000000000500.seg", "cursor.pipe"] {
        let made = Command::new("mkfifo").arg(web.join(name)).status().unwrap();
        assert!(made.success());
    }
    std::fs::create_dir(web.join("00000000000000000600.seg")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", web.join("00000000000000000700.seg")).unwrap();
    std::os::unix::fs::symlink("..", web.join("cursor.link")).unwrap();
    for command in ["inspect", "verify", "export"] {
        let ended = state.run(command, &web, &[]);
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    assert_eq!(
        state
            .run("inspect", &web, &[])
            .stdout
            .matches("is none of a journal's")
            .count(),
        5
    );
    assert_eq!(state.run("export", &web, &[]).stdout, undelivered());
    // Not even this may hang, whatever comes of it.
    state.run("discard", &web, &["--yes"]);
    for wrong in [Path::new("/no/such/dir"), Path::new("/dev/null"), state.scratch.path()] {
        for command in ["inspect", "verify", "export", "discard"] {
            let ended = state.run(command, wrong, &[]);
            assert!(ended.code == 1 && ended.stderr.contains("is no journal"), "{ended:?}");
        }
    }
}

#[tokio::test]
async fn garbage_and_lengths_that_nobody_wrote_are_damage() {
    let state = State::filled().await;
    let web = state.of("web");
    let mut header = b"\xFFLSJ\x01\0\0\0\xFF\xFF\xFF\x3F".to_vec();
    header.resize(4_000, 0xFF);
    std::fs::write(web.join("00000000000000000500.seg"), &header).unwrap();
    // A hole with room for the gibibyte that the batch says it has.
    let hole = std::fs::File::create(web.join("00000000000000005000.damaged.seg")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&hole, &header[..12], 0).unwrap();
    hole.set_len(1_100 << 20).unwrap();
    std::fs::write(web.join("04611686018427387904.seg"), [0; 50]).unwrap();
    std::fs::write(web.join("99999999999999999999.seg"), "far").unwrap();
    let ended = state.run("inspect", &web, &[]);
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(ended.stdout.contains("damaged: set aside"), "{ended:?}");
    // With 768 MiB of memory.
    let limited = sh("ulimit -v 786432; exec \"$@\"", &["verify", path(&web)]);
    let said = String::from_utf8(limited.stdout).unwrap();
    assert_eq!(limited.status.code(), Some(1), "{said}");
    assert!(
        said.contains("damage at position 500 in 00000000000000000500.seg: 3.9 KiB (4000 bytes)"),
        "{said}"
    );
    assert!(
        said.contains("damage at position 5000 in ") && said.contains("10 whole batches"),
        "{said}"
    );
    let ended = state.run("discard", &web, &["--yes"]);
    assert!(
        ended.code == 1 && ended.stderr.contains("which no journal does"),
        "{ended:?}"
    );
}

#[tokio::test]
async fn what_this_user_may_not_read_is_told_with_what_to_do() {
    let state = State::filled().await;
    let segment = state.of("web/00000000000000000000.seg");
    std::fs::set_permissions(&segment, std::fs::Permissions::from_mode(0o0)).unwrap();
    // Root may read everything.
    if std::fs::read(&segment).is_err() {
        let ended = state.run("verify", &state.of("web"), &[]);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(
            ended.stderr.contains("run this as the user that livestreamd runs as"),
            "{ended:?}"
        );
    }
}
