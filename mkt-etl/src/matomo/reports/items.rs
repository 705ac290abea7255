//! Articles that were ordered, and articles that were left in carts, from Goals.getItemsSku. Pure.

use super::shape::{Dimensions, Field, Ratio, Shape, Sheet, no_others};
use crate::matomo::answer::Row;

const KNOWN: &[&str] =
    &["nb_visits", "nb_uniq_visitors", "nb_actions", "avg_price", "avg_quantity", "avg_price_viewed"];

const RATIOS: &[Ratio] =
    &[Ratio("price_per_item", "revenue", "quantity"), Ratio("quantity_per_order", "quantity", "orders")];

/// Articles of orders. An order has several articles: orders of articles are never added up.
pub(super) static ORDERED: Shape = Shape {
    place: "Goals.getItemsSku",
    report: "items",
    fields: &[
        Field::count("quantity", "quantity").needed(),
        Field::amount("revenue", "revenue").needed(),
        Field::distinct("orders", "orders"),
    ],
    ratios: RATIOS,
    known: KNOWN,
    is_known: no_others,
    foreign: &["abandoned_carts"],
};

/// Articles of abandoned carts. What they would have cost is no revenue.
pub(super) static ABANDONED: Shape = Shape {
    place: "Goals.getItemsSku abandonedCarts=1",
    report: "abandoned_items",
    fields: &[
        Field::count("quantity", "quantity").needed(),
        Field::amount("revenue", "cart_value").needed(),
        Field::distinct("abandoned_carts", "carts"),
    ],
    ratios: &[
        Ratio("price_per_item", "cart_value", "quantity"),
        Ratio("quantity_per_cart", "quantity", "carts"),
    ],
    known: KNOWN,
    is_known: no_others,
    foreign: &["orders"],
};

/// Rows of either.
pub(super) fn add(rows: &[Row], sheet: &mut Sheet<'_>) {
    for row in rows {
        match row.text("label") {
            Some(sku) => sheet.add(row, Dimensions::new().text("sku", Some(&sku))),
            None => sheet.reject(row, "the row has no label"),
        }
    }
}
