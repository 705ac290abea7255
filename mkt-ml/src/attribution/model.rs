//! The models and how rules share a conversion among touches.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::AttributionError;

/// The whole of a conversion, in units of a weight.
pub(super) const WHOLE: u64 = 1 << 48;
/// The highest order of a chain: states are the last so many channels.
const HIGHEST_ORDER: usize = 8;
/// Weights of paths up to so many touches are kept.
const KEPT: usize = 64;

/// How conversions are shared among channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Model {
    /// The first touch.
    First,
    /// The last touch.
    Last,
    /// The last touch whose channel is not the direct one (see [`TallyBuilder::direct`](super::TallyBuilder::direct));
    /// the last touch where all are direct.
    LastNonDirect,
    /// All touches alike; a channel that occurs twice counts twice.
    Linear,
    /// Each touch 2^(−age ÷ `half_life`), scaled to add up to 1; the age is the time from the touch to the end of the
    /// path. Needs paths with times.
    TimeDecay {
        /// After which time a touch counts half.
        half_life: Duration,
    },
    /// As time decay, the age of a touch being the number of touches after it.
    StepDecay {
        /// After how many touches one counts half.
        half_life: f64,
    },
    /// `first` and `last` for the ends, the rest shared by the touches between. A path of one touch gives it all, of
    /// two gives what is left to both in the proportion of `first` and `last`.
    Position {
        /// The share of the first touch.
        first: f64,
        /// The share of the last touch.
        last: f64,
    },
    /// `first`, `middle` and `last` for the first touch, the middle one (of n touches the one at ⌊n ÷ 2⌋, from 0) and
    /// the last, the rest shared by the others. Paths of fewer than three touches as [`Model::Position`] has them;
    /// without others, shares are scaled to add up to 1. Tools that know of leads and opportunities put the middle
    /// share there; paths of channels have no such mark.
    WShaped {
        /// The share of the first touch.
        first: f64,
        /// The share of the middle touch.
        middle: f64,
        /// The share of the last touch.
        last: f64,
    },
    /// A Markov chain whose states are the last `order` channels (fewer at the start of a path). The removal effect of
    /// a channel is 1 − P(conversion where every visit to it is a loss) ÷ P(conversion), after Anderl, Becker, von
    /// Wangenheim and Schumann (2016); computed exactly, not by simulation. Credits are shares in proportion to the
    /// effects. For values, P is the expected value of a path, so that channels that bring dear sales have more.
    ///
    /// **Repeats**: `a > a` is a step from a to itself. At order 1 that changes no removal effect: leaving the loop is
    /// certain, and where to does not depend on how often it was taken. At higher orders it does;
    /// [`Repeats::Collapse`] makes runs of a channel one touch.
    Markov {
        /// How many channels a state remembers, from 1 to 8.
        order: usize,
    },
    /// The Shapley value of each channel in a cooperative game.
    Shapley(Game),
}

/// What a coalition of channels is worth in the game of [`Model::Shapley`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Game {
    /// The conversions of paths that use no other channels (Zhao, Mahboobi and Bagheri 2018). Its Shapley value is in
    /// closed form: each conversion is shared alike by the distinct channels of its path, for any number of channels.
    Conversions,
    /// The conversion rate of paths that use no other channels, 0 where there are none; scaled by the number of paths,
    /// so that credits add up to the conversions. A channel that comes with losses may get a negative credit. Exact for
    /// up to [`EXACT_CHANNELS`](super::EXACT_CHANNELS) channels, over all coalitions; beyond from `permutations` orders
    /// drawn by `seed`, each with its reverse, and with standard errors.
    Rate {
        /// Orders drawn beyond the exact range (each with its reverse).
        permutations: usize,
        /// Decides the draws.
        seed: u64,
    },
}

/// What becomes of touches of one channel in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeats {
    /// Each is a touch.
    #[default]
    Keep,
    /// They are one touch, at the time of the last of them.
    Collapse,
}

