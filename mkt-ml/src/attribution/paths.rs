//! Distinct paths of touches with their outcomes.

use std::{
    hash::{BuildHasher, Hasher},
    time::Duration,
};

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use serde::{Deserialize, Serialize};

use super::AttributionError;

/// Counts and values are kept in millionths.
pub(super) const UNIT: f64 = 1e6;
/// The most channels.
const MOST_CHANNELS: usize = u16::MAX as usize;
/// The most touches of one path.
const MOST_TOUCHES: usize = 100_000;
/// The most of conversions, of nulls and of value in one outcome.
const MOST: f64 = 1e12;

/// What a path led to, as often as it was taken.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Outcome {
    /// Conversions at its end.
    pub conversions: f64,
    /// Paths like this that ended without one.
    pub nulls: f64,
    /// What the conversions are worth together.
    pub value: Option<f64>,
}

impl Outcome {
    /// So many conversions, fractions too, of unknown value. Counts are kept in millionths.
    #[must_use]
    pub fn converted(conversions: f64) -> Self {
        Self { conversions, nulls: 0.0, value: None }
    }

    /// So many paths without a conversion.
    #[must_use]
    pub fn lost(nulls: f64) -> Self {
        Self { conversions: 0.0, nulls, value: None }
    }

    /// What the conversions are worth together; negative where refunds exceed sales.
    #[must_use]
    pub fn value(mut self, value: impl Into<Option<f64>>) -> Self {
        self.value = value.into();
        self
    }

    /// Beside the conversions, so many paths without one.
    #[must_use]
    pub fn nulls(mut self, nulls: f64) -> Self {
        self.nulls = nulls;
        self
    }
}

/// An outcome in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub(super) conversions: u64,
    pub(super) nulls: u64,
    pub(super) value: i64,
    /// Conversions without a value.
    pub(super) unvalued: u64,
}

impl Counts {
    fn of(outcome: Outcome) -> Result<Self, AttributionError> {
        let count = |what, number: f64| {
            let kept = (number * UNIT).round();
            if number == 0.0 || (number.is_finite() && number > 0.0 && number <= MOST && kept >= 1.0) {
                Ok(kept as u64)
            } else {
                let expected = "0, or a number from 0.000001 to 10^12";
                Err(AttributionError::Outcome { what, value: number, expected })
            }
        };
        let conversions = count("the number of conversions", outcome.conversions)?;
        let nulls = count("the number of nulls", outcome.nulls)?;
        let value = match outcome.value {
            None => 0,
            Some(value) if value.is_finite() && value.abs() <= MOST => (value * UNIT).round() as i64,
            Some(value) => {
                let expected = "a finite number of at most 10^12";
                return Err(AttributionError::Outcome { what: "the value", value, expected });
            }
        };
        if conversions == 0 && value != 0 {
            return Err(AttributionError::ValueWithoutConversion { value: value as f64 / UNIT });
        }
        let unvalued = if outcome.value.is_none() { conversions } else { 0 };
        Ok(Self { conversions, nulls, value, unvalued })
    }

    fn plus(self, other: Self) -> Result<Self, AttributionError> {
        let count = |a: u64, b: u64| a.checked_add(b).ok_or(too_much("conversions of one path"));
        Ok(Self {
            conversions: count(self.conversions, other.conversions)?,
            nulls: count(self.nulls, other.nulls)?,
            value: self.value.checked_add(other.value).ok_or(too_much("value of one path"))?,
            unvalued: count(self.unvalued, other.unvalued)?,
        })
    }
}

pub(super) fn too_much(what: &'static str) -> AttributionError {
    AttributionError::TooMany { what, limit: (u64::MAX as f64 / UNIT) as u64 }
}

/// Channels by name and number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Names {
    pub(super) names: Vec<String>,
    ids: HashMap<String, u16, FixedState>,
}

impl Names {
    pub(super) fn id(&mut self, name: &str) -> Result<u16, AttributionError> {
        if let Some(id) = self.ids.get(name) {
            return Ok(*id);
        }
        let id = u16::try_from(self.names.len()).ok().filter(|id| usize::from(*id) < MOST_CHANNELS);
        let id = id.ok_or(AttributionError::TooMany { what: "channels", limit: MOST_CHANNELS as u64 })?;
        self.names.push(name.to_owned());
        self.ids.insert(name.to_owned(), id);
        Ok(id)
    }

