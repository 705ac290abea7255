//! Suppressions as CSV, out and in: own lists, and what vendors keep.
//!
//! # Out
//!
//! One row per person and scope, with a header: `address,scope,list,reason,source,at,expires_at,key`. A person who was
//! erased has no address and is named by the key of the address. Every field is quoted, and one that a spreadsheet
//! would take for a formula begins with an apostrophe (OWASP, CSV injection), which reading takes off again.
//!
//! # In
//!
//! The separator (`,` or `;`) and a byte order mark are found by looking. Columns are found by their names:
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
//! read November 2026), the names a table made from that answer has; `hardBounce` is a hard bounce,
//! `contactFlaggedAsSpam` a complaint, `adminBlocked` manual, all of scope all; `unsubscribedVia…` is unsubscribed, scope
//! marketing. A file with nothing but addresses is taken as the options of the reader say.
//!
//! A row that does not read is set aside with its line and the reason; the others go. A quote that is not closed costs
//! one line: nobody behind it is forgotten.

use super::store::{Store, values};
use super::suppression::{self, StoredSuppression, Suppression, SuppressionReason, SuppressionScope};
use super::{SERVICE, timestamp};
use crate::EmailAddress;
use crate::subscribers::records::Records;
use chrono::{DateTime, SecondsFormat, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, Read, Write};

const MARK: &[u8] = b"\xef\xbb\xbf";
const PAGE: i64 = 1000;
/// Rows to a transaction.
const BATCH: usize = 1000;
/// A line longer than this is no row of a suppression list.
const LONGEST_RECORD: usize = 64 * 1024;
/// Row errors kept by an import.
const KEPT: usize = 100;

/// Why a row of a suppression file does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SuppressionProblem {
    /// The address is none.
    Address,
    /// Neither an address nor the key of one.
    Nobody,
    /// A scope other than `all`, `marketing` and `list`, or `list` without a list's name.
    Scope,
    /// A reason that is not known.
    Reason,
    /// An instant that is none (RFC 3339, RFC 2822 or `YYYY-MM-DD HH:MM:SS` in UTC).
    Instant,
    /// The row is not CSV, not UTF-8 or too long.
    Broken,
}

impl fmt::Display for SuppressionProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "the address is not an e-mail address",
            Self::Nobody => "there is no address",
            Self::Scope => "the scope is not all, marketing or list with the name of a list",
            Self::Reason => "the reason is not known",
            Self::Instant => "an instant does not read",
            Self::Broken => "the row does not read",
        })
    }
}

/// A row that does not read. It repeats nothing of the row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
#[non_exhaustive]
pub struct SuppressionRowError {
    /// The line in the file on which the row begins; the first is 1.
    pub line: u64,
    /// What is wrong.
    pub problem: SuppressionProblem,
}

/// A row of a suppression file.
#[derive(Debug)]
#[non_exhaustive]
pub enum SuppressionRow {
    /// Somebody who must not be mailed.
    Suppression(Box<Suppression>),
    /// Somebody who was erased and must not be mailed: only the key of the address is known.
    Erased(ErasedSuppression),
    /// It does not read.
    Bad(SuppressionRowError),
}

/// The suppression of somebody who was erased; it can be imported and nothing else.
pub struct ErasedSuppression(StoredSuppression);

impl fmt::Debug for ErasedSuppression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ErasedSuppression({}, {})", self.0.scope, self.0.reason)
    }
}

/// Which column is what.
#[derive(Debug, Default)]
struct Columns(BTreeMap<&'static str, usize>);

/// What a file that says nothing about it means.
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
/// assert!(matches!(&rows[1], SuppressionRow::Bad(error) if error.line == 3));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Suppressions<R> {
    records: Records<R>,
    columns: Columns,
    defaults: Defaults,
    ended: bool,
}

impl<R> fmt::Debug for Suppressions<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Suppressions").field("columns", &self.columns).finish_non_exhaustive()
    }
}

