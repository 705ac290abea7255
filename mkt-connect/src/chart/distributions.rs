//! How values are spread, name by name: median, middle half, middle nine tenths.

use super::axis::{Axis, drawable};
use super::canvas::{Swatch, WIDTH, compose, empty};
use super::palette::{FAINT, INK, SERIES, SURFACE};
use super::rows::{self, Rows};
use super::{Caption, caption_methods};

/// More rows than this are not drawn; the description counts them.
const DRAWN: usize = 40;

/// The values of one name, by five of their quantiles.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    label: String,
    /// At 5, 25, 50, 75 and 95 %.
    quantiles: Option<[f64; 5]>,
    count: u64,
}

impl Distribution {
    /// The quantiles at 5, 25, 50, 75 and 95 % of `n` values; without them the row keeps its place and shows a dash.
    #[must_use]
    pub fn new(label: impl Into<String>, quantiles: Option<[f64; 5]>, n: u64) -> Self {
        let known = quantiles.filter(|values| values.iter().all(|value| drawable(*value).is_some()));
        Self { label: label.into(), quantiles: known, count: n }
    }

    fn median(&self) -> Option<f64> {
        self.quantiles.map(|[_, _, median, ..]| median)
    }
}

/// One row per name: a line over the middle nine tenths of the values, a box over their middle half, a mark at the median
/// (a box plot: Tukey 1977, *Exploratory Data Analysis*).
///
/// ```
/// use mkt_connect::chart::{Distribution, Distributions, Format};
///
/// let svg = Distributions::new("Engagement by type")
///     .format(Format::Percent(1))
///     .row(Distribution::new("photo", Some([0.02, 0.04, 0.05, 0.06, 0.09]), 146))
///     .row(Distribution::new("story", None, 0))
///     .svg();
/// assert!(svg.contains("photo"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Distributions {
    pub(super) caption: Caption,
    rows: Vec<Distribution>,
}

impl Distributions {
    /// A chart without rows.
    #[must_use]
    pub fn new(title: impl Into<String>) -> Self {
        Self { caption: Caption::new(title), rows: Vec::new() }
    }

    caption_methods!();

    /// Adds a row. The first 40 are drawn.
    #[must_use]
    pub fn row(mut self, row: Distribution) -> Self {
        self.rows.push(row);
        self
    }

    /// Adds rows.
    #[must_use]
    pub fn rows(mut self, rows: impl IntoIterator<Item = Distribution>) -> Self {
        self.rows.extend(rows);
        self
    }

    /// The chart as one `<svg>` element, 760 pixels wide.
    #[must_use]
    pub fn svg(&self) -> String {
        self.draw(WIDTH)
    }

    pub(super) fn draw(&self, width: f64) -> String {
        let drawn = &self.rows[..self.rows.len().min(DRAWN)];
        let lang = self.caption.lang;
        let values = drawn.iter().flat_map(|row| row.quantiles).flatten();
        let Some(axis) = Axis::over(values, true, 6, self.caption.format, lang) else {
            return empty(&self.caption, width);
        };
        let height = rows::height(&self.caption, drawn.len(), true);
        let legend = [
            (lang.pick("median", "médiane"), Swatch::Stroke(INK)),
            (lang.pick("middle half", "moitié du milieu"), Swatch::Stroke(SERIES[0])),
            (lang.pick("middle 90 %", "90 % du milieu"), Swatch::Stroke(FAINT)),
        ];
        compose(&self.caption, &self.words(), (width, height), &legend, |canvas, top| {
            let labels = drawn.iter().map(|row| row.label.as_str());
            let rows = Rows::lay(canvas, labels, axis, top, height)?;
            for (index, row) in drawn.iter().enumerate() {
                let y = rows.name(canvas, index)?;
                let mut end = rows.x.place(0.0);
                if let Some(quantiles) = row.quantiles {
                    let [lowest, low, median, high, highest] = quantiles.map(|value| rows.x.place(value));
                    canvas.rect((lowest, y - 1.5), (highest, y + 1.5), FAINT)?;
                    canvas.rect((low, y - 8.0), (high, y + 8.0), SERIES[0])?;
                    // Edged, so that it is seen on the box as well as beside it.
                    canvas.rect((median - 2.6, y - 10.0), (median + 2.6, y + 10.0), SURFACE)?;
                    canvas.rect((median - 1.3, y - 10.0), (median + 1.3, y + 10.0), INK)?;
                    end = highest;
                }
                rows::tell(canvas, &self.caption, (row.median(), Some(row.count)), (end, y))?;
            }
            rows.origin(canvas)
        })
    }

    fn words(&self) -> String {
        let known: Vec<(&str, f64)> =
            self.rows.iter().filter_map(|row| Some((row.label.as_str(), row.median()?))).collect();
        let mut words = self.caption.lang.pick(
            format!("{} rows, {} with values.", self.rows.len(), known.len()),
            format!("{} lignes, dont {} avec des valeurs.", self.rows.len(), known.len()),
        );
        words.push_str(&rows::first_drawn(&self.caption, self.rows.len(), DRAWN));
        let highest = ("Highest median", "Médiane la plus haute");
        let lowest = ("Lowest median", "Médiane la plus basse");
        words.push_str(&rows::extremes(&self.caption, &known, highest, lowest));
        words
    }
}
