//! The best split of a node, from its histogram.
//!
//! Dividing sums (G, H) into left and right lowers the regularised loss by
//! ½ [G_L² ÷ (H_L + λ) + G_R² ÷ (H_R + λ) − G² ÷ (H + λ)], and a leaf's best value is −G ÷ (H + λ)
//! (Chen, Guestrin: "XGBoost", 2016, equations 5 to 7). Categories are put in the order of G ÷ H, in which the best
//! split into two sets is a cut (Fisher, 1958; LightGBM does the same).

use super::{
    gradients::Units,
    histogram::{Cells, Sums},
};
use crate::{
    simd::{Level, dispatched},
    tree::{
        partition::LeftBins,
        table::{Cuts, MISSING_BIN, Table},
    },
};

/// Up to so many categories in a node are divided without [`Rules::category_l2`].
const FEW_CATEGORIES: usize = 4;

/// The direction of a monotone constraint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Monotone {
    /// A larger value never lowers the probability.
    Increasing,
    /// A larger value never raises it.
    Decreasing,
}

/// What a split must respect, in the units of the tree's derivatives.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// λ, and what is added to it for splits of many categories, in units of the hessian.
    pub(crate) l2: f64,
    pub(crate) category_l2: f64,
    pub(crate) category_smoothing: f64,
    /// The least hessian on either side, in its units; at least 1.
    pub(crate) min_hessian: i32,
    pub(crate) min_leaf: u32,
    /// By feature; empty when no feature is bound.
    pub(crate) monotone: Vec<Option<Monotone>>,
    pub(crate) units: Units,
    pub(crate) level: Level,
}

/// The values that a node's leaves may take, in units of margin.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Bounds {
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Bounds {
    /// A step of 100 in log odds goes from one end of all probabilities to the other: more is an accident of
    /// vanishing hessians.
    pub(crate) const WIDEST: Self = Self { low: -100.0, high: 100.0 };

    pub(crate) fn hold(self, value: f64) -> f64 {
        value.clamp(self.low, self.high)
    }
}

/// A split of a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Candidate {
    /// The fall of the loss.
    pub(crate) gain: f64,
    pub(crate) feature: usize,
    pub(crate) place: Place,
    pub(crate) missing_left: bool,
    pub(crate) left: Sums,
}

/// The rows in each bin, of features of which they were counted; shorter than the features where none was.
pub(crate) type Counted = Vec<Option<Box<[u32; 256]>>>;

/// Where a feature is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Bins from 1 up to this one go left.
    Cut(u8),
    /// Bins of this set go left.
    Set([u64; 4]),
}

impl Candidate {
    /// The side of each bin.
    pub(crate) fn left_bins(&self) -> LeftBins {
        let mut left = match self.place {
            Place::Cut(cut) => std::array::from_fn(|bin| bin <= usize::from(cut)),
            Place::Set(set) => std::array::from_fn(|bin| set[bin / 64] >> (bin % 64) & 1 == 1),
        };
        left[usize::from(MISSING_BIN)] = self.missing_left;
        left
    }
}

impl Rules {
    /// G² ÷ (H + λ), in units.
    #[inline(always)]
    fn score(gradient: f64, hessian: f64, l2: f64) -> f64 {
        gradient * gradient / (hessian + l2)
    }

    /// The value of a leaf, in units of margin.
    pub(crate) fn value(&self, sums: Sums, bounds: Bounds) -> f64 {
        let hessian = f64::from(sums.hessian) + self.l2;
        if hessian <= 0.0 {
            return bounds.hold(0.0);
        }
        bounds.hold(-f64::from(sums.gradient) / hessian * (self.units.gradient / self.units.hessian))
    }

    /// The best split over `features`; `counts` are given for features whose best split would leave too
    /// few rows on a side: there the least number of rows is looked at for each.
    pub(crate) fn best(
        &self,
        table: &Table,
        features: &[usize],
        cells: &[Cells],
        total: Sums,
        bounds: Bounds,
        counts: &[Option<Box<[u32; 256]>>],
    ) -> Option<Candidate> {
        let mut best: Option<Candidate> = None;
        let mut scratch = Scratch::new();
        for &feature in features {
            let (Some(cuts), Some(cells)) = (table.cuts.get(feature), cells.get(feature)) else { continue };
            let counts = counts.get(feature).and_then(Option::as_deref);
            let bound = self.monotone.get(feature).copied().flatten();
            let found = match cuts {
                Cuts::Categories(_) => self.categories(feature, cells, cuts.bins(), total, counts),
                Cuts::Numbers(_) if counts.is_some() || !self.monotone.is_empty() => {
                    self.numbers_in_turn(feature, cells, cuts.bins(), total, bounds, bound, counts)
                }
                Cuts::Numbers(_) => self.numbers(feature, cells, cuts.bins(), total, &mut scratch),
            };
            if let Some(found) = found
                && best.is_none_or(|best| found.gain > best.gain)
            {
                best = Some(found);
            }
        }
        best
    }

