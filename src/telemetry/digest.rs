//! Trouble that comes again and again: told at once, then ever more seldom, and once when it is over.
//!
//! Promise: pure. It decides what is worth a line and counts what is not; whoever asks writes the line.
//!
//! ```text
//! the first of a kind            a line at once
//! the same kind again            no line, until 1 minute after its last line, then 5, 15 and 60 minutes, and every 60 from there on
//! over                           a line, if there was one since it began; nothing is told of what nobody was told of
//! again soon after it was over   no line, until at most 5 minutes after its last line: trouble that comes and goes is summed up, too
//! ```
//!
//! So no kind is left untold, none is silent for more than an hour while it lasts, and a kind writes no more than [`MOST_LINES_A_DAY`].

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, SystemTime};

/// How long a line of a kind keeps those quiet that are like it: the first line, the second, ...; the last holds for all further ones.
const QUIET: [Duration; 4] = [
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(15),
    Duration::from_mins(60),
];

/// How many lines of a kind count, at most, when it comes again after it was over.
const LINES_REMEMBERED: usize = 2;

/// What has not come for so long begins anew when it comes, if it was over.
const CALM: Duration = Duration::from_mins(10);

/// How many lines a kind writes in a day, at most: when it comes and goes all the time, one every five minutes and those at the start.
/// As many again say that it was over. A kind that just stays writes about 27.
pub const MOST_LINES_A_DAY: usize = 24 * 12 + 2;

/// What was told of trouble lately, by kind. Times are of any clock that does not go back.
#[derive(Clone, Debug)]
pub struct Digest<K> {
    /// How many kinds are told apart.
    most: usize,
    /// Whether a kind is over when it has not come for long, and nobody says so.
    ends_by_itself: bool,
    /// None before the first trouble: most streams never have any, and there are many.
    noted: Option<Box<Noted<K>>>,
}

#[derive(Clone, Debug)]
struct Noted<K> {
    kinds: HashMap<K, Kind>,
    /// All that are too many to be told apart.
    rest: Option<Kind>,
    spell: Option<Spell>,
}

impl<K> Default for Noted<K> {
    fn default() -> Self {
        Self {
            kinds: HashMap::new(),
            rest: None,
            spell: None,
        }
    }
}

/// What a line stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// How many of its kind came without a line since the last one.
    pub untold: u64,
    /// How many of its kind there were since it began, this one included.
    pub times: u64,
    /// How long ago it began.
    pub lasts: Duration,
}

/// Trouble, of whatever kinds, that is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Over {
    /// How many there were.
    pub times: u64,
    /// How many of them came without a line since the last one of their kind.
    pub untold: u64,
    /// How long ago it began.
    pub lasted: Duration,
}

impl Told {
    /// Of something that is no trouble that may come again.
    pub const fn once() -> Self {
        Self {
            untold: 0,
            times: 1,
            lasts: Duration::ZERO,
        }
    }

    /// How often it came, if more than once.
    pub fn repeated(self) -> Option<u64> {
        (self.times > 1).then_some(self.times)
    }

    /// When it began, if it came more than once: RFC 3339, by a clock that says `wall` now.
    pub fn since(self, wall: SystemTime) -> Option<String> {
        self.repeated()?;
        let began = wall.checked_sub(self.lasts)?;
        Some(humantime::format_rfc3339_seconds(began).to_string())
    }
}

#[derive(Clone, Copy, Debug)]
struct Kind {
    began: Duration,
    times: u64,
    lines: usize,
    told: Duration,
    untold: u64,
    seen: Duration,
    is_over: bool,
}

/// From the first trouble to its end.
#[derive(Clone, Copy, Debug)]
struct Spell {
    began: Duration,
    times: u64,
    is_told: bool,
}

impl<K: Eq + Hash> Digest<K> {
    /// Of trouble whose end is told ([`Self::over`]). It tells `most` kinds apart; what is beyond that counts as one.
    pub const fn new(most: usize) -> Self {
        Self {
            most,
            ends_by_itself: false,
            noted: None,
        }
    }

