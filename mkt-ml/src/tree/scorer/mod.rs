//! Many rows through many trees.
//!
//! Rows are taken in blocks of 256. Each value becomes the number of thresholds below it, one byte; after that a
//! split compares bytes, and a block answers it with four words of 64 bits.
//!
//! * Small trees are not walked at all: from the root down, each node's words of rows are divided into its
//!   children's, and what arrives at a leaf takes its value (after Lucchese et al.: "QuickScorer", 2015, and Ye et
//!   al.: "RapidScorer", 2018).
//! * Through large trees the rows of many blocks are poured: a node's list of rows is divided between its children,
//!   so that each node is fetched once and all lie in the order in which they are met; where few rows are left they
//!   walk on side by side. Nodes have eight bytes.
//!
//! Values are added in the order of the trees, so that all ways give the bits of the plain walk.

mod words;

use std::sync::OnceLock;

use ndarray::{ArrayView2, s};

use super::{
    nodes::{Node, Nodes},
    table::{code, padded},
};
use crate::{
    boosting::math::ROUND,
    simd::{Level, dispatched},
};

/// Rows of a block: the bits of four words, so that what a split has to look up serves them all.
const BLOCK: usize = 256;
/// Blocks that go through a tree before the next tree is fetched: where trees are small, as many as have their bytes in
/// the innermost cache; where they are large, so many that fetching a tree is shared by 65 536 rows.
const BLOCKS: [usize; 2] = [2, 256];
/// Trees of more leaves are walked.
const SMALL: usize = 64;
/// Fewer rows are not worth the bytes.
const FEW: usize = 8;
/// Cells of a grid of thresholds, and the most thresholds in a cell for which it beats a search by halves.
const CELLS: usize = 1024;
const MOST_IN_CELL: u32 = 3;
/// The byte of a missing value where it goes right: above every threshold.
const MISSING: u8 = u8::MAX;

/// A scorer made when it is first requested; models compare and are written without it.
#[derive(Debug, Default)]
pub(crate) struct Prepared(OnceLock<Option<Box<Scorer>>>);

