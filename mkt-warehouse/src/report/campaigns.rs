//! What each campaign cost and brought in.

use super::journey::looking_back;
use super::settings::Values;
use super::{Answer, Definition, Scope, answer, fold};
use crate::model::{Amount, Measure};
use crate::record;
use crate::table::Value;
use crate::warehouse::Warehouse;
use mkt_connect::{Channel, Currency, Result};
use std::time::Duration;

record! {
    /// A campaign, in one currency.
    CampaignPerformance in "campaign_performance" upserted, key [campaign_id, currency] {
        /// The campaign; null for everything that belongs to none.
        campaign_id: Option<String>,
        /// Its name, where it is declared.
        name: Option<String>,
        /// Its channel, where it is declared.
        channel: Option<Channel>,
        /// The currency of revenue and cost; null where there is neither, or where no sale tells it.
        currency: Option<Currency>,
        /// Sessions that came through it.
        sessions: i64,
        /// Those of them that converted.
        converted_sessions: i64,
        /// Conversions credited to it: the last click that was not direct.
        conversions: i64,
        /// Purchases less refunds credited to it.
        revenue: Amount,
        /// What it cost; null where no source tells.
        cost: Option<Amount>,
        /// Impressions; null where no source tells.
        impressions: Option<i64>,
        /// Clicks, as the source of the cost counts them; null where none tells.
        clicks: Option<i64>,
        /// Conversions after a view without a click, as the source of the cost counts them; in no other column.
        post_view_conversions: Option<i64>,
        /// Return on ad spend: revenue ÷ cost.
        roas: Option<f64>,
        /// Cost per acquisition: cost ÷ conversions, to six digits, halves away from zero.
        cpa: Option<Measure>,
    }
}

/// How far a conversion looks back for its campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CampaignOptions {
    /// The most time from a session through a campaign to the direct conversion that it is credited with, in whole
    /// seconds up to 366 days: default 30 days. Zero credits sessions with their own conversions alone.
    pub look_back: Duration,
}

impl Default for CampaignOptions {
    fn default() -> Self {
        Self { look_back: Duration::from_secs(30 * 86_400) }
    }
}

