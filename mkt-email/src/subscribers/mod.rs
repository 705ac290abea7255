//! Subscribers from a CSV file, one row at a time: memory does not grow with the file, except for some forty bytes
//! per address to recognise duplicates.
//!
//! Rows that do not fit are handed out as [`RowError`]s with their line and bytes, never skipped in silence:
//! rows read = subscribers + quarantined + duplicates. Nothing here writes or sends.

use crate::message::{DisplayName, EmailAddress, Unfit};
use chrono::NaiveDate;
use csv::ByteRecord;
use mkt_connect::{Error, ErrorKind, Result};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const SERVICE: &str = "subscribers";
/// A row longer than this is an unclosed quote, not a subscriber.
const MAX_ROW: usize = 1 << 20;
/// Addresses remembered to find duplicates: some 40 bytes each, so 800 MB when full.
const MAX_DISTINCT: usize = 20_000_000;
const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";

/// The names of the columns. Upper and lower case, accents and surrounding white space do not matter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Names under which the address may stand. The column must be there.
    pub email: Vec<String>,
    /// Names under which the first name may stand.
    pub prenom: Vec<String>,
    /// Names under which the day of the sign-up may stand.
    pub date_inscription: Vec<String>,
}

impl Default for Columns {
    /// The course's `email,prenom,date_inscription`, and what exports of common tools call them.
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            email: names(&["email", "e-mail", "mail", "courriel", "adresse e-mail", "email address"]),
            prenom: names(&["prenom", "first_name", "first name", "firstname"]),
            date_inscription: names(&["date_inscription", "signup_date", "signed_up_on", "date"]),
        }
    }
}

/// One person of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscriber {
    /// The line on which the row begins, from 1.
    pub line: u64,
    /// The address.
    pub email: EmailAddress,
    /// The first name, unless the field is empty or the column is missing.
    pub prenom: Option<DisplayName>,
    /// The day of the sign-up, unless the field is empty or the column is missing.
    pub date_inscription: Option<NaiveDate>,
}

impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("line", &self.line)
            .field("email", &self.email)
            .finish_non_exhaustive()
    }
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RowProblem {
    /// The address or the name cannot stand in a mail.
    #[error(transparent)]
    Unfit(#[from] Unfit),
    /// The date is not one.
    #[error("the sign-up date is not of the form 2025-01-15")]
    Date,
    /// Fields are missing or too many.
    #[error("the row has {got} fields, the header has {expected}")]
    Fields {
        /// As many as the header has.
        expected: usize,
        /// As many as there are.
        got: usize,
    },
}

/// A row set aside.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct RowError {
    /// The line on which the row begins, from 1.
    pub line: u64,
    /// The byte at which the row begins, from 0, counted after a byte order mark.
    pub offset: u64,
    /// What is wrong with it.
    pub problem: RowProblem,
    fields: ByteRecord,
}

impl RowError {
    /// The fields as they were read, undecoded. Personal data.
    #[must_use]
    pub fn raw(&self) -> Vec<Vec<u8>> {
        self.fields.iter().map(<[u8]>::to_vec).collect()
    }
}

impl fmt::Debug for RowError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowError(line {}, offset {}: {})", self.line, self.offset, self.problem)
    }
}

/// What one row turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Row {
    /// A person seen for the first time in the file.
    Subscriber(Subscriber),
    /// A person whom an earlier row named already.
    Duplicate {
        /// This row's line.
        line: u64,
        /// The line of the first one.
        first: u64,
    },
    /// A row that cannot be used.
    Quarantined(RowError),
}

/// How many rows turned out to be what. `rows = subscribers + duplicates + quarantined`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// Rows read, without the header.
    pub rows: u64,
    /// Usable ones.
    pub subscribers: u64,
    /// Repetitions.
    pub duplicates: u64,
    /// Unusable ones.
    pub quarantined: u64,
}

