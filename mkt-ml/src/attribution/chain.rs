//! Counts of steps between states: the last channels of a path.

use foldhash::fast::FixedState;
use hashbrown::HashMap;

use super::{
    AttributionError,
    paths::{Counts, too_much},
};

/// The most states.
const MOST_STATES: usize = 4_000_000;

/// Where a touch leads from a state, and how often it did, in millionths of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) to: u32,
    pub(super) count: u64,
}

/// How paths ended in a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct End {
    pub(super) conversions: u64,
    pub(super) nulls: u64,
    pub(super) value: i128,
}

/// The chain of one order. State 0 is the start of paths, which no channel can name.
#[derive(Debug, Clone)]
pub(super) struct Chain {
    pub(super) order: usize,
    /// The last channels of each state, the oldest first.
    pub(super) states: Vec<Box<[u16]>>,
    index: HashMap<Box<[u16]>, u32, FixedState>,
    /// By state and channel.
    pub(super) steps: HashMap<(u32, u16), Step, FixedState>,
    pub(super) ends: Vec<End>,
}

impl Chain {
    pub(super) fn new(order: usize) -> Self {
        let start: Box<[u16]> = Box::default();
        let index = std::iter::once((start.clone(), 0)).collect();
        Self { order, states: vec![start], index, steps: HashMap::default(), ends: vec![End::default()] }
    }

    pub(super) fn add(&mut self, touches: &[u16], counts: Counts) -> Result<(), AttributionError> {
        let count = counts.conversions.checked_add(counts.nulls).ok_or(too_much("paths"))?;
        let mut state = 0;
        for &channel in touches {
            state = self.step(state, channel, count)?;
        }
        self.end(
            state,
            End { conversions: counts.conversions, nulls: counts.nulls, value: i128::from(counts.value) },
        )
    }

    /// The state after `channel`; the step is counted.
    fn step(&mut self, from: u32, channel: u16, count: u64) -> Result<u32, AttributionError> {
        if let Some(step) = self.steps.get_mut(&(from, channel)) {
            step.count = step.count.checked_add(count).ok_or(too_much("steps"))?;
            return Ok(step.to);
        }
        let mut last = self.states[from as usize].to_vec();
        if last.len() == self.order {
            last.remove(0);
        }
        last.push(channel);
        let to = self.state(last.into())?;
        self.steps.insert((from, channel), Step { to, count });
        Ok(to)
    }

    fn state(&mut self, last: Box<[u16]>) -> Result<u32, AttributionError> {
        if let Some(state) = self.index.get(&last) {
            return Ok(*state);
        }
        if self.states.len() >= MOST_STATES {
            let what = "states of the Markov chain: take a lower order";
            return Err(AttributionError::TooMany { what, limit: MOST_STATES as u64 });
        }
        let state = self.states.len() as u32;
        self.states.push(last.clone());
        self.ends.push(End::default());
        self.index.insert(last, state);
        Ok(state)
    }

    fn end(&mut self, state: u32, more: End) -> Result<(), AttributionError> {
        let end = &mut self.ends[state as usize];
        let sum = |a: u64, b: u64| a.checked_add(b).ok_or(too_much("paths"));
        end.conversions = sum(end.conversions, more.conversions)?;
        end.nulls = sum(end.nulls, more.nulls)?;
        end.value += more.value;
        Ok(())
    }

    /// Adds the counts of `other`, whose channels have the numbers `ids` here.
    pub(super) fn merge(&mut self, other: &Self, ids: &[u16]) -> Result<(), AttributionError> {
        let mut states = Vec::with_capacity(other.states.len());
        for (last, end) in other.states.iter().zip(&other.ends) {
            let state = self.state(last.iter().map(|id| ids[usize::from(*id)]).collect())?;
            self.end(state, *end)?;
            states.push(state);
        }
        for ((from, channel), step) in &other.steps {
            self.step(states[*from as usize], ids[usize::from(*channel)], step.count)?;
        }
        Ok(())
    }
}
