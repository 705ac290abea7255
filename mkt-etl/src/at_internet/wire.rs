//! The vendor's words: what its JSON holds, read leniently. `DataFeed` is an object in version 3, a list in version 2.

use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::str::FromStr;

/// A row as it was told.
pub(super) type Row = Map<String, Value>;

/// What an answer says about a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ColumnFacts {
    pub(super) name: String,
    /// `Type`: `Integer`, `Decimal`, `String`, ….
    pub(super) kind: Option<String>,
    /// `CustomerType`: `Percent`, `URL`, ….
    pub(super) customer_type: Option<String>,
    /// `Summable`, in version 2.
    pub(super) summable: Option<bool>,
}

impl ColumnFacts {
    pub(super) fn is_whole_number(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("integer"))
    }

    fn read(value: &Value) -> Option<Self> {
        let fields = value.as_object()?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            name: text("Name")?,
            kind: text("Type"),
            customer_type: text("CustomerType"),
            summable: match fields.get("Summable") {
                Some(Value::Bool(flag)) => Some(*flag),
                Some(Value::String(text)) => Some(text.eq_ignore_ascii_case("true")),
                _ => None,
            },
        })
    }
}

/// A page of rows.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) columns: Vec<ColumnFacts>,
    pub(super) rows: Vec<Row>,
}

impl Feed {
    /// Reads `{"DataFeed": …}`.
    pub(super) fn read(mut answer: Value) -> Result<Self, &'static str> {
        let feed = match answer.get_mut("DataFeed").map(Value::take) {
            Some(Value::Object(feed)) => feed,
            Some(Value::Array(mut sets)) => match (sets.pop(), sets.is_empty()) {
                (Some(Value::Object(feed)), true) => feed,
                _ => return Err("the answer does not hold exactly one set of data"),
            },
            _ => return Err("the answer has no DataFeed"),
        };
        let mut feed = feed;
        let columns = match feed.remove("Columns") {
            Some(Value::Array(columns)) => columns.iter().filter_map(ColumnFacts::read).collect(),
            _ => return Err("the answer has no Columns"),
        };
        let Some(Value::Array(rows)) = feed.remove("Rows") else { return Err("the answer has no Rows") };
        let rows = rows.into_iter().map(|row| match row {
            Value::Object(row) => Ok(row),
            _ => Err("a row is not an object"),
        });
        Ok(Self { columns, rows: rows.collect::<Result<_, _>>()? })
    }
}

/// Reads `{"RowCounts": [{"RowCount": n}]}`.
pub(super) fn row_count(answer: &Value) -> Result<u64, &'static str> {
    let counts = answer.get("RowCounts").and_then(Value::as_array).ok_or("the answer has no RowCounts")?;
    match counts.as_slice() {
        [one] => one.get("RowCount").and_then(Value::as_u64).ok_or("the answer has no RowCount"),
        _ => Err("the answer does not hold exactly one RowCount"),
    }
}

/// What stands in the place of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// A number.
    Number(Decimal),
    /// Nothing: null, `"-"` (no total, no value), `"N/A"`, an empty text.
    Nothing,
    /// Something else.
    Other,
}

/// Reads a metric. Numbers come as numbers, or as texts with a point or, with `sep=comma`, a comma.
pub(super) fn number(value: &Value) -> Cell {
    let text = match value {
        Value::Null => return Cell::Nothing,
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().replace(',', "."),
        _ => return Cell::Other,
    };
    if matches!(text.as_str(), "" | "-" | "N/A") {
        return Cell::Nothing;
    }
    let read = Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text));
    read.map_or(Cell::Other, Cell::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_feed_is_a_list_in_version_2_and_an_object_in_version_3() {
        let set = json!({"Columns": [{"Name": "m_visits", "Summable": "True"}], "Rows": [{"m_visits": 7}], "context": {}});
        for feed in [set.clone(), json!([set])] {
            let feed = Feed::read(json!({"DataFeed": feed})).unwrap();
            assert_eq!((feed.rows.len(), feed.columns[0].summable), (1, Some(true)));
        }
        for bad in [
            json!({}),
            json!({"DataFeed": []}),
            json!({"DataFeed": [set.clone(), set.clone()]}),
            json!({"DataFeed": {"Columns": []}}),
        ] {
            assert!(Feed::read(bad.clone()).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_dash_is_no_number_and_no_zero() {
        for (value, cell) in [
            (json!("-"), Cell::Nothing),
            (json!("N/A"), Cell::Nothing),
            (json!(null), Cell::Nothing),
            (json!(0), Cell::Number(Decimal::ZERO)),
            (json!("12,5"), Cell::Number(Decimal::new(125, 1))),
            (json!(1e3), Cell::Number(Decimal::from(1000))),
            (json!("January"), Cell::Other),
            (json!(true), Cell::Other),
        ] {
            assert_eq!(number(&value), cell, "{value}");
        }
    }
}
