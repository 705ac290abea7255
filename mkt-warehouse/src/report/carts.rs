//! Who left something in the cart, and what they had looked at.

use super::{Answer, Report, Scope, answer};
use crate::id;
use crate::model::{Amount, Json};
use crate::record;
use crate::table::Value;
use crate::warehouse::Warehouse;
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::{Currency, Result};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use std::time::Duration;

record! {
    /// A cart that was left.
    AbandonedCart in "abandoned_carts" upserted, key [site, person] {
        /// The site.
        site: String,
        /// The person, as reports count them.
        person: String,
        /// The user id of the cart's last event.
        user_id: String,
        /// The source's own id of the cart, else [`crate::id::cart_id`].
        cart_id: String,
        /// When the first product went in.
        first_added_at: DateTime<Utc>,
        /// When the cart was last touched.
        last_added_at: DateTime<Utc>,
        /// The value of the products in it, where every one of them has a price.
        value: Option<Amount>,
        /// Its currency.
        currency: Option<Currency>,
        /// Up to six products as JSON, see [`AbandonedCart::products`].
        items: Json,
    }
}

/// A product that was put in the cart or looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CartItem {
    /// The shop's number of the product.
    pub sku: Option<String>,
    /// Its name.
    pub name: Option<String>,
    /// Its price, as the source wrote it.
    pub price: Option<Decimal>,
    /// How many; 1 where the source does not tell.
    pub quantity: i64,
    /// Whether it is in the cart, rather than only looked at.
    pub in_cart: bool,
}

impl AbandonedCart {
    /// The products: those in the cart first, then those looked at, the latest first, each once, at most six.
    #[must_use]
    pub fn products(&self) -> Vec<CartItem> {
        serde_json::from_value(self.items.0.clone()).unwrap_or_default()
    }
}

/// When a cart counts as abandoned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CartOptions {
    /// How long it must have been left alone: one hour unless told.
    pub idle: Duration,
    /// The instant of asking; the scope's end unless told.
    pub now: Option<DateTime<Utc>>,
}

impl Default for CartOptions {
    fn default() -> Self {
        Self { idle: Duration::from_secs(3600), now: None }
    }
}

/// Products listed per cart: what the white paper's first relaunch mail shows.
const MOST_ITEMS: usize = 6;

record! {
    /// An event of an abandoned cart.
    CartEvent in "abandoned_carts" upserted, key [site, person, timestamp] {
        /// The site.
        site: String,
        /// The person.
        person: String,
        /// The user id of the event.
        user_id: String,
        /// `add_to_cart`, `cart_abandoned` or `product_view`.
        event_type: String,
        /// When.
        timestamp: DateTime<Utc>,
        /// The currency of the event, else of the site.
        currency: Option<Currency>,
        /// As stored.
        properties: Json,
    }
}

pub(super) const REPORT: Report = Report {
    name: "abandoned_carts",
    describe: "The events of every abandoned cart. A cart is what a user put in (add_to_cart, or cart_abandoned from a \
               source that tells) in the period and after the last purchase; it is abandoned when it was not touched \
               since idle_since. With it come the products looked at since that purchase. The function of this name \
               folds the events into one row per cart: id, value, up to six products.",
    text: "
with touches as @once() (
    select e.site, coalesce(i.person_id, e.user_id) as person, e.event_type, e.timestamp
    {events}
      and e.timestamp >= :from and e.timestamp <= :now
      and e.event_type in ('add_to_cart', 'cart_abandoned', 'purchase')
),
bought as @once() (
    select site, person, max(timestamp) as last_bought from touches where event_type = 'purchase' group by site, person
),
carts as @once() (
    select a.site, a.person, b.last_bought
    from touches a
    left join bought b on b.site = a.site and b.person = a.person
    where a.event_type <> 'purchase'
      and (b.last_bought is null or a.timestamp > b.last_bought)
    group by a.site, a.person, b.last_bought
    having max(a.timestamp) <= :idle_since and min(a.timestamp) < :until
),
acts as (
    select
        e.site, coalesce(i.person_id, e.user_id) as person, e.user_id, e.event_id, e.event_type, e.timestamp,
        coalesce(e.currency, t.currency) as currency, e.properties
    {events}
      and e.timestamp >= :from and e.timestamp < :until
      and e.event_type in ('product_view', 'add_to_cart', 'cart_abandoned')
)
select a.site, a.person, a.user_id, a.event_type, a.timestamp, a.currency, a.properties
-- SQLite takes the tables of a cross join in this order.
from acts a
cross join carts c
where c.site = a.site and c.person = a.person
  and (c.last_bought is null or a.timestamp > c.last_bought)
order by a.site, a.person, a.timestamp, a.event_id",
    local: false,
};

