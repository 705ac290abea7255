//! What a channel's spend returns.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::BudgetError;
use crate::attribution::quantile;

/// The fewest days that a curve is fitted to: eight weeks.
pub const FEWEST_DAYS: usize = 56;
/// Carry-overs on the grid.
const CARRIED: [f64; 13] = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97];
/// Days of a block that the bootstrap draws.
const BLOCK: usize = 14;

/// How a curve is fitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CurveOptions {
    trend: bool,
    weekdays: bool,
    replicates: usize,
    seed: u64,
}

impl Default for CurveOptions {
    fn default() -> Self {
        Self { trend: true, weekdays: true, replicates: 200, seed: 42 }
    }
}

impl CurveOptions {
    /// Whether revenue may rise or fall by itself, in a straight line (default yes).
    #[must_use]
    pub fn trend(mut self, trend: bool) -> Self {
        self.trend = trend;
        self
    }

    /// Whether days of the week may differ (default yes).
    #[must_use]
    pub fn weekdays(mut self, weekdays: bool) -> Self {
        self.weekdays = weekdays;
        self
    }

    /// Replicates of the bootstrap (default 200, from 20 to 10,000).
    #[must_use]
    pub fn replicates(mut self, replicates: usize) -> Self {
        self.replicates = replicates;
        self
    }

    /// The seed of the bootstrap (default 42).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }
}

/// The two numbers that make a curve, and what a day keeps of the day before.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Shape {
    carried: f64,
    half: f64,
    top: f64,
}

impl Shape {
    /// Revenue a day at a constant spend a day.
    fn revenue(&self, spend: f64) -> f64 {
        let adstock = spend / (1.0 - self.carried);
        self.top * adstock / (adstock + self.half)
    }

    /// What one more unit of spend a day brings.
    fn marginal(&self, spend: f64) -> f64 {
        let adstock = spend / (1.0 - self.carried);
        self.top * self.half / (adstock + self.half).powi(2) / (1.0 - self.carried)
    }
}

/// The return of a channel at a spend.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReturnPoint {
    /// Spend a day, kept up.
    pub spend: f64,
    /// Revenue a day that it brings.
    pub revenue: f64,
    /// Its 95 % interval.
    pub revenue_interval: [f64; 2],
    /// Revenue of one more unit of spend.
    pub marginal: f64,
    /// Its 95 % interval.
    pub marginal_interval: [f64; 2],
    /// Whether the channel ever spent as much on a day on average over a fortnight: beyond, the curve is a guess.
    pub seen: bool,
}

/// How a channel's revenue follows from its spend.
///
/// ```
/// use mkt_ml::budget::{CurveOptions, ReturnCurve};
///
/// // A channel whose spend goes up and down, and brings 1000 × a ÷ (a + 200) over 50 that come anyway.
/// let spend: Vec<f64> = (0..120).map(|day| f64::from(day * 37 % 11) * 40.0).collect();
/// let revenue: Vec<f64> = spend.iter().map(|spend| 50.0 + 1000.0 * spend / (spend + 200.0)).collect();
/// let curve = ReturnCurve::fit(&spend, &revenue, &CurveOptions::default())?;
/// let point = curve.at(200.0);
/// assert!((point.revenue - 500.0).abs() < 1.0 && (point.marginal - 1.25).abs() < 0.01);
/// # Ok::<(), mkt_ml::budget::BudgetError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReturnCurve {
    shape: Shape,
    drawn: Vec<Shape>,
    base: f64,
    days: usize,
    spend: f64,
    most_seen: f64,
    r_squared: f64,
}

impl ReturnCurve {
    /// Fits the curve to a channel's spend and revenue of days in a row (attributed revenue, say). A day without spend is
    /// 0; days that are not known must be cut off, not filled with 0.
    ///
    /// # Errors
    /// Fewer than [`FEWEST_DAYS`] days; spend that does not vary (below a tenth of its mean, or fewer than ten days with
    /// any); amounts that are not finite, or negative spend.
    pub fn fit(spend: &[f64], revenue: &[f64], options: &CurveOptions) -> Result<Self, BudgetError> {
        check(spend, revenue, options)?;
        let fit = Fit::new(spend, options);
        let (shape, base, fitted) = fit.best(revenue);
        let mean = revenue.iter().sum::<f64>() / revenue.len() as f64;
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
        let residuals: Vec<f64> = revenue.iter().zip(&fitted).map(|(y, f)| y - f).collect();
        let (left, all) =
            (squares(&mut residuals.iter().copied()), squares(&mut revenue.iter().map(|y| y - mean)));
        let mut random = Xoshiro256PlusPlus::seed_from_u64(options.seed);
        let mut drawn = Vec::with_capacity(options.replicates);
        let mut again = vec![0.0; revenue.len()];
        for _ in 0..options.replicates {
            // Blocks of residuals, so that what lasts some days lasts as long in the draws.
            for block in 0..revenue.len().div_ceil(BLOCK) {
                let from = random.random_range(0..=residuals.len() - BLOCK);
                let until = revenue.len().min((block + 1) * BLOCK);
                for day in block * BLOCK..until {
                    again[day] = fitted[day] + residuals[from + day - block * BLOCK];
                }
            }
            drawn.push(fit.best(&again).0);
        }
        let fortnights = spend.windows(BLOCK).map(|days| days.iter().sum::<f64>() / BLOCK as f64);
        Ok(Self {
            shape,
            drawn,
            base,
            days: spend.len(),
            spend: spend.iter().sum::<f64>() / spend.len() as f64,
            most_seen: fortnights.fold(0.0, f64::max),
            r_squared: if all > 0.0 { 1.0 - left / all } else { 0.0 },
        })
    }

