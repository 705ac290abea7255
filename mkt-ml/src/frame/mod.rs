//! Tables of named columns: numbers and categories, either of which may be missing.
//!
//! A frame only holds data. It does not impute, scale or encode ([`crate::encoder`] does), and it never
//! holds an infinity: constructors refuse one, so that every later step may rely on finite-or-missing.

mod csv;
mod infer;
#[cfg(feature = "warehouse")]
mod table;

use std::{collections::BTreeSet, fmt, hash::BuildHasher, path::PathBuf};

use foldhash::fast::FixedState;
use hashbrown::HashTable;
use mkt_connect::table::Found;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

pub use self::csv::CsvOptions;
use crate::error::{Cause, shown};

/// The code of a missing category.
pub(crate) const MISSING_CODE: u32 = u32::MAX;

/// Why a table could not be read or built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// The file could not be opened or read.
    #[error("{} could not be read", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The header cannot be read, or reading failed in the middle.
    #[error("the table cannot be read")]
    Read {
        /// The reader's error.
        source: Cause,
    },
    /// There is no header.
    #[error("the table is empty: a header line with column names is expected")]
    Empty,
    /// A record cannot be read: its quotation marks, its encoding or its length.
    #[error("line {line} cannot be read")]
    Line {
        /// The line, from 1.
        line: u64,
        /// What is wrong with it.
        source: Cause,
    },
    /// All cells with a comma have two meanings: `1,234` is 1234 or 1.234.
    #[error(
        "column `{column}`: line {line} has a number with two meanings, such as 1,234: declare the decimal mark"
    )]
    DecimalMark {
        /// The column.
        column: String,
        /// The first such line, from 1.
        line: u64,
    },
    /// A column built by hand has an empty name.
    #[error("column {position} has no name in the header")]
    UnnamedColumn {
        /// The column's position, from 1.
        position: usize,
    },
    /// Two columns share a name.
    #[error("column `{name}` occurs twice")]
    DuplicateColumn {
        /// The shared name.
        name: String,
    },
    /// A record has more or fewer fields than the header.
    #[error("line {line} has {found} fields where the header has {expected}")]
    RaggedLine {
        /// The line, from 1.
        line: u64,
        /// Columns in the header.
        expected: usize,
        /// Fields in the record.
        found: usize,
    },
    /// A column declared numeric holds something else. The value is not shown: it may be personal.
    #[error("column `{column}` is declared numeric but line {line} holds no number")]
    NotANumber {
        /// The column.
        column: String,
        /// The line, from 1.
        line: u64,
    },
    /// An infinite number.
    #[error("column `{column}` is infinite in row {row}")]
    Infinite {
        /// The column.
        column: String,
        /// The row, from 0, the header not counted.
        row: usize,
    },
    /// A column mixes numbers and text in rows built by hand.
    #[error("column `{column}` holds both numbers and text (row {row})")]
    MixedColumn {
        /// The column.
        column: String,
        /// The first row that differs from those before it, from 0.
        row: usize,
    },
    /// A column of another length than the others.
    #[error("column `{column}` has {found} rows where {expected} are expected")]
    Length {
        /// The column, or the position of the row for rows built by hand.
        column: String,
        /// Rows expected.
        expected: usize,
        /// Rows found.
        found: usize,
    },
    /// A matrix with another number of columns than names for them.
    #[error("{found} names for {expected} columns")]
    Names {
        /// Columns of the matrix.
        expected: usize,
        /// Names given.
        found: usize,
    },
    /// A column whose type is neither a number, a truth value, a time nor a text.
    #[error("column `{column}` holds {kind}: leave it out or take its parts as columns")]
    Unusable {
        /// The column.
        column: String,
        /// What it holds.
        kind: &'static str,
    },
    /// A bound of [`CsvOptions`] was reached.
    #[error("the table has more than {limit} {what}: raise the limit to read it")]
    TooLarge {
        /// What there is too much of: bytes, rows, columns.
        what: &'static str,
        /// The bound.
        limit: u64,
    },
    /// No such column.
    #[error("column `{name}` does not exist; there are: {existing}")]
    UnknownColumn {
        /// The name requested.
        name: String,
        /// The names there are, the first dozen of them.
        existing: String,
    },
    /// A target with a value missing.
    #[error("the target `{column}` is missing in row {row}")]
    MissingTarget {
        /// The target column.
        column: String,
        /// The row, from 0.
        row: usize,
    },
    /// A target that is not one of two values.
    #[error("the target `{column}` holds `{value}` in row {row}: expected {expected}")]
    WrongTarget {
        /// The target column.
        column: String,
        /// The row, from 0.
        row: usize,
        /// The value, shortened.
        value: String,
        /// What would have been right.
        expected: String,
    },
}

