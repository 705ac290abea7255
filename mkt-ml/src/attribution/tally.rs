//! What models need of paths, counted so that days add up.

use serde::{Deserialize, Serialize};

use super::{
    AttributionError, Credit, Credits, Game, Model, Paths, Repeats,
    chain::{Chain, End, Step},
    markov,
    model::{Touches, WHOLE, Weights},
    paths::{Counts, Names, UNIT},
    shapley::{self, SetCounts, Sets},
};

/// Sums of one rule by channel, in millionths times [`WHOLE`].
#[derive(Debug, Clone, Default)]
struct Shared {
    conversions: Vec<i128>,
    values: Vec<i128>,
}

/// Sums over all paths, in millionths.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Totals {
    conversions: u64,
    nulls: u64,
    #[serde(with = "text")]
    value: i128,
    unvalued: u64,
    empty_conversions: u64,
    empty_unvalued: u64,
    #[serde(with = "text")]
    empty_value: i128,
}

/// Counts of what [`Model`]s need, which add up: of a day's paths, of several days, of several threads.
///
/// Its size depends on the channels and, for Markov chains of higher order and Shapley values, on the combinations of
/// them that occur; not on the number of paths. Serialises to JSON and back.
///
/// ```
/// use mkt_ml::attribution::{Model, Outcome, Paths, Tally};
///
/// let day = |channel: &str| {
///     let mut paths = Paths::new();
///     paths.add([channel], Outcome::converted(1.0)).map(|()| paths)
/// };
/// let mut all = Tally::of([Model::Last])?;
/// all.add(&day("email")?)?;
/// let kept = serde_json::to_string(&all)?;
///
/// // The next day: what was counted before is not counted again.
/// let mut all: Tally = serde_json::from_str(&kept)?;
/// all.add(&day("search")?)?;
/// assert_eq!(all.credits()?[0].conversions, 2.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Tally {
    models: Vec<Model>,
    direct: String,
    repeats: Repeats,
    names: Names,
    /// By channel: the paths through each touch, in millionths, and those of them that convert.
    touched: Vec<[u64; 2]>,
    /// One for each model; empty where it is no rule.
    shared: Vec<Shared>,
    weights: Vec<Weights>,
    chains: Vec<Chain>,
    sets: Option<Sets>,
    totals: Totals,
}

/// Builds a [`Tally`].
#[derive(Debug, Clone)]
pub struct TallyBuilder {
    models: Vec<Model>,
    direct: String,
    repeats: Repeats,
}

impl TallyBuilder {
    /// The channel that [`Model::LastNonDirect`] passes over (default `direct`).
    #[must_use]
    pub fn direct(mut self, name: impl Into<String>) -> Self {
        self.direct = name.into();
        self
    }

    /// What becomes of touches of one channel in a row, for all models (default: each is a touch).
    #[must_use]
    pub fn repeats(mut self, repeats: Repeats) -> Self {
        self.repeats = repeats;
        self
    }

    /// An empty tally.
    ///
    /// # Errors
    /// A parameter of a model outside its range; no model.
    pub fn build(self) -> Result<Tally, AttributionError> {
        if self.models.is_empty() {
            let (name, value, expected) = ("models", "none".to_owned(), "at least one");
            return Err(AttributionError::Parameter { name, value, expected });
        }
        let mut chains: Vec<Chain> = Vec::new();
        for model in &self.models {
            model.check()?;
            if let Model::Markov { order } = model
                && !chains.iter().any(|chain| chain.order == *order)
            {
                chains.push(Chain::new(*order));
            }
        }
        let sets = self.models.iter().any(|model| matches!(model, Model::Shapley(_)));
        Ok(Tally {
            shared: vec![Shared::default(); self.models.len()],
            weights: vec![Weights::default(); self.models.len()],
            models: self.models,
            direct: self.direct,
            repeats: self.repeats,
            names: Names::default(),
            touched: Vec::new(),
            chains,
            sets: sets.then(Sets::default),
            totals: Totals::default(),
        })
    }
}

impl Tally {
    /// A tally for these models, with options.
    pub fn builder(models: impl IntoIterator<Item = Model>) -> TallyBuilder {
        let (direct, repeats) = ("direct".to_owned(), Repeats::default());
        TallyBuilder { models: models.into_iter().collect(), direct, repeats }
    }

    /// A tally for these models with the defaults of [`TallyBuilder`].
    ///
    /// # Errors
    /// As [`TallyBuilder::build`].
    pub fn of(models: impl IntoIterator<Item = Model>) -> Result<Self, AttributionError> {
        Self::builder(models).build()
    }

