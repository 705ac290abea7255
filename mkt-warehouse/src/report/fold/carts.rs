//! Abandoned carts in two passes over the events of one state: whose cart was left, then what is in it.

use super::{Map, People, Visitor, counts, people_sessions_and, read};
use crate::report::carts::{AbandonedCart, Act, REPORT, folded};
use crate::report::{Answer, Scope, unreadable};
use crate::table::{ColumnType, TableError, Value};
use crate::warehouse::Warehouse;
use chrono::{DateTime, Utc};
use mkt_connect::{Currency, Result};

const TOUCHES: i64 = 2;
const ACTS: i64 = 3;

/// After those of [`people_sessions_and`]; 2: what fills carts and empties them, with `chosen` where the filters keep it;
/// 3: what may be in a cart or beside it.
const PARTS: &str = "
select
    2, e.user_id, e.source, e.site, e.event_type, e.timestamp, e.seq,
    case when e.event_type <> 'remove_from_cart' and e.timestamp < :until and {kept} then 1 else 0 end,
    null, null, e.session_id
{all events by origin}
  and e.timestamp >= :from and e.timestamp <= :now
  and e.event_type in ('add_to_cart', 'remove_from_cart', 'cart_abandoned', 'purchase')
union all
select
    3, e.user_id, e.source, e.site, e.event_type, e.timestamp, e.seq, e.event_id,
    coalesce(e.currency, (select t.currency from sites t where t.site = e.site)), e.properties, e.session_id
{all events by origin}
  and e.timestamp >= :from and e.timestamp < :until and e.timestamp <= :now
  and e.event_type in ('product_view', 'add_to_cart', 'remove_from_cart', 'cart_abandoned')";

const COLUMNS: [(&str, ColumnType); 11] = [
    ("part", ColumnType::Int),
    ("user_id", ColumnType::Text),
    ("source", ColumnType::Text),
    ("site", ColumnType::Text),
    ("name", ColumnType::Text),
    ("timestamp", ColumnType::Timestamp),
    ("seq", ColumnType::Int),
    ("number", ColumnType::Int),
    ("currency", ColumnType::Text),
    ("properties", ColumnType::Json),
    ("session", ColumnType::Text),
];

/// Something put in, or everything bought.
struct Touch {
    visitor: Visitor,
    bought: bool,
    /// Timestamp, and place in the order of the source.
    at: Moment,
    chosen: bool,
}

/// Microseconds since 1970, and the place in the order of the source.
type Moment = (i64, i64);

/// A person on a site.
type Owner = (u32, u32);

/// An event of an abandoned cart.
struct Kept {
    owner: Owner,
    at: Moment,
    event_id: i64,
    user_id: String,
    event_type: String,
    currency: Option<Currency>,
    properties: String,
}

/// As [`crate::report::abandoned_carts`], with its parameters.
pub(crate) async fn carts<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    idle_since: DateTime<Utc>,
    values: &[(&'static str, Value)],
) -> Result<Answer<AbandonedCart>> {
    let (mut people, mut touches, mut kept) = (People::default(), Vec::new(), Vec::new());
    // From the first event that may be in a cart on, the carts are known.
    let mut carts: Option<Carts> = None;
    let statement =
        people_sessions_and(["timestamp", "seq", "number", "currency", "properties", "session"], PARTS);
    read(&REPORT, warehouse, scope, &statement, &COLUMNS, values, |row| {
        let part = row.int(0)?;
        if part < ACTS && carts.is_some() {
            // Engines answer a `union all` part by part. One that did not would give carts without a purchase.
            return Err(row.wrong(0, "the parts of the statement in their order"));
        }
        if people.learn(row)? {
            return Ok(());
        }
        let (user, source, site) = (row.text(1)?, row.text(2)?, row.text(3)?);
        let Some(visitor) = people.of_event(user, source, site, row.text_or_null(10)) else { return Ok(()) };
        if part == TOUCHES {
            let bought = row.text(4)? == "purchase";
            touches.push(Touch { visitor, bought, at: (row.int(5)?, row.int(6)?), chosen: row.int(7)? == 1 });
            return Ok(());
        }
        let carts = carts.get_or_insert_with(|| Carts::left(&people, scope, &touches, idle_since));
        let (owner, at) = ((people.person(visitor), people.site(visitor)), (row.int(5)?, row.int(6)?));
        // A source whose first event this is was not looked at when the carts were found: it has none.
        if !counts(&carts.counted, visitor) || !carts.open(owner, at) {
            return Ok(());
        }
        let (currency, event_id) = (row.parsed_or_null(8, "a currency")?, row.int(7)?);
        let (user_id, event_type, properties) =
            (user.to_owned(), row.text(4)?.to_owned(), row.text(9)?.to_owned());
        kept.push(Kept { owner, at, event_id, user_id, event_type, currency, properties });
        Ok(())
    })
    .await?;
    kept.sort_unstable_by_key(|kept| (kept.owner, kept.at, kept.event_id));
    let acts: Vec<Act<'_>> = kept.iter().enumerate().map(|(row, kept)| act(&people, row, kept)).collect();
    let rows = folded(&acts).map_err(|cause: TableError| unreadable(REPORT.name, cause))?;
    Ok(Answer::from_rows(rows))
}

fn act<'a>(people: &'a People, row: usize, kept: &'a Kept) -> Act<'a> {
    Act {
        row,
        person: people.names.name(kept.owner.0),
        site: people.sites.name(kept.owner.1),
        user_id: &kept.user_id,
        event_type: &kept.event_type,
        timestamp: DateTime::from_timestamp_micros(kept.at.0).unwrap_or_default(),
        currency: kept.currency,
        properties: &kept.properties,
    }
}

/// The carts that were left, with the last purchase before each.
struct Carts {
    last_bought: Map<Owner, Option<Moment>>,
    counted: Vec<bool>,
}

impl Carts {
    fn left(people: &People, scope: &Scope, touches: &[Touch], idle_since: DateTime<Utc>) -> Self {
        struct Cart {
            last_bought: Option<Moment>,
            last_touched: Option<Moment>,
            chosen: bool,
        }
        let counted = people.counted(scope);
        let mut carts: Map<Owner, Cart> = Map::default();
        let owner = |touch: &Touch| (people.person(touch.visitor), people.site(touch.visitor));
        let counting = || touches.iter().filter(|touch| counts(&counted, touch.visitor));
        for touch in counting() {
            let cart = carts.entry(owner(touch)).or_insert(Cart {
                last_bought: None,
                last_touched: None,
                chosen: false,
            });
            if touch.bought {
                cart.last_bought = cart.last_bought.max(Some(touch.at));
            }
        }
        for touch in counting().filter(|touch| !touch.bought) {
            if let Some(cart) = carts.get_mut(&owner(touch))
                && cart.last_bought.is_none_or(|bought| touch.at > bought)
            {
                cart.last_touched = cart.last_touched.max(Some(touch.at));
                cart.chosen |= touch.chosen;
            }
        }
        carts.retain(|_, cart| {
            cart.chosen && cart.last_touched.is_some_and(|touched| touched.0 <= idle_since.timestamp_micros())
        });
        let last_bought = carts.into_iter().map(|(owner, cart)| (owner, cart.last_bought)).collect();
        Self { last_bought, counted }
    }

    /// Whether what happened then belongs to an abandoned cart.
    fn open(&self, owner: Owner, at: Moment) -> bool {
        self.last_bought.get(&owner).is_some_and(|bought| bought.is_none_or(|bought| at > bought))
    }
}
