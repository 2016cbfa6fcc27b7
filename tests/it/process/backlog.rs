//! A start with a large backlog: it is streamed out of the journal, and never held in memory.

use std::path::Path;
use std::time::{Duration, Instant, SystemTime};

use bytesize::ByteSize;
use livestreamd::journal::{BatchKind, Journals, JournalsSettings, NewBatch};
use livestreamd::simulator::{HitMaker, Rate, SimulatedStream, SimulatorSettings};
use rustix::process::Signal;

use super::child::LIMIT;
use super::trial::Trial;

/// How large the backlog is, unless this variable says otherwise: enough to show in the memory of a daemon that held it there.
const SIZE_VARIABLE: &str = "LIVESTREAMD_TEST_BACKLOG";
const SIZE: ByteSize = ByteSize::mib(400);
const MOST_MEMORY: u64 = ByteSize::mib(200).0;
const BATCH: usize = 64 * 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_with_a_large_backlog_stays_small_and_delivers_it() {
    let size = std::env::var(SIZE_VARIABLE).map_or(SIZE, |size| size.parse().expect("a size such as 5GiB"));
    let stream = SimulatedStream {
        rate: Rate::Silent,
        ..SimulatedStream::new("backlog")
    };
    let trial = Trial::start(SimulatorSettings::with_stream(stream), Duration::from_secs(2)).await;
    let hits = fill(&trial.scratch.path().join("state"), "backlog", size.0).await;

    let started = Instant::now();
    let daemon = trial.run_with(&[("LIVESTREAMD__DEDUP__MODE", "drop")]);
    trial
        .delivered_is_noted(LIMIT + Duration::from_millis(size.0 / 10_000))
        .await;
    let took = started.elapsed();
    let peak = ByteSize(daemon.peak_rss());
    assert_eq!(daemon.ended_by(Signal::TERM).code, 0);
    assert_eq!(trial.kafka.count(&trial.stream().topic), hits);
    println!("a backlog of {size}, {hits} hits: {peak} resident at most, delivered in {took:.1?}");
    assert!(peak.0 < MOST_MEMORY, "{peak} resident at a backlog of {size}");
}

/// Leaves a journal behind as a daemon would that had read so many bytes and delivered none of them. Returns the number of hits.
async fn fill(state_dir: &Path, stream: &str, bytes: u64) -> u64 {
    livestreamd::state_dir::make_private_dir(state_dir).unwrap();
    let journals = Journals::start(JournalsSettings {
        state_dir: state_dir.to_owned(),
        sync_interval: Duration::from_secs(1),
        max_bytes: bytes * 2,
        max_bytes_in_all: bytes * 4,
        streams: 1,
    })
    .unwrap();
    let journal = journals.open(stream, &[]).unwrap();
    let maker = HitMaker::new(1, stream, stream, 1024);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let mut hits = 0;
    while journal.end().0 < bytes {
        let mut batch = Vec::with_capacity(2 * BATCH);
        while batch.len() < BATCH {
            maker.write(hits, now.as_secs(), &mut batch);
            batch.extend_from_slice(b"\r\n");
            hits += 1;
        }
        let batch = NewBatch {
            kind: BatchKind::Records,
            received_ms: now.as_millis() as u64,
            slot: 0,
            bytes: batch.into(),
        };
        journal.append(batch).await.unwrap();
    }
    assert!(
        tokio::task::spawn_blocking(move || journals.stop()).await.unwrap(),
        "it is durable"
    );
    hits
}
