//! A real broker behind TLS, certificates, accounts and tokens: with each of them everything arrives; whoever is kept out is told why and
//! loses nothing; and once the broker is mended, all flows without a restart.

use std::fmt::Write as _;
use std::time::Duration;

use livestreamd::simulator::Running;
use tempfile::TempDir;

use super::trial::{Config, Trial, all_at_once, blocking, eventually, quiet, simulate};
use crate::support::broker::Account;
use crate::support::logs;
use crate::support::secured::{Listener, PLAIN, SCRAM_256, SCRAM_512, Secured};
use crate::support::token_endpoint::{CLIENT_ID, CLIENT_SECRET, TokenEndpoint};

const HITS: u64 = 30;

/// A daemon that takes one way in.
struct Client {
    name: &'static str,
    simulator: Running,
    trial: Trial,
    files: TempDir,
}

impl Client {
    /// `{dir}` in the lines stands for the directory with `ca.pem`, `client.pem`, `client.key` and `secret`, which holds this secret. The
    /// lines are those of `[kafka.properties]`, and may go on with another table of `[kafka]`.
    async fn start(secured: &Secured, name: &'static str, listener: Listener, secret: &str, lines: &str) -> Self {
        let files = tempfile::tempdir().unwrap();
        secured.write_client_files(files.path());
        std::fs::write(files.path().join("secret"), format!("{secret}\n")).unwrap();
        let kafka = secured.kafka().clone();
        let simulator = simulate([quiet(name)]).await;
        let mut config = Config::on(kafka).await;
        config.brokers = Some(secured.addr(listener));
        let lines = lines.replace("{dir}", files.path().to_str().unwrap());
        write!(
            config.properties,
            "\"reconnect.backoff.max.ms\" = 500\n\"ssl.ca.location\" = \"{}/ca.pem\"\n{lines}\n",
            files.path().display()
        )
        .unwrap();
        config.stream(&simulator, name);
        let trial = config.start().await;
        trial.stream(name).streams().await;
        Self {
            name,
            simulator,
            trial,
            files,
        }
    }

    async fn reads_a_burst(&self) {
        let stream = self.trial.stream(self.name);
        let hits = stream.counts().hits + HITS;
        self.simulator.burst(self.name, HITS).unwrap();
        stream.has_hits(hits).await;
    }

    async fn delivers(&self) {
        self.trial.stream(self.name).has_delivered().await;
    }

    fn delivered(&self) -> u64 {
        self.trial.stream(self.name).counts().delivered
    }

    /// Stops it, and holds its topic against what the service has sent.
    async fn finish(self, hits: u64) {
        let Self {
            name,
            simulator,
            trial,
            files,
        } = self;
        let found = trial.finish().await.judge(&simulator, name);
        assert_eq!((found.hits as u64, found.dead_letters), (hits, 0), "{name}");
        assert_eq!(simulator.ledger().accepts_of(name).len(), 1, "{name} stayed connected");
        drop(files);
    }
}

const SSL: &str = "\"security.protocol\" = \"ssl\"\n";

fn account(mechanism: &str, user: &str) -> String {
    format!(
        "\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanism\" = \"{mechanism}\"\n\"sasl.username\" = \"{user}\"\n\
         [kafka.property_files]\n\"sasl.password\" = \"{{dir}}/secret\""
    )
}

fn token(url: &str) -> String {
    format!(
        "\"security.protocol\" = \"sasl_ssl\"\n\"sasl.mechanism\" = \"OAUTHBEARER\"\n\"sasl.oauthbearer.method\" = \"oidc\"\n\
         \"sasl.oauthbearer.token.endpoint.url\" = \"{url}\"\n\"sasl.oauthbearer.client.id\" = \"{CLIENT_ID}\"\n\
         [kafka.property_files]\n\"sasl.oauthbearer.client.secret\" = \"{{dir}}/secret\""
    )
}

/// Waits until a line of the log names this broker and says all this.
async fn told(broker: &str, parts: &[&str]) {
    let parts: Vec<&str> = [&[broker], parts].concat();
    eventually(&format!("the log says {parts:?}"), || {
        let lines = logs::lines_with(&parts);
        if lines.is_empty() {
            Err(logs::lines_with(&[broker]))
        } else {
            Ok(())
        }
    })
    .await;
}

