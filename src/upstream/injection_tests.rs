//! Nothing that a configuration can hold puts a line into the head of a request: each text that could be tried, in each key that goes
//! anywhere near one, from the file's text to the bytes on the socket.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tokio::io::AsyncWriteExt as _;
use url::Url;

use super::testing::{self, network};
use super::{StreamRequest, TokenSource, open};
use crate::settings::{Credential, Format, Grant, SecretSource, StreamSettings, load_str};

const LIMIT: Duration = Duration::from_secs(10);

/// What could end a header, or begin one; `evil` is what is looked for.
const TRICKS: [&str; 12] = [
    "x\r\nevil: 1",
    "x\nevil: 1",
    "x\revil: 1",
    "\r\n\r\nGET /evil HTTP/1.1",
    "x\0evil",
    "x\tevil: 1",
    "x evil: 1",
    "x\u{7f}evil",
    "x\u{85}evil: 1",
    "x\u{2028}evil: 1",
    // A line break if somebody were to cut a character down to a byte.
    "x\u{10d}\u{10a}evil: 1",
    "xäevil",
];

/// Configurations with a place for a trick.
const CLIENT: &str = r#"
[credentials.default]
client_id = "CLIENT_ID"
client_secret = "CLIENT_SECRET"
scopes = ["openid", "SCOPE"]
token_url = "https://ims.example/TOKEN_PATH?q=TOKEN_QUERY"
[upstream]
trusted_hosts = ["TRUSTED"]
[streams."STREAM"]
url = "https://live.example/PATH?q=QUERY"
report_suite = "SUITE"
"#;
const READY_MADE: &str = r#"
[credentials.default]
client_id = "CLIENT_ID"
access_token = "ACCESS_TOKEN"
[streams."STREAM"]
url = "https://HOST/PATH"
"#;

/// Each place, and what stands there when no trick does.
const PLACES: [(&str, &str); 12] = [
    ("CLIENT_ID", "id"),
    ("CLIENT_SECRET", "hush"),
    ("ACCESS_TOKEN", "hush"),
    ("SCOPE", "scope"),
    ("TOKEN_PATH", "token"),
    ("TOKEN_QUERY", "1"),
    ("TRUSTED", "live.example"),
    ("STREAM", "web"),
    ("HOST", "live.example"),
    ("PATH", "stream"),
    ("QUERY", "1"),
    ("SUITE", "suite"),
];

/// As both TOML and YAML write any character.
fn escaped(text: &str) -> String {
    let escape = |escaped: String, c| escaped + &format!("\\u{:04X}", u32::from(c));
    text.chars().fold(String::new(), escape)
}

/// Both requests of a stream as they go out: for its token, if it has to be fetched, and for the stream itself.
async fn heads(stream: &StreamSettings) -> Vec<String> {
    let (network, mut service) = network(64 * 1024);
    let source = TokenSource::new(stream.credential.clone(), network.clone(), LIMIT, LIMIT);
    let mut heads = Vec::new();
    let client = async {
        let token = source.token(None).await.ok()?;
        // What comes of it does not matter.
        drop(open(&*network, &StreamRequest::new(stream, token, None)).await);
        Some(())
    };
    let server = async {
        loop {
            let (_, head, mut io) = service.request().await;
            let body = r#"{"access_token":"granted","token_type":"bearer","expires_in":86400}"#;
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            heads.push(head);
            io.write_all(answer.as_bytes()).await.unwrap();
        }
    };
    tokio::select! {
        _ = client => {}
        () = server => {}
    }
    heads
}

/// A head is one of ours, whole and with nothing added.
#[track_caller]
fn assert_ours(request: &str, place: &str) {
    let (head, _) = request.split_once("\r\n\r\n").unwrap();
    assert!(head.is_ascii() && !head.contains('\0'), "{place}: {head:?}");
    let mut lines = head.split("\r\n");
    let first: Vec<&str> = lines.next().unwrap().split(' ').collect();
    assert!(
        matches!(first[..], ["GET" | "POST", _, "HTTP/1.1"]),
        "{place}: {first:?}"
    );
    let names: BTreeSet<&str> = lines
        .inspect(|line| assert!(!line.contains(['\r', '\n']), "{place}: {line:?}"))
        .map(|line| line.split_once(": ").unwrap().0)
        .collect();
    let known = BTreeSet::from([
        "host",
        "accept",
        "accept-encoding",
        "authorization",
        "content-length",
        "content-type",
        "user-agent",
        "x-api-key",
    ]);
    assert!(names.is_subset(&known), "{place}: {head:?}");
}

