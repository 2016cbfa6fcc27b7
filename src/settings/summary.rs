//! What `livestreamd check` shows of a configuration: what will be done, where, with what timings. Promise: no secret, and no value of a
//! librdkafka property, because some of those are secrets.

use std::fmt::{self, Write};
use std::time::Duration;

use bytesize::ByteSize;

use super::proxy::{self, Shown};
use super::resolved::{
    AdminListen, AdminSettings, DEFAULT_OUTPUT, DedupMode, Grant, LogFormat, MessageTime, OutputSettings, SecretSource,
    Settings, ShapeSettings, StreamSettings, Topics,
};
use super::tls::{ClientFiles, TlsSettings};
use crate::shape::privacy::Action;
use crate::shape::{Fields, Filter};

/// The settings for a person to read, several lines, each ended.
pub fn summary(settings: &Settings) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut text, settings);
    text
}

fn write(out: &mut String, settings: &Settings) -> fmt::Result {
    writeln!(out, "state_dir     {}", settings.state_dir.display())?;
    write_tls(out, &settings.tls)?;
    writeln!(out, "kafka         {}", settings.kafka.brokers)?;
    if !settings.kafka.properties.is_empty() {
        let names: Vec<&str> = settings.kafka.properties.keys().map(String::as_str).collect();
        writeln!(out, "              properties set: {}", names.join(", "))?;
    }
    for (name, path) in &settings.kafka.property_files {
        writeln!(out, "              {name} is in {}", path.display())?;
    }
    write_proxy(out, &proxy::shown(settings))?;
    let journal = &settings.journal;
    writeln!(
        out,
        "journal       up to {} a stream and {} in all, synced every {}",
        size(journal.max_bytes),
        size(journal.max_bytes_in_all),
        time(journal.sync_interval)
    )?;
    let quarantine = &settings.quarantine;
    let (most, longest) = (size(quarantine.max_bytes), time(quarantine.max_age));
    writeln!(out, "quarantine    up to {most}, for {longest}")?;
    match settings.dedup.mode {
        DedupMode::Drop => writeln!(out, "dedup         drop repeats within {}", time(settings.dedup.window))?,
        DedupMode::Mark => writeln!(out, "dedup         mark repeats within {}", time(settings.dedup.window))?,
        DedupMode::Off => writeln!(out, "dedup         off")?,
    }
    write_admin(out, &settings.admin)?;
    let format = match settings.log.format {
        LogFormat::Auto => "auto",
        LogFormat::Text => "text",
        LogFormat::Json => "json",
        LogFormat::Journald => "journald",
    };
    writeln!(out, "log           {}, {format}", settings.log.filter)?;
    writeln!(out, "shutdown      within {}", time(settings.shutdown_timeout))?;
    settings.streams.iter().try_for_each(|stream| write_stream(out, stream))
}

fn write_admin(out: &mut String, admin: &AdminSettings) -> fmt::Result {
    match &admin.listen {
        AdminListen::Off => return writeln!(out, "admin         off"),
        AdminListen::Tcp(address) => write!(out, "admin         http://{address}/")?,
        AdminListen::Unix(path) => write!(out, "admin         unix:{}", path.display())?,
    }
    match &admin.token {
        None => writeln!(out, ", without a token")?,
        Some(SecretSource::Inline(_)) => writeln!(out, ", with a token")?,
        Some(SecretSource::File(path)) => writeln!(out, ", with the token in {}", path.display())?,
    }
    if !admin.hosts.is_empty() {
        writeln!(out, "  also as     {}", admin.hosts.join(", "))?;
    }
    Ok(())
}

fn write_proxy(out: &mut String, shown: &Shown) -> fmt::Result {
    writeln!(out, "proxy         {}", shown.proxy)?;
    if !shown.through.is_empty() {
        writeln!(out, "  through it  {}", shown.through.join(", "))?;
    }
    if !shown.direct.is_empty() {
        writeln!(out, "  direct      {}", shown.direct.join(", "))?;
    }
    Ok(())
}

fn write_tls(out: &mut String, tls: &TlsSettings) -> fmt::Result {
    write!(out, "tls           trusts the authorities of this machine")?;
    match &tls.ca_file {
        Some(path) => writeln!(out, " and of {}", path.display())?,
        None => writeln!(out)?,
    }
    if let Some(ClientFiles { certificate, key }) = &tls.client {
        let (certificate, key) = (certificate.display(), key.display());
        writeln!(
            out,
            "              shows the certificate {certificate}, with the key {key}"
        )?;
    }
    Ok(())
}

