//! The nearest known word to one that is not known, for "did you mean". Pure.

/// The known word that is nearest to `word`, if it is near enough to be a slip of the pen. Letter case and `-` for `_` cost nothing.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = fold(word);
    // Long words are no key of ours, and the distance costs the product of the lengths.
    if word.len() > 64 {
        return None;
    }
    let slips = (word.len() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(&word, &fold(candidate)), candidate))
        .filter(|(distance, _)| *distance <= slips)
        .min()
        .map(|(_, candidate)| candidate)
}

fn fold(word: &str) -> Vec<char> {
    word.chars()
        .map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() })
        .collect()
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut cost = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                cost = cost.min(before_last[j - 1] + 1);
            }
            row.push(cost);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    const KNOWN: [&str; 4] = ["cooldown", "connections", "max_connections", "url"];

    #[test]
    fn a_slip_of_the_pen_is_recognised() {
        for (word, meant) in [
            ("cooldwon", "cooldown"),
            ("Cool-down", "cooldown"),
            ("conections", "connections"),
            ("maxConnections", "max_connections"),
            ("max-connections", "max_connections"),
            ("uri", "url"),
        ] {
            assert_eq!(nearest(word, KNOWN), Some(meant), "{word}");
        }
    }

    #[test]
    fn another_word_is_not() {
        for word in ["", "topic", "password", "längst", &"x".repeat(1000)] {
            assert_eq!(nearest(word, KNOWN), None, "{word}");
        }
    }
}
