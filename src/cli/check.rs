//! `livestreamd check`: is this configuration right, does it do what its tests expect, and do Kafka and the token endpoint agree?
//!
//! It never opens a stream: that would cost the running daemon its connection.

use std::sync::Arc;
use std::time::Duration;

use super::missing_topics;
use super::output::{answer, failure, tell};
use super::shown::text::clean;
use super::{ConfigArgs, block_on, load_or_explain};
use crate::app::refuse_newer_state;
use crate::exit_code::ExitCode;
use crate::kafka::metadata;
use crate::settings::{Credential, Loaded, Settings, StreamSettings, TestSettings, summary};
use crate::upstream::{Dialer, TokenSource};

/// How long the brokers may take to answer.
const KAFKA_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the token endpoint may take to connect, and again to answer.
const TOKEN_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// Also fetch an access token and ask Kafka for its metadata; a stream is never opened, it would cost the daemon its connection
    #[arg(long)]
    connect: bool,
}

pub(super) fn check(args: &CheckArgs) -> ExitCode {
    match checked(args) {
        Ok(0) => ExitCode::Ok,
        Ok(_) => ExitCode::Failure,
        Err(code) => code,
    }
}

/// Returns how many faults the others told of; the exit code if the configuration itself is at fault, or the check went wrong.
fn checked(args: &CheckArgs) -> Result<usize, ExitCode> {
    let Loaded { settings, warnings } = load_or_explain(&args.config.config)?;
    for warning in &warnings {
        tell(format_args!("warning: {warning}"));
    }
    // Where it may be read: what a start would refuse, before somebody goes back to this version.
    refuse_newer_state(&settings.state_dir, &settings.streams).map_err(|newer| {
        tell(format_args!("livestreamd: {newer}"));
        ExitCode::Configuration
    })?;
    answer(summary(&settings))?;
    for line in settings.tls.contents() {
        answer(line)?;
    }
    let mut faults = 0;
    for test in &settings.tests {
        faults += usize::from(!passes(test)?);
    }
    if args.connect {
        faults += block_on(connect(&settings))??;
    }
    Ok(faults)
}

/// Runs a test, and says how it went.
fn passes(test: &TestSettings) -> Result<bool, ExitCode> {
    let TestSettings { number, name, .. } = test;
    match test.run() {
        Ok(()) => {
            answer(clean(&format!("ok     tests.{number} {name}")))?;
            Ok(true)
        }
        Err(differences) => {
            let differences: Vec<String> = differences.iter().map(ToString::to_string).collect();
            answer(clean(&format!(
                "fault  tests.{number} {name}: {}",
                differences.join("; ")
            )))?;
            Ok(false)
        }
    }
}

/// Asks everybody, says what each answered, and returns how many faults there were.
async fn connect(settings: &Settings) -> Result<usize, ExitCode> {
    let mut faults = 0;
    let connector = Arc::new(Dialer::new(&settings.tls, []).through(settings.proxy.clone()));
    for credential in credentials(settings) {
        let name = credential.name.clone();
        let source = TokenSource::new(credential, connector.clone(), TOKEN_TIMEOUT, TOKEN_TIMEOUT);
        match source.token(None).await {
            Ok(_) => answer(format_args!("ok     credentials.{name}: an access token was fetched"))?,
            Err(error) => {
                faults += 1;
                answer(format_args!("fault  credentials.{name}: {error}"))?;
            }
        }
    }
    let (kafka, topics) = (settings.kafka.clone(), topics(settings));
    let ask = move || {
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        metadata(&kafka, &topics, KAFKA_TIMEOUT)
    };
    let asked = tokio::task::spawn_blocking(ask).await;
    match asked.map_err(|error| failure(&error))? {
        Ok(cluster) => {
            answer(format_args!("ok     kafka.brokers: {}", cluster.brokers.join(", ")))?;
            for topic in &cluster.topics {
                let name = &topic.name;
                match topic.partitions {
                    Some(partitions) => answer(format_args!("ok     topic {name}: {partitions} partitions"))?,
                    None => answer(format_args!(
                        "note   topic {name}: not there, or not to be seen by this account"
                    ))?,
                }
            }
            for line in missing_topics::how_to_make(settings, &cluster) {
                answer(line)?;
            }
        }
        Err(error) => {
            faults += 1;
            // It names its key itself.
            answer(format_args!("fault  {error}"))?;
        }
    }
    Ok(faults)
}

/// Each credential that a stream uses, once.
fn credentials(settings: &Settings) -> Vec<Arc<Credential>> {
    let mut all: Vec<Arc<Credential>> = settings
        .streams
        .iter()
        .map(|stream| stream.credential.clone())
        .collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    all.dedup_by(|a, b| a.name == b.name);
    all
}

/// Each topic that is written to, once.
fn topics(settings: &Settings) -> Vec<String> {
    let mut all: Vec<String> = settings
        .streams
        .iter()
        .flat_map(StreamSettings::topics)
        .map(str::to_owned)
        .collect();
    all.sort();
    all.dedup();
    all
}
