//! Figures for people, short enough for a column. Whatever the number is, something is shown: it comes from another program.

use bytesize::ByteSize;

/// The heights of a curve's points.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A length of time: `0.3s`, `47s`, `3m12s`, `5h07m`, `3d04h`.
pub(in crate::cli) fn length(seconds: f64) -> String {
    let seconds = positive(seconds);
    if seconds < 1.0 && seconds > 0.0 {
        return format!("{:.1}s", seconds.max(0.1));
    }
    let whole = seconds as u64;
    let (days, hours, minutes) = (whole / 86_400, whole / 3600 % 24, whole / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{whole}s"),
        (0, 0, _) => format!("{minutes}m{:02}s", whole % 60),
        (0, _, _) => format!("{hours}h{minutes:02}m"),
        (1..1000, _, _) => format!("{days}d{hours:02}h"),
        (_, _, _) => ">999d".to_owned(),
    }
}

/// A countdown: rounded up, so that it says 0 only when it is over.
pub(in crate::cli) fn countdown(seconds: f64) -> String {
    length(positive(seconds).ceil())
}

/// A number of bytes: `0`, `512 B`, `1.5 MiB`.
pub(in crate::cli) fn bytes(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        _ => ByteSize(bytes).display().iec().to_string(),
    }
}

/// Something a second: `0`, `0.3`, `12.4`, `1234`.
pub(in crate::cli) fn rate(rate: f64) -> String {
    let rate = positive(rate);
    match rate {
        0.0..0.05 => "0".to_owned(),
        0.05..99.95 => format!("{rate:.1}"),
        0.0..1e7 => format!("{rate:.0}"),
        _ => format!("{rate:.1e}"),
    }
}

/// A number of things: `1 record`, `7 records`.
pub(in crate::cli) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The curve of `history`, oldest first, in at most `columns`. A span of nothing is a gap, so that it can be told from little.
pub(in crate::cli) fn curve(history: &[f64], columns: usize) -> String {
    if columns == 0 || history.is_empty() {
        return String::new();
    }
    let per_column = history.len().div_ceil(columns);
    // From the newest back, so that only the oldest column may stand for fewer points.
    let mut points: Vec<f64> = history
        .rchunks(per_column)
        .map(|chunk| chunk.iter().map(|point| positive(*point)).sum::<f64>() / chunk.len() as f64)
        .collect();
    points.reverse();
    let highest = points.iter().copied().fold(0.0, f64::max);
    let column = |point: &f64| {
        let nth = (point / highest * HEIGHTS.len() as f64).ceil() as usize;
        match nth {
            0 => ' ',
            _ => HEIGHTS[nth.min(HEIGHTS.len()) - 1],
        }
    };
    points.iter().map(column).collect()
}

fn positive(number: f64) -> f64 {
    if number > 0.0 { number } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_have_two_units_at_most() {
        for (seconds, shown) in [
            (0.0, "0s"),
            (0.01, "0.1s"),
            (0.34, "0.3s"),
            (47.9, "47s"),
            (192.0, "3m12s"),
            (18_420.0, "5h07m"),
            (273_600.0, "3d04h"),
            (f64::MAX, ">999d"),
            (f64::INFINITY, ">999d"),
            (-5.0, "0s"),
            (f64::NAN, "0s"),
        ] {
            assert_eq!(length(seconds), shown, "{seconds}");
        }
        assert_eq!(
            (countdown(46.2), countdown(0.2), countdown(-1.0)),
            ("47s".into(), "1s".into(), "0s".into())
        );
    }

    #[test]
    fn rates_and_bytes_are_short_whatever_they_are() {
        for (given, shown) in [
            (0.0, "0"),
            (0.04, "0"),
            (0.31, "0.3"),
            (12.44, "12.4"),
            (1234.4, "1234"),
            (f64::MAX, "1.8e308"),
            (f64::NAN, "0"),
            (-1.0, "0"),
        ] {
            assert_eq!(rate(given), shown);
        }
        assert_eq!(
            (bytes(0), bytes(512), bytes(1536)),
            ("0".into(), "512 B".into(), "1.5 KiB".into())
        );
        assert!(bytes(u64::MAX).len() < 12);
    }

    #[test]
    fn a_curve_keeps_its_peak_and_its_gaps() {
        assert_eq!(curve(&[0.0, 1.0, 4.0, 8.0], 4), " ▁▄█");
        assert_eq!(
            curve(&[8.0, 0.0, 8.0, 0.0, 0.0], 3),
            "█▄ ",
            "the oldest stands for one point"
        );
        assert_eq!(
            (curve(&[], 9), curve(&[1.0], 0), curve(&[0.0; 3], 3)),
            (String::new(), String::new(), "   ".into())
        );
        assert_eq!(curve(&[f64::NAN, -1.0, f64::MAX], 3).chars().count(), 3);
    }
}
