//! Conversions goal by goal, from Goals.get. Pure.
//!
//! The key set of Goals.get varies from day to day (the parts of returning visitors are absent on a day without any):
//! that is its form, not a change of it.

use super::shape::{Dimensions, Field, Ratio, Shape, Sheet};
use crate::matomo::answer::{Answer, Row};
use crate::matomo::wire::number;
use rust_decimal::Decimal;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

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
    Shape { place, report, fields, ratios, known: KNOWN, is_known: is_part, foreign: &[] }
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

/// Conversions by goal, as the rows of Referrers.getReferrerType tell them: all goals that converted on the day. `None`
/// where a number does not read.
pub(super) fn converted(types: &[Row]) -> Option<BTreeMap<String, Decimal>> {
    let mut all = BTreeMap::<String, Decimal>::new();
    for row in types {
        let Some(Value::Object(goals)) = row.field("goals") else { continue };
        for (name, numbers) in goals {
            let Some(goal) = name.strip_prefix("idgoal=") else { continue };
            let Value::Object(numbers) = numbers else { return None };
            let conversions = number(numbers.get("nb_conversions")?)?;
            let sum = all.entry(goal.to_owned()).or_default();
            *sum = sum.saturating_add(conversions);
        }
    }
    Some(all)
}

/// Whether the records of goals may be theirs: the elements of a bulk request carry no name. Together they have no more
/// conversions than all goals have; and where the types of referrers (`told`) have as many as these, each has its own.
pub(super) fn are_theirs(
    all: Option<&Row>,
    listed: &[(&str, &Row)],
    told: &BTreeMap<String, Decimal>,
) -> bool {
    let conversions = |row: &Row| row.number("nb_conversions").unwrap_or_default();
    let sum = |of: &mut dyn Iterator<Item = Decimal>| of.fold(Decimal::ZERO, Decimal::saturating_add);
    let own = sum(&mut listed.iter().filter(|(goal, _)| *goal != CART).map(|(_, row)| conversions(row)));
    let whole = all.map_or(Decimal::ZERO, conversions);
    let by_types = sum(&mut told.iter().filter(|(goal, _)| *goal != CART).map(|(_, count)| *count));
    own <= whole
        && (by_types != whole
            || listed.iter().all(|(goal, row)| {
                *goal == CART || conversions(row) == told.get(*goal).copied().unwrap_or_default()
            }))
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
    fn records_of_goals_prove_whose_they_are_as_far_as_the_types_of_referrers_tell() {
        let types = |order: i64| {
            let goals = json!({"idgoal=1": {"nb_conversions": 3}, "idgoal=ecommerceOrder": {"nb_conversions": order}});
            converted(&[
                row(&json!({"goals": goals})),
                row(&json!({"goals": {"idgoal=1": {"nb_conversions": "1"}, "idgoal=ecommerceAbandonedCart": {"nb_conversions": 9}}})),
                row(&json!({"nb_visits": 5})),
            ])
            .unwrap()
        };
        let told = types(2);
        assert_eq!(told.get("1"), Some(&4.into()));
        let record = |conversions: i64| row(&json!({"nb_conversions": conversions}));
        let (all, goal, order, cart) = (record(6), record(4), record(2), record(9));
        assert!(are_theirs(Some(&all), &[("1", &goal), (ORDER, &order), (CART, &cart)], &told));
        assert!(!are_theirs(Some(&all), &[("1", &order), (ORDER, &goal), (CART, &cart)], &told));
        // An older table of referrers cannot tell; but no goals have more than all of them.
        assert!(are_theirs(Some(&all), &[("1", &order), (ORDER, &goal)], &types(1)));
        assert!(!are_theirs(Some(&goal), &[("1", &order), (ORDER, &goal)], &types(1)));
        assert!(!are_theirs(None, &[("1", &goal)], &BTreeMap::new()));
        // A deleted goal has more than is listed.
        assert!(are_theirs(Some(&all), &[("1", &goal)], &BTreeMap::new()));
        let odd = json!({"goals": {"idgoal=1": {"nb_conversions": {}}}});
        assert_eq!(converted(&[row(&odd)]), None);
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
