//! RFM: recency, frequency and monetary value of buyers.

use super::scope::input;
use super::settings::Values;
use super::{Answer, Definition, Scope, answer};
use crate::model::Amount;
use crate::table::Value;
use crate::warehouse::Warehouse;
use crate::{record, vocabulary};
use mkt_connect::{Currency, Result};

vocabulary! {
    /// What a buyer is called, by recency and frequency, each from 1 to 5.
    Segment, "a segment" {
        /// Recency 5, frequency 4 or 5.
        Champions = "champions",
        /// Recency 3 or 4, frequency 4 or 5.
        Loyal = "loyal",
        /// Recency 4 or 5, frequency 2 or 3.
        PotentialLoyal = "potential_loyal",
        /// Recency 5, frequency 1.
        New = "new",
        /// Recency 4, frequency 1.
        Promising = "promising",
        /// Recency 3, frequency 3.
        NeedsAttention = "needs_attention",
        /// Recency 3, frequency 1 or 2.
        AboutToSleep = "about_to_sleep",
        /// Recency 1 or 2, frequency 5.
        CannotLose = "cannot_lose",
        /// Recency 1 or 2, frequency 3 or 4.
        AtRisk = "at_risk",
        /// Recency 1 or 2, frequency 1 or 2.
        Hibernating = "hibernating",
    }
}

record! {
    /// A buyer, in one currency.
    Buyer in "rfm" upserted, key [person, currency] {
        /// The person.
        person: String,
        /// The currency; null where neither event nor site has one.
        currency: Option<Currency>,
        /// Days from the local day of the last purchase, in any currency, to the period's last day.
        recency_days: i64,
        /// Purchases in the period, in any currency.
        frequency: i64,
        /// Purchases less refunds in this currency.
        monetary: Amount,
        /// Score of the recency: the highest for who bought last.
        recency_score: i64,
        /// Score of the frequency.
        frequency_score: i64,
        /// Score of the amount, among the buyers of this currency.
        monetary_score: i64,
        /// The segment, by fifths of recency and frequency.
        segment: Segment,
    }
}

/// How finely buyers are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RfmOptions {
    /// Scores run from 1 to this: default 5, from 2 to 100. Segments are cut by fifths whatever it is.
    pub quantiles: u32,
}

impl Default for RfmOptions {
    fn default() -> Self {
        Self { quantiles: 5 }
    }
}

macro_rules! rfm {
    () => {
        "Everyone with a purchase in the period, one row per currency: recency (days from the last purchase to the \
         period's last day), frequency (purchases), monetary (purchases less refunds in the currency), and a score \
         of each. A score is 1 + the whole part of quantiles × the share of buyers who did worse (bought longer \
         ago, less often, for less in the same currency): equal values have equal scores. The segment is named by \
         fifths of recency and frequency."
    };
}

pub(super) const REPORT: Definition = Definition {
    name: "rfm",
    describe: rfm!(),
    text: "
with sales as (
    select
        {person} as person, coalesce(e.currency, t.currency) as currency,
        e.event_type, e.timestamp, e.revenue
    {sales}
),
buyers as (
    select person, count(*) as frequency, max(timestamp) as last_bought
    from sales
    where event_type = 'purchase'
    group by person
),
people as (
    select b.person, b.frequency, @day_diff(@day(@local(b.last_bought, z.offset_s)), :last_day) as recency_days
    from buyers b
    join zone_offsets z on {zone at b.last_bought}
),
ranked as (
    select
        person, recency_days, frequency,
        rank() over (order by recency_days desc) - 1 as staler,
        rank() over (order by frequency) - 1 as rarer,
        count(*) over () as people
    from people
),
scored as (
    select
        person, recency_days, frequency,
        1 + @div(:quantiles * staler, people) as recency_score,
        1 + @div(:quantiles * rarer, people) as frequency_score,
        1 + @div(5 * staler, people) as r,
        1 + @div(5 * rarer, people) as f
    from ranked
),
amounts as (
    select s.person, s.currency, sum(s.revenue) as monetary
    from sales s
    join buyers b on b.person = s.person
    group by s.person, s.currency
),
valued as (
    select
        person, currency, monetary,
        rank() over (partition by currency order by monetary) - 1 as poorer,
        count(*) over (partition by currency) as people
    from amounts
)
select
    s.person,
    v.currency,
    s.recency_days,
    s.frequency,
    v.monetary,
    s.recency_score,
    s.frequency_score,
    1 + @div(:quantiles * v.poorer, v.people) as monetary_score,
    case
        when s.r = 5 and s.f >= 4 then 'champions'
        when s.r >= 3 and s.f >= 4 then 'loyal'
        when s.r >= 4 and s.f >= 2 then 'potential_loyal'
        when s.r = 5 then 'new'
        when s.r = 4 then 'promising'
        when s.r = 3 and s.f = 3 then 'needs_attention'
        when s.r = 3 then 'about_to_sleep'
        when s.f = 5 then 'cannot_lose'
        when s.f >= 3 then 'at_risk'
        else 'hibernating'
    end as segment
from scored s
join valued v on v.person = s.person
order by s.person, coalesce(v.currency, '')",
    local: true,
};

#[doc = rfm!()]
///
/// Recency and frequency are the person's over all currencies; amounts are never added across them. A refund in a
/// currency in which the person bought nothing gives a row with a negative amount.
///
/// **Scores**: 1 + ⌊[`quantiles`](RfmOptions::quantiles) × (buyers who did worse) ÷ (buyers)⌋. Worse is: bought longer
/// ago (in local days), bought less often, spent less in the same currency. Equal values have equal scores, which
/// `ntile` does not give: a tie takes the score of its worst member, so that those who bought once, often the majority,
/// score 1 in frequency.
///
/// **Segments** by fifths of recency (r) and frequency (f), in the names that most tools use:
///
/// | | f 1 | f 2 | f 3 | f 4 | f 5 |
/// |---|---|---|---|---|---|
/// | r 5 | new | potential loyal | potential loyal | champions | champions |
/// | r 4 | promising | potential loyal | potential loyal | loyal | loyal |
/// | r 3 | about to sleep | about to sleep | needs attention | loyal | loyal |
/// | r 1–2 | hibernating | hibernating | at risk | at risk | cannot lose |
///
/// # Errors
/// `Input` for quantiles outside 2 to 100; else of
/// [`Warehouse::query`].
pub async fn rfm<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    options: RfmOptions,
) -> Result<Answer<Buyer>> {
    let values = values(scope, options)?;
    answer(&REPORT, warehouse, scope, values).await
}

pub(super) fn values(scope: &Scope, options: RfmOptions) -> Result<Values> {
    if !(2..=100).contains(&options.quantiles) {
        return Err(input("scores run to a number from 2 to 100"));
    }
    Ok(vec![
        ("last_day", Value::Date(scope.last_day())),
        ("quantiles", Value::Int(i64::from(options.quantiles))),
    ])
}
