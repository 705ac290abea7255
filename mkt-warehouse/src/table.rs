//! Rows as typed columns: what is loaded and what a report answers have the same form.

use chrono::{DateTime, NaiveDate, Utc};
use mkt_connect::notebook::escaped;
use rust_decimal::Decimal;
use serde::Serialize;
use serde::ser::{SerializeSeq, SerializeStruct};
use std::fmt;

/// The type of a column, the same in every engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ColumnType {
    /// Unicode text without NUL.
    Text,
    /// 64-bit signed integer.
    Int,
    /// 64-bit float.
    Float,
    /// True or false.
    Bool,
    /// An instant in UTC, to the microsecond. SQLite keeps microseconds since 1970 as INTEGER.
    Timestamp,
    /// A calendar day. SQLite keeps `YYYY-MM-DD` as TEXT.
    Date,
    /// Exact decimal with so many digits after the point (at most 18 digits in all). SQLite keeps the scaled INTEGER:
    /// hundredths for money.
    Decimal {
        /// Digits after the point.
        scale: u32,
    },
    /// A JSON document as text.
    Json,
}

impl ColumnType {
    /// Whether tables show it to the right.
    fn is_number(self) -> bool {
        matches!(self, Self::Int | Self::Float | Self::Decimal { .. })
    }
}

/// The values of one column. `None` is SQL's null.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Column {
    /// Texts.
    Text(Vec<Option<String>>),
    /// Integers.
    Int(Vec<Option<i64>>),
    /// Floats.
    Float(Vec<Option<f64>>),
    /// Booleans.
    Bool(Vec<Option<bool>>),
    /// Instants in UTC.
    Timestamp(Vec<Option<DateTime<Utc>>>),
    /// Calendar days.
    Date(Vec<Option<NaiveDate>>),
    /// Exact decimals of the scale.
    Decimal(u32, Vec<Option<Decimal>>),
    /// JSON documents.
    Json(Vec<Option<String>>),
}

/// One value, owned: what a report's cell holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
#[non_exhaustive]
pub enum Value {
    /// Nothing: unknown, or an empty denominator.
    Null,
    /// Text or JSON.
    Text(String),
    /// Integer.
    Int(i64),
    /// Float.
    Float(f64),
    /// Boolean.
    Bool(bool),
    /// Instant in UTC.
    Timestamp(DateTime<Utc>),
    /// Calendar day.
    Date(NaiveDate),
    /// Exact decimal; serialises as a JSON number when it has at most 15 significant digits, else as text.
    #[serde(serialize_with = "decimal_as_number")]
    Decimal(Decimal),
}

fn decimal_as_number<S: serde::Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    match value.to_string().parse::<f64>() {
        Ok(number) if value.mantissa().unsigned_abs() < 1_000_000_000_000_000 => {
            serializer.serialize_f64(number)
        }
        _ => serializer.collect_str(value),
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.pad("–"),
            Self::Text(text) => f.pad(text),
            Self::Int(value) => f.pad(&value.to_string()),
            Self::Float(value) => f.pad(&format!("{value:.2}")),
            Self::Bool(value) => f.pad(if *value { "yes" } else { "no" }),
            Self::Timestamp(at) => f.pad(&at.format("%Y-%m-%d %H:%M:%S").to_string()),
            Self::Date(day) => f.pad(&day.to_string()),
            Self::Decimal(value) => f.pad(&value.to_string()),
        }
    }
}

impl Column {
    /// An empty column of a type.
    #[must_use]
    pub fn empty(ty: ColumnType) -> Self {
        match ty {
            ColumnType::Text => Self::Text(Vec::new()),
            ColumnType::Int => Self::Int(Vec::new()),
            ColumnType::Float => Self::Float(Vec::new()),
            ColumnType::Bool => Self::Bool(Vec::new()),
            ColumnType::Timestamp => Self::Timestamp(Vec::new()),
            ColumnType::Date => Self::Date(Vec::new()),
            ColumnType::Decimal { scale } => Self::Decimal(scale, Vec::new()),
            ColumnType::Json => Self::Json(Vec::new()),
        }
    }