impl Clone for Prepared {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl PartialEq for Prepared {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Prepared {
    /// Adds the values of all trees to `sums`, one per row.
    pub(crate) fn add(&self, trees: &[Nodes], records: ArrayView2<'_, f64>, sums: &mut [f64]) {
        let scorer = if records.nrows() < FEW {
            None
        } else {
            self.0.get_or_init(|| Scorer::new(trees, records.ncols()).map(Box::new)).as_ref()
        };
        match scorer {
            Some(scorer) => scorer.add(Level::of_machine(), records, sums),
            None => {
                for (sum, row) in sums.iter_mut().zip(records.outer_iter()) {
                    *sum = trees.iter().fold(*sum, |sum, tree| sum + tree.value(row));
                }
            }
        }
    }
}

/// Trees in the form that blocks are scored by.
#[derive(Debug)]
pub(crate) struct Scorer {
    features: Vec<Feature>,
    slots: usize,
    trees: Vec<Tree>,
}

/// A feature that some split looks at.
#[derive(Debug)]
struct Feature {
    at: usize,
    ruler: Ruler,
    /// Where its bytes stand: with missing values above all thresholds, and below them if any split sends them
    /// left.
    slot: usize,
    missing_left: Option<usize>,
}

#[derive(Debug)]
enum Ruler {
    /// Ascending thresholds, padded with infinity, and how they are searched.
    Thresholds(Box<[f64; 256]>, Search),
    /// The codes that splits know, ascending: a value's byte is its place.
    Codes(Vec<usize>),
}

/// How the thresholds below a value are counted.
#[derive(Debug)]
enum Search {
    /// By halves, from this step down.
    Halves(u32),
    /// The value's place on an even grid tells where to start; so many thresholds at most lie in one cell.
    Grid { grid: Box<Grid>, most: u32 },
}

/// An even grid from the first threshold to the last.
#[derive(Debug)]
struct Grid {
    low: f64,
    /// Cells per unit.
    scale: f64,
    /// The thresholds in the cells before each.
    start: [u32; CELLS],
}

impl Grid {
    /// The cell of a value, by rounding: a larger value is never in a lower cell, which is all that the search
    /// relies on. NaN is in some cell.
    #[inline(always)]
    fn cell(&self, value: f64) -> usize {
        let place = (value - self.low) * self.scale;
        let held = if place > 0.0 { place } else { 0.0 };
        let held = if held < (CELLS - 1) as f64 { held } else { (CELLS - 1) as f64 };
        (held + ROUND).to_bits() as usize & (CELLS - 1)
    }
}

impl Search {
    fn of(thresholds: &[f64]) -> Self {
        let halves = Self::Halves((thresholds.len() as u32 + 1).next_power_of_two() / 2);
        let (Some(low), Some(high)) = (thresholds.first(), thresholds.last()) else { return halves };
        let scale = (CELLS - 1) as f64 / (high - low);
        // Few thresholds are found by halves as fast; the span of some is no number.
        if thresholds.len() < 16 || !scale.is_normal() {
            return halves;
        }
        let mut grid = Box::new(Grid { low: *low, scale, start: [0; CELLS] });
        let mut held = [0_u32; CELLS];
        for threshold in thresholds {
            held[grid.cell(*threshold)] += 1;
        }
        let mut before = 0;
        for (start, held) in grid.start.iter_mut().zip(&held) {
            *start = before;
            before += held;
        }
        let most = held.iter().copied().max().unwrap_or_default();
        if most <= MOST_IN_CELL { Self::Grid { grid, most } } else { halves }
    }
}

#[derive(Debug)]
enum Tree {
    Small(Box<SmallTree>),
    Large { nodes: Vec<LargeNode>, values: Vec<f64> },
}

/// Splits from the root down, and leaves: their nodes, and their values in the same order.
#[derive(Debug)]
struct SmallTree {
    splits: Vec<SmallSplit>,
    leaves: Vec<u8>,
    values: [f64; SMALL],
    sets: Vec<[u64; 4]>,
}

/// A split whose rows go left when their byte is at most `most`, or is in the set with the number `set`.
#[derive(Debug, Clone, Copy)]
struct SmallSplit {
    slot: u16,
    set: u8,
    by_set: bool,
    node: u8,
    left: u8,
    most: u8,
}

/// As above; a leaf has itself for a left child, to which all bytes go.
#[derive(Debug, Clone, Copy)]
struct LargeNode {
    left: u32,
    slot: u16,
    most: u8,
}

impl Scorer {
    /// `None` where some feature has more thresholds or categories than a byte can count, or a large tree has
    /// splits on categories: such trees are walked by value.
    fn new(trees: &[Nodes], features: usize) -> Option<Self> {
        #[derive(Clone, Default)]
        struct Seen {
            thresholds: Vec<f64>,
            codes: Vec<usize>,
            missing_left: bool,
        }
        let mut seen = vec![Seen::default(); features];
        for tree in trees {
            for node in &tree.nodes {
                match *node {
                    Node::Leaf { .. } => {}
                    Node::Split { feature, threshold, missing_left, .. } => {
                        let seen = seen.get_mut(feature as usize)?;
                        seen.thresholds.push(threshold);
                        seen.missing_left |= missing_left;
                    }
                    Node::Category { feature, set, .. } => {
                        let (seen, sides) = (seen.get_mut(feature as usize)?, tree.sets.get(set as usize)?);
                        seen.codes.extend(sides.left.iter().chain(sides.right.iter()));
                        seen.codes.sort_unstable();
                        seen.codes.dedup();
                        if seen.codes.len() >= usize::from(MISSING) {
                            return None;
                        }
                    }
                }
            }
        }
        let mut scorer = Self { features: Vec::new(), slots: 0, trees: Vec::new() };
        let mut places: Vec<Option<usize>> = vec![None; features];
        for (at, mut seen) in seen.into_iter().enumerate() {
            seen.thresholds.sort_unstable_by(f64::total_cmp);
            seen.thresholds.dedup();
            let ruler = match (seen.thresholds.is_empty(), seen.codes.is_empty()) {
                (true, true) => continue,
                (false, true) if seen.thresholds.len() < usize::from(MISSING) => {
                    Ruler::Thresholds(padded(&seen.thresholds), Search::of(&seen.thresholds))
                }
                (true, false) if seen.codes.len() < usize::from(MISSING) => Ruler::Codes(seen.codes),
                _ => return None,
            };
            let slot = scorer.slots;
            let missing_left = seen.missing_left.then_some(slot + 1);
            scorer.slots += 1 + usize::from(seen.missing_left);
            if let Some(place) = places.get_mut(at) {
                *place = Some(scorer.features.len());
            }
            scorer.features.push(Feature { at, ruler, slot, missing_left });
        }
        if scorer.slots > usize::from(u16::MAX) {
            return None;
        }
        for tree in trees {
            let compiled = scorer.compile(tree, &places)?;
            scorer.trees.push(compiled);
        }
        Some(scorer)
    }

