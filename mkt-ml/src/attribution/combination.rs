//! Which combinations of channels convert best, with how sure that is.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal};

/// A combination of channels, whatever the order and the repeats, with its conversion rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Combination {
    /// The channels, by name.
    pub channels: Vec<String>,
    /// Paths through exactly these channels.
    pub paths: f64,
    /// Those of them that convert.
    pub conversions: f64,
    /// Conversions ÷ paths.
    pub rate: f64,
    /// The 95 % interval of the rate (Wilson 1927).
    pub low: f64,
    /// Its upper end.
    pub high: f64,
    /// The lower end of an interval that holds for all combinations of the answer together with 95 % (Šidák): the best
    /// of many looks better than it is.
    pub low_of_all: f64,
    /// Its upper end.
    pub high_of_all: f64,
}

impl Combination {
    fn new(channels: Vec<String>, paths: f64, conversions: f64, of: usize) -> Self {
        let (low, high) = wilson(conversions, paths, 0.95);
        let (low_of_all, high_of_all) = wilson(conversions, paths, 0.95_f64.powf(1.0 / of.max(1) as f64));
        let rate = conversions / paths;
        Self { channels, paths, conversions, rate, low, high, low_of_all, high_of_all }
    }
}

/// Combinations with at least `least_paths` paths, the one with the highest [`Combination::low_of_all`] first: a high
/// rate of few paths does not win. Takes (channels, paths, conversions), as the report `channel_sets` of mkt-warehouse
/// has them (columns `channels`, `paths`, `converted`) or [`Paths::channel_sets`](super::Paths::channel_sets) counts
/// them; a combination given twice (in two currencies, say) must be left out by the caller. Rows without channels or
/// without paths are left out.
///
/// ```
/// use mkt_ml::attribution::combinations;
///
/// let sets = [
///     (vec!["email".to_owned()], 400.0, 40.0),
///     (vec!["email".to_owned(), "search".to_owned()], 500.0, 100.0),
///     (vec!["sms".to_owned()], 3.0, 2.0),
/// ];
/// let best = combinations(sets, 1.0);
/// assert_eq!(best[0].channels, ["email", "search"]);
/// assert!((best[0].low - 0.1673).abs() < 5e-5 && (best[0].high - 0.2373).abs() < 5e-5);
/// ```
#[must_use]
pub fn combinations(
    sets: impl IntoIterator<Item = (Vec<String>, f64, f64)>,
    least_paths: f64,
) -> Vec<Combination> {
    let fits = |set: &(Vec<String>, f64, f64)| !set.0.is_empty() && set.1 > 0.0 && set.1 >= least_paths;
    let sets: Vec<_> = sets.into_iter().filter(fits).collect();
    let of = sets.len();
    let mut combinations: Vec<Combination> = sets
        .into_iter()
        .map(|(mut channels, paths, conversions)| {
            channels.sort_unstable();
            Combination::new(channels, paths, conversions, of)
        })
        .collect();
    combinations
        .sort_by(|a, b| b.low_of_all.total_cmp(&a.low_of_all).then_with(|| a.channels.cmp(&b.channels)));
    combinations
}

impl super::Paths {
    /// Paths by the set of their channels: channels by name, paths, conversions; by most conversions.
    #[must_use]
    pub fn channel_sets(&self) -> Vec<(Vec<String>, f64, f64)> {
        let mut sets = std::collections::BTreeMap::<Vec<&str>, [u128; 2]>::new();
        for (at, counts) in self.counts().iter().enumerate() {
            let touches = self.path(at).0.iter();
            let mut set: Vec<&str> = touches.map(|id| self.names.names[usize::from(*id)].as_str()).collect();
            set.sort_unstable();
            set.dedup();
            let held = sets.entry(set).or_default();
            held[0] += u128::from(counts.conversions) + u128::from(counts.nulls);
            held[1] += u128::from(counts.conversions);
        }
        let mut sets: Vec<(Vec<String>, f64, f64)> = sets
            .into_iter()
            .filter(|(set, counts)| !set.is_empty() && counts[0] > 0)
            .map(|(set, [paths, conversions])| {
                let unit = super::paths::UNIT;
                (set.into_iter().map(str::to_owned).collect(), paths as f64 / unit, conversions as f64 / unit)
            })
            .collect();
        sets.sort_by(|a, b| b.2.total_cmp(&a.2));
        sets
    }
}

/// The interval of a share (Wilson 1927).
pub(crate) fn wilson(successes: f64, trials: f64, level: f64) -> (f64, f64) {
    let z = Normal::standard().inverse_cdf(0.5 + level / 2.0);
    let (share, z2) = (successes / trials, z * z);
    let middle = (share + z2 / (2.0 * trials)) / (1.0 + z2 / trials);
    let reach =
        z / (1.0 + z2 / trials) * (share * (1.0 - share) / trials + z2 / (4.0 * trials * trials)).sqrt();
    // At 0 and at 1 the interval ends there; rounding must not say otherwise.
    let low = if successes <= 0.0 { 0.0 } else { (middle - reach).max(0.0) };
    let high = if successes >= trials { 1.0 } else { (middle + reach).min(1.0) };
    (low, high)
}
