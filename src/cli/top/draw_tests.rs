use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use serde_json::Value;

use super::super::super::admin::document::{self, Document};
use super::super::super::shown::made_up::{daemon, snapshot, well};
use super::super::app::{Event, Key};
use super::*;
use crate::upstream::is_unprintable;

fn document(daemon: &Daemon) -> Document {
    document::read(serde_json::to_vec(daemon).unwrap().into()).unwrap()
}

fn app_of(daemon: &Daemon) -> App {
    let mut app = App::new("127.0.0.1:9600".to_owned(), true);
    app.update(Duration::from_secs(1), Event::Answer(Ok(Box::new(document(daemon)))));
    app
}

fn keys(app: &mut App, keys: &str) {
    for c in keys.chars() {
        let key = if c == '\n' { Key::Enter } else { Key::Char(c) };
        app.update(Duration::from_secs(1), Event::Key(key));
    }
}

fn drawn(app: &mut App, columns: u16, lines: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| draw(app, frame)).unwrap();
    terminal.backend().buffer().clone()
}

fn text(buffer: &Buffer) -> String {
    let columns = usize::from(buffer.area.width.max(1));
    let lines = buffer.content.chunks(columns);
    let line = |cells: &[ratatui::buffer::Cell]| cells.iter().map(ratatui::buffer::Cell::symbol).collect::<String>();
    lines.map(line).collect::<Vec<_>>().join("\n")
}

fn shown(app: &mut App, columns: u16, lines: u16) -> String {
    text(&drawn(app, columns, lines))
}

#[test]
fn the_screens_of_a_daemon_in_trouble_are_as_they_were_looked_at() {
    let mut app = app_of(&daemon());
    snapshot("top/snapshots/80x24.txt", &shown(&mut app, 80, 24));
    snapshot("top/snapshots/160x50.txt", &shown(&mut app, 160, 50));
    snapshot("top/snapshots/40x10.txt", &shown(&mut app, 40, 10));
    keys(&mut app, "\n");
    snapshot("top/snapshots/detail.txt", &shown(&mut app, 80, 24));
    keys(&mut app, "e");
    snapshot("top/snapshots/events.txt", &shown(&mut app, 80, 24));
    keys(&mut app, "?");
    snapshot("top/snapshots/help.txt", &shown(&mut app, 80, 24));
    snapshot("top/snapshots/well.txt", &shown(&mut app_of(&well()), 80, 24));
}

#[test]
fn a_daemon_that_is_gone_cannot_be_overlooked() {
    let mut app = app_of(&daemon());
    app.update(
        Duration::from_secs(13),
        Event::Answer(Err("no daemon answers at 127.0.0.1:9600".to_owned())),
    );
    snapshot("top/snapshots/gone.txt", &shown(&mut app, 80, 24));
    let buffer = drawn(&mut app, 80, 24);
    assert!(buffer[(0, 3)].modifier.contains(Modifier::REVERSED), "the banner");
    assert!(buffer[(4, 8)].modifier.contains(Modifier::DIM), "the table");
    let never = &mut App::new("unix:/run/a.sock".to_owned(), true);
    assert!(shown(never, 80, 24).contains("asking unix:/run/a.sock"));
}

#[test]
fn colours_only_repeat_what_words_say() {
    let mut app = app_of(&daemon());
    let coloured = drawn(&mut app, 120, 40);
    assert!(coloured.content.iter().any(|cell| cell.fg == Color::Red));
    app.colour = false;
    let plain = drawn(&mut app, 120, 40);
    assert!(
        plain
            .content
            .iter()
            .all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset)
    );
    assert_eq!(text(&coloured), text(&plain));
}

#[test]
fn the_selected_connection_is_always_among_those_that_are_shown() {
    let mut many = daemon();
    many.streams = (0..200)
        .map(|nth| crate::status::Stream {
            name: format!("s{nth:03}"),
            ..daemon().streams[3].clone()
        })
        .collect();
    let mut app = app_of(&many);
    for (press, name) in [(0, "s000"), (30, "s030"), (150, "s180"), (99, "s199")] {
        keys(&mut app, &"j".repeat(press));
        let buffer = drawn(&mut app, 80, 24);
        let text = text(&buffer);
        let line = text
            .lines()
            .position(|line| line.starts_with(&format!("  {name} ")))
            .unwrap();
        assert!(buffer[(3, line as u16)].modifier.contains(Modifier::REVERSED), "{name}");
    }
}

/// Puts `hostile` in the place of each text that says something for people.
fn poison(value: &mut Value, hostile: &str) {
    match value {
        Value::String(text)
            if !["streaming", "waiting", "well", "set_back", "good", "upstream", "kafka"].contains(&text.as_str()) =>
        {
            *text = format!("{hostile}{text}{hostile}");
        }
        Value::Array(values) => values.iter_mut().for_each(|value| poison(value, hostile)),
        Value::Object(entries) => entries.values_mut().for_each(|value| poison(value, hostile)),
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn nothing_that_a_terminal_obeys_is_drawn() {
    let mut value = serde_json::to_value(daemon()).unwrap();
    poison(&mut value, "\x1b[2J\u{9b}31m\x07\u{202e}\u{200b}\r\n漢\u{301}");
    let document = document::read(value.to_string().into()).unwrap();
    for pane in ["", "\n", "e", "?"] {
        let mut app = App::new("a".to_owned(), true);
        app.update(Duration::from_secs(1), Event::Answer(Ok(Box::new(document.clone()))));
        keys(&mut app, pane);
        let text = shown(&mut app, 100, 60);
        assert!(text.contains("[2J"), "it is shown, without what makes it work");
        assert!(!text.chars().any(|c| c != '\n' && is_unprintable(c)), "{text:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, rng_seed: RngSeed::Fixed(8), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_size_can_be_drawn_on(
        columns in 0..200_u16, lines in 0..60_u16, pane in "[\\ne?/sjp]{0,6}", is_gone: bool, later in 0..100_u64, poisoned: bool,
    ) {
        let mut value = serde_json::to_value(daemon()).unwrap();
        if poisoned {
            poison(&mut value, "漢字 \u{301}\u{1f469}");
        }
        let mut app = App::new("a".to_owned(), true);
        let document = document::read(value.to_string().into()).unwrap();
        app.update(Duration::from_secs(1), Event::Answer(Ok(Box::new(document))));
        keys(&mut app, &pane);
        if is_gone {
            app.update(Duration::from_secs(2), Event::Answer(Err("gone".to_owned())));
        }
        app.update(Duration::from_secs(1 + later), Event::Tick);
        drawn(&mut app, columns, lines);
        drawn(&mut app, 1, 1);
        drawn(&mut App::new("a".to_owned(), true), columns, lines);
    }
}
