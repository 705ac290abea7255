//! What a user brings in.

use super::{Answer, Report, Scope, answer};
use crate::model::{Amount, Measure};
use crate::record;
use crate::warehouse::Warehouse;
use mkt_connect::{Currency, Result};

record! {
    /// Revenue and users, in one currency.
    Arpu in "arpu" upserted, key [currency] {
        /// The currency; null where there is no revenue at all, or where neither event nor site tells it.
        currency: Option<Currency>,
        /// Purchases less refunds.
        revenue: Amount,
        /// Distinct users with a session in the period, the same in every row.
        users: i64,
        /// Revenue ÷ users, to six digits, halves away from zero.
        arpu: Option<Measure>,
    }
}

pub(super) const REPORT: Report = Report {
    name: "arpu",
    describe: "Average revenue per user, one row per currency: purchases less refunds in the period ÷ distinct users \
               with a session that starts in the period. An event without a currency has its site's. Without any \
               revenue there is one row, of 0 in no currency; without users the average is null.",
    text: "
with {visits},
users as (
    select count(distinct person) as users from visits
),
revenue as (
    select coalesce(e.currency, t.currency) as currency, sum(e.revenue) as revenue
    {events}
      and e.timestamp >= :from and e.timestamp < :until
      and e.event_type in ('purchase', 'refund')
    group by coalesce(e.currency, t.currency)
)
select
    r.currency,
    coalesce(r.revenue, 0) as revenue,
    u.users,
    @mean(coalesce(r.revenue, 0), u.users) as arpu
from users u
left join revenue r on 1 = 1
order by coalesce(r.currency, '')",
    local: false,
};

/// Average revenue per user, one row per currency: purchases less refunds in the period ÷ distinct users with a session
/// that starts in the period, whether they bought or not. An event without a currency has its site's. Without any
/// revenue there is one row, of 0 in no currency; without users the average is null.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn arpu<W: Warehouse + ?Sized>(warehouse: &W, scope: &Scope) -> Result<Answer<Arpu>> {
    answer(&REPORT, warehouse, scope, Vec::new()).await
}