    fn compile(&self, tree: &Nodes, places: &[Option<usize>]) -> Option<Tree> {
        let feature = |at: u32| self.features.get((*places.get(at as usize)?)?);
        let threshold = |at: u32, threshold: f64, missing_left: bool| {
            let feature = feature(at)?;
            let Ruler::Thresholds(thresholds, _) = &feature.ruler else { return None };
            // At most this threshold: as many thresholds are below as are below the threshold itself.
            let most = thresholds.iter().take_while(|other| **other < threshold).count() as u8;
            Some((if missing_left { feature.missing_left? } else { feature.slot } as u16, most))
        };
        if tree.leaves() > SMALL {
            let order = along_heavy_paths(tree);
            let mut place = vec![0_u32; tree.nodes.len()];
            for (to, from) in order.iter().enumerate() {
                *place.get_mut(*from)? = to as u32;
            }
            let nodes = order.iter().zip(0_u32..).map(|(from, at)| match *tree.nodes.get(*from)? {
                Node::Leaf { .. } => Some(LargeNode { left: at, slot: 0, most: u8::MAX }),
                Node::Split { feature, threshold: value, missing_left, left } => {
                    let (slot, most) = threshold(feature, value, missing_left)?;
                    Some(LargeNode { left: *place.get(left as usize)?, slot, most })
                }
                Node::Category { .. } => None,
            });
            let value = |from: &usize| match tree.nodes.get(*from) {
                Some(Node::Leaf { value, .. }) => *value,
                _ => 0.0,
            };
            return Some(Tree::Large {
                nodes: nodes.collect::<Option<_>>()?,
                values: order.iter().map(value).collect(),
            });
        }
        let mut small =
            SmallTree { splits: Vec::new(), leaves: Vec::new(), values: [0.0; SMALL], sets: Vec::new() };
        for (node, at) in tree.nodes.iter().zip(0_u8..) {
            match *node {
                Node::Leaf { value, .. } => {
                    small.values[small.leaves.len()] = value;
                    small.leaves.push(at);
                }
                Node::Split { feature, threshold: value, missing_left, left } => {
                    let (slot, most) = threshold(feature, value, missing_left)?;
                    small.splits.push(SmallSplit {
                        slot,
                        set: 0,
                        by_set: false,
                        node: at,
                        left: left as u8,
                        most,
                    });
                }
                Node::Category { feature: at_feature, missing_left, left, .. } => {
                    let feature = feature(at_feature)?;
                    let Ruler::Codes(codes) = &feature.ruler else { return None };
                    let mut bits = [0; 4];
                    for (place, code) in codes.iter().enumerate() {
                        bits[place / 64] |= u64::from(tree.goes_left(node, *code as f64)) << (place % 64);
                    }
                    bits[3] |= u64::from(missing_left) << 63;
                    let (slot, set) = (feature.slot as u16, small.sets.len() as u8);
                    small.splits.push(SmallSplit {
                        slot,
                        set,
                        by_set: true,
                        node: at,
                        left: left as u8,
                        most: 0,
                    });
                    small.sets.push(bits);
                }
            }
        }
        Some(Tree::Small(Box::new(small)))
    }

