//! Signals: the first SIGTERM or SIGINT asks for an orderly end, a second one ends the process at once.

use std::io;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit_code::ExitCode;
use crate::stream::{Stop, stop_switch};

/// Listens for signals from now on, on a thread of its own: it works even if all async threads are stuck.
pub fn listen() -> io::Result<Stop> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let (switch, stop) = stop_switch();
    let listen = move || {
        let mut asked = false;
        for signal in signals.forever() {
            if signal == SIGHUP {
                tracing::warn!("SIGHUP ignored: this version cannot reload its configuration, restart it instead");
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
    Ok(stop)
}
