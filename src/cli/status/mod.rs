//! `livestreamd status`: how the running daemon is, for people, for programs, and for who restarts what is dead.
//!
//! | module | does |
//! | --- | --- |
//! | [`page`] | the text for people |
//! | [`pretty`] | JSON for a terminal |

mod page;
mod pretty;

use std::io::IsTerminal as _;

use super::admin::client::{self, AskError};
use super::admin::document::Document;
use super::admin::{AdminArgs, Place};
use super::block_on;
use super::output::{answer, failure, tell};
use super::shown::text::{clean, cut};
use crate::exit_code::ExitCode;
use crate::status::{Daemon, Hindrance};
use page::{Look, page};

/// Lines are no longer than this by `--quiet`.
const QUIET_WIDTH: usize = 500;

#[derive(Debug, clap::Args)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Only these streams
    #[arg(value_name = "STREAM")]
    streams: Vec<String>,
    /// For programs: the daemon's own status as it came
    #[arg(long, conflicts_with_all = ["streams", "alive", "quiet"])]
    json: bool,
    /// Say nothing if the daemon is ready, else one line on standard error
    #[arg(long, short)]
    quiet: bool,
    /// Only ask whether the daemon's threads are at work: 0 if they are, else 1
    ///
    /// For health checks that restart what is unhealthy. A daemon that waits for Adobe or Kafka is alive; a restart mends neither, and
    /// costs every stream a cooldown.
    #[arg(long, conflicts_with = "streams")]
    alive: bool,
}

pub(super) fn status(args: &StatusArgs) -> ExitCode {
    let place = match args.admin.place() {
        Ok(place) => place,
        Err(code) => return code,
    };
    let outcome = block_on(async {
        if args.alive {
            alive(&place, args.quiet).await
        } else {
            let document = client::status(&place).await?;
            let code = show(args, &place, document);
            // What was posted last may be long ago.
            Ok(if client::is_alive(&place).await.unwrap_or(true) {
                code
            } else {
                stuck(&place)
            })
        }
    });
    match outcome {
        Ok(Ok(code)) | Err(code) => code,
        // What a foreign server says may stand in it.
        Ok(Err(error)) => failure(&clean(&error.to_string())),
    }
}

async fn alive(place: &Place, quiet: bool) -> Result<ExitCode, AskError> {
    let address = &place.address;
    Ok(if !client::is_alive(place).await? {
        stuck(place)
    } else if quiet {
        ExitCode::Ok
    } else {
        answer(format_args!("the daemon at {address} is alive"))
            .err()
            .unwrap_or(ExitCode::Ok)
    })
}

fn stuck(place: &Place) -> ExitCode {
    failure(&format_args!(
        "the daemon at {} answers, and its threads are stuck: its last status is old",
        place.address
    ))
}

fn show(args: &StatusArgs, place: &Place, document: Document) -> ExitCode {
    let Document {
        mut daemon,
        notice,
        raw,
    } = document;
    if let Err(unknown) = keep(&mut daemon, &args.streams) {
        return unknown;
    }
    let health = if daemon.ready { ExitCode::Ok } else { ExitCode::NotReady };
    if args.quiet {
        if !daemon.ready {
            tell(quiet(&daemon.hindrances));
        }
        return health;
    }
    let said = if args.json {
        let text = String::from_utf8_lossy(&raw);
        if std::io::stdout().is_terminal() {
            answer(pretty::pretty(&text))
        } else {
            answer(text)
        }
    } else {
        answer(page(
            &daemon,
            &place.address.to_string(),
            notice.as_deref(),
            Look::of_stdout(),
        ))
    };
    said.err().unwrap_or(health)
}

/// Keeps what concerns `wanted`, if these are any; the daemon is then ready if they are.
fn keep(daemon: &mut Daemon, wanted: &[String]) -> Result<(), ExitCode> {
    if wanted.is_empty() {
        return Ok(());
    }
    let is_there = |name: &String| daemon.streams.iter().any(|stream| stream.name == *name);
    if let Some(unknown) = wanted.iter().find(|name| !is_there(name)) {
        let known: Vec<&str> = daemon.streams.iter().map(|stream| stream.name.as_str()).collect();
        tell(format_args!(
            "livestreamd: the daemon has no stream {unknown:?}: use one of {}",
            known.join(", ")
        ));
        return Err(ExitCode::Usage);
    }
    daemon.streams.retain(|stream| wanted.contains(&stream.name));
    let had_any = !daemon.hindrances.is_empty();
    daemon
        .hindrances
        .retain(|hindrance| hindrance.stream.as_ref().is_none_or(|name| wanted.contains(name)));
    // Not if it says that it is not ready, and we cannot read why.
    daemon.ready |= had_any && daemon.hindrances.is_empty();
    Ok(())
}

/// What stands in the way, in one line.
fn quiet(hindrances: &[Hindrance]) -> String {
    let Some(first) = hindrances.first() else {
        return "livestreamd: not ready".to_owned();
    };
    let more = match hindrances.len() - 1 {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    cut(&format!("livestreamd: not ready{more}: {first}"), QUIET_WIDTH)
}

#[cfg(test)]
mod tests {
    use super::super::shown::made_up::daemon;
    use super::*;

    fn kept(wanted: &[&str]) -> Result<Daemon, ExitCode> {
        let mut daemon = daemon();
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        keep(&mut daemon, &wanted).map(|()| daemon)
    }

    #[test]
    fn streams_that_are_asked_for_alone_decide() {
        assert_eq!(kept(&[]).unwrap(), daemon());
        let web = kept(&["web", "shop"]).unwrap();
        assert!(web.ready && web.streams.len() == 2 && web.hindrances.is_empty());
        let app = kept(&["app", "web"]).unwrap();
        assert_eq!((app.ready, app.hindrances.len()), (false, 1));
        assert_eq!(kept(&["web", "wbe"]).unwrap_err(), ExitCode::Usage);
        let mut stopping = daemon();
        stopping.hindrances = vec![Hindrance::default()];
        keep(&mut stopping, &["web".to_owned()]).unwrap();
        assert!(!stopping.ready, "what concerns the daemon concerns every stream");
    }

    #[test]
    fn quiet_is_one_line_that_names_the_first_and_counts_the_rest() {
        let line = quiet(&daemon().hindrances);
        assert!(
            line.starts_with("livestreamd: not ready (and 1 more): stream app: no connection after 4 attempts: "),
            "{line}"
        );
        assert!(!line.contains('\n'));
        assert!(
            quiet(&[Hindrance {
                text: "x".repeat(9999),
                ..Hindrance::default()
            }])
            .len()
                < 600
        );
    }
}
