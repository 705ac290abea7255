//! The tables: one row type each, with the columns that every engine stores.
//!
//! The course's columns keep their names and their order; what follows them is ours. Every table that slices replace
//! ends with `source, site, day, load_id` (`load_id` is filled by the batch and is not a field). Instants are UTC;
//! `day` is the calendar day in the site's zone. No table holds an e-mail address.
//!
//! | row | table | one row is |
//! |---|---|---|
//! | [`Event`] | `events` | something a visitor did |
//! | [`Session`] | `sessions` | a visit |
//! | [`SessionQuarter`] | `session_quarters` | the sessions of a quarter of an hour, added up by the engine |
//! | [`DailyMetric`] | `daily_metrics` | a number of one day, with how it adds up |
//! | [`DimensionMetric`] | `dimension_metrics` | a number of one day for one page, campaign, hour, … |
//! | [`User`] | `users` | a person or visitor, with criteria for segments |
//! | [`Identity`] | `identities` | "these two user ids are one person, because …" |
//! | [`Campaign`] | `campaigns` | a declared campaign |
//! | [`Cost`] | `costs` | what a campaign cost on a day |
//! | [`Post`] | `posts` | a post on a social network |
//! | [`Observation`] | `observations` | what a metric of a post was at an instant |
//! | [`EmailEvent`] | `email_events` | an event of an email |
//! | [`Site`] | `sites` | a site: zone, currency, system of record, conversion set |
//! | [`ZoneOffset`] | `zone_offsets` | the UTC offset of a zone between two instants |
//! | [`Load`] | `loads` | a slice that was loaded: its hash and counts |

mod audience;
mod campaign;
mod field;
mod social;
mod store;
mod traffic;

pub use audience::{EmailEvent, EmailEventType, Identity, KeyKind, User};
pub use campaign::{Campaign, Cost};
pub use field::{Amount, Field, Json, Measure};
pub use social::{MissingReason, Observation, Post};
pub use store::{Load, Site, ZoneOffset};
pub use traffic::{
    DailyMetric, DimensionMetric, Event, EventType, InvalidEventType, MetricKind, Session, SessionQuarter,
    SliceState,
};

use crate::schema::{Migration, Record, Schema, TableSchema};

/// Every table of the warehouse.
pub const TABLES: &[TableSchema] = &[
    Event::SCHEMA,
    Session::SCHEMA,
    SessionQuarter::SCHEMA,
    DailyMetric::SCHEMA,
    DimensionMetric::SCHEMA,
    User::SCHEMA,
    Identity::SCHEMA,
    Campaign::SCHEMA,
    Cost::SCHEMA,
    Post::SCHEMA,
    Observation::SCHEMA,
    EmailEvent::SCHEMA,
    Site::SCHEMA,
    ZoneOffset::SCHEMA,
    Load::SCHEMA,
];

/// The warehouse's own schema.
pub const SCHEMA: Schema = Schema {
    owner: "warehouse",
    tables: TABLES,
    migrations: &[
        Migration {
            version: 1,
            description: "the model",
            sqlite: include_str!("../../migrations/sqlite/0001_model.sql"),
            postgres: include_str!("../../migrations/postgres/0001_model.sql"),
        },
        Migration {
            version: 2,
            description: "states of slices, rows in load order",
            sqlite: include_str!("../../migrations/sqlite/0002_states.sql"),
            postgres: include_str!("../../migrations/postgres/0002_states.sql"),
        },
        Migration {
            version: 3,
            description: "numbers by dimensions",
            sqlite: include_str!("../../migrations/sqlite/0003_dimensions.sql"),
            postgres: include_str!("../../migrations/postgres/0003_dimensions.sql"),
        },
        Migration {
            version: 4,
            description: "sessions by quarters of an hour",
            sqlite: include_str!("../../migrations/sqlite/0004_session_quarters.sql"),
            postgres: include_str!("../../migrations/postgres/0004_session_quarters.sql"),
        },
        Migration {
            version: 5,
            description: "order of the source",
            sqlite: include_str!("../../migrations/sqlite/0005_source_order.sql"),
            postgres: include_str!("../../migrations/postgres/0005_source_order.sql"),
        },
    ],
};
