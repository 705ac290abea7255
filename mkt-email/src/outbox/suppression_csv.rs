//! Suppressions as CSV, in and out: own lists, and lists that vendors keep.
//!
//! # Export
//!
//! One row per person and scope, with a header: `address,scope,list,reason,source,at,expires_at,key`. A person who was
//! erased has no address and is identified by the key of the address. Every field is quoted, and one that a spreadsheet
//! would run as a formula begins with an apostrophe (OWASP, CSV injection), which importing removes.
//!
//! # Import
//!
//! Files are read by [`mkt_connect::table`]: delimiter and encoding are found. Columns are found by name:
//!
//! | file | columns | becomes |
//! |---|---|---|
//! | our own | `address` or `key`, `scope`, `list`, `reason`, `source`, `at`, `expires_at` | what it was |
//! | Mailgun, bounces | `address`, `code`, `error`, `created_at` | hard bounce, scope all |
//! | Mailgun, unsubscribes | `address`, `tags`, `created_at` | unsubscribed, scope marketing; a tag other than `*`: that list; several: marketing |
//! | Mailgun, complaints | `address`, `created_at` | complaint, scope all |
//! | Brevo, blocked contacts | `email`, `blockedAt`, `reason.code` (or `reason`) | by the code, see below |
//!
//! Mailgun's columns are those of its import files
//! (<https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/bounces>, read November 2026). Brevo's
//! are the fields of `GET /smtp/blockedContacts` (<https://developers.brevo.com/reference/get-transac-blocked-contacts>,
//! read November 2026), the names in a table made from that answer; `hardBounce` is a hard bounce,
//! `contactFlaggedAsSpam` a complaint, `adminBlocked` manual, all of scope all; `unsubscribedVia…` is unsubscribed, scope
//! marketing. A file with nothing but addresses gets the scope and reason of [`Suppressions::default_to`].
//!
//! A row that cannot be read is quarantined with its line and reason; the others are imported. An unclosed quotation mark
//! costs one line: nobody behind it is lost.

use super::store::{Store, values};
use super::suppression::{self, StoredSuppression, Suppression, SuppressionReason, SuppressionScope};
use super::{SERVICE, timestamp};
use crate::EmailAddress;
use chrono::{DateTime, SecondsFormat, Utc};
use mkt_connect::table::cell::{Stamp, TimeFormat, trimmed};
use mkt_connect::table::{Found, Header, Quarantined, ReadError, ReadOptions, Reason, Record, Table};
use mkt_connect::{Error, ErrorKind, Result};
use std::fmt;
use std::io::{Read, Write};

const OPERATION: &str = "read suppressions";
const PAGE: i64 = 1000;
/// Rows per transaction.
const BATCH: usize = 1000;
/// The longest row of a suppression list, in bytes.
const MAX_RECORD: usize = 64 * 1024;
/// Quarantined rows kept by an import.
const KEPT: usize = 100;

/// A row of a suppression file.
#[derive(Debug)]
#[non_exhaustive]
pub enum SuppressionRow {
    /// A person who must not be sent emails.
    Suppression(Box<Suppression>),
    /// An erased person who must not be sent emails: only the key of the address is known.
    Erased(ErasedSuppression),
    /// A row that cannot be read. The code of a reason of this reader is `address` (no email address), `nobody` (neither
    /// an address nor a key), `scope` (not `all`, `marketing`, or `list` with a list), `reason` (unknown reason) or
    /// `timestamp`.
    Quarantined(Quarantined),
}

/// The suppression of an erased person; it can be imported and nothing else.
pub struct ErasedSuppression(StoredSuppression);

impl fmt::Debug for ErasedSuppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErasedSuppression({}, {})", self.0.scope, self.0.reason)
    }
}

/// Which column is what.
#[derive(Debug, Default)]
struct Columns {
    address: Option<usize>,
    key: Option<usize>,
    scope: Option<usize>,
    list: Option<usize>,
    reason: Option<usize>,
    source: Option<usize>,
    at: Option<usize>,
    expires_at: Option<usize>,
    code: Option<usize>,
    error: Option<usize>,
    tags: Option<usize>,
}

/// What applies to rows that do not say it.
#[derive(Debug, Clone)]
struct Defaults {
    scope: SuppressionScope,
    reason: SuppressionReason,
    source: String,
    at: DateTime<Utc>,
}

