//! Hour effects as draws from one normal distribution, its width integrated over; one hour may stand apart.
//!
//! With y the deviations within groups (n posts, g groups), H the hours of the posts and M the projection that removes
//! group means: A = H'MH and b = H'My. For prior spreads r₁ … r₂₄ of the hours in units of the noise, P = A + diag(1/r²),
//! the effects given the data have mean P⁻¹b and covariance σ²P⁻¹, and the data have the restricted likelihood
//! |P|^(-1/2) · Π r⁻¹ · Q^(-(n-g)/2), Q = y'y − b'P⁻¹b, σ² = Q/(n−g) (Searle, Casella, McCulloch, *Variance Components*,
//! 1992, ch. 7).
//!
//! Averaged over (Hoeting et al., *Bayesian Model Averaging*, 1999): the common spread r, uniform on 0..2; and whether all
//! hours share it (probability 1/2) or one of them has a wide spread of its own. Without the second, a single good hour
//! among indifferent ones would be shrunk as hard as they are, and its interval would miss the truth.

use super::Item;
use super::cholesky::{HOURS, Matrix, Vector, inverse};

/// Values of the common spread.
const STEPS: usize = 30;
const WIDEST: f64 = 2.0;
/// Stands for a spread of 0, which has no reciprocal.
const NARROWEST: f64 = 1e-3;
/// Spreads of an hour that stands apart.
const APART: [f64; 2] = [0.7, 2.0];
/// Models this much less likely than the best, as a logarithm, do not show in the result.
const NEGLIGIBLE: f64 = 30.0;

/// An hour's difference from the mean over all posts, as a logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Effect {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

pub(super) fn hour_effects(items: &[Item]) -> [Effect; HOURS] {
    let (between, sums, counts) = normal_equations(items);
    let squares: f64 = items.iter().map(|item| item.deviation.powi(2)).sum();
    let groups = items.iter().map(|item| item.group() + 1).max().unwrap_or(0);
    let freedom = items.len().saturating_sub(groups) as f64;
    if squares <= 1e-18 * items.len() as f64 || freedom < 2.0 {
        return [Effect::default(); HOURS];
    }
    let world = World { sums, squares, freedom };
    let tried: Vec<usize> = (0..HOURS).filter(|hour| counts[*hour] > 0.0).collect();
    let log_apart = -((APART.len() * tried.len().max(1)) as f64).ln();
    let mut blend = Blend::new();
    for step in 0..=STEPS {
        // Finer near 0, where most answers lie.
        let place = |step: f64| WIDEST * (step / STEPS as f64).powi(2);
        let spread = place(step as f64).max(NARROWEST);
        let log_gap = (place(step as f64 + 0.5) - place((step as f64 - 0.5).max(0.0))).ln();
        let mut precision = between;
        for (hour, row) in precision.iter_mut().enumerate() {
            row[hour] += spread.powi(-2);
        }
        let Some((covariance, log_determinant)) = inverse(&precision) else { continue };
        let log_determinant = log_determinant + 2.0 * HOURS as f64 * spread.ln();
        blend.add(&world, &covariance, log_determinant, log_gap);
        for (hour, wide) in tried.iter().flat_map(|hour| APART.map(|wide| (*hour, wide))) {
            // One diagonal element changes: the inverse by Sherman and Morrison.
            let change = wide.powi(-2) - spread.powi(-2);
            let scale = 1.0 + change * covariance[hour][hour];
            if scale <= 0.0 {
                continue;
            }
            let log_determinant = log_determinant + scale.ln() + 2.0 * (wide / spread).ln();
            let row = covariance[hour];
            let apart: Matrix = std::array::from_fn(|i| {
                let factor = change * row[i] / scale;
                std::array::from_fn(|j| covariance[i][j] - factor * row[j])
            });
            blend.add(&world, &apart, log_determinant, log_gap + log_apart);
        }
    }
    let total = items.len() as f64;
    std::array::from_fn(|hour| {
        // The contrast of this hour with the mean over all posts.
        let contrast =
            std::array::from_fn(|other| f64::from(u8::from(other == hour)) - counts[other] / total);
        blend.effect(&contrast)
    })
}

/// What the models have in common.
struct World {
    sums: Vector,
    squares: f64,
    freedom: f64,
}

/// The average of the models, each by its likelihood, relative to the likeliest so far.
struct Blend {
    best: f64,
    weight: f64,
    mean: Vector,
    square: Matrix,
}

impl Blend {
    fn new() -> Self {
        let square = [[0.0; HOURS]; HOURS];
        Self { best: f64::NEG_INFINITY, weight: 0.0, mean: [0.0; HOURS], square }
    }

