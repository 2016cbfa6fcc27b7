//! What a run did, in all: said at its end, once for each stream and once more for each further output of it.

use tracing::info;

use crate::telemetry::StreamStatus;

/// Says what became of a stream's connections, and of its hits in each output.
pub(super) fn sum_up(status: &StreamStatus) {
    let counts = status.counters.snapshot();
    info!(
        stream = &*status.name,
        connects = counts.connects,
        disconnects = counts.disconnects,
        gaps_possible = counts.gaps_possible,
        gaps_probable = counts.gaps_probable,
        hits = counts.hits,
        duplicates = counts.duplicates,
        filtered = counts.filtered.values().sum::<u64>(),
        delivered = counts.delivered,
        dead_letters = counts.dead_letters.total(),
        quarantined = counts.quarantined,
        cut_records = counts.cut_records,
        rewinds = counts.rewinds,
        "what this run did, in all"
    );
    for output in &status.further {
        let counts = output.counters.snapshot();
        info!(
            stream = &*status.name,
            output = &*output.name,
            hits = counts.hits,
            duplicates = counts.duplicates,
            filtered = counts.filtered.values().sum::<u64>(),
            delivered = counts.delivered,
            dead_letters = counts.dead_letters.total(),
            quarantined = counts.quarantined,
            rewinds = counts.rewinds,
            "what this run did for a further output, in all"
        );
    }
}
