//! At which local hours visits convert best.

use super::settings::Values;
use super::{Answer, Definition, Scope, answer};
use crate::record;
use crate::table::Value;
use crate::warehouse::Warehouse;
use mkt_connect::Result;

record! {
    /// An hour of the day and its sessions.
    HourConversion in "top_hours" upserted, key [hour] {
        /// The local hour, 0 to 23.
        hour: i64,
        /// Sessions that start in it.
        sessions: i64,
        /// Those of them that converted.
        converted_sessions: i64,
        /// Percent of sessions that converted.
        conversion_rate: Option<f64>,
    }
}

/// How many hours, and which of them count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HourOptions {
    /// Rows at most: 5 as in the course.
    pub hours: u32,
    /// Sessions that an hour needs to be listed: default 1. One converted session of one is 100 percent, and says
    /// little; with real traffic 30 is a sensible floor.
    pub minimum: u32,
}

impl Default for HourOptions {
    fn default() -> Self {
        Self { hours: 5, minimum: 1 }
    }
}

macro_rules! top_hours {
    () => {
        "The hours of the day with the best conversion rate: converted sessions ÷ sessions × 100 by the local hour \
         of the session's start, for hours with enough sessions. Equal rates come in the order of the hour. The \
         hour that a clock change repeats counts once, as one hour."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "top_hours",
    describe: top_hours!(),
    text: "
with {visits},
-- Clocks change on quarters of an hour (since 1972), so few instants are left to be looked up in the zone.
{quarters},
hours as (
    select
        @hour(@local(q.quarter, z.offset_s)) as hour,
        @whole(sum(q.sessions)) as sessions,
        @whole(sum(q.converted_sessions)) as converted_sessions
    from quarters q
    join zone_offsets z on {zone at q.quarter}
    group by 1
),
ranked as (
    select
        hour,
        sessions,
        converted_sessions,
        @percent(converted_sessions, sessions) as conversion_rate,
        row_number() over (order by @percent(converted_sessions, sessions) desc, hour) as place
    from hours
    where sessions >= :minimum
)
select
    hour,
    sessions,
    converted_sessions,
    conversion_rate
from ranked
where place <= :hours
order by place",
    local: true,
};

#[doc = top_hours!()]
///
/// Hours are those of the scope's zone. [`HourOptions`] sets how many sessions an hour needs, and how many rows there are.
///
/// # Errors
/// Of [`Warehouse::query`].
pub async fn top_hours<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    options: HourOptions,
) -> Result<Answer<HourConversion>> {
    answer(&REPORT, warehouse, scope, values(options)).await
}

pub(super) fn values(options: HourOptions) -> Values {
    vec![("minimum", Value::Int(i64::from(options.minimum))), ("hours", Value::Int(i64::from(options.hours)))]
}
