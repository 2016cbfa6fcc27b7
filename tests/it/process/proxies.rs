//! A proxy that the environment names, as every program on a machine is told of it.

use std::time::Duration;

use livestreamd::simulator::{Rate, SimulatedStream, SimulatorSettings};
use rustix::process::Signal;

use super::child::{Ended, Livestreamd, path};
use super::trial::Trial;
use crate::support::certificates::Authority;
use crate::support::proxy::{ConnectProxy, NAME};

const PASSWORD: &str = "open%20sesame";
/// `Aladdin:open sesame`, from RFC 7617.
const ENCODED: &str = "QWxhZGRpbjpvcGVuIHNlc2FtZQ==";

#[track_caller]
fn assert_no_password(ended: &Ended) {
    for secret in [PASSWORD, "sesame", ENCODED] {
        assert!(
            !ended.stdout.contains(secret) && !ended.stderr.contains(secret),
            "{ended:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_of_the_environment_is_shown_by_check_and_used_by_check_and_run() {
    let authority = Authority::new("known");
    let stream = SimulatedStream {
        rate: Rate::PerSecond(100.0),
        ..SimulatedStream::new("proxied")
    };
    let settings = SimulatorSettings {
        tls: Some(authority.issue(&[NAME], false)),
        public_host: Some(NAME.to_owned()),
        ..SimulatorSettings::with_stream(stream)
    };
    let trial = Trial::start(settings, Duration::from_secs(60)).await;
    let proxy = ConnectProxy::start(None, Some(ENCODED)).await;
    let roots = trial.scratch.write("roots.pem", authority.pem());
    let address = proxy.address();
    let url = format!("http://Aladdin:{PASSWORD}@{address}");
    let with = |https_proxy| {
        [
            ("SSL_CERT_FILE", path(&roots)),
            ("HTTPS_PROXY", https_proxy),
            ("NO_PROXY", "a.example"),
        ]
    };
    let check = |https_proxy| {
        let arguments = ["check", "--connect", "--config", trial.config()];
        let ended = Livestreamd::run(&trial.scratch, &arguments, &with(https_proxy));
        assert_no_password(&ended);
        ended
    };

    let ended = check(&url);
    assert_eq!(ended.code, 0, "{ended:?}");
    let target = trial.simulator.url("proxied").replace("https://", "");
    let target = target.split('/').next().unwrap();
    let shown = format!(
        "proxy         http://{address} (from HTTPS_PROXY), credentials given inline\n  through it  {target}\n"
    );
    assert!(ended.stdout.contains(&shown), "{}", ended.stdout);
    assert!(
        ended
            .stdout
            .contains("ok     credentials.default: an access token was fetched"),
        "{ended:?}"
    );
    let asked = proxy.asked();
    assert!(
        asked.len() == 1 && asked[0].target == target && asked[0].status == 200,
        "{asked:?}"
    );

    let wrong = format!("http://Aladdin:wrong@{address}");
    let ended = check(&wrong);
    assert_eq!(ended.code, 1, "{ended:?}");
    let refused =
        format!("the proxy {address} refuses the user and password in its URL (407 Proxy Authentication Required)");
    assert!(ended.stdout.contains(&refused), "{ended:?}");
    let ended = check("socks5://Aladdin:sesame@127.0.0.1");
    assert_eq!(ended.code, 78, "{ended:?}");
    assert!(
        ended
            .stderr
            .contains("upstream.proxy (from HTTPS_PROXY): is a SOCKS proxy"),
        "{ended:?}"
    );

    let daemon = trial.run_with(&with(&url));
    let said = daemon.logged("the effective proxy", |line| line["through"] == *target);
    assert_eq!(
        said["proxy"],
        format!("http://{address} (from HTTPS_PROXY), credentials given inline")
    );
    assert_eq!(said["level"], "INFO");
    trial.streaming("proxied", 100).await;
    let ended = daemon.ended_by(Signal::TERM);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    assert_no_password(&ended);
    trial.arrived();
    let answered: Vec<_> = proxy
        .asked()
        .iter()
        .map(|asked| (asked.target == target, asked.status))
        .collect();
    assert_eq!(answered, [(true, 200), (true, 407), (true, 200), (true, 200)]);
}