    /// The return at a constant spend a day.
    #[must_use]
    pub fn at(&self, spend: f64) -> ReturnPoint {
        let interval = |of: &dyn Fn(&Shape) -> f64| {
            let mut values: Vec<f64> = self.drawn.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            [quantile(&values, 0.025), quantile(&values, 0.975)]
        };
        ReturnPoint {
            spend,
            revenue: self.shape.revenue(spend),
            revenue_interval: interval(&|shape| shape.revenue(spend)),
            marginal: self.shape.marginal(spend),
            marginal_interval: interval(&|shape| shape.marginal(spend)),
            seen: spend <= self.most_seen * (1.0 + 1e-9),
        }
    }

    /// The curve at `points` spends from 0 to twice the most that was seen over a fortnight.
    #[must_use]
    pub fn points(&self, points: usize) -> Vec<ReturnPoint> {
        let last = points.saturating_sub(1).max(1) as f64;
        (0..points).map(|at| self.at(2.0 * self.most_seen * at as f64 / last)).collect()
    }

    /// Days fitted to.
    #[must_use]
    pub fn days(&self) -> usize {
        self.days
    }

    /// The mean spend a day.
    #[must_use]
    pub fn spend(&self) -> f64 {
        self.spend
    }

    /// The highest spend a day over a fortnight: up to here the curve was seen.
    #[must_use]
    pub fn most_seen(&self) -> f64 {
        self.most_seen
    }

    /// Revenue a day without spend, on the first day.
    #[must_use]
    pub fn base(&self) -> f64 {
        self.base
    }

    /// What a day keeps of the day before: λ.
    #[must_use]
    pub fn carried(&self) -> f64 {
        self.shape.carried
    }

    /// The share of the variance of revenue that the fit explains, trend and weekdays included.
    #[must_use]
    pub fn r_squared(&self) -> f64 {
        self.r_squared
    }

    /// Whether the interval of the marginal return at the mean spend is narrower than the return itself: where not, the
    /// data say little of it.
    #[must_use]
    pub fn is_sure(&self) -> bool {
        let here = self.at(self.spend);
        here.marginal > 0.0 && here.marginal_interval[1] - here.marginal_interval[0] < 2.0 * here.marginal
    }

    pub(super) fn revenue(&self, spend: f64) -> f64 {
        self.shape.revenue(spend)
    }

    pub(super) fn marginal(&self, spend: f64) -> f64 {
        self.shape.marginal(spend)
    }

    /// Revenue of each draw.
    pub(super) fn drawn(&self, spend: f64) -> impl Iterator<Item = f64> {
        self.drawn.iter().map(move |shape| shape.revenue(spend))
    }
}

fn check(spend: &[f64], revenue: &[f64], options: &CurveOptions) -> Result<(), BudgetError> {
    if spend.len() != revenue.len() {
        return Err(BudgetError::Length { spend: spend.len(), revenue: revenue.len() });
    }
    let (days, least) = (spend.len(), FEWEST_DAYS);
    if days < least {
        return Err(BudgetError::NotEnoughDays { days, least });
    }
    if !(20..=10_000).contains(&options.replicates) {
        let (name, value, expected) = ("replicates", options.replicates as f64, "from 20 to 10000");
        return Err(BudgetError::Parameter { name, value, expected });
    }
    if let Some((day, value)) =
        spend.iter().enumerate().find(|(_, value)| !(value.is_finite() && **value >= 0.0))
    {
        let expected = "an amount from 0 up";
        return Err(BudgetError::Day { what: "spend", day, value: *value, expected });
    }
    if let Some((day, value)) = revenue.iter().enumerate().find(|(_, value)| !value.is_finite()) {
        return Err(BudgetError::Day { what: "revenue", day, value: *value, expected: "a finite amount" });
    }
    if spend.iter().filter(|spend| **spend > 0.0).count() < 10 {
        return Err(BudgetError::NothingVaries { why: "fewer than ten days with spend" });
    }
    let mean = spend.iter().sum::<f64>() / days as f64;
    let spread = (spend.iter().map(|spend| (spend - mean).powi(2)).sum::<f64>() / days as f64).sqrt();
    if spread < 0.1 * mean {
        return Err(BudgetError::NothingVaries { why: "spend varies by less than a tenth of its mean" });
    }
    Ok(())
}

