//! A broker that lets nobody in without TLS, a certificate or an account: one JVM with a listener for each way in, and for each way in
//! which a listener may be wrong.
//!
//! Everything blocks. The first listener asks nobody, as that of every test's broker: it is for the test itself.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use super::broker::{Account, Broker, free_ports, server_properties};
use super::certificates::Authority;
use super::jars;
use super::kafka::Kafka;

/// A way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listener {
    /// TLS, and no more.
    Tls,
    /// TLS, with a certificate of the client.
    Mutual,
    /// TLS with an account: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
    Accounts,
    /// TLS with an OAuth token, which may be unsigned.
    Tokens,
    /// The broker's certificate is for another host.
    OtherHost,
    /// The broker's certificate has expired.
    Expired,
    /// The broker's certificate was issued by an authority that clients do not know.
    Stranger,
}

use Listener::{Accounts, Expired, Mutual, OtherHost, Stranger, Tls, Tokens};

const ALL: [Listener; 7] = [Tls, Mutual, Accounts, Tokens, OtherHost, Expired, Stranger];

/// The accounts that are there from the start.
pub const PLAIN: Account<'_> = ("plain-user", "zander-of-the-broker");
/// For SCRAM-SHA-256.
pub const SCRAM_256: Account<'_> = ("scram-256-user", "roach-of-the-broker");
/// For SCRAM-SHA-512.
pub const SCRAM_512: Account<'_> = ("scram-512-user", "tench-of-the-broker");

const HERE: [&str; 2] = ["127.0.0.1", "localhost"];

/// The broker, and who issued its certificates.
pub struct Secured {
    /// Only for who mends it; a static must be shared between threads.
    broker: Mutex<Broker>,
    kafka: Kafka,
    ports: [u16; ALL.len()],
    /// Whom clients should trust.
    pub authority: Authority,
    software: jars::Kafka,
}