    /// Adds the values of all trees to `sums`, one per row.
    fn add(&self, level: Level, records: ArrayView2<'_, f64>, sums: &mut [f64]) {
        let large = self.trees.iter().any(|tree| matches!(tree, Tree::Large { .. }));
        let rows = records.nrows();
        let blocks = BLOCKS[usize::from(large)].min(rows.div_ceil(BLOCK));
        let mut bytes = vec![[0; BLOCK]; blocks * self.slots];
        let mut values = vec![[f64::NAN; BLOCK]; blocks * self.features.len()];
        let mut padded_sums = vec![[0.0; BLOCK]; blocks];
        let mut reach = [[0; words::WORDS]; words::NODES];
        let mut pour = Pour::default();
        for start in (0..rows).step_by(blocks * BLOCK) {
            let part = records.slice(s![start..rows.min(start + blocks * BLOCK), ..]);
            let sums = sums.get_mut(start..start + part.nrows()).unwrap_or_default();
            let used = part.nrows().div_ceil(BLOCK);
            self.gather(part, &mut values);
            self.measure(level, &values, &mut bytes, used);
            for (padded, sums) in padded_sums.iter_mut().zip(sums.chunks(BLOCK)) {
                padded[..sums.len()].copy_from_slice(sums);
            }
            if large {
                pour.fill(&bytes, self.slots, used);
            }
            for tree in &self.trees {
                match tree {
                    Tree::Small(tree) => {
                        for (block, sums) in padded_sums.iter_mut().enumerate().take(used) {
                            let bytes = &bytes[block * self.slots..(block + 1) * self.slots];
                            words::score(level, tree, bytes, &mut reach, sums);
                        }
                    }
                    Tree::Large { nodes, values } => {
                        let sums = padded_sums.get_mut(..used).unwrap_or_default().as_flattened_mut();
                        pour.through(nodes, values, sums.get_mut(..part.nrows()).unwrap_or_default());
                    }
                }
            }
            for (padded, sums) in padded_sums.iter().zip(sums.chunks_mut(BLOCK)) {
                sums.copy_from_slice(&padded[..sums.len()]);
            }
        }
    }

    /// Puts the values of each feature of a block side by side, a line of the cache at a time.
    fn gather(&self, part: ArrayView2<'_, f64>, values: &mut [[f64; BLOCK]]) {
        const LINE: usize = 8;
        let copied;
        let cells = match part.as_slice() {
            Some(cells) => cells,
            None => {
                copied = part.iter().copied().collect::<Vec<f64>>();
                &copied
            }
        };
        let width = part.ncols();
        for (line, rows) in cells.chunks(LINE * width.max(1)).enumerate() {
            let (block, lane) = (line * LINE / BLOCK, line * LINE % BLOCK);
            let places = values.chunks_exact_mut(self.features.len().max(1)).nth(block).unwrap_or_default();
            let count = rows.len() / width.max(1);
            if count < LINE {
                for (at, row) in rows.chunks_exact(width.max(1)).enumerate() {
                    for (feature, values) in self.features.iter().zip(&mut *places) {
                        values[lane + at] = row[feature.at];
                    }
                }
                continue;
            }
            let rows: [&[f64]; LINE] = std::array::from_fn(|row| &rows[row * width..(row + 1) * width]);
            for (feature, values) in self.features.iter().zip(places) {
                let line: [f64; LINE] = std::array::from_fn(|lane| rows[lane][feature.at]);
                values[lane..lane + LINE].copy_from_slice(&line);
            }
        }
    }

