//! A real broker that is killed in the middle of a burst, and comes back when a long backlog has piled up: memory over time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::contenders::Contender;
use crate::contenders::daemon::Daemon;
use crate::contenders::metrics::sum_of;
use crate::corpus::PIECE_HITS;
use crate::procfs;
use crate::report::{Check, Event, Page, Panel, Table, course};
use crate::rounds::{Load, Stage};
use crate::settings::Settings;
use crate::support::broker::Broker;

/// How often the daemon is looked at.
const EVERY: Duration = Duration::from_millis(250);
/// It is killed when so many hits are delivered.
const KILLED_AFTER: f64 = 20_000.0;
const LONGEST: Duration = Duration::from_secs(1_800);

struct Sample {
    seconds: f64,
    rss: u64,
    backlog: f64,
    read: f64,
    delivered: f64,
}

pub fn run(settings: &Settings, page: &mut Page) -> anyhow::Result<()> {
    let mut broker = Broker::try_start(&[]).map_err(anyhow::Error::msg)?;
    let pieces =
        settings.backlog.div_ceil(PIECE_HITS * settings.mean as u64) + (KILLED_AFTER as u64).div_ceil(PIECE_HITS);
    let load = Load {
        case: "outage".to_owned(),
        pieces,
        ..Load::burst(settings)
    };
    let settings = Settings {
        brokers: Some(broker.addr().to_owned()),
        ..settings.clone()
    };
    let mut stage = Stage::set(Contender::Daemon, &load, &settings)?;
    let hits = stage.hits as f64;
    let daemon = stage.start_daemon(&settings)?;
    let mut watch = Watch::new(&daemon);
    watch.until("some hits are delivered", |sample| sample.delivered >= KILLED_AFTER)?;
    broker.kill();
    let killed = watch.now();
    watch.until("all hits are in the journal", |sample| sample.read >= hits)?;
    let piled_up = watch.now();
    broker.start_again();
    let back = watch.now();
    watch.until("all hits are delivered", |sample| sample.delivered >= hits)?;
    let done = watch.now();
    let arrived = stage.kafka.wait(stage.hits, LONGEST)?;
    if arrived.different() < stage.hits {
        bail!("{} hits were sent, and this has arrived: {arrived:?}", stage.hits);
    }
    let panel = |name: &str, figure: &dyn Fn(&Sample) -> f64, limit| Panel {
        name: name.to_owned(),
        points: watch
            .samples
            .iter()
            .map(|sample| (sample.seconds, figure(sample)))
            .collect(),
        limit,
    };
    let panels = [
        panel(
            "resident memory, MiB",
            &|sample| super::mib(sample.rss),
            Some(super::burst::MOST_RESIDENT),
        ),
        panel(
            "backlog in the journal, GiB",
            &|sample| sample.backlog / f64::from(1 << 30),
            None,
        ),
        panel("hits delivered, millions", &|sample| sample.delivered / 1e6, None),
    ];
    let events = [
        Event {
            at: killed,
            name: "broker killed",
        },
        Event {
            at: piled_up,
            name: "burst read",
        },
        Event {
            at: back,
            name: "broker back",
        },
    ];
    page.plot(
        "A burst while Kafka is away",
        &course("A burst while Kafka is away", &panels, &events),
    )?;
    let rss = watch.samples.iter().map(|sample| sample.rss).max().unwrap_or_default();
    let backlog = watch.samples.iter().map(|sample| sample.backlog).fold(0.0, f64::max);
    let mut table = Table::new(&["what", "figure"]);
    table.row(["hits".to_owned(), format!("{hits:.0}")]);
    table.row([
        "largest backlog, GiB".to_owned(),
        format!("{:.2}", backlog / f64::from(1 << 30)),
    ]);
    table.row([
        "seconds until it was read".to_owned(),
        format!("{:.1}", piled_up - killed),
    ]);
    table.row([
        "seconds from the broker's return to the last delivery".to_owned(),
        format!("{:.1}", done - back),
    ]);
    table.row([
        "hits a second meanwhile".to_owned(),
        format!("{:.0}", hits / (done - back)),
    ]);
    table.row(["different hits in Kafka".to_owned(), arrived.unique.to_string()]);
    table.row([
        "hits that are there twice".to_owned(),
        arrived.count.saturating_sub(arrived.different()).to_string(),
    ]);
    table.row(["largest RSS, MiB".to_owned(), format!("{:.1}", super::mib(rss))]);
    page.table("In figures", &table);
    page.checks([Check::at_most(
        "outage: RSS",
        super::mib(rss),
        " MiB",
        super::burst::MOST_RESIDENT,
    )]);
    Ok(())
}

/// Looks at the daemon again and again.
struct Watch<'a> {
    daemon: &'a Daemon,
    began: Instant,
    samples: Vec<Sample>,
}

impl<'a> Watch<'a> {
    fn new(daemon: &'a Daemon) -> Self {
        Self {
            daemon,
            began: Instant::now(),
            samples: Vec::new(),
        }
    }

    fn now(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    fn until(&mut self, what: &str, is_so: impl Fn(&Sample) -> bool) -> anyhow::Result<()> {
        let deadline = Instant::now() + LONGEST;
        loop {
            let page = self.daemon.metrics()?;
            let sample = Sample {
                seconds: self.now(),
                rss: procfs::rss(self.daemon.child.pid())?,
                backlog: sum_of(&page, "livestreamd_journal_backlog_bytes"),
                read: sum_of(&page, "livestreamd_stream_records_total"),
                delivered: sum_of(&page, "livestreamd_delivered_records_total"),
            };
            let is_so = is_so(&sample);
            self.samples.push(sample);
            if is_so {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("waited {LONGEST:?} in vain until {what}");
            }
            thread::sleep(EVERY);
        }
    }
}
