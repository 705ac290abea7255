//! Removal effects of a chain, exactly: by one factorisation where the states are few, else by sweeps that converge to
//! the last digits.
//!
//! With Q the probabilities of steps between states and r those of a conversion, v = (I − Q)⁻¹ r is the probability of
//! a conversion from each state. What is lost where every visit to a channel is a loss is the probability of visiting
//! it and converting afterwards: Σ f(j) v(j) over the states j that end with the channel, f(j) being the probability
//! that j is the first of them. With G = (I − Q)⁻¹ and S those states, f = G(start, S) G(S, S)⁻¹: an update of rank
//! |S| of one factorisation, rank one at order 1.

use super::{AttributionError, chain::Chain, paths::UNIT};
use crate::workers::Workers;

/// Up to so many states are solved by elimination.
const DENSE: usize = 600;
/// The most sweeps.
const MOST_SWEEPS: usize = 50_000;
/// Channels that are removed in one sweep.
const LANES: usize = 8;

/// What removing channels does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Effects {
    /// The probability of a conversion from the start.
    pub(super) probability: f64,
    /// By channel: the share of conversions lost.
    pub(super) removal: Vec<f64>,
    /// By channel: the share of the expected value lost; none where there is no value.
    pub(super) value_removal: Option<Vec<f64>>,
}

/// The chain as numbers, states in an order that does not depend on how they were found.
struct System {
    order: usize,
    /// The last channel of each state, by rank; none for the start, which comes first.
    last: Vec<Option<usize>>,
    /// Where the steps from each state begin.
    from: Vec<usize>,
    steps: Vec<(u32, f64)>,
    /// The probability of a conversion in each state, and its expected value.
    gains: [Vec<f64>; 2],
}

impl System {
    /// `ranks` are the places of channels in the common order.
    fn new(chain: &Chain, ranks: &[usize]) -> Self {
        let key = |state: usize| -> (usize, Vec<usize>) {
            let last = &chain.states[state];
            (last.len(), last.iter().map(|id| ranks[usize::from(*id)]).collect())
        };
        let mut order: Vec<usize> = (0..chain.states.len()).collect();
        order.sort_by_cached_key(|state| key(*state));
        let mut places = vec![0_u32; order.len()];
        for (place, state) in order.iter().enumerate() {
            places[*state] = place as u32;
        }
        let mut edges: Vec<(u32, u32, u64)> = chain
            .steps
            .iter()
            .map(|((from, _), step)| (places[*from as usize], places[step.to as usize], step.count))
            .collect();
        edges.sort_unstable();
        let mut out = vec![0_u128; order.len()];
        for (from, _, count) in &edges {
            out[*from as usize] += u128::from(*count);
        }
        let mut system = Self {
            order: chain.order,
            last: Vec::with_capacity(order.len()),
            from: vec![0; order.len() + 1],
            steps: Vec::with_capacity(edges.len()),
            gains: [vec![0.0; order.len()], vec![0.0; order.len()]],
        };
        for (place, state) in order.iter().enumerate() {
            let end = chain.ends[*state];
            out[place] += u128::from(end.conversions) + u128::from(end.nulls);
            system.last.push(chain.states[*state].last().map(|id| ranks[usize::from(*id)]));
            if out[place] > 0 {
                system.gains[0][place] = end.conversions as f64 / out[place] as f64;
                system.gains[1][place] = end.value as f64 / out[place] as f64;
            }
        }
        for (from, to, count) in &edges {
            system.from[*from as usize + 1] += 1;
            if *count > 0 {
                system.steps.push((*to, *count as f64 / out[*from as usize] as f64));
            } else {
                system.steps.push((*to, 0.0));
            }
        }
        for at in 1..system.from.len() {
            system.from[at] += system.from[at - 1];
        }
        system
    }

    fn states(&self) -> usize {
        self.last.len()
    }

    fn row(&self, state: usize) -> &[(u32, f64)] {
        &self.steps[self.from[state]..self.from[state + 1]]
    }