/// Reads subscribers row by row.
///
/// `,`, `;` or tab is recognised from the header line. Text is UTF-8, with or without a byte order mark; a field that
/// is not UTF-8 is read as Windows-1252, of which Latin-1 is a part. Empty lines are no rows.
///
/// ```
/// use mkt_email::{Row, Subscribers};
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
/// # Ok::<(), mkt_connect::Error>(())
/// ```
#[derive(Debug)]
pub struct Subscribers<R: Read> {
    csv: csv::Reader<Bounded<R>>,
    allowance: Arc<AtomicUsize>,
    width: usize,
    email: usize,
    prenom: Option<usize>,
    date: Option<usize>,
    record: ByteRecord,
    first_lines: HashMap<u128, u64>,
    counts: RowCounts,
    ended: bool,
}

impl Subscribers<File> {
    /// Opens a file with the default [`Columns`].
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with), and [`ErrorKind::Storage`] when the file cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = File::open(path).map_err(|cause| {
            fail(ErrorKind::Storage, format!("the file {} cannot be opened", path.display()))
                .with_source(cause)
        })?;
        Subscribers::read(file)
    }
}

fn fail(kind: ErrorKind, detail: impl Into<String>) -> Error {
    Error::new(kind, SERVICE, "read").with_detail(detail)
}

impl<R: Read> Subscribers<R> {
    /// Reads with the default [`Columns`].
    ///
    /// # Errors
    /// As [`read_with`](Self::read_with).
    pub fn read(input: R) -> Result<Self> {
        Self::read_with(input, &Columns::default())
    }

    /// Reads the header and gets ready for the rows.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for an empty file, a header without an address column, UTF-16, or a first line without
    /// end; [`ErrorKind::Storage`] when reading fails.
    pub fn read_with(input: R, columns: &Columns) -> Result<Self> {
        let mut input = BufReader::with_capacity(64 * 1024, input);
        let mut head = Vec::new();
        (&mut input)
            .take(MAX_ROW as u64)
            .read_until(b'\n', &mut head)
            .map_err(|cause| fail(ErrorKind::Storage, "the file cannot be read").with_source(cause))?;
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || head.contains(&0) {
            return Err(fail(ErrorKind::Input, "the file is UTF-16 or binary; save it as UTF-8"));
        }
        if head.starts_with(UTF8_BOM) {
            head.drain(..UTF8_BOM.len());
        }
        if head.iter().all(u8::is_ascii_whitespace) {
            return Err(fail(ErrorKind::Input, "the file is empty or begins with an empty line"));
        }
        if head.len() >= MAX_ROW {
            return Err(fail(ErrorKind::Input, "the first line has no end within one mebibyte"));
        }
        let count = |byte: u8| head.iter().filter(|&&b| b == byte).count();
        let delimiter = [b',', b';', b'\t'].into_iter().max_by_key(|&byte| (count(byte), byte == b','));
        let allowance = Arc::new(AtomicUsize::new(MAX_ROW));
        let bounded = Bounded { inner: Cursor::new(head).chain(input), allowance: Arc::clone(&allowance) };
        let mut csv = csv::ReaderBuilder::new()
            .delimiter(delimiter.unwrap_or(b','))
            .flexible(true)
            .from_reader(bounded);
        let header = csv.byte_headers().map_err(|error| broken(&error))?.clone();
        let find = |names: &[String]| {
            header.iter().position(|field| names.iter().any(|name| folded(name) == folded(&text(field))))
        };
        let email = find(&columns.email).ok_or_else(|| {
            let wanted = columns.email.first().map_or("email", String::as_str);
            fail(ErrorKind::Input, format!("the header has no column {wanted}"))
        })?;
        let (prenom, date) = (find(&columns.prenom), find(&columns.date_inscription));
        Ok(Subscribers {
            csv,
            allowance,
            width: header.len(),
            email,
            prenom,
            date,
            record: ByteRecord::new(),
            first_lines: HashMap::new(),
            counts: RowCounts::default(),
            ended: false,
        })
    }

    /// The counts so far.
    #[must_use]
    pub fn counts(&self) -> RowCounts {
        self.counts
    }

