//! Reads a file once to learn which records belong to which day, so that a slice can be read without reading the rest.
//!
//! What is kept for each day is a count, a hash and where in the file its records are; not the records. Memory grows with
//! the days and with nothing else. A file in the order of time is read twice in all: for the index, and slice by slice. In
//! another order a day's extents cover records of other days, which are passed over; where that is much, the records are put
//! together by day first ([`super::regroup`]).

use super::columns::{Column, Columns};
use super::regroup::{Place, Regroup, Regrouped};
use super::repeats::{Ids, Repeat, Repeated};
use super::rows::{self, Formats, Row};
use super::{FileKind, SERVICE, Settings, failed, failed_input};
use chrono::NaiveDate;
use mkt_connect::table::cell::{DateEvidence, DecimalEvidence, DecimalMark, Missing};
use mkt_connect::table::{Decided, Encoding, Found, Layout, Record, Table};
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::{SliceKey, id};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::hash::{DefaultHasher, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// How many sessions with a campaign are remembered while a file is read: the latest. And how many repeated records a
/// file may have.
pub(super) const REMEMBERED: usize = 1_000_000;
/// The most extents of one day.
const MAX_EXTENTS: usize = 1024;
/// Records of a day that lie so near to each other are one extent: reading past some others costs less than a seek.
const GAP: u64 = 1 << 16;
/// Bytes that a file may be read more than once before its records are put together by day.
const SLACK: u64 = 4 << 20;
/// Records that are looked at to find out how dates are written.
const SAMPLE: usize = 1000;
/// Distinct words that are counted.
const WORDS: usize = 100;
/// Reasons that are kept for the answer.
const REASONS: usize = 5;

/// The day that stands for a slice without days.
pub(super) fn whole_day() -> NaiveDate {
    SliceKey::whole(SERVICE, "", "").from
}

/// Records that follow each other in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) offset: u64,
    pub(super) line: u64,
    pub(super) end: u64,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Day {
    pub(super) records: u64,
    hash: Sha256,
    pub(super) extents: Vec<Extent>,
}

/// When a file was what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|cause| failed(path, cause))?;
        Ok(Self { length: metadata.len(), modified: metadata.modified().ok() })
    }
}

/// What one reading of a file found.
#[derive(Debug)]
pub(super) struct Index {
    path: PathBuf,
    pub(super) stamp: Stamp,
    pub(super) layout: Layout,
    pub(super) columns: Columns,
    pub(super) formats: Formats,
    pub(super) found: Found,
    pub(super) days: BTreeMap<NaiveDate, Day>,
    /// Of a file that is not in the order of time.
    pub(super) regrouped: Option<Regrouped>,
    /// By offset.
    pub(super) repeats: HashMap<u64, Repeat>,
    /// Of `events.csv`: the campaign that a session came by, by a hash of the session's id.
    campaigns: Remembered<Arc<str>>,
    /// Of `events.csv`: a hash of the campaigns that were seen on a day.
    tags: BTreeMap<NaiveDate, Sha256>,
    pub(super) records: u64,
    /// Words for channels that are not known, with how many records have them.
    pub(super) unknown_channels: BTreeMap<String, u64>,
    /// Words for events that are read as another name, with how many records have them.
    pub(super) renamed_events: BTreeMap<(String, String), u64>,
    /// The first records that do not fit: line and reason.
    pub(super) reasons: Vec<(u64, String)>,
}

/// The latest entries of a map.
#[derive(Debug)]
struct Remembered<V> {
    held: HashMap<i64, V>,
    order: VecDeque<i64>,
}

impl<V> Remembered<V> {
    fn new() -> Self {
        Self { held: HashMap::new(), order: VecDeque::new() }
    }

    /// Keeps the first value of a key.
    fn put(&mut self, key: i64, value: V) {
        if self.held.contains_key(&key) {
            return;
        }
        if self.order.len() >= REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.held.remove(&oldest);
        }
        self.order.push_back(key);
        self.held.insert(key, value);
    }
}

/// A record that has no day of its own: where it is, and a hash of its bytes.
struct Waiting {
    line: u64,
    offset: u64,
    end: u64,
    raw: Vec<u8>,
}

/// A file, opened: its layout, its columns and how its cells are written.
pub(super) struct Opened {
    pub(super) table: Table<File>,
    pub(super) columns: Columns,
    pub(super) formats: Formats,
}