/// Reads suppressions from CSV, row by row, in constant memory.
///
/// ```
/// use mkt_email::outbox::{SuppressionReason, SuppressionRow, Suppressions};
/// let file = "address,code,error,created_at\n\
///             eve@example.org,550,mailbox unavailable,\"Tue, 21 Oct 2025 11:02:55 GMT\"\nnobody,550,,\n";
/// let rows: Vec<_> = Suppressions::read(file.as_bytes(), "bounces.csv", "2026-10-26T12:00:00Z".parse()?)?
///     .collect::<Result<_, _>>()?;
/// assert!(matches!(&rows[0], SuppressionRow::Suppression(eve) if eve.reason == SuppressionReason::HardBounce));
/// assert!(matches!(&rows[1], SuppressionRow::Quarantined(row) if row.line == 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Suppressions<R> {
    table: Table<R>,
    columns: Columns,
    defaults: Defaults,
    ended: bool,
}

impl<R> fmt::Debug for Suppressions<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suppressions").field("columns", &self.columns).finish_non_exhaustive()
    }
}

fn unreadable(error: ReadError) -> Error {
    error.into_error(SERVICE, OPERATION)
}

impl<R: Read> Suppressions<R> {
    /// Reads the header. `source` and `at` apply to rows that do not say them.
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with).
    pub fn read(file: R, source: impl Into<String>, at: DateTime<Utc>) -> Result<Self> {
        Self::read_with(file, source, at, &ReadOptions::new().max_record(MAX_RECORD))
    }

    /// As [`read`](Self::read), with a declared delimiter or encoding.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for a file without a column of addresses, or with two of one that is read;
    /// [`ErrorKind::Storage`] when it cannot be read.
    pub fn read_with(
        file: R,
        source: impl Into<String>,
        at: DateTime<Utc>,
        options: &ReadOptions,
    ) -> Result<Self> {
        let mut table = options.open(file).map_err(unreadable)?;
        let columns = Columns::of(table.header())?;
        for (index, name) in columns.read() {
            table.found_mut().read_as(index, name);
        }
        let defaults = columns.defaults(source.into(), at);
        Ok(Self { table, columns, defaults, ended: false })
    }

    /// What was found out about the file: encoding, delimiter, which column is read as what and which are not read.
    #[must_use]
    pub fn found(&self) -> &Found {
        self.table.found()
    }

    /// Sets the scope and reason of rows that say neither. Default: manual, all emails.
    #[must_use]
    pub fn default_to(mut self, scope: SuppressionScope, reason: SuppressionReason) -> Self {
        self.defaults.scope = scope;
        self.defaults.reason = reason;
        self
    }
}

/// What a row says.
fn read_row(row: &Record<'_>, columns: &Columns, defaults: &Defaults) -> Result<SuppressionRow, Reason> {
    let field = |column: Option<usize>| column.map_or("", |index| trimmed(bare(row.cell(index))));
    let rule = |code: &'static str, text: &str| Reason::rule(code, text.to_owned());
    let at = match field(columns.at) {
        "" => defaults.at,
        text => parse_timestamp(text).ok_or_else(|| rule("timestamp", "invalid timestamp"))?,
    };
    let expires_at = match field(columns.expires_at) {
        "" => None,
        text => Some(parse_timestamp(text).ok_or_else(|| rule("timestamp", "invalid timestamp"))?),
    };
    let (mut scope, mut reason) = (defaults.scope.clone(), defaults.reason);
    if let text @ ("hardBounce" | "contactFlaggedAsSpam" | "adminBlocked" | "unsubscribed") =
        brevo_code(field(columns.reason))
    {
        (scope, reason) = match text {
            "hardBounce" => (SuppressionScope::All, SuppressionReason::HardBounce),
            "contactFlaggedAsSpam" => (SuppressionScope::All, SuppressionReason::Complaint),
            "adminBlocked" => (SuppressionScope::All, SuppressionReason::Manual),
            _ => (SuppressionScope::Marketing, SuppressionReason::Unsubscribed),
        };
    } else if !field(columns.reason).is_empty() {
        reason = field(columns.reason).parse().map_err(|()| rule("reason", "unknown reason"))?;
    }
    let list = field(columns.list);
    scope = match field(columns.scope) {
        "" => match field(columns.tags) {
            "" | "*" => scope,
            // Several, or in an unknown form: the wider scope.
            tags if tags.contains([',', ';', '[', '*']) => scope,
            tag => SuppressionScope::List(tag.to_owned()),
        },
        "all" => SuppressionScope::All,
        "marketing" => SuppressionScope::Marketing,
        "list" if !list.is_empty() => SuppressionScope::List(list.to_owned()),
        _ => {
            return Err(rule(
                "scope",
                "invalid scope: expected all, marketing, or list with the name of a list",
            ));
        }
    };
    let source = match field(columns.source) {
        "" => defaults.source.clone(),
        text => text.to_owned(),
    };
    match (field(columns.address), field(columns.key)) {
        ("", "") => Err(rule("nobody", "neither an address nor a key")),
        ("", key) => {
            let digits = key.len() == 64 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            if !digits {
                return Err(rule("address", "invalid key of an address"));
            }
            let (scope, list) = scope.columns();
            Ok(SuppressionRow::Erased(ErasedSuppression(StoredSuppression {
                address_key: key.to_owned(),
                scope,
                list: super::storable(list),
                address: None,
                reason: reason.as_str(),
                source: super::storable(&source),
                at: super::millis(at),
                expires_at: expires_at.map(super::millis),
            })))
        }
        (address, _) => {
            let address =
                EmailAddress::parse(address).map_err(|error| rule("address", &error.to_string()))?;
            let row = Suppression { address, scope, reason, source, at, expires_at };
            Ok(SuppressionRow::Suppression(Box::new(row)))
        }
    }
}

