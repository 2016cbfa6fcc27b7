//! What the page does when the daemon is gone, stops, or is another one.

use std::time::Duration;

use rustix::process::Signal;

use super::stand::Stand;
use super::tab::Tab;
use crate::support::kafka;

const COOLDOWN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_numbers_never_look_fresh_and_the_page_finds_its_way_back() {
    let stand = Stand::new(kafka::shared(), &["web"], COOLDOWN, "").await;
    let daemon = stand.run();
    let mut tab = Tab::open(&stand.url);
    tab.wait_for_text("#stream-web .of-state", "Streaming");
    tab.assert_no_complaints();
    daemon.kill();
    tab.wait_for_text("#stale", "The daemon cannot be reached.");
    assert!(tab.text("#stale").contains("What you see is old"));
    assert_eq!(tab.text("#verdict-title"), "No connection to the daemon");
    assert!(tab.text("#verdict-words").starts_with("Last known: "));
    assert_eq!(tab.eval("document.title"), "✕ no connection · livestreamd");
    assert_eq!(
        tab.eval("getComputedStyle(document.querySelector('main')).filter"),
        "grayscale(1)"
    );
    assert!(
        tab.eval("decodeURIComponent(document.querySelector('#icon').href)")
            .as_str()
            .unwrap()
            .contains("stroke")
    );
    tab.screenshot("status-page-stale");

    let daemon = stand.run();
    tab.wait(
        "the page is fresh",
        "!document.body.className && document.querySelector('#stale').hidden",
    );
    tab.wait_for_text("#verdict-title", "Ready");
    tab.wait_for_text("#events", "livestreamd was started anew");
    tab.wait_for_text("#stream-web .of-state", "Streaming");
    // The browser tells of attempts that reached nobody, and of nothing else.
    let complaints = tab.take_complaints();
    let of_the_network = |complaint: &String| complaint.starts_with("network: ") && complaint.ends_with("/events");
    assert!(
        !complaints.is_empty() && complaints.iter().all(of_the_network),
        "{complaints:#?}"
    );

    // A daemon that stands still answers, or not, but has no news.
    daemon.freeze();
    tab.wait("it is called old", "document.body.className === 'is-stale'");
    daemon.signal(Signal::CONT);
    tab.wait("the page is fresh", "!document.body.className");
    daemon.signal(Signal::TERM);
    tab.wait_for_text("#stale", "cannot be reached");
    daemon.ended();
}
