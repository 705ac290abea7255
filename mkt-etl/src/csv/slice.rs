//! Reads the slice of a day: its records as rows, duplicates and records that are set aside.

use super::columns::Column;
use super::index::{Index, whole_day};
use super::repeats::Repeat;
use super::rows::{self, Row};
use super::{FileKind, Inner, SERVICE, Settings, failed, unreadable};
use crate::source::{Change, Drift, Extra, Page, Rejected};
use chrono::NaiveDate;
use mkt_connect::table::{Quarantined, Reason, Record};
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::model::{Campaign, Cost, Json};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, SeekFrom};
use tokio::sync::mpsc;

/// Records in a page.
const PAGE: u64 = 1000;
impl Inner {
    /// Reads a slice and hands out its pages until nobody takes them. Blocks.
    pub(super) fn pages(
        &self,
        kind: FileKind,
        day: NaiveDate,
        out: &mpsc::Sender<Result<Page>>,
    ) -> Result<()> {
        let index = self.needed_index(kind)?;
        let campaigns = match kind {
            FileKind::Sessions | FileKind::Events => self.index(FileKind::Events)?,
            _ => None,
        };
        let Some(found) = index.days.get(&day) else { return Ok(()) };
        let mut reading = Reading {
            inner: self,
            kind,
            index: &index,
            campaigns: campaigns.as_deref(),
            declared: BTreeMap::new(),
            page: Page::default(),
            seq: 0,
        };
        reading.name_unknown();
        let mut read = 0;
        for extent in &found.extents {
            let path = index.path();
            let mut file = File::open(path).map_err(|cause| failed(path, cause))?;
            file.seek(SeekFrom::Start(extent.offset)).map_err(|cause| failed(path, cause))?;
            let resumed = index.layout.resume(file, extent.line, extent.offset);
            let mut table = resumed.map_err(|cause| unreadable(path, cause))?;
            let mut today = day;
            while let Some(next) = table.next().map_err(|cause| unreadable(path, cause))? {
                let offset = match &next {
                    Ok(record) => record.offset(),
                    Err(row) => row.offset,
                };
                if offset >= extent.end {
                    break;
                }
                if !reading.add(&next, day, &mut today) {
                    continue;
                }
                read += 1;
                if reading.page.read >= PAGE
                    && out.blocking_send(Ok(std::mem::take(&mut reading.page))).is_err()
                {
                    // Nobody reads any more.
                    return Ok(());
                }
            }
        }
        if read != found.records {
            return Err(Error::new(ErrorKind::Unavailable, SERVICE, "read a slice")
                .with_detail(format!("{} changed while it was being read", index.path().display())));
        }
        let mut last = reading.page;
        last.derived = reading.declared.len() as u64;
        last.campaigns = reading.declared.into_values().collect();
        // A receiver that is gone has no use for it.
        let _ = out.blocking_send(Ok(last));
        Ok(())
    }
}

/// A slice that is being read.
struct Reading<'a> {
    inner: &'a Inner,
    kind: FileKind,
    index: &'a Index,
    campaigns: Option<&'a Index>,
    declared: BTreeMap<String, Campaign>,
    page: Page,
    /// Records of the slice so far.
    seq: i64,
}

