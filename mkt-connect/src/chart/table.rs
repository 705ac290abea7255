//! Tables for readers: HTML on a page, aligned columns as text.

use super::text::{escaped, push_element, shortened};
use std::fmt::{self, Write};

/// Characters of a cell as text, at most.
const WIDEST: usize = 60;

/// A column of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    label: String,
    number: bool,
    definition: Option<String>,
}

impl Column {
    /// A column of words, set from the left.
    #[must_use]
    pub fn text(label: impl Into<String>) -> Self {
        Self { label: label.into(), number: false, definition: None }
    }

    /// A column of numbers, set from the right with figures of one width.
    #[must_use]
    pub fn number(label: impl Into<String>) -> Self {
        Self { label: label.into(), number: true, definition: None }
    }

    /// What the column means exactly: shown on hover, and in the definitions at the foot of the page.
    #[must_use]
    pub fn definition(mut self, definition: impl Into<String>) -> Self {
        self.definition = Some(definition.into());
        self
    }
}

/// Rows of text under named columns. Cells are written by the caller (see [`Lang::number`](crate::chart::Lang::number)).
///
/// On a [`super::Page`] it is HTML; displayed, it is plain text with aligned columns.
///
/// ```
/// use mkt_connect::chart::{Column, Table};
///
/// let table = Table::new([Column::text("Canal"), Column::number("Visites")]).row(["e-mail", "410"]).row(["direct", "9"]);
/// assert_eq!(table.to_string(), "Canal   Visites\ne-mail      410\ndirect        9\n");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<String>>,
    caption: Option<String>,
    note: Option<String>,
}

impl Table {
    /// A table without rows.
    #[must_use]
    pub fn new(columns: impl IntoIterator<Item = Column>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new(), caption: None, note: None }
    }

    /// The table's title.
    #[must_use]
    pub fn caption(mut self, caption: impl Into<String>) -> Self {
        self.caption = Some(caption.into());
        self
    }

    /// A small line under the table.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.note = Some(note.into());
        self
    }

    /// Adds a row. Missing cells stay empty; cells beyond the last column are dropped.
    #[must_use]
    pub fn row<T: Into<String>>(mut self, cells: impl IntoIterator<Item = T>) -> Self {
        self.push(cells);
        self
    }

    /// Adds a row in place, for loops.
    pub fn push<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.rows.push(cells.into_iter().take(self.columns.len()).map(Into::into).collect());
    }

    pub(super) fn definitions(&self) -> impl Iterator<Item = (&str, Option<&String>)> {
        self.columns.iter().map(|column| (column.label.as_str(), column.definition.as_ref()))
    }

    fn cell(&self, row: &[String], column: usize) -> String {
        shortened(row.get(column).map_or("", String::as_str), WIDEST)
    }
}

impl fmt::Display for Table {
    /// A line for the names and one for each row, then the note: numbers to the right, everything else to the left. Cells
    /// of more than 60 characters end in an ellipsis, control characters are left out.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.columns.iter().map(|column| column.label.clone()).collect();
        let width = |column: usize| {
            let all = std::iter::once(&names).chain(&self.rows);
            all.map(|row| self.cell(row, column).chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        for row in std::iter::once(&names).chain(&self.rows) {
            let mut line = String::new();
            for (index, (column, width)) in self.columns.iter().zip(&widths).enumerate() {
                let (gap, cell) = (if index == 0 { "" } else { "  " }, self.cell(row, index));
                let _ = match column.number {
                    true => write!(line, "{gap}{cell:>width$}"),
                    false => write!(line, "{gap}{cell:<width$}"),
                };
            }
            writeln!(f, "{}", line.trim_end())?;
        }
        self.note.iter().try_for_each(|note| writeln!(f, "{note}"))
    }
}

/// A table that is wider than its place is moved sideways, by the keyboard too.
pub(super) fn table_block(html: &mut String, table: &Table, section: &str) {
    let label = escaped(table.caption.as_deref().unwrap_or(section));
    let _ = write!(html, "<div class=\"table\" role=\"group\" aria-label=\"{label}\" tabindex=\"0\"><table>");
    if let Some(caption) = &table.caption {
        push_element(html, "caption", caption);
    }
    html.push_str("<thead><tr>");
    for column in &table.columns {
        html.push_str(if column.number { "<th scope=\"col\" class=\"n\"" } else { "<th scope=\"col\"" });
        if let Some(definition) = &column.definition {
            let _ = write!(html, " title=\"{}\"", escaped(definition));
        }
        let _ = write!(html, ">{}</th>", escaped(&column.label));
    }
    html.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        html.push_str("<tr>");
        for (index, column) in table.columns.iter().enumerate() {
            html.push_str(if column.number { "<td class=\"n\">" } else { "<td>" });
            html.push_str(&escaped(row.get(index).map_or("", String::as_str)));
            html.push_str("</td>");
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</tbody></table></div>\n");
    if let Some(note) = &table.note {
        let _ = writeln!(html, "<p class=\"note\">{}</p>", escaped(note));
    }
}
