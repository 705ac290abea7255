//! From version 2 to version 3, where names map. What has no counterpart is refused, never dropped.
//!
//! The vendor published no table of names. The rules: a metric keeps its name where version 3 has one of that name; a
//! dimension `d_x` is the property `x` where version 3 has it; some have another name. The list below holds what
//! documentation and public clients name in both versions (November 2026); for an account's own names (`cl_…`, `d_…` of
//! custom variables) the caller says what they are called now. The numbers of the two versions are counted on two
//! platforms, and need not agree.

use super::filter::{Condition, Filter, Operand, Operator};
use super::period::{Granularity, Moment, Period};
use super::query::{Column, DataQuery, Evolution, Name, Options, Presentation, QueryError, Sort, Top};
use chrono::{Datelike, NaiveDate};
use std::collections::BTreeMap;

/// Name in version 2, name in version 3.
const NAMES: &[(&str, &str)] = &[
    ("m_visits", "m_visits"),
    ("m_visitors", "m_unique_visitors"),
    ("m_vu", "m_unique_visitors"),
    ("m_page_loads", "m_page_loads"),
    ("m_page_loads_per_visit", "m_page_loads_per_visits"),
    ("m_bounces", "m_bounces"),
    ("m_bounce_rate", "m_bounce_rate"),
    ("m_time_spent_per_visits", "m_time_spent_per_visits"),
    ("d_page", "page"),
    ("d_page_chap1", "page_chapter1"),
    ("d_page_chap2", "page_chapter2"),
    ("d_page_chap3", "page_chapter3"),
    ("d_source", "src"),
    ("d_device_type", "device_type"),
    ("d_browser", "browser"),
    ("d_os", "os"),
    ("d_geo_country", "geo_country"),
    ("d_geo_region", "geo_region"),
    ("d_geo_city", "geo_city"),
    ("d_time_date", "date"),
    ("d_time_hour_visit", "visit_hour"),
    ("d_time_hour_event", "event_hour"),
];

/// Which name of version 2 is which name of version 3.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameMap(BTreeMap<String, Name>);

impl NameMap {
    /// The known names.
    #[must_use]
    pub fn new() -> Self {
        let known = NAMES.iter().filter_map(|(old, new)| Some(((*old).to_owned(), Name::new(new).ok()?)));
        Self(known.collect())
    }

    /// Adds or replaces a name.
    #[must_use]
    pub fn with(mut self, old: &Name, new: Name) -> Self {
        self.0.insert(old.as_str().to_owned(), new);
        self
    }

    fn column(&self, column: &Column, part: &str) -> Result<Column, QueryError> {
        match self.0.get(column.name.as_str()) {
            Some(name) => Ok(Column { period: column.period, name: name.clone() }),
            None => Err(QueryError::part(part, "a name whose counterpart in version 3 is not known")),
        }
    }
}

/// A query of version 3, and what a reader of it should know.
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// The query.
    pub query: DataQuery,
    /// What it does not say any more: how decimals and labels look.
    pub notes: Vec<&'static str>,
}

