//! Reads the slice of a day: its events, the visits that began on it, its numbers, and the lines that do not fit.

use super::becomes::Becomes;
use super::index::{Index, key_of};
use super::visitor::DayKeys;
use super::visits::{Ended, Viewed, instant};
use super::{Inner, SERVICE};
use crate::source::{Page, Rejected};
use chrono::NaiveDate;
use mkt_connect::{Channel, Error, ErrorKind, Result};
use mkt_warehouse::id;
use mkt_warehouse::model::{
    DimensionMetric, Event, EventType, Json, Measure, MetricKind, Session, SliceState,
};
use serde_json::json;
use std::collections::HashMap;
use tokio::sync::mpsc;

/// Rows in a page.
const PAGE: usize = 1000;

/// The id of an event: of the line, and of how many equal ones of the day come before it.
pub(super) fn event_id(site: &str, line: u128, before: u32) -> i64 {
    id::event_id(SERVICE, site, &format!("{line:032x}-{before}"))
}

/// How many equal lines of a day came before.
#[derive(Default)]
pub(super) struct Equal(HashMap<u128, u32, foldhash::fast::RandomState>);

impl Equal {
    pub(super) fn before(&mut self, line: u128) -> u32 {
        let held = self.0.entry(line).or_default();
        *held += 1;
        *held - 1
    }
}

struct Reading<'a> {
    inner: &'a Inner,
    salts: HashMap<i64, DayKeys>,
}

impl Reading<'_> {
    /// The visitor's key, and the visit's.
    fn keys(&mut self, visitor: u128, begun: i64, begun_day: i64) -> (String, String) {
        let salt = self.salts.entry(begun_day).or_insert_with(|| self.inner.settings.keys.of_day(begun_day));
        let key = salt.stored(visitor);
        let session = format!("{key}-{begun}");
        (key, session)
    }

    fn event(&mut self, viewed: Viewed, day: NaiveDate, seq: i64, equal: &mut Equal) -> Event {
        let site = &self.inner.settings.site;
        let (visitor, session) = self.keys(viewed.visitor, viewed.begun, viewed.begun_day);
        let event_type = match viewed.becomes {
            Becomes::Download => EventType::DOWNLOAD,
            _ => EventType::PAGE_VIEW,
        };
        let mut properties = serde_json::Map::new();
        properties.insert("url".to_owned(), viewed.url.into());
        if let Some(referrer) = viewed.referrer {
            properties.insert("referrer".to_owned(), referrer.into());
        }
        let user = id::visitor_id(SERVICE, site, &visitor);
        Event {
            event_id: event_id(site, viewed.line, equal.before(viewed.line)),
            channel: channel(viewed.channel),
            properties: Json(properties.into()),
            session_id: Some(id::session_id(SERVICE, site, &session)),
            campaign_id: viewed.campaign,
            channel_detail: Some(viewed.detail),
            seq,
            day,
            ..Event::new(SERVICE, site, "", user, event_type, instant(viewed.at))
        }
    }

    fn session(&mut self, ended: Ended, day: NaiveDate) -> Session {
        let site = &self.inner.settings.site;
        let (visitor, session) = self.keys(ended.visitor, ended.begun, ended.begun_day);
        let user = id::visitor_id(SERVICE, site, &visitor);
        Session {
            end_time: instant(ended.last),
            pages_viewed: ended.pages,
            channel_detail: Some(ended.detail),
            campaign_id: ended.campaign,
            device: ended.device.name().map(str::to_owned),
            landing_url: Some(ended.landing),
            referrer: ended.referrer,
            time_on_site: Some((ended.last - ended.begun) / 1_000_000),
            day,
            ..Session::new(SERVICE, site, &session, user, instant(ended.begun), channel(ended.channel))
        }
    }
}

fn channel(index: u8) -> Channel {
    Channel::ALL.get(usize::from(index)).copied().unwrap_or(Channel::Other)
}

impl Inner {
    /// Reads a slice and hands out its pages until nobody takes them. Blocks.
    pub(super) fn pages(&self, day: NaiveDate, out: &mpsc::Sender<Result<Page>>) -> Result<()> {
        let index = self.index()?;
        let disk = |cause| Error::new(ErrorKind::Storage, SERVICE, "read kept records").with_source(cause);
        let mut reading = Reading { inner: self, salts: HashMap::new() };
        let mut page = Page::default();
        let full = |page: &mut Page| {
            page.rows() + page.rejected.len() < PAGE || out.blocking_send(Ok(std::mem::take(page))).is_ok()
        };
        let mut events = index.events.read(key_of(day)).map_err(disk)?;
        let (mut seq, mut equal) = (0, Equal::default());
        while let Some(viewed) = Viewed::take(&mut events).map_err(disk)? {
            seq += 1;
            page.read += 1;
            page.events.push(reading.event(viewed, day, seq, &mut equal));
            if !full(&mut page) {
                return Ok(());
            }
        }
        let mut sessions = index.sessions.read(key_of(day)).map_err(disk)?;
        while let Some(ended) = Ended::take(&mut sessions).map_err(disk)? {
            page.derived += 1;
            page.sessions.push(reading.session(ended, day));
            if !full(&mut page) {
                return Ok(());
            }
        }
        let mut rejected = index.rejected.read(key_of(day)).map_err(disk)?;
        while let Some(line) = rejected.first().map_err(disk)? {
            let offset = rejected.int().map_err(disk)?;
            let file = rejected.text().map_err(disk)?;
            let raw = rejected.text().map_err(disk)?;
            let reason = rejected.text().map_err(disk)?;
            page.read += 1;
            page.rejected.push(
                Rejected::new(file, raw.as_bytes(), reason).at(line.cast_unsigned(), offset.cast_unsigned()),
            );
            if !full(&mut page) {
                return Ok(());
            }
        }
        page.dimensions = self.numbers(&index, day);
        page.derived += page.dimensions.len() as u64;
        // A receiver that is gone has no use for it.
        let _ = out.blocking_send(Ok(page));
        Ok(())
    }

    /// Requests of a day by what becomes of them, and robots' by rule.
    fn numbers(&self, index: &Index, day: NaiveDate) -> Vec<DimensionMetric> {
        let Some(held) = index.days.get(&day) else { return Vec::new() };
        let number = |report: &str, name: &str, value: &str, count: u64| {
            let dimensions = Json(json!({ name: value }));
            DimensionMetric {
                report: report.to_owned(),
                dimension_key: DimensionMetric::key_of(&dimensions),
                dimensions,
                metric: "requests".to_owned(),
                kind: MetricKind::Additive,
                value: Some(Measure::from(i64::try_from(count).unwrap_or(i64::MAX))),
                numerator: None,
                denominator: None,
                currency: None,
                is_rest: false,
                state: SliceState::Settled,
                source: SERVICE.to_owned(),
                site: self.settings.site.clone(),
                day,
            }
        };
        let requests = Becomes::ALL.iter().zip(held.becomes).filter(|(_, count)| *count > 0);
        let requests = requests.map(|(becomes, count)| number("requests", "becomes", becomes.name(), count));
        let bots = held.robots.iter().map(|(rule, count)| {
            let name = index.rules.get(usize::from(*rule)).map_or("", String::as_str);
            number("bots", "rule", name, *count)
        });
        requests.chain(bots).collect()
    }
}
