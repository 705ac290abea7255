//! Visits, where an account has columns of single visits: one row of the answer is one session. Pure.
//!
//! Which properties those are, the account's data model says; the caller names them. What the API does not tell of a
//! visit is not made up: no events (the rows are visits, what happened in them is not there), no landing page or
//! referrer unless a column is named for it.

use super::query::{Column, Name};
use super::wire::{self, Cell, Row};
use crate::source::{Page, Rejected, SiteFacts};
use crate::{clean, zone};
use chrono::{DateTime, LocalResult, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;
use mkt_connect::Channel;
use mkt_warehouse::id;
use mkt_warehouse::model::Session;
use rust_decimal::prelude::ToPrimitive;
use serde_json::Value;
use std::collections::HashSet;

/// When a visit began, and how its column says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// `2026-03-28T14:05:09Z`, or without an offset, in UTC.
    Utc(Name),
    /// Without an offset, in the site's zone. Of an hour that the clocks pass twice it is the first; one that they leave
    /// out sets the visit aside.
    Local(Name),
}

impl Start {
    fn name(&self) -> &Name {
        match self {
            Self::Utc(name) | Self::Local(name) => name,
        }
    }
}

/// The columns of a visit in an account's data model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VisitColumns {
    pub(super) visit: Name,
    pub(super) visitor: Name,
    pub(super) start: Start,
    pub(super) seconds: Option<Name>,
    pub(super) pages: Option<Name>,
    pub(super) conversions: Option<Name>,
    pub(super) source: Option<Name>,
    pub(super) device: Option<Name>,
    pub(super) landing: Option<Name>,
    pub(super) referrer: Option<Name>,
}

impl VisitColumns {
    /// The visit's id, the visitor's, and when it began.
    #[must_use]
    pub fn new(visit: Name, visitor: Name, start: Start) -> Self {
        Self {
            visit,
            visitor,
            start,
            seconds: None,
            pages: None,
            conversions: None,
            source: None,
            device: None,
            landing: None,
            referrer: None,
        }
    }

    /// How long it lasted, in seconds. Without it a visit ends when it begins.
    #[must_use]
    pub fn seconds(mut self, name: Name) -> Self {
        self.seconds = Some(name);
        self
    }

    /// Pages seen: a metric.
    #[must_use]
    pub fn pages(mut self, name: Name) -> Self {
        self.pages = Some(name);
        self
    }

    /// Conversions: a metric; more than none of them, and the visit converted.
    #[must_use]
    pub fn conversions(mut self, name: Name) -> Self {
        self.conversions = Some(name);
        self
    }

    /// The vendor's name for where it came from.
    #[must_use]
    pub fn source(mut self, name: Name) -> Self {
        self.source = Some(name);
        self
    }

    /// The device.
    #[must_use]
    pub fn device(mut self, name: Name) -> Self {
        self.device = Some(name);
        self
    }

    /// The first URL.
    #[must_use]
    pub fn landing(mut self, name: Name) -> Self {
        self.landing = Some(name);
        self
    }

    /// The URL before the first.
    #[must_use]
    pub fn referrer(mut self, name: Name) -> Self {
        self.referrer = Some(name);
        self
    }

    /// All of them, with a metric, as every query needs one.
    pub(super) fn columns(&self) -> Vec<Column> {
        let mut names = vec![self.visit.clone(), self.visitor.clone(), self.start.name().clone()];
        let more = [
            &self.seconds,
            &self.pages,
            &self.conversions,
            &self.source,
            &self.device,
            &self.landing,
            &self.referrer,
        ];
        names.extend(more.into_iter().flatten().cloned());
        if !names.iter().any(Name::is_metric) {
            names.extend(Name::new("m_visits"));
        }
        names.into_iter().map(Column::from).collect()
    }
}

/// Adds a visit to a page, or says why not.
pub(super) fn add(
    row: &Row,
    columns: &VisitColumns,
    site: &SiteFacts,
    day: NaiveDate,
    seen: &mut HashSet<i64>,
    page: &mut Page,
) {
    page.read += 1;
    match session(row, columns, site, day) {
        Ok(session) if seen.insert(id::stable_hash(&["visit", &session.session_id])) => {
            page.sessions.push(session);
        }
        Ok(_) => page.rejected.push(set_aside(row, "another row has this visit already")),
        Err(reason) => page.rejected.push(set_aside(row, reason)),
    }
}

