//! Rows of an answer for code that reads each of them once.

use crate::table::{Column, ColumnType, Table};
use std::ops::Range;

/// Some rows of an answer, see [`Warehouse::chunks`](crate::Warehouse::chunks). Unlike a [`Table`] it holds all texts of
/// a column in one buffer, and everything that is not text as a whole number:
///
/// | column | number |
/// |---|---|
/// | `Int` | itself |
/// | `Bool` | 0 or 1 |
/// | `Timestamp` | microseconds since 1970 |
/// | `Decimal` | in units of its last digit: hundredths for a scale of 2 |
///
/// `Text`, `Json`, `Date` (`YYYY-MM-DD`) and `Float` are texts.
#[derive(Debug)]
pub struct Chunk {
    columns: Vec<Cells>,
}

#[derive(Debug)]
enum Cells {
    Numbers(Vec<Option<i64>>),
    Texts { buffer: String, places: Vec<Option<Range<usize>>> },
}

impl Cells {
    fn push_text(&mut self, text: Option<&str>) -> Option<()> {
        let Self::Texts { buffer, places } = self else { return None };
        places.push(text.map(|text| {
            let from = buffer.len();
            buffer.push_str(text);
            from..buffer.len()
        }));
        Some(())
    }

    fn push_number(&mut self, number: Option<i64>) -> Option<()> {
        let Self::Numbers(numbers) = self else { return None };
        numbers.push(number);
        Some(())
    }
}

impl Chunk {
    /// No rows of these columns.
    #[must_use]
    pub fn new(columns: &[(String, ColumnType)]) -> Self {
        let cells = |ty: &ColumnType| match ty {
            ColumnType::Int | ColumnType::Bool | ColumnType::Timestamp | ColumnType::Decimal { .. } => {
                Cells::Numbers(Vec::new())
            }
            ColumnType::Text | ColumnType::Json | ColumnType::Date | ColumnType::Float => {
                Cells::Texts { buffer: String::new(), places: Vec::new() }
            }
        };
        Self { columns: columns.iter().map(|(_, ty)| cells(ty)).collect() }
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        match self.columns.first() {
            Some(Cells::Numbers(numbers)) => numbers.len(),
            Some(Cells::Texts { places, .. }) => places.len(),
            None => 0,
        }
    }

    /// A number; `None` for null, and in a column of texts.
    #[must_use]
    pub fn number(&self, row: usize, column: usize) -> Option<i64> {
        match self.columns.get(column) {
            Some(Cells::Numbers(numbers)) => numbers.get(row).copied().flatten(),
            _ => None,
        }
    }

    /// A text; `None` for null, and in a column of numbers.
    #[must_use]
    pub fn text(&self, row: usize, column: usize) -> Option<&str> {
        match self.columns.get(column) {
            Some(Cells::Texts { buffer, places }) => buffer.get(places.get(row)?.clone()?),
            _ => None,
        }
    }

    /// Appends a text to a column; nothing where the column holds numbers.
    #[cfg(feature = "sqlite")]
    pub(crate) fn push_text(&mut self, column: usize, text: Option<&str>) -> Option<()> {
        self.columns.get_mut(column)?.push_text(text)
    }

    /// Appends a number to a column; nothing where the column holds texts.
    #[cfg(feature = "sqlite")]
    pub(crate) fn push_number(&mut self, column: usize, number: Option<i64>) -> Option<()> {
        self.columns.get_mut(column)?.push_number(number)
    }
}

impl From<&Table> for Chunk {
    fn from(table: &Table) -> Self {
        fn texts<T>(values: &[Option<T>], shown: impl Fn(&T) -> String) -> Cells {
            let mut cells = Cells::Texts { buffer: String::new(), places: Vec::with_capacity(values.len()) };
            for value in values {
                let _ = cells.push_text(value.as_ref().map(&shown).as_deref());
            }
            cells
        }
        fn numbers<T: Copy>(values: &[Option<T>], number: impl Fn(T) -> Option<i64>) -> Cells {
            Cells::Numbers(values.iter().map(|value| value.and_then(&number)).collect())
        }
        let cells = |column: &Column| match column {
            Column::Int(values) => Cells::Numbers(values.clone()),
            Column::Bool(values) => numbers(values, |truth| Some(i64::from(truth))),
            Column::Timestamp(values) => numbers(values, |at| Some(at.timestamp_micros())),
            Column::Decimal(scale, values) => numbers(values, |mut value| {
                value.rescale(*scale);
                i64::try_from(value.mantissa()).ok()
            }),
            Column::Text(values) | Column::Json(values) => texts(values, String::clone),
            Column::Date(values) => texts(values, ToString::to_string),
            Column::Float(values) => texts(values, ToString::to_string),
        };
        Self { columns: table.columns().iter().map(cells).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Value;
    use rust_decimal::Decimal;

    #[test]
    fn chunk_of_a_table_holds_its_values() {
        let types = [
            ("text", ColumnType::Text),
            ("at", ColumnType::Timestamp),
            ("money", ColumnType::Decimal { scale: 2 }),
            ("day", ColumnType::Date),
        ];
        let mut table = Table::new(types);
        let at = "2026-10-24T08:00:00.000001Z".parse().unwrap();
        let day = "2026-10-24".parse().unwrap();
        let rows = [
            [
                Value::Text("é".to_owned()),
                Value::Timestamp(at),
                Value::Decimal(Decimal::new(-5, 1)),
                Value::Date(day),
            ],
            [Value::Null, Value::Null, Value::Null, Value::Null],
        ];
        for row in rows {
            for (column, value) in table.columns_mut().iter_mut().zip(row) {
                column.push(value).unwrap();
            }
        }
        let chunk = Chunk::from(&table);
        assert_eq!(chunk.rows(), 2);
        assert_eq!((chunk.text(0, 0), chunk.text(0, 3)), (Some("é"), Some("2026-10-24")));
        assert_eq!((chunk.number(0, 1), chunk.number(0, 2)), (Some(1_792_828_800_000_001), Some(-50)));
        assert!((0..4).all(|column| chunk.text(1, column).is_none() && chunk.number(1, column).is_none()));
    }
}
