//! The merged tree becomes [`Settings`], section by section: every section is read before any fault ends the work.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use config::{Map, Value};

use super::address;
use super::admin;
use super::credentials::{self, Credentials};
use super::defaults;
use super::fault::{Report, Reported};
use super::kafka_properties;
use super::log_filter::log_filter;
use super::outputs::OutputKeys;
use super::proxy::{self, ProxyVariables};
use super::resolved::{
    AdminSettings, DedupMode, DedupSettings, JournalSettings, KafkaSettings, LogFormat, LogSettings,
    QuarantineSettings, Settings, StreamSettings,
};
use super::secret;
use super::shape::ShapeKeys;
use super::streams::{self, Upstream};
use super::tls;
use super::tree::{Found, Section};
use super::trials;

/// What a configuration refers to and does not hold.
pub(super) struct Surroundings {
    /// Where relative secret files are looked for.
    pub(super) base_dir: PathBuf,
    /// Where they are looked for first: what the service manager set.
    pub(super) credentials_directory: Option<PathBuf>,
    /// The configuration file, if there is one and everybody may read it.
    pub(super) open_file: Option<PathBuf>,
    /// What the environment says of proxies.
    pub(super) proxies: ProxyVariables,
}

impl Surroundings {
    /// For the file at `path`, or for none, in this environment.
    pub(super) fn new(base_dir: &Path, env: &[(String, String)], file: Option<&Path>) -> Self {
        let credentials_directory = env
            .iter()
            .find(|(variable, _)| variable == "CREDENTIALS_DIRECTORY")
            .map(|(_, value)| value.as_str());
        Self {
            base_dir: base_dir.to_owned(),
            credentials_directory: credentials_directory.filter(|path| !path.is_empty()).map(PathBuf::from),
            open_file: file.filter(|path| secret::is_readable_by_all(path)).map(Path::to_owned),
            proxies: ProxyVariables::of(env),
        }
    }

    /// Warns of a secret that stands in the configuration file, if everybody may read that.
    pub(super) fn warn_of_secret(&self, key: String, report: &mut Report) {
        if let Some(file) = &self.open_file {
            let message = format!(
                "is a secret in {}, which everybody on this machine may read; take that away with chmod o-r",
                file.display()
            );
            report.warn(key, message);
        }
    }
}

/// Makes the settings, or reports all that is in the way.
pub(super) fn resolve(
    tree: Map<String, Value>,
    around: &Surroundings,
    report: &mut Report,
) -> Result<Settings, Reported> {
    Section::read(String::new(), tree, report, |root| settings(root, around))
}

/// Makes what a tree with nothing but `[admin]` says.
pub(super) fn admin_alone(
    tree: Map<String, Value>,
    around: &Surroundings,
    report: &mut Report,
) -> Result<AdminSettings, Reported> {
    Section::read(String::new(), tree, report, |root| {
        root.section("admin", |section| admin::take(section, around))
    })
}

fn settings(root: &mut Section<'_>, around: &Surroundings) -> Result<Settings, Reported> {
    let state_dir = root.text("state_dir");
    let shutdown_timeout = root.duration("shutdown_timeout", defaults::SHUTDOWN_TIMEOUTS);
    let credentials = credentials::take(root, around);
    let (upstream, proxy, tls) = root.section("upstream", |section| {
        (
            Upstream::take(section),
            proxy::take(section, around),
            tls::take(section, around),
        )
    });
    let shape = root.section("shape", |section| ShapeKeys::take(section, around));
    let (kafka, output) = root.section("kafka", |section| {
        (kafka(section, around), OutputKeys::take_with(section, shape))
    });
    let journal = root.section("journal", journal);
    let quarantine = root.section("quarantine", quarantine);
    let dedup = root.section("dedup", dedup);
    let admin = root.section("admin", |section| admin::take(section, around));
    let log = root.section("log", log);
    let streams = streams::take(root, &credentials, &upstream, &output, around);
    let tests = trials::take(root, &streams);
    let journal = holds_a_record(journal, &streams, root.report);
    let quarantine = holds_a_record(quarantine, &streams, root.report);
    if let Ok(streams) = &streams {
        warn_of_unused(&credentials, streams, root.report);
    }
    Ok(Settings {
        state_dir: state_dir?.map_or_else(
            || PathBuf::from(defaults::STATE_DIR),
            |found| PathBuf::from(found.value),
        ),
        shutdown_timeout: shutdown_timeout?.map_or(defaults::SHUTDOWN_TIMEOUT, |found| found.value),
        proxy: proxy?,
        tls: tls?,
        kafka: kafka?,
        journal: journal?,
        quarantine: quarantine?,
        dedup: dedup?,
        admin: admin?,
        log: log?,
        streams: streams?,
        tests: tests?,
    })
}

fn kafka(section: &mut Section<'_>, around: &Surroundings) -> Result<KafkaSettings, Reported> {
    let brokers = section.parsed("brokers", "text in quotes", address::brokers);
    let properties = kafka_properties::take(section, around);
    if let Ok(properties) = &properties {
        for key in properties.secrets_in_file() {
            around.warn_of_secret(key, section.report);
        }
    }
    let brokers = brokers?.map_or_else(|| defaults::BROKERS.to_owned(), |found| found.value);
    Ok(properties?.into_settings(brokers))
}

