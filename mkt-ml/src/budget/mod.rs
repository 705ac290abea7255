//! Budget: what a channel's spend returns, at the margin, and where the next unit of money does most.
//!
//! [`ReturnCurve::fit`] learns, for one channel, how revenue follows from daily spend: spend lingers (adstock) and
//! wears off (saturation). Its intervals come from a bootstrap over blocks of days. [`reallocate`] divides a budget by
//! such curves, and says what it takes for granted.
//!
//! # The curve
//!
//! - Adstock: a_d = s_d + λ a_(d − 1), λ from 0 to below 1: what a day's spend does today, and goes on doing.
//! - Revenue: y_d = base + trend × d + weekday + top × a_d ÷ (a_d + half) + noise; `half` is the adstock at which half of
//!   `top` is reached. The return falls with every unit of spend: curves that rise before they fall (S-shaped) are not
//!   told from such ones by the spend that shops have, and dividing a budget by them is a bet.
//! - At a constant spend of s a day, a is s ÷ (1 − λ): the curve that is shown and divided by.
//!
//! Least squares, λ and `half` on a grid that is refined, the others in closed form.
//!
//! Spend that follows demand (more before holidays, when people buy anyway) looks like spend that works. Where the answer
//! matters, test it: [`uplift`](crate::uplift).

mod curve;
mod reallocation;

pub use curve::{CurveOptions, FEWEST_DAYS, ReturnCurve, ReturnPoint};
pub use reallocation::{Allocation, Bounds, Reallocation, reallocate};

/// Why a curve could not be fitted or a budget not be divided.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum BudgetError {
    /// Fewer days than a curve needs.
    #[error("not enough data: {days} days, at least {least} are needed")]
    NotEnoughDays {
        /// Days given.
        days: usize,
        /// How many it takes.
        least: usize,
    },
    /// Spend that does not tell more from less.
    #[error("not enough data: {why}")]
    NothingVaries {
        /// What is the matter.
        why: &'static str,
    },
    /// Other numbers of days.
    #[error("{spend} days of spend but {revenue} of revenue")]
    Length {
        /// Days of spend.
        spend: usize,
        /// Days of revenue.
        revenue: usize,
    },
    /// A number that cannot be one.
    #[error("the {what} of day {day} is {value}: expected {expected}")]
    Day {
        /// Spend or revenue.
        what: &'static str,
        /// The day, from 0.
        day: usize,
        /// What it was.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// A parameter outside its range.
    #[error("the parameter {name} is {value}: expected {expected}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// What it was.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// Bounds that no division of the budget keeps.
    #[error("a budget of {budget} cannot be divided: the bounds of the channels allow {low} to {high}")]
    Bounds {
        /// The budget.
        budget: f64,
        /// The least that the bounds allow.
        low: f64,
        /// The most.
        high: f64,
    },
}
