//! `livestreamd run`: the daemon, until it is asked to end; asked to reload, it takes the configuration as it is then.

use std::path::Path;

use super::output::{failure, tell};
use super::reset::{Wish, resets};
use super::signals::Asked;
use super::{ConfigArgs, block_on, load_or_explain, signals};
use crate::app::{Daemon, Ended, JournalsKept, NewerState};
use crate::exit_code::ExitCode;
use crate::kafka::try_out;
use crate::service_manager::ServiceManager;
use crate::settings::proxy::{self, Shown};
use crate::settings::{Loaded, environment, load};
use crate::telemetry::logs;
use crate::upstream::Dialer;

#[derive(Debug, clap::Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Start the stream NAME elsewhere, once: smallest or earliest repeats the oldest that Adobe still keeps, largest or latest THROWS
    /// AWAY what was missed
    ///
    /// Takes effect only if all connections of the stream are closed: stop every other client first. It goes along with the connects of
    /// the stream until the service answers 200, and not again on reconnects, or on restarts with the same command line. To have it once
    /// more, start without it, then with it. May be given several times, for several streams.
    #[arg(long, value_name = "NAME=WHERE")]
    reset: Vec<Wish>,
    /// Keep no journal on disk. For `cargo bench --bench pipeline`, which shows what it costs to keep one.
    #[arg(long, hide = true)]
    no_journal: bool,
}

pub(super) fn run(args: &RunArgs) -> ExitCode {
    let manager = ServiceManager::of_this_process();
    let Loaded { settings, warnings } = match load_or_explain(&args.config.config) {
        Ok(loaded) => loaded,
        Err(code) => {
            manager.failed("the configuration cannot be used: the log has every fault, and so has livestreamd check");
            return code;
        }
    };
    let names: Vec<&str> = settings.streams.iter().map(|stream| stream.name.as_str()).collect();
    let resets = match resets(&args.reset, &names) {
        Ok(resets) => resets,
        Err(fault) => {
            manager.failed(&fault);
            tell(format_args!("livestreamd: {fault}"));
            return ExitCode::Usage;
        }
    };
    if let Err(error) = logs::init(&settings.log) {
        return failure(&error);
    }
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    log_proxy(&proxy::shown(&settings));
    // Before anything is started, so that no signal is missed.
    let asked = match signals::listen() {
        Ok(asked) => asked,
        Err(error) => return failure(&error),
    };
    let kept = if args.no_journal {
        JournalsKept::InMemory
    } else {
        JournalsKept::OnDisk
    };
    let outcome = block_on(async {
        let dialer = Dialer::new(&settings.tls, []).through(settings.proxy.clone());
        if let Some(fault) = dialer.tls_fault() {
            tracing::warn!("no https connection can be made: {fault}");
        }
        let mut daemon = Daemon::start_for(manager.clone(), settings, dialer, resets, kept).await?;
        until_asked_to_end(&mut daemon, &asked, &args.config.config, &manager).await;
        anyhow::Ok(daemon.stop().await)
    });
    match outcome {
        // What is left is in the journal: that is what it is for.
        Ok(Ok(Ended { durable: true, .. })) => ExitCode::Ok,
        Ok(Ok(Ended { durable: false, .. })) => ExitCode::Failure,
        Ok(Err(error)) => {
            // A restart would end in the same way.
            let is_for_a_person = error.is::<NewerState>();
            let error = format!("{error:#}");
            manager.failed(&error);
            let code = failure(&error);
            if is_for_a_person { ExitCode::Configuration } else { code }
        }
        Err(code) => code,
    }
}

/// Reloads whenever somebody asks for it. Who asks for the end does not wait for a reload: that is given up.
async fn until_asked_to_end(daemon: &mut Daemon, asked: &Asked, config: &Path, manager: &ServiceManager) {
    let reloads = async {
        loop {
            asked.reload.notified().await;
            manager.reloading(daemon.longest_reload());
            let config = config.to_owned();
            let loaded = tokio::task::spawn_blocking(move || load_again(&config)).await;
            daemon
                .reload(loaded.unwrap_or_else(|failed| Err(vec![failed.to_string()])))
                .await;
            manager.reloaded();
        }
    };
    tokio::select! {
        biased;
        () = asked.end.requested() => {}
        () = reloads => {}
    }
}

/// Loads the configuration as a start does. Blocks on the disk.
fn load_again(config: &Path) -> Result<Loaded, Vec<String>> {
    let loaded =
        load(config, environment()).map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    // What is wrong with Kafka's own properties, and with the files that they name, librdkafka alone can tell.
    try_out(&loaded.settings.kafka)
        .map_err(|faults| faults.to_string().lines().map(str::to_owned).collect::<Vec<_>>())?;
    Ok(loaded)
}

/// Who looks for why nothing can be reached finds here which way was taken.
fn log_proxy(shown: &Shown) {
    let Shown { proxy, through, direct } = shown;
    if through.is_empty() && direct.is_empty() {
        tracing::info!(proxy, "connections go through no proxy");
    } else {
        let (through, direct) = (through.join(", "), direct.join(", "));
        tracing::info!(proxy, through, direct, "connections go through a proxy");
    }
}
