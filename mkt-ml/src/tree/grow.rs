//! Grows one tree for classification: Gini impurity, features drawn per node, exact over the bins.
//!
//! All counts are integers, so that the order in which rows are added up cannot matter; gains are computed
//! from the counts in one fixed order. Nothing here knows about threads.
//!
//! A node of few rows is copied out of the table, feature by feature, and its whole subtree grown on the copy:
//! most nodes of a deep tree are small, and reading each of their rows from anywhere in a large table would
//! cost a miss of the cache at every level.

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{
    nodes::{Node, Nodes},
    partition::{LeftBins, divide, partition},
    table::{Cuts, MISSING_BIN, Table},
};
use crate::prefetch::prefetch;

/// Nodes of at most so many rows are grown on a copy: four columns of them fit the innermost cache.
const COPIED: usize = 8192;
/// Rows that are requested before they are counted.
const AHEAD: usize = 16;
/// Nodes of more rows look at all bins instead of remembering which hold any.
const DENSE: usize = 256;

/// When to stop, how many features to try and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_depth: usize,
    pub(crate) min_leaf: u64,
    pub(crate) features: usize,
    pub(crate) cuts: CutChoice,
    /// The weights of a negative and of a positive row.
    pub(crate) weights: [f64; 2],
}

/// How a feature's cut is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CutChoice {
    /// The best of all.
    Best,
    /// One drawn between the least and the largest value of the node (Geurts, Ernst, Wehenkel: "Extremely
    /// randomized trees", 2006).
    Random,
}

/// A row in the bag: its number in bits 0..32, its label in bit 32, how often it was drawn above.
pub(crate) fn item(row: u32, times: u32, label: bool) -> u64 {
    u64::from(row) | u64::from(label) << 32 | u64::from(times) << 33
}

/// What an item adds to a cell: drawn rows in the lower half, positive ones in the upper.
#[inline(always)]
fn addend(item: u64) -> u64 {
    let times = item >> 33;
    // All bits set for a positive row.
    times | ((times << 32) & (item >> 32 & 1).wrapping_neg())
}

/// Rows and positive rows, drawings counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    rows: u64,
    positive: u64,
}

impl Counts {
    #[inline(always)]
    fn of_cell(cell: u64) -> Self {
        Self { rows: cell & 0xffff_ffff, positive: cell >> 32 }
    }

    #[inline(always)]
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.positive += other.positive;
    }

    #[inline(always)]
    fn minus(self, other: Self) -> Self {
        Self { rows: self.rows - other.rows, positive: self.positive - other.positive }
    }

    /// Weight of the rows and of the positive ones.
    #[inline(always)]
    fn weigh(self, [of_negative, of_positive]: [f64; 2]) -> [f64; 2] {
        let positive = self.positive as f64 * of_positive;
        [(self.rows - self.positive) as f64 * of_negative + positive, positive]
    }

    /// weight · p (1 − p): half the Gini impurity, weighted.
    #[inline(always)]
    fn impurity(self, weights: [f64; 2]) -> f64 {
        if self.rows == 0 {
            return 0.0;
        }
        let [all, positive] = self.weigh(weights);
        positive * (all - positive) / all
    }

    fn is_pure(self) -> bool {
        self.positive == 0 || self.positive == self.rows
    }

    fn leaf(self, weights: [f64; 2]) -> Node {
        let [all, positive] = self.weigh(weights);
        Node::Leaf { value: if all > 0.0 { (positive / all).min(1.0) } else { 0.0 }, rows: self.rows }
    }
}

/// A tree and the impurity that each feature took away in it, per weight of its rows.
#[derive(Debug)]
pub(crate) struct Grown {
    pub(crate) tree: Nodes,
    pub(crate) gains: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Split {
    feature: usize,
    /// Bins up to this one go left; [`u8::MAX`] with `missing_left` false sends all but missing left.
    bin: u8,
    missing_left: bool,
    gain: f64,
    left: Counts,
}

/// A node still to be split: its place, its items as a range, its depth.
#[derive(Debug, Clone, Copy)]
struct Open {
    node: usize,
    start: usize,
    end: usize,
    depth: usize,
    counts: Counts,
}

/// Grows a tree on `items`, which are used up.
pub(crate) fn grow(table: &Table, items: &mut [u64], limits: Limits, rng: &mut Xoshiro256PlusPlus) -> Grown {
    let counts = Counts::of_cell(items.iter().fold(0, |sum: u64, item| sum + addend(*item)));
    let [total, _] = counts.weigh(limits.weights);
    let features = table.features();
    let mut growing = Growing {
        table,
        limits,
        total,
        nodes: vec![counts.leaf(limits.weights)],
        gains: vec![0.0; features],
        order: (0..features).collect(),
        histograms: Vec::new(),
        aside: Vec::new(),
        open: Vec::new(),
    };
    let mut copy = Copy { bins: Vec::new(), rows: 0 };
    let mut large = vec![Open { node: 0, start: 0, end: items.len(), depth: 0, counts }];
    while let Some(open) = large.pop() {
        let Some(part) = items.get_mut(open.start..open.end) else { continue };
        if part.len() > COPIED {
            growing.step(&Whole(table), items, open, rng);
            // The right side waits: the left one, just divided, is still in cache.
            large.append(&mut growing.open);
        } else if growing.may_split(&open) {
            copy.take(table, part);
            growing.open.push(Open { start: 0, end: part.len(), ..open });
            while let Some(open) = growing.open.pop() {
                growing.step(&copy, part, open, rng);
            }
        }
    }
    Grown { tree: Nodes { nodes: growing.nodes, sets: Vec::new() }, gains: growing.gains }
}

/// Where the bins of a node's rows are found.
trait Source {
    /// Adds `items` to a histogram for each of `features`.
    fn fill(&self, features: &[usize], items: &[u64], histograms: &mut [Histogram]);

