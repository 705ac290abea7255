//! Rows × columns on one ramp of seven steps; a cell without a value is marked, never coloured.

use super::axis::drawable;
use super::canvas::{Anchor, Canvas, Drawn, Ink, WIDTH, compose, empty, width_of};
use super::palette::{GRID, INK, MUTED, ON_HIGH, ON_LOW, RAMP, Role};
use super::text::shortened;
use super::{Caption, Format, caption_methods};

/// The first step of the ramp that needs the text colour for strong cells.
pub(super) const FIRST_HIGH_STEP: usize = 4;
/// Rows and columns beyond this are not drawn; the description counts them.
const DRAWN: usize = 60;

/// One cell.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cell {
    /// What the colour shows; `None` marks the cell as empty.
    pub value: Option<f64>,
    /// How many observations stand behind it.
    pub count: Option<u64>,
}

/// What is written in the cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CellText {
    /// The value, where it fits.
    #[default]
    Value,
    /// The number of observations.
    Count,
    /// Nothing.
    Nothing,
}

/// Rows × columns: cohorts by month, weekdays by hour.
///
/// ```
/// use mkt_connect::chart::{Cell, Format, HeatMap};
///
/// let svg = HeatMap::new("Retention", ["2026-01", "2026-02"], ["M0", "M1"])
///     .format(Format::Percent(0))
///     .cell(0, 0, Cell { value: Some(1.0), count: Some(120) })
///     .cell(0, 1, Cell { value: Some(0.31), count: Some(37) })
///     .cell(1, 0, Cell { value: Some(1.0), count: Some(98) })
///     .svg();
/// assert!(svg.contains("31%"));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    pub(super) caption: Caption,
    rows: Vec<String>,
    columns: Vec<String>,
    cells: Vec<Cell>,
    text: CellText,
}

impl HeatMap {
    /// An empty map; rows run from the top.
    #[must_use]
    pub fn new<T: Into<String>, U: Into<String>>(
        title: impl Into<String>,
        rows: impl IntoIterator<Item = T>,
        columns: impl IntoIterator<Item = U>,
    ) -> Self {
        let rows: Vec<String> = rows.into_iter().map(Into::into).collect();
        let columns: Vec<String> = columns.into_iter().map(Into::into).collect();
        let cells = vec![Cell::default(); rows.len() * columns.len()];
        Self { caption: Caption::new(title), rows, columns, cells, text: CellText::default() }
    }

    caption_methods!();

    /// Fills a cell, counted from 0. A place outside the map is ignored.
    #[must_use]
    pub fn cell(mut self, row: usize, column: usize, cell: Cell) -> Self {
        if row < self.rows.len() && column < self.columns.len() {
            let value = cell.value.and_then(drawable);
            self.cells[row * self.columns.len() + column] = Cell { value, ..cell };
        }
        self
    }

    /// What is written in the cells; the value unless said otherwise.
    #[must_use]
    pub fn text(mut self, text: CellText) -> Self {
        self.text = text;
        self
    }

    /// The chart as one `<svg>` element, 760 pixels wide.
    #[must_use]
    pub fn svg(&self) -> String {
        self.draw(WIDTH)
    }

    pub(super) fn draw(&self, width: f64) -> String {
        let known = self.cells.iter().filter_map(|cell| cell.value);
        let range = known.fold(None, |range: Option<(f64, f64)>, value| {
            Some(range.map_or((value, value), |(low, high)| (low.min(value), high.max(value))))
        });
        let Some(range) = range else { return empty(&self.caption, width) };
        let (rows, columns) = (self.rows.len().min(DRAWN), self.columns.len().min(DRAWN));
        let names: Vec<String> = self.rows[..rows].iter().map(|name| shortened(name, 24)).collect();
        let left = 32.0 + names.iter().map(|name| width_of(name, 12.0)).fold(20.0, f64::max);
        let cell_width = ((width - 24.0 - left) / columns as f64).min(96.0);
        let tall = if rows > 16 { 22.0 } else { 30.0 };
        let extra = if self.caption.subtitle.is_some() { 18.0 } else { 0.0 };
        let height = 44.0 + extra + 28.0 + tall * rows as f64 + 52.0;
        compose(&self.caption, &self.words(range), (width, height), &[], |canvas, top| {
            let from = top + 26.0;
            let room = ((cell_width / 6.4) as usize).max(2);
            for (index, name) in self.columns[..columns].iter().enumerate() {
                let at = (left + (index as f64 + 0.5) * cell_width, top + 14.0);
                let size = if cell_width < 24.0 { 9.5 } else { 12.0 };
                canvas.text(&shortened(name, room), at, Ink::new(MUTED, size, Anchor::Middle))?;
            }
            for (row, name) in names.iter().enumerate() {
                let y = from + row as f64 * tall;
                canvas.text(name, (left - 10.0, y + tall / 2.0), Ink::new(INK, 12.0, Anchor::End))?;
                for column in 0..columns {
                    let cell = self.cells[row * self.columns.len() + column];
                    let place = (left + column as f64 * cell_width, y);
                    self.draw_cell(canvas, cell, place, (cell_width, tall), range)?;
                }
            }
            self.draw_key(canvas, (left, from + rows as f64 * tall + 20.0), range)
        })
    }

