//! The status page: one HTML document, put together at build time from the files under `page/`, which are there to be read.
//!
//! | file | holds |
//! | --- | --- |
//! | `head.html`, `body.html` | the document, with a place for everything that is there once |
//! | `page.css` | how it looks, in light and dark, wide and narrow |
//! | `words.js` | how numbers, lengths and times are written |
//! | `dom.js` | changing the document: as text only, and only what changed |
//! | `countdown.js` | waits that tick by themselves between two statuses |
//! | `sparkline.js` | the curve of hits a second |
//! | `headline.js` | the verdict, the hindrances, the daemon in four tiles |
//! | `notes.js` | what a stream waits for, why, and what to do |
//! | `streams.js` | a row for each stream, those in trouble first |
//! | `events.js` | what happened lately |
//! | `link.js` | the connection to the daemon, and what is done when it is lost |
//!
//! Promise: it asks nobody but the daemon, and needs no policy laxer than hashes of its one style and its one script: no inline
//! handlers, no style attributes, no `eval`. What the daemon says is put in as text. The scripts are one module, in this order; only the
//! last one does something when it is loaded.

/// The document.
pub(super) const PAGE: &str = concat!(
    include_str!("page/head.html"),
    "<style>\n",
    include_str!("page/page.css"),
    "</style>\n",
    include_str!("page/body.html"),
    "<script type=\"module\">\n",
    include_str!("page/words.js"),
    include_str!("page/dom.js"),
    include_str!("page/countdown.js"),
    include_str!("page/sparkline.js"),
    include_str!("page/headline.js"),
    include_str!("page/notes.js"),
    include_str!("page/streams.js"),
    include_str!("page/events.js"),
    include_str!("page/link.js"),
    "</script>\n</body>\n</html>\n",
);

#[cfg(test)]
mod tests {
    use super::PAGE;

    #[test]
    fn there_is_one_style_and_one_script_and_both_end_where_they_should() {
        for tag in ["<style", "</style", "<script", "</script", "</html"] {
            assert_eq!(PAGE.matches(tag).count(), 1, "{tag}");
        }
        assert!(PAGE.starts_with("<!doctype html>"));
    }

    #[test]
    fn nothing_is_put_in_as_html_or_run_from_text() {
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "setHTML",
            "eval(",
            "Function(",
            "DOMParser",
            "srcdoc",
        ] {
            assert!(!PAGE.contains(way), "{way}");
        }
    }

    #[test]
    fn nobody_but_the_daemon_is_asked() {
        let elsewhere: Vec<_> = PAGE.match_indices("//www.").chain(PAGE.match_indices("://")).collect();
        let named = PAGE.matches("http://www.w3.org/2000/svg").count();
        assert_eq!(elsewhere.len(), 2 * named, "an address that is not the name of SVG");
        for way in [
            "@import",
            "url(",
            "fetch(",
            "XMLHttpRequest",
            "import ",
            "sendBeacon",
            "WebSocket",
        ] {
            assert!(!PAGE.contains(way), "{way}");
        }
    }

    #[test]
    fn the_policy_needs_no_exception_for_attributes() {
        let body = include_str!("page/body.html");
        assert!(!body.contains(" style="));
        let handlers = body
            .split_whitespace()
            .filter(|word| word.starts_with("on") && word.contains("=\""));
        assert_eq!(handlers.collect::<Vec<_>>(), Vec::<&str>::new());
    }
}
