//! A grown tree: its nodes, how they are written, how a row walks through them.

use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::table::{MOST_CODES, code};

/// A node; the children of a split are neighbours, and always come after it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Node {
    Leaf {
        /// A probability in forests and single trees, a part of the log odds in boosting.
        value: f64,
        /// Training rows, drawings counted.
        rows: u64,
    },
    /// Values up to `threshold` go left.
    Split { feature: u32, threshold: f64, missing_left: bool, left: u32 },
    /// Categories in the set with the number `set` go left; those that training did not show count as missing.
    Category { feature: u32, set: u32, missing_left: bool, left: u32 },
}

/// Codes of categories, one bit each.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct CodeSet(Vec<u64>);

impl CodeSet {
    pub(crate) fn insert(&mut self, code: usize) {
        if self.0.len() <= code / 64 {
            self.0.resize(code / 64 + 1, 0);
        }
        if let Some(word) = self.0.get_mut(code / 64) {
            *word |= 1 << (code % 64);
        }
    }

    pub(crate) fn contains(&self, code: usize) -> bool {
        self.0.get(code / 64).is_some_and(|word| word >> (code % 64) & 1 == 1)
    }

    /// The codes, ascending.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.0.len() * 64).filter(|code| self.contains(*code))
    }
}

/// The nodes of a tree, the root first, and what its splits on categories need: the codes that go left and
/// all that the feature has.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(try_from = "StoredNodes", into = "StoredNodes")]
pub(crate) struct Nodes {
    pub(crate) nodes: Vec<Node>,
    pub(crate) sets: Vec<Sides>,
}

/// The codes on either side of a split; a code in neither is treated as missing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Sides {
    pub(crate) left: CodeSet,
    pub(crate) right: CodeSet,
}

impl Sides {
    /// Whether no code is on both sides and all are codes that a category may have.
    fn is_sound(&self) -> bool {
        const MOST_WORDS: usize = MOST_CODES.div_ceil(64);
        let (left, right) = (&self.left.0, &self.right.0);
        left.len() <= MOST_WORDS
            && right.len() <= MOST_WORDS
            && left.iter().zip(right).all(|(left, right)| left & right == 0)
    }
}

/// Nodes as they are written: a column per field takes a third of the space of an object per node.
#[derive(Serialize, Deserialize)]
struct StoredNodes {
    /// The left child of a split, 0 for a leaf.
    left: Vec<u32>,
    /// The feature of a split, the rows of a leaf.
    key: Vec<u64>,
    /// The threshold of a split, the value of a leaf, 0 for a split on categories.
    value: Vec<f64>,
    /// The side of missing values, per split only.
    missing_left: Vec<bool>,
    /// Splits on categories, by the number of their node. Absent in trees without any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    categories: Vec<StoredCategory>,
}

#[derive(Serialize, Deserialize)]
struct StoredCategory {
    node: u32,
    left: CodeSet,
    right: CodeSet,
}

impl From<Nodes> for StoredNodes {
    fn from(tree: Nodes) -> Self {
        let mut stored = Self {
            left: Vec::new(),
            key: Vec::new(),
            value: Vec::new(),
            missing_left: Vec::new(),
            categories: Vec::new(),
        };
        for (at, node) in tree.nodes.iter().enumerate() {
            let (child, key, value) = match *node {
                Node::Leaf { value, rows } => (0, rows, value),
                Node::Split { feature, threshold, missing_left, left } => {
                    stored.missing_left.push(missing_left);
                    (left, u64::from(feature), threshold)
                }
                Node::Category { feature, set, missing_left, left } => {
                    stored.missing_left.push(missing_left);
                    let sides = tree.sets.get(set as usize).cloned().unwrap_or_default();
                    let Sides { left: to_left, right } = sides;
                    stored.categories.push(StoredCategory { node: at as u32, left: to_left, right });
                    (left, u64::from(feature), 0.0)
                }
            };
            stored.left.push(child);
            stored.key.push(key);
            stored.value.push(value);
        }
        stored
    }
}

impl TryFrom<StoredNodes> for Nodes {
    type Error = &'static str;

    fn try_from(stored: StoredNodes) -> Result<Self, Self::Error> {
        if stored.key.len() != stored.left.len() || stored.value.len() != stored.left.len() {
            return Err("the columns of a tree differ in length");
        }
        let mut sides = stored.missing_left.into_iter();
        let mut categories = stored.categories.into_iter().peekable();
        let mut tree = Self::default();
        let fields = stored.left.into_iter().zip(stored.key).zip(stored.value);
        for (((left, key), value), at) in fields.zip(0_u32..) {
            if left == 0 {
                tree.nodes.push(Node::Leaf { value, rows: key });
                continue;
            }
            let feature = u32::try_from(key).map_err(|_| "a tree names an impossible feature")?;
            let missing_left = sides.next().ok_or("a tree lacks the side of a missing value")?;
            tree.nodes.push(match categories.next_if(|category| category.node == at) {
                None => Node::Split { feature, threshold: value, missing_left, left },
                Some(category) => {
                    tree.sets.push(Sides { left: category.left, right: category.right });
                    Node::Category { feature, set: tree.sets.len() as u32 - 1, missing_left, left }
                }
            });
        }
        if categories.next().is_some() {
            return Err("a tree has categories without a split");
        }
        if sides.next().is_some() {
            return Err("a tree has sides of missing values without a split");
        }
        Ok(tree)
    }
}

