//! What the service manager that started us is told, by the protocol of `sd_notify(3)`: that we are up, how we are, that we reload, that we
//! stop, and, again and again, that we are alive. systemd listens; other managers speak it too. Without `$NOTIFY_SOCKET` nobody is told.
//!
//! Promise: nothing that the daemon does depends on it. A manager that does not listen is no error, and one that hangs holds up
//! nothing but the one thread that talks to it.

mod line;

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use sd_notify::NotifyState;

pub use line::line;

/// How long opening one more journal may take before the manager thinks that the start hangs. Each that is open begins it anew.
const LONGEST_STEP_OF_START: Duration = Duration::from_secs(120);
/// So much waits for a manager that hangs, about a minute's worth. What comes then is left out.
const QUEUE: usize = 64;
/// How long a process that ends waits until its last words are said.
const LONGEST_LAST_WORDS: Duration = Duration::from_secs(1);

/// Whoever started this process, or nobody. Clones are the same one.
#[derive(Clone, Debug)]
pub struct ServiceManager(Option<SyncSender<Message>>);

#[derive(Debug)]
struct Message {
    /// Assignments, a line each.
    text: String,
    /// Who waits until it is said.
    said: Option<SyncSender<()>>,
}

impl ServiceManager {
    /// The one of this process, if it wants to be told.
    pub fn of_this_process() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            return Self::none();
        }
        let (messages, inbox) = sync_channel(QUEUE);
        match std::thread::Builder::new()
            .name("service-manager".to_owned())
            .spawn(move || say(&inbox))
        {
            Ok(_) => Self(Some(messages)),
            Err(error) => {
                tracing::warn!(%error, "the service manager is told nothing: there can be no thread for it");
                Self::none()
            }
        }
    }

    /// Nobody: for a daemon that is not a process of its own.
    pub const fn none() -> Self {
        Self(None)
    }

    /// Whether anybody wants to be told.
    pub const fn listens(&self) -> bool {
        self.0.is_some()
    }

    /// So many of the journals are open.
    pub fn opening(&self, opened: usize, of: usize) {
        let status = format!("starting: {opened} of {of} journals are open");
        self.tell(&[NotifyState::Status(&status), extended(LONGEST_STEP_OF_START)]);
    }

    /// It is up: everything runs, and streams connect as soon as their leases permit.
    pub fn ready(&self) {
        self.tell(&[NotifyState::Ready, NotifyState::Status("started")]);
    }

    /// It loads its configuration again, which takes no longer than that. [`Self::reloaded`] must follow.
    pub fn reloading(&self, at_most: Duration) {
        // By this clock a newer systemd tells this reload from an earlier one.
        match NotifyState::monotonic_usec_now() {
            Ok(now) => {
                self.tell(&[NotifyState::Reloading, now, extended(at_most)]);
            }
            Err(error) => tracing::warn!(%error, "no monotonic clock: the service manager is not told of the reload"),
        }
    }

    /// It has done so, or has seen that it cannot. How it went is in what is told next.
    pub fn reloaded(&self) {
        self.tell(&[NotifyState::Ready]);
    }

    /// It ends, which takes no longer than that.
    pub fn stopping(&self, at_most: Duration) {
        self.tell(&[NotifyState::Stopping, extended(at_most)]);
    }

    /// It is alive; and how it is, if that is told. Returns whether it will be said.
    pub fn alive(&self, how: Option<&str>) -> bool {
        match how {
            Some(how) => self.tell(&[NotifyState::Watchdog, NotifyState::Status(how)]),
            None => self.tell(&[NotifyState::Watchdog]),
        }
    }

    /// It ends because of this. Returns when that is said, or after a moment.
    pub fn failed(&self, why: &str) {
        let (said, is_said) = sync_channel(1);
        self.pass_on(Message {
            text: NotifyState::Status(&line::fit(why)).to_string(),
            said: Some(said),
        });
        let _ = is_said.recv_timeout(LONGEST_LAST_WORDS);
    }

    fn tell(&self, what: &[NotifyState<'_>]) -> bool {
        let lines: Vec<String> = what.iter().map(ToString::to_string).collect();
        self.pass_on(Message {
            text: lines.join("\n"),
            said: None,
        })
    }

    /// Whether there was room for it.
    fn pass_on(&self, message: Message) -> bool {
        self.0
            .as_ref()
            .is_some_and(|messages| messages.try_send(message).is_ok())
    }
}

/// Says what comes, in its order, until nobody is left who could have anything to say.
fn say(inbox: &Receiver<Message>) {
    for Message { text, said } in inbox {
        if let Err(error) = sd_notify::notify(&[NotifyState::Custom(&text)]) {
            // Once a second while nobody listens would be too much at any higher level.
            tracing::debug!(%error, "the service manager could not be told");
        }
        if let Some(said) = said {
            let _ = said.send(());
        }
    }
}

fn extended(by: Duration) -> NotifyState<'static> {
    NotifyState::ExtendTimeoutUsec(u32::try_from(by.as_micros()).unwrap_or(u32::MAX))
}
