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
    let shape = Shape { place, report, fields: FIELDS, ratios: RATIOS, known: KNOWN, is_known: is_dimension };
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
        // A row that stands for the rest has the label only.
        let value = row.text(first).unwrap_or(label);
        sheet.add(
            row,
            Dimensions::new().text(ours, Some(&value)).text(our_second, row.text(second).as_deref()),
        );
    }
}
