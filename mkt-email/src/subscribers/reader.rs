//! The reader of subscribers.

use crate::message::{DisplayName, EmailAddress, MessageError};
use chrono::NaiveDate;
use foldhash::fast::RandomState;
use mkt_connect::table::cell::{self, CellError, DateOrder, Missing, Stamp, TimeFormat};
use mkt_connect::table::{
    AmbiguousColumn, Found, Quarantined, ReadError, ReadOptions, Reason, Record, Table,
};
use mkt_connect::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

const SERVICE: &str = "subscribers";
const OPERATION: &str = "read";
/// Addresses remembered to find duplicates: 740 MB when full.
const MAX_DISTINCT: usize = 20_000_000;

/// The columns that are looked for by default, in French and English, as exports of common programs name them. See
/// [`fold`](mkt_connect::table::fold) for what counts of a name.
const EMAIL: [&str; 12] = [
    "email",
    "mail",
    "courriel",
    "adresse e-mail",
    "adresse mail",
    "email address",
    "courrier électronique",
    "adresse électronique",
    "adresse de messagerie",
    "e-mail 1 - value",
    "primary email",
    "subscriber email",
];
const FIRST_NAME: [&str; 5] = ["prénom", "first name", "given name", "forename", "fname"];
const SIGNED_UP_ON: [&str; 14] = [
    "date_inscription",
    "date d'inscription",
    "inscrit le",
    "signup_date",
    "sign-up date",
    "signed_up_on",
    "subscribed_on",
    "subscription date",
    "optin_time",
    "added_time",
    "date added",
    "created at",
    "date d'ajout",
    "date",
];

/// How a file of subscribers is read.
///
/// ```
/// use mkt_connect::table::cell::DateOrder;
/// use mkt_email::Subscribers;
/// use mkt_email::subscribers::Options;
/// let file = "Contact;Inscription\njean@example.org;03/02/2025\n";
/// let options = Options::new().email("Contact").signed_up_on("Inscription").date_order(DateOrder::DayFirst);
/// let mut reader = Subscribers::read_with(file.as_bytes(), &options)?;
/// assert!(reader.next().is_some());
/// # Ok::<(), mkt_email::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Options {
    email: Option<String>,
    first_name: Option<String>,
    signed_up_on: Option<String>,
    table: ReadOptions,
    date_order: Option<DateOrder>,
    requires_date: bool,
}

impl Options {
    /// The defaults: delimiter, encoding and columns are found.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares the column of the address. Default: `email`, `courriel`, `adresse email`, `email 1 - value` and the
    /// like. Of a name only letters and digits count, without case and accents.
    #[must_use]
    pub fn email(mut self, column: impl Into<String>) -> Self {
        self.email = Some(column.into());
        self
    }

    /// Declares the column of the first name. Default: `prénom`, `first name`, `given name` and the like, if there.
    #[must_use]
    pub fn first_name(mut self, column: impl Into<String>) -> Self {
        self.first_name = Some(column.into());
        self
    }

    /// Declares the column of the day of the sign-up. Default: `date_inscription`, `optin_time`, `date added` and the
    /// like, if there.
    #[must_use]
    pub fn signed_up_on(mut self, column: impl Into<String>) -> Self {
        self.signed_up_on = Some(column.into());
        self
    }

    /// Declares the column of a field by name, for programs with an option such as `--map Contact=email`. The fields are
    /// `email`, `first_name` (or `prenom`) and `signed_up_on` (or `date_inscription`).
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for an unknown field; the error lists the fields.
    pub fn map(self, column: &str, field: &str) -> Result<Self> {
        match field {
            "email" => Ok(self.email(column)),
            "first_name" | "prenom" => Ok(self.first_name(column)),
            "signed_up_on" | "date_inscription" => Ok(self.signed_up_on(column)),
            _ => Err(invalid(format!(
                "unknown field {field:?}: expected email, first_name (prenom) or signed_up_on (date_inscription)"
            ))),
        }
    }

    /// Declares the delimiter, the encoding, lines to skip, or what happens to short rows.
    #[must_use]
    pub fn table(mut self, options: ReadOptions) -> Self {
        self.table = options;
        self
    }

