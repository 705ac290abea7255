//! A report from an analyst's URL: what is read day by day, of which sites, for which days.

use super::period::{Moment, Period};
use super::query::{DataQuery, QueryError, Space};
use super::report::Report;
use super::translate::{self, NameMap};
use super::url::{PastedUrl, Version};
use crate::source::Window;

/// A report as a pasted Data Query URL asks for it.
///
/// ```
/// use mkt_etl::at_internet::{NameMap, PastedReport};
/// let url = "https://apirest.atinternet-solutions.com/data/v2/json/getData?&columns={d_page,m_visits}&sort={-m_visits}\
///            &space={s:123456}&period={D:{start:'2026-11-01',end:'2026-11-24'}}";
/// let pasted = PastedReport::read(url, "pages", &NameMap::new())?;
/// assert_eq!((pasted.report.name(), pasted.spaces, pasted.days.len()), ("pages", vec![123456], 1));
/// # Ok::<(), mkt_etl::at_internet::QueryError>(())
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PastedReport {
    /// The report, in the names of version 3.
    pub report: Report,
    /// The numbers of the sites.
    pub spaces: Vec<u64>,
    /// The days, where the URL names days: one window, or several with days between them.
    pub days: Vec<Window>,
    /// What of the URL is not used, and what translating its names could not keep.
    pub notes: Vec<String>,
}

impl PastedReport {
    /// Reads a URL of version 2 or 3. Names of version 2 are translated by `names` and where their counterpart is known.
    ///
    /// # Errors
    /// A text that is no such URL, a name without a counterpart, a query that is no report of a day, parts of sites.
    pub fn read(url: &str, name: &str, names: &NameMap) -> Result<Self, QueryError> {
        let pasted: PastedUrl = url.trim().parse()?;
        match pasted.version {
            Version::V3 => Self::of(name, &pasted.query, pasted.key.is_some(), &[]),
            Version::V2 => {
                let translated = pasted.query.translated(names)?;
                Self::of(name, &translated.query, pasted.key.is_some(), &translated.notes)
            }
        }
    }

    /// Reads a URL of version 2 for a source of version 2, with its names as they are.
    ///
    /// # Errors
    /// A text that is no URL of version 2, a query that is no report of a day, parts of sites.
    pub fn read_v2(url: &str, name: &str) -> Result<Self, QueryError> {
        let pasted: PastedUrl = url.trim().parse()?;
        match pasted.version {
            Version::V2 => Self::of(name, &pasted.query, pasted.key.is_some(), &[]),
            Version::V3 => Err(QueryError::part("the URL", "it is of version 3, and version 2 was expected")),
        }
    }

    fn of(name: &str, query: &DataQuery, has_key: bool, notes: &[&str]) -> Result<Self, QueryError> {
        let mut notes: Vec<String> = notes.iter().map(ToString::to_string).collect();
        if has_key {
            notes.insert(0, "the key in the URL is not used; do not keep URLs with keys".to_owned());
        }
        if query.max_results.is_some() {
            notes.push("the page that the URL asks for is left out: all rows of a day are read".to_owned());
        }
        let Space::Sites(spaces) = query.space.clone() else {
            return Err(QueryError::part("space", "a part of a site cannot be read as a site"));
        };
        Ok(Self { report: Report::from_query(name, query)?, spaces, days: days(query), notes })
    }
}

/// The days of a query that names days, months, quarters or years; none where a part of it is something else.
fn days(query: &DataQuery) -> Vec<Window> {
    let [spans] = query.periods.as_slice() else { return Vec::new() };
    let windows = spans.iter().map(|span| match translate::days(span) {
        Ok(Period::Absolute { start: Moment::Day(first), end: Moment::Day(last), .. }) => {
            Some(Window::days(first, last))
        }
        _ => None,
    });
    windows.collect::<Option<Vec<_>>>().map(Window::merged).unwrap_or_default()
}
