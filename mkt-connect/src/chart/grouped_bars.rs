//! Several values per name, side by side: the answers of several models to one question.

use super::axis::{Axis, drawable};
use super::canvas::{Anchor, width_of};
use super::canvas::{Ink, Swatch, WIDTH, compose, empty};
use super::palette::{GRID, INK, MUTED, SERIES};
use super::text::shortened;
use super::{Caption, caption_methods};

/// More names than this are not drawn; the description counts them.
const DRAWN_GROUPS: usize = 30;
/// Height of one bar, and of what is between two names.
const BAR: f64 = 11.0;
const GAP: f64 = 14.0;

/// A name with one value for each series.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    label: String,
    values: Vec<Option<f64>>,
    intervals: Vec<Option<(f64, f64)>>,
}

impl Group {
    /// A name and its values in the order of the series; one that is missing leaves its place empty.
    #[must_use]
    pub fn new(label: impl Into<String>, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        let values = values.into_iter().map(|value| value.and_then(drawable)).collect();
        Self { label: label.into(), values, intervals: Vec::new() }
    }

    /// The intervals around the values, in their order.
    #[must_use]
    pub fn intervals(mut self, intervals: impl IntoIterator<Item = Option<(f64, f64)>>) -> Self {
        let known = |(low, high): (f64, f64)| drawable(low).zip(drawable(high));
        self.intervals = intervals.into_iter().map(|interval| interval.and_then(known)).collect();
        self
    }
}

/// Several values per name as lying bars, one colour for each series. Bars start at zero, always.
///
/// ```
/// use mkt_connect::chart::{Format, Group, GroupedBars};
///
/// let svg = GroupedBars::new("Conversions by channel", ["last touch", "Markov"])
///     .format(Format::Integer)
///     .groups([Group::new("email", [Some(41.0), Some(63.0)]), Group::new("search", [Some(120.0), Some(98.0)])])
///     .svg();
/// assert!(svg.contains("Markov"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct GroupedBars {
    pub(super) caption: Caption,
    series: Vec<String>,
    groups: Vec<Group>,
}

impl GroupedBars {
    /// A chart of these series without names.
    #[must_use]
    pub fn new<S: Into<String>>(title: impl Into<String>, series: impl IntoIterator<Item = S>) -> Self {
        let series = series.into_iter().map(Into::into).collect();
        Self { caption: Caption::new(title), series, groups: Vec::new() }
    }

    caption_methods!();

    /// Adds names with their values. The first 30 are drawn, and of each as many values as there are series.
    #[must_use]
    pub fn groups(mut self, groups: impl IntoIterator<Item = Group>) -> Self {
        self.groups.extend(groups);
        self
    }

    /// The chart as one `<svg>` element, 760 pixels wide.
    #[must_use]
    pub fn svg(&self) -> String {
        self.draw(WIDTH)
    }

    pub(super) fn draw(&self, width: f64) -> String {
        let groups = &self.groups[..self.groups.len().min(DRAWN_GROUPS)];
        let count = self.series.len();
        let values = || groups.iter().flat_map(|group| group.values.iter().take(count).flatten().copied());
        let reach = groups.iter().flat_map(|group| group.intervals.iter().take(count).flatten());
        let reach = values().chain(reach.flat_map(|(low, high)| [*low, *high]));
        let (format, lang) = (self.caption.format, self.caption.lang);
        let axis = Axis::over(reach, true, 6, format, lang);
        let Some(axis) = axis.filter(|_| values().next().is_some()) else {
            return empty(&self.caption, width);
        };
        let legend: Vec<(&str, Swatch)> = self
            .series
            .iter()
            .zip(SERIES.iter().cycle())
            .map(|(label, role)| (label.as_str(), Swatch::Stroke(*role)))
            .collect();
        let row = BAR * count as f64 + GAP;
        let lines = legend_lines(&self.series, width);
        let head =
            44.0 + if self.caption.subtitle.is_some() { 18.0 } else { 0.0 } + 20.0 * lines as f64 + 2.0;
        let height = head + 8.0 + row * groups.len() as f64 + 34.0;
        compose(&self.caption, &self.words(), (width, height), &legend, |canvas, top| {
            let names: Vec<String> = groups.iter().map(|group| shortened(&group.label, 30)).collect();
            let widest = names.iter().map(|name| width_of(name, 12.5)).fold(40.0, f64::max);
            let (left, right) = (32.0 + widest, canvas.width - 70.0);
            let (from, bottom) = (top + 6.0, height - 34.0);
            let x = axis.between(left, right);
            for (value, label) in &x.ticks {
                let at = x.place(*value);
                canvas.line(&[(at, from), (at, bottom)], GRID, 1.0)?;
                canvas.text(label, (at, bottom + 15.0), Ink::new(MUTED, 12.0, Anchor::Middle))?;
            }
            for (index, (group, name)) in groups.iter().zip(&names).enumerate() {
                let begin = from + row * index as f64 + GAP / 2.0;
                let middle = begin + BAR * count as f64 / 2.0;
                canvas.text(name, (left - 10.0, middle), Ink::new(INK, 12.5, Anchor::End))?;
                let bars = group.values.iter().take(count).zip(SERIES.iter().cycle()).enumerate();
                for (at, (value, role)) in bars {
                    let y = begin + BAR * (at as f64 + 0.5);
                    let mut end = x.place(0.0);
                    if let Some(value) = value {
                        canvas.rect(
                            (x.place(0.0), y - BAR / 2.0 + 0.5),
                            (x.place(*value), y + BAR / 2.0 - 0.5),
                            *role,
                        )?;
                        end = end.max(x.place(*value));
                    }
                    if let Some((low, high)) = group.intervals.get(at).copied().flatten() {
                        canvas.line(&[(x.place(low), y), (x.place(high), y)], INK, 1.1)?;
                        end = end.max(x.place(high));
                    }
                    let text = value.map_or("–".to_owned(), |value| lang.number(value, format));
                    canvas.text(&text, (end + 5.0, y), Ink::new(MUTED, 9.5, Anchor::Start))?;
                }
            }
            canvas.line(&[(x.place(0.0), from), (x.place(0.0), bottom)], MUTED, 1.0)
        })
    }

    fn words(&self) -> String {
        let (groups, series) = (self.groups.len(), self.series.len());
        let mut words = self.caption.lang.pick(
            format!("{groups} names with {series} values each: {}.", self.series.join(", ")),
            format!("{groups} noms à {series} valeurs : {}.", self.series.join(", ")),
        );
        words.push_str(&super::rows::first_drawn(&self.caption, groups, DRAWN_GROUPS));
        words
    }
}

/// How many lines the header's legend takes: as it lays words out.
fn legend_lines(labels: &[String], width: f64) -> usize {
    let (mut lines, mut x) = (usize::from(!labels.is_empty()), 20.0);
    for label in labels {
        let own = 14.0 + 6.0 + width_of(&shortened(label, 40), 12.5) + 18.0;
        if x > 20.0 && x + own > width - 20.0 {
            (lines, x) = (lines + 1, 20.0);
        }
        x += own;
    }
    lines
}
