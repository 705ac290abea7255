//! Curves, areas and deciles of scores, by named definitions.

use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use serde::Serialize;

use super::{Effect, Trial, UpliftError, trial::effect};
use crate::attribution::quantile;

/// Which curve.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CurveKind {
    /// y_t − y_c n_t ÷ n_c: outcomes gained among the treated.
    Qini,
    /// (y_t ÷ n_t − y_c ÷ n_c) (n_t + n_c): outcomes gained if all of them were treated.
    Uplift,
}

/// How an area becomes one number; see the definitions in the module's documentation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Definition {
    /// 0 for an order by chance, 1 for the best order possible.
    ScikitUplift,
    /// The mean height of the curve over its last one, less that of chance for Qini. Its sign is that of causalml, which
    /// turns it where the whole campaign does harm.
    CausalMl,
}

/// A point of a curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurvePoint {
    /// People with the highest scores.
    pub people: usize,
    /// The curve's height.
    pub value: f64,
}

/// A curve over people, from (0, 0) to all; one point for each distinct score.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UpliftCurve {
    /// Which one.
    pub kind: CurveKind,
    /// Its points. Where a group has no people yet, that group's part counts 0, as in scikit-uplift.
    pub points: Vec<CurvePoint>,
}

/// A curve's interval, at hundredths of the people.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Band {
    /// The share of people, from 0 to 1.
    pub share: f64,
    /// The curve's height.
    pub value: f64,
    /// Where 95 % of resampled curves are at this share, one share at a time.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The effect among one tenth of the people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct UpliftDecile {
    /// 1 for the highest scores.
    pub decile: usize,
    /// The mean score.
    pub mean_score: f64,
    /// The effect; none where a group has fewer than two people.
    pub effect: Option<Effect>,
    /// People.
    pub people: usize,
}

/// Sums over the people of one score.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    people: f64,
    treated: f64,
    treated_outcomes: f64,
    outcomes: f64,
}

impl Sums {
    fn add(&mut self, other: &Self) {
        self.people += other.people;
        self.treated += other.treated;
        self.treated_outcomes += other.treated_outcomes;
        self.outcomes += other.outcomes;
    }

    /// The height of a curve; `None` where a group has nobody.
    fn height(&self, kind: CurveKind) -> Option<f64> {
        let (n_t, n_c) = (self.treated, self.people - self.treated);
        let (y_t, y_c) = (self.treated_outcomes, self.outcomes - self.treated_outcomes);
        match kind {
            CurveKind::Qini => (n_c > 0.0).then(|| y_t - y_c * n_t / n_c),
            CurveKind::Uplift => (n_t > 0.0 && n_c > 0.0).then(|| (y_t / n_t - y_c / n_c) * self.people),
        }
    }

    /// The same, a group without people counting 0.
    fn height_or_zero(&self, kind: CurveKind) -> f64 {
        let (n_t, n_c) = (self.treated, self.people - self.treated);
        let (y_t, y_c) = (self.treated_outcomes, self.outcomes - self.treated_outcomes);
        let part = |y: f64, n: f64| if n > 0.0 { y / n } else { 0.0 };
        match kind {
            CurveKind::Qini => y_t - part(y_c, n_c) * n_t,
            CurveKind::Uplift => (part(y_t, n_t) - part(y_c, n_c)) * self.people,
        }
    }
}

impl Trial {
    fn check(&self, scores: &[f64]) -> Result<(), UpliftError> {
        if scores.len() != self.people() {
            let (expected, found) = (self.people(), scores.len());
            return Err(UpliftError::Length { what: "scores", expected, found });
        }
        match scores.iter().enumerate().find(|(_, score)| !score.is_finite()) {
            Some((row, value)) => Err(UpliftError::NotFinite { what: "score", row, value: *value }),
            None => Ok(()),
        }
    }

    /// Rows with the highest scores first, and where the people of each score end.
    fn order(&self, scores: &[f64]) -> (Vec<usize>, Vec<usize>) {
        let mut order: Vec<usize> = (0..scores.len()).collect();
        // Adding 0 makes the two zeros one.
        order.sort_by(|a, b| (scores[*b] + 0.0).total_cmp(&(scores[*a] + 0.0)));
        let mut end = 0;
        let ends = order
            .chunk_by(|a, b| scores[*a] == scores[*b])
            .map(|same| {
                end += same.len();
                end
            })
            .collect();
        (order, ends)
    }

    fn one(&self, row: usize) -> Sums {
        let (treated, outcome) = (f64::from(u8::from(self.treated[row])), self.outcomes[row]);
        Sums { people: 1.0, treated, treated_outcomes: treated * outcome, outcomes: outcome }
    }

