//! What a Kafka error means for a stream, decided once; and how long the stream then waits.

use std::fmt;
use std::time::Duration;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

/// What a stream does about a failed record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// The batch was too large. Its records are produced again one by one, and only what fails alone is too large itself.
    TooLarge,
    /// A person must mend something first: create the topic, grant the rights. Retried slowly, never a dead letter.
    NeedsAPerson,
    /// The producer is of no more use: another one is built.
    Fatal,
    /// Anything else is taken for passing.
    Passing,
    /// Some stream got no delivery reports for long, so all leave the producer: another one is built.
    Stalled,
}

/// A failed delivery, or a refusal to take a record for delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What to do about it.
    pub class: FailureClass,
    /// What librdkafka said.
    pub code: RDKafkaErrorCode,
}

impl Failure {
    /// The producer has failed for good.
    pub const FATAL: Self = Self {
        class: FailureClass::Fatal,
        code: RDKafkaErrorCode::Fatal,
    };

    /// The producer is left, because some stream gets no reports from it.
    pub const STALLED: Self = Self {
        class: FailureClass::Stalled,
        code: RDKafkaErrorCode::OperationTimedOut,
    };

    /// No producer can be built just now.
    pub const NO_PRODUCER: Self = Self {
        class: FailureClass::Passing,
        code: RDKafkaErrorCode::CriticalSystemResource,
    };

    /// Not even a dead letter without any bytes of its record is small enough: the topic's limit is at fault.
    pub const NOTHING_FITS: Self = Self {
        class: FailureClass::NeedsAPerson,
        code: RDKafkaErrorCode::MessageSizeTooLarge,
    };
}

impl Failure {
    /// What an operator should do about it, if there is anything.
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the enum is librdkafka's, and grows with it"
    )]
    pub const fn advice(self) -> Option<&'static str> {
        use RDKafkaErrorCode as E;
        match self.class {
            FailureClass::TooLarge | FailureClass::Passing | FailureClass::Stalled => None,
            FailureClass::Fatal => Some(
                "the line before says why; if it is authorization, grant this account the right to write to its topics",
            ),
            FailureClass::NeedsAPerson => Some(match self.code {
                E::UnknownTopic | E::UnknownTopicOrPartition | E::UnknownTopicId | E::UnknownPartition => {
                    "create the topic, or grant this account the right to describe it"
                }
                E::InvalidTopic => "Kafka allows no topic of this name: change topic or dead_letter_topic",
                E::TopicAuthorizationFailed => "grant this account the right to write to the topic",
                E::ClusterAuthorizationFailed
                | E::TransactionalIdAuthorizationFailed
                | E::GroupAuthorizationFailed
                | E::DelegationTokenAuthorizationFailed => "grant this account the right that is missing",
                E::DelegationTokenExpired
                | E::Authentication
                | E::SaslAuthenticationFailed
                | E::UnsupportedSASLMechanism
                | E::IllegalSASLState
                | E::SecurityDisabled => {
                    "check the account and its password, and the security settings in kafka.properties"
                }
                E::MessageSizeTooLarge => {
                    "raise max.message.bytes of the dead-letter topic, or make room in state_dir/quarantine"
                }
                E::InvalidRecord => "if the topic is compacted, set a key that every hit has; see the broker's log",
                E::InvalidTimestamp => {
                    "widen message.timestamp.before.max.ms and message.timestamp.after.max.ms of the topic"
                }
                E::PolicyViolation => "see which policy of the brokers refuses it",
                _ => "check kafka.properties against what the brokers support",
            }),
        }
    }
}

impl From<RDKafkaErrorCode> for Failure {
    fn from(code: RDKafkaErrorCode) -> Self {
        Self {
            class: classify(code),
            code,
        }
    }
}

impl From<&KafkaError> for Failure {
    fn from(error: &KafkaError) -> Self {
        // Errors without a code are faults in what we pass, such as a topic name with a NUL in it: nothing that passes by itself.
        Self::from(error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::InvalidArgument))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.code.fmt(f)
    }
}

/// The table of errors. Whatever is not certainly permanent is retried, and what is not in the table is not certain.
#[expect(
    clippy::wildcard_enum_match_arm,
    reason = "the enum is librdkafka's, and grows with it"
)]
pub const fn classify(code: RDKafkaErrorCode) -> FailureClass {
    use RDKafkaErrorCode as E;
    match code {
        // The broker judges a batch as a whole, after compression; librdkafka judges a single record before it.
        E::MessageSizeTooLarge | E::MessageBatchTooLarge | E::InvalidMessageSize => FailureClass::TooLarge,
        // A topic that is missing, or not visible to us. librdkafka gives up on it after `topic.metadata.propagation.max.ms`.
        E::UnknownTopic
        | E::UnknownTopicOrPartition
        | E::UnknownTopicId
        | E::UnknownPartition
        | E::InvalidTopic
        // Rights and credentials.
        | E::TopicAuthorizationFailed
        | E::ClusterAuthorizationFailed
        | E::TransactionalIdAuthorizationFailed
        | E::GroupAuthorizationFailed
        | E::DelegationTokenAuthorizationFailed
        | E::DelegationTokenExpired
        | E::Authentication
        | E::SaslAuthenticationFailed
        | E::UnsupportedSASLMechanism
        | E::IllegalSASLState
        | E::SecurityDisabled
        // How the topic or the broker is set up: a compacted topic without keys, a bound on timestamps, a codec it does not know,
        // a policy. The record is a good hit all the same.
        | E::InvalidRecord
        | E::InvalidTimestamp
        | E::PolicyViolation
        | E::InvalidRequiredAcks
        | E::UnsupportedCompressionType
        | E::UnsupportedForMessageFormat
        | E::UnsupportedVersion
        | E::UnsupportedFeature
        | E::InvalidConfig
        | E::InvalidArgument => FailureClass::NeedsAPerson,
        // An idempotent producer that has lost track, or that another one has fenced off.
        E::Fatal | E::Fenced | E::ProducerFenced | E::InvalidProducerEpoch | E::GaplessGuarantee => FailureClass::Fatal,
        // Transport, time-outs, leaders, quotas, storage, purges, and what later versions may add.
        _ => FailureClass::Passing,
    }
}