impl<R: Read> Iterator for Suppressions<R> {
    type Item = Result<SuppressionRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        loop {
            let row = match self.table.next() {
                Ok(Some(Ok(row))) if row.is_blank() => continue,
                Ok(Some(row)) => row,
                Ok(None) => {
                    self.ended = true;
                    return None;
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(unreadable(error)));
                }
            };
            let read = row.and_then(|row| {
                read_row(&row, &self.columns, &self.defaults).map_err(|reason| row.quarantine(reason))
            });
            return Some(Ok(read.unwrap_or_else(SuppressionRow::Quarantined)));
        }
    }
}

impl Columns {
    fn of(header: &Header) -> Result<Self> {
        let invalid = |detail: String| Error::new(ErrorKind::Input, SERVICE, OPERATION).with_detail(detail);
        let find = |names: &[&str]| header.find(names).map_err(|error| invalid(error.to_string()));
        let columns = Self {
            address: find(&[
                "address",
                "email",
                "adresse",
                "adresse e-mail",
                "email address",
                "courriel",
                "courrier électronique",
                "mail",
            ])?,
            key: find(&["key"])?,
            scope: find(&["scope"])?,
            list: find(&["list"])?,
            reason: find(&["reason.code", "reason"])?,
            source: find(&["source"])?,
            at: find(&["at", "created_at", "blockedAt", "blocked_at"])?,
            expires_at: find(&["expires_at"])?,
            code: find(&["code"])?,
            error: find(&["error"])?,
            tags: find(&["tags"])?,
        };
        match columns.address.or(columns.key) {
            Some(_) => Ok(columns),
            None => Err(invalid("the header has no column of addresses (address, email or key)".to_owned())),
        }
    }

    /// The columns that are read, by the name of their meaning.
    fn read(&self) -> impl Iterator<Item = (usize, &'static str)> {
        let columns = [
            (self.address, "address"),
            (self.key, "key"),
            (self.scope, "scope"),
            (self.list, "list"),
            (self.reason, "reason"),
            (self.source, "source"),
            (self.at, "since"),
            (self.expires_at, "until"),
            (self.tags, "list"),
            (self.code, "mark of a list of bounces"),
            (self.error, "mark of a list of bounces"),
        ];
        columns.into_iter().filter_map(|(column, name)| Some((column?, name)))
    }

    /// The defaults of a vendor's file follow from its columns.
    fn defaults(&self, source: String, at: DateTime<Utc>) -> Defaults {
        let (scope, reason) = if self.code.is_some() && self.error.is_some() {
            (SuppressionScope::All, SuppressionReason::HardBounce)
        } else if self.tags.is_some() {
            (SuppressionScope::Marketing, SuppressionReason::Unsubscribed)
        } else if self.at.is_some() && self.scope.is_none() && self.reason.is_none() {
            (SuppressionScope::All, SuppressionReason::Complaint)
        } else {
            (SuppressionScope::All, SuppressionReason::Manual)
        };
        Defaults { scope, reason, source, at }
    }
}

fn brevo_code(reason: &str) -> &str {
    if reason.starts_with("unsubscribedVia") {
        "unsubscribed"
    } else if reason == "unsubscribed" {
        ""
    } else {
        reason
    }
}