    /// Turns values into bytes, one feature after the other: what it is held against stays in the cache.
    fn measure(&self, level: Level, values: &[[f64; BLOCK]], bytes: &mut [[u8; BLOCK]], blocks: usize) {
        for (number, feature) in self.features.iter().enumerate() {
            for block in 0..blocks {
                let values = &values[block * self.features.len() + number];
                let mut found = [0; BLOCK];
                match &feature.ruler {
                    Ruler::Thresholds(thresholds, Search::Halves(step)) => {
                        count_by_halves(level, thresholds, *step, values, &mut found);
                    }
                    Ruler::Thresholds(thresholds, Search::Grid { grid, most }) => {
                        count_by_grid(level, thresholds, grid, *most, values, &mut found);
                    }
                    Ruler::Codes(codes) => {
                        for (byte, value) in found.iter_mut().zip(values) {
                            let place = code(*value).and_then(|code| codes.binary_search(&code).ok());
                            *byte = place.map_or(MISSING, |place| place as u8);
                        }
                    }
                }
                let place = block * self.slots + feature.slot;
                if matches!(feature.ruler, Ruler::Thresholds(..)) && any_missing(values) {
                    for (byte, value) in found.iter_mut().zip(values) {
                        *byte = if value.is_nan() { MISSING } else { *byte };
                    }
                }
                bytes[place] = found;
                if let Some(slot) = feature.missing_left {
                    for (byte, value) in found.iter_mut().zip(values) {
                        *byte = if value.is_nan() { 0 } else { *byte };
                    }
                    bytes[block * self.slots + slot] = found;
                }
            }
        }
    }
}

#[inline(always)]
fn any_missing(values: &[f64; BLOCK]) -> bool {
    values.iter().fold(false, |any, value| any | value.is_nan())
}

/// The nodes in the order in which most rows meet them: after a pair of children the children of the one with more
/// training rows, so that a line of the cache holds several steps of a walk.
fn along_heavy_paths(tree: &Nodes) -> Vec<usize> {
    let rows = tree.rows();
    let mut order = vec![0];
    let mut open = vec![0];
    while let Some(at) = open.pop() {
        let Some(Node::Split { left, .. } | Node::Category { left, .. }) = tree.nodes.get(at) else {
            continue;
        };
        let (left, right) = (*left as usize, *left as usize + 1);
        order.extend([left, right]);
        let heavy_left = rows.get(left) >= rows.get(right);
        open.extend(if heavy_left { [right, left] } else { [left, right] });
    }
    order
}

dispatched! {
    /// How many thresholds lie below each value.
    fn count_by_halves(thresholds: &[f64; 256], first: u32, values: &[f64; BLOCK], counts: &mut [u8; BLOCK]) = by_halves
}
dispatched! {
    /// The same, for thresholds on a grid.
    fn count_by_grid(
        thresholds: &[f64; 256], grid: &Grid, most: u32, values: &[f64; BLOCK], counts: &mut [u8; BLOCK],
    ) = by_grid
}

#[inline(always)]
fn by_halves(thresholds: &[f64; 256], first: u32, values: &[f64; BLOCK], counts: &mut [u8; BLOCK]) {
    // A few lanes at a time, whose state the registers hold.
    for (values, counts) in values.chunks_exact(16).zip(counts.chunks_exact_mut(16)) {
        let mut below = [0_u32; 16];
        let mut step = first;
        while step > 0 {
            for (below, value) in below.iter_mut().zip(values) {
                let threshold = thresholds[((*below + step - 1) & 255) as usize];
                *below += if threshold < *value { step } else { 0 };
            }
            step /= 2;
        }
        for (count, below) in counts.iter_mut().zip(below) {
            *count = below as u8;
        }
    }
}

/// All thresholds of lower cells are below a value, none of higher cells is: those of its own are tried in turn.
#[inline(always)]
fn by_grid(thresholds: &[f64; 256], grid: &Grid, most: u32, values: &[f64; BLOCK], counts: &mut [u8; BLOCK]) {
    for (values, counts) in values.chunks_exact(16).zip(counts.chunks_exact_mut(16)) {
        let mut below = [0_u32; 16];
        for (below, value) in below.iter_mut().zip(values) {
            *below = grid.start[grid.cell(*value)];
        }
        for _ in 0..most {
            for (below, value) in below.iter_mut().zip(values) {
                *below += u32::from(thresholds[(*below & 255) as usize] < *value);
            }
        }
        for (count, below) in counts.iter_mut().zip(below) {
            *count = below as u8;
        }
    }
}

/// The rows of a batch on their way through large trees.
#[derive(Debug, Default)]
struct Pour {
    /// The bytes of each row, one row after the other.
    bytes: Vec<u8>,
    /// Bytes a row.
    stride: usize,
    /// The rows in the order in which they stand at nodes.
    order: Vec<u32>,
    aside: Vec<u32>,
    /// Nodes whose rows wait: the node, and its rows' places in `order`.
    waiting: Vec<(u32, usize, usize)>,
}

impl Pour {
    /// Lays the bytes of `blocks` blocks out by row.
    fn fill(&mut self, bytes: &[[u8; BLOCK]], slots: usize, blocks: usize) {
        self.stride = slots;
        self.bytes.resize(blocks * BLOCK * slots, 0);
        self.aside.resize(blocks * BLOCK, 0);
        let blocks = bytes.chunks_exact(slots.max(1)).zip(self.bytes.chunks_exact_mut(BLOCK * slots.max(1)));
        for (columns, rows) in blocks {
            for (slot, column) in columns.iter().enumerate() {
                for (row, byte) in rows.chunks_exact_mut(slots).zip(column) {
                    row[slot] = *byte;
                }
            }
        }
    }

