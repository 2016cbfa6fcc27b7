//! Every run as a line.

use crate::rounds::Run;

pub const HEADER: &str = "suite,case,contender,round,hits,bytes,wall_s,user_s,system_s,cpu_per_million_s,peak_rss_bytes,unique,skipped,\
                          latency_p50_us,latency_p99_us\n";

pub fn row(run: &Run) -> String {
    let cpu = run.cpu();
    format!(
        "{},\"{}\",\"{}\",{},{},{},{:.3},{:.3},{:.3},{:.3},{},{},{},{},{}\n",
        run.suite,
        run.case,
        run.contender.name(),
        run.round,
        run.hits,
        run.bytes,
        run.wall.as_secs_f64(),
        cpu.user,
        cpu.system,
        run.per_million(),
        run.memory.map_or(0, |memory| memory.peak),
        run.arrived.unique,
        run.arrived.skipped,
        run.latency.p50,
        run.latency.p99,
    )
}
