//! What is asked: a report, the sites and the days, from the options or from a pasted URL.

use crate::arguments::Arguments;
use chrono::NaiveDate;
use mkt_etl::Window;
use mkt_etl::at_internet::{
    DataQuery, Moment, Name, NameMap, PastedUrl, Period, QueryError, Report, Space, Version,
};
use mkt_warehouse::model::MetricKind;

/// The columns of the stand-in that are read where none are named.
const OF_THE_DEMO: &str = "src,visit_device_type,m_visits,m_page_loads,m_unique_visitors";

/// A report, its sites, and the days.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) report: Report,
    pub(crate) spaces: Vec<u64>,
    pub(crate) days: Window,
    /// What a reader should know.
    pub(crate) notes: Vec<&'static str>,
}

/// Why the options do not say what is asked: one sentence.
#[derive(Debug)]
pub(crate) struct Unclear(pub(crate) String);

impl From<QueryError> for Unclear {
    fn from(error: QueryError) -> Self {
        Self(error.to_string())
    }
}

fn unclear<T>(why: &str) -> Result<T, Unclear> {
    Err(Unclear(why.to_owned()))
}

impl Asked {
    pub(crate) fn read(arguments: &Arguments) -> Result<Self, Unclear> {
        let mut asked = match &arguments.url {
            Some(url) => Self::of_url(url, arguments)?,
            None => Self::of_options(arguments)?,
        };
        for name in &arguments.additive {
            asked.report = asked.report.kind(Name::new(name)?, MetricKind::Additive);
        }
        for name in &arguments.amounts {
            asked.report = asked.report.amount(Name::new(name)?);
        }
        Ok(asked)
    }

    fn of_options(arguments: &Arguments) -> Result<Self, Unclear> {
        let columns: Vec<&str> = match arguments.columns.is_empty() {
            true => OF_THE_DEMO.split(',').collect(),
            false => arguments.columns.iter().map(String::as_str).collect(),
        };
        let of_the_demo = |day: u32| NaiveDate::from_ymd_opt(2026, 3, day);
        let days = (arguments.from.or(of_the_demo(27)), arguments.to.or(of_the_demo(31)));
        Ok(Self {
            report: Report::new(&arguments.report, columns)?,
            spaces: arguments.spaces.clone(),
            days: window(days)?,
            notes: Vec::new(),
        })
    }

    fn of_url(url: &str, arguments: &Arguments) -> Result<Self, Unclear> {
        let pasted: PastedUrl = url.parse()?;
        let mut notes = Vec::new();
        if pasted.key.is_some() {
            notes.push("the key in the URL is not used: AT_INTERNET_KEY is; do not keep URLs with keys");
        }
        let query = match pasted.version {
            Version::V3 => pasted.query,
            Version::V2 => {
                let translated = pasted.query.translated(&names(&arguments.renames)?)?;
                notes.extend(translated.notes);
                translated.query
            }
        };
        if query.max_results.is_some() {
            notes.push("the page that the URL asks for is left out: all rows of a day are read");
        }
        let Space::Sites(spaces) = query.space.clone() else {
            return unclear("version 3 has no parts of sites");
        };
        let own = days(&query);
        let days = (arguments.from.or(own.map(|days| days.0)), arguments.to.or(own.map(|days| days.1)));
        Ok(Self {
            report: Report::from_query(&arguments.report, &query)?,
            spaces,
            days: window(days)?,
            notes,
        })
    }
}

/// The days of a query that names days.
fn days(query: &DataQuery) -> Option<(NaiveDate, NaiveDate)> {
    match query.periods.as_slice() {
        [Period::Absolute { start: Moment::Day(first), end: Moment::Day(last), .. }] => Some((*first, *last)),
        _ => None,
    }
}

fn window(days: (Option<NaiveDate>, Option<NaiveDate>)) -> Result<Window, Unclear> {
    match days {
        (Some(first), Some(last)) if first <= last => Ok(Window::days(first, last)),
        (Some(_), Some(_)) => unclear("--to lies before --from"),
        _ => unclear("the URL names no days: say --from and --to"),
    }
}

fn names(renames: &[String]) -> Result<NameMap, Unclear> {
    renames.iter().try_fold(NameMap::new(), |names, rename| match rename.split_once('=') {
        Some((old, new)) => Ok(names.with(&Name::new(old.trim())?, Name::new(new.trim())?)),
        None => unclear("--rename wants OLD=NEW"),
    })
}
