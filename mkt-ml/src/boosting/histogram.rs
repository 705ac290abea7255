//! Sums of gradients and hessians per bin.
//!
//! A row travels with its gradient and hessian rounded to 16 bits each, in one word: see [`Item`]. A cell adds
//! both at once, the gradient in its upper half and the hessian in its lower; [`super::gradients`] scales them
//! so that no half can overflow, however many rows are added. Whole numbers can be added in any order, by any
//! number of threads, and taken away again: the histogram of one child is its parent's minus its sibling's.

use crate::{prefetch::prefetch, tree::table::Table, workers::Crew};

/// A row with its rounded derivatives: the row in bits 0..32, the hessian in 32..48, the gradient in 48..64.
pub(crate) type Item = u64;

/// The sums of one feature, by bin.
pub(crate) type Cells = [u64; 256];

/// Features whose cells fill most of the innermost cache (2 KiB each of 48).
const TILE: usize = 20;
/// Rows that are requested before they are added.
const AHEAD: usize = 16;
/// Fewer items are not worth waking a thread for.
const SHARED: usize = 1 << 12;

/// Sum of gradients and of hessians, in rounded units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Sums {
    pub(crate) gradient: i32,
    /// Below 2³¹.
    pub(crate) hessian: i32,
}

impl Sums {
    pub(crate) fn of_cell(cell: u64) -> Self {
        Self { gradient: (cell >> 32) as i32, hessian: cell as u32 as i32 }
    }

    pub(crate) fn plus(self, other: Self) -> Self {
        Self { gradient: self.gradient + other.gradient, hessian: self.hessian + other.hessian }
    }

    pub(crate) fn minus(self, other: Self) -> Self {
        Self { gradient: self.gradient - other.gradient, hessian: self.hessian - other.hessian }
    }
}

/// What an item adds to a cell.
#[inline(always)]
fn addend(item: Item) -> u64 {
    ((item as i64 >> 48) << 32) as u64 + ((item >> 32) & 0xffff)
}

/// The sum over items of one node.
pub(crate) fn total(items: &[Item], crew: Crew) -> Sums {
    let part = |items: &[Item]| items.iter().fold(0, |sum: u64, item| sum.wrapping_add(addend(*item)));
    let parts = crew.map(items.chunks(SHARED).collect(), part);
    Sums::of_cell(parts.into_iter().fold(0, u64::wrapping_add))
}

/// Fills `cells` (one entry per feature) with the sums of `items`.
pub(crate) fn fill(table: &Table, items: &[Item], cells: &mut [Cells], crew: Crew) {
    let parts = crew.threads().min(items.len() / SHARED);
    if parts < 2 {
        cells.fill([0; 256]);
        accumulate(table, items, cells);
        return;
    }
    let chunks: Vec<&[Item]> = items.chunks(items.len().div_ceil(parts)).collect();
    let sums = crew.map(chunks, |chunk| {
        let mut cells = vec![[0; 256]; table.features()];
        accumulate(table, chunk, &mut cells);
        cells
    });
    let mut sums = sums.into_iter();
    if let Some(first) = sums.next() {
        cells.copy_from_slice(&first);
    }
    for part in sums {
        for (into, from) in cells.iter_mut().zip(&part) {
            for (into, from) in into.iter_mut().zip(from) {
                *into = into.wrapping_add(*from);
            }
        }
    }
}