    /// The type.
    #[must_use]
    pub fn column_type(&self) -> ColumnType {
        match self {
            Self::Text(_) => ColumnType::Text,
            Self::Int(_) => ColumnType::Int,
            Self::Float(_) => ColumnType::Float,
            Self::Bool(_) => ColumnType::Bool,
            Self::Timestamp(_) => ColumnType::Timestamp,
            Self::Date(_) => ColumnType::Date,
            Self::Decimal(scale, _) => ColumnType::Decimal { scale: *scale },
            Self::Json(_) => ColumnType::Json,
        }
    }

    /// The number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(values) | Self::Json(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Float(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Timestamp(values) => values.len(),
            Self::Date(values) => values.len(),
            Self::Decimal(_, values) => values.len(),
        }
    }

    /// Whether there are no values.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value at a row; [`Value::Null`] past the end.
    #[must_use]
    pub fn value(&self, row: usize) -> Value {
        fn at<T: Clone>(values: &[Option<T>], row: usize, wrap: impl Fn(T) -> Value) -> Value {
            values.get(row).cloned().flatten().map_or(Value::Null, wrap)
        }
        match self {
            Self::Text(values) | Self::Json(values) => at(values, row, Value::Text),
            Self::Int(values) => at(values, row, Value::Int),
            Self::Float(values) => at(values, row, Value::Float),
            Self::Bool(values) => at(values, row, Value::Bool),
            Self::Timestamp(values) => at(values, row, Value::Timestamp),
            Self::Date(values) => at(values, row, Value::Date),
            Self::Decimal(_, values) => at(values, row, Value::Decimal),
        }
    }

    /// Appends a value.
    ///
    /// # Errors
    /// [`TableError::WrongType`] when the value is not of the column's type.
    pub fn push(&mut self, value: Value) -> Result<(), TableError> {
        match (self, value) {
            (Self::Text(v) | Self::Json(v), Value::Null) => v.push(None),
            (Self::Int(v), Value::Null) => v.push(None),
            (Self::Float(v), Value::Null) => v.push(None),
            (Self::Bool(v), Value::Null) => v.push(None),
            (Self::Timestamp(v), Value::Null) => v.push(None),
            (Self::Date(v), Value::Null) => v.push(None),
            (Self::Decimal(_, v), Value::Null) => v.push(None),
            (Self::Text(v) | Self::Json(v), Value::Text(x)) => v.push(Some(x)),
            (Self::Int(v), Value::Int(x)) => v.push(Some(x)),
            (Self::Float(v), Value::Float(x)) => v.push(Some(x)),
            (Self::Bool(v), Value::Bool(x)) => v.push(Some(x)),
            (Self::Timestamp(v), Value::Timestamp(x)) => v.push(Some(x)),
            (Self::Date(v), Value::Date(x)) => v.push(Some(x)),
            (Self::Decimal(_, v), Value::Decimal(x)) => v.push(Some(x)),
            (column, _) => return Err(TableError::WrongType { column: column.column_type() }),
        }
        Ok(())
    }
}

/// What does not fit in a table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// A value of another type than the column's.
    #[error("a value of another type was put into a column of type {column:?}")]
    WrongType {
        /// The column's type.
        column: ColumnType,
    },
    /// A row with more or fewer values than the table has columns.
    #[error("a row of {got} values was put into a table of {expected} columns")]
    WrongWidth {
        /// Columns of the table.
        expected: usize,
        /// Values of the row.
        got: usize,
    },
    /// A column that the reader needs and the table lacks.
    #[error("the table has no column {0:?}")]
    NoColumn(String),
    /// A null, or a text that cannot be parsed, where a value is needed.
    #[error("row {row} of column {column:?} cannot be read as {wanted}")]
    Unreadable {
        /// Zero-based row.
        row: usize,
        /// Column name.
        column: String,
        /// What was wanted.
        wanted: &'static str,
    },
}

