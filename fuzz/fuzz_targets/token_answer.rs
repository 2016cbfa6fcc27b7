//! A token or a failure, within bounds, and no text shows the secret or the token. See `properties/token_answer.rs`.
#![no_main]

#[allow(dead_code, reason = "the other targets use the rest")]
#[path = "../properties/mod.rs"]
mod properties;

libfuzzer_sys::fuzz_target!(|input: &[u8]| properties::token_answer::check(input));
