//! Where the penalised loss is least: Newton's method while the curvature can be kept, else a limited-memory
//! quasi-Newton method.
//!
//! With an L1 part the quadratic model of each Newton step is minimised by coordinate descent (a proximal Newton
//! step: Lee, Sun, Saunders, 2014), and the quasi-Newton method keeps to one orthant at a time (Andrew, Gao:
//! "Scalable training of L1-regularized log-linear models", 2007).

use std::{collections::VecDeque, ops::ControlFlow};

use ndarray::Array2;

use super::objective::{Objective, Point};
use crate::{
    cholesky::Cholesky,
    classifier::ModelError,
    error::shown,
    progress::{Progress, Watcher},
};

/// Unknowns up to which the curvature is kept: its square is 128 MB.
const NEWTON: usize = 4000;
/// A pivot below this fraction of its diagonal means that other columns determine the column.
const COLLINEAR: f64 = 1e-11;
/// Pairs of steps that stand for the curvature.
const MEMORY: usize = 12;
/// What the gradient can be brought down to without the curvature.
const COARSE: f64 = 1e-7;

/// A minimisation.
pub(super) struct Search<'a, 'b> {
    pub(super) objective: Objective<'a, 'b>,
    /// The penalty on the absolute value of each weight.
    pub(super) l1: f64,
    pub(super) names: &'a [String],
    pub(super) most: usize,
    pub(super) tolerance: f64,
    pub(super) watcher: Watcher<'a>,
}

/// Where the minimum is.
pub(super) struct Solution {
    pub(super) intercept: f64,
    pub(super) weights: Vec<f64>,
    /// Standard errors, intercept first; empty where they are not known.
    pub(super) errors: Vec<f64>,
    pub(super) iterations: usize,
    /// The largest relative gradient.
    pub(super) gradient: f64,
}

impl Search<'_, '_> {
    pub(super) fn minimise(&self) -> Result<Solution, ModelError> {
        let unknowns = self.objective.unknowns();
        let mut start = vec![0.0; unknowns];
        // The intercept that fits the share of positives: the optimum when nothing else matters.
        let [mut negative, mut positive] = [0.0, 0.0];
        for (at, label) in self.objective.labels.iter().enumerate() {
            let weight = self.objective.weights.map_or(1.0, |weights| weights[at]);
            if *label { positive += weight } else { negative += weight }
        }
        start[0] = (positive / negative).ln();
        if unknowns <= NEWTON { self.newton(start) } else { self.quasi_newton(start) }
    }

    /// Tells the watcher of a step about to be taken; it may give up.
    fn tell(&self, done: usize) -> Result<(), ModelError> {
        let total = self.most;
        match (self.watcher)(Progress { done, total, validation_loss: None }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(ModelError::Cancelled { done, total }),
        }
    }

    fn newton(&self, mut at: Vec<f64>) -> Result<Solution, ModelError> {
        let mut point = self.objective.point(&at, true);
        let mut iterations = 0;
        loop {
            let (worst, gradient) = self.worst(&at, &point);
            let stuck = move || ModelError::NotConverged { iterations, gradient, feature: self.name(worst) };
            let hessian = point.hessian.as_ref().ok_or_else(stuck)?;
            if self.l1 > 0.0 {
                if gradient <= self.tolerance {
                    return Ok(self.solution(&at, &[], iterations, gradient));
                }
                if iterations == self.most {
                    return Err(stuck());
                }
                let step = self.proximal(&at, &point.gradient, hessian);
                iterations += 1;
                self.tell(iterations)?;
                (at, point) = self.descend(&at, &point, &step).ok_or_else(stuck)?;
                continue;
            }
            let factor = Cholesky::of(hessian, COLLINEAR);
            if gradient <= self.tolerance {
                // Zero curvature at a zero gradient: a column of zeros, say, without a penalty.
                let factor = factor.map_err(|at| self.collinear(at))?;
                let errors: Vec<f64> = factor.inverse_diagonal().into_iter().map(f64::sqrt).collect();
                return Ok(self.solution(&at, &errors, iterations, gradient));
            }
            if iterations == self.most {
                return Err(stuck());
            }
            let factor = match factor {
                Ok(factor) => factor,
                // The first Hessian is p(1 − p) XᵀX: what is singular there is singular everywhere.
                Err(at) if iterations == 0 => return Err(self.collinear(at)),
                Err(_) => return Err(stuck()),
            };
            let step: Vec<f64> = factor.solve(&point.gradient).iter().map(|step| -step).collect();
            iterations += 1;
            self.tell(iterations)?;
            (at, point) = self.descend(&at, &point, &step).ok_or_else(stuck)?;
        }
    }

