//! A page in the browser: what is on it, what it complains of, and how it looks.
//!
//! Promise: a wait is for a condition, looked at whenever the page changes, up to a deadline. Everything that the page or the browser
//! finds wrong is kept: errors and warnings on the console, exceptions, violations of the policy, failed requests.

use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::chromium::Chromium;

/// How long a page may take to show what it should, on a machine that has much else to do.
const LIMIT: Duration = Duration::from_mins(2);

/// The only page of a browser of its own.
pub struct Tab {
    chromium: Chromium,
    session: String,
    complaints: Vec<String>,
}

/// The window that a page is seen through.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub width: u32,
    pub height: u32,
    pub dark: bool,
}

pub const DESK: Window = Window {
    width: 1280,
    height: 900,
    dark: false,
};
pub const PHONE: Window = Window {
    width: 360,
    height: 780,
    dark: false,
};

impl Window {
    /// The same by night.
    pub const fn dark(self) -> Self {
        Self { dark: true, ..self }
    }
}

impl Tab {
    /// Opens a browser with this page.
    #[track_caller]
    pub fn open(url: &str) -> Self {
        let mut chromium = Chromium::start();
        let target = chromium.call(None, "Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = chromium.call(None, "Target.attachToTarget", &attach);
        let session = attached["sessionId"].as_str().expect("a session has an id").to_owned();
        let mut tab = Self {
            chromium,
            session,
            complaints: Vec::new(),
        };
        for domain in ["Page", "Runtime", "Log", "Audits"] {
            tab.call(&format!("{domain}.enable"), &json!({}));
        }
        tab.look_through(DESK);
        tab.go(url);
        tab
    }

    /// Goes to a page, or loads it again.
    #[track_caller]
    pub fn go(&mut self, url: &str) {
        let gone = self.call("Page.navigate", &json!({ "url": url }));
        assert!(gone["errorText"].is_null(), "{url}: {}", gone["errorText"]);
        self.wait(
            "the page is loaded",
            &format!(
                "location.href.startsWith({}) && document.readyState === 'complete'",
                json!(url)
            ),
        );
    }

    /// What an expression gives. A promise is waited for.
    #[track_caller]
    pub fn eval(&mut self, expression: &str) -> Value {
        let params = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let mut said = self.call("Runtime.evaluate", &params);
        let exception = &said["exceptionDetails"];
        assert!(exception.is_null(), "{expression}: {exception:#}");
        said["result"]["value"].take()
    }

    /// The text of the first element that fits a selector, as a reader sees it.
    #[track_caller]
    pub fn text(&mut self, selector: &str) -> String {
        let found = self.eval(&format!("document.querySelector({})?.innerText", json!(selector)));
        let text = found
            .as_str()
            .unwrap_or_else(|| panic!("there is no {selector} on the page"));
        text.to_owned()
    }

    /// Waits until a condition holds. It is looked at when the page changes, and may break while something is not there yet.
    #[track_caller]
    pub fn wait(&mut self, what: &str, condition: &str) {
        let look = format!(
            "new Promise((done) => {{
               const holds = () => {{ try {{ return Boolean({condition}); }} catch {{ return false; }} }};
               const end = (it) => {{ watch.disconnect(); clearTimeout(timer); done(it); }};
               const look = () => holds() && end(true);
               const watch = new MutationObserver(look);
               const timer = setTimeout(() => end(holds()), {});
               watch.observe(document, {{ subtree: true, childList: true, characterData: true, attributes: true }});
               document.addEventListener('readystatechange', look);
               look();
             }})",
            LIMIT.as_millis()
        );
        if self.eval(&look) == json!(true) {
            return;
        }
        let shown = self.eval("document.body.innerText");
        panic!(
            "waited {LIMIT:?} in vain until {what}; the page says:\n{}",
            shown.as_str().unwrap_or_default()
        );
    }

    /// Waits until the text of an element holds this.
    #[track_caller]
    pub fn wait_for_text(&mut self, selector: &str, text: &str) {
        let condition = format!(
            "document.querySelector({}).innerText.includes({})",
            json!(selector),
            json!(text)
        );
        self.wait(&format!("{selector} says {text:?}"), &condition);
    }

    /// Changes the window, and what the system prefers.
    pub fn look_through(&mut self, window: Window) {
        let Window { width, height, dark } = window;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500 });
        self.call("Emulation.setDeviceMetricsOverride", &metrics);
        self.prefer("prefers-color-scheme", if dark { "dark" } else { "light" });
    }

    /// Sets one preference of the system; all others are as they come.
    pub fn prefer(&mut self, name: &str, value: &str) {
        let features = json!({ "features": [{ "name": name, "value": value }] });
        self.call("Emulation.setEmulatedMedia", &features);
    }

    /// Presses and releases a key where the focus is: one that writes, or one by its name.
    pub fn press(&mut self, key: &str) {
        // What Chromium needs besides the name, for keys that it does something about itself.
        let (code, text) = match key {
            "Tab" => (9, ""),
            "Enter" => (13, "\r"),
            "ArrowLeft" => (37, ""),
            writes => (0, writes),
        };
        for kind in ["keyDown", "keyUp"] {
            let mut event = json!({ "type": kind, "key": key, "windowsVirtualKeyCode": code });
            if kind == "keyDown" && !text.is_empty() {
                event["text"] = json!(text);
            }
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Moves the pointer to a place within an element, as parts of its width and height.
    pub fn point_at(&mut self, selector: &str, across: f64, down: f64) {
        let place = self.eval(&format!(
            "(() => {{ const box = document.querySelector({}).getBoundingClientRect();
               return {{ x: box.left + box.width * {across}, y: box.top + box.height * {down} }}; }})()",
            json!(selector)
        ));
        self.call(
            "Input.dispatchMouseEvent",
            &json!({ "type": "mouseMoved", "x": place["x"], "y": place["y"] }),
        );
    }

    /// Writes a picture of the whole page to `target/ci-artifacts/NAME.png`.
    pub fn screenshot(&mut self, name: &str) -> PathBuf {
        self.picture(name, true)
    }

    /// The same of what the window shows.
    pub fn screenshot_of_the_window(&mut self, name: &str) -> PathBuf {
        self.picture(name, false)
    }

    fn picture(&mut self, name: &str, whole: bool) -> PathBuf {
        let taken = self.call(
            "Page.captureScreenshot",
            &json!({ "format": "png", "captureBeyondViewport": whole }),
        );
        let png = STANDARD
            .decode(taken["data"].as_str().expect("a picture is text"))
            .expect("a picture is base64");
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("ci-artifacts");
        std::fs::create_dir_all(&dir).expect("a directory can be made under target");
        let file = dir.join(format!("{name}.png"));
        std::fs::write(&file, png).expect("a picture can be written under target");
        file
    }

    /// All that was complained of since the last call.
    pub fn take_complaints(&mut self) -> Vec<String> {
        // What came before this answer is known then.
        self.eval("0");
        self.sort_events();
        std::mem::take(&mut self.complaints)
    }

    /// Panics if the page or the browser complained of anything.
    #[track_caller]
    pub fn assert_no_complaints(&mut self) {
        let complaints = self.take_complaints();
        assert!(complaints.is_empty(), "{complaints:#?}");
    }

    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        let result = self.chromium.call(Some(&self.session), method, params);
        self.sort_events();
        result
    }

    fn sort_events(&mut self) {
        let events = self.chromium.take_events();
        self.complaints.extend(events.iter().filter_map(complaint));
    }
}

fn complaint(event: &Value) -> Option<String> {
    let params = &event["params"];
    match event["method"].as_str()? {
        "Runtime.consoleAPICalled" if ["error", "warning", "assert"].contains(&params["type"].as_str()?) => {
            Some(format!("console: {}", params["args"]))
        }
        "Runtime.exceptionThrown" => Some(format!("exception: {}", params["exceptionDetails"])),
        "Log.entryAdded" if ["error", "warning"].contains(&params["entry"]["level"].as_str()?) => {
            let entry = &params["entry"];
            let [source, text, url] = ["source", "text", "url"].map(|key| entry[key].as_str().unwrap_or_default());
            Some(format!("{source}: {text} {url}"))
        }
        "Audits.issueAdded" => Some(format!("issue: {}", params["issue"])),
        _ => None,
    }
}
