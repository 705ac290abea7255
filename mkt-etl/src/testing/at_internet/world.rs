//! What happened on the sites of the stand-in: visits and page loads, generated from a seed, the same every time.

use crate::zone;
use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// A site.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) zone: Tz,
    pub(super) visits: u32,
    pub(super) pages: u32,
    /// Visits more than planned, by day; a day that was forgotten has none at all.
    pub(super) late: BTreeMap<NaiveDate, u32>,
    pub(super) forgotten: Vec<NaiveDate>,
}

/// A visit and the pages that it saw.
#[derive(Debug, Clone)]
pub(super) struct Visit {
    id: u64,
    visitor: u64,
    start: DateTime<Utc>,
    zone: Tz,
    source: usize,
    device: usize,
    has_hour: bool,
    pub(super) pages: Vec<u32>,
}

const SOURCES: [&str; 6] =
    ["Direct traffic", "Search engines", "Referrer sites", "Social networks", "Emailing", "Sponsored links"];
const DEVICES: [&str; 3] = ["Desktop", "Mobile", "Tablet"];

/// Seconds between two page loads of a visit.
const STEP: i64 = 40;

/// Properties that the account has, and their types.
pub(super) const PROPERTIES: &[(&str, &str)] = &[
    ("date", "Date"),
    ("date_year", "Integer"),
    ("date_month", "String"),
    ("visit_hour", "Integer"),
    ("event_hour", "Integer"),
    ("visit_id", "String"),
    ("visitor_id", "String"),
    ("visit_time", "Date"),
    ("visit_time_utc", "Date"),
    ("visit_device_type", "String"),
    ("device_type", "String"),
    ("os_group", "String"),
    ("browser_group", "String"),
    ("browser_language", "String"),
    ("geo_country", "String"),
    ("geo_region", "String"),
    ("geo_city", "String"),
    ("src", "String"),
    ("src_detail", "String"),
    ("src_referrer_url", "String"),
    ("page", "String"),
    ("page_full_name", "String"),
    ("page_chapter1", "String"),
    ("visit_entrypage", "String"),
    ("site_id", "Integer"),
];

/// Metrics that the account has, their types and `CustomerType`, and version 2's `Summable`.
pub(super) const METRICS: &[(&str, &str, &str, bool)] = &[
    ("m_visits", "Integer", "Integer", true),
    ("m_page_loads", "Integer", "Integer", true),
    ("m_events", "Integer", "Integer", true),
    ("m_bounces", "Integer", "Integer", true),
    ("m_unique_visitors", "Integer", "Integer", false),
    // As the vendor's page has it.
    ("m_bounce_rate", "Decimal", "Percent", true),
    ("m_time_spent", "Integer", "Duration", true),
    ("m_time_spent_per_visits", "Decimal", "Duration", false),
    ("m_page_loads_per_visits", "Decimal", "Numeric", false),
];

/// The names of version 2.
pub(super) const OLD_NAMES: &[(&str, &str)] = &[
    ("d_page", "page"),
    ("d_source", "src"),
    ("d_device_type", "device_type"),
    ("d_time_date", "date"),
    ("d_time_hour_visit", "visit_hour"),
    ("d_time_hour_event", "event_hour"),
    ("m_visitors", "m_unique_visitors"),
    ("m_vu", "m_unique_visitors"),
];

