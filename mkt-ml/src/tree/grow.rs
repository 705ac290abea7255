//! Grows one tree on binned rows: Gini impurity, features drawn per node, exact over the bins.
//!
//! All counts are integers, so that the order in which rows are added up cannot matter; gains are computed
//! from the counts in one fixed order. Nothing here knows about threads.

use rand::Rng;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::{
    Node,
    bins::{Binned, BinnedFeature, MISSING_BIN},
};

/// When to stop and how many features to try.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_depth: usize,
    pub(crate) min_leaf: u64,
    pub(crate) features: usize,
}

/// A row in the bag: its number and how often it was drawn, with its label in the lowest bit of `drawn`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item {
    row: u32,
    drawn: u32,
}

impl Item {
    pub(crate) fn new(row: u32, times: u32, label: bool) -> Self {
        Self { row, drawn: times << 1 | u32::from(label) }
    }

    fn counts(self) -> Counts {
        let times = u64::from(self.drawn >> 1);
        Counts { rows: times, positive: times * u64::from(self.drawn & 1) }
    }
}

/// Rows and positive rows, drawings counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    rows: u64,
    positive: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.rows += other.rows;
        self.positive += other.positive;
    }

    fn minus(self, other: Self) -> Self {
        Self { rows: self.rows - other.rows, positive: self.positive - other.positive }
    }

    /// rows · p (1 − p): half the Gini impurity, weighted.
    fn impurity(self) -> f64 {
        if self.rows == 0 {
            return 0.0;
        }
        let (rows, positive) = (self.rows as f64, self.positive as f64);
        positive * (rows - positive) / rows
    }

    fn is_pure(self) -> bool {
        self.positive == 0 || self.positive == self.rows
    }

    fn leaf(self) -> Node {
        Node::Leaf { probability: self.positive as f64 / self.rows.max(1) as f64, rows: self.rows }
    }
}

/// A tree and the impurity that each feature took away in it, per row.
#[derive(Debug)]
pub(crate) struct Grown {
    pub(crate) nodes: Vec<Node>,
    pub(crate) gains: Vec<f64>,
}

#[derive(Debug, Clone, Copy)]
struct Split {
    feature: usize,
    /// Bins up to this one go left; [`u8::MAX`] with `missing_left` false sends all but missing left.
    bin: u8,
    missing_left: bool,
    gain: f64,
}

/// A node still to be split: its place, its items as a range, its depth.
struct Open {
    node: usize,
    start: usize,
    end: usize,
    depth: usize,
    counts: Counts,
}

/// Grows a tree on `items`, which are reordered.
pub(crate) fn grow(
    binned: &Binned,
    items: &mut [Item],
    limits: Limits,
    rng: &mut Xoshiro256PlusPlus,
) -> Grown {
    let mut counts = Counts::default();
    for item in items.iter() {
        counts.add(item.counts());
    }
    let total = counts.rows as f64;
    let mut nodes = vec![counts.leaf()];
    let mut gains = vec![0.0; binned.features.len()];
    let mut order: Vec<usize> = (0..binned.features.len()).collect();
    let mut histogram = Histogram::default();
    let mut aside = Vec::new();
    let mut open = vec![Open { node: 0, start: 0, end: items.len(), depth: 0, counts }];
    while let Some(Open { node, start, end, depth, counts }) = open.pop() {
        if depth >= limits.max_depth || counts.is_pure() || counts.rows < limits.min_leaf.saturating_mul(2) {
            continue;
        }
        let Some(part) = items.get_mut(start..end) else { continue };
        let Some(split) = best_split(binned, part, counts, limits, &mut order, &mut histogram, rng) else {
            continue;
        };
        let Some(feature) = binned.features.get(split.feature) else { continue };
        let (middle, left) = partition(part, feature, split, &mut aside);
        let right = counts.minus(left);
        let left_node = nodes.len();
        if let Some(slot) = nodes.get_mut(node) {
            *slot = Node::Split {
                feature: split.feature as u32,
                // Past the last edge everything present goes left.
                threshold: feature.edges.get(usize::from(split.bin) - 1).copied().unwrap_or(f64::MAX),
                missing_left: split.missing_left,
                left: left_node as u32,
            };
        }
        if let Some(gain) = gains.get_mut(split.feature) {
            *gain += split.gain.max(0.0) / total;
        }
        nodes.push(left.leaf());
        nodes.push(right.leaf());
        // The right side waits: the left one, just partitioned, is still in cache.
        open.push(Open { node: left_node + 1, start: start + middle, end, depth: depth + 1, counts: right });
        open.push(Open { node: left_node, start, end: start + middle, depth: depth + 1, counts: left });
    }
    Grown { nodes, gains }
}