fn set_aside(row: &Row, reason: &'static str) -> Rejected {
    Rejected::new("getData/visits", Value::Object(row.clone()).to_string().as_bytes(), reason)
}

fn session(
    row: &Row,
    columns: &VisitColumns,
    site: &SiteFacts,
    day: NaiveDate,
) -> Result<Session, &'static str> {
    let text = |name: &Name| match row.get(name.as_str()) {
        Some(Value::String(text)) if !matches!(text.trim(), "" | "-" | "N/A") => Some(text.trim().to_owned()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let count = |name: &Option<Name>, what: &'static str| match name {
        None => Ok(None),
        Some(name) => match row.get(name.as_str()).map_or(Cell::Nothing, wire::number) {
            Cell::Nothing => Ok(None),
            Cell::Number(number) => {
                let whole = number.round().to_i64().filter(|whole| (0..=i64::from(i32::MAX)).contains(whole));
                whole.map(Some).ok_or(what)
            }
            Cell::Other => Err(what),
        },
    };
    let visit = text(&columns.visit).ok_or("the visit has no id")?;
    let visitor = text(&columns.visitor).ok_or("the visit has no visitor")?;
    let told = text(columns.start.name()).ok_or("the visit has no beginning")?;
    let start = match columns.start {
        Start::Utc(_) => utc(&told),
        Start::Local(_) => naive(&told).and_then(|at| local(at, site.zone)),
    };
    let start_time = start.ok_or("the beginning of the visit is no moment of the site's zone")?;
    let own_day = zone::local_day(start_time, site.zone);
    if own_day != day && own_day.succ_opt() != Some(day) {
        return Err("the visit began on another day");
    }
    let seconds = count(&columns.seconds, "the length of the visit is no number of seconds")?;
    let end_time = start_time + TimeDelta::seconds(seconds.unwrap_or_default());
    let detail = columns.source.as_ref().and_then(text);
    let optional = |name: &Option<Name>| name.as_ref().and_then(text);
    Ok(Session {
        session_id: id::session_id(super::SERVICE, &site.site, &visit),
        user_id: id::visitor_id(super::SERVICE, &site.site, &visitor),
        start_time,
        end_time,
        pages_viewed: count(&columns.pages, "the number of pages is none")?.unwrap_or_default(),
        converted: count(&columns.conversions, "the number of conversions is none")?.unwrap_or_default() > 0,
        channel: detail.as_deref().map_or(Channel::Other, channel),
        channel_detail: detail.as_deref().map(clean::storable),
        campaign_id: None,
        device: optional(&columns.device).map(|device| clean::storable(&device.to_lowercase())),
        landing_url: optional(&columns.landing).map(|url| clean::url(&url).replace('\0', "\u{fffd}")),
        referrer: optional(&columns.referrer).map(|url| clean::url(&url).replace('\0', "\u{fffd}")),
        time_on_site: seconds,
        bot: None,
        seq: 0,
        source: super::SERVICE.to_owned(),
        site: site.site.clone(),
        day: own_day,
    })
}

fn naive(text: &str) -> Option<NaiveDateTime> {
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(text, format).ok())
}

fn utc(text: &str) -> Option<DateTime<Utc>> {
    let read = DateTime::parse_from_rfc3339(text)
        .ok()
        .map(|at| at.to_utc())
        .or_else(|| Some(naive(text)?.and_utc()));
    read.filter(|at| (1990..9999).contains(&chrono::Datelike::year(at)))
}

fn local(at: NaiveDateTime, zone: Tz) -> Option<DateTime<Utc>> {
    match zone.from_local_datetime(&at) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.to_utc()),
        LocalResult::None => None,
    }
}

/// The vendor's names for sources, in English as its documentation has them, to a channel; what is not known is `other`.
fn channel(detail: &str) -> Channel {
    let detail = detail.to_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| detail.contains(part));
    if says(&["sponsored", "paid"]) {
        Channel::Paid
    } else if says(&["e-mail", "email", "newsletter"]) {
        Channel::Email
    } else if says(&["affiliat"]) {
        Channel::Affiliate
    } else if says(&["display", "advert"]) {
        Channel::Display
    } else if says(&["social"]) {
        Channel::Social
    } else if says(&["search", "seo"]) {
        Channel::Organic
    } else if says(&["direct"]) {
        Channel::Direct
    } else if says(&["referr", "portal"]) {
        Channel::Referral
    } else {
        Channel::Other
    }
}
