//! `[upstream]` and `[streams.NAME]`: what a stream sets itself, else what all share, else the default.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::address;
use super::credentials::Credentials;
use super::defaults;
use super::fault::{Place, Report, Reported};
use super::outputs::{self, OutputKeys, Owner};
use super::proxy;
use super::resolve::Surroundings;
use super::resolved::{Credential, Smoothing, StreamSettings};
use super::tree::{Found, Maybe, Section, or, over, value_or};
use crate::shape::output::DEFAULT_OUTPUT;

/// The keys of `[upstream]`, each of which a stream may set again.
pub(super) struct Upstream {
    credentials: Maybe<String>,
    cooldown: Maybe<Duration>,
    connect_timeout: Maybe<Duration>,
    stall_timeout: Maybe<Duration>,
    backfill_horizon: Maybe<Duration>,
    long_retry: Maybe<Duration>,
    max_record_bytes: Maybe<u64>,
    connections: Maybe<u16>,
    max_connections: Maybe<u16>,
    smoothing: Maybe<bool>,
    smoothing_bucket_size: Maybe<u16>,
    trusted_hosts: Maybe<Vec<String>>,
}

impl Upstream {
    /// Takes them out of `[upstream]` or `[streams.NAME]`.
    pub(super) fn take(section: &mut Section<'_>) -> Self {
        Self {
            credentials: section.text("credentials"),
            cooldown: section.duration("cooldown", defaults::COOLDOWNS),
            connect_timeout: section.duration("connect_timeout", defaults::CONNECT_TIMEOUTS),
            stall_timeout: section.duration("stall_timeout", defaults::STALL_TIMEOUTS),
            backfill_horizon: section.duration("backfill_horizon", defaults::BACKFILL_HORIZONS),
            long_retry: section.duration("long_retry", defaults::LONG_RETRIES),
            max_record_bytes: section.size("max_record_bytes", defaults::MAX_RECORD_SIZES),
            connections: section.number("connections", defaults::CONNECTION_COUNTS),
            max_connections: section.number("max_connections", defaults::CONNECTION_COUNTS),
            smoothing: section.flag("smoothing"),
            smoothing_bucket_size: section.number("smoothing_bucket_size", defaults::SMOOTHING_BUCKET_SIZES),
            trusted_hosts: section.list("trusted_hosts", address::trusted_host),
        }
    }

    fn over(self, shared: &Self) -> Self {
        Self {
            credentials: over(self.credentials, &shared.credentials),
            cooldown: over(self.cooldown, &shared.cooldown),
            connect_timeout: over(self.connect_timeout, &shared.connect_timeout),
            stall_timeout: over(self.stall_timeout, &shared.stall_timeout),
            backfill_horizon: over(self.backfill_horizon, &shared.backfill_horizon),
            long_retry: over(self.long_retry, &shared.long_retry),
            max_record_bytes: over(self.max_record_bytes, &shared.max_record_bytes),
            connections: over(self.connections, &shared.connections),
            max_connections: over(self.max_connections, &shared.max_connections),
            smoothing: over(self.smoothing, &shared.smoothing),
            smoothing_bucket_size: over(self.smoothing_bucket_size, &shared.smoothing_bucket_size),
            trusted_hosts: over(self.trusted_hosts, &shared.trusted_hosts),
        }
    }
}

/// One stream as far as it could be made: what it has in common with others can be looked at even when something else in it is faulty.
pub(super) struct Draft {
    name: String,
    url: Result<Found<Url>, Reported>,
    /// Of a URL that is faulty too, if it is one at all.
    canonical: Option<String>,
    /// That of the stream itself first.
    outputs: Vec<outputs::Draft>,
    smooths: bool,
    made: Result<StreamSettings, Reported>,
}