fn unreadable(cause: io::Error) -> Error {
    let error = |kind| Error::new(kind, SERVICE, "read suppressions");
    match cause.kind() {
        io::ErrorKind::FileTooLarge => {
            error(ErrorKind::Input).with_detail("a line has no end within 64 mebibytes")
        }
        _ => error(ErrorKind::Storage).with_source(cause),
    }
}

impl<R: Read> Suppressions<R> {
    /// Reads the header. `source` and `at` are used for rows that name none.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for a file without a column of addresses; [`ErrorKind::Storage`] when it cannot be read.
    pub fn read(file: R, source: impl Into<String>, at: DateTime<Utc>) -> Result<Self> {
        let input = |detail| Error::new(ErrorKind::Input, SERVICE, "read suppressions").with_detail(detail);
        let mut records = Records::new(file);
        if records.peek_line().map_err(unreadable)?.starts_with(MARK) {
            records.skip(MARK.len());
        }
        let header = records.peek_line().map_err(unreadable)?;
        let count = |separator: u8| header.iter().filter(|byte| **byte == separator).count();
        records.delimiter = if count(b';') > count(b',') { b';' } else { b',' };
        match records.next().map_err(unreadable)? {
            Some(place) if place.fault.is_some() => return Err(input("the header does not read")),
            _ => {}
        }
        let columns = Columns::of((0..records.width()).map(|at| records.field(at).0));
        if !columns.has("address") && !columns.has("key") {
            return Err(input("there is no column of addresses (address, email or key)"));
        }
        let defaults = columns.defaults(source.into(), at);
        Ok(Self { records, columns, defaults, ended: false })
    }

    /// What a file that names no scope and no reason means: without this, that somebody decided, for all mail.
    #[must_use]
    pub fn meaning(mut self, scope: SuppressionScope, reason: SuppressionReason) -> Self {
        self.defaults.scope = scope;
        self.defaults.reason = reason;
        self
    }

    fn row(&self) -> Result<SuppressionRow, SuppressionProblem> {
        let field = |name: &str| -> Result<Cow<'_, str>, SuppressionProblem> {
            let Some(at) = self.columns.0.get(name) else { return Ok(Cow::Borrowed("")) };
            let (bytes, doubled) = self.records.field(*at);
            let text = std::str::from_utf8(bytes).map_err(|_| SuppressionProblem::Broken)?;
            Ok(match doubled {
                true => Cow::Owned(bare(text.replace("\"\"", "\"").trim()).to_owned()),
                false => Cow::Borrowed(bare(text.trim())),
            })
        };
        let at = match &*field("at")? {
            "" => self.defaults.at,
            text => parse_instant(text).ok_or(SuppressionProblem::Instant)?,
        };
        let expires_at = match &*field("expires_at")? {
            "" => None,
            text => Some(parse_instant(text).ok_or(SuppressionProblem::Instant)?),
        };
        let (mut scope, mut reason) = (self.defaults.scope.clone(), self.defaults.reason);
        if let text @ ("hardBounce" | "contactFlaggedAsSpam" | "adminBlocked" | "unsubscribed") =
            brevo_code(&field("reason")?)
        {
            (scope, reason) = match text {
                "hardBounce" => (SuppressionScope::All, SuppressionReason::HardBounce),
                "contactFlaggedAsSpam" => (SuppressionScope::All, SuppressionReason::Complaint),
                "adminBlocked" => (SuppressionScope::All, SuppressionReason::Manual),
                _ => (SuppressionScope::Marketing, SuppressionReason::Unsubscribed),
            };
        } else if !field("reason")?.is_empty() {
            reason = field("reason")?.parse().map_err(|()| SuppressionProblem::Reason)?;
        }
        let list = field("list")?;
        scope = match &*field("scope")? {
            "" => match &*field("tags")? {
                "" | "*" => scope,
                // Several, or in a form that is not known: rather too much than too little.
                tags if tags.contains([',', ';', '[', '*']) => scope,
                tag => SuppressionScope::List(tag.to_owned()),
            },
            "all" => SuppressionScope::All,
            "marketing" => SuppressionScope::Marketing,
            "list" if !list.is_empty() => SuppressionScope::List(list.into_owned()),
            _ => return Err(SuppressionProblem::Scope),
        };
        let source = match &*field("source")? {
            "" => self.defaults.source.clone(),
            text => text.to_owned(),
        };
        match (&*field("address")?, &*field("key")?) {
            ("", "") => Err(SuppressionProblem::Nobody),
            ("", key) => {
                let digits = key.len() == 64 && key.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                if !digits {
                    return Err(SuppressionProblem::Address);
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
                let address = EmailAddress::parse(address).map_err(|_| SuppressionProblem::Address)?;
                let row = Suppression { address, scope, reason, source, at, expires_at };
                Ok(SuppressionRow::Suppression(Box::new(row)))
            }
        }
    }
}