macro_rules! campaign_performance {
    () => {
        "Per campaign and currency: sessions of the period through the campaign, conversions and revenue of the \
         period credited to it, and what it cost on the days of the period. Credit goes to the last click that was \
         not direct: a converted session with a campaign or a channel other than direct keeps its own, a direct one \
         takes that of the person's last such session at most look_back_s seconds earlier. A purchase counts like \
         its session (the one that it names), else like a direct visit at its own time; a refund goes where the \
         person's last conversion before it went. The row without campaign_id holds all that belongs to no \
         campaign, so that revenue adds up. ROAS is revenue ÷ cost, CPA is cost ÷ conversions; costs are filtered \
         by their own channel and campaign, never by device. With several currencies a campaign has a row for each, \
         with the same counts; do not add those up. Most sessions first."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "campaign_performance",
    describe: campaign_performance!(),
    text: "
with {visits so far},
touches as @once()(
    select
        person, session_id, seq, start_time as happened, converted, coalesce(campaign_id, '') as campaign,
        case when channel <> 'direct' or campaign_id <> '' then 1 else 0 end as click
    from visits
    where start_time >= :look_from
),
sales as @once()(
    select
        {person} as person, e.timestamp as happened, e.session_id,
        coalesce(e.currency, t.currency) as currency, e.revenue,
        case when e.event_type = 'refund' then 1 else 0 end as refund
    {sales}
),
named as @once()(
    select session_id, seq, person, happened from touches where session_id in (select session_id from sales)
),
placed as @once()(
    select
        coalesce(n.person, s.person) as person, coalesce(n.happened, s.happened) as happened, n.seq, n.session_id,
        s.currency, s.revenue, s.refund
    from sales s
    left join named n on n.session_id = s.session_id
),
-- Only the clicks of those who converted or bought can be credited.
people as @once()(
    select person from touches where converted @union() select person from placed
),
-- A sale that names one of these sessions comes right after it, any other after all sessions up to its own time.
moments as (
    select
        person, happened, 0 as late, seq, session_id, 0 as sale, 0 as refund, click, @int(converted) as goal,
        campaign, null as currency, 0 as revenue
    from touches
    where (click = 1 or converted) and person in (select person from people)
    union all
    select
        person, happened, case when session_id is null then 1 else 0 end, seq, session_id, 1, refund, 0, 0,
        '', currency, revenue
    from placed
),
numbered as @once()(
    select
        person, happened, sale, refund, click, goal, campaign, currency, revenue,
        count(case when click = 1 then 1 end) over (
            partition by person order by happened, late, seq, session_id, sale
            rows between unbounded preceding and current row
        ) as clicks,
        count(case when goal = 1 then 1 end) over (
            partition by person order by happened, late, seq, session_id, sale
            rows between unbounded preceding and current row
        ) as goals
    from moments
),
credited as @once()(
    select
        m.person, m.happened, m.sale, m.refund, m.goals, m.currency, m.revenue, coalesce(c.campaign, '') as campaign
    from numbered m
    left join numbered c on c.click = 1 and c.person = m.person and c.clicks = m.clicks
        and @later(c.happened, :look_back_s) >= m.happened
    where m.sale = 1 or m.goal = 1
),
conversions as (
    select campaign, count(*) as conversions
    from credited
    where sale = 0 and happened >= :from
    group by campaign
),
takings as (
    select case when g.person is null then s.campaign else g.campaign end as campaign, s.currency,
        sum(s.revenue) as revenue
    from credited s
    left join credited g on s.refund = 1 and g.sale = 0 and g.person = s.person and g.goals = s.goals
    where s.sale = 1
    group by 1, 2
),
traffic as (
    select campaign, count(*) as sessions, sum(@int(converted)) as converted_sessions
    from touches
    where happened >= :from
    group by campaign
),
spending as (
    select c.campaign_id as campaign, c.currency, sum(c.cost) as cost, sum(c.impressions) as impressions,
        sum(c.clicks) as clicks, sum(c.post_view_conversions) as post_view_conversions
    {costs by campaign}
),
shown as (
    select campaign, cast(sum(impressions) as bigint) as impressions, cast(sum(clicks) as bigint) as clicks,
        cast(sum(post_view_conversions) as bigint) as post_view_conversions
    from spending
    group by campaign
),
declared as (
    select campaign_id, name, channel
    {declared once}
),
known as (
    select campaign from traffic @union() select campaign from conversions
    @union() select campaign from takings @union() select campaign from spending
),
accounts as (
    select campaign, currency from takings @union() select campaign, currency from spending
)
select
    nullif(k.campaign, '') as campaign_id,
    d.name,
    d.channel,
    a.currency,
    coalesce(f.sessions, 0) as sessions,
    coalesce(f.converted_sessions, 0) as converted_sessions,
    coalesce(v.conversions, 0) as conversions,
    coalesce(t.revenue, 0) as revenue,
    s.cost,
    h.impressions,
    h.clicks,
    h.post_view_conversions,
    @ratio(coalesce(t.revenue, 0), s.cost) as roas,
    @mean(s.cost, coalesce(v.conversions, 0)) as cpa
from known k
left join accounts a on a.campaign = k.campaign
left join traffic f on f.campaign = k.campaign
left join conversions v on v.campaign = k.campaign
left join takings t on t.campaign = k.campaign and coalesce(t.currency, '') = coalesce(a.currency, '')
left join spending s on s.campaign = k.campaign and s.currency = a.currency
left join shown h on h.campaign = k.campaign
left join declared d on d.campaign_id = k.campaign
order by sessions desc, k.campaign, coalesce(a.currency, '')",
    local: false,
};

#[doc = campaign_performance!()]
///
/// - **Sessions** of the period whose `campaign_id` it is; `converted_sessions` are those of them that converted.
/// - **Credit** goes to the last click that was not direct, as web analytics count by default. A converted session of
///   the period which has a campaign, or a channel other than direct, keeps its own campaign (or none). A direct one
///   takes that of the person's last such session, at most [`CampaignOptions::look_back`] earlier, also before the
///   period; without one it belongs to no campaign. Every conversion is credited once.
/// - **Revenue**: a purchase of the period that names a session
///   ([`Event::session_id`](crate::model::Event::session_id)) which the report looks at counts like that session; any
///   other like a direct visit at its own time. A refund of the period goes where the person's last conversion up to its
///   session, or to its own time, went, and takes from there; without one it counts like a purchase. So the revenue of
///   all rows of a currency is that of [`arpu`](super::arpu()).
/// - **Cost, impressions, clicks, post-view conversions** are those of the days (site-local, as the source gave them)
///   from the period's first to its last day, from every source of costs, for the scope's site, channels and campaigns;
///   [`Scope::source`] names who told the traffic, and is not asked of costs. Costs know no device: where devices are
///   asked for, they are still those of all, and ROAS and CPA mean little. What no source tells is null, not 0.
///   Post-view conversions stand beside the others and are in no other column.
/// - **ROAS** is revenue ÷ cost, **CPA** is cost ÷ conversions; null where there is no cost, or the denominator is 0.
/// - **Currencies** never meet: revenue in one and cost in another are two rows. Counts are the same in all rows of a
///   campaign; do not add those up.
/// - **Rows**: campaigns with cost and no traffic appear, those with traffic and no declaration too. Everything without
///   a campaign is one row (per currency) whose `campaign_id` is null. Name and channel are those of the earliest
///   declaration. Most sessions first, then by campaign and currency.
///
/// The report looks at sessions since the look-back before the period's start, and at nothing earlier.
///
/// # Errors
/// `Input` for a look-back that is not in whole seconds or longer than 366 days; else of [`Warehouse::query`].
pub async fn campaign_performance<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    options: CampaignOptions,
) -> Result<Answer<CampaignPerformance>> {
    let values = values(scope, options)?;
    match warehouse.in_process() {
        true => fold::campaigns(warehouse, scope, options.look_back, &values).await,
        false => answer(&REPORT, warehouse, scope, values).await,
    }
}

pub(super) fn values(scope: &Scope, options: CampaignOptions) -> Result<Values> {
    let mut values = looking_back(scope, options.look_back)?;
    values.push(("first_day", Value::Date(scope.first_day())));
    values.push(("last_day", Value::Date(scope.last_day())));
    Ok(values)
}
