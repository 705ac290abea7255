//! Which combinations of channels convert.

use super::journey::{ChannelSet, looking_back, steps, takings};
use super::{Answer, Definition, Scope, answer, fold};
use crate::model::Amount;
use crate::record;
use crate::warehouse::Warehouse;
use mkt_connect::{Currency, Result};
use std::time::Duration;

record! {
    /// A combination of channels, in one currency.
    ChannelSetCount in "channel_sets" upserted, key [channels, currency] {
        /// The channels, see [`ChannelSet`].
        channels: ChannelSet,
        /// How many they are.
        size: i64,
        /// Paths through exactly these channels.
        paths: i64,
        /// Those of them that end with a conversion.
        converted: i64,
        /// Percent of paths that end with a conversion.
        conversion_rate: Option<f64>,
        /// The currency of the value; null where there is no sale, or where neither event nor site has one.
        currency: Option<Currency>,
        /// Purchases less refunds that belong to the conversions.
        value: Amount,
    }
}

/// How far paths reach back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChannelSetOptions {
    /// As [`PathOptions::look_back`](super::PathOptions::look_back): default 30 days.
    pub look_back: Duration,
}

impl Default for ChannelSetOptions {
    fn default() -> Self {
        Self { look_back: Duration::from_secs(30 * 86_400) }
    }
}

macro_rules! channel_sets {
    () => {
        "Which combinations of channels convert: the paths of the report paths by the set of their channels, \
         whatever the order and the repeats; paths that end with a conversion ÷ paths × 100, and the sales that \
         belong to the conversions. With several currencies a set has a row for each, with the same counts; do not \
         add those up. Most conversions first."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "channel_sets",
    describe: channel_sets!(),
    text: concat!(
        "
with ",
        steps!(),
        takings!(),
        "used as (
    select distinct person, goal, led, channel from steps where counted >= :from
),
journeys as @once()(
    select person, goal, led, @joined(channel, ' + ', channel) as channels, count(*) as size
    from used
    group by person, goal, led
),
counts as (
    select channels, size, count(*) as paths, sum(led) as converted
    from journeys
    group by channels, size
),
gains as (
    select j.channels, t.currency, sum(t.revenue) as revenue
    from journeys j
    join takings t on t.person = j.person and t.goal = j.goal
    where j.led = 1
    group by j.channels, t.currency
)
select
    c.channels,
    c.size,
    c.paths,
    c.converted,
    @percent(c.converted, c.paths) as conversion_rate,
    g.currency,
    coalesce(g.revenue, 0) as value
from counts c
left join gains g on g.channels = c.channels
order by c.converted desc, c.paths desc, c.channels, coalesce(g.currency, '')"
    ),
    local: false,
};

#[doc = channel_sets!()]
///
/// A path through `email`, `organic`, `email` counts in `email + organic` alone, neither in `email` nor in `organic`. A
/// combination without a path has no row. Order: most conversions, then most paths, then the name.
///
/// # Errors
/// As [`paths`](super::paths()).
pub async fn channel_sets<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    options: ChannelSetOptions,
) -> Result<Answer<ChannelSetCount>> {
    let values = looking_back(scope, options.look_back)?;
    match warehouse.in_process() {
        true => fold::channel_sets(warehouse, scope, options.look_back, &values).await,
        false => answer(&REPORT, warehouse, scope, values).await,
    }
}
