//! What the page looks like with a daemon that is made up: nothing is missing, nothing is cut off, and all can be read.

use std::time::Duration;

use livestreamd::status::{Board, Daemon};

use super::sample;
use super::tab::{DESK, PHONE, Tab, Window};

/// All pairs of text and ground on the page with too little contrast (WCAG 2, AA: 4.5, or 3 for large text).
const PALE_TEXTS: &str = "
(() => {
  const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, nth) => sum + c * [0.2126, 0.7152, 0.0722][nth], 0);
  const ground = (node) => {
    for (; node; node = node.parentElement) {
      const [r, g, b, a = 1] = numbers(getComputedStyle(node).backgroundColor);
      if (a > 0) return [r, g, b];
    }
    return [255, 255, 255];
  };
  const pale = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !node.checkVisibility() || ['SCRIPT', 'STYLE', 'OPTION'].includes(node.tagName)) continue;
    const style = getComputedStyle(node);
    const [a, b] = [light(numbers(style.color)), light(ground(node))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const isLarge = size >= 24 || (size >= 18.66 && style.fontWeight >= 700);
    if (contrast < (isLarge ? 3 : 4.5)) pale.push(`${contrast.toFixed(2)} ${walk.currentNode.data.trim()}`);
  }
  return pale;
})()";
const EVERY_ROW: &str = "[...document.querySelectorAll('.stream')].map((row) => row.dataset.stream).join()";

async fn shown(daemon: Daemon) -> (Board, livestreamd::admin::Admin, Tab) {
    let board = Board::new(daemon);
    let admin = sample::show(&board).await;
    let mut tab = Tab::open(admin.url());
    tab.wait("streams are shown", "document.querySelectorAll('.stream').length > 0");
    (board, admin, tab)
}

/// Leaves a picture as well.
fn assert_looks_fine(tab: &mut Tab, window: Window, name: &str) {
    assert_fits(tab, window);
    let file = tab.screenshot(name);
    assert!(file.metadata().unwrap().len() > 10_000, "{name}: an empty picture");
}

