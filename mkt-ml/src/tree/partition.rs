//! Divides the rows of a node between its children.

use super::table::Table;

/// Which bins go left.
pub(crate) type LeftBins = [bool; 256];

/// Moves the items that go left before the others, keeping the order on both sides, and returns how many go
/// left. The low half of an item is its row. `aside` is scratch space.
pub(crate) fn partition(
    items: &mut [u64],
    aside: &mut Vec<u64>,
    table: &Table,
    feature: usize,
    left: &LeftBins,
) -> usize {
    divide(items, aside, table.bins.get(feature..).unwrap_or_default(), table.features(), left)
}

/// As [`partition`], for rows whose bins lie `stride` bytes apart from the start of `bins`.
///
/// Every item is written to both sides and the ends move by the outcome: no branch that a processor could
/// guess wrong, and rows that split evenly are what it guesses worst.
pub(crate) fn divide(
    items: &mut [u64],
    aside: &mut Vec<u64>,
    bins: &[u8],
    stride: usize,
    left: &LeftBins,
) -> usize {
    if aside.len() < items.len() {
        aside.resize(items.len(), 0);
    }
    let aside = &mut aside[..items.len()];
    let (mut kept, mut moved) = (0, 0);
    for at in 0..items.len() {
        let item = items[at];
        let goes_left = left[usize::from(bins[item as u32 as usize * stride])];
        items[kept] = item;
        aside[moved] = item;
        kept += usize::from(goes_left);
        moved += usize::from(!goes_left);
    }
    items[kept..].copy_from_slice(&aside[..moved]);
    kept
}