/// Opens a file and reads its header.
pub(super) fn open(path: &Path, kind: FileKind, settings: &Settings) -> Result<Opened> {
    let reader = File::open(path).map_err(|cause| failed(path, cause))?;
    let table = settings.read.open(reader).map_err(|cause| match is_json(path) {
        true => failed_input(format!(
            "{} is JSON, not delimited text: write its fields into columns (a header, one row for each object)",
            path.display()
        )),
        false => super::unreadable(path, cause),
    })?;
    let columns = Columns::plan(table.header(), kind, settings, path)?;
    let preset = columns.preset;
    let order = settings.date_order.or(preset.and_then(|preset| preset.date_order));
    let epoch = settings.epoch.or(preset.and_then(|preset| preset.epoch));
    let time = settings.time.clone().date_order(order).epoch(epoch);
    let formats = Formats { time, mark: settings.decimal_mark, order, missing: Missing::usual() };
    Ok(Opened { table, columns, formats })
}

/// Whether a file that cannot be read as a table begins as JSON does.
fn is_json(path: &Path) -> bool {
    let mut first = [0_u8; 1];
    let read = File::open(path).and_then(|mut file| std::io::Read::read(&mut file, &mut first));
    read.is_ok() && matches!(first[0], b'{' | b'[')
}

/// The order of day and month that the file proves, where its first records need one.
fn proven_order(
    path: &Path,
    kind: FileKind,
    opened: &Opened,
    settings: &Settings,
) -> Result<Option<Decided<mkt_connect::table::cell::DateOrder>>> {
    if opened.formats.order.is_some() {
        return Ok(None);
    }
    let wanted = match kind {
        FileKind::Sessions => [Column::StartTime, Column::EndTime],
        FileKind::Events => [Column::Timestamp, Column::Timestamp],
        FileKind::Customers => [Column::SignedUpAt, Column::ConsentSince],
        FileKind::Costs => [Column::Day, Column::Day],
    };
    let at: Vec<usize> = wanted.iter().filter_map(|column| opened.columns.at(*column)).collect();
    let reader = File::open(path).map_err(|cause| failed(path, cause))?;
    let mut table = settings.read.open(reader).map_err(|cause| super::unreadable(path, cause))?;
    let mut evidence = DateEvidence::default();
    let (mut seen, mut needed) = (0, false);
    while let Some(row) = table.next().map_err(|cause| super::unreadable(path, cause))? {
        let Ok(record) = row else { continue };
        seen += 1;
        for index in &at {
            let cell = record.cell(*index);
            needed |= matches!(cell.as_bytes(), [_, b'/' | b'-' | b'.', ..] | [_, _, b'/' | b'-' | b'.', ..]);
            evidence.see(cell, record.line());
        }
        if seen >= SAMPLE && !needed {
            return Ok(None);
        }
    }
    Ok(evidence.decide(None))
}

impl Index {
    /// Reads a file.
    ///
    /// # Errors
    /// Of the file; `Input` for one with records and none that fits, or with more than [`REMEMBERED`] repeated ones.
    pub(super) fn build(path: &Path, kind: FileKind, settings: &Settings) -> Result<Self> {
        Self::build_within(path, kind, settings, REMEMBERED)
    }

