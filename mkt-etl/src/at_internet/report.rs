//! A report of the analyst's own: which columns, of which rows, and what is known about them.

use super::filter::Filter;
use super::period::{Granularity, Moment, Period};
use super::query::{Column, DataQuery, Name, Options, QueryError, Segment};
use mkt_warehouse::model::MetricKind;
use std::collections::{BTreeMap, BTreeSet};

/// A named report: properties, metrics, and which rows. One slice for each day.
///
/// With properties, or with a filter or a segment, its rows go to `dimension_metrics` under the report's name; without
/// any of them to `daily_metrics`: these are the numbers of the site.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    pub(super) name: String,
    pub(super) properties: Vec<Name>,
    pub(super) metrics: Vec<Name>,
    pub(super) filter: Option<Filter>,
    pub(super) segments: Vec<Segment>,
    pub(super) kinds: BTreeMap<Name, MetricKind>,
    pub(super) amounts: BTreeSet<Name>,
    pub(super) options: Options,
    /// Whether the key chooses the rows, by a filter that nobody here sees.
    pub(super) is_restricted: bool,
}

impl Report {
    /// A report of these columns: metrics (`m_…`) and properties.
    ///
    /// # Errors
    /// A text that is no name, or one that is there twice.
    pub fn new<'a>(name: &str, columns: impl IntoIterator<Item = &'a str>) -> Result<Self, QueryError> {
        let columns =
            columns.into_iter().map(|text| Name::new(text.trim())).collect::<Result<Vec<_>, _>>()?;
        Self::of(name, columns)
    }

    fn of(name: &str, columns: Vec<Name>) -> Result<Self, QueryError> {
        if columns.iter().collect::<BTreeSet<_>>().len() < columns.len() {
            return Err(QueryError::part("columns", "one is there twice"));
        }
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if name.is_empty() || name.len() > 50 || !name.chars().all(plain) {
            return Err(QueryError::part("the report's name", "it is 1 to 50 of a-z, 0-9, _ and -"));
        }
        let (metrics, properties): (Vec<_>, Vec<_>) = columns.into_iter().partition(Name::is_metric);
        if metrics.is_empty() {
            return Err(QueryError::part("columns", "one of them at least must be a metric (m_…)"));
        }
        Ok(Self {
            name: name.to_owned(),
            properties,
            metrics,
            filter: None,
            segments: Vec::new(),
            kinds: BTreeMap::new(),
            amounts: BTreeSet::new(),
            options: Options::default(),
            is_restricted: false,
        })
    }

    /// The report that a query asks for, day by day: its columns, filter, segments and options. Period, order and page
    /// are set by the source.
    ///
    /// # Errors
    /// A query that compares periods, asks for an evolution, or for hours or minutes: none is the report of a day.
    pub fn from_query(name: &str, query: &DataQuery) -> Result<Self, QueryError> {
        if query.periods.len() > 1 {
            return Err(QueryError::part("period", "a comparison of periods is no report of a day"));
        }
        if query.evo.is_some() {
            return Err(QueryError::part(
                "evo",
                "an evolution is no report of a day; days are read one by one",
            ));
        }
        use Granularity::{EventHour, EventMinute, Hour, Minute};
        let is_part_of_day = |span: &Period| match span {
            Period::Absolute { start: Moment::Second(_), .. }
            | Period::Absolute { end: Moment::Second(_), .. } => true,
            Period::Absolute { granularity, .. } | Period::Relative { granularity, .. } => {
                matches!(granularity, Hour | EventHour | Minute | EventMinute)
            }
        };
        if query.periods.iter().flatten().any(is_part_of_day) {
            return Err(QueryError::part(
                "period",
                "hours are no report of a day; filter by the hour instead",
            ));
        }
        let plain = |column: &Column| column.name.clone();
        let mut report = Self::of(name, query.columns.iter().map(plain).collect())?;
        report.filter.clone_from(&query.filter);
        report.segments.clone_from(&query.segments);
        report.options = query.options;
        Ok(report)
    }

    /// Only these rows. A report with a filter is not the numbers of the site.
    #[must_use]
    pub fn filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Only this segment.
    #[must_use]
    pub fn segment(mut self, segment: impl Into<Segment>) -> Self {
        self.segments.push(segment.into());
        self
    }

    /// Options of the query, which change its numbers: whether rows without properties are left out, whether the answer may
    /// be sampled. Version 3 only.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        self.options = options;
        self
    }

    /// Says how a metric of this report adds up, over its rows and over days, where the catalogue does not know.
    #[must_use]
    pub fn kind(mut self, metric: Name, kind: MetricKind) -> Self {
        self.kinds.insert(metric, kind);
        self
    }

    /// Says that a metric is an amount, in the currency of its site.
    #[must_use]
    pub fn amount(mut self, metric: Name) -> Self {
        self.amounts.insert(metric);
        self
    }

    /// Its name, which is the stream's.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether its numbers are those of the whole site.
    #[must_use]
    pub fn is_of_the_site(&self) -> bool {
        self.properties.is_empty() && self.filter.is_none() && self.segments.is_empty() && !self.is_restricted
    }

    pub(super) fn columns(&self) -> Vec<Column> {
        self.properties.iter().chain(&self.metrics).cloned().map(Column::from).collect()
    }
}

impl Report {
    /// How a metric of this report adds up, as far as it is known without an answer.
    pub(super) fn kind_of(&self, metric: &Name) -> MetricKind {
        self.kinds
            .get(metric)
            .copied()
            .unwrap_or_else(|| super::catalogue::kind(metric, &self.properties, None))
    }
}
