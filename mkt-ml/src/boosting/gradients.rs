//! First and second derivatives of the log-loss per row, rounded to 16 bits each.
//!
//! With margin m, p = 1 ÷ (1 + e⁻ᵐ), label y and weight w: gradient w (p − y), hessian w p (1 − p). Both are
//! scaled as far up as 16 bits and the sums over all rows allow, then rounded up or down by chance in proportion
//! (stochastic rounding): sums over many rows stay unbiased at any scale (Shi, Ke, Chen, Zheng, Liu: "Quantized
//! Training of Gradient Boosting Decision Trees", 2022). The chance comes from the row's number, the tree's and
//! the seed, so that it is the same on any number of threads.

use super::{
    histogram::Item,
    math::{ROUND, sigmoid},
};
use crate::{
    simd::{Level, dispatched},
    workers::Crew,
};

/// Rows handled together; sums are taken per chunk, then in the order of the chunks.
const CHUNK: usize = 1 << 13;

/// Derivatives of all rows, and room for the next tree's.
#[derive(Debug)]
pub(crate) struct Gradients {
    gradients: Vec<f32>,
    hessians: Vec<f32>,
}

/// What one unit of a rounded derivative stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Units {
    pub(crate) gradient: f64,
    pub(crate) hessian: f64,
}

/// Sums and maxima of a chunk.
#[derive(Debug, Clone, Copy, Default)]
struct Extent {
    gradient_sum: f64,
    gradient_most: f64,
    hessian_sum: f64,
    hessian_most: f64,
}

impl Gradients {
    pub(crate) fn new(rows: usize) -> Self {
        Self { gradients: vec![0.0; rows], hessians: vec![0.0; rows] }
    }

    /// Computes the derivatives at `margins` and writes one item per row. `seed` differs from tree to tree.
    pub(crate) fn write(
        &mut self,
        margins: &[f64],
        labels: &[bool],
        weights: Option<&[f64]>,
        seed: u64,
        items: &mut [Item],
        crew: Crew,
    ) -> Units {
        let level = Level::of_machine();
        let parts: Vec<_> = margins
            .chunks(CHUNK)
            .zip(labels.chunks(CHUNK))
            .zip(self.gradients.chunks_mut(CHUNK).zip(self.hessians.chunks_mut(CHUNK)))
            .enumerate()
            .collect();
        let extents = crew.map(parts, |(at, ((margins, labels), (gradients, hessians)))| {
            match weights.and_then(|weights| weights.get(at * CHUNK..)) {
                None => derive(level, margins, labels, gradients, hessians),
                Some(weights) => derive_weighted(level, margins, labels, weights, gradients, hessians),
            }
        });
        let mut all = Extent::default();
        for extent in extents {
            all.gradient_sum += extent.gradient_sum;
            all.hessian_sum += extent.hessian_sum;
            all.gradient_most = all.gradient_most.max(extent.gradient_most);
            all.hessian_most = all.hessian_most.max(extent.hessian_most);
        }
        let rows = margins.len() as f64;
        let gradient = scale(all.gradient_most, all.gradient_sum, 32_766.0, rows);
        let hessian = scale(all.hessian_most, all.hessian_sum, 65_534.0, rows);
        let seed = (seed ^ (seed >> 32)) as u32;
        let parts: Vec<_> = items
            .chunks_mut(CHUNK)
            .zip(self.gradients.chunks(CHUNK).zip(self.hessians.chunks(CHUNK)))
            .enumerate()
            .collect();
        crew.map(parts, |(at, (items, (gradients, hessians)))| {
            round(level, (at * CHUNK) as u32, seed, [gradient, hessian], gradients, hessians, items);
        });
        Units { gradient: 1.0 / gradient, hessian: 1.0 / hessian }
    }
}

/// The factor that fills 16 bits with the largest value, unless the sum of all rows would then pass 31.
fn scale(most: f64, sum: f64, limit: f64, rows: f64) -> f64 {
    // Each row may be rounded up by one.
    let room = f64::from(i32::MAX) - rows - 1.0;
    let scale = (limit / most).min(room / sum);
    // Nothing to tell apart: all derivatives are 0, and stay so.
    if scale.is_finite() && scale > 0.0 { scale } else { 1.0 }
}

