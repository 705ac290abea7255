//! Forests of uplift trees: trees that divide people where the effect of the campaign differs.

use std::num::NonZeroUsize;

use ndarray::ArrayView2;
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::{Deserialize, Serialize};

use super::UpliftError;
use crate::workers::Workers;

/// The most bins of a feature.
const BINS: usize = 64;
/// The bin of missing values.
const MISSING: u8 = u8::MAX;

/// How far the outcomes of treated and controls are apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Divergence {
    /// The square of the difference of both rates.
    #[default]
    Euclidean,
    /// Kullback and Leibler's.
    KullbackLeibler,
    /// χ²: the square of the difference over the spread of the controls.
    ChiSquared,
}

/// Options of a forest of uplift trees (Rzepakowski and Jaroszewicz 2012; Sołtys, Jaroszewicz and Rzepakowski 2015). Each
/// tree draws half of the people for its splits and takes the effects of its leaves from the other half (Athey and
/// Imbens 2016), so that a leaf's effect is not the one that made it a leaf.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ForestOptions {
    trees: usize,
    depth: usize,
    least: usize,
    divergence: Divergence,
    seed: u64,
    #[serde(skip)]
    threads: Option<NonZeroUsize>,
}

impl Default for ForestOptions {
    fn default() -> Self {
        Self { trees: 100, depth: 5, least: 50, divergence: Divergence::default(), seed: 42, threads: None }
    }
}

impl ForestOptions {
    /// The number of trees (default 100).
    #[must_use]
    pub fn trees(mut self, trees: usize) -> Self {
        self.trees = trees;
        self
    }

    /// The most splits between root and leaf (default 5).
    #[must_use]
    pub fn depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// The fewest treated and the fewest controls in a leaf (default 50 each).
    #[must_use]
    pub fn least(mut self, people: usize) -> Self {
        self.least = people;
        self
    }

    /// How splits are judged (default Euclidean).
    #[must_use]
    pub fn divergence(mut self, divergence: Divergence) -> Self {
        self.divergence = divergence;
        self
    }

    /// The seed of all draws (default 42).
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Threads to grow on (default all). The forest does not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: impl Into<Option<NonZeroUsize>>) -> Self {
        self.threads = threads.into();
        self
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Node {
    Leaf(f64),
    /// Values up to the threshold go left.
    Split {
        feature: u32,
        threshold: f64,
        missing_left: bool,
        left: u32,
        right: u32,
    },
}

/// A grown forest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct UpliftForest {
    features: usize,
    trees: Vec<Vec<Node>>,
}

/// People of one group and their yes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Count {
    people: [f64; 2],
    yes: [f64; 2],
}

impl Count {
    fn add(&mut self, other: &Self) {
        for group in 0..2 {
            self.people[group] += other.people[group];
            self.yes[group] += other.yes[group];
        }
    }

    fn all(&self) -> f64 {
        self.people[0] + self.people[1]
    }

    /// The rate of each group, one half of a yes and of a no added, so that none is certain.
    fn rates(&self) -> [f64; 2] {
        [0, 1].map(|group| (self.yes[group] + 0.5) / (self.people[group] + 1.0))
    }

    fn effect(&self) -> Option<f64> {
        let fits = self.people[0] > 0.0 && self.people[1] > 0.0;
        fits.then(|| self.yes[1] / self.people[1] - self.yes[0] / self.people[0])
    }

    fn divergence(&self, divergence: Divergence) -> f64 {
        let [control, treated] = self.rates();
        match divergence {
            Divergence::Euclidean => 2.0 * (treated - control).powi(2),
            Divergence::KullbackLeibler => {
                treated * (treated / control).ln()
                    + (1.0 - treated) * ((1.0 - treated) / (1.0 - control)).ln()
            }
            Divergence::ChiSquared => (treated - control).powi(2) / (control * (1.0 - control)),
        }
    }
}

/// Values as bins, feature after feature.
struct Binned {
    bins: Vec<Vec<u8>>,
    /// The largest value of each bin.
    edges: Vec<Vec<f64>>,
}

