//! Uplift: what a campaign changed, measured against a control group, and in whom.
//!
//! A [`Trial`] holds who was treated and what came of it. [`Trial::difference`] is the effect with its interval.
//! [`UpliftModel`] foretells it for each person; [`UpliftCurve`], [`Trial::qini`] and [`Trial::deciles`] judge such
//! scores on people whom the model did not see. [`people_needed`] says how many a test takes before it begins.
//!
//! All of it takes for granted that chance decided who was treated: effects of campaigns that chose their people are
//! not found here. [`Trial::split_check`] tests whether the groups are as large as was planned.
//!
//! # Definitions
//!
//! Sort people by score, the highest first; people of equal scores enter together, so that no order of rows changes a
//! figure. After k people let n_t and n_c be the treated and the controls among them, y_t and y_c their outcomes.
//!
//! | name | what |
//! |---|---|
//! | Qini curve | y_t − y_c n_t ÷ n_c (Radcliffe 2007) |
//! | uplift curve | (y_t ÷ n_t − y_c ÷ n_c) (n_t + n_c) (Gutierrez and Gérardy 2016) |
//! | [`Definition::ScikitUplift`] | the area between curve and straight line ÷ the same of the best possible order; a group without people counts 0. scikit-uplift's `qini_auc_score` and `uplift_auc_score` |
//! | [`Definition::CausalMl`] | the mean of the curve's points ÷ the size of its last one, less ½ its sign for Qini; where a group has no people yet, points are interpolated. causalml's `qini_score` and `auuc_score` |
//!
//! ```
//! use mkt_ml::uplift::{CurveKind, Definition, Trial};
//!
//! let treated = [true, true, false, false, true, false, true, false];
//! let bought = [true, false, true, false, false, true, false, false];
//! let scores = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0];
//! let trial = Trial::new(&treated, &bought)?;
//! let qini = trial.area(&scores, CurveKind::Qini, Definition::ScikitUplift)?;
//! assert!((qini - 0.1403509).abs() < 1e-7);
//! let auuc = trial.area(&scores, CurveKind::Uplift, Definition::CausalMl)?;
//! assert!((auuc + 0.5601852).abs() < 1e-7);
//! # Ok::<(), mkt_ml::uplift::UpliftError>(())
//! ```

mod curve;
mod forest;
mod model;
mod trial;

pub use curve::{Band, CurveKind, CurvePoint, Definition, UpliftCurve, UpliftDecile};
pub use forest::{Divergence, ForestOptions};
pub use model::{Method, UpliftModel};
pub use trial::{Effect, SplitCheck, Trial, detectable_uplift, people_needed};

use crate::{ModelError, encoder::EncodeError};

/// Why a trial could not be read or judged.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpliftError {
    /// Other numbers of rows.
    #[error("{expected} people but {found} {what}")]
    Length {
        /// What differs.
        what: &'static str,
        /// People.
        expected: usize,
        /// How many of those.
        found: usize,
    },
    /// A number that is not finite.
    #[error("the {what} of row {row} is {value}")]
    NotFinite {
        /// Which number.
        what: &'static str,
        /// The row, from 0.
        row: usize,
        /// What it was.
        value: f64,
    },
    /// A group with too few people.
    #[error("{found} people in the {group} group: at least {least} are needed")]
    SmallGroup {
        /// `treated` or `control`.
        group: &'static str,
        /// People.
        found: usize,
        /// How many it takes.
        least: usize,
    },
    /// An order cannot be judged where no order could be better than another.
    #[error("the area has no scale: {why}")]
    NoScale {
        /// Why.
        why: &'static str,
    },
    /// The definition needs outcomes of yes and no.
    #[error("{what} is defined for outcomes of 0 and 1 only")]
    NotBinary {
        /// What.
        what: &'static str,
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
    /// A model could not be fitted or asked.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The columns do not fit the encoder.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}