    /// Declares the order of day and month in dates such as `03/02/2025`. Default: such dates are not understood, because
    /// they have two meanings.
    #[must_use]
    pub fn date_order(mut self, order: impl Into<Option<DateOrder>>) -> Self {
        self.date_order = order.into();
        self
    }

    /// Quarantines rows whose date is not understood, for templates that show it. Default: off; the date is `None` then,
    /// and [`RowCounts::unread_dates`] counts them.
    #[must_use]
    pub fn require_dates(mut self, on: bool) -> Self {
        self.requires_date = on;
        self
    }
}

/// A person of the file.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscriber {
    /// The line on which the row begins, from 1.
    pub line: u64,
    /// The address.
    pub email: EmailAddress,
    /// The first name; `None` without a column, and for an empty cell, one without a letter, and words for "missing" such
    /// as `NULL` and `n/a`.
    pub first_name: Option<DisplayName>,
    /// The day of the sign-up; `None` without a column and for an empty cell or one that is not understood.
    pub signed_up_on: Option<NaiveDate>,
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("line", &self.line)
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// What a row of the file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A person seen for the first time in the file.
    Subscriber(Subscriber),
    /// A person whom an earlier row named already.
    Duplicate {
        /// The line of this row.
        line: u64,
        /// The line of the first one.
        first: u64,
    },
    /// A row that cannot be used, with its line, offset, bytes and reason.
    Quarantined(Quarantined),
}

/// Counts of rows. `rows = subscribers + duplicates + quarantined`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RowCounts {
    /// Rows read, without the header and blank rows.
    pub rows: u64,
    /// Usable rows.
    pub subscribers: u64,
    /// Repetitions.
    pub duplicates: u64,
    /// Unusable rows.
    pub quarantined: u64,
    /// Subscribers whose date was not understood.
    pub unread_dates: u64,
}

/// Reads subscribers row by row, in memory that does not grow with the file, except 25 to 50 bytes per address to find
/// duplicates (46 MB for a million).
///
/// Delimiter (`,` `;` tab `|`), encoding (UTF-8, UTF-16, Windows-1252), a line `sep=;` and the columns are found; see
/// [`mkt_connect::table`] for the rules and [`found`](Self::found) for what was found. [`Options`] declare what the file
/// does not tell.
///
/// White space, no-break spaces, zero-width characters and byte order marks around a cell are trimmed. A domain beyond
/// ASCII is read as its `xn--` form. Rows of empty cells are skipped. Two rows are one person when their addresses differ
/// in nothing but case.
///
/// ```
/// use mkt_email::Subscribers;
/// use mkt_email::subscribers::Row;
/// let file = "email;prenom;date_inscription\njean@example.org;Jean;2025-01-15\nJEAN@example.org;;\nnobody;X;\n";
/// let mut reader = Subscribers::read(file.as_bytes())?;
/// let people: Vec<_> = reader
///     .by_ref()
///     .filter_map(|row| match row {
///         Ok(Row::Subscriber(person)) => Some(person),
///         _ => None,
///     })
///     .collect();
/// assert_eq!(people.len(), 1);
/// let counts = reader.counts();
/// assert_eq!((counts.rows, counts.duplicates, counts.quarantined), (3, 1, 1));
/// # Ok::<(), mkt_email::Error>(())
/// ```
#[derive(Debug)]
pub struct Subscribers<R: Read> {
    table: Table<R>,
    cells: Cells,
    first_lines: HashMap<[u8; 16], Line, RandomState>,
    counts: RowCounts,
    first_unread_date: Option<(u64, CellError)>,
    ended: bool,
}

/// Which column is what, and how cells are read.
#[derive(Debug)]
struct Cells {
    email: usize,
    first_name: Option<usize>,
    signed_up_on: Option<usize>,
    date_order: Option<DateOrder>,
    requires_date: bool,
    missing: Missing,
}

/// A line number in five bytes: enough for a trillion lines, and a fifth off the table.
#[derive(Debug, Clone, Copy)]
struct Line([u8; 5]);

