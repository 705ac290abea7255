//! The training matrix as bytes: each feature cut into at most 255 bins, row after row.
//!
//! Bin 0 is "missing"; bins 1..=255 ascend for numbers. Up to 255 distinct numbers get a bin each, which makes a
//! tree an exact one; beyond that, bins hold about equally many rows. A category has a bin of its own while there
//! are bins, the rare ones share the last.
//!
//! The bytes are kept twice. Row after row for histograms, which touch all features of a row (boosting) or some of
//! them (forests) at once: one cache line a row instead of one a feature. And feature after feature, in chunks of
//! rows, for dividing a node's rows by one feature, which reads its rows in ascending order.

use ndarray::{ArrayView2, Axis, s};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::{
    classifier::ModelError,
    error::shown,
    simd::{Level, dispatched},
    workers::Crew,
};

/// The bin of a missing value.
pub(crate) const MISSING_BIN: u8 = 0;
/// The most bins with a value.
pub(crate) const MOST_BINS: usize = 255;
/// Rows looked at when cutting; more would not move a quantile by a visible amount.
const SAMPLE: usize = 200_000;
/// Codes of a category beyond which the column is no category: the bins' table would dwarf the data.
pub(crate) const MOST_CODES: usize = 1 << 20;
/// Rows that are cut together: their values and bins stay in the innermost cache.
const LANES: usize = 32;
/// Rows of a chunk: what one thread cuts at a time, and how long a feature's bytes lie together.
const CHUNK_BITS: usize = 14;
const CHUNK: usize = 1 << CHUNK_BITS;

/// A binned matrix.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) rows: usize,
    pub(crate) cuts: Vec<Cuts>,
    /// `cuts.len()` bytes a row.
    pub(crate) bins: Vec<u8>,
    /// Chunks of [`CHUNK`] rows, in each the features one after the other; the last chunk is padded.
    columns: Vec<u8>,
}

/// The bins of one feature.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ColumnBins<'a> {
    columns: &'a [u8],
    features: usize,
    feature: usize,
}

impl ColumnBins<'_> {
    #[inline(always)]
    pub(crate) fn of(self, row: usize) -> u8 {
        let chunk = (row >> CHUNK_BITS) * self.features + self.feature;
        self.columns[chunk << CHUNK_BITS | row & (CHUNK - 1)]
    }
}

/// How the values of one feature become bins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cuts {
    /// `edges[b - 1]` lies between bin b and bin b + 1; a value belongs left when value ≤ edge.
    Numbers(Vec<f64>),
    /// The bin of each code; 0 for codes that training did not show.
    Categories(Vec<u8>),
}

impl Cuts {
    /// Bins in use, the missing one included.
    pub(crate) fn bins(&self) -> usize {
        match self {
            Self::Numbers(edges) => edges.len() + 2,
            Self::Categories(bins) => bins.iter().copied().max().map_or(1, |most| usize::from(most) + 1),
        }
    }
}