/// SplitMix64 (G. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators", 2014): one step.
fn mixed(value: u64) -> u64 {
    let z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number of its own for these parts.
fn draw(parts: &[u64]) -> u64 {
    parts.iter().fold(0, |drawn, part| mixed(drawn ^ mixed(*part)))
}

impl Site {
    pub(super) fn count(&self, day: NaiveDate) -> u32 {
        match self.forgotten.contains(&day) {
            true => 0,
            false => self.visits + self.late.get(&day).copied().unwrap_or_default(),
        }
    }

    /// The visits of a day: in its hours, 23 or 25 of them where the clocks change.
    pub(super) fn visits_of(&self, seed: u64, site: u64, day: NaiveDate) -> Vec<Visit> {
        let begin = zone::day_start(day, self.zone);
        let end = zone::day_start(day.succ_opt().unwrap_or(day), self.zone);
        let length = u64::try_from((end - begin).num_seconds()).unwrap_or(1);
        let ordinal = u64::try_from(day.num_days_from_ce()).unwrap_or_default();
        let visits = (0..self.count(day)).map(|number| {
            let own = draw(&[seed, site, ordinal, number.into()]);
            // What is drawn has a number: a place in the order below.
            let below = |what: u64, limit: u64| mixed(own ^ mixed(what)) % limit.max(1);
            let small =
                |what: u64, limit: usize| usize::try_from(below(what, limit as u64)).unwrap_or_default();
            let count = if below(1, 5) < 2 { 1 } else { 2 + below(2, 5) };
            let second = below(3, length.saturating_sub(count * STEP.unsigned_abs()));
            Visit {
                id: draw(&[own, 4]),
                visitor: draw(&[seed, below(5, self.visits.into()), 5]),
                start: begin + TimeDelta::seconds(i64::try_from(second).unwrap_or_default()),
                zone: self.zone,
                source: small(6, SOURCES.len() + 1),
                device: small(7, DEVICES.len()),
                has_hour: below(8, 40) > 0,
                pages: (0..count)
                    .map(|load| u32::try_from(below(100 + load, self.pages.into())).unwrap_or_default())
                    .collect(),
            }
        });
        visits.collect()
    }
}

impl Visit {
    pub(super) fn key(&self) -> u64 {
        self.id
    }

    /// When it began, by the site's clock.
    pub(super) fn began(&self) -> NaiveDateTime {
        self.start.with_timezone(&self.zone).naive_local()
    }

    pub(super) fn visitor(&self) -> u64 {
        self.visitor
    }

    pub(super) fn seconds(&self) -> i64 {
        STEP * (i64::try_from(self.pages.len()).unwrap_or(1) - 1)
    }

    /// One of so many, the same for every visit of a visitor.
    fn of_visitor(&self, what: u64, limit: u64) -> usize {
        usize::try_from(mixed(self.visitor ^ mixed(what)) % limit.max(1)).unwrap_or_default()
    }

    pub(super) fn bounced(&self) -> bool {
        self.pages.len() == 1
    }

    /// A property of the visit, or of its page load of this number.
    pub(super) fn property(&self, name: &str, load: usize, site: u64) -> Value {
        let local = self.start.with_timezone(&self.zone);
        let event = (self.start + TimeDelta::seconds(STEP * i64::try_from(load).unwrap_or_default()))
            .with_timezone(&self.zone);
        match name {
            "date" => json!(local.date_naive().to_string()),
            "date_year" => json!(local.year()),
            "date_month" => json!(local.format("%B").to_string()),
            "visit_hour" if self.has_hour => json!(local.hour()),
            "visit_hour" => Value::Null,
            "event_hour" => json!(event.hour()),
            "visit_id" => json!(format!("{:x}", self.id)),
            "visitor_id" => json!(format!("{:016x}", self.visitor)),
            "visit_time" => json!(local.format("%Y-%m-%d %H:%M:%S").to_string()),
            "visit_time_utc" => json!(self.start.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
            "visit_device_type" | "device_type" => json!(DEVICES[self.device % DEVICES.len()]),
            "src" => SOURCES.get(self.source).map_or(Value::Null, |source| json!(source)),
            "page" => json!(page(self.pages.get(load).copied().unwrap_or_default())),
            "visit_entrypage" => json!(page(self.pages.first().copied().unwrap_or_default())),
            "page_full_name" => {
                json!(format!("site::{}", page(self.pages.get(load).copied().unwrap_or_default())))
            }
            "page_chapter1" => {
                let page = page(self.pages.get(load).copied().unwrap_or_default());
                json!(page.split("::").next())
            }
            "site_id" => json!(site),
            "os_group" => json!(["Windows", "Android", "iOS"][self.device % 3]),
            "browser_group" => json!(["Firefox", "Chrome"][self.of_visitor(1, 2)]),
            "browser_language" => json!(["French", "English"][self.of_visitor(2, 2)]),
            "geo_country" => json!("France"),
            "geo_region" => json!(["Bretagne", "Occitanie"][self.of_visitor(3, 2)]),
            "geo_city" => json!(["Rennes", "Toulouse"][self.of_visitor(3, 2)]),
            // Only who came from elsewhere has it.
            "src_detail" | "src_referrer_url" if self.source == 2 => json!("https://elsewhere.example/"),
            _ => Value::Null,
        }
    }
}

/// The name of a page. Two hold an address, as they do on sites that do not look.
fn page(number: u32) -> String {
    match number {
        3 => "account::jo@example.org".to_owned(),
        4 => "account::al@example.org".to_owned(),
        number => format!("shop::l'étagère {number}"),
    }
}