    /// The models, in the order of [`Tally::credits`].
    #[must_use]
    pub fn models(&self) -> &[Model] {
        &self.models
    }

    /// Counts paths. On an error the tally is left as it was.
    ///
    /// # Errors
    /// Time decay over paths without times; sums that exceed 64 bits (1.8 × 10¹³ paths); a chain of too many states.
    pub fn add(&mut self, paths: &Paths) -> Result<(), AttributionError> {
        let mut more = self.emptied();
        more.count(paths, paths.counts())?;
        self.merge(&more)
    }

    /// A tally that counts the same and has counted nothing.
    pub(super) fn emptied(&self) -> Self {
        Self {
            models: self.models.clone(),
            direct: self.direct.clone(),
            repeats: self.repeats,
            names: Names::default(),
            touched: Vec::new(),
            shared: vec![Shared::default(); self.models.len()],
            weights: self.weights.clone(),
            chains: self.chains.iter().map(|chain| Chain::new(chain.order)).collect(),
            sets: self.sets.as_ref().map(|_| Sets::default()),
            totals: Totals::default(),
        }
    }

    /// Counts paths with other outcomes than their own. An error leaves half of them counted.
    pub(super) fn count(&mut self, paths: &Paths, counts: &[Counts]) -> Result<(), AttributionError> {
        let timeless = self.models.iter().find(|model| matches!(model, Model::TimeDecay { .. }));
        if let Some(model) = timeless
            && !paths.timed()
            && (0..paths.distinct()).any(|at| !paths.path(at).0.is_empty())
        {
            return Err(AttributionError::NoTimes { model: model.to_string() });
        }
        let mut ids: Vec<Option<u16>> = vec![None; paths.names.len()];
        let (mut touches, mut ages, mut scratch) = (Vec::new(), Vec::new(), Vec::new());
        for (at, counts) in counts.iter().enumerate() {
            if counts.conversions == 0 && counts.nulls == 0 {
                continue;
            }
            let (given, given_ages) = paths.path(at);
            touches.clear();
            ages.clear();
            for (touch, id) in given.iter().enumerate() {
                let slot = &mut ids[usize::from(*id)];
                let id = match slot {
                    Some(id) => *id,
                    None => *slot.insert(self.names.id(&paths.names.names[usize::from(*id)])?),
                };
                if self.repeats == Repeats::Collapse && touches.last() == Some(&id) {
                    touches.pop();
                    ages.pop();
                }
                touches.push(id);
                ages.extend(given_ages.get(touch));
            }
            self.path(&touches, &ages, *counts, &mut scratch)?;
        }
        Ok(())
    }

    fn path(
        &mut self,
        touches: &[u16],
        ages: &[u32],
        counts: Counts,
        scratch: &mut Vec<u16>,
    ) -> Result<(), AttributionError> {
        let totals = &mut self.totals;
        let sum = |a: &mut u64, b: u64| -> Result<(), AttributionError> {
            *a = a.checked_add(b).ok_or(super::paths::too_much("paths"))?;
            Ok(())
        };
        sum(&mut totals.conversions, counts.conversions)?;
        sum(&mut totals.nulls, counts.nulls)?;
        sum(&mut totals.unvalued, counts.unvalued)?;
        totals.value += i128::from(counts.value);
        if touches.is_empty() {
            sum(&mut totals.empty_conversions, counts.conversions)?;
            sum(&mut totals.empty_unvalued, counts.unvalued)?;
            totals.empty_value += i128::from(counts.value);
            return Ok(());
        }
        self.touched.resize(self.names.len(), [0; 2]);
        for touch in touches {
            let touched = &mut self.touched[usize::from(*touch)];
            sum(&mut touched[0], counts.conversions.saturating_add(counts.nulls))?;
            sum(&mut touched[1], counts.conversions)?;
        }
        if counts.conversions > 0 {
            let direct = self.names.find(&self.direct);
            let path = Touches { channels: touches, ages, direct };
            let (conversions, value) = (i128::from(counts.conversions), i128::from(counts.value));
            for ((model, shared), weights) in self.models.iter().zip(&mut self.shared).zip(&mut self.weights)
            {
                if model.is_rule() {
                    shared.conversions.resize(self.names.len(), 0);
                    shared.values.resize(self.names.len(), 0);
                    weights.share(model, &path, |channel, weight| {
                        shared.conversions[usize::from(channel)] += conversions * i128::from(weight);
                        shared.values[usize::from(channel)] += value * i128::from(weight);
                    });
                }
            }
        }
        for chain in &mut self.chains {
            chain.add(touches, counts)?;
        }
        match &mut self.sets {
            Some(sets) => sets.add(touches, counts, scratch),
            None => Ok(()),
        }
    }

