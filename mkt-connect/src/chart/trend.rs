//! Dated points, and what they come to: a rolling line, a band, marks.

use chrono::NaiveDate;

use super::axis::{Axis, day_number, day_ticks, drawable};
use super::canvas::{Anchor, Canvas, Drawn, Ink, RANGE_OPACITY, Swatch, WIDTH, compose, empty, width_of};
use super::curve::{draw_run, grid, runs, thinned};
use super::palette::{FAINT, INK, MUTED, SERIES};
use super::text::shortened;
use super::{Caption, caption_methods};

const HEIGHT: f64 = 330.0;
/// Pieces of a band beyond this are not drawn: narrower than a pixel each, they would only swell the file.
const DRAWN_RANGES: usize = 700;

type Dated = (NaiveDate, Option<f64>);
type DatedRange = (NaiveDate, Option<(f64, f64)>);

/// A measure over time. Days without a value leave a gap; nothing is interpolated.
///
/// ```
/// use chrono::NaiveDate;
/// use mkt_connect::chart::{Format, Trend};
///
/// let day = |d| NaiveDate::from_ymd_opt(2026, 3, d).unwrap();
/// let svg = Trend::new("Engagement rate by reach")
///     .format(Format::Percent(1))
///     .points("posts", [(day(1), Some(0.041)), (day(2), None), (day(3), Some(0.055))])
///     .rolling("mean of 7 days", [(day(1), Some(0.041)), (day(3), Some(0.048))])
///     .svg();
/// assert!(svg.contains("mean of 7 days"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Trend {
    pub(super) caption: Caption,
    points: Option<(String, Vec<(NaiveDate, f64)>)>,
    rolling: Vec<(String, Vec<Dated>)>,
    band: Option<(String, Vec<DatedRange>)>,
    marks: Vec<(NaiveDate, String)>,
    zero: bool,
}

