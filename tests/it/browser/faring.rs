//! The page beside a real daemon whose connection comes and goes.

use std::time::Duration;

use rustix::process::Signal;

use livestreamd::simulator::{AttemptFault, Rate, StreamFault};

use super::stand::Stand;
use super::tab::Tab;
use crate::support::kafka;

/// Long enough to see it count.
const COOLDOWN: Duration = Duration::from_secs(6);
const SECONDS: &str =
    "(() => { const [minutes, seconds] = document.querySelector('#stream-web .clock').innerText.split(':');
                      return 60 * minutes + Number(seconds); })()";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_shows_hits_as_they_come_and_counts_a_cooldown_down() {
    let stand = Stand::new(kafka::shared(), &["web", "app"], COOLDOWN, "").await;
    let daemon = stand.run();
    let mut tab = Tab::open(&stand.url);
    for stream in ["web", "app"] {
        tab.wait_for_text(&format!("#stream-{stream} .of-state"), "Streaming");
    }
    tab.wait_for_text("#verdict-title", "Ready");
    assert_eq!(tab.text("#verdict-words"), "All 2 streams are streaming.");
    assert!(tab.text("#stream-web").contains("exampleweb"));

    // Hits a second, as a number and as a curve that moves.
    let rate = "Number(document.querySelector('#stream-web .rate').innerText)";
    tab.wait("hits are counted", &format!("{rate} > 20"));
    tab.wait(
        "the curve begins",
        "document.querySelector('#stream-web .line').getAttribute('d').includes('L')",
    );
    tab.eval("window.curve = document.querySelector('#stream-web .line').getAttribute('d')");
    stand.simulator.set_rate("web", Rate::PerSecond(400.0)).unwrap();
    tab.wait("there are more", &format!("{rate} > 200"));
    tab.wait(
        "the curve moves",
        "document.querySelector('#stream-web .line').getAttribute('d') !== curve",
    );

    // What comes from elsewhere than the stream's own state: librdkafka's statistics, measured ages, the log, a reload.
    tab.wait_for_text("#kafka-brokers", "1 broker connected");
    tab.wait(
        "the lag is known",
        "/\\d/.test(document.querySelector('#stream-web .of-lag').innerText)",
    );
    tab.wait_for_text("#events", "streaming");
    daemon.signal(Signal::HUP);
    tab.wait_for_text("#reload-verdict", "Reloaded");
    tab.wait_for_text("#events", "nothing changes");

    // A disconnect: a countdown that ticks by itself, and what is said to who cannot see it.
    let close = StreamFault::Close { trailer: true };
    stand.simulator.fault("web", close).unwrap();
    tab.wait_for_text("#stream-web .of-state", "Waiting");
    tab.wait_for_text("#announcer", "web: Waiting");
    tab.wait_for_text("#stream-web .why", "The service ended the stream");
    assert_eq!(
        tab.text("#verdict-title"),
        "Ready",
        "a cooldown is the normal course of things"
    );
    assert_eq!(
        tab.eval("document.querySelector('.stream').dataset.stream"),
        "web",
        "what waits comes first"
    );
    let first = tab.eval(SECONDS).as_u64().unwrap();
    assert!((1..=7).contains(&first), "{first}");
    for next in (1..first).rev().take(3) {
        tab.wait(&format!("{next} s are left"), &format!("{SECONDS} <= {next}"));
    }
    let full = tab.eval("new DOMMatrix(getComputedStyle(document.querySelector('#stream-web .bar i')).transform).a");
    assert!((0.0..0.8).contains(&full.as_f64().unwrap()), "{full}");
    tab.wait_for_text("#stream-web .of-state", "Streaming");
    tab.wait("the countdown is gone", "!document.querySelector('#stream-web .clock')");
    tab.wait_for_text("#stream-web .of-end", "ago");
    tab.wait_for_text("#stream-web .of-end", "the service ended the stream");

    // Refusals that pass by themselves.
    for (code, words) in [(503, "503"), (409, "409")] {
        stand.simulator.fault("web", AttemptFault::status(code)).unwrap();
        stand.simulator.fault("web", StreamFault::Cut).unwrap();
        tab.wait_for_text("#stream-web .why", words);
        tab.eval("document.querySelector('#stream-web .notes details').open = true");
        tab.wait_for_text("#stream-web .means", "What livestreamd does");
        tab.wait_for_text("#stream-web .of-state", "Streaming");
    }
    tab.assert_no_complaints();
    daemon.kill();
}