dispatched! {
    fn derive(margins: &[f64], labels: &[bool], gradients: &mut [f32], hessians: &mut [f32]) -> Extent = derive_all
}
dispatched! {
    fn derive_weighted(
        margins: &[f64], labels: &[bool], weights: &[f64], gradients: &mut [f32], hessians: &mut [f32],
    ) -> Extent = derive_all_weighted
}
dispatched! {
    fn round(
        first: u32, seed: u32, scales: [f64; 2], gradients: &[f32], hessians: &[f32], items: &mut [Item],
    ) = round_all
}

#[inline(always)]
fn derive_all(margins: &[f64], labels: &[bool], gradients: &mut [f32], hessians: &mut [f32]) -> Extent {
    for (((margin, label), gradient), hessian) in
        margins.iter().zip(labels).zip(&mut *gradients).zip(&mut *hessians)
    {
        let p = sigmoid(*margin);
        *gradient = (p - f64::from(u8::from(*label))) as f32;
        *hessian = (p * (1.0 - p)) as f32;
    }
    extent(gradients, hessians)
}

#[inline(always)]
fn derive_all_weighted(
    margins: &[f64],
    labels: &[bool],
    weights: &[f64],
    gradients: &mut [f32],
    hessians: &mut [f32],
) -> Extent {
    let rows = margins.iter().zip(labels).zip(weights);
    for (((margin, label), weight), (gradient, hessian)) in
        rows.zip(gradients.iter_mut().zip(hessians.iter_mut()))
    {
        let p = sigmoid(*margin);
        *gradient = (weight * (p - f64::from(u8::from(*label)))) as f32;
        *hessian = (weight * p * (1.0 - p)) as f32;
    }
    extent(gradients, hessians)
}

/// Eight running sums, which wide registers can keep; their order is fixed by the lanes.
#[inline(always)]
fn extent(gradients: &[f32], hessians: &[f32]) -> Extent {
    let [gradient_sum, gradient_most] = sum_and_most(gradients);
    let [hessian_sum, hessian_most] = sum_and_most(hessians);
    Extent { gradient_sum, gradient_most, hessian_sum, hessian_most }
}

#[inline(always)]
fn sum_and_most(values: &[f32]) -> [f64; 2] {
    let mut sums = [0.0_f64; 8];
    let mut most = [0.0_f64; 8];
    let (eights, rest) = values.as_chunks::<8>();
    for eight in eights {
        for lane in 0..8 {
            let value = f64::from(eight[lane].abs());
            sums[lane] += value;
            most[lane] = if value > most[lane] { value } else { most[lane] };
        }
    }
    let mut sum: f64 = sums.iter().sum();
    let mut top = most.iter().copied().fold(0.0, f64::max);
    for value in rest {
        let value = f64::from(value.abs());
        sum += value;
        top = top.max(value);
    }
    [sum, top]
}

#[inline(always)]
fn round_all(
    first: u32,
    seed: u32,
    scales: [f64; 2],
    gradients: &[f32],
    hessians: &[f32],
    items: &mut [Item],
) {
    const PART: f64 = 1.0 / 65_536.0;
    let [of_gradient, of_hessian] = scales;
    let derivatives = gradients.iter().zip(hessians);
    for ((item, (gradient, hessian)), at) in items.iter_mut().zip(derivatives).zip(0_u32..) {
        let row = first.wrapping_add(at);
        let chance = mixed(row ^ seed);
        // round(v + u − ½) with u uniform in 0..1 is v rounded up with the chance of its fraction.
        let up = |bits: u32| f64::from(bits as i32) * PART + (0.5 * PART - 0.5);
        let gradient = f64::from(*gradient) * of_gradient + up(chance & 0xffff) + ROUND;
        let hessian = f64::from(*hessian) * of_hessian + up(chance >> 16) + ROUND;
        *item = u64::from(row) | (hessian.to_bits() & 0xffff) << 32 | gradient.to_bits() << 48;
    }
}