fn write_stream(out: &mut String, stream: &StreamSettings) -> fmt::Result {
    writeln!(out, "stream {}", stream.name)?;
    writeln!(out, "  url         {}", stream.url)?;
    writeln!(out, "  suite       {}", stream.report_suite)?;
    write!(out, "  credential  {}: ", stream.credential.name)?;
    match &stream.credential.grant {
        Grant::Client {
            client_id,
            client_secret,
            token_url,
            ..
        } => {
            writeln!(
                out,
                "client {client_id} at {token_url}, secret {}",
                place(client_secret)
            )?;
        }
        Grant::Token { token, .. } => writeln!(out, "access token {}", place(token))?,
    }
    stream
        .outputs
        .iter()
        .try_for_each(|output| write_output(out, output.settings()))?;
    write!(
        out,
        "  connections {} of {}",
        stream.connections, stream.max_connections
    )?;
    match stream.smoothing {
        None => writeln!(out)?,
        Some(smoothing) => match smoothing.bucket_seconds {
            None => writeln!(out, ", smoothed")?,
            Some(seconds) => writeln!(out, ", smoothed over {seconds} s")?,
        },
    }
    writeln!(
        out,
        "  timings     cooldown {}, connect {}, stall {}, backfill {}, long retry {}",
        time(stream.cooldown),
        time(stream.connect_timeout),
        time(stream.stall_timeout),
        time(stream.backfill_horizon),
        time(stream.long_retry)
    )?;
    writeln!(out, "  records     up to {}", size(stream.max_record_bytes as u64))?;
    writeln!(out, "  trusts      {}", stream.trusted_hosts.join(", "))
}

fn write_output(out: &mut String, output: &OutputSettings) -> fmt::Result {
    if output.name != DEFAULT_OUTPUT {
        writeln!(out, "  output      {}", output.name)?;
    }
    write!(out, "  topic       {}, key {}", output.topic, output.key)?;
    if output.timestamp != MessageTime::Received {
        write!(out, ", timestamp {}", output.timestamp.name())?;
    }
    writeln!(out, ", dead letters to {}", output.dead_letter_topic)?;
    if let Topics::ByHit { allowed, fallback, .. } = &output.topic {
        writeln!(out, "    allowed   {}, all else to {fallback}", joined(allowed))?;
    }
    write_shape(out, &output.shape)
}

fn write_shape(out: &mut String, shape: &ShapeSettings) -> fmt::Result {
    let ShapeSettings {
        filters,
        required,
        incomplete_topic,
        privacy,
        fields,
        headers,
    } = shape;
    for (name, filter) in filters {
        let (what, condition) = match filter {
            Filter::DropIf(condition) => ("drops", condition),
            Filter::KeepIf(condition) => ("keeps only", condition),
        };
        writeln!(out, "    filter    {name} {what}: {}", on_one_line(condition.text()))?;
    }
    if !required.is_empty() {
        let otherwise = match incomplete_topic {
            Some(topic) => format!("go to {topic}"),
            None => "are dropped".to_owned(),
        };
        writeln!(out, "    required  {}; hits without {otherwise}", joined(required))?;
    }
    for (pointer, action) in privacy {
        let what = match action {
            Action::Remove => "removed".to_owned(),
            Action::Hash(key) => format!("hashed with the key {}", key.id()),
            Action::Mask { leaves } => format!("masked but for {leaves} characters"),
            Action::TruncateIp => "made coarser".to_owned(),
        };
        writeln!(out, "    privacy   {pointer} {what}")?;
    }
    match fields {
        Fields::All => {}
        Fields::Keep(pointers) => writeln!(out, "    fields    only {}", joined(pointers))?,
        Fields::Drop(pointers) => writeln!(out, "    fields    all but {}", joined(pointers))?,
    }
    for (name, template) in headers {
        writeln!(out, "    header    {name}: {}", on_one_line(&template.to_string()))?;
    }
    Ok(())
}

fn joined(items: &[impl fmt::Display]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    on_one_line(&items.join(", "))
}

/// Expressions may have several lines.
fn on_one_line(text: &str) -> String {
    text.split(char::is_control)
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

fn place(source: &SecretSource) -> String {
    match source {
        SecretSource::Inline(_) => "given inline".to_owned(),
        SecretSource::File(path) => format!("in {}", path.display()),
    }
}

fn time(duration: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(duration)
}

fn size(bytes: u64) -> impl fmt::Display {
    ByteSize(bytes).display().iec()
}
