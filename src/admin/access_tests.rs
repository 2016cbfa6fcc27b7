//! Who is let in, without a socket.

use std::net::Ipv4Addr;

use http::Request;
use proptest::prelude::*;

use super::*;
use crate::settings::{AdminListen, SecretSource};

const HERE: Reached = Reached::Tcp(IpAddr::V4(Ipv4Addr::new(10, 1, 2, 3)));

fn access(token: Option<&str>, hosts: &[&str]) -> Access {
    let settings = AdminSettings {
        listen: AdminListen::Off,
        token: token.map(|token| SecretSource::Inline(token.into())),
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
    };
    Access::new(&settings).unwrap()
}

fn parts(target: &str, headers: &[(&str, &str)]) -> Parts {
    let request = headers.iter().fold(Request::get(target), |request, (name, value)| {
        request.header(*name, *value)
    });
    request.body(()).unwrap().into_parts().0
}

fn by_host(access: &Access, host: &str) -> Result<Caller, Refusal> {
    access.judge(&parts("/status", &[("host", host)]), HERE)
}

#[test]
fn loopback_the_address_reached_and_the_names_of_the_settings_are_ours() {
    let access = access(None, &["livestreamd.example.com", "192.0.2.7", "[2001:db8::7]"]);
    for ours in [
        "localhost",
        "LocalHost:9600",
        "localhost.",
        "127.0.0.1:9600",
        "127.1.2.3",
        "[::1]:80",
        "[::ffff:127.0.0.1]",
        "10.1.2.3:9600",
        "10.1.2.3",
        "[::ffff:10.1.2.3]",
        "livestreamd.example.com",
        "LIVESTREAMD.example.com.:443",
        "192.0.2.7:1",
        "[2001:db8:0::7]:1",
    ] {
        assert_eq!(by_host(&access, ours), Ok(Caller::Known), "{ours}");
    }
    for foreign in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:9600",
        "example.com",
        "x.livestreamd.example.com",
        "10.1.2.4",
        "0.0.0.0",
        "[2001:db8::8]",
        "xn--lcalhost-n4a",
    ] {
        assert_eq!(by_host(&access, foreign), Err(Refusal::ForeignHost), "{foreign}");
    }
}

#[test]
fn what_is_no_host_is_a_bad_request() {
    let access = access(None, &[]);
    for bad in [
        "",
        ":9600",
        "localhost:x",
        "localhost:9600:1",
        "::1",
        "[::1",
        "[::1]9600",
        "localhost/",
        "user@localhost",
        "local host",
    ] {
        assert_eq!(by_host(&access, bad), Err(Refusal::BadHost), "{bad}");
    }
    assert_eq!(access.judge(&parts("/", &[]), HERE), Err(Refusal::BadHost));
    let doubled = [("host", "localhost"), ("host", "localhost")];
    assert_eq!(access.judge(&parts("/", &doubled), HERE), Err(Refusal::BadHost));
}

#[test]
fn a_target_that_is_a_whole_url_is_held_to_the_same() {
    let access = access(None, &[]);
    let judge = |target| access.judge(&parts(target, &[("host", "localhost")]), HERE);
    assert_eq!(judge("http://localhost:9600/status"), Ok(Caller::Known));
    assert_eq!(judge("http://evil.example/status"), Err(Refusal::ForeignHost));
}

#[test]
fn a_socket_in_the_file_system_goes_by_any_name() {
    let access = access(None, &[]);
    let judge = |headers: &[(&str, &str)]| access.judge(&parts("/", headers), Reached::Unix);
    assert_eq!(judge(&[("host", "evil.example")]), Ok(Caller::Known));
    assert_eq!(judge(&[]), Err(Refusal::BadHost));
}

#[test]
fn a_token_is_taken_as_bearer_or_as_the_password_of_any_user() {
    let access = access(Some("s3cret:with=colon"), &[]);
    let judge = |path, authorization: &str| {
        let headers = [("host", "localhost"), ("authorization", authorization)];
        access.judge(&parts(path, &headers), HERE)
    };
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for right in [
        "Bearer s3cret:with=colon",
        "bearer  s3cret:with=colon",
        &basic("anybody:s3cret:with=colon"),
        &basic(":s3cret:with=colon"),
    ] {
        assert_eq!(judge("/status", right), Ok(Caller::Known), "{right}");
        assert_eq!(judge("/readyz", right), Ok(Caller::Known), "{right}");
    }
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer s3cret",
        "Bearer s3cret:with=colonX",
        "s3cret:with=colon",
        "Digest s3cret:with=colon",
        "Basic s3cret:with=colon",
        &basic("s3cret"),
        &basic("s3cret:with=colon"),
        &basic("s3cret:with=colon:"),
    ] {
        assert_eq!(judge("/status", wrong), Err(Refusal::NoToken), "{wrong}");
        for open in ["/healthz", "/readyz"] {
            assert_eq!(judge(open, wrong), Ok(Caller::Stranger), "{wrong}");
        }
    }
    let right = ("authorization", "Bearer s3cret:with=colon");
    let doubled = [("host", "localhost"), right, right];
    assert_eq!(access.judge(&parts("/status", &doubled), HERE), Err(Refusal::NoToken));
}

#[test]
fn the_host_is_looked_at_before_the_token() {
    let access = access(Some("s3cret"), &[]);
    let headers = [("host", "evil.example"), ("authorization", "Bearer s3cret")];
    assert_eq!(
        access.judge(&parts("/healthz", &headers), HERE),
        Err(Refusal::ForeignHost)
    );
}

proptest! {
    #[test]
    fn no_header_of_a_stranger_is_taken_for_the_token(authorization in "[ -~]{0,40}") {
        let access = access(Some("a-token-that-is-not-guessed"), &[]);
        let headers = [("host", "localhost"), ("authorization", authorization.as_str())];
        prop_assert_eq!(access.judge(&parts("/status", &headers), HERE), Err(Refusal::NoToken));
    }

    #[test]
    fn no_name_that_is_not_ours_is_taken_for_ours(host in "[a-z0-9.:\\[\\]-]{1,20}") {
        let access = access(None, &[]);
        let judged = by_host(&access, &host);
        let ours = host.starts_with("localhost") || host.starts_with("127.") || host.starts_with('[')
            || host.chars().all(|c| c.is_ascii_digit() || ".x:".contains(c)) || host.starts_with("0x");
        prop_assert!(judged.is_err() || ours, "{}", host);
    }
}
