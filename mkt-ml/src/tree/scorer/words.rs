//! A small tree, four words of rows per node.

use super::{BLOCK, SmallTree};
use crate::simd::Level;

/// Twice as many nodes as leaves at most; a power of two.
pub(super) const NODES: usize = 2 * super::SMALL;
/// The words of a block.
pub(super) const WORDS: usize = BLOCK / 64;
/// The rows of a block, one bit each.
type Rows = [u64; WORDS];
/// The rows of a tree's nodes; those of earlier trees are overwritten before they are read.
type Reach = [Rows; NODES];

/// What differs between processors.
trait Machine {
    /// The rows whose byte is at most `most`.
    fn at_most(bytes: &[u8; 64], most: u8) -> u64;

    /// Adds to each row the value of the leaf whose word it is in.
    fn settle(tree: &SmallTree, reach: &Reach, sums: &mut [f64; BLOCK]);
}

/// Adds the values of one tree to a block.
pub(super) fn score(
    level: Level,
    tree: &SmallTree,
    bytes: &[[u8; BLOCK]],
    reach: &mut Reach,
    sums: &mut [f64; BLOCK],
) {
    #[cfg(target_arch = "x86_64")]
    #[allow(unsafe_code)]
    {
        let level = level.min(Level::of_machine());
        if level == Level::Avx512 {
            // SAFETY: `of_machine` has found every feature that the function is compiled with.
            return unsafe { x86::score_avx512(tree, bytes, reach, sums) };
        }
        if level == Level::Avx2 {
            // SAFETY: as above.
            return unsafe { x86::score_avx2(tree, bytes, reach, sums) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = level;
    score_on::<Plain>(tree, bytes, reach, sums);
}

#[inline(always)]
fn score_on<M: Machine>(tree: &SmallTree, bytes: &[[u8; BLOCK]], reach: &mut Reach, sums: &mut [f64; BLOCK]) {
    reach[0] = [u64::MAX; WORDS];
    for split in &tree.splits {
        let bytes = &bytes[usize::from(split.slot)];
        let rows = reach[usize::from(split.node) % NODES];
        let (mut left, mut right) = (rows, rows);
        let (parts, _) = bytes.as_chunks::<64>();
        for (part, (left, right)) in parts.iter().zip(left.iter_mut().zip(&mut right)) {
            let goes_left = if split.by_set {
                in_set(part, &tree.sets[usize::from(split.set)])
            } else {
                M::at_most(part, split.most)
            };
            *left &= goes_left;
            *right &= !goes_left;
        }
        reach[usize::from(split.left) % NODES] = left;
        reach[(usize::from(split.left) + 1) % NODES] = right;
    }
    M::settle(tree, reach, sums);
}

/// The rows whose byte is in a set.
#[inline(always)]
fn in_set(bytes: &[u8; 64], set: &[u64; 4]) -> u64 {
    let bit = |byte: u8| set[usize::from(byte / 64)] >> (byte % 64) & 1;
    bytes.iter().enumerate().fold(0, |word, (row, byte)| word | bit(*byte) << row)
}

/// Every processor.
struct Plain;

impl Machine for Plain {
    /// Eight bytes at a time in one word: the highest bit of each byte ends up as its answer.
    #[inline(always)]
    fn at_most(bytes: &[u8; 64], most: u8) -> u64 {
        const HIGH: u64 = 0x8080_8080_8080_8080;
        let most = u64::from_le_bytes([most; 8]);
        let (words, _) = bytes.as_chunks::<8>();
        words.iter().enumerate().fold(0, |all, (at, word)| {
            let word = u64::from_le_bytes(*word);
            let difference = (most | HIGH) - (word & !HIGH);
            let at_most = ((most & !word) | (!(most ^ word) & difference)) & HIGH;
            // Gathers the eight bits into the uppermost byte.
            all | ((at_most >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (8 * at)
        })
    }

    #[inline(always)]
    fn settle(tree: &SmallTree, reach: &Reach, sums: &mut [f64; BLOCK]) {
        for (node, value) in tree.leaves.iter().zip(&tree.values) {
            for (word, rows) in reach[usize::from(*node) % NODES].iter().enumerate() {
                let mut rows = *rows;
                while rows != 0 {
                    sums[(word * 64 + rows.trailing_zeros() as usize) & (BLOCK - 1)] += value;
                    rows &= rows - 1;
                }
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    #![allow(unsafe_code)]

    use std::arch::x86_64::*;

    use super::{super::SMALL, BLOCK, Machine, NODES, Plain, Reach, SmallTree, WORDS, score_on};

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
    pub(super) fn score_avx2(
        tree: &SmallTree,
        bytes: &[[u8; BLOCK]],
        reach: &mut Reach,
        sums: &mut [f64; BLOCK],
    ) {
        score_on::<Avx2>(tree, bytes, reach, sums);
    }

    #[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt,avx512f,avx512bw,avx512dq,avx512vl")]
    pub(super) fn score_avx512(
        tree: &SmallTree,
        bytes: &[[u8; BLOCK]],
        reach: &mut Reach,
        sums: &mut [f64; BLOCK],
    ) {
        score_on::<Avx512>(tree, bytes, reach, sums);
    }

    /// Used by [`score_avx2`] alone.
    struct Avx2;

    impl Machine for Avx2 {
        #[inline(always)]
        fn at_most(bytes: &[u8; 64], most: u8) -> u64 {
            // SAFETY: called within a function compiled with AVX2 only, and the loads stay in the array's 64
            // bytes.
            unsafe {
                let most = _mm256_set1_epi8(most as i8);
                let half = |at: usize| {
                    let bytes = _mm256_loadu_si256(bytes.as_ptr().add(at).cast());
                    // A byte is at most `most` when it is the lesser of the two.
                    _mm256_movemask_epi8(_mm256_cmpeq_epi8(_mm256_min_epu8(bytes, most), bytes)) as u32
                };
                u64::from(half(0)) | u64::from(half(32)) << 32
            }
        }

        #[inline(always)]
        fn settle(tree: &SmallTree, reach: &Reach, sums: &mut [f64; BLOCK]) {
            Plain::settle(tree, reach, sums);
        }
    }

    /// Used by [`score_avx512`] alone.
    struct Avx512;

    impl Machine for Avx512 {
        #[inline(always)]
        fn at_most(bytes: &[u8; 64], most: u8) -> u64 {
            // SAFETY: called within a function compiled with AVX-512 F and BW only; the load is the array.
            unsafe {
                let bytes = _mm512_loadu_epi8(bytes.as_ptr().cast());
                _mm512_cmple_epu8_mask(bytes, _mm512_set1_epi8(most as i8))
            }
        }

        #[inline(always)]
        fn settle(tree: &SmallTree, reach: &Reach, sums: &mut [f64; BLOCK]) {
            let mut number = [0_u8; BLOCK];
            let values: &[f64; SMALL] = &tree.values;
            // SAFETY: called within a function compiled with AVX-512 F and BW only; loads and stores are 64 of
            // the array's bytes, or eight of its numbers.
            unsafe {
                let mut numbers = [_mm512_setzero_si512(); WORDS];
                let mut this = _mm512_setzero_si512();
                for node in &tree.leaves {
                    let rows = &reach[usize::from(*node) % NODES];
                    for (numbers, rows) in numbers.iter_mut().zip(rows) {
                        *numbers = _mm512_mask_blend_epi8(*rows, *numbers, this);
                    }
                    this = _mm512_add_epi8(this, _mm512_set1_epi8(1));
                }
                let (parts, _) = number.as_chunks_mut::<64>();
                for (part, numbers) in parts.iter_mut().zip(numbers) {
                    _mm512_storeu_epi8(part.as_mut_ptr().cast(), numbers);
                }
                if tree.leaves.len() <= 32 {
                    // Four registers hold all values; two are searched at a time.
                    let table: [__m512d; 4] =
                        std::array::from_fn(|at| _mm512_loadu_pd(values.as_ptr().add(8 * at)));
                    for (numbers, sums) in number.chunks_exact(8).zip(sums.chunks_exact_mut(8)) {
                        let numbers = _mm512_cvtepu8_epi64(_mm_loadl_epi64(numbers.as_ptr().cast()));
                        let low = _mm512_permutex2var_pd(table[0], numbers, table[1]);
                        let high = _mm512_permutex2var_pd(table[2], numbers, table[3]);
                        let upper = _mm512_test_epi64_mask(numbers, _mm512_set1_epi64(16));
                        let value = _mm512_mask_blend_pd(upper, low, high);
                        let sum = _mm512_add_pd(_mm512_loadu_pd(sums.as_ptr()), value);
                        _mm512_storeu_pd(sums.as_mut_ptr(), sum);
                    }
                    return;
                }
            }
            for (sum, number) in sums.iter_mut().zip(number) {
                *sum += values[usize::from(number) % SMALL];
            }
        }
    }
}
