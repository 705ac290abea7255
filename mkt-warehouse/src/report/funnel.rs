//! Funnels: how many people reach each step.

use super::journey::whole_seconds;
use super::scope::input;
use super::settings::Values;
use super::{Answer, Definition, Scope, answer, fold};
use crate::model::EventType;
use crate::record;
use crate::table::Value;
use crate::warehouse::Warehouse;
use chrono::TimeDelta;
use mkt_connect::Result;
use std::time::Duration;

record! {
    /// A step, and who reached it.
    FunnelStep in "funnel" upserted, key [step] {
        /// 1 for the entry.
        step: i64,
        /// What has to happen.
        event_type: EventType,
        /// People who reached it.
        users: i64,
        /// Percent of those who entered.
        rate_from_first: Option<f64>,
        /// Percent of those who reached the step before; null at the entry.
        rate_from_previous: Option<f64>,
        /// Whole seconds from the entry to this step on each person's fastest way, as the mean over the people who
        /// reached it.
        seconds_from_first: Option<f64>,
    }
}

/// Which steps, and how long a person may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunnelOptions {
    /// Two to eight event types; one may stand there several times. A product seen, put in the cart and bought, unless
    /// told.
    pub steps: Vec<EventType>,
    /// The most time from the entry to the last step, in whole seconds up to 366 days: default seven days.
    pub window: Duration,
}

impl Default for FunnelOptions {
    fn default() -> Self {
        Self {
            steps: vec![EventType::PRODUCT_VIEW, EventType::ADD_TO_CART, EventType::PURCHASE],
            window: Duration::from_secs(7 * 86_400),
        }
    }
}

/// The parameters of the steps; those not asked for are null.
const STEPS: [&str; 8] =
    ["step_one", "step_two", "step_three", "step_four", "step_five", "step_six", "step_seven", "step_eight"];

/// Rows that reach a step, with the latest entry that leads there, and rows that later steps may need.
macro_rules! reached {
    ($before:literal, $name:literal, $wanted:literal) => {
        concat!(
            "reached_", $name, " as @once()(
    select
        person, event_type, happened, seq, event_id,
        case when event_type = :step_", $name, " and @later(entered, :window_s) >= happened then entered end as entered
    from (
        select
            person, event_type, happened, seq, event_id,
            max(entered) over (
                partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
            ) as entered
        from reached_", $before, "
        where entered is not null or event_type in (", $wanted, ")
    ) chained
    where event_type in (", $wanted, ")
),
"
        )
    };
}

/// Who reached a step, with the sum of the seconds of their fastest ways.
macro_rules! counted {
    ($step:literal, $name:literal) => {
        concat!(
            "    union all
    select ",
            $step,
            ", count(*), sum(seconds) from (
        select min(@seconds(entered, happened)) as seconds
        from reached_",
            $name,
            " where entered is not null group by person
    ) fastest
"
        )
    };
}

