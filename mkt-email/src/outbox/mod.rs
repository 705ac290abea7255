//! The outbox: a durable queue of emails in a SQLite file or on a PostgreSQL server, one row per recipient. Every row
//! reaches a final state once, whatever happens to the process.
//!
//! ```text
//! pending ─▶ claimed ─▶ sending ─▶ accepted | rejected | deferred | unknown
//!    ▲          │ ▲        │ │                    │          │
//!    │          │ └─(call  │ └─(died)─▶ unknown   └▶ (due)   └▶ settled, if the provider can tell
//!    └──(died)──┘  refused)┘
//! before a call: suppressed | cancelled | expired
//! ```
//!
//! `sending` is committed, with the key of the attempt, right before the call. An email whose call begins at once is
//! claimed and marked in that one commit; one that a worker holds for a later call is visible as `claimed`. A process
//! that dies leaves `claimed` rows, which were never handed to the provider and go back to `pending`, and `sending`
//! rows, whose outcome is not known: they become `unknown` and are settled by asking the provider. A provider that
//! cannot tell leaves them `unknown`, and nothing sends them again: at most once. (A transactional email may be
//! enqueued [`at least once`](crate::NewEmail::at_least_once): it is sent again rather than left unknown, and may arrive
//! twice.) Every transition is a single SQL statement that names the state it starts from, so two workers cannot make
//! the same one.
//!
//! The guarantee holds against the death of the process at any instruction. Against loss of power it is as good as the
//! disk (SQLite: WAL, `synchronous = FULL`; PostgreSQL: the server's `synchronous_commit`).
//!
//! # How the code is organised
//!
//! Calls go from top to bottom, never back up:
//!
//! | module | what it does |
//! |---|---|
//! | `handle` | [`Outbox`](crate::Outbox): every public method, each one call into a part |
//! | `worker` | the run: finds due emails, commits each step, makes the calls |
//! | `enqueue`, `campaign`, `consent`, `suppression`, `suppression_csv`, `erasure` | what senders and recipients ask for |
//! | `events` | what became of emails: stored once each, with the suppressions that follow |
//! | `reading` | counts, dry run, send log: nothing is changed |
//! | `recovery` | dead workers, lost answers |
//! | `queue`, `record`, `account` | rows of emails, recorded outcomes, pauses and budgets of accounts |
//! | [`plan`] | rates by account, sender and recipients' domains; warm-up; forecast |
//! | `options` | options and report of a run |
//! | `call` | what a call carries and what its answer means: pure |
//! | `gate` | why an email must not be sent: one SQL expression |
//! | `store` | the two engines |

mod account;
mod call;
mod campaign;
mod consent;
pub(crate) mod enqueue;
mod erasure;
mod events;
pub(crate) mod gate;
pub(crate) mod handle;
pub(crate) mod options;
pub mod plan;
pub(crate) mod queue;
pub(crate) mod reading;
mod record;
mod recovery;
mod sent;
pub(crate) mod state;
pub(crate) mod store;
mod suppression;
mod suppression_csv;
mod worker;

pub use account::Budget;
pub use consent::{Consent, ConsentScope};
pub use enqueue::Purpose;
pub use erasure::Erased;
pub use events::{CampaignRates, CampaignReport, EventPage, Recorded, StoredEvent, SuppressionPolicy};
#[cfg(feature = "webhook")]
pub(crate) use events::{Delivery, Received, UsedToken};
pub use options::Interruption;
pub use reading::{AcceptedEmail, AcceptedPage, DryRun};
pub(crate) use sent::SentEmail;
use state::State;
pub use suppression::{Suppression, SuppressionReason, SuppressionScope};
pub use suppression_csv::{ErasedSuppression, SuppressionImport, SuppressionRow, Suppressions};

use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};

const SERVICE: &str = "outbox";

/// The error for a stored value that this crate did not write.
pub(crate) fn damaged(operation: &'static str) -> Error {
    Error::new(ErrorKind::Storage, SERVICE, operation).with_detail("invalid stored value")
}

/// Replaces NUL, which PostgreSQL cannot store in a text.
pub(crate) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

pub(crate) fn millis(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

pub(crate) fn timestamp(millis: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| damaged("read a timestamp"))
}
