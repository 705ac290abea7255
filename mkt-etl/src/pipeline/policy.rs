//! What the pipeline decides for itself: which slices are read, how many spoiled records a slice may have, when a source
//! is left alone. Pure.

use crate::ledger::SliceRow;
use mkt_connect::{Error, ErrorKind};

/// Which final slices are read again nevertheless. Slices that are not final are read in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Again {
    /// None.
    #[default]
    Unsettled,
    /// Those with records that were set aside: the file was mended, or the program learned to read them. What fits now
    /// becomes rows, and leaves the quarantine with the slice's old content.
    Quarantined,
    /// All.
    All,
}

impl std::str::FromStr for Again {
    type Err = String;

    /// Parses `unsettled`, `quarantined` or `all`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "unsettled" => Ok(Self::Unsettled),
            "quarantined" => Ok(Self::Quarantined),
            "all" => Ok(Self::All),
            _ => Err("expected unsettled, quarantined or all".to_owned()),
        }
    }
}

impl Again {
    /// Whether a slice is read although the ledger knows it.
    pub(crate) fn reads(self, before: &SliceRow, lost_rows: bool) -> bool {
        let again = match self {
            Self::Unsettled => false,
            Self::Quarantined => before.records_quarantined > 0,
            Self::All => true,
        };
        again || lost_rows || !before.is_final || before.failed_attempts > 0
    }
}

/// Refuses a slice of which more than `most` (a share of 1) of the records do not fit.
pub(crate) fn within_budget(
    read: u64,
    quarantined: u64,
    most: Option<f64>,
    slice: &str,
) -> Result<(), Error> {
    let Some(most) = most else { return Ok(()) };
    if quarantined == 0 || quarantined as f64 <= read as f64 * most {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Input, "etl", "read a slice").with_detail(format!(
        "{quarantined} of {read} records of {slice} do not fit, more than {} %",
        (most * 10_000.0).round() / 100.0
    )))
}

/// Counts how often in a row the source could not be reached.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Circuit {
    limit: u32,
    failures: u32,
}

impl Circuit {
    /// Opens after so many failures in a row; never for 0.
    pub(crate) fn new(limit: u32) -> Self {
        Self { limit, failures: 0 }
    }

    /// A slice was read, or could not be: whether the source is to be left alone from now on.
    pub(crate) fn opens(&mut self, failure: Option<ErrorKind>) -> bool {
        match failure {
            Some(ErrorKind::Unavailable) => self.failures += 1,
            // It answered.
            _ => self.failures = 0,
        }
        self.limit > 0 && self.failures >= self.limit
    }

    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{DateTime, NaiveDate};
    use mkt_warehouse::SliceKey;

    #[test]
    fn final_slices_are_read_only_for_a_reason() {
        let key = SliceKey::day("memory", "traffic", "shop", NaiveDate::default());
        let clean = SliceRow { is_final: true, ..SliceRow::planned(&key, DateTime::UNIX_EPOCH) };
        let spoiled = SliceRow { records_quarantined: 1, ..clean.clone() };
        let failed = SliceRow { failed_attempts: 1, ..clean.clone() };
        let open = SliceRow { is_final: false, ..clean.clone() };
        for (again, expected) in [
            (Again::Unsettled, [false, false, true, true]),
            (Again::Quarantined, [false, true, true, true]),
            (Again::All, [true, true, true, true]),
        ] {
            assert_eq!(
                [&clean, &spoiled, &failed, &open].map(|row| again.reads(row, false)),
                expected,
                "{again:?}"
            );
        }
        assert!(Again::Unsettled.reads(&clean, true), "a slice that lost a row");
    }

    #[test]
    fn the_budget_is_a_share_of_the_records_read() {
        let fits = |read, spoiled, most| within_budget(read, spoiled, most, "s").is_ok();
        assert!(fits(10, 10, None) && fits(0, 0, Some(0.0)) && fits(100, 1, Some(0.01)));
        assert!(!fits(100, 2, Some(0.01)) && !fits(1, 1, Some(0.0)) && !fits(0, 1, Some(1.0)));
        let error = within_budget(200, 3, Some(0.0125), "csv/events:a/shop 2026-03-28").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        let text = error.to_string();
        assert!(
            text.contains("3 of 200 records of csv/events:a/shop 2026-03-28") && text.contains("1.25 %"),
            "{text}"
        );
    }

    #[test]
    fn the_circuit_opens_after_failures_in_a_row() {
        let mut circuit = Circuit::new(3);
        let down = Some(ErrorKind::Unavailable);
        assert!(!circuit.opens(down) && !circuit.opens(down));
        assert!(!circuit.opens(Some(ErrorKind::Protocol)), "an answer is an answer, however odd");
        assert!(!circuit.opens(down) && !circuit.opens(down) && circuit.opens(down));
        let mut never = Circuit::new(0);
        assert!((0..100).all(|_| !never.opens(down)));
    }
}
