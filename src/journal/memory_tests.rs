use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use proptest::prelude::*;

use super::super::BatchKind;
use super::super::batch::HEADER_BYTES;
use super::*;
use crate::journal::Journal;

fn batch(length: usize, slot: u8) -> NewBatch {
    NewBatch {
        kind: BatchKind::Records,
        received_ms: 7,
        slot,
        bytes: Bytes::from(vec![slot; length]),
    }
}

fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

fn now<F: Future>(future: F) -> Option<F::Output> {
    match poll_once(pin!(future)) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[test]
fn what_was_appended_is_read_back_in_order_from_any_position() {
    let journal = Journal::in_memory(1 << 20);
    let first = now(journal.append(batch(10, 1))).unwrap().unwrap();
    let second = now(journal.append(batch(20, 2))).unwrap().unwrap();
    assert_eq!((first, second), (Position(0), Position(42)));
    for (from, expected) in [
        (0, Some(first)),
        (41, Some(first)),
        (42, Some(second)),
        (93, Some(second)),
        (94, None),
    ] {
        let found = now(journal.next(Position(from))).map(|found| found.unwrap().position);
        assert_eq!(found, expected, "from {from}");
    }
    assert_eq!(journal.backlog_bytes(), 94);
}

#[test]
fn a_description_without_bytes_is_read_once_and_passed() {
    let journal = Journal::in_memory(1 << 20);
    let description = NewBatch {
        kind: BatchKind::TooLong { length: 9 },
        ..batch(0, 0)
    };
    now(journal.append(description)).unwrap().unwrap();
    let found = now(journal.next(Position(0))).unwrap().unwrap();
    assert!(now(journal.next(found.end())).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_reader_at_the_end_is_woken_by_the_next_append() {
    let journal = Arc::new(Journal::in_memory(1 << 20));
    let reader = tokio::spawn({
        let journal = Arc::clone(&journal);
        async move { journal.next(Position(0)).await }
    });
    tokio::task::yield_now().await;
    assert!(!reader.is_finished());
    journal.append(batch(3, 5)).await.unwrap();
    assert_eq!(reader.await.unwrap().unwrap().slot, 5);
}

#[test]
fn a_full_journal_makes_writers_wait_in_turn_and_drops_nothing() {
    let journal = Journal::in_memory(100);
    now(journal.append(batch(60, 1))).unwrap().unwrap();
    let mut large = pin!(journal.append(batch(50, 2)));
    let mut small = pin!(journal.append(batch(1, 3)));
    assert!(poll_once(large.as_mut()).is_pending());
    // There is no room for the large one, so the small one, which came later, must not overtake it.
    assert!(poll_once(small.as_mut()).is_pending());
    assert!(journal.is_full());
    journal.advance(DEFAULT_CURSOR, Position(91));
    assert!(poll_once(large.as_mut()).is_pending(), "the batch is not passed yet");
    journal.advance(DEFAULT_CURSOR, Position(92));
    assert!(matches!(poll_once(large.as_mut()), Poll::Ready(Ok(Position(92)))));
    assert!(poll_once(small.as_mut()).is_pending(), "the large one took the room");
    journal.advance(DEFAULT_CURSOR, Position(174));
    assert!(matches!(poll_once(small.as_mut()), Poll::Ready(Ok(Position(174)))));
    assert!(!journal.is_full());
}

#[test]
fn a_batch_larger_than_the_journal_is_admitted_when_that_is_empty() {
    let journal = Journal::in_memory(50);
    now(journal.append(batch(1, 1))).unwrap().unwrap();
    let mut large = pin!(journal.append(batch(1000, 2)));
    assert!(poll_once(large.as_mut()).is_pending());
    journal.advance(DEFAULT_CURSOR, Position(33));
    assert!(poll_once(large.as_mut()).is_ready());
    assert!(now(journal.append(batch(0, 3))).is_none(), "nothing fits beside it");
    journal.advance(DEFAULT_CURSOR, journal.end());
    assert!(now(journal.append(batch(0, 3))).is_some());
}

#[test]
fn a_cancelled_append_leaves_nothing_behind() {
    let journal = Journal::in_memory(100);
    now(journal.append(batch(60, 1))).unwrap().unwrap();
    {
        let mut cancelled = pin!(journal.append(batch(60, 2)));
        assert!(poll_once(cancelled.as_mut()).is_pending());
        assert!(journal.is_full());
    }
    assert!(!journal.is_full());
    assert_eq!(journal.end(), Position(92));
    journal.advance(DEFAULT_CURSOR, Position(92));
    let after = now(journal.append(batch(68, 3))).expect("all the room is back");
    assert_eq!(after, Ok(Position(92)));
}

#[test]
fn a_closed_journal_is_read_to_its_end_and_takes_no_more() {
    let journal = Journal::in_memory(100);
    now(journal.append(batch(60, 1))).unwrap().unwrap();
    let mut waiting = pin!(journal.append(batch(60, 2)));
    assert!(poll_once(waiting.as_mut()).is_pending());
    let mut reader = pin!(journal.next(Position(92)));
    assert!(poll_once(reader.as_mut()).is_pending());
    journal.close();
    assert!(matches!(
        poll_once(waiting.as_mut()),
        Poll::Ready(Err(AppendError::Closed))
    ));
    assert!(matches!(poll_once(reader.as_mut()), Poll::Ready(None)));
    assert_eq!(now(journal.append(batch(1, 3))), Some(Err(AppendError::Closed)));
    assert!(now(journal.next(Position(0))).unwrap().is_some());
    assert!(now(journal.next(Position(92))).unwrap().is_none());
}

#[test]
fn a_batch_stays_until_every_cursor_has_passed_it() {
    let journal = Journal::in_memory_for(1000, &["audit"]);
    now(journal.append(batch(10, 1))).unwrap().unwrap();
    now(journal.append(batch(10, 2))).unwrap().unwrap();
    assert_eq!(journal.cursor("audit"), Some(Position(0)));
    journal.advance(DEFAULT_CURSOR, Position(84));
    assert_eq!(journal.backlog_bytes(), 84);
    assert_eq!(now(journal.next(Position(0))).unwrap().unwrap().slot, 1);
    journal.advance("audit", Position(42));
    assert_eq!(now(journal.next(Position(0))).unwrap().unwrap().slot, 2);
    let backlogs = [DEFAULT_CURSOR, "audit", "other"].map(|name| journal.backlog_of(name));
    assert_eq!(backlogs, [Some(0), Some(42), None]);
}

#[test]
fn a_cursor_comes_where_the_default_one_stands_and_goes_for_good() {
    let journal = Journal::in_memory(84);
    now(journal.append(batch(10, 1))).unwrap().unwrap();
    now(journal.append(batch(10, 2))).unwrap().unwrap();
    journal.advance("audit", Position(42));
    assert_eq!(journal.cursor("audit"), None, "nobody has asked for it");
    journal.advance(DEFAULT_CURSOR, Position(42));
    assert_eq!(journal.add_cursor("audit"), Ok(Position(42)));
    journal.advance(DEFAULT_CURSOR, Position(84));
    assert_eq!(journal.add_cursor("audit"), Ok(Position(42)), "it is there");
    let mut waiting = pin!(journal.append(batch(30, 3)));
    assert!(poll_once(waiting.as_mut()).is_pending());
    assert_eq!(journal.remove_cursor("audit"), Ok(42));
    assert!(poll_once(waiting.as_mut()).is_ready(), "it holds nothing back any more");
    journal.advance("audit", Position(84));
    assert_eq!((journal.cursor("audit"), journal.remove_cursor("audit")), (None, Ok(0)));
    for name in [DEFAULT_CURSOR, "", "A", "a.b"] {
        let refused = Err(CursorError::Name(name.to_owned()));
        assert_eq!(
            (journal.add_cursor(name), journal.remove_cursor(name).map(Position)),
            (refused.clone(), refused)
        );
    }
    journal.close();
    assert_eq!(journal.add_cursor("audit"), Err(CursorError::Closed));
}

#[derive(Debug, Default)]
struct Counted(AtomicUsize);

impl CursorGuard for Counted {
    fn store(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn sync(&self) {}
}

#[test]
fn a_cursor_moves_after_its_own_guard_was_asked_and_takes_it_along() {
    let journal = Journal::in_memory_for(1000, &["audit"]);
    let guard = Arc::new(Counted::default());
    assert!(journal.guard_cursor("audit", Some(guard.clone())).is_none());
    assert!(journal.guard_cursor("other", Some(guard.clone())).is_none());
    journal.advance(DEFAULT_CURSOR, Position(0));
    assert_eq!(guard.0.load(Ordering::Relaxed), 0);
    journal.advance("audit", Position(0));
    assert_eq!(guard.0.load(Ordering::Relaxed), 1);
    assert_eq!(journal.remove_cursor("audit"), Ok(0));
    assert_eq!(Arc::strong_count(&guard), 1);
}

#[test]
fn a_cursor_goes_neither_back_nor_beyond_the_end() {
    let journal = Journal::in_memory(1000);
    now(journal.append(batch(10, 1))).unwrap().unwrap();
    journal.advance(DEFAULT_CURSOR, Position(40));
    journal.advance(DEFAULT_CURSOR, Position(4));
    assert_eq!(journal.cursor(DEFAULT_CURSOR).unwrap(), Position(40));
    journal.advance(DEFAULT_CURSOR, Position(4000));
    assert_eq!(journal.cursor(DEFAULT_CURSOR).unwrap(), Position(42));
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Cancel(usize),
    Read(u64),
    Advance(bool, u64),
    NewCursor,
    CursorGone,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..120_usize).prop_map(Step::Append),
        1 => (0..120_usize).prop_map(Step::Cancel),
        4 => (0..2000_u64).prop_map(Step::Read),
        4 => (any::<bool>(), 0..2000_u64).prop_map(|(second, position)| Step::Advance(second, position)),
        1 => Just(Step::NewCursor),
        1 => Just(Step::CursorGone),
    ]
}

/// All that was ever appended, in a plain list.
#[derive(Default)]
struct Model {
    appended: Vec<Batch>,
    default: Position,
    second: Option<Position>,
}

impl Model {
    fn end(&self) -> Position {
        self.appended.last().map_or(Position(0), Batch::end)
    }

    fn slowest(&self) -> Position {
        self.second.map_or(self.default, |second| second.min(self.default))
    }

    fn kept(&self) -> impl Iterator<Item = &Batch> {
        self.appended.iter().filter(|batch| batch.end() > self.slowest())
    }

    fn has_room(&self, max: u64, size: u64) -> bool {
        let held: u64 = self
            .kept()
            .map(|batch| batch.end().since(batch.position).min(max))
            .sum();
        held + size.min(max) <= max
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, ..ProptestConfig::default() })]

    #[test]
    fn the_journal_behaves_as_a_list_of_all_that_was_appended(max in 1..400_u64, steps in prop::collection::vec(step(), 1..60)) {
        let journal = Journal::in_memory(max);
        let mut model = Model::default();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Append(length) => {
                    let new = batch(length, number as u8);
                    let expected = model.has_room(max, new.size()).then(|| model.end());
                    prop_assert_eq!(now(journal.append(new.clone())).map(Result::unwrap), expected);
                    if let Some(position) = expected {
                        model.appended.push(new.at(position));
                    }
                }
                Step::Cancel(length) => {
                    let size = HEADER_BYTES + length as u64;
                    if !model.has_room(max, size) {
                        prop_assert!(now(journal.append(batch(length, 0))).is_none());
                    }
                }
                Step::Read(from) => {
                    let expected = model.kept().find(|batch| batch.end() > Position(from)).cloned();
                    let found = now(journal.next(Position(from))).map(|found| Batch::clone(&found.unwrap()));
                    prop_assert_eq!(found, expected);
                }
                Step::Advance(second, position) => {
                    let to = Position(position).min(model.end());
                    if second {
                        if let Some(cursor) = &mut model.second {
                            *cursor = to.max(*cursor);
                        }
                        journal.advance("second", Position(position));
                    } else {
                        model.default = to.max(model.default);
                        journal.advance(DEFAULT_CURSOR, Position(position));
                    }
                }
                Step::NewCursor => {
                    let cursor = *model.second.get_or_insert(model.default);
                    prop_assert_eq!(journal.add_cursor("second"), Ok(cursor));
                }
                Step::CursorGone => {
                    let bytes = model.second.take().map_or(0, |second| model.end().since(second));
                    prop_assert_eq!(journal.remove_cursor("second"), Ok(bytes));
                }
            }
            prop_assert_eq!(journal.cursor("second"), model.second);
            prop_assert_eq!(journal.end(), model.end());
            prop_assert_eq!(journal.backlog_bytes(), model.end().since(model.slowest()));
            prop_assert!(!journal.is_full());
        }
    }
}
