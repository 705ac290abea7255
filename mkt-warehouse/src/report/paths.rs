//! Through which channels people came, in which order, before they converted, and when they did not.

use super::journey::{ChannelPath, looking_back, steps, takings};
use super::{Answer, Definition, Scope, answer, fold};
use crate::model::Amount;
use crate::record;
use crate::warehouse::Warehouse;
use mkt_connect::{Currency, Result};
use rust_decimal::Decimal;
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::time::Duration;

record! {
    /// A path, in one currency.
    PathCount in "paths" upserted, key [path, currency] {
        /// The channels, see [`ChannelPath`].
        path: ChannelPath,
        /// How many they are.
        length: i64,
        /// Paths like this that end with a conversion.
        converted: i64,
        /// Paths like this that do not.
        not_converted: i64,
        /// The currency of the value; null where there is no sale, or where neither event nor site has one.
        currency: Option<Currency>,
        /// Purchases less refunds that belong to the conversions.
        value: Amount,
    }
}

/// What becomes of visits through the same channel one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeats {
    /// Each is a step: `email > email > paid`.
    #[default]
    Keep,
    /// They are one step: `email > paid`.
    Collapse,
}

/// How far paths reach back, and how they are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathOptions {
    /// The most time from the start of a session to that of the conversion which it led to, in whole seconds up to 366
    /// days: default 30 days. Zero leaves the converted session alone.
    pub look_back: Duration,
    /// Repeats of a channel: default kept.
    pub repeats: Repeats,
    /// Paths at most, for display: default all, which is what attribution needs.
    pub limit: Option<u32>,
}

impl Default for PathOptions {
    fn default() -> Self {
        Self { look_back: Duration::from_secs(30 * 86_400), repeats: Repeats::Keep, limit: None }
    }
}

macro_rules! paths {
    () => {
        "The channels of a person's sessions in the order of their start, and how often such a path ended with a \
         conversion. A converted session of the period ends a path, which begins after the person's conversion \
         before it and at most look_back_s seconds earlier. Sessions of the period that led to no conversion in \
         that time form paths without conversion, one between two conversions. A sale (purchase, or refund with a \
         negative revenue) of the period belongs to the person's last conversion up to the session that it names, \
         else up to its own time. With several currencies a path has a row for each, with the same counts; do not \
         add those up. Most conversions first."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "paths",
    describe: paths!(),
    text: concat!(
        "
with ",
        steps!(),
        takings!(),
        "journeys as @once()(
    select person, goal, led, @joined(channel, ' > ', start_time, seq, session_id) as path, count(*) as length
    from steps
    where counted >= :from
    group by person, goal, led
),
counts as (
    select path, length, sum(led) as converted, sum(1 - led) as not_converted from journeys group by path, length
),
gains as (
    select j.path, t.currency, sum(t.revenue) as revenue
    from journeys j
    join takings t on t.person = j.person and t.goal = j.goal
    where j.led = 1
    group by j.path, t.currency
)
select
    c.path,
    c.length,
    c.converted,
    c.not_converted,
    g.currency,
    coalesce(g.revenue, 0) as value
from counts c
left join gains g on g.path = c.path
order by c.converted desc, c.not_converted desc, c.path, coalesce(g.currency, '')"
    ),
    local: false,
};

#[doc = paths!()]
///
/// - **Every session of the period is in exactly one path.** A path without conversion holds those after the person's
///   last conversion, or those too old for the conversion that follows.
/// - **Order** is by `start_time`, then `seq`, then `session_id`. A person's sessions on all sites of the scope are one history.
/// - **A sale** names its session by [`Event::session_id`](crate::model::Event::session_id). One without a conversion
///   before it, or with one before the period, is in no path.
/// - **Currencies**: [`path_counts`] gives each path once.
/// - **Rows**: most conversions first, then most paths without, then by name; all of them, unless
///   [`PathOptions::limit`] is set, so that credits of channels (Markov, Shapley, first, last) can be computed from them.
///
/// # Errors
/// `Input` for a look-back that is not in whole seconds or longer than 366 days; else of [`Warehouse::query`].
pub async fn paths<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    options: PathOptions,
) -> Result<Answer<PathCount>> {
    let values = looking_back(scope, options.look_back)?;
    let all = match warehouse.in_process() {
        true => fold::paths(warehouse, scope, options.look_back, &values).await?,
        false => answer(&REPORT, warehouse, scope, values).await?,
    };
    if options.repeats == Repeats::Keep && options.limit.is_none() {
        return Ok(all);
    }
    let mut rows = match options.repeats {
        Repeats::Keep => all.rows,
        Repeats::Collapse => collapsed(&all.rows),
    };
    if let Some(limit) = options.limit {
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let held = rows.chunk_by(|a, b| a.path == b.path).take(most).map(<[PathCount]>::len).sum();
        rows.truncate(held);
    }
    Ok(Answer::from_rows(rows))
}

/// The rows with repeats of a channel as one step, in the report's order.
fn collapsed(rows: &[PathCount]) -> Vec<PathCount> {
    /// Converted, not converted, values.
    type Sums = (i64, i64, BTreeMap<Option<Currency>, Decimal>);
    let mut paths: BTreeMap<ChannelPath, Sums> = BTreeMap::new();
    for same in rows.chunk_by(|a, b| a.path == b.path) {
        let Some(first) = same.first() else { continue };
        let mut channels = first.path.0.clone();
        channels.dedup();
        let held = paths.entry(ChannelPath(channels)).or_default();
        held.0 += first.converted;
        held.1 += first.not_converted;
        for row in same {
            *held.2.entry(row.currency).or_default() += row.value.0;
        }
    }
    let mut rows = Vec::new();
    for (path, (converted, not_converted, mut values)) in paths {
        // That is how a path without a sale is written, and others have sales.
        if values.len() > 1 && values.get(&None).is_some_and(Decimal::is_zero) {
            values.remove(&None);
        }
        let length = i64::try_from(path.0.len()).unwrap_or(i64::MAX);
        rows.extend(values.into_iter().map(|(currency, value)| PathCount {
            path: path.clone(),
            length,
            converted,
            not_converted,
            currency,
            value: Amount(value),
        }));
    }
    // Stable, so currencies stay in their order.
    rows.sort_by_cached_key(|row| (Reverse(row.converted), Reverse(row.not_converted), row.path.to_string()));
    rows
}

/// Each path of an answer once, whatever the currencies: what attribution without values needs.
pub fn path_counts(rows: &[PathCount]) -> impl Iterator<Item = &PathCount> {
    rows.chunk_by(|a, b| a.path == b.path).filter_map(<[PathCount]>::first)
}
