//! Reads a file once to learn which records belong to which day, so that a slice can be read without reading the rest.
//!
//! What is kept for each day is a count, a hash and where in the file its records are; not the records. Memory grows
//! with the days, with [`REMEMBERED`] and with nothing else. A file in the order of time is read twice in all: for the
//! index, and slice by slice. In another order a day's extents cover records of other days, which are passed over; at
//! worst every day reads the whole file.

use super::Settings;
use super::records::Raw;
use super::rows;
use super::sheet::{Row, SERVICE, Sheet, failed};
use chrono::NaiveDate;
use mkt_connect::{Channel, Error, ErrorKind, Result};
use mkt_warehouse::model::{Campaign, Cost, Event, Session, User};
use mkt_warehouse::{SliceKey, id};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::SystemTime;

/// How many ids, and how many sessions with a campaign, are remembered while a file is read: the latest. A repeated id
/// is found if no more than so many records lie between the two. A file with more repeated records than this is refused.
/// About 100 MB at most.
pub(super) const REMEMBERED: usize = 1_000_000;
/// The most extents of one day.
const MAX_EXTENTS: usize = 1024;
/// Records of a day that lie so near to each other are one extent: reading past some others costs less than a seek.
const GAP: u64 = 1 << 16;

/// One of the four files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum FileKind {
    Sessions,
    Events,
    Customers,
    Costs,
}

impl FileKind {
    pub(super) const ALL: [Self; 4] = [Self::Sessions, Self::Events, Self::Customers, Self::Costs];

    pub(super) fn stream(self) -> &'static str {
        match self {
            Self::Sessions => super::SESSIONS,
            Self::Events => super::EVENTS,
            Self::Customers => super::CUSTOMERS,
            Self::Costs => super::COSTS,
        }
    }

    /// The columns that must be there.
    pub(super) fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Sessions => rows::SESSIONS,
            Self::Events => rows::EVENTS,
            Self::Customers => rows::CUSTOMERS,
            Self::Costs => rows::COSTS,
        }
    }

    /// The columns of which something is made.
    pub(super) fn uses(self) -> Vec<&'static str> {
        match self {
            Self::Sessions => [rows::SESSIONS, &["device", "landing_url", "referrer"]].concat(),
            Self::Events => [rows::EVENTS, rows::EVENTS_MAY].concat(),
            Self::Costs => self.needs().to_vec(),
            Self::Customers => rows::CUSTOMERS_MAY.to_vec(),
        }
    }

    /// The day whose slice a row belongs to; one for all where the stream has no days.
    pub(super) fn place(self, row: &Row<'_>, settings: &Settings) -> Result<NaiveDate, String> {
        match self {
            Self::Sessions => rows::day_of(row, "start_time", settings),
            Self::Events => rows::day_of(row, "timestamp", settings),
            Self::Customers | Self::Costs => Ok(whole_day()),
        }
    }
}

/// The day that stands for a slice without days.
pub(super) fn whole_day() -> NaiveDate {
    SliceKey::whole(SERVICE, "", "").from
}

/// A row of any of the files.
#[derive(Debug)]
pub(super) enum Mapped {
    Session(Session),
    Event(Event),
    User(User),
    Cost(Cost, [String; 3]),
}

impl Mapped {
    /// Maps a row, with the campaign of its session.
    pub(super) fn of(
        kind: FileKind,
        row: &Row<'_>,
        settings: &Settings,
        comma: bool,
        campaign: Option<String>,
    ) -> Result<Self, String> {
        Ok(match kind {
            FileKind::Sessions => Self::Session(rows::session(row, settings, campaign)?),
            FileKind::Events => Self::Event(rows::event(row, settings, comma, campaign)?),
            FileKind::Customers => Self::User(rows::user(row, settings, whole_day())?),
            FileKind::Costs => {
                let (cost, names) = rows::cost(row, settings, comma)?;
                Self::Cost(cost, names)
            }
        })
    }

