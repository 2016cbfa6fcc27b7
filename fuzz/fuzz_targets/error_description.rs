//! What is shown of a refusal is one printable line, bounded, without the token. See `properties/error_description.rs`.
#![no_main]

#[allow(dead_code, reason = "the other targets use the rest")]
#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::error_description::check(input));
