//! Segments of a query: described in it, or saved under a key.

use super::asking::{Refusal, refuse};
use super::filter;
use super::world::Visit;
use serde_json::{Value, json};

/// How many segments a query has, and what the one that is described says. One is saved: `desktop`.
pub(super) fn read(segment: Option<&Value>) -> Result<(usize, Option<Value>), Refusal> {
    let Some(segment) = segment else { return Ok((0, None)) };
    match segment {
        Value::Array(list) if list.iter().all(Value::is_u64) => Ok((list.len(), None)),
        Value::Object(fields) => {
            match (fields.get("section"), fields.get("segmentKey").and_then(Value::as_str)) {
                (Some(section), None) => Ok((1, Some(section.clone()))),
                (None, Some("desktop")) => {
                    let filter = json!({"device_type": {"$eq": "Desktop"}});
                    let content = json!({"condition": {"filter": filter}});
                    Ok((1, Some(json!({"scope": "visit_id", "mode": "include", "content": content}))))
                }
                _ => refuse("InvalidSegment", "there is no such segment"),
            }
        }
        _ => refuse("InvalidSegment", "the segment does not read"),
    }
}

/// Whether a page load of a visit lies in a segment of events or visits.
pub(super) fn holds(section: &Value, visit: &Visit, load: usize, site: u64) -> Result<bool, Refusal> {
    let loads = match section.get("scope").and_then(Value::as_str) {
        Some("event_id") => load..load + 1,
        Some("visit_id") => 0..visit.pages.len(),
        _ => return refuse("InvalidSegment", "the stand-in knows segments of events and visits"),
    };
    let Some(content) = section.get("content") else { return refuse("InvalidSegment", "it has no content") };
    let conditions = match content.get("and").and_then(Value::as_array) {
        Some(list) => list.iter().collect(),
        None => vec![content],
    };
    let mut all = true;
    for condition in conditions {
        let Some(filter) = condition.get("condition").and_then(|condition| condition.get("filter")) else {
            return refuse("InvalidSegment", "a condition has no filter");
        };
        let mut any = false;
        for load in loads.clone() {
            any |= filter::holds(filter, &|name| visit.property(name, load, site))?;
        }
        all &= any;
    }
    match section.get("mode").and_then(Value::as_str) {
        Some("include") | None => Ok(all),
        Some("exclude") => Ok(!all),
        Some(_) => refuse("InvalidSegment", "a mode is include or exclude"),
    }
}
