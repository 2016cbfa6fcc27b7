//! The token goes to trusted hosts over https only, and a chain of redirects ends. See `properties/redirect.rs`.
#![no_main]

#[allow(dead_code, reason = "the other targets use the rest")]
#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::redirect::check(input));
