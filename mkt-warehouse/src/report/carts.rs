//! Abandoned carts, and the products viewed before.

use super::settings::Values;
use super::{Answer, Definition, Scope, asked, fold, unreadable};
use crate::id;
use crate::model::{Amount, Json};
use crate::record;
use crate::table::{Table, TableError, Value};
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
        /// Its currency; null where neither event nor site has one, or where they are several.
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
    /// How many; 1 where the source has none a whole number.
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
    /// How long it must have been left alone: default one hour.
    pub idle: Duration,
    /// The instant of asking; default the scope's end.
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
        /// `add_to_cart`, `remove_from_cart`, `cart_abandoned` or `product_view`.
        event_type: String,
        /// When.
        timestamp: DateTime<Utc>,
        /// The currency of the event, else of the site.
        currency: Option<Currency>,
        /// As stored.
        properties: Json,
    }
}

macro_rules! abandoned_carts {
    () => {
        "The events of every abandoned cart. A cart is what a user put in and did not take out again (add_to_cart, remove_from_cart, or cart_abandoned from a \
         source that tells) in the period and after the last purchase; it is abandoned when it was not touched \
         since idle_since. With it come the products looked at since that purchase. Filters choose the carts into \
         which something was put through such traffic; these are shown whole, and whatever traffic a later purchase \
         came through, it empties them. The function of this name folds the events into one row per cart: id, \
         value, up to six products."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "abandoned_carts",
    describe: abandoned_carts!(),
    text: "
with touches as @once()(
    select
        e.site, {person} as person, e.event_type, e.timestamp, e.seq,
        case when e.event_type <> 'remove_from_cart' and e.timestamp < :until and {kept} then 1 else 0 end as chosen
    {all events}
      and e.timestamp >= :from and e.timestamp <= :now
      and e.event_type in ('add_to_cart', 'remove_from_cart', 'cart_abandoned', 'purchase')
),
bought as @once()(
    select site, person, last_bought, last_seq
    from (
        select
            site, person, timestamp as last_bought, seq as last_seq,
            row_number() over (partition by site, person order by timestamp desc, seq desc) as place
        from touches
        where event_type = 'purchase'
    ) purchases
    where place = 1
),
carts as @once()(
    select a.site, a.person, b.last_bought, b.last_seq
    from touches a
    left join bought b on b.site = a.site and b.person = a.person
    where a.event_type <> 'purchase'
      and (b.last_bought is null or a.timestamp > b.last_bought
        or a.timestamp = b.last_bought and a.seq > b.last_seq)
    group by a.site, a.person, b.last_bought, b.last_seq
    having max(a.timestamp) <= :idle_since and max(a.chosen) = 1
),
acts as (
    select
        e.site, {person} as person, e.user_id, e.event_id, e.event_type, e.timestamp, e.seq,
        coalesce(e.currency, t.currency) as currency, e.properties
    {all events}
      and e.timestamp >= :from and e.timestamp < :until and e.timestamp <= :now
      and e.event_type in ('product_view', 'add_to_cart', 'remove_from_cart', 'cart_abandoned')
)
select a.site, a.person, a.user_id, a.event_type, a.timestamp, a.currency, a.properties
-- SQLite takes the tables of a cross join in this order.
from acts a
cross join carts c
where c.site = a.site and c.person = a.person
  and (c.last_bought is null or a.timestamp > c.last_bought
    or a.timestamp = c.last_bought and a.seq > c.last_seq)
order by a.person, a.site, a.timestamp, a.seq, a.event_id",
    local: false,
};

#[doc = abandoned_carts!()]
///
/// - **Untouched** means no such event for [`CartOptions::idle`] before [`CartOptions::now`].
/// - `first_added_at` is the first such event of the period since the last purchase. `cart_id` is the source's (`cart_id`
///   in the properties), else a stable hash of the user and that timestamp, so that a later call gives the same id. A period
///   that begins after a cart does not know its beginning: where ids must not change between calls, let all of them begin
///   with the same day.
/// - **Content** is what is in the cart at the end: `add_to_cart` puts its items in, `remove_from_cart` takes its items out (what
///   was put in last first; all of a product without a quantity; one product where it names none), and `cart_abandoned`
///   with items replaces the content (the source lists the whole cart). A cart with nothing in it is no row. `value` is Σ price × quantity, and null where a product has no price, a quantity is not a number, or the
///   products were added in several currencies.
/// - **Products viewed** since the last purchase follow, so that a message can show up to six.
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
    let values = values(scope, options);
    if warehouse.in_process() {
        return fold::carts(warehouse, scope, times(scope, options).1, &values).await;
    }
    let events = asked::<CartEvent, W>(&REPORT, warehouse, scope, values).await?;
    let acts: std::result::Result<Vec<_>, _> = (0..events.rows()).map(|row| Act::at(&events, row)).collect();
    let rows = acts.and_then(|acts| folded(&acts)).map_err(|cause| unreadable(REPORT.name, cause))?;
    Ok(Answer::from_rows(rows))
}