/// A permutation of 32 bits whose output looks like chance (the finaliser of MurmurHash3, in the public domain).
#[inline(always)]
fn mixed(mut x: u32) -> u32 {
    x ^= x >> 16;
    x = x.wrapping_mul(0x85eb_ca6b);
    x ^= x >> 13;
    x = x.wrapping_mul(0xc2b2_ae35);
    x ^ (x >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{boosting::histogram, workers::Workers};

    fn margins(rows: usize) -> Vec<f64> {
        (0..rows).map(|row| (row as f64 * 0.7).sin() * 6.0 - 3.0).collect()
    }

    #[test]
    fn sums_of_rounded_derivatives_are_those_of_the_exact_ones() {
        let rows = 100_000;
        let margins = margins(rows);
        let labels: Vec<bool> = (0..rows).map(|row| row % 29 == 0).collect();
        let weights: Vec<f64> = (0..rows).map(|row| (row % 5) as f64).collect();
        for weights in [None, Some(&weights[..])] {
            let [mut gradient, mut hessian] = [0.0, 0.0];
            for (row, (margin, label)) in margins.iter().zip(&labels).enumerate() {
                let p = 1.0 / (1.0 + (-margin).exp());
                let w = weights.map_or(1.0, |weights| weights[row]);
                gradient += w * (p - f64::from(u8::from(*label)));
                hessian += w * p * (1.0 - p);
            }
            let mut items = vec![0; rows];
            let (units, sums) = Workers::new(std::num::NonZeroUsize::new(1), 1).unwrap().enter(|crew| {
                let units = Gradients::new(rows).write(&margins, &labels, weights, 3, &mut items, crew);
                (units, histogram::total(&items, crew))
            });
            // Rounding moves a sum of n rows by about √(n / 4) units or less: 160 here, six times that allowed.
            let off = (f64::from(sums.gradient) - gradient / units.gradient).abs();
            assert!(off < 1000.0, "{off}");
            let off = (f64::from(sums.hessian) - hessian / units.hessian).abs();
            assert!(off < 1000.0, "{off}");
            assert!(items.iter().enumerate().all(|(row, item)| *item as u32 as usize == row));
        }
    }

    #[test]
    fn every_level_and_number_of_threads_writes_the_same_items() {
        let rows = 3 * CHUNK + 77;
        let margins = margins(rows);
        let labels: Vec<bool> = (0..rows).map(|row| row % 3 == 0).collect();
        let mut expected = vec![0; rows];
        let write = |items: &mut [Item], threads| {
            Workers::new(std::num::NonZeroUsize::new(threads), 8)
                .unwrap()
                .enter(|crew| Gradients::new(rows).write(&margins, &labels, None, 9, items, crew))
        };
        let units = write(&mut expected, 1);
        let mut items = vec![0; rows];
        assert_eq!(write(&mut items, 3), units);
        assert!(items == expected);
        for level in Level::all() {
            let (mut gradients, mut hessians) = (vec![0.0; rows], vec![0.0; rows]);
            derive(level, &margins, &labels, &mut gradients, &mut hessians);
            round(
                level,
                0,
                9,
                [1.0 / units.gradient, 1.0 / units.hessian],
                &gradients,
                &hessians,
                &mut items,
            );
            assert!(items == expected, "{level:?}");
        }
    }

    #[test]
    fn many_heavy_rows_are_scaled_down_so_that_their_sum_fits() {
        for (most, sum, rows) in [(1.0, 1e6, 1e6), (1e9, 1e17, 1e8), (0.25, 2e8, 1e9)] {
            let scale = scale(most, sum, 32_766.0, rows);
            assert!(sum * scale + rows <= f64::from(i32::MAX) && most * scale <= 32_766.0, "{scale}");
        }
        assert_eq!(scale(0.0, 0.0, 32_766.0, 10.0), 1.0);
    }
}
