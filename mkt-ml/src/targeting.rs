//! Target lists: rows ranked by score, in deciles, limited by number, budget or profit.
//!
//! Rows are ranked by probability, or by probability × what a conversion of the row is worth (its expected value).
//! Of equal ranks the earlier row comes first, so that the same scores give the same list.

use std::io;

use mkt_connect::table::Table;
use serde::{Deserialize, Serialize};

/// Why rows could not be ranked.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum TargetingError {
    /// Values or names differ in number from the probabilities.
    #[error("{probabilities} probabilities but {found} {what}")]
    Length {
        /// Probabilities.
        probabilities: usize,
        /// What differs: values, names.
        what: &'static str,
        /// How many of those.
        found: usize,
    },
    /// A probability outside 0..=1, or NaN.
    #[error("the probability of row {row} is {value}")]
    NotAProbability {
        /// The row, from 0.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A value that is negative, infinite or NaN.
    #[error("the value of row {row} is {value}: expected an amount from 0 up")]
    Value {
        /// The row, from 0.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A cost or a budget that is negative or NaN, or a cost of 0 with a budget.
    #[error("{name} is {value}: expected {expected}")]
    Amount {
        /// Which one.
        name: &'static str,
        /// What it was.
        value: f64,
        /// What is allowed.
        expected: &'static str,
    },
}

/// A ranked row.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Ranked {
    /// The row, from 0, in the order in which the probabilities were given.
    pub row: usize,
    /// 1 for the first.
    pub rank: usize,
    /// 1 for the first tenth, 10 for the last.
    pub decile: usize,
    /// Of the positive outcome.
    pub probability: f64,
    /// Probability × value; the probability itself where no values were given.
    pub expected_value: f64,
}

/// One tenth of the rows, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ExpectedDecile {
    /// 1 to 10.
    pub decile: usize,
    /// Rows in it: the first deciles have one more where ten does not divide the rows.
    pub rows: usize,
    /// The sum of their probabilities.
    pub expected_conversions: f64,
    /// The sum of their expected values.
    pub expected_value: f64,
    /// The share of all expected value in this decile and those before it; 0 where there is none at all.
    pub cumulative_share: f64,
}

/// All rows, ranked: the one to contact first comes first.
///
/// ```
/// use mkt_ml::targeting::TargetList;
///
/// // The second visitor is less likely to buy, but her basket is worth five times as much.
/// let list = TargetList::by_expected_value(&[0.6, 0.3, 0.1], &[20.0, 100.0, 30.0])?;
/// assert_eq!(list.ranked()[0].row, 1);
/// assert_eq!(list.profitable(5.0)?.len(), 2); // a call for 5: 30 and 12 are worth it, 3 is not
/// # Ok::<(), mkt_ml::targeting::TargetingError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetList {
    ranked: Vec<Ranked>,
}

impl TargetList {
    /// Ranks rows by probability.
    ///
    /// # Errors
    /// A probability outside 0..=1.
    pub fn by_probability(probabilities: &[f64]) -> Result<Self, TargetingError> {
        Self::ranking(probabilities, |_| 1.0)
    }

    /// Ranks rows by probability × value, where `values` is the worth of each row's conversion.
    ///
    /// # Errors
    /// Other numbers of both, a probability outside 0..=1, a value that is negative or not finite.
    pub fn by_expected_value(probabilities: &[f64], values: &[f64]) -> Result<Self, TargetingError> {
        if values.len() != probabilities.len() {
            let (probabilities, found) = (probabilities.len(), values.len());
            return Err(TargetingError::Length { probabilities, what: "values", found });
        }
        let wrong = values.iter().position(|value| !(value.is_finite() && *value >= 0.0));
        if let Some((row, &value)) = wrong.and_then(|row| Some((row, values.get(row)?))) {
            return Err(TargetingError::Value { row, value });
        }
        Self::ranking(probabilities, |row| values.get(row).copied().unwrap_or_default())
    }

    fn ranking(probabilities: &[f64], value: impl Fn(usize) -> f64) -> Result<Self, TargetingError> {
        let wrong = probabilities.iter().position(|p| !(0.0..=1.0).contains(p));
        if let Some((row, &value)) = wrong.and_then(|row| Some((row, probabilities.get(row)?))) {
            return Err(TargetingError::NotAProbability { row, value });
        }
        let mut ranked: Vec<Ranked> = probabilities
            .iter()
            .enumerate()
            // Adding 0 makes a probability of −0 equal to one of 0, which a total order keeps apart.
            .map(|(row, &p)| Ranked {
                row,
                rank: 0,
                decile: 0,
                probability: p,
                expected_value: p * value(row) + 0.0,
            })
            .collect();
        ranked.sort_by(|a, b| b.expected_value.total_cmp(&a.expected_value));
        let rows = ranked.len();
        let (each, larger) = (rows / 10, rows % 10);
        // The first `larger` deciles hold `each + 1` rows.
        let edge = larger * (each + 1);
        for (at, row) in ranked.iter_mut().enumerate() {
            row.rank = at + 1;
            row.decile = 1 + if at < edge { at / (each + 1) } else { larger + (at - edge) / each.max(1) };
        }
        Ok(Self { ranked })
    }

    /// All rows, the best first.
    pub fn ranked(&self) -> &[Ranked] {
        &self.ranked
    }

    /// The rows in the order in which they were given.
    pub fn in_order(&self) -> Vec<Ranked> {
        let mut rows = self.ranked.clone();
        rows.sort_unstable_by_key(|ranked| ranked.row);
        rows
    }

