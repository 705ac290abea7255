//! Models of the effect on each person.

use linfa::{Dataset, ParamGuard, traits::Fit};
use ndarray::{Array1, Array2, ArrayView2, Axis, concatenate};
use serde::{Deserialize, Serialize};

use super::{ForestOptions, UpliftError, forest::UpliftForest};
use crate::{
    Boosting, BoostingParams, Classifier, Frame, ModelError,
    encoder::{Encoder, EncoderParams, MissingValues},
};

/// How the effect on a person is learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Method {
    /// A model of the treated and one of the controls; the effect is the difference of their probabilities.
    TwoModels(BoostingParams),
    /// One model of whether a person is treated and says yes, or is not treated and says no (Jaskowski and Jaroszewicz
    /// 2012), people weighted so that both groups count alike; the effect is twice its probability, less 1.
    ClassTransformation(BoostingParams),
    /// Künzel, Sekhon, Bickel and Yu (2019): from the two models, the effect on each treated person is the outcome less
    /// the controls' model, on each control the treated's model less the outcome; a model of each, weighted by the share
    /// of the treated. Boosting learns these effects of −1 to 1 as the chance (1 + effect) ÷ 2.
    XLearner(BoostingParams),
    /// A forest of uplift trees.
    Forest(ForestOptions),
}

impl Method {
    /// A name for tables and JSON: `two_models`, `class_transformation`, `x_learner`, `uplift_forest`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::TwoModels(_) => "two_models",
            Self::ClassTransformation(_) => "class_transformation",
            Self::XLearner(_) => "x_learner",
            Self::Forest(_) => "uplift_forest",
        }
    }
}

/// A fitted model of the effect on each person. Serialises, with its encoder.
///
/// ```
/// use mkt_ml::{Frame, uplift::{ForestOptions, Method, UpliftModel}};
///
/// // The young are moved by the campaign, the old are not.
/// let people = 4000;
/// let young = |at: usize| at % 2 == 0;
/// let treated: Vec<bool> = (0..people).map(|at| at / 2 % 2 == 0).collect();
/// let bought: Vec<bool> = (0..people).map(|at| at / 4 % 10 < if young(at) && treated[at] { 5 } else { 2 }).collect();
/// let age = (0..people).map(|at| if young(at) { 25.0 } else { 60.0 });
/// let frame = Frame::new().with_numeric("age", age)?;
/// let model = UpliftModel::fit(&frame, &treated, &bought, &Method::Forest(ForestOptions::default().trees(20)))?;
/// let uplift = model.uplift(&frame)?;
/// assert!((uplift[0] - 0.3).abs() < 0.05 && uplift[1].abs() < 0.05);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UpliftModel {
    method: Method,
    encoder: Encoder,
    /// The share of treated people.
    share: f64,
    fitted: Fitted,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Fitted {
    Two { control: Boosting, treated: Boosting },
    Class(Boosting),
    X { of_control: Boosting, of_treated: Boosting },
    Forest(UpliftForest),
}

/// The fewest people of a group.
const FEWEST: usize = 10;

impl UpliftModel {
    /// Learns from people, who was treated, and who said yes. `frame` holds what was known before the campaign; columns
    /// that know of the treatment or of what came after it make every effect wrong.
    ///
    /// # Errors
    /// Other numbers of both than of rows; fewer than ten people in a group; a group whose outcomes are all the same;
    /// parameters outside their range; as [`EncoderParams::fit`].
    pub fn fit(
        frame: &Frame,
        treated: &[bool],
        outcomes: &[bool],
        method: &Method,
    ) -> Result<Self, UpliftError> {
        let rows = frame.rows();
        for (what, found) in [("treatments", treated.len()), ("outcomes", outcomes.len())] {
            if found != rows {
                return Err(UpliftError::Length { what, expected: rows, found });
            }
        }
        let count = treated.iter().filter(|treated| **treated).count();
        for (group, found) in [("treated", count), ("control", rows - count)] {
            if found < FEWEST {
                return Err(UpliftError::SmallGroup { group, found, least: FEWEST });
            }
        }
        let encoder = match method {
            Method::Forest(_) => EncoderParams::one_hot().standardise(false).missing(MissingValues::Keep),
            _ => EncoderParams::native(),
        };
        let encoder = encoder.fit(frame)?;
        let records = encoder.transform(frame)?;
        let share = count as f64 / rows as f64;
        let learn = Learn { encoder: &encoder, records: records.view() };
        let rows_of =
            |group: bool| -> Vec<usize> { (0..rows).filter(|row| treated[*row] == group).collect() };
        let yes = |rows: &[usize]| rows.iter().map(|row| outcomes[*row]).collect::<Vec<bool>>();
        let fitted = match method {
            Method::TwoModels(params) => {
                let (control, treated) = (rows_of(false), rows_of(true));
                Fitted::Two {
                    control: learn.classes(params, &control, yes(&control), None)?,
                    treated: learn.classes(params, &treated, yes(&treated), None)?,
                }
            }
            Method::ClassTransformation(params) => {
                let all: Vec<usize> = (0..rows).collect();
                let same = all.iter().map(|row| treated[*row] == outcomes[*row]).collect();
                let weight = |row: &usize| 0.5 / if treated[*row] { share } else { 1.0 - share };
                let weights = all.iter().map(weight).collect();
                Fitted::Class(learn.classes(params, &all, same, Some(weights))?)
            }
            Method::XLearner(params) => {
                let (control, treated) = (rows_of(false), rows_of(true));
                let of_controls = learn.classes(params, &control, yes(&control), None)?;
                let of_treated = learn.classes(params, &treated, yes(&treated), None)?;
                let number = |row: &usize| f64::from(u8::from(outcomes[*row]));
                let chances = |model: &Boosting, rows: &[usize]| {
                    model.probabilities(records.select(Axis(0), rows).view())
                };
                let without = chances(&of_controls, &treated)?;
                let with = chances(&of_treated, &control)?;
                let gained: Vec<f64> = treated.iter().zip(&without).map(|(row, p)| number(row) - p).collect();
                let missed: Vec<f64> = control.iter().zip(&with).map(|(row, p)| p - number(row)).collect();
                Fitted::X {
                    of_treated: learn.effects(params, &treated, &gained)?,
                    of_control: learn.effects(params, &control, &missed)?,
                }
            }
            Method::Forest(options) => {
                Fitted::Forest(UpliftForest::fit(records.view(), treated, outcomes, options)?)
            }
        };
        Ok(Self { method: method.clone(), encoder, share, fitted })
    }