    fn person(&self, line: u64) -> Result<Subscriber, RowProblem> {
        let got = self.record.len();
        if got != self.width {
            return Err(RowProblem::Fields { expected: self.width, got });
        }
        let field = |index: Option<usize>| {
            let value = index.and_then(|index| self.record.get(index)).map(text).unwrap_or_default();
            // Only blanks are trimmed: a line break at the end of a name was put there by someone.
            value.trim_matches(' ').to_owned()
        };
        let email = EmailAddress::parse(&field(Some(self.email)))?;
        let prenom = Some(field(self.prenom)).filter(|name| !name.is_empty());
        let prenom = prenom.map(|name| DisplayName::parse(&name)).transpose()?;
        let date = Some(field(self.date)).filter(|date| !date.is_empty());
        let date_inscription = date
            .map(|date| NaiveDate::parse_from_str(&date, "%Y-%m-%d"))
            .transpose()
            .map_err(|_| RowProblem::Date)?;
        Ok(Subscriber { line, email, prenom, date_inscription })
    }
}

impl<R: Read> Iterator for Subscribers<R> {
    type Item = Result<Row>;

    /// The next row. An `Err` ends the reading: the rest of the file cannot be understood.
    fn next(&mut self) -> Option<Result<Row>> {
        if self.ended {
            return None;
        }
        self.allowance.store(MAX_ROW, Ordering::Relaxed);
        let mut record = std::mem::take(&mut self.record);
        let more = self.csv.read_byte_record(&mut record);
        self.record = record;
        match more {
            Ok(true) => {}
            Ok(false) => {
                self.ended = true;
                return None;
            }
            Err(error) => {
                self.ended = true;
                return Some(Err(broken(&error)));
            }
        }
        let (line, offset) = self.record.position().map_or((0, 0), |at| (at.line(), at.byte()));
        self.counts.rows += 1;
        let row = match self.person(line) {
            Ok(person) => {
                if self.first_lines.len() >= MAX_DISTINCT {
                    self.ended = true;
                    return Some(Err(fail(ErrorKind::Input, "the file has more than 20 million addresses")));
                }
                match self.first_lines.entry(fingerprint(&person.email)) {
                    Entry::Occupied(first) => Row::Duplicate { line, first: *first.get() },
                    Entry::Vacant(free) => {
                        free.insert(line);
                        Row::Subscriber(person)
                    }
                }
            }
            Err(problem) => Row::Quarantined(RowError { line, offset, problem, fields: self.record.clone() }),
        };
        match row {
            Row::Subscriber(_) => self.counts.subscribers += 1,
            Row::Duplicate { .. } => self.counts.duplicates += 1,
            Row::Quarantined(_) => self.counts.quarantined += 1,
        }
        Some(Ok(row))
    }
}

fn broken(error: &csv::Error) -> Error {
    match error.kind() {
        csv::ErrorKind::Io(cause) if cause.kind() == io::ErrorKind::FileTooLarge => {
            fail(ErrorKind::Input, "a row has no end within one mebibyte (an unclosed quote?)")
        }
        csv::ErrorKind::Io(cause) => {
            fail(ErrorKind::Storage, "the file cannot be read").with_source(io::Error::from(cause.kind()))
        }
        // The csv crate's own message may quote the row.
        _ => fail(ErrorKind::Input, "the file is not CSV"),
    }
}

/// A field as text: UTF-8, else Windows-1252, which gives every byte a character.
fn text(field: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(field) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(field).0,
    }
}

/// A column name without case and without the accents that French headers have.
fn folded(name: &str) -> String {
    let plain = |c: char| match c {
        'é' | 'è' | 'ê' => 'e',
        'à' | 'â' => 'a',
        other => other,
    };
    name.trim().to_lowercase().chars().map(plain).collect()
}

/// 128 of the 256 bits under which the address is known: enough that no two addresses share them.
fn fingerprint(address: &EmailAddress) -> u128 {
    let key = address.key();
    u128::from_str_radix(key.get(..32).unwrap_or_default(), 16).unwrap_or(0)
}

/// Hands out at most as many bytes as the allowance says, which each row renews.
#[derive(Debug)]
struct Bounded<R: Read> {
    inner: Chain<Cursor<Vec<u8>>, BufReader<R>>,
    allowance: Arc<AtomicUsize>,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.allowance.load(Ordering::Relaxed);
        if left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let most = left.min(buffer.len());
        let read = self.inner.read(buffer.get_mut(..most).unwrap_or_default())?;
        self.allowance.fetch_sub(read, Ordering::Relaxed);
        Ok(read)
    }
}
