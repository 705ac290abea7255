//! Hour effects as draws from one normal distribution, its width integrated over.
//!
//! With y the deviations within groups (n posts, g groups), H the hours of the posts and M the projection that removes
//! group means: A = H'MH and b = H'My. For a ratio r of the spread of the hours to the noise, the effects given the data
//! have mean (A + I/r²)⁻¹b and covariance σ²(A + I/r²)⁻¹, and the data have the restricted likelihood
//! |I + r²A|^(-1/2) · Q(r)^(-(n-g)/2), Q(r) = y'y − b'(A + I/r²)⁻¹b, σ² = Q/(n−g) (Searle, Casella, McCulloch, *Variance
//! Components*, 1992, ch. 7). r has a uniform prior on 0..2: effects far beyond the noise would need no statistics.

use super::Item;
use super::cholesky::{HOURS, Matrix, Vector, inverse};

const STEPS: usize = 60;
const WIDEST: f64 = 2.0;

/// An hour's difference from the mean over all posts, as a logarithm.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Effect {
    pub(super) mean: f64,
    pub(super) deviation: f64,
}

struct Step {
    log_weight: f64,
    mean: Vector,
    covariance: Matrix,
}

pub(super) fn hour_effects(items: &[Item]) -> [Effect; HOURS] {
    let (between, sums, counts) = normal_equations(items);
    let squares: f64 = items.iter().map(|item| item.deviation.powi(2)).sum();
    let groups = items.iter().map(|item| item.group + 1).max().unwrap_or(0);
    let freedom = items.len().saturating_sub(groups) as f64;
    if squares <= 1e-18 * items.len() as f64 || freedom < 2.0 {
        return [Effect::default(); HOURS];
    }
    let steps: Vec<Step> = (0..=STEPS)
        .filter_map(|step| {
            // Finer near 0, where most answers lie.
            let place = |step: f64| WIDEST * (step / STEPS as f64).powi(2);
            let (ratio, gap) =
                (place(step as f64), place(step as f64 + 0.5) - place((step as f64 - 0.5).max(0.0)));
            given_ratio(&between, &sums, squares, freedom, ratio, gap)
        })
        .collect();
    let best = steps.iter().map(|step| step.log_weight).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = steps.iter().map(|step| (step.log_weight - best).exp()).sum();

    let mut mean = [0.0; HOURS];
    let mut square = [[0.0; HOURS]; HOURS];
    for step in &steps {
        let weight = (step.log_weight - best).exp() / total;
        for i in 0..HOURS {
            mean[i] += weight * step.mean[i];
            for j in 0..HOURS {
                square[i][j] += weight * (step.covariance[i][j] + step.mean[i] * step.mean[j]);
            }
        }
    }
    let n = items.len() as f64;
    std::array::from_fn(|hour| {
        // The contrast of this hour with the mean over all posts.
        let contrast: Vector =
            std::array::from_fn(|other| f64::from(u8::from(other == hour)) - counts[other] / n);
        let value: f64 = (0..HOURS).map(|i| contrast[i] * mean[i]).sum();
        let mut variance = 0.0;
        for i in 0..HOURS {
            for j in 0..HOURS {
                variance += contrast[i] * contrast[j] * (square[i][j] - mean[i] * mean[j]);
            }
        }
        Effect { mean: value, deviation: variance.max(0.0).sqrt() }
    })
}

/// H'MH, H'My and the posts per hour.
fn normal_equations(items: &[Item]) -> (Matrix, Vector, Vector) {
    let groups = items.iter().map(|item| item.group + 1).max().unwrap_or(0);
    let mut cells = vec![[0.0; HOURS]; groups];
    let (mut sums, mut counts) = ([0.0; HOURS], [0.0; HOURS]);
    for item in items {
        cells[item.group][item.hour] += 1.0;
        counts[item.hour] += 1.0;
        sums[item.hour] += item.deviation;
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

fn given_ratio(
    between: &Matrix,
    sums: &Vector,
    squares: f64,
    freedom: f64,
    ratio: f64,
    gap: f64,
) -> Option<Step> {
    let none = [[0.0; HOURS]; HOURS];
    if ratio == 0.0 {
        let log_weight = gap.ln() - 0.5 * freedom * squares.ln();
        return Some(Step { log_weight, mean: [0.0; HOURS], covariance: none });
    }
    let prior = ratio.powi(-2);
    let mut precision = *between;
    for (i, row) in precision.iter_mut().enumerate() {
        row[i] += prior;
    }
    let (covariance, log_determinant) = inverse(&precision)?;
    let mean: Vector =
        std::array::from_fn(|i| covariance[i].iter().zip(sums).map(|(cell, sum)| cell * sum).sum());
    let explained: f64 = mean.iter().zip(sums).map(|(effect, sum)| effect * sum).sum();
    let left = (squares - explained).max(squares * 1e-12);
    let noise = left / freedom;
    // |I + r²A| = |A + I/r²| · r^48.
    let determinant = log_determinant + 2.0 * HOURS as f64 * ratio.ln();
    let log_weight = gap.ln() - 0.5 * freedom * left.ln() - 0.5 * determinant;
    Some(Step { log_weight, mean, covariance: covariance.map(|row| row.map(|cell| cell * noise)) })
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
        let items: Vec<Item> = (0..20).map(|i| Item { hour: i % 24, deviation: 0.0, group: 0 }).collect();
        assert_eq!(hour_effects(&items), [Effect::default(); HOURS]);
    }
}
