//! Grows one tree leaf by leaf: the leaf whose split lowers the loss most is divided next.

use super::{
    histogram::{self, Cells, Item, Sums},
    split::{Bounds, Candidate, Counted, Monotone, Place, Rules},
};
use crate::{
    tree::{
        nodes::{CodeSet, Node, Nodes, Sides},
        partition::{Asides, partition, partition_shared},
        table::{Cuts, Table},
    },
    workers::Crew,
};

/// Bytes of histograms kept for taking a child's from its parent's.
const KEPT_BYTES: usize = 256 << 20;
/// Smaller nodes are looked at by one thread.
const SHARED: usize = 1 << 12;

/// Features up to which rows are counted for one at a time.
const FEW: usize = 64;

/// When a tree ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) leaves: usize,
    pub(crate) max_depth: usize,
    pub(crate) min_gain: f64,
}

/// A tree whose leaves hold parts of the margin, with the rows of each leaf.
#[derive(Debug)]
pub(crate) struct Grown {
    pub(crate) tree: Nodes,
    /// The value of each leaf, and where its items end; they begin where the one before ends.
    pub(crate) leaves: Vec<(f64, usize)>,
    /// The fall of the loss by feature.
    pub(crate) gains: Vec<f64>,
}

/// Histograms that no leaf uses now.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    free: Vec<Vec<Cells>>,
    lent: usize,
}

impl Pool {
    fn take(&mut self, features: usize) -> Vec<Cells> {
        self.lent += 1;
        self.free.pop().unwrap_or_else(|| vec![[0; 256]; features])
    }

    fn give(&mut self, cells: Vec<Cells>) {
        self.lent -= 1;
        self.free.push(cells);
    }
}

struct Leaf {
    node: usize,
    start: usize,
    end: usize,
    depth: usize,
    sums: Sums,
    bounds: Bounds,
    cells: Option<Vec<Cells>>,
    best: Option<Candidate>,
    /// Features whose best split was not allowed.
    counted: Counted,
}

/// Grows a tree on `items`, which are reordered: the rows of a leaf end up side by side.
#[allow(clippy::too_many_arguments)]
pub(crate) fn grow(
    table: &Table,
    items: &mut [Item],
    features: &[usize],
    rules: &Rules,
    limits: Limits,
    shrink: f64,
    pool: &mut Pool,
    crew: Crew,
) -> Grown {
    let mut growing =
        Growing { table, features, rules, limits, pool, crew, aside: Vec::new(), asides: Vec::new() };
    let mut tree =
        Nodes { nodes: vec![Node::Leaf { value: 0.0, rows: items.len() as u64 }], sets: Vec::new() };
    let mut gains = vec![0.0; table.features()];
    let mut root = Leaf {
        node: 0,
        start: 0,
        end: items.len(),
        depth: 0,
        sums: histogram::total(items, crew),
        bounds: Bounds::WIDEST,
        cells: None,
        best: None,
        counted: Vec::new(),
    };
    if limits.leaves > 1 {
        growing.look(&mut root, items);
    }
    let mut leaves = vec![root];
    while leaves.len() < limits.leaves {
        let promising = |(at, leaf): (usize, &Leaf)| leaf.best.map(|best| (at, best));
        // The first of equals: the order of leaves is that of their making.
        let next = leaves
            .iter()
            .enumerate()
            .filter_map(promising)
            .reduce(|most, other| if other.1.gain > most.1.gain { other } else { most });
        let Some((at, candidate)) = next else { break };
        let last = leaves.len() + 1 == limits.leaves;
        let Some(leaf) = leaves.get_mut(at) else { break };
        let Some(right) = growing.divide(leaf, candidate, items, last) else { continue };
        let left_node = tree.nodes.len();
        let split = node_of(table, &candidate, left_node, &mut tree.sets);
        if let Some(slot) = tree.nodes.get_mut(leaf.node) {
            *slot = split;
        }
        if let Some(gain) = gains.get_mut(candidate.feature) {
            *gain += candidate.gain;
        }
        leaf.node = left_node;
        let right = Leaf { node: left_node + 1, ..right };
        for _ in 0..2 {
            tree.nodes.push(Node::Leaf { value: 0.0, rows: 0 });
        }
        leaves.push(right);
    }
    for leaf in &mut leaves {
        growing.put_back(leaf);
        let (value, rows) = (shrink * rules.value(leaf.sums, leaf.bounds), (leaf.end - leaf.start) as u64);
        if let Some(slot) = tree.nodes.get_mut(leaf.node) {
            *slot = Node::Leaf { value, rows };
        }
    }
    tree.order_sets();
    leaves.sort_by_key(|leaf| leaf.start);
    let value = |leaf: &Leaf| (shrink * rules.value(leaf.sums, leaf.bounds), leaf.end);
    Grown { tree, leaves: leaves.iter().map(value).collect(), gains }
}

