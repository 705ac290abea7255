//! Dividing a budget by return curves.

use serde::Serialize;

use super::{BudgetError, ReturnCurve};
use crate::attribution::quantile;

/// How far a channel's spend may move.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// The least spend a day.
    pub low: f64,
    /// The most.
    pub high: f64,
}

impl Bounds {
    /// From half of the mean spend to the lower of one and a half times it and the most that was seen over a fortnight:
    /// a division of the budget that the curves have seen.
    #[must_use]
    pub fn seen(curve: &ReturnCurve) -> Self {
        let spend = curve.spend();
        Self { low: 0.5 * spend, high: (1.5 * spend).min(curve.most_seen()).max(spend) }
    }
}

/// One channel's part of the budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Allocation {
    /// The channel.
    pub channel: String,
    /// The mean spend a day so far.
    pub spend: f64,
    /// The spend a day proposed.
    pub proposed: f64,
    /// Revenue a day at the spend so far, by the curve.
    pub revenue: f64,
    /// Revenue a day at the proposed spend.
    pub proposed_revenue: f64,
    /// Revenue of one more unit of spend, at the proposed spend.
    pub marginal: f64,
    /// Whether a bound holds the channel where it is.
    pub bound: bool,
    /// Whether the data say much of this channel's return (see [`ReturnCurve::is_sure`]).
    pub sure: bool,
}

/// A division of a budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reallocation {
    /// The budget a day.
    pub budget: f64,
    /// One for each channel, by name.
    pub channels: Vec<Allocation>,
    /// Revenue a day that is gained over the spend so far, by the curves.
    pub gained: f64,
    /// Its 95 % interval over the draws of the curves.
    pub gained_interval: [f64; 2],
    /// What the division takes for granted: to be shown with it.
    pub assumptions: Vec<String>,
}

/// Divides a budget a day among channels so that the curves' revenue is highest: where no bound holds, one more unit of
/// money brings the same everywhere.
///
/// # Errors
/// No channel; bounds that are not amounts, or that no division keeps.
pub fn reallocate(
    channels: &[(&str, &ReturnCurve, Bounds)],
    budget: f64,
) -> Result<Reallocation, BudgetError> {
    if !(budget.is_finite() && budget > 0.0) || channels.is_empty() {
        let expected = "an amount above 0, and at least one channel";
        return Err(BudgetError::Parameter { name: "budget", value: budget, expected });
    }
    for (_, _, Bounds { low, high }) in channels {
        if !(*low >= 0.0 && high >= low && high.is_finite()) {
            let expected = "amounts from 0 up, the upper one not below the lower";
            return Err(BudgetError::Parameter { name: "bounds", value: *low, expected });
        }
    }
    let low: f64 = channels.iter().map(|channel| channel.2.low).sum();
    let high: f64 = channels.iter().map(|channel| channel.2.high).sum();
    let slack = 1e-9 * budget;
    if budget < low - slack || budget > high + slack {
        return Err(BudgetError::Bounds { budget, low, high });
    }
    // Marginal returns fall with spend: a channel spends until its return is `price`.
    let spend_at = |curve: &ReturnCurve, bounds: Bounds, price: f64| {
        if curve.marginal(bounds.low) <= price {
            return bounds.low;
        }
        if curve.marginal(bounds.high) >= price {
            return bounds.high;
        }
        let (mut low, mut high) = (bounds.low, bounds.high);
        for _ in 0..100 {
            let middle = f64::midpoint(low, high);
            if curve.marginal(middle) > price { low = middle } else { high = middle }
        }
        f64::midpoint(low, high)
    };
    let most = channels.iter().map(|channel| channel.1.marginal(channel.2.low)).fold(0.0, f64::max);
    let (mut cheap, mut dear) = (0.0, most);
    for _ in 0..100 {
        let price = f64::midpoint(cheap, dear);
        let spent: f64 = channels.iter().map(|(_, curve, bounds)| spend_at(curve, *bounds, price)).sum();
        if spent > budget { cheap = price } else { dear = price }
    }
    let mut proposed: Vec<f64> =
        channels.iter().map(|(_, curve, bounds)| spend_at(curve, *bounds, dear)).collect();
    // What rounding, or channels without any return, leave over goes where there is room.
    let mut left = budget - proposed.iter().sum::<f64>();
    for ((_, _, bounds), spend) in channels.iter().zip(&mut proposed) {
        let more = left.clamp(bounds.low - *spend, bounds.high - *spend);
        *spend += more;
        left -= more;
    }
    let mut allocations: Vec<Allocation> = channels
        .iter()
        .zip(&proposed)
        .map(|((name, curve, bounds), proposed)| Allocation {
            channel: (*name).to_owned(),
            spend: curve.spend(),
            proposed: *proposed,
            revenue: curve.revenue(curve.spend()),
            proposed_revenue: curve.revenue(*proposed),
            marginal: curve.marginal(*proposed),
            bound: (proposed - bounds.low).abs() < slack || (proposed - bounds.high).abs() < slack,
            sure: curve.is_sure(),
        })
        .collect();
    allocations.sort_by(|a, b| a.channel.cmp(&b.channel));
    let gained = allocations.iter().map(|one| one.proposed_revenue - one.revenue).sum();
    let mut draws: Vec<f64> = Vec::new();
    for ((_, curve, _), proposed) in channels.iter().zip(&proposed) {
        let gains = curve.drawn(*proposed).zip(curve.drawn(curve.spend())).map(|(then, now)| then - now);
        for (at, gain) in gains.enumerate() {
            match draws.get_mut(at) {
                Some(draw) => *draw += gain,
                None => draws.push(gain),
            }
        }
    }
    draws.sort_by(f64::total_cmp);
    let days: Vec<String> =
        channels.iter().map(|(name, curve, _)| format!("{name} {}", curve.days())).collect();
    let mut assumptions = vec![
        "revenue follows spend, not the other way round: spend that was raised where demand was high looks better than it is"
            .to_owned(),
        "channels do not help or hinder one another".to_owned(),
        "spend is kept up, day after day, until what lingers has settled".to_owned(),
        "each unit of spend brings less than the one before".to_owned(),
        format!("the time ahead is like the days fitted to ({})", days.join(", ")),
    ];
    let unsure: Vec<&str> =
        allocations.iter().filter(|one| !one.sure).map(|one| one.channel.as_str()).collect();
    if !unsure.is_empty() {
        assumptions.push(format!("the data say little of the return of {}", unsure.join(", ")));
    }
    let beyond: Vec<&str> = channels
        .iter()
        .zip(&proposed)
        .filter(|((_, curve, _), proposed)| **proposed > curve.most_seen() * (1.0 + 1e-9))
        .map(|((name, _, _), _)| *name)
        .collect();
    if !beyond.is_empty() {
        assumptions.push(format!(
            "the curve goes on as fitted beyond the spend that was seen: {}",
            beyond.join(", ")
        ));
    }
    Ok(Reallocation {
        budget,
        channels: allocations,
        gained,
        gained_interval: [quantile(&draws, 0.025), quantile(&draws, 0.975)],
        assumptions,
    })
}