    /// A hash of what identifies it in its table.
    fn identity(&self) -> i64 {
        match self {
            Self::Session(session) => id::stable_hash(&[&session.session_id]),
            Self::Event(event) => event.event_id,
            Self::User(user) => id::stable_hash(&[&user.user_id]),
            Self::Cost(cost, _) => {
                id::stable_hash(&[&cost.day.to_string(), cost.channel.as_str(), &cost.campaign_id])
            }
        }
    }
}

/// A campaign as costs know it, to be declared.
pub(super) fn campaign(cost: &Cost, names: &[String; 3], channel: Channel, settings: &Settings) -> Campaign {
    let [tag_source, tag_medium, name] = names.clone();
    Campaign {
        campaign_id: cost.campaign_id.clone(),
        tag_source,
        tag_medium,
        name,
        channel,
        declared_by: "auto".to_owned(),
        first_seen: crate::zone::day_start(cost.day, settings.zone),
        vendor_ref: None,
        source: SERVICE.to_owned(),
        site: settings.site.clone(),
        day: cost.day,
    }
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

/// What a later record with the id of an earlier one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// The same record again.
    Same,
    /// Another record.
    Other,
}

/// When a file was what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    pub(super) fn of(path: &std::path::Path) -> Result<Self> {
        let metadata = std::fs::metadata(path).map_err(|cause| failed(path, cause))?;
        Ok(Self { length: metadata.len(), modified: metadata.modified().ok() })
    }
}

/// What one reading of a file found.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) sheet: Sheet,
    pub(super) stamp: Stamp,
    pub(super) days: BTreeMap<NaiveDate, Day>,
    /// By offset.
    pub(super) repeats: HashMap<u64, Repeat>,
    /// Of `events.csv`: the campaign that a session came by, by a hash of the session's id.
    campaigns: Remembered<Arc<str>>,
    /// Of `events.csv`: a hash of the campaigns that were seen on a day.
    tags: BTreeMap<NaiveDate, Sha256>,
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

impl Index {
    /// Reads a file.
    ///
    /// # Errors
    /// Of the file; `Input` for one without a record that fits, or with more than [`REMEMBERED`] repeated ones.
    pub(super) fn build(sheet: Sheet, kind: FileKind, settings: &Settings) -> Result<Self> {
        Self::build_within(sheet, kind, settings, REMEMBERED)
    }