/// The instant of asking, and the last one at which an abandoned cart was touched.
fn times(scope: &Scope, options: CartOptions) -> (DateTime<Utc>, DateTime<Utc>) {
    let now = options.now.unwrap_or(scope.until());
    let idle = TimeDelta::from_std(options.idle).unwrap_or(TimeDelta::MAX);
    (now, now.checked_sub_signed(idle).unwrap_or(DateTime::UNIX_EPOCH))
}

pub(super) fn values(scope: &Scope, options: CartOptions) -> Values {
    let (now, idle_since) = times(scope, options);
    vec![("now", Value::Timestamp(now)), ("idle_since", Value::Timestamp(idle_since))]
}

/// One row per cart from the events of all, which stand person by person and site by site in the order of time.
pub(super) fn folded(acts: &[Act<'_>]) -> std::result::Result<Vec<AbandonedCart>, TableError> {
    let mut carts = Vec::new();
    for acts in acts.chunk_by(|a, b| (a.person, a.site) == (b.person, b.site)) {
        carts.extend(fold(acts)?);
    }
    carts.sort_by(|a, b| (&a.site, &a.person).cmp(&(&b.site, &b.person)));
    Ok(carts)
}

/// An event of a cart, whose document is read where the cart needs it: most views are of no cart's first six products.
pub(super) struct Act<'a> {
    pub(super) row: usize,
    pub(super) site: &'a str,
    pub(super) person: &'a str,
    pub(super) user_id: &'a str,
    pub(super) event_type: &'a str,
    pub(super) timestamp: DateTime<Utc>,
    pub(super) currency: Option<Currency>,
    pub(super) properties: &'a str,
}

impl<'a> Act<'a> {
    fn at(events: &'a Table, row: usize) -> std::result::Result<Self, TableError> {
        Ok(Self {
            row,
            site: events.text(row, "site")?,
            person: events.text(row, "person")?,
            user_id: events.text(row, "user_id")?,
            event_type: events.text(row, "event_type")?,
            timestamp: events.read(row, "timestamp")?,
            currency: events.read(row, "currency")?,
            properties: events.text(row, "properties")?,
        })
    }

    fn viewed(&self) -> bool {
        self.event_type == "product_view"
    }

    fn document(&self) -> std::result::Result<serde_json::Value, TableError> {
        serde_json::from_str(self.properties).map_err(|_| TableError::Unreadable {
            row: self.row,
            column: "properties".to_owned(),
            wanted: "a JSON document",
        })
    }
}

/// What is in a cart.
#[derive(Default)]
struct Cart {
    /// In the order in which they were put in.
    listed: Vec<Listed>,
    /// Products that were put in by events which name none.
    unnamed: usize,
}

impl Cart {
    /// The next event, with the products that it lists.
    fn change(&mut self, event_type: &str, mut items: Vec<Listed>) {
        match event_type {
            "remove_from_cart" if !items.is_empty() => items.iter().for_each(|item| self.remove(item)),
            "remove_from_cart" if self.unnamed > 0 => self.unnamed -= 1,
            "remove_from_cart" => drop(self.listed.pop()),
            // The source lists the whole cart.
            "cart_abandoned" if !items.is_empty() => *self = Self { listed: items, unnamed: 0 },
            "cart_abandoned" => self.unnamed = self.unnamed.max(usize::from(self.listed.is_empty())),
            _ if items.is_empty() => self.unnamed += 1,
            _ => self.listed.append(&mut items),
        }
    }

    /// Takes a product out, what was put in last first: as many as the event says, all of it where it does not say how
    /// many.
    fn remove(&mut self, removed: &Listed) {
        let mut left = removed.quantity.filter(|_| removed.counted);
        for index in (0..self.listed.len()).rev() {
            let Some(held) = self.listed.get_mut(index).filter(|held| held.item.is_same(&removed.item))
            else {
                continue;
            };
            match (&mut left, held.quantity) {
                (Some(left), Some(quantity)) if quantity > *left => {
                    held.quantity = Some(quantity - *left);
                    return;
                }
                (Some(left), Some(quantity)) => *left -= quantity,
                _ => {}
            }
            self.listed.remove(index);
            if left == Some(Decimal::ZERO) {
                return;
            }
        }
    }
}

