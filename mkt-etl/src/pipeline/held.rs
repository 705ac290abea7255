//! Ids that other slices hold: rows that stand in the warehouse already, and ids that a source gives twice.

use super::Pipeline;
use crate::content::Content;
use mkt_connect::Result;
use mkt_warehouse::{ColumnType, Query, SliceKey, Value};
use std::collections::{BTreeMap, HashMap};

/// Ids in one query: SQLite binds at most 32 766 values, older versions 999.
const AT_ONCE: usize = 500;

/// Slices that may hold a row of this one, by their `load_id`, with their streams.
pub(super) type Others = HashMap<i64, String>;

/// Rows of a slice that other slices hold, and in which stream.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) events: HashMap<i64, String>,
    pub(super) sessions: HashMap<String, String>,
}

impl Held {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty() && self.sessions.is_empty()
    }

    /// How many rows each stream holds.
    pub(super) fn by_stream(&self) -> BTreeMap<&str, u64> {
        let mut counts = BTreeMap::new();
        for stream in self.events.values().chain(self.sessions.values()) {
            *counts.entry(stream.as_str()).or_default() += 1;
        }
        counts
    }
}

impl Pipeline {
    /// The slices of other streams of the same source and site that hold rows of the day of a slice, or of the days
    /// beside it.
    pub(super) async fn other_streams(&self, source: &str, site: &str) -> Result<Vec<SliceKey>> {
        let query = Query::new(
            "select stream, window_from, window_until from loads \
             where source = :1 and site = :2 and row_count > 0",
        )
        .bind(Value::Text(source.to_owned()))
        .bind(Value::Text(site.to_owned()))
        .column("stream", ColumnType::Text)
        .column("window_from", ColumnType::Date)
        .column("window_until", ColumnType::Date);
        let table = self.warehouse.query(&query).await?;
        Ok((0..table.rows())
            .filter_map(|row| {
                Some(SliceKey {
                    source: source.to_owned(),
                    site: site.to_owned(),
                    stream: table.read(row, "stream").ok()?,
                    from: table.read(row, "window_from").ok()?,
                    until: table.read(row, "window_until").ok()?,
                })
            })
            .collect())
    }

    /// Which rows of a slice others hold.
    pub(super) async fn held_by(&self, others: &Others, content: &Content) -> Result<Held> {
        let mut held = Held::default();
        let events: Vec<Value> = content.event_ids().map(Value::Int).collect();
        for ids in events.chunks(AT_ONCE) {
            let table = self.holders("events", "event_id", ColumnType::Int, ids).await?;
            for row in 0..table.rows() {
                if let (Value::Int(id), Value::Int(load)) =
                    (table.value(row, "id"), table.value(row, "load_id"))
                    && let Some(stream) = others.get(&load)
                {
                    held.events.insert(id, stream.clone());
                }
            }
        }
        let sessions: Vec<Value> = content.session_ids().map(|id| Value::Text(id.to_owned())).collect();
        for ids in sessions.chunks(AT_ONCE) {
            let table = self.holders("sessions", "session_id", ColumnType::Text, ids).await?;
            for row in 0..table.rows() {
                if let (Value::Text(id), Value::Int(load)) =
                    (table.value(row, "id"), table.value(row, "load_id"))
                    && let Some(stream) = others.get(&load)
                {
                    held.sessions.insert(id, stream.clone());
                }
            }
        }
        Ok(held)
    }

    async fn holders(
        &self,
        table: &str,
        column: &str,
        ty: ColumnType,
        ids: &[Value],
    ) -> Result<mkt_warehouse::Table> {
        let places: Vec<String> = (1..=ids.len()).map(|place| format!(":{place}")).collect();
        let sql = format!("select {column}, load_id from {table} where {column} in ({})", places.join(", "));
        let query = ids.iter().cloned().fold(Query::new(sql), Query::bind);
        self.warehouse.query(&query.column("id", ty).column("load_id", ColumnType::Int)).await
    }
}
