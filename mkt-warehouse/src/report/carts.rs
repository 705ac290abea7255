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
use rust_decimal::prelude::ToPrimitive;
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
        /// The value of the products in it, where every one of them has a price in one currency.
        value: Option<Amount>,
        /// Its currency; null where neither event nor site tells it, or where they are several.
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
    /// How many; 1 where the source does not tell a whole number.
    pub quantity: i64,
    /// Whether it is in the cart, rather than only looked at.
    pub in_cart: bool,
}

impl AbandonedCart {
    /// The products: those in the cart first, then those looked at, the latest first, each once, at most six. One that was
    /// put in several times has the sum of the quantities, and its latest price.
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
               since idle_since. With it come the products looked at since that purchase. Filters choose the carts \
               into which something was put through such traffic; these are shown whole, and whatever traffic a later \
               purchase came through, it empties them. The function of this name folds the events into one row per \
               cart: id, value, up to six products.",
    text: "
with touches as @once()(
    select
        e.site, coalesce(i.person_id, e.user_id) as person, e.event_type, e.timestamp,
        case when e.timestamp < :until and {kept} then 1 else 0 end as chosen
    {all events}
      and e.timestamp >= :from and e.timestamp <= :now
      and e.event_type in ('add_to_cart', 'cart_abandoned', 'purchase')
),
bought as @once()(
    select site, person, max(timestamp) as last_bought from touches where event_type = 'purchase' group by site, person
),
carts as @once()(
    select a.site, a.person, b.last_bought
    from touches a
    left join bought b on b.site = a.site and b.person = a.person
    where a.event_type <> 'purchase'
      and (b.last_bought is null or a.timestamp > b.last_bought)
    group by a.site, a.person, b.last_bought
    having max(a.timestamp) <= :idle_since and max(a.chosen) = 1
),
acts as (
    select
        e.site, coalesce(i.person_id, e.user_id) as person, e.user_id, e.event_id, e.event_type, e.timestamp,
        coalesce(e.currency, t.currency) as currency, e.properties
    {all events}
      and e.timestamp >= :from and e.timestamp < :until and e.timestamp <= :now
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
/// - `first_added_at` is the first such event of the period since the last purchase. `cart_id` is the source's (`cart_id`
///   in the properties), else a stable hash of the user and that instant, so that asking again gives the same id. A period
///   that begins after a cart does not know its beginning: where ids must not change from one question to the next, let
///   all of them begin with the same day.
/// - The cart's content is that of the last `cart_abandoned` with items (the source lists the whole cart), else of all
///   `add_to_cart` events. `value` is Σ price × quantity, and null where a product has no price, a quantity does not read,
///   or the products were added in several currencies.
/// - Products looked at since the last purchase follow, so that a mail can show up to six.
/// - **Filters** choose the carts into which something was put through such traffic. These are shown whole, and whatever
///   traffic a later purchase came through, it empties them: nobody who bought is asked to come back.
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
    // The latest first.
    let whole = touches
        .iter()
        .rev()
        .find(|event| event.event_type == "cart_abandoned" && !items(event, true).is_empty());
    let told: Vec<&CartEvent> = match whole {
        Some(event) => vec![event],
        None => touches.iter().rev().copied().filter(|event| !items(event, true).is_empty()).collect(),
    };
    let cart: Vec<Listed> = told.iter().flat_map(|event| items(event, true)).collect();
    let (currency, value) = match told.split_first() {
        None => (touches.iter().rev().find_map(|event| event.currency), None),
        Some((one, others)) if others.iter().all(|event| event.currency == one.currency) => {
            (one.currency, value(&cart))
        }
        Some(_) => (None, None),
    };
    let own_id = touches.iter().rev().find_map(|event| text(event.properties.0.get("cart_id")?));
    let viewed = events.iter().rev().filter(|event| event.event_type == "product_view");
    let mut shown: Vec<CartItem> = Vec::new();
    for Listed { item, .. } in cart.into_iter().chain(viewed.flat_map(|event| items(event, false))) {
        let known = shown.iter().position(|held| match (&held.sku, &item.sku) {
            (Some(a), Some(b)) => a == b,
            _ => held.name == item.name,
        });
        match known {
            Some(at) if item.in_cart => {
                shown[at].quantity = shown[at].quantity.saturating_add(item.quantity);
            }
            None if shown.len() < MOST_ITEMS => shown.push(item),
            _ => {}
        }
    }
    Some(AbandonedCart {
        site: last.site.clone(),
        person: last.person.clone(),
        user_id: last.user_id.clone(),
        cart_id: own_id.unwrap_or_else(|| id::cart_id(&first.user_id, first.timestamp)),
        first_added_at: first.timestamp,
        last_added_at: last.timestamp,
        value,
        currency,
        items: Json(serde_json::to_value(&shown).unwrap_or_default()),
    })
}

/// A product as an event lists it.
struct Listed {
    item: CartItem,
    /// Price × quantity, where both are told.
    worth: Option<Decimal>,
}

/// The products of an event; what is not a product is passed over.
fn items(event: &CartEvent, in_cart: bool) -> Vec<Listed> {
    let listed = event.properties.0.get("items").and_then(serde_json::Value::as_array);
    listed.into_iter().flatten().filter_map(|item| product(item, in_cart)).collect()
}

fn product(item: &serde_json::Value, in_cart: bool) -> Option<Listed> {
    let (sku, name) = (item.get("sku").and_then(text), item.get("name").and_then(text));
    if sku.is_none() && name.is_none() {
        return None;
    }
    let number = |value: &serde_json::Value| text(value)?.parse::<Decimal>().ok();
    let price = item.get("price").and_then(number);
    // Two kilos and a half are worth what they are worth; one that does not read is worth nobody knows what.
    let quantity = match item.get("quantity") {
        None | Some(serde_json::Value::Null) => Some(Decimal::ONE),
        Some(told) => number(told).filter(|quantity| *quantity > Decimal::ZERO),
    };
    let worth = price.zip(quantity).and_then(|(price, quantity)| price.checked_mul(quantity));
    let quantity = quantity.filter(Decimal::is_integer).and_then(|quantity| quantity.to_i64()).unwrap_or(1);
    Some(Listed { item: CartItem { sku, name, price, quantity, in_cart }, worth })
}

/// A text or a number as text.
fn text(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) if !text.is_empty() => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn value(cart: &[Listed]) -> Option<Amount> {
    let mut sum = cart.iter().try_fold(Decimal::ZERO, |sum, listed| sum.checked_add(listed.worth?))?;
    sum.rescale(2);
    Some(Amount(sum))
}