    /// As [`partition`].
    fn partition(&self, items: &mut [u64], aside: &mut Vec<u64>, feature: usize, left: &LeftBins) -> usize;
}

/// The table itself.
struct Whole<'a>(&'a Table);

impl Source for Whole<'_> {
    fn fill(&self, features: &[usize], items: &[u64], histograms: &mut [Histogram]) {
        let stride = self.0.features();
        for (place, item) in items.iter().enumerate() {
            if let Some(later) = items.get(place + AHEAD) {
                prefetch(&self.0.bins, *later as u32 as usize * stride);
            }
            let at = *item as u32 as usize * stride;
            let bins = &self.0.bins[at..at + stride];
            let add = addend(*item);
            for (histogram, &feature) in histograms.iter_mut().zip(features) {
                histogram.cells[usize::from(bins[feature])] += add;
            }
        }
        for histogram in histograms {
            histogram.find_occupied();
        }
    }

    fn partition(&self, items: &mut [u64], aside: &mut Vec<u64>, feature: usize, left: &LeftBins) -> usize {
        partition(items, aside, self.0, feature, left)
    }
}

/// The rows of one subtree, feature by feature; items count from its first row.
struct Copy {
    bins: Vec<u8>,
    rows: usize,
}

impl Copy {
    /// Copies the rows of `items` and renumbers them.
    fn take(&mut self, table: &Table, items: &mut [u64]) {
        let features = table.features();
        self.rows = items.len();
        self.bins.clear();
        self.bins.resize(features * items.len(), 0);
        for at in 0..items.len() {
            if let Some(later) = items.get(at + AHEAD) {
                prefetch(&table.bins, *later as u32 as usize * features);
            }
            let item = &mut items[at];
            let from = *item as u32 as usize * features;
            let row = &table.bins[from..from + features];
            for (column, bin) in self.bins.chunks_exact_mut(self.rows).zip(row) {
                column[at] = *bin;
            }
            *item = (*item & !0xffff_ffff) | at as u64;
        }
    }

    fn column(&self, feature: usize) -> &[u8] {
        self.bins.get(feature * self.rows..(feature + 1) * self.rows).unwrap_or_default()
    }
}

impl Source for Copy {
    fn fill(&self, features: &[usize], items: &[u64], histograms: &mut [Histogram]) {
        for (histogram, &feature) in histograms.iter_mut().zip(features) {
            let column = self.column(feature);
            if items.len() > DENSE {
                for item in items {
                    histogram.cells[usize::from(column[*item as u32 as usize])] += addend(*item);
                }
                histogram.find_occupied();
            } else {
                for item in items {
                    let bin = usize::from(column[*item as u32 as usize]);
                    histogram.cells[bin] += addend(*item);
                    histogram.occupied[bin / 64] |= 1 << (bin % 64);
                }
            }
        }
    }

    fn partition(&self, items: &mut [u64], aside: &mut Vec<u64>, feature: usize, left: &LeftBins) -> usize {
        let column = self.column(feature);
        divide(items, aside, left, |row| column[row])
    }
}

struct Growing<'a> {
    table: &'a Table,
    limits: Limits,
    total: f64,
    nodes: Vec<Node>,
    gains: Vec<f64>,
    order: Vec<usize>,
    histograms: Vec<Histogram>,
    aside: Vec<u64>,
    open: Vec<Open>,
}

