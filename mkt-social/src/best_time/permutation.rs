//! The permutation test of "the hour has no effect": hours are shuffled within groups of comparable posts.
//!
//! For a very large group the shuffled sums are drawn from their normal limit instead (Hoeffding 1951, "A combinatorial
//! central limit theorem"): two thousand shuffles of a million posts would take longer than reading them.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use super::Item;
use super::cholesky::HOURS;

/// Least size of a group, and of each used hour of it, for the normal limit.
const LARGE_GROUP: usize = 5_000;
const LARGE_HOUR: usize = 100;

/// Added to each hour's count, so that a single post at an odd hour does not decide the test.
const DAMPING: f64 = 2.0;

/// (1 + shuffles with a deviation at least as large as in the data) / (1 + shuffles): never above its nominal level if
/// the hour has no effect (Phipson and Smyth 2010).
pub(super) fn p_value(items: &[Item], shuffles: u32, seed: u64) -> f64 {
    p_value_by(items, shuffles, seed, LARGE_GROUP)
}

fn p_value_by(items: &[Item], shuffles: u32, seed: u64, large_group: usize) -> f64 {
    let mut counts = [DAMPING; HOURS];
    let mut sums = [0.0; HOURS];
    let mut moments = vec![Moments::default(); items.iter().map(|item| item.group() + 1).max().unwrap_or(0)];
    for item in items {
        counts[item.hour()] += 1.0;
        sums[item.hour()] += item.deviation;
        moments[item.group()].add(item);
    }
    let mut groups: Vec<Group> = moments.iter().map(|moments| Group::of(moments, large_group)).collect();
    for item in items {
        if let Some(Group::Shuffled { deviations, hours }) = groups.get_mut(item.group()) {
            deviations.push(item.deviation);
            hours.push(item.hour);
        }
    }
    // Sums of the same numbers in another order differ in the last bits; ties must count.
    let threshold = largest_deviation(&sums, &counts) * (1.0 - 1e-9);
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let mut as_much = 0_u32;
    for _ in 0..shuffles {
        let mut sums = [0.0; HOURS];
        for group in &mut groups {
            match group {
                Group::Shuffled { deviations, hours } => {
                    hours.shuffle(&mut random);
                    for (deviation, hour) in deviations.iter().zip(hours.iter()) {
                        sums[usize::from(*hour) % HOURS] += deviation;
                    }
                }
                Group::Large(limit) => limit.add(&mut sums, &mut random),
            }
        }
        as_much += u32::from(largest_deviation(&sums, &counts) >= threshold);
    }
    f64::from(as_much + 1) / f64::from(shuffles + 1)
}

/// The largest deviation of any hour.
fn largest_deviation(sums: &[f64; HOURS], counts: &[f64; HOURS]) -> f64 {
    sums.iter().zip(counts).map(|(sum, count)| sum.abs() / count.sqrt()).fold(0.0, f64::max)
}

/// A group of comparable posts.
enum Group {
    Shuffled { deviations: Vec<f64>, hours: Vec<u8> },
    Large(Limit),
}

impl Group {
    fn of(moments: &Moments, large_group: usize) -> Self {
        let shuffled = || Self::Shuffled { deviations: Vec::new(), hours: Vec::new() };
        Limit::of(moments, large_group).map_or_else(shuffled, Self::Large)
    }
}

/// The moments of a group that the limit needs.
#[derive(Debug, Clone, Default)]
struct Moments {
    counts: [usize; HOURS],
    n: usize,
    sum: f64,
    squares: f64,
}

impl Moments {
    fn add(&mut self, item: &Item) {
        self.counts[item.hour()] += 1;
        self.n += 1;
        self.sum += item.deviation;
        self.squares += item.deviation.powi(2);
    }
}

/// The normal limit of the sums of a group whose hours are shuffled: mean n·m, covariance s²(n_h δ_hk − n_h n_k / n).
struct Limit {
    counts: [f64; HOURS],
    n: f64,
    mean: f64,
    /// Standard deviation of the group's posts, as of a sample: drawn without replacement.
    deviation: f64,
}

