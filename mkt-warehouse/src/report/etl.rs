//! How far each source was loaded, and how far that can be trusted.

use super::settings::Values;
use super::{Answer, Definition, Scope, answer};
use crate::batch::SliceKey;
use crate::record;
use crate::table::Value;
use crate::warehouse::Warehouse;
use chrono::{DateTime, NaiveDate, Utc};
use mkt_connect::Result;

record! {
    /// A stream of a source for a site.
    StreamStatus in "etl_status" upserted, key [source, stream, site] {
        /// The source.
        source: String,
        /// The stream.
        stream: String,
        /// The site.
        site: String,
        /// Slices in the ledger.
        slices: i64,
        /// The first day of any slice; null where the stream has no days.
        first_day: Option<NaiveDate>,
        /// The last day of any slice; null where the stream has no days.
        last_day: Option<NaiveDate>,
        /// Days between the two that no slice holds.
        missing_days: i64,
        /// When a slice's content last changed.
        last_load: DateTime<Utc>,
        /// Hours since then; 0 for a load after the instant of asking.
        hours_since: f64,
        /// Rows of all slices.
        row_count: i64,
        /// How often slices were loaded with another content.
        revisions: i64,
        /// Slices that are not read yet.
        planned: i64,
        /// Slices that the source may still change.
        provisional: i64,
        /// Slices that stand.
        settled: i64,
        /// Slices that are empty where something else says otherwise.
        suspect_empty: i64,
        /// Slices of which the source cut rows off.
        truncated: i64,
        /// Slices counted on a sample.
        sampled: i64,
        /// Slices that could not be read.
        failed: i64,
    }
}

/// When the question is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EtlOptions {
    /// The instant to count hours to; default the scope's end.
    pub now: Option<DateTime<Utc>>,
}

macro_rules! etl_status {
    () => {
        "Per source, stream and site, over the slices of the ledger (loads) that touch the period: how many, first \
         and last day, days between them that no slice holds, the last change and the hours since, rows, changes of \
         content after the first load, and slices by state. Slices that hold a whole stream without days count, but \
         have no first and last day. Filters by channel, device and campaign do not apply."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "etl_status",
    describe: etl_status!(),
    text: "
with slices as (
    select
        l.source, l.stream, l.site, l.row_count, l.revision, l.loaded_at, l.state,
        case when l.window_until < :endless then l.window_from end as day_from,
        case when l.window_until < :endless then l.window_until end as day_until
    from loads l
    where l.window_from <= :last_day and l.window_until > :first_day
      and l.site = coalesce(:site, l.site)
      and l.source = coalesce(:source, l.source)
),
spans as (
    select
        source, stream, site, day_from,
        max(day_until) over (
            partition by source, stream, site order by day_from, day_until
            rows between unbounded preceding and 1 preceding
        ) as held_until
    from slices
    where day_from is not null
),
gaps as (
    select
        source, stream, site,
        @whole(sum(case when held_until < day_from then @day_diff(held_until, day_from) else 0 end)) as missing_days
    from spans
    group by source, stream, site
),
streams as (
    select
        source, stream, site,
        count(*) as slices,
        min(day_from) as first_day,
        max(day_until) as day_until,
        max(loaded_at) as last_load,
        @whole(sum(row_count)) as row_count,
        @whole(sum(revision - 1)) as revisions,
        sum(case when state = 'planned' then 1 else 0 end) as planned,
        sum(case when state = 'provisional' then 1 else 0 end) as provisional,
        sum(case when state = 'settled' then 1 else 0 end) as settled,
        sum(case when state = 'suspect_empty' then 1 else 0 end) as suspect_empty,
        sum(case when state = 'truncated' then 1 else 0 end) as truncated,
        sum(case when state = 'sampled' then 1 else 0 end) as sampled,
        sum(case when state = 'failed' then 1 else 0 end) as failed
    from slices
    group by source, stream, site
)
select
    s.source, s.stream, s.site, s.slices,
    s.first_day,
    @previous_day(s.day_until) as last_day,
    coalesce(g.missing_days, 0) as missing_days,
    s.last_load,
    case when s.last_load > :now then 0.0 else @ratio(@seconds(s.last_load, :now), 3600) end as hours_since,
    s.row_count, s.revisions,
    s.planned, s.provisional, s.settled, s.suspect_empty, s.truncated, s.sampled, s.failed
from streams s
left join gaps g on g.source = s.source and g.stream = s.stream and g.site = s.site
order by s.source, s.stream, s.site",
    local: false,
};

#[doc = etl_status!()]
///
/// [`Scope::site`] and [`Scope::source`] choose slices; systems of record do not apply. `missing_days` counts days
/// between the first and the last that no slice holds: a day that was loaded and is empty is not missing. A slice of a
/// whole stream is one of [`crate::SliceKey::whole`]. The states add up to `slices`.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn etl_status<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    options: EtlOptions,
) -> Result<Answer<StreamStatus>> {
    answer(&REPORT, warehouse, scope, values(scope, options)).await
}

pub(super) fn values(scope: &Scope, options: EtlOptions) -> Values {
    vec![
        ("first_day", Value::Date(scope.first_day())),
        ("last_day", Value::Date(scope.last_day())),
        ("now", Value::Timestamp(options.now.unwrap_or(scope.until()))),
        ("endless", Value::Date(SliceKey::whole("", "", "").until)),
    ]
}
