//! A state directory that a newer livestreamd has used: refused with the exit code that keeps service managers from trying again, before
//! anything is changed, and before anything goes out.

use std::ffi::OsStr;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use livestreamd::simulator::{Rate, SimulatedStream, SimulatorSettings};
use rustix::process::Signal;

use super::super::child::{Livestreamd, Scratch, path};
use super::super::trial::Trial;
use super::{STREAM, config, content, writing};

const NEWER: u8 = 9;

/// A batch, a cursor, ids or a lease become what a later version may write: checksums right, the rest unknown.
fn make_newer(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let extension = file.extension().and_then(OsStr::to_str).unwrap_or_default();
    if extension == "json" {
        let text = String::from_utf8(bytes).unwrap();
        bytes = text.replace("\"version\":1", &format!("\"version\":{NEWER}")).into();
    } else if extension == "seg" {
        bytes[4] = NEWER;
        let end = 32 + u32::from_le_bytes(bytes[8..12].try_into().unwrap()) as usize;
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..end]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    } else if name.starts_with("cursor.") {
        // The first of its two places.
        bytes[4] = NEWER;
        bytes[..4].copy_from_slice(b"\xFFLSC");
        let crc = crc32c::crc32c(&bytes[..16]);
        bytes[16..20].copy_from_slice(&crc.to_le_bytes());
    } else {
        assert!(name.starts_with("ids."), "{name}");
        bytes[8] = NEWER;
        let sum = twox_hash::XxHash3_64::oneshot(&bytes[..40]);
        bytes[40..48].copy_from_slice(&sum.to_le_bytes());
    }
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_state_that_is_too_new_ends_the_start_with_78_and_is_left_as_it_was() {
    let written = Scratch::new();
    writing::write(written.path()).await;
    let files: Vec<PathBuf> = content(written.path()).into_keys().collect();
    let versioned = ["leases", "journal", "dedup"];
    let versioned = files
        .iter()
        .filter(|file| versioned.iter().any(|dir| file.starts_with(dir)));
    let mut tried = 0;
    for name in versioned {
        tried += 1;
        let scratch = Scratch::new();
        let state_dir = scratch.path().join("state");
        super::copy(written.path(), &state_dir);
        let file = state_dir.join(name);
        make_newer(&file);
        let is_cursor = file
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("cursor."));
        let known = if is_cursor { 2 } else { 1 };
        let before = content(&state_dir);
        // Whatever went out to the service would come by here.
        let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
        proxy.set_nonblocking(true).unwrap();
        let upstream = format!("proxy = \"http://{}\"", proxy.local_addr().unwrap());
        let config = config(&scratch, &upstream, "127.0.0.1:1", "t", "d");
        for command in ["check", "run"] {
            let ended = Livestreamd::run(&scratch, &[command, "--config", path(&config)], &[]);
            assert_eq!(ended.code, 78, "{command}: {ended:?}");
            let told = format!(
                "{} is of version {NEWER}, and this livestreamd reads versions up to {known}: run the newer livestreamd",
                file.display()
            );
            assert!(ended.stderr.contains(&told), "{command}: {ended:?}");
        }
        assert_eq!(content(&state_dir), before, "{}", name.display());
        assert!(proxy.accept().is_err(), "{}: nothing goes out", name.display());
    }
    // Two leases, two segments, a cursor, two files of ids.
    assert_eq!(tried, 7, "{files:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_whose_state_is_too_new_is_not_added_by_a_reload_and_the_others_go_on() {
    const OTHER: &str = "goes-on";
    let streams = [OTHER, STREAM].map(|name| SimulatedStream {
        rate: Rate::PerSecond(50.0),
        ..SimulatedStream::new(name)
    });
    let settings = SimulatorSettings {
        streams: streams.into(),
        ..SimulatorSettings::default()
    };
    let trial = Trial::start(settings, Duration::from_secs(2)).await;
    let state_dir = trial.scratch.path().join("state");
    writing::write(&state_dir).await;
    let segment = content(&state_dir)
        .into_keys()
        .find(|name| name.extension().is_some_and(|extension| extension == "seg"))
        .unwrap();
    make_newer(&state_dir.join(&segment));
    let of_the_stream = || {
        let mut files = content(&state_dir);
        files.retain(|name, _| name.starts_with("dedup") || name.starts_with(format!("journal/{STREAM}")));
        files
    };
    let before = of_the_stream();

    // It belongs to no stream at first, and so is no reason not to start.
    let with_both = trial.reconfigure(|text| text.split(&format!("[streams.{STREAM}]")).next().unwrap().to_owned());
    let daemon = trial.run();
    let accept = trial.streaming(OTHER, 10).await;
    trial.reconfigure(|_| with_both);
    daemon.signal(Signal::HUP);
    let told = daemon.logged("the stream is not added", |line| {
        let message = line["message"].as_str().unwrap_or_default();
        line["stream"] == STREAM && message.contains("not added")
    });
    let error = told["error"].as_str().unwrap();
    assert!(
        error.contains(&format!("{} is of version {NEWER}", segment.display())),
        "{told}"
    );
    let reloaded = daemon.logged("the reload is over", |line| line["message"] == "reloaded");
    assert_eq!(
        (&reloaded["added"], &reloaded["unchanged"]),
        (&0.into(), &1.into()),
        "{reloaded}"
    );
    trial.streaming(OTHER, 100).await;
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    assert_eq!(trial.ledger().accepts_of(OTHER).len(), 1, "{accept:?}");
    assert!(trial.ledger().accepts_of(STREAM).is_empty());
    assert_eq!(of_the_stream(), before);
}
