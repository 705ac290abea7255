//! The outbox: mails in a SQLite file or on a PostgreSQL server, one row per recipient, that reach a terminal state
//! once, whatever happens to the process in between.
//!
//! ```text
//! pending ─▶ claimed ─▶ sending ─▶ accepted | rejected | deferred | unknown
//!    ▲          │ ▲        │ │                    │          │
//!    │          │ └─(call  │ └─(dead)─▶ unknown   └▶ (due)   └▶ settled, if the provider can tell
//!    └──(dead)──┘  refused)┘
//! before a call: suppressed | cancelled | expired
//! ```
//!
//! `sending` is committed, with the attempt's key, right before the call. A mail whose call begins at once is claimed and
//! marked in that one commit; one that a worker keeps for a later call is seen as `claimed`. A process that dies leaves `claimed` rows,
//! which nobody was told of and which go back to pending, and `sending` rows, of which nobody knows: they become
//! `unknown` and are settled by asking the provider. A provider that cannot tell leaves them `unknown`, and nothing
//! sends them again: at most once. (A transactional mail may be enqueued [`at least once`](NewEmail::at_least_once): it
//! is sent again rather than left unknown, and may arrive twice.) Transitions are made by single SQL statements that
//! name the state they start from, so two workers cannot make the same one.
//!
//! The guarantee is against the death of the process at any instruction. Against loss of power it is as good as the
//! disk's word (SQLite: WAL, `synchronous = FULL`; PostgreSQL: the server's `synchronous_commit`).

mod budget;
mod campaign;
mod claim;
mod consent;
mod count;
mod dry_run;
mod enqueue;
mod erase;
mod mark;
mod options;
mod record;
mod run;
mod send_log;
mod settle;
mod solitude;
mod store;
mod suppression;
mod suppression_csv;

pub use budget::Budget;
pub use consent::{Consent, ConsentScope};
pub use count::Counts;
pub use dry_run::DryRun;
pub use enqueue::{DedupKey, Enqueued, NewEmail, Purpose};
pub use erase::Erased;
pub use options::{RunOptions, RunReport};
pub use suppression::{Suppression, SuppressionReason, SuppressionScope};
pub use suppression_csv::{
    ErasedSuppression, SuppressionImport, SuppressionProblem, SuppressionRow, SuppressionRowError,
    Suppressions,
};

use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use std::fmt;
use std::str::FromStr;
use store::Store;

const SERVICE: &str = "outbox";

/// Where a mail stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Waiting for its time and a worker.
    Pending,
    /// Taken by a worker; nothing was sent.
    Claimed,
    /// The call is being made, or was when the process died.
    Sending,
    /// Taken by the provider.
    Accepted,
    /// Refused for good.
    Rejected,
    /// Refused for now.
    Deferred,
    /// Nobody knows whether it was taken.
    Unknown,
    /// Not sent: the recipient does not want it or has not agreed to it.
    Suppressed,
    /// Not sent: the campaign was cancelled.
    Cancelled,
    /// Not sent: too late.
    Expired,
}

impl State {
    /// The state as stored and logged.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Claimed => "claimed",
            Self::Sending => "sending",
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Deferred => "deferred",
            Self::Unknown => "unknown",
            Self::Suppressed => "suppressed",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }
}

impl FromStr for State {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        const ALL: [State; 10] = [
            State::Pending,
            State::Claimed,
            State::Sending,
            State::Accepted,
            State::Rejected,
            State::Deferred,
            State::Unknown,
            State::Suppressed,
            State::Cancelled,
            State::Expired,
        ];
        ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| damaged("read a state"))
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The durable outbox. Clones share the connections.
#[derive(Debug, Clone)]
pub struct Outbox {
    store: Store,
}