    /// Of trouble whose end nobody tells: it is over when it has not come for ten minutes.
    pub const fn without_end(most: usize) -> Self {
        Self {
            most,
            ends_by_itself: true,
            noted: None,
        }
    }

    /// Trouble of this kind came. If it is worth a line: what that line stands for.
    pub fn note(&mut self, kind: K, now: Duration) -> Option<Told> {
        let Self {
            most, ends_by_itself, ..
        } = *self;
        let Noted { kinds, rest, spell } = &mut **self.noted.get_or_insert_default();
        let spell = spell.get_or_insert(Spell {
            began: now,
            times: 0,
            is_told: false,
        });
        spell.times += 1;
        if kinds.len() >= most && !kinds.contains_key(&kind) {
            kinds.retain(|_, known| !known.is_past(now, ends_by_itself));
        }
        let entry = if kinds.len() < most || kinds.contains_key(&kind) {
            kinds.entry(kind).or_insert_with(|| Kind::new(now))
        } else {
            rest.get_or_insert_with(|| Kind::new(now))
        };
        let told = entry.note(now, ends_by_itself);
        spell.is_told |= told.is_some();
        told
    }

    /// Whether trouble of this kind would get no line now.
    pub fn is_quiet(&self, kind: &K, now: Duration) -> bool {
        let known = self.noted.as_ref().and_then(|noted| noted.kinds.get(kind));
        known.is_some_and(|known| !known.is_past(now, self.ends_by_itself) && known.is_quiet(now))
    }

    /// All trouble is over. Returns what a line should say of that: none if no line has said that there was any.
    pub fn over(&mut self, now: Duration) -> Option<Over> {
        let noted = self.noted.as_mut()?;
        let spell = noted.spell.take()?;
        let mut untold = 0;
        for kind in noted.kinds.values_mut().chain(noted.rest.as_mut()) {
            kind.is_over = true;
            kind.lines = kind.lines.min(LINES_REMEMBERED);
            if spell.is_told {
                untold += std::mem::take(&mut kind.untold);
            }
        }
        spell.is_told.then(|| Over {
            times: spell.times,
            untold,
            lasted: now.saturating_sub(spell.began),
        })
    }
}

impl Kind {
    const fn new(now: Duration) -> Self {
        Self {
            began: now,
            times: 0,
            lines: 0,
            told: Duration::ZERO,
            untold: 0,
            seen: now,
            is_over: false,
        }
    }

    fn is_past(&self, now: Duration, ends_by_itself: bool) -> bool {
        (self.is_over || ends_by_itself) && now.saturating_sub(self.seen) >= CALM
    }

    fn is_quiet(&self, now: Duration) -> bool {
        let quiet = self.lines.checked_sub(1).map(|last| QUIET[last.min(QUIET.len() - 1)]);
        quiet.is_some_and(|quiet| now.saturating_sub(self.told) < quiet)
    }

    fn note(&mut self, now: Duration, ends_by_itself: bool) -> Option<Told> {
        if self.is_past(now, ends_by_itself) {
            self.lines = 0;
            self.is_over = true;
        }
        if std::mem::take(&mut self.is_over) {
            (self.began, self.times) = (now, 0);
        }
        self.times += 1;
        self.seen = now;
        if self.is_quiet(now) {
            self.untold += 1;
            return None;
        }
        self.lines += 1;
        self.told = now;
        Some(Told {
            untold: std::mem::take(&mut self.untold),
            times: self.times,
            lasts: now.saturating_sub(self.began),
        })
    }
}

/// What is the same in texts that are alike. Not a part of it: numbers, and whatever is written with one, such as an address.
pub fn likeness(text: &str) -> String {
    text.chars().filter(|c| !c.is_ascii_digit()).collect()
}

#[cfg(test)]
#[path = "digest_tests.rs"]
mod tests;