    /// The step d that minimises g·d + ½ dᵀHd + λ₁ ‖w + d‖₁, one coordinate after the other.
    fn proximal(&self, at: &[f64], gradient: &[f64], hessian: &Array2<f64>) -> Vec<f64> {
        let count = at.len();
        let of = |row: usize, column: usize| {
            if row >= column { hessian[(row, column)] } else { hessian[(column, row)] }
        };
        let mut step = vec![0.0; count];
        // H d, kept up to date.
        let mut pushed = vec![0.0; count];
        for _ in 0..200 {
            let mut largest = 0.0_f64;
            for place in 0..count {
                let curvature = of(place, place);
                if curvature <= 0.0 {
                    continue;
                }
                let slope = gradient[place] + pushed[place];
                let current = at[place] + step[place];
                let aim = current - slope / curvature;
                let shrink = if place == 0 { 0.0 } else { self.l1 / curvature };
                let new = if aim > shrink {
                    aim - shrink
                } else if aim < -shrink {
                    aim + shrink
                } else {
                    0.0
                };
                let change = new - current;
                if change != 0.0 {
                    step[place] += change;
                    for (other, pushed) in pushed.iter_mut().enumerate() {
                        *pushed += change * of(other, place);
                    }
                    largest = largest.max(change.abs() * curvature.sqrt());
                }
            }
            if largest < 1e-10 {
                break;
            }
        }
        step
    }

    /// The loss with the absolute values penalised.
    fn loss(&self, at: &[f64], point: &Point) -> f64 {
        point.loss + self.l1 * at.iter().skip(1).map(|weight| weight.abs()).sum::<f64>()
    }

    /// Goes along `step`, halving it until the loss falls enough; `None` when it never does.
    fn descend(&self, from: &[f64], at: &Point, step: &[f64]) -> Option<(Vec<f64>, Point)> {
        let smooth: f64 = at.gradient.iter().zip(step).map(|(g, s)| g * s).sum();
        let absolute = |weights: &mut dyn Iterator<Item = f64>| weights.skip(1).map(f64::abs).sum::<f64>();
        let before = absolute(&mut from.iter().copied());
        let after = absolute(&mut from.iter().zip(step).map(|(w, s)| w + s));
        // What the loss falls by at least, to first order.
        let slope = smooth + self.l1 * (after - before);
        let loss = self.loss(from, at);
        // Near the optimum the fall drowns in the rounding of the loss.
        let rounding = 1e-13 * (loss.abs() + 1.0);
        let mut length = 1.0;
        for _ in 0..50 {
            let to: Vec<f64> = from.iter().zip(step).map(|(w, s)| w + length * s).collect();
            let point = self.objective.point(&to, true);
            if self.loss(&to, &point) <= loss + 1e-4 * length * slope + rounding {
                return Some((to, point));
            }
            length /= 2.0;
        }
        None
    }

    /// Limited-memory BFGS; with an L1 part, within one orthant per step.
    fn quasi_newton(&self, mut at: Vec<f64>) -> Result<Solution, ModelError> {
        let tolerance = self.tolerance.max(COARSE);
        let mut point = self.objective.point(&at, false);
        let mut memory: VecDeque<(Vec<f64>, Vec<f64>, f64)> = VecDeque::new();
        let mut iterations = 0;
        loop {
            let (worst, gradient) = self.worst(&at, &point);
            if gradient <= tolerance {
                return Ok(self.solution(&at, &[], iterations, gradient));
            }
            let stuck = move || ModelError::NotConverged { iterations, gradient, feature: self.name(worst) };
            // A Newton step is worth some twenty of these.
            if iterations >= self.most.saturating_mul(20) {
                return Err(stuck());
            }
            let steepest = self.steepest(&at, &point.gradient);
            let mut step = recall(&memory, &steepest);
            if self.l1 > 0.0 {
                for ((step, steepest), place) in step.iter_mut().zip(&steepest).zip(0..) {
                    if place > 0 && *step * steepest <= 0.0 {
                        *step = 0.0;
                    }
                }
            }
            let slope: f64 = -step.iter().zip(&steepest).map(|(s, d)| s * d).sum::<f64>();
            if slope >= 0.0 {
                // The memory has lost touch: start over along the steepest way.
                if memory.is_empty() {
                    return Err(stuck());
                }
                memory.clear();
                continue;
            }
            let loss = self.loss(&at, &point);
            let rounding = 1e-13 * (loss.abs() + 1.0);
            let size = step.iter().map(|s| s * s).sum::<f64>().sqrt();
            let mut length = if memory.is_empty() { (1.0 / size).min(1.0) } else { 1.0 };
            let mut found = None;
            for _ in 0..60 {
                let mut to: Vec<f64> = at.iter().zip(&step).map(|(w, s)| w + length * s).collect();
                if self.l1 > 0.0 {
                    for (place, (to, from)) in to.iter_mut().zip(&at).enumerate().skip(1) {
                        let side = if *from == 0.0 { steepest[place] } else { *from };
                        if *to * side < 0.0 {
                            *to = 0.0;
                        }
                    }
                }
                let next = self.objective.point(&to, false);
                if self.loss(&to, &next) <= loss + 1e-4 * length * slope + rounding {
                    found = Some((to, next));
                    break;
                }
                length /= 2.0;
            }
            let Some((to, next)) = found else {
                if memory.is_empty() {
                    return Err(stuck());
                }
                memory.clear();
                continue;
            };
            let moved: Vec<f64> = to.iter().zip(&at).map(|(a, b)| a - b).collect();
            let turned: Vec<f64> = next.gradient.iter().zip(&point.gradient).map(|(a, b)| a - b).collect();
            let product: f64 = moved.iter().zip(&turned).map(|(a, b)| a * b).sum();
            if product > 0.0 {
                memory.push_back((moved, turned, 1.0 / product));
                if memory.len() > MEMORY {
                    memory.pop_front();
                }
            }
            (at, point) = (to, next);
            iterations += 1;
            self.tell(iterations)?;
        }
    }