/// One cart from its events, in the order of time; nothing where all that was put in was taken out again.
fn fold(acts: &[Act<'_>]) -> std::result::Result<Option<AbandonedCart>, TableError> {
    let (mut cart, mut own_id, mut latest_currency) = (Cart::default(), None, None);
    for (place, act) in acts.iter().enumerate().filter(|(_, act)| !act.viewed()) {
        let document = act.document()?;
        own_id = document.get("cart_id").and_then(text).or(own_id);
        latest_currency = act.currency.or(latest_currency);
        cart.change(act.event_type, items(&document, act.currency, place));
    }
    let put_in = |act: &&Act<'_>| !act.viewed() && act.event_type != "remove_from_cart";
    let first = acts.iter().find(put_in);
    let last = acts.iter().rfind(|act| !act.viewed());
    let (Some(first), Some(last)) = (first, last) else { return Ok(None) };
    if cart.listed.is_empty() && cart.unnamed == 0 {
        return Ok(None);
    }
    let mut listed = cart.listed;
    // The latest event first, its products in its own order.
    listed.sort_by_key(|listed| std::cmp::Reverse(listed.place));
    let (currency, value) = match listed.split_first() {
        None => (latest_currency, None),
        Some((one, others)) if others.iter().all(|other| other.currency == one.currency) => {
            (one.currency, value(&listed))
        }
        Some(_) => (None, None),
    };
    Ok(Some(AbandonedCart {
        site: last.site.to_owned(),
        person: last.person.to_owned(),
        user_id: last.user_id.to_owned(),
        cart_id: own_id.unwrap_or_else(|| id::cart_id(first.user_id, first.timestamp)),
        first_added_at: first.timestamp,
        last_added_at: last.timestamp,
        value,
        currency,
        items: Json(serde_json::to_value(shown(listed, acts)?).unwrap_or_default()),
    }))
}

/// Up to six products: those of the cart, then those that were looked at, the latest first.
fn shown(cart: Vec<Listed>, acts: &[Act<'_>]) -> std::result::Result<Vec<CartItem>, TableError> {
    let mut shown: Vec<CartItem> = Vec::new();
    for item in cart.into_iter().map(Listed::into_item) {
        if let Some(held) = shown.iter_mut().find(|held| held.is_same(&item)) {
            held.quantity = held.quantity.saturating_add(item.quantity);
        } else if shown.len() < MOST_ITEMS {
            shown.push(item);
        }
    }
    for act in acts.iter().rev().filter(|act| act.viewed()) {
        if shown.len() == MOST_ITEMS {
            break;
        }
        for item in items(&act.document()?, None, 0).into_iter().map(Listed::into_item) {
            if shown.len() < MOST_ITEMS && !shown.iter().any(|held| held.is_same(&item)) {
                shown.push(CartItem { in_cart: false, ..item });
            }
        }
    }
    Ok(shown)
}

/// A product as an event lists it.
struct Listed {
    item: CartItem,
    /// The event's currency.
    currency: Option<Currency>,
    /// The event's place among those of the cart.
    place: usize,
    /// How many: `None` where the event's quantity is not a positive number.
    quantity: Option<Decimal>,
    /// Whether the event says how many.
    counted: bool,
}

impl Listed {
    fn into_item(self) -> CartItem {
        let whole = self.quantity.filter(Decimal::is_integer).and_then(|quantity| quantity.to_i64());
        CartItem { quantity: whole.unwrap_or(1), ..self.item }
    }
}

impl CartItem {
    /// Whether it is the same product: by `sku` where both have one, else by name.
    fn is_same(&self, other: &Self) -> bool {
        match (&self.sku, &other.sku) {
            (Some(a), Some(b)) => a == b,
            _ => self.name == other.name,
        }
    }
}

/// The products that an event's document lists; entries without `sku` and `name` are skipped.
fn items(document: &serde_json::Value, currency: Option<Currency>, place: usize) -> Vec<Listed> {
    let listed = document.get("items").and_then(serde_json::Value::as_array);
    listed.into_iter().flatten().filter_map(|item| product(item, currency, place)).collect()
}

fn product(item: &serde_json::Value, currency: Option<Currency>, place: usize) -> Option<Listed> {
    let (sku, name) = (item.get("sku").and_then(text), item.get("name").and_then(text));
    if sku.is_none() && name.is_none() {
        return None;
    }
    let number = |value: &serde_json::Value| text(value)?.parse::<Decimal>().ok();
    let price = item.get("price").and_then(number);
    let told = item.get("quantity").filter(|value| !value.is_null());
    let quantity = match told {
        None => Some(Decimal::ONE),
        Some(told) => number(told).filter(|quantity| *quantity > Decimal::ZERO),
    };
    let item = CartItem { sku, name, price, quantity: 1, in_cart: true };
    Some(Listed { item, currency, place, quantity, counted: told.is_some() })
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
    let mut sum = cart.iter().try_fold(Decimal::ZERO, |sum, listed| {
        sum.checked_add(listed.item.price?.checked_mul(listed.quantity?)?)
    })?;
    sum.rescale(2);
    Some(Amount(sum))
}
