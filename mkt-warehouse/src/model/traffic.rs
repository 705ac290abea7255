//! What happened on a site: events, sessions, daily metrics.

use super::field::{Amount, Json, Measure};
use crate::id::stable_hash;
use crate::table::{Column, ColumnType};
use crate::{field, record, vocabulary};
use chrono::{DateTime, NaiveDate, Utc};
use mkt_connect::{Channel, Currency};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// What happened: a lower-case name of at most 50 characters. The constants are the shared vocabulary; a source may
/// bring its own names, which reports then leave alone.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EventType(Cow<'static, str>);

/// A text that cannot be an event type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not an event type (1 to 50 lower-case letters, digits and _)")]
pub struct InvalidEventType(pub String);

impl EventType {
    /// A page was seen.
    pub const PAGE_VIEW: Self = Self(Cow::Borrowed("page_view"));
    /// A product's page was seen.
    pub const PRODUCT_VIEW: Self = Self(Cow::Borrowed("product_view"));
    /// A product went into the cart.
    pub const ADD_TO_CART: Self = Self(Cow::Borrowed("add_to_cart"));
    /// A product was taken out of the cart.
    pub const REMOVE_FROM_CART: Self = Self(Cow::Borrowed("remove_from_cart"));
    /// The source reports an abandoned cart.
    pub const CART_ABANDONED: Self = Self(Cow::Borrowed("cart_abandoned"));
    /// An order.
    pub const PURCHASE: Self = Self(Cow::Borrowed("purchase"));
    /// Money back.
    pub const REFUND: Self = Self(Cow::Borrowed("refund"));
    /// An account or a subscription was made.
    pub const SIGNUP: Self = Self(Cow::Borrowed("signup"));
    /// A goal of the site was reached; `goal_id` in the properties.
    pub const GOAL: Self = Self(Cow::Borrowed("goal"));
    /// A search on the site.
    pub const SEARCH: Self = Self(Cow::Borrowed("search"));
    /// A file was downloaded.
    pub const DOWNLOAD: Self = Self(Cow::Borrowed("download"));
    /// A link to another site was followed.
    pub const OUTLINK: Self = Self(Cow::Borrowed("outlink"));
    /// A call to the hotline.
    pub const CALL: Self = Self(Cow::Borrowed("call"));
    /// A purchase at a cash desk.
    pub const STORE_PURCHASE: Self = Self(Cow::Borrowed("store_purchase"));
    /// A video or sound was played up to a point.
    pub const MEDIA_PROGRESS: Self = Self(Cow::Borrowed("media_progress"));

    /// Reads a name.
    ///
    /// # Errors
    /// [`InvalidEventType`] with the first 60 characters of the text.
    pub fn new(name: &str) -> Result<Self, InvalidEventType> {
        let ok = (1..=50).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if ok {
            Ok(Self(Cow::Owned(name.to_owned())))
        } else {
            Err(InvalidEventType(name.chars().take(60).collect()))
        }
    }

    /// The name as stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl TryFrom<String> for EventType {
    type Error = InvalidEventType;

    fn try_from(name: String) -> Result<Self, InvalidEventType> {
        Self::new(&name)
    }
}

impl From<EventType> for String {
    fn from(event_type: EventType) -> Self {
        event_type.0.into_owned()
    }
}

field!(EventType, Column::Text(values) => values, ColumnType::Text, "an event type",
    |x: &EventType| x.as_str().to_owned(), |x: &String| EventType::new(x).ok());

record! {
    /// Something a visitor did.
    Event in "events" sliced, key [event_id] {
        /// Stable hash of (source, site, native id), see [`crate::id::event_id`].
        event_id: i64,
        /// The site's user id or a visitor id, at most 50 characters, never an address.
        user_id: String,
        /// What happened.
        event_type: EventType,
        /// When, in UTC.
        timestamp: DateTime<Utc>,
        /// The channel of the visit.
        channel: Channel,
        /// Revenue of a purchase, in `currency`; 0 for everything else; negative for a refund.
        revenue: Amount,
        /// `url, referrer, items[{sku, name, category, price, quantity}], order_id, cart_id, goal_id` and what else the
        /// source tells.
        properties: Json,
        /// The session, where the source has one or sessionisation found it.
        session_id: Option<String>,
        /// The campaign (`mkt_connect`'s slug).
        campaign_id: Option<String>,
        /// The currency of `revenue`.
        currency: Option<Currency>,
        /// The source's own name for the channel.
        channel_detail: Option<String>,
        /// The place in the order of the source (lines of a file, actions of a visit). It decides between events of
        /// one timestamp, before `event_id` does; only its order within the events of one user matters. 0 where the
        /// source has no order.
        seq: i64,
        /// Which source it was read from: `matomo`, `csv`, ….
        source: String,
        /// The site.
        site: String,
        /// The day in the site's zone.
        day: NaiveDate,
    }
}