impl FailureClass {
    /// How long a stream waits before it produces again after `failures` failures in a row without any progress between them.
    pub fn delay(self, failures: u32) -> Duration {
        let (first, most) = match self {
            // Nothing gets better by waiting; but a dead-letter topic that takes nothing must not make us spin.
            // And who has waited for reports for a minute, or stands by, has waited enough.
            Self::TooLarge | Self::Stalled => (Duration::ZERO, Duration::ZERO),
            Self::Passing => (PASSING_FIRST, PASSING_MOST),
            Self::NeedsAPerson => (PERSON_FIRST, PERSON_MOST),
            Self::Fatal => (FATAL_FIRST, FATAL_MOST),
        };
        first
            .saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)))
            .min(most)
    }
}

/// librdkafka has retried a passing error by itself for as long as it could before it reports one.
const PASSING_FIRST: Duration = Duration::from_millis(250);
const PASSING_MOST: Duration = Duration::from_secs(30);
/// A topic that somebody creates just now is found soon; afterwards a minute is soon enough.
const PERSON_FIRST: Duration = Duration::from_secs(2);
const PERSON_MOST: Duration = Duration::from_mins(1);
/// A new producer costs threads, connections and a new producer id.
const FATAL_FIRST: Duration = Duration::from_secs(1);
const FATAL_MOST: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_fall_into_their_classes() {
        use RDKafkaErrorCode as E;
        for (code, class) in [
            (E::MessageSizeTooLarge, FailureClass::TooLarge),
            (E::MessageBatchTooLarge, FailureClass::TooLarge),
            (E::UnknownTopic, FailureClass::NeedsAPerson),
            (E::UnknownTopicOrPartition, FailureClass::NeedsAPerson),
            (E::TopicAuthorizationFailed, FailureClass::NeedsAPerson),
            (E::SaslAuthenticationFailed, FailureClass::NeedsAPerson),
            (E::InvalidRecord, FailureClass::NeedsAPerson),
            (E::Fatal, FailureClass::Fatal),
            (E::ProducerFenced, FailureClass::Fatal),
            (E::BrokerTransportFailure, FailureClass::Passing),
            (E::MessageTimedOut, FailureClass::Passing),
            (E::NotLeaderForPartition, FailureClass::Passing),
            (E::ThrottlingQuotaExceeded, FailureClass::Passing),
            (E::PurgeQueue, FailureClass::Passing),
            (E::Unknown, FailureClass::Passing),
        ] {
            assert_eq!(classify(code), class, "{code:?}");
        }
    }

    #[test]
    fn whatever_needs_a_person_tells_that_person_what_to_do() {
        use RDKafkaErrorCode as E;
        let advice = |code: E| Failure::from(code).advice();
        assert!(advice(E::UnknownTopic).is_some_and(|advice| advice.contains("create the topic")));
        assert!(advice(E::TopicAuthorizationFailed).is_some_and(|advice| advice.contains("right to write")));
        assert!(advice(E::InvalidConfig).is_some());
        assert!(
            Failure::NOTHING_FITS
                .advice()
                .is_some_and(|advice| advice.contains("dead-letter"))
        );
        assert_eq!(
            (advice(E::MessageTimedOut), advice(E::MessageSizeTooLarge)),
            (None, None)
        );
    }

    #[test]
    fn delays_double_up_to_their_bound() {
        let delays: Vec<_> = (1..=9).map(|n| FailureClass::Passing.delay(n).as_millis()).collect();
        assert_eq!(delays, [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(FailureClass::NeedsAPerson.delay(u32::MAX), PERSON_MOST);
        assert_eq!(FailureClass::NeedsAPerson.delay(1), PERSON_FIRST);
        assert_eq!(FailureClass::TooLarge.delay(5), Duration::ZERO);
    }

    #[test]
    fn an_error_without_a_code_waits_for_a_person() {
        assert_eq!(Failure::from(&KafkaError::Canceled).class, FailureClass::NeedsAPerson);
        let refused = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
        assert_eq!(Failure::from(&refused).code, RDKafkaErrorCode::QueueFull);
    }
}