impl Model {
    /// U-shaped: 40 % to the first and to the last touch, 20 % to those between.
    pub const U_SHAPED: Self = Self::Position { first: 0.4, last: 0.4 };
    /// W-shaped: 30 % to the first, the middle and the last touch, 10 % to the others.
    pub const W_SHAPED: Self = Self::WShaped { first: 0.3, middle: 0.3, last: 0.3 };
    /// Time decay with a half-life of seven days.
    pub const TIME_DECAY: Self = Self::TimeDecay { half_life: Duration::from_secs(7 * 86_400) };

    /// A name for tables and JSON: `first`, `last`, `last_non_direct`, `linear`, `time_decay`, `step_decay`,
    /// `position`, `w_shaped`, `markov`, `shapley`, `shapley_rate`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::First => "first",
            Self::Last => "last",
            Self::LastNonDirect => "last_non_direct",
            Self::Linear => "linear",
            Self::TimeDecay { .. } => "time_decay",
            Self::StepDecay { .. } => "step_decay",
            Self::Position { .. } => "position",
            Self::WShaped { .. } => "w_shaped",
            Self::Markov { .. } => "markov",
            Self::Shapley(Game::Conversions) => "shapley",
            Self::Shapley(Game::Rate { .. }) => "shapley_rate",
        }
    }

    /// Whether each conversion is shared by itself, by the places of touches in its path.
    pub(super) fn is_rule(&self) -> bool {
        !matches!(self, Self::Markov { .. } | Self::Shapley(_))
    }

    pub(super) fn check(&self) -> Result<(), AttributionError> {
        let wrong =
            |name, value: String, expected| Err(AttributionError::Parameter { name, value, expected });
        match *self {
            Self::TimeDecay { half_life } if half_life.is_zero() => {
                wrong("half_life", "0".to_owned(), "a time above 0")
            }
            Self::StepDecay { half_life } if !(half_life.is_finite() && half_life > 0.0) => {
                wrong("half_life", half_life.to_string(), "a number of touches above 0")
            }
            Self::Position { first, last } if !shares(&[first, last]) => wrong(
                "shares",
                format!("{first}, {last}"),
                "shares from 0 to 1, not all 0, that add up to at most 1",
            ),
            Self::WShaped { first, middle, last } if !shares(&[first, middle, last]) => wrong(
                "shares",
                format!("{first}, {middle}, {last}"),
                "shares from 0 to 1, not all 0, that add up to at most 1",
            ),
            Self::Markov { order } if !(1..=HIGHEST_ORDER).contains(&order) => {
                wrong("order", order.to_string(), "from 1 to 8")
            }
            Self::Shapley(Game::Rate { permutations, .. }) if !(2..=1_000_000).contains(&permutations) => {
                wrong("permutations", permutations.to_string(), "from 2 to 1000000")
            }
            _ => Ok(()),
        }
    }
}

fn shares(shares: &[f64]) -> bool {
    let sum: f64 = shares.iter().sum();
    shares.iter().all(|share| (0.0..=1.0).contains(share)) && sum > 0.0 && sum <= 1.0 + 1e-9
}

impl fmt::Display for Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimeDecay { half_life } => {
                write!(f, "time_decay (half-life {} days)", half_life.as_secs_f64() / 86_400.0)
            }
            Self::StepDecay { half_life } => write!(f, "step_decay (half-life {half_life} touches)"),
            Self::Markov { order } => write!(f, "markov (order {order})"),
            _ => f.write_str(self.name()),
        }
    }
}

/// A path as rules see it.
pub(super) struct Touches<'a> {
    pub(super) channels: &'a [u16],
    /// Seconds before the end of the path, one for each touch; none for paths without times.
    pub(super) ages: &'a [u32],
    pub(super) direct: Option<u16>,
}

/// Weights of a rule that looks at nothing but the number of touches, kept by that number.
#[derive(Debug, Clone, Default)]
pub(super) struct Weights {
    kept: Vec<Option<Box<[u64]>>>,
    shares: Vec<f64>,
    fresh: Vec<u64>,
}

