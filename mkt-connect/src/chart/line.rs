//! Curves over a number: ROC, calibration, growth.

use super::axis::{Axis, drawable};
use super::canvas::{Anchor, Ink, Swatch, WIDTH, compose, empty, width_of};
use super::curve::{draw_run, grid, runs, thinned};
use super::palette::{INK, MUTED, SERIES};
use super::text::shortened;
use super::{Caption, Format, caption_methods};

const HEIGHT: f64 = 360.0;
/// More words than this would cover the curves.
const DRAWN_MARKS: usize = 12;
/// Bands of several series lie over one another.
const BAND_OPACITY: f64 = 0.18;

/// One or more curves over a number.
///
/// ```
/// use mkt_connect::chart::{Format, Line};
///
/// let svg = Line::new("ROC curve")
///     .series("forest, AUC 0.912", [(0.0, 0.0), (0.1, 0.7), (1.0, 1.0)])
///     .diagonal()
///     .axes("false positive rate", "true positive rate")
///     .format(Format::Percent(0))
///     .x_format(Format::Percent(0))
///     .svg();
/// assert!(svg.contains("forest, AUC 0.912"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    pub(super) caption: Caption,
    series: Vec<(String, Vec<(f64, f64)>)>,
    bands: Vec<Band>,
    marks: Vec<(String, f64, f64)>,
    x_label: String,
    y_label: String,
    x_format: Format,
    diagonal: bool,
    zero: bool,
}

