//! A source whose content changes from one phase to the next: late visits, a visit that moves to another day, records
//! that do not fit and are repaired, slices that cannot be read for a while, a day that looks empty, a day that is.

use crate::support::{day, utc};
use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use mkt_connect::{Channel, Error, ErrorKind, Result};
use mkt_etl::{AnalyticsSource, Capabilities, Checked, Finality, Grain, Kind, Stream};
use mkt_etl::{Page, Rejected, SiteFacts, Totals, Window};
use mkt_warehouse::model::{
    Amount, DailyMetric, Event, EventType, Json, Measure, MetricKind, Session, SliceState, User,
};
use mkt_warehouse::{SliceKey, id};
use std::time::Duration;

/// When each phase runs. Days are final three days after their end: in the first phase those up to the 28th, in the
/// last two all of them.
const PHASES: [&str; 5] = [
    "2026-04-01T01:00:00Z",
    "2026-04-01T09:00:00Z",
    "2026-04-02T09:00:00Z",
    "2026-04-10T09:00:00Z",
    "2026-04-10T10:00:00Z",
];

/// How many phases there are.
pub(super) const LAST: usize = PHASES.len() - 1;

const NAME: &str = "story";
const SITE: &str = "shop";
/// Rows of a page.
const PAGE: usize = 40;

pub(super) fn clock(phase: usize) -> DateTime<Utc> {
    utc(PHASES[phase])
}

pub(super) fn window() -> Window {
    Window::days(day("2026-03-26"), day("2026-03-31"))
}

/// The source in a phase.
#[derive(Debug, Clone, Copy)]
pub(super) struct Story {
    pub(super) phase: usize,
}

impl Story {
    /// Visits of a day: its number is the seed of everything.
    fn visits(self, date: NaiveDate) -> Vec<u32> {
        let number = date.format("%d").to_string().parse::<u32>().unwrap();
        let many = number * 1_000..number * 1_000 + 60 + number;
        let mut visits: Vec<u32> = match (number, self.phase) {
            // Nothing happened on the 26th, and the control totals agree.
            (26, _) => Vec::new(),
            // The 27th was not yet archived.
            (27, 0) => Vec::new(),
            // Late visits.
            (29..=30, 0) | (31, 0..=1) => many.take(50).collect(),
            _ => many.collect(),
        };
        // A visit of the 29th that turns out to have gone on until the 30th.
        match (number, self.phase) {
            (29, 1..) => visits.retain(|visit| *visit != 29_007),
            (30, 1..) => visits.push(29_007),
            _ => {}
        }
        visits
    }

    /// Records of a day that do not fit: one of them is repaired in the second phase.
    fn rejected(self, date: NaiveDate) -> Vec<Rejected> {
        let broken = match (date.to_string().as_str(), self.phase) {
            ("2026-03-30", 0) => 3,
            ("2026-03-30", _) => 2,
            ("2026-03-28", _) => 1,
            _ => 0,
        };
        let reject = |n| Rejected::new("visits", format!("visit {n} of {date}").as_bytes(), "it has no id");
        (0..broken).map(reject).collect()
    }

    /// Why a slice cannot be read, and after how many of its pages.
    fn failure(self, slice: &SliceKey) -> Option<(usize, ErrorKind)> {
        match (slice.stream.as_str(), slice.from.to_string().as_str(), self.phase) {
            ("daily", "2026-03-31", 0) => Some((0, ErrorKind::Unavailable)),
            ("visits", "2026-03-29", 1) => Some((1, ErrorKind::RateLimited)),
            _ => None,
        }
    }

    fn pages(self, slice: &SliceKey) -> Vec<Page> {
        let date = slice.from;
        match slice.stream.as_str() {
            "visits" => {
                let mut pages: Vec<Page> =
                    self.visits(date).chunks(PAGE).map(|visits| visits_page(visits, date)).collect();
                let rejected = self.rejected(date);
                pages.push(Page { read: rejected.len() as u64, rejected, ..Page::default() });
                pages
            }
            "daily" => {
                let metrics: Vec<DailyMetric> = (0..5)
                    .map(|n| metric(&format!("metric_{n}"), (self.visits(date).len() * (n + 1)) as i64, date))
                    .collect();
                vec![Page { read: 5, metrics, ..Page::default() }]
            }
            _ => {
                let count = 90 + u32::from(self.phase >= 2);
                let people: Vec<u32> = (0..count).collect();
                people.chunks(PAGE).map(|people| people_page(people, self.phase)).collect()
            }
        }
    }
}

fn visits_page(visits: &[u32], date: NaiveDate) -> Page {
    let sessions: Vec<Session> = visits.iter().map(|visit| session(*visit, date)).collect();
    let events: Vec<Event> = visits.iter().flat_map(|visit| (0..2).map(|n| event(*visit, n, date))).collect();
    Page { read: (sessions.len() + events.len()) as u64, sessions, events, ..Page::default() }
}