impl Weights {
    /// Tells `credit` the weight of touches; the weights of a path add up to [`WHOLE`] exactly.
    pub(super) fn share(&mut self, model: &Model, path: &Touches<'_>, mut credit: impl FnMut(u16, u64)) {
        let (first, last) = (path.channels.first(), path.channels.last());
        let (Some(&first), Some(&last)) = (first, last) else { return };
        match model {
            Model::First => credit(first, WHOLE),
            Model::Last => credit(last, WHOLE),
            Model::LastNonDirect => {
                let other = path.channels.iter().rev().find(|channel| Some(**channel) != path.direct);
                credit(other.copied().unwrap_or(last), WHOLE);
            }
            Model::TimeDecay { half_life } => {
                let half_life = half_life.as_secs_f64();
                // The youngest touch is 1, so that nothing underflows for all.
                let youngest = path.ages.iter().min().copied().unwrap_or(0);
                self.shares.clear();
                let share = |age: &u32| (-f64::from(age - youngest) / half_life).exp2();
                self.shares.extend(path.ages.iter().map(share));
                whole(&self.shares, &mut self.fresh);
                path.channels.iter().zip(&self.fresh).for_each(|(&channel, &weight)| credit(channel, weight));
            }
            _ => {
                let touches = path.channels.len();
                if self.kept.len() <= touches.min(KEPT) {
                    self.kept.resize(touches.min(KEPT) + 1, None);
                }
                let slot = self.kept.get_mut(touches).filter(|_| touches <= KEPT);
                let weights: &[u64] = match slot {
                    Some(slot) => slot.get_or_insert_with(|| {
                        by_place(model, touches, &mut self.shares);
                        whole(&self.shares, &mut self.fresh);
                        self.fresh.as_slice().into()
                    }),
                    None => {
                        by_place(model, touches, &mut self.shares);
                        whole(&self.shares, &mut self.fresh);
                        &self.fresh
                    }
                };
                path.channels.iter().zip(weights).for_each(|(&channel, &weight)| credit(channel, weight));
            }
        }
    }
}

/// The shares of touches by their place.
fn by_place(model: &Model, touches: usize, shares: &mut Vec<f64>) {
    shares.clear();
    let ends = |shares: &mut Vec<f64>, first: f64, last: f64| match touches {
        1 => shares.push(1.0),
        _ if first + last > 0.0 => shares.extend([first, last]),
        _ => shares.extend([1.0, 1.0]),
    };
    match *model {
        Model::StepDecay { half_life } => {
            shares.extend((0..touches).map(|at| (-((touches - 1 - at) as f64) / half_life).exp2()));
        }
        Model::Position { first, last } | Model::WShaped { first, last, .. } if touches < 3 => {
            ends(shares, first, last);
        }
        Model::Position { first, last } => {
            shares.resize(touches, (1.0 - first - last).max(0.0) / (touches - 2) as f64);
            shares[0] = first;
            shares[touches - 1] = last;
        }
        Model::WShaped { first, middle, last } => {
            shares.resize(touches, (1.0 - first - middle - last).max(0.0) / (touches - 3).max(1) as f64);
            shares[0] = first;
            shares[touches / 2] = middle;
            shares[touches - 1] = last;
        }
        _ => shares.resize(touches, 1.0),
    }
}

/// Weights in proportion to `shares` that add up to [`WHOLE`]: differences of rounded running sums.
fn whole(shares: &[f64], weights: &mut Vec<u64>) {
    weights.clear();
    let all: f64 = shares.iter().sum();
    let (mut sum, mut before) = (0.0, 0);
    for (at, share) in shares.iter().enumerate() {
        sum += share;
        let until = if at + 1 == shares.len() {
            WHOLE
        } else {
            (((sum / all) * WHOLE as f64).round() as u64).clamp(before, WHOLE)
        };
        weights.push(until - before);
        before = until;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_add_up_exactly_for_any_length() {
        let models = [
            Model::Linear,
            Model::U_SHAPED,
            Model::W_SHAPED,
            Model::StepDecay { half_life: 0.7 },
            Model::Position { first: 0.0, last: 0.0 },
        ];
        for model in models {
            let mut weights = Weights::default();
            for touches in [1, 2, 3, 4, 5, 7, 64, 65, 1000, 10_000] {
                let channels = vec![0_u16; touches];
                let mut sum = 0;
                let path = Touches { channels: &channels, ages: &[], direct: None };
                weights.share(&model, &path, |_, weight| sum += weight);
                assert_eq!(sum, WHOLE, "{model} over {touches}");
            }
        }
    }
}
