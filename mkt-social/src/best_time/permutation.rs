//! Does the hour matter at all? Hours are shuffled among posts that are alike; the data are one of the shuffles.

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Item;
use super::cholesky::HOURS;

/// Added to each hour's count, so that a lone post at an odd hour does not decide the test.
const DAMPING: f64 = 2.0;

/// (1 + shuffles that stand out at least as much as the data) / (1 + shuffles): never above its nominal level when the
/// hour has no effect (Phipson and Smyth 2010).
pub(super) fn p_value(items: &[Item], shuffles: u32, seed: u64) -> f64 {
    // Groups side by side, so that each is shuffled as a slice.
    let mut ordered: Vec<Item> = items.to_vec();
    ordered.sort_by_key(|item| item.group);
    let deviations: Vec<f64> = ordered.iter().map(|item| item.deviation).collect();
    let mut hours: Vec<u8> = ordered.iter().map(|item| item.hour as u8).collect();
    let lengths: Vec<usize> = ordered.chunk_by(|a, b| a.group == b.group).map(<[Item]>::len).collect();
    let mut counts = [DAMPING; HOURS];
    for item in items {
        counts[item.hour] += 1.0;
    }
    let observed = standing_out(&deviations, &hours, &counts);
    // Sums of the same numbers in another order differ in the last bits; ties must count.
    let threshold = observed * (1.0 - 1e-9);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut as_much = 0_u32;
    for _ in 0..shuffles {
        let mut rest = hours.as_mut_slice();
        for length in &lengths {
            let (group, after) = rest.split_at_mut(*length);
            group.shuffle(&mut random);
            rest = after;
        }
        as_much += u32::from(standing_out(&deviations, &hours, &counts) >= threshold);
    }
    f64::from(as_much + 1) / f64::from(shuffles + 1)
}

/// How far the hour that stands out most is from none.
fn standing_out(deviations: &[f64], hours: &[u8], counts: &[f64; HOURS]) -> f64 {
    let mut sums = [0.0; HOURS];
    for (deviation, hour) in deviations.iter().zip(hours) {
        sums[usize::from(*hour) % HOURS] += deviation;
    }
    sums.iter().zip(counts).map(|(sum, count)| sum.abs() / count.sqrt()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_posts_at_two_hours_say_nothing() {
        // Every shuffle of two posts stands out exactly as much as the data.
        let items =
            [Item { hour: 9, deviation: -1.0, group: 0 }, Item { hour: 18, deviation: 1.0, group: 0 }];
        assert_eq!(p_value(&items, 199, 1), 1.0);
    }

    #[test]
    fn a_perfect_split_has_the_p_value_of_its_arrangements() {
        // Six posts, three high at one hour, three low at the other: 2 of the C(6,3) = 20 arrangements stand out so far.
        let items: Vec<Item> = (0..6_u8)
            .map(|i| {
                let high = i < 3;
                Item { hour: if high { 18 } else { 9 }, deviation: if high { 1.0 } else { -1.0 }, group: 0 }
            })
            .collect();
        let p = p_value(&items, 19_999, 7);
        // Binomial standard deviation of 0.1 over 19 999 draws: 0.0021.
        assert!((p - 0.1).abs() < 0.009, "{p}");
    }

    #[test]
    fn hours_are_never_exchanged_between_groups() {
        // Group 0: two posts high at one hour, two low at the other; 2 of its 6 arrangements stand out so far, whatever
        // group 1 does. Exchanged among all eight posts it would be 9 in 35.
        let group = |group, size: f64, hours: [usize; 2]| {
            [1.0, 1.0, -1.0, -1.0].into_iter().enumerate().map(move |(place, sign)| Item {
                hour: hours[place / 2],
                deviation: sign * size,
                group,
            })
        };
        let items: Vec<Item> = group(0, 1.0, [9, 18]).chain(group(1, 0.001, [12, 13])).collect();
        let p = p_value(&items, 19_999, 3);
        // Binomial standard deviation of 1/3 over 19 999 draws: 0.0033.
        assert!((p - 1.0 / 3.0).abs() < 0.012, "{p}");
    }
}