impl Event {
    /// An event with the required fields. Set the others with struct update syntax:
    ///
    /// ```
    /// use mkt_connect::Channel;
    /// use mkt_warehouse::model::{Event, EventType};
    ///
    /// let at = "2026-10-24T08:00:00Z".parse()?;
    /// let view = Event { channel: Channel::Email, ..Event::new("csv", "shop", "42", "anna", EventType::PAGE_VIEW, at) };
    /// assert_eq!(view.day.to_string(), "2026-10-24");
    /// # Ok::<(), chrono::ParseError>(())
    /// ```
    ///
    /// `native_id` is the source's own id of the event: with `source` and `site` it makes
    /// [`event_id`](crate::id::event_id). `day` is that of `timestamp` in UTC (set it where the site's zone is another),
    /// `channel` is `other`, `revenue` and `seq` are 0, `properties` is an empty object, everything else is missing.
    #[must_use]
    pub fn new(
        source: &str,
        site: &str,
        native_id: &str,
        user_id: impl Into<String>,
        event_type: EventType,
        timestamp: DateTime<Utc>,
    ) -> Self {
        Self {
            event_id: crate::id::event_id(source, site, native_id),
            user_id: user_id.into(),
            event_type,
            timestamp,
            channel: Channel::Other,
            revenue: Amount::default(),
            properties: Json::default(),
            session_id: None,
            campaign_id: None,
            currency: None,
            channel_detail: None,
            seq: 0,
            source: source.to_owned(),
            site: site.to_owned(),
            day: timestamp.date_naive(),
        }
    }
}

record! {
    /// A visit.
    Session in "sessions" sliced, key [session_id] {
        /// See [`crate::id::session_id`].
        session_id: String,
        /// As in [`Event::user_id`].
        user_id: String,
        /// First event, UTC.
        start_time: DateTime<Utc>,
        /// Last event, UTC.
        end_time: DateTime<Utc>,
        /// Pages seen.
        pages_viewed: i64,
        /// Whether at least one event of the site's conversion set happened.
        converted: bool,
        /// The channel.
        channel: Channel,
        /// The source's own name for the channel.
        channel_detail: Option<String>,
        /// The campaign.
        campaign_id: Option<String>,
        /// `desktop`, `mobile`, `tablet`, … in lower case.
        device: Option<String>,
        /// The first URL, without credentials.
        landing_url: Option<String>,
        /// Where the visitor came from.
        referrer: Option<String>,
        /// Seconds on the site.
        time_on_site: Option<i64>,
        /// Why this visit counts as a robot's; reports leave such sessions out.
        bot: Option<String>,
        /// As [`Event::seq`], between sessions that start at one timestamp, before `session_id`.
        seq: i64,
        /// The source.
        source: String,
        /// The site.
        site: String,
        /// The site-local day of the first event.
        day: NaiveDate,
    }
}

impl Session {
    /// A session with the required fields, for struct update syntax as in [`Event::new`].
    ///
    /// `native_id` is the source's own id of the session: with `source` and `site` it makes
    /// [`session_id`](crate::id::session_id). The session ends when it starts, `day` is that of `start_time` in UTC
    /// (set it where the site's zone is another), no page was viewed, it did not convert, `seq` is 0, and everything
    /// else is missing.
    #[must_use]
    pub fn new(
        source: &str,
        site: &str,
        native_id: &str,
        user_id: impl Into<String>,
        start_time: DateTime<Utc>,
        channel: Channel,
    ) -> Self {
        Self {
            session_id: crate::id::session_id(source, site, native_id),
            user_id: user_id.into(),
            start_time,
            end_time: start_time,
            pages_viewed: 0,
            converted: false,
            channel,
            channel_detail: None,
            campaign_id: None,
            device: None,
            landing_url: None,
            referrer: None,
            time_on_site: None,
            bot: None,
            seq: 0,
            source: source.to_owned(),
            site: site.to_owned(),
            day: start_time.date_naive(),
        }
    }
}

record! {
    /// The sessions of a slice that start within a quarter of an hour, robots left out. Written by the engine in the
    /// transaction of the slice's rows, also for a slice that loses a session to another; what a batch brings for this
    /// table is not kept.
    SessionQuarter in "session_quarters" sliced, key [load_id, source, site, day, quarter] {
        /// The beginning of the quarter, UTC.
        quarter: DateTime<Utc>,
        /// Sessions.
        sessions: i64,
        /// Those of them that converted.
        converted_sessions: i64,
        /// The source.
        source: String,
        /// The site.
        site: String,
        /// The site-local day, as in the sessions.
        day: NaiveDate,
    }
}

vocabulary! {
    /// How a metric adds up over days.
    MetricKind, "a metric kind" {
        /// Sums are right: visits, revenue.
        Additive = "additive",
        /// Only numerators and denominators may be summed: bounce rate.
        Ratio = "ratio",
        /// Never summed: unique visitors.
        Distinct = "distinct",
    }
}