impl Growing<'_> {
    fn may_split(&self, open: &Open) -> bool {
        open.depth < self.limits.max_depth
            && !open.counts.is_pure()
            && open.counts.rows >= self.limits.min_leaf.saturating_mul(2)
    }

    /// Splits a node if that is worth anything; its children wait in `open`, the left one on top.
    fn step<S: Source>(&mut self, source: &S, items: &mut [u64], node: Open, rng: &mut Xoshiro256PlusPlus) {
        if !self.may_split(&node) {
            return;
        }
        let Some(part) = items.get_mut(node.start..node.end) else { return };
        let Some(split) = self.best_split(source, part, node.counts, rng) else { return };
        let Some(Cuts::Numbers(edges)) = self.table.cuts.get(split.feature) else { return };
        let left: LeftBins = std::array::from_fn(|bin| {
            if bin == usize::from(MISSING_BIN) { split.missing_left } else { bin <= usize::from(split.bin) }
        });
        let middle = node.start + source.partition(part, &mut self.aside, split.feature, &left);
        let right = node.counts.minus(split.left);
        let left_node = self.nodes.len();
        if let Some(slot) = self.nodes.get_mut(node.node) {
            *slot = Node::Split {
                feature: split.feature as u32,
                // Past the last edge everything present goes left.
                threshold: edges.get(usize::from(split.bin) - 1).copied().unwrap_or(f64::MAX),
                missing_left: split.missing_left,
                left: left_node as u32,
            };
        }
        if let Some(gain) = self.gains.get_mut(split.feature) {
            *gain += split.gain.max(0.0) / self.total;
        }
        self.nodes.push(split.left.leaf(self.limits.weights));
        self.nodes.push(right.leaf(self.limits.weights));
        let depth = node.depth + 1;
        let children = [
            Open { node: left_node + 1, start: middle, end: node.end, depth, counts: right },
            Open { node: left_node, start: node.start, end: middle, depth, counts: split.left },
        ];
        self.open.extend(children.into_iter().filter(|child| {
            child.depth < self.limits.max_depth
                && !child.counts.is_pure()
                && child.counts.rows >= self.limits.min_leaf.saturating_mul(2)
        }));
    }

    /// The best split over features drawn without replacement. Features that are constant in the node do not
    /// count among the drawn ones; splits without gain are taken (an XOR starts with one).
    fn best_split<S: Source>(
        &mut self,
        source: &S,
        items: &[u64],
        counts: Counts,
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<Split> {
        let mut best: Option<Split> = None;
        let all = self.order.len();
        let wanted = self.limits.features;
        let (mut tried, mut at) = (0, 0);
        while tried < wanted && at < all {
            // As many as are still wanted are counted in one pass over the rows.
            let until = all.min(at + wanted - tried);
            if wanted < all {
                for place in at..until {
                    let drawn = rng.random_range(place as u64..all as u64) as usize;
                    self.order.swap(place, drawn);
                }
            }
            let drawn = self.order.get(at..until).unwrap_or_default();
            if self.histograms.len() < drawn.len() {
                self.histograms.resize_with(drawn.len(), Histogram::default);
            }
            let histograms = self.histograms.get_mut(..drawn.len()).unwrap_or_default();
            source.fill(drawn, items, histograms);
            for (histogram, &feature) in histograms.iter_mut().zip(drawn) {
                if histogram.is_varied() {
                    tried += 1;
                    let found = match self.limits.cuts {
                        CutChoice::Best => histogram.best_cut(feature, counts, &self.limits),
                        CutChoice::Random => {
                            let edges = match self.table.cuts.get(feature) {
                                Some(Cuts::Numbers(edges)) => edges.as_slice(),
                                _ => &[],
                            };
                            histogram.random_cut(feature, counts, &self.limits, edges, rng)
                        }
                    };
                    if let Some(split) = found
                        && best.is_none_or(|best| split.gain > best.gain)
                    {
                        best = Some(split);
                    }
                }
                histogram.clear();
            }
            at = until;
        }
        best
    }
}

/// Counts per bin, and which bins hold any: small nodes touch few of the 256.
#[derive(Debug)]
struct Histogram {
    cells: [u64; 256],
    occupied: [u64; 4],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { cells: [0; 256], occupied: [0; 4] }
    }
}

impl Histogram {
    fn find_occupied(&mut self) {
        for (word, cells) in self.occupied.iter_mut().zip(self.cells.chunks_exact(64)) {
            *word = cells.iter().enumerate().fold(0, |word, (bit, cell)| word | u64::from(*cell != 0) << bit);
        }
    }

    fn clear(&mut self) {
        for (word, mask) in self.occupied.iter_mut().enumerate() {
            while *mask != 0 {
                self.cells[(word * 64 + mask.trailing_zeros() as usize) & 255] = 0;
                *mask &= *mask - 1;
            }
        }
    }