    /// Expected conversions and value by decile. Fewer than ten rows give fewer deciles.
    pub fn deciles(&self) -> Vec<ExpectedDecile> {
        let all: f64 = self.ranked.iter().map(|row| row.expected_value).sum();
        let mut before = 0.0;
        self.ranked
            .chunk_by(|a, b| a.decile == b.decile)
            .map(|rows| {
                let expected_value: f64 = rows.iter().map(|row| row.expected_value).sum();
                before += expected_value;
                ExpectedDecile {
                    decile: rows.first().map_or(0, |row| row.decile),
                    rows: rows.len(),
                    expected_conversions: rows.iter().map(|row| row.probability).sum(),
                    expected_value,
                    cumulative_share: if all > 0.0 { (before / all).min(1.0) } else { 0.0 },
                }
            })
            .collect()
    }

    /// The first `count` rows, or all where there are fewer.
    pub fn best(&self, count: usize) -> &[Ranked] {
        self.ranked.get(..count).unwrap_or(&self.ranked)
    }

    /// The rows whose expected value is above `cost`, the cost of contacting one row.
    ///
    /// # Errors
    /// A cost that is negative or NaN.
    pub fn profitable(&self, cost: f64) -> Result<&[Ranked], TargetingError> {
        if cost.is_nan() || cost < 0.0 {
            return Err(TargetingError::Amount {
                name: "the cost",
                value: cost,
                expected: "an amount from 0 up",
            });
        }
        Ok(self.best(self.ranked.partition_point(|row| row.expected_value > cost)))
    }

    /// As many of the first rows as `budget` pays for at `cost` a row.
    ///
    /// # Errors
    /// A cost that is not above 0, a budget that is negative, either NaN.
    pub fn within_budget(&self, cost: f64, budget: f64) -> Result<&[Ranked], TargetingError> {
        if !(cost.is_finite() && cost > 0.0) {
            return Err(TargetingError::Amount {
                name: "the cost",
                value: cost,
                expected: "an amount above 0",
            });
        }
        if budget.is_nan() || budget < 0.0 {
            return Err(TargetingError::Amount {
                name: "the budget",
                value: budget,
                expected: "an amount from 0 up",
            });
        }
        // 0.3 ÷ 0.1 is 2.9999999999999996 but pays for three.
        let count = (budget / cost * (1.0 + 4.0 * f64::EPSILON)).floor() as usize;
        Ok(self.best(count))
    }

    /// Copies the rows of a table as they are, each with `probability`, `decile` and, with `expected_value`, that too; the
    /// delimiter is the table's, the encoding UTF-8. Returns the names of the columns added: a name that the table
    /// already has gets a number, as in `probability_2`.
    ///
    /// # Errors
    /// A table that cannot be read or has another number of rows than were ranked; errors of the writer.
    pub fn copy_table<R: io::Read, W: io::Write>(
        &self,
        mut table: Table<R>,
        expected_value: bool,
        writer: W,
    ) -> io::Result<Vec<String>> {
        let changed = || io::Error::other("the table changed while it was read");
        let mut names = vec!["probability", "decile"];
        if expected_value {
            names.push("expected_value");
        }
        let header: Vec<String> = table.header().names().to_vec();
        let free = |name: &&str| {
            let numbered = (2..).map(|number| format!("{name}_{number}"));
            let candidates = std::iter::once((*name).to_owned()).chain(numbered);
            candidates.into_iter().find(|name| !header.contains(name)).unwrap_or_default()
        };
        let added: Vec<String> = names.iter().map(free).collect();
        let delimiter = table.layout().delimiter();
        let mut out = csv::WriterBuilder::new().delimiter(delimiter).from_writer(writer);
        out.write_record(header.iter().chain(&added))?;
        let mut scored = self.in_order().into_iter();
        while let Some(record) = table.next().map_err(io::Error::other)? {
            let (Ok(record), Some(row)) = (record, scored.next()) else { return Err(changed()) };
            // Surplus blank cells are no column.
            for at in 0..header.len() {
                out.write_field(record.field(at))?;
            }
            out.write_field(row.probability.to_string())?;
            out.write_field(row.decile.to_string())?;
            if expected_value {
                out.write_field(row.expected_value.to_string())?;
            }
            out.write_record(None::<&[u8]>)?;
        }
        if scored.next().is_some() {
            return Err(changed());
        }
        out.flush()?;
        Ok(added)
    }

    /// Writes `rows` as CSV: `id,rank,decile,probability,expected_value`; `names` hold the id of each row in the order
    /// in which the probabilities were given.
    ///
    /// # Errors
    /// Another number of names than of rows; errors of the writer.
    pub fn write_csv<W: io::Write>(&self, rows: &[Ranked], names: &[String], writer: W) -> io::Result<()> {
        if names.len() != self.ranked.len() {
            let (probabilities, found) = (self.ranked.len(), names.len());
            let error = TargetingError::Length { probabilities, what: "names", found };
            return Err(io::Error::new(io::ErrorKind::InvalidInput, error));
        }
        let mut writer = csv::Writer::from_writer(writer);
        writer.write_record(["id", "rank", "decile", "probability", "expected_value"])?;
        for row in rows {
            let id = names.get(row.row).map_or("", String::as_str);
            let numbers = (row.rank, row.decile, row.probability, row.expected_value);
            writer.serialize((id, numbers))?;
        }
        writer.flush()
    }
}
