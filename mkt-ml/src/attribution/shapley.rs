//! Shapley values of channels.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use rand::{SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{
    AttributionError,
    paths::{Counts, too_much},
};

/// Up to so many channels, the game of rates is solved over all coalitions.
pub const EXACT_CHANNELS: usize = 20;

/// Conversions, nulls and value of paths, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct SetCounts {
    pub(super) conversions: u64,
    pub(super) nulls: u64,
    pub(super) value: i128,
}

/// Paths by the set of their channels.
#[derive(Debug, Clone, Default)]
pub(super) struct Sets(pub(super) HashMap<Box<[u16]>, SetCounts, FixedState>);

impl Sets {
    /// Adds a path; `scratch` is any vector.
    pub(super) fn add(
        &mut self,
        touches: &[u16],
        counts: Counts,
        scratch: &mut Vec<u16>,
    ) -> Result<(), AttributionError> {
        scratch.clear();
        scratch.extend_from_slice(touches);
        scratch.sort_unstable();
        scratch.dedup();
        let Counts { conversions, nulls, value, .. } = counts;
        self.put(scratch, SetCounts { conversions, nulls, value: i128::from(value) })
    }

    fn put(&mut self, set: &[u16], more: SetCounts) -> Result<(), AttributionError> {
        let held = match self.0.get_mut(set) {
            Some(held) => held,
            None => self.0.entry(set.into()).or_default(),
        };
        let sum = |a: u64, b: u64| a.checked_add(b).ok_or(too_much("paths"));
        held.conversions = sum(held.conversions, more.conversions)?;
        held.nulls = sum(held.nulls, more.nulls)?;
        held.value += more.value;
        Ok(())
    }

    pub(super) fn merge(&mut self, other: &Self, ids: &[u16]) -> Result<(), AttributionError> {
        for (set, counts) in &other.0 {
            let mut set: Vec<u16> = set.iter().map(|id| ids[usize::from(*id)]).collect();
            set.sort_unstable();
            self.put(&set, *counts)?;
        }
        Ok(())
    }

    /// Sets as ranks of channels with their counts, in an order that does not depend on how they came.
    fn ranked(&self, ranks: &[usize]) -> Vec<(Vec<usize>, SetCounts)> {
        let mut sets: Vec<(Vec<usize>, SetCounts)> = self
            .0
            .iter()
            .map(|(set, counts)| {
                let mut set: Vec<usize> = set.iter().map(|id| ranks[usize::from(*id)]).collect();
                set.sort_unstable();
                (set, *counts)
            })
            .collect();
        sets.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        sets
    }
}

/// Shapley values by rank of the channel.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Values {
    pub(super) conversions: Vec<f64>,
    pub(super) value: Vec<f64>,
    /// Of `conversions`, where sampled.
    pub(super) std_errors: Option<Vec<f64>>,
}

/// The game of conversions: each is shared alike by the channels of its path. Exact in whole numbers: the channel of
/// rank i of n gets what lies between i ÷ n and (i + 1) ÷ n of the millionths, each in 2⁻⁴⁸.
pub(super) fn of_conversions(sets: &Sets, ranks: &[usize]) -> [Vec<i128>; 2] {
    let mut shared = [vec![0_i128; ranks.len()], vec![0_i128; ranks.len()]];
    for (set, counts) in sets.ranked(ranks) {
        let n = set.len() as i128;
        for (at, rank) in set.iter().enumerate() {
            let whole = i128::from(super::model::WHOLE);
            let weight = whole * (at as i128 + 1) / n - whole * at as i128 / n;
            shared[0][*rank] += i128::from(counts.conversions) * weight;
            shared[1][*rank] += counts.value * weight;
        }
    }
    shared
}