    /// Whether the node's rows differ in the feature.
    fn is_varied(&self) -> bool {
        self.occupied.iter().map(|mask| mask.count_ones()).sum::<u32>() > 1
    }

    /// Occupied bins with a value, ascending.
    #[inline(always)]
    fn present(&self) -> Present {
        let mut masks = self.occupied;
        masks[0] &= !(1 << MISSING_BIN);
        Present { masks, word: 0 }
    }

    /// The cut with the largest gain that leaves `min_leaf` rows on both sides. Rows with a missing value
    /// try both sides; where there are none, missing values met later follow the larger side.
    fn best_cut(&self, feature: usize, all: Counts, limits: &Limits) -> Option<Split> {
        let missing = Counts::of_cell(self.cells[usize::from(MISSING_BIN)]);
        let mut best = Best::new(feature, all, limits);
        let mut left = Counts::default();
        let mut bins = self.present();
        let mut bin = bins.next();
        while let Some(at) = bin {
            left.add(Counts::of_cell(self.cells[usize::from(at)]));
            let next = bins.next();
            let Some(after) = next else { break };
            // Half way between the bins that hold rows of this node.
            let cut = at + (after - at - 1) / 2;
            best.consider_with(missing, left, cut);
            bin = next;
        }
        if missing.rows > 0 {
            best.consider(all.minus(missing), u8::MAX, false);
        }
        best.found
    }

    /// One cut, drawn evenly between the edges that part the rows.
    fn random_cut(
        &self,
        feature: usize,
        all: Counts,
        limits: &Limits,
        edges: &[f64],
        rng: &mut Xoshiro256PlusPlus,
    ) -> Option<Split> {
        let missing = Counts::of_cell(self.cells[usize::from(MISSING_BIN)]);
        let mut best = Best::new(feature, all, limits);
        let (first, last) = (self.present().next(), self.present().last());
        let chance: f64 = rng.random();
        match first.zip(last) {
            Some((first, last)) if first < last => {
                // Edge b − 1 lies above bin b.
                let parting = edges.get(usize::from(first) - 1..usize::from(last) - 1).unwrap_or_default();
                let (low, high) = (parting.first().copied()?, parting.last().copied()?);
                // Weighted ends, not low + chance · (high − low), which can overflow.
                let value = low * (1.0 - chance) + high * chance;
                let above = parting.partition_point(|edge| *edge < value).min(parting.len() - 1);
                let nearer_below = above > 0
                    && parting
                        .get(above - 1)
                        .zip(parting.get(above))
                        .is_some_and(|(a, b)| value - a < b - value);
                let cut = first + above as u8 - u8::from(nearer_below);
                let mut left = Counts::default();
                for bin in self.present().take_while(|bin| *bin <= cut) {
                    left.add(Counts::of_cell(self.cells[usize::from(bin)]));
                }
                best.consider_with(missing, left, cut);
            }
            // Missing against present is all there is.
            _ => best.consider(all.minus(missing), u8::MAX, false),
        }
        best.found
    }
}

/// Bins of a mask, ascending.
struct Present {
    masks: [u64; 4],
    word: usize,
}

impl Iterator for Present {
    type Item = u8;

    #[inline(always)]
    fn next(&mut self) -> Option<u8> {
        while self.word < 4 {
            let mask = &mut self.masks[self.word];
            if *mask != 0 {
                let bit = mask.trailing_zeros();
                *mask &= *mask - 1;
                return Some((self.word * 64) as u8 + bit as u8);
            }
            self.word += 1;
        }
        None
    }
}

/// The best cut so far of one feature.
struct Best<'a> {
    feature: usize,
    all: Counts,
    impurity: f64,
    limits: &'a Limits,
    found: Option<Split>,
}

impl<'a> Best<'a> {
    fn new(feature: usize, all: Counts, limits: &'a Limits) -> Self {
        Self { feature, all, impurity: all.impurity(limits.weights), limits, found: None }
    }

    #[inline(always)]
    fn consider(&mut self, left: Counts, bin: u8, missing_left: bool) {
        let right = self.all.minus(left);
        if left.rows.min(right.rows) < self.limits.min_leaf.max(1) {
            return;
        }
        let gain = self.impurity - left.impurity(self.limits.weights) - right.impurity(self.limits.weights);
        if self.found.is_none_or(|found| gain > found.gain) {
            self.found = Some(Split { feature: self.feature, bin, missing_left, gain, left });
        }
    }

    #[inline(always)]
    fn consider_with(&mut self, missing: Counts, left: Counts, bin: u8) {
        if missing.rows == 0 {
            self.consider(left, bin, left.rows * 2 >= self.all.rows);
        } else {
            self.consider(left, bin, false);
            let mut with_missing = left;
            with_missing.add(missing);
            self.consider(with_missing, bin, true);
        }
    }
}