impl Line {
    /// A chart without curves.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self {
            caption: Caption::new(title),
            series: Vec::new(),
            bands: Vec::new(),
            marks: Vec::new(),
            x_label: String::new(),
            y_label: String::new(),
            x_format: Format::Decimal(2),
            diagonal: false,
            zero: false,
        }
    }

    caption_methods!();

    /// A curve through the points in the order given. A point that is not finite interrupts it.
    #[must_use]
    pub fn series(mut self, label: impl Into<String>, points: impl IntoIterator<Item = (f64, f64)>) -> Self {
        self.series.push((label.into(), points.into_iter().collect()));
        self
    }

    /// A shaded range around a curve, as (x, low, high) in the order of x; a point that is not finite interrupts it. It
    /// takes the colour of the series that was added last. The label says what it is; an empty one is not in the legend.
    #[must_use]
    pub fn band(
        mut self,
        label: impl Into<String>,
        points: impl IntoIterator<Item = (f64, f64, f64)>,
    ) -> Self {
        let series = self.series.len().saturating_sub(1);
        self.bands.push(Band { label: label.into(), series, points: points.into_iter().collect() });
        self
    }

    /// A dot with a word beside it, such as where one stands on a curve.
    #[must_use]
    pub fn mark(mut self, label: impl Into<String>, x: f64, y: f64) -> Self {
        self.marks.push((label.into(), x, y));
        self
    }

    /// What the two axes measure.
    #[must_use]
    pub fn axes(mut self, x: impl Into<String>, y: impl Into<String>) -> Self {
        (self.x_label, self.y_label) = (x.into(), y.into());
        self
    }

    /// How values on the horizontal axis are written.
    #[must_use]
    pub fn x_format(mut self, format: Format) -> Self {
        self.x_format = format;
        self
    }

    /// A dashed line from (0, 0) to (1, 1): chance for a ROC curve, perfection for a calibration curve.
    #[must_use]
    pub fn diagonal(mut self) -> Self {
        self.diagonal = true;
        self
    }

    /// Starts the vertical scale at zero.
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
        let (lang, format) = (self.caption.lang, self.caption.format);
        let kept = || {
            self.series.iter().flat_map(|(_, points)| {
                points.iter().filter_map(|(x, y)| Some((drawable(*x)?, drawable(*y)?)))
            })
        };
        let ends = if self.diagonal { vec![0.0, 1.0] } else { Vec::new() };
        let drawable_points = kept().count();
        let shaded = || self.bands.iter().flat_map(|band| band.points.iter().filter_map(Band::drawable));
        let marked = || self.marks.iter().map(|(_, x, y)| (*x, *y));
        let on_x = kept().map(|(x, _)| x).chain(marked().map(|(x, _)| x));
        let on_y = kept().map(|(_, y)| y).chain(shaded().flat_map(|(_, low, high)| [low, high]));
        let on_y = on_y.chain(marked().map(|(_, y)| y));
        let x = Axis::over(on_x.chain(ends.iter().copied()), false, 9, self.x_format, lang);
        let y = Axis::over(on_y.chain(ends.iter().copied()), self.zero, 7, format, lang);
        let (Some(x), Some(y)) = (x, y) else { return empty(&self.caption, width) };
        if drawable_points == 0 {
            return empty(&self.caption, width);
        }
        let role = |series: usize| SERIES[series % SERIES.len()];
        let mut legend: Vec<(&str, Swatch)> = self
            .series
            .iter()
            .enumerate()
            .map(|(at, (label, _))| (label.as_str(), Swatch::Stroke(role(at))))
            .collect();
        let names: Vec<&str> = legend.iter().take(12).map(|(label, _)| *label).collect();
        let names = names.join(", ");
        let named = self.bands.iter().filter(|band| !band.label.is_empty());
        legend.extend(named.map(|band| (band.label.as_str(), Swatch::Range(role(band.series)))));
        let words = lang.pick(
            format!("{} curves, {drawable_points} points: {names}.", self.series.len()),
            format!("{} courbes, {drawable_points} points : {names}.", self.series.len()),
        );
        compose(&self.caption, &words, (width, HEIGHT), &legend, |canvas, top| {
            let left = 28.0 + y.label_width() as f64 * 6.6 + if self.y_label.is_empty() { 0.0 } else { 18.0 };
            let (bottom, right) = (HEIGHT - if self.x_label.is_empty() { 34.0 } else { 54.0 }, width - 30.0);
            let (x, y) = (x.between(left, right), y.between(bottom, top + 10.0));
            grid(canvas, &y, left, right)?;
            for (value, label) in &x.ticks {
                canvas.text(
                    label,
                    (x.place(*value), bottom + 16.0),
                    Ink::new(MUTED, 12.0, Anchor::Middle),
                )?;
            }
            let naming = Ink::new(MUTED, 12.5, Anchor::Middle);
            let middle = (f64::midpoint(left, right), f64::midpoint(top, bottom));
            if !self.x_label.is_empty() {
                canvas.text(&self.x_label, (middle.0, HEIGHT - 16.0), naming)?;
            }
            if !self.y_label.is_empty() {
                canvas.text(&self.y_label, (20.0, middle.1), naming.turned())?;
            }
            if self.diagonal {
                canvas.dashes((x.place(0.0), y.place(0.0)), (x.place(1.0), y.place(1.0)), MUTED, 1.2)?;
            }
            for band in &self.bands {
                let known: Vec<_> = band.points.iter().map(Band::drawable).collect();
                for run in known.split(Option::is_none).filter(|run| run.len() > 1) {
                    let edge = |high: bool| -> Vec<(f64, f64)> {
                        let points = run.iter().flatten();
                        points.map(|(at, a, b)| (x.place(*at), y.place(if high { *b } else { *a }))).collect()
                    };
                    let mut outline = thinned(&edge(true));
                    outline.extend(thinned(&edge(false)).into_iter().rev());
                    canvas.polygon(&outline, role(band.series), BAND_OPACITY)?;
                }
            }
            for (at, (_, points)) in self.series.iter().enumerate() {
                let places =
                    points.iter().map(|(a, b)| Some((x.place(drawable(*a)?), y.place(drawable(*b)?))));
                for run in runs(places) {
                    draw_run(canvas, &run, role(at))?;
                }
            }
            for (label, at, height) in self.marks.iter().take(DRAWN_MARKS) {
                let (Some(at), Some(height)) = (drawable(*at), drawable(*height)) else { continue };
                let (at, height) = (x.place(at), y.place(height));
                canvas.dot((at, height), 4.0, INK)?;
                let label = shortened(label, 30);
                let fits = at + 8.0 + width_of(&label, 11.5) < right;
                let (at, anchor) = if fits { (at + 8.0, Anchor::Start) } else { (at - 8.0, Anchor::End) };
                canvas.text(&label, (at, height + 13.0), Ink::new(INK, 11.5, anchor))?;
            }
            Ok(())
        })
    }
}

/// A shaded range.
#[derive(Debug, Clone, PartialEq)]
struct Band {
    label: String,
    series: usize,
    points: Vec<(f64, f64, f64)>,
}

impl Band {
    fn drawable((x, low, high): &(f64, f64, f64)) -> Option<(f64, f64, f64)> {
        Some((drawable(*x)?, drawable(*low)?, drawable(*high)?))
    }
}
