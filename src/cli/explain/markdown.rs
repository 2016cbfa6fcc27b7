//! The table as a page of Markdown: docs/answers.md, which a test holds to it.

use std::fmt::Write as _;

use crate::lifecycle::answers::{Explanation, reasons, service};

const HEAD: &str = "# What the service answers, and what to do

What each answer of the service and each reason in the log means, what livestreamd does about it, and what you should do. `livestreamd explain 409`
shows a line of this on the command line, `livestreamd explain stalled` does so for a reason. The waits are those of the default settings; jitter adds
up to a second. How each is known stands last.

This page is made from the table in `src/lifecycle/answers`; do not edit it, but renew it by `livestreamd explain --markdown > docs/answers.md`.
";

const TAIL: &str = "
## The two kinds of 409

The service answers 409 when as many connections as `maxConnections` allows are counted, and also when clients do not agree on `maxConnections`. Adobe
documents that `error_description` says which, but not in which words, so livestreamd looks for words, and says when it cannot tell. The wait is the
same. Several machines may share a stream: give each its `connections`, and give all of them the same `max_connections`, which is at least the sum.

## A reset on purpose

`livestreamd run --reset NAME=WHERE` asks the service to start the stream elsewhere: `smallest` or `earliest` at the oldest that it still keeps, which repeats
hits; `largest` or `latest` at now, which **throws away what was missed**.

- It takes effect only when all connections of the stream are closed: stop every other client first, those on other machines too.
- Each connection of the stream sends it until the service answers 200 to a request that carried it, and never again: no automatic reconnect, and no restart
  with the same command line, repeats it. So it may stand in a unit file. The log says when it was sent and answered, and at a restart that it was. A 200
  whose body cannot be read is an answer too.
- To have it once more, start once without it, then with it. A start with another WHERE is a new wish.
- It is remembered in the lease under `state_dir`. If the daemon is stopped or dies while the answer is on its way, or dies before the lease is written, or if
  the lease is lost or damaged, it is sent once more.
- With several connections each sends its own, which has no effect while another is open. As soon as one that was answered has ended, it is over for all that
  were not: whatever connects from then on is a reconnect, and sends none. After a restart with the same command line it is over for all if one remembers
  an answer. The log says so.
- If the lease cannot be written when the answer comes, that is tried again every half minute while the connection is open.
";

/// The page.
pub(super) fn page() -> String {
    let mut page = HEAD.to_owned();
    for (title, entries) in [
        ("Answers of the service", service::ALL),
        ("Reasons without an answer", reasons::ALL),
    ] {
        let _ = write!(
            page,
            "\n## {title}\n\n| | means | livestreamd | you | known from |\n| --- | --- | --- | --- | --- |\n"
        );
        for one in entries {
            line(&mut page, one);
        }
    }
    page.push_str(TAIL.trim_end());
    page
}

fn line(page: &mut String, one: &Explanation) {
    let also = match one.also {
        // Several kinds of one status.
        [status] if one.name.starts_with(status) => "",
        [] => "",
        also => &format!(", `{}`", also.join("`, `")),
    };
    let Explanation {
        name,
        means,
        operator,
        source,
        ..
    } = one;
    let daemon = one.daemon();
    let _ = writeln!(page, "| `{name}`{also} | {means} | {daemon} | {operator} | {source} |");
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn the_page_in_docs_is_the_table_of_the_code() {
        let in_docs = include_str!("../../../docs/answers.md");
        assert!(
            in_docs == format!("{}\n", page()),
            "docs/answers.md is not what the table says: renew it by cargo run -- explain --markdown > docs/answers.md"
        );
    }
}