    #[expect(clippy::too_many_lines, reason = "one pass over the file")]
    fn build_within(path: &Path, kind: FileKind, settings: &Settings, most_repeats: usize) -> Result<Self> {
        let stamp = Stamp::of(path)?;
        let mut opened = open(path, kind, settings)?;
        let order = proven_order(path, kind, &opened, settings)?;
        if let Some(order) = &order {
            opened.formats.order = Some(order.value);
            opened.formats.time = opened.formats.time.clone().date_order(order.value);
        }
        let Opened { mut table, columns, mut formats } = opened;
        let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
        let mut ids = Ids::new();
        let mut campaigns: Remembered<Arc<str>> = Remembered::new();
        let mut names: HashMap<String, Arc<str>> = HashMap::new();
        let mut tags: BTreeMap<NaiveDate, Sha256> = BTreeMap::new();
        let mut marks = DecimalEvidence::default();
        let amounts: Vec<usize> = [Column::Revenue, Column::Cost, Column::UnitPrice]
            .iter()
            .filter_map(|column| columns.at(*column))
            .collect();
        let (mut unknown_channels, mut renamed_events) = (BTreeMap::new(), BTreeMap::new());
        let (mut records, mut reasons) = (0, Vec::new());
        let mut today = None;
        // Records before the first that has a day: they belong to that one's.
        let mut waiting: Vec<Waiting> = Vec::new();
        while let Some(next) = table.next().map_err(|cause| super::unreadable(path, cause))? {
            records += 1;
            let (line, offset, end, raw, row) = match &next {
                Ok(record) => {
                    let row = Row { record: *record, columns: &columns, formats: &formats, settings, seq: 0 };
                    (record.line(), record.offset(), record.end(), record.raw(), Some(row))
                }
                Err(row) => {
                    note(&mut reasons, row.line, &row.reason.to_string());
                    (row.line, row.offset, row.offset + 1, row.raw(), None)
                }
            };
            // A record whose day does not read belongs to the day of the record before it.
            let placed = row.as_ref().map(|row| kind.place(row));
            if let Some(Err(reason)) = &placed {
                note(&mut reasons, line, &reason.to_string());
            }
            let placed = placed.and_then(std::result::Result::ok);
            let Some(day) = placed.or(today) else {
                if waiting.len() >= 10_000 {
                    return Err(nothing_fits(path, "the first 10 000 records", &reasons));
                }
                // Their bytes are only wanted for the hash of the day.
                let digest = id::stable_hash(&[&String::from_utf8_lossy(raw)]);
                waiting.push(Waiting { line, offset, end, raw: digest.to_be_bytes().to_vec() });
                continue;
            };
            today = Some(day);
            let entry = days.entry(day).or_default();
            waiting.drain(..).for_each(|held| entry.add(held.line, held.offset, held.end, &held.raw));
            entry.add(line, offset, end, raw);
            let Some(row) = row.filter(|row| !row.is_further_line()) else { continue };
            for index in &amounts {
                marks.see(mkt_connect::table::cell::split_currency(row.record.cell(*index)).0, line);
            }
            if kind == FileKind::Events {
                if let (Some(session), Some(campaign)) = rows::session_and_campaign(&row) {
                    let tag = tags.entry(day).or_default();
                    tag.update(session.as_bytes());
                    tag.update([0]);
                    tag.update(campaign.as_bytes());
                    tag.update([0]);
                    let campaign = names.entry(campaign).or_insert_with_key(|name| Arc::from(name.as_str()));
                    campaigns.put(session_key(&session), Arc::clone(campaign));
                }
                if let (Some(word), Ok(event)) = (row.get(Column::EventType), row.event_type())
                    && word != event.as_str()
                {
                    count(&mut renamed_events, (shown_word(word), event.as_str().to_owned()));
                }
            }
            if kind != FileKind::Customers
                && let Some(word) = row.unknown_channel()
            {
                count(&mut unknown_channels, shown_word(&word));
            }
            match kind.identity(&row) {
                Ok(identity) => {
                    let content = content_of(&row.record);
                    ids.add(identity, content, offset, day).map_err(|cause| failed(path, cause))?;
                }
                Err(reason) if placed.is_some() => note(&mut reasons, line, &reason.to_string()),
                Err(_) => {}
            }
        }
        if !waiting.is_empty() {
            return Err(nothing_fits(path, &format!("none of {records} records"), &reasons));
        }
        let repeated = ids.finish(most_repeats).map_err(|cause| match cause.kind() {
            std::io::ErrorKind::InvalidData => failed_input(format!(
                "more than {most_repeats} records of {} repeat an earlier one: is it one export?",
                path.display()
            )),
            _ => failed(path, cause),
        })?;
        let mut repeats = HashMap::with_capacity(repeated.len());
        for Repeated { offset, day, repeat } in repeated {
            days.entry(day).or_default().judge(repeat);
            repeats.insert(offset, repeat);
        }
        let mark = marks.decide(settings.decimal_mark);
        formats.mark = mark.as_ref().map(|mark| mark.value);
        let layout = table.layout().clone();
        let mut found = table.found().clone();
        for (index, name) in columns.read() {
            found.read_as(index, name);
        }
        for (index, name) in columns.others() {
            if kind == FileKind::Events {
                found.read_as(*index, format!("property {name}"));
            }
        }
        for index in &amounts {
            if let Some(column) = found.columns.get_mut(*index) {
                column.decimal_mark = mark;
            }
        }
        if let (Some(order), Some(index)) =
            (order, columns.at(Column::Timestamp).or(columns.at(Column::StartTime)))
            && let Some(column) = found.columns.get_mut(index)
        {
            column.date_order = Some(order);
        }
        let mut index = Self {
            path: path.to_owned(),
            stamp,
            layout,
            columns,
            formats,
            found,
            days,
            regrouped: None,
            repeats,
            campaigns,
            tags,
            records,
            unknown_channels,
            renamed_events,
            reasons,
        };
        if index.is_scattered() {
            index.regrouped = Some(index.regroup(kind, settings)?);
        }
        Ok(index)
    }

    /// Whether reading day by day would read much of the file more than once.
    fn is_scattered(&self) -> bool {
        let extents = self.days.values().flat_map(|day| &day.extents);
        let read: u64 = extents.map(|extent| extent.end.saturating_sub(extent.offset)).sum();
        // The text of a record of UTF-16 is not its bytes.
        let is_utf16 = self
            .layout
            .encoding()
            .is_some_and(|encoding| matches!(encoding, Encoding::Utf16Le | Encoding::Utf16Be));
        !is_utf16 && read > self.stamp.length + self.stamp.length / 4 + SLACK
    }

