//! Attribution: how much of the conversions and of their value each channel is credited with.
//!
//! [`Paths`] holds distinct paths of touches with their outcomes. [`Tally`] counts what models need of them, and adds
//! up: a day is counted once and merged into what was counted before, so that a day added costs a day, however long the
//! history is. [`Tally::credits`] answers.
//!
//! | model | a conversion's credit |
//! |---|---|
//! | [`Model::First`], [`Model::Last`] | all to the first or the last touch |
//! | [`Model::LastNonDirect`] | all to the last touch that is not direct; to direct where the path has nothing else |
//! | [`Model::Linear`] | the same to each touch |
//! | [`Model::TimeDecay`] | 2^(−age ÷ half-life) to each touch, age being the time from the touch to the path's end |
//! | [`Model::StepDecay`] | the same with touches in place of time, for paths without times |
//! | [`Model::Position`] | shares to the first and the last touch, the rest to those between (U: 40, 20, 40 %) |
//! | [`Model::WShaped`] | shares to the first, the middle and the last touch, the rest to the others |
//! | [`Model::Markov`] | by removal effect: the share of conversions lost where every visit to the channel is a loss |
//! | [`Model::Shapley`] | by the mean contribution to the channels that are there already, over all orders |
//!
//! Sums are kept as whole numbers (millionths of a conversion and of a unit of money, times weights of 2⁻⁴⁸). The
//! credits of a model therefore add up to the conversions exactly, before the last conversion to `f64`, and no
//! result depends on the order of rows or on how days were merged. Draws (bootstrap, sampled Shapley) come from a seed
//! and run over channels and paths in an order that their counts decide; names only decide between equal counts.
//!
//! ```
//! use mkt_ml::attribution::{Model, Outcome, Paths, Tally};
//!
//! let mut paths = Paths::new();
//! paths.add(["search", "email"], Outcome::converted(1.0).value(10.0))?;
//! paths.add(["search"], Outcome::converted(1.0).value(20.0).nulls(1.0))?;
//! paths.add(["email"], Outcome::lost(2.0))?;
//!
//! let mut tally = Tally::of([Model::Last, Model::Markov { order: 1 }])?;
//! tally.add(&paths)?;
//! let credits = tally.credits()?;
//! assert_eq!(credits[0].channel("search").unwrap().conversions, 1.0);
//! // P(conversion) is 2/5; without search 2/15, without email 1/5: effects 2/3 and 1/2, shares 4/7 and 3/7 of 2.
//! let search = credits[1].channel("search").unwrap();
//! assert!((search.removal_effect.unwrap() - 2.0 / 3.0).abs() < 1e-12);
//! assert!((search.conversions - 8.0 / 7.0).abs() < 1e-12);
//! # Ok::<(), mkt_ml::attribution::AttributionError>(())
//! ```

mod bootstrap;
mod chain;
mod combination;
mod credit;
mod file;
mod markov;
mod model;
mod paths;
mod shapley;
mod tally;

pub(crate) use bootstrap::quantile;
pub use bootstrap::{Bootstrap, CreditInterval};
pub(crate) use combination::wilson;
pub use combination::{Combination, combinations};
pub use credit::{Credit, Credits};
pub use file::{PathFile, PathFileError};
pub use model::{Game, Model, Repeats};
pub use paths::{Outcome, Paths};
pub use shapley::EXACT_CHANNELS;
pub use tally::{Tally, TallyBuilder};

/// Why paths could not be taken or credits not be computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AttributionError {
    /// A number of an outcome that cannot be one.
    #[error("{what} is {value}: expected {expected}")]
    Outcome {
        /// Which number.
        what: &'static str,
        /// What it was.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
    /// A value on a path without a conversion.
    #[error("a value of {value} without a conversion")]
    ValueWithoutConversion {
        /// The value.
        value: f64,
    },
    /// A touch without a channel's name, as in `a > > b`.
    #[error("touch {position} of the path has no channel")]
    EmptyChannel {
        /// The touch, from 1.
        position: usize,
    },
    /// A bound was reached.
    #[error("more than {limit} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// Paths with and without times together.
    #[error("paths with and without times cannot be mixed")]
    MixedTimes,
    /// Time decay over paths without times.
    #[error("{model} needs the times of touches, which these paths do not have")]
    NoTimes {
        /// The model.
        model: String,
    },
    /// A parameter outside its range.
    #[error("the parameter {name} is {value}: expected {expected}")]
    Parameter {
        /// The parameter.
        name: &'static str,
        /// What it was set to.
        value: String,
        /// What is allowed.
        expected: &'static str,
    },
    /// Two tallies that count different things.
    #[error("tallies of different models or options cannot be merged")]
    Incompatible,
    /// The chain needs too many sweeps: its paths are very long.
    #[error(
        "the chain of order {order} has not converged after {sweeps} sweeps (change {change:.1e}): its paths are too long; a lower order helps"
    )]
    NotConverged {
        /// The order.
        order: usize,
        /// Sweeps over all states.
        sweeps: usize,
        /// The largest relative change of the last one.
        change: f64,
    },
    /// A saved state that contradicts itself.
    #[error("the saved state is damaged: {what}")]
    Damaged {
        /// What is wrong.
        what: &'static str,
    },
    /// No thread could be started.
    #[error("no threads could be started")]
    Threads,
}
