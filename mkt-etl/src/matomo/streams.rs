//! The streams of a Matomo: their names, and which are read unless others are chosen.

use crate::source::Kind;

/// Daily numbers of a site, in `daily_metrics`.
pub const DAILY: &str = "daily";
/// Visits and what happened in them, in `sessions` and `events`.
pub const VISITS: &str = "visits";
/// Visits by type of referrer.
pub const REFERRERS: &str = "referrers";
/// Visits by the name of the referrer, or by keyword.
pub const REFERRER_NAMES: &str = "referrer_names";
/// Visits by campaign and keyword.
pub const CAMPAIGNS: &str = "campaigns";
/// Pages.
pub const PAGES: &str = "pages";
/// Visits by hour of the site's zone.
pub const HOURS: &str = "hours";
/// Events by category, action and name.
pub const EVENTS: &str = "events";
/// Articles of orders and of abandoned carts.
pub const ITEMS: &str = "items";
/// Conversions by goal, and abandoned carts.
pub const GOALS: &str = "goals";

/// Every stream.
pub const STREAMS: [&str; 10] =
    [DAILY, VISITS, REFERRERS, REFERRER_NAMES, CAMPAIGNS, PAGES, HOURS, EVENTS, ITEMS, GOALS];

/// Those that are read unless others are chosen: everything else can be counted from them, or costs requests that not
/// everybody wants to pay for.
pub const DEFAULT_STREAMS: [&str; 2] = [DAILY, VISITS];

/// A stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    Daily,
    Visits,
    Referrers,
    ReferrerNames,
    Campaigns,
    Pages,
    Hours,
    Events,
    Items,
    Goals,
}

impl Name {
    pub(super) const ALL: [Self; 10] = [
        Self::Daily,
        Self::Visits,
        Self::Referrers,
        Self::ReferrerNames,
        Self::Campaigns,
        Self::Pages,
        Self::Hours,
        Self::Events,
        Self::Items,
        Self::Goals,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Daily => DAILY,
            Self::Visits => VISITS,
            Self::Referrers => REFERRERS,
            Self::ReferrerNames => REFERRER_NAMES,
            Self::Campaigns => CAMPAIGNS,
            Self::Pages => PAGES,
            Self::Hours => HOURS,
            Self::Events => EVENTS,
            Self::Items => ITEMS,
            Self::Goals => GOALS,
        }
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == name)
    }

    /// The tables that it fills; in a segment, `dimension_metrics` only.
    pub(super) fn fills(self, in_segment: bool) -> &'static [Kind] {
        match self {
            Self::Daily if !in_segment => &[Kind::Metrics],
            Self::Visits => &[Kind::Sessions, Kind::Events],
            _ => &[Kind::Dimensions],
        }
    }

    /// Whether it can be read of some visits only without counting them twice.
    pub(super) fn has_segments(self) -> bool {
        self != Self::Visits
    }
}
