//! TreeSHAP: what each feature adds to a prediction, exactly, for trees.
//!
//! Lundberg et al.: "Consistent Individualized Feature Attribution for Tree Ensembles" (2018), algorithm 2, in
//! the form that depends on the tree's own training rows: a feature that is not known follows both sides of a
//! split in proportion to the rows that went there. The contributions of a row and the mean value of the tree
//! add up to the row's value.
//!
//! Time per row and tree: leaves × depth².

use ndarray::ArrayView1;

use super::nodes::{Node, Nodes};

/// One step of the way from the root: a feature, the share of unknown rows that come this way, whether the row
/// itself does, and the weight of the subsets of each size.
#[derive(Debug, Clone, Copy)]
struct Step {
    feature: usize,
    unknown: f64,
    known: f64,
    weight: f64,
}

/// A tree prepared for explaining: the rows below each node.
#[derive(Debug)]
pub(crate) struct Explainer<'a> {
    tree: &'a Nodes,
    rows: Vec<u64>,
}

impl<'a> Explainer<'a> {
    pub(crate) fn new(tree: &'a Nodes) -> Self {
        Self { tree, rows: tree.rows() }
    }

    /// The mean value over the training rows.
    pub(crate) fn mean(&self) -> f64 {
        let total = self.rows.first().copied().unwrap_or_default() as f64;
        if total == 0.0 {
            return 0.0;
        }
        let part = |node: &Node| match *node {
            Node::Leaf { value, rows } => value * rows as f64,
            _ => 0.0,
        };
        self.tree.nodes.iter().map(part).sum::<f64>() / total
    }

    /// Adds the contributions of a row's features to `contributions`.
    pub(crate) fn add(&self, row: ArrayView1<'_, f64>, contributions: &mut [f64]) {
        // An explicit stack: a tree may be as deep as it has rows.
        let mut open: Vec<(usize, Vec<Step>, Step)> =
            vec![(0, Vec::new(), Step { feature: usize::MAX, unknown: 1.0, known: 1.0, weight: 0.0 })];
        while let Some((at, mut path, step)) = open.pop() {
            extend(&mut path, step);
            let Some(node) = self.tree.nodes.get(at) else { continue };
            match *node {
                Node::Leaf { value, .. } => {
                    for place in 1..path.len() {
                        let Step { feature, unknown, known, .. } = path[place];
                        if let Some(sum) = contributions.get_mut(feature) {
                            *sum += unwound_sum(&path, place) * (known - unknown) * value;
                        }
                    }
                }
                Node::Split { feature, left, .. } | Node::Category { feature, left, .. } => {
                    let (feature, left) = (feature as usize, left as usize);
                    let value = row.get(feature).copied().unwrap_or(f64::NAN);
                    let goes_left = self.tree.goes_left(node, value);
                    // A feature met before is taken out and put in again with both conditions.
                    let (mut unknown, mut known) = (1.0, 1.0);
                    if let Some(place) = path.iter().position(|step| step.feature == feature) {
                        (unknown, known) = (path[place].unknown, path[place].known);
                        unwind(&mut path, place);
                    }
                    let all = self.rows.get(at).copied().unwrap_or_default() as f64;
                    for (child, here) in [(left, goes_left), (left + 1, !goes_left)] {
                        let rows = self.rows.get(child).copied().unwrap_or_default() as f64;
                        let share = if all > 0.0 { rows / all } else { 0.0 };
                        let known = if here { known } else { 0.0 };
                        let step = Step { feature, unknown: unknown * share, known, weight: 0.0 };
                        // A way that neither known nor unknown rows take adds nothing.
                        if step.unknown > 0.0 || step.known > 0.0 {
                            open.push((child, path.clone(), step));
                        }
                    }
                }
            }
        }
    }
}

/// Grows the subsets by one more feature.
fn extend(path: &mut Vec<Step>, step: Step) {
    let length = path.len();
    path.push(Step { weight: if length == 0 { 1.0 } else { 0.0 }, ..step });
    let size = (length + 1) as f64;
    for place in (0..length).rev() {
        path[place + 1].weight += step.known * path[place].weight * (place + 1) as f64 / size;
        path[place].weight *= step.unknown * (length - place) as f64 / size;
    }
}

