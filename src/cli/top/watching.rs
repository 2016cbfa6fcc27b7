//! Where `top`'s events come from, a thread each: the daemon's answers, the keyboard, and signals. They end with the program.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use ratatui::crossterm::event::{self, Event as Seen, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::super::admin::Place;
use super::super::admin::client;
use super::super::shown::text::clean;
use super::app::{Event, Key};

/// The daemon is asked so often; it posts its status about as often.
const EVERY: Duration = Duration::from_secs(1);
/// So many events may wait to be looked at.
const WAITING: usize = 64;

/// Watches all of them.
///
/// # Errors
/// If a thread cannot be started, or signals not be listened for.
pub(super) fn watch(place: Place) -> io::Result<Receiver<Event>> {
    let (tell, events) = sync_channel(WAITING);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    start("signals", &tell, move |tell| {
        for _ in signals.forever() {
            send(tell, Event::End)?;
        }
        Ok(())
    })?;
    start("keys", &tell, keys)?;
    start("polls", &tell, move |tell| runtime.block_on(polls(&place, tell)))?;
    Ok(events)
}

/// Nobody looks at events any more, or there are none any more: why.
type Over = String;

/// Starts a thread that tells if it ends, in whatever way: without it what is shown would be wrong.
fn start(
    name: &'static str,
    tell: &SyncSender<Event>,
    work: impl FnOnce(&SyncSender<Event>) -> Result<(), Over> + Send + 'static,
) -> io::Result<()> {
    let tell = tell.clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        let over = match catch_unwind(AssertUnwindSafe(|| work(&tell))) {
            Ok(Ok(())) => format!("there are no {name} any more"),
            Ok(Err(over)) => over,
            Err(_) => format!("watching {name} has panicked"),
        };
        // If nobody listens, all is over anyway.
        let _ = tell.send(Event::Lost(over));
    })?;
    Ok(())
}

fn send(tell: &SyncSender<Event>, event: Event) -> Result<(), Over> {
    tell.send(event).map_err(|_| "nobody listens".to_owned())
}

async fn polls(place: &Place, tell: &SyncSender<Event>) -> Result<(), Over> {
    let mut turns = tokio::time::interval(EVERY);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let answer = client::status(place).await;
        let answer = answer.map(Box::new).map_err(|error| clean(&error.to_string()));
        send(tell, Event::Answer(answer))?;
    }
}

fn keys(tell: &SyncSender<Event>) -> Result<(), Over> {
    loop {
        let seen = event::read().map_err(|error| format!("the keyboard cannot be read: {error}"))?;
        if let Some(event) = meant(&seen) {
            send(tell, event)?;
        }
    }
}

/// What it means to us, if anything.
fn meant(seen: &Seen) -> Option<Event> {
    if let Seen::Resize(..) = seen {
        return Some(Event::Tick);
    }
    let Seen::Key(KeyEvent {
        code, modifiers, kind, ..
    }) = seen
    else {
        return None;
    };
    if *kind == KeyEventKind::Release {
        return None;
    }
    if modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
        let is_interrupt = *code == KeyCode::Char('c') && modifiers.contains(KeyModifiers::CONTROL);
        return is_interrupt.then_some(Event::Key(Key::Interrupt));
    }
    if let KeyCode::Char(c) = code {
        return Some(Event::Key(Key::Char(*c)));
    }
    let known = [
        (KeyCode::Up, Key::Up),
        (KeyCode::Down, Key::Down),
        (KeyCode::PageUp, Key::PageUp),
        (KeyCode::PageDown, Key::PageDown),
        (KeyCode::Home, Key::First),
        (KeyCode::End, Key::Last),
        (KeyCode::Enter, Key::Enter),
        (KeyCode::Esc, Key::Escape),
        (KeyCode::Backspace, Key::Backspace),
    ];
    let found = known.iter().find(|(known, _)| known == code);
    found.map(|(_, key)| Event::Key(*key))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode, modifiers: KeyModifiers) -> Option<Key> {
        match meant(&Seen::Key(KeyEvent::new(code, modifiers))) {
            Some(Event::Key(key)) => Some(key),
            _ => None,
        }
    }

    #[test]
    fn keys_mean_what_is_on_them() {
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Key::Char('q')));
        assert_eq!(key(KeyCode::Char('?'), KeyModifiers::SHIFT), Some(Key::Char('?')));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Key::Interrupt));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::CONTROL), None);
        assert_eq!(key(KeyCode::Esc, KeyModifiers::NONE), Some(Key::Escape));
        assert_eq!(key(KeyCode::F(5), KeyModifiers::NONE), None);
        assert!(matches!(meant(&Seen::Resize(1, 1)), Some(Event::Tick)));
        assert!(meant(&Seen::FocusLost).is_none());
    }
}
