//! A Data Query as a value: what is asked, in the words of the vendor, independent of how it is written.
//!
//! Names are texts that read as names, not names that exist: which properties and metrics an account has, only the
//! account knows. Nothing here holds a key; an error holds no text of the query, only where and what was expected.

use super::filter::{Filter, Operand};
use super::period::{Granularity, Period};
use mkt_connect::ErrorKind;
use std::fmt;
use std::str::FromStr;

/// Properties and metrics together, in version 2 (page "columns parameter" of the REST API, read in November 2026).
pub const MAX_COLUMNS_V2: usize = 30;
/// Properties and metrics together, in version 3 (page "How it works" of the Reporting API, read in November 2026).
pub const MAX_COLUMNS_V3: usize = 50;
/// The largest page of both versions.
pub const MAX_PAGE: u32 = 10_000;
/// What one query gives over all of its pages, whatever it has (version 3).
pub const MAX_ROWS: u64 = 200_000;
/// Segments in one query (version 3).
pub const MAX_SEGMENTS: usize = 6;
/// Periods beside each other (version 2 knows three, version 3 two).
pub(super) const MAX_PERIODS: usize = 3;
/// Spans of one period. Ours: the vendor names no limit.
pub(super) const MAX_SPANS: usize = 366;

/// Why a text is no query, or a query cannot be written: where, and one clause without a word of the text itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryError {
    place: Place,
    what: String,
}

/// Where a query does not read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The byte of the text that was given, from 0.
    Byte(usize),
    /// The line and column of a JSON text, from 1.
    Line(usize, usize),
    /// The part of the query: `filter.property[1]`.
    Part(String),
}

impl QueryError {
    pub(super) fn at(position: usize, what: impl Into<String>) -> Self {
        Self { place: Place::Byte(position), what: what.into() }
    }

    pub(super) fn part(part: impl Into<String>, what: impl Into<String>) -> Self {
        Self { place: Place::Part(part.into()), what: what.into() }
    }

    pub(super) fn line(error: &serde_json::Error) -> Self {
        Self { place: Place::Line(error.line(), error.column()), what: "this is not JSON".to_owned() }
    }

    /// Where.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The byte of the text, where it is known.
    #[must_use]
    pub fn position(&self) -> Option<usize> {
        match self.place {
            Place::Byte(position) => Some(position),
            _ => None,
        }
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Byte(position) => write!(f, "at byte {position} of the query: {}", self.what),
            Place::Line(line, column) => {
                write!(f, "at line {line}, column {column} of the query: {}", self.what)
            }
            Place::Part(part) => write!(f, "{part} of the query: {}", self.what),
        }
    }
}

impl std::error::Error for QueryError {}

impl From<QueryError> for mkt_connect::Error {
    fn from(error: QueryError) -> Self {
        Self::new(ErrorKind::Input, super::SERVICE, "read a query").with_detail(error.to_string())
    }
}

/// The name of a property or metric: `page`, `m_visits`, `d_source`, `cl_142578`, `os.uid`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Name(String);

impl Name {
    /// The longest name, in characters. Ours: the vendor names no limit.
    pub const MAX: usize = 100;

    /// Reads a name: ASCII letters, digits, `_`, and dots between such; it begins with a letter, and not with a
    /// period's label (`p1.`).
    ///
    /// # Errors
    /// [`QueryError`] without the text.
    pub fn new(text: &str) -> Result<Self, QueryError> {
        let parts_read = text
            .split('.')
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
        let begins = text.starts_with(|c: char| c.is_ascii_alphabetic());
        if parts_read && begins && text.len() <= Self::MAX && period_label(text).is_none() {
            Ok(Self(text.to_owned()))
        } else {
            Err(QueryError::part("a name", "it is not one (letters, digits and _, beginning with a letter)"))
        }
    }