    /// Running sums after the people of each score.
    fn sums(&self, scores: &[f64]) -> Vec<Sums> {
        let (order, ends) = self.order(scores);
        let (mut sums, mut from) = (Sums::default(), 0);
        ends.iter()
            .map(|end| {
                // Outcomes of 0 and 1 add up exactly; amounts of one score in the order of their size.
                let mut same: Vec<Sums> = order[from..*end].iter().map(|row| self.one(*row)).collect();
                same.sort_by(|a, b| a.outcomes.total_cmp(&b.outcomes).then(a.treated.total_cmp(&b.treated)));
                same.iter().for_each(|one| sums.add(one));
                from = *end;
                sums
            })
            .collect()
    }

    /// A curve of scores.
    ///
    /// # Errors
    /// Another number of scores than people; a score that is not finite.
    pub fn curve(&self, scores: &[f64], kind: CurveKind) -> Result<UpliftCurve, UpliftError> {
        self.check(scores)?;
        let sums = self.sums(scores);
        let point =
            |sums: &Sums| CurvePoint { people: sums.people as usize, value: sums.height_or_zero(kind) };
        let start = CurvePoint { people: 0, value: 0.0 };
        Ok(UpliftCurve { kind, points: std::iter::once(start).chain(sums.iter().map(point)).collect() })
    }

    /// The Qini curve of scores with its 95 % band: people are drawn anew `replicates` times (each a number of times
    /// from a Poisson distribution of mean 1), the curve being read off at hundredths of the people.
    ///
    /// # Errors
    /// As [`Trial::curve`]; fewer than 20 replicates or more than 100,000.
    pub fn qini_band(&self, scores: &[f64], replicates: usize, seed: u64) -> Result<Vec<Band>, UpliftError> {
        self.check(scores)?;
        if !(20..=100_000).contains(&replicates) {
            let (name, value, expected) = ("replicates", replicates as f64, "from 20 to 100000");
            return Err(UpliftError::Parameter { name, value, expected });
        }
        let (order, ends) = self.order(scores);
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut drawn: Vec<Vec<f64>> = vec![Vec::new(); 101];
        let mut groups: Vec<Sums> = Vec::with_capacity(ends.len());
        for _ in 0..replicates {
            groups.clear();
            let mut from = 0;
            for end in &ends {
                let mut same = Sums::default();
                for row in &order[from..*end] {
                    let times = poisson_of_one(&mut random);
                    let one = self.one(*row);
                    same.people += times;
                    same.treated += times * one.treated;
                    same.treated_outcomes += times * one.treated_outcomes;
                    same.outcomes += times * one.outcomes;
                }
                groups.push(same);
                from = *end;
            }
            at_hundredths(&groups).into_iter().zip(&mut drawn).for_each(|(height, drawn)| drawn.push(height));
        }
        groups.clear();
        let mut from = 0;
        for end in &ends {
            let mut same = Sums::default();
            order[from..*end].iter().for_each(|row| same.add(&self.one(*row)));
            groups.push(same);
            from = *end;
        }
        let band = |(at, (value, mut drawn)): (usize, (f64, Vec<f64>))| {
            drawn.sort_by(f64::total_cmp);
            let (low, high) = (quantile(&drawn, 0.025), quantile(&drawn, 0.975));
            Band { share: at as f64 / 100.0, value, low, high }
        };
        Ok(at_hundredths(&groups).into_iter().zip(drawn).enumerate().map(band).collect())
    }

    /// How good an order by score is, as one number of a named definition.
    ///
    /// # Errors
    /// As [`Trial::curve`]; outcomes that are not 0 and 1 for [`Definition::ScikitUplift`], whose best order is defined by
    /// them; a curve that ends at 0 for [`Definition::CausalMl`], which divides by its end.
    pub fn area(&self, scores: &[f64], kind: CurveKind, definition: Definition) -> Result<f64, UpliftError> {
        self.check(scores)?;
        match definition {
            Definition::ScikitUplift => {
                if !self.is_binary() {
                    return Err(UpliftError::NotBinary { what: "the best possible order" });
                }
                let over_chance = |scores: &[f64]| {
                    let sums = self.sums(scores);
                    let (mut area, mut before) = (0.0, (0.0, 0.0));
                    for sums in &sums {
                        let point = (sums.people, sums.height_or_zero(kind));
                        area += (point.0 - before.0) * f64::midpoint(point.1, before.1);
                        before = point;
                    }
                    area - before.0 * before.1 / 2.0
                };
                let best = over_chance(&self.best_scores(kind));
                if best.abs() < 1e-12 {
                    return Err(UpliftError::NoScale { why: "no order is better than another" });
                }
                Ok(over_chance(scores) / best)
            }
            Definition::CausalMl => {
                // One height for each person: known ones, and between them straight lines.
                let known = self.sums(scores);
                let known =
                    known.iter().filter_map(|sums| Some((sums.people, sums.height_of_causalml(kind)?)));
                let mut sum = 0.0;
                let mut before = (0.0, 0.0);
                for point in known {
                    let gap = point.0 - before.0;
                    for step in 1..=gap as usize {
                        let share = step as f64 / gap;
                        let line = before.1 + (point.1 - before.1) * share;
                        // causalml interpolates the rate of the uplift curve, and multiplies by people then.
                        let people = before.0 + step as f64;
                        sum += if kind == CurveKind::Uplift { line * people } else { line };
                    }
                    before = point;
                }
                let end = if kind == CurveKind::Uplift { before.1 * before.0 } else { before.1 };
                if end == 0.0 {
                    return Err(UpliftError::NoScale { why: "the campaign had no effect over all people" });
                }
                let mean = sum / end.abs() / (self.people() + 1) as f64;
                Ok(if kind == CurveKind::Qini { mean - 0.5 * end.signum() } else { mean })
            }
        }
    }

