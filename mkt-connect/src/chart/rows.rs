//! What charts whose rows lie one under the other share: the room for names, the grid, the number behind each row, and
//! the words about them.

use super::axis::Axis;
use super::canvas::{Anchor, Canvas, Drawn, Failed, Ink, width_of};
use super::palette::{GRID, INK, MUTED, SURFACE};
use super::text::shortened;
use super::{Caption, Format};

/// Height of a row.
const ROW: f64 = 27.0;

/// Height of a chart of so many rows, with or without a legend.
pub(super) fn height(caption: &Caption, rows: usize, legend: bool) -> f64 {
    let subtitle = if caption.subtitle.is_some() { 18.0 } else { 0.0 };
    let legend = if legend { 22.0 } else { 0.0 };
    44.0 + subtitle + legend + 14.0 + ROW * rows as f64 + 34.0
}

/// The places of rows.
pub(super) struct Rows {
    names: Vec<String>,
    left: f64,
    pub(super) from: f64,
    pub(super) bottom: f64,
    /// From values to the right.
    pub(super) x: Axis,
}

impl Rows {
    /// Makes room for the names and draws the grid below the header.
    pub(super) fn lay<'a>(
        canvas: &Canvas<'_>,
        labels: impl Iterator<Item = &'a str>,
        axis: Axis,
        top: f64,
        height: f64,
    ) -> Result<Self, Failed> {
        let names: Vec<String> = labels.map(|label| shortened(label, 30)).collect();
        let widest = names.iter().map(|name| width_of(name, 12.5)).fold(40.0, f64::max);
        let (left, right) = (32.0 + widest, canvas.width - 110.0);
        let (from, bottom) = (top + 8.0, height - 34.0);
        let x = axis.between(left, right);
        for (value, label) in &x.ticks {
            let at = x.place(*value);
            canvas.line(&[(at, from), (at, bottom)], GRID, 1.0)?;
            canvas.text(label, (at, bottom + 15.0), Ink::new(MUTED, 12.0, Anchor::Middle))?;
        }
        Ok(Self { names, left, from, bottom, x })
    }

    /// Writes the name of a row, and gives the row's middle.
    pub(super) fn name(&self, canvas: &Canvas<'_>, row: usize) -> Result<f64, Failed> {
        let y = self.from + (row as f64 + 0.5) * ROW;
        let name = self.names.get(row).map_or("", String::as_str);
        canvas.text(name, (self.left - 10.0, y), Ink::new(INK, 12.5, Anchor::End))?;
        Ok(y)
    }

    /// The line at 0.
    pub(super) fn origin(&self, canvas: &Canvas<'_>) -> Drawn {
        canvas.line(&[(self.x.place(0.0), self.from), (self.x.place(0.0), self.bottom)], MUTED, 1.0)
    }
}

/// Writes a row's value and count behind its end, over whatever is there: the number must stay readable.
pub(super) fn tell(
    canvas: &Canvas<'_>,
    caption: &Caption,
    (value, count): (Option<f64>, Option<u64>),
    (end, y): (f64, f64),
) -> Drawn {
    let mut text = value.map_or("–".to_owned(), |value| caption.lang.number(value, caption.format));
    if let Some(n) = count {
        text.push_str(&format!("  (n {})", caption.lang.number(n as f64, Format::Integer)));
    }
    let behind = (end + 6.0 + width_of(&text, 11.5), y + 7.0);
    canvas.rect((end + 5.0, y - 7.0), behind, SURFACE)?;
    canvas.text(&text, (end + 8.0, y), Ink::new(INK, 11.5, Anchor::Start))
}

/// Which names have the highest and the lowest value, in words; each end by its English and its French name.
pub(super) fn extremes(
    caption: &Caption,
    known: &[(&str, f64)],
    highest: (&str, &str),
    lowest: (&str, &str),
) -> String {
    let lang = caption.lang;
    let most = known.iter().copied().reduce(|a, b| if b.1 > a.1 { b } else { a });
    let least = known.iter().copied().reduce(|a, b| if b.1 < a.1 { b } else { a });
    let mut words = String::new();
    for ((english, french), end) in [(highest, most), (lowest, least)] {
        if let Some((label, value)) = end {
            let value = lang.number(value, caption.format);
            words.push_str(
                &lang
                    .pick(format!(" {english}: {label}, {value}."), format!(" {french} : {label}, {value}.")),
            );
        }
    }
    words
}

/// That only the first rows are drawn, where it is so.
pub(super) fn first_drawn(caption: &Caption, rows: usize, drawn: usize) -> String {
    if rows <= drawn {
        return String::new();
    }
    caption
        .lang
        .pick(format!(" The first {drawn} are drawn."), format!(" Les {drawn} premières sont tracées."))
}