/// Takes all of `[streams]`.
pub(super) fn take(
    root: &mut Section<'_>,
    credentials: &Credentials,
    upstream: &Upstream,
    output: &OutputKeys,
    around: &Surroundings,
) -> Result<Vec<StreamSettings>, Reported> {
    let drafts: Vec<Draft> = root
        .named("streams", |name, section| {
            draft(name, section, credentials, upstream, output, around)
        })
        .into_values()
        .collect();
    let report = &mut *root.report;
    if drafts.is_empty() && !report.has("streams") {
        let problem = "there is no stream; add a section [streams.NAME] with the url that Adobe gave you";
        return Err(report.fault(&Place::absent("streams"), None, problem));
    }
    let apart = [
        one_url_each(&drafts, report),
        dead_letters_apart(&drafts, report),
        bucket_is_used(&drafts, upstream, report),
    ];
    let made: Result<Vec<_>, _> = drafts.into_iter().map(|draft| draft.made).collect();
    apart.into_iter().collect::<Result<(), _>>()?;
    made
}

fn draft(
    name: &str,
    section: &mut Section<'_>,
    credentials: &Credentials,
    upstream: &Upstream,
    output: &OutputKeys,
    around: &Surroundings,
) -> Draft {
    let mut canonical = None;
    let url = section.parsed("url", "text in quotes", |text| {
        canonical = Url::parse(text).ok().map(|url| address::canonical(&url));
        address::stream_url(text)
    });
    let url = match url {
        Ok(Some(url)) => Ok(url),
        Ok(None) => {
            let problem = "is missing; set it to the whole URI that Adobe Customer Care gave you";
            Err(section.report.fault(&section.absent("url"), None, problem))
        }
        Err(reported) => Err(reported),
    };
    let report_suite = section.parsed("report_suite", "text in quotes", report_suite);
    proxy::refuse_in_stream(section);
    section.refuse("tls", "stands in [upstream] only, as [upstream.tls]: streams share their token endpoints, and so their TLS; move it there");
    let own = Upstream::take(section);
    let own_bucket = matches!(own.smoothing_bucket_size, Ok(Some(_)));
    let upstream = own.over(upstream);
    let output = OutputKeys::take(section, around).over(output);

    let report_suite = report_suite.map(|found| found.map_or_else(|| name.to_owned(), |found| found.value));
    let owner = match &report_suite {
        Ok(report_suite) => Ok(Owner {
            stream: name,
            report_suite,
        }),
        Err(reported) => Err(*reported),
    };
    let further = section.named("outputs", |name, section| {
        OutputKeys::take(section, around).make_further(name, &output, owner, section)
    });
    let mut outputs = vec![output.make(DEFAULT_OUTPUT, owner, section)];
    outputs.extend(further.into_values());
    let smooths = matches!(&upstream.smoothing, Ok(Some(found)) if found.value);

    let credential = credential(upstream.credentials, name, credentials, section);
    let cooldown = cooldown(upstream.cooldown, url.as_ref().ok(), section);
    let stall_timeout = stall_timeout(upstream.stall_timeout, url.as_ref().ok(), section);
    let long_retry = long_retry(upstream.long_retry, cooldown, section);
    let backfill_horizon = value_or(upstream.backfill_horizon, defaults::BACKFILL_HORIZON);
    if let (Ok(cooldown), Ok(horizon)) = (cooldown, backfill_horizon)
        && cooldown > horizon
    {
        let message = "the cooldown is longer than backfill_horizon, so every disconnect will count as a probable loss";
        section.report.warn(section.path().to_owned(), message);
    }
    let connections = connections(upstream.connections, upstream.max_connections, section);
    let smoothing = smoothing(upstream.smoothing, upstream.smoothing_bucket_size, own_bucket, section);

    let made = (|| {
        let (connections, max_connections) = connections?;
        Ok(StreamSettings {
            name: name.to_owned(),
            url: url.as_ref().map_err(|reported| *reported)?.value.clone(),
            report_suite: report_suite.clone()?,
            credential: credential?,
            cooldown: cooldown?,
            connect_timeout: value_or(upstream.connect_timeout, defaults::CONNECT_TIMEOUT)?,
            stall_timeout: stall_timeout?,
            backfill_horizon: backfill_horizon?,
            long_retry: long_retry?,
            max_record_bytes: value_or(upstream.max_record_bytes.map(bytes), defaults::MAX_RECORD_BYTES)?,
            connections,
            max_connections,
            smoothing: smoothing?,
            trusted_hosts: value_or(
                upstream.trusted_hosts,
                defaults::TRUSTED_HOSTS.map(str::to_owned).to_vec(),
            )?,
            outputs: outputs
                .iter()
                .map(|output| output.made.clone())
                .collect::<Result<_, _>>()?,
        })
    })();
    Draft {
        name: name.to_owned(),
        url,
        canonical,
        outputs,
        smooths,
        made,
    }
}

