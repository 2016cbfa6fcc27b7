//! From exec to READY, as a service manager sees it.

use std::os::unix::net::UnixDatagram;
use std::time::{Duration, Instant};

use crate::child::Child;
use crate::contenders::Contender;
use crate::contenders::daemon::{Variant, command};
use crate::procfs::cpu_of_threads;
use crate::report::{Check, Page, Table};
use crate::rounds::{Load, Stage};
use crate::settings::Settings;
use crate::stats::{median, spread};

const STREAMS: [usize; 2] = [1, 50];
const LONGEST: Duration = Duration::from_secs(30);
const AT_MOST_MS: f64 = 100.0;

pub fn run(settings: &Settings, page: &mut Page) -> anyhow::Result<()> {
    let mut table = Table::new(&["streams", "ms to READY", "spread", "CPU ms"]);
    let times = if settings.quick { 3 } else { 20 };
    for streams in STREAMS {
        let starts: Vec<(f64, f64)> = (0..times)
            .map(|_| start(streams, settings))
            .collect::<anyhow::Result<_>>()?;
        let (ms, cpu): (Vec<f64>, Vec<f64>) = starts.into_iter().unzip();
        table.row([
            streams.to_string(),
            format!("{:.0}", median(&ms)),
            format!("{:.0} %", spread(&ms) * 100.0),
            format!("{:.0}", median(&cpu)),
        ]);
        page.checks([Check::at_most(
            format!("start: to READY, streams: {streams}"),
            median(&ms),
            " ms",
            AT_MOST_MS,
        )]);
    }
    page.table("To READY", &table);
    Ok(())
}

/// Milliseconds to READY, and of processor time until then.
fn start(streams: usize, settings: &Settings) -> anyhow::Result<(f64, f64)> {
    let load = Load {
        case: format!("{streams} silent streams"),
        mean: settings.mean,
        streams,
        pieces: 0,
        live: (0, 0),
    };
    let stage = Stage::set(Contender::Daemon, &load, settings)?;
    let (mut command, _) = command(&stage.errand(settings), Variant::Plain)?;
    let path = stage.dir.join("notify.sock");
    let manager = UnixDatagram::bind(&path)?;
    manager.set_read_timeout(Some(LONGEST))?;
    command.env("NOTIFY_SOCKET", &path);
    let began = Instant::now();
    let daemon = Child::spawned("livestreamd", &mut command)?;
    let mut message = [0; 4096];
    loop {
        let length = manager.recv(&mut message)?;
        if message[..length]
            .split(|byte| *byte == b'\n')
            .any(|line| line == b"READY=1")
        {
            break;
        }
    }
    let ms = began.elapsed().as_secs_f64() * 1e3;
    Ok((ms, cpu_of_threads(daemon.pid())? * 1e3))
}
