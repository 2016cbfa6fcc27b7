//! Topic templates. Pure.

use crate::shape::topic::{MAX_TOPIC_BYTES, is_topic};

/// A template with its placeholders filled in, if the result is a name that Kafka takes.
pub(super) fn fill(template: &str, stream: &str, report_suite: &str) -> Result<String, String> {
    let mut name = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((placeholder, after)) = after.split_once('}') else {
            return Err("has a { without its }".to_owned());
        };
        name.push_str(before);
        name.push_str(match placeholder {
            "stream" => stream,
            "report_suite" => report_suite,
            _ => {
                return Err(format!(
                    "has the placeholder {{{}}}; only {{stream}} and {{report_suite}} are known",
                    placeholder.escape_debug()
                ));
            }
        });
        rest = after;
    }
    name.push_str(rest);
    legal(&name, stream)?;
    Ok(name)
}

/// Whether Kafka takes it as the name of a topic, for this stream.
///
/// # Errors
/// What is wrong with it.
pub(super) fn legal(name: &str, stream: &str) -> Result<(), String> {
    if is_topic(name) {
        return Ok(());
    }
    let shown = super::tree::quoted(name);
    Err(
        if name.is_empty() || name.len() > MAX_TOPIC_BYTES || name == "." || name == ".." {
            format!(
                "gives the topic {shown} for stream {stream}; a name has 1 to {MAX_TOPIC_BYTES} characters and is not . or .."
            )
        } else {
            format!("gives the topic {shown} for stream {stream}; a name may hold a-z, A-Z, 0-9, . _ and - only")
        },
    )
}

#[cfg(test)]
mod tests {
    use super::fill;

    #[test]
    fn placeholders_are_filled_in() {
        for (template, name) in [
            ("hits", "hits"),
            ("livestream.{stream}", "livestream.web"),
            ("{report_suite}", "suite.Prod"),
            ("{stream}{report_suite}_{stream}", "websuite.Prod_web"),
        ] {
            assert_eq!(fill(template, "web", "suite.Prod").as_deref(), Ok(name));
        }
        // What is filled in is not a template.
        assert!(fill("{report_suite}", "web", "{stream}").is_err());
    }

    #[test]
    fn what_kafka_would_refuse_is_refused() {
        for (template, why) in [
            ("{suite}", "{suite}"),
            ("{}", "{}"),
            ("{stream", "without its }"),
            ("stream}", "may hold"),
            (".", "is not ."),
            ("..", "is not ."),
            ("a b", "may hold"),
            ("ä", "may hold"),
            (&"x".repeat(250), "249"),
        ] {
            let error = fill(template, "web", "suite").unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        assert!(fill(&"x".repeat(249), "web", "suite").is_ok());
    }
}
