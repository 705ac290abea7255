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
    let column = table.column(feature);
    divide(items, aside, left, |row| column.of(row))
}

/// As [`partition`], for rows whose bins `bin` tells.
///
/// Every item is written to both sides and the ends move by the outcome: no branch that a processor could
/// guess wrong, and rows that split evenly are what it guesses worst.
pub(crate) fn divide(
    items: &mut [u64],
    aside: &mut Vec<u64>,
    left: &LeftBins,
    bin: impl Fn(usize) -> u8,
) -> usize {
    if aside.len() < items.len() {
        aside.resize(items.len(), 0);
    }
    let aside = &mut aside[..items.len()];
    let (mut kept, mut moved) = (0, 0);
    for at in 0..items.len() {
        let item = items[at];
        let goes_left = left[usize::from(bin(item as u32 as usize))];
        items[kept] = item;
        aside[moved] = item;
        kept += usize::from(goes_left);
        moved += usize::from(!goes_left);
    }
    items[kept..].copy_from_slice(&aside[..moved]);
    kept
}
