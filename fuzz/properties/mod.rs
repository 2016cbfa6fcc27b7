//! What must hold whatever the other side sends. Each property takes arbitrary bytes and panics when it does not hold.
//!
//! The fuzz targets of the same names find the bytes; `tests/it/hostile.rs` runs every property on seeded ones in `cargo test`. Both go
//! through the public interface only.

pub mod cursor;
pub mod error_description;
pub mod outcome;
pub mod redirect;
pub mod shape;
pub mod stream_body;
pub mod token_answer;
pub mod wire;

use std::path::Path;
use std::sync::OnceLock;

use livestreamd::settings::{Format, StreamSettings, load_str};

/// The secret that no text may show. It has characters that a form writes otherwise.
pub const SECRET: &str = "p8e-s3cr3t/with+signs=";
/// So many characters of a secret are already too much.
pub const TELLING: usize = 8;

/// A stream whose credential has a token already; or, if `granted`, is granted one for [`SECRET`].
fn stream(granted: bool) -> &'static StreamSettings {
    static STREAMS: [OnceLock<StreamSettings>; 2] = [const { OnceLock::new() }; 2];
    STREAMS[usize::from(granted)].get_or_init(|| {
        let credential = if granted {
            format!("client_id = \"client-1\"\nclient_secret = {SECRET:?}")
        } else {
            "access_token = \"ready-made\"".to_owned()
        };
        let stream = "[streams.web]\nurl = \"https://livestream.adobe.net/api/1/stream/web\"";
        let text = format!("[credentials.default]\n{credential}\n{stream}\n");
        let loaded = load_str(&text, Format::Toml, [], Path::new("/nonexistent"));
        let mut settings = loaded.unwrap_or_else(|faults| panic!("{faults}")).settings;
        let mut stream = settings.streams.remove(0);
        // Shorter than any configuration may have it: short inputs shall have records that are too long.
        stream.max_record_bytes = stream_body::MAX_RECORD_BYTES;
        stream
    })
}

/// A runtime in virtual time: a wait costs nothing.
fn in_virtual_time<T>(work: impl Future<Output = T>) -> T {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(work)
}

/// Fit to be shown in a log line: one line, bounded, nothing that moves a cursor or hides what follows, and no secret.
fn assert_showable(text: &str, secrets: &[&str]) {
    let is_harmful = |c: char| {
        c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
    };
    assert!(!text.contains(is_harmful), "{text:?}");
    // What is repeated of the other side's words is 300 characters at the most, some of them written as escapes.
    assert!(text.len() <= 4_000, "{} bytes", text.len());
    for secret in secrets {
        assert!(!text.contains(&secret[..TELLING]), "{text:?}");
    }
}