impl<R: Read> Iterator for Suppressions<R> {
    type Item = Result<SuppressionRow>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let place = match self.records.next() {
            Ok(Some(place)) => place,
            other => {
                self.ended = true;
                return other.err().map(|cause| Err(unreadable(cause)));
            }
        };
        let whole = place.fault.is_none() && self.records.bytes().len() <= LONGEST_RECORD;
        let row = if whole { self.row() } else { Err(SuppressionProblem::Broken) };
        let bad = |problem| SuppressionRow::Bad(SuppressionRowError { line: place.line, problem });
        Some(Ok(row.unwrap_or_else(bad)))
    }
}

impl Columns {
    fn of<'a>(headers: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut columns = BTreeMap::new();
        for (at, name) in headers.enumerate() {
            let name = String::from_utf8_lossy(name).trim().to_ascii_lowercase();
            let name = match bare(&name) {
                "address" | "email" | "e-mail" | "adresse" => "address",
                "key" => "key",
                "scope" => "scope",
                "list" => "list",
                "reason" | "reason.code" | "reason_code" => "reason",
                "source" => "source",
                "at" | "created_at" | "blockedat" | "blocked_at" => "at",
                "expires_at" => "expires_at",
                "code" => "code",
                "error" => "error",
                "tags" => "tags",
                _ => continue,
            };
            columns.entry(name).or_insert(at);
        }
        Self(columns)
    }

    fn has(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// What a vendor's file means is told by its columns.
    fn defaults(&self, source: String, at: DateTime<Utc>) -> Defaults {
        let (scope, reason) = if self.has("code") && self.has("error") {
            (SuppressionScope::All, SuppressionReason::HardBounce)
        } else if self.has("tags") {
            (SuppressionScope::Marketing, SuppressionReason::Unsubscribed)
        } else if self.has("at") && !self.has("scope") && !self.has("reason") {
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

fn parse_instant(text: &str) -> Option<DateTime<Utc>> {
    let plain =
        || chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok().map(|at| at.and_utc());
    // Mailgun ends its dates with the name of a zone that RFC 2822 calls obsolete, and sometimes with "UTC".
    let named = text.strip_suffix("UTC").map(|head| format!("{head}GMT"));
    let mail = DateTime::parse_from_rfc2822(named.as_deref().unwrap_or(text));
    let at = DateTime::parse_from_rfc3339(text).or(mail).map(|at| at.to_utc()).ok();
    at.or_else(plain)
}

/// Whether a spreadsheet would take a field for a formula (OWASP, CSV injection), full-width signs included.
fn is_formula(text: &str) -> bool {
    let first =
        text.trim_start_matches([' ', '\'', '"', ',', ';', '\n', '\u{feff}', '\u{a0}']).chars().next();
    let first = if text.starts_with(['\t', '\r', '\0']) { Some('=') } else { first };
    matches!(first, Some('=' | '+' | '-' | '@' | '\t' | '\r' | '\0' | '＝' | '＋' | '－' | '＠'))
}

/// A field without the apostrophe that kept it from being a formula.
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
    /// Suppressions that were not there, by person and scope.
    pub added: u64,
    /// Rows that do not read.
    pub bad: u64,
    /// The first hundred of them.
    pub errors: Vec<SuppressionRowError>,
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
            SuppressionRow::Bad(error) => {
                report.bad += 1;
                if report.errors.len() < KEPT {
                    report.errors.push(error);
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