/// Undoes [`extend`] for the feature at `place`.
fn unwind(path: &mut Vec<Step>, place: usize) {
    let last = path.len() - 1;
    let Step { unknown, known, .. } = path[place];
    let size = (last + 1) as f64;
    let mut next = path[last].weight;
    for at in (0..last).rev() {
        if known != 0.0 {
            let weight = path[at].weight;
            path[at].weight = next * size / ((at + 1) as f64 * known);
            next = weight - path[at].weight * unknown * (last - at) as f64 / size;
        } else {
            path[at].weight *= size / (unknown * (last - at) as f64);
        }
    }
    for at in place..last {
        let Step { feature, unknown, known, .. } = path[at + 1];
        path[at] = Step { feature, unknown, known, ..path[at] };
    }
    path.pop();
}

/// The sum of the weights after [`unwind`], which is not carried out.
fn unwound_sum(path: &[Step], place: usize) -> f64 {
    let last = path.len() - 1;
    let Step { unknown, known, .. } = path[place];
    let size = (last + 1) as f64;
    let (mut sum, mut next) = (0.0, path[last].weight);
    for at in (0..last).rev() {
        if known != 0.0 {
            let weight = next * size / ((at + 1) as f64 * known);
            sum += weight;
            next = path[at].weight - weight * unknown * (last - at) as f64 / size;
        } else {
            sum += path[at].weight * size / (unknown * (last - at) as f64);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use ndarray::Array1;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    use super::*;

    /// The tree's value when only the features in `known` are: the definition, node by node.
    fn expected(tree: &Nodes, rows: &[u64], row: &Array1<f64>, known: usize, at: usize) -> f64 {
        match tree.nodes[at] {
            Node::Leaf { value, .. } => value,
            Node::Split { feature, left, .. } | Node::Category { feature, left, .. } => {
                let left = left as usize;
                if known >> feature & 1 == 1 {
                    let goes_left = tree.goes_left(&tree.nodes[at], row[feature as usize]);
                    return expected(tree, rows, row, known, left + usize::from(!goes_left));
                }
                let of = |child: usize| rows[child] as f64 * expected(tree, rows, row, known, child);
                (of(left) + of(left + 1)) / rows[at] as f64
            }
        }
    }

    #[test]
    fn contributions_are_the_shapley_values_of_the_definition() {
        const FEATURES: usize = 4;
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(2);
        for _ in 0..40 {
            let leaf = |rng: &mut Xoshiro256PlusPlus| Node::Leaf {
                value: rng.random_range(-1.0..1.0),
                rows: rng.random_range(1..50),
            };
            let mut tree = Nodes { nodes: vec![leaf(&mut rng)], sets: Vec::new() };
            let mut leaves = vec![0];
            for _ in 0..rng.random_range(0..9) {
                let at = leaves.swap_remove(rng.random_range(0..leaves.len() as u64) as usize);
                tree.nodes[at] = Node::Split {
                    feature: rng.random_range(0..FEATURES as u32),
                    threshold: rng.random_range(-1.0..1.0),
                    missing_left: rng.random(),
                    left: tree.nodes.len() as u32,
                };
                for _ in 0..2 {
                    leaves.push(tree.nodes.len());
                    let leaf = leaf(&mut rng);
                    tree.nodes.push(leaf);
                }
            }
            let explainer = Explainer::new(&tree);
            let row = Array1::from_shape_fn(FEATURES, |_| match rng.random_range(0..5) {
                0 => f64::NAN,
                _ => rng.random_range(-1.0..1.0),
            });
            let mut found = [0.0; FEATURES];
            explainer.add(row.view(), &mut found);
            let value = |known| expected(&tree, &explainer.rows, &row, known, 0);
            for (feature, found) in found.iter().enumerate() {
                // Σ over subsets without the feature of |S|! (n − 1 − |S|)! / n! times what it adds.
                let factorial = |n: usize| (1..=n).product::<usize>() as f64;
                let sum: f64 = (0..1 << FEATURES)
                    .filter(|subset| subset >> feature & 1 == 0)
                    .map(|subset: usize| {
                        let size = subset.count_ones() as usize;
                        let weight = factorial(size) * factorial(FEATURES - 1 - size) / factorial(FEATURES);
                        weight * (value(subset | 1 << feature) - value(subset))
                    })
                    .sum();
                assert!((found - sum).abs() < 1e-12, "{found} {sum}");
            }
            assert!((explainer.mean() - value(0)).abs() < 1e-12);
            let total = explainer.mean() + found.iter().sum::<f64>();
            assert!((total - tree.value(row.view())).abs() < 1e-12);
        }
    }
}
