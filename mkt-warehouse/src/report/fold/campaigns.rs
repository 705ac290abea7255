//! What campaigns cost and brought in, from each person's sessions in order.

use super::journeys::{Journeys, amount};
use crate::model::Measure;
use crate::report::campaigns::{CampaignPerformance, REPORT};
use crate::report::{Answer, Scope};
use crate::table::Value;
use crate::warehouse::Warehouse;
use mkt_connect::{Channel, Currency, Result};
use rust_decimal::Decimal;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

const COSTS: i64 = 4;

/// What [`Journeys`] reads too: 4, costs by campaign and currency; 5, the earliest declaration of each campaign.
const APPENDED: &str = "
union all
select
    4, null, null, null, c.campaign_id, null, null, null, null, sum(c.cost), c.currency, sum(c.impressions),
    sum(c.clicks), sum(c.post_view_conversions)
{costs by campaign}
union all
select 5, null, null, null, campaign_id, null, channel, name, null, null, null, null, null, null
{declared once}";

/// What a campaign cost in one currency.
struct Spent {
    hundredths: i128,
    /// Impressions, clicks, conversions after a view.
    told: [Option<i64>; 3],
}

#[derive(Default)]
struct Campaign {
    sessions: i64,
    converted_sessions: i64,
    conversions: i64,
    /// Hundredths.
    revenue: BTreeMap<Option<Currency>, i128>,
    spent: BTreeMap<Currency, Spent>,
}

/// As [`crate::report::campaign_performance()`], with its parameters.
pub(crate) async fn campaigns<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
    look_back: Duration,
    values: &[(&'static str, Value)],
) -> Result<Answer<CampaignPerformance>> {
    let mut found: HashMap<u32, Campaign> = HashMap::new();
    let mut declared: HashMap<u32, (String, Channel)> = HashMap::new();
    let journeys =
        Journeys::read(&REPORT, warehouse, scope, look_back, values, APPENDED, |row, campaigns| {
            let campaign = campaigns.number(row.text(4)?);
            if row.int(0)? == COSTS {
                let spent = Spent {
                    hundredths: i128::from(row.int(9)?),
                    told: [row.int(11).ok(), row.int(12).ok(), row.int(13).ok()],
                };
                found.entry(campaign).or_default().spent.insert(row.parsed(10, "a currency")?, spent);
            } else {
                declared.insert(campaign, (row.text(7)?.to_owned(), row.parsed(6, "a channel")?));
            }
            Ok(())
        })
        .await?;
    let from = scope.from().timestamp_micros();
    for (place, touch) in journeys.touches.iter().enumerate().filter(|(_, touch)| touch.happened >= from) {
        let campaign = found.entry(touch.campaign).or_default();
        campaign.sessions += 1;
        campaign.converted_sessions += i64::from(touch.converted);
        if touch.converted {
            let credited = journeys.credited(Some(place), touch.happened);
            found.entry(credited).or_default().conversions += 1;
        }
    }
    for sale in &journeys.sales {
        // A refund takes from where the conversion before it went.
        let conversion = journeys.conversion_before(sale.after).filter(|_| sale.refund);
        let moment = conversion.and_then(|place| Some((Some(place), journeys.touches.get(place)?.happened)));
        let (after, happened) = moment.unwrap_or((sale.after, sale.happened));
        let credited = journeys.credited(after, happened);
        *found.entry(credited).or_default().revenue.entry(sale.currency).or_default() += sale.hundredths;
    }
    let mut rows = Vec::new();
    for (number, campaign) in &found {
        let id = journeys.campaigns.name(*number);
        let declaration = declared.get(number);
        let mut currencies: BTreeSet<Option<Currency>> = campaign.revenue.keys().copied().collect();
        currencies.extend(campaign.spent.keys().copied().map(Some));
        if currencies.is_empty() {
            currencies.insert(None);
        }
        let [impressions, clicks, post_view_conversions] = campaign.told();
        rows.extend(currencies.into_iter().map(|currency| {
            let revenue = campaign.revenue.get(&currency).copied().unwrap_or(0);
            let cost = currency.and_then(|currency| Some(campaign.spent.get(&currency)?.hundredths));
            CampaignPerformance {
                campaign_id: (!id.is_empty()).then(|| id.to_owned()),
                name: declaration.map(|(name, _)| name.clone()),
                channel: declaration.map(|(_, channel)| *channel),
                currency,
                sessions: campaign.sessions,
                converted_sessions: campaign.converted_sessions,
                conversions: campaign.conversions,
                revenue: amount(revenue),
                cost: cost.map(amount),
                impressions,
                clicks,
                post_view_conversions,
                roas: cost.filter(|cost| *cost != 0).map(|cost| revenue as f64 / cost as f64),
                cpa: cost.and_then(|cost| mean(cost, campaign.conversions)),
            }
        }));
    }
    rows.sort_by(|a, b| {
        let key = |row: &CampaignPerformance| (Reverse(row.sessions), row.campaign_id.clone(), row.currency);
        key(a).cmp(&key(b))
    });
    Ok(Answer::from_rows(rows))
}

impl Campaign {
    /// The sums over currencies of what any of them tells.
    fn told(&self) -> [Option<i64>; 3] {
        let mut sums = [None; 3];
        for (sum, place) in sums.iter_mut().zip(0..) {
            let told =
                self.spent.values().filter_map(|spent| spent.told.get::<usize>(place).copied().flatten());
            *sum = told.reduce(i64::saturating_add);
        }
        sums
    }
}

/// Hundredths ÷ n to six digits, halves away from zero.
pub(super) fn mean(hundredths: i128, n: i64) -> Option<Measure> {
    let n = i128::from(n);
    if n == 0 {
        return None;
    }
    let millionths = hundredths.signum() * ((hundredths.abs() * 20_000 + n) / (2 * n));
    Decimal::try_from_i128_with_scale(millionths, 6).ok().map(Measure)
}