    /// Adds what `other` counted. On an error the tally is left as it was, unless a sum exceeds its 64 bits.
    ///
    /// # Errors
    /// Other models or options; as [`Tally::add`].
    pub fn merge(&mut self, other: &Self) -> Result<(), AttributionError> {
        if self.models != other.models || self.direct != other.direct || self.repeats != other.repeats {
            return Err(AttributionError::Incompatible);
        }
        let sum = |a: u64, b: u64| a.checked_add(b).ok_or(super::paths::too_much("paths"));
        let (mine, more) = (self.totals, other.totals);
        let totals = Totals {
            conversions: sum(mine.conversions, more.conversions)?,
            nulls: sum(mine.nulls, more.nulls)?,
            value: mine.value + more.value,
            unvalued: sum(mine.unvalued, more.unvalued)?,
            empty_conversions: sum(mine.empty_conversions, more.empty_conversions)?,
            empty_unvalued: sum(mine.empty_unvalued, more.empty_unvalued)?,
            empty_value: mine.empty_value + more.empty_value,
        };
        let ids: Vec<u16> =
            other.names.names.iter().map(|name| self.names.id(name)).collect::<Result<_, _>>()?;
        self.touched.resize(self.names.len(), [0; 2]);
        for (id, more) in ids.iter().zip(&other.touched) {
            let held = &mut self.touched[usize::from(*id)];
            *held = [sum(held[0], more[0])?, sum(held[1], more[1])?];
        }
        for (held, more) in self.shared.iter_mut().zip(&other.shared) {
            for (held, more) in [(&mut held.conversions, &more.conversions), (&mut held.values, &more.values)]
            {
                held.resize(self.names.len(), 0);
                ids.iter().zip(more).for_each(|(id, more)| held[usize::from(*id)] += more);
            }
        }
        for (held, more) in self.chains.iter_mut().zip(&other.chains) {
            held.merge(more, &ids)?;
        }
        if let (Some(held), Some(more)) = (&mut self.sets, &other.sets) {
            held.merge(more, &ids)?;
        }
        self.totals = totals;
        Ok(())
    }

