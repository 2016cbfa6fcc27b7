//! The table of connections laid out for a width; who shows it adds the colours.

use super::columns::{BETWEEN, fit};
use super::figures::curve;
use super::rows::{COLUMNS, CURVE, Row, WANTED};
use super::text::{cell, width};
use crate::status::rate::{SPAN, STEP};

/// How wide the curve is, where there is room for no more.
const CURVE_WIDTH: usize = 15;
/// So many points has a whole curve.
const POINTS: usize = (SPAN.as_secs() / STEP.as_secs()) as usize;

/// What the curve is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Curve {
    /// It is shown if there is room.
    IfRoom,
    /// It goes before some columns of figures, and takes all room that is left.
    Wanted,
}

/// The columns that are shown, by their number, and how wide each is.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Layout(Vec<(usize, usize)>);

impl Layout {
    /// The layout for these rows.
    pub(in crate::cli) fn of(rows: &[Row<'_>], width_in_all: usize, wish: Curve) -> Self {
        let mut columns = COLUMNS;
        if wish == Curve::Wanted {
            columns[CURVE].need = WANTED;
        }
        let natural: Vec<usize> = columns
            .iter()
            .enumerate()
            .map(|(nth, column)| {
                let widest = rows.iter().map(|row| width(&row.cells[nth])).max().unwrap_or_default();
                let own = if nth == CURVE { CURVE_WIDTH } else { 0 };
                widest.max(own).max(width(&title(nth, column.title)))
            })
            .collect();
        let mut shown = fit(&columns, &natural, width_in_all);
        let used = shown.iter().map(|(_, wide)| wide + BETWEEN).sum::<usize>() - BETWEEN;
        for (_, wide) in shown.iter_mut().filter(|(nth, _)| *nth == CURVE) {
            if wish == Curve::Wanted {
                *wide = (*wide + width_in_all.saturating_sub(used)).min(POINTS);
            }
            // Each column stands for as many points; what is over after that would stay empty.
            *wide = POINTS.div_ceil(POINTS.div_ceil((*wide).max(1))).min(*wide);
        }
        Self(shown)
    }

    /// The titles, each with the number of its column.
    pub(in crate::cli) fn titles(&self) -> impl Iterator<Item = (usize, String)> {
        self.0.iter().map(|(nth, wide)| {
            let column = &COLUMNS[*nth];
            (*nth, cell(&title(*nth, column.title), *wide, column.right))
        })
    }

    /// The cells of a row, each with the number of its column.
    pub(in crate::cli) fn cells(&self, row: &Row<'_>) -> impl Iterator<Item = (usize, String)> {
        self.0.iter().map(|(nth, wide)| {
            let text = match *nth {
                CURVE if row.is_first => cell(&curve(&row.stream.rates.history, *wide), *wide, true),
                nth => cell(&row.cells[nth], *wide, COLUMNS[nth].right),
            };
            (*nth, text)
        })
    }
}

/// Names stand behind a mark.
fn title(nth: usize, title: &str) -> String {
    if nth == 0 {
        format!("  {title}")
    } else {
        title.to_owned()
    }
}
