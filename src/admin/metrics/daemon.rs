//! The families of the daemon as a whole.

use std::time::{SystemTime, UNIX_EPOCH};

use super::family::{Family, Samples, gauge};
use crate::status::readiness::HindranceKind;

const HINDRANCES: [HindranceKind; 4] = [
    HindranceKind::Stopping,
    HindranceKind::Upstream,
    HindranceKind::Journal,
    HindranceKind::Kafka,
];

/// All of them.
pub const ALL: &[Family] = &[
    gauge(
        "build_info",
        "Always 1. The label says which version of livestreamd it is.",
        Samples::Daemon(|daemon, out| out.at(&daemon.version, 1.0)),
    )
    .by("version"),
    gauge(
        "start_time_seconds",
        "When the daemon started, in seconds since the Unix epoch.",
        Samples::Daemon(|daemon, out| out.known(unix_seconds(&daemon.started))),
    ),
    gauge(
        "ready",
        "1 if every stream streams or waits out a cooldown in the normal course of things, every journal takes batches, and Kafka \
         takes records; 0 if something stands in the way, which livestreamd_hindrances tells.",
        Samples::Daemon(|daemon, out| out.flag(daemon.ready)),
    ),
    gauge(
        "stopping",
        "1 once the daemon was told to stop, and delivers what it has read.",
        Samples::Daemon(|daemon, out| out.flag(daemon.stopping)),
    ),
    gauge(
        "hindrances",
        "How many things keep the daemon from being ready, by kind: stopping, upstream (connections), journal, kafka.",
        Samples::Daemon(|daemon, out| {
            for kind in HINDRANCES {
                let of_kind = daemon.hindrances.iter().filter(|one| one.kind == kind);
                out.at(kind.name(), of_kind.count() as f64);
            }
        }),
    )
    .by("kind"),
    gauge(
        "config_last_reload_ok",
        "1 if the configuration could be used at the last reload, 0 if not. Absent before the first one.",
        Samples::Daemon(|daemon, out| {
            if let Some(reload) = &daemon.last_reload {
                out.flag(reload.ok);
            }
        }),
    ),
    gauge(
        "config_last_reload_timestamp_seconds",
        "When the configuration was reloaded last, in seconds since the Unix epoch. Absent before the first time.",
        Samples::Daemon(|daemon, out| {
            if let Some(reload) = &daemon.last_reload {
                out.known(unix_seconds(&reload.at));
            }
        }),
    ),
];

/// A time of the model, in seconds since the Unix epoch.
fn unix_seconds(shown: &str) -> Option<f64> {
    let at: SystemTime = humantime::parse_rfc3339(shown).ok()?;
    Some(at.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}