    fn build_within(sheet: Sheet, kind: FileKind, settings: &Settings, most_repeats: usize) -> Result<Self> {
        let path = sheet.path().to_owned();
        let stamp = Stamp::of(&path)?;
        let comma = sheet.delimiter() != b',';
        let mut days: BTreeMap<NaiveDate, Day> = BTreeMap::new();
        let mut repeats = HashMap::new();
        let mut seen: Remembered<i64> = Remembered::new();
        let mut campaigns: Remembered<Arc<str>> = Remembered::new();
        let mut names: HashMap<String, Arc<str>> = HashMap::new();
        let mut tags: BTreeMap<NaiveDate, Sha256> = BTreeMap::new();
        let mut records = sheet.records()?;
        let mut fields = sheet.fields();
        let mut today = None;
        // Records before the first that has a day: they belong to that one's.
        let mut waiting: Vec<Raw> = Vec::new();
        while let Some(raw) = records.next().map_err(|cause| failed(&path, cause))? {
            let row = sheet.row(&raw, &mut fields);
            // A record whose day does not read belongs to the day of the record before it.
            let placed = row.as_ref().ok().and_then(|row| kind.place(row, settings).ok());
            let Some(day) = placed.or(today) else {
                if waiting.len() >= 10_000 {
                    return Err(Error::new(ErrorKind::Input, SERVICE, "read a file").with_detail(format!(
                        "the first 10 000 records of {} do not fit: are these the right columns?",
                        path.display()
                    )));
                }
                // Their bytes are only wanted for the hash of the day.
                let digest = id::stable_hash(&[&String::from_utf8_lossy(&raw.bytes)]);
                waiting.push(Raw { bytes: digest.to_be_bytes().to_vec(), ..raw });
                continue;
            };
            today = Some(day);
            let entry = days.entry(day).or_default();
            waiting.drain(..).for_each(|raw| entry.add(&raw));
            entry.add(&raw);
            let Ok(row) = row else { continue };
            if kind == FileKind::Events
                && let (Some(session), Some(campaign)) = rows::session_and_campaign(&row)
            {
                let tag = tags.entry(day).or_default();
                tag.update(session.as_bytes());
                tag.update([0]);
                tag.update(campaign.as_bytes());
                tag.update([0]);
                let campaign = names.entry(campaign).or_insert_with_key(|name| Arc::from(name.as_str()));
                campaigns.put(session_key(&session), Arc::clone(campaign));
            }
            let Ok(mapped) = Mapped::of(kind, &row, settings, comma, None) else { continue };
            let cells: Vec<&str> = row.cells().iter().map(String::as_str).collect();
            let (identity, content) = (mapped.identity(), id::stable_hash(&cells));
            let repeat = match seen.held.get(&identity) {
                Some(earlier) if *earlier == content => Repeat::Same,
                Some(_) => Repeat::Other,
                None => {
                    seen.put(identity, content);
                    continue;
                }
            };
            if repeats.len() >= most_repeats {
                return Err(Error::new(ErrorKind::Input, SERVICE, "read a file").with_detail(format!(
                    "more than {most_repeats} records of {} repeat an earlier one: is it one export?",
                    path.display()
                )));
            }
            repeats.insert(raw.offset, repeat);
            days.entry(day).or_default().judge(repeat);
        }
        if !waiting.is_empty() {
            // Nothing in the file has a day. Said once, when the file is first read.
            return Err(Error::new(ErrorKind::Input, SERVICE, "read a file")
                .with_detail(format!("no record of {} fits: are these the right columns?", path.display())));
        }
        Ok(Self { sheet, stamp, days, repeats, campaigns, tags })
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
}

fn session_key(session: &str) -> i64 {
    id::stable_hash(&["session", session])
}

pub(super) fn hex(hash: Sha256) -> String {
    hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Day {
    /// A verdict depends on records of other days: it is hashed beside the record.
    fn judge(&mut self, repeat: Repeat) {
        // No record is so long: a verdict is never taken for a length.
        let mark = match repeat {
            Repeat::Same => u64::MAX,
            Repeat::Other => u64::MAX - 1,
        };
        self.hash.update(mark.to_be_bytes());
    }

    fn add(&mut self, raw: &Raw) {
        self.records += 1;
        self.hash.update((raw.bytes.len() as u64).to_be_bytes());
        self.hash.update(&raw.bytes);
        let full = self.extents.len() >= MAX_EXTENTS;
        match self.extents.last_mut() {
            Some(last) if full || raw.offset - last.end <= GAP => last.end = raw.end,
            _ => self.extents.push(Extent { offset: raw.offset, line: raw.line, end: raw.end }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::sheet::Encoding;
    use super::*;
    use mkt_connect::Currency;

    #[test]
    fn a_file_of_repeats_is_refused_at_the_bound_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("customers.csv");
        let settings = Settings {
            site: "shop".to_owned(),
            zone: chrono_tz::UTC,
            times_in: chrono_tz::UTC,
            currency: Currency::EUR,
            key: None,
        };
        for (repeats, fits) in [(2, true), (3, false)] {
            std::fs::write(&path, format!("user_id\nu1\n{}", "u1\n".repeat(repeats))).unwrap();
            let sheet = Sheet::open(&path, Encoding::Detect, &HashMap::new(), rows::CUSTOMERS).unwrap();
            match Index::build_within(sheet, FileKind::Customers, &settings, 2) {
                Ok(index) => assert!(fits && index.repeats.len() == 2),
                Err(error) => {
                    assert!(!fits && error.kind() == ErrorKind::Input, "{error}");
                    assert!(error.to_string().contains("more than 2 records"), "{error}");
                }
            }
        }
    }
}
