//! Paths from delimited text.

use std::io::Read;

use chrono::{DateTime, Utc};
use mkt_connect::table::{
    AmbiguousColumn, Found, Quarantined, ReadError, ReadOptions, Reason, Record,
    cell::{self, DecimalMark, Missing, TimeFormat},
};

use super::{AttributionError, Outcome, Paths};

/// Rows set aside that are kept with their content; all are counted.
const KEPT_ROWS: usize = 100;

/// What a file of paths was read as.
#[derive(Debug)]
#[non_exhaustive]
pub struct PathFile {
    /// The paths.
    pub paths: Paths,
    /// Encoding, delimiter, columns and what each was read as.
    pub found: Found,
    /// Rows read: those in `paths` and those set aside.
    pub rows: u64,
    /// Rows set aside.
    pub quarantined: u64,
    /// The first hundred of them.
    pub quarantined_rows: Vec<Quarantined>,
}

/// Why a file of paths could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathFileError {
    /// The file cannot be read as a table.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Two columns of one meaning.
    #[error(transparent)]
    Column(#[from] AmbiguousColumn),
    /// A column that must be there is not.
    #[error("there is no column `{column}`; there are: {there}")]
    MissingColumn {
        /// What is looked for.
        column: &'static str,
        /// The columns of the file, the first dozen.
        there: String,
    },
    /// Paths beyond a bound, or half of them with times.
    #[error(transparent)]
    Paths(#[from] AttributionError),
}

/// The columns by their places.
struct Columns {
    path: usize,
    conversions: usize,
    value: Option<usize>,
    nulls: Option<usize>,
    times: Option<usize>,
    converted_at: Option<usize>,
}

impl Paths {
    /// Reads paths from delimited text, row by row. Columns, whatever case, order and language:
    ///
    /// | column | also | cell |
    /// |---|---|---|
    /// | `path` | `chemin`, `parcours` | `a > b > c`; empty: nobody was met |
    /// | `conversions` | `converted`, `total_conversions` | how many such paths converted, fractions allowed |
    /// | `value` | `valeur`, `revenue`, `total_conversion_value` | optional: their value together; empty: unknown |
    /// | `nulls` | `null`, `not_converted`, `total_null` | optional: such paths without a conversion |
    /// | `times` | `timestamps` | optional: a timestamp a touch, `2026-05-01 10:00 > …`; without offset they are UTC |
    /// | `converted_at` | | optional: the end of the path; without it, the time of the last touch |
    ///
    /// A row that does not fit is set aside with its reason; one cell that is no number costs its row, never a zero.
    /// `mark` is the decimal mark of the numbers.
    ///
    /// # Errors
    /// Text that is no table, columns that are missing or there twice, and bounds of [`Paths::add`].
    ///
    /// ```
    /// use mkt_connect::table::{ReadOptions, cell::DecimalMark};
    /// use mkt_ml::attribution::Paths;
    ///
    /// let text = "path,conversions,value,nulls\nsearch > email,3,120.5,10\nsearch,x,,\n";
    /// let file = Paths::read(text.as_bytes(), &ReadOptions::new(), DecimalMark::Point)?;
    /// assert_eq!((file.rows, file.quarantined, file.paths.distinct()), (2, 1, 1));
    /// # Ok::<(), mkt_ml::attribution::PathFileError>(())
    /// ```
    pub fn read<R: Read>(
        reader: R,
        options: &ReadOptions,
        mark: DecimalMark,
    ) -> Result<PathFile, PathFileError> {
        let mut table = options.open(reader)?;
        let find = |names: &[&str]| table.header().find(names);
        let missing = |column| {
            let there: Vec<&str> = table.header().names().iter().take(12).map(String::as_str).collect();
            PathFileError::MissingColumn { column, there: there.join(", ") }
        };
        let columns = Columns {
            path: find(&["path", "chemin", "parcours"])?.ok_or_else(|| missing("path"))?,
            conversions: find(&["conversions", "converted", "total_conversions"])?
                .ok_or_else(|| missing("conversions"))?,
            value: find(&["value", "valeur", "revenue", "total_conversion_value"])?,
            nulls: find(&["nulls", "null", "not_converted", "total_null"])?,
            times: find(&["times", "timestamps"])?,
            converted_at: find(&["converted_at"])?,
        };
        let known = [
            (Some(columns.path), "path"),
            (Some(columns.conversions), "conversions"),
            (columns.value, "value"),
            (columns.nulls, "nulls"),
            (columns.times, "times"),
            (columns.converted_at.filter(|_| columns.times.is_some()), "converted_at"),
        ];
        for (column, name) in known {
            if let Some(column) = column {
                table.found_mut().read_as(column, name);
            }
        }
        let words = Missing::usual();
        let mut file = PathFile {
            paths: Self::new(),
            found: table.found().clone(),
            rows: 0,
            quarantined: 0,
            quarantined_rows: Vec::new(),
        };
        while let Some(row) = table.next()? {
            file.rows += 1;
            let set_aside = match row {
                Ok(row) => match take(&mut file.paths, &row, &columns, &words, mark) {
                    Ok(()) => continue,
                    // A bound is the file's matter, not the row's.
                    Err(Refusal::File(error)) => return Err(error.into()),
                    Err(Refusal::Row(reason)) => row.quarantine(reason),
                },
                Err(set_aside) => set_aside,
            };
            file.quarantined += 1;
            if file.quarantined_rows.len() < KEPT_ROWS {
                file.quarantined_rows.push(set_aside);
            }
        }
        file.found = table.found().clone();
        Ok(file)
    }
}

enum Refusal {
    Row(Reason),
    File(AttributionError),
}

impl From<AttributionError> for Refusal {
    fn from(error: AttributionError) -> Self {
        match error {
            AttributionError::TooMany { .. } | AttributionError::MixedTimes => Self::File(error),
            other => Self::Row(Reason::rule("outcome", other.to_string())),
        }
    }
}

fn take(
    paths: &mut Paths,
    row: &Record<'_>,
    columns: &Columns,
    words: &Missing,
    mark: DecimalMark,
) -> Result<(), Refusal> {
    let number = |column: usize, name: &'static str| -> Result<Option<f64>, Refusal> {
        let text = row.cell(column);
        if text.is_empty() {
            return Ok(None);
        }
        match cell::float(text, mark) {
            Some(number) => Ok(Some(number)),
            None if words.is(text) => Ok(None),
            None => Err(Refusal::Row(Reason::rule("not_a_number", format!("`{name}` is not a number")))),
        }
    };
    let count = |column: usize, name: &'static str| {
        let missing = || Refusal::Row(Reason::rule("missing", format!("`{name}` is missing")));
        number(column, name)?.ok_or_else(missing)
    };
    let mut outcome = Outcome::converted(count(columns.conversions, "conversions")?);
    if let Some(column) = columns.nulls {
        outcome = outcome.nulls(count(column, "nulls")?);
    }
    if let Some(column) = columns.value {
        // Of paths that did not convert, 0 and nothing mean the same.
        outcome = outcome.value(number(column, "value")?);
    }
    let path = row.cell(columns.path);
    let Some(times) = columns.times else { return Ok(paths.add_text(path, outcome)?) };
    let format = TimeFormat::new();
    let instant = |text: &str| -> Result<DateTime<Utc>, Refusal> {
        let read = format.parse(text.trim()).and_then(|stamp| stamp.in_zone(Some(&Utc)));
        read.map_err(|error| Refusal::Row(Reason::cell("times", error)))
    };
    let texts = row.cell(times);
    let stamps: Vec<DateTime<Utc>> = if texts.is_empty() {
        Vec::new()
    } else {
        texts.split('>').map(instant).collect::<Result<_, _>>()?
    };
    let names: Vec<&str> =
        if path.is_empty() { Vec::new() } else { path.split('>').map(str::trim).collect() };
    if names.len() != stamps.len() {
        let text = format!("{} touches have {} times", names.len(), stamps.len());
        return Err(Refusal::Row(Reason::rule("times", text)));
    }
    let end = match columns.converted_at.map(|column| row.cell(column)).filter(|text| !text.is_empty()) {
        Some(text) => Some(instant(text)?),
        None => stamps.iter().max().copied(),
    };
    let mut touches = Vec::with_capacity(names.len());
    for (name, stamp) in names.into_iter().zip(stamps) {
        let age = end.and_then(|end| (end - stamp).to_std().ok());
        let age =
            age.ok_or_else(|| Refusal::Row(Reason::rule("times", "a touch is after the end of its path")))?;
        touches.push((name, age));
    }
    Ok(paths.add_timed(touches, outcome)?)
}
