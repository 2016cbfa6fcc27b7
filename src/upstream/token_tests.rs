use std::io::Write as _;

use tokio::io::DuplexStream;
use tokio::time::{advance, sleep};
use url::Url;

use super::super::testing::{self, Connect, Network, Service, answer, network};
use super::*;

const SECRET: &str = "p8e-s3cr3t/with+signs=";
const LIMIT: Duration = Duration::from_secs(10);
const MINUTE: Duration = Duration::from_mins(1);

type Source = Arc<TokenSource<Network>>;

fn source_at(url: &str, secret: SecretSource) -> (Source, Arc<Network>, Service) {
    let grant = Grant::Client {
        client_id: "client-1".to_owned(),
        client_secret: secret,
        scopes: vec!["openid".to_owned(), "AdobeID".to_owned()],
        token_url: Url::parse(url).unwrap(),
    };
    let (network, service) = network(64 * 1024);
    (
        Arc::new(TokenSource::new(
            testing::credential(grant),
            network.clone(),
            LIMIT,
            MINUTE,
        )),
        network,
        service,
    )
}

fn source() -> (Source, Arc<Network>, Service) {
    source_at(
        "https://ims.example/ims/token/v3",
        SecretSource::Inline(SecretString::from(SECRET)),
    )
}

fn http(status: u16, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} X\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn grant(token: &str, expires_in: u64) -> String {
    http(
        200,
        "",
        &format!(r#"{{"access_token":"{token}","token_type":"bearer","expires_in":{expires_in}}}"#),
    )
}

/// The outcome when the endpoint answers the one request with `bytes`.
async fn fetched(source: &Source, service: &mut Service, bytes: &str) -> Result<String, TokenFailure> {
    let (outcome, ()) = tokio::join!(source.token(None), async {
        let (_, _, io) = service.request().await;
        answer(io, bytes).await;
    });
    outcome.map(|token| token.expose().to_owned())
}

fn refusal(outcome: Result<String, TokenFailure>) -> String {
    match outcome {
        Err(TokenFailure::Refused { description, .. }) => description,
        other => panic!("{other:?}"),
    }
}

fn unavailable(outcome: Result<String, TokenFailure>) -> String {
    match outcome {
        Err(TokenFailure::Unavailable(why)) => why,
        other => panic!("{other:?}"),
    }
}

async fn cached(source: &Source) -> String {
    source.token(None).await.unwrap().expose().to_owned()
}

#[tokio::test(start_paused = true)]
async fn the_form_is_that_of_the_protocol() {
    let (source, _, mut service) = source();
    let (token, request) = tokio::join!(source.token(None), async {
        let (target, request, io) = service.request().await;
        assert_eq!(target.to_string(), "ims.example:443");
        answer(io, grant("abc", 86_399)).await;
        request
    });
    let (head, form) = request.split_once("\r\n\r\n").unwrap();
    assert!(
        head.starts_with("POST /ims/token/v3 HTTP/1.1\r\nhost: ims.example\r\n"),
        "{head}"
    );
    assert!(
        head.contains("\r\ncontent-type: application/x-www-form-urlencoded"),
        "{head}"
    );
    let expected = "grant_type=client_credentials&client_id=client-1&client_secret=p8e-s3cr3t%2Fwith%2Bsigns%3D&scope=openid%2CAdobeID";
    assert_eq!(form, expected);
    let token = token.unwrap();
    assert_eq!(
        (token.authorization(), token.api_key()),
        (
            &HeaderValue::from_static("Bearer abc"),
            Some(&HeaderValue::from_static("client-1"))
        )
    );
    assert!(!format!("{token:?} {source:?}").contains("abc") && !format!("{source:?}").contains("s3cr3t"));
}

#[tokio::test(start_paused = true)]
async fn people_see_how_old_a_token_is_how_long_it_is_good_and_what_failed() {
    let (source, _, mut service) = source();
    let now = || Instant::now().into_std();
    assert_eq!(source.status().now(), crate::telemetry::token::Token::default());
    fetched(&source, &mut service, &http(503, "", "")).await.unwrap_err();
    // The failure is shared, and no failure of its own.
    source.token(None).await.unwrap_err();
    let shown = source.status().now();
    assert_eq!((shown.fetches, shown.failures, shown.since), (0, 1, None));
    advance(FIRST_PAUSE).await;
    fetched(&source, &mut service, &grant("abc", 3_600)).await.unwrap();
    advance(Duration::from_secs(600)).await;
    assert_eq!(cached(&source).await, "abc");
    let shown = source.status().now();
    assert_eq!((shown.fetches, shown.failures), (1, 1));
    let seconds = |length: Option<Duration>| length.unwrap().as_secs();
    assert_eq!((seconds(shown.age(now())), seconds(shown.rest(now()))), (600, 3_000));
    advance(Duration::from_hours(2)).await;
    // Nobody asks while a fetch hangs.
    let hangs = tokio::spawn({
        let source = source.clone();
        async move { source.token(None).await.map(|_| ()) }
    });
    let _request = service.request().await;
    assert_eq!(source.status().now().rest(now()), Some(Duration::ZERO));
    hangs.abort();
}

#[tokio::test(start_paused = true)]
async fn many_callers_share_one_fetch() {
    let (source, _, mut service) = source();
    let callers: Vec<_> = (0..200)
        .map(|_| {
            let source = source.clone();
            tokio::spawn(async move { source.token(None).await.unwrap().expose().to_owned() })
        })
        .collect();
    let (_, _, io) = service.request().await;
    sleep(Duration::from_secs(5)).await;
    answer(io, grant("abc", 86_399)).await;
    for caller in callers {
        assert_eq!(caller.await.unwrap(), "abc");
    }
    assert!(service.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_does_not_spoil_it_for_the_others() {
    let (source, _, mut service) = source();
    let first = tokio::spawn({
        let source = source.clone();
        async move { source.token(None).await.map(|_| ()) }
    });
    let (_, _, mut io) = service.request().await;
    let second = tokio::spawn({
        let source = source.clone();
        async move { source.token(None).await.unwrap().expose().to_owned() }
    });
    sleep(Duration::from_secs(1)).await;
    first.abort();
    first.await.unwrap_err();
    let closed = tokio::io::AsyncReadExt::read(&mut io, &mut [0; 1]).await.unwrap();
    assert_eq!(closed, 0, "the first fetch is given up");
    let (_, _, io) = service.request().await;
    answer(io, grant("abc", 86_399)).await;
    assert_eq!(second.await.unwrap(), "abc");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_ahead_of_its_expiry() {
    // The margin: a tenth of the life, at least 5 minutes, at most half the life.
    for (life, margin) in [
        (86_400, 8_640),
        (3_000, 300),
        (1_000, 300),
        (60, 30),
        (2, 1),
        (u64::from(u32::MAX), 8_640),
    ] {
        let (source, _, mut service) = source();
        assert_eq!(
            fetched(&source, &mut service, &grant("first", life)).await.as_deref(),
            Ok("first")
        );
        let life = life.min(86_400);
        advance(Duration::from_millis(1000 * (life - margin) - 1)).await;
        assert_eq!(cached(&source).await, "first", "life {life}");
        advance(Duration::from_millis(1)).await;
        assert_eq!(
            fetched(&source, &mut service, &grant("second", life)).await.as_deref(),
            Ok("second"),
            "life {life}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_token_serves_until_its_expiry_while_no_new_one_can_be_had() {
    let (source, _, mut service) = source();
    fetched(&source, &mut service, &grant("old", 3_600)).await.unwrap();
    advance(Duration::from_mins(55)).await;
    assert_eq!(
        fetched(&source, &mut service, &http(503, "", "")).await.as_deref(),
        Ok("old")
    );
    assert_eq!(cached(&source).await, "old", "without asking again at once");
    advance(Duration::from_mins(5)).await;
    assert!(unavailable(fetched(&source, &mut service, &http(503, "", "later")).await).contains("answered 503: later"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_for_all_who_held_it() {
    let (source, _, mut service) = source();
    fetched(&source, &mut service, &grant("old", 86_399)).await.unwrap();
    let old = source.token(None).await.unwrap().generation();
    let (fresh, ()) = tokio::join!(source.token(Some(old)), async {
        let (_, _, io) = service.request().await;
        answer(io, grant("new", 86_399)).await;
    });
    let fresh = fresh.unwrap();
    assert_eq!(fresh.expose(), "new");
    assert!(fresh.generation() > old);
    for _ in 0..200 {
        assert_eq!(
            source.token(Some(old)).await.unwrap().expose(),
            "new",
            "the others get the same"
        );
    }
    // The new one is refused too: no fetch can help so soon.
    advance(Duration::from_secs(20)).await;
    let Err(TokenFailure::Refused { retry_after, .. }) = source.token(Some(fresh.generation())).await else {
        panic!()
    };
    assert_eq!(retry_after, Some(Duration::from_secs(40)));
    assert_eq!(cached(&source).await, "new", "who was not refused may go on with it");
    assert!(service.is_idle());
    advance(Duration::from_secs(41)).await;
    let (newer, ()) = tokio::join!(source.token(Some(fresh.generation())), async {
        let (_, _, io) = service.request().await;
        answer(io, grant("newer", 86_399)).await;
    });
    assert_eq!(newer.unwrap().expose(), "newer");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_not_handed_out_again_when_its_replacement_fails() {
    let (source, _, mut service) = source();
    fetched(&source, &mut service, &grant("old", 86_399)).await.unwrap();
    let old = source.token(None).await.unwrap().generation();
    let (outcome, ()) = tokio::join!(source.token(Some(old)), async {
        let (_, _, io) = service.request().await;
        answer(io, http(502, "", "")).await;
    });
    assert!(matches!(outcome, Err(TokenFailure::Unavailable(_))));
    assert!(
        matches!(source.token(Some(old)).await, Err(TokenFailure::Unavailable(_))),
        "shared"
    );
    assert_eq!(cached(&source).await, "old", "for another stream it may be good");
    assert!(service.is_idle());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_shared_for_a_while_that_grows_to_a_minute() {
    let (source, _, mut service) = source();
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        unavailable(fetched(&source, &mut service, &http(500, "", "")).await);
        advance(Duration::from_millis(1000 * pause - 1)).await;
        for _ in 0..50 {
            unavailable(source.token(None).await.map(|_| String::new()));
        }
        assert!(service.is_idle(), "within {pause} s");
        advance(Duration::from_millis(1)).await;
    }
    assert_eq!(
        fetched(&source, &mut service, &grant("abc", 86_399)).await.as_deref(),
        Ok("abc")
    );
    advance(Duration::from_secs(86_399)).await;
    unavailable(fetched(&source, &mut service, &http(500, "", "")).await);
    advance(Duration::from_secs(1)).await;
    assert_eq!(
        fetched(&source, &mut service, &grant("def", 86_399)).await.as_deref(),
        Ok("def"),
        "a success begins anew"
    );
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured() {
    for status in [429, 503, 400] {
        let (source, _, mut service) = source();
        fetched(&source, &mut service, &http(status, "Retry-After: 300\r\n", ""))
            .await
            .unwrap_err();
        advance(Duration::from_secs(299)).await;
        let failure = source.token(None).await.unwrap_err();
        match (status, &failure) {
            (400, TokenFailure::Refused { retry_after, .. }) => {
                assert_eq!(*retry_after, Some(Duration::from_mins(5)));
            }
            (_, failure) => assert!(matches!(failure, TokenFailure::Unavailable(_)), "{status} {failure}"),
        }
        assert!(service.is_idle(), "{status}");
        advance(Duration::from_secs(1)).await;
        assert_eq!(
            fetched(&source, &mut service, &grant("abc", 86_399)).await.as_deref(),
            Ok("abc")
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_endpoint_says_no_with_is_told_without_the_secret() {
    for status in [400, 401, 403, 404, 302, 201] {
        let (source, _, mut service) = source();
        let body =
            format!(r#"{{"error":"invalid_client","error_description":"no {SECRET} p8e-s3cr3t%2Fwith%2Bsigns%3D"}}"#);
        let said = refusal(
            fetched(
                &source,
                &mut service,
                &http(status, "Location: https://evil.example/\r\n", &body),
            )
            .await,
        );
        assert!(said.contains(&format!("ims.example:443 answered {status}")), "{said}");
        assert!(!said.contains("s3cr3t"), "{said}");
        if status == 302 {
            assert!(said.contains("not followed"), "{said}");
        } else {
            assert!(said.ends_with(": no [redacted] [redacted]"), "{said}");
        }
        assert!(service.is_idle(), "no redirect is followed with the secret");
    }
    for status in [408, 425, 429, 500, 502, 503, 504] {
        let (source, _, mut service) = source();
        let said = unavailable(fetched(&source, &mut service, &http(status, "", SECRET)).await);
        assert_eq!(said, format!("ims.example:443 answered {status}: [redacted]"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_hostile_grant_is_refused_in_words_that_repeat_nothing_of_it() {
    let long = "x".repeat(70_000);
    for (body, why) in [
        ("", "not with a JSON object"),
        ("<html>leak</html>", "not with a JSON object"),
        ("[1]", "not with a JSON object"),
        (r#"{"expires_in":1,"token_type":"bearer"}"#, "without an access_token"),
        (r#"{"access_token":"","expires_in":100}"#, "is empty"),
        (r#"{"access_token":["leak"],"expires_in":100}"#, "is not text"),
        (
            r#"{"access_token":"leak\r\nX: y","expires_in":100}"#,
            "characters that no header may hold",
        ),
        (
            r#"{"access_token":"leak leak","expires_in":100}"#,
            "characters that no header may hold",
        ),
        (
            r#"{"access_token":"leäk","expires_in":100}"#,
            "characters that no header may hold",
        ),
        (r#"{"access_token":"leak"}"#, "without expires_in"),
        (
            r#"{"access_token":"leak","expires_in":"3600"}"#,
            "expires_in is not a number",
        ),
        (
            r#"{"access_token":"leak","expires_in":null}"#,
            "expires_in is not a number",
        ),
        (r#"{"access_token":"leak","expires_in":0}"#, "less than one second"),
        (r#"{"access_token":"leak","expires_in":-5}"#, "less than one second"),
        (
            r#"{"access_token":"leak","expires_in":100,"token_type":"mac"}"#,
            "token_type is not bearer",
        ),
        (
            r#"{"access_token":"leak","expires_in":100,"token_type":7}"#,
            "token_type is not bearer",
        ),
        (&long, "longer than 64 KiB"),
    ] {
        let (source, _, mut service) = source();
        let said = refusal(fetched(&source, &mut service, &http(200, "", body)).await);
        assert!(said.contains(why) && !said.contains("leak"), "{body:.60}: {said}");
    }
    for expires_in in ["1e300", "99999999999999999999", "86400000", "90000.5"] {
        let (source, _, mut service) = source();
        let body = format!(r#"{{"access_token":"abc","expires_in":{expires_in}}}"#);
        assert_eq!(
            fetched(&source, &mut service, &http(200, "", &body)).await.as_deref(),
            Ok("abc"),
            "{expires_in}"
        );
        advance(Duration::from_hours(24)).await;
        assert_eq!(
            fetched(&source, &mut service, &grant("def", 60)).await.as_deref(),
            Ok("def"),
            "taken for a day"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn trouble_on_the_way_is_unavailable_and_does_not_last_longer_than_the_limit() {
    let (source, network, mut service) = source();
    network.plan([Connect::Refused("no such host"), Connect::Hangs]);
    assert_eq!(
        unavailable(source.token(None).await.map(|_| String::new())),
        "no such host"
    );
    advance(MINUTE).await;
    let began = Instant::now();
    assert_eq!(
        unavailable(source.token(None).await.map(|_| String::new())),
        "ims.example:443: no answer within 10s"
    );
    assert_eq!(began.elapsed(), LIMIT);
    for (bytes, why) in [
        ("", "closed before the response head"),
        ("nonsense\r\n\r\n", "HTTP"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "cut off"),
    ] {
        advance(MINUTE).await;
        let said = unavailable(fetched(&source, &mut service, bytes).await);
        assert!(said.contains(why), "{said}");
    }
    advance(MINUTE).await;
    let began = Instant::now();
    let (outcome, _io): (_, DuplexStream) = tokio::join!(source.token(None), async { service.accept().await.1 });
    assert!(matches!(outcome, Err(TokenFailure::Unavailable(_))));
    assert_eq!(began.elapsed(), LIMIT);
}

#[tokio::test(start_paused = true)]
async fn the_secret_goes_over_https_or_to_this_machine_only() {
    for url in ["http://ims.example/x", "ftp://ims.example/x", "http://10.0.0.1/x"] {
        let (source, _, mut service) = source_at(url, SecretSource::Inline(SecretString::from(SECRET)));
        let said = refusal(source.token(None).await.map(|_| String::new()));
        assert!(said.contains("is not https"), "{said}");
        assert!(service.is_idle(), "{url}");
    }
    for url in ["http://127.0.0.1:9/x", "http://localhost/x", "http://[::1]/x"] {
        let (source, _, mut service) = source_at(url, SecretSource::Inline(SecretString::from(SECRET)));
        assert_eq!(
            fetched(&source, &mut service, &grant("abc", 60)).await.as_deref(),
            Ok("abc"),
            "{url}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_file_is_read_again_at_each_fetch() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "first").unwrap();
    let (source, _, mut service) = source_at("https://ims.example/x", SecretSource::File(file.path().to_owned()));
    for (write, sent) in [
        (None, "client_secret=first&"),
        (Some("second"), "client_secret=second&"),
    ] {
        if let Some(secret) = write {
            std::fs::write(file.path(), secret).unwrap();
        }
        let (outcome, ()) = tokio::join!(source.token(None), async {
            let (_, request, io) = service.request().await;
            assert!(request.contains(sent), "{request}");
            answer(io, grant("abc", 2)).await;
        });
        outcome.unwrap();
        advance(Duration::from_secs(2)).await;
    }
    let path = file.path().display().to_string();
    drop(file);
    let said = unavailable(source.token(None).await.map(|_| String::new()));
    assert!(said.contains(&path), "{said}");
}

#[tokio::test(start_paused = true)]
async fn a_ready_made_token_is_read_again_at_each_connect() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let grant = Grant::Token {
        client_id: None,
        token: SecretSource::File(file.path().to_owned()),
    };
    let (network, mut service) = network(1024);
    let source = Arc::new(TokenSource::new(testing::credential(grant), network, LIMIT, MINUTE));
    source.token(None).await.unwrap_err();

    std::fs::write(file.path(), "one\n").unwrap();
    let one = source.token(None).await.unwrap();
    assert_eq!((one.expose(), one.api_key()), ("one", None));
    assert_eq!(source.token(None).await.unwrap().generation(), one.generation());
    let said = refusal(source.token(Some(one.generation())).await.map(|_| String::new()));
    assert!(said.contains("still the same"), "{said}");

    std::fs::write(file.path(), "two\n").unwrap();
    let two = source.token(Some(one.generation())).await.unwrap();
    assert_eq!(two.expose(), "two");
    assert!(two.generation() > one.generation());
    assert!(service.is_idle(), "nothing is fetched");
}