/// A timestamp; one without an offset is UTC, a date is its midnight.
fn parse_timestamp(text: &str) -> Option<DateTime<Utc>> {
    match TimeFormat::new().parse(text) {
        Ok(Stamp::Instant(at)) => Some(at),
        Ok(Stamp::Local(at)) => Some(at.and_utc()),
        Err(_) => None,
    }
}

/// Whether a spreadsheet would run a field as a formula (OWASP, CSV injection), full-width signs included.
fn is_formula(text: &str) -> bool {
    let first =
        text.trim_start_matches([' ', '\'', '"', ',', ';', '\n', '\u{feff}', '\u{a0}']).chars().next();
    let first = if text.starts_with(['\t', '\r', '\0']) { Some('=') } else { first };
    matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\0' | '＝' | '＋' | '－' | '＠'))
}

/// A field without the apostrophe that protects it from being run as a formula.
fn bare(text: &str) -> &str {
    text.strip_prefix('\'').filter(|rest| is_formula(rest)).unwrap_or(text)
}

fn guarded(text: &str) -> String {
    if is_formula(text) { format!("'{text}") } else { text.to_owned() }
}

/// What an import did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SuppressionImport {
    /// Rows of the file.
    pub rows: u64,
    /// Suppressions that were new, by person and scope.
    pub added: u64,
    /// Rows that cannot be read.
    pub quarantined: u64,
    /// The first hundred of them.
    pub first_quarantined: Vec<Quarantined>,
}

/// Imports suppressions; see [`Outbox::import_suppressions`](crate::Outbox::import_suppressions).
pub(super) async fn import<R: Read>(store: &Store, file: Suppressions<R>) -> Result<SuppressionImport> {
    let mut report = SuppressionImport::default();
    let mut batch = Vec::new();
    for row in file {
        report.rows += 1;
        match row? {
            SuppressionRow::Suppression(row) => batch.push(StoredSuppression::from(&*row)),
            SuppressionRow::Erased(row) => batch.push(row.0),
            SuppressionRow::Quarantined(row) => {
                report.quarantined += 1;
                if report.first_quarantined.len() < KEPT {
                    report.first_quarantined.push(row);
                }
            }
        }
        if batch.len() >= BATCH {
            report.added += suppression::add_stored(store, &std::mem::take(&mut batch)).await?;
        }
    }
    if !batch.is_empty() {
        report.added += suppression::add_stored(store, &batch).await?;
    }
    Ok(report)
}

/// Exports suppressions; see [`Outbox::export_suppressions`](crate::Outbox::export_suppressions).
pub(super) async fn export<W: Write>(store: &Store, out: W, now: DateTime<Utc>) -> Result<u64> {
    const OPERATION: &str = "export suppressions";
    let unwritable =
        |cause: csv::Error| Error::new(ErrorKind::Storage, SERVICE, OPERATION).with_source(cause);
    let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(out);
    writer
        .write_record(["address", "scope", "list", "reason", "source", "at", "expires_at", "key"])
        .map_err(unwritable)?;
    let written = |millis: i64| -> Result<String> {
        Ok(timestamp(millis)?.to_rfc3339_opts(SecondsFormat::Millis, true))
    };
    let (mut key, mut scope, mut list, mut count) = (String::new(), String::new(), String::new(), 0);
    loop {
        let rows = store
            .all(
                OPERATION,
                "SELECT address_key, scope, list, coalesce(address, '') AS address, reason, source, at, expires_at
                   FROM mail_suppressions
                  WHERE (address_key, scope, list) > ($1, $2, $3) AND (expires_at IS NULL OR expires_at > $4)
                  ORDER BY address_key, scope, list LIMIT $5",
                values![&key, &scope, &list, super::millis(now), PAGE],
            )
            .await?;
        let Some(last) = rows.last() else { break };
        last.text("address_key")?.clone_into(&mut key);
        last.text("scope")?.clone_into(&mut scope);
        last.text("list")?.clone_into(&mut list);
        for row in &rows {
            let ends = row.maybe_number("expires_at")?.map(written).transpose()?.unwrap_or_default();
            let fields = [
                guarded(row.text("address")?),
                row.text("scope")?.to_owned(),
                guarded(row.text("list")?),
                row.text("reason")?.to_owned(),
                guarded(row.text("source")?),
                written(row.number("at")?)?,
                ends,
                row.text("address_key")?.to_owned(),
            ];
            writer.write_record(&fields).map_err(unwritable)?;
            count += 1;
        }
    }
    writer.flush().map_err(|cause| unwritable(cause.into()))?;
    Ok(count)
}