#[track_caller]
fn assert_no_secret_was_logged() {
    for secret in [PLAIN.1, SCRAM_256.1, SCRAM_512.1, CLIENT_SECRET, WRONG, "PRIVATE KEY"] {
        assert_eq!(logs::lines_with(&[secret]), Vec::<String>::new(), "a secret was logged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_each_way_in_everything_arrives() {
    let secured = blocking(Secured::shared).await;
    let endpoint = TokenEndpoint::start(Duration::from_secs(60));
    let mutual = format!(
        "{SSL}\"ssl.certificate.location\" = \"{{dir}}/client.pem\"\n\"ssl.key.location\" = \"{{dir}}/client.key\"\n"
    );
    let ways = [
        ("tls", Listener::Tls, "", SSL.to_owned()),
        ("mutual", Listener::Mutual, "", mutual),
        ("plain", Listener::Accounts, PLAIN.1, account("PLAIN", PLAIN.0)),
        (
            "scram-256",
            Listener::Accounts,
            SCRAM_256.1,
            account("SCRAM-SHA-256", SCRAM_256.0),
        ),
        (
            "scram-512",
            Listener::Accounts,
            SCRAM_512.1,
            account("SCRAM-SHA-512", SCRAM_512.0),
        ),
        ("oauth", Listener::Tokens, CLIENT_SECRET, token(endpoint.url())),
    ];
    let tasks = ways.map(|(name, listener, secret, lines)| {
        Box::pin(async move {
            let client = Client::start(secured, name, listener, secret, &lines).await;
            client.reads_a_burst().await;
            client.delivers().await;
            client.finish(HITS).await;
        })
    });
    all_at_once(tasks).await;
    assert!(endpoint.given() >= 1, "the tokens came from there");
    assert_no_secret_was_logged();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_fetched_anew_before_it_ends() {
    let secured = blocking(Secured::shared).await;
    let endpoint = TokenEndpoint::start(Duration::from_secs(5));
    let lines = token(endpoint.url());
    let client = Client::start(secured, "renewed", Listener::Tokens, CLIENT_SECRET, &lines).await;
    client.reads_a_burst().await;
    client.delivers().await;
    let first = endpoint.given();
    eventually("two more tokens were fetched", || {
        let given = endpoint.given();
        if given >= first + 2 { Ok(()) } else { Err(given) }
    })
    .await;
    // Of the first token's life nothing is left, and the broker ends a connection with its token.
    client.reads_a_burst().await;
    client.delivers().await;
    client.finish(2 * HITS).await;
    assert_no_secret_was_logged();
}

/// A password that no account has.
const WRONG: &str = "goldfish-of-nobody";
/// The account that is meant.
const LATE: Account<'_> = ("late-user", WRONG);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_kept_out_is_told_what_to_do_and_goes_on_once_the_broker_is_mended() {
    let secured = blocking(Secured::start).await;
    let untrusted = ["certificate verify failed", "livestreamd check --connect says why"];
    let cases: [(&str, Listener, String, [&str; 2]); 5] = [
        (
            "wrong-password",
            Listener::Accounts,
            account("SCRAM-SHA-256", LATE.0),
            ["SASL authentication error", "or its secret is another"],
        ),
        ("unknown-authority", Listener::Stranger, SSL.to_owned(), untrusted),
        ("other-host", Listener::OtherHost, SSL.to_owned(), untrusted),
        ("expired", Listener::Expired, SSL.to_owned(), untrusted),
        (
            "no-certificate",
            Listener::Mutual,
            SSL.to_owned(),
            ["alert", "asks for a client certificate"],
        ),
    ];
    let mut clients = Vec::new();
    for (name, listener, lines, says) in cases {
        let client = Client::start(&secured, name, listener, WRONG, &lines).await;
        client.reads_a_burst().await;
        told(&secured.addr(listener), &says).await;
        assert_eq!(client.delivered(), 0, "{name}");
        clients.push(client);
    }

    let secured = blocking(move || {
        secured.set_password("SCRAM-SHA-256", LATE);
        secured.mend();
        secured
    })
    .await;
    for client in clients {
        client.delivers().await;
        client.reads_a_burst().await;
        client.delivers().await;
        client.finish(2 * HITS).await;
    }
    drop(secured);
    assert_no_secret_was_logged();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_changed_at_the_broker_is_told_and_waited_for() {
    const CHANGING: Account<'_> = ("changing-user", "bream-of-the-broker");
    let secured = blocking(Secured::shared).await;
    let set = |password: &'static str| blocking(move || secured.set_password("SCRAM-SHA-512", (CHANGING.0, password)));
    set(CHANGING.1).await;
    let lines = account("SCRAM-SHA-512", CHANGING.0) + "\n";
    let client = Client::start(secured, "changed", Listener::Accounts, CHANGING.1, &lines).await;
    client.reads_a_burst().await;
    client.delivers().await;

    // The broker asks again for it after some seconds, as it does where connections.max.reauth.ms is set; else it would hold from the
    // next connection on.
    set("another-of-the-broker").await;
    told(
        &secured.addr(Listener::Accounts),
        &["SCRAM-SHA-512", "SASL authentication error", "or its secret is another"],
    )
    .await;
    let delivered = client.delivered();
    client.reads_a_burst().await;
    assert_eq!(client.delivered(), delivered);

    set(CHANGING.1).await;
    client.delivers().await;
    client.finish(2 * HITS).await;
    assert_no_secret_was_logged();
}
