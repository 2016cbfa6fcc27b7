//! What is asked for and answered.

use super::*;
use crate::status::board::STUCK_AFTER;
use crate::status::readiness::HindranceKind;

const ENDPOINTS: [&str; 6] = ["/", "/status", "/events", "/healthz", "/readyz", "/metrics"];

#[tokio::test]
async fn every_answer_has_the_strict_headers() {
    let trial = Trial::start().await;
    let mut answers: Vec<Answer> = ["/", "/status", "/healthz", "/readyz", "/metrics", "/nothing"]
        .map(|path| trial.get(path))
        .into();
    answers.push(trial.ask("POST /status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    answers.push(trial.ask("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"));
    answers.push(trial.ask("GET / HTTP/1.1\r\nConnection: close\r\n\r\n"));
    answers.push(trial.ask("HEAD /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"));
    let statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [200, 200, 200, 200, 200, 404, 405, 421, 400, 200]);
    for answer in answers {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("x-frame-options", "DENY"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(answer.headers(name), [value], "{}", answer.head);
        }
        let [policy] = answer.headers("content-security-policy")[..] else {
            panic!("one policy: {}", answer.head)
        };
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'none'",
        ] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!answer.head.contains("access-control"), "{}", answer.head);
    }
}

#[tokio::test]
async fn head_is_answered_as_get_is_without_a_body() {
    let trial = Trial::start().await;
    for path in ENDPOINTS {
        let answer = trial.ask(&format!(
            "HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        ));
        assert_eq!(
            (answer.status, answer.body.as_str()),
            (200, ""),
            "{path}: {}",
            answer.head
        );
    }
}

#[tokio::test]
async fn other_methods_are_refused_everywhere_and_told_what_goes() {
    let trial = Trial::start().await;
    for path in ENDPOINTS {
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"] {
            let answer = trial.ask(&format!(
                "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            ));
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.headers("allow"), ["GET, HEAD"], "{method} {path}");
        }
    }
}

#[tokio::test]
async fn an_unknown_path_is_answered_with_what_there_is() {
    let trial = Trial::start().await;
    for path in ["/nothing", "/status/", "//", "/favicon.ico", "/../status"] {
        let answer = trial.get(path);
        assert_eq!(answer.status, 404, "{path}");
        for endpoint in ENDPOINTS {
            let listed = answer.body.lines().any(|line| line.split(' ').next() == Some(endpoint));
            assert!(listed, "{endpoint} is not in {}", answer.body);
        }
    }
}

#[tokio::test]
async fn the_status_is_what_was_posted_last() {
    let trial = Trial::start().await;
    for daemon in [with_events(1..=3), large(100_000), fine()] {
        trial.board.post(daemon.clone());
        let answer = trial.get("/status");
        assert_eq!(answer.headers("content-type"), ["application/json"]);
        assert_eq!(serde_json::from_str::<Daemon>(&answer.body).unwrap(), daemon);
    }
    let metrics = trial.get("/metrics");
    assert_eq!(
        metrics.headers("content-type"),
        ["text/plain; version=0.0.4; charset=utf-8"]
    );
    assert_eq!(metrics.body, metrics::page(&fine()));
}

#[tokio::test]
async fn the_daemon_is_alive_while_posts_come() {
    let trial = Trial::start().await;
    assert_eq!((trial.get("/healthz").status, trial.get("/readyz").status), (200, 200));
    assert_eq!(trial.get("/readyz").body, "ready\n");

    let Some(long_ago) = Instant::now().checked_sub(STUCK_AFTER + Duration::from_secs(2)) else {
        // A machine that has just booted knows no such time.
        return;
    };
    trial.board.post_at(fine(), long_ago);
    for path in ["/healthz", "/readyz"] {
        let answer = trial.get(path);
        assert_eq!(answer.status, 503, "{path}");
        assert!(
            answer.body.starts_with("no sign of life for 17 s: "),
            "{path}: {}",
            answer.body
        );
    }
    let json = trial.get_with("/readyz", "Accept: application/json\r\n");
    let json: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert!(
        json["ready"] == false && json["stuck_seconds"].as_f64().unwrap() >= 17.0,
        "{json}"
    );

    trial.board.post(fine());
    assert_eq!((trial.get("/healthz").status, trial.get("/readyz").status), (200, 200));
}

#[tokio::test]
async fn readiness_says_what_is_in_the_way_a_line_each_or_as_json() {
    let trial = Trial::start().await;
    let hindrances = vec![
        Hindrance {
            kind: HindranceKind::Upstream,
            stream: Some("web".to_owned()),
            text: "no connection after 2 attempts: status 404".to_owned(),
            advice: Some("check the URL".to_owned()),
            ..Hindrance::default()
        },
        Hindrance {
            kind: HindranceKind::Kafka,
            text: "kafka is silent".to_owned(),
            ..Hindrance::default()
        },
    ];
    trial.board.post(Daemon {
        ready: false,
        hindrances: hindrances.clone(),
        ..fine()
    });
    let text = trial.get("/readyz");
    assert_eq!(text.status, 503);
    assert_eq!(text.headers("content-type"), ["text/plain; charset=utf-8"]);
    assert_eq!(
        text.body,
        "stream web: no connection after 2 attempts: status 404 (check the URL)\nkafka is silent\n"
    );
    let json = trial.get_with("/readyz", "Accept: application/json\r\n");
    assert_eq!(
        (json.status, json.headers("content-type")),
        (503, vec!["application/json"])
    );
    let json: serde_json::Value = serde_json::from_str(&json.body).unwrap();
    assert_eq!(json["ready"], false);
    assert_eq!(json["hindrances"], serde_json::to_value(&hindrances).unwrap());
    assert_eq!(trial.get("/healthz").status, 200, "it is alive all the same");
}

#[tokio::test]
async fn foreign_names_are_refused_and_those_of_the_settings_are_not() {
    let settings = AdminSettings {
        hosts: vec!["livestreamd.example.com".to_owned()],
        ..open()
    };
    let trial = Trial::with(&settings, LIMITS).await;
    let ask = |hosts: &str| {
        let answer = trial.ask(&format!("GET /status HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n"));
        assert_eq!(answer.body.contains("version"), answer.status == 200, "{hosts}");
        answer.status
    };
    assert_eq!(ask("Host: evil.example\r\n"), 421);
    assert_eq!(ask("Host: evil.example:9600\r\n"), 421);
    assert_eq!(ask(""), 400);
    assert_eq!(ask("Host: localhost\r\nHost: localhost\r\n"), 400);
    assert_eq!(ask("Host:\r\n"), 400);
    for ours in ["localhost", "127.0.0.1:9600", "[::1]", "livestreamd.example.com:80"] {
        assert_eq!(ask(&format!("Host: {ours}\r\n")), 200, "{ours}");
    }
    let old = trial.ask("GET /status HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 400, "HTTP/1.0 without a Host");
}
