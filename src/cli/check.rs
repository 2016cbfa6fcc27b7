//! `livestreamd check`: is this configuration right, and do Kafka and the token endpoint agree?
//!
//! It never opens a stream: that would cost the running daemon its connection.

use std::sync::Arc;
use std::time::Duration;

use super::{ConfigArgs, block_on, failure, load_or_explain};
use crate::exit_code::ExitCode;
use crate::kafka::metadata;
use crate::settings::{Credential, Loaded, Settings, summary};
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
    let Loaded { settings, warnings } = match load_or_explain(&args.config.config) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    for warning in &warnings {
        eprintln!("warning: {warning}");
    }
    println!("{}", summary(&settings));
    if !args.connect {
        return ExitCode::Ok;
    }
    match block_on(connect(&settings)) {
        Ok(Ok(0)) => ExitCode::Ok,
        Ok(Ok(_)) => ExitCode::Failure,
        Ok(Err(error)) => failure(&format!("{error:#}")),
        Err(code) => code,
    }
}

/// Asks everybody, says what each answered, and returns how many faults there were.
async fn connect(settings: &Settings) -> anyhow::Result<usize> {
    let mut faults = 0;
    let connector = Arc::new(Dialer::new([]));
    for credential in credentials(settings) {
        let name = credential.name.clone();
        let source = TokenSource::new(credential, connector.clone(), TOKEN_TIMEOUT, TOKEN_TIMEOUT);
        match source.token(None).await {
            Ok(_) => println!("ok     credentials.{name}: an access token was fetched"),
            Err(error) => {
                faults += 1;
                println!("fault  credentials.{name}: {error}");
            }
        }
    }
    let (kafka, topics) = (settings.kafka.clone(), topics(settings));
    let ask = move || {
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        metadata(&kafka, &topics, KAFKA_TIMEOUT)
    };
    let asked = tokio::task::spawn_blocking(ask).await?;
    match asked {
        Ok(cluster) => {
            println!("ok     kafka.brokers: {}", cluster.brokers.join(", "));
            for topic in cluster.topics {
                match topic.partitions {
                    Some(partitions) => println!("ok     topic {}: {partitions} partitions", topic.name),
                    None => println!(
                        "note   topic {}: not there, or not to be seen; make it, unless the brokers make topics by themselves",
                        topic.name
                    ),
                }
            }
        }
        Err(error) => {
            faults += 1;
            // It names its key itself.
            println!("fault  {error}");
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
    let both = settings
        .streams
        .iter()
        .flat_map(|stream| [stream.topic.clone(), stream.dead_letter_topic.clone()]);
    let mut all: Vec<String> = both.collect();
    all.sort();
    all.dedup();
    all
}
