//! A slice as it is put together from pages, and what it says about itself: totals, a fingerprint, a batch.
//!
//! The order of pages leaves no trace: rows are keyed, and come out in the order of their keys.

use crate::clean;
use crate::ledger::{DriftRow, ExtraRow, QuarantineRow};
use crate::source::{Coverage, Drift, Extra, Kind, Page, Rejected, Totals};
use chrono::NaiveDate;
use mkt_warehouse::model::{
    Campaign, Cost, DailyMetric, DimensionMetric, Event, Json, MetricKind, Session, SliceState, User,
};
use mkt_warehouse::{Batch, SliceKey, id};
use rust_decimal::Decimal;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// The rows of one slice.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    key: SliceKey,
    fills: &'static [Kind],
    read: u64,
    derived: u64,
    duplicates: u64,
    sessions: BTreeMap<String, Session>,
    events: BTreeMap<i64, Event>,
    metrics: BTreeMap<(NaiveDate, String), DailyMetric>,
    dimensions: BTreeMap<(NaiveDate, String, i64, String), DimensionMetric>,
    users: BTreeMap<String, User>,
    campaigns: BTreeMap<String, Campaign>,
    costs: BTreeMap<(NaiveDate, &'static str, String), Cost>,
    quarantine: BTreeMap<i64, QuarantineRow>,
    notes: Vec<String>,
    extras: BTreeMap<i64, ExtraRow>,
    drift: BTreeMap<i64, DriftRow>,
    coverage: Coverage,
}

impl Content {
    pub(crate) fn new(key: SliceKey, fills: &'static [Kind]) -> Self {
        Self {
            key,
            fills,
            read: 0,
            derived: 0,
            duplicates: 0,
            sessions: BTreeMap::new(),
            events: BTreeMap::new(),
            metrics: BTreeMap::new(),
            dimensions: BTreeMap::new(),
            users: BTreeMap::new(),
            campaigns: BTreeMap::new(),
            costs: BTreeMap::new(),
            quarantine: BTreeMap::new(),
            notes: Vec::new(),
            extras: BTreeMap::new(),
            drift: BTreeMap::new(),
            coverage: Coverage::Whole,
        }
    }