/// Adds `items` to `cells`, a tile of features at a time.
fn accumulate(table: &Table, items: &[Item], cells: &mut [Cells]) {
    let stride = table.features();
    for (tile, cells) in cells.chunks_mut(TILE).enumerate() {
        let from = tile * TILE;
        let width = cells.len();
        for (place, item) in items.iter().enumerate() {
            if let Some(later) = items.get(place + AHEAD) {
                let at = *later as u32 as usize * stride + from;
                prefetch(&table.bins, at);
                prefetch(&table.bins, at + width - 1);
            }
            let at = *item as u32 as usize * stride + from;
            let bins = &table.bins[at..at + width];
            let add = addend(*item);
            let (fours, rest) = cells.split_at_mut(width / 4 * 4);
            let (of_fours, of_rest) = bins.split_at(width / 4 * 4);
            for (cells, bins) in fours.chunks_exact_mut(4).zip(of_fours.chunks_exact(4)) {
                for lane in 0..4 {
                    let cell = &mut cells[lane][usize::from(bins[lane])];
                    *cell = cell.wrapping_add(add);
                }
            }
            for (cells, bin) in rest.iter_mut().zip(of_rest) {
                let cell = &mut cells[usize::from(*bin)];
                *cell = cell.wrapping_add(add);
            }
        }
    }
}

/// Takes the sums of one child away from its parent's, which leaves the other child's.
pub(crate) fn subtract(parent: &mut [Cells], child: &[Cells]) {
    for (parent, child) in parent.iter_mut().zip(child) {
        for (parent, child) in parent.iter_mut().zip(child) {
            *parent = parent.wrapping_sub(*child);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workers::Workers;

    fn item(row: u64, gradient: i16, hessian: u16) -> Item {
        row | u64::from(hessian) << 32 | u64::from(gradient as u16) << 48
    }

    #[test]
    fn negative_gradients_and_full_hessians_keep_to_their_halves() {
        let items = [item(0, -32767, 65535), item(1, 32767, 65535), item(2, -5, 0), item(3, -1, 1)];
        let alone = |items: &[Item]| {
            Workers::new(std::num::NonZeroUsize::new(1), 1).unwrap().enter(|crew| total(items, crew))
        };
        assert_eq!(alone(&items), Sums { gradient: -6, hessian: 131_071 });
        assert_eq!(alone(&items[..1]), Sums { gradient: -32767, hessian: 65535 });
        let all = Sums::of_cell(addend(items[0]).wrapping_add(addend(items[3])));
        assert_eq!(all, Sums { gradient: -32768, hessian: 65536 });
        assert_eq!(Sums::of_cell(addend(items[3])), Sums { gradient: -1, hessian: 1 });
    }

    #[test]
    fn threads_tiles_and_siblings_give_the_sums_of_a_plain_loop() {
        // 43 features: two full tiles and a rest that is no multiple of four.
        let (rows, features) = (70_000_usize, 43);
        let bins: Vec<u8> = (0..rows * features).map(|at| ((at * 2_654_435_761) >> 9) as u8).collect();
        let table = Table::of_bins(features, bins);
        let items: Vec<Item> = (0..rows as u64)
            .map(|row| item(row, (row * 7919 % 101) as i16 - 50, (row * 31 % 17) as u16))
            .collect();
        let mut expected = vec![[Sums::default(); 256]; features];
        for (row, item) in items.iter().enumerate() {
            for (at, sums) in expected.iter_mut().enumerate() {
                let sum = &mut sums[usize::from(table.bins[row * features + at])];
                *sum = sum
                    .plus(Sums { gradient: (item >> 48) as i16 as i32, hessian: (item >> 32) as u16 as i32 });
            }
        }
        let sums =
            |cells: &[Cells]| -> Vec<[Sums; 256]> { cells.iter().map(|c| c.map(Sums::of_cell)).collect() };
        for threads in [1, 2, 3] {
            let workers = Workers::new(std::num::NonZeroUsize::new(threads), 8).unwrap();
            let mut cells = vec![[9; 256]; features];
            workers.enter(|crew| fill(&table, &items, &mut cells, crew));
            assert!(sums(&cells) == expected, "{threads} threads");
            let (mut child, mut sibling) = (cells.clone(), cells.clone());
            workers.enter(|crew| {
                fill(&table, &items[..20_000], &mut child, crew);
                fill(&table, &items[20_000..], &mut sibling, crew);
            });
            subtract(&mut cells, &child);
            assert!(sums(&cells) == sums(&sibling), "{threads} threads");
        }
    }
}