    /// Sweeps x = b + Q x from the last state to the first until nothing changes (Gauss and Seidel). A pinned state
    /// keeps its value. All terms are positive where gains are, so that even small probabilities keep their digits.
    fn sweep(
        &self,
        gains: impl Fn(usize) -> [f64; LANES],
        pinned: impl Fn(usize) -> Option<(usize, f64)>,
    ) -> Result<Vec<[f64; LANES]>, AttributionError> {
        let mut x = vec![[0.0; LANES]; self.states()];
        for (state, lanes) in x.iter_mut().enumerate() {
            if let Some((lane, value)) = pinned(state) {
                lanes[lane] = value;
            }
        }
        let mut before = f64::INFINITY;
        for _ in 0..MOST_SWEEPS {
            let (mut change, mut largest) = ([0.0_f64; LANES], [0.0_f64; LANES]);
            for state in (0..self.states()).rev() {
                let mut sum = gains(state);
                let mut itself = 0.0;
                for (to, q) in self.row(state) {
                    if *to as usize == state {
                        itself = *q;
                        continue;
                    }
                    let there = &x[*to as usize];
                    for lane in 0..LANES {
                        sum[lane] += q * there[lane];
                    }
                }
                let pin = pinned(state);
                for lane in 0..LANES {
                    let mut value = sum[lane] / (1.0 - itself);
                    if let Some((at, kept)) = pin
                        && at == lane
                    {
                        value = kept;
                    }
                    change[lane] = change[lane].max((value - x[state][lane]).abs());
                    largest[lane] = largest[lane].max(value.abs());
                    x[state][lane] = value;
                }
            }
            let relative = change.iter().zip(&largest).map(|(c, l)| if *l > 0.0 { c / l } else { 0.0 });
            let relative = relative.fold(0.0, f64::max);
            // What is still to come of a geometric series.
            let shrinks = (relative / before).clamp(0.0, 1.0 - 1e-9);
            if relative < 1e-15 || (relative * shrinks / (1.0 - shrinks) < 1e-14 && before.is_finite()) {
                return Ok(x);
            }
            before = relative;
        }
        Err(AttributionError::NotConverged { order: self.order, sweeps: MOST_SWEEPS, change: before })
    }

    /// What is lost by removing each channel, for the probabilities (or values) `gains`, and what there is.
    fn lost_by_sweeps(&self, gains: &[f64], channels: usize) -> Result<(f64, Vec<f64>), AttributionError> {
        let base = self.sweep(|state| [gains[state]; LANES], |_| None)?;
        let groups: Vec<usize> = (0..channels.div_ceil(LANES)).collect();
        let workers = Workers::new(None, groups.len()).map_err(|_| AttributionError::Threads)?;
        let lost = workers.enter(|crew| {
            crew.map(groups, |group| {
                let first = group * LANES;
                let pinned = |state: usize| {
                    let lane = self.last[state]?.checked_sub(first).filter(|lane| *lane < LANES)?;
                    Some((lane, base[state][0]))
                };
                self.sweep(|_| [0.0; LANES], pinned).map(|x| x[0])
            })
        });
        let lost: Vec<[f64; LANES]> = lost.into_iter().collect::<Result<_, _>>()?;
        Ok((base[0][0], lost.into_iter().flatten().take(channels).collect()))
    }

    /// The inverse of I − Q. Rows of Q add up to less than 1 on the way out of every loop, so that elimination needs no
    /// exchange of rows.
    fn inverse(&self) -> Vec<f64> {
        let n = self.states();
        let mut a = vec![0.0; n * n];
        let mut g = vec![0.0; n * n];
        for state in 0..n {
            a[state * n + state] = 1.0;
            g[state * n + state] = 1.0;
            for (to, q) in self.row(state) {
                a[state * n + *to as usize] -= q;
            }
        }
        // The last states first: the start is never returned to.
        for pivot in (0..n).rev() {
            let scale = 1.0 / a[pivot * n + pivot];
            let (pivot_a, pivot_g): (Vec<f64>, Vec<f64>) = (
                a[pivot * n..(pivot + 1) * n].iter().map(|x| x * scale).collect(),
                g[pivot * n..(pivot + 1) * n].iter().map(|x| x * scale).collect(),
            );
            for row in 0..n {
                let factor = a[row * n + pivot];
                if row == pivot || factor == 0.0 {
                    continue;
                }
                for (x, p) in a[row * n..(row + 1) * n].iter_mut().zip(&pivot_a) {
                    *x -= factor * p;
                }
                for (x, p) in g[row * n..(row + 1) * n].iter_mut().zip(&pivot_g) {
                    *x -= factor * p;
                }
            }
            a[pivot * n..(pivot + 1) * n].copy_from_slice(&pivot_a);
            g[pivot * n..(pivot + 1) * n].copy_from_slice(&pivot_g);
        }
        g
    }

