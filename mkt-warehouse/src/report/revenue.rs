//! Average revenue per user: over the period, by channel, by month.

use super::{Answer, Coverage, Definition, Scope, answer, fold};
use crate::model::{Amount, Measure};
use crate::record;
use crate::warehouse::Warehouse;
use chrono::NaiveDate;
use mkt_connect::{Channel, Currency, Result};

record! {
    /// Revenue and users, in one currency.
    Arpu in "arpu" upserted, key [currency] {
        /// The currency; null where there is no revenue at all, or where neither event nor site has one.
        currency: Option<Currency>,
        /// Purchases less refunds.
        revenue: Amount,
        /// Distinct users with a session in the period, the same in every row.
        users: i64,
        /// Revenue ÷ users, to six digits, halves away from zero.
        arpu: Option<Measure>,
    }
}

macro_rules! arpu {
    () => {
        "Average revenue per user, one row per currency: purchases less refunds in the period ÷ distinct users with \
         a session that starts in the period. An event without a currency has its site's. Without any revenue there \
         is one row, of 0 in no currency; without users the average is null."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "arpu",
    describe: arpu!(),
    text: "
with {visits},
users as (
    select 1 as one, count(distinct person) as users from visits
),
revenue as (
    select 1 as one, coalesce(e.currency, t.currency) as currency, sum(e.revenue) as revenue
    {sales}
    group by coalesce(e.currency, t.currency)
)
select
    r.currency,
    coalesce(r.revenue, 0) as revenue,
    u.users,
    @mean(coalesce(r.revenue, 0), u.users) as arpu
from users u
left join revenue r on r.one = u.one
order by coalesce(r.currency, '')",
    local: false,
};

#[doc = arpu!()]
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn arpu<W: Warehouse + ?Sized>(warehouse: &W, scope: &Scope) -> Result<Answer<Arpu>> {
    match warehouse.in_process() {
        true => fold::arpu(warehouse, scope).await,
        false => answer(&REPORT, warehouse, scope, Vec::new()).await,
    }
}

record! {
    /// Revenue and users of a channel, in one currency.
    ChannelArpu in "arpu_by_channel" upserted, key [channel, currency] {
        /// The channel.
        channel: Channel,
        /// The currency; null where the channel has no revenue, or where neither event nor site has one.
        currency: Option<Currency>,
        /// Purchases less refunds.
        revenue: Amount,
        /// Distinct users with a session of this channel in the period.
        users: i64,
        /// Revenue ÷ users, to six digits, halves away from zero; null without users.
        arpu: Option<Measure>,
    }
}

macro_rules! arpu_by_channel {
    () => {
        "Average revenue per user by channel and currency: purchases less refunds in the period ÷ distinct users \
         with a session of the channel that starts in the period. A purchase belongs to the channel of its session, \
         without one to its own. A user of two channels counts in both, so the users of the channels are not to be \
         added; the revenues of one currency add up to those of arpu."
    };
}

pub(super) const BY_CHANNEL: Definition = Definition {
    name: "arpu_by_channel",
    describe: arpu_by_channel!(),
    text: "
with {visits},
users as (
    select channel, count(distinct person) as users from visits group by channel
),
sales as (
    select coalesce(s.channel, e.channel) as channel, coalesce(e.currency, t.currency) as currency, e.revenue
    {sales}
),
revenue as (
    select channel, currency, sum(revenue) as revenue from sales group by channel, currency
),
channels as (
    select channel from users @union() select channel from revenue
)
select
    c.channel,
    r.currency,
    coalesce(r.revenue, 0) as revenue,
    coalesce(u.users, 0) as users,
    @mean(coalesce(r.revenue, 0), coalesce(u.users, 0)) as arpu
from channels c
left join users u on u.channel = c.channel
left join revenue r on r.channel = c.channel
order by c.channel, coalesce(r.currency, '')",
    local: false,
};

#[doc = arpu_by_channel!()]
///
/// A channel without revenue has one row, of 0 in no currency.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn arpu_by_channel<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
) -> Result<Answer<ChannelArpu>> {
    answer(&BY_CHANNEL, warehouse, scope, Vec::new()).await
}

record! {
    /// Revenue and users of a month, in one currency.
    MonthArpu in "arpu_by_month" upserted, key [month, currency] {
        /// The first day of the local month.
        month: NaiveDate,
        /// The currency; null where the month has no revenue, or where neither event nor site has one.
        currency: Option<Currency>,
        /// Purchases less refunds.
        revenue: Amount,
        /// Distinct users with a session that starts in the month, within the period.
        users: i64,
        /// Revenue ÷ users, to six digits, halves away from zero; null without users.
        arpu: Option<Measure>,
    }
}

macro_rules! arpu_by_month {
    () => {
        "Average revenue per user by local month and currency: purchases less refunds of the month ÷ distinct users \
         with a session that starts in it. Months of which the period holds a part show that part. A \
         month that was not loaded has no row; one that was loaded and is empty has 0 users and no average (this SQL \
         alone leaves out both)."
    };
}

pub(super) const BY_MONTH: Definition = Definition {
    name: "arpu_by_month",
    describe: arpu_by_month!(),
    text: "
with {visits},
users as (
    select @month(@local(v.start_time, z.offset_s)) as month, count(distinct v.person) as users
    from visits v
    join zone_offsets z on {zone at v.start_time}
    group by 1
),
sales as (
    select e.timestamp, coalesce(e.currency, t.currency) as currency, e.revenue
    {sales}
),
revenue as (
    select @month(@local(f.timestamp, z.offset_s)) as month, f.currency, sum(f.revenue) as revenue
    from sales f
    join zone_offsets z on {zone at f.timestamp}
    group by 1, f.currency
),
months as (
    select month from users @union() select month from revenue
)
select
    m.month,
    r.currency,
    coalesce(r.revenue, 0) as revenue,
    coalesce(u.users, 0) as users,
    @mean(coalesce(r.revenue, 0), coalesce(u.users, 0)) as arpu
from months m
left join users u on u.month = m.month
left join revenue r on r.month = m.month
order by m.month, coalesce(r.currency, '')",
    local: true,
};

#[doc = arpu_by_month!()]
///
/// Months are those of the scope's zone.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn arpu_by_month<W: Warehouse + ?Sized>(warehouse: &W, scope: &Scope) -> Result<Answer<MonthArpu>> {
    let answer = answer(&BY_MONTH, warehouse, scope, Vec::new()).await?;
    Ok(Coverage::of(warehouse, scope).await?.months(answer))
}