    /// Puts the records together by day, each on the day that the index placed it on.
    fn regroup(&self, kind: FileKind, settings: &Settings) -> Result<Regrouped> {
        let path = &self.path;
        let reader = File::open(path).map_err(|cause| failed(path, cause))?;
        let mut table = settings.read.open(reader).map_err(|cause| super::unreadable(path, cause))?;
        let unwritten = |cause| failed(&std::env::temp_dir(), cause);
        let mut regroup = Regroup::new().map_err(unwritten)?;
        let mut today = None;
        // Records before the first that has a day.
        let mut first: Vec<(Place, Option<Vec<u8>>)> = Vec::new();
        while let Some(next) = table.next().map_err(|cause| super::unreadable(path, cause))? {
            let (place, raw, day) = match &next {
                Ok(record) => {
                    let row = Row {
                        record: *record,
                        columns: &self.columns,
                        formats: &self.formats,
                        settings,
                        seq: 0,
                    };
                    let place = Place { offset: record.offset(), line: record.line() };
                    (place, Some(record.raw()), kind.place(&row).ok())
                }
                Err(row) => (Place { offset: row.offset, line: row.line }, None, None),
            };
            today = day.or(today);
            let Some(day) = today else {
                first.push((place, raw.map(<[u8]>::to_vec)));
                continue;
            };
            for (place, raw) in first.drain(..) {
                regroup.add(day, place, raw.as_deref()).map_err(unwritten)?;
            }
            regroup.add(day, place, raw).map_err(unwritten)?;
        }
        regroup.finish().map_err(unwritten)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The file's name without its folder.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    /// The campaign that a session came by.
    pub(super) fn campaign_of(&self, session: &str) -> Option<String> {
        self.campaigns.held.get(&session_key(session)).map(ToString::to_string)
    }

    /// Changes when the records of a day do.
    pub(super) fn hash_of(&self, day: NaiveDate) -> String {
        hex(self.days.get(&day).map(|day| day.hash.clone()).unwrap_or_default())
    }

    /// Changes when the campaigns that were seen on a day do.
    pub(super) fn tags_of(&self, day: NaiveDate) -> String {
        hex(self.tags.get(&day).cloned().unwrap_or_default())
    }

    /// Changes when the meaning of the cells does.
    pub(super) fn meaning(&self) -> String {
        let mark: Option<DecimalMark> = self.formats.mark;
        format!("{} {mark:?} {:?} {:?}", self.columns.signature(), self.formats.order, self.formats.time)
    }
}

fn note(reasons: &mut Vec<(u64, String)>, line: u64, reason: &str) {
    if reasons.len() < REASONS {
        reasons.push((line, crate::clean::without_addresses(reason).into_owned()));
    }
}

fn count<K: Ord>(words: &mut BTreeMap<K, u64>, word: K) {
    if words.len() < WORDS || words.contains_key(&word) {
        *words.entry(word).or_default() += 1;
    }
}

/// A word of a file as an answer may show it.
fn shown_word(word: &str) -> String {
    crate::clean::raw_text(word.as_bytes(), 60)
}

fn nothing_fits(path: &Path, what: &str, reasons: &[(u64, String)]) -> Error {
    let first: Vec<String> =
        reasons.iter().take(3).map(|(line, reason)| format!("line {line}: {reason}")).collect();
    Error::new(ErrorKind::Input, SERVICE, "read a file").with_detail(format!(
        "{what} of {} can be placed on a day; {}; map other columns (theirs=ours) or declare the time format",
        path.display(),
        first.join("; ")
    ))
}

fn content_of(record: &Record<'_>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(record.raw());
    hasher.finish()
}

fn session_key(session: &str) -> i64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(session.as_bytes());
    hasher.finish().cast_signed()
}

pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Day {
    /// A verdict depends on records of other days: it is hashed after the records.
    fn judge(&mut self, repeat: Repeat) {
        // No record is so long: a verdict is never taken for a length.
        let mark = match repeat {
            Repeat::Same => u64::MAX,
            Repeat::Other => u64::MAX - 1,
        };
        self.hash.update(mark.to_be_bytes());
    }

    fn add(&mut self, line: u64, offset: u64, end: u64, raw: &[u8]) {
        self.records += 1;
        self.hash.update((raw.len() as u64).to_be_bytes());
        self.hash.update(raw);
        let full = self.extents.len() >= MAX_EXTENTS;
        match self.extents.last_mut() {
            Some(last) if full || offset.saturating_sub(last.end) <= GAP => last.end = end.max(last.end),
            _ => self.extents.push(Extent { offset, line, end }),
        }
    }
}