/// One cell.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing was recorded.
    Missing,
    /// A number; NaN counts as missing.
    Number(f64),
    /// A category.
    Text(String),
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Number(f64::from(number))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Missing, Into::into)
    }
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnKind {
    /// Finite numbers.
    Numeric,
    /// One of a set of names.
    Categorical,
}

/// The values of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Values {
    /// NaN is missing; no infinities.
    Numeric(Vec<f64>),
    /// `codes` point into `levels`; [`MISSING_CODE`] is missing. Levels that no row uses are allowed.
    Categorical { levels: Vec<String>, codes: Vec<u32> },
}

/// One named column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    name: String,
    pub(crate) values: Values,
}

impl Column {
    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether numbers or categories.
    pub fn kind(&self) -> ColumnKind {
        match self.values {
            Values::Numeric(_) => ColumnKind::Numeric,
            Values::Categorical { .. } => ColumnKind::Categorical,
        }
    }

    /// The value in `row`, or `None` past the end.
    pub fn value(&self, row: usize) -> Option<Value> {
        match &self.values {
            Values::Numeric(numbers) => numbers
                .get(row)
                .map(|&number| if number.is_nan() { Value::Missing } else { Value::Number(number) }),
            Values::Categorical { levels, codes } => codes.get(row).map(|&code| {
                levels.get(code as usize).map_or(Value::Missing, |level| Value::Text(level.clone()))
            }),
        }
    }

    /// The number of values, missing ones included.
    pub fn rows(&self) -> usize {
        match &self.values {
            Values::Numeric(numbers) => numbers.len(),
            Values::Categorical { codes, .. } => codes.len(),
        }
    }

    /// How many values are missing.
    pub fn missing(&self) -> usize {
        match &self.values {
            Values::Numeric(numbers) => numbers.iter().filter(|number| number.is_nan()).count(),
            Values::Categorical { codes, .. } => codes.iter().filter(|code| **code == MISSING_CODE).count(),
        }
    }

    /// The same column with the rows of `rows`, in that order; rows past the end become missing.
    pub(crate) fn take(&self, rows: &[usize]) -> Self {
        let values = match &self.values {
            Values::Numeric(numbers) => Values::Numeric(
                rows.iter().map(|&row| numbers.get(row).copied().unwrap_or(f64::NAN)).collect(),
            ),
            Values::Categorical { levels, codes } => Values::Categorical {
                levels: levels.clone(),
                codes: rows.iter().map(|&row| codes.get(row).copied().unwrap_or(MISSING_CODE)).collect(),
            },
        };
        Self { name: self.name.clone(), values }
    }
}

impl fmt::Display for ColumnKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Numeric => "number",
            Self::Categorical => "category",
        })
    }
}

/// A table of named columns of one length.
///
/// ```
/// use mkt_ml::Frame;
///
/// let frame = Frame::read_csv("pages,source\n3,paid\n,email\n".as_bytes())?;
/// assert_eq!(frame.rows(), 2);
/// assert_eq!(frame.names().collect::<Vec<_>>(), ["pages", "source"]);
/// # Ok::<(), mkt_ml::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frame {
    columns: Vec<Column>,
    rows: usize,
    found: Option<Box<Found>>,
    missing_words: Vec<String>,
    /// Names that the file gives to several columns.
    repeated: BTreeSet<String>,
}

impl Frame {
    /// A frame without columns, to which [`Frame::with_numeric`] and [`Frame::with_categorical`] add.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a column of numbers; `None` and NaN are missing.
    ///
    /// # Errors
    /// An infinity, a name taken or empty, another length than the columns before.
    pub fn with_numeric(
        self,
        name: impl Into<String>,
        numbers: impl IntoIterator<Item = impl Into<Option<f64>>>,
    ) -> Result<Self, FrameError> {
        let numbers = numbers.into_iter().map(|number| number.into().unwrap_or(f64::NAN)).collect();
        self.with(Column { name: name.into(), values: Values::Numeric(numbers) })
    }

