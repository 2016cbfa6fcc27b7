//! What librdkafka's words about a login or a TLS handshake mean, and what to do. Pure: the line in, the advice out.
//!
//! librdkafka tries all of it again by itself for as long as it takes, and has no codes that would tell one from the other.

/// What a line holds, all of it, and what to do then. The first that fits is taken.
const ADVICE: &[(&[&str], &str)] = &[
    (
        &["OAUTHBEARER token", "certificate"],
        "the token endpoint is not trusted: if an authority of yours has issued its certificate, set https.ca.location in kafka.properties",
    ),
    (
        &["OAUTHBEARER token"],
        "no token was got from the token endpoint: check sasl.oauthbearer.token.endpoint.url, its client id, client secret and scope in \
         kafka.properties, and whether this machine reaches it",
    ),
    (
        &["SASL mechanism", "supported mechanisms: ", "Unsupported"],
        "set sasl.mechanism in kafka.properties to one of those that the broker supports, or take the port where it offers this one",
    ),
    (
        &["mechanism handshake failed", "not valid in current SASL state"],
        "this port asks for no account: set security.protocol in kafka.properties to ssl (or plaintext), or take the port that does",
    ),
    (
        &["require SASL authentication"],
        "this port asks for an account: set security.protocol in kafka.properties to sasl_ssl, with sasl.mechanism and an account",
    ),
    (
        &["SASL authentication error"],
        "the account is not known to the brokers for this mechanism, or its secret is another: create or mend it there, or mend \
         kafka.properties and restart",
    ),
    (
        &["certificate verify failed"],
        "the broker's certificate is not trusted: livestreamd check --connect says why; an authority of yours goes into ssl.ca.location in \
         kafka.properties",
    ),
    (&["alert certificate expired"], OUR_CERTIFICATE),
    (&["alert certificate revoked"], OUR_CERTIFICATE),
    (&["alert certificate unknown"], OUR_CERTIFICATE),
    (&["alert certificate required"], OUR_CERTIFICATE),
    (&["alert bad certificate"], OUR_CERTIFICATE),
    (&["alert unsupported certificate"], OUR_CERTIFICATE),
    (&["alert unknown ca"], OUR_CERTIFICATE),
    (
        &["alert handshake failure"],
        "the broker and this machine have no TLS version or cipher suite in common, or it asks for a client certificate: see the broker's log",
    ),
    (
        &["PLAINTEXT broker listener?"],
        "this port does not seem to speak TLS: take the one that does, or set security.protocol in kafka.properties to what it speaks",
    ),
    (&["SSL listener?"], MAY_SPEAK_TLS),
    (&["Disconnected", "state APIVERSION_QUERY"], MAY_SPEAK_TLS),
];

const MAY_SPEAK_TLS: &str = "the broker hung up at our first word, so this port may speak TLS: then set security.protocol in kafka.properties to ssl or sasl_ssl";

const OUR_CERTIFICATE: &str = "the broker asks for a client certificate that it accepts: set ssl.certificate.location and ssl.key.location in \
                               kafka.properties to one that is valid now and was issued by an authority which the broker knows";

/// What to do about a refusal that librdkafka tells of, if it is one that we know.
pub fn advice(text: &str) -> Option<&'static str> {
    let fits = |words: &&[&str]| words.iter().all(|word| text.contains(word));
    ADVICE.iter().find(|(words, _)| fits(words)).map(|(_, advice)| *advice)
}

/// The `host:port` of a broker whose certificate was not accepted, if the line says that.
pub(super) fn untrusted_broker(text: &str) -> Option<&str> {
    if !text.contains("certificate verify failed") {
        return None;
    }
    let (_, rest) = text.split_once("ssl://")?;
    rest.split('/').next().filter(|broker| !broker.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As librdkafka 2.12 and Kafka 4.1 say it; the integration tests hear it from them.
    const LINES: &[(&str, &str)] = &[
        (
            "sasl_ssl://k:1/bootstrap: SASL authentication error: Authentication failed: Invalid username or password (after 301ms in state \
             AUTH_REQ)",
            "or its secret is another",
        ),
        (
            "sasl_ssl://k:1/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Unsupported SASL mechanism: broker's supported \
             mechanisms: OAUTHBEARER (after 300ms in state AUTH_HANDSHAKE)",
            "one of those that the broker supports",
        ),
        (
            "sasl_ssl://k:1/bootstrap: SASL PLAIN mechanism handshake failed: Broker: Request not valid in current SASL state: broker's \
             supported mechanisms:  (after 0ms in state AUTH_HANDSHAKE)",
            "asks for no account",
        ),
        (
            "ssl://k:1/bootstrap: SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not \
             be verified, verify that ssl.ca.location is correctly configured",
            "check --connect says why",
        ),
        (
            "ssl://k:1/bootstrap: Receive failed: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42",
            "asks for a client certificate",
        ),
        (
            "ssl://k:1/bootstrap: SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker \
             listener? (after 0ms)",
            "does not seem to speak TLS",
        ),
        (
            "k:1/bootstrap: Disconnected while requesting ApiVersion: might be caused by incorrect security.protocol configuration \
             (connecting to a SSL listener?) or broker version is < 0.10",
            "may speak TLS",
        ),
        (
            "k:1/bootstrap: Disconnected: connection closed by peer: receive 0 after POLLIN (after 15ms in state APIVERSION_QUERY)",
            "may speak TLS",
        ),
    ];

    #[test]
    fn what_librdkafka_says_of_a_refusal_is_answered_with_what_to_do() {
        for (line, says) in LINES {
            let advice = advice(line).unwrap_or_else(|| panic!("nothing to do: {line}"));
            assert!(advice.contains(says), "{line}\n{advice}");
        }
        for line in [
            "kafka:9092/bootstrap: Connect to ipv4#127.0.0.1:9092 failed: Connection refused (after 0ms in state CONNECT)",
            "1/1 brokers are down",
        ] {
            assert_eq!(advice(line), None, "{line}");
        }
    }

    #[test]
    fn the_broker_that_is_not_trusted_is_found_in_the_line() {
        let line = "[thrd:sasl_ssl://kafka-1:9093/bootstrap]: sasl_ssl://kafka-1:9093/bootstrap: SSL handshake failed: certificate verify failed";
        assert_eq!(untrusted_broker(line), Some("kafka-1:9093"));
        assert_eq!(
            untrusted_broker("ssl://[::1]:9093/2: certificate verify failed"),
            Some("[::1]:9093")
        );
        assert_eq!(
            untrusted_broker("ssl://kafka-1:9093/bootstrap: Connection refused"),
            None
        );
    }
}
