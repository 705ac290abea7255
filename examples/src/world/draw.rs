//! Random numbers whose bytes we own: every sampling formula is written here over the raw 64-bit output of
//! xoshiro256++, with `libm` for logarithms and cosines, so that a seed gives the same files on every
//! machine and with every later version of `rand`. Nothing here knows about marketing.

use rand_xoshiro::{
    Xoshiro256PlusPlus,
    rand_core::{RngCore, SeedableRng},
};

/// What a stream of numbers is for. Each thing drawn has its own stream, so that a visit can be drawn again
/// on its own, and one more draw in one place moves nothing elsewhere.
#[derive(Clone, Copy)]
pub(crate) enum Topic {
    Visitor = 1,
    Plan = 2,
    Visit = 3,
    Person = 4,
    Crawl = 5,
    Cost = 6,
    Post = 7,
    Behaviour = 8,
}

/// One reproducible stream of draws.
pub(crate) struct Draw(Xoshiro256PlusPlus);

impl Draw {
    /// The stream of `topic` for the thing named by `a` and `b`, under the seed of the world.
    pub(crate) fn stream(seed: u64, topic: Topic, a: u64, b: u64) -> Self {
        let key = [topic as u64, a, b].into_iter().fold(mix(seed), |key, part| mix(key ^ mix(part)));
        Self(Xoshiro256PlusPlus::seed_from_u64(key))
    }

    /// Uniform in [0, 1): the upper 53 bits over 2^53.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Uniform in `low..=high`, by Lemire's multiplication (the bias is below 2^-32 for our ranges).
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = (high - low + 1).max(1) as u128;
        low + ((u128::from(self.0.next_u64()) * span) >> 64) as i64
    }

    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `choices`, which is never empty.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.between(0, choices.len() as i64 - 1) as usize]
    }

    /// The index of a weight, drawn in proportion to the weights: inverse of the cumulated weights.
    pub(crate) fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.unit() * weights.iter().sum::<f64>();
        for (index, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return index;
            }
        }
        weights.len() - 1
    }

    /// Standard normal, by Box and Muller (1958), cosine branch.
    pub(crate) fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.unit()));
        radius * libm::cos(std::f64::consts::TAU * self.unit())
    }

    /// Log-normal around `median`, `spread` being the standard deviation of the logarithm.
    pub(crate) fn log_normal(&mut self, median: f64, spread: f64) -> f64 {
        median * libm::exp(spread * self.normal())
    }

    /// Number of successes before the first failure, each with probability `again`: inverse CDF.
    pub(crate) fn geometric(&mut self, again: f64) -> i64 {
        libm::floor(libm::log(1.0 - self.unit()) / libm::log(again)) as i64
    }

    /// Poisson, by sequential search in the CDF; for means up to a few dozens.
    pub(crate) fn poisson(&mut self, mean: f64) -> i64 {
        let target = self.unit();
        let (mut count, mut term) = (0, libm::exp(-mean));
        let mut cumulated = term;
        while cumulated < target && count < 10_000 {
            count += 1;
            term *= mean / count as f64;
            cumulated += term;
        }
        count
    }
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
