//! The page beside a real daemon as things fail that want a person.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;

use super::sample::HOSTILE;
use super::stand::{CLIENT_SECRET, Stand};
use super::tab::Tab;
use crate::support::broker::Broker;
use crate::support::kafka;

const COOLDOWN: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_secret_is_a_hindrance_until_it_is_mended() {
    let stand = Stand::new(kafka::shared(), &["web"], COOLDOWN, "").await;
    stand.write_secret("not-the-secret");
    let daemon = stand.run();
    let mut tab = Tab::open(&stand.url);
    tab.wait_for_text("#verdict-title", "Not ready: 1 hindrance");
    tab.wait_for_text("#hindrances", "access token was refused");
    tab.wait_for_text("#hindrances", "What to do: check client_id, client_secret and scopes");
    assert_eq!(tab.eval("document.title"), "▲ 1 hindrance · livestreamd");
    assert_eq!(tab.text("#stream-web .of-state .first"), "No connection");
    assert!(
        !tab.eval("document.documentElement.outerHTML")
            .as_str()
            .unwrap()
            .contains("not-the-secret")
    );
    stand.write_secret(CLIENT_SECRET);
    tab.wait_for_text("#verdict-title", "Ready");
    tab.wait_for_text("#stream-web .of-state", "Streaming");
    assert_eq!(tab.eval("document.querySelector('#hindrances-section').hidden"), true);
    assert_eq!(tab.eval("document.title"), "● ready · livestreamd");
    tab.assert_no_complaints();
    daemon.kill();
}

/// A token endpoint that says no to all, in these words.
fn refusing(words: &str) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let url = format!("http://{}/token", listener.local_addr().unwrap());
    let body = serde_json::json!({ "error": "invalid_client", "error_description": words }).to_string();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let mut request = [0; 4096];
            let _ = client.read(&mut request);
            let length = body.len();
            let head = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
            let _ = client.write_all(format!("{head}{body}").as_bytes());
        }
    });
    url
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_words_of_an_answer_are_shown_as_words() {
    let token_url = refusing(HOSTILE);
    let credential = format!(
        "[credentials.evil]\nclient_id = \"evil\"\nclient_secret = \"{CLIENT_SECRET}\"\ntoken_url = \"{token_url}\"\n"
    );
    let more = format!("credentials = \"evil\"\n{credential}");
    let stand = Stand::new(kafka::shared(), &["web"], COOLDOWN, &more).await;
    let daemon = stand.run();
    let mut tab = Tab::open(&stand.url);
    for place in ["#hindrances", "#stream-web .why"] {
        tab.wait_for_text(place, "<img src=x onerror=");
    }
    assert_eq!(tab.eval("document.querySelectorAll('img, main script').length"), 0);
    assert_eq!(tab.eval("document.title"), "▲ 1 hindrance · livestreamd");
    tab.assert_no_complaints();
    daemon.kill();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kafka_that_is_away_shows_with_its_backlog_and_goes_when_it_is_back() {
    let mut broker = tokio::task::spawn_blocking(Broker::start).await.unwrap();
    let stand = Stand::new(broker.kafka(), &["web"], COOLDOWN, "").await;
    let daemon = stand.run();
    let mut tab = Tab::open(&stand.url);
    tab.wait_for_text("#verdict-title", "Ready");
    broker.kill();
    tab.wait(
        "a backlog grows",
        "/KiB|MiB/.test(document.querySelector('#stream-web .of-backlog').innerText)",
    );
    // Half a minute's grace, which passes by itself.
    tab.wait_for_text("#verdict-title", "Not ready: 1 hindrance");
    tab.wait_for_text("#hindrances", "Records have waited");
    tab.wait_for_text("#stream-web .also", "Kafka");
    tab.wait_for_text("#stream-web .of-state", "Streaming");
    tokio::task::block_in_place(|| broker.start_again());
    tab.wait_for_text("#verdict-title", "Ready");
    tab.wait(
        "it is quiet again",
        "document.querySelector('#stream-web .also').hidden",
    );
    tab.assert_no_complaints();
    daemon.kill();
}
