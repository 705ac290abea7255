//! Where visits came from: by type, by name, by campaign. Pure.

use super::goals;
use super::shape::{Dimensions, Field, Ratio, Shape, Sheet, no_others};
use crate::matomo::answer::Row;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;

/// Numbers of visits, as tables of visits have them.
pub(super) const VISITS: &[Field] = &[
    Field::count("nb_visits", "visits").needed(),
    Field::count("nb_actions", "actions"),
    Field::count("bounce_count", "bounces"),
    Field::count("sum_visit_length", "seconds_on_site"),
    Field::count("nb_visits_converted", "converted_visits"),
    Field::count("nb_conversions", "conversions"),
    Field::amount("revenue", "revenue"),
    Field::distinct("nb_uniq_visitors", "unique_visitors"),
    Field::distinct("nb_users", "known_users"),
];

pub(super) const VISIT_RATIOS: &[Ratio] = &[
    Ratio("bounce_rate", "bounces", "visits"),
    Ratio("conversion_rate", "converted_visits", "visits"),
    Ratio("actions_per_visit", "actions", "visits"),
    Ratio("time_per_visit", "seconds_on_site", "visits"),
];

const KNOWN: &[&str] = &[
    "referrer_type",
    "referer_type",
    "sum_daily_nb_uniq_visitors",
    "sum_daily_nb_users",
    "Referrers_Campaign",
    "Referrers_Keyword",
    "Referrers_Website",
    "Referrers_SocialNetwork",
];

/// By type: every visit is in one row.
pub(in crate::matomo) static TYPES: Shape = Shape {
    place: "Referrers.getReferrerType",
    report: "referrers",
    fields: VISITS,
    ratios: VISIT_RATIOS,
    known: KNOWN,
    is_known: no_others,
    foreign: &[],
};

/// By name: every visit that did not come directly is in one row.
pub(super) static NAMES: Shape = Shape { place: "Referrers.getAll", report: "referrer_names", ..TYPES_AGAIN };

/// By campaign and keyword: every visit of a campaign is in one row, with a null keyword where it has none.
pub(super) static CAMPAIGNS: Shape =
    Shape { place: "Referrers.getCampaigns", report: "campaigns", ..TYPES_AGAIN };

const TYPES_AGAIN: Shape = Shape {
    place: "",
    report: "",
    fields: VISITS,
    ratios: VISIT_RATIOS,
    known: KNOWN,
    is_known: no_others,
    foreign: &[],
};

/// The type's name. The label is localised; the number and the segment are not.
pub(in crate::matomo) fn type_of(row: &Row) -> Option<String> {
    let number = row.number("referrer_type").or_else(|| row.number("referer_type")).and_then(|x| x.to_u64());
    let segment = row.text("segment").unwrap_or_default();
    let told = segment.split(';').find_map(|part| part.strip_prefix("referrerType=="));
    Some(match (number, told) {
        (Some(1), _) => "direct".to_owned(),
        (Some(2), _) => "search".to_owned(),
        (Some(3), _) => "website".to_owned(),
        (Some(6), _) => "campaign".to_owned(),
        (Some(7), _) => "social".to_owned(),
        // A type of a later version.
        (_, Some(told)) if !told.is_empty() => told.to_owned(),
        (Some(number), _) => format!("type_{number}"),
        (None, _) => return None,
    })
}

/// Whether a row is of the visits whose keyword is not known; its label is a localised text.
fn without_keyword(row: &Row) -> bool {
    row.text("segment").is_some_and(|segment| segment.ends_with("referrerKeyword=="))
}

/// Rows of Referrers.getReferrerType, and what their visits converted to.
pub(super) fn add_types(rows: &[Row], sheet: &mut Sheet<'_>, goals: &mut Sheet<'_>, carts: &mut Sheet<'_>) {
    for row in rows {
        let name = type_of(row);
        if name.is_none() && !row.is_rest() {
            sheet.reject(row, "the row has no referrer_type");
            continue;
        }
        let dimensions = || Dimensions::new().text("referrer_type", name.as_deref());
        sheet.add(row, dimensions());
        let Some(Value::Object(converted)) = row.field("goals") else { continue };
        for (goal, numbers) in converted {
            let (Some(goal), Value::Object(numbers)) = (goal.strip_prefix("idgoal="), numbers) else {
                continue;
            };
            let numbers = Row(numbers.clone());
            if goal == goals::CART {
                carts.add_as(&numbers, dimensions(), false);
            } else {
                goals.add_as(&numbers, dimensions().text("goal", Some(goal)), false);
            }
        }
    }
}

/// Rows of Referrers.getAll: keywords of search engines, names of everything else.
pub(super) fn add_names(rows: &[Row], sheet: &mut Sheet<'_>) {
    for row in rows {
        let Some(label) = row.text("label") else {
            sheet.reject(row, "the row has no label");
            continue;
        };
        let kind = type_of(row);
        let dimensions = Dimensions::new().text("referrer_type", kind.as_deref());
        let dimensions = if kind.as_deref() == Some("search") {
            dimensions.text("referrer_keyword", Some(label.as_str()).filter(|_| !without_keyword(row)))
        } else {
            dimensions.text("referrer_name", Some(&label))
        };
        sheet.add(row, dimensions);
    }
}

/// Rows of Referrers.getCampaigns, expanded: campaigns with their keywords beneath them. Visits without a keyword are in
/// the campaign and in none of its keywords.
pub(super) fn add_campaigns(rows: &[Row], sheet: &mut Sheet<'_>) {
    for row in rows {
        let Some(campaign) = row.text("Referrers_Campaign").or_else(|| row.text("label")) else {
            sheet.reject(row, "the row has no label");
            continue;
        };
        let dimensions = |keyword: Option<&str>| {
            Dimensions::new().text("campaign", Some(&campaign)).text("campaign_keyword", keyword)
        };
        let keywords: Vec<Row> = match row.field("subtable") {
            Some(Value::Array(rows)) => {
                rows.iter().filter_map(|row| row.as_object().cloned().map(Row)).collect()
            }
            _ => Vec::new(),
        };
        if keywords.is_empty() {
            if row.field("idsubdatatable").is_some() {
                sheet.misread("a campaign has keywords, and they are not in the answer");
                continue;
            }
            sheet.add(row, dimensions(None));
            continue;
        }
        for keyword in &keywords {
            match keyword.text("Referrers_Keyword").or_else(|| keyword.text("label")) {
                Some(label) => {
                    let label = Some(label.as_str()).filter(|_| !without_keyword(keyword));
                    sheet.add(keyword, dimensions(label));
                }
                None => sheet.reject(keyword, "the row has no label"),
            }
        }
        if let Some(rest) = sheet.remainder(row, &keywords) {
            sheet.add_as(&rest, dimensions(None), false);
        }
    }
}
