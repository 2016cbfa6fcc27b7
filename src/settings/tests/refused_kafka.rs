//! What is refused of topics and librdkafka properties.

use super::*;

#[test]
fn a_topic_that_kafka_would_refuse_is_refused() {
    for (text, key, says) in [
        (
            with("[kafka]\ntopic = \"{suite}\""),
            "kafka.topic",
            "has the placeholder {suite}; only {stream} and {report_suite}",
        ),
        (
            with("[kafka]\ntopic = \"{stream\""),
            "kafka.topic",
            "has a { without its }",
        ),
        (
            with("[kafka]\ntopic = \"my topic\""),
            "kafka.topic",
            "gives the topic \"my topic\" for stream web",
        ),
        (
            with("[kafka]\ndead_letter_topic = \"..\""),
            "kafka.dead_letter_topic",
            "is not . or ..",
        ),
        (
            with_stream(&format!("topic = {:?}", "x".repeat(250))),
            "streams.web.topic",
            "1 to 249 characters",
        ),
        (
            with_stream("topic = \"{report_suite}\"\nreport_suite = \"a/b\""),
            "streams.web.topic",
            "gives the topic \"a/b\" for stream web",
        ),
        (
            with_stream("topic = \"livestream.dead-letter\""),
            "",
            "which is a topic for hits of stream web; choose another",
        ),
        (
            with_stream("topic = \"a\"\ndead_letter_topic = \"a\""),
            "streams.web.dead_letter_topic",
            "gives a for stream web",
        ),
        (
            with("[kafka]\ndead_letter_topic = \"livestream.{stream}\""),
            "kafka.dead_letter_topic",
            "a topic for hits of stream web",
        ),
        (
            with("[kafka]\nkey = \"user\""),
            "kafka.key",
            "is none of visitor, experience_cloud, hit, report_suite, none",
        ),
    ] {
        let key = if key.is_empty() {
            "streams.web.dead_letter_topic"
        } else {
            key
        };
        assert_refused(&text, &[], key, says);
    }
    let other = "[streams.other]\nurl = \"https://a.example/\"\ndead_letter_topic = \"livestream.web\"";
    assert_refused(
        &with(other),
        &[],
        "streams.other.dead_letter_topic",
        "gives livestream.web for stream other, which is a topic for hits of stream web",
    );
}

#[test]
fn a_kafka_property_that_would_break_the_promise_is_refused_with_the_reason() {
    for (property, key, says) in [
        (
            "\"bootstrap.servers\" = \"a\"",
            "bootstrap.servers",
            "may not be set: set kafka.brokers instead",
        ),
        (
            "\"metadata.broker.list\" = \"a\"",
            "metadata.broker.list",
            "set kafka.brokers instead",
        ),
        (
            "\"enable.idempotence\" = false",
            "enable.idempotence",
            "= \"false\": may only be true: without it a retry",
        ),
        (
            "\"enable.idempotence\" = \"F\"",
            "enable.idempotence",
            "may only be true",
        ),
        ("\"acks\" = 1", "acks", "may only be all: with less"),
        (
            "\"request.required.acks\" = 0",
            "request.required.acks",
            "may only be all",
        ),
        ("\"topic.acks\" = 1", "topic.acks", "may only be all"),
        (
            "\"message.timeout.ms\" = 300000",
            "message.timeout.ms",
            "may only be 0: with a limit the producer drops hits",
        ),
        (
            "\"delivery.timeout.ms\" = \"300000\"",
            "delivery.timeout.ms",
            "may only be 0",
        ),
        (
            "\"topic.message.timeout.ms\" = 1",
            "topic.message.timeout.ms",
            "may only be 0",
        ),
        ("\"retries\" = 5", "retries", "may only be 2147483647"),
        (
            "\"message.send.max.retries\" = 0",
            "message.send.max.retries",
            "may only be 2147483647",
        ),
        ("\"max.in.flight\" = 6", "max.in.flight", "may only be 1 to 5"),
        (
            "\"max.in.flight.requests.per.connection\" = 0",
            "max.in.flight.requests.per.connection",
            "may only be 1 to 5",
        ),
        (
            "\"enable.gapless.guarantee\" = true",
            "enable.gapless.guarantee",
            "makes one refused batch fatal",
        ),
        (
            "\"transactional.id\" = \"a\"",
            "transactional.id",
            "opens no transactions",
        ),
        (
            "\"delivery.report.only.error\" = true",
            "delivery.report.only.error",
            "nothing would ever count as delivered",
        ),
        ("\"queuing.strategy\" = \"lifo\"", "queuing.strategy", "out of order"),
        ("\"enabled_events\" = 1", "enabled_events", "may not be set"),
        (
            "\"plugin.library.paths\" = \"a.so\"",
            "plugin.library.paths",
            "can drop or change",
        ),
        (
            "\"internal.termination.signal\" = 15",
            "internal.termination.signal",
            "a signal that the daemon needs",
        ),
        (
            "\"test.mock.num.brokers\" = 3",
            "test.mock.num.brokers",
            "a pretended cluster",
        ),
        ("acks = 1", "acks", "may only be all"),
        ("message.timeout.ms = 1", "message.timeout.ms", "may only be 0"),
        (
            "\"linger.ms\" = [5]",
            "linger.ms",
            "a list stands where text, a number, true or false belongs",
        ),
        ("\"linger.ms\" = nan", "linger.ms", "a number stands where"),
        (
            "\"sasl.password\" = \"hush\\u0000\"",
            "sasl.password",
            "holds a NUL character",
        ),
        ("\"\" = 1", "", "is not the name of a librdkafka property"),
        (
            "\"linger ms\" = 1",
            "linger ms",
            "is not the name of a librdkafka property",
        ),
        (
            "\"linger.ms\" = 1\n\"queue.buffering.max.ms\" = 1",
            "queue.buffering.max.ms",
            "is another name of kafka.properties.linger.ms",
        ),
        ("\"linger.ms\" = 1\nlinger.ms = 1", "linger.ms", "is set twice"),
    ] {
        let text = with(&format!("[kafka.properties]\n{property}"));
        assert_refused(&text, &[], &format!("kafka.properties.{key}"), says);
    }
}
