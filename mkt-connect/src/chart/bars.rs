//! One value per name, with its interval and the number of observations behind it.

use super::axis::{Axis, drawable};
use super::canvas::{Anchor, Canvas, Drawn, Ink, Swatch, WIDTH, compose, empty, width_of};
use super::curve::grid;
use super::palette::{FAINT, INK, MUTED, SERIES};
use super::rows::{self, Rows};
use super::text::shortened;
use super::{Caption, caption_methods};

/// More bars than this are not drawn; the description counts them.
const DRAWN_BARS: usize = 60;

/// One bar.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    label: String,
    value: Option<f64>,
    interval: Option<(f64, f64)>,
    count: Option<u64>,
    highlighted: bool,
}

impl Bar {
    /// A bar; without a value it keeps its place and shows a dash.
    #[must_use]
    pub fn new(label: impl Into<String>, value: Option<f64>) -> Self {
        let value = value.and_then(drawable);
        Self { label: label.into(), value, interval: None, count: None, highlighted: false }
    }

    /// The interval around the value, drawn as a whisker.
    #[must_use]
    pub fn interval(mut self, low: f64, high: f64) -> Self {
        self.interval = drawable(low).zip(drawable(high));
        self
    }

    /// How many observations stand behind the value.
    #[must_use]
    pub fn count(mut self, n: u64) -> Self {
        self.count = Some(n);
        self
    }

    /// Makes this bar stand out; the others turn faint.
    #[must_use]
    pub fn highlighted(mut self) -> Self {
        self.highlighted = true;
        self
    }

    fn reach(&self) -> impl Iterator<Item = f64> {
        self.value.into_iter().chain(self.interval.into_iter().flat_map(|(low, high)| [low, high]))
    }
}

/// One value per name. Bars start at zero, always.
///
/// ```
/// use mkt_connect::chart::{Bar, Bars, Format};
///
/// let svg = Bars::new("Engagement by hour")
///     .format(Format::Percent(1))
///     .bar(Bar::new("9 h", Some(0.043)).interval(0.040, 0.047).count(31))
///     .bar(Bar::new("18 h", Some(0.058)).interval(0.054, 0.062).count(44).highlighted())
///     .bar(Bar::new("3 h", None).count(0))
///     .reference("mean", 0.045)
///     .svg();
/// assert!(svg.contains("18 h"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    pub(super) caption: Caption,
    bars: Vec<Bar>,
    reference: Option<(String, f64)>,
    horizontal: bool,
}

