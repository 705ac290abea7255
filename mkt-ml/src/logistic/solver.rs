//! Newton's method with a backtracking line search for the penalised logistic loss.
//!
//! Unknown 0 is the intercept, unknown j + 1 the weight of feature j. Rows are visited in order in blocks,
//! on one thread: the same data give the same bits.

use ndarray::{Array2, ArrayView2, Axis, s};

use super::{cholesky::Cholesky, linear, sigmoid};
use crate::{classifier::ModelError, error::shown};

/// Rows per matrix product when the Hessian is summed: the weighted copy stays in cache.
const BLOCK: usize = 512;
/// A pivot below this fraction of its diagonal means that other columns determine the column.
const COLLINEAR: f64 = 1e-11;

/// What is minimised.
pub(super) struct Problem<'a> {
    pub(super) records: ArrayView2<'a, f64>,
    pub(super) labels: &'a [bool],
    pub(super) penalty: f64,
    pub(super) names: &'a [String],
}

/// Where the minimum is.
pub(super) struct Solution {
    /// Intercept first.
    pub(super) weights: Vec<f64>,
    /// Standard errors, intercept first.
    pub(super) errors: Vec<f64>,
    pub(super) iterations: usize,
    /// The largest relative gradient.
    pub(super) gradient: f64,
}

/// Loss, gradient and curvature at a point.
struct Point {
    loss: f64,
    gradient: Vec<f64>,
    /// Per unknown, the sum of the absolute values of the gradient's terms.
    scale: Vec<f64>,
    hessian: Array2<f64>,
}

impl Problem<'_> {
    /// Newton steps until the relative gradient is at most `tolerance`, `most` of them.
    pub(super) fn minimise(&self, most: usize, tolerance: f64) -> Result<Solution, ModelError> {
        let unknowns = self.records.ncols() + 1;
        let mut weights = vec![0.0; unknowns];
        // The intercept that fits the share of positives: the optimum when nothing else matters.
        let positive = self.labels.iter().filter(|label| **label).count() as f64;
        weights[0] = (positive / (self.labels.len() as f64 - positive)).ln();

        let mut point = self.point(&weights);
        let mut iterations = 0;
        loop {
            let (worst, gradient) = point.worst();
            let factor = Cholesky::of(&point.hessian, COLLINEAR);
            if gradient <= tolerance {
                // Zero curvature at a zero gradient: a column of zeros, say, without a penalty.
                let factor = factor.map_err(|at| self.collinear(at))?;
                let errors = factor.inverse_diagonal().into_iter().map(f64::sqrt).collect();
                return Ok(Solution { weights, errors, iterations, gradient });
            }
            let stuck = move || ModelError::NotConverged { iterations, gradient, feature: self.name(worst) };
            if iterations == most {
                return Err(stuck());
            }
            let factor = match factor {
                Ok(factor) => factor,
                // The first Hessian is p(1 − p) XᵀX: what is singular there is singular everywhere.
                Err(at) if iterations == 0 => return Err(self.collinear(at)),
                Err(_) => return Err(stuck()),
            };
            let step: Vec<f64> = factor.solve(&point.gradient);
            iterations += 1;
            (weights, point) = self.descend(&weights, &point, &step).ok_or_else(stuck)?;
        }
    }

    /// Goes along −`step`, halving it until the loss falls enough; `None` when it never does.
    fn descend(&self, from: &[f64], at: &Point, step: &[f64]) -> Option<(Vec<f64>, Point)> {
        let slope: f64 = at.gradient.iter().zip(step).map(|(g, s)| g * s).sum();
        // Near the optimum the fall drowns in the rounding of the loss.
        let rounding = 1e-13 * (at.loss.abs() + 1.0);
        let mut length = 1.0;
        for _ in 0..50 {
            let to: Vec<f64> = from.iter().zip(step).map(|(w, s)| w - length * s).collect();
            let point = self.point(&to);
            if point.loss <= at.loss - 1e-4 * length * slope + rounding {
                return Some((to, point));
            }
            length /= 2.0;
        }
        None
    }

    fn point(&self, weights: &[f64]) -> Point {
        let features = self.records.ncols();
        let (intercept, slopes) = weights.split_first().map_or((0.0, &[][..]), |(b, w)| (*b, w));
        let mut gradient = vec![0.0; features + 1];
        let mut scale = vec![0.0; features + 1];
        let mut hessian = Array2::<f64>::zeros((features + 1, features + 1));
        let mut loss = 0.0;
        let mut weighted = Array2::<f64>::zeros((BLOCK, features));
        for (block, labels) in self.records.axis_chunks_iter(Axis(0), BLOCK).zip(self.labels.chunks(BLOCK)) {
            let mut weighted = weighted.slice_mut(s![..block.nrows(), ..]);
            for ((row, &label), mut weighted_row) in
                block.outer_iter().zip(labels).zip(weighted.outer_iter_mut())
            {
                let z = linear(intercept, slopes, row);
                // The margin: log(1 + e⁻ᵐ) is the loss; σ(−m) keeps its precision where 1 − σ(m) would not.
                let margin = if label { z } else { -z };
                loss += (-margin.abs()).exp().ln_1p() + (-margin).max(0.0);
                let wrong = sigmoid(-margin);
                let residual = if label { -wrong } else { wrong };
                let curvature = wrong * sigmoid(margin);
                gradient[0] += residual;
                scale[0] += wrong;
                hessian[(0, 0)] += curvature;
                for (at, (&value, cell)) in row.iter().zip(weighted_row.iter_mut()).enumerate() {
                    gradient[at + 1] += residual * value;
                    scale[at + 1] += wrong * value.abs();
                    *cell = curvature * value;
                    hessian[(at + 1, 0)] += curvature * value;
                }
            }
            let mut inner = hessian.slice_mut(s![1.., 1..]);
            ndarray::linalg::general_mat_mul(1.0, &block.t(), &weighted, 1.0, &mut inner);
        }
        for (at, slope) in slopes.iter().enumerate() {
            loss += self.penalty / 2.0 * slope * slope;
            gradient[at + 1] += self.penalty * slope;
            scale[at + 1] += self.penalty * slope.abs();
            hessian[(at + 1, at + 1)] += self.penalty;
        }
        Point { loss, gradient, scale, hessian }
    }

    fn collinear(&self, unknown: usize) -> ModelError {
        ModelError::Collinear { feature: self.name(unknown) }
    }

    fn name(&self, unknown: usize) -> String {
        let feature = unknown.checked_sub(1).and_then(|at| self.names.get(at));
        feature.map_or_else(|| "(intercept)".to_owned(), |name| shown(name))
    }
}

impl Point {
    /// The unknown with the largest relative gradient, and that.
    fn worst(&self) -> (usize, f64) {
        let relative =
            self.gradient.iter().zip(&self.scale).map(|(g, s)| if *s > 0.0 { g.abs() / s } else { 0.0 });
        relative.enumerate().fold((0, 0.0), |worst, (at, gradient)| {
            // A NaN must not look converged.
            if gradient > worst.1 || gradient.is_nan() { (at, gradient) } else { worst }
        })
    }
}