    /// Adds a column of categories; `None` is missing, the empty text is a category like any other.
    ///
    /// # Errors
    /// A name taken or empty, another length than the columns before.
    pub fn with_categorical<'a>(
        self,
        name: impl Into<String>,
        categories: impl IntoIterator<Item = impl Into<Option<&'a str>>>,
    ) -> Result<Self, FrameError> {
        let mut levels = Levels::default();
        let codes = categories
            .into_iter()
            .map(|category| category.into().map_or(MISSING_CODE, |category| levels.code(category)))
            .collect();
        self.with(Column { name: name.into(), values: Values::Categorical { levels: levels.names, codes } })
    }

    /// Builds a frame from rows. A column is numeric when its present values are numbers, categorical when
    /// they are text; a column with no present value is numeric.
    ///
    /// # Errors
    /// A row of another length, a column of numbers and text, an infinity, a bad name.
    pub fn from_rows(names: &[&str], rows: &[Vec<Value>]) -> Result<Self, FrameError> {
        for (position, row) in rows.iter().enumerate() {
            if row.len() != names.len() {
                return Err(FrameError::Length {
                    column: format!("row {position}"),
                    expected: names.len(),
                    found: row.len(),
                });
            }
        }
        let mut frame = Self::new();
        for (at, name) in names.iter().enumerate() {
            let cells = || rows.iter().filter_map(move |row| row.get(at));
            let text = cells().find_map(|cell| match cell {
                Value::Missing => None,
                Value::Number(_) => Some(false),
                Value::Text(_) => Some(true),
            });
            let mixed = |row| FrameError::MixedColumn { column: shown(name), row };
            frame = if text == Some(true) {
                let categories = cells().enumerate().map(|(row, cell)| match cell {
                    Value::Missing => Ok(None),
                    Value::Text(text) => Ok(Some(text.as_str())),
                    Value::Number(_) => Err(mixed(row)),
                });
                frame.with_categorical(*name, categories.collect::<Result<Vec<_>, _>>()?)?
            } else {
                let numbers = cells().enumerate().map(|(row, cell)| match cell {
                    Value::Missing => Ok(None),
                    Value::Number(number) => Ok(Some(*number)),
                    Value::Text(_) => Err(mixed(row)),
                });
                frame.with_numeric(*name, numbers.collect::<Result<Vec<_>, _>>()?)?
            };
        }
        Ok(frame)
    }

    /// Builds a frame from a matrix of numbers, a column for each name; NaN is missing.
    ///
    /// # Errors
    /// Another number of names than of columns, an infinity, a bad name.
    ///
    /// ```
    /// use mkt_ml::Frame;
    /// use ndarray::array;
    ///
    /// let frame = Frame::from_array(&["pages", "seconds"], array![[3.0, 40.0], [1.0, f64::NAN]].view())?;
    /// assert_eq!((frame.rows(), frame.names().count()), (2, 2));
    /// # Ok::<(), mkt_ml::Error>(())
    /// ```
    pub fn from_array(names: &[&str], matrix: ArrayView2<'_, f64>) -> Result<Self, FrameError> {
        if names.len() != matrix.ncols() {
            let (expected, found) = (matrix.ncols(), names.len());
            return Err(FrameError::Names { expected, found });
        }
        names.iter().zip(matrix.columns()).try_fold(Self::new(), |frame, (name, numbers)| {
            frame.with_numeric(*name, numbers.iter().copied())
        })
    }

    fn with(mut self, column: Column) -> Result<Self, FrameError> {
        if column.name.trim().is_empty() {
            return Err(FrameError::UnnamedColumn { position: self.columns.len() + 1 });
        }
        if self.column(&column.name).is_some() {
            return Err(FrameError::DuplicateColumn { name: shown(&column.name) });
        }
        if !self.columns.is_empty() && column.rows() != self.rows {
            return Err(FrameError::Length {
                column: shown(&column.name),
                expected: self.rows,
                found: column.rows(),
            });
        }
        if let Values::Numeric(numbers) = &column.values
            && let Some(row) = numbers.iter().position(|number| number.is_infinite())
        {
            return Err(FrameError::Infinite { column: shown(&column.name), row });
        }
        self.rows = column.rows();
        self.columns.push(column);
        Ok(self)
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns in order.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(Column::name)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// The frame without the named columns (a visitor's id, say).
    ///
    /// # Errors
    /// [`FrameError::UnknownColumn`].
    pub fn without(mut self, names: &[&str]) -> Result<Self, FrameError> {
        for name in names {
            self = self.split_off(name)?.0;
        }
        Ok(self)
    }

    /// The frame without the columns that have no value in any row, and their names.
    #[must_use]
    pub fn without_empty(mut self) -> (Self, Vec<String>) {
        let rows = self.rows;
        let (empty, held) = self.columns.into_iter().partition(|column| rows > 0 && column.missing() == rows);
        self.columns = held;
        let empty: Vec<Column> = empty;
        (self, empty.into_iter().map(|column| column.name).collect())
    }

    /// The frame without one column, and that column.
    pub(crate) fn split_off(mut self, name: &str) -> Result<(Self, Column), FrameError> {
        let Some(at) = self.columns.iter().position(|column| column.name == name) else {
            return Err(FrameError::UnknownColumn { name: shown(name), existing: listed(self.names()) });
        };
        if self.repeated.contains(name) {
            return Err(FrameError::DuplicateColumn { name: shown(name) });
        }
        // Without `x (2)`, `x` names one column.
        let is_of = |repeated: &String| {
            name.strip_prefix(repeated.as_str()).is_some_and(|rest| rest.starts_with(" ("))
        };
        self.repeated.retain(|repeated| !is_of(repeated));
        let column = self.columns.remove(at);
        Ok((self, column))
    }

    /// The rows of `rows`, in that order, repeats allowed. A row past the end becomes all missing. What was found when
    /// the frame was read ([`Frame::found`]) stays with the whole frame.
    pub fn take(&self, rows: &[usize]) -> Self {
        Self {
            columns: self.columns.iter().map(|column| column.take(rows)).collect(),
            rows: rows.len(),
            found: None,
            missing_words: self.missing_words.clone(),
            repeated: BTreeSet::new(),
        }
    }

    /// What was found out about the file that the frame was read from: encoding, delimiter, and for each of its columns
    /// what it was read as. `None` for frames that were not read from text.
    pub fn found(&self) -> Option<&Found> {
        self.found.as_deref()
    }

    /// What a reader of the file should know about its columns, one sentence each: cells taken as missing, columns read as
    /// categories although they hold numbers, a decimal comma, columns without a name of their own.
    pub fn notes(&self) -> Vec<String> {
        let columns = self.found.iter().flat_map(|found| &found.columns);
        columns
            .filter(|column| column.read_as.is_some())
            .flat_map(|column| {
                let name = shown(&column.name);
                let numbered = column.numbered.then(|| {
                    format!("column {name}: has no name of its own in the file and is called that way")
                });
                let mark =
                    column.decimal_mark.as_ref().map(|mark| format!("column {name}: decimal mark {mark}"));
                let others = column.notes.iter().map(move |note| format!("column {name}: {note}"));
                numbered.into_iter().chain(mark).chain(others)
            })
            .collect()
    }

    /// The words for missing values that were declared when the frame was read.
    pub(crate) fn missing_words(&self) -> &[String] {
        &self.missing_words
    }

    /// Replaces a column by another of the same name and length; anything else changes nothing.
    pub(crate) fn replace(&mut self, column: Column) {
        let rows = self.rows;
        if let Some(slot) =
            self.columns.iter_mut().find(|slot| slot.name == column.name && column.rows() == rows)
        {
            *slot = column;
        }
    }

    /// Names and kinds in order.
    pub fn schema(&self) -> Vec<Field> {
        self.columns.iter().map(|column| Field { name: column.name.clone(), kind: column.kind() }).collect()
    }
}