/// The settings of what must hold the longest record.
struct Draft<T> {
    settings: T,
    /// What was set, to be held against that record.
    sizes: Vec<Found<u64>>,
}

fn journal(section: &mut Section<'_>) -> Result<Draft<JournalSettings>, Reported> {
    let sync_interval = section.duration("sync_interval", defaults::SYNC_INTERVALS);
    let max_bytes = section.size("max_bytes", defaults::JOURNAL_SIZES);
    let max_bytes_in_all = section.size("max_bytes_in_all", defaults::JOURNAL_SIZES);
    let (max_bytes, max_bytes_in_all) = (max_bytes?, max_bytes_in_all?);
    let settings = JournalSettings {
        sync_interval: sync_interval?.map_or(defaults::SYNC_INTERVAL, |found| found.value),
        max_bytes: max_bytes
            .as_ref()
            .map_or(defaults::JOURNAL_MAX_BYTES, |found| found.value),
        max_bytes_in_all: max_bytes_in_all
            .as_ref()
            .map_or(defaults::JOURNAL_MAX_BYTES_IN_ALL, |found| found.value),
    };
    let sizes = [max_bytes, max_bytes_in_all].into_iter().flatten().collect();
    Ok(Draft { settings, sizes })
}

fn quarantine(section: &mut Section<'_>) -> Result<Draft<QuarantineSettings>, Reported> {
    let max_bytes = section.size("max_bytes", defaults::QUARANTINE_SIZES);
    let max_age = section.duration("max_age", defaults::QUARANTINE_AGES);
    let max_bytes = max_bytes?;
    let settings = QuarantineSettings {
        max_bytes: max_bytes
            .as_ref()
            .map_or(defaults::QUARANTINE_MAX_BYTES, |found| found.value),
        max_age: max_age?.map_or(defaults::QUARANTINE_MAX_AGE, |found| found.value),
    };
    let sizes = max_bytes.into_iter().collect();
    Ok(Draft { settings, sizes })
}

/// A journal that cannot hold the longest record that is let in would stand still at the first such record, and a quarantine that
/// cannot would not keep it. The defaults hold the longest that may be let in.
fn holds_a_record<T>(
    draft: Result<Draft<T>, Reported>,
    streams: &Result<Vec<StreamSettings>, Reported>,
    report: &mut Report,
) -> Result<T, Reported> {
    let Draft { settings, sizes } = draft?;
    let longest = streams.iter().flatten().max_by_key(|stream| stream.max_record_bytes);
    let too_small = |stream: &StreamSettings, found: &Found<u64>| found.value < stream.max_record_bytes as u64;
    let mut reported = None;
    for (found, stream) in sizes.into_iter().zip(longest.into_iter().cycle()) {
        if !too_small(stream, &found) {
            continue;
        }
        let problem = format!(
            "is less than one record of stream {} may have ({} bytes); raise it, or lower max_record_bytes",
            stream.name, stream.max_record_bytes
        );
        reported = Some(found.fault(report, problem));
    }
    reported.map_or(Ok(settings), Err)
}

fn dedup(section: &mut Section<'_>) -> Result<DedupSettings, Reported> {
    let modes = [
        ("drop", DedupMode::Drop),
        ("mark", DedupMode::Mark),
        ("off", DedupMode::Off),
    ];
    let mode = section.choice("mode", &modes);
    let window = section.duration("window", defaults::DEDUP_WINDOWS);
    let max_ids = section.number("max_ids", defaults::DEDUP_ID_COUNTS);
    Ok(DedupSettings {
        mode: mode?.map_or(DedupMode::Drop, |found| found.value),
        window: window?.map_or(defaults::DEDUP_WINDOW, |found| found.value),
        max_ids: max_ids?.map_or(defaults::DEDUP_MAX_IDS, |found| found.value),
    })
}

fn log(section: &mut Section<'_>) -> Result<LogSettings, Reported> {
    let filter = section.parsed("filter", "text in quotes", |text| match log_filter(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(format!(
            "is not a log filter ({error}); write as in \"info\" or \"info,livestreamd=debug\""
        )),
    });
    let formats = [
        ("auto", LogFormat::Auto),
        ("text", LogFormat::Text),
        ("json", LogFormat::Json),
        ("journald", LogFormat::Journald),
    ];
    let format = section.choice("format", &formats);
    Ok(LogSettings {
        filter: filter?.map_or_else(|| defaults::LOG_FILTER.to_owned(), |found| found.value),
        format: format?.map_or(LogFormat::Auto, |found| found.value),
    })
}

fn warn_of_unused(credentials: &Credentials, streams: &[StreamSettings], report: &mut Report) {
    let used: BTreeSet<&str> = streams.iter().map(|stream| stream.credential.name.as_str()).collect();
    for name in credentials.keys().filter(|name| !used.contains(name.as_str())) {
        report.warn(format!("credentials.{name}"), "no stream uses it");
    }
}
