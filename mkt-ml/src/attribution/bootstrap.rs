//! How far credits would scatter if other people had come.

use std::num::NonZeroUsize;

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;

use super::{
    AttributionError, Paths, Tally,
    paths::{Counts, UNIT},
};
use crate::workers::Workers;

/// Draws paths anew and computes all credits of a tally each time.
///
/// Each conversion and each path without one is drawn a number of times from a Poisson distribution of mean 1 (fractions
/// of a count are weights). A value drawn is the mean value of the path's conversions: the spread of values within
/// one path is not in the intervals. The same seed gives the same intervals, in any order of rows and on any number of
/// threads.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    replicates: usize,
    seed: u64,
    level: f64,
    threads: Option<NonZeroUsize>,
}

/// The interval of a channel's credit.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CreditInterval {
    /// The channel.
    pub channel: String,
    /// Where the middle 95 % (or another level) of the replicates have its conversions.
    pub conversions: [f64; 2],
    /// The same of its value, where all replicates have one.
    pub value: Option<[f64; 2]>,
}

impl Bootstrap {
    /// So many replicates (from 20 to 100,000) drawn by `seed`, at a level of 95 %.
    #[must_use]
    pub fn new(replicates: usize, seed: u64) -> Self {
        Self { replicates, seed, level: 0.95, threads: None }
    }

    /// The level of the intervals (default 0.95).
    #[must_use]
    pub fn level(mut self, level: f64) -> Self {
        self.level = level;
        self
    }

    /// Threads to draw on (default all that the machine offers). Intervals do not depend on it.
    #[must_use]
    pub fn threads(mut self, threads: impl Into<Option<NonZeroUsize>>) -> Self {
        self.threads = threads.into();
        self
    }

    /// Intervals of the credits of `paths` by each model of `tally`, whose counts are not used: one list for each model,
    /// channels by name.
    ///
    /// # Errors
    /// Parameters outside their range; as [`Tally::add`] and [`Tally::credits`].
    pub fn intervals(
        &self,
        tally: &Tally,
        paths: &Paths,
    ) -> Result<Vec<Vec<CreditInterval>>, AttributionError> {
        let wrong = |name, value: String, expected| AttributionError::Parameter { name, value, expected };
        if !(20..=100_000).contains(&self.replicates) {
            return Err(wrong("replicates", self.replicates.to_string(), "from 20 to 100000"));
        }
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(wrong("level", self.level.to_string(), "between 0 and 1"));
        }
        let order = common_order(paths);
        let workers = Workers::new(self.threads, self.replicates).map_err(|_| AttributionError::Threads)?;
        let drawn = workers.enter(|crew| {
            crew.map((0..self.replicates as u64).collect(), |replicate| {
                // The first number of a generator seeded by both tells streams of one seed apart.
                let stream = Xoshiro256PlusPlus::seed_from_u64(replicate).random::<u64>();
                let mut random = Xoshiro256PlusPlus::seed_from_u64(self.seed ^ stream);
                let counts = drawn(paths, &order, &mut random);
                let mut tally = tally.emptied();
                tally.count(paths, &counts)?;
                tally.credits()
            })
        });
        let drawn = drawn.into_iter().collect::<Result<Vec<_>, _>>()?;
        let mut channels: Vec<&str> = paths.channels().iter().map(String::as_str).collect();
        channels.sort_unstable();
        let interval = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            let tail = (1.0 - self.level) / 2.0;
            [quantile(&values, tail), quantile(&values, 1.0 - tail)]
        };
        Ok((0..tally.models().len())
            .map(|model| {
                let of = |channel: &&str| {
                    let credits: Vec<_> =
                        drawn.iter().map(|answers| answers[model].channel(channel)).collect();
                    let conversions = credits.iter().map(|credit| credit.map_or(0.0, |it| it.conversions));
                    // A channel that was not drawn has a value of 0 where others have values.
                    let valued = |at: usize| drawn[at][model].value.is_some();
                    let value = |(at, credit): (usize, &Option<&super::Credit>)| match credit {
                        Some(credit) => credit.value,
                        None => valued(at).then_some(0.0),
                    };
                    let values: Option<Vec<f64>> = credits.iter().enumerate().map(value).collect();
                    CreditInterval {
                        channel: (*channel).to_owned(),
                        conversions: interval(conversions.collect()),
                        value: values.map(interval),
                    }
                };
                channels.iter().map(of).collect()
            })
            .collect())
    }
}

