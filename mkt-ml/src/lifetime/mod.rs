//! Customer lifetime value: how often customers come back, whether they are still customers, and what they will spend.
//!
//! [`Purchases`] reads a stream of purchases into one [`Buyer`] each: repeats, the time from the first purchase to the
//! last, the time observed, and the mean value of a repeat. [`Purchasing`] fits a model of when they buy and leave,
//! [`GammaGamma`] one of what they spend. All times are [`Span`]s, which know their unit: parameters that were fitted
//! in weeks cannot be asked in days by accident.
//!
//! | model | when customers buy | when they leave |
//! |---|---|---|
//! | [`Family::BgNbd`] | Poisson, rates gamma(r, α) | after each repeat with probability p, beta(a, b) (Fader, Hardie and Lee 2005) |
//! | [`Family::MbgNbd`] | the same | the same, and after the first purchase too (Batislam, Denizel and Filiztekin 2007) |
//! | [`Family::ParetoNbd`] | the same | after an exponential time, rates gamma(s, β) (Schmittlein, Morrison and Colombo 1987) |
//!
//! BG/NBD says of everybody who bought once that they are still customers, with certainty; where most bought once, take
//! MBG/NBD or Pareto/NBD. All three have four parameters, so that [`Purchasing::best`] compares their likelihoods.
//!
//! Fits are by maximum likelihood with analytic gradients and Hessians over the logarithms of the parameters; standard
//! errors come from the Hessian at the maximum. Where the likelihood rises without end (nobody ever came back, nobody
//! seems to leave) the error says which parameter runs away and what that means.
//!
//! ```
//! use mkt_ml::lifetime::{Customer, Family, Purchasing, Span, Unit};
//!
//! // The parameters of CDNOW, in weeks (Fader, Hardie and Lee 2005).
//! let model = Purchasing::with_parameters(Family::BgNbd, Unit::Week, [0.242593, 4.413532, 0.792886, 2.425752])?;
//! let customer = Customer::new(2, Span::weeks(30.43), Span::weeks(38.86))?;
//! assert!((model.alive(&customer) - 0.726609).abs() < 1e-6);
//! assert!((model.expected(&customer, Span::weeks(39.0)) - 1.225910).abs() < 1e-6);
//! # Ok::<(), mkt_ml::lifetime::LifetimeError>(())
//! ```

mod family;
mod hold_out;
mod newton;
mod pareto;
mod purchases;
mod purchasing;
mod span;
mod special;
mod spending;

pub use family::Family;
pub use hold_out::{HoldOut, HoldOutGroup, hold_out};
pub use purchases::{Buyer, Purchases};
pub use purchasing::{Customer, Parameter, Purchasing};
pub use span::{Span, Unit};
pub use spending::{GammaGamma, Horizon};

/// Why customers could not be read or a model not be fitted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum LifetimeError {
    /// A customer that cannot be one.
    #[error("{what} is {value}: expected {expected}")]
    Customer {
        /// Which number.
        what: &'static str,
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
        /// What it was set to.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// A purchase before one of the same customer that was read already.
    #[error(
        "purchase {row} is of day {day}, before one of day {last} of the same customer: sort by time, or read in any order"
    )]
    OutOfOrder {
        /// The purchase, from 1.
        row: u64,
        /// Its day.
        day: i32,
        /// The day of the customer's last purchase before it.
        last: i32,
    },
    /// A purchase after the end of the observation.
    #[error("purchase {row} is of day {day}, after the last day {end}")]
    AfterEnd {
        /// The purchase, from 1.
        row: u64,
        /// Its day.
        day: i32,
        /// The last day.
        end: i32,
    },
    /// Too few to learn from.
    #[error("{found} {what}: at least {least} are needed")]
    TooFew {
        /// Of what.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// How many it takes.
        least: usize,
    },
    /// The likelihood has no maximum inside: a parameter runs away.
    #[error("the likelihood rises while {parameter} goes to {towards}: {meaning}")]
    RunsAway {
        /// The parameter.
        parameter: &'static str,
        /// `0` or `infinity`.
        towards: &'static str,
        /// What that means for the customers.
        meaning: &'static str,
    },
    /// The maximum was not reached.
    #[error("not converged after {steps} steps (gradient {gradient:.1e})")]
    NotConverged {
        /// Steps done.
        steps: usize,
        /// The largest derivative left, per customer.
        gradient: f64,
    },
}
