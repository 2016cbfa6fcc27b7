//! A broker with accounts, rights and quotas, and what its operator does with Kafka's own tools: librdkafka has no call for them.
//!
//! Everything blocks, for a second or two: each tool is a JVM of its own.

use std::sync::OnceLock;

use super::broker::{Account, Broker};
use super::jars;
use super::kafka::Kafka;

/// The accounts that the shared broker has from its start, one for each test that needs one.
pub const PARTLY_ALLOWED: Account<'_> = ("partly-allowed", "pike-of-the-broker");
/// The same, for another test.
pub const POWERLESS: Account<'_> = ("powerless", "perch-of-the-broker");

const ACLS: &str = "org.apache.kafka.tools.AclCommand";
const CONFIGS: &str = "kafka.admin.ConfigCommand";

/// Who runs a broker with accounts.
pub struct Operator {
    kafka: Kafka,
    accounts_addr: String,
    software: jars::Kafka,
}

impl Operator {
    /// The operator of a broker that the tests of this process share: each has accounts, topics and client ids of its own there.
    /// Started at the first call and gone with the process.
    #[track_caller]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Result<Operator, String>> = OnceLock::new();
        SHARED
            .get_or_init(Self::try_start)
            .as_ref()
            .unwrap_or_else(|why| panic!("{why}"))
    }

    fn try_start() -> Result<Self, String> {
        let broker = Broker::try_start_with_accounts(&[PARTLY_ALLOWED, POWERLESS])?;
        let operator = Self {
            kafka: broker.kafka().clone(),
            accounts_addr: broker.accounts_addr(),
            software: jars::find()?,
        };
        // It lives as long as the process, and its guard ends it then: a static would not be dropped either.
        std::mem::forget(broker);
        Ok(operator)
    }

    /// The broker for who may do everything.
    pub fn kafka(&self) -> &Kafka {
        &self.kafka
    }

    /// `host:port` for who has an account.
    pub fn accounts_addr(&self) -> &str {
        &self.accounts_addr
    }

    /// Creates an account. It may do nothing yet.
    #[track_caller]
    pub fn create_account(&self, (name, password): Account<'_>) {
        let password = format!("SCRAM-SHA-256=[password={password}]");
        self.configure("users", name, ["--add-config", &password]);
    }

    /// Allows an account an operation (`write`, which includes `describe`, for one) on some topics.
    #[track_caller]
    pub fn allow(&self, (name, _): Account<'_>, operation: &str, topics: &[&str]) {
        let principal = format!("User:{name}");
        let mut arguments = vec!["--add", "--allow-principal", &principal, "--operation", operation];
        arguments.extend(topics.iter().flat_map(|topic| ["--topic", topic]));
        self.run(ACLS, arguments);
    }

    /// Lets clients of this id produce so many bytes a second, all together.
    #[track_caller]
    pub fn set_quota(&self, client_id: &str, bytes_per_second: u32) {
        let rate = format!("producer_byte_rate={bytes_per_second}");
        self.configure("clients", client_id, ["--add-config", &rate]);
    }

    /// Lets them produce as much as they can.
    #[track_caller]
    pub fn lift_quota(&self, client_id: &str) {
        self.configure("clients", client_id, ["--delete-config", "producer_byte_rate"]);
    }

    #[track_caller]
    fn configure(&self, entity_type: &str, entity: &str, change: [&str; 2]) {
        let which = ["--alter", "--entity-type", entity_type, "--entity-name", entity];
        self.run(CONFIGS, which.into_iter().chain(change));
    }

    #[track_caller]
    fn run<'a>(&'a self, tool: &str, arguments: impl IntoIterator<Item = &'a str>) {
        let arguments = ["--bootstrap-server", self.kafka.addr()].into_iter().chain(arguments);
        let ended = self.software.run(tool, arguments);
        ended.unwrap_or_else(|why| panic!("{why}"));
    }
}