    /// By channel: the states that end with it and the probability that each is the first of them to be visited.
    fn first_visits(&self, inverse: &[f64], channels: usize) -> Vec<Vec<(usize, f64)>> {
        let n = self.states();
        let mut ending = vec![Vec::new(); channels];
        for (state, last) in self.last.iter().enumerate() {
            if let Some(channel) = last {
                ending[*channel].push(state);
            }
        }
        let first = |states: Vec<usize>| {
            // f G(S, S) = G(start, S), by elimination with exchange of rows on the transpose.
            let m = states.len();
            let mut rows: Vec<Vec<f64>> = states
                .iter()
                .map(|column| {
                    let mut row: Vec<f64> = states.iter().map(|state| inverse[state * n + column]).collect();
                    row.push(inverse[*column]);
                    row
                })
                .collect();
            for pivot in 0..m {
                let best = (pivot..m).max_by(|a, b| rows[*a][pivot].abs().total_cmp(&rows[*b][pivot].abs()));
                rows.swap(pivot, best.unwrap_or(pivot));
                let (above, below) = rows.split_at_mut(pivot + 1);
                let pivot_row = &above[pivot];
                for row in below {
                    let factor = row[pivot] / pivot_row[pivot];
                    if factor != 0.0 {
                        row.iter_mut().zip(pivot_row).skip(pivot).for_each(|(x, p)| *x -= factor * p);
                    }
                }
            }
            let mut f = vec![0.0; m];
            for at in (0..m).rev() {
                let known: f64 = (at + 1..m).map(|other| rows[at][other] * f[other]).sum();
                f[at] = (rows[at][m] - known) / rows[at][at];
            }
            states.into_iter().zip(f).collect()
        };
        ending.into_iter().map(first).collect()
    }
}

/// Removal effects of all `channels`.
pub(super) fn effects(chain: &Chain, ranks: &[usize], valued: bool) -> Result<Effects, AttributionError> {
    let system = System::new(chain, ranks);
    let channels = ranks.len();
    let visits = (system.states() <= DENSE).then(|| {
        let inverse = system.inverse();
        let visits = system.first_visits(&inverse, channels);
        (inverse, visits)
    });
    let lost = |gains: &[f64]| -> Result<(f64, Vec<f64>), AttributionError> {
        let Some((inverse, visits)) = &visits else { return system.lost_by_sweeps(gains, channels) };
        let n = system.states();
        let dot = |row: &[f64]| row.iter().zip(gains).map(|(g, r)| g * r).sum::<f64>();
        let v: Vec<f64> = inverse.chunks(n).map(dot).collect();
        let lost = visits.iter().map(|states| states.iter().map(|(state, f)| f * v[*state]).sum());
        Ok((v[0], lost.collect()))
    };
    // By rank, to by channel.
    let share = |(all, lost): (f64, Vec<f64>)| -> Vec<f64> {
        ranks.iter().map(|rank| if all == 0.0 { 0.0 } else { lost[*rank] / all }).collect()
    };
    let conversions = lost(&system.gains[0])?;
    let probability = conversions.0;
    let value_removal = if valued { Some(share(lost(&system.gains[1])?)) } else { None };
    Ok(Effects { probability, removal: share(conversions), value_removal })
}

/// The mean value of a path, from millionths.
pub(super) fn millionths(count: i128) -> f64 {
    count as f64 / UNIT
}
