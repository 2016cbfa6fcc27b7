//! What `livestreamd check` shows of a configuration: what will be done, where, with what timings. Promise: no secret, and no value of a
//! librdkafka property, because some of those are secrets.

use std::fmt::{self, Write};
use std::time::Duration;

use bytesize::ByteSize;

use super::proxy::{self, Shown};
use super::resolved::{
    AdminListen, AdminSettings, DedupMode, Grant, LogFormat, MessageKey, SecretSource, Settings, StreamSettings,
};
use super::tls::{ClientFiles, TlsSettings};

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
    let key = match stream.key {
        MessageKey::Visitor => "visitor",
        MessageKey::Hit => "hit",
        MessageKey::ReportSuite => "report_suite",
        MessageKey::None => "none",
    };
    writeln!(
        out,
        "  topic       {}, key {key}, dead letters to {}",
        stream.topic, stream.dead_letter_topic
    )?;
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