    /// All cuts of a feature side by side.
    fn numbers(
        &self,
        feature: usize,
        cells: &Cells,
        bins: usize,
        total: Sums,
        scratch: &mut Scratch,
    ) -> Option<Candidate> {
        let missing = cells[usize::from(MISSING_BIN)];
        let Scratch { lefts, gains } = scratch;
        let mut best: Option<(f64, usize, bool, Sums)> = None;
        for missing_left in [false, true] {
            if missing_left && missing == 0 {
                break;
            }
            let mut left = if missing_left { missing } else { 0 };
            for (sum, cell) in lefts.iter_mut().zip(cells).take(bins).skip(1) {
                left = left.wrapping_add(*cell);
                *sum = left;
            }
            // Cuts that there are not have nothing to their left, which is not allowed.
            lefts[0] = 0;
            lefts[bins..].fill(0);
            let most = score_all(self.level, lefts, bins, total, self.l2, self.min_hessian, gains);
            if most > best.map_or(f64::NEG_INFINITY, |best| best.0) {
                let bin = gains.iter().position(|gain| *gain == most)?;
                best = Some((most, bin, missing_left, Sums::of_cell(lefts[bin])));
            }
        }
        let (score, bin, missing_left, left) = best?;
        let gain = self.gain(score, total);
        let missing_left = if missing == 0 { larger_left(left, total) } else { missing_left };
        let cut = half_way(bin, bins, |bin| cells[bin] != 0);
        Some(Candidate { gain, feature, place: Place::Cut(cut), missing_left, left })
    }

    fn gain(&self, score: f64, total: Sums) -> f64 {
        let all = Self::score(f64::from(total.gradient), f64::from(total.hessian), self.l2);
        0.5 * (score - all) * (self.units.gradient * self.units.gradient / self.units.hessian)
    }

    /// All cuts of a feature one after the other, with the conditions that need more than sums.
    #[allow(clippy::too_many_arguments)]
    fn numbers_in_turn(
        &self,
        feature: usize,
        cells: &Cells,
        bins: usize,
        total: Sums,
        bounds: Bounds,
        bound: Option<Monotone>,
        counts: Option<&[u32; 256]>,
    ) -> Option<Candidate> {
        let missing = Sums::of_cell(cells[usize::from(MISSING_BIN)]);
        let missing_rows = counts.map_or(0, |counts| counts[usize::from(MISSING_BIN)]);
        let all_rows: u32 = counts.map_or(0, |counts| counts.iter().sum());
        let mut best: Option<(f64, usize, bool, Sums)> = None;
        for missing_left in [false, true] {
            if missing_left && missing == Sums::default() && missing_rows == 0 {
                break;
            }
            let mut left = if missing_left { missing } else { Sums::default() };
            let mut rows = if missing_left { missing_rows } else { 0 };
            for (bin, cell) in cells.iter().enumerate().take(bins).skip(1) {
                left = left.plus(Sums::of_cell(*cell));
                let right = total.minus(left);
                if let Some(counts) = counts {
                    rows += counts[bin];
                    if rows.min(all_rows - rows) < self.min_leaf {
                        continue;
                    }
                }
                if left.hessian.min(right.hessian) < self.min_hessian {
                    continue;
                }
                let [low, high] = [self.value(left, bounds), self.value(right, bounds)];
                let allowed = match bound {
                    None => true,
                    Some(Monotone::Increasing) => low <= high,
                    Some(Monotone::Decreasing) => low >= high,
                };
                if !allowed {
                    continue;
                }
                let score = self.held_score(left, low) + self.held_score(right, high);
                if best.is_none_or(|best| score > best.0) {
                    best = Some((score, bin, missing_left, left));
                }
            }
        }
        let (score, bin, missing_left, left) = best?;
        let gain = 0.5 * (score - self.held_score(total, self.value(total, bounds)));
        // Rows may add up to nothing and still be there: where they were counted, none of them changes sides.
        let none_missing = missing == Sums::default() && missing_rows == 0;
        let missing_left = if none_missing { larger_left(left, total) } else { missing_left };
        let held = |bin: usize| cells[bin] != 0 || counts.is_some_and(|counts| counts[bin] > 0);
        let cut = half_way(bin, bins, held);
        Some(Candidate { gain, feature, place: Place::Cut(cut), missing_left, left })
    }

    /// Twice the fall of the loss by a leaf of this value, which bounds may keep from its best:
    /// −2 G v − (H + λ) v².
    fn held_score(&self, sums: Sums, value: f64) -> f64 {
        let gradient = f64::from(sums.gradient) * self.units.gradient;
        let hessian = (f64::from(sums.hessian) + self.l2) * self.units.hessian;
        -(2.0 * gradient * value + hessian * value * value)
    }