impl Limit {
    /// The limit of a group that is large enough at each of its hours.
    fn of(group: &Moments, large_group: usize) -> Option<Self> {
        let large = |count: &usize| *count == 0 || *count >= LARGE_HOUR;
        if group.n < large_group || !group.counts.iter().all(large) {
            return None;
        }
        let n = group.n as f64;
        let mean = group.sum / n;
        // The values are deviations from the group's mean: the subtraction loses no digits.
        let squares = (group.squares - n * mean * mean).max(0.0);
        Some(Self {
            counts: group.counts.map(|count| count as f64),
            n,
            mean,
            deviation: (squares / (n - 1.0)).sqrt(),
        })
    }

    /// One draw: independent normal numbers of variance n_h, less each hour's share of their sum.
    fn add(&self, sums: &mut [f64; HOURS], random: &mut Xoshiro256PlusPlus) {
        let mut drawn = [0.0; HOURS];
        for (drawn, count) in drawn.iter_mut().zip(&self.counts) {
            *drawn = count.sqrt() * normal(random);
        }
        let total: f64 = drawn.iter().sum();
        for ((sum, drawn), count) in sums.iter_mut().zip(drawn).zip(&self.counts) {
            *sum += count * self.mean + self.deviation * (drawn - count / self.n * total);
        }
    }
}

/// A standard normal number (Box and Muller 1958).
pub(super) fn normal(random: &mut Xoshiro256PlusPlus) -> f64 {
    // In (0, 1]: the logarithm of 0 is infinite.
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_posts_have_a_p_value_of_one() {
        // Every shuffle of two posts has the deviation of the data.
        let items =
            [Item { hour: 9, deviation: -1.0, group: 0 }, Item { hour: 18, deviation: 1.0, group: 0 }];
        assert_eq!(p_value(&items, 199, 1), 1.0);
    }

    #[test]
    fn p_value_of_a_perfect_split_is_the_exact_one() {
        // Six posts, three high at one hour, three low at the other: 2 of the C(6,3) = 20 arrangements are as extreme.
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
    fn hours_are_shuffled_within_groups_only() {
        // Group 0: two posts high at one hour, two low at the other; 2 of its 6 arrangements are as extreme, whatever
        // group 1 does. Shuffled among all eight posts it would be 9 in 35.
        let group = |group, size: f64, hours: [u8; 2]| {
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

    /// Heavy-tailed posts, evenly at 15 hours, or four in five at one of two hours; 18:00 has a small effect.
    fn world(effect: f64, two_hours: bool) -> Vec<Item> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(11);
        (0..12_000)
            .map(|index| {
                let hour = match two_hours {
                    false => 8 + index % 15,
                    true if index % 5 == 0 => 18,
                    true => 9,
                };
                let luck = normal(&mut random);
                // Cubed, so that the tails are heavy: the limit must not need normal posts.
                let deviation = luck * luck * luck + if hour == 18 { effect } else { 0.0 };
                Item { hour: hour as u8, deviation, group: index % 2 }
            })
            .collect()
    }

    #[test]
    fn normal_limit_gives_the_p_value_of_shuffles() {
        for (effect, two_hours) in [(0.0, false), (0.2, false), (0.35, false), (0.0, true), (0.1, true)] {
            let items = world(effect, two_hours);
            let (shuffled, drawn) =
                (p_value_by(&items, 1_999, 3, usize::MAX), p_value_by(&items, 1_999, 3, 5_000));
            // Each is a share of 1999 draws: three standard deviations of their difference, and a margin for the limit.
            let spread = 3.0 * (2.0 * shuffled.max(1e-3) * (1.0 - shuffled) / 1_999.0).sqrt() + 0.003;
            assert!(
                (shuffled - drawn).abs() < spread,
                "{effect}: {shuffled} by shuffles, {drawn} by the limit"
            );
        }
    }

    #[test]
    fn group_with_a_rare_hour_is_shuffled() {
        let mut group = Moments::default();
        world(0.0, false).iter().for_each(|item| group.add(item));
        assert!(Limit::of(&group, 5_000).is_some());
        group.add(&Item { hour: 3, deviation: 40.0, group: 0 });
        assert!(Limit::of(&group, 5_000).is_none(), "one post has no limit");
    }
}