    /// Adds the tree's value to each row's sum. While many rows stand at a node they are divided between its children
    /// as one list, so that the nodes of a tree larger than the caches are fetched once a batch and in the order in
    /// which they lie; few rows walk on from where they are.
    fn through(&mut self, nodes: &[LargeNode], values: &[f64], sums: &mut [f64]) {
        let Self { bytes, stride, order, aside, waiting } = self;
        order.clear();
        order.extend(0..sums.len() as u32);
        waiting.push((0, 0, sums.len()));
        while let Some((mut at, mut start, mut end)) = waiting.pop() {
            loop {
                let node = nodes[at as usize];
                let rows = &mut order[start..end];
                if node.left == at {
                    for row in rows {
                        sums[*row as usize] += values[at as usize];
                    }
                    break;
                }
                if rows.len() <= GROUP {
                    walk(nodes, values, at, bytes, *stride, rows, sums);
                    break;
                }
                let slot = usize::from(node.slot);
                let [mut kept, mut moved] = [0, 0];
                for place in 0..rows.len() {
                    let row = rows[place];
                    let goes_right = bytes[row as usize * *stride + slot] > node.most;
                    // To both sides, the ends move by the outcome: nothing to guess wrong.
                    rows[kept] = row;
                    aside[moved] = row;
                    kept += usize::from(!goes_right);
                    moved += usize::from(goes_right);
                }
                rows[kept..].copy_from_slice(&aside[..moved]);
                let (left, right) = ((node.left, start, start + kept), (node.left + 1, start + kept, end));
                // The child whose own children come next in memory goes first.
                let right_first = nodes[right.0 as usize].left == node.left + 2;
                let (first, second) = if right_first { (right, left) } else { (left, right) };
                if second.1 < second.2 {
                    waiting.push(second);
                }
                (at, start, end) = first;
                if start == end {
                    break;
                }
            }
        }
    }
}

/// Rows that walk side by side: a step of one does not wait for a step of another.
const GROUP: usize = 8;

fn walk(
    nodes: &[LargeNode],
    values: &[f64],
    from: u32,
    bytes: &[u8],
    stride: usize,
    rows: &[u32],
    sums: &mut [f64],
) {
    let mut at = [from; GROUP];
    loop {
        let mut moved = 0;
        for (row, at) in rows.iter().zip(&mut at) {
            let node = nodes[*at as usize];
            let byte = bytes[*row as usize * stride + usize::from(node.slot)];
            let next = node.left + u32::from(byte > node.most);
            moved |= next ^ *at;
            *at = next;
        }
        if moved == 0 {
            break;
        }
    }
    for (row, at) in rows.iter().zip(at) {
        sums[*row as usize] += values[at as usize];
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;
    use crate::tree::nodes::{CodeSet, Sides};

    /// A tree of random shape over five features: three of numbers, two of categories unless it is large.
    fn tree(splits: usize, categories: bool, rng: &mut Xoshiro256PlusPlus) -> Nodes {
        let mut tree = Nodes { nodes: vec![Node::Leaf { value: rng.random(), rows: 1 }], sets: Vec::new() };
        let mut leaves = vec![0];
        for _ in 0..splits {
            let at = leaves.swap_remove(rng.random_range(0..leaves.len() as u64) as usize);
            let (left, missing_left) = (tree.nodes.len() as u32, rng.random());
            tree.nodes[at] = if categories && rng.random_bool(0.3) {
                let (mut to_left, mut to_right) = (CodeSet::default(), CodeSet::default());
                for code in 0..7 {
                    if rng.random() { to_left.insert(code) } else { to_right.insert(code) }
                }
                tree.sets.push(Sides { left: to_left, right: to_right });
                let set = tree.sets.len() as u32 - 1;
                Node::Category { feature: rng.random_range(3..5), set, missing_left, left }
            } else {
                let threshold =
                    if rng.random_bool(0.05) { f64::MAX } else { f64::from(rng.random_range(-9..9)) };
                Node::Split { feature: rng.random_range(0..3), threshold, missing_left, left }
            };
            for _ in 0..2 {
                leaves.push(tree.nodes.len());
                tree.nodes.push(Node::Leaf { value: rng.random_range(-1.0..1.0), rows: 1 });
            }
        }
        tree
    }

    #[test]
    fn blocks_give_the_bits_of_the_plain_walk_at_every_level() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(11);
        for (rows, sizes) in [
            (8, vec![0, 1]),
            (257, vec![2, 31]),
            (64, vec![3, 30, 31, 32]),
            (1000, vec![30, 63, 5, 0]),
            (5000, vec![500, 30, 64]),
            (700, vec![]),
        ] {
            let large = sizes.iter().any(|size| *size + 1 > SMALL);
            let trees: Vec<Nodes> = sizes.iter().map(|size| tree(*size, !large, &mut rng)).collect();
            let records = Array2::from_shape_fn((rows, 5), |(_, feature)| match rng.random_range(0..12) {
                0 => f64::NAN,
                // Codes that no split knows, and values that are no code.
                1 if feature > 2 => 99.5,
                _ if feature > 2 => f64::from(rng.random_range(0..9)),
                1 => f64::MAX,
                2 => f64::MIN,
                _ => f64::from(rng.random_range(-20..20)) / 2.0,
            });
            let expected: Vec<f64> = records
                .outer_iter()
                .map(|row| trees.iter().fold(0.25, |sum, tree| sum + tree.value(row)))
                .collect();
            let scorer = Scorer::new(&trees, 5).unwrap();
            for level in Level::all() {
                let mut sums = vec![0.25; rows];
                scorer.add(level, records.view(), &mut sums);
                let same = sums.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
                assert!(same, "{level:?}, {rows} rows, trees {sizes:?}");
            }
        }
    }

    #[test]
    fn halves_and_grids_count_the_thresholds_below() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(13);
        let mut grids = 0;
        for round in 0..200 {
            let count = rng.random_range(1..=254);
            let mut thresholds: Vec<f64> = (0..count)
                .map(|_| match round % 4 {
                    0 => rng.random_range(-1.0..1.0),
                    1 => f64::from(rng.random_range(0..300)) * 0.1,
                    2 => rng.random_range(-20.0_f64..3.0).exp(),
                    _ => rng.random_range(-1.0..1.0) * f64::MAX,
                })
                .collect();
            thresholds.sort_unstable_by(f64::total_cmp);
            thresholds.dedup();
            let table = padded(&thresholds);
            let values: [f64; BLOCK] = std::array::from_fn(|lane| {
                let threshold = thresholds[lane % thresholds.len()];
                match lane % 8 {
                    0 => f64::MIN,
                    1 => f64::MAX,
                    2 => threshold.next_down(),
                    3 => threshold.next_up(),
                    4 => threshold,
                    5 => 0.0,
                    _ => rng.random_range(-1.0..3.0),
                }
            });
            let expected =
                values.map(|value| thresholds.iter().filter(|other| **other < value).count() as u8);
            let search = Search::of(&thresholds);
            for level in Level::all() {
                let mut found = [0; BLOCK];
                count_by_halves(level, &table, 128, &values, &mut found);
                assert_eq!(found, expected, "{level:?} {thresholds:?}");
                if let Search::Grid { grid, most } = &search {
                    count_by_grid(level, &table, grid, *most, &values, &mut found);
                    assert_eq!(found, expected, "{level:?} {thresholds:?}");
                    grids += 1;
                }
            }
        }
        assert!(grids > 100, "{grids}");
    }

    #[test]
    fn trees_that_bytes_cannot_count_are_walked_by_value() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(12);
        let stump = |threshold: f64| Nodes {
            nodes: vec![
                Node::Split { feature: 0, threshold, missing_left: true, left: 1 },
                Node::Leaf { value: 1.0, rows: 1 },
                Node::Leaf { value: 2.0, rows: 1 },
            ],
            sets: Vec::new(),
        };
        let trees: Vec<Nodes> = (0..255).map(|_| stump(rng.random())).collect();
        assert!(Scorer::new(&trees, 1).is_none());
        assert!(Scorer::new(&trees[..254], 1).is_some());
        let records = Array2::from_shape_fn((100, 1), |(row, _)| row as f64 / 100.0);
        let mut sums = vec![0.0; 100];
        Prepared::default().add(&trees, records.view(), &mut sums);
        for (sum, row) in sums.iter().zip(records.outer_iter()) {
            assert_eq!(*sum, trees.iter().map(|tree| tree.value(row)).sum::<f64>());
        }
    }
}