impl Line {
    fn new(line: u64) -> Self {
        let [_, _, _, bytes @ ..] = line.min((1 << 40) - 1).to_be_bytes();
        Self(bytes)
    }

    fn get(self) -> u64 {
        self.0.iter().fold(0, |line, byte| (line << 8) | u64::from(*byte))
    }
}

impl Subscribers<File> {
    /// Opens a file with the default [`Options`].
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with), and [`ErrorKind::Storage`] when the file cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|cause| {
            Error::new(ErrorKind::Storage, SERVICE, OPERATION)
                .with_detail(format!("the file {} cannot be opened", path.display()))
                .with_source(cause)
        })?;
        Subscribers::read(file)
    }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::Input, SERVICE, OPERATION).with_detail(detail)
}

fn unreadable(error: ReadError) -> Error {
    error.into_error(SERVICE, OPERATION)
}

impl<R: Read> Subscribers<R> {
    /// Reads with the default [`Options`].
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with).
    pub fn read(input: R) -> Result<Self> {
        Self::read_with(input, &Options::default())
    }

    /// Reads the header and prepares for the rows.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for an empty file, a header without an address column or a declared one, and two columns of a
    /// name that is read; [`ErrorKind::Storage`] when reading fails.
    pub fn read_with(input: R, options: &Options) -> Result<Self> {
        let mut table = options.table.open(input).map_err(unreadable)?;
        let mut column = |declared: Option<&String>, usual: &[&str], field: &str| -> Result<Option<usize>> {
            let ambiguous = |error: AmbiguousColumn| invalid(error.to_string());
            let found = match declared {
                Some(name) => Some(
                    table
                        .header()
                        .find(&[name])
                        .map_err(ambiguous)?
                        .ok_or_else(|| invalid(format!("the header has no column {name:?}")))?,
                ),
                None => table.header().find(usual).map_err(ambiguous)?,
            };
            if let Some(index) = found {
                table.found_mut().read_as(index, field);
            }
            Ok(found)
        };
        let email = column(options.email.as_ref(), &EMAIL, "email")?;
        let first_name = column(options.first_name.as_ref(), &FIRST_NAME, "first name")?;
        let signed_up_on = column(options.signed_up_on.as_ref(), &SIGNED_UP_ON, "date of sign-up")?;
        let email = email.ok_or_else(|| {
            let names: Vec<String> = (0..table.header().len().min(12))
                .map(|index| {
                    table.header().label(index).chars().filter(|c| !c.is_control()).take(40).collect()
                })
                .collect();
            // A file without a header has an address there.
            let shown = names.iter().all(|name| !name.contains('@'));
            let columns = if shown { format!(" (columns: {})", names.join(", ")) } else { String::new() };
            invalid(format!("the header has no column of addresses{columns}; name it, or call it email"))
        })?;
        let cells = Cells {
            email,
            first_name,
            signed_up_on,
            date_order: options.date_order,
            requires_date: options.requires_date,
            missing: Missing::words(["null", "(null)", "n/a", "#n/a", "\\n", "nan", "(not set)", "<na>"]),
        };
        Ok(Subscribers {
            table,
            cells,
            first_lines: HashMap::default(),
            counts: RowCounts::default(),
            first_unread_date: None,
            ended: false,
        })
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> RowCounts {
        self.counts
    }

    /// What was found out about the file: encoding, delimiter, which column is read as what and which are not read.
    #[must_use]
    pub fn found(&self) -> &Found {
        self.table.found()
    }

    /// The line of the first date that was not understood, and why.
    #[must_use]
    pub fn first_unread_date(&self) -> Option<(u64, &CellError)> {
        self.first_unread_date.as_ref().map(|(line, error)| (*line, error))
    }
}

