//! Cuts each feature into at most 255 intervals, so that a tree sees one byte per value.
//!
//! Bin 0 is "missing"; bins 1..=255 ascend. Up to 255 distinct values get a bin each, which makes the tree
//! an exact one; beyond that, bins hold about equally many rows.

use ndarray::ArrayView2;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// The bin of a missing value.
pub(crate) const MISSING_BIN: u8 = 0;
/// The most bins with a value.
const MOST: usize = 255;
/// Rows looked at when cutting; more would not move a quantile by a visible amount.
const SAMPLE: usize = 200_000;

/// A training matrix as bytes, one vector per feature.
#[derive(Debug)]
pub(crate) struct Binned {
    pub(crate) features: Vec<BinnedFeature>,
    pub(crate) rows: usize,
}

/// One feature: the bin of each row, and the largest value that each bin but the last can hold.
#[derive(Debug)]
pub(crate) struct BinnedFeature {
    pub(crate) bins: Vec<u8>,
    /// `edges[b - 1]` lies between bin b and bin b + 1; a value belongs left when value ≤ edge.
    pub(crate) edges: Vec<f64>,
}

impl Binned {
    pub(crate) fn of(records: ArrayView2<'_, f64>, seed: u64) -> Self {
        let rows = records.nrows();
        let sample: Option<Vec<usize>> = (rows > SAMPLE).then(|| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            (0..SAMPLE).map(|_| rng.random_range(0..rows as u64) as usize).collect()
        });
        let features = records
            .columns()
            .into_iter()
            .map(|column| {
                let mut values: Vec<f64> = match &sample {
                    Some(sample) => sample.iter().filter_map(|&row| column.get(row)).copied().collect(),
                    None => column.to_vec(),
                };
                values.retain(|value| !value.is_nan());
                values.sort_unstable_by(f64::total_cmp);
                let edges = edges(&values, MOST);
                let bin = |value: &f64| {
                    if value.is_nan() {
                        MISSING_BIN
                    } else {
                        1 + edges.partition_point(|edge| edge < value) as u8
                    }
                };
                BinnedFeature { bins: column.iter().map(bin).collect(), edges }
            })
            .collect();
        Self { features, rows }
    }
}

/// The edges between at most `most` bins of ascending values.
fn edges(sorted: &[f64], most: usize) -> Vec<f64> {
    let distinct: Vec<(f64, usize)> = sorted
        .chunk_by(|a, b| a == b)
        .filter_map(|run| run.first().map(|value| (*value, run.len())))
        .collect();
    let mut edges = Vec::with_capacity(distinct.len().min(most));
    let (mut left, mut bins, mut held) = (sorted.len(), most, 0);
    for (at, pair) in distinct.windows(2).enumerate() {
        let [(value, count), (next, next_count)] = pair else { continue };
        held += count;
        // A bin closes when it holds its share of what is left, or when the next value alone fills one;
        // always when there are bins enough for every value still to come.
        let plenty = distinct.len() - at <= bins;
        let full = held * bins >= left || (next_count * bins >= left && bins > 2);
        if bins > 1 && (plenty || full) {
            edges.push(between(*value, *next));
            left -= held;
            bins -= 1;
            held = 0;
        }
    }
    edges
}

/// A number with low ≤ number < high, about half way.
fn between(low: f64, high: f64) -> f64 {
    let middle = low / 2.0 + high / 2.0;
    if middle >= low && middle < high { middle } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_values_get_a_bin_each_and_midpoints_between_them() {
        assert_eq!(edges(&[1.0, 1.0, 2.0, 4.0], 255), [1.5, 3.0]);
        assert_eq!(edges(&[7.0; 9], 255), [0.0; 0]);
        assert_eq!(edges(&[], 255), [0.0; 0]);
    }

    #[test]
    fn many_values_share_bins_of_equal_size() {
        let values: Vec<f64> = (0..1000).map(f64::from).collect();
        assert_eq!(edges(&values, 4), [249.5, 499.5, 749.5]);
    }

    #[test]
    fn an_edge_separates_even_neighbouring_numbers() {
        for (low, high) in
            [(1.0, 1.0_f64.next_up()), (f64::MIN, f64::MAX), (0.0, f64::from_bits(1)), (-0.0, 1e-320)]
        {
            let edge = between(low, high);
            assert!(low <= edge && edge < high, "{low:e} {edge:e} {high:e}");
        }
    }

    #[test]
    fn never_more_bins_than_fit_a_byte() {
        for distinct in [254, 255, 256, 257, 5000] {
            let values: Vec<f64> = (0..distinct).map(f64::from).collect();
            let edges = edges(&values, MOST);
            assert_eq!(edges.len() + 1, distinct.min(255) as usize);
        }
    }
}
