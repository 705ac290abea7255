//! Sessionisation: which requests or events of a visitor are one visit. Pure.
//!
//! A gap is measured between instants, never between times on a wall or places in a file: midnight, both clock changes
//! and the late lines of a second server cut no visit by themselves.
//!
//! | rules | a visit ends | page |
//! |---|---|---|
//! | [`Rules::default`] | after more than 30 minutes without an event | – |
//! | [`Rules::matomo`] | and at midnight of the site's zone, and when another campaign brings the visitor | matomo.org/faq/general/faq_36, the settings `visit_standard_length`, `create_new_visit_after_midnight`, `create_new_visit_when_campaign_changes` and `create_new_visit_when_website_referrer_changes` (off) of `config/global.ini.php` in 5.0 (March 2024) |
//! | [`Rules::ga4`] | after 30 minutes without an event; neither midnight nor a campaign ends it | support.google.com/analytics/answer/9191807, read in 2026 |
//! | [`Rules::at_internet`] | after 30 minutes without an event | the visit of 30 minutes of AT Internet's tagging documentation, archived in May 2026 |
//!
//! ```
//! use mkt_etl::sessions::{Hit, Rules, sessionise};
//! let hit = |time: &str| Hit::new(time.parse().unwrap(), chrono_tz::Europe::Paris);
//! // 23:50 and 00:10 in Paris.
//! let hits = [hit("2026-05-01T22:10:00Z"), hit("2026-05-01T21:50:00Z")];
//! assert_eq!(sessionise(&hits, &Rules::ga4()), [0, 0]);
//! assert_eq!(sessionise(&hits, &Rules::matomo()), [1, 0]);
//! ```

use crate::zone::{Zone, local_day};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use std::fmt;
use std::str::FromStr;

/// When a visit ends. Start with a preset.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rules {
    timeout: TimeDelta,
    timeout_itself_ends: bool,
    midnight: bool,
    campaign: bool,
    referrer: bool,
}

impl Default for Rules {
    /// More than 30 minutes without an event, and nothing else.
    fn default() -> Self {
        Self {
            timeout: TimeDelta::minutes(30),
            timeout_itself_ends: false,
            midnight: false,
            campaign: false,
            referrer: false,
        }
    }
}

impl Rules {
    /// Matomo's defaults: more than 1 800 seconds, midnight, another campaign.
    #[must_use]
    pub fn matomo() -> Self {
        Self { midnight: true, campaign: true, ..Self::default() }
    }

    /// Google Analytics 4: a session times out *after 30 minutes*, so that a gap of exactly 30 minutes ends it.
    #[must_use]
    pub fn ga4() -> Self {
        Self { timeout_itself_ends: true, ..Self::default() }
    }

    /// AT Internet (Piano Analytics): more than 30 minutes.
    #[must_use]
    pub fn at_internet() -> Self {
        Self::default()
    }

    /// The longest time without an event. Default: 30 minutes.
    #[must_use]
    pub fn timeout(mut self, timeout: TimeDelta) -> Self {
        self.timeout = timeout.max(TimeDelta::zero());
        self
    }

    /// Whether midnight of the site's zone ends a visit. Default: no.
    #[must_use]
    pub fn midnight(mut self, yes: bool) -> Self {
        self.midnight = yes;
        self
    }

    /// Whether a campaign other than the visit's begins another visit. Default: no.
    #[must_use]
    pub fn campaign_change(mut self, yes: bool) -> Self {
        self.campaign = yes;
        self
    }

    /// Whether a referring site other than the visit's begins another visit. Default: no.
    #[must_use]
    pub fn referrer_change(mut self, yes: bool) -> Self {
        self.referrer = yes;
        self
    }

    /// The longest time without an event.
    #[must_use]
    pub fn longest_gap(&self) -> TimeDelta {
        self.timeout
    }

    /// Whether a hit begins another visit than the one before it, and by which rule.
    #[must_use]
    pub fn cut(&self, visit: &Visit, hit: &Hit) -> Option<Cut> {
        let gap = hit.at - visit.last;
        if gap > self.timeout || self.timeout_itself_ends && gap == self.timeout {
            return Some(Cut::Timeout);
        }
        if self.midnight && hit.day != visit.day {
            return Some(Cut::Midnight);
        }
        if self.campaign && hit.campaign.is_some() && hit.campaign != visit.campaign {
            return Some(Cut::Campaign);
        }
        if self.referrer && hit.referrer.is_some() && hit.referrer != visit.referrer {
            return Some(Cut::Referrer);
        }
        None
    }
}