/// Named, typed columns of equal length.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Table {
    names: Vec<String>,
    columns: Vec<Column>,
}

impl Table {
    /// An empty table of named, typed columns.
    #[must_use]
    pub fn new<N: Into<String>>(columns: impl IntoIterator<Item = (N, ColumnType)>) -> Self {
        let (names, columns) = columns.into_iter().map(|(name, ty)| (name.into(), Column::empty(ty))).unzip();
        Self { names, columns }
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.columns.first().map_or(0, Column::len)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows() == 0
    }

    /// The column names, in order.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The columns, in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The columns for writing; keep them of equal length.
    #[must_use]
    pub fn columns_mut(&mut self) -> &mut [Column] {
        &mut self.columns
    }

    /// A column by name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.names.iter().position(|n| n == name).and_then(|i| self.columns.get(i))
    }

    /// A value by row and column name; null where there is none.
    #[must_use]
    pub fn value(&self, row: usize, name: &str) -> Value {
        self.column(name).map_or(Value::Null, |column| column.value(row))
    }

    /// Reads a cell as a Rust value.
    ///
    /// # Errors
    /// [`TableError::NoColumn`], [`TableError::Unreadable`].
    pub fn read<T: crate::model::Field>(&self, row: usize, name: &str) -> Result<T, TableError> {
        let column = self.column(name).ok_or_else(|| TableError::NoColumn(name.to_owned()))?;
        T::get(column, row).map_err(|wanted| TableError::Unreadable { row, column: name.to_owned(), wanted })
    }

    /// The text or document of a cell, without a copy.
    pub(crate) fn text(&self, row: usize, name: &str) -> Result<&str, TableError> {
        let wanted = "text";
        match self.column(name) {
            None => Err(TableError::NoColumn(name.to_owned())),
            Some(Column::Text(values) | Column::Json(values)) => {
                let text = values.get(row).and_then(|text| text.as_deref());
                text.ok_or_else(|| TableError::Unreadable { row, column: name.to_owned(), wanted })
            }
            Some(_) => Err(TableError::Unreadable { row, column: name.to_owned(), wanted }),
        }
    }

    /// The values of a row.
    #[must_use]
    pub fn row(&self, row: usize) -> Vec<Value> {
        self.columns.iter().map(|column| column.value(row)).collect()
    }

    /// Appends a row. On error the table is unchanged.
    ///
    /// # Errors
    /// [`TableError::WrongWidth`], [`TableError::WrongType`].
    pub fn push_row(&mut self, row: Vec<Value>) -> Result<(), TableError> {
        if row.len() != self.columns.len() {
            return Err(TableError::WrongWidth { expected: self.columns.len(), got: row.len() });
        }
        for (column, value) in self.columns.iter().zip(&row) {
            Column::empty(column.column_type()).push(value.clone())?;
        }
        for (column, value) in self.columns.iter_mut().zip(row) {
            column.push(value)?;
        }
        Ok(())
    }

    /// Appends the rows of another table with the same columns.
    ///
    /// # Errors
    /// [`TableError::WrongWidth`], [`TableError::WrongType`] when the columns differ.
    pub fn append(&mut self, other: &Self) -> Result<(), TableError> {
        for row in 0..other.rows() {
            self.push_row(other.row(row))?;
        }
        Ok(())
    }
}

/// The widest cell of a printed table, in characters.
const WIDEST: usize = 60;

/// A cell that fits a line of text.
fn shown(cell: &str) -> String {
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    match cell.char_indices().nth(WIDEST) {
        None => cell.chars().map(plain).collect(),
        Some(_) => cell.chars().take(WIDEST - 1).map(plain).chain(['…']).collect(),
    }
}

/// Rows that a notebook shows.
const SHOWN: usize = 200;

