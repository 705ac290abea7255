//! How values are spread, name by name: median, middle half, middle nine tenths.

use super::axis::{Axis, drawable};
use super::canvas::{Anchor, Ink, Swatch, WIDTH, compose, empty, width_of};
use super::palette::{FAINT, GRID, INK, MUTED, SERIES, SURFACE};
use super::text::shortened;
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
        const ROW: f64 = 27.0;
        let rows = &self.rows[..self.rows.len().min(DRAWN)];
        let lang = self.caption.lang;
        let values = rows.iter().flat_map(|row| row.quantiles).flatten();
        let Some(axis) = Axis::over(values, true, 6, self.caption.format, lang) else {
            return empty(&self.caption, width);
        };
        let extra = if self.caption.subtitle.is_some() { 18.0 } else { 0.0 };
        let height = 44.0 + extra + 22.0 + 14.0 + ROW * rows.len() as f64 + 34.0;
        let legend = [
            (lang.pick("median", "médiane"), Swatch::Stroke(INK)),
            (lang.pick("middle half", "moitié du milieu"), Swatch::Stroke(SERIES[0])),
            (lang.pick("middle 90 %", "90 % du milieu"), Swatch::Stroke(FAINT)),
        ];
        compose(&self.caption, &self.words(), (width, height), &legend, |canvas, top| {
            let names: Vec<String> = rows.iter().map(|row| shortened(&row.label, 30)).collect();
            let widest = names.iter().map(|name| width_of(name, 12.5)).fold(40.0, f64::max);
            let (left, right) = (32.0 + widest, width - 110.0);
            let (from, bottom) = (top + 8.0, height - 34.0);
            let x = axis.between(left, right);
            for (value, label) in &x.ticks {
                let at = x.place(*value);
                canvas.line(&[(at, from), (at, bottom)], GRID, 1.0)?;
                canvas.text(label, (at, bottom + 15.0), Ink::new(MUTED, 12.0, Anchor::Middle))?;
            }
            for (index, (row, name)) in rows.iter().zip(&names).enumerate() {
                let y = from + (index as f64 + 0.5) * ROW;
                canvas.text(name, (left - 10.0, y), Ink::new(INK, 12.5, Anchor::End))?;
                let n = lang.number(row.count as f64, super::Format::Integer);
                let (end, text) = match row.quantiles {
                    None => (x.place(0.0), format!("–  (n {n})")),
                    Some(quantiles) => {
                        let [lowest, low, median, high, highest] = quantiles.map(|value| x.place(value));
                        canvas.rect((lowest, y - 1.5), (highest, y + 1.5), FAINT)?;
                        canvas.rect((low, y - 8.0), (high, y + 8.0), SERIES[0])?;
                        // Edged, so that it is seen on the box as well as beside it.
                        canvas.rect((median - 2.6, y - 10.0), (median + 2.6, y + 10.0), SURFACE)?;
                        canvas.rect((median - 1.3, y - 10.0), (median + 1.3, y + 10.0), INK)?;
                        let [_, _, median, ..] = quantiles;
                        (highest, format!("{}  (n {n})", lang.number(median, self.caption.format)))
                    }
                };
                let behind = (end + 6.0 + width_of(&text, 11.5), y + 7.0);
                canvas.rect((end + 5.0, y - 7.0), behind, SURFACE)?;
                canvas.text(&text, (end + 8.0, y), Ink::new(INK, 11.5, Anchor::Start))?;
            }
            canvas.line(&[(x.place(0.0), from), (x.place(0.0), bottom)], MUTED, 1.0)
        })
    }

    fn words(&self) -> String {
        let lang = self.caption.lang;
        let known = self.rows.iter().filter_map(|row| Some((row.label.as_str(), row.quantiles?[2])));
        let known: Vec<(&str, f64)> = known.collect();
        let mut words = lang.pick(
            format!("{} rows, {} with values.", self.rows.len(), known.len()),
            format!("{} lignes, dont {} avec des valeurs.", self.rows.len(), known.len()),
        );
        if self.rows.len() > DRAWN {
            words.push_str(&lang.pick(
                format!(" The first {DRAWN} are drawn."),
                format!(" Les {DRAWN} premières sont tracées."),
            ));
        }
        let highest = known.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
        let lowest = known.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a });
        for (english, french, end) in [
            ("Highest median", "Médiane la plus haute", highest),
            ("Lowest median", "Médiane la plus basse", lowest),
        ] {
            if let Some((label, value)) = end {
                let value = lang.number(value, self.caption.format);
                words.push_str(&lang.pick(
                    format!(" {english}: {label}, {value}."),
                    format!(" {french} : {label}, {value}."),
                ));
            }
        }
        words
    }
}