    pub(super) fn find(&self, name: &str) -> Option<u16> {
        self.ids.get(name).copied()
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

/// Distinct paths with counts of their outcomes. The same path given twice is one with both outcomes added.
///
/// Memory grows with the distinct paths (about 40 bytes each and two for each touch), not with the rows. Serialises to
/// JSON and back; days can be kept apart and merged.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(into = "Stored", try_from = "Stored")]
pub struct Paths {
    pub(super) names: Names,
    touches: Vec<u16>,
    /// Seconds before the end of the path; empty, or one for each touch.
    ages: Vec<u32>,
    /// Where each path ends in `touches`.
    ends: Vec<u32>,
    counts: Vec<Counts>,
    index: HashTable<u32>,
    timed: Option<bool>,
    rows: u64,
    /// The path that is being added.
    fresh: Vec<u16>,
    fresh_ages: Vec<u32>,
}

impl Paths {
    /// No paths.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a path by the names of its channels in order. An empty path is allowed: its conversions are reported as not
    /// attributed.
    ///
    /// # Errors
    /// A count that is negative, not finite or above 10¹²; a value without a conversion; a touch without a name; more
    /// than 100,000 touches in a path or 65,535 channels; paths with times before.
    pub fn add<N: AsRef<str>>(
        &mut self,
        path: impl IntoIterator<Item = N>,
        outcome: Outcome,
    ) -> Result<(), AttributionError> {
        self.fresh.clear();
        for name in path {
            self.touch(name.as_ref())?;
        }
        self.fresh_ages.clear();
        self.take(false, Counts::of(outcome)?)
    }

    /// Adds a path whose touches have an age: the time from the touch to the end of the path, where the conversion is.
    /// Ages are kept in whole seconds.
    ///
    /// # Errors
    /// As [`Paths::add`]; paths without times before.
    pub fn add_timed<N: AsRef<str>>(
        &mut self,
        path: impl IntoIterator<Item = (N, Duration)>,
        outcome: Outcome,
    ) -> Result<(), AttributionError> {
        self.fresh.clear();
        self.fresh_ages.clear();
        for (name, age) in path {
            self.touch(name.as_ref())?;
            self.fresh_ages.push(u32::try_from(age.as_secs()).unwrap_or(u32::MAX));
        }
        self.take(true, Counts::of(outcome)?)
    }

    /// Adds a path written as `a > b > c`: names are what stands between the signs, without spaces around it. Text
    /// without anything but spaces is the empty path.
    ///
    /// # Errors
    /// As [`Paths::add`].
    pub fn add_text(&mut self, path: &str, outcome: Outcome) -> Result<(), AttributionError> {
        self.fresh.clear();
        self.fresh_ages.clear();
        if !path.trim().is_empty() {
            for name in path.split('>') {
                self.touch(name.trim())?;
            }
        }
        self.take(false, Counts::of(outcome)?)
    }

    fn touch(&mut self, name: &str) -> Result<(), AttributionError> {
        if name.is_empty() {
            return Err(AttributionError::EmptyChannel { position: self.fresh.len() + 1 });
        }
        if self.fresh.len() >= MOST_TOUCHES {
            return Err(AttributionError::TooMany { what: "touches in a path", limit: MOST_TOUCHES as u64 });
        }
        self.fresh.push(self.names.id(name)?);
        Ok(())
    }

    /// Takes the path in `fresh`.
    fn take(&mut self, timed: bool, counts: Counts) -> Result<(), AttributionError> {
        // The empty path has times and has none.
        if !self.fresh.is_empty() {
            if self.timed.is_some_and(|before| before != timed) {
                return Err(AttributionError::MixedTimes);
            }
            self.timed = Some(timed);
        }
        let hash = hash(&self.fresh, &self.fresh_ages);
        let same = |at: &u32| self.path(*at as usize) == (self.fresh.as_slice(), self.fresh_ages.as_slice());
        if let Some(at) = self.index.find(hash, same) {
            let held = &mut self.counts[*at as usize];
            *held = held.plus(counts)?;
        } else {
            let end = u32::try_from(self.touches.len() + self.fresh.len()).ok();
            let end = end.filter(|_| self.ends.len() < u32::MAX as usize);
            let end = end.ok_or(AttributionError::TooMany { what: "touches", limit: u64::from(u32::MAX) })?;
            let at = self.ends.len() as u32;
            self.touches.extend_from_slice(&self.fresh);
            self.ages.extend_from_slice(&self.fresh_ages);
            self.ends.push(end);
            self.counts.push(counts);
            let (touches, ages, ends) = (&self.touches, &self.ages, &self.ends);
            self.index.insert_unique(hash, at, |at| {
                let (touches, ages) = path(touches, ages, ends, *at as usize);
                self::hash(touches, ages)
            });
        }
        self.rows += 1;
        Ok(())
    }

    /// Adds the paths of `other`: of another day, or of another thread.
    ///
    /// # Errors
    /// As [`Paths::add`].
    pub fn merge(&mut self, other: &Self) -> Result<(), AttributionError> {
        let ids: Vec<u16> =
            other.names.names.iter().map(|name| self.names.id(name)).collect::<Result<_, _>>()?;
        let rows = self.rows + other.rows;
        for at in 0..other.distinct() {
            let (touches, ages) = other.path(at);
            self.fresh.clear();
            self.fresh.extend(touches.iter().map(|id| ids[usize::from(*id)]));
            self.fresh_ages.clear();
            self.fresh_ages.extend_from_slice(ages);
            self.take(other.timed == Some(true), other.counts[at])?;
        }
        self.rows = rows;
        Ok(())
    }

    /// Rows that were added.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Distinct paths.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.ends.len()
    }

    /// The channels, in the order in which they came.
    #[must_use]
    pub fn channels(&self) -> &[String] {
        &self.names.names
    }

    /// Whether touches have times.
    #[must_use]
    pub fn timed(&self) -> bool {
        self.timed == Some(true)
    }

    /// Each distinct path with its channels, conversions, nulls and value, in the order in which it came.
    pub fn iter(&self) -> impl Iterator<Item = (Vec<&str>, Outcome)> {
        (0..self.distinct()).map(|at| {
            let names = self.path(at).0.iter().map(|id| self.names.names[usize::from(*id)].as_str());
            let counts = self.counts[at];
            let known = counts.unvalued < counts.conversions;
            let outcome = Outcome {
                conversions: counts.conversions as f64 / UNIT,
                nulls: counts.nulls as f64 / UNIT,
                value: known.then_some(counts.value as f64 / UNIT),
            };
            (names.collect(), outcome)
        })
    }

    pub(super) fn path(&self, at: usize) -> (&[u16], &[u32]) {
        path(&self.touches, &self.ages, &self.ends, at)
    }

    pub(super) fn counts(&self) -> &[Counts] {
        &self.counts
    }
}

fn path<'a>(touches: &'a [u16], ages: &'a [u32], ends: &[u32], at: usize) -> (&'a [u16], &'a [u32]) {
    let from = if at == 0 { 0 } else { ends[at - 1] as usize };
    let until = ends[at] as usize;
    (&touches[from..until], ages.get(from..until).unwrap_or(&[]))
}