fn session(visit: u32, date: NaiveDate) -> Session {
    let start = date.and_hms_opt(8, visit % 60, 0).unwrap().and_utc();
    Session {
        session_id: id::session_id(NAME, SITE, &visit.to_string()),
        user_id: format!("u{}", visit % 17),
        start_time: start,
        end_time: start + TimeDelta::seconds(i64::from(visit % 300)),
        pages_viewed: 2,
        converted: visit.is_multiple_of(5),
        channel: Channel::Organic,
        channel_detail: None,
        campaign_id: None,
        device: None,
        landing_url: None,
        referrer: None,
        time_on_site: Some(i64::from(visit % 300)),
        bot: None,
        seq: 0,
        source: NAME.to_owned(),
        site: SITE.to_owned(),
        day: date,
    }
}

fn event(visit: u32, n: u32, date: NaiveDate) -> Event {
    Event {
        event_id: id::event_id(NAME, SITE, &format!("{visit}-{n}")),
        user_id: format!("u{}", visit % 17),
        event_type: if n == 1 && visit.is_multiple_of(5) {
            EventType::PURCHASE
        } else {
            EventType::PAGE_VIEW
        },
        timestamp: date.and_hms_opt(8, visit % 60, n).unwrap().and_utc(),
        channel: Channel::Organic,
        revenue: Amount::default(),
        properties: Json(serde_json::json!({"url": format!("https://shop.example.org/{visit}")})),
        session_id: Some(id::session_id(NAME, SITE, &visit.to_string())),
        campaign_id: None,
        currency: None,
        channel_detail: None,
        seq: 0,
        source: NAME.to_owned(),
        site: SITE.to_owned(),
        day: date,
    }
}

fn metric(name: &str, value: i64, date: NaiveDate) -> DailyMetric {
    DailyMetric {
        metric: name.to_owned(),
        kind: MetricKind::Additive,
        value: Some(Measure::from(value)),
        numerator: None,
        denominator: None,
        currency: None,
        state: SliceState::Planned,
        source: NAME.to_owned(),
        site: SITE.to_owned(),
        day: date,
    }
}

fn people_page(people: &[u32], phase: usize) -> Page {
    let users: Vec<User> = people
        .iter()
        .map(|person| User {
            user_id: format!("u{person}"),
            signed_up_at: None,
            language: None,
            sex: None,
            age_band: None,
            occupation: None,
            segment: Some(if phase >= 2 { "regular" } else { "new" }.to_owned()),
            attributes: Json::default(),
            source: NAME.to_owned(),
            site: SITE.to_owned(),
            day: NaiveDate::default(),
        })
        .collect();
    Page { read: users.len() as u64, users, ..Page::default() }
}

#[async_trait]
impl AnalyticsSource for Story {
    fn capabilities(&self) -> Capabilities {
        let late = Finality::After(TimeDelta::days(3));
        let streams = vec![
            Stream::new("visits", Grain::Day, &[Kind::Sessions, Kind::Events], late),
            Stream::new("daily", Grain::Day, &[Kind::Metrics], late),
            Stream::new("people", Grain::Whole, &[Kind::Users], Finality::Immediate),
        ];
        Capabilities::new(NAME, streams).concurrency(3).control_totals(true)
    }

    async fn check(&self) -> Result<Checked> {
        Ok(Checked::new(self.discover().await?))
    }

    async fn discover(&self) -> Result<Vec<SiteFacts>> {
        Ok(vec![SiteFacts::new(SITE, chrono_tz::Europe::Paris).native_id("1")])
    }

    fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>> {
        Ok(match stream {
            "people" => vec![SliceKey::whole(NAME, stream, site)],
            _ => window.iter().map(|date| SliceKey::day(NAME, stream, site, date)).collect(),
        })
    }

    async fn version(&self, slice: &SliceKey) -> Result<Option<String>> {
        Ok((slice.stream == "people").then(|| format!("v{}", self.phase / 2)))
    }

    fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>> {
        let mut pages: Vec<Result<Page>> = self.pages(slice).into_iter().map(Ok).collect();
        if let Some((after, kind)) = self.failure(slice) {
            pages.truncate(after);
            pages.push(Err(Error::new(kind, NAME, "read a slice").with_detail("as the story has it")));
        }
        stream::iter(pages)
            .then(|page| async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                page
            })
            .boxed()
    }

    async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>> {
        if slice.stream != "visits" {
            // Without a second way to count, two reads in a row must agree.
            return Ok(None);
        }
        let visits = Story { phase: self.phase.max(1) }.visits(slice.from).len() as u64;
        // The control knows of the 27th from the beginning, and of late visits only when they are told.
        let told = self.visits(slice.from).len() as u64;
        let visits = if told == 0 { visits } else { told };
        Ok(Some(Totals::new().with("visits", visits)))
    }
}