    /// The coefficient of [`CurveKind::Qini`] by [`Definition::ScikitUplift`].
    ///
    /// # Errors
    /// As [`Trial::area`].
    pub fn qini(&self, scores: &[f64]) -> Result<f64, UpliftError> {
        self.area(scores, CurveKind::Qini, Definition::ScikitUplift)
    }

    /// Scores of the best possible order, as scikit-uplift defines it.
    fn best_scores(&self, kind: CurveKind) -> Vec<f64> {
        let rows = || self.treated.iter().zip(&self.outcomes);
        match kind {
            CurveKind::Qini => rows().map(|(t, y)| if *t { *y } else { -y }).collect(),
            CurveKind::Uplift => {
                let control_yes = rows().filter(|(t, y)| !**t && **y == 1.0).count();
                let treated_no = rows().filter(|(t, y)| **t && **y == 0.0).count();
                rows()
                    .map(|(t, y)| {
                        let t = f64::from(u8::from(*t));
                        let more = if control_yes > treated_no { *y } else { t };
                        2.0 * f64::from(u8::from(*y == t)) + more
                    })
                    .collect()
            }
        }
    }

    /// The effect by tenths of the score, the highest first. People of one score stay together, in the tenth where the
    /// middle of them is; a tenth that is empty by that is left out.
    ///
    /// # Errors
    /// As [`Trial::curve`].
    pub fn deciles(&self, scores: &[f64]) -> Result<Vec<UpliftDecile>, UpliftError> {
        self.check(scores)?;
        let (order, ends) = self.order(scores);
        let people = order.len();
        let mut tenths: Vec<Vec<usize>> = vec![Vec::new(); 10];
        let mut from = 0;
        for end in ends {
            // Twice the middle, so that it is a whole number.
            let tenth = (from + end - 1) * 10 / (2 * people).max(1);
            tenths[tenth.min(9)].extend(&order[from..end]);
            from = end;
        }
        let binary = self.is_binary();
        let decile = |(at, rows): (usize, Vec<usize>)| {
            let [treated, control] = [true, false].map(|group| {
                let rows = rows.iter().filter(|row| self.treated[**row] == group);
                rows.map(|row| self.outcomes[*row]).collect::<Vec<f64>>()
            });
            let enough = treated.len() > 1 && control.len() > 1;
            UpliftDecile {
                decile: at + 1,
                mean_score: rows.iter().map(|row| scores[*row]).sum::<f64>() / rows.len() as f64,
                effect: enough.then(|| effect(&treated, &control, binary)),
                people: rows.len(),
            }
        };
        Ok(tenths.into_iter().enumerate().filter(|(_, rows)| !rows.is_empty()).map(decile).collect())
    }
}

impl Sums {
    /// As causalml has it: of the uplift curve the rate, not times people.
    fn height_of_causalml(&self, kind: CurveKind) -> Option<f64> {
        let height = self.height(kind)?;
        Some(if kind == CurveKind::Uplift { height / self.people } else { height })
    }
}

/// The Qini curve at hundredths of the people, by straight lines between scores.
fn at_hundredths(groups: &[Sums]) -> Vec<f64> {
    let all: f64 = groups.iter().map(|group| group.people).sum();
    let mut heights = Vec::with_capacity(101);
    let (mut sums, mut before) = (Sums::default(), (0.0, 0.0));
    for group in groups {
        sums.add(group);
        let now = (sums.people, sums.height_or_zero(CurveKind::Qini));
        while heights.len() <= 100 && all * heights.len() as f64 / 100.0 <= now.0 {
            let share = (all * heights.len() as f64 / 100.0 - before.0) / (now.0 - before.0);
            heights.push(if share.is_finite() { before.1 + (now.1 - before.1) * share } else { now.1 });
        }
        before = now;
    }
    heights.resize(101, before.1);
    heights
}

/// A draw from the Poisson distribution of mean 1, by inversion.
fn poisson_of_one(random: &mut impl Rng) -> f64 {
    let mut left = random.random::<f64>();
    let (mut times, mut chance) = (0.0, (-1.0_f64).exp());
    while left > chance && times < 20.0 {
        left -= chance;
        times += 1.0;
        chance /= times;
    }
    times
}
