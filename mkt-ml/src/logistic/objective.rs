//! The penalised loss, its gradient and its curvature at a point.
//!
//! Unknowns are put in an order of their own: the intercept, the dense features, then those that codes stand for.
//! Rows are added up in blocks of a size that does not depend on the threads, and blocks in their order: the same
//! data give the same bits on any number of threads.

use ndarray::{Array2, s};

use super::{design::Design, sigmoid};
use crate::workers::Crew;

/// Rows per matrix product when the curvature is summed: the weighted copy stays in cache.
const BLOCK: usize = 512;
/// Blocks that one thread adds up before its sums are handed over.
const BLOCKS: usize = 32;

/// What is minimised.
pub(crate) struct Objective<'a, 'b> {
    pub(crate) design: &'a Design<'b>,
    pub(crate) labels: &'a [bool],
    /// One a row; absent where all count 1.
    pub(crate) weights: Option<&'a [f64]>,
    /// The penalty on half the square of each weight.
    pub(crate) l2: f64,
    pub(crate) crew: Crew,
}

/// Loss, gradient and curvature at a point, the squares penalised.
#[derive(Debug)]
pub(crate) struct Point {
    pub(crate) loss: f64,
    pub(crate) gradient: Vec<f64>,
    /// Per unknown, the sum of the absolute values of the gradient's terms.
    pub(crate) scale: Vec<f64>,
    /// The lower triangle; absent unless requested.
    pub(crate) hessian: Option<Array2<f64>>,
}

/// Sums over some rows.
struct Sums {
    loss: f64,
    gradient: Vec<f64>,
    scale: Vec<f64>,
    hessian: Option<Array2<f64>>,
}

impl Objective<'_, '_> {
    pub(crate) fn unknowns(&self) -> usize {
        self.design.width() + 1
    }

    /// The unknown of each feature.
    pub(crate) fn places(&self) -> Vec<usize> {
        let mut places = vec![0; self.design.width()];
        let coded = self.design.codes.iter().flat_map(|coded| coded.first..coded.first + coded.count);
        for (feature, next) in self.design.features.iter().copied().chain(coded).zip(1..) {
            if let Some(place) = places.get_mut(feature) {
                *place = next;
            }
        }
        places
    }

    /// Everything at `unknowns`, the curvature if `curved`.
    pub(crate) fn point(&self, unknowns: &[f64], curved: bool) -> Point {
        let rows = self.design.rows();
        let starts: Vec<usize> = (0..rows).step_by(BLOCK * BLOCKS).collect();
        let mut all = Sums::zero(unknowns.len(), curved);
        // As many parts at a time as there are threads: memory does not grow with the rows.
        for wave in starts.chunks(self.crew.threads().max(1)) {
            let parts = self.crew.map(wave.to_vec(), |start| {
                let mut sums = Sums::zero(unknowns.len(), curved);
                let end = rows.min(start + BLOCK * BLOCKS);
                for first in (start..end).step_by(BLOCK) {
                    self.add_block(unknowns, first, end.min(first + BLOCK), &mut sums);
                }
                sums
            });
            for part in parts {
                all.add(&part);
            }
        }
        for (at, unknown) in unknowns.iter().enumerate().skip(1) {
            all.loss += self.l2 / 2.0 * unknown * unknown;
            all.gradient[at] += self.l2 * unknown;
            all.scale[at] += self.l2 * unknown.abs();
            if let Some(hessian) = &mut all.hessian {
                hessian[(at, at)] += self.l2;
            }
        }
        let Sums { loss, gradient, scale, hessian } = all;
        Point { loss, gradient, scale, hessian }
    }

