//! What to do about a column that is missing: which columns of the file may be it, and which settings take its place.

use super::FileKind;
use mkt_connect::table::fold;

/// Parts of names of columns that often hold what ours do, in English and French; the likeliest first.
const ALIKE: [(&str, &[&str]); 7] = [
    (
        "user_id",
        &[
            "customerid",
            "userid",
            "customer",
            "client",
            "user",
            "visitor",
            "buyer",
            "email",
            "mail",
            "person",
            "profile",
        ],
    ),
    ("timestamp", &["created", "timestamp", "datetime", "date", "time", "heure"]),
    ("revenue", &["revenue", "ordertotal", "total", "amount", "montant", "net", "value", "price"]),
    ("start_time", &["start", "begin", "first", "debut", "date", "time"]),
    ("end_time", &["end", "last", "fin"]),
    ("event_type", &["event", "action", "type", "activity"]),
    ("session_id", &["session", "visit", "visite"]),
];

/// A clause that says which columns may be mapped, and what else helps.
pub(super) fn for_missing(kind: FileKind, missing: &[&str], labels: &[&str]) -> String {
    let mut help = "map the columns of the file to ours: theirs=ours".to_owned();
    // A file without types of events is one of orders, as a rule.
    let is_orders = kind == FileKind::Events && missing.contains(&"event_type");
    let wanted = missing.iter().chain(is_orders.then_some(&"revenue"));
    let alike = wanted.filter_map(|ours| {
        let (_, parts) = ALIKE.iter().find(|(name, _)| name == ours)?;
        let label = parts.iter().find_map(|part| labels.iter().find(|label| fold(label).contains(part)))?;
        Some(format!("\"{}={ours}\"", super::shown(label.trim())))
    });
    let alike: Vec<String> = alike.collect();
    if !alike.is_empty() {
        help.push_str(&format!(", perhaps {}", alike.join(" ")));
    }
    if is_orders {
        help.push_str("; where every row is one event, declare the event type");
    }
    if missing.contains(&"channel") && kind == FileKind::Events {
        help.push_str("; where no column names the channel, declare a default channel");
    }
    help
}