impl Secured {
    /// The one that the tests of this process share. Started at the first call and gone with the process.
    #[track_caller]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<Secured, String>> = OnceLock::new();
        SHARED
            .get_or_init(Self::try_start)
            .as_ref()
            .unwrap_or_else(|why| panic!("{why}"))
    }

    /// One of a test's own, to be mended.
    #[track_caller]
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|why| panic!("{why}"))
    }

    fn try_start() -> Result<Self, String> {
        let [port, controller_port] = free_ports();
        let ports = free_ports();
        let authority = Authority::new("an authority of the brokers");
        let stranger = Authority::new("an authority that nobody knows");
        let mut text = String::new();
        let mut line = |key: &str, value: &str| {
            let _ = writeln!(text, "{key}={}", value.replace('\n', "\\n"));
        };
        let mut listeners = format!("PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}");
        let mut protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT".to_owned();
        for (listener, port) in ALL.into_iter().zip(ports) {
            let name = listener.name();
            let protocol = if matches!(listener, Accounts | Tokens) {
                "SASL_SSL"
            } else {
                "SSL"
            };
            let _ = write!(listeners, ",{name}://127.0.0.1:{port}");
            let _ = write!(protocols, ",{name}:{protocol}");
            let names: &[&str] = if listener == OtherHost {
                &["kafka.example"]
            } else {
                &HERE
            };
            let issuer = if listener == Stranger { &stranger } else { &authority };
            for (key, value) in listener.keystore(issuer.pair(names, listener == Expired)) {
                line(&key, &value);
            }
        }
        line("listeners", &listeners);
        line("listener.security.protocol.map", &protocols);
        line("ssl.truststore.type", "PEM");
        line("ssl.truststore.certificates", authority.pem());
        line("listener.name.mutual.ssl.client.auth", "required");
        line(
            "listener.name.accounts.sasl.enabled.mechanisms",
            "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        );
        line("listener.name.tokens.sasl.enabled.mechanisms", "OAUTHBEARER");
        let (user, password) = PLAIN;
        for (key, module) in [
            (
                "accounts.plain",
                format!("plain.PlainLoginModule required user_{user}=\"{password}\""),
            ),
            ("accounts.scram-sha-256", "scram.ScramLoginModule required".to_owned()),
            ("accounts.scram-sha-512", "scram.ScramLoginModule required".to_owned()),
            (
                "tokens.oauthbearer",
                "oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"broker\"".to_owned(),
            ),
        ] {
            line(
                &format!("listener.name.{key}.sasl.jaas.config"),
                &format!("org.apache.kafka.common.security.{module};"),
            );
        }
        // Whose token has ended may not go on.
        line("listener.name.tokens.oauthbearer.connections.max.reauth.ms", "3600000");
        // Whose password was changed is asked for it soon.
        line("listener.name.accounts.scram-sha-512.connections.max.reauth.ms", "3000");
        let scram = |mechanism: &str, (name, password): Account<'_>| {
            [
                "--add-scram".to_owned(),
                format!("{mechanism}=[name={name},password={password}]"),
            ]
        };
        let accounts = [scram("SCRAM-SHA-256", SCRAM_256), scram("SCRAM-SHA-512", SCRAM_512)].concat();
        let accounts: Vec<&str> = accounts.iter().map(String::as_str).collect();
        let config = server_properties(port, controller_port, &[]) + &text;
        let broker = Broker::try_start_at(port, None, config, &accounts)?;
        Ok(Self {
            kafka: broker.kafka().clone(),
            broker: Mutex::new(broker),
            ports,
            authority,
            software: jars::find()?,
        })
    }

    /// The broker for the test itself.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// `host:port` of a way in.
    pub fn addr(&self, listener: Listener) -> String {
        let found = ALL.into_iter().zip(self.ports).find(|(one, _)| *one == listener);
        let (_, port) = found.expect("all are there");
        format!("127.0.0.1:{port}")
    }

    /// Writes what a client needs into `dir`: `ca.pem`, `client.pem` and `client.key`.
    pub fn write_client_files(&self, dir: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        let (certificate, key) = self.authority.client();
        for (name, content) in [
            ("ca.pem", self.authority.pem()),
            ("client.pem", &certificate),
            ("client.key", &key),
        ] {
            let path = dir.join(name);
            std::fs::write(&path, content).expect("a file can be written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("its owner may do that");
        }
    }

    /// Gives an account this password, and makes it if it is not there.
    #[track_caller]
    pub fn set_password(&self, mechanism: &str, (name, password): Account<'_>) {
        let password = format!("{mechanism}=[password={password}]");
        let arguments = [
            "--bootstrap-server",
            self.kafka().addr(),
            "--alter",
            "--entity-type",
            "users",
        ];
        let arguments = arguments
            .into_iter()
            .chain(["--entity-name", name, "--add-config", &password]);
        let ended = self.software.run("kafka.admin.ConfigCommand", arguments);
        ended.unwrap_or_else(|why| panic!("{why}"));
    }

    /// A broker that lets everybody in who trusts its authority: good certificates at each listener, none asked of clients. Restarts it.
    #[track_caller]
    pub fn mend(&self) {
        let mut lines = "listener.name.mutual.ssl.client.auth=none\n".to_owned();
        for listener in ALL {
            for (key, value) in listener.keystore(self.authority.pair(&HERE, false)) {
                let _ = writeln!(lines, "{key}={}", value.replace('\n', "\\n"));
            }
        }
        let mut broker = self.broker.lock().expect("nobody has panicked with it");
        broker.reconfigure(&lines);
        broker.restart();
    }

    /// Kafka's own tools.
    pub fn software(&self) -> &jars::Kafka {
        &self.software
    }
}

impl Listener {
    /// In the broker's configuration; in lower case it is the prefix of its keys.
    fn name(self) -> &'static str {
        match self {
            Tls => "TLS",
            Mutual => "MUTUAL",
            Accounts => "ACCOUNTS",
            Tokens => "TOKENS",
            OtherHost => "OTHERHOST",
            Expired => "EXPIRED",
            Stranger => "STRANGER",
        }
    }

    fn keystore(self, (certificate, key): (String, String)) -> [(String, String); 3] {
        let name = self.name().to_ascii_lowercase();
        let entry = |key: &str, value: String| (format!("listener.name.{name}.ssl.keystore.{key}"), value);
        [
            entry("type", "PEM".to_owned()),
            entry("certificate.chain", certificate),
            entry("key", key),
        ]
    }
}