    fn draw_cell(
        &self,
        canvas: &Canvas<'_>,
        cell: Cell,
        (x, y): (f64, f64),
        (width, height): (f64, f64),
        range: (f64, f64),
    ) -> Drawn {
        let gap = if width < 20.0 { 0.75 } else { 1.25 };
        let corners = ((x + gap, y + gap), (x + width - gap, y + height - gap));
        let Some(value) = cell.value else {
            let (low, high) = corners;
            let outline = [low, (high.0, low.1), high, (low.0, high.1), low];
            canvas.line(&outline, GRID, 1.0)?;
            return canvas.line(&[(low.0 + 3.0, high.1 - 3.0), (high.0 - 3.0, low.1 + 3.0)], GRID, 1.0);
        };
        let step = step_of(value, range);
        canvas.rect(corners.0, corners.1, RAMP[step])?;
        let text = match (self.text, cell.count) {
            (CellText::Value, _) => self.caption.lang.number(value, self.caption.format),
            (CellText::Count, Some(n)) => self.caption.lang.number(n as f64, Format::Integer),
            _ => return Ok(()),
        };
        let size = if width < 30.0 { 9.5 } else { 11.5 };
        if width_of(&text, size) > width {
            return Ok(());
        }
        let role: Role = if step < FIRST_HIGH_STEP { ON_LOW } else { ON_HIGH };
        canvas.text(&text, (x + width / 2.0, y + height / 2.0), Ink::new(role, size, Anchor::Middle))
    }

    fn draw_key(&self, canvas: &Canvas<'_>, (x, y): (f64, f64), (low, high): (f64, f64)) -> Drawn {
        let lang = self.caption.lang;
        let low = lang.number(low, self.caption.format);
        canvas.text(&low, (x, y + 5.0), Ink::new(MUTED, 11.5, Anchor::Start))?;
        let mut at = x + width_of(&low, 11.5) + 8.0;
        for role in RAMP {
            canvas.rect((at, y), (at + 22.0, y + 10.0), role)?;
            at += 22.0;
        }
        let high = lang.number(high, self.caption.format);
        canvas.text(&high, (at + 8.0, y + 5.0), Ink::new(MUTED, 11.5, Anchor::Start))?;
        at += 8.0 + width_of(&high, 11.5) + 24.0;
        if self.cells.iter().any(|cell| cell.value.is_none()) {
            let outline = [(at, y), (at + 22.0, y), (at + 22.0, y + 10.0), (at, y + 10.0), (at, y)];
            canvas.line(&outline, MUTED, 1.0)?;
            canvas.line(&[(at, y + 10.0), (at + 22.0, y)], MUTED, 1.0)?;
            let words = lang.pick("no data", "pas de données");
            canvas.text(words, (at + 30.0, y + 5.0), Ink::new(MUTED, 11.5, Anchor::Start))?;
        }
        Ok(())
    }

    fn words(&self, (low, high): (f64, f64)) -> String {
        let lang = self.caption.lang;
        let known = self.cells.iter().filter(|cell| cell.value.is_some()).count();
        let [low, high] = [low, high].map(|value| lang.number(value, self.caption.format));
        let (rows, columns, cells) = (self.rows.len(), self.columns.len(), self.cells.len());
        let mut words = lang.pick(
            format!("{rows} rows by {columns} columns, {known} of {cells} cells with a value, from {low} to {high}."),
            format!("{rows} lignes sur {columns} colonnes, {known} cellules sur {cells} avec une valeur, de {low} à {high}."),
        );
        if rows > DRAWN || columns > DRAWN {
            words.push_str(&lang.pick(
                format!(" At most {DRAWN} rows and columns are drawn."),
                format!(" Au plus {DRAWN} lignes et colonnes sont tracées."),
            ));
        }
        words
    }
}

fn step_of(value: f64, (low, high): (f64, f64)) -> usize {
    if high <= low {
        return RAMP.len() / 2;
    }
    (((value - low) / (high - low) * RAMP.len() as f64) as usize).min(RAMP.len() - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ramp_covers_the_range_evenly() {
        let steps: Vec<usize> = [0.0, 0.9, 1.0, 3.5, 6.9, 7.0].map(|v| step_of(v, (0.0, 7.0))).to_vec();
        assert_eq!(steps, [0, 0, 1, 3, 6, 6]);
        assert_eq!(step_of(2.0, (2.0, 2.0)), 3);
    }
}