    /// The best set of categories; missing values are one more category where there are any.
    fn categories(
        &self,
        feature: usize,
        cells: &Cells,
        bins: usize,
        total: Sums,
        counts: Option<&[u32; 256]>,
    ) -> Option<Candidate> {
        let mut present: Vec<(u8, Sums, f64)> = Vec::new();
        for (bin, cell) in cells.iter().enumerate().take(bins) {
            let sums = Sums::of_cell(*cell);
            if sums != Sums::default() || counts.is_some_and(|counts| counts[bin] > 0) {
                let ratio = f64::from(sums.gradient) / (f64::from(sums.hessian) + self.category_smoothing);
                present.push((bin as u8, sums, if ratio.is_nan() { 0.0 } else { ratio }));
            }
        }
        present.sort_by(|a, b| a.2.total_cmp(&b.2).then(a.0.cmp(&b.0)));
        let l2 = if present.len() > FEW_CATEGORIES { self.l2 + self.category_l2 } else { self.l2 };
        let all_rows: u32 = counts.map_or(0, |counts| counts.iter().sum());
        let mut best: Option<(f64, usize, Sums)> = None;
        let (mut left, mut rows) = (Sums::default(), 0);
        for (at, (bin, sums, _)) in present.iter().enumerate() {
            left = left.plus(*sums);
            let right = total.minus(left);
            if let Some(counts) = counts {
                rows += counts[usize::from(*bin)];
                if rows.min(all_rows - rows) < self.min_leaf {
                    continue;
                }
            }
            if left.hessian.min(right.hessian) < self.min_hessian {
                continue;
            }
            let score = Self::score(f64::from(left.gradient), f64::from(left.hessian), l2)
                + Self::score(f64::from(right.gradient), f64::from(right.hessian), l2);
            if best.is_none_or(|best| score > best.0) {
                best = Some((score, at, left));
            }
        }
        let (score, last, left) = best?;
        let larger_left = left.hessian >= total.hessian - left.hessian;
        // Categories that the node has not seen go with most of its rows.
        let mut set = if larger_left { [u64::MAX; 4] } else { [0; 4] };
        for (at, (bin, ..)) in present.iter().enumerate() {
            let (word, bit) = (usize::from(bin / 64), 1 << (bin % 64));
            if at <= last { set[word] |= bit } else { set[word] &= !bit }
        }
        let all = Self::score(f64::from(total.gradient), f64::from(total.hessian), l2);
        let gain = 0.5 * (score - all) * (self.units.gradient * self.units.gradient / self.units.hessian);
        let missing_left = set[0] & 1 == 1;
        Some(Candidate { gain, feature, place: Place::Set(set), missing_left, left })
    }
}

/// The side of missing values that training did not show here: the larger one.
fn larger_left(left: Sums, total: Sums) -> bool {
    left.hessian >= total.hessian - left.hessian
}

/// The cut half way between `bin` and the next bin that holds anything; past the last one, everything present.
fn half_way(bin: usize, bins: usize, held: impl Fn(usize) -> bool) -> u8 {
    let next = (bin + 1..bins.min(256)).find(|next| held(*next));
    next.map_or(u8::MAX, |next| (bin + (next - bin - 1) / 2) as u8)
}

/// Room for one feature's cuts at a time.
struct Scratch {
    /// The sums left of each cut, packed like cells.
    lefts: Cells,
    gains: [f64; 256],
}

impl Scratch {
    fn new() -> Self {
        Self { lefts: [0; 256], gains: [f64::NEG_INFINITY; 256] }
    }
}

dispatched! {
    /// The score of each cut, and the largest; −∞ for cuts that are not allowed.
    fn score_all(
        lefts: &Cells, bins: usize, total: Sums, l2: f64, min_hessian: i32, gains: &mut [f64; 256],
    ) -> f64 = score_lanes
}

