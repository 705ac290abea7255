//! Who comes back, month by month after sign-up.

use super::settings::Values;
use super::{Answer, Coverage, Definition, Scope, answer, fold};
use crate::record;
use crate::table::Value;
use crate::warehouse::Warehouse;
use chrono::NaiveDate;
use mkt_connect::Result;

record! {
    /// A cohort in one of its months.
    CohortMonth in "cohort_retention" upserted, key [cohort, month] {
        /// The first day of the month of sign-up.
        cohort: NaiveDate,
        /// Calendar months since: 0 is the month of sign-up.
        month: i64,
        /// Users of the cohort.
        users: i64,
        /// Those of them with a session in that month; null while the month is not complete, and where no day of it was loaded.
        active: Option<i64>,
        /// Percent of users who were active; null while the month is not complete, and where no day of it was loaded.
        retention_rate: Option<f64>,
    }
}

macro_rules! cohort_retention {
    () => {
        "Users by month of sign-up, and the share of them with a session in each calendar month since. The month is \
         that of users.signed_up_at, whichever source it is from; for a user without one, that of the first session \
         ever seen. A cohort holds who signed up in the period; sessions count from the period's start. Months that \
         are not complete at the period's end are null, and so are months of which no day was loaded (this SQL alone \
         gives 0 there). Filters by channel, device and campaign keep sessions, not \
         sign-ups."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "cohort_retention",
    describe: cohort_retention!(),
    text: "
with months as (
    @numbers(@month_diff(:first_day, :last_month))
),
visits as (
    select coalesce(i.person_id, s.user_id) as person, s.start_time
    {visited so far}
),
signups as (
    select coalesce(i.person_id, u.user_id) as person, min(u.signed_up_at) as since
    from users u
    left join identities i on i.source = u.source and i.site = u.site and i.user_id = u.user_id
    where u.signed_up_at < :until and (:site is null or u.site = :site)
    group by coalesce(i.person_id, u.user_id)
),
-- Who was there in which month, and since when. The visits are read once, for there are many of them.
months_seen as @once() (
    select
        v.person,
        case when v.start_time >= :from then @month(@local(v.start_time, z.offset_s)) end as active_in,
        min(v.start_time) as since
    from visits v
    left join zone_offsets z on {zone at v.start_time}
    group by 1, 2
),
signed as @once() (
    select g.person, @month(@local(g.since, z.offset_s)) as cohort, @int(g.since >= :from) as counted
    from signups g
    join zone_offsets z on {zone at g.since}
),
met as @once() (
    select m.person, m.active_in, m.since, g.cohort, coalesce(g.counted, 2) as counted
    from months_seen m
    left join signed g on g.person = m.person
),
-- Who never signed up.
strangers as @once() (
    select n.person, @month(@local(n.since, z.offset_s)) as cohort
    from (select person, min(since) as since from met where counted = 2 group by person) n
    join zone_offsets z on {zone at n.since}
    where n.since >= :from
),
members as (
    select cohort, count(*) as users from signed where counted = 1 group by cohort
    union all
    select cohort, count(*) as users from strangers group by cohort
),
sizes as (
    select cohort, @whole(sum(users)) as users from members group by cohort
),
pairs as (
    select cohort, active_in, count(*) as active
    from met
    where counted = 1 and active_in is not null
    group by cohort, active_in
    union all
    select s.cohort, m.active_in, count(*) as active
    from strangers s
    join met m on m.person = s.person
    where m.active_in is not null
    group by s.cohort, m.active_in
),
counts as (
    select cohort, @month_diff(cohort, active_in) as month, @whole(sum(active)) as active
    from pairs
    group by cohort, active_in
)
select
    s.cohort,
    m.number as month,
    s.users,
    case when @month_diff(s.cohort, :open_month) > m.number then coalesce(n.active, 0) end as active,
    case when @month_diff(s.cohort, :open_month) > m.number
        then @percent(coalesce(n.active, 0), s.users) end as retention_rate
from sizes s
join months m on m.number <= @month_diff(s.cohort, :last_month)
left join counts n on n.cohort = s.cohort and n.month = m.number
order by s.cohort, m.number",
    local: true,
};

#[doc = cohort_retention!()]
///
/// - **Months** are those of the scope's zone. Let the period start with a month: sessions count from its start.
/// - **Sign-up**: the earliest, for a person with several user ids; [`Scope::source`] does not apply to it.
/// - **Active** means having a session.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn cohort_retention<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
) -> Result<Answer<CohortMonth>> {
    let answer = match warehouse.in_process() {
        true => fold::cohort(warehouse, scope).await?,
        false => answer(&REPORT, warehouse, scope, values(scope)).await?,
    };
    Ok(Coverage::of(warehouse, scope).await?.cohorts(answer))
}

pub(super) fn values(scope: &Scope) -> Values {
    vec![
        ("first_day", Value::Date(scope.first_day())),
        ("last_month", Value::Date(scope.last_month())),
        ("open_month", Value::Date(scope.open_month())),
    ]
}