    fn add_block(&self, unknowns: &[f64], first: usize, end: usize, sums: &mut Sums) {
        let (design, count) = (self.design, end - first);
        let numbers = design.numbers.slice(s![first..end, ..]);
        let dense = 1 + numbers.ncols();
        let (of_dense, of_codes) = unknowns.split_at(dense);
        let mut values = [0.0; BLOCK];
        for (value, row) in values.iter_mut().zip(numbers.outer_iter()) {
            let sum = row.iter().zip(&of_dense[1..]).fold(of_dense[0], |sum, (x, weight)| sum + x * weight);
            *value = sum;
        }
        let mut offset = 0;
        for coded in &design.codes {
            let weights = &of_codes[offset..offset + coded.count];
            for (value, code) in values.iter_mut().zip(&coded.codes[first..end]) {
                *value += weights.get(*code as usize).copied().unwrap_or(0.0);
            }
            offset += coded.count;
        }
        let (mut residuals, mut wrongs, mut curvatures) = ([0.0; BLOCK], [0.0; BLOCK], [0.0; BLOCK]);
        for at in 0..count {
            let label = self.labels[first + at];
            let weight = self.weights.map_or(1.0, |weights| weights[first + at]);
            // Opposite overflows meet as NaN; nothing is known about such a row.
            let z = if values[at].is_nan() { of_dense[0] } else { values[at] };
            // The margin: log(1 + e⁻ᵐ) is the loss; σ(−m) keeps its precision where 1 − σ(m) would not.
            let margin = if label { z } else { -z };
            // One exponential serves both: σ(−m) = e ÷ (1 + e) and σ(m) = 1 ÷ (1 + e) with e = e⁻ᵐ, turned
            // round for negative m so that e never overflows.
            let e = (-margin.abs()).exp();
            let (small, large) = (e / (1.0 + e), 1.0 / (1.0 + e));
            let (wrong, right) = if margin >= 0.0 { (small, large) } else { (large, small) };
            sums.loss += weight * (e.ln_1p() + (-margin).max(0.0));
            wrongs[at] = weight * wrong;
            residuals[at] = if label { -wrongs[at] } else { wrongs[at] };
            curvatures[at] = wrongs[at] * right;
        }
        for at in 0..count {
            sums.gradient[0] += residuals[at];
            sums.scale[0] += wrongs[at];
        }
        for (at, row) in numbers.outer_iter().enumerate() {
            let targets = sums.gradient[1..dense].iter_mut().zip(&mut sums.scale[1..dense]);
            for ((gradient, scale), x) in targets.zip(row) {
                *gradient += residuals[at] * x;
                *scale += wrongs[at] * x.abs();
            }
        }
        let mut offset = dense;
        for coded in &design.codes {
            for (at, code) in coded.codes[first..end].iter().enumerate() {
                if (*code as usize) < coded.count {
                    sums.gradient[offset + *code as usize] += residuals[at];
                    sums.scale[offset + *code as usize] += wrongs[at];
                }
            }
            offset += coded.count;
        }
        if let Some(hessian) = &mut sums.hessian {
            self.add_curvature(first, end, &curvatures, hessian);
        }
    }

    fn add_curvature(&self, first: usize, end: usize, curvatures: &[f64; BLOCK], hessian: &mut Array2<f64>) {
        let design = self.design;
        let numbers = design.numbers.slice(s![first..end, ..]);
        let dense = 1 + numbers.ncols();
        // Each row with a 1 in front for the intercept, times its curvature.
        let mut weighted = Array2::<f64>::zeros((end - first, dense));
        for ((mut weighted, row), curvature) in
            weighted.outer_iter_mut().zip(numbers.outer_iter()).zip(curvatures)
        {
            weighted[0] = *curvature;
            for (cell, x) in weighted.iter_mut().skip(1).zip(row) {
                *cell = curvature * x;
            }
        }
        {
            let mut corner = hessian.slice_mut(s![1..dense, 1..dense]);
            let of_numbers = weighted.slice(s![.., 1..]);
            ndarray::linalg::general_mat_mul(1.0, &numbers.t(), &of_numbers, 1.0, &mut corner);
            for row in weighted.outer_iter() {
                for (at, cell) in row.iter().enumerate() {
                    hessian[(at, 0)] += cell;
                }
            }
        }
        let width = hessian.ncols();
        let Some(cells) = hessian.as_slice_mut() else { return };
        let mut offsets = Vec::with_capacity(design.codes.len());
        let mut offset = dense;
        for coded in &design.codes {
            offsets.push(offset);
            offset += coded.count;
        }
        for (at, row) in weighted.outer_iter().enumerate() {
            let Some(row) = row.to_slice() else { continue };
            for (later, (coded, offset)) in design.codes.iter().zip(&offsets).enumerate() {
                let code = coded.codes[first + at] as usize;
                if code >= coded.count {
                    continue;
                }
                let line = &mut cells[(offset + code) * width..(offset + code + 1) * width];
                for (cell, value) in line[..dense].iter_mut().zip(row) {
                    *cell += value;
                }
                for (other, other_offset) in design.codes.iter().zip(&offsets).take(later) {
                    let code = other.codes[first + at] as usize;
                    if code < other.count {
                        line[other_offset + code] += row[0];
                    }
                }
                line[offset + code] += row[0];
            }
        }
    }
}

impl Sums {
    fn zero(unknowns: usize, curved: bool) -> Self {
        Self {
            loss: 0.0,
            gradient: vec![0.0; unknowns],
            scale: vec![0.0; unknowns],
            hessian: curved.then(|| Array2::zeros((unknowns, unknowns))),
        }
    }

    fn add(&mut self, part: &Self) {
        self.loss += part.loss;
        for (sum, part) in self.gradient.iter_mut().zip(&part.gradient) {
            *sum += part;
        }
        for (sum, part) in self.scale.iter_mut().zip(&part.scale) {
            *sum += part;
        }
        if let Some((sum, part)) = self.hessian.as_mut().zip(part.hessian.as_ref()) {
            *sum += part;
        }
    }
}

/// σ of every value.
pub(crate) fn probabilities(values: Vec<f64>) -> Vec<f64> {
    values.into_iter().map(sigmoid).collect()
}