/// Everything of a fit that does not depend on revenue.
struct Fit {
    /// Orthonormal columns of base, trend and weekdays.
    others: Vec<Vec<f64>>,
    /// The adstock of each carry-over.
    adstocks: Vec<(f64, Vec<f64>)>,
}

/// A saturated adstock without what base, trend and weekdays explain of it.
struct Column {
    half: f64,
    own: Vec<f64>,
    rest: Vec<f64>,
    norm: f64,
}

impl Fit {
    fn new(spend: &[f64], options: &CurveOptions) -> Self {
        let days = spend.len();
        let mut columns = vec![vec![1.0; days]];
        if options.trend {
            columns.push((0..days).map(|day| day as f64 / days as f64).collect());
        }
        if options.weekdays {
            columns.extend((0..6).map(|weekday| {
                (0..days).map(|day| f64::from(u8::from(day % 7 == weekday))).collect::<Vec<f64>>()
            }));
        }
        let mut others: Vec<Vec<f64>> = Vec::new();
        for mut column in columns {
            // Twice is enough (Kahan).
            for _ in 0..2 {
                without(&mut column, &others);
            }
            let norm = dot(&column, &column).sqrt();
            if norm > 1e-9 * (days as f64).sqrt() {
                column.iter_mut().for_each(|value| *value /= norm);
                others.push(column);
            }
        }
        let adstocks = CARRIED.map(|carried| (carried, adstock(spend, carried)));
        Self { others, adstocks: adstocks.into() }
    }

    fn column(&self, adstock: &[f64], half: f64) -> Column {
        let own: Vec<f64> = adstock.iter().map(|a| a / (a + half)).collect();
        let mut rest = own.clone();
        without(&mut rest, &self.others);
        let norm = dot(&rest, &rest);
        Column { half, own, rest, norm }
    }

    /// How much of the squares a column explains, and its top; a top below 0 explains nothing.
    fn explains(column: &Column, revenue: &[f64]) -> (f64, f64) {
        if column.norm < 1e-12 {
            return (0.0, 0.0);
        }
        let top = (dot(&column.rest, revenue) / column.norm).max(0.0);
        (top * top * column.norm, top)
    }

    /// The best shape, the base on the first day, and the fitted revenue.
    fn best(&self, revenue: &[f64]) -> (Shape, f64, Vec<f64>) {
        let mut best: Option<(f64, f64, f64, Column)> = None;
        for (carried, adstock) in &self.adstocks {
            let mean = adstock.iter().sum::<f64>() / adstock.len() as f64;
            let mut here: Option<(f64, f64, Column)> = None;
            let try_half = |half: f64, here: &mut Option<(f64, f64, Column)>| {
                let column = self.column(adstock, half);
                let (explained, top) = Self::explains(&column, revenue);
                if here.as_ref().is_none_or(|best| explained > best.0) {
                    *here = Some((explained, top, column));
                }
            };
            // From a twentieth of the mean adstock to twenty times it, then finer around the best.
            for step in -4..=4 {
                try_half(mean * 20.0_f64.powf(f64::from(step) / 4.0), &mut here);
            }
            let mut width = 20.0_f64.powf(0.125);
            for _ in 0..6 {
                let around = here.as_ref().map_or(mean, |best| best.2.half);
                for half in [around / width, around * width] {
                    if (mean / 25.0..=mean * 25.0).contains(&half) {
                        try_half(half, &mut here);
                    }
                }
                width = width.sqrt();
            }
            if let Some((explained, top, column)) = here
                && best.as_ref().is_none_or(|best| explained > best.0)
            {
                best = Some((explained, *carried, top, column));
            }
        }
        let Some((_, carried, top, column)) = best else {
            return (Shape { carried: 0.0, half: 1.0, top: 0.0 }, 0.0, vec![0.0; revenue.len()]);
        };
        let mut fitted: Vec<f64> = column.own.iter().map(|own| top * own).collect();
        let rest: Vec<f64> = revenue.iter().zip(&fitted).map(|(y, f)| y - f).collect();
        let mut base = 0.0;
        for other in &self.others {
            let share = dot(other, &rest);
            fitted.iter_mut().zip(other).for_each(|(fitted, other)| *fitted += share * other);
            base += share * other.first().copied().unwrap_or(0.0);
        }
        (Shape { carried, half: column.half, top }, base, fitted)
    }
}

fn adstock(spend: &[f64], carried: f64) -> Vec<f64> {
    let mut kept = 0.0;
    spend
        .iter()
        .map(|spend| {
            kept = spend + carried * kept;
            kept
        })
        .collect()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Takes from a column what orthonormal ones explain.
fn without(column: &mut [f64], others: &[Vec<f64>]) {
    for other in others {
        let share = dot(column, other);
        column.iter_mut().zip(other).for_each(|(value, other)| *value -= share * other);
    }
}