impl Binned {
    fn new(records: ArrayView2<'_, f64>) -> Self {
        let (mut bins, mut edges) = (Vec::new(), Vec::new());
        for column in records.columns() {
            let mut known: Vec<f64> = column.iter().copied().filter(|value| !value.is_nan()).collect();
            known.sort_by(f64::total_cmp);
            let mut ends: Vec<f64> = (1..=BINS)
                .filter_map(|bin| known.get((known.len() * bin / BINS).saturating_sub(1)).copied())
                .collect();
            ends.dedup();
            let bin = |value: &f64| match value.is_nan() {
                true => MISSING,
                false => ends.partition_point(|end| end < value).min(ends.len().saturating_sub(1)) as u8,
            };
            bins.push(column.iter().map(bin).collect());
            edges.push(ends);
        }
        Self { bins, edges }
    }
}

struct Grow<'a> {
    options: &'a ForestOptions,
    binned: &'a Binned,
    treated: &'a [bool],
    outcomes: &'a [bool],
    tried: usize,
    nodes: Vec<Node>,
}

/// A split of rows.
struct Split {
    gain: f64,
    feature: usize,
    bin: usize,
    missing_left: bool,
}

impl Grow<'_> {
    fn count(&self, rows: &[u32]) -> Count {
        let mut count = Count::default();
        for row in rows {
            let group = usize::from(self.treated[*row as usize]);
            count.people[group] += 1.0;
            count.yes[group] += f64::from(u8::from(self.outcomes[*row as usize]));
        }
        count
    }

    /// Grows a node over rows that decide splits and rows that decide effects.
    fn node(
        &mut self,
        rows: &mut [u32],
        honest: &mut [u32],
        above: f64,
        depth: usize,
        random: &mut impl Rng,
    ) -> u32 {
        let effect = self.count(honest).effect().unwrap_or(above);
        let at = self.nodes.len() as u32;
        self.nodes.push(Node::Leaf(effect));
        if depth == 0 {
            return at;
        }
        let Some(split) = self.best(rows, random) else { return at };
        let goes_left = |row: &u32| {
            let bin = self.binned.bins[split.feature][*row as usize];
            if bin == MISSING { split.missing_left } else { usize::from(bin) <= split.bin }
        };
        let (middle, honest_middle) = (divide(rows, goes_left), divide(honest, goes_left));
        let threshold = self.binned.edges[split.feature][split.bin];
        let (left_rows, right_rows) = rows.split_at_mut(middle);
        let (left_honest, right_honest) = honest.split_at_mut(honest_middle);
        let left = self.node(left_rows, left_honest, effect, depth - 1, random);
        let right = self.node(right_rows, right_honest, effect, depth - 1, random);
        let (feature, missing_left) = (split.feature as u32, split.missing_left);
        self.nodes[at as usize] = Node::Split { feature, threshold, missing_left, left, right };
        at
    }

    fn best(&self, rows: &[u32], random: &mut impl Rng) -> Option<Split> {
        let all = self.count(rows);
        let least = self.options.least as f64;
        if all.people.iter().any(|people| *people < 2.0 * least) {
            return None;
        }
        let mut features: Vec<usize> = (0..self.binned.bins.len()).collect();
        let (drawn, _) = features.partial_shuffle(random, self.tried);
        drawn.sort_unstable();
        let own = all.divergence(self.options.divergence);
        let mut best: Option<Split> = None;
        for feature in drawn.iter().copied() {
            let bins = &self.binned.bins[feature];
            let mut counts = [Count::default(); BINS + 1];
            for row in rows {
                let row = *row as usize;
                let bin = bins[row];
                let count = &mut counts[if bin == MISSING { BINS } else { usize::from(bin) }];
                let group = usize::from(self.treated[row]);
                count.people[group] += 1.0;
                count.yes[group] += f64::from(u8::from(self.outcomes[row]));
            }
            let missing = counts[BINS];
            let mut below = Count::default();
            for (bin, here) in counts.iter().enumerate().take(self.binned.edges[feature].len()) {
                below.add(here);
                // Without missing values they would go where more people go.
                let sides: &[bool] = if missing.all() > 0.0 { &[false, true] } else { &[false] };
                for missing_left in sides.iter().copied() {
                    let mut left = below;
                    if missing_left {
                        left.add(&missing);
                    }
                    let mut right = all;
                    for group in 0..2 {
                        right.people[group] -= left.people[group];
                        right.yes[group] -= left.yes[group];
                    }
                    if left.people.iter().chain(&right.people).any(|people| *people < least) {
                        continue;
                    }
                    let inside = |count: &Count| count.all() * count.divergence(self.options.divergence);
                    let gain = (inside(&left) + inside(&right)) / all.all() - own;
                    if gain > best.as_ref().map_or(1e-12, |best| best.gain) {
                        let missing_left = missing_left || (missing.all() == 0.0 && left.all() > right.all());
                        best = Some(Split { gain, feature, bin, missing_left });
                    }
                }
            }
        }
        best
    }
}