impl Nodes {
    /// The value of the leaf that a row falls into.
    pub(crate) fn value(&self, row: ArrayView1<'_, f64>) -> f64 {
        let mut at = 0;
        while let Some(node) = self.nodes.get(at) {
            match *node {
                Node::Leaf { value, .. } => return value,
                Node::Split { feature, left, .. } | Node::Category { feature, left, .. } => {
                    let value = row.get(feature as usize).copied().unwrap_or(f64::NAN);
                    at = left as usize + usize::from(!self.goes_left(node, value));
                }
            }
        }
        // Unreachable: `is_sound` holds for every tree that is grown or loaded.
        0.0
    }

    /// On which side of a split a value goes.
    pub(crate) fn goes_left(&self, node: &Node, value: f64) -> bool {
        match *node {
            Node::Leaf { .. } => true,
            Node::Split { threshold, missing_left, .. } => {
                if value.is_nan() {
                    missing_left
                } else {
                    value <= threshold
                }
            }
            Node::Category { set, missing_left, .. } => {
                let Some((code, sides)) = code(value).zip(self.sets.get(set as usize)) else {
                    return missing_left;
                };
                sides.left.contains(code) || (missing_left && !sides.right.contains(code))
            }
        }
    }

    /// Whether the nodes are one tree over `features` features whose leaf values `allowed` accepts: every node but the
    /// root has exactly one parent, which comes before it, so that every leaf is reached by exactly one path. Without
    /// that, walking terminates, but scorers that compile the tree would count shared nodes once per path.
    pub(crate) fn is_sound(&self, features: usize, allowed: impl Fn(f64) -> bool) -> bool {
        let mut has_parent = vec![false; self.nodes.len()];
        let mut adopt = |at: usize, feature: u32, left: u32| {
            let left = left as usize;
            let Some(children) = left.checked_add(2).and_then(|end| has_parent.get_mut(left..end)) else {
                return false;
            };
            let orphans = children.iter().all(|taken| !taken);
            children.fill(true);
            (feature as usize) < features && left > at && orphans
        };
        let sound = self.nodes.iter().enumerate().all(|(at, node)| match *node {
            Node::Leaf { value, .. } => allowed(value),
            Node::Split { feature, threshold, left, .. } => threshold.is_finite() && adopt(at, feature, left),
            Node::Category { feature, set, left, .. } => {
                self.sets.get(set as usize).is_some_and(Sides::is_sound) && adopt(at, feature, left)
            }
        });
        // The root has no parent: children come after their parents. An empty tree has no root.
        sound && has_parent.split_first().is_some_and(|(_, others)| others.iter().all(|taken| *taken))
    }

    /// Puts the sets in the order of their nodes, in which they are also read from a file.
    pub(crate) fn order_sets(&mut self) {
        let mut ordered = Vec::with_capacity(self.sets.len());
        for node in &mut self.nodes {
            if let Node::Category { set, .. } = node {
                ordered.push(self.sets.get(*set as usize).cloned().unwrap_or_default());
                *set = ordered.len() as u32 - 1;
            }
        }
        self.sets = ordered;
    }

    /// The depth: the number of splits on the longest path from the root to a leaf.
    pub(crate) fn depth(&self) -> usize {
        let mut depths = vec![0; self.nodes.len()];
        for (at, node) in self.nodes.iter().enumerate() {
            if let Node::Split { left, .. } | Node::Category { left, .. } = *node {
                let below = depths.get(at).map_or(0, |depth| depth + 1);
                if let Some(children) = depths.get_mut(left as usize..left as usize + 2) {
                    children.fill(below);
                }
            }
        }
        depths.into_iter().max().unwrap_or_default()
    }

    pub(crate) fn leaves(&self) -> usize {
        self.nodes.iter().filter(|node| matches!(node, Node::Leaf { .. })).count()
    }

    /// Training rows below each node.
    pub(crate) fn rows(&self) -> Vec<u64> {
        let mut rows = vec![0_u64; self.nodes.len()];
        // Children come after their parents.
        for (at, node) in self.nodes.iter().enumerate().rev() {
            let below = match *node {
                Node::Leaf { rows, .. } => rows,
                Node::Split { left, .. } | Node::Category { left, .. } => {
                    let left = left as usize;
                    let of = |child: usize| rows.get(child).copied().unwrap_or_default();
                    of(left).saturating_add(of(left + 1))
                }
            };
            if let Some(slot) = rows.get_mut(at) {
                *slot = below;
            }
        }
        rows
    }
}
