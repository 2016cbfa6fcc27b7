//! The properties that the fuzz targets look for bytes against (`fuzz/`), on seeded bytes: short of the fuzzer's cleverness, but in every run.

#[path = "../../fuzz/properties/mod.rs"]
mod properties;

/// Inputs of all lengths: some of any bytes, some of few different ones, so that the same thing comes again.
fn for_seeded_inputs(count: u64, most: usize, check: impl Fn(&[u8])) {
    for seed in 0..count {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut draw = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize
        };
        let (length, kinds) = (draw() % most, [256, 32, 8, 160][draw() % 4]);
        let input: Vec<u8> = (0..length).map(|_| (draw() % kinds) as u8).collect();
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&input)));
        assert!(outcome.is_ok(), "input {seed} breaks it: {input:?}");
    }
}

#[test]
fn only_whole_records_come_of_any_answer_however_it_is_cut_into_reads() {
    for_seeded_inputs(3_000, 400, properties::stream_body::check);
}

#[test]
fn no_chain_of_locations_leads_the_token_astray_or_has_no_end() {
    for_seeded_inputs(100_000, 120, properties::redirect::check);
}

#[test]
fn no_answer_of_the_token_endpoint_has_a_secret_shown() {
    for_seeded_inputs(10_000, 120, properties::token_answer::check);
}

#[test]
fn no_refusal_shows_a_secret_or_moves_a_line() {
    for_seeded_inputs(20_000, 400, properties::error_description::check);
}

#[test]
fn no_hit_is_without_a_verdict_whatever_its_shape() {
    for_seeded_inputs(50_000, 120, properties::shape::check);
}

#[test]
fn no_line_is_without_an_outcome_and_a_test_that_expects_it_passes() {
    for_seeded_inputs(20_000, 120, properties::outcome::check);
}