impl Table {
    /// The table as HTML, numbers to the right; of more than 200 rows the first, and how many there are.
    #[must_use]
    pub fn html(&self) -> String {
        let right: Vec<bool> = self.columns.iter().map(|column| column.column_type().is_number()).collect();
        let cell = |tag: &str, right: bool, text: &str| {
            let side = if right { " style=\"text-align:right\"" } else { "" };
            format!("<{tag}{side}>{}</{tag}>", escaped(&shown(text)))
        };
        let mut html = String::from("<table><thead><tr>");
        for (name, right) in self.names.iter().zip(&right) {
            html.push_str(&cell("th", *right, name));
        }
        html.push_str("</tr></thead><tbody>");
        for row in 0..self.rows().min(SHOWN) {
            html.push_str("<tr>");
            for (value, right) in self.row(row).iter().zip(&right) {
                html.push_str(&cell("td", *right, &value.to_string()));
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table>");
        if self.rows() > SHOWN {
            html.push_str(&format!("<p>{SHOWN} of {} rows</p>", self.rows()));
        }
        html
    }

    /// Shows the table in a notebook of the Rust kernel, see [`mkt_connect::notebook`].
    pub fn evcxr_display(&self) {
        mkt_connect::notebook::show(&self.html());
    }
}

impl fmt::Display for Table {
    /// A plain text table, a line for the names and one for each row: numbers to the right, everything else to the
    /// left. Cells of more than 60 characters end in an ellipsis, control characters become spaces.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cells: Vec<Vec<String>> = self
            .columns
            .iter()
            .map(|column| (0..column.len()).map(|row| shown(&column.value(row).to_string())).collect())
            .collect();
        let widths: Vec<usize> = self
            .names
            .iter()
            .zip(&cells)
            .map(|(name, cells)| {
                cells.iter().map(|cell| cell.chars().count()).chain([name.chars().count()]).max().unwrap_or(0)
            })
            .collect();
        let mut line = |row: Option<usize>| -> fmt::Result {
            let mut text = String::new();
            for (index, ((name, width), column)) in
                self.names.iter().zip(&widths).zip(&self.columns).enumerate()
            {
                let cell = row.map_or(name.as_str(), |r| cells[index][r].as_str());
                let gap = if index == 0 { "" } else { "  " };
                if column.column_type().is_number() {
                    text.push_str(&format!("{gap}{cell:>width$}"));
                } else {
                    text.push_str(&format!("{gap}{cell:<width$}"));
                }
            }
            writeln!(f, "{}", text.trim_end())
        };
        line(None)?;
        (0..self.rows()).try_for_each(|row| line(Some(row)))
    }
}

impl Serialize for Table {
    /// `{"columns": [names], "rows": [[values]]}`.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Rows<'a>(&'a Table);
        impl Serialize for Rows<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut rows = serializer.serialize_seq(Some(self.0.rows()))?;
                for row in 0..self.0.rows() {
                    rows.serialize_element(&self.0.row(row))?;
                }
                rows.end()
            }
        }
        let mut table = serializer.serialize_struct("Table", 2)?;
        table.serialize_field("columns", &self.names)?;
        table.serialize_field("rows", &Rows(self))?;
        table.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notebook_shows_text_as_text_and_long_tables_in_part() {
        let mut table = Table::new([("name", ColumnType::Text), ("n", ColumnType::Int)]);
        table.push_row(vec![Value::Text("<script>&".to_owned()), Value::Null]).unwrap();
        assert_eq!(
            table.html(),
            "<table><thead><tr><th>name</th><th style=\"text-align:right\">n</th></tr></thead><tbody>\
             <tr><td>&lt;script&gt;&amp;</td><td style=\"text-align:right\">–</td></tr></tbody></table>"
        );
        for n in 0..250 {
            table.push_row(vec![Value::Text("a".to_owned()), Value::Int(n)]).unwrap();
        }
        let html = table.html();
        assert_eq!(html.matches("<tr>").count(), 1 + SHOWN);
        assert!(html.ends_with("<p>200 of 251 rows</p>"));
    }
}