    /// The name as it is written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is a metric's, in both versions: `m_…`.
    #[must_use]
    pub fn is_metric(&self) -> bool {
        self.0.starts_with("m_")
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl FromStr for Name {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        Self::new(text)
    }
}

/// `p1.` at the beginning of a name.
fn period_label(text: &str) -> Option<(u8, &str)> {
    let (label, name) = text.split_once('.')?;
    match label.as_bytes() {
        [b'p', digit @ b'1'..=b'9'] => Some((digit - b'0', name)),
        _ => None,
    }
}

/// A column: a name, of one of several periods where there are several (`p2.m_visits`).
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Column {
    /// Which period, from 1.
    pub period: Option<u8>,
    /// What.
    pub name: Name,
}

impl Column {
    /// Whether it is a metric.
    #[must_use]
    pub fn is_metric(&self) -> bool {
        self.name.is_metric()
    }
}

impl From<Name> for Column {
    fn from(name: Name) -> Self {
        Self { period: None, name }
    }
}

impl FromStr for Column {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        match period_label(text) {
            Some((period, name)) => Ok(Self { period: Some(period), name: Name::new(name)? }),
            None => Ok(Name::new(text)?.into()),
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.period {
            Some(period) => write!(f, "p{period}.{}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

/// A column to sort by: `m_visits`, `-m_visits`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Sort {
    /// Largest first.
    pub descending: bool,
    /// By what.
    pub column: Column,
}

impl FromStr for Sort {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let (descending, column) = match text.strip_prefix('-') {
            Some(column) => (true, column),
            None => (false, text),
        };
        Ok(Self { descending, column: column.parse()? })
    }
}

impl fmt::Display for Sort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.descending { "-" } else { "" }, self.column)
    }
}

/// Whose data.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Space {
    /// Sites by their numbers.
    Sites(Vec<u64>),
    /// A part of a site (version 2 only).
    Level2 {
        /// The site.
        site: u64,
        /// The part.
        level2: u64,
    },
}

/// A series over time instead of one number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evolution {
    /// Its steps.
    pub granularity: Granularity,
    /// Which of several periods (version 2 only).
    pub period: Option<u8>,
    /// Of which rows (version 3 only, which needs it).
    pub top: Option<Top>,
}

/// A segment: which visits, visitors or events count.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Segment {
    /// A saved one by its number: all that version 2 knows.
    Id(u64),
    /// A saved one by its key (`segmentKey`; version 3 only).
    Key(String),
    /// One that is described in the query (`section`; version 3 only): passed on as it is.
    Section(serde_json::Map<String, serde_json::Value>),
}

impl From<u64> for Segment {
    fn from(id: u64) -> Self {
        Self::Id(id)
    }
}

/// The rows of an evolution.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Top {
    /// How many.
    pub max_results: Option<u32>,
    /// From which page.
    pub page_num: Option<u32>,
    /// In which order.
    pub sort: Vec<Sort>,
    /// Among which rows.
    pub filter: Option<Filter>,
    /// By the numbers of which period, where it is not that of the query: one or several spans.
    pub period: Option<Vec<Period>>,
}

/// Switches of version 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Leaves out rows in which every property is null.
    pub ignore_null_properties: bool,
    /// Asks for a cheaper, perhaps sampled answer.
    pub eco_mode: bool,
}

/// Parameters of version 2 that say how an answer looks, or that are passed on as they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Presentation {
    /// `sep`: `comma` or `dot`.
    pub sep: Option<String>,
    /// `lng`: the language of labels.
    pub lng: Option<String>,
    /// `include`, as it stands.
    pub include: Option<String>,
    /// `segmentdesc`, as it stands.
    pub segmentdesc: Option<String>,
    /// `code`: the short code of a template.
    pub code: Option<String>,
    /// `sample`, as it stands.
    pub sample: Option<String>,
}

