//! Plots as SVG: bars that lie, for figures beside each other; panels over one time axis, for a course of events.
//!
//! Colours are of a palette that the colour-blind can tell apart, and nothing is told by colour alone. White ground, so that a page in the
//! dark shows them too.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
const INK: &str = "#222222";
const FAINT: &str = "#d9d9d9";
const BLUE: &str = "#0072b2";
const ORANGE: &str = "#e69f00";
const RED: &str = "#d55e00";

/// A bar: its name, and its parts from left to right.
pub struct Bar {
    pub name: String,
    pub parts: Vec<f64>,
}

/// One curve over time, in a panel of its own.
pub struct Panel {
    pub name: String,
    /// Seconds, and the figure.
    pub points: Vec<(f64, f64)>,
    /// What it should stay below.
    pub limit: Option<f64>,
}

/// Something that happened at this second.
pub struct Event {
    pub at: f64,
    pub name: &'static str,
}

/// Bars with their sums; `parts` names what they are made of.
pub fn bars(title: &str, parts: &[&str], bars: &[Bar]) -> String {
    const LEFT: f64 = 220.0;
    const TOP: f64 = 64.0;
    const STEP: f64 = 34.0;
    let most = bars
        .iter()
        .map(|bar| bar.parts.iter().sum::<f64>())
        .fold(0.0, f64::max)
        .max(f64::MIN_POSITIVE);
    let scale = (WIDTH - LEFT - 80.0) / most;
    let mut svg = Svg::new(title, TOP + STEP * bars.len() as f64 + 16.0);
    let colours = [BLUE, ORANGE];
    let mut x = LEFT;
    for (part, colour) in parts.iter().zip(colours) {
        svg.rectangle(x, 40.0, 12.0, 12.0, colour);
        svg.text(x + 18.0, 50.0, "start", part);
        x += 36.0 + 7.5 * part.len() as f64;
    }
    for (nth, bar) in bars.iter().enumerate() {
        let y = TOP + STEP * nth as f64;
        svg.text(LEFT - 10.0, y + 16.0, "end", &bar.name);
        let mut x = LEFT;
        for (part, colour) in bar.parts.iter().zip(colours) {
            svg.rectangle(x, y, part * scale, 22.0, colour);
            x += part * scale;
        }
        let sum: f64 = bar.parts.iter().sum();
        svg.text(x + 8.0, y + 16.0, "start", &format!("{sum:.1}"));
    }
    svg.end()
}

/// Panels one above the other, over the same seconds.
pub fn course(title: &str, panels: &[Panel], events: &[Event]) -> String {
    const LEFT: f64 = 80.0;
    const RIGHT: f64 = WIDTH - 24.0;
    const TOP: f64 = 96.0;
    const HEIGHT: f64 = 120.0;
    const STEP: f64 = HEIGHT + 44.0;
    let bottom = TOP + STEP * (panels.len().max(1) - 1) as f64 + HEIGHT;
    let last = panels
        .iter()
        .flat_map(|panel| &panel.points)
        .map(|(at, _)| *at)
        .fold(1.0, f64::max);
    let x = |at: f64| LEFT + at / last * (RIGHT - LEFT);
    let mut svg = Svg::new(title, bottom + 52.0);
    for at in ticks(last) {
        svg.line(x(at), TOP, x(at), bottom, FAINT, "");
        svg.text(x(at), bottom + 20.0, "middle", &tick(at));
    }
    svg.text(RIGHT, bottom + 40.0, "end", "seconds");
    for (nth, panel) in panels.iter().enumerate() {
        let top = TOP + STEP * nth as f64;
        let most = panel
            .points
            .iter()
            .map(|(_, value)| *value)
            .chain(panel.limit)
            .fold(0.0, f64::max)
            .max(f64::MIN_POSITIVE)
            * 1.08;
        let y = |value: f64| top + HEIGHT - value / most * HEIGHT;
        svg.text(LEFT, top - 8.0, "start", &panel.name);
        for value in ticks(most) {
            svg.line(LEFT, y(value), RIGHT, y(value), FAINT, "");
            svg.text(LEFT - 8.0, y(value) + 4.0, "end", &tick(value));
        }
        if let Some(limit) = panel.limit {
            svg.line(LEFT, y(limit), RIGHT, y(limit), RED, "6 4");
            svg.text(RIGHT, y(limit) - 5.0, "end", "goal: below");
        }
        svg.curve(panel.points.iter().map(|(at, value)| (x(*at), y(*value))));
    }
    for (nth, event) in events.iter().enumerate() {
        svg.line(x(event.at), TOP - 30.0, x(event.at), bottom, INK, "2 3");
        // Two rows, so that neighbours do not run into each other.
        let (anchor, beside) = if event.at > last * 0.8 {
            ("end", -5.0)
        } else {
            ("start", 5.0)
        };
        svg.text(x(event.at) + beside, 46.0 + 16.0 * (nth % 2) as f64, anchor, event.name);
    }
    svg.end()
}

/// Three to six round values from 0 up to `most`.
fn ticks(most: f64) -> Vec<f64> {
    let magnitude = 10_f64.powf((most / 4.0).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * magnitude);
    let step = steps.into_iter().find(|step| most / step <= 6.0).unwrap_or(most);
    (0..=(most / step) as u32).map(|nth| f64::from(nth) * step).collect()
}

/// A round value without the digits that make it look otherwise.
fn tick(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

struct Svg(String);

impl Svg {
    fn new(title: &str, height: f64) -> Self {
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
             font-family=\"sans-serif\" font-size=\"13\" role=\"img\">\n<title>{}</title>\n<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
            escaped(title)
        );
        let _ = writeln!(
            svg,
            "<text x=\"16\" y=\"22\" font-size=\"15\" font-weight=\"bold\" fill=\"{INK}\">{}</text>",
            escaped(title)
        );
        Self(svg)
    }

    fn rectangle(&mut self, x: f64, y: f64, width: f64, height: f64, colour: &str) {
        let _ = writeln!(
            self.0,
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>"
        );
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let text = escaped(text);
        let _ = writeln!(
            self.0,
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{INK}\">{text}</text>"
        );
    }

    fn line(&mut self, x1: f64, y1: f64, x2: f64, y2: f64, colour: &str, dashes: &str) {
        let _ = writeln!(
            self.0,
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-dasharray=\"{dashes}\"/>"
        );
    }

    fn curve(&mut self, points: impl Iterator<Item = (f64, f64)>) {
        self.0.push_str("<polyline fill=\"none\" stroke-width=\"2\" stroke=\"");
        self.0.push_str(BLUE);
        self.0.push_str("\" points=\"");
        for (x, y) in points {
            let _ = write!(self.0, "{x:.1},{y:.1} ");
        }
        self.0.push_str("\"/>\n");
    }

    fn end(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