/// Puts the rows that go left in front, and counts them.
fn divide(rows: &mut [u32], goes_left: impl Fn(&u32) -> bool) -> usize {
    let (left, right): (Vec<u32>, Vec<u32>) = rows.iter().partition(|row| goes_left(row));
    let middle = left.len();
    rows.iter_mut().zip(left.into_iter().chain(right)).for_each(|(slot, row)| *slot = row);
    middle
}

impl UpliftForest {
    pub(super) fn fit(
        records: ArrayView2<'_, f64>,
        treated: &[bool],
        outcomes: &[bool],
        options: &ForestOptions,
    ) -> Result<Self, UpliftError> {
        let whole = [
            ("trees", options.trees, 10_000),
            ("depth", options.depth, 30),
            ("least", options.least, usize::MAX),
        ];
        for (name, value, most) in whole {
            if value < 1 || value > most {
                let expected = "at least 1, at most 10000 trees or a depth of 30";
                return Err(UpliftError::Parameter { name, value: value as f64, expected });
            }
        }
        let binned = Binned::new(records);
        let features = records.ncols();
        let tried = ((features as f64).sqrt().ceil() as usize).max(features.div_ceil(2)).min(features);
        let (people, half) = (treated.len(), treated.len() / 2);
        let workers = Workers::new(options.threads, options.trees)?;
        let trees = workers.enter(|crew| {
            crew.map((0..options.trees as u64).collect(), |tree| {
                let stream = Xoshiro256PlusPlus::seed_from_u64(tree).random::<u64>();
                let mut random = Xoshiro256PlusPlus::seed_from_u64(options.seed ^ stream);
                let mut rows: Vec<u32> = (0..people as u32).collect();
                rows.shuffle(&mut random);
                let (splits, honest) = rows.split_at_mut(half);
                let mut grow = Grow { options, binned: &binned, treated, outcomes, tried, nodes: Vec::new() };
                let above = grow.count(honest).effect().unwrap_or(0.0);
                grow.node(splits, honest, above, options.depth, &mut random);
                grow.nodes
            })
        });
        Ok(Self { features, trees })
    }

    /// The mean effect of the leaves that each row comes to.
    pub(super) fn uplift(&self, records: ArrayView2<'_, f64>) -> Vec<f64> {
        let count = self.trees.len().max(1) as f64;
        records
            .rows()
            .into_iter()
            .map(|row| {
                let leaf = |nodes: &Vec<Node>| {
                    let mut at = 0;
                    loop {
                        match nodes.get(at) {
                            Some(Node::Split { feature, threshold, missing_left, left, right }) => {
                                let value = row[*feature as usize];
                                let goes_left =
                                    if value.is_nan() { *missing_left } else { value <= *threshold };
                                at = if goes_left { *left } else { *right } as usize;
                            }
                            Some(Node::Leaf(effect)) => return *effect,
                            None => return 0.0,
                        }
                    }
                };
                self.trees.iter().map(leaf).sum::<f64>() / count
            })
            .collect()
    }

    pub(super) fn features(&self) -> usize {
        self.features
    }
}
