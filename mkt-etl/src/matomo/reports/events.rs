//! Events by category, action and name: three tables of the same events. Pure.
//!
//! Not recorded: the form is that of the documentation and of clients that read it (`Events_EventCategory`, … beside the
//! label of flat rows).

use super::shape::{Dimensions, Field, Ratio, Shape, Sheet};
use crate::matomo::answer::Row;

const FIELDS: &[Field] = &[
    Field::count("nb_events", "events").needed(),
    Field::count("nb_events_with_value", "events_with_value"),
    Field::count("sum_event_value", "event_value"),
    Field::distinct("nb_visits", "visits_with_event"),
    Field::distinct("nb_uniq_visitors", "unique_visitors"),
];

const RATIOS: &[Ratio] = &[Ratio("value_per_event", "event_value", "events_with_value")];

const KNOWN: &[&str] =
    &["min_event_value", "max_event_value", "avg_event_value", "sum_daily_nb_uniq_visitors"];

/// A table of events: its shape and the two dimensions of its flat rows, by the vendor's names and ours.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) shape: Shape,
    dimensions: [(&'static str, &'static str); 2],
}

const CATEGORY: (&str, &str) = ("Events_EventCategory", "event_category");
const ACTION: (&str, &str) = ("Events_EventAction", "event_action");
const NAME: (&str, &str) = ("Events_EventName", "event_name");

const fn table(
    place: &'static str,
    report: &'static str,
    dimensions: [(&'static str, &'static str); 2],
) -> Table {
    let shape = Shape {
        place,
        report,
        fields: FIELDS,
        ratios: RATIOS,
        known: KNOWN,
        is_known: is_dimension,
        foreign: &[],
    };
    Table { shape, dimensions }
}

fn is_dimension(name: &str) -> bool {
    name.starts_with("Events_Event")
}

/// Matomo's own pairs of dimensions: category and action, action and name, name and action.
pub(super) static TABLES: [Table; 3] = [
    table("Events.getCategory", "event_categories", [CATEGORY, ACTION]),
    table("Events.getAction", "event_actions", [ACTION, NAME]),
    table("Events.getName", "event_names", [NAME, ACTION]),
];

/// Flat rows of a table.
pub(super) fn add(rows: &[Row], table: &Table, sheet: &mut Sheet<'_>) {
    for row in rows {
        let [(first, ours), (second, our_second)] = table.dimensions;
        let Some(label) = row.text("label") else {
            sheet.reject(row, "the row has no label");
            continue;
        };
        let (value, other) = (row.text(first), row.text(second));
        // The elements of a bulk request carry no name: a row of another table has another first dimension, by which its
        // label begins.
        let begins = |with: &Option<String>| with.as_ref().is_some_and(|with| label.starts_with(with));
        if row.0.keys().any(|name| is_dimension(name))
            && (!row.0.contains_key(first) || !begins(&value) && begins(&other))
        {
            sheet.misread("the rows are those of another report");
            continue;
        }
        // A row that stands for the rest has the label only.
        let value = value.unwrap_or(label);
        sheet.add(row, Dimensions::new().text(ours, Some(&value)).text(our_second, other.as_deref()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{Page, SiteFacts};
    use serde_json::json;

    fn read(rows: &serde_json::Value, table: &'static Table) -> Result<Page, String> {
        let site = SiteFacts {
            site: "1".to_owned(),
            native_id: "1".to_owned(),
            zone: chrono_tz::UTC,
            offset: None,
            currency: None,
            conversion_set: Vec::new(),
        };
        let rows: Vec<Row> =
            rows.as_array().unwrap().iter().map(|row| Row(row.as_object().unwrap().clone())).collect();
        let mut sheet = Sheet::new(&table.shape, "events".to_owned(), &site, chrono::NaiveDate::default());
        add(&rows, table, &mut sheet);
        sheet.finish()
    }

    #[test]
    fn rows_of_another_table_of_events_are_not_taken_for_this_one() {
        let of = |label: &str, first: &str, second: &str| json!({"label": label, "nb_events": 1, first: "play", second: "intro"});
        let action = json!([of("play - intro", "Events_EventAction", "Events_EventName")]);
        let name = json!([of("intro - play", "Events_EventAction", "Events_EventName")]);
        let [by_category, by_action, by_name] = &TABLES;
        assert!(read(&action, by_action).is_ok());
        assert!(read(&name, by_name).is_ok());
        for (rows, table) in [(&action, by_category), (&name, by_action), (&action, by_name)] {
            let place = table.shape.place;
            assert_eq!(
                read(rows, table).unwrap_err(),
                format!("{place}: the rows are those of another report")
            );
        }
        // The rest has no dimensions.
        assert!(read(&json!([{"label": "Others", "nb_events": 3}]), by_action).is_ok());
        let error = read(&json!([{"label": "Others", "nb_events": []}]), by_action).unwrap_err();
        assert_eq!(error, "Events.getAction: nb_events is no number");
    }
}
