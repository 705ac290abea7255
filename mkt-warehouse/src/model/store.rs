//! What the warehouse knows about itself: sites, zones, loads.

use super::field::Json;
use super::traffic::SliceState;
use crate::record;
use chrono::{DateTime, NaiveDate, Utc};
use mkt_connect::Currency;

record! {
    /// A site and how its numbers are to be read.
    Site in "sites" upserted, key [site] {
        /// Its name in every other table.
        site: String,
        /// The zone in which its days are cut: an IANA name, or a fixed offset such as `UTC+03:30`.
        zone: String,
        /// Its main currency.
        currency: Option<Currency>,
        /// The system of record: the source whose traffic reports count unless another is named.
        record_source: String,
        /// Event types that make a session converted.
        conversion_set: Json,
    }
}

impl Site {
    /// A site whose conversions are purchases.
    #[must_use]
    pub fn new(site: impl Into<String>, zone: impl Into<String>, record_source: impl Into<String>) -> Self {
        Self {
            site: site.into(),
            zone: zone.into(),
            currency: None,
            record_source: record_source.into(),
            conversion_set: Json(serde_json::json!(["purchase"])),
        }
    }
}

record! {
    /// The UTC offset of a zone between two instants: local time = UTC + `offset_s`. Joined by reports, so that hours
    /// and days are cut alike in every dialect.
    ZoneOffset in "zone_offsets" upserted, key [zone, from_utc] {
        /// IANA name, or a fixed offset such as `UTC+03:30`.
        zone: String,
        /// From this instant, inclusive.
        from_utc: DateTime<Utc>,
        /// Until this instant, exclusive.
        until_utc: DateTime<Utc>,
        /// Seconds to add to UTC.
        offset_s: i64,
    }
}

record! {
    /// A slice that was loaded. Written by the engine in the transaction of the slice's rows.
    Load in "loads" upserted, key [load_id] {
        /// Stable hash of the key, see [`crate::id::load_id`].
        load_id: i64,
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
        /// [`crate::Batch::content_hash`].
        content_hash: String,
        /// Rows of the slice, over all tables.
        row_count: i64,
        /// How often its content changed: 1 for the first load.
        revision: i64,
        /// When its content last changed, UTC.
        loaded_at: DateTime<Utc>,
        /// How far it can be trusted, as the last load of it said, replays included.
        state: SliceState,
    }
}