    /// The place of each channel in an order that its counts decide, then its name.
    fn ranks(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.names.len()).collect();
        order.sort_by(|a, b| {
            self.touched[*b].cmp(&self.touched[*a]).then(self.names.names[*a].cmp(&self.names.names[*b]))
        });
        let mut ranks = vec![0; order.len()];
        order.iter().enumerate().for_each(|(rank, channel)| ranks[*channel] = rank);
        ranks
    }

    /// The credits of each model, in the order of [`Tally::models`].
    ///
    /// # Errors
    /// A Markov chain that does not converge.
    pub fn credits(&self) -> Result<Vec<Credits>, AttributionError> {
        let ranks = self.ranks();
        self.models
            .iter()
            .zip(&self.shared)
            .map(|(model, shared)| self.answer(model, shared, &ranks))
            .collect()
    }

    fn answer(&self, model: &Model, shared: &Shared, ranks: &[usize]) -> Result<Credits, AttributionError> {
        let totals = &self.totals;
        let valued = totals.unvalued < totals.conversions;
        let units = |sum: i128| sum as f64 / (UNIT * WHOLE as f64);
        let attributed = (totals.conversions - totals.empty_conversions) as f64 / UNIT;
        let worth = markov::millionths(totals.value - totals.empty_value);
        let mut notes = Vec::new();
        let mut probability = None;
        let mut channels: Vec<Credit> = self.names.names.iter().map(|name| Credit::new(name, 0.0)).collect();
        let mut set = |channel: usize, conversions: f64, value: Option<f64>| {
            channels[channel].conversions = conversions;
            channels[channel].value = value.filter(|_| valued);
        };
        match model {
            Model::Markov { order } => {
                let Some(chain) = self.chains.iter().find(|chain| chain.order == *order) else {
                    return Err(AttributionError::Incompatible);
                };
                // Effects come by rank, so that sums run in an order that counts decide.
                let effects = markov::effects(chain, ranks, valued)?;
                let shares = by_rank_shares(&effects.removal, ranks);
                let value_shares =
                    effects.value_removal.as_ref().map(|removal| by_rank_shares(removal, ranks));
                if let Some(None) = value_shares {
                    notes.push(
                        "values are not shared: refunds make their removal effects negative".to_owned(),
                    );
                }
                let value_shares = value_shares.flatten();
                for channel in 0..self.names.len() {
                    let value = value_shares.as_ref().map(|shares| worth * shares[channel]);
                    set(channel, shares.as_ref().map_or(0.0, |shares| attributed * shares[channel]), value);
                }
                if effects.probability > 0.0 {
                    for (channel, removal) in channels.iter_mut().zip(&effects.removal) {
                        channel.removal_effect = Some(*removal);
                    }
                    for (channel, removal) in channels.iter_mut().zip(effects.value_removal.iter().flatten())
                    {
                        channel.value_removal_effect = Some(*removal);
                    }
                }
                probability = Some(effects.probability);
            }
            Model::Shapley(game) => {
                let Some(sets) = &self.sets else { return Err(AttributionError::Incompatible) };
                match *game {
                    Game::Conversions => {
                        let [conversions, values] = shapley::of_conversions(sets, ranks);
                        for (channel, rank) in ranks.iter().enumerate() {
                            set(channel, units(conversions[*rank]), Some(units(values[*rank])));
                        }
                    }
                    Game::Rate { permutations, seed } => {
                        let values = shapley::of_rates(sets, ranks, permutations, seed);
                        for (channel, rank) in ranks.iter().enumerate() {
                            set(channel, values.conversions[*rank], Some(values.value[*rank]));
                        }
                        if let Some(errors) = &values.std_errors {
                            for (channel, rank) in channels.iter_mut().zip(ranks) {
                                channel.std_error = Some(errors[*rank]);
                            }
                            notes.push(format!(
                                "sampled: {permutations} orders of {} channels, each with its reverse, seed {seed}",
                                ranks.len()
                            ));
                        }
                    }
                }
            }
            _ => {
                for channel in 0..self.names.len() {
                    let of = |sums: &[i128]| units(sums.get(channel).copied().unwrap_or(0));
                    set(channel, of(&shared.conversions), Some(of(&shared.values)));
                }
            }
        }
        channels.sort_by(|a, b| a.channel.cmp(&b.channel));
        if totals.unvalued > 0 && valued {
            let unvalued = totals.unvalued as f64 / UNIT;
            notes.push(format!("{unvalued} conversions have no value and are in none"));
        }
        let empty_valued = valued && totals.empty_unvalued < totals.empty_conversions;
        Ok(Credits {
            model: model.clone(),
            channels,
            conversions: totals.conversions as f64 / UNIT,
            value: valued.then_some(markov::millionths(totals.value)),
            unattributed: totals.empty_conversions as f64 / UNIT,
            unattributed_value: empty_valued.then_some(markov::millionths(totals.empty_value)),
            unvalued: totals.unvalued as f64 / UNIT,
            probability,
            notes,
        })
    }
}

/// Effects in proportion, added up in the order of ranks; none where one is negative or all are 0.
fn by_rank_shares(effects: &[f64], ranks: &[usize]) -> Option<Vec<f64>> {
    let mut by_rank = vec![0.0; effects.len()];
    ranks.iter().zip(effects).for_each(|(rank, effect)| by_rank[*rank] = *effect);
    let sum: f64 = by_rank.iter().sum();
    let fits = sum > 0.0 && effects.iter().all(|effect| *effect >= -1e-12);
    fits.then(|| effects.iter().map(|effect| effect / sum).collect())
}

/// Whole numbers of 128 bits as text, which every JSON reader keeps.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &i128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

#[derive(Serialize, Deserialize)]
struct Whole(#[serde(with = "text")] i128);

/// A tally as it is saved.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    models: Vec<Model>,
    direct: String,
    repeats: Repeats,
    channels: Vec<String>,
    touched: Vec<[u64; 2]>,
    shared: Vec<[Vec<Whole>; 2]>,
    chains: Vec<StoredChain>,
    sets: Option<Vec<StoredSet>>,
    totals: Totals,
}

/// Channels, conversions, nulls and value.
type StoredSet = (Vec<u16>, u64, u64, Whole);

#[derive(Serialize, Deserialize)]
struct StoredChain {
    order: usize,
    /// The last channels, conversions, nulls and value of each state.
    states: Vec<StoredSet>,
    /// State, channel, state after it, count.
    steps: Vec<(u32, u16, u32, u64)>,
}