    /// Takes a page. A row whose key is already held replaces it and counts as a duplicate: a visit that went on while
    /// its day was being read comes twice, the second time complete.
    ///
    /// Gives the name of a row that belongs to another source or site, or to a table that the stream does not fill.
    pub(crate) fn add(&mut self, page: Page) -> Result<(), &'static str> {
        self.read += page.read;
        self.derived += page.derived;
        self.duplicates += page.duplicates;
        let mut held = 0_u64;
        let mut foreign = None;
        macro_rules! take {
            ($rows:expr, $into:ident, $kind:expr, $name:literal, $key:expr) => {
                for row in $rows {
                    if row.source != self.key.source
                        || row.site != self.key.site
                        || !self.fills.contains(&$kind)
                    {
                        foreign = Some($name);
                        continue;
                    }
                    let key = $key;
                    held += u64::from(self.$into.insert(key(&row), row).is_some());
                }
            };
        }
        take!(page.sessions, sessions, Kind::Sessions, "a session", |x: &Session| x.session_id.clone());
        take!(page.events, events, Kind::Events, "an event", |x: &Event| x.event_id);
        take!(page.metrics, metrics, Kind::Metrics, "a daily metric", |x: &DailyMetric| (
            x.day,
            x.metric.clone()
        ));
        take!(
            page.dimensions,
            dimensions,
            Kind::Dimensions,
            "a metric by dimensions",
            |x: &DimensionMetric| (x.day, x.report.clone(), x.dimension_key, x.metric.clone())
        );
        take!(page.users, users, Kind::Users, "a user", |x: &User| x.user_id.clone());
        take!(page.campaigns, campaigns, Kind::Campaigns, "a campaign", |x: &Campaign| x.campaign_id.clone());
        take!(page.costs, costs, Kind::Costs, "a cost", |x: &Cost| {
            (x.day, x.channel.as_str(), x.campaign_id.clone())
        });
        for rejected in page.rejected {
            let row = self.quarantined(rejected);
            held += u64::from(self.quarantine.insert(row.quarantine_id, row).is_some());
        }
        self.duplicates += held;
        for extra in page.extras {
            let row = self.extra(extra);
            self.extras.insert(row.extra_id, row);
        }
        for drift in page.drift {
            let row = self.drifted(&drift);
            self.drift.insert(row.drift_id, row);
        }
        self.coverage = self.coverage.max(page.coverage);
        for note in page.notes {
            if !self.notes.contains(&note) {
                self.notes.push(note);
            }
        }
        foreign.map_or(Ok(()), Err)
    }

    fn quarantined(&self, rejected: Rejected) -> QuarantineRow {
        let key = &self.key;
        let line = rejected.line.map(|line| i64::try_from(line).unwrap_or(i64::MAX));
        let byte_offset = rejected.byte_offset.map(|offset| i64::try_from(offset).unwrap_or(i64::MAX));
        let place = byte_offset.map_or_else(String::new, |offset| offset.to_string());
        QuarantineRow {
            quarantine_id: id::stable_hash(&[
                "quarantine",
                &key.load_id().to_string(),
                &rejected.place,
                &place,
                &rejected.raw,
                &rejected.reason,
            ]),
            place: rejected.place,
            line,
            byte_offset,
            raw: rejected.raw,
            reason: rejected.reason,
            source: key.source.clone(),
            stream: key.stream.clone(),
            site: key.site.clone(),
            day: key.from,
        }
    }

    fn extra(&self, extra: Extra) -> ExtraRow {
        let key = &self.key;
        let record = clean::storable(&extra.record);
        ExtraRow {
            extra_id: id::stable_hash(&["extra", &key.load_id().to_string(), &record]),
            record,
            fields: Json(clean::json(extra.fields.0)),
            source: key.source.clone(),
            stream: key.stream.clone(),
            site: key.site.clone(),
            day: key.from,
        }
    }

    fn drifted(&self, drift: &Drift) -> DriftRow {
        let key = &self.key;
        let (place, field) = (clean::storable(&drift.place), clean::storable(&drift.field));
        let change = drift.change.as_str().to_owned();
        DriftRow {
            drift_id: id::stable_hash(&["drift", &key.load_id().to_string(), &place, &field, &change]),
            place,
            field,
            change,
            source: key.source.clone(),
            stream: key.stream.clone(),
            site: key.site.clone(),
            day: key.from,
        }
    }

    pub(crate) fn event_ids(&self) -> impl Iterator<Item = i64> + '_ {
        self.events.keys().copied()
    }

    pub(crate) fn session_ids(&self) -> impl Iterator<Item = &str> {
        self.sessions.keys().map(String::as_str)
    }

    /// Leaves rows out that stand in the warehouse already; they count as duplicates.
    pub(crate) fn leave_out<'a>(
        &mut self,
        events: impl Iterator<Item = &'a i64>,
        sessions: impl Iterator<Item = &'a String>,
    ) {
        for id in events {
            self.duplicates += u64::from(self.events.remove(id).is_some());
        }
        for id in sessions {
            self.duplicates += u64::from(self.sessions.remove(id).is_some());
        }
    }

    pub(crate) fn add_note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Rows of the warehouse's tables, without the quarantine.
    pub(crate) fn rows(&self) -> u64 {
        self.rows_by_table().values().sum()
    }

    pub(crate) fn quarantined_rows(&self) -> u64 {
        self.quarantine.len() as u64
    }

    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    pub(crate) fn derived(&self) -> u64 {
        self.derived
    }

    pub(crate) fn duplicates(&self) -> u64 {
        self.duplicates
    }

    pub(crate) fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// What differs in form, in the order of the ids of its rows.
    pub(crate) fn drift(&self) -> impl Iterator<Item = &DriftRow> {
        self.drift.values()
    }

    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether every record read is accounted for.
    pub(crate) fn adds_up(&self) -> bool {
        self.read + self.derived == self.rows() + self.quarantined_rows() + self.duplicates
    }

    /// Rows by table, for every table that the stream fills.
    pub(crate) fn rows_by_table(&self) -> BTreeMap<String, u64> {
        self.fills
            .iter()
            .map(|kind| match kind {
                Kind::Sessions => ("sessions", self.sessions.len()),
                Kind::Events => ("events", self.events.len()),
                Kind::Metrics => ("daily_metrics", self.metrics.len()),
                Kind::Dimensions => ("dimension_metrics", self.dimensions.len()),
                Kind::Users => ("users", self.users.len()),
                Kind::Campaigns => ("campaigns", self.campaigns.len()),
                Kind::Costs => ("costs", self.costs.len()),
            })
            .map(|(table, rows)| (table.to_owned(), rows as u64))
            .collect()
    }

    /// What the rows add up to, under the names that control totals use.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::new();
        // Summed as decimals: whole numbers of a source may be as large as an i64 each.
        let sum = |values: &mut dyn Iterator<Item = i64>| values.map(Decimal::from).sum::<Decimal>();
        for kind in self.fills {
            match kind {
                Kind::Sessions => {
                    totals.set("visits", self.sessions.len() as u64);
                    let converted = self.sessions.values().filter(|x| x.converted).count();
                    totals.set("converted_visits", converted as u64);
                    let seconds = sum(&mut self.sessions.values().filter_map(|x| x.time_on_site));
                    totals.set("seconds_on_site", seconds);
                }
                Kind::Events => totals.set("events", self.events.len() as u64),
                Kind::Metrics => {
                    for metric in self.metrics.values() {
                        if let Some(value) = metric.value {
                            totals.set(metric.metric.clone(), value.0);
                        }
                    }
                }
                Kind::Dimensions => {
                    let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
                    for row in self.dimensions.values().filter(|row| row.kind == MetricKind::Additive) {
                        let Some(value) = row.value else { continue };
                        let sum = sums.entry(format!("{}.{}", row.report, row.metric)).or_default();
                        *sum = sum.saturating_add(value.0);
                    }
                    sums.into_iter().for_each(|(name, sum)| totals.set(name, sum));
                }
                Kind::Users => totals.set("users", self.users.len() as u64),
                Kind::Campaigns => totals.set("campaigns", self.campaigns.len() as u64),
                Kind::Costs => totals.set("cost", self.costs.values().map(|x| x.cost.0).sum::<Decimal>()),
            }
        }
        totals.set("records", self.read);
        totals
    }

    /// Whether the source says that nothing happened: no row but numbers, and every number zero or empty.
    pub(crate) fn is_empty(&self) -> bool {
        self.sessions.is_empty()
            && self.events.is_empty()
            && self.users.is_empty()
            && self.campaigns.is_empty()
            && self.costs.is_empty()
            && self.metrics.values().all(|x| x.value.is_none_or(|value| value.0.is_zero()))
            && self.dimensions.values().all(|x| x.value.is_none_or(|value| value.0.is_zero()))
    }

    /// The hash of what the source said, see [`Finished::fingerprint`].
    #[cfg(feature = "testing")]
    pub(crate) fn fingerprint(&self) -> String {
        self.clone().finish().fingerprint
    }

    /// Turns the rows into columns, giving each row's memory back as it goes: a large slice is not held twice.
    pub(crate) fn finish(self) -> Finished {
        let Self { key, fills, sessions, events, metrics, dimensions, users, campaigns, costs, .. } = self;
        let fills = |kind| fills.contains(&kind);
        let mut rows = Batch::new(key.clone());
        // A table that the stream fills is named, also when it has no rows.
        if fills(Kind::Sessions) {
            rows = rows.replace(sessions.into_values());
        }
        if fills(Kind::Events) {
            rows = rows.replace(events.into_values());
        }
        if fills(Kind::Users) {
            rows = rows.replace(users.into_values());
        }
        if fills(Kind::Campaigns) {
            rows = rows.replace(campaigns.into_values());
        }
        if fills(Kind::Costs) {
            rows = rows.replace(costs.into_values());
        }
        rows = rows
            .replace(self.quarantine.into_values())
            .replace(self.extras.into_values())
            .replace(self.drift.into_values());
        let numbers = Numbers {
            metrics: fills(Kind::Metrics).then(|| metrics.into_values().collect()),
            dimensions: fills(Kind::Dimensions).then(|| dimensions.into_values().collect()),
        };
        let fingerprint = if numbers.is_none() {
            rows.content_hash().to_owned()
        } else {
            let stateless = numbers.clone().put(Batch::new(key), SliceState::Planned);
            hash_of(&[rows.content_hash(), stateless.content_hash()])
        };
        Finished { rows, numbers, fingerprint }
    }
}

