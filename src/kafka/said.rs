//! What librdkafka says, made fit to be shown: it repeats words of brokers and of token endpoints, which may be anybody.
//!
//! Promise: one printable line of bounded length, without a secret of the settings.

use rdkafka::ClientConfig;

use crate::settings::is_secret_property;
use crate::upstream::printable_within;

/// The longest that is shown, in characters. librdkafka's own lines are shorter.
const MAX_CHARS: usize = 600;
/// From here on librdkafka repeats `sasl.oauthbearer.config`, from wherever it did not understand it.
const REPEATS_FROM: &str = "beginning at:";

/// Knows what must not be shown.
#[derive(Clone)]
pub(super) struct Said {
    secrets: Vec<String>,
}

impl Said {
    /// For a client of this configuration.
    pub(super) fn to(config: &ClientConfig) -> Self {
        // The map is good for names alone: it hides the values of some.
        let names = config.config_map().into_keys().filter(|name| is_secret_property(name));
        Self {
            secrets: names.filter_map(|name| config.get(name)).map(str::to_owned).collect(),
        }
    }

    /// The text as it may be shown.
    pub(super) fn shown(&self, text: &str) -> String {
        let text = text
            .find(REPEATS_FROM)
            .map_or(text, |at| &text[..at + REPEATS_FROM.len()]);
        let secrets: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        printable_within(text, &secrets, MAX_CHARS).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> Said {
        let mut config = ClientConfig::new();
        config.set("sasl.password", "hush-hush-7");
        config.set("sasl.username", "livestreamd");
        config.set("sasl.oauthbearer.config", "principal=hush");
        Said::to(&config)
    }

    #[test]
    fn what_a_broker_says_is_one_printable_line_of_bounded_length() {
        let shown = said().shown("refused\n\x1b[2Kok     kafka.brokers\u{202e}");
        assert_eq!(shown, "refused  [2Kok     kafka.brokers");
        assert!(said().shown(&"x".repeat(10_000)).chars().count() < 700);
    }

    #[test]
    fn a_secret_that_is_repeated_is_not_shown_and_the_user_is() {
        let shown = said().shown("no account livestreamd with hush-hush-7");
        assert_eq!(shown, "no account livestreamd with [redacted]");
        let shown = said().shown("Invalid sasl.oauthbearer.config beginning at: hush");
        assert_eq!(shown, "Invalid sasl.oauthbearer.config beginning at:");
    }
}
