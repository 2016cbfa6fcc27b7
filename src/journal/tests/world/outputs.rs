//! Cursors come and go: while the store is open, and by what is wanted at a start.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::super::super::faults::Fault;
use super::super::super::{DEFAULT_CURSOR, Position};
use super::super::disk::{FaultKind, SimulatedFiles};
use super::rules::{Judged, Rule, violated};
use super::{CursorTruth, Plant, World};

/// A cursor that nobody relies on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// Nothing is left of it, not even after a power loss.
    ForSure,
    /// It was to come or to go, and that failed in the middle: its file may be there, and say up to this.
    Perhaps(Position),
}

impl World {
    /// Does while the store is open what a reload does.
    pub(super) fn add_or_remove(&mut self) -> Judged<()> {
        let names: Vec<&'static str> = self.gone.keys().copied().collect();
        let present: Vec<&'static str> = self
            .cursors
            .keys()
            .copied()
            .filter(|name| *name != DEFAULT_CURSOR)
            .collect();
        let pick = self.chance.below(names.len() as u64 + present.len() as u64) as usize;
        match names.get(pick) {
            Some(name) => self.add(name),
            None => self.remove(present[pick - names.len()]),
        }
    }

    fn add(&mut self, name: &'static str) -> Judged<()> {
        let at = self.cursors[DEFAULT_CURSOR].at;
        let files = SimulatedFiles(self.disk.clone());
        let outcome = match self.store().begin_cursor(name, at) {
            Ok(birth) => {
                let durable = if self.plant == Plant::AddedNotDurable {
                    Ok(())
                } else {
                    birth.run(&files, &self.settings.dir)
                };
                if self.chance.permille(300) {
                    self.append()?;
                }
                self.store().end_birth(&birth, durable)
            }
            Err(trouble) => Err(trouble),
        };
        self.note(|| format!("add {name} at {at}: {outcome:?}"));
        if outcome.is_ok() && !self.disk.is_dead() {
            let truth = CursorTruth {
                at,
                durable: at,
                read_to: at,
            };
            self.gone.remove(name);
            self.cursors.insert(name, truth);
            self.rely();
        } else {
            let old = self.gone[name].position();
            self.gone.insert(name, Gone::Perhaps(old.max(at)));
        }
        Ok(())
    }

    fn remove(&mut self, name: &'static str) -> Judged<()> {
        let at = self.cursors[name].at;
        self.cursors.remove(name);
        self.rely();
        let files = SimulatedFiles(self.disk.clone());
        let outcome = if self.plant == Plant::RemovedHoldsBack {
            Ok(())
        } else if self.plant == Plant::RemovedEndForgotten {
            self.store().cursors.remove(name);
            let path = self.path_of(name);
            self.disk.lose(&path);
            Ok(())
        } else {
            let removal = self.store().remove_cursor(name);
            if self.chance.permille(300) {
                self.append()?;
            }
            removal.and_then(|removal| removal.run(&files, &self.settings.dir))
        };
        self.note(|| format!("remove {name} at {at}: {outcome:?}"));
        if outcome.is_ok() && !self.disk.is_dead() {
            self.removed_to = self.removed_to.max(at);
            self.gone.insert(name, Gone::ForSure);
        } else {
            self.gone.insert(name, Gone::Perhaps(at));
        }
        Ok(())
    }

    /// What the next start wants: as a rule what there was.
    pub(super) fn configure(&mut self) -> Vec<&'static str> {
        let mut outputs: Vec<&'static str> = self
            .cursors
            .keys()
            .copied()
            .filter(|name| *name != DEFAULT_CURSOR)
            .collect();
        if self.chance.permille(300) {
            let others: Vec<&'static str> = self.gone.keys().copied().collect();
            outputs.retain(|_| self.chance.permille(600));
            outputs.extend(others.into_iter().filter(|_| self.chance.permille(400)));
        }
        outputs
    }

    /// Judges where the cursors stand that a start has found or made. Says what the slowest has passed, of what is owed to it.
    pub(super) fn judge_cursors(
        &mut self,
        after: Option<FaultKind>,
        outputs: &[&'static str],
        found: &BTreeMap<String, Position>,
        faults_before: usize,
    ) -> Judged<Position> {
        let wanted = outputs.len() + 1;
        if found.len() != wanted || !outputs.iter().all(|name| found.contains_key(*name)) {
            return violated(
                Rule::Cursor,
                format!("there are {found:?}, and wanted were {outputs:?}"),
            );
        }
        let Some(default) = found.get(DEFAULT_CURSOR).copied() else {
            return violated(Rule::Cursor, "no default cursor");
        };
        let mut passed = default;
        let before = std::mem::take(&mut self.cursors);
        for (name, cursor) in before {
            let Some(at) = found.get(name).copied() else {
                self.removed_to = self.removed_to.max(cursor.durable);
                self.gone.insert(name, Gone::Perhaps(cursor.at));
                continue;
            };
            if after.is_some() && (at < cursor.durable || at > cursor.at) {
                let (from, to) = (cursor.durable, cursor.at);
                return violated(
                    Rule::Cursor,
                    format!("{name} stands at {at} after {after:?}, and not from {from} to {to}"),
                );
            }
            passed = passed.min(at);
            self.begin(name, at);
        }
        for name in outputs {
            let Some(gone) = self.gone.remove(name) else { continue };
            let at = found[*name];
            let torn = |fault: &Fault| matches!(fault, Fault::CursorUnreadable { name: other, .. } if other == name);
            let is_right = match gone {
                // A file that a start before this one made, and could not make durable.
                Gone::ForSure => at == default || at == Position(0) && self.faults.iter().any(torn),
                Gone::Perhaps(to) => at <= default.max(to),
            };
            if !is_right {
                return violated(
                    Rule::Cursor,
                    format!("{name} begins at {at}, was {gone:?}, and the default one is at {default}"),
                );
            }
            // It may be that nothing was kept for it before.
            self.begin(name, at);
        }
        let new_faults = &self.faults[faults_before..];
        for (name, gone) in &mut self.gone {
            let is_left = |fault: &Fault| matches!(fault, Fault::CursorNotWanted { name: other, left: Some(_), .. } if other == name);
            if !new_faults.iter().any(is_left) {
                *gone = Gone::ForSure;
            }
        }
        self.rely();
        Ok(passed)
    }

    fn begin(&mut self, name: &'static str, at: Position) {
        let truth = CursorTruth {
            at,
            durable: at,
            read_to: at,
        };
        self.cursors.insert(name, truth);
    }

    /// Tells the disk which cursors may rely on it from now on.
    fn rely(&self) {
        self.disk
            .rely_on(self.cursors.keys().map(|name| self.path_of(name)).collect());
    }

    fn path_of(&self, name: &str) -> PathBuf {
        self.settings.dir.join(format!("cursor.{name}"))
    }
}

impl Gone {
    const fn position(self) -> Position {
        match self {
            Self::ForSure => Position(0),
            Self::Perhaps(position) => position,
        }
    }
}
