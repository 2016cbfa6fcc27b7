//! Signals: the first SIGTERM or SIGINT asks for an orderly end, a second one ends the process at once; SIGHUP asks for the configuration
//! to be loaded again.

use std::io;
use std::sync::Arc;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tokio::sync::Notify;

use crate::exit_code::ExitCode;
use crate::stream::{Stop, stop_switch};

/// What people ask for.
pub(super) struct Asked {
    /// To end.
    pub(super) end: Stop,
    /// To reload. However often they ask until somebody looks, it is one wish.
    pub(super) reload: Arc<Notify>,
}

/// Listens for both from now on, on a thread of its own: it works even if all async threads are stuck.
pub(super) fn listen() -> io::Result<Asked> {
    let reload = Arc::new(Notify::new());
    let end = listen_for(Some(reload.clone()))?;
    Ok(Asked { end, reload })
}

/// The same where there is no configuration to load again.
pub(super) fn listen_for_end() -> io::Result<Stop> {
    listen_for(None)
}

fn listen_for(reload: Option<Arc<Notify>>) -> io::Result<Stop> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let (switch, end) = stop_switch();
    let listen = move || {
        let mut asked = false;
        for signal in signals.forever() {
            if signal == SIGHUP {
                if let Some(reload) = reload.as_ref().filter(|_| !asked) {
                    tracing::info!("SIGHUP: loading the configuration again");
                    reload.notify_one();
                } else {
                    tracing::info!("SIGHUP ignored: there is nothing to reload, or it is ending");
                }
            } else if asked {
                tracing::warn!("second signal: ending at once");
                signal_hook::low_level::exit(ExitCode::Failure as i32);
            } else {
                tracing::info!(
                    signal = signal_hook::low_level::signal_name(signal),
                    "asked to end; once more ends at once"
                );
                asked = true;
                switch.stop();
            }
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
    Ok(end)
}