fn assert_fits(tab: &mut Tab, window: Window) {
    tab.look_through(window);
    let width = tab.eval("document.documentElement.scrollWidth");
    assert_eq!(
        width.as_u64(),
        Some(u64::from(window.width)),
        "{window:?}: scrolls sideways"
    );
    let pale = tab.eval(PALE_TEXTS);
    assert_eq!(pale.as_array().map(Vec::len), Some(0), "{window:?}: {pale:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_daemon_that_fares_well_looks_so_by_day_and_by_night_and_on_a_phone() {
    let (_board, _admin, mut tab) = shown(sample::with_a_cooldown()).await;
    assert_eq!(tab.text("#verdict-title"), "Ready");
    assert_eq!(tab.text("#verdict-words"), "5 of 6 streams are streaming.");
    assert_eq!(tab.eval("document.title"), "● ready · livestreamd");
    assert_eq!(
        tab.eval("getComputedStyle(document.body).backgroundColor"),
        "rgb(244, 245, 247)"
    );
    assert_looks_fine(&mut tab, DESK, "status-page-light");
    // For the documentation: small enough for a repository.
    tab.look_through(Window { height: 780, ..DESK });
    let file = tab.screenshot_of_the_window("status-page");
    assert!(file.metadata().unwrap().len() < 150_000, "it is in docs/, too");
    assert_looks_fine(&mut tab, DESK.dark(), "status-page-dark");
    assert_eq!(
        tab.eval("getComputedStyle(document.body).backgroundColor"),
        "rgb(15, 18, 22)"
    );
    assert_looks_fine(&mut tab, PHONE, "status-page-phone");
    tab.assert_no_complaints();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_that_is_the_matter_is_told_in_words_and_words_from_outside_stay_words() {
    let (_board, _admin, mut tab) = shown(sample::in_trouble()).await;
    assert_eq!(tab.text("#verdict-title"), "Not ready: 3 hindrances");
    assert_eq!(tab.eval("document.title"), "▲ 3 hindrances · livestreamd");
    let hindrances = tab.text("#hindrances");
    for told in [
        "no connection after 4 attempts",
        "Kafka has not taken records for 94 s",
        "output purchases: records have waited for 41 s",
        "What to do: let the daemon's principal",
    ] {
        assert!(
            hindrances.to_lowercase().contains(&told.to_lowercase()),
            "{told}: {hindrances}"
        );
    }
    // Those in trouble first, then the one that waits.
    assert_eq!(tab.eval(EVERY_ROW), "checkout,intranet,shop,web,app,news");
    for (row, told) in [
        (
            "intranet",
            [
                "Kafka refuses records",
                "70.0 MiB",
                "about 91,200 records, oldest 1 min 36 s",
                "Produces again in 0:",
            ],
        ),
        (
            "shop",
            [
                "No connection",
                "The token is not taken.",
                "hits are probably lost",
                sample::HOSTILE,
            ],
        ),
        (
            "web",
            [
                "1 of 2 streaming",
                "0: Streaming",
                "1: Waiting",
                "The service is not available just now.",
            ],
        ),
        (
            "checkout",
            [
                "12 duplicates",
                "the service ended the stream",
                "13 ms more to Kafka",
                "output purchases",
            ],
        ),
    ] {
        let text = tab.text(&format!("#stream-{row}"));
        for told in told {
            assert!(text.contains(told), "{row}: {told}: {text}");
        }
    }
    assert!(tab.text("#events").contains("Kafka does not take records"));
    tab.eval("for (const fold of document.querySelectorAll('details')) fold.open = true");
    tab.wait_for_text("#events", sample::HOSTILE);
    assert!(tab.text("#stream-shop").contains("livestreamd explain 401"));
    assert_eq!(tab.eval("document.querySelectorAll('img, main script').length"), 0);
    tab.eval("document.querySelector('#stream-checkout .unfold').click()");
    let panel = tab.text("#stream-checkout-panel");
    for told in [
        "Output purchases",
        "to livestream.purchases.{field:/geoCountry|other}, stalled, 96,120 delivered, 4,716,225 held back or incomplete",
        "3 dead letters, 3 in quarantine, 9.0 MiB to deliver",
    ] {
        assert!(panel.contains(told), "{told}: {panel}");
    }
    assert_looks_fine(&mut tab, DESK, "status-page-trouble");
    assert_looks_fine(&mut tab, DESK.dark(), "status-page-trouble-dark");
    assert_looks_fine(&mut tab, PHONE, "status-page-trouble-phone");
    tab.assert_no_complaints();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_worked_by_keys_alone() {
    let (_board, _admin, mut tab) = shown(sample::in_trouble()).await;
    let focus = "document.activeElement.id || document.activeElement.className";
    tab.press("Tab");
    assert_eq!(tab.eval(focus), "skip");
    tab.press("Tab");
    assert_eq!(
        tab.eval("document.activeElement.textContent"),
        "checkout",
        "the first hindrance leads to its stream"
    );
    tab.press("/");
    assert_eq!(tab.eval(focus), "filter-text");
    for key in ["s", "h", "o"] {
        tab.press(key);
    }
    tab.wait_for_text("#streams-count", "1 of 6");
    assert_eq!(
        tab.eval("[...document.querySelectorAll('.stream:not([hidden])')].map((row) => row.dataset.stream).join()"),
        "shop"
    );
    tab.eval("document.querySelector('#hindrances a').click()");
    tab.wait_for_text("#streams-count", "6");
    assert_eq!(
        tab.eval(focus),
        "stream-checkout",
        "a stream that is filtered out is shown all the same"
    );

    // The curve tells its values one by one.
    tab.eval("document.querySelector('#stream-app .spark').focus()");
    let value = "document.activeElement.getAttribute('aria-valuetext')";
    assert!(tab.eval(value).as_str().unwrap().ends_with(" a second, now"));
    tab.press("ArrowLeft");
    tab.press("ArrowLeft");
    assert!(tab.eval(value).as_str().unwrap().ends_with(" a second, 20 s ago"));
    tab.wait_for_text("#stream-app .bubble", "20 s ago");
    tab.point_at("#stream-web .spark", 0.5, 0.5);
    tab.wait_for_text("#stream-web .bubble", "7 min 30 s ago");

    tab.eval("document.querySelector('#stream-app .unfold').focus()");
    tab.press("Enter");
    tab.wait_for_text("#stream-app .panel", "livestream.dead-letters");
    assert_eq!(tab.eval("document.activeElement.getAttribute('aria-expanded')"), "true");
    tab.assert_no_complaints();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_streams_are_updated_in_place_and_without_a_stutter() {
    let (board, _admin, mut tab) = shown(sample::many()).await;
    assert_eq!(tab.eval("document.querySelectorAll('.stream').length"), 200);
    assert_eq!(
        tab.eval("document.querySelector('.stream').dataset.stream"),
        "suite-199",
        "the one in trouble comes first"
    );
    assert_fits(&mut tab, PHONE);
    tab.look_through(DESK);
    tab.eval(
        "window.rows = [...document.querySelectorAll('.stream')];
         window.tasks = [];
         new PerformanceObserver((list) => tasks.push(...list.getEntries().map((one) => one.duration))).observe({ type: 'longtask' });
         rows[7].querySelector('.unfold').focus();",
    );
    // Everything changes, and one that did well is in trouble.
    let mut next = sample::many();
    next.at = "2030-01-01T00:00:00Z".to_owned();
    for stream in &mut next.streams {
        stream.rates.now += 1.0;
        stream.counts.hits += 17;
        stream.connections[0].since_seconds += 1.0;
    }
    next.streams[100].connections = next.streams[199].connections.clone();
    next.hindrances = livestreamd::status::hindrances(&next);
    let many = next.hindrances.len();
    board.post(next);
    tab.wait_for_text("#verdict-title", &format!("{many} hindrances"));
    assert_eq!(
        tab.eval("document.querySelectorAll('.stream')[0].dataset.stream"),
        "suite-100"
    );
    assert_eq!(
        tab.eval("rows.every((row) => row.isConnected)"),
        true,
        "no row is made anew"
    );
    assert_eq!(
        tab.eval("document.activeElement === rows[7].querySelector('.unfold')"),
        true,
        "the focus stays"
    );
    let longest = tab.eval("Math.max(0, ...tasks)").as_f64().unwrap();
    // Some tens of milliseconds on an idle machine.
    assert!(longest < 1_000.0, "the page stood still for {longest} ms");
    tab.assert_no_complaints();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_wants_no_motion_gets_none() {
    let (_board, _admin, mut tab) = shown(sample::with_a_cooldown()).await;
    let moves = "getComputedStyle(document.querySelector('.note .bar i')).transitionDuration";
    assert_ne!(tab.eval(moves), "0s");
    tab.prefer("prefers-reduced-motion", "reduce");
    assert_eq!(tab.eval(moves), "0s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_status_that_is_sent_again_and_again_is_soon_called_old() {
    let (board, _admin, mut tab) = shown(sample::well()).await;
    let same = board.clone();
    let repeating = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_secs(1));
        loop {
            ticks.tick().await;
            same.post((*same.last().daemon).clone());
        }
    });
    tab.wait_for_text("#stale", "The daemon is silent.");
    repeating.abort();
    assert_eq!(tab.text("#verdict-title"), "No connection to the daemon");
    assert_eq!(tab.eval("document.title"), "✕ no connection · livestreamd");
    board.post(sample::well());
    tab.wait(
        "the page is fresh",
        "!document.body.className && document.querySelector('#stale').hidden",
    );
    assert_eq!(tab.text("#verdict-title"), "Ready");
    tab.assert_no_complaints();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_breaks_the_policy_would_be_noticed() {
    let (_board, _admin, mut tab) = shown(sample::well()).await;
    tab.assert_no_complaints();
    for breach in [
        "document.body.setAttribute('style', 'color: red')",
        "document.body.append(Object.assign(document.createElement('script'), { textContent: 'window.taken = 1' }))",
        "document.body.append(Object.assign(document.createElement('img'), { src: 'http://127.0.0.1:1/x.png' }))",
        "setTimeout(() => { throw new Error('on purpose') })",
        "console.error('on purpose')",
    ] {
        tab.eval(breach);
        tab.eval("new Promise((done) => setTimeout(done))");
        assert!(!tab.take_complaints().is_empty(), "{breach}");
    }
    assert_eq!(tab.eval("window.taken === undefined"), true);
}