#[tokio::test]
async fn no_configuration_puts_a_line_into_a_request() {
    let (mut refused, mut sent) = (BTreeSet::new(), BTreeSet::new());
    for (place, _) in PLACES {
        for trick in TRICKS.into_iter().chain([""]) {
            for template in [CLIENT, READY_MADE]
                .into_iter()
                .filter(|template| template.contains(place))
            {
                let text = PLACES.iter().fold(template.to_owned(), |text, (other, plain)| {
                    let value = if *other == place && !trick.is_empty() {
                        escaped(trick)
                    } else {
                        (*plain).to_owned()
                    };
                    text.replace(other, &value)
                });
                match load_str(&text, Format::Toml, [], Path::new("/nonexistent")) {
                    Ok(loaded) => {
                        let heads = heads(&loaded.settings.streams[0]).await;
                        assert_eq!(heads.len(), if template == CLIENT { 2 } else { 1 }, "{place} {trick:?}");
                        for head in &heads {
                            assert_ours(head, place);
                        }
                        sent.insert((place, trick));
                    }
                    Err(faults) => {
                        assert!(!trick.is_empty(), "{faults}\n---\n{text}");
                        assert!(!faults.to_string().contains(['\r', '\0']), "{faults:?}");
                        refused.insert((place, trick));
                    }
                }
            }
        }
    }
    for (place, _) in PLACES {
        assert!(sent.contains(&(place, "")), "{place}: or else this test shows nothing");
        // What ends a line is refused wherever it stands; what else does no harm in a URL or a report suite.
        for trick in TRICKS.iter().filter(|trick| trick.contains(['\r', '\n', '\0'])) {
            assert!(refused.contains(&(place, *trick)), "{place} {trick:?}");
        }
    }
    for place in [
        "CLIENT_ID",
        "CLIENT_SECRET",
        "ACCESS_TOKEN",
        "SCOPE",
        "TRUSTED",
        "STREAM",
    ] {
        assert!(TRICKS.iter().all(|trick| refused.contains(&(place, *trick))), "{place}");
    }
}

#[tokio::test]
async fn what_gets_past_the_settings_is_stopped_by_the_request_itself() {
    let secret = |text: &str| SecretSource::Inline(SecretString::from(text));
    let credential = |client_id: &str, client_secret: &str, scope: &str| Grant::Client {
        client_id: client_id.to_owned(),
        client_secret: secret(client_secret),
        scopes: vec![scope.to_owned()],
        token_url: Url::parse("https://ims.example/token").unwrap(),
    };
    let ready_made = |client_id: &str, token: &str| Grant::Token {
        client_id: Some(client_id.to_owned()),
        token: secret(token),
    };
    for trick in TRICKS {
        for (place, grant) in [
            ("client_id", credential(trick, "hush", "scope")),
            ("client_secret", credential("id", trick, "scope")),
            ("scope", credential("id", "hush", trick)),
            ("client_id of a token", ready_made(trick, "hush")),
            ("access_token", ready_made("id", trick)),
        ] {
            let credential = Arc::new(Credential {
                name: "default".to_owned(),
                grant,
            });
            let stream = StreamSettings {
                credential,
                ..testing::stream("https://live.example/stream")
            };
            for head in heads(&stream).await {
                assert_ours(&head, place);
            }
        }
        // A URL holds no trick as it is, whoever makes it.
        let mut url = Url::parse("https://live.example/").unwrap();
        url.set_path(trick);
        url.set_query(Some(trick));
        let stream = StreamSettings {
            url,
            ..testing::stream("https://live.example/")
        };
        let heads = heads(&stream).await;
        assert_eq!(heads.len(), 1);
        assert_ours(&heads[0], "url");
    }
}