/// The game of rates over all coalitions: conversions and paths of subsets by a transform over bits, then the mean
/// contribution to each size of coalition.
fn of_rates_exactly(sets: &[(Vec<usize>, SetCounts)], channels: usize) -> Values {
    let coalitions = 1_usize << channels;
    let mut sums = [vec![0.0_f64; coalitions], vec![0.0; coalitions], vec![0.0; coalitions]];
    for (set, counts) in sets {
        let mask = set.iter().fold(0_usize, |mask, rank| mask | 1 << rank);
        sums[0][mask] += counts.conversions as f64;
        sums[1][mask] += counts.value as f64;
        sums[2][mask] += counts.conversions as f64 + counts.nulls as f64;
    }
    for sum in &mut sums {
        for bit in 0..channels {
            let step = 1 << bit;
            for block in sum.chunks_exact_mut(2 * step) {
                let (without, with) = block.split_at_mut(step);
                with.iter_mut().zip(without).for_each(|(with, without)| *with += *without);
            }
        }
    }
    let [mut rates, mut values, paths] = sums;
    for ((rate, value), paths) in rates.iter_mut().zip(&mut values).zip(&paths) {
        *rate = if *paths > 0.0 { *rate / paths } else { 0.0 };
        *value = if *paths > 0.0 { *value / paths } else { 0.0 };
    }
    // size! (n − size − 1)! ÷ n!
    let mut weights = vec![1.0 / channels as f64; channels];
    for size in 1..channels {
        weights[size] = weights[size - 1] * size as f64 / (channels - size) as f64;
    }
    let shapley = |worth: &[f64]| -> Vec<f64> {
        (0..channels)
            .map(|channel| {
                let (bit, mut by_size) = (1_usize << channel, vec![0.0; channels]);
                for block in 0..coalitions >> (channel + 1) {
                    let from = block << (channel + 1);
                    for without in from..from + bit {
                        by_size[without.count_ones() as usize] += worth[without | bit] - worth[without];
                    }
                }
                by_size.iter().zip(&weights).map(|(sum, weight)| sum * weight).sum()
            })
            .collect()
    };
    Values { conversions: shapley(&rates), value: shapley(&values), std_errors: None }
}

/// The game of rates over drawn orders, each with its reverse.
fn of_rates_sampled(
    sets: &[(Vec<usize>, SetCounts)],
    channels: usize,
    permutations: usize,
    seed: u64,
) -> Values {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..channels).collect();
    let (mut place, mut done) = (vec![0_usize; channels], vec![[0.0_f64; 3]; channels]);
    let (mut sum, mut squares, mut values) = (vec![0.0; channels], vec![0.0; channels], vec![0.0; channels]);
    let mut pair = vec![0.0; channels];
    for _ in 0..permutations {
        order.shuffle(&mut random);
        pair.fill(0.0);
        for _ in 0..2 {
            for (at, channel) in order.iter().enumerate() {
                place[*channel] = at;
            }
            done.fill([0.0; 3]);
            // A path is in the coalition once the last of its channels is.
            for (set, counts) in sets {
                let Some(last) = set.iter().map(|channel| place[*channel]).max() else { continue };
                let conversions = counts.conversions as f64;
                done[last][0] += conversions;
                done[last][1] += counts.value as f64;
                done[last][2] += conversions + counts.nulls as f64;
            }
            let (mut in_all, mut before) = ([0.0; 3], [0.0; 2]);
            for (channel, more) in order.iter().zip(&done) {
                in_all.iter_mut().zip(more).for_each(|(all, more)| *all += more);
                let paths = in_all[2];
                let now = if paths > 0.0 { [in_all[0] / paths, in_all[1] / paths] } else { [0.0; 2] };
                pair[*channel] += (now[0] - before[0]) / 2.0;
                values[*channel] += (now[1] - before[1]) / (2 * permutations) as f64;
                before = now;
            }
            order.reverse();
        }
        for channel in 0..channels {
            sum[channel] += pair[channel];
            squares[channel] += pair[channel] * pair[channel];
        }
    }
    let count = permutations as f64;
    let errors = sum.iter().zip(&squares).map(|(sum, squares)| {
        let variance: f64 = (squares - sum * sum / count) / (count - 1.0);
        (variance.max(0.0) / count).sqrt()
    });
    let std_errors = Some(errors.collect());
    Values { conversions: sum.iter().map(|sum| sum / count).collect(), value: values, std_errors }
}

/// The game of rates, scaled to conversions and value by the number of paths.
pub(super) fn of_rates(sets: &Sets, ranks: &[usize], permutations: usize, seed: u64) -> Values {
    let (sets, channels) = (sets.ranked(ranks), ranks.len());
    if channels == 0 {
        return Values { conversions: Vec::new(), value: Vec::new(), std_errors: None };
    }
    let mut values = if channels <= EXACT_CHANNELS {
        of_rates_exactly(&sets, channels)
    } else {
        of_rates_sampled(&sets, channels, permutations, seed)
    };
    let paths: u128 = sets.iter().map(|(_, c)| u128::from(c.conversions) + u128::from(c.nulls)).sum();
    let scale = paths as f64 / super::paths::UNIT;
    values.conversions.iter_mut().for_each(|value| *value *= scale);
    values.value.iter_mut().for_each(|value| *value *= scale);
    if let Some(errors) = &mut values.std_errors {
        errors.iter_mut().for_each(|error| *error *= scale);
    }
    values
}
