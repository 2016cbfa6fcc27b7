//! `livestreamd top`: the running daemon live on a terminal.
//!
//! | module | does |
//! | --- | --- |
//! | [`app`] | what is known and shown, changed by events: pure |
//! | [`draw`] | draws it |
//! | [`detail`] | all that is known of one connection, in lines |
//! | [`watching`] | where events come from: the daemon, keys, signals |
//!
//! Promise: however it ends, by a key, a signal, an error or a panic, the terminal is as it was before.

mod app;
mod detail;
mod draw;
mod watching;

use std::io::{self, IsTerminal as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ratatui::DefaultTerminal;

use super::admin::AdminArgs;
use super::output::failure;
use crate::exit_code::ExitCode;
use app::{App, Event};

/// Clocks go on so often, whatever happens.
const TICK: Duration = Duration::from_secs(1);
/// So many events are taken before the screen is drawn again.
const AT_ONCE: usize = 64;

#[derive(Debug, clap::Args)]
pub(super) struct TopArgs {
    #[command(flatten)]
    admin: AdminArgs,
}

pub(super) fn top(args: &TopArgs) -> ExitCode {
    let place = match args.admin.place() {
        Ok(place) => place,
        Err(code) => return code,
    };
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return failure(&"top needs a terminal for its input and output: livestreamd status shows the same once");
    }
    let colour = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let mut app = App::new(place.address.to_string(), colour);
    // Signals first: from here on the terminal must not be left as it will be.
    let events = match watching::watch(place) {
        Ok(events) => events,
        Err(error) => return failure(&error),
    };
    // A panic restores the terminal too, before it is told.
    let shown = ratatui::try_init().and_then(|mut terminal| show(&mut terminal, &mut app, &events));
    let restored = ratatui::try_restore();
    match (shown, restored) {
        (Ok(Ok(())), Ok(())) => ExitCode::Ok,
        (Ok(Err(why)), _) => failure(&why),
        (Err(error), _) | (_, Err(error)) => failure(&format_args!("the terminal cannot be used: {error}")),
    }
}

/// Draws what there is after each event, until the end.
fn show(terminal: &mut DefaultTerminal, app: &mut App, events: &Receiver<Event>) -> io::Result<Result<(), String>> {
    let began = Instant::now();
    loop {
        terminal.draw(|frame| draw::draw(app, frame))?;
        match events.recv_timeout(TICK) {
            Ok(event) => app.update(began.elapsed(), event),
            Err(RecvTimeoutError::Timeout) => app.update(began.elapsed(), Event::Tick),
            Err(RecvTimeoutError::Disconnected) => return Ok(Err("nothing is watched any more".to_owned())),
        }
        for event in events.try_iter().take(AT_ONCE) {
            app.update(began.elapsed(), event);
        }
        if let Some(ending) = app.ending() {
            return Ok(ending.clone());
        }
    }
}