/// The numbers of a slice, which carry its state.
#[derive(Debug, Clone)]
struct Numbers {
    metrics: Option<Vec<DailyMetric>>,
    dimensions: Option<Vec<DimensionMetric>>,
}

impl Numbers {
    fn is_none(&self) -> bool {
        self.metrics.is_none() && self.dimensions.is_none()
    }

    /// Puts the numbers into a batch. Those of a suspect day have no value: the zero is not believed.
    fn put(self, mut batch: Batch, state: SliceState) -> Batch {
        let suspect = state == SliceState::SuspectEmpty;
        if let Some(metrics) = self.metrics {
            batch = batch.replace(metrics.into_iter().map(|mut row| {
                row.state = state;
                if suspect {
                    (row.value, row.numerator, row.denominator) = (None, None, None);
                }
                row
            }));
        }
        if let Some(dimensions) = self.dimensions {
            batch = batch.replace(dimensions.into_iter().map(|mut row| {
                row.state = state;
                if suspect {
                    (row.value, row.numerator, row.denominator) = (None, None, None);
                }
                row
            }));
        }
        batch
    }
}

/// A slice as columns, of which only the state is not yet known.
#[derive(Debug)]
pub(crate) struct Finished {
    rows: Batch,
    numbers: Numbers,
    fingerprint: String,
}

