//! `costs.csv`: what the campaigns cost each day. Clicks are never fewer than the sessions that carry the
//! campaign's tags; a few clicks bring no session, as everywhere.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::{
    channel::{Campaign, Channel, campaigns},
    draw::{Draw, Topic},
    money::{CURRENCY, Cents},
    period::Period,
    staging::{Failure, Staging},
};

/// The columns.
pub(crate) const COLUMNS: [&str; 9] =
    ["day", "channel", "source", "medium", "campaign", "impressions", "clicks", "cost", "currency"];

/// Sessions by local day and campaign.
pub(crate) type Tagged = BTreeMap<(NaiveDate, Campaign), u64>;

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Costs {
    pub(crate) rows: u64,
    pub(crate) clicks: u64,
    pub(crate) cost: Cents,
    pub(crate) bytes: u64,
}

/// One row per day and campaign that brought a click.
pub(crate) fn write(
    seed: u64,
    period: &Period,
    tagged: &Tagged,
    staging: &mut Staging,
) -> Result<Costs, Failure> {
    let mut sheet = staging.sheet("costs.csv", &COLUMNS)?;
    let mut sum = Costs::default();
    for (index, day) in period.days().enumerate() {
        let mut draw = Draw::stream(seed, Topic::Cost, index as u64, 0);
        for campaign in
            [Channel::Paid, Channel::Social, Channel::Email].iter().flat_map(|c| campaigns(*c, day))
        {
            let sessions = tagged.get(&(day, campaign.clone())).copied().unwrap_or_default();
            let clicks = sessions + draw.poisson((sessions as f64 * 0.12).min(500.0) + 0.25) as u64;
            let impressions = clicks * draw.between(18, 70) as u64 + draw.between(0, 40) as u64;
            // Cents per click; the letter costs a fifth of a cent per address it goes to.
            let cost = match (campaign.channel, campaign.name.as_str()) {
                (Channel::Email, _) => impressions / 5,
                (_, "marque") => clicks * draw.between(18, 30) as u64,
                (Channel::Social, _) => clicks * draw.between(35, 70) as u64,
                _ => clicks * draw.between(60, 140) as u64,
            };
            if clicks == 0 {
                continue;
            }
            sum.rows += 1;
            sum.clicks += clicks;
            sum.cost += Cents(cost);
            sheet.row([
                day.to_string().as_str(),
                campaign.channel.name(),
                campaign.source,
                campaign.medium,
                &campaign.name,
                &impressions.to_string(),
                &clicks.to_string(),
                &Cents(cost).to_string(),
                CURRENCY,
            ])?;
        }
    }
    sum.bytes = sheet.finish()?;
    Ok(sum)
}
