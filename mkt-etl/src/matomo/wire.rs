//! Matomo's words: what its JSON holds, read leniently. Numbers come as integers, decimals or texts, absent values as
//! `null`, `""`, `false` or not at all; unknown fields are left alone.

use rust_decimal::Decimal;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::str::FromStr;

/// A number, however it was written; `None` for anything that is none. `"29%"` is no number: ratios are computed from
/// their parts.
pub(super) fn number(value: &Value) -> Option<Decimal> {
    let text = match value {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.trim().to_owned(),
        _ => return None,
    };
    Decimal::from_str(&text).or_else(|_| Decimal::from_scientific(&text)).ok()
}

/// Whether a field says anything: absent values are null, `false` or an empty text too.
pub(super) fn present(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::String(text) => !text.trim().is_empty(),
        _ => true,
    }
}

fn decimal<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Decimal>, D::Error> {
    Ok(number(&Value::deserialize(from)?))
}

fn integer<'de, D: Deserializer<'de>>(from: D) -> Result<Option<i64>, D::Error> {
    use rust_decimal::prelude::ToPrimitive;
    Ok(number(&Value::deserialize(from)?).filter(Decimal::is_integer).and_then(|x| x.to_i64()))
}

/// A text that is there: not null, not empty. Numbers are taken as they are written.
fn text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::String(text) if !text.trim().is_empty() => Some(text),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    })
}

/// A list of what reads; anything that is no list is empty, and so is `[]`'s other form, `{}`.
fn values<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Value>, D::Error> {
    Ok(match Value::deserialize(from)? {
        Value::Array(items) => items,
        _ => Vec::new(),
    })
}

/// SitesManager.getSiteFromId.
#[derive(Debug, Deserialize)]
pub(super) struct Site {
    #[serde(default, deserialize_with = "integer")]
    pub(super) idsite: Option<i64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) timezone: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) currency: Option<String>,
    /// 1 for a shop.
    #[serde(default, deserialize_with = "integer")]
    pub(super) ecommerce: Option<i64>,
}

/// VisitsSummary.get of one day.
#[derive(Debug, Deserialize)]
pub(super) struct Summary {
    #[serde(default, deserialize_with = "decimal")]
    pub(super) nb_visits: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) nb_uniq_visitors: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) nb_users: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) nb_actions: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) nb_visits_converted: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) bounce_count: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) sum_visit_length: Option<Decimal>,
}

impl Summary {
    /// Of a day on which nothing happened.
    pub(super) fn zero() -> Self {
        let zero = Some(Decimal::ZERO);
        Self {
            nb_visits: zero,
            nb_uniq_visitors: zero,
            nb_users: zero,
            nb_actions: zero,
            nb_visits_converted: zero,
            bounce_count: zero,
            sum_visit_length: zero,
        }
    }
}

/// Goals.get of one day. Its keys vary from day to day; these two are always there.
#[derive(Debug, Deserialize)]
pub(super) struct Goals {
    #[serde(default, deserialize_with = "decimal")]
    pub(super) nb_conversions: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) revenue: Option<Decimal>,
}

/// A visit of Live.getLastVisitsDetails.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Visit {
    #[serde(default, deserialize_with = "integer")]
    pub(super) id_visit: Option<i64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) visitor_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) user_id: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(super) first_action_timestamp: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    pub(super) last_action_timestamp: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    pub(super) visit_duration: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    pub(super) visit_converted: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    pub(super) actions: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    pub(super) events: Option<i64>,
    /// How many actions Matomo left out of `actionDetails`.
    #[serde(default, deserialize_with = "integer")]
    pub(super) truncated_actions_count: Option<i64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) referrer_type: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) referrer_name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) referrer_url: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) device_type: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) site_currency: Option<String>,
    #[serde(default, deserialize_with = "values")]
    pub(super) action_details: Vec<Value>,
}

/// An element of `actionDetails`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Action {
    #[serde(rename = "type", default, deserialize_with = "text")]
    pub(super) kind: Option<String>,
    #[serde(default, deserialize_with = "integer")]
    pub(super) timestamp: Option<i64>,
    #[serde(default, deserialize_with = "integer")]
    pub(super) time_spent: Option<i64>,
    #[serde(default, deserialize_with = "text")]
    pub(super) url: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) page_title: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) page_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) goal_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) goal_name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) goal_page_id: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) order_id: Option<String>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) revenue: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) revenue_sub_total: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) revenue_tax: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) revenue_shipping: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) revenue_discount: Option<Decimal>,
    #[serde(default, deserialize_with = "values")]
    pub(super) item_details: Vec<Value>,
    #[serde(default, deserialize_with = "text")]
    pub(super) site_search_keyword: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) event_category: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) event_action: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) event_name: Option<String>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) event_value: Option<Decimal>,
    #[serde(default, deserialize_with = "text")]
    pub(super) content_name: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) content_piece: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) content_target: Option<String>,
    #[serde(default, deserialize_with = "text")]
    pub(super) content_interaction: Option<String>,
}

/// An element of `itemDetails`.
#[derive(Debug, Deserialize)]
pub(super) struct Item {
    #[serde(rename = "itemSKU", default, deserialize_with = "text")]
    pub(super) sku: Option<String>,
    #[serde(rename = "itemName", default, deserialize_with = "text")]
    pub(super) name: Option<String>,
    #[serde(rename = "itemCategory", default, deserialize_with = "text")]
    pub(super) category: Option<String>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) price: Option<Decimal>,
    #[serde(default, deserialize_with = "decimal")]
    pub(super) quantity: Option<Decimal>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_however_they_are_written() {
        let summary: Summary = serde_json::from_str(
            r#"{"nb_visits":"9","nb_actions":4.0,"bounce_count":null,"sum_visit_length":1e2}"#,
        )
        .unwrap();
        let seen = (summary.nb_visits, summary.nb_actions, summary.bounce_count, summary.sum_visit_length);
        let n = |x: i64| Some(Decimal::from(x));
        assert_eq!(seen, (n(9), n(4), None, n(100)));
    }

    #[test]
    fn absent_texts_are_absent_in_every_form() {
        let visit: Visit = serde_json::from_str(
            r#"{"idVisit":"7","userId":null,"referrerName":"","referrerUrl":false,"visitorId":"00ab","actionDetails":{}}"#,
        )
        .unwrap();
        assert_eq!(
            (visit.id_visit, visit.user_id, visit.referrer_name, visit.referrer_url),
            (Some(7), None, None, None)
        );
        assert_eq!(visit.visitor_id.as_deref(), Some("00ab"));
        assert!(visit.action_details.is_empty());
    }
}