fn hash(touches: &[u16], ages: &[u32]) -> u64 {
    let mut hasher = FixedState::with_seed(7).build_hasher();
    // Four touches at a time: a path is hashed several times per touch otherwise.
    for part in touches.chunks(4) {
        let word = part.iter().fold(1_u64, |word, touch| word << 16 ^ u64::from(*touch));
        hasher.write_u64(word);
    }
    for age in ages {
        hasher.write_u32(*age);
    }
    hasher.write_usize(touches.len());
    hasher.finish()
}

/// Paths as they are saved.
#[derive(Serialize, Deserialize)]
struct Stored {
    version: u32,
    channels: Vec<String>,
    timed: Option<bool>,
    rows: u64,
    paths: Vec<StoredPath>,
}

/// Touches, ages, millionths of conversions, nulls and value, and of conversions without a value.
type StoredPath = (Vec<u16>, Vec<u32>, u64, u64, i64, u64);

impl From<Paths> for Stored {
    fn from(paths: Paths) -> Self {
        let stored = (0..paths.distinct()).map(|at| {
            let ((touches, ages), counts) = (paths.path(at), paths.counts[at]);
            let Counts { conversions, nulls, value, unvalued } = counts;
            (touches.to_vec(), ages.to_vec(), conversions, nulls, value, unvalued)
        });
        let stored = stored.collect();
        Self { version: 1, channels: paths.names.names, timed: paths.timed, rows: paths.rows, paths: stored }
    }
}

impl TryFrom<Stored> for Paths {
    type Error = AttributionError;

    fn try_from(stored: Stored) -> Result<Self, AttributionError> {
        let damaged = |what| Err(AttributionError::Damaged { what });
        if stored.version != 1 {
            return damaged("its version is not 1");
        }
        let mut paths = Self { timed: stored.timed, ..Self::default() };
        for (at, name) in stored.channels.iter().enumerate() {
            if name.is_empty() || usize::from(paths.names.id(name)?) != at {
                return damaged("a channel is named twice, or not at all");
            }
        }
        for (touches, ages, conversions, nulls, value, unvalued) in stored.paths {
            let timed = stored.timed == Some(true);
            if touches.iter().any(|id| usize::from(*id) >= stored.channels.len()) {
                return damaged("a touch has no channel");
            }
            if ages.len() != if timed { touches.len() } else { 0 } || unvalued > conversions {
                return damaged("a path has other numbers of touches and of times");
            }
            (paths.fresh, paths.fresh_ages) = (touches, ages);
            paths.take(timed, Counts { conversions, nulls, value, unvalued })?;
        }
        paths.rows = stored.rows;
        Ok(paths)
    }
}
