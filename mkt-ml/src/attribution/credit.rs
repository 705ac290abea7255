//! What a model credits channels with.

use serde::Serialize;

use super::Model;

/// One channel's part.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Credit {
    /// The channel.
    pub channel: String,
    /// Conversions credited to it.
    pub conversions: f64,
    /// Value credited to it; none where no value is known, or where the model cannot share it (see [`Credits::notes`]).
    pub value: Option<f64>,
    /// Of Markov chains: the share of conversions lost without the channel. None where there is no conversion.
    pub removal_effect: Option<f64>,
    /// The same for values.
    pub value_removal_effect: Option<f64>,
    /// The standard error of `conversions` from sampling, where a model samples.
    pub std_error: Option<f64>,
}

impl Credit {
    pub(super) fn new(channel: &str, conversions: f64) -> Self {
        Self {
            channel: channel.to_owned(),
            conversions,
            value: None,
            removal_effect: None,
            value_removal_effect: None,
            std_error: None,
        }
    }
}

/// The answer of one model: credits in the order of channels' names, which add up to the conversions of paths with
/// touches.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Credits {
    /// The model.
    pub model: Model,
    /// One for each channel, by name.
    pub channels: Vec<Credit>,
    /// All conversions, the sum of the credits and of `unattributed`.
    pub conversions: f64,
    /// All known value.
    pub value: Option<f64>,
    /// Conversions of empty paths, which no channel can have.
    pub unattributed: f64,
    /// The value of those.
    pub unattributed_value: Option<f64>,
    /// Conversions without a value, which are in no value.
    pub unvalued: f64,
    /// Of Markov chains: the probability that a path with touches converts.
    pub probability: Option<f64>,
    /// What a reader must know of this answer: that sampling took place, that values could not be shared.
    pub notes: Vec<String>,
}

impl Credits {
    /// The credit of a channel.
    #[must_use]
    pub fn channel(&self, name: &str) -> Option<&Credit> {
        self.channels.iter().find(|credit| credit.channel == name)
    }

    /// The channels with most conversions first; by name where they are equal.
    #[must_use]
    pub fn ranked(&self) -> Vec<&Credit> {
        let mut ranked: Vec<&Credit> = self.channels.iter().collect();
        ranked.sort_by(|a, b| b.conversions.total_cmp(&a.conversions));
        ranked
    }
}
