//! Divides the rows of a node between its children.

use super::table::Table;
use crate::workers::Crew;

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
        // Every item is written to both sides and the ends move by the outcome: no branch that a processor could
        // guess wrong, and rows that split evenly are what it guesses worst.
        items[kept] = item;
        aside[moved] = item;
        kept += usize::from(goes_left);
        moved += usize::from(!goes_left);
    }
    items[kept..].copy_from_slice(&aside[..moved]);
    kept
}

/// Where one thread puts its part of a node's items, side by side.
#[derive(Debug, Default)]
pub(crate) struct Asides([Vec<u64>; 2]);

/// [`partition`] by several threads: each sorts a part of the items into `asides`, one a thread, then each copies what it
/// has to its place, which is known once all are counted.
pub(crate) fn partition_shared(
    items: &mut [u64],
    asides: &mut [Asides],
    table: &Table,
    feature: usize,
    left: &LeftBins,
    crew: Crew,
) -> usize {
    let column = table.column(feature);
    let size = items.len().div_ceil(asides.len().max(1));
    let work: Vec<_> = items.chunks(size.max(1)).zip(&mut *asides).collect();
    let counts = crew.map(work, |(items, Asides([lefts, rights]))| {
        for side in [&mut *lefts, &mut *rights] {
            if side.len() < items.len() {
                side.resize(items.len(), 0);
            }
        }
        let (lefts, rights) = (&mut lefts[..items.len()], &mut rights[..items.len()]);
        let [mut kept, mut moved] = [0, 0];
        for &item in items {
            let goes_left = left[usize::from(column.of(item as u32 as usize))];
            lefts[kept] = item;
            rights[moved] = item;
            kept += usize::from(goes_left);
            moved += usize::from(!goes_left);
        }
        [kept, moved]
    });
    let middle = counts.iter().map(|[kept, _]| kept).sum();
    let mut rest = items;
    let mut copies = Vec::with_capacity(2 * counts.len());
    for side in 0..2 {
        for (count, Asides(sides)) in counts.iter().zip(&*asides) {
            let (place, after) = rest.split_at_mut(count[side]);
            copies.push((place, &sides[side][..count[side]]));
            rest = after;
        }
    }
    crew.map(copies, |(place, from)| place.copy_from_slice(from));
    middle
}
