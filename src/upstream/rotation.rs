//! What is in use and made of files that change while we run: when it is made anew, and when we keep what we have. Pure.
//!
//! Promise: what is broken never takes the place of what works, and is told of once.

/// What is in use, and what was seen last.
#[derive(Debug)]
pub(super) struct Rotation<T> {
    /// Or why there has not been anything usable yet.
    in_use: Result<T, String>,
    seen: Seen,
}

/// What was seen of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// They could be read, and this is the hash of what is in them. No time stamps: a file that is written twice in one tick of the
    /// file system's clock would keep its first content with us for months.
    Content([u8; 32]),
    /// They could not, for this reason.
    Unreadable(String),
}

/// What became of what was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// It is in use from now on.
    Renewed,
    /// It is of no use, for this reason: what was in use stays so.
    Kept(String),
}

impl<T> Rotation<T> {
    /// The beginning: what was made of what was seen first.
    pub(super) const fn new(seen: Seen, made: Result<T, String>) -> Self {
        Self { in_use: made, seen }
    }

    /// What to use now.
    pub(super) const fn in_use(&self) -> Result<&T, &String> {
        self.in_use.as_ref()
    }

    /// Whether this is what was seen last: then there is nothing to make and nothing to tell.
    pub(super) fn is_known(&self, seen: &Seen) -> bool {
        self.seen == *seen
    }

    /// Takes what was made of something new.
    pub(super) fn offer(&mut self, seen: Seen, made: Result<T, String>) -> Turn {
        self.seen = seen;
        match made {
            Ok(made) => {
                self.in_use = Ok(made);
                Turn::Renewed
            }
            Err(why) => {
                if self.in_use.is_err() {
                    self.in_use = Err(why.clone());
                }
                Turn::Kept(why)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Seen = Seen::Content([1; 32]);
    const B: Seen = Seen::Content([2; 32]);

    fn broken() -> (Seen, Result<u8, String>) {
        (B, Err("is broken".to_owned()))
    }

    #[test]
    fn what_is_new_and_good_takes_the_place_of_what_was() {
        let mut rotation = Rotation::new(A, Ok(1));
        assert!(rotation.is_known(&A) && !rotation.is_known(&B));
        assert_eq!(rotation.offer(B, Ok(2)), Turn::Renewed);
        assert_eq!(rotation.in_use(), Ok(&2));
        assert!(rotation.is_known(&B) && !rotation.is_known(&A));
    }

    #[test]
    fn what_is_broken_takes_no_place_and_is_told_of_once() {
        let mut rotation = Rotation::new(A, Ok(1));
        let (seen, made) = broken();
        assert_eq!(rotation.offer(seen, made), Turn::Kept("is broken".to_owned()));
        assert_eq!(rotation.in_use(), Ok(&1));
        assert!(rotation.is_known(&B), "so that it is not told of again");
        let gone = Seen::Unreadable("no such file".to_owned());
        assert!(!rotation.is_known(&gone), "something else is wrong");
        rotation.offer(gone.clone(), Err("no such file".to_owned()));
        assert!(rotation.is_known(&gone) && rotation.in_use() == Ok(&1));
        // The old content again: it is made anew, and so it is known that all is well.
        assert!(!rotation.is_known(&A));
        assert_eq!(rotation.offer(A, Ok(1)), Turn::Renewed);
    }

    #[test]
    fn without_anything_good_the_last_reason_counts_until_there_is() {
        let mut rotation = Rotation::new(A, Err("is empty".to_owned()));
        let (seen, made) = broken();
        rotation.offer(seen, made);
        assert_eq!(rotation.in_use(), Err(&"is broken".to_owned()));
        rotation.offer(A, Ok(1));
        assert_eq!(rotation.in_use(), Ok(&1));
    }
}
