//! The pure parts of the whole-process benchmark (`benches/pipeline/`), which runs too long to be a test.

#![allow(dead_code, clippy::print_stderr, reason = "parts of another program")]

use std::collections::HashSet;
use std::io::Read as _;
use std::path::Path;

use livestreamd::hit::{inspect, records};

#[path = "../../benches/pipeline/corpus/mod.rs"]
mod corpus;
#[path = "../../benches/pipeline/contenders/metrics.rs"]
mod metrics;
#[path = "../../benches/pipeline/report/plot.rs"]
mod plot;
#[path = "../../benches/pipeline/stats.rs"]
mod stats;

use corpus::{Corpus, PIECE_HITS, Piece, hit};

/// The gzip stream that a server makes of these pieces.
fn served(corpus: &Corpus, pieces: &[u64]) -> Vec<u8> {
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    let mut all = Piece {
        raw: 0,
        compressed: 0,
        crc: 0,
    };
    for nth in pieces {
        let chunks = std::fs::read(corpus.chunks(*nth)).unwrap();
        let mut rest = &*chunks;
        while !rest.is_empty() {
            let line = rest.windows(2).position(|two| two == b"\r\n").unwrap();
            let length = usize::from_str_radix(std::str::from_utf8(&rest[..line]).unwrap(), 16).unwrap();
            gzip.extend_from_slice(&rest[line + 2..line + 2 + length]);
            rest = &rest[line + length + 4..];
        }
        all = all.followed_by(corpus.piece(*nth).unwrap());
    }
    gzip.extend_from_slice(&[3, 0]);
    gzip.extend_from_slice(&all.crc.to_le_bytes());
    gzip.extend_from_slice(&(all.raw as u32).to_le_bytes());
    gzip
}

#[test]
fn pieces_of_a_corpus_in_any_row_are_one_gzip_stream_of_different_hits() {
    let dir = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).unwrap();
    let corpus = Corpus::at(dir.path(), 2_460);
    corpus.prepare(2).unwrap();
    let gzip = served(&corpus, &[1, 0]);
    let mut plain = Vec::new();
    // Checks the checksum and the length as well.
    flate2::read::GzDecoder::new(&*gzip).read_to_end(&mut plain).unwrap();
    let ids: HashSet<(u64, u64)> = records(&plain)
        .map(|record| inspect(record.bytes).unwrap().hit_id.unwrap())
        .collect();
    assert_eq!(ids.len() as u64, 2 * PIECE_HITS);
    let mean = plain.len() as u64 / (2 * PIECE_HITS);
    assert!((2_380..2_540).contains(&mean), "{mean}");
    let tenths = plain.len() * 10 / gzip.len();
    assert!((50..65).contains(&tenths), "gzip makes it {tenths} tenths smaller");
}

#[test]
fn hits_have_the_mean_size_asked_for_and_live_ones_begin_with_their_stamp() {
    for mean in [1_000, 2_460, 16_000] {
        let mut all = Vec::new();
        for number in 0..2_000 {
            let start = all.len();
            hit::write(number, mean, Some(1_234_567), &mut all);
            assert!(inspect(&all[start..]).unwrap().visitor_id.is_some());
            assert!(all[start..].starts_with(b"{\"sent\":\"0000000001234567\","));
        }
        let made = all.len() / 2_000;
        // What every hit has takes most of the smallest.
        assert!(made.abs_diff(mean) < mean / 8, "{made} and not {mean}");
    }
}

#[test]
fn the_median_is_the_middle_and_the_spread_a_part_of_it() {
    assert!((stats::median(&[9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
    assert!((stats::median(&[4.0, 1.0, 2.0, 8.0]) - 3.0).abs() < 1e-9);
    assert!((stats::spread(&[9.0, 10.0, 12.0]) - 0.3).abs() < 1e-9);
    assert!(stats::median(&[]).abs() < 1e-9 && stats::spread(&[]).abs() < 1e-9);
}

#[test]
fn samples_are_added_up_over_streams_and_a_quantile_is_a_buckets_bound() {
    let page = "\
a_total{stream=\"x\"} 3
a_total{stream=\"y\"} 4
a_total_of_others 100
b_bucket{stream=\"x\",le=\"0.1\"} 90
b_bucket{stream=\"x\",le=\"0.5\"} 97
b_bucket{stream=\"x\",le=\"+Inf\"} 98
b_bucket{stream=\"y\",le=\"0.1\"} 0
b_bucket{stream=\"y\",le=\"0.5\"} 2
b_bucket{stream=\"y\",le=\"+Inf\"} 2
c 5
";
    assert!((metrics::sum_of(page, "a_total") - 7.0).abs() < 1e-9);
    assert!((metrics::sum_of(page, "c") - 5.0).abs() < 1e-9);
    assert_eq!(metrics::quantile(page, "b", 0.5), Some(0.1));
    assert_eq!(metrics::quantile(page, "b", 0.99), Some(0.5));
    assert_eq!(metrics::quantile(page, "b", 1.0), Some(f64::INFINITY));
    assert_eq!(metrics::quantile("", "b", 0.5), None);
}

#[test]
fn the_longest_bar_and_every_curve_stay_within_the_plot() {
    let bars = [("a < b", [1.0, 2.0]), ("c", [500.0, 700.0])].map(|(name, parts)| plot::Bar {
        name: name.to_owned(),
        parts: parts.to_vec(),
    });
    let svg = plot::bars("bars & more", &["user", "system"], &bars);
    assert!(svg.contains("a &lt; b") && svg.contains("bars &amp; more"), "{svg}");
    let far = |attribute: &str, svg: &str| {
        let values = svg
            .split(attribute)
            .skip(1)
            .filter_map(|rest| rest.split(['"', ',', ' ']).next()?.parse::<f64>().ok());
        values.fold(0.0, f64::max)
    };
    assert!(far(" x=\"", &svg) < 760.0, "{svg}");
    let panel = plot::Panel {
        name: "panel".to_owned(),
        points: vec![(0.0, 0.0), (100.0, 7.0), (250.0, 3.0)],
        limit: Some(20.0),
    };
    let svg = plot::course(
        "course",
        &[panel],
        &[plot::Event {
            at: 249.0,
            name: "late",
        }],
    );
    assert!(far(" x2=\"", &svg) <= 760.0 && far("points=\"", &svg) <= 760.0, "{svg}");
    assert!(
        !svg.contains("NaN") && svg.contains("text-anchor=\"end\" fill=\"#222222\">late"),
        "{svg}"
    );
}
