//! A table with a column of every type, of its own owner.

use crate::batch::SliceKey;
use crate::model::{Amount, Json, Measure};
use crate::record;
use crate::schema::{Migration, Record, Schema};
use chrono::{DateTime, Days, NaiveDate, Utc};

record! {
    /// A row of every type, with and without null.
    Probe in "probe" sliced, key [name] {
        /// The key.
        name: String,
        /// Text or null.
        text: Option<String>,
        /// Any integer; the table's own constraint refuses -1, which no rule of the library knows.
        whole: i64,
        /// Integer or null.
        maybe_whole: Option<i64>,
        /// A float or null.
        float: Option<f64>,
        /// A truth value.
        truth: bool,
        /// A truth value or null.
        maybe_truth: Option<bool>,
        /// An instant or null.
        instant: Option<DateTime<Utc>>,
        /// A day or null.
        day: Option<NaiveDate>,
        /// An amount or null.
        amount: Option<Amount>,
        /// A measure or null.
        measure: Option<Measure>,
        /// A document or null.
        document: Option<Json>,
    }
}

/// The probe's schema, as another crate would bring its own.
pub const PROBE: Schema = Schema {
    owner: "probe",
    tables: &[Probe::SCHEMA],
    migrations: &[
        Migration {
            version: 1,
            description: "the probe",
            sqlite: "create table probe (name text not null primary key, text text, whole integer not null \
                     check (whole <> -1), maybe_whole integer, float real, truth integer not null, \
                     maybe_truth integer, instant integer, day text, amount integer) strict;",
            postgres: "create table probe (name text collate \"C\" not null primary key, text text, \
                       whole bigint not null check (whole <> -1), maybe_whole bigint, float double precision, \
                       truth boolean not null, maybe_truth boolean, instant timestamptz, day date, \
                       amount decimal(10, 2));",
        },
        Migration {
            version: 2,
            description: "measures, documents and the slice",
            sqlite: "alter table probe add column measure integer; alter table probe add column document text; \
                     alter table probe add column load_id integer not null default 0;",
            postgres: "alter table probe add column measure numeric(18, 6); \
                       alter table probe add column document jsonb; \
                       alter table probe add column load_id bigint not null;",
        },
        Migration {
            version: 3,
            description: "indexes",
            sqlite: "create index probe_load on probe (load_id); create index probe_whole on probe (whole, name);",
            postgres: "create index probe_load on probe (load_id); create index probe_whole on probe (whole, name);",
        },
    ],
};

impl Probe {
    /// A row with a name and a number, null elsewhere.
    #[must_use]
    pub fn new(name: impl Into<String>, whole: i64) -> Self {
        Self {
            name: name.into(),
            text: None,
            whole,
            maybe_whole: None,
            float: None,
            truth: false,
            maybe_truth: None,
            instant: None,
            day: None,
            amount: None,
            measure: None,
            document: None,
        }
    }

    /// Rows of one number, with names from a prefix.
    pub(super) fn many(prefix: &str, whole: i64, count: usize) -> Vec<Self> {
        (0..count).map(|n| Self::new(format!("{prefix}{n:04}"), whole)).collect()
    }
}

/// The slice of a day of the checks.
pub(super) fn slice(day: u64) -> SliceKey {
    let first = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap_or_default();
    SliceKey::day("suite", "probe", "shop", first + Days::new(day))
}