vocabulary! {
    /// What is known about the completeness of a slice.
    SliceState, "a slice state" {
        /// Not read yet.
        Planned = "planned",
        /// Read; the source may still change it.
        Provisional = "provisional",
        /// Read, older than the source's finality, and reconciled.
        Settled = "settled",
        /// The source says zero, and something else says otherwise.
        SuspectEmpty = "suspect_empty",
        /// The source cut rows off.
        Truncated = "truncated",
        /// The source counted a sample.
        Sampled = "sampled",
        /// It could not be read.
        Failed = "failed",
    }
}

record! {
    /// A number of one day, as the source reports it.
    DailyMetric in "daily_metrics" sliced, key [source, site, day, metric] {
        /// The metric's name: `visits`, `conversions`, `bounce_rate`, ….
        metric: String,
        /// How it adds up.
        kind: MetricKind,
        /// The value; null where its denominator is empty.
        value: Option<Measure>,
        /// Of a ratio.
        numerator: Option<Measure>,
        /// Of a ratio.
        denominator: Option<Measure>,
        /// Of an amount.
        currency: Option<Currency>,
        /// Completeness of the day.
        state: SliceState,
        /// The source.
        source: String,
        /// The site.
        site: String,
        /// The day in the site's zone.
        day: NaiveDate,
    }
}

record! {
    /// A number of one day for one combination of dimensions, as the source reports it: visits of a page, revenue of a
    /// campaign, a row of an analyst's own report. One row for each metric.
    ///
    /// Rows of different reports count the same traffic again and are never added up: choose one `report`.
    DimensionMetric in "dimension_metrics" sliced, key [source, site, day, report, dimension_key, metric] {
        /// The report: `pages`, `referrers`, or the analyst's name for it.
        report: String,
        /// [`DimensionMetric::key_of`] the dimensions.
        dimension_key: i64,
        /// The combination as an object, names in snake case: `{"page_url": "https://…"}`.
        dimensions: Json,
        /// The metric's name, as in [`DailyMetric::metric`].
        metric: String,
        /// How it adds up, over days and over the rows of the report.
        kind: MetricKind,
        /// The value; null where the source has none, or its denominator is empty.
        value: Option<Measure>,
        /// Of a ratio.
        numerator: Option<Measure>,
        /// Of a ratio.
        denominator: Option<Measure>,
        /// Of an amount.
        currency: Option<Currency>,
        /// Whether this row stands for everything that the source folded together ("Others").
        is_rest: bool,
        /// Completeness of the day.
        state: SliceState,
        /// The source.
        source: String,
        /// The site.
        site: String,
        /// The day in the site's zone.
        day: NaiveDate,
    }
}

impl DailyMetric {
    /// A settled, additive metric of a day, for struct update syntax as in [`Event::new`].
    #[must_use]
    pub fn new(
        source: impl Into<String>,
        site: impl Into<String>,
        day: NaiveDate,
        metric: impl Into<String>,
        value: Option<Measure>,
    ) -> Self {
        Self {
            metric: metric.into(),
            kind: MetricKind::Additive,
            value,
            numerator: None,
            denominator: None,
            currency: None,
            state: SliceState::Settled,
            source: source.into(),
            site: site.into(),
            day,
        }
    }
}

impl DimensionMetric {
    /// The stable hash of a combination of dimensions: the same for the same names and values in any order.
    #[must_use]
    pub fn key_of(dimensions: &Json) -> i64 {
        let serde_json::Value::Object(fields) = &dimensions.0 else {
            return stable_hash(&["dimensions", &dimensions.0.to_string()]);
        };
        // Sorted here: whether serde_json sorts is a feature that any crate of a build may switch.
        let mut fields: Vec<(&String, String)> =
            fields.iter().map(|(name, value)| (name, value.to_string())).collect();
        fields.sort_unstable();
        let parts = fields.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
        stable_hash(&std::iter::once("dimensions").chain(parts).collect::<Vec<_>>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_key_of_dimensions_knows_names_and_values_and_no_order() {
        let key = |value: serde_json::Value| DimensionMetric::key_of(&Json(value));
        let mut turned = serde_json::Map::new();
        turned.insert("b".to_owned(), json!("2"));
        turned.insert("a".to_owned(), json!("1"));
        assert_eq!(key(json!({"a": "1", "b": "2"})), key(serde_json::Value::Object(turned)));
        for other in [
            json!({"a": "1"}),
            json!({"a": "2", "b": "1"}),
            json!({"a": 1, "b": "2"}),
            json!({}),
            json!(["a"]),
        ] {
            assert_ne!(key(other.clone()), key(json!({"a": "1", "b": "2"})), "{other}");
        }
    }
}