impl Cells {
    fn person(&self, row: &Record<'_>) -> Result<(Subscriber, Option<CellError>), Reason> {
        let rule = |code| move |error: MessageError| Reason::rule(code, error.to_string());
        let address = row.cell(self.email);
        let email = EmailAddress::parse(address)
            .map_err(|error| Reason::rule("email", address_problem(address, &error)))?;
        let first_name = match self.first_name.map(|index| row.cell(index)) {
            Some(name) if !self.missing.is(name) && name.contains(char::is_alphabetic) => {
                Some(DisplayName::parse(name).map_err(rule("first_name"))?)
            }
            _ => None,
        };
        let day = self.signed_up_on.map(|index| day(row.cell(index), self.date_order, &self.missing));
        let (signed_up_on, unread) = match day {
            Some(Err(error)) if self.requires_date => return Err(Reason::cell("date of sign-up", error)),
            Some(Err(error)) => (None, Some(error)),
            Some(Ok(day)) => (day, None),
            None => (None, None),
        };
        Ok((Subscriber { line: row.line(), email, first_name, signed_up_on }, unread))
    }
}

/// Why a cell is no address. Never repeats the cell.
fn address_problem(cell: &str, error: &MessageError) -> String {
    let syntax = matches!(error, MessageError::Syntax { .. });
    if syntax && cell.matches('@').count() > 1 {
        "several addresses in one cell: expected one".to_owned()
    } else if syntax && (cell.contains(['<', '>']) || cell.starts_with("mailto:")) {
        "the address is not well-formed: expected the address alone, without name, < > or mailto:".to_owned()
    } else if syntax && !cell.contains('@') {
        "the address is not well-formed: no @".to_owned()
    } else {
        error.to_string()
    }
}

/// The day of a date or a timestamp, as written.
fn day(text: &str, order: Option<DateOrder>, missing: &Missing) -> Result<Option<NaiveDate>, CellError> {
    if let Some(day) = cell::plain_date(text) {
        return Ok(Some(day));
    }
    if missing.is(text) || cell::is_zero_date(text) {
        return Ok(None);
    }
    let error = match cell::date(text, order) {
        Ok(day) => return Ok(Some(day)),
        Err(error) => error,
    };
    match TimeFormat::new().date_order(order).parse(text) {
        Ok(Stamp::Local(at)) => Ok(Some(at.date())),
        Ok(Stamp::Instant(at)) => Ok(Some(at.date_naive())),
        Err(timestamp) if timestamp.problem == cell::CellProblem::DateOrder => Err(timestamp),
        Err(_) => Err(error),
    }
}

impl<R: Read> Iterator for Subscribers<R> {
    type Item = Result<Row>;

    /// The next row. An `Err` ends the reading: the file cannot be read any further.
    fn next(&mut self) -> Option<Result<Row>> {
        while !self.ended {
            let row = match self.table.next() {
                Ok(Some(Ok(row))) if row.is_blank() => continue,
                Ok(Some(row)) => row,
                Ok(None) => {
                    self.ended = true;
                    break;
                }
                Err(error) => {
                    self.ended = true;
                    return Some(Err(unreadable(error)));
                }
            };
            self.counts.rows += 1;
            let read = row.and_then(|row| self.cells.person(&row).map_err(|reason| row.quarantine(reason)));
            let (person, unread) = match read {
                Ok(read) => read,
                Err(row) => {
                    self.counts.quarantined += 1;
                    return Some(Ok(Row::Quarantined(row)));
                }
            };
            if self.first_lines.len() >= MAX_DISTINCT {
                self.ended = true;
                return Some(Err(invalid("the file has more than 20 million addresses")));
            }
            let line = person.line;
            return Some(Ok(match self.first_lines.entry(fingerprint(&person.email)) {
                Entry::Occupied(first) => {
                    self.counts.duplicates += 1;
                    Row::Duplicate { line, first: first.get().get() }
                }
                Entry::Vacant(free) => {
                    free.insert(Line::new(line));
                    self.counts.subscribers += 1;
                    if let Some(error) = unread {
                        self.counts.unread_dates += 1;
                        self.first_unread_date.get_or_insert((line, error));
                    }
                    Row::Subscriber(person)
                }
            }));
        }
        None
    }
}

/// 128 of the 256 bits of the hash of the address: enough that no two addresses share them.
fn fingerprint(address: &EmailAddress) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&address.digest()[..16]);
    half
}
