//! Frames from the tables of a warehouse (feature `warehouse`).

use mkt_warehouse::{Column as Cells, Table};
use rust_decimal::prelude::ToPrimitive;

use super::{Frame, FrameError};
use crate::error::shown;

/// Whole numbers, decimals and floats become numbers; truth values the categories `false` and `true`, which
/// [`Labelled::new`](crate::Labelled::new) takes for an outcome; times and days the days since 1970 in UTC; null is
/// missing.
///
/// # Errors
/// JSON, an infinity, a bad name.
///
/// ```
/// use mkt_ml::{Frame, Labelled};
/// use mkt_warehouse::{ColumnType, Table, Value};
///
/// // `training_set(&warehouse, &scope).await?.table()` is such a table.
/// let mut answer = Table::new([
///     ("session_id", ColumnType::Text),
///     ("pages_viewed", ColumnType::Int),
///     ("device", ColumnType::Text),
///     ("converted", ColumnType::Bool),
/// ]);
/// answer.push_row(vec![Value::Text("s1".into()), Value::Int(7), Value::Null, Value::Bool(true)])?;
/// answer.push_row(vec![Value::Text("s2".into()), Value::Int(1), Value::Text("mobile".into()), Value::Bool(false)])?;
///
/// let rows = Labelled::new(Frame::try_from(&answer)?.without(&["session_id"])?, "converted")?;
/// assert_eq!(rows.labels(), [true, false]);
/// assert_eq!(rows.frame().names().collect::<Vec<_>>(), ["pages_viewed", "device"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl TryFrom<&Table> for Frame {
    type Error = FrameError;

    fn try_from(table: &Table) -> Result<Self, FrameError> {
        const MICROS_A_DAY: f64 = 86_400e6;
        let mut frame = Self::new();
        for (name, column) in table.names().iter().zip(table.columns()) {
            let name = name.as_str();
            frame = match column {
                Cells::Text(cells) => frame.with_categorical(name, cells.iter().map(Option::as_deref))?,
                Cells::Bool(cells) => {
                    let word = |truth: bool| if truth { "true" } else { "false" };
                    frame.with_categorical(name, cells.iter().map(|cell| cell.map(word)))?
                }
                Cells::Int(cells) => {
                    frame.with_numeric(name, cells.iter().map(|cell| cell.map(|number| number as f64)))?
                }
                Cells::Float(cells) => frame.with_numeric(name, cells.iter().copied())?,
                Cells::Decimal(_, cells) => frame
                    .with_numeric(name, cells.iter().map(|cell| cell.and_then(|number| number.to_f64())))?,
                Cells::Timestamp(cells) => {
                    let days = cells
                        .iter()
                        .map(|cell| cell.map(|time| time.timestamp_micros() as f64 / MICROS_A_DAY));
                    frame.with_numeric(name, days)?
                }
                Cells::Date(cells) => {
                    let days = cells.iter().map(|cell| cell.map(|day| f64::from(day.to_epoch_days())));
                    frame.with_numeric(name, days)?
                }
                _ => return Err(FrameError::Unusable { column: shown(name), kind: "JSON" }),
            };
        }
        Ok(frame)
    }
}
