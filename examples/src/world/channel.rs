//! Where visits come from: the channels with their planted conversion probability, and the campaigns of a
//! day with the tags that their links carry.

use chrono::{Datelike, NaiveDate};
use serde::{Serialize, Serializer};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Channel {
    Organic,
    Paid,
    Email,
    Social,
    Direct,
    Referral,
}

impl Channel {
    pub(crate) const ALL: [Self; 6] =
        [Self::Organic, Self::Paid, Self::Email, Self::Social, Self::Direct, Self::Referral];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Organic => "organic",
            Self::Paid => "paid",
            Self::Email => "email",
            Self::Social => "social",
            Self::Direct => "direct",
            Self::Referral => "referral",
        }
    }

    /// Planted: probability that a session converts, in an hour whose factor is 1.
    pub(crate) fn conversion_probability(self) -> f64 {
        match self {
            Self::Email => 0.25,
            Self::Paid => 0.18,
            Self::Organic => 0.09,
            Self::Direct => 0.07,
            Self::Referral => 0.05,
            Self::Social => 0.03,
        }
    }

    /// One bit, for a set of channels.
    pub(crate) fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// Weights of `Channel::ALL` for a first visit, for a return of someone signed up, and of someone unknown.
pub(crate) const FIRST: [f64; 6] = [0.36, 0.22, 0.04, 0.17, 0.13, 0.08];
pub(crate) const RETURN_SIGNED_UP: [f64; 6] = [0.20, 0.09, 0.38, 0.07, 0.23, 0.03];
pub(crate) const RETURN_UNKNOWN: [f64; 6] = [0.35, 0.15, 0.0, 0.10, 0.33, 0.07];

/// Planted: what the hour of the shop's clock at which a session starts multiplies the probability by.
pub(crate) const HOUR_FACTORS: [f64; 24] = [
    0.10, 0.10, 0.10, 0.10, 0.10, 0.10, 0.30, 0.50, 0.60, 0.70, 0.80, 0.80, 0.90, 0.90, 0.75, 0.75, 0.75,
    0.80, 0.90, 1.05, 2.40, 1.15, 0.80, 0.50,
];

/// Planted: the hour at which sessions convert best.
pub(crate) const BEST_HOUR: usize = 20;

/// How many sessions start in each hour, in no particular unit; nobody comes between three and six, where a
/// handful of sessions would give a rate of 0 or 100 %.
pub(crate) const HOUR_TRAFFIC: [f64; 24] = [
    8.0, 4.0, 2.0, 0.0, 0.0, 0.0, 6.0, 16.0, 28.0, 38.0, 44.0, 46.0, 58.0, 52.0, 42.0, 40.0, 42.0, 50.0,
    62.0, 72.0, 90.0, 84.0, 52.0, 24.0,
];

/// A campaign as its links are tagged (`utm_*`) and as the ad server bills it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Campaign {
    pub(crate) channel: Channel,
    pub(crate) source: &'static str,
    pub(crate) medium: &'static str,
    pub(crate) name: String,
}

impl Campaign {
    /// What a landing URL carries after its `?`.
    pub(crate) fn tags(&self) -> String {
        format!("utm_source={}&utm_medium={}&utm_campaign={}", self.source, self.medium, self.name)
    }
}

/// The campaigns of a channel that run on a day; none for the channels that nobody pays for.
pub(crate) fn campaigns(channel: Channel, day: NaiveDate) -> Vec<Campaign> {
    let season = match day.month() {
        3..=5 => "printemps",
        6..=8 => "ete",
        9..=11 => "rentree",
        _ => "fetes",
    };
    let tagged = |source, medium, name| Campaign { channel, source, medium, name };
    match channel {
        Channel::Paid => vec![
            tagged("google", "cpc", format!("{season}-{}", day.year())),
            tagged("google", "cpc", "marque".to_owned()),
        ],
        Channel::Email => vec![tagged("newsletter", "email", format!("lettre-{}", day.format("%Y-%m")))],
        Channel::Social => vec![
            tagged("instagram", "social", format!("{season}-{}", day.year())),
            tagged("facebook", "social", format!("{season}-{}", day.year())),
        ],
        Channel::Organic | Channel::Direct | Channel::Referral => Vec::new(),
    }
}
