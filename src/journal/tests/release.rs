//! A journal that is let go of while the others go on, and opened again.

use super::super::{AppendError, DEFAULT_CURSOR, Journals, JournalsSettings, Position};
use super::shell::{batch, becomes, settings, within};

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn a_released_journal_is_opened_again_where_it_was_left_and_no_other_is_touched() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), 10 * MIB)).unwrap();
    let (web, app) = (journals.open("web", &[]).unwrap(), journals.open("app", &[]).unwrap());
    for number in 0..10 {
        web.append(batch(number, 10)).await.unwrap();
        app.append(batch(number, 10)).await.unwrap();
    }
    let (cursor, end) = (Position(4 * 42), web.end());
    web.advance(DEFAULT_CURSOR, cursor);
    assert!(journals.release("web", &web), "all of it is durable");
    assert_eq!(web.append(batch(10, 10)).await, Err(AppendError::Closed));

    let again = journals.open("web", &[]).unwrap();
    assert_eq!((again.cursor(DEFAULT_CURSOR).unwrap(), again.end()), (cursor, end));
    // The old one is nobody's business any more.
    web.advance(DEFAULT_CURSOR, end);
    let mut at = cursor;
    for number in 4..10 {
        let found = within("a batch", again.next(at)).await.unwrap();
        assert_eq!(found.received_ms, number);
        at = found.end();
    }
    let next = again.append(batch(10, 10)).await.unwrap();
    assert!(next >= end);
    app.append(batch(10, 10)).await.unwrap();
    assert_eq!(app.backlog_bytes(), 11 * 42);
    assert!(journals.stop());
    let journals = Journals::start(settings(dir.path(), 10 * MIB)).unwrap();
    assert_eq!(
        journals.open("web", &[]).unwrap().cursor(DEFAULT_CURSOR).unwrap(),
        cursor
    );
}

#[tokio::test]
async fn what_is_appended_last_is_written_before_a_journal_is_let_go_of() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(settings(dir.path(), 10 * MIB)).unwrap();
    for round in 0..50_u64 {
        let web = journals.open("web", &[]).unwrap();
        assert_eq!(web.backlog_bytes(), round * 42, "round {round}");
        web.append(batch(round, 10)).await.unwrap();
        assert!(journals.release("web", &web));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_room_of_a_released_journal_is_there_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let journals = Journals::start(JournalsSettings {
        max_bytes_in_all: MIB,
        ..settings(dir.path(), 10 * MIB)
    })
    .unwrap();
    let (greedy, modest) = (
        journals.open("greedy", &[]).unwrap(),
        journals.open("modest", &[]).unwrap(),
    );
    let modest = std::sync::Arc::new(modest);
    let length = 60_000;
    // 256 KiB are the first one's own, and 640 KiB are left for both by then.
    for number in 0..14 {
        within("room", greedy.append(batch(number, length))).await.unwrap();
    }
    let waiting = {
        let modest = modest.clone();
        tokio::spawn(async move {
            for number in 0..10 {
                modest.append(batch(number, length)).await.unwrap();
            }
        })
    };
    becomes("the other one waits for room", || modest.is_full()).await;
    assert!(modest.backlog_bytes() < 4 * length as u64, "{}", modest.backlog_bytes());
    assert!(journals.release("greedy", &greedy));
    within("room again", waiting).await.unwrap();
    // What it holds on disk is counted again when it is opened again: there is no room for all that would come now.
    let greedy = journals.open("greedy", &[]).unwrap();
    assert_eq!(greedy.backlog_bytes(), 14 * (length as u64 + 32));
    let one_more = {
        let modest = modest.clone();
        tokio::spawn(async move { modest.append(batch(10, length)).await })
    };
    becomes("it waits again", || modest.is_full()).await;
    modest.close();
    assert_eq!(within("the end", one_more).await.unwrap(), Err(AppendError::Closed));
}
