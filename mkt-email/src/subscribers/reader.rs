//! The reader of subscribers.

use super::records::{Fault, MAX_RECORD, Records};
use crate::EmailAddress;
use crate::message::{DisplayName, MessageError};
use chrono::NaiveDate;
use mkt_connect::{Error, ErrorKind, Result};
use std::borrow::Cow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

const SERVICE: &str = "subscribers";
/// Addresses remembered to find duplicates: 740 MB when full.
const MAX_DISTINCT: usize = 20_000_000;
const UTF8_BOM: &[u8] = b"\xef\xbb\xbf";

/// The names of the columns. Of a name only letters and digits count, without case and accents: `E-Mail` is `email`,
/// `Date d'inscription` is `date_inscription`. Where a file has several of the names, the first of the list is read.
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
    /// The course's `email,prenom,date_inscription`, and what exports of common tools call them, in French and English.
    fn default() -> Self {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Self {
            email: names(&["email", "mail", "courriel", "adresse e-mail", "adresse mail", "email address"]),
            prenom: names(&["prenom", "first name", "given name", "forename", "fname"]),
            date_inscription: names(&[
                "date_inscription",
                "date d'inscription",
                "inscrit le",
                "signup_date",
                "sign-up date",
                "signed_up_on",
                "subscribed_on",
                "date",
            ]),
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
    MessageError(#[from] MessageError),
    /// The date is not one.
    #[error("the sign-up date is not of the form 2025-01-15")]
    Date,
    /// The row is not UTF-8, in a file that is.
    #[error("the row is not UTF-8, as rows before it are")]
    Encoding,
    /// A quote is opened and not closed, or something follows the closing one.
    #[error("a quote is opened and not closed, or something follows the closing one")]
    Quote,
    /// The row has no end within a mebibyte.
    #[error("the row is longer than one mebibyte")]
    TooLong,
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
    /// The byte of the file at which the row begins, from 0.
    pub offset: u64,
    /// What is wrong with it.
    pub problem: RowProblem,
    raw: Box<[u8]>,
}

/// As much of a row as is kept when it is set aside. More is no row, and a file may have many of them.
const MAX_RAW: usize = 4096;

impl RowError {
    /// The row as it stands in the file, undecoded and without its line end: its first 4096 bytes. Of a row with a
    /// broken quote, its first line. Personal data.
    #[must_use]
    pub fn raw(&self) -> &[u8] {
        &self.raw
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
/// `,`, `;` or tab is recognised from the header line, or named by a line `sep=;` before it, as Excel writes one. Quotes
/// are those of RFC 4180; where they do not work out, one line is set aside and reading goes on. Lines end in LF, CRLF
/// or CR; empty lines are no rows.
///
/// Text is UTF-8 or Windows-1252, of which Latin-1 is a part. Once UTF-8 was seen (a byte order mark, or a field with an
/// accent), a field that is not UTF-8 is damage, and its row is set aside; before that it is read as Windows-1252.
/// UTF-16 is refused.
///
/// Two rows are one person when their addresses differ in nothing but case. To know that, 128 bits of the SHA-256 of
/// each address are kept with its line: 25 to 50 bytes per address with the free places of the table, so 46 MB for a
/// million.
///
/// ```
/// use mkt_email::subscribers::Row;
/// use mkt_email::Subscribers;
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
    records: Records<R>,
    width: usize,
    email: usize,
    prenom: Option<usize>,
    date: Option<usize>,
    /// Whether UTF-8 was seen that is not ASCII.
    utf8: bool,
    first_lines: HashMap<[u8; 16], Line>,
    counts: RowCounts,
    ended: bool,
}

/// A line number in five bytes: enough for a file of a trillion lines, and a fifth off the table.
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
    /// [`ErrorKind::Input`] for an empty file, a header without an address column or with two of one name, UTF-16, or a
    /// first line without end; [`ErrorKind::Storage`] when reading fails.
    pub fn read_with(input: R, columns: &Columns) -> Result<Self> {
        let mut records = Records::new(input);
        let mut head = records.peek_line().map_err(|cause| unread(&cause))?;
        // UTF-16 has a NUL in every other byte of a header; its line end has one on one of its sides.
        if head.starts_with(b"\xff\xfe") || head.starts_with(b"\xfe\xff") || head.contains(&0) {
            return Err(refused("the file is UTF-16 or binary; save it as UTF-8"));
        }
        let utf8 = head.starts_with(UTF8_BOM);
        if utf8 {
            records.skip(UTF8_BOM.len());
            head = records.peek_line().map_err(|cause| unread(&cause))?;
        }
        if head.iter().all(u8::is_ascii_whitespace) {
            return Err(refused("the file is empty or begins with an empty line"));
        }
        if head.len() >= MAX_RECORD {
            return Err(refused("the first line has no end within one mebibyte"));
        }
        const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];
        let named = match head {
            [b's', b'e', b'p', b'=', delimiter] if DELIMITERS.contains(delimiter) => Some(*delimiter),
            _ => None,
        };
        let count = |byte: u8| head.iter().filter(|&&b| b == byte).count();
        let guessed = DELIMITERS.into_iter().max_by_key(|&byte| (count(byte), byte == b','));
        records.delimiter = named.or(guessed).unwrap_or(b',');
        if named.is_some() {
            records.next().map_err(|cause| unread(&cause))?;
        }
        match records.next().map_err(|cause| unread(&cause))? {
            Some(header) if header.fault.is_none() => {}
            _ => return Err(refused("the header is not a line of column names")),
        }
        let width = records.width();
        let header: Vec<String> = (0..width).map(|index| folded(&lenient(records.field(index).0))).collect();
        let find = |names: &[String]| -> Result<Option<usize>> {
            for name in names {
                let wanted = folded(name);
                let mut found = header.iter().enumerate().filter(|(_, title)| **title == wanted);
                match (found.next(), found.next()) {
                    (Some(_), Some(_)) => {
                        return Err(refused(format!("the header has two columns {name}")));
                    }
                    (Some((index, _)), None) => return Ok(Some(index)),
                    _ => {}
                }
            }
            Ok(None)
        };
        let email = find(&columns.email)?.ok_or_else(|| {
            let wanted = columns.email.first().map_or("email", String::as_str);
            refused(format!("the header has no column {wanted}"))
        })?;
        let (prenom, date) = (find(&columns.prenom)?, find(&columns.date_inscription)?);
        Ok(Subscribers {
            records,
            width,
            email,
            prenom,
            date,
            utf8,
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

    /// Looks at every field, also of columns that are not used: damage anywhere in a row means damage.
    fn watch_encoding(&mut self) -> Result<(), RowProblem> {
        if self.records.bytes().is_ascii() {
            return Ok(());
        }
        for index in 0..self.records.width() {
            let field = self.records.field(index).0;
            match std::str::from_utf8(field) {
                Ok(_) => self.utf8 = self.utf8 || !field.is_ascii(),
                Err(_) if self.utf8 => return Err(RowProblem::Encoding),
                Err(_) => {}
            }
        }
        Ok(())
    }

    /// A field as text. Only blanks are trimmed: a line break at the end of a name was put there by someone.
    fn text(&self, index: usize) -> Cow<'_, str> {
        let (bytes, doubled) = self.records.field(index);
        match lenient(bytes) {
            Cow::Borrowed(text) if !doubled => Cow::Borrowed(text.trim_matches(' ')),
            text if doubled => Cow::Owned(text.replace("\"\"", "\"").trim_matches(' ').to_owned()),
            text => Cow::Owned(text.trim_matches(' ').to_owned()),
        }
    }

    fn person(&mut self, line: u64, fault: Option<Fault>) -> Result<Subscriber, RowProblem> {
        match fault {
            Some(Fault::Quote) => return Err(RowProblem::Quote),
            Some(Fault::TooLong) => return Err(RowProblem::TooLong),
            None => {}
        }
        self.watch_encoding()?;
        let got = self.records.width();
        if got != self.width {
            return Err(RowProblem::Fields { expected: self.width, got });
        }
        let field =
            |index: Option<usize>| index.map(|index| self.text(index)).filter(|text| !text.is_empty());
        let email = EmailAddress::parse(&self.text(self.email))?;
        let prenom = field(self.prenom).map(|name| DisplayName::parse(&name)).transpose()?;
        let date_inscription = field(self.date).map(|date| day(&date).ok_or(RowProblem::Date)).transpose()?;
        Ok(Subscriber { line, email, prenom, date_inscription })
    }
}

impl<R: Read> Iterator for Subscribers<R> {
    type Item = Result<Row>;

    /// The next row. An `Err` ends the reading: the file cannot be read any further.
    fn next(&mut self) -> Option<Result<Row>> {
        if self.ended {
            return None;
        }
        let place = match self.records.next() {
            Ok(Some(place)) => place,
            other => {
                self.ended = true;
                return other.err().map(|cause| Err(unread(&cause)));
            }
        };
        let line = place.line;
        self.counts.rows += 1;
        let row = match self.person(line, place.fault) {
            Ok(person) => {
                if self.first_lines.len() >= MAX_DISTINCT {
                    self.ended = true;
                    return Some(Err(fail(ErrorKind::Input, "the file has more than 20 million addresses")));
                }
                match self.first_lines.entry(fingerprint(&person.email)) {
                    Entry::Occupied(first) => Row::Duplicate { line, first: first.get().get() },
                    Entry::Vacant(free) => {
                        free.insert(Line::new(line));
                        Row::Subscriber(person)
                    }
                }
            }
            Err(problem) => {
                let raw = self.records.bytes();
                let raw = raw.get(..MAX_RAW).unwrap_or(raw).into();
                Row::Quarantined(RowError { line, offset: place.offset, problem, raw })
            }
        };
        match row {
            Row::Subscriber(_) => self.counts.subscribers += 1,
            Row::Duplicate { .. } => self.counts.duplicates += 1,
            Row::Quarantined(_) => self.counts.quarantined += 1,
        }
        Some(Ok(row))
    }
}

fn refused(detail: impl Into<String>) -> Error {
    fail(ErrorKind::Input, detail)
}

fn unread(cause: &io::Error) -> Error {
    match cause.kind() {
        io::ErrorKind::FileTooLarge => {
            fail(ErrorKind::Input, "a line has no end within 64 mebibytes; the file is not a list of people")
        }
        kind => fail(ErrorKind::Storage, "the file cannot be read").with_source(io::Error::from(kind)),
    }
}

/// A field as text: UTF-8, else Windows-1252, which gives every byte a character.
fn lenient(field: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(field) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(field).0,
    }
}

/// A day as `2025-01-15`, and in no other way: `01/02/2025` is two days.
fn day(text: &str) -> Option<NaiveDate> {
    let number = |digits: &[u8]| {
        digits
            .iter()
            .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + i32::from(byte - b'0')))
    };
    match text.as_bytes() {
        [year @ .., b'-', m1, m2, b'-', d1, d2] if year.len() == 4 => NaiveDate::from_ymd_opt(
            number(year)?,
            u32::try_from(number(&[*m1, *m2])?).ok()?,
            u32::try_from(number(&[*d1, *d2])?).ok()?,
        ),
        _ => None,
    }
}

/// What counts of a column name: its letters and digits, without case and without the accents that French has.
fn folded(name: &str) -> String {
    let plain = |c: char| match c {
        'é' | 'è' | 'ê' | 'ë' => 'e',
        'à' | 'â' => 'a',
        'î' | 'ï' => 'i',
        'ô' => 'o',
        'ù' | 'û' => 'u',
        'ç' => 'c',
        other => other,
    };
    name.to_lowercase().chars().map(plain).filter(|c| c.is_alphanumeric()).collect()
}

/// 128 of the 256 bits under which the address is known: enough that no two addresses share them.
fn fingerprint(address: &EmailAddress) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&address.digest()[..16]);
    half
}