impl Table {
    /// Cuts `records` into at most `most` bins a feature; those in `categorical` hold codes 0, 1, 2, …
    ///
    /// # Errors
    /// [`ModelError::NotACategory`] for a code that is no whole number from 0 up.
    pub(crate) fn new(
        records: ArrayView2<'_, f64>,
        names: &[String],
        categorical: &[usize],
        most: usize,
        seed: u64,
        crew: Crew,
    ) -> Result<Self, ModelError> {
        let (rows, features) = records.dim();
        let sample: Option<Vec<usize>> = (rows > SAMPLE).then(|| {
            let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
            // In memory order: the draws are many and the matrix is larger than any cache.
            let mut sample: Vec<usize> =
                (0..SAMPLE).map(|_| rng.random_range(0..rows as u64) as usize).collect();
            sample.sort_unstable();
            sample
        });
        let cuts = crew.map((0..features).collect(), |at| {
            let column = records.column(at);
            if categorical.contains(&at) {
                return categories(column.iter().copied(), names.get(at).map_or("", String::as_str), most);
            }
            let mut values: Vec<f64> = match &sample {
                Some(sample) => sample.iter().filter_map(|&row| column.get(row)).copied().collect(),
                None => column.to_vec(),
            };
            values.retain(|value| !value.is_nan());
            values.sort_unstable_by(f64::total_cmp);
            Ok(Cuts::Numbers(edges(&values, most)))
        });
        let cuts = cuts.into_iter().collect::<Result<Vec<Cuts>, ModelError>>()?;
        let mut bins = vec![0; rows * features];
        let rulers: Vec<Ruler> = cuts.iter().map(Ruler::of).collect();
        let level = Level::of_machine();
        let mut columns = vec![0; rows.next_multiple_of(CHUNK) * features];
        let size = CHUNK * features.max(1);
        let chunks = bins.chunks_mut(size).zip(columns.chunks_mut(size));
        let parts: Vec<_> = (0..rows).step_by(CHUNK).zip(chunks).collect();
        crew.map(parts, |(start, (bins, columns))| {
            let part = records.slice(s![start..rows.min(start + CHUNK), ..]);
            let blocks = part.axis_chunks_iter(Axis(0), LANES).zip(bins.chunks_mut(LANES * features));
            for (number, (block, bins)) in blocks.enumerate() {
                for (at, (column, ruler)) in block.columns().into_iter().zip(&rulers).enumerate() {
                    let mut values = [f64::NAN; LANES];
                    for (value, cell) in values.iter_mut().zip(column) {
                        *value = *cell;
                    }
                    let mut found = [0; LANES];
                    match ruler {
                        Ruler::Edges(edges) => search(level, edges, &values, &mut found),
                        Ruler::Codes(bins) => lookup(bins, &values, &mut found),
                    }
                    let place = at * CHUNK + number * LANES;
                    if let Some(column) = columns.get_mut(place..place + LANES) {
                        column.copy_from_slice(&found);
                    }
                    for (row, bin) in bins.chunks_exact_mut(features).zip(found) {
                        if let Some(slot) = row.get_mut(at) {
                            *slot = bin;
                        }
                    }
                }
            }
        });
        Ok(Self { rows, cuts, bins, columns })
    }

    /// A table of the given bins, row after row.
    #[cfg(test)]
    pub(crate) fn of_bins(features: usize, bins: Vec<u8>) -> Self {
        let rows = bins.len() / features;
        let mut columns = vec![0; rows.next_multiple_of(CHUNK) * features];
        for (at, bin) in bins.iter().enumerate() {
            let (row, feature) = (at / features, at % features);
            columns[(row / CHUNK * features + feature) * CHUNK + row % CHUNK] = *bin;
        }
        Self { rows, cuts: vec![Cuts::Numbers(Vec::new()); features], bins, columns }
    }

    pub(crate) fn column(&self, feature: usize) -> ColumnBins<'_> {
        ColumnBins { columns: &self.columns, features: self.cuts.len(), feature }
    }

    /// The number of features.
    pub(crate) fn features(&self) -> usize {
        self.cuts.len()
    }
}

/// What a block of values is held against.
pub(crate) enum Ruler {
    /// Ascending edges, padded with infinity.
    Edges(Box<[f64; 256]>),
    /// The bin of each code.
    Codes(Vec<u8>),
}

impl Ruler {
    fn of(cuts: &Cuts) -> Self {
        match cuts {
            Cuts::Numbers(edges) => Self::Edges(padded(edges)),
            Cuts::Categories(bins) => Self::Codes(bins.clone()),
        }
    }
}

/// Up to 255 ascending edges, the rest of the table infinite.
pub(crate) fn padded(edges: &[f64]) -> Box<[f64; 256]> {
    let mut table = Box::new([f64::INFINITY; 256]);
    for (slot, edge) in table.iter_mut().zip(edges) {
        *slot = *edge;
    }
    table
}

dispatched! {
    /// The bin of each number: 0 for NaN, else 1 + the edges below it.
    pub(crate) fn search(edges: &[f64; 256], values: &[f64; LANES], bins: &mut [u8; LANES]) = search_lanes
}

