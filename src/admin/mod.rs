//! The admin server: what the daemon says of itself, over HTTP, for operators, probes and Prometheus.
//!
//! | module | holds |
//! | --- | --- |
//! | [`access`] | pure: who may ask for what, by Host and token |
//! | [`listen`] | the port or the socket file |
//! | [`serve`] | connections: how many, and how long each may dawdle |
//! | [`slow`] | the limit for readers that do not take what they asked for |
//! | [`routes`] | the endpoints |
//! | [`shown`] | a posted status as bytes, made once for all who ask |
//! | [`follow`] | `/events`: statuses and log lines as they come, for one reader |
//! | [`headers`] | what browsers are told not to do, in every answer |
//! | [`metrics`] | `/metrics` |
//! | [`page`] | the status page |
//!
//! Promise: it reads the [`Board`] and changes nothing. It runs on a thread and a runtime of its own, so that it answers while the threads
//! that do the work are stuck, and no client of it holds them up, nor the daemon's end.

mod access;
mod follow;
mod headers;
mod listen;
pub mod metrics;
mod page;
mod routes;
mod serve;
mod shown;
mod slow;
#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::settings::{AdminSettings, SecretError};
use crate::status::Board;
use access::{Access, AccessCell};
use listen::Bound;
use serve::{LIMITS, Limits, Shared};

/// How long an end may take. Answers that are under way have that long.
const LONGEST_END: Duration = Duration::from_secs(2);

/// Why there is no admin server.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Somebody else listens there.
    #[error(
        "admin.listen = \"{0}\": is in use by another program; stop that one, listen elsewhere, or set admin.listen = \"off\""
    )]
    InUse(String),
    /// The system does not let us listen there.
    #[error("admin.listen = \"{listen}\": cannot be listened on: {why}")]
    Listen {
        /// Where.
        listen: String,
        /// What the system said.
        why: io::Error,
    },
    /// Where the socket should be is something else.
    #[error("admin.listen = \"unix:{}\": there is a file that is no socket, and it is left alone; remove it, or listen elsewhere", .0.display())]
    NoSocket(PathBuf),
    /// The token cannot be read.
    #[error("admin.token: {0}")]
    Token(SecretError),
    /// It listens beyond this machine, and there would be no token any more.
    #[error("admin.token: is gone, but the admin server listens on {0} until a restart; the last token stays in use")]
    NoToken(String),
    /// The system gives no thread, or what a thread needs to wait.
    #[error("the admin server cannot run: {0}")]
    Thread(io::Error),
}

/// A place to listen, taken. Connections wait there until it is served.
pub struct Listener {
    bound: Bound,
    access: Access,
}

/// A running admin server. It ends when this is dropped, too, and nobody waits for that.
pub struct Admin {
    url: String,
    beyond_this_machine: bool,
    access: Arc<AccessCell>,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
}

impl Listener {
    /// Takes the place that the settings name, and reads the token. `None` if it is off.
    ///
    /// # Errors
    /// If the place is taken or cannot be had, or the token cannot be read.
    pub async fn bind(settings: &AdminSettings) -> Result<Option<Self>, AdminError> {
        let access = read_access(settings).await?;
        let bound = listen::bind(&settings.listen).await?;
        Ok(bound.map(|bound| Self { bound, access }))
    }

    /// Where the page is: a URL, or `unix:` and a path.
    pub fn url(&self) -> String {
        self.bound.url()
    }

    /// Shows what is posted on `board` from now on.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub async fn serve(self, board: Board) -> Result<Admin, AdminError> {
        self.serve_within(LIMITS, board).await
    }

    async fn serve_within(self, limits: Limits, board: Board) -> Result<Admin, AdminError> {
        let (url, beyond_this_machine) = (self.url(), self.bound.is_beyond_this_machine());
        let access = Arc::new(AccessCell::new(self.access));
        let (stop, stopping) = watch::channel(false);
        let (started, is_running) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let shared = Shared::new(board, access.clone(), stopping, limits);
        let run = move || {
            // Dropped when the thread ends, however that comes about.
            let _ending: oneshot::Sender<()> = ending;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            match runtime {
                Ok(runtime) => runtime.block_on(serve::serve(self.bound, shared, started)),
                Err(error) => drop(started.send(Err(error))),
            }
        };
        let spawned = std::thread::Builder::new().name("admin".to_owned()).spawn(run);
        spawned.map_err(AdminError::Thread)?;
        match is_running.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(AdminError::Thread(error)),
            Err(_) => return Err(AdminError::Thread(io::Error::other("its thread has ended"))),
        }
        Ok(Admin {
            url,
            beyond_this_machine,
            access,
            stop,
            ended,
        })
    }
}

impl Admin {
    /// Where the page is: a URL, or `unix:` and a path.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Takes the token, read anew, and the hosts of these settings; where to listen stays as it is. Readers of
    /// `/events` stay, unless there is another token.
    ///
    /// # Errors
    /// If the token cannot be read, or is gone although other machines may reach the server: then all stays as it was.
    pub async fn renew(&self, settings: &AdminSettings) -> Result<(), AdminError> {
        let access = read_access(settings).await?;
        if self.beyond_this_machine && !access.has_token() {
            return Err(AdminError::NoToken(self.url.clone()));
        }
        self.access.replace(access);
        Ok(())
    }

    /// Ends it: it takes no more connections, and what is under way has a moment to finish.
    pub async fn stop(self) {
        self.stop.send_replace(true);
        // It only ever ends by being dropped.
        let _ = tokio::time::timeout(LONGEST_END + LONGEST_END, self.ended).await;
    }
}

async fn read_access(settings: &AdminSettings) -> Result<Access, AdminError> {
    let settings = settings.clone();
    let read = tokio::task::spawn_blocking(move || Access::new(&settings)).await;
    read.map_err(|error| AdminError::Thread(io::Error::other(error)))?
        .map_err(AdminError::Token)
}