fn credential(
    named: Maybe<String>,
    stream: &str,
    credentials: &Credentials,
    section: &mut Section<'_>,
) -> Result<Arc<Credential>, Reported> {
    let named = or(named, section.absent("credentials"), defaults::CREDENTIALS.to_owned())?;
    if let Some(found) = credentials.get(&named.value) {
        return found.clone();
    }
    if section.report.has("credentials") {
        // The whole of it is no section, which has been said.
        return Err(section.report.fault(
            &Place::file("credentials"),
            None,
            "must hold sections [credentials.NAME]",
        ));
    }
    let known = credentials.keys().cloned().collect::<Vec<_>>().join(", ");
    let problem = if known.is_empty() {
        format!(
            "stream {stream} needs [credentials.{}], which is missing; add it",
            named.value
        )
    } else {
        format!(
            "stream {stream} needs [credentials.{}], which is missing; add it, or choose one of {known}",
            named.value
        )
    };
    Err(named.fault(section.report, problem))
}

fn cooldown(found: Maybe<Duration>, url: Option<&Found<Url>>, section: &mut Section<'_>) -> Result<Duration, Reported> {
    let Some(found) = found? else {
        return Ok(defaults::COOLDOWN);
    };
    match url {
        Some(url) if found.value < defaults::COOLDOWN && !address::is_loopback(&url.value) => {
            let least = humantime::format_duration(defaults::COOLDOWN);
            let problem = format!(
                "is under {least}, which is allowed for loopback hosts only, and {} is not one; the service refuses who comes back \
                 sooner (set at least \"60s\")",
                url.value.host_str().unwrap_or_default()
            );
            Err(found.fault(section.report, problem))
        }
        Some(_) | None => Ok(found.value),
    }
}

fn stall_timeout(
    found: Maybe<Duration>,
    url: Option<&Found<Url>>,
    section: &mut Section<'_>,
) -> Result<Duration, Reported> {
    let Some(found) = found? else {
        return Ok(defaults::STALL_TIMEOUT);
    };
    if found.value < defaults::STALL_TIMEOUT_WARNED && url.is_some_and(|url| !address::is_loopback(&url.value)) {
        let least = humantime::format_duration(defaults::STALL_TIMEOUT_WARNED);
        section.report.warn(
            found.place.key,
            format!("is under {least}: a quiet but healthy connection may be ended by it"),
        );
    }
    Ok(found.value)
}

fn long_retry(
    found: Maybe<Duration>,
    cooldown: Result<Duration, Reported>,
    section: &mut Section<'_>,
) -> Result<Duration, Reported> {
    match (found?, cooldown) {
        (None, cooldown) => Ok(defaults::LONG_RETRY.max(cooldown?)),
        (Some(found), Ok(cooldown)) if found.value < cooldown => {
            let problem = format!(
                "is shorter than the cooldown of {}; set at least that",
                humantime::format_duration(cooldown)
            );
            Err(found.fault(section.report, problem))
        }
        (Some(found), _) => Ok(found.value),
    }
}

