//! What the reporting API answers, read as leniently as it writes. Pure.
//!
//! | asked | answered | read as |
//! |---|---|---|
//! | a single number (`VisitsSummary.getVisits`) | `{"value":17}` | [`Answer::Number`] |
//! | a text (`API.getMatomoVersion`) | `{"value":"5.0.2"}`, `{"value":true}` | [`Answer::Text`] |
//! | a summary of one period | `{"nb_visits":17, …}` | [`Answer::Row`] |
//! | a table of one period, visits, sites | `[{"label":…}, …]` | [`Answer::Table`] |
//! | any of them for several periods | `{"2026-03-27":…, "2026-03-28":[]}` | [`Answer::ByDate`] |
//! | any of them for several sites | `{"1":…, "2":…}` | [`Answer::BySite`] |
//!
//! `[]` is an empty table, and the summary of a period without anything.

use super::wire::{number, present};
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// An answer of the reporting API.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Answer {
    /// A number.
    Number(Decimal),
    /// A text.
    Text(String),
    /// One record: a summary, a site.
    Row(Row),
    /// Records: the rows of a table, visits; none for a period without anything.
    Table(Vec<Row>),
    /// An answer for each period, under the period as Matomo writes it: `2026-03-28`, `2026-03`,
    /// `2026-03-16,2026-03-22`.
    ByDate(BTreeMap<String, Answer>),
    /// An answer for each site, under its number.
    BySite(BTreeMap<String, Answer>),
}

impl Answer {
    /// Reads an answer; `None` where it has none of the documented forms.
    #[must_use]
    pub fn read(value: Value) -> Option<Self> {
        match value {
            Value::Array(rows) => rows
                .into_iter()
                .map(|row| match row {
                    Value::Object(fields) => Some(Row(fields)),
                    _ => None,
                })
                .collect::<Option<Vec<_>>>()
                .map(Self::Table),
            Value::Object(fields) if fields.is_empty() => Some(Self::Table(Vec::new())),
            Value::Object(mut fields) => {
                if fields.len() == 1
                    && let Some(value) = fields.remove("value")
                {
                    return match value {
                        Value::Number(_) => number(&value).map(Self::Number),
                        // "5.0" would read as a number: what came as a text stays one.
                        Value::String(text) => Some(Self::Text(text)),
                        Value::Bool(yes) => Some(Self::Text(yes.to_string())),
                        _ => None,
                    };
                }
                if fields.keys().all(|name| is_period(name)) {
                    return Self::parts(fields).map(Self::ByDate);
                }
                if fields.keys().all(|name| name.bytes().all(|b| b.is_ascii_digit()))
                    && fields.values().all(|value| value.is_object() || value.is_array())
                {
                    return Self::parts(fields).map(Self::BySite);
                }
                Some(Self::Row(Row(fields)))
            }
            _ => None,
        }
    }

    fn parts(fields: Map<String, Value>) -> Option<BTreeMap<String, Self>> {
        fields
            .into_iter()
            .map(|(name, value)| {
                let part = match number(&value) {
                    Some(number) => Some(Self::Number(number)),
                    None => Self::read(value),
                };
                Some((name, part?))
            })
            .collect()
    }

    /// The part of a period or of a site.
    #[must_use]
    pub fn part(&self, name: &str) -> Option<&Self> {
        match self {
            Self::ByDate(parts) | Self::BySite(parts) => parts.get(name),
            _ => None,
        }
    }

    /// The part of a period or of a site, taken out.
    #[must_use]
    pub fn into_part(self, name: &str) -> Option<Self> {
        match self {
            Self::ByDate(mut parts) | Self::BySite(mut parts) => parts.remove(name),
            _ => None,
        }
    }

    /// The one record, where this is one.
    #[must_use]
    pub fn row(&self) -> Option<&Row> {
        match self {
            Self::Row(row) => Some(row),
            _ => None,
        }
    }

    /// The records of a table; none for anything else.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        match self {
            Self::Table(rows) => rows,
            _ => &[],
        }
    }
}

/// `2026-03-28`, `2026-03`, `2026-03-16,2026-03-22`.
fn is_period(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.len() >= 7
        && bytes[..4].iter().all(u8::is_ascii_digit)
        && bytes[4] == b'-'
        && bytes.iter().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b','))
}

/// A record of an answer: its fields as they were written.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row(pub Map<String, Value>);

impl Row {
    /// A field, unless it is absent, null, or `false`.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Value> {
        self.0.get(name).filter(|value| present(value))
    }

    /// A number, however it was written: `9`, `"9"`, `4.0`. `None` for anything that is none, such as `"29%"`.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<Decimal> {
        self.field(name).and_then(number)
    }

    /// A text that is not empty; a number as it is written.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        match self.field(name)? {
            Value::String(text) if !text.trim().is_empty() => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Whether the row stands for all the rows that the source folded together. Matomo says so (`is_summary`); where it
    /// does not (the rows of `filter_truncate`, older versions), by its English name, and by having neither an address
    /// nor a segment of its own.
    #[must_use]
    pub fn is_rest(&self) -> bool {
        if let Some(told) = self.field("is_summary") {
            return told.as_bool() == Some(true) || number(told) == Some(Decimal::ONE);
        }
        let label = self.text("label").unwrap_or_default();
        let named = label == "Others" || label == "-1" || label.ends_with(" - Others");
        // `pageUrl=^…` is the folder that was folded, not a page.
        let itself = self.text("segment").is_some_and(|segment| !segment.contains("=^"));
        named && !itself && self.text("url").is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_documented_form_is_told_from_the_others() {
        let read = |value| Answer::read(value).unwrap();
        assert_eq!(read(json!({"value": 17})), Answer::Number(17.into()));
        assert_eq!(read(json!({"value": "5.0"})), Answer::Text("5.0".to_owned()));
        assert_eq!(read(json!([])), Answer::Table(Vec::new()));
        assert!(matches!(read(json!({"nb_visits": 1})), Answer::Row(_)));
        assert!(matches!(read(json!({"2026-03": {"nb_visits": 1}})), Answer::ByDate(_)));
        assert!(matches!(read(json!({"2026-03-16,2026-03-22": []})), Answer::ByDate(_)));
        assert!(matches!(read(json!({"1": {"nb_visits": 1}, "12": []})), Answer::BySite(_)));
        let numbers = read(json!({"2026-03-27": 12, "2026-03-28": "17"}));
        assert_eq!(numbers.part("2026-03-28"), Some(&Answer::Number(17.into())));
        for none in [json!(42), json!("x"), json!([1, 2]), json!({"value": {}}), json!({"2026-03-27": "x"})] {
            assert_eq!(Answer::read(none.clone()), None, "{none}");
        }
    }

    #[test]
    fn rows_that_stand_for_the_rest_are_known_by_mark_or_by_name() {
        let rest = |value: &Value| Row(value.as_object().unwrap().clone()).is_rest();
        assert!(rest(&json!({"label": "/long/ - Others", "is_summary": true, "segment": "pageUrl=^x"})));
        assert!(rest(&json!({"label": "/long/ - Others", "segment": "pageUrl=^x"})));
        assert!(rest(&json!({"label": "Others"})));
        assert!(rest(&json!({"label": -1})));
        assert!(!rest(&json!({"label": "Others", "url": "https://shop.example.org/Others"})));
        assert!(!rest(&json!({"label": "Others", "segment": "eventCategory==Others"})));
        assert!(!rest(&json!({"label": "Others", "is_summary": false, "segment": "eventCategory==Others"})));
        assert!(!rest(&json!({"label": "shoes"})));
    }
}
