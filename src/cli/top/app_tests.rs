use super::super::super::shown::made_up::daemon;
use super::*;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn answer(daemon: Daemon) -> Event {
    Event::Answer(Ok(Box::new(Document {
        daemon,
        notice: None,
        raw: bytes::Bytes::new(),
    })))
}

fn app() -> App {
    let mut app = App::new("127.0.0.1:9600".to_owned(), false);
    app.update(seconds(1), answer(daemon()));
    app
}

fn keys(app: &mut App, keys: &str) {
    for c in keys.chars() {
        let key = match c {
            '\n' => Key::Enter,
            '\x1b' => Key::Escape,
            '\x08' => Key::Backspace,
            '\x03' => Key::Interrupt,
            c => Key::Char(c),
        };
        app.update(app.now, Event::Key(key));
    }
}

fn names(app: &App) -> Vec<String> {
    app.rows().iter().map(|row| row.cells[0][2..].to_owned()).collect()
}

#[test]
fn troubled_streams_come_first_and_other_orders_can_be_had() {
    let mut app = app();
    assert_eq!(names(&app), ["app", "sync", "shop/0", "shop/1", "web"]);
    for (sort, first) in [
        ("name", "app"),
        ("hits/s", "sync"),
        ("backlog", "sync"),
        ("lag", "sync"),
        ("trouble", "app"),
    ] {
        keys(&mut app, "s");
        assert_eq!((app.sort.name(), names(&app)[0].as_str()), (sort, first));
    }
}

#[test]
fn a_filter_leaves_what_it_names_while_it_is_typed() {
    let mut app = app();
    keys(&mut app, "/WAIT");
    assert_eq!(names(&app), ["shop/1"]);
    keys(&mut app, "\x08\x08\x08\x08exampleshop\nq");
    assert!(app.ending().is_some(), "q is a command again");
    assert_eq!(names(&app), ["shop/0", "shop/1"]);
    keys(&mut app, "/\x1b");
    assert_eq!(names(&app).len(), 5);
}

#[test]
fn the_selection_stays_on_its_connection_when_the_order_changes() {
    let mut app = app();
    keys(&mut app, "jjj");
    let chosen = |app: &App| {
        let rows = app.rows();
        rows[app.selected(&rows)].cells[0].clone()
    };
    assert_eq!(chosen(&app), "  shop/1");
    keys(&mut app, "s");
    assert_eq!(chosen(&app), "  shop/1");
    app.update(seconds(2), Event::Key(Key::Last));
    assert_eq!(chosen(&app), "  web");
    app.update(seconds(2), Event::Key(Key::PageUp));
    assert_eq!(chosen(&app), "! app");
    keys(&mut app, "jjjjk/nothing-of-the-kind");
    assert_eq!(app.rows().len(), 0);
    keys(&mut app, "\x1b");
    assert_eq!(chosen(&app), "! sync");
}

#[test]
fn a_countdown_goes_on_between_answers_and_stands_still_without_them() {
    let mut app = app();
    let countdown = |app: &App| app.rows()[3].cells[2].clone();
    assert_eq!(countdown(&app), "47s left");
    app.update(seconds(3), Event::Tick);
    assert_eq!((countdown(&app).as_str(), app.staleness()), ("45s left", None));
    app.update(seconds(9), Event::Tick);
    assert_eq!(countdown(&app), "47s left", "as it was told");
    assert_eq!(
        app.staleness().as_deref(),
        Some("NO ANSWER; what is shown was so 8s ago")
    );
}

#[test]
fn a_daemon_that_cannot_be_reached_is_told_of_until_it_answers() {
    let mut app = App::new("127.0.0.1:9600".to_owned(), false);
    assert_eq!((app.staleness(), app.daemon()), (None, None));
    app.update(seconds(1), Event::Answer(Err("refused".to_owned())));
    app.update(seconds(3), Event::Answer(Err("refused again".to_owned())));
    assert_eq!(app.staleness().as_deref(), Some("NO DAEMON for 2s: refused again"));
    app.update(seconds(4), answer(daemon()));
    assert_eq!(app.staleness(), None);
    app.update(seconds(5), Event::Answer(Err("gone".to_owned())));
    app.update(seconds(65), Event::Tick);
    assert_eq!(
        app.staleness().as_deref(),
        Some("NO DAEMON for 1m00s; what is shown was so 1m01s ago: gone")
    );
}

#[test]
fn a_daemon_that_answers_the_same_again_and_again_is_stuck() {
    let mut app = app();
    for second in 2..16 {
        app.update(seconds(second), answer(daemon()));
        assert_eq!(app.staleness(), None);
    }
    app.update(seconds(16), answer(daemon()));
    assert!(app.staleness().unwrap().starts_with("STUCK: "));
    let moved = Daemon {
        at: "2026-11-21T10:00:16Z".to_owned(),
        ..daemon()
    };
    app.update(seconds(17), answer(moved));
    assert_eq!(app.staleness(), None);
}

#[test]
fn a_pause_holds_what_is_shown_and_says_so() {
    let mut app = app();
    keys(&mut app, "p");
    app.update(seconds(6), answer(Daemon::default()));
    assert_eq!(names(&app).len(), 5);
    assert_eq!(
        app.staleness().as_deref(),
        Some("PAUSED; what is shown was so 5s ago; p goes on")
    );
    keys(&mut app, "p");
    app.update(seconds(7), answer(Daemon::default()));
    assert_eq!((names(&app).len(), app.staleness()), (0, None));
}

#[test]
fn escape_goes_back_and_then_out() {
    for way in ["q", "\x1b", "\x03", "\nq", "e\x1b\x1b", "?q", "/x\x03"] {
        let mut app = app();
        keys(&mut app, way);
        assert_eq!(app.ending(), Some(&Ok(())), "{way:?}");
    }
    for way in ["\n", "e", "?", "\n\x1b", "e\x1b", "/q", "/\x1b", "x"] {
        let mut app = app();
        keys(&mut app, way);
        assert_eq!(app.ending(), None, "{way:?}");
    }
    let mut app = app();
    app.update(seconds(1), Event::Lost("input/output error".to_owned()));
    assert!(matches!(app.ending(), Some(Err(_))));
}