impl Trend {
    /// An empty trend.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            caption: Caption::new(title),
            points: None,
            rolling: Vec::new(),
            band: None,
            marks: Vec::new(),
            zero: false,
        }
    }

    caption_methods!();

    /// The single values, as faint dots (several per day are fine). Missing ones are left out.
    #[must_use]
    pub fn points(
        mut self,
        label: impl Into<String>,
        points: impl IntoIterator<Item = (NaiveDate, Option<f64>)>,
    ) -> Self {
        let mut points: Vec<(NaiveDate, f64)> =
            points.into_iter().filter_map(|(day, value)| Some((day, drawable(value?)?))).collect();
        points.sort_by_key(|(day, _)| *day);
        self.points = Some((label.into(), points));
        self
    }

    /// A line; a `None` interrupts it. May be called for several lines.
    #[must_use]
    pub fn rolling(
        mut self,
        label: impl Into<String>,
        line: impl IntoIterator<Item = (NaiveDate, Option<f64>)>,
    ) -> Self {
        let mut line: Vec<(NaiveDate, Option<f64>)> =
            line.into_iter().map(|(day, value)| (day, value.and_then(drawable))).collect();
        line.sort_by_key(|(day, _)| *day);
        self.rolling.push((label.into(), line));
        self
    }

    /// A shaded range around the first line, as (low, high) of each day; a `None` interrupts it. The label says what it
    /// is.
    #[must_use]
    pub fn band(
        mut self,
        label: impl Into<String>,
        band: impl IntoIterator<Item = (NaiveDate, Option<(f64, f64)>)>,
    ) -> Self {
        let known = |(low, high): (f64, f64)| drawable(low).zip(drawable(high));
        let mut band: Vec<DatedRange> =
            band.into_iter().map(|(day, range)| (day, range.and_then(known))).collect();
        band.sort_by_key(|(day, _)| *day);
        self.band = Some((label.into(), band));
        self
    }

    /// A dashed vertical line with a word: a metric that changed its meaning, a campaign that began.
    #[must_use]
    pub fn mark(mut self, day: NaiveDate, label: impl Into<String>) -> Self {
        self.marks.push((day, label.into()));
        self
    }

    /// Starts the scale at zero.
    #[must_use]
    pub fn from_zero(mut self) -> Self {
        self.zero = true;
        self
    }

    /// The chart as one `<svg>` element, 760 pixels wide.
    #[must_use]
    pub fn svg(&self) -> String {
        self.draw(WIDTH)
    }

    pub(super) fn draw(&self, width: f64) -> String {
        let dots = self.points.as_ref().map_or(&[][..], |(_, points)| points);
        let band = self.band.as_ref().map_or(&[][..], |(_, band)| band);
        let on_lines = || {
            self.rolling
                .iter()
                .flat_map(|(_, line)| line.iter().filter_map(|(day, value)| Some((*day, (*value)?))))
        };
        let values = dots
            .iter()
            .map(|(_, value)| *value)
            .chain(on_lines().map(|(_, value)| value))
            .chain(band.iter().filter_map(|(_, range)| *range).flat_map(|(low, high)| [low, high]));
        let days = || {
            dots.iter()
                .map(|(day, _)| *day)
                .chain(on_lines().map(|(day, _)| day))
                .chain(band.iter().filter(|(_, range)| range.is_some()).map(|(day, _)| *day))
        };
        let Some(y) = Axis::over(values, self.zero, 6, self.caption.format, self.caption.lang) else {
            return empty(&self.caption, width);
        };
        let (Some(first), Some(last)) = (days().min(), days().max()) else {
            return empty(&self.caption, width);
        };
        let mut legend: Vec<(&str, Swatch)> = Vec::new();
        if let Some((label, _)) = &self.points {
            legend.push((label, Swatch::Dot(if self.rolling.is_empty() { SERIES[0] } else { FAINT })));
        }
        legend.extend(
            self.rolling
                .iter()
                .zip(SERIES.iter().cycle())
                .map(|((label, _), role)| (label.as_str(), Swatch::Stroke(*role))),
        );
        if let Some((label, _)) = &self.band {
            legend.push((label, Swatch::Range(FAINT)));
        }
        let words = self.words(first, last, dots, on_lines().count());
        compose(&self.caption, &words, (width, HEIGHT), &legend, |canvas, top| {
            let (bottom, left, right) = (HEIGHT - 34.0, 28.0 + y.label_width() as f64 * 6.6, width - 24.0);
            let y = y.between(bottom, top + 10.0);
            let x = Axis::plain(day_number(first), day_number(last)).between(left + 8.0, right - 8.0);
            grid(canvas, &y, left, right)?;
            self.draw_days(canvas, &x, first, last, (top + 6.0, bottom))?;
            let unbroken = band.split(|(_, range)| range.is_none()).filter(|run| run.len() > 1);
            for run in unbroken.take(DRAWN_RANGES) {
                let known =
                    || run.iter().filter_map(|(day, range)| Some((x.place(day_number(*day)), (*range)?)));
                let upper: Vec<_> = known().map(|(at, (_, high))| (at, y.place(high))).collect();
                let lower: Vec<_> = known().map(|(at, (low, _))| (at, y.place(low))).collect();
                let mut outline = thinned(&upper);
                outline.extend(thinned(&lower).into_iter().rev());
                canvas.polygon(&outline, FAINT, RANGE_OPACITY)?;
            }
            let placed: Vec<(f64, f64)> =
                dots.iter().map(|(day, value)| (x.place(day_number(*day)), y.place(*value))).collect();
            let role = if self.rolling.is_empty() { SERIES[0] } else { FAINT };
            for at in thinned(&placed) {
                canvas.dot(at, 2.6, role)?;
            }
            for ((_, line), role) in self.rolling.iter().zip(SERIES.iter().cycle()) {
                let places =
                    line.iter().map(|(day, value)| Some((x.place(day_number(*day)), y.place((*value)?))));
                for run in runs(places) {
                    draw_run(canvas, &run, *role)?;
                }
            }
            Ok(())
        })
    }

    fn draw_days(
        &self,
        canvas: &Canvas<'_>,
        x: &Axis,
        first: NaiveDate,
        last: NaiveDate,
        (top, bottom): (f64, f64),
    ) -> Drawn {
        for (day, label) in day_ticks(first, last, self.caption.lang) {
            let at = x.place(day_number(day));
            canvas.line(&[(at, bottom), (at, bottom + 4.0)], MUTED, 1.0)?;
            canvas.text(&label, (at, bottom + 16.0), Ink::new(MUTED, 12.0, Anchor::Middle))?;
        }
        for (day, label) in self.marks.iter().filter(|(day, _)| (first..=last).contains(day)).take(20) {
            let at = x.place(day_number(*day));
            canvas.dashes((at, top), (at, bottom), MUTED, 1.0)?;
            let label = shortened(label, 40);
            let fits = at + 6.0 + width_of(&label, 11.5) < canvas.width - 20.0;
            let (at, anchor) = if fits { (at + 5.0, Anchor::Start) } else { (at - 5.0, Anchor::End) };
            canvas.text(&label, (at, top + 6.0), Ink::new(INK, 11.5, anchor))?;
        }
        Ok(())
    }

    fn words(&self, first: NaiveDate, last: NaiveDate, dots: &[(NaiveDate, f64)], on_lines: usize) -> String {
        let lang = self.caption.lang;
        let (first, last) = (lang.day(first), lang.day(last));
        let mut words = lang.pick(
            format!("{} dots and {on_lines} points on lines from {first} to {last}.", dots.len()),
            format!(
                "{} points isolés et {on_lines} points sur des lignes, du {first} au {last}.",
                dots.len()
            ),
        );
        for (label, line) in &self.rolling {
            let mut values = line.iter().filter_map(|(_, value)| *value);
            if let Some(start) = values.next() {
                let end = values.next_back().unwrap_or(start);
                let [start, end] = [start, end].map(|value| lang.number(value, self.caption.format));
                words.push_str(&lang.pick(
                    format!(" {label}: {start} at the beginning, {end} at the end."),
                    format!(" {label} : {start} au début, {end} à la fin."),
                ));
            }
        }
        words
    }
}
