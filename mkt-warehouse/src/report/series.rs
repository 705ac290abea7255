//! Visits, conversions and revenue of every day.

use super::settings::Values;
use super::{Answer, Coverage, Definition, Scope, answer};
use crate::model::Amount;
use crate::record;
use crate::table::Value;
use crate::warehouse::Warehouse;
use chrono::NaiveDate;
use mkt_connect::{Currency, Result};

record! {
    /// A day, in one currency.
    Day in "daily_series" upserted, key [day, currency] {
        /// The local day.
        day: NaiveDate,
        /// Sessions that start on it.
        visits: i64,
        /// Those of them that converted.
        conversions: i64,
        /// The currency of the revenue; null where the period has none.
        currency: Option<Currency>,
        /// Purchases less refunds.
        revenue: Amount,
    }
}

macro_rules! daily_series {
    () => {
        "Per local day of the period, empty days included: sessions, converted sessions, and revenue (purchases \
         less refunds). A day that was not loaded has no row (this SQL alone gives 0 there). Days of which the period holds a part show that part. With several currencies a day has a \
         row for each, with the same visits and conversions; do not add those up."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "daily_series",
    describe: daily_series!(),
    text: "
with days as (
    @days(:first_day, :last_day)
),
{visits},
-- Clocks change on quarters of an hour (since 1972), so few instants are left to be looked up in the zone.
{quarters},
traffic as (
    select
        @day(@local(q.quarter, z.offset_s)) as day,
        @whole(sum(q.sessions)) as visits,
        @whole(sum(q.converted_sessions)) as conversions
    from quarters q
    join zone_offsets z on {zone at q.quarter}
    group by 1
),
sales as (
    select e.timestamp, coalesce(e.currency, t.currency) as currency, e.revenue
    {sales}
),
takings as (
    select @day(@local(f.timestamp, z.offset_s)) as day, f.currency, sum(f.revenue) as revenue
    from sales f
    join zone_offsets z on {zone at f.timestamp}
    group by 1, f.currency
),
currencies as (
    select distinct currency from takings
    union all
    select t.currency from (select max(currency) as currency, count(*) as n from takings) t where t.n = 0
)
select
    d.day,
    coalesce(v.visits, 0) as visits,
    coalesce(v.conversions, 0) as conversions,
    c.currency,
    coalesce(k.revenue, 0) as revenue
from days d
cross join currencies c
left join traffic v on v.day = d.day
left join takings k on k.day = d.day and coalesce(k.currency, '') = coalesce(c.currency, '')
order by d.day, coalesce(c.currency, '')",
    local: true,
};

#[doc = daily_series!()]
///
/// Days are those of the scope's zone.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn daily_series<W: Warehouse + ?Sized>(warehouse: &W, scope: &Scope) -> Result<Answer<Day>> {
    let answer = answer(&REPORT, warehouse, scope, values(scope)).await?;
    Ok(Coverage::of(warehouse, scope).await?.series(answer))
}

pub(super) fn values(scope: &Scope) -> Values {
    vec![("first_day", Value::Date(scope.first_day())), ("last_day", Value::Date(scope.last_day()))]
}