impl Finished {
    /// The hash of what the source said, whatever we think of its completeness: the `state` of numbers is left out.
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The batch of the slice.
    pub(crate) fn batch(self, state: SliceState) -> Batch {
        self.numbers.put(self.rows.state(state), state)
    }
}

/// SHA-256, in hex, of hashes.
fn hash_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_of_numbers_of_any_size_do_not_overflow() {
        let raw = |id: &str| Session {
            session_id: id.to_owned(),
            user_id: "u".to_owned(),
            start_time: chrono::DateTime::UNIX_EPOCH,
            end_time: chrono::DateTime::UNIX_EPOCH,
            pages_viewed: 1,
            converted: false,
            channel: mkt_connect::Channel::Direct,
            channel_detail: None,
            campaign_id: None,
            device: None,
            landing_url: None,
            referrer: None,
            time_on_site: Some(i64::MAX),
            bot: None,
            seq: 0,
            source: "memory".to_owned(),
            site: "shop".to_owned(),
            day: NaiveDate::default(),
        };
        let key = SliceKey::day("memory", "traffic", "shop", NaiveDate::default());
        let mut content = Content::new(key, &[Kind::Sessions]);
        content.add(Page { read: 2, sessions: vec![raw("a"), raw("b")], ..Page::default() }).unwrap();
        let twice = Decimal::from(i64::MAX) + Decimal::from(i64::MAX);
        assert_eq!(content.totals().get("seconds_on_site"), Some(twice));
    }
}