impl Bars {
    /// A chart without bars.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self { caption: Caption::new(title), bars: Vec::new(), reference: None, horizontal: false }
    }

    caption_methods!();

    /// Adds a bar. The first 60 are drawn.
    #[must_use]
    pub fn bar(mut self, bar: Bar) -> Self {
        self.bars.push(bar);
        self
    }

    /// Adds bars.
    #[must_use]
    pub fn bars(mut self, bars: impl IntoIterator<Item = Bar>) -> Self {
        self.bars.extend(bars);
        self
    }

    /// A dashed line to compare with, such as the mean.
    #[must_use]
    pub fn reference(mut self, label: impl Into<String>, value: f64) -> Self {
        self.reference = drawable(value).map(|value| (label.into(), value));
        self
    }

    /// Lays the bars on their side: for long names and for rankings.
    #[must_use]
    pub fn horizontal(mut self) -> Self {
        self.horizontal = true;
        self
    }

    /// The chart as one `<svg>` element, 760 pixels wide.
    #[must_use]
    pub fn svg(&self) -> String {
        self.draw(WIDTH)
    }

    pub(super) fn draw(&self, width: f64) -> String {
        let bars = &self.bars[..self.bars.len().min(DRAWN_BARS)];
        let values = bars.iter().flat_map(Bar::reach).chain(self.reference.iter().map(|(_, value)| *value));
        let axis = Axis::over(values, true, 6, self.caption.format, self.caption.lang);
        match axis {
            Some(axis) if bars.iter().any(|bar| bar.value.is_some()) => {
                if self.horizontal {
                    self.lying(bars, axis, width)
                } else {
                    self.standing(bars, axis, width)
                }
            }
            _ => empty(&self.caption, width),
        }
    }

    fn standing(&self, bars: &[Bar], axis: Axis, width: f64) -> String {
        const HEIGHT: f64 = 340.0;
        let counted = bars.iter().any(|bar| bar.count.is_some());
        let named = self.named_reference();
        compose(&self.caption, &self.words(), (width, HEIGHT), &legend(named.as_deref()), |canvas, top| {
            let (left, right) = (28.0 + axis.label_width() as f64 * 6.6, width - 24.0);
            let bottom = HEIGHT - if counted { 52.0 } else { 36.0 };
            let y = axis.between(bottom, top + 22.0);
            grid(canvas, &y, left, right)?;
            let slot = (right - left) / bars.len() as f64;
            let half = (slot * 0.36).min(34.0);
            let size = if slot < 26.0 { 9.5 } else { 12.0 };
            let room = ((slot / (size * 0.56)) as usize).max(2);
            if counted {
                canvas.text("n", (left - 8.0, HEIGHT - 18.0), Ink::new(MUTED, 11.0, Anchor::End))?;
            }
            for (index, bar) in bars.iter().enumerate() {
                let x = left + (index as f64 + 0.5) * slot;
                let label = shortened(&bar.label, room);
                canvas.text(&label, (x, bottom + 15.0), Ink::new(INK, size, Anchor::Middle))?;
                if let Some(n) = bar.count {
                    let n = self.caption.lang.number(n as f64, super::Format::Integer);
                    canvas.text(&n, (x, HEIGHT - 18.0), Ink::new(MUTED, size.min(11.0), Anchor::Middle))?;
                }
                let Some(value) = bar.value else {
                    canvas.text("–", (x, bottom - 9.0), Ink::new(MUTED, 12.0, Anchor::Middle))?;
                    continue;
                };
                canvas.rect((x - half, y.place(0.0)), (x + half, y.place(value)), self.role(bar))?;
                let whisker = bar.interval.map(|(low, high)| (y.place(low), y.place(high)));
                if let Some((low, high)) = whisker {
                    canvas.line(&[(x, low), (x, high)], INK, 1.4)?;
                    for end in [low, high] {
                        canvas.line(&[(x - 4.0, end), (x + 4.0, end)], INK, 1.4)?;
                    }
                }
                let text = self.caption.lang.number(value, self.caption.format);
                if width_of(&text, 11.0) < slot - 1.0 || bar.highlighted {
                    let above = whisker.map_or(y.place(value), |(_, high)| high.min(y.place(value)));
                    canvas.text(&text, (x, above - 9.0), Ink::new(INK, 11.0, Anchor::Middle))?;
                }
            }
            canvas.line(&[(left, y.place(0.0)), (right, y.place(0.0))], MUTED, 1.0)?;
            self.draw_reference(canvas, |value| [(left, y.place(value)), (right, y.place(value))])
        })
    }

    fn lying(&self, bars: &[Bar], axis: Axis, width: f64) -> String {
        let named = self.named_reference();
        let height = rows::height(&self.caption, bars.len(), named.is_some());
        compose(&self.caption, &self.words(), (width, height), &legend(named.as_deref()), |canvas, top| {
            let labels = bars.iter().map(|bar| bar.label.as_str());
            let rows = Rows::lay(canvas, labels, axis, top, height)?;
            let x = &rows.x;
            let mut ends = Vec::with_capacity(bars.len());
            for (index, bar) in bars.iter().enumerate() {
                let y = rows.name(canvas, index)?;
                let mut end = x.place(0.0);
                if let Some(value) = bar.value {
                    canvas.rect((x.place(0.0), y - 8.5), (x.place(value), y + 8.5), self.role(bar))?;
                    end = x.place(value).max(x.place(0.0));
                }
                if let Some((low, high)) = bar.interval {
                    canvas.line(&[(x.place(low), y), (x.place(high), y)], INK, 1.4)?;
                    for at in [x.place(low), x.place(high)] {
                        canvas.line(&[(at, y - 4.0), (at, y + 4.0)], INK, 1.4)?;
                    }
                    end = end.max(x.place(high));
                }
                ends.push((end, y));
            }
            rows.origin(canvas)?;
            self.draw_reference(canvas, |value| {
                [(x.place(value), rows.from), (x.place(value), rows.bottom)]
            })?;
            for (bar, end) in bars.iter().zip(ends) {
                rows::tell(canvas, &self.caption, (bar.value, bar.count), end)?;
            }
            Ok(())
        })
    }

    /// The reference in words; the legend shows it, where no bar and no title can hide it.
    fn named_reference(&self) -> Option<String> {
        let (label, value) = self.reference.as_ref()?;
        Some(format!("{} {}", shortened(label, 30), self.caption.lang.number(*value, self.caption.format)))
    }

    fn draw_reference(&self, canvas: &Canvas<'_>, ends: impl Fn(f64) -> [(f64, f64); 2]) -> Drawn {
        let Some((_, value)) = &self.reference else { return Ok(()) };
        let [from, to] = ends(*value);
        canvas.dashes(from, to, SERIES[1], 1.6)
    }

    fn role(&self, bar: &Bar) -> super::palette::Role {
        if !bar.highlighted && self.bars.iter().any(|bar| bar.highlighted) { FAINT } else { SERIES[0] }
    }

    fn words(&self) -> String {
        let lang = self.caption.lang;
        let known: Vec<(&str, f64)> =
            self.bars.iter().filter_map(|bar| Some((bar.label.as_str(), bar.value?))).collect();
        let mut words = lang.pick(
            format!("{} bars, {} with a value.", self.bars.len(), known.len()),
            format!("{} barres, dont {} avec une valeur.", self.bars.len(), known.len()),
        );
        words.push_str(&rows::first_drawn(&self.caption, self.bars.len(), DRAWN_BARS));
        let (highest, lowest) = (("Highest", "La plus haute"), ("Lowest", "La plus basse"));
        words.push_str(&rows::extremes(&self.caption, &known, highest, lowest));
        words
    }
}

fn legend(reference: Option<&str>) -> Vec<(&str, Swatch)> {
    reference.map(|name| (name, Swatch::Stroke(SERIES[1]))).into_iter().collect()
}
