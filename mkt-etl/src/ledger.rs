//! What the pipeline remembers: the state of every slice, what was set aside, which numbers changed later, and what the
//! source told in another form than is known.
//!
//! Ledger rows are written in the transaction of the rows that they speak of. Nothing here decides anything: see
//! [`crate::settle`].

use crate::source::Totals;
use chrono::{DateTime, NaiveDate, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::model::{Json, Measure, SliceState};
use mkt_warehouse::{
    ColumnType, Migration, Query, Record, Schema, SliceKey, TableSchema, Value, Warehouse, record,
};
use std::collections::{BTreeMap, HashMap, HashSet};

record! {
    /// The state of a slice. It changes only when something about the slice changed, so that a replay writes nothing.
    SliceRow in "etl_slices" upserted, key [source, stream, site, window_from, window_until] {
        /// The source.
        source: String,
        /// The stream.
        stream: String,
        /// The site.
        site: String,
        /// First day.
        window_from: NaiveDate,
        /// Day after the last.
        window_until: NaiveDate,
        /// What is known about its completeness.
        state: SliceState,
        /// Records read; read = loaded + quarantined + duplicates.
        records_read: i64,
        /// Rows loaded, over all tables.
        records_loaded: i64,
        /// Records set aside.
        records_quarantined: i64,
        /// Records that repeat another one.
        records_duplicate: i64,
        /// Rows by table, as JSON.
        table_rows: Json,
        /// What the rows add up to, as JSON.
        totals: Json,
        /// What the source says they should add up to, counted another way, as JSON; null where it cannot say.
        control_totals: Option<Json>,
        /// Whether all control totals agree; null where there are none.
        reconciled: Option<bool>,
        /// How often in a row it could not be read: 0 after a success.
        failed_attempts: i64,
        /// The kind of the last error while `failed_attempts` is not 0.
        last_error: Option<String>,
        /// What a reader of the numbers should know.
        note: Option<String>,
        /// The source's own version of the slice, where it has one.
        version: Option<String>,
        /// SHA-256 of the content as the source told it.
        fingerprint: Option<String>,
        /// When this row last changed, UTC.
        changed_at: DateTime<Utc>,
        /// Whether it is not read again: it is settled, or cut off or sampled by the source and as old as a settled one.
        is_final: bool,
    }
}

record! {
    /// A record that did not fit. Part of its slice: repaired input replaces it.
    QuarantineRow in "etl_quarantine" sliced, key [quarantine_id] {
        /// Stable hash of the slice, the place and the record.
        quarantine_id: i64,
        /// File or endpoint.
        place: String,
        /// One-based line of a file.
        line: Option<i64>,
        /// Byte offset in a file.
        byte_offset: Option<i64>,
        /// The record, addresses replaced.
        raw: String,
        /// Why it does not fit.
        reason: String,
        /// The source.
        source: String,
        /// The stream.
        stream: String,
        /// The site.
        site: String,
        /// First day of the slice.
        day: NaiveDate,
    }
}

record! {
    /// What a record told beyond the model. Part of its slice.
    ExtraRow in "etl_extras" sliced, key [extra_id] {
        /// Stable hash of the slice and the record.
        extra_id: i64,
        /// The record, as the source names it.
        record: String,
        /// The fields, addresses replaced.
        fields: Json,
        /// The source.
        source: String,
        /// The stream.
        stream: String,
        /// The site.
        site: String,
        /// First day of the slice.
        day: NaiveDate,
    }
}

record! {
    /// A field that came, went or changed its type. Part of its slice: the first day that has it is the first day of the
    /// change, in whatever order days are loaded.
    DriftRow in "etl_drift" sliced, key [drift_id] {
        /// Stable hash of the slice, the place, the field and the change.
        drift_id: i64,
        /// File or endpoint.
        place: String,
        /// The field.
        field: String,
        /// `new`, `missing` or `other_type`.
        change: String,
        /// The source.
        source: String,
        /// The stream.
        stream: String,
        /// The site.
        site: String,
        /// First day of the slice.
        day: NaiveDate,
    }
}

record! {
    /// A number that the source changed after it was loaded.
    RevisionRow in "etl_revisions" upserted, key [source, stream, site, window_from, metric, seen_at] {
        /// The source.
        source: String,
        /// The stream.
        stream: String,
        /// The site.
        site: String,
        /// First day of the slice.
        window_from: NaiveDate,
        /// Which total; `content` when rows changed and no total did.
        metric: String,
        /// Before; null if there was none.
        old_value: Option<Measure>,
        /// After; null if there is none.
        new_value: Option<Measure>,
        /// When it was seen, UTC.
        seen_at: DateTime<Utc>,
    }
}

/// The ledger's tables.
pub const TABLES: &[TableSchema] =
    &[SliceRow::SCHEMA, QuarantineRow::SCHEMA, ExtraRow::SCHEMA, DriftRow::SCHEMA, RevisionRow::SCHEMA];

/// The ledger's schema; the pipeline migrates it together with the warehouse's own.
pub const SCHEMA: Schema = Schema {
    owner: "etl",
    tables: TABLES,
    migrations: &[
        Migration {
            version: 1,
            description: "slices, quarantine, revisions",
            sqlite: include_str!("../migrations/sqlite/0001_ledger.sql"),
            postgres: include_str!("../migrations/postgres/0001_ledger.sql"),
        },
        Migration {
            version: 2,
            description: "final slices, fields beyond the model",
            sqlite: include_str!("../migrations/sqlite/0002_form.sql"),
            postgres: include_str!("../migrations/postgres/0002_form.sql"),
        },
    ],
};

impl SliceRow {
    /// A slice of which nothing is known.
    #[must_use]
    pub fn planned(key: &SliceKey, at: DateTime<Utc>) -> Self {
        Self {
            source: key.source.clone(),
            stream: key.stream.clone(),
            site: key.site.clone(),
            window_from: key.from,
            window_until: key.until,
            state: SliceState::Planned,
            records_read: 0,
            records_loaded: 0,
            records_quarantined: 0,
            records_duplicate: 0,
            table_rows: Json::default(),
            totals: Json::default(),
            control_totals: None,
            reconciled: None,
            failed_attempts: 0,
            last_error: None,
            note: None,
            version: None,
            fingerprint: None,
            changed_at: at,
            is_final: false,
        }
    }

    /// The slice's key.
    #[must_use]
    pub fn key(&self) -> SliceKey {
        SliceKey {
            source: self.source.clone(),
            stream: self.stream.clone(),
            site: self.site.clone(),
            from: self.window_from,
            until: self.window_until,
        }
    }

    /// Its totals.
    #[must_use]
    pub fn totals(&self) -> Totals {
        serde_json::from_value(self.totals.0.clone()).unwrap_or_default()
    }

    /// Its rows by table.
    #[must_use]
    pub fn rows_by_table(&self) -> BTreeMap<String, u64> {
        serde_json::from_value(self.table_rows.0.clone()).unwrap_or_default()
    }

    /// Whether it says the same as another row, apart from when.
    #[must_use]
    pub(crate) fn says_the_same(&self, other: &Self) -> bool {
        let mut other = other.clone();
        other.changed_at = self.changed_at;
        *self == other
    }
}

/// Reads the ledger of one source and site.
///
/// # Errors
/// Of the engine; `Storage` for a row that does not read.
pub async fn slices(
    warehouse: &dyn Warehouse,
    source: &str,
    site: &str,
) -> Result<HashMap<SliceKey, SliceRow>> {
    let schema = SliceRow::SCHEMA;
    let names: Vec<String> = schema.columns.iter().map(|column| format!("\"{}\"", column.name)).collect();
    let sql = format!("select {} from \"{}\" where source = :1 and site = :2", names.join(", "), schema.name);
    let mut query = Query::new(sql).bind(Value::Text(source.to_owned())).bind(Value::Text(site.to_owned()));
    for column in schema.columns {
        query = query.column(column.name, column.ty);
    }
    let rows: Vec<SliceRow> = read_rows(warehouse, &query).await?;
    Ok(rows.into_iter().map(|row| (row.key(), row)).collect())
}

/// The slices of one source and site of which a row moved to another slice, by their `load_id`: what is stored of them
/// is less than what was loaded, see [`Warehouse`].
///
/// # Errors
/// Of the engine.
pub(crate) async fn lost_rows(warehouse: &dyn Warehouse, source: &str, site: &str) -> Result<HashSet<i64>> {
    let query = Query::new("select load_id from loads where source = :1 and site = :2 and content_hash = ''")
        .bind(Value::Text(source.to_owned()))
        .bind(Value::Text(site.to_owned()))
        .column("load_id", ColumnType::Int);
    let table = warehouse.query(&query).await?;
    Ok((0..table.rows())
        .flat_map(|row| table.row(row))
        .filter_map(|value| match value {
            Value::Int(load_id) => Some(load_id),
            _ => None,
        })
        .collect())
}

/// Reads every row of a table.
pub(crate) async fn read_rows<R: Record>(warehouse: &dyn Warehouse, query: &Query) -> Result<Vec<R>> {
    let table = warehouse.query(query).await?;
    (0..table.rows())
        .map(|row| {
            R::read(&table, row).map_err(|e| {
                Error::new(ErrorKind::Storage, "etl", "read the ledger")
                    .with_detail("invalid row")
                    .with_source(e)
            })
        })
        .collect()
}

/// What changed between two reads of a slice: one row for each total, or one row `content` when no total did.
#[must_use]
pub fn revisions(key: &SliceKey, old: &Totals, new: &Totals, seen_at: DateTime<Utc>) -> Vec<RevisionRow> {
    let row = |metric: &str, old_value, new_value| RevisionRow {
        source: key.source.clone(),
        stream: key.stream.clone(),
        site: key.site.clone(),
        window_from: key.from,
        metric: metric.to_owned(),
        old_value,
        new_value,
        seen_at,
    };
    let mut names: Vec<&str> = old.iter().chain(new.iter()).map(|(name, _)| name).collect();
    names.sort_unstable();
    names.dedup();
    let changed: Vec<RevisionRow> = names
        .into_iter()
        .filter(|name| old.get(name) != new.get(name))
        .map(|name| row(name, old.get(name).map(Measure), new.get(name).map(Measure)))
        .collect();
    if changed.is_empty() { vec![row("content", None, None)] } else { changed }
}