/// Numbers of paths in an order that does not depend on how they came: channels by what they took part in, then paths.
fn common_order(paths: &Paths) -> Vec<usize> {
    let mut took = vec![[0_u128; 2]; paths.channels().len()];
    for (at, counts) in paths.counts().iter().enumerate() {
        for id in paths.path(at).0 {
            let took = &mut took[usize::from(*id)];
            took[0] += u128::from(counts.conversions) + u128::from(counts.nulls);
            took[1] += u128::from(counts.conversions);
        }
    }
    let names = paths.channels();
    let mut channels: Vec<usize> = (0..names.len()).collect();
    channels.sort_by(|a, b| took[*b].cmp(&took[*a]).then_with(|| names[*a].cmp(&names[*b])));
    let mut ranks = vec![0_u16; channels.len()];
    channels.iter().enumerate().for_each(|(rank, channel)| ranks[*channel] = rank as u16);
    let mut order: Vec<usize> = (0..paths.distinct()).collect();
    order.sort_by_cached_key(|at| {
        let (touches, ages) = paths.path(*at);
        let ranks: Vec<u16> = touches.iter().map(|id| ranks[usize::from(*id)]).collect();
        (ranks, ages.to_vec())
    });
    order
}

/// Outcomes drawn anew.
fn drawn(paths: &Paths, order: &[usize], random: &mut impl Rng) -> Vec<Counts> {
    let mut counts = vec![Counts::default(); paths.distinct()];
    for at in order {
        let given = paths.counts()[*at];
        let conversions = draw(given.conversions, random);
        let nulls = draw(given.nulls, random);
        let share = if given.conversions == 0 { 0.0 } else { conversions as f64 / given.conversions as f64 };
        let value = (given.value as f64 * share).round() as i64;
        let unvalued = ((given.unvalued as f64 * share).round() as u64).min(conversions);
        counts[*at] = Counts { conversions, nulls, value, unvalued };
    }
    counts
}

/// A count of millionths drawn: whole paths one by one, what is left over as one path of that weight.
fn draw(count: u64, random: &mut impl Rng) -> u64 {
    const WHOLE: u64 = UNIT as u64;
    let (paths, rest) = (count / WHOLE, count % WHOLE);
    let mut drawn = poisson(paths as f64, random) * WHOLE;
    if rest > 0 {
        drawn += poisson(1.0, random) * rest;
    }
    drawn
}

/// A draw from the Poisson distribution, by multiplication in parts of mean 16 (Knuth); beyond a mean of 1,000 from the
/// normal distribution of the same mean and variance, which differs by less than bootstrap intervals can show.
fn poisson(mean: f64, random: &mut impl Rng) -> u64 {
    if mean > 1000.0 {
        // Box and Muller.
        let (a, b): (f64, f64) = (1.0 - random.random::<f64>(), random.random());
        let normal = (-2.0 * a.ln()).sqrt() * (std::f64::consts::TAU * b).cos();
        return (mean + mean.sqrt() * normal).round().max(0.0) as u64;
    }
    let (mut left, mut drawn) = (mean, 0);
    while left > 0.0 {
        let part = left.min(16.0);
        left -= part;
        let (floor, mut product) = ((-part).exp(), random.random::<f64>());
        while product > floor {
            drawn += 1;
            product *= random.random::<f64>();
        }
    }
    drawn
}

/// The quantile of sorted values by linear interpolation (type 7 of Hyndman and Fan).
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
    let place = share.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}
