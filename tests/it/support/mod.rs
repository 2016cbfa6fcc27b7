//! What the integration tests stand on: a real Kafka broker, and child processes that cannot outlive the tests.
//!
//! | module | holds |
//! | --- | --- |
//! | [`kafka`] | [`kafka::shared`], the broker that all tests share, and [`kafka::Kafka`]: topics made, records read back |
//! | [`certificates`] | an authority of a test's own, and what it issues |
//! | [`broker`] | [`broker::Broker`]: a broker of a test's own, to be stopped, killed and started again |
//! | [`operator`] | [`operator::Operator`]: a broker with accounts, rights and quotas, and who sets them |
//! | [`secured`] | [`secured::Secured`]: a broker that lets nobody in without TLS, a certificate or an account |
//! | [`token_endpoint`] | [`token_endpoint::TokenEndpoint`]: where librdkafka fetches OAuth tokens |
//! | [`proxy`] | [`proxy::ConnectProxy`]: an HTTP proxy |
//! | [`jars`] | Kafka's jars and a Java to run them |
//! | [`guarded`] | [`guarded::Guarded`]: a child process that dies with the test process, whatever that dies of |
//! | [`logs`] | what was logged in this process, to be looked through |
//! | [`source`] | Rust source as far as the layering test must understand it |

pub mod broker;
pub mod certificates;
pub mod guarded;
pub mod jars;
pub mod kafka;
pub mod logs;
pub mod operator;
pub mod proxy;
pub mod secured;
pub mod source;
pub mod token_endpoint;
mod wait;

pub use wait::wait_until;