impl fmt::Display for Rules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} minutes", self.timeout.num_minutes())?;
        for (yes, name) in [
            (self.midnight, "midnight"),
            (self.campaign, "campaign change"),
            (self.referrer, "referrer change"),
        ] {
            if yes {
                write!(f, ", {name}")?;
            }
        }
        Ok(())
    }
}

/// Not the name of a preset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid session rules {0:?}: expected default, matomo, ga4 or at_internet")]
pub struct InvalidRules(String);

impl FromStr for Rules {
    type Err = InvalidRules;

    fn from_str(text: &str) -> Result<Self, InvalidRules> {
        match text.trim().to_ascii_lowercase().replace('-', "_").as_str() {
            "default" => Ok(Self::default()),
            "matomo" => Ok(Self::matomo()),
            "ga4" => Ok(Self::ga4()),
            "at_internet" => Ok(Self::at_internet()),
            _ => Err(InvalidRules(text.chars().take(40).collect())),
        }
    }
}

/// Why a visit began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cut {
    /// Too long a time without an event.
    Timeout,
    /// Midnight of the site's zone.
    Midnight,
    /// Another campaign.
    Campaign,
    /// Another referring site.
    Referrer,
}

/// What the rules look at in an event of a visitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Hit {
    /// When.
    pub at: DateTime<Utc>,
    /// The day in the site's zone.
    pub day: NaiveDate,
    /// The campaign that brought the visitor with this event, as any number that tells campaigns apart.
    pub campaign: Option<u64>,
    /// The foreign site that did, likewise.
    pub referrer: Option<u64>,
}

impl Hit {
    /// An event that no campaign and no foreign site brought.
    #[must_use]
    pub fn new(at: DateTime<Utc>, zone: impl Into<Zone>) -> Self {
        Self { at, day: local_day(at, zone), campaign: None, referrer: None }
    }

    /// The campaign.
    #[must_use]
    pub fn campaign(mut self, campaign: Option<u64>) -> Self {
        self.campaign = campaign;
        self
    }

    /// The foreign site.
    #[must_use]
    pub fn referrer(mut self, referrer: Option<u64>) -> Self {
        self.referrer = referrer;
        self
    }
}

/// What the rules keep of a visit under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    last: DateTime<Utc>,
    day: NaiveDate,
    campaign: Option<u64>,
    referrer: Option<u64>,
}

impl Visit {
    /// The visit that a hit begins.
    #[must_use]
    pub fn begin(hit: &Hit) -> Self {
        Self { last: hit.at, day: hit.day, campaign: hit.campaign, referrer: hit.referrer }
    }

    /// Takes a further hit. A campaign or a foreign site that comes later is the visit's from then on.
    pub fn go_on(&mut self, hit: &Hit) {
        self.last = self.last.max(hit.at);
        self.campaign = hit.campaign.or(self.campaign);
        self.referrer = hit.referrer.or(self.referrer);
    }

    /// The last event so far.
    #[must_use]
    pub fn last(&self) -> DateTime<Utc> {
        self.last
    }
}

/// Numbers the visits of one visitor's hits, which may come in any order: the number of each hit's visit, counted from 0
/// in the order of time. Hits of one instant keep their order.
#[must_use]
pub fn sessionise(hits: &[Hit], rules: &Rules) -> Vec<usize> {
    let mut order: Vec<usize> = (0..hits.len()).collect();
    order.sort_by_key(|at| hits[*at].at);
    let mut numbers = vec![0; hits.len()];
    let mut under_way: Option<(Visit, usize)> = None;
    for at in order {
        let hit = &hits[at];
        let next = match under_way {
            None => (Visit::begin(hit), 0),
            Some((visit, number)) if rules.cut(&visit, hit).is_some() => (Visit::begin(hit), number + 1),
            Some((mut visit, number)) => {
                visit.go_on(hit);
                (visit, number)
            }
        };
        numbers[at] = next.1;
        under_way = Some(next);
    }
    numbers
}

#[cfg(test)]
mod tests;