fn connections(own: Maybe<u16>, most: Maybe<u16>, section: &mut Section<'_>) -> Result<(u8, u8), Reported> {
    let own = or(own, section.absent("connections"), u16::from(defaults::CONNECTIONS));
    let (own, most) = (own?, most?);
    match most {
        None => Ok((own.value as u8, own.value as u8)),
        Some(most) if most.value < own.value => {
            let problem = format!(
                "is less than connections, which is {} ({}); every connection needs a place",
                own.value, own.place.key
            );
            Err(most.fault(section.report, problem))
        }
        Some(most) => Ok((own.value as u8, most.value as u8)),
    }
}

fn smoothing(
    flag: Maybe<bool>,
    bucket: Maybe<u16>,
    own_bucket: bool,
    section: &mut Section<'_>,
) -> Result<Option<Smoothing>, Reported> {
    let (flag, bucket) = (flag?, bucket?);
    match (flag.is_some_and(|found| found.value), bucket) {
        (true, bucket) => Ok(Some(Smoothing {
            bucket_seconds: bucket.map(|found| found.value),
        })),
        (false, Some(bucket)) if own_bucket => Err(bucket.fault(
            section.report,
            "has no effect without smoothing; set smoothing = true, or remove it",
        )),
        (false, _) => Ok(None),
    }
}

fn report_suite(text: &str) -> Result<String, String> {
    if text.len() <= 255 {
        Ok(text.to_owned())
    } else {
        Err("is longer than 255 bytes, which no report suite id is".to_owned())
    }
}

/// One connection would throw the other out, and a lease belongs to its URL.
fn one_url_each(drafts: &[Draft], report: &mut Report) -> Result<(), Reported> {
    let mut first: BTreeMap<&str, &Draft> = BTreeMap::new();
    let mut outcome = Ok(());
    for draft in drafts {
        let Some(canonical) = draft.canonical.as_deref() else {
            continue;
        };
        if let Some(earlier) = first.get(canonical) {
            let place = match &draft.url {
                Ok(url) => url.place.clone(),
                Err(_) => Place::file(format!("streams.{}.url", draft.name)),
            };
            let problem = format!(
                "is the URL of stream {} too; one stream must be enough (it may have several connections)",
                earlier.name
            );
            let shown = draft.url.as_ref().ok().and_then(|url| url.shown.clone());
            outcome = Err(report.fault(&place, shown, problem));
        } else {
            first.insert(canonical, draft);
        }
    }
    outcome
}

/// A topic of hits holds hits only.
fn dead_letters_apart(drafts: &[Draft], report: &mut Report) -> Result<(), Reported> {
    let outputs = || {
        drafts
            .iter()
            .flat_map(|draft| draft.outputs.iter().map(move |output| (draft, output)))
    };
    let mut outcome = Ok(());
    for (draft, output) in outputs() {
        let Ok(dead) = &output.dead_letter_topic else { continue };
        let takes = |output: &outputs::Draft| {
            let incomplete = output.made.as_ref().ok().and_then(|made| made.incomplete_topic());
            output.topic.as_ref().is_ok_and(|topic| topic.value.may_be(&dead.value))
                || incomplete == Some(dead.value.as_str())
        };
        if let Some((taker, _)) = outputs().find(|(_, output)| takes(output)) {
            let problem = format!(
                "gives {} for stream {}, which is a topic for hits of stream {}; choose another, or let allowed_topics allow less",
                dead.value, draft.name, taker.name
            );
            outcome = Err(dead.fault(report, problem));
        }
    }
    outcome
}

/// A bucket size for all is of use if any stream smooths.
fn bucket_is_used(drafts: &[Draft], upstream: &Upstream, report: &mut Report) -> Result<(), Reported> {
    match &upstream.smoothing_bucket_size {
        Ok(Some(bucket)) if !drafts.iter().any(|draft| draft.smooths) => Err(bucket.fault(
            report,
            "has no effect without smoothing; set smoothing = true, or remove it",
        )),
        Ok(_) | Err(_) => Ok(()),
    }
}

fn bytes(found: Option<Found<u64>>) -> Option<Found<usize>> {
    found.map(|found| found.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)))
}
