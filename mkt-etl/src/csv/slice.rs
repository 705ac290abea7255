//! Reads the slice of a day: its records as rows, duplicates and records that are set aside.

use super::columns::Column;
use super::index::{Extent, Index, whole_day};
use super::regroup::{Held, Place, Regrouped};
use super::repeats::Repeat;
use super::rows::{self, Row};
use super::{FileKind, Inner, SERVICE, Settings, failed, unreadable};
use crate::source::{Change, Drift, Extra, Page, Rejected};
use chrono::NaiveDate;
use mkt_connect::table::{Quarantined, Reason, Record, Table};
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::model::{Campaign, Cost, Json};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Cursor, Seek, SeekFrom};
use tokio::sync::mpsc;

/// Records in a page.
const PAGE: u64 = 1000;

/// Where a record stands in its file.
fn place_of(next: &std::result::Result<Record<'_>, Quarantined>) -> Place {
    match next {
        Ok(record) => Place { offset: record.offset(), line: record.line() },
        Err(row) => Place { offset: row.offset, line: row.line },
    }
}

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
        let read = match &index.regrouped {
            Some(regrouped) => reading.of_day(regrouped, day, out)?,
            None => reading.within(&found.extents, day, out)?,
        };
        let Some(read) = read else { return Ok(()) };
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

impl<'a> Reading<'a> {
    /// Reads the records of a day between those of others; gives how many there are, or nothing where nobody takes them any
    /// more.
    fn within(
        &mut self,
        extents: &[Extent],
        day: NaiveDate,
        out: &mpsc::Sender<Result<Page>>,
    ) -> Result<Option<u64>> {
        let path = self.index.path();
        let mut read = 0;
        for extent in extents {
            let mut table = self.resumed(extent.line, extent.offset)?;
            let mut today = day;
            while let Some(next) = table.next().map_err(|cause| unreadable(path, cause))? {
                let place = place_of(&next);
                if place.offset >= extent.end {
                    break;
                }
                let row = self.row(&next);
                // As the index placed it: by its own day, else by that of the record before.
                today = row.as_ref().and_then(|row| self.kind.place(row).ok()).unwrap_or(today);
                if today != day {
                    continue;
                }
                self.add(&next, row, place);
                read += 1;
                if !self.hand_out(out) {
                    return Ok(None);
                }
            }
        }
        Ok(Some(read))
    }

    /// As [`within`](Self::within), where the records of each day lie together.
    fn of_day(
        &mut self,
        regrouped: &Regrouped,
        day: NaiveDate,
        out: &mpsc::Sender<Result<Page>>,
    ) -> Result<Option<u64>> {
        let path = self.index.path();
        let mut read = 0;
        for chunk in regrouped.of(day) {
            let (places, raw) =
                regrouped.read(*chunk).map_err(|cause| failed(&std::env::temp_dir(), cause))?;
            let resumed = self.index.layout.resume(Cursor::new(raw), 1, 0);
            let mut table = resumed.map_err(|cause| unreadable(path, cause))?;
            for Held { place, broken } in places {
                let added = if broken {
                    let mut there = self.resumed(place.line, place.offset)?;
                    let next = there.next().map_err(|cause| unreadable(path, cause))?;
                    next.map(|next| self.add(&next, self.row(&next), place))
                } else {
                    let next = table.next().map_err(|cause| unreadable(path, cause))?;
                    next.map(|next| self.add(&next, self.row(&next), place))
                };
                // Fewer than there were: what was read is compared with what the index counted.
                let Some(()) = added else { break };
                read += 1;
                if !self.hand_out(out) {
                    return Ok(None);
                }
            }
        }
        Ok(Some(read))
    }

    /// The file from a record on.
    fn resumed(&self, line: u64, offset: u64) -> Result<Table<File>> {
        let path = self.index.path();
        let mut file = File::open(path).map_err(|cause| failed(path, cause))?;
        file.seek(SeekFrom::Start(offset)).map_err(|cause| failed(path, cause))?;
        self.index.layout.resume(file, line, offset).map_err(|cause| unreadable(path, cause))
    }

    /// Hands a full page out; false where nobody takes it.
    fn hand_out(&mut self, out: &mpsc::Sender<Result<Page>>) -> bool {
        self.page.read < PAGE || out.blocking_send(Ok(std::mem::take(&mut self.page))).is_ok()
    }

    /// A record with its columns.
    fn row<'r>(&self, next: &std::result::Result<Record<'r>, Quarantined>) -> Option<Row<'r>>
    where
        'a: 'r,
    {
        next.as_ref().ok().map(|record| Row {
            record: *record,
            columns: &self.index.columns,
            formats: &self.index.formats,
            settings: &self.inner.settings,
            // The order within the slice: other days of the file do not change it.
            seq: self.seq + 1,
        })
    }

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

    /// Adds a record that stands at a place of the file.
    fn add(
        &mut self,
        next: &std::result::Result<Record<'_>, Quarantined>,
        row: Option<Row<'_>>,
        place: Place,
    ) {
        let index = self.index;
        self.page.read += 1;
        self.seq += 1;
        if row.as_ref().is_some_and(Row::is_further_line) {
            self.page.duplicates += 1;
            return;
        }
        let set_aside = match (next, row) {
            (Ok(record), Some(row)) => match index.repeats.get(&place.offset) {
                Some(Repeat::Same) => {
                    self.page.duplicates += 1;
                    return;
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
            self.page.rejected.push(rejected.at(place.line, place.offset));
        }
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
                self.page.events.push(rows::event(row, campaign)?);
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