/// A Data Query.
#[derive(Debug, Clone, PartialEq)]
pub struct DataQuery {
    /// Properties and metrics, in the order of the answer.
    pub columns: Vec<Column>,
    /// The order of rows.
    pub sort: Vec<Sort>,
    /// Which rows.
    pub filter: Option<Filter>,
    /// Whose.
    pub space: Space,
    /// Segments.
    pub segments: Vec<Segment>,
    /// The period, and those to compare it with; each is one span of time, or several that count together.
    pub periods: Vec<Vec<Period>>,
    /// A series over time.
    pub evo: Option<Evolution>,
    /// Rows of a page.
    pub max_results: Option<u32>,
    /// Which page, from 1.
    pub page_num: Option<u32>,
    /// Switches of version 3.
    pub options: Options,
    /// What only version 2 knows.
    pub presentation: Presentation,
}

impl DataQuery {
    /// A query with nothing but what every query needs.
    #[must_use]
    pub fn new(columns: Vec<Column>, space: Space, period: Period) -> Self {
        Self {
            columns,
            sort: Vec::new(),
            filter: None,
            space,
            segments: Vec::new(),
            periods: vec![vec![period]],
            evo: None,
            max_results: None,
            page_num: None,
            options: Options::default(),
            presentation: Presentation::default(),
        }
    }

    /// The columns that are metrics.
    pub fn metrics(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.is_metric())
    }

    /// Whether its columns name periods.
    #[must_use]
    pub fn names_periods(&self) -> bool {
        self.periods.len() > 1 || self.columns.iter().any(|column| column.period.is_some())
    }

    /// What holds in both versions, with the number of columns of one.
    pub(super) fn check(&self, max_columns: usize) -> Result<(), QueryError> {
        let columns = |what: String| Err(QueryError::part("columns", what));
        if self.columns.len() > max_columns {
            return columns(format!(
                "there are {}, and at most {max_columns} go into one query",
                self.columns.len()
            ));
        }
        if self.metrics().next().is_none() {
            return columns("one of them at least must be a metric (m_…)".to_owned());
        }
        for (index, column) in self.columns.iter().enumerate() {
            if self.columns[..index].contains(column) {
                return columns(format!("the {}. is there twice", index + 1));
            }
            let known = column.period.is_none_or(|period| usize::from(period) <= self.periods.len());
            if !known {
                return columns(format!("the {}. is of a period that the query does not have", index + 1));
            }
            if self.names_periods() && column.is_metric() && column.period.is_none() {
                return columns(format!("the {}. does not say of which period it is (p1.m_…)", index + 1));
            }
        }
        if self.periods.is_empty() || self.periods.len() > MAX_PERIODS {
            return Err(QueryError::part("period", "one to three are needed"));
        }
        let of_top = self.evo.iter().filter_map(|evo| evo.top.as_ref()?.period.as_ref());
        if self.periods.iter().chain(of_top).any(|spans| spans.is_empty() || spans.len() > MAX_SPANS) {
            return Err(QueryError::part("period", format!("it has 1 to {MAX_SPANS} spans of time")));
        }
        let none = match &self.space {
            Space::Sites(sites) => sites.is_empty(),
            Space::Level2 { .. } => false,
        };
        if none {
            return Err(QueryError::part("space", "there is no site"));
        }
        if self.max_results.is_some_and(|rows| rows == 0 || rows > MAX_PAGE) {
            return Err(QueryError::part("max-results", format!("it is 1 to {MAX_PAGE}")));
        }
        if self.page_num == Some(0) {
            return Err(QueryError::part("page-num", "the first page is 1"));
        }
        let of_top = self.evo.iter().filter_map(|evo| evo.top.as_ref()?.filter.as_ref());
        for condition in self.filter.iter().chain(of_top).flat_map(Filter::conditions) {
            let fits = match &condition.operand {
                Operand::Flag(_) => condition.operator.wants_flag(),
                Operand::Many(values) => !values.is_empty() && !condition.operator.wants_flag(),
                Operand::One(_) => !condition.operator.wants_flag() && !condition.operator.wants_list(),
            };
            if !fits {
                return Err(QueryError::part(
                    "filter",
                    format!("{} is not compared with such a value", condition.operator.as_str()),
                ));
            }
        }
        Ok(())
    }
}
