//! What is loaded at once, and under which key.

use crate::id;
use crate::model::SliceState;
use crate::schema::Record;
use crate::schema::TableSchema;
use crate::table::{Column, Table};
use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// The key of a batch: loading it again replaces what it loaded before, and nothing else.
///
/// The window is half-open in days of the site's zone: `from` ≤ day < `until`. The unit of most pipelines is one day;
/// a table without days (customers of a CRM) is one window.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SliceKey {
    /// The source: `matomo`, `csv`, ….
    pub source: String,
    /// The stream of that source: `visits`, `daily`, `costs`, ….
    pub stream: String,
    /// The site.
    pub site: String,
    /// First day.
    pub from: NaiveDate,
    /// Day after the last.
    pub until: NaiveDate,
}

impl SliceKey {
    /// The slice of one day.
    #[must_use]
    pub fn day(
        source: impl Into<String>,
        stream: impl Into<String>,
        site: impl Into<String>,
        day: NaiveDate,
    ) -> Self {
        let until = day.succ_opt().unwrap_or(NaiveDate::MAX);
        Self { source: source.into(), stream: stream.into(), site: site.into(), from: day, until }
    }

    /// The slice of everything a stream holds.
    #[must_use]
    pub fn whole(source: impl Into<String>, stream: impl Into<String>, site: impl Into<String>) -> Self {
        Self {
            source: source.into(),
            stream: stream.into(),
            site: site.into(),
            from: NaiveDate::MIN.max(NaiveDate::default()),
            until: NaiveDate::from_ymd_opt(9999, 12, 31).unwrap_or(NaiveDate::MAX),
        }
    }

    /// The id that rows of this slice carry.
    #[must_use]
    pub fn load_id(&self) -> i64 {
        id::load_id(self)
    }
}

impl fmt::Display for SliceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{} {}", self.source, self.stream, self.site, self.from)?;
        if self.from.succ_opt() == Some(self.until) { Ok(()) } else { write!(f, "..{}", self.until) }
    }
}

/// Rows of one table in a batch.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Where they go.
    pub schema: TableSchema,
    /// The rows, in the schema's columns.
    pub table: Table,
}

/// A batch: the new content of a slice, and what must be committed with it.
///
/// ```
/// use mkt_warehouse::{Batch, SliceKey, model::Site};
/// let key = SliceKey::whole("csv", "sites", "shop");
/// let batch = Batch::new(key).upsert([Site::new("shop", "Europe/Paris", "csv")]);
/// assert_eq!(batch.rows(), 1);
/// ```
#[derive(Debug, Clone)]
pub struct Batch {
    key: SliceKey,
    state: SliceState,
    replaced: Vec<Rows>,
    upserted: Vec<Rows>,
}

impl Batch {
    /// An empty batch: loading it empties the slice.
    #[must_use]
    pub fn new(key: SliceKey) -> Self {
        Self { key, state: SliceState::Settled, replaced: Vec::new(), upserted: Vec::new() }
    }

    /// How far the slice can be trusted; settled unless told. It stands in the ledger and is no part of
    /// [`content_hash`](Self::content_hash): the same content in another state changes the ledger row's state and
    /// nothing else.
    #[must_use]
    pub fn state(mut self, state: SliceState) -> Self {
        self.state = state;
        self
    }

    /// Adds rows that are the slice's whole content in their table. They carry the slice's `load_id`.
    ///
    /// Call it with no rows to say that the slice has none there.
    #[must_use]
    pub fn replace<R: Record>(mut self, rows: impl IntoIterator<Item = R>) -> Self {
        let load_id = self.key.load_id();
        push(&mut self.replaced, load_id, rows);
        self
    }

    /// Adds rows that are written over rows of the same primary key and are not removed with the slice: ledgers,
    /// sites, zone offsets. They do not count in [`content_hash`](Self::content_hash).
    #[must_use]
    pub fn upsert<R: Record>(mut self, rows: impl IntoIterator<Item = R>) -> Self {
        let load_id = self.key.load_id();
        push(&mut self.upserted, load_id, rows);
        self
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &SliceKey {
        &self.key
    }

    /// The state that [`state`](Self::state) gave it.
    #[must_use]
    pub fn slice_state(&self) -> SliceState {
        self.state
    }

    /// The slice's new content, by table.
    #[must_use]
    pub fn replaced(&self) -> &[Rows] {
        &self.replaced
    }

    /// What is written beside it, by table.
    #[must_use]
    pub fn upserted(&self) -> &[Rows] {
        &self.upserted
    }

    /// The number of rows of both kinds.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.replaced.iter().chain(&self.upserted).map(|rows| rows.table.rows()).sum()
    }

    /// SHA-256, in hex, of the slice's content: the same for the same rows in the same order, whatever the engine.
    ///
    /// An engine that finds this hash in its ledger for this key writes none of the replaced rows.
    #[must_use]
    pub fn content_hash(&self) -> String {
        let mut hash = Sha256::new();
        for rows in &self.replaced {
            hash.update(rows.schema.name.as_bytes());
            hash.update((rows.table.rows() as u64).to_be_bytes());
            for (name, column) in rows.table.names().iter().zip(rows.table.columns()) {
                hash.update(name.as_bytes());
                hash_column(&mut hash, column);
            }
        }
        hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn push<R: Record>(into: &mut Vec<Rows>, load_id: i64, rows: impl IntoIterator<Item = R>) {
    let index = match into.iter().position(|held| held.schema.name == R::SCHEMA.name) {
        Some(index) => index,
        None => {
            into.push(Rows { schema: R::SCHEMA, table: R::SCHEMA.empty() });
            into.len() - 1
        }
    };
    for row in rows {
        row.append(&mut into[index].table, load_id);
    }
}

fn hash_column(hash: &mut Sha256, column: &Column) {
    // Each value: 0 for null, or 1, its length, its bytes. Lengths keep neighbours apart.
    fn put(hash: &mut Sha256, bytes: Option<&[u8]>) {
        match bytes {
            None => hash.update([0]),
            Some(bytes) => {
                hash.update([1]);
                hash.update((bytes.len() as u64).to_be_bytes());
                hash.update(bytes);
            }
        }
    }
    match column {
        Column::Text(values) | Column::Json(values) => {
            values.iter().for_each(|v| put(hash, v.as_deref().map(str::as_bytes)));
        }
        Column::Int(values) => {
            values.iter().for_each(|v| put(hash, v.map(i64::to_be_bytes).as_ref().map(|b| &b[..])));
        }
        Column::Float(values) => {
            values
                .iter()
                .for_each(|v| put(hash, v.map(|x| x.to_bits().to_be_bytes()).as_ref().map(|b| &b[..])));
        }
        Column::Bool(values) => {
            values.iter().for_each(|v| put(hash, v.map(|x| [u8::from(x)]).as_ref().map(|b| &b[..])));
        }
        Column::Timestamp(values) => values
            .iter()
            .for_each(|v| put(hash, v.map(|x| x.timestamp_micros().to_be_bytes()).as_ref().map(|b| &b[..]))),
        Column::Date(values) => {
            values.iter().for_each(|v| put(hash, v.map(|x| x.to_string()).as_ref().map(String::as_bytes)));
        }
        Column::Decimal(_, values) => values
            .iter()
            .for_each(|v| put(hash, v.map(|x| x.normalize().to_string()).as_ref().map(String::as_bytes))),
    }
}