/// A column's name and kind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Field {
    /// The name.
    pub name: String,
    /// Numbers or categories.
    pub kind: ColumnKind,
}

/// Names seen so far, numbered in the order of their first appearance.
#[derive(Debug, Default)]
struct Levels {
    names: Vec<String>,
    /// Places in `names`, found by the hash of the name.
    places: HashTable<u32>,
    hasher: FixedState,
}

impl Levels {
    fn code(&mut self, name: &str) -> u32 {
        let Self { names, places, hasher } = self;
        let same = |place: &u32| names.get(*place as usize).is_some_and(|held| held == name);
        if let Some(place) = places.find(hasher.hash_one(name), same) {
            return *place;
        }
        let code = names.len() as u32;
        names.push(name.to_owned());
        places.insert_unique(hasher.hash_one(name), code, |place| {
            hasher.hash_one(names.get(*place as usize).map_or("", String::as_str))
        });
        code
    }

    fn names(&self) -> &[String] {
        &self.names
    }

    fn into_names(self) -> Vec<String> {
        self.names
    }
}

/// Names for an error message: the first twelve.
fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let mut names = names.map(|name| format!("`{}`", shown(name)));
    let mut first: Vec<String> = names.by_ref().take(12).collect();
    if names.next().is_some() {
        first.push("…".to_owned());
    }
    first.join(", ")
}