/// The best split over features drawn without replacement. Features that are constant in the node do not
/// count among the drawn ones; splits without gain are taken (an XOR starts with one).
fn best_split(
    binned: &Binned,
    items: &[Item],
    counts: Counts,
    limits: Limits,
    order: &mut [usize],
    histogram: &mut Histogram,
    rng: &mut Xoshiro256PlusPlus,
) -> Option<Split> {
    let mut best: Option<Split> = None;
    let mut tried = 0;
    let all = order.len();
    for at in 0..all {
        if tried == limits.features {
            break;
        }
        if limits.features < all {
            let drawn = rng.random_range(at as u64..all as u64) as usize;
            order.swap(at, drawn);
        }
        let Some((feature, column)) =
            order.get(at).and_then(|&f| binned.features.get(f).map(|column| (f, column)))
        else {
            continue;
        };
        histogram.fill(&column.bins, items);
        if histogram.is_constant() {
            continue;
        }
        tried += 1;
        if let Some(split) = histogram.best_cut(feature, counts, limits.min_leaf)
            && best.is_none_or(|best| split.gain > best.gain)
        {
            best = Some(split);
        }
    }
    best
}

/// Moves the items that go left before the others, keeping the order on both sides; returns how many go left
/// and their counts.
fn partition(
    items: &mut [Item],
    feature: &BinnedFeature,
    split: Split,
    aside: &mut Vec<Item>,
) -> (usize, Counts) {
    aside.clear();
    let mut left = Counts::default();
    let mut kept = 0;
    for at in 0..items.len() {
        let Some(&item) = items.get(at) else { break };
        let bin = feature.bins.get(item.row as usize).copied().unwrap_or(MISSING_BIN);
        if if bin == MISSING_BIN { split.missing_left } else { bin <= split.bin } {
            left.add(item.counts());
            if let Some(slot) = items.get_mut(kept) {
                *slot = item;
            }
            kept += 1;
        } else {
            aside.push(item);
        }
    }
    if let Some(rest) = items.get_mut(kept..) {
        rest.copy_from_slice(aside);
    }
    (kept, left)
}

/// Counts per bin, and which bins hold any: small nodes touch few of the 256.
#[derive(Debug)]
struct Histogram {
    counts: [Counts; 256],
    occupied: [u64; 4],
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: [Counts::default(); 256], occupied: [0; 4] }
    }
}

impl Histogram {
    fn fill(&mut self, bins: &[u8], items: &[Item]) {
        for (word, mask) in self.occupied.iter_mut().enumerate() {
            while *mask != 0 {
                self.counts[word * 64 + mask.trailing_zeros() as usize] = Counts::default();
                *mask &= *mask - 1;
            }
        }
        for item in items {
            let bin = usize::from(bins.get(item.row as usize).copied().unwrap_or(MISSING_BIN));
            self.counts[bin].add(item.counts());
            self.occupied[bin / 64] |= 1 << (bin % 64);
        }
    }

    fn is_constant(&self) -> bool {
        self.occupied.iter().map(|mask| mask.count_ones()).sum::<u32>() < 2
    }

    /// Occupied bins with a value, ascending.
    fn present(&self) -> impl Iterator<Item = u8> {
        self.occupied.iter().enumerate().flat_map(|(word, &mask)| {
            std::iter::successors((mask != 0).then_some(mask), |mask| {
                let rest = mask & (mask - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |mask| (word * 64) as u8 + mask.trailing_zeros() as u8)
            .filter(|bin| *bin != MISSING_BIN)
        })
    }

    /// The cut with the largest gain that leaves `min_leaf` rows on both sides. Rows with a missing value
    /// try both sides; where there are none, missing values met later follow the larger side.
    fn best_cut(&self, feature: usize, all: Counts, min_leaf: u64) -> Option<Split> {
        let missing = self.counts[usize::from(MISSING_BIN)];
        let impurity = all.impurity();
        let mut best: Option<Split> = None;
        let mut consider = |left: Counts, bin: u8, missing_left: bool| {
            let right = all.minus(left);
            if left.rows.min(right.rows) < min_leaf.max(1) {
                return;
            }
            let gain = impurity - left.impurity() - right.impurity();
            if best.is_none_or(|best| gain > best.gain) {
                best = Some(Split { feature, bin, missing_left, gain });
            }
        };
        let mut left = Counts::default();
        let mut bins = self.present().peekable();
        while let Some(bin) = bins.next() {
            left.add(self.counts[usize::from(bin)]);
            let Some(&next) = bins.peek() else { break };
            // Half way between the bins that hold rows of this node.
            let cut = bin + (next - bin - 1) / 2;
            if missing.rows == 0 {
                consider(left, cut, left.rows * 2 >= all.rows);
            } else {
                consider(left, cut, false);
                let mut with_missing = left;
                with_missing.add(missing);
                consider(with_missing, cut, true);
            }
        }
        if missing.rows > 0 {
            consider(all.minus(missing), u8::MAX, false);
        }
        best
    }
}
