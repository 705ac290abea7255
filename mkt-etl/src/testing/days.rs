//! The recorded days of every report, by report, site and day: what [`RecordedMatomo`](super::RecordedMatomo) puts ranges
//! of days together from.

use super::bodies::body;
use chrono::NaiveDate;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A report of one day of one site, with the names of the recordings that it comes from, the default first.
///
/// A report is its method and the parameters that make it another one: `Goals.get idGoal=1`.
pub(super) type Days = BTreeMap<(String, String, NaiveDate), Vec<(&'static str, Value)>>;

/// Parameters that make a report another one.
pub(super) const VARIANTS: [&str; 5] = ["abandonedCarts", "expanded", "flat", "idGoal", "segment"];

const SUMMARY: &str = "VisitsSummary.get";
const GOALS: &str = "Goals.get";
const PAGES: &str = "Actions.getPageUrls flat=1";

/// Answers of one day, of methods that were recorded for lists of days too: they answer lists. 27 March with its late
/// visit comes first.
const SINGLE: &[(&str, &str, &str)] = &[
    (SUMMARY, "late_after", "2026-03-27"),
    (SUMMARY, "late_before", "2026-03-27"),
    ("VisitsSummary.get segment=referrerType==campaign", "vs_get_segment", "2026-03-28"),
    (GOALS, "goals_empty_single", "2026-04-08"),
    (PAGES, "act_pageurls_flat", "2026-03-28"),
    (PAGES, "many_limit_all", "2026-04-10"),
];

/// Tables of one day that were recorded as such, and never for a list of days: they answer `date=D` only.
/// Referrers.getAll refuses lists (`get_all_day_as_list` of the second recording).
const TABLES: &[(&str, &str, &str)] = &[
    ("Referrers.getAll", "ref_all_flat", "2026-03-28"),
    ("Referrers.getCampaigns flat=1", "ref_campaigns_flat", "2026-03-28"),
    ("Referrers.getCampaigns expanded=1", "ref_campaigns_expanded", "2026-03-28"),
    (PAGES, "act_pageurls_flat", "2026-03-28"),
    (PAGES, "many_limit_all", "2026-04-10"),
    ("Goals.getItemsSku", "goals_getItemsSku_day", "2026-03-28"),
    ("Goals.getItemsSku abandonedCarts=1", "goals_getItemsSku_abandoned", "2026-03-28"),
];

/// What a real Matomo 5.0.2 answers when Referrers.getAll is asked for several dates.
pub(super) const NO_LISTS: &[u8] = include_bytes!("../../tests/recordings/matomo-2/get_all_day_as_list.body");

/// The recorded table of a report for one date, whole.
pub(super) fn table(report: &str, day: NaiveDate) -> Option<Value> {
    let (_, name, _) = TABLES.iter().find(|(held, _, date)| *held == report && date.parse() == Ok(day))?;
    read(name).ok()
}

/// Answers of several days: `{day: …}`.
const RANGES: &[(&str, &str)] = &[
    (SUMMARY, "vs_get_days_range"),
    (SUMMARY, "vs_range_with_empty"),
    (SUMMARY, "cron_newday_range_noarchive"),
    (GOALS, "goals_get_range"),
    ("Goals.get idGoal=1", "goals_get_idgoal1_range"),
    ("Goals.get idGoal=ecommerceOrder", "goals_get_ecommerceOrder"),
    ("Goals.get idGoal=ecommerceAbandonedCart", "goals_get_ecommerceAbandonedCart"),
    ("Referrers.getReferrerType", "ref_type_range"),
    (PAGES, "act_range_with_empty"),
    ("API.get", "api_get"),
];

pub(super) fn read<T: serde::de::DeserializeOwned>(name: &str) -> serde_json::Result<T> {
    serde_json::from_slice(body(name).unwrap_or_default())
}

/// Every recorded day; the first of a day is the default.
pub(super) fn days() -> serde_json::Result<Days> {
    let mut days = Days::new();
    let mut put = |report: &str, site: &str, day: &str, name, value: Value| {
        if let Ok(day) = day.parse::<NaiveDate>() {
            days.entry((report.to_owned(), site.to_owned(), day)).or_default().push((name, value));
        }
    };
    for (report, name, day) in SINGLE {
        put(report, "1", day, name, read(name)?);
    }
    for (report, name) in RANGES {
        for (day, value) in read::<Map<String, Value>>(name)? {
            put(report, "1", &day, name, value);
        }
    }
    // `{site: {day: …}}`.
    for (site, by_day) in read::<BTreeMap<String, Map<String, Value>>>("vs_get_multisite_range")? {
        for (day, value) in by_day {
            put(SUMMARY, &site, &day, "vs_get_multisite_range", value);
        }
    }
    // A list, in the order of the requests: 20 to 27 March.
    for (index, value) in read::<Vec<Value>>("bulk_days_8")?.into_iter().enumerate() {
        put(SUMMARY, "1", &format!("2026-03-{}", 20 + index), "bulk_days_8", value);
    }
    Ok(days)
}