impl Reading<'_> {
    /// Names the columns that the model does not know. Of events they become properties, so that nothing differs.
    fn name_unknown(&mut self) {
        if self.kind == FileKind::Events {
            return;
        }
        let place = self.index.name();
        let others = self.index.columns.others().iter();
        self.page
            .drift
            .extend(others.map(|(_, column)| Drift::new(place.clone(), column.clone(), Change::New)));
    }

    /// Keeps the cells that the model does not know, beside the row that they came with. Not of customers: a column that
    /// nobody knows there may be a telephone number.
    fn keep_unknown(&mut self, row: &Row<'_>, record: impl FnOnce() -> String) {
        let fields: serde_json::Map<String, Value> =
            row.others().map(|(column, cell)| (column.to_owned(), Value::from(cell))).collect();
        if !fields.is_empty() {
            self.page.extras.push(Extra::new(record(), Json(Value::Object(fields))));
        }
    }

    /// Adds a record; false if it belongs to another day.
    fn add(
        &mut self,
        next: &std::result::Result<Record<'_>, Quarantined>,
        day: NaiveDate,
        today: &mut NaiveDate,
    ) -> bool {
        let index = self.index;
        let row = next.as_ref().ok().map(|record| Row {
            record: *record,
            columns: &index.columns,
            formats: &index.formats,
            settings: &self.inner.settings,
            // The order within the slice: other days of the file do not change it.
            seq: self.seq + 1,
        });
        // As the index placed it: by its own day, else by that of the record before.
        *today = row.as_ref().and_then(|row| self.kind.place(row).ok()).unwrap_or(*today);
        if *today != day {
            return false;
        }
        self.page.read += 1;
        self.seq += 1;
        if row.as_ref().is_some_and(Row::is_further_line) {
            self.page.duplicates += 1;
            return true;
        }
        let set_aside = match (next, row) {
            (Ok(record), Some(row)) => match index.repeats.get(&record.offset()) {
                Some(Repeat::Same) => {
                    self.page.duplicates += 1;
                    return true;
                }
                Some(Repeat::Other) => Some(record.quarantine(Reason::rule(
                    "id_taken",
                    "its id belongs to an earlier record, which differs",
                ))),
                None => self.map(&row).err().map(|reason| record.quarantine(reason)),
            },
            (Err(row), _) => Some(row.clone()),
            (Ok(_), None) => None,
        };
        if let Some(row) = set_aside {
            let rejected = Rejected::new(index.name(), row.raw(), row.reason.to_string());
            self.page.rejected.push(rejected.at(row.line, row.offset));
        }
        true
    }

    /// Makes a row of the warehouse.
    fn map(&mut self, row: &Row<'_>) -> std::result::Result<(), Reason> {
        let campaign =
            |session: Option<&str>| self.campaigns.zip(session).and_then(|(index, id)| index.campaign_of(id));
        match self.kind {
            FileKind::Sessions => {
                let session = rows::session(row, campaign(row.get(Column::SessionId)))?;
                self.keep_unknown(row, || session.session_id.clone());
                self.page.sessions.push(session);
            }
            FileKind::Events => {
                let session = self.campaigns.and_then(|_| rows::session_and_campaign(row).0);
                let event = rows::event(row, campaign(session.as_deref()))?;
                self.page.events.push(event);
            }
            FileKind::Customers => self.page.users.push(rows::user(row, whole_day())?),
            FileKind::Costs => {
                let (cost, names) = rows::cost(row)?;
                self.keep_unknown(row, || format!("{} {} {}", cost.day, cost.channel, cost.campaign_id));
                let campaign = declared(&cost, &names, &self.inner.settings);
                self.declared
                    .entry(cost.campaign_id.clone())
                    .and_modify(|held| {
                        if campaign.first_seen < held.first_seen {
                            *held = campaign.clone();
                        }
                    })
                    .or_insert(campaign);
                self.page.costs.push(cost);
            }
        }
        Ok(())
    }
}

/// A campaign as costs know it, to be declared.
fn declared(cost: &Cost, names: &[String; 3], settings: &Settings) -> Campaign {
    let [tag_source, tag_medium, name] = names.clone();
    Campaign {
        campaign_id: cost.campaign_id.clone(),
        tag_source,
        tag_medium,
        name,
        channel: cost.channel,
        declared_by: "auto".to_owned(),
        first_seen: crate::zone::day_start(cost.day, settings.zone),
        vendor_ref: None,
        source: SERVICE.to_owned(),
        site: settings.site.clone(),
        day: cost.day,
    }
}