    /// Adds a model by the inverse of its P and the logarithm of |P| · Π r².
    fn add(&mut self, world: &World, inverse: &Matrix, log_determinant: f64, log_prior: f64) {
        let mean: Vector =
            std::array::from_fn(|i| inverse[i].iter().zip(&world.sums).map(|(cell, sum)| cell * sum).sum());
        let explained: f64 = mean.iter().zip(&world.sums).map(|(effect, sum)| effect * sum).sum();
        let left = (world.squares - explained).max(world.squares * 1e-12);
        let noise = left / world.freedom;
        let log_weight = log_prior - 0.5 * world.freedom * left.ln() - 0.5 * log_determinant;
        if log_weight < self.best - NEGLIGIBLE {
            return;
        }
        if log_weight > self.best {
            let shrink = (self.best - log_weight).exp();
            self.weight *= shrink;
            self.mean.iter_mut().for_each(|value| *value *= shrink);
            self.square.as_flattened_mut().iter_mut().for_each(|value| *value *= shrink);
            self.best = log_weight;
        }
        let weight = (log_weight - self.best).exp();
        self.weight += weight;
        for i in 0..HOURS {
            self.mean[i] += weight * mean[i];
            for j in 0..HOURS {
                self.square[i][j] += weight * (noise * inverse[i][j] + mean[i] * mean[j]);
            }
        }
    }

    /// Mean and standard deviation of a contrast of the hours.
    fn effect(&self, contrast: &Vector) -> Effect {
        let dot = |row: &Vector| contrast.iter().zip(row).map(|(a, b)| a * b).sum::<f64>() / self.weight;
        let mean = dot(&self.mean);
        let rows: Vector = std::array::from_fn(|i| dot(&self.square[i]));
        let square: f64 = contrast.iter().zip(&rows).map(|(a, b)| a * b).sum();
        Effect { mean, deviation: (square - mean * mean).max(0.0).sqrt() }
    }
}

/// H'MH, H'My and the posts per hour.
fn normal_equations(items: &[Item]) -> (Matrix, Vector, Vector) {
    let groups = items.iter().map(|item| item.group() + 1).max().unwrap_or(0);
    let mut cells = vec![[0.0; HOURS]; groups];
    let (mut sums, mut counts) = ([0.0; HOURS], [0.0; HOURS]);
    for item in items {
        cells[item.group()][item.hour()] += 1.0;
        counts[item.hour()] += 1.0;
        sums[item.hour()] += item.deviation;
    }
    let mut between = [[0.0; HOURS]; HOURS];
    for i in 0..HOURS {
        between[i][i] = counts[i];
    }
    for cell in &cells {
        let size: f64 = cell.iter().sum();
        for i in (0..HOURS).filter(|i| cell[*i] > 0.0) {
            for j in 0..HOURS {
                between[i][j] -= cell[i] * cell[j] / size;
            }
        }
    }
    (between, sums, counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One group, 20 posts at each of two hours, deviations ±d plus noise that is the same in both.
    fn two_hours(d: f64) -> Vec<Item> {
        (0..40)
            .map(|i| {
                let (hour, sign) = if i % 2 == 0 { (9, -1.0) } else { (18, 1.0) };
                let noise = if (i / 2) % 2 == 0 { 0.3 } else { -0.3 };
                Item { hour, deviation: sign * d + noise, group: 0 }
            })
            .collect()
    }

    #[test]
    fn effects_lie_between_none_and_the_raw_difference() {
        let effects = hour_effects(&two_hours(0.2));
        assert!(effects[18].mean > 0.0 && effects[18].mean < 0.2, "{effects:?}");
        assert!(
            (effects[18].mean + effects[9].mean).abs() < 1e-12,
            "differences from the mean add up to nothing"
        );
    }

    #[test]
    fn more_posts_are_shrunk_less() {
        let few = hour_effects(&two_hours(0.2))[18];
        let many: Vec<Item> = std::iter::repeat_with(|| two_hours(0.2)).take(30).flatten().collect();
        let many = hour_effects(&many)[18];
        assert!(few.mean < many.mean && many.mean < 0.2);
        assert!(many.mean > 0.195 && many.deviation < few.deviation);
    }

    #[test]
    fn posts_without_any_spread_have_no_effect() {
        let items: Vec<Item> =
            (0..20).map(|i| Item { hour: (i % 24) as u8, deviation: 0.0, group: 0 }).collect();
        assert_eq!(hour_effects(&items), [Effect::default(); HOURS]);
    }
}