    /// The way down: the negative gradient, the absolute values' part included.
    fn steepest(&self, at: &[f64], gradient: &[f64]) -> Vec<f64> {
        let down = |(place, (weight, slope)): (usize, (&f64, &f64))| {
            if place == 0 { -slope } else { -self.with_l1(*weight, *slope) }
        };
        at.iter().zip(gradient).enumerate().map(down).collect()
    }

    /// The smallest of the subgradients.
    fn with_l1(&self, weight: f64, slope: f64) -> f64 {
        if weight != 0.0 {
            return slope + self.l1 * weight.signum();
        }
        // At 0 the absolute value takes up to λ₁ of the slope.
        slope - slope.clamp(-self.l1, self.l1)
    }

    /// The unknown with the largest gradient relative to the sum of its terms, and that.
    fn worst(&self, at: &[f64], point: &Point) -> (usize, f64) {
        let steepest = self.steepest(at, &point.gradient);
        let relative = steepest.iter().zip(&point.scale).enumerate().map(|(place, (slope, scale))| {
            let scale = scale + if place > 0 { self.l1 } else { 0.0 };
            if scale > 0.0 { slope.abs() / scale } else { 0.0 }
        });
        relative.enumerate().fold((0, 0.0), |worst, (at, gradient)| {
            // A NaN must not look converged.
            if gradient > worst.1 || gradient.is_nan() { (at, gradient) } else { worst }
        })
    }

    /// Puts unknowns back in the order of the features.
    fn solution(&self, at: &[f64], errors: &[f64], iterations: usize, gradient: f64) -> Solution {
        let places = self.objective.places();
        let ordered = |values: &[f64]| -> Vec<f64> {
            places.iter().filter_map(|place| values.get(*place)).copied().collect()
        };
        let errors = match errors.first() {
            Some(first) => std::iter::once(*first).chain(ordered(errors)).collect(),
            None => Vec::new(),
        };
        let intercept = at.first().copied().unwrap_or_default();
        Solution { intercept, weights: ordered(at), errors, iterations, gradient }
    }

    fn collinear(&self, unknown: usize) -> ModelError {
        ModelError::Collinear { feature: self.name(unknown) }
    }

    fn name(&self, unknown: usize) -> String {
        let feature = self.objective.places().iter().position(|place| *place == unknown);
        let name = feature.and_then(|feature| self.names.get(feature));
        name.map_or_else(|| "(intercept)".to_owned(), |name| shown(name))
    }
}

/// The steepest way as seen through the curvature that `memory` holds (Nocedal, Wright: "Numerical Optimization",
/// algorithm 7.4).
fn recall(memory: &VecDeque<(Vec<f64>, Vec<f64>, f64)>, steepest: &[f64]) -> Vec<f64> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut step = steepest.to_vec();
    let mut parts = Vec::with_capacity(memory.len());
    for (moved, turned, inverse) in memory.iter().rev() {
        let part = inverse * dot(moved, &step);
        for (step, turned) in step.iter_mut().zip(turned) {
            *step -= part * turned;
        }
        parts.push(part);
    }
    if let Some((moved, turned, _)) = memory.back() {
        let factor = dot(moved, turned) / dot(turned, turned);
        step.iter_mut().for_each(|step| *step *= factor);
    }
    for ((moved, turned, inverse), part) in memory.iter().zip(parts.into_iter().rev()) {
        let other = inverse * dot(turned, &step);
        for (step, moved) in step.iter_mut().zip(moved) {
            *step += (part - other) * moved;
        }
    }
    step
}