impl Outbox {
    /// Opens the file, making it and its tables where they are missing. A file that is made can be read by its owner
    /// only (mode 0600); one that is there keeps its mode. Other crates may keep tables in it. Runs put an empty file of
    /// the same name with `.workers` added beside it. `:memory:` is [`in_memory`](Self::in_memory).
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the file cannot be opened, made or written, or is not a database.
    #[cfg(feature = "sqlite")]
    pub async fn open(path: impl AsRef<std::path::Path>) -> Result<Self> {
        Ok(Self { store: Store::Sqlite(store::File::open(path.as_ref()).await?) })
    }

    /// An outbox that is gone when it is dropped: for tests and for trying things out.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`].
    #[cfg(feature = "sqlite")]
    pub async fn in_memory() -> Result<Self> {
        Ok(Self { store: Store::Sqlite(store::File::in_memory().await?) })
    }

    /// Opens the outbox that a URL names: `postgres://user:password@host/database`, with the options of libpq (feature
    /// `postgres`), or `sqlite:path` (feature `sqlite`). Tables are made where they are missing, on a server in the
    /// first schema of the search path. Over a network add `?sslmode=verify-full`: libpq's default encrypts where it
    /// can, and does not check whom it talks to. Workers hold locks of sessions there: a pooler that lends one session
    /// to several clients must be gone round.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a URL that does not read, or whose feature is off; [`ErrorKind::Auth`] when the server
    /// refuses the user; [`ErrorKind::Storage`]. The URL is in no error.
    pub async fn connect(url: &str) -> Result<Self> {
        let config = |detail: &str| Error::new(ErrorKind::Config, SERVICE, "open").with_detail(detail);
        let (scheme, rest) = url.split_once(':').ok_or_else(|| config("the URL does not read"))?;
        match scheme {
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => {
                Ok(Self { store: Store::Postgres(store::Server::connect(url).await?) })
            }
            #[cfg(not(feature = "postgres"))]
            "postgres" | "postgresql" => Err(config("the feature `postgres` is off")),
            #[cfg(feature = "sqlite")]
            "sqlite" => Self::open(rest.strip_prefix("//").unwrap_or(rest)).await,
            #[cfg(not(feature = "sqlite"))]
            "sqlite" => Err(config("the feature `sqlite` is off")),
            _ => {
                let _ = rest;
                Err(config("the URL names neither postgres nor sqlite"))
            }
        }
    }

    /// Closes the connections. Of a file, the write-ahead log is folded in.
    pub async fn close(self) {
        self.store.close().await;
    }
}

fn damaged(operation: &'static str) -> Error {
    Error::new(ErrorKind::Storage, SERVICE, operation)
        .with_detail("a stored value is not one that was written here")
}

/// What PostgreSQL cannot store in a text, and nobody needs to read.
fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

fn millis(at: DateTime<Utc>) -> i64 {
    at.timestamp_millis()
}

fn instant(millis: i64) -> Result<DateTime<Utc>> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| damaged("read an instant"))
}

/// Why a row of `mail_outbox` must not be mailed at instant `$1`, or null. The one place where suppression and consent
/// are read; enqueueing, claiming and the last gate before the call all use it inside their transaction.
macro_rules! gate {
    () => {
        "COALESCE(
            (SELECT 'suppressed: ' || s.reason FROM mail_suppressions s
              WHERE s.address_key = mail_outbox.address_key
                AND (s.expires_at IS NULL OR s.expires_at > $1)
                AND (s.scope = 'all'
                     OR (mail_outbox.purpose = 'marketing'
                         AND (s.scope = 'marketing' OR (s.scope = 'list' AND s.list = mail_outbox.list))))
              ORDER BY s.scope LIMIT 1),
            CASE WHEN mail_outbox.purpose = 'marketing' AND COALESCE(
                (SELECT c.granted FROM mail_consents c
                  WHERE c.address_key = mail_outbox.address_key
                    AND c.at <= $1
                    AND (c.scope = 'marketing' OR (c.scope = 'list' AND c.list = mail_outbox.list))
                  ORDER BY c.at DESC, c.id DESC LIMIT 1), 0) = 0
            THEN 'no consent' END)"
    };
}
use gate;
