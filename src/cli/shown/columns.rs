//! Which columns of a table fit into a width, and how wide each may be: some shrink first, then the least needed one goes.

/// Blanks between two columns.
pub(in crate::cli) const BETWEEN: usize = 2;

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Column {
    /// What stands above it.
    pub(in crate::cli) title: &'static str,
    /// Its texts stand at its right edge.
    pub(in crate::cli) right: bool,
    /// It may be cut to so many columns; to none if that is more than it has anyway.
    pub(in crate::cli) least: usize,
    /// How much it is needed: the smallest goes first.
    pub(in crate::cli) need: u8,
}

/// Which of `columns` are shown, by their number, and how wide. `natural` is how wide each would like to be. At least one is shown.
pub(in crate::cli) fn fit(columns: &[Column], natural: &[usize], width: usize) -> Vec<(usize, usize)> {
    let mut shown: Vec<usize> = (0..columns.len()).collect();
    loop {
        let mut widths: Vec<usize> = shown.iter().map(|nth| natural[*nth]).collect();
        let room = width.saturating_sub(BETWEEN * shown.len().saturating_sub(1));
        let mut over = widths.iter().sum::<usize>().saturating_sub(room);
        // The least needed one gives way first here too.
        let mut by_need: Vec<usize> = (0..shown.len()).collect();
        by_need.sort_by_key(|at| columns[shown[*at]].need);
        for at in by_need {
            let spare = widths[at].saturating_sub(columns[shown[at]].least);
            let given = spare.min(over);
            widths[at] -= given;
            over -= given;
        }
        if over == 0 {
            return shown.into_iter().zip(widths).collect();
        }
        if let [only] = shown[..] {
            return vec![(only, width)];
        }
        let least = shown.iter().copied().min_by_key(|nth| columns[*nth].need);
        shown.retain(|nth| Some(*nth) != least);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::test_runner::RngSeed;

    use super::*;

    const COLUMNS: [Column; 3] = [
        Column {
            title: "A",
            right: false,
            least: 4,
            need: 9,
        },
        Column {
            title: "B",
            right: true,
            least: 6,
            need: 5,
        },
        Column {
            title: "C",
            right: false,
            least: 8,
            need: 1,
        },
    ];

    #[test]
    fn the_least_needed_shrinks_first_and_goes_first() {
        let fit = |width| fit(&COLUMNS, &[10, 6, 20], width);
        assert_eq!(fit(100), [(0, 10), (1, 6), (2, 20)]);
        assert_eq!(fit(32), [(0, 10), (1, 6), (2, 12)]);
        assert_eq!(fit(24), [(0, 6), (1, 6), (2, 8)]);
        assert_eq!(fit(21), [(0, 10), (1, 6)]);
        assert_eq!(fit(11), [(0, 10)]);
        assert_eq!(fit(3), [(0, 3)]);
        assert_eq!(fit(0), [(0, 0)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { rng_seed: RngSeed::Fixed(6), failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_shown_fits(natural in proptest::array::uniform3(0..40_usize), width in 0..120_usize) {
            let shown = fit(&COLUMNS, &natural, width);
            let used = shown.iter().map(|(_, width)| width).sum::<usize>() + BETWEEN * (shown.len() - 1);
            prop_assert!(used <= width, "{:?}", shown);
        }
    }
}