    /// The effect on each person: by how much the campaign changes the probability of a yes, from −1 to 1.
    ///
    /// # Errors
    /// Columns that training did not have, or had of another kind.
    pub fn uplift(&self, frame: &Frame) -> Result<Vec<f64>, UpliftError> {
        let records = self.encoder.transform(frame)?;
        let of = |model: &Boosting| model.probabilities(records.view());
        let effect = |p: f64| 2.0 * p - 1.0;
        Ok(match &self.fitted {
            Fitted::Two { control, treated } => (of(treated)? - of(control)?).to_vec(),
            Fitted::Class(model) => of(model)?.mapv(effect).to_vec(),
            Fitted::X { of_control, of_treated } => (of(of_control)?.mapv(effect) * self.share
                + of(of_treated)?.mapv(effect) * (1.0 - self.share))
                .to_vec(),
            Fitted::Forest(forest) => {
                if records.ncols() != forest.features() {
                    let (expected, found) = (forest.features(), records.ncols());
                    return Err(ModelError::Width { expected, found }.into());
                }
                forest.uplift(records.view())
            }
        })
    }

    /// How it learnt.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.method
    }
}

struct Learn<'a> {
    encoder: &'a Encoder,
    records: ArrayView2<'a, f64>,
}

impl Learn<'_> {
    fn fit(
        &self,
        params: &BoostingParams,
        records: Array2<f64>,
        labels: Vec<bool>,
        weights: Option<Vec<f64>>,
    ) -> Result<Boosting, UpliftError> {
        let features = self.encoder.features();
        let categorical = features.iter().filter(|feature| feature.categorical);
        let categorical: Vec<String> = categorical.map(|feature| feature.name.clone()).collect();
        let params = params.with_categorical(categorical);
        let names = features.into_iter().map(|feature| feature.name).collect();
        let mut data = Dataset::new(records, Array1::from_vec(labels)).with_feature_names(names);
        if let Some(weights) = weights {
            data = data.with_weights(Array1::from_iter(weights.into_iter().map(|weight| weight as f32)));
        }
        Ok(params.check_ref()?.fit(&data)?)
    }

    fn classes(
        &self,
        params: &BoostingParams,
        rows: &[usize],
        labels: Vec<bool>,
        weights: Option<Vec<f64>>,
    ) -> Result<Boosting, UpliftError> {
        self.fit(params, self.records.select(Axis(0), rows), labels, weights)
    }

    /// Learns effects of −1 to 1 as chances: each row is there as a yes and as a no, weighted by them.
    fn effects(
        &self,
        params: &BoostingParams,
        rows: &[usize],
        effects: &[f64],
    ) -> Result<Boosting, UpliftError> {
        let records = self.records.select(Axis(0), rows);
        let twice = concatenate(Axis(0), &[records.view(), records.view()]).unwrap_or(records);
        let labels = (0..2 * rows.len()).map(|at| at < rows.len()).collect();
        let yes = effects.iter().map(|effect| (1.0 + effect.clamp(-1.0, 1.0)) / 2.0);
        let no = effects.iter().map(|effect| (1.0 - effect.clamp(-1.0, 1.0)) / 2.0);
        self.fit(params, twice, labels, Some(yes.chain(no).collect()))
    }
}
