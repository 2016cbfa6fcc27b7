//! Figures held to what the project promises of them.

use super::table::Table;

/// A figure and its goal.
#[derive(Clone, Debug)]
pub struct Check {
    what: String,
    figure: f64,
    unit: &'static str,
    bound: Bound,
}

#[derive(Clone, Copy, Debug)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

impl Check {
    /// It should be this at most.
    pub fn at_most(what: impl Into<String>, figure: f64, unit: &'static str, goal: f64) -> Self {
        let bound = Bound::AtMost(goal);
        Self {
            what: what.into(),
            figure,
            unit,
            bound,
        }
    }

    /// It should be this at least.
    pub fn at_least(what: impl Into<String>, figure: f64, unit: &'static str, goal: f64) -> Self {
        let bound = Bound::AtLeast(goal);
        Self {
            what: what.into(),
            figure,
            unit,
            bound,
        }
    }

    /// Whether it is.
    pub fn is_met(&self) -> bool {
        match self.bound {
            Bound::AtMost(goal) => self.figure <= goal,
            Bound::AtLeast(goal) => self.figure >= goal,
        }
    }
}

/// A row for each.
pub fn table(checks: &[Check]) -> Table {
    let mut table = Table::new(&["what", "measured", "goal", "met"]);
    for check in checks {
        let unit = check.unit;
        let goal = match check.bound {
            Bound::AtMost(goal) => format!("at most {}{unit}", short(goal)),
            Bound::AtLeast(goal) => format!("at least {}{unit}", short(goal)),
        };
        let met = if check.is_met() { "yes" } else { "no" };
        table.row([
            check.what.clone(),
            format!("{}{unit}", short(check.figure)),
            goal,
            met.to_owned(),
        ]);
    }
    table
}

/// Three digits or so.
fn short(figure: f64) -> String {
    match figure.abs() {
        100.0.. => format!("{figure:.0}"),
        10.0.. => format!("{figure:.1}"),
        _ => format!("{figure:.2}"),
    }
}
