//! Hour effects by empirical Bayes, averaged over three models.
//!
//! With y the deviations within groups (n posts, g groups), H the hours of the posts and M the projection that removes
//! group means: A = H'MH and b = H'My. For a prior covariance R of the hours in units of the noise, P = A + R⁻¹, the
//! effects given the data have mean P⁻¹b and covariance σ²P⁻¹, and the data have the restricted likelihood
//! |P|^(-1/2) · |R|^(-1/2) · Q^(-(n-g)/2), Q = y'y − b'P⁻¹b, σ² = Q/(n−g) (Searle, Casella, McCulloch, *Variance
//! Components*, 1992, ch. 7).
//!
//! Averaged over (Hoeting et al., *Bayesian Model Averaging*, 1999): the common spread r, uniform on 0..2; and three
//! models, a third each.
//! - Independent hours: R = r²I.
//! - Similar neighbours: R = r²K with K the periodic kernel exp(−2 sin²(πd/24)/ℓ²) of the distance d on the circle of
//!   hours (MacKay 1998, *Introduction to Gaussian Processes*, eq. 47), length two hours, plus a small independent part
//!   per hour. 23:00 and 0:00 are neighbours. A good evening is estimated from the posts of all its hours.
//! - One outlier: R = r²I, except for one hour with a wide spread of its own. Without this model, a single good hour among
//!   indifferent ones would be shrunk as much as they are, and its interval would miss the truth.

use super::Item;
use super::cholesky::{HOURS, Matrix, Vector, inverse};

/// Values of the common spread.
const STEPS: usize = 30;
const WIDEST: f64 = 2.0;
/// Stands for a spread of 0, which has no reciprocal.
const NARROWEST: f64 = 1e-3;
/// Spreads of an outlier hour.
const OUTLIER: [f64; 2] = [0.7, 2.0];
/// Length of the kernel in hours, and the independent part of each hour.
const LENGTH: f64 = 2.0;
const OWN: f64 = 0.05;
/// Models less likely than the best by this log factor do not show in the result.
const NEGLIGIBLE: f64 = 30.0;

/// An hour's difference from the mean over all posts, as a logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Effect {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

pub(super) fn hour_effects(items: &[Item]) -> [Effect; HOURS] {
    effects_by(items, true)
}

/// The covariance of hours with similar neighbours, for a spread of 1.
fn smooth_kernel() -> Matrix {
    let width = std::f64::consts::TAU * LENGTH / HOURS as f64;
    std::array::from_fn(|i| {
        std::array::from_fn(|j| {
            let apart = (std::f64::consts::PI * i.abs_diff(j) as f64 / HOURS as f64).sin() / width;
            let own = if i == j { OWN } else { 0.0 };
            (1.0 - OWN) * (-2.0 * apart * apart).exp() + own
        })
    })
}

