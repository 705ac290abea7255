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
use std::io::Write;
use std::sync::{Arc, OnceLock};

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
pub struct TableRows {
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
    // Shared, so that a clone goes to another thread without its rows being copied.
    replaced: Vec<Arc<TableRows>>,
    upserted: Vec<Arc<TableRows>>,
    hash: OnceLock<String>,
}

impl Batch {
    /// An empty batch: loading it empties the slice.
    #[must_use]
    pub fn new(key: SliceKey) -> Self {
        Self {
            key,
            state: SliceState::Settled,
            replaced: Vec::new(),
            upserted: Vec::new(),
            hash: OnceLock::new(),
        }
    }

    /// How far the slice can be trusted; default settled. It stands in the ledger and is no part of
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
        self.hash = OnceLock::new();
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
    pub fn replaced(&self) -> &[Arc<TableRows>] {
        &self.replaced
    }

    /// What is written beside it, by table.
    #[must_use]
    pub fn upserted(&self) -> &[Arc<TableRows>] {
        &self.upserted
    }

    /// The number of rows of both kinds.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.replaced.iter().chain(&self.upserted).map(|rows| rows.table.rows()).sum()
    }

    /// SHA-256, in hex, of the slice's content: the same for the same rows in the same order, whatever the engine.
    ///
    /// An engine that finds this hash in its ledger for this key writes none of the replaced rows. It is computed once.
    #[must_use]
    pub fn content_hash(&self) -> &str {
        self.hash.get_or_init(|| self.computed_hash())
    }

    fn computed_hash(&self) -> String {
        let mut hash = Hashed::new();
        for rows in &self.replaced {
            hash.bytes(rows.schema.name.as_bytes());
            hash.bytes(&(rows.table.rows() as u64).to_be_bytes());
            for (name, column) in rows.table.names().iter().zip(rows.table.columns()) {
                hash.bytes(name.as_bytes());
                hash.column(column);
            }
        }
        hash.hex()
    }
}

fn push<R: Record>(into: &mut Vec<Arc<TableRows>>, load_id: i64, rows: impl IntoIterator<Item = R>) {
    let index = match into.iter().position(|held| held.schema.name == R::SCHEMA.name) {
        Some(index) => index,
        None => {
            into.push(Arc::new(TableRows { schema: R::SCHEMA, table: R::SCHEMA.empty() }));
            into.len() - 1
        }
    };
    let held = Arc::make_mut(&mut into[index]);
    for row in rows {
        row.append(&mut held.table, load_id);
    }
}

/// SHA-256 fed by large pieces: a call per value would cost more than the hashing.
struct Hashed {
    hash: Sha256,
    pending: Vec<u8>,
}

impl Hashed {
    const PIECE: usize = 64 << 10;

    fn new() -> Self {
        Self { hash: Sha256::new(), pending: Vec::with_capacity(Self::PIECE + 64) }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if bytes.len() >= Self::PIECE {
            self.hash.update(&self.pending);
            self.pending.clear();
            self.hash.update(bytes);
            return;
        }
        self.pending.extend_from_slice(bytes);
        if self.pending.len() >= Self::PIECE {
            self.hash.update(&self.pending);
            self.pending.clear();
        }
    }

    /// A value: 0 for null, or 1, its length, its bytes. Lengths keep neighbours apart.
    fn value(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            None => self.bytes(&[0]),
            Some(bytes) => {
                let mut head = [1; 9];
                head[1..].copy_from_slice(&(bytes.len() as u64).to_be_bytes());
                self.bytes(&head);
                self.bytes(bytes);
            }
        }
    }

    fn values<T>(&mut self, values: &[Option<T>], mut write: impl FnMut(&T, &mut Vec<u8>)) {
        let mut written = Vec::with_capacity(32);
        for value in values {
            match value {
                None => self.value(None),
                Some(value) => {
                    written.clear();
                    write(value, &mut written);
                    self.value(Some(&written));
                }
            }
        }
    }

    fn column(&mut self, column: &Column) {
        match column {
            Column::Text(values) | Column::Json(values) => {
                values.iter().for_each(|value| self.value(value.as_deref().map(str::as_bytes)));
            }
            Column::Int(values) => self.values(values, |x, to| to.extend_from_slice(&x.to_be_bytes())),
            Column::Float(values) => {
                self.values(values, |x, to| to.extend_from_slice(&x.to_bits().to_be_bytes()));
            }
            Column::Bool(values) => self.values(values, |x, to| to.push(u8::from(*x))),
            Column::Timestamp(values) => {
                self.values(values, |x, to| to.extend_from_slice(&x.timestamp_micros().to_be_bytes()));
            }
            Column::Date(values) => {
                // Days repeat, and their text costs more than hashing it.
                let (mut held, mut text) = (None, String::new());
                self.values(values, |day, to| {
                    if held != Some(*day) {
                        (held, text) = (Some(*day), day.to_string());
                    }
                    to.extend_from_slice(text.as_bytes());
                });
            }
            Column::Decimal(_, values) => self.values(values, |x, to| {
                // Writing to a vector cannot fail.
                let _ = write!(to, "{}", x.normalize());
            }),
        }
    }

    fn hex(mut self) -> String {
        self.hash.update(&self.pending);
        self.hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
#[allow(unreachable_pub)] // `record!` makes public types
mod tests {
    use super::*;
    use crate::model::{Amount, Json, Measure};
    use chrono::{DateTime, Utc};
    use rust_decimal::Decimal;

    crate::record! {
        /// A row of every type.
        Every in "every" sliced, key [name] {
            /// The key.
            name: String,
            /// A day.
            day: Option<NaiveDate>,
            /// An instant.
            at: Option<DateTime<Utc>>,
            /// An amount.
            amount: Option<Amount>,
            /// A measure.
            measure: Option<Measure>,
            /// A float.
            float: Option<f64>,
            /// A truth value.
            truth: Option<bool>,
            /// A document.
            document: Option<Json>,
        }
    }

    /// Ledgers hold hashes of earlier versions: another would make every slice look changed. The expected value is of
    /// Python's hashlib over the bytes that the comment of `Hashed::value` states.
    #[test]
    fn the_hash_is_of_the_stated_bytes() {
        let day = NaiveDate::from_ymd_opt(2026, 10, 25);
        let full = Every {
            name: "é".to_owned(),
            day,
            at: DateTime::from_timestamp_micros(1_761_354_000_123_456),
            amount: Some(Amount(Decimal::new(-1_990, 2))),
            measure: Some(Measure(Decimal::new(1_500_000, 6))),
            float: Some(0.5),
            truth: Some(true),
            document: Some(Json(serde_json::json!({"a": 1}))),
        };
        let long = Every { name: "x".repeat(100_000), day: None, ..full.clone() };
        let empty = Every {
            name: String::new(),
            day,
            at: None,
            amount: None,
            measure: None,
            float: None,
            truth: None,
            document: None,
        };
        let batch = Batch::new(SliceKey::whole("s", "t", "u")).replace([full, long, empty]);
        assert_eq!(batch.content_hash(), "cc3a0364f8f0b66888fbf3c0599d34d5404a2c8962dba90201ae9797353aaee4");
        assert_eq!(
            batch.state(SliceState::Failed).content_hash(),
            "cc3a0364f8f0b66888fbf3c0599d34d5404a2c8962dba90201ae9797353aaee4",
            "the state is no content"
        );
    }
}