macro_rules! funnel {
    () => {
        "How many people take the steps in order. A person enters with an event of the first step in the period, \
         and reaches a step when all steps up to it happened one after the other (by timestamp, then seq, the order of the source, then event_id), all \
         within window_s seconds of that entry, also past the period's end. Of several entries the best counts, and \
         everybody counts once per step. seconds_from_first is the mean, over the people who reached the step, of \
         the whole seconds on their fastest way from an entry. Steps that are null are not asked for."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "funnel",
    describe: funnel!(),
    text: concat!(
        "
with acts as (
    select
        {person} as person, e.event_type, e.timestamp as happened, e.seq, e.event_id
    {events}
      and e.timestamp >= :from and e.timestamp < :window_until
      and e.event_type in (
          :step_one, :step_two, :step_three, :step_four, :step_five, :step_six, :step_seven, :step_eight
      )
),
-- Of all entries before an event the latest leaves it the most time, so a running maximum is all that is needed.
entries as (
    select
        person, event_type, happened, seq, event_id,
        case when event_type = :step_one and happened < :until then 1 else 0 end as entry,
        max(case when event_type = :step_one and happened < :until then happened end) over (
            partition by person order by happened, seq, event_id rows between unbounded preceding and 1 preceding
        ) as entered
    from acts
),
-- Rows that reach the step, rows that later steps may need, and everybody's first entry, which is counted.
reached_two as @once()(
    select
        person, event_type, happened, seq, event_id,
        case when event_type = :step_two and @later(entered, :window_s) >= happened then entered end as entered,
        case when entry = 1 and entered is null then 1 else 0 end as first_entry
    from entries
    where entry = 1 and entered is null
        or event_type in (
            :step_two, :step_three, :step_four, :step_five, :step_six, :step_seven, :step_eight
        )
),
",
        reached!("two", "three", ":step_three, :step_four, :step_five, :step_six, :step_seven, :step_eight"),
        reached!("three", "four", ":step_four, :step_five, :step_six, :step_seven, :step_eight"),
        reached!("four", "five", ":step_five, :step_six, :step_seven, :step_eight"),
        reached!("five", "six", ":step_six, :step_seven, :step_eight"),
        reached!("six", "seven", ":step_seven, :step_eight"),
        reached!("seven", "eight", ":step_eight"),
        "counts as (
    select 1 as step, count(*) as users, 0 as seconds from reached_two where first_entry = 1
",
        counted!("2", "two"),
        counted!("3", "three"),
        counted!("4", "four"),
        counted!("5", "five"),
        counted!("6", "six"),
        counted!("7", "seven"),
        counted!("8", "eight"),
        "),
steps as (
    select 1 as step, :step_one as event_type
    union all select 2, :step_two
    union all select 3, :step_three
    union all select 4, :step_four
    union all select 5, :step_five
    union all select 6, :step_six
    union all select 7, :step_seven
    union all select 8, :step_eight
),
filled as (
    select s.step, s.event_type, coalesce(c.users, 0) as users, c.seconds
    from steps s
    left join counts c on c.step = s.step
    where s.event_type is not null
),
compared as (
    select
        step, event_type, users, seconds,
        first_value(users) over (order by step) as entered,
        lag(users) over (order by step) as before
    from filled
)
select
    step,
    event_type,
    users,
    @percent(users, entered) as rate_from_first,
    @percent(users, before) as rate_from_previous,
    @ratio(seconds, users) as seconds_from_first
from compared
order by step"
    ),
    local: false,
};

#[doc = funnel!()]
///
/// - **Within the window** ([`FunnelOptions::window`]) includes its last instant. Other events in between do not matter.
///   One event never counts for two steps, not even when these are of one type.
/// - **Past the period's end**: entries end with the period, later steps only with the window, so that who enters on the
///   last day has as much time as the others. The rates of the last window are final once it has passed and its events are
///   loaded.
/// - **Several entries**: the one that leads furthest counts; everybody counts once per step, so the counts never grow
///   from step to step.
/// - **Rows**: one per step, in order, also where nobody reached it. Steps may happen in different sessions and on
///   different sites of the scope.
///
/// # Errors
/// `Input` for fewer than two or more than eight steps, and for a window that is zero, not in whole seconds, or longer
/// than 366 days; else of [`Warehouse::query`].
pub async fn funnel<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    options: &FunnelOptions,
) -> Result<Answer<FunnelStep>> {
    let values = values(scope, options)?;
    match warehouse.in_process() {
        true => fold::funnel(warehouse, scope, options, &values).await,
        false => answer(&REPORT, warehouse, scope, values).await,
    }
}

pub(super) fn values(scope: &Scope, options: &FunnelOptions) -> Result<Values> {
    if !(2..=STEPS.len()).contains(&options.steps.len()) {
        return Err(input(format!("a funnel has 2 to {} steps, not {}", STEPS.len(), options.steps.len())));
    }
    let window = whole_seconds("the window of a funnel", options.window)?;
    if window == 0 {
        return Err(input("the window of a funnel is zero"));
    }
    let until = scope.until() + TimeDelta::seconds(window);
    let mut values = vec![("window_s", Value::Int(window)), ("window_until", Value::Timestamp(until))];
    values.extend(STEPS.iter().enumerate().map(|(n, name)| {
        (*name, options.steps.get(n).map_or(Value::Null, |step| Value::Text(step.as_str().to_owned())))
    }));
    Ok(values)
}