struct Growing<'a> {
    table: &'a Table,
    features: &'a [usize],
    rules: &'a Rules,
    limits: Limits,
    pool: &'a mut Pool,
    crew: Crew,
    aside: Vec<u64>,
    asides: Vec<Asides>,
}

impl Growing<'_> {
    /// Whether a leaf can be divided at all.
    fn may_divide(&self, leaf: &Leaf) -> bool {
        let rows = (leaf.end - leaf.start) as u64;
        leaf.depth < self.limits.max_depth
            && rows >= 2 * u64::from(self.rules.min_leaf)
            && i64::from(leaf.sums.hessian) >= 2 * i64::from(self.rules.min_hessian)
    }

    fn best(&self, leaf: &Leaf, cells: &[Cells]) -> Option<Candidate> {
        self.rules
            .best(self.table, self.features, cells, leaf.sums, leaf.bounds, &leaf.counted)
            .filter(|found| found.gain > self.limits.min_gain)
    }

    /// Adds up a leaf's histogram and finds its best split.
    fn look(&mut self, leaf: &mut Leaf, items: &[Item]) {
        leaf.best = None;
        if !self.may_divide(leaf) {
            return;
        }
        let mut cells = self.pool.take(self.table.features());
        histogram::fill(
            self.table,
            items.get(leaf.start..leaf.end).unwrap_or_default(),
            &mut cells,
            self.crew,
        );
        leaf.best = self.best(leaf, &cells);
        self.keep(leaf, cells);
    }

    /// Keeps a histogram for the leaf's children, if there is room and they will need it.
    fn keep(&mut self, leaf: &mut Leaf, cells: Vec<Cells>) {
        let bytes = size_of_val(cells.as_slice()).max(1);
        let room = (KEPT_BYTES / bytes).max(2);
        if leaf.best.is_some() && self.pool.lent <= room {
            leaf.cells = Some(cells);
        } else {
            self.pool.give(cells);
        }
    }

    fn put_back(&mut self, leaf: &mut Leaf) {
        if let Some(cells) = leaf.cells.take() {
            self.pool.give(cells);
        }
    }

    /// Divides a leaf, which becomes its left child, and returns the right one; `None` when the split would
    /// leave too few rows on a side: then the leaf has its next best candidate.
    fn divide(
        &mut self,
        leaf: &mut Leaf,
        candidate: Candidate,
        items: &mut [Item],
        last: bool,
    ) -> Option<Leaf> {
        let part = items.get_mut(leaf.start..leaf.end)?;
        let middle = self.partition(part, &candidate);
        let smaller = middle.min(part.len() - middle);
        if smaller < self.rules.min_leaf as usize {
            // Rows of a leaf ascend: the margins of large tables are moved part by part.
            part.sort_unstable_by_key(|item| *item as u32);
            self.recount(leaf, part, candidate.feature);
            return None;
        }
        let right_sums = leaf.sums.minus(candidate.left);
        let (left_bounds, right_bounds) = self.bounds(leaf, &candidate);
        let parent = leaf.cells.take();
        let mut right = Leaf {
            node: 0,
            start: leaf.start + middle,
            end: leaf.end,
            depth: leaf.depth + 1,
            sums: right_sums,
            bounds: right_bounds,
            cells: None,
            best: None,
            counted: Vec::new(),
        };
        leaf.end = right.start;
        leaf.depth += 1;
        leaf.sums = candidate.left;
        leaf.bounds = left_bounds;
        leaf.best = None;
        leaf.counted.clear();
        // Nothing is divided after the last split: nobody needs the sums of its children.
        if last || !(self.may_divide(leaf) || self.may_divide(&right)) {
            if let Some(cells) = parent {
                self.pool.give(cells);
            }
            return Some(right);
        }
        let Some(mut larger) = parent else {
            self.look(leaf, items);
            self.look(&mut right, items);
            return Some(right);
        };
        let mut smaller = self.pool.take(self.table.features());
        let left_is_smaller = leaf.end - leaf.start <= right.end - right.start;
        let of = if left_is_smaller { &*leaf } else { &right };
        let part = items.get(of.start..of.end).unwrap_or_default();
        histogram::fill(self.table, part, &mut smaller, self.crew);
        histogram::subtract(&mut larger, &smaller);
        let [of_left, of_right] = if left_is_smaller { [smaller, larger] } else { [larger, smaller] };
        let crew = if right.end - leaf.start < SHARED { self.crew.alone() } else { self.crew };
        let find = |leaf: &Leaf, cells: &[Cells]| {
            if self.may_divide(leaf) { self.best(leaf, cells) } else { None }
        };
        let (best_left, best_right) = crew.both(|| find(leaf, &of_left), || find(&right, &of_right));
        leaf.best = best_left;
        right.best = best_right;
        self.keep(leaf, of_left);
        self.keep(&mut right, of_right);
        Some(right)
    }

    /// Finds the best split of a leaf whose best one left too few rows on a side: the rows in the bins of its feature
    /// are counted, and that feature's next best split competes with those of the others. Where features are many,
    /// all are counted at once, or each could ask for a pass of its own.
    fn recount(&self, leaf: &mut Leaf, items: &[Item], feature: usize) {
        let size = items.len().div_ceil(self.crew.threads()).max(SHARED);
        let count = |feature: usize| {
            let column = self.table.column(feature);
            let parts = self.crew.map(items.chunks(size).collect(), |items: &[Item]| {
                let mut counts = Box::new([0_u32; 256]);
                for item in items {
                    counts[usize::from(column.of(*item as u32 as usize))] += 1;
                }
                counts
            });
            parts.into_iter().reduce(|mut rows, part| {
                rows.iter_mut().zip(part.iter()).for_each(|(sum, count)| *sum += count);
                rows
            })
        };
        leaf.counted.resize(self.table.features(), None);
        if leaf.counted.get(feature).is_some_and(Option::is_some) {
            // What was counted and allowed cannot fail; if it did, asking again would not end.
            leaf.best = None;
            return;
        }
        let features = if self.features.len() > FEW { self.features } else { &[feature] };
        for &feature in features {
            if let Some(counted) = leaf.counted.get_mut(feature) {
                *counted = count(feature);
            }
        }
        let owned;
        let cells = match &leaf.cells {
            Some(cells) => cells,
            None => {
                let mut cells = vec![[0; 256]; self.table.features()];
                histogram::fill(self.table, items, &mut cells, self.crew);
                owned = cells;
                &owned
            }
        };
        leaf.best = self.best(leaf, cells);
    }

    /// What the children's leaves may say: a bound feature draws a line between them half way.
    fn bounds(&self, leaf: &Leaf, candidate: &Candidate) -> (Bounds, Bounds) {
        let (left, right) = (leaf.bounds, leaf.bounds);
        let Some(bound) = self.rules.monotone.get(candidate.feature).copied().flatten() else {
            return (left, right);
        };
        let values = [candidate.left, leaf.sums.minus(candidate.left)];
        let [a, b] = values.map(|sums| self.rules.value(sums, leaf.bounds));
        let middle = a + (b - a) / 2.0;
        match bound {
            Monotone::Increasing => (Bounds { high: middle, ..left }, Bounds { low: middle, ..right }),
            Monotone::Decreasing => (Bounds { low: middle, ..left }, Bounds { high: middle, ..right }),
        }
    }

    /// Divides items between the sides, in as many parts as there are threads.
    fn partition(&mut self, items: &mut [Item], candidate: &Candidate) -> usize {
        let left = candidate.left_bins();
        let parts = self.crew.threads().min(items.len() / SHARED);
        if parts < 2 {
            return partition(items, &mut self.aside, self.table, candidate.feature, &left);
        }
        if self.asides.len() < parts {
            self.asides.resize_with(parts, Asides::default);
        }
        let asides = &mut self.asides[..parts];
        partition_shared(items, asides, self.table, candidate.feature, &left, self.crew)
    }
}