#[inline(always)]
fn score_lanes(
    lefts: &Cells,
    bins: usize,
    total: Sums,
    l2: f64,
    min_hessian: i32,
    gains: &mut [f64; 256],
) -> f64 {
    const LANES: usize = 8;
    let mut most = [f64::NEG_INFINITY; LANES];
    // Whole chunks of the arrays: what lies past the last bin is not allowed.
    let chunks = bins.div_ceil(LANES);
    let lefts = lefts.chunks_exact(LANES).take(chunks);
    for (gains, lefts) in gains.chunks_exact_mut(LANES).zip(lefts) {
        for lane in 0..LANES {
            let Sums { gradient, hessian } = Sums::of_cell(lefts[lane]);
            let (right, right_hessian) =
                (total.gradient.wrapping_sub(gradient), total.hessian.wrapping_sub(hessian));
            let score = Rules::score(f64::from(gradient), f64::from(hessian), l2)
                + Rules::score(f64::from(right), f64::from(right_hessian), l2);
            let allowed = (hessian >= min_hessian) & (right_hessian >= min_hessian);
            let score = if allowed { score } else { f64::NEG_INFINITY };
            gains[lane] = score;
            most[lane] = if score > most[lane] { score } else { most[lane] };
        }
    }
    most.into_iter().fold(f64::NEG_INFINITY, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    fn rules(level: Level) -> Rules {
        Rules {
            l2: 0.0,
            category_l2: 0.0,
            category_smoothing: 0.0,
            min_hessian: 1,
            min_leaf: 1,
            monotone: Vec::new(),
            units: Units { gradient: 1.0, hessian: 1.0 },
            level,
        }
    }

    fn cell(gradient: i32, hessian: u32) -> u64 {
        ((i64::from(gradient) << 32) as u64).wrapping_add(u64::from(hessian))
    }

    fn cells(of: &[(i32, u32)]) -> (Cells, Sums) {
        let mut cells = [0; 256];
        for (slot, (gradient, hessian)) in cells.iter_mut().zip(of) {
            *slot = cell(*gradient, *hessian);
        }
        (cells, cells.iter().fold(Sums::default(), |sum, cell| sum.plus(Sums::of_cell(*cell))))
    }

    #[test]
    fn a_cut_worked_out_by_hand_is_found() {
        // Bins: missing (0, 0); then (4, 2) (−1, 1) | (−9, 3). G = −6, H = 6.
        // Cut after bin 2: 9/3 + 81/3 − 36/6 = 24, half of it 12; after bin 1: 16/2 + 100/4 − 6 = 27, half 13.5.
        let (cells, total) = cells(&[(0, 0), (4, 2), (-1, 1), (-9, 3)]);
        for level in Level::all() {
            let found = rules(level).numbers(3, &cells, 4, total, &mut Scratch::new()).unwrap();
            assert_eq!((found.gain, found.place, found.feature), (13.5, Place::Cut(1), 3));
            assert_eq!(found.left, Sums { gradient: 4, hessian: 2 });
            assert!(!found.missing_left, "the right side is larger");
        }
        let leaf = rules(Level::Plain).value(Sums { gradient: -10, hessian: 4 }, Bounds::WIDEST);
        assert_eq!(leaf, 2.5);
    }

    #[test]
    fn the_best_set_of_categories_is_the_best_of_all_sets() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
        for _ in 0..200 {
            let of: Vec<(i32, u32)> =
                (0..9).map(|_| (rng.random_range(-50..50), rng.random_range(1..40))).collect();
            let (cells, total) = cells(&of);
            let mut best = f64::NEG_INFINITY;
            for set in 1..(1 << 9) - 1 {
                let left =
                    (0..9).filter(|bin| set >> bin & 1 == 1).fold(Sums::default(), |sum, bin: usize| {
                        sum.plus(Sums { gradient: of[bin].0, hessian: of[bin].1 as i32 })
                    });
                let score = |s: Sums| f64::from(s.gradient).powi(2) / f64::from(s.hessian);
                best = best.max(0.5 * (score(left) + score(total.minus(left)) - score(total)));
            }
            let found = rules(Level::Plain).categories(0, &cells, 9, total, None).unwrap();
            assert!((found.gain - best).abs() < 1e-9 * best.max(1.0), "{} {best}", found.gain);
        }
    }

    #[test]
    fn all_ways_of_looking_for_a_cut_agree() {
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(6);
        for round in 0..300 {
            let bins = rng.random_range(2..=256);
            let of: Vec<(i32, u32)> = (0..bins)
                .map(|bin| match rng.random_range(0..4) {
                    0 => (0, 0),
                    _ if bin == 0 && round % 2 == 0 => (0, 0),
                    _ => (rng.random_range(-999..999), rng.random_range(1..999)),
                })
                .collect();
            let (cells, total) = cells(&of);
            let mut plain = rules(Level::Plain);
            plain.l2 = 3.0;
            let first = plain.numbers(0, &cells, bins, total, &mut Scratch::new());
            let in_turn = plain.numbers_in_turn(0, &cells, bins, total, Bounds::WIDEST, None, None);
            let key = |found: Option<Candidate>| found.map(|c| (c.place, c.missing_left, c.left));
            assert_eq!(key(first), key(in_turn));
            for level in Level::all() {
                let rules = Rules { level, ..plain.clone() };
                assert_eq!(rules.numbers(0, &cells, bins, total, &mut Scratch::new()), first, "{level:?}");
            }
        }
    }
}