/// The carts that were left: what a user put in (`add_to_cart`, or `cart_abandoned` from a source that tells) in the
/// period and after the last purchase, and did not touch for [`CartOptions::idle`] before [`CartOptions::now`].
///
/// - `first_added_at` is the first such event since the last purchase. `cart_id` is the source's (`cart_id` in the
///   properties), else a stable hash of the user and that instant, so that asking again gives the same id.
/// - The cart's content is that of the last `cart_abandoned` with items (the source lists the whole cart), else of all
///   `add_to_cart` events. `value` is Σ price × quantity, and null where a product has no price.
/// - Products looked at since the last purchase follow, so that a mail can show up to six.
///
/// One row per site and person, in that order.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn abandoned_carts<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    options: CartOptions,
) -> Result<Answer<AbandonedCart>> {
    let now = options.now.unwrap_or(scope.until());
    let idle = TimeDelta::from_std(options.idle).unwrap_or(TimeDelta::MAX);
    let idle_since = now.checked_sub_signed(idle).unwrap_or(DateTime::UNIX_EPOCH);
    let values = vec![("now", Value::Timestamp(now)), ("idle_since", Value::Timestamp(idle_since))];
    let events: Answer<CartEvent> = answer(&REPORT, warehouse, scope, values).await?;
    let carts =
        events.rows.chunk_by(|a, b| (&a.site, &a.person) == (&b.site, &b.person)).filter_map(fold).collect();
    Ok(Answer::from_rows(carts))
}

/// One cart from its events, in the order of time.
fn fold(events: &[CartEvent]) -> Option<AbandonedCart> {
    let touches: Vec<&CartEvent> = events.iter().filter(|event| event.event_type != "product_view").collect();
    let (first, last) = (touches.first()?, touches.last()?);
    let whole = touches
        .iter()
        .rev()
        .find(|event| event.event_type == "cart_abandoned" && !items(event, true).is_empty());
    let cart: Vec<CartItem> = match whole {
        Some(event) => items(event, true),
        // The latest first.
        None => touches.iter().rev().flat_map(|event| items(event, true)).collect(),
    };
    let own_id = touches.iter().rev().find_map(|event| text(event.properties.0.get("cart_id")?));
    let viewed = events.iter().rev().filter(|event| event.event_type == "product_view");
    let mut shown: Vec<CartItem> = Vec::new();
    for item in cart.iter().cloned().chain(viewed.flat_map(|event| items(event, false))) {
        let known = shown.iter().any(|held| match (&held.sku, &item.sku) {
            (Some(a), Some(b)) => a == b,
            _ => held.name == item.name,
        });
        if !known && shown.len() < MOST_ITEMS {
            shown.push(item);
        }
    }
    Some(AbandonedCart {
        site: last.site.clone(),
        person: last.person.clone(),
        user_id: last.user_id.clone(),
        cart_id: own_id.unwrap_or_else(|| id::cart_id(&first.user_id, first.timestamp)),
        first_added_at: first.timestamp,
        last_added_at: last.timestamp,
        value: value(&cart),
        currency: touches.iter().rev().find_map(|event| event.currency),
        items: Json(serde_json::to_value(&shown).unwrap_or_default()),
    })
}

/// The products of an event; what is not a product is passed over.
fn items(event: &CartEvent, in_cart: bool) -> Vec<CartItem> {
    let listed = event.properties.0.get("items").and_then(serde_json::Value::as_array);
    listed
        .into_iter()
        .flatten()
        .filter_map(|item| {
            let sku = item.get("sku").and_then(text);
            let name = item.get("name").and_then(text);
            (sku.is_some() || name.is_some()).then(|| CartItem {
                sku,
                name,
                price: item.get("price").and_then(text).and_then(|price| price.parse().ok()),
                quantity: item
                    .get("quantity")
                    .and_then(serde_json::Value::as_i64)
                    .filter(|n| *n > 0)
                    .unwrap_or(1),
                in_cart,
            })
        })
        .collect()
}

/// A text or a number as text.
fn text(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) if !text.is_empty() => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn value(cart: &[CartItem]) -> Option<Amount> {
    if cart.is_empty() {
        return None;
    }
    cart.iter()
        .try_fold(Decimal::ZERO, |sum, item| {
            sum.checked_add(item.price?.checked_mul(Decimal::from(item.quantity))?)
        })
        .map(|mut sum| {
            sum.rescale(2);
            Amount(sum)
        })
}