/// The split that a candidate makes, in the terms of raw values.
fn node_of(table: &Table, candidate: &Candidate, left: usize, sets: &mut Vec<Sides>) -> Node {
    let (feature, missing_left, left) = (candidate.feature as u32, candidate.missing_left, left as u32);
    match (table.cuts.get(candidate.feature), candidate.place) {
        (Some(Cuts::Categories(bins)), Place::Set(_)) => {
            let sides = candidate.left_bins();
            let (mut to_left, mut to_right) = (CodeSet::default(), CodeSet::default());
            for (code, bin) in bins.iter().enumerate().filter(|(_, bin)| **bin > 0) {
                let set = if sides[usize::from(*bin)] { &mut to_left } else { &mut to_right };
                set.insert(code);
            }
            sets.push(Sides { left: to_left, right: to_right });
            Node::Category { feature, set: sets.len() as u32 - 1, missing_left, left }
        }
        (Some(Cuts::Numbers(edges)), Place::Cut(cut)) => {
            // Past the last edge everything present goes left.
            let threshold = edges.get(usize::from(cut).wrapping_sub(1)).copied().unwrap_or(f64::MAX);
            Node::Split { feature, threshold, missing_left, left }
        }
        // A cut of categories or a set of numbers is never proposed.
        _ => Node::Split { feature, threshold: f64::MAX, missing_left, left },
    }
}