impl DataQuery {
    /// The same question in version 3.
    ///
    /// # Errors
    /// What has no counterpart: names that `names` does not hold, parts of a site, weeks, hours and minutes as a period,
    /// templates, samples, and what [`to_v3`](Self::to_v3) refuses.
    pub fn translated(&self, names: &NameMap) -> Result<Translated, QueryError> {
        let mut notes = Vec::new();
        let texts = &self.presentation;
        if texts.sep.is_some() || texts.lng.is_some() {
            notes.push("version 3 has one decimal separator, and labels in the language of the account");
        }
        for (part, text) in [
            ("include", &texts.include),
            ("segmentdesc", &texts.segmentdesc),
            ("code", &texts.code),
            ("sample", &texts.sample),
        ] {
            if text.is_some() {
                return Err(QueryError::part(part, "version 3 does not know it"));
            }
        }
        let sorted = |sort: &Sort| {
            Ok(Sort { descending: sort.descending, column: names.column(&sort.column, "sort")? })
        };
        let columns = self
            .columns
            .iter()
            .map(|column| names.column(column, "columns"))
            .collect::<Result<Vec<_>, _>>()?;
        let mut sort = self.sort.iter().map(sorted).collect::<Result<Vec<_>, QueryError>>()?;
        if sort.is_empty() {
            // Version 3 wants an order; version 2 has one of its own, which is not documented.
            let metric = columns.iter().find(|column| column.is_metric());
            sort.extend(metric.map(|column| Sort { descending: true, column: column.clone() }));
        }
        let evo = match &self.evo {
            None => None,
            Some(evo) if evo.period.is_none_or(|period| period == 1) => {
                // In version 3 the order chooses the rows of an evolution, and is not beside it.
                let top = Top {
                    max_results: self.max_results,
                    page_num: self.page_num,
                    sort: std::mem::take(&mut sort),
                    ..Top::default()
                };
                Some(Evolution { granularity: evo.granularity, period: None, top: Some(top) })
            }
            Some(_) => return Err(QueryError::part("evo", "version 3 knows only that of the first period")),
        };
        let query = Self {
            columns,
            sort,
            filter: self.filter.as_ref().map(|filter| translated(filter, names)).transpose()?,
            space: self.space.clone(),
            segments: self.segments.clone(),
            periods: self
                .periods
                .iter()
                .map(|spans| spans.iter().map(days).collect::<Result<_, _>>())
                .collect::<Result<_, _>>()?,
            evo,
            max_results: self.max_results,
            page_num: self.page_num,
            options: Options::default(),
            presentation: Presentation::default(),
        };
        query.to_v3(super::url::Method::Data)?;
        Ok(Translated { query, notes })
    }
}

fn translated(filter: &Filter, names: &NameMap) -> Result<Filter, QueryError> {
    let each =
        |parts: &[Filter]| parts.iter().map(|part| translated(part, names)).collect::<Result<Vec<_>, _>>();
    let empty = || QueryError::part("filter", "a list is empty");
    match filter {
        Filter::All(parts) => Filter::all(each(parts)?).ok_or_else(empty),
        Filter::Any(parts) => Filter::any(each(parts)?).ok_or_else(empty),
        Filter::Is(Condition { column, operator, operand }) => {
            let column = names.column(column, "filter")?;
            match (operator, operand) {
                // None of them: other than each.
                (Operator::Nin, Operand::Many(values)) => {
                    let each = values
                        .iter()
                        .map(|value| Filter::is(column.clone(), Operator::Neq, Operand::One(value.clone())));
                    Filter::all(each).ok_or_else(empty)
                }
                // Version 3 takes a list with `$lk`: contains any of them.
                (Operator::Inlk, operand) => Ok(Filter::is(column, Operator::Lk, operand.clone())),
                (operator, operand) => Ok(Filter::is(column, *operator, operand.clone())),
            }
        }
    }
}

/// Version 3 takes days: longer units become their days. A week begins when the account's profile says so.
pub(super) fn days(period: &Period) -> Result<Period, QueryError> {
    let refuse = |what: &str| Err(QueryError::part("period", what));
    let (granularity, start, end) = match period {
        Period::Relative { granularity: Granularity::Semester, .. } => {
            return refuse("version 3 does not count back in half years");
        }
        Period::Relative { .. } => return Ok(*period),
        Period::Absolute { granularity, start, end } => (*granularity, *start, *end),
    };
    let months = match granularity {
        Granularity::Day => return Ok(*period),
        Granularity::Month => 1,
        Granularity::Quarter => 3,
        Granularity::Semester => 6,
        Granularity::Year => 12,
        Granularity::Week => {
            return refuse("a week begins when the account's profile says so; name its days");
        }
        _ => return refuse("version 3 takes days; filter by the hour instead"),
    };
    let begin = |moment: Moment, later: u32| {
        let (year, part) = match moment {
            Moment::Year(year) => (year, 1),
            Moment::Part(year, part) => (year, u32::from(part)),
            _ => return None,
        };
        let month = (part - 1 + later) * months;
        NaiveDate::from_ymd_opt(i32::from(year) + i32::try_from(month / 12).ok()?, month % 12 + 1, 1)
    };
    match (begin(start, 0), begin(end, 1).and_then(|after| after.pred_opt())) {
        (Some(first), Some(last)) if last.year() < 10_000 => Ok(Period::days(first, last)),
        _ => refuse("it is no such period"),
    }
}