/// All lanes take the same eight steps, so that the compiler can keep them in registers side by side.
#[inline(always)]
fn search_lanes(edges: &[f64; 256], values: &[f64; LANES], bins: &mut [u8; LANES]) {
    let mut below = [0_u32; LANES];
    let mut step = 128;
    while step > 0 {
        for (below, value) in below.iter_mut().zip(values) {
            // Never past 255, which the mask tells the compiler.
            let edge = edges[((*below + step - 1) & 255) as usize];
            *below += if edge < *value { step } else { 0 };
        }
        step /= 2;
    }
    for ((bin, below), value) in bins.iter_mut().zip(below).zip(values) {
        *bin = if value.is_nan() { MISSING_BIN } else { (below + 1) as u8 };
    }
}

fn lookup(codes: &[u8], values: &[f64; LANES], bins: &mut [u8; LANES]) {
    for (bin, value) in bins.iter_mut().zip(values) {
        *bin = code(*value).and_then(|code| codes.get(code)).copied().unwrap_or(MISSING_BIN);
    }
}

/// A category's code, unless the value is none.
pub(crate) fn code(value: f64) -> Option<usize> {
    (value >= 0.0 && value < MOST_CODES as f64 && value.fract() == 0.0).then_some(value as usize)
}

/// A bin for each of the most frequent codes, the last for all others.
fn categories(values: impl Iterator<Item = f64>, name: &str, most: usize) -> Result<Cuts, ModelError> {
    let mut counts: Vec<usize> = Vec::new();
    for (row, value) in values.enumerate().filter(|(_, value)| !value.is_nan()) {
        let Some(code) = code(value) else {
            return Err(ModelError::NotACategory { feature: shown(name), row, value });
        };
        if counts.len() <= code {
            counts.resize(code + 1, 0);
        }
        if let Some(count) = counts.get_mut(code) {
            *count += 1;
        }
    }
    let mut seen: Vec<(usize, usize)> =
        counts.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect();
    seen.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    let mut bins = vec![MISSING_BIN; counts.len()];
    for (at, (code, _)) in seen.iter().enumerate() {
        if let Some(bin) = bins.get_mut(*code) {
            *bin = (at + 1).min(most) as u8;
        }
    }
    Ok(Cuts::Categories(bins))
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
            let edges = edges(&values, MOST_BINS);
            assert_eq!(edges.len() + 1, distinct.min(255) as usize);
        }
    }

    #[test]
    fn every_level_of_the_machine_finds_the_bin_that_counting_edges_finds() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(1);
        for count in [0, 1, 2, 7, 100, 253, 254] {
            let mut edges: Vec<f64> = (0..count).map(|_| rng.random_range(-5.0..5.0)).collect();
            edges.sort_unstable_by(f64::total_cmp);
            let mut values = [f64::NAN; LANES];
            for (at, value) in values.iter_mut().enumerate().skip(1) {
                *value = match at % 3 {
                    0 => edges.get(at * 8).copied().unwrap_or(f64::MAX),
                    1 => f64::MIN,
                    _ => rng.random_range(-6.0..6.0),
                };
            }
            let expected = values.map(|value| {
                if value.is_nan() { 0 } else { 1 + edges.iter().filter(|edge| **edge < value).count() as u8 }
            });
            for level in Level::all() {
                let mut bins = [0; LANES];
                search(level, &padded(&edges), &values, &mut bins);
                assert_eq!(bins, expected, "{level:?} {count}");
            }
        }
    }

    #[test]
    fn frequent_categories_get_a_bin_each_and_the_rare_share_the_last() {
        let values = [4.0, 4.0, 4.0, 1.0, 1.0, 0.0, 7.0, f64::NAN];
        let cuts = categories(values.into_iter(), "c", 3);
        assert!(matches!(cuts, Ok(Cuts::Categories(bins)) if bins == [3, 2, 0, 0, 1, 0, 0, 3]));
        for bad in [-1.0, 0.5, f64::INFINITY, 1e9] {
            let refused = categories([0.0, bad].into_iter(), "c", 3);
            assert!(matches!(refused, Err(ModelError::NotACategory { row: 1, .. })), "{bad}");
        }
    }
}
