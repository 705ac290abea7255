//! Conversions goal by goal, from Goals.get. Pure.
//!
//! The key set of Goals.get varies from day to day (the parts of returning visitors are absent on a day without any):
//! that is its form, not a change of it.

use super::shape::{Dimensions, Field, Ratio, Shape, Sheet};
use crate::matomo::answer::{Answer, Row};
use rust_decimal::Decimal;
use serde_json::Map;

/// Orders, as Matomo names them among the goals.
pub(in crate::matomo) const ORDER: &str = "ecommerceOrder";
/// Carts that were left.
pub(in crate::matomo) const CART: &str = "ecommerceAbandonedCart";

/// A visit may convert to several goals: converted visits of goals are never added up.
const CONVERSIONS: &[Field] = &[
    Field::count("nb_conversions", "conversions").needed(),
    Field::distinct("nb_visits_converted", "converted_visits"),
    Field::amount("revenue", "revenue"),
    Field::amount("revenue_subtotal", "revenue_subtotal"),
    Field::amount("revenue_tax", "revenue_tax"),
    Field::amount("revenue_shipping", "revenue_shipping"),
    Field::amount("revenue_discount", "revenue_discount"),
    Field::count("items", "items"),
];

const RATIOS: &[Ratio] = &[Ratio("revenue_per_conversion", "revenue", "conversions")];

/// What a cart would have brought is no revenue.
const CARTS: &[Field] = &[
    Field::count("nb_conversions", "carts").needed(),
    Field::distinct("nb_visits_converted", "visits_with_cart"),
    Field::amount("revenue", "cart_value"),
    Field::count("items", "items"),
];

const CART_RATIOS: &[Ratio] = &[Ratio("value_per_cart", "cart_value", "carts")];

const KNOWN: &[&str] =
    &["avg_order_revenue", "revenue_subtotal", "revenue_tax", "revenue_shipping", "revenue_discount"];

const fn shape(
    place: &'static str,
    report: &'static str,
    fields: &'static [Field],
    ratios: &'static [Ratio],
) -> Shape {
    Shape { place, report, fields, ratios, known: KNOWN, is_known: is_part }
}

/// Every conversion is of one goal; orders are one of them.
pub(super) static GOALS: Shape = shape("Goals.get", "goals", CONVERSIONS, RATIOS);
/// The same conversions by goal and by whether the visitor had been there before.
pub(super) static VISITORS: Shape = shape("Goals.get", "goal_visitors", CONVERSIONS, RATIOS);
/// Carts that were left.
pub(super) static ABANDONED: Shape = shape("Goals.get", "abandoned_carts", CARTS, CART_RATIOS);
/// Conversions by type of referrer and goal.
pub(super) static OF_REFERRERS: Shape =
    shape("Referrers.getReferrerType", "referrer_goals", CONVERSIONS, RATIOS);
/// Carts by type of referrer.
pub(super) static CARTS_OF_REFERRERS: Shape =
    shape("Referrers.getReferrerType", "referrer_carts", CARTS, CART_RATIOS);

const NEW: &str = "_new_visit";
const RETURNING: &str = "_returning_visit";

fn is_part(name: &str) -> bool {
    name.ends_with(NEW) || name.ends_with(RETURNING)
}

/// Whether a field of Goals.get is one that it is known to have.
pub(in crate::matomo) fn is_known(name: &str) -> bool {
    is_part(name)
        || KNOWN.contains(&name)
        || ["conversion_rate", "items", "nb_conversions", "nb_visits_converted", "revenue"].contains(&name)
}

/// The goals of a site: number and name. Newer versions answer with a list, older ones with an object by number.
pub(super) fn listed(answer: &Answer) -> Option<Vec<(String, Option<String>)>> {
    let of = |row: &Row| Some((row.text("idgoal")?, row.text("name")));
    match answer {
        Answer::Table(rows) => rows.iter().map(of).collect(),
        Answer::BySite(goals) => goals.values().map(|goal| goal.row().and_then(of)).collect(),
        _ => None,
    }
}

/// Goals.get of one goal. `None` where its conversions are not told.
pub(super) fn add(goal: &str, row: &Row, goals: &mut Sheet<'_>, visitors: &mut Sheet<'_>) -> Option<()> {
    row.number("nb_conversions")?;
    let dimensions = || Dimensions::new().text("goal", Some(goal));
    goals.add_as(row, dimensions(), false);
    for (kind, suffix) in [("new", NEW), ("returning", RETURNING)] {
        let fields: Map<_, _> = row
            .0
            .iter()
            .filter_map(|(name, value)| Some((name.strip_suffix(suffix)?.to_owned(), value.clone())))
            .collect();
        if !fields.is_empty() {
            visitors.add_as(&Row(fields), dimensions().text("visitor", Some(kind)), false);
        }
    }
    Some(())
}

/// Goals.get of the abandoned carts.
pub(super) fn add_carts(row: &Row, carts: &mut Sheet<'_>) -> Option<()> {
    row.number("nb_conversions")?;
    carts.add_as(row, Dimensions::new(), false);
    Some(())
}

/// Conversions and revenue of all goals together, less those of the goals that are listed: of goals that were deleted.
/// `None` where nothing is left over.
pub(super) fn unlisted(all: &Row, listed: &[&Row]) -> Option<Row> {
    let sum = |name: &str| listed.iter().filter_map(|row| row.number(name)).sum::<Decimal>();
    let conversions = all.number("nb_conversions")? - sum("nb_conversions");
    (conversions > Decimal::ZERO).then(|| {
        let revenue = all.number("revenue").unwrap_or_default() - sum("revenue");
        let mut fields = Map::new();
        for (name, value) in [("nb_conversions", conversions), ("revenue", revenue)] {
            fields.insert(name.to_owned(), value.to_string().into());
        }
        Row(fields)
    })
}

/// The row of goals that are not listed any more.
pub(super) fn add_unlisted(row: &Row, goals: &mut Sheet<'_>) {
    goals.add_as(row, Dimensions::new().text("goal", None), false);
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(value: &serde_json::Value) -> Row {
        Row(value.as_object().unwrap().clone())
    }

    #[test]
    fn conversions_of_deleted_goals_are_what_is_left_over() {
        let all = row(&json!({"nb_conversions": 9, "revenue": 130.5}));
        let goal = row(&json!({"nb_conversions": 4, "revenue": 0}));
        let order = row(&json!({"nb_conversions": "2", "revenue": 119.8}));
        let left = unlisted(&all, &[&goal, &order]).unwrap();
        assert_eq!(left.number("nb_conversions"), Some(3.into()));
        assert_eq!(left.number("revenue"), Some("10.7".parse().unwrap()));
        assert_eq!(unlisted(&row(&json!({"nb_conversions": 6})), &[&goal, &order]), None);
    }

    #[test]
    fn goals_are_listed_by_old_and_new_versions() {
        let new = json!([{"idsite": 1, "idgoal": 1, "name": "signup"}]);
        let old = json!({"1": {"idsite": "1", "idgoal": "1", "name": "signup"}});
        for answer in [new, old] {
            let listed = listed(&Answer::read(answer).unwrap()).unwrap();
            assert_eq!(listed, [("1".to_owned(), Some("signup".to_owned()))]);
        }
        assert_eq!(listed(&Answer::read(json!([])).unwrap()), Some(Vec::new()));
    }
}
