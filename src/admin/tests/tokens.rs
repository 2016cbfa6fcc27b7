//! With a token.

use super::*;
use crate::settings::SecretSource;

fn guarded(token: &str) -> AdminSettings {
    AdminSettings {
        token: Some(SecretSource::Inline(token.into())),
        ..open()
    }
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

#[tokio::test]
async fn nothing_is_told_without_the_token_but_yes_or_no() {
    let trial = Trial::with(&guarded("s3cret-token"), LIMITS).await;
    trial.board.post(Daemon {
        ready: false,
        ..large(10)
    });
    for path in ["/", "/status", "/events", "/metrics", "/nothing"] {
        for headers in ["", &bearer("wrong"), "Authorization: Basic dTp3cm9uZw==\r\n"] {
            let answer = trial.get_with(path, headers);
            assert_eq!(answer.status, 401, "{path} {headers}");
            let challenges = answer.headers("www-authenticate");
            assert!(challenges.iter().any(|one| one.starts_with("Basic ")), "{challenges:?}");
            assert!(
                challenges.iter().any(|one| one.starts_with("Bearer ")),
                "{challenges:?}"
            );
            assert!(
                !answer.body.contains("1.2.3") && !answer.body.contains("s3cret"),
                "{}",
                answer.body
            );
        }
    }
    assert_eq!(trial.get("/healthz").status, 200);
    let readiness = trial.get("/readyz");
    assert_eq!((readiness.status, readiness.body.as_str()), (503, "not ready\n"));
    let readiness = trial.get_with("/readyz", &bearer("s3cret-token"));
    assert_eq!((readiness.status, readiness.body.as_str()), (503, "xxxxxxxxxx\n"));
}

#[tokio::test]
async fn the_token_opens_everything_as_bearer_or_as_a_password() {
    let trial = Trial::with(&guarded("s3cret-token"), LIMITS).await;
    // printf anybody:s3cret-token | base64
    for headers in [
        &bearer("s3cret-token"),
        "Authorization: Basic YW55Ym9keTpzM2NyZXQtdG9rZW4=\r\n",
    ] {
        for path in ["/", "/status", "/metrics", "/healthz", "/readyz"] {
            assert_eq!(trial.get_with(path, headers).status, 200, "{path} {headers}");
        }
    }
}

#[tokio::test]
async fn a_token_is_read_anew_when_settings_are_and_the_last_good_one_stays() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("token");
    std::fs::write(&path, "first\n").unwrap();
    let settings = AdminSettings {
        listen: AdminListen::Tcp("0.0.0.0:0".parse().unwrap()),
        token: Some(SecretSource::File(path.clone())),
        ..open()
    };
    let trial = Trial::with(&settings, LIMITS).await;
    let opens = |token: &str| trial.get_with("/status", &bearer(token)).status == 200;
    assert!(opens("first") && !opens("second"));

    std::fs::write(&path, "second\n").unwrap();
    assert!(opens("first"), "nothing was said of it yet");
    trial.admin.renew(&settings).await.unwrap();
    assert!(opens("second") && !opens("first"));

    std::fs::remove_file(&path).unwrap();
    let error = trial.admin.renew(&settings).await.unwrap_err();
    assert!(matches!(error, AdminError::Token(_)), "{error}");
    assert!(opens("second"));

    let error = trial.admin.renew(&open()).await.unwrap_err();
    assert!(error.to_string().starts_with("admin.token: is gone, but "), "{error}");
    assert!(opens("second") && trial.get("/status").status == 401);
}