fn effects_by(items: &[Item], smooth: bool) -> [Effect; HOURS] {
    let (between, sums, counts) = normal_equations(items);
    let squares: f64 = items.iter().map(|item| item.deviation.powi(2)).sum();
    let groups = items.iter().map(|item| item.group() + 1).max().unwrap_or(0);
    let freedom = items.len().saturating_sub(groups) as f64;
    if squares <= 1e-18 * items.len() as f64 || freedom < 2.0 {
        return [Effect::default(); HOURS];
    }
    let data = Data { sums, squares, freedom };
    let tried: Vec<usize> = (0..HOURS).filter(|hour| counts[*hour] > 0.0).collect();
    let log_outlier = -((OUTLIER.len() * tried.len().max(1)) as f64).ln();
    let kernel = inverse(&smooth_kernel()).filter(|_| smooth);
    let mut blend = Blend::new();
    for step in 0..=STEPS {
        // Finer near 0, where most answers lie.
        let place = |step: f64| WIDEST * (step / STEPS as f64).powi(2);
        let spread = place(step as f64).max(NARROWEST);
        let log_gap = (place(step as f64 + 0.5) - place((step as f64 - 0.5).max(0.0))).ln();
        let of_spread = 2.0 * HOURS as f64 * spread.ln();
        if let Some((kernel_precision, log_precision)) = &kernel {
            let mut precision = between;
            for (cell, prior) in precision.as_flattened_mut().iter_mut().zip(kernel_precision.as_flattened())
            {
                *cell += prior * spread.powi(-2);
            }
            if let Some((covariance, log_determinant)) = inverse(&precision) {
                // The inverse's determinant is that of the kernel.
                blend.add(&data, &covariance, log_determinant + of_spread + log_precision, log_gap);
            }
        }
        let mut precision = between;
        for (hour, row) in precision.iter_mut().enumerate() {
            row[hour] += spread.powi(-2);
        }
        let Some((covariance, log_determinant)) = inverse(&precision) else { continue };
        let log_determinant = log_determinant + of_spread;
        blend.add(&data, &covariance, log_determinant, log_gap);
        for (hour, wide) in tried.iter().flat_map(|hour| OUTLIER.map(|wide| (*hour, wide))) {
            // One diagonal element changes: the inverse by Sherman and Morrison.
            let change = wide.powi(-2) - spread.powi(-2);
            let scale = 1.0 + change * covariance[hour][hour];
            if scale <= 0.0 {
                continue;
            }
            let log_determinant = log_determinant + scale.ln() + 2.0 * (wide / spread).ln();
            let row = covariance[hour];
            let outlier: Matrix = std::array::from_fn(|i| {
                let factor = change * row[i] / scale;
                std::array::from_fn(|j| covariance[i][j] - factor * row[j])
            });
            blend.add(&data, &outlier, log_determinant, log_gap + log_outlier);
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

/// The data, common to all models.
struct Data {
    sums: Vector,
    squares: f64,
    freedom: f64,
}

/// The average of the models weighted by likelihood, relative to the likeliest so far.
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
    fn add(&mut self, data: &Data, inverse: &Matrix, log_determinant: f64, log_prior: f64) {
        let mean: Vector =
            std::array::from_fn(|i| inverse[i].iter().zip(&data.sums).map(|(cell, sum)| cell * sum).sum());
        let explained: f64 = mean.iter().zip(&data.sums).map(|(effect, sum)| effect * sum).sum();
        let left = (data.squares - explained).max(data.squares * 1e-12);
        let noise = left / data.freedom;
        let log_weight = log_prior - 0.5 * data.freedom * left.ln() - 0.5 * log_determinant;
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
    use super::super::permutation::normal;
    use super::*;
    use rand::SeedableRng;
    use rand_xoshiro::Xoshiro256PlusPlus;

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
    fn effect_lies_between_zero_and_the_raw_difference() {
        let effects = hour_effects(&two_hours(0.2));
        assert!(effects[18].mean > 0.0 && effects[18].mean < 0.2, "{effects:?}");
        assert!(
            (effects[18].mean + effects[9].mean).abs() < 1e-12,
            "deviations from the mean add up to zero"
        );
    }

    #[test]
    fn effect_of_more_posts_is_shrunk_less() {
        let few = hour_effects(&two_hours(0.2))[18];
        let many: Vec<Item> = std::iter::repeat_with(|| two_hours(0.2)).take(30).flatten().collect();
        let many = hour_effects(&many)[18];
        assert!(few.mean < many.mean && many.mean < 0.2);
        assert!(many.mean > 0.195 && many.deviation < few.deviation);
    }

    /// Posts at every hour with an effect and noise of 0.35.
    fn day(posts_an_hour: usize, seed: u64, effect: impl Fn(usize) -> f64) -> Vec<Item> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut items: Vec<Item> = (0..HOURS * posts_an_hour)
            .map(|index| {
                let hour = index % HOURS;
                Item { hour: hour as u8, deviation: effect(hour) + 0.35 * normal(&mut random), group: 0 }
            })
            .collect();
        let mean = items.iter().map(|item| item.deviation).sum::<f64>() / items.len() as f64;
        items.iter_mut().for_each(|item| item.deviation -= mean);
        items
    }

    fn squared_error(effects: &[Effect; HOURS], truth: impl Fn(usize) -> f64) -> f64 {
        let mean = (0..HOURS).map(&truth).sum::<f64>() / HOURS as f64;
        (0..HOURS).map(|hour| (effects[hour].mean - truth(hour) + mean).powi(2)).sum::<f64>() / HOURS as f64
    }

    #[test]
    fn smooth_effect_is_estimated_better_with_neighbours() {
        let evening = |hour: usize| 0.25 * (std::f64::consts::TAU * (hour as f64 - 20.0) / 24.0).cos();
        let (mut with, mut without) = (0.0, 0.0);
        for seed in 0..40 {
            let items = day(5, seed, evening);
            with += squared_error(&effects_by(&items, true), evening);
            without += squared_error(&effects_by(&items, false), evening);
        }
        assert!(with < 0.5 * without, "{with} with neighbours, {without} without");
    }

    #[test]
    fn single_outlier_is_not_smeared_over_its_neighbours() {
        let noon = |hour: usize| if hour == 12 { 0.6 } else { 0.0 };
        let (mut neighbours, mut others, mut twelve) = (0.0, 0.0, 0.0);
        for seed in 0..40 {
            let effects = hour_effects(&day(12, 100 + seed, noon));
            neighbours += (effects[11].mean + effects[13].mean) / 80.0;
            others += (effects[2].mean + effects[21].mean) / 80.0;
            twelve += effects[12].mean / 40.0;
        }
        assert!((neighbours - others).abs() < 0.03, "{neighbours} next to it, {others} far away");
        assert!(twelve > 0.45, "{twelve}");
    }

    #[test]
    fn effect_across_midnight_equals_the_effect_across_noon() {
        let peak = |hour: usize| match hour {
            23 | 0 | 1 => 0.4,
            _ => 0.0,
        };
        let items = day(4, 9, peak);
        let turned: Vec<Item> =
            items.iter().map(|item| Item { hour: (item.hour + 12) % 24, ..*item }).collect();
        let (night, noon) = (hour_effects(&items), hour_effects(&turned));
        for hour in 0..HOURS {
            let (a, b) = (night[hour], noon[(hour + 12) % 24]);
            assert!(
                (a.mean - b.mean).abs() < 1e-9 && (a.deviation - b.deviation).abs() < 1e-9,
                "{a:?} {b:?}"
            );
        }
    }

    #[test]
    fn identical_posts_have_no_effect() {
        let items: Vec<Item> =
            (0..20).map(|i| Item { hour: (i % 24) as u8, deviation: 0.0, group: 0 }).collect();
        assert_eq!(hour_effects(&items), [Effect::default(); HOURS]);
    }
}