impl From<Tally> for Stored {
    fn from(tally: Tally) -> Self {
        let whole = |sums: Vec<i128>| sums.into_iter().map(Whole).collect::<Vec<_>>();
        let chain = |chain: Chain| {
            let mut steps: Vec<_> =
                chain.steps.iter().map(|((from, by), s)| (*from, *by, s.to, s.count)).collect();
            steps.sort_unstable();
            let states = chain.states.iter().zip(&chain.ends);
            let states = states
                .map(|(last, end)| (last.to_vec(), end.conversions, end.nulls, Whole(end.value)))
                .collect();
            StoredChain { order: chain.order, states, steps }
        };
        let sets = tally.sets.map(|sets| {
            let mut sets: Vec<_> = sets
                .0
                .into_iter()
                .map(|(set, counts)| (set.to_vec(), counts.conversions, counts.nulls, Whole(counts.value)))
                .collect();
            sets.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            sets
        });
        Self {
            version: 1,
            models: tally.models,
            direct: tally.direct,
            repeats: tally.repeats,
            channels: tally.names.names,
            touched: tally.touched,
            shared: tally
                .shared
                .into_iter()
                .map(|sums| [whole(sums.conversions), whole(sums.values)])
                .collect(),
            chains: tally.chains.into_iter().map(chain).collect(),
            sets,
            totals: tally.totals,
        }
    }
}

impl TryFrom<Stored> for Tally {
    type Error = AttributionError;

    fn try_from(stored: Stored) -> Result<Self, AttributionError> {
        let damaged = |what| Err(AttributionError::Damaged { what });
        if stored.version != 1 {
            return damaged("its version is not 1");
        }
        let builder = Self::builder(stored.models).direct(stored.direct).repeats(stored.repeats);
        let mut tally = builder.build()?;
        for (at, name) in stored.channels.iter().enumerate() {
            if name.is_empty() || usize::from(tally.names.id(name)?) != at {
                return damaged("a channel is named twice, or not at all");
            }
        }
        let channels = stored.channels.len();
        let known = |ids: &[u16]| ids.iter().all(|id| usize::from(*id) < channels);
        if stored.touched.len() > channels || stored.shared.len() != tally.models.len() {
            return damaged("it counts other models or channels than it names");
        }
        tally.touched = stored.touched;
        tally.touched.resize(channels, [0; 2]);
        for (held, [conversions, values]) in tally.shared.iter_mut().zip(stored.shared) {
            if conversions.len() > channels || values.len() > channels {
                return damaged("a rule has more channels than there are");
            }
            held.conversions = conversions.into_iter().map(|whole| whole.0).collect();
            held.values = values.into_iter().map(|whole| whole.0).collect();
        }
        if stored.chains.len() != tally.chains.len() || stored.sets.is_some() != tally.sets.is_some() {
            return damaged("it has other chains or sets than its models need");
        }
        // Merged from numbers to numbers, so that a damaged step is counted by what it says, never followed blindly.
        let ids: Vec<u16> = (0..channels).map(|id| id as u16).collect();
        for (held, chain) in tally.chains.iter_mut().zip(stored.chains) {
            let states: Vec<Box<[u16]>> =
                chain.states.iter().map(|state| state.0.as_slice().into()).collect();
            let fits = |state: &[u16]| state.len() <= held.order && known(state);
            let starts = states.first().is_some_and(|state| state.is_empty());
            if chain.order != held.order || !starts || !states.iter().all(|state| fits(state)) {
                return damaged("a state of a chain is none of its order");
            }
            let mut other = Chain::new(chain.order);
            other.states = states;
            other.ends = chain
                .states
                .iter()
                .map(|(_, conversions, nulls, value)| End {
                    conversions: *conversions,
                    nulls: *nulls,
                    value: value.0,
                })
                .collect();
            for (from, by, to, count) in chain.steps {
                if from as usize >= other.states.len() || !known(&[by]) {
                    return damaged("a step of a chain leads nowhere");
                }
                other.steps.insert((from, by), Step { to, count });
            }
            held.merge(&other, &ids)?;
        }
        if let (Some(held), Some(sets)) = (&mut tally.sets, stored.sets) {
            for (set, conversions, nulls, value) in sets {
                if set.is_empty() || !known(&set) || !set.is_sorted_by(|a, b| a < b) {
                    return damaged("a set of channels is none");
                }
                held.0.insert(set.into(), SetCounts { conversions, nulls, value: value.0 });
            }
        }
        tally.totals = stored.totals;
        let totals = &tally.totals;
        if totals.empty_conversions > totals.conversions || totals.unvalued > totals.conversions {
            return damaged("it has more conversions of a kind than in all");
        }
        Ok(tally)
    }
}
