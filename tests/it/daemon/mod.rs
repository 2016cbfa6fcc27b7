//! The daemon in this process, against the simulated service over real sockets and a real Kafka broker. The simulator's ledger is
//! the judge: what it wrote must be in the topics and nothing else, and nobody may have come back early by its clock.
//!
//! | module | what goes wrong |
//! | --- | --- |
//! | [`refusals`] | the service refuses, or does not answer: every status of the protocol notes, section 4 |
//! | [`redirects`] | the service sends us elsewhere |
//! | [`stream_faults`] | an open stream ends, stalls, or holds what is no hit |
//! | [`tls`] | certificates |
//! | [`proxies`] | there is a proxy in between |
//! | [`unreached`] | nobody is there |
//! | [`several`] | several connections, several streams |
//! | [`measures`] | nothing: what is measured of a run |
//! | [`sharing`] | several clients of one stream, and what else a request asks for |
//! | [`kafka_away`] | a real broker is stopped, a topic is missing, a record is too large |
//! | [`kafka_rights`] | a real broker does not know us, or does not let us write |
//! | [`kafka_security`] | a real broker wants TLS, a certificate, an account or a token |
//! | [`kafka_quota`] | a real broker slows us down |
//! | [`kafka_outage`] | a real broker is away for long and has forgotten us, a topic is deleted |
//! | [`kafka_trouble`] | one topic fails for long, gets partitions, or is lingered for |
//! | [`kafka_errors`] | what only librdkafka's mock cluster does on command |
//! | [`trial`], [`judge`], [`outsider`] | nothing: what the tests stand on |

mod judge;
mod kafka_away;
mod kafka_errors;
mod kafka_outage;
mod kafka_quota;
mod kafka_rights;
mod kafka_security;
mod kafka_trouble;
mod measures;
mod outsider;
mod proxies;
mod redirects;
mod refusals;
mod several;
mod sharing;
mod stream_faults;
mod tls;
mod trial;
mod unreached;
