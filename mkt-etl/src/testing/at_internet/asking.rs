//! What a query asks of the stand-in, read from the JSON or the URL as it arrived, and its rows.

use super::counted::Counted;
use super::filter::{compare, holds, tree};
use super::segment;
use super::span::{self, Span, Unit};
use super::world::{METRICS, OLD_NAMES, PROPERTIES, Visit};
use crate::at_internet::{DataQuery, Filter, PastedUrl, Segment, Space};
use chrono::{NaiveDate, NaiveDateTime};
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Status, code and words of a refusal.
pub(super) type Refusal = (u16, String, String);

pub(super) fn refuse<T>(code: &str, message: impl Into<String>) -> Result<T, Refusal> {
    Err((400, code.to_owned(), message.into()))
}

/// A query.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Asking {
    pub(super) columns: Vec<String>,
    /// What the answer calls them.
    pub(super) told: Vec<String>,
    pub(super) sort: Vec<(bool, String)>,
    property: Option<Value>,
    metric: Option<Value>,
    pub(super) sites: Vec<u64>,
    spans: Vec<Span>,
    /// What `p1` is compared with.
    spans_beside: Option<Vec<Span>>,
    pub(super) evo: Option<Evo>,
    ignore_nulls: bool,
    /// What a segment says of visits.
    section: Option<Value>,
    pub(super) max_results: u64,
    pub(super) page_num: u64,
    pub(super) segments: usize,
}

/// Steps of an evolution, and the time by which its rows are chosen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evo {
    unit: Unit,
    spans_of_top: Option<Vec<Span>>,
}

pub(super) fn old_name(name: &str) -> String {
    let (label, name) = match name.split_once('.') {
        Some((label @ ("p1" | "p2"), name)) => (format!("{label}."), name),
        _ => (String::new(), name),
    };
    format!("{label}{}", OLD_NAMES.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new))
}

/// Whether a column is of the second period, and its name.
fn plain(name: &str) -> (bool, &str) {
    match name.split_once('.') {
        Some(("p1", name)) => (false, name),
        Some(("p2", name)) => (true, name),
        _ => (false, name),
    }
}

fn is_metric(name: &str) -> bool {
    plain(name).1.starts_with("m_")
}

fn both(one: Option<Value>, other: Option<Value>) -> Option<Value> {
    match (one, other) {
        (Some(one), Some(other)) => Some(json!({"$AND": [one, other]})),
        (one, other) => one.or(other),
    }
}

impl Asking {
    /// Reads version 3's JSON.
    pub(super) fn of_json(body: &[u8], today: NaiveDate) -> Result<Self, Refusal> {
        let Ok(Value::Object(fields)) = serde_json::from_slice::<Value>(body) else {
            return refuse("InvalidJSON", "the body is not a JSON object");
        };
        let texts = |value: Option<&Value>| {
            let texts = value.and_then(Value::as_array).into_iter().flatten();
            texts.filter_map(Value::as_str).map(str::to_owned).collect::<Vec<_>>()
        };
        let evo = fields.get("evo");
        if evo.is_some() && fields.contains_key("sort") {
            return refuse("InvalidSort", "beside an evolution there is no sort");
        }
        let top = evo.and_then(|evo| evo.get("top")).and_then(Value::as_object);
        let read_evo = match (evo, top) {
            (None, _) => None,
            (Some(_), None) => return refuse("InvalidEvo", "an evolution has a top"),
            (Some(evo), Some(top)) => Some(Evo {
                unit: match evo.get("granularity").and_then(Value::as_str).and_then(Unit::named) {
                    Some(unit @ (Unit::Month | Unit::Week | Unit::Day | Unit::Hour)) => unit,
                    _ => return refuse("InvalidEvo", "an evolution has M, W, D or H"),
                },
                spans_of_top: top
                    .get("period")
                    .map(|period| span::of_json(period.get("p1"), today))
                    .transpose()?,
            }),
        };
        // The rows of an evolution are chosen in its top.
        let choice = top.unwrap_or(&fields);
        let sort = texts(choice.get("sort")).into_iter().map(|text| match text.strip_prefix('-') {
            Some(name) => (true, name.to_owned()),
            None => (false, text),
        });
        let space = fields.get("space").and_then(|space| space.get("s")).and_then(Value::as_array);
        let Some(sites) = space else { return refuse("InvalidSpace", "there is no space") };
        let Some(sites) = sites.iter().map(Value::as_u64).collect::<Option<Vec<_>>>() else {
            return refuse("InvalidSpace", "a site is a number");
        };
        let of = |fields: &Map<String, Value>, kind: &str| fields.get("filter")?.get(kind).cloned();
        let filter = |kind: &str| both(of(&fields, kind), top.and_then(|top| of(top, kind)));
        let number = |name: &str| choice.get(name).map(|value| value.as_u64().unwrap_or(u64::MAX));
        let columns = texts(fields.get("columns"));
        let period = |label: &str| fields.get("period").and_then(|period| period.get(label));
        let options = fields.get("options");
        let (segments, section) = segment::read(fields.get("segment"))?;
        Ok(Self {
            told: columns.clone(),
            columns,
            sort: sort.collect(),
            property: filter("property"),
            metric: filter("metric"),
            sites,
            spans: span::of_json(period("p1"), today)?,
            spans_beside: period("p2").map(|period| span::of_json(Some(period), today)).transpose()?,
            evo: read_evo,
            ignore_nulls: options.and_then(|it| it.get("ignore_null_properties")) == Some(&json!(true)),
            section,
            max_results: number("max-results").unwrap_or(u64::MAX),
            page_num: number("page-num").unwrap_or(1),
            segments,
        })
    }

    /// Reads version 2's URL.
    pub(super) fn of_url(path: &str, query: &str, today: NaiveDate) -> Result<Self, Refusal> {
        let url = format!("https://fake.example{path}?{query}");
        let Ok(PastedUrl { query, .. }) = url.parse() else { return refuse("3000", "the URL does not read") };
        Self::of_query(&query, today)
    }

    fn of_query(query: &DataQuery, today: NaiveDate) -> Result<Self, Refusal> {
        let told: Vec<String> = query.columns.iter().map(ToString::to_string).collect();
        let Space::Sites(sites) = &query.space else { return refuse("3001", "there is no such space") };
        let (mut property, mut metric) = (Vec::new(), Vec::new());
        let parts = match &query.filter {
            None => Vec::new(),
            Some(Filter::All(parts)) => parts.clone(),
            Some(one) => vec![one.clone()],
        };
        for part in parts {
            let of_metrics = part.conditions().iter().all(|test| test.column.is_metric());
            if of_metrics { &mut metric } else { &mut property }.push(tree(&part));
        }
        let all = |parts: Vec<Value>| (!parts.is_empty()).then(|| json!({"$AND": parts}));
        let mut periods = query.periods.iter().map(|spans| span::of_query(spans, today));
        let (Some(Some(first)), second, None) = (periods.next(), periods.next(), periods.next()) else {
            return refuse("3002", "the stand-in knows two periods, in units from hours on");
        };
        if query.evo.is_some() {
            return refuse("3004", "the stand-in knows no evolution of version 2");
        }
        let of_number = |segment: &Segment| matches!(segment, Segment::Id(_));
        if !query.segments.iter().all(of_number) {
            return refuse("3005", "a segment of version 2 is a number");
        }
        Ok(Self {
            columns: told.iter().map(|name| old_name(name)).collect(),
            told,
            sort: query
                .sort
                .iter()
                .map(|sort| (sort.descending, old_name(&sort.column.to_string())))
                .collect(),
            property: all(property),
            metric: all(metric),
            sites: sites.clone(),
            spans: first,
            spans_beside: second.flatten(),
            evo: None,
            ignore_nulls: false,
            section: None,
            max_results: query.max_results.map_or(u64::MAX, u64::from),
            page_num: query.page_num.map_or(1, u64::from),
            segments: query.segments.len(),
        })
    }

    /// Refuses columns that the account does not have, and too many.
    pub(super) fn check(&self, max_columns: usize) -> Result<(), Refusal> {
        let known = |name: &str| {
            let (beside, name) = plain(name);
            if beside && self.spans_beside.is_none() {
                return false;
            }
            PROPERTIES.iter().any(|(property, _)| *property == name)
                || METRICS.iter().any(|(metric, ..)| *metric == name)
        };
        if self.columns.len() > max_columns {
            return refuse("InvalidColumns_TooMany", format!("more than {max_columns} columns"));
        }
        let mut all = self.columns.iter().chain(self.sort.iter().map(|(_, name)| name));
        if let Some(name) = all.find(|name| !known(name)) {
            return refuse("InvalidColumns_Unknown", format!("{name} is not a column of this account"));
        }
        if !self.columns.iter().any(|name| is_metric(name)) {
            return refuse("InvalidColumns_NoMetric", "one metric at least is needed");
        }
        if self.columns.iter().collect::<BTreeSet<_>>().len() < self.columns.len() {
            return refuse("InvalidColumns_Twice", "a column is there twice");
        }
        if self.segments > 6 {
            return refuse("InvalidSegment", "more than 6 segments");
        }
        Ok(())
    }

    /// All rows, in order, before they are cut into pages. `visits_of` gives the visits of a site's day, or nothing
    /// where there is no such site.
    pub(super) fn rows(
        &self,
        mut visits_of: impl FnMut(u64, NaiveDate) -> Option<Arc<Vec<Visit>>>,
    ) -> Result<Vec<Vec<Value>>, Refusal> {
        let mut groups: BTreeMap<String, (Vec<Value>, [Counted; 2])> = BTreeMap::new();
        let properties: Vec<&String> = self.columns.iter().filter(|name| !is_metric(name)).collect();
        let periods = [Some(&self.spans), self.spans_beside.as_ref()];
        let periods = periods.into_iter().enumerate().filter_map(|(place, spans)| Some((place, spans?)));
        let days: Vec<_> = periods
            .flat_map(|(place, spans)| span::days(spans).into_iter().map(move |day| (place, spans, day)))
            .collect();
        for (id, (place, spans, day)) in self.sites.iter().flat_map(|id| days.iter().map(move |it| (id, *it)))
        {
            let Some(visits) = visits_of(*id, day) else {
                return Err((403, "InvalidSpace_NoActiveSite".to_owned(), "no such site".to_owned()));
            };
            for visit in visits.iter().filter(|visit| spans.iter().any(|span| span.contains(visit.began()))) {
                for load in 0..visit.pages.len() {
                    let value = |name: &str| visit.property(name, load, *id);
                    if !self.property.as_ref().map_or(Ok(true), |filter| holds(filter, &value))?
                        || !self
                            .section
                            .as_ref()
                            .map_or(Ok(true), |it| segment::holds(it, visit, load, *id))?
                    {
                        continue;
                    }
                    let key: Vec<Value> = properties.iter().map(|name| value(name)).collect();
                    if self.ignore_nulls && !key.is_empty() && key.iter().all(Value::is_null) {
                        continue;
                    }
                    let text = Value::from(key.clone()).to_string();
                    let (_, counted) = groups.entry(text).or_insert_with(|| (key, Default::default()));
                    counted[place].add(visit);
                }
            }
        }
        let mut rows = Vec::new();
        for (key, counted) in groups.into_values() {
            let metric = |name: &str| {
                let (beside, name) = plain(name);
                counted[usize::from(beside)].metric(name)
            };
            if self.metric.as_ref().map_or(Ok(true), |filter| holds(filter, &metric))? {
                let mut key = key.into_iter();
                let cells = self.columns.iter().map(|name| match is_metric(name) {
                    true => metric(name),
                    false => key.next().unwrap_or(Value::Null),
                });
                rows.push(cells.collect::<Vec<_>>());
            }
        }
        let places: Vec<(bool, usize)> = self
            .sort
            .iter()
            .filter_map(|(descending, name)| {
                Some((*descending, self.columns.iter().position(|column| column == name)?))
            })
            .collect();
        rows.sort_by(|a, b| {
            let orders = places.iter().map(|(descending, place)| {
                let order = compare(&a[*place], &b[*place]);
                if *descending { order.reverse() } else { order }
            });
            orders.fold(Ordering::Equal, Ordering::then)
        });
        Ok(rows)
    }

    /// The query by which the rows of an evolution are chosen.
    pub(super) fn of_top(&self) -> Self {
        let spans = self.evo.as_ref().and_then(|evo| evo.spans_of_top.clone());
        Self { spans: spans.unwrap_or_else(|| self.spans.clone()), evo: None, ..self.clone() }
    }

    /// The steps of an evolution: the name and the text of each, and its query. `d_evo_day` and `d_evo_month` are the names
    /// that public clients read; those of weeks and hours are made after them.
    pub(super) fn steps(&self) -> Vec<(&'static str, String, Self)> {
        let unit = self.evo.as_ref().map_or(Unit::Day, |evo| evo.unit);
        let mut steps: BTreeMap<NaiveDateTime, Vec<Span>> = BTreeMap::new();
        for (begin, part) in self.spans.iter().flat_map(|span| span.steps(unit)) {
            steps.entry(begin).or_default().push(part);
        }
        let name = match unit {
            Unit::Hour => "d_evo_hour",
            Unit::Week => "d_evo_week",
            Unit::Month => "d_evo_month",
            _ => "d_evo_day",
        };
        let text = |begin: NaiveDateTime| match unit {
            Unit::Hour => begin.format("%Y-%m-%dT%H:%M:%S").to_string(),
            _ => begin.date().to_string(),
        };
        let steps = steps.into_iter();
        steps.map(|(begin, spans)| (name, text(begin), Self { spans, evo: None, ..self.clone() })).collect()
    }

    /// Whether two rows have the same properties.
    pub(super) fn is_same(&self, one: &[Value], other: &[Value]) -> bool {
        let cells = self.columns.iter().zip(one.iter().zip(other));
        cells.filter(|(name, _)| !is_metric(name)).all(|(_, (one, other))| one == other)
    }

    /// The metrics of a row.
    pub(super) fn told_metrics(&self, row: &[Value]) -> Map<String, Value> {
        let cells = self.columns.iter().zip(&self.told).zip(row);
        cells
            .filter(|((name, _), _)| is_metric(name))
            .map(|((_, told), value)| (told.clone(), value.clone()))
            .collect()
    }

    /// A row as the answer tells it: an hour that is not known is "N/A".
    pub(super) fn told_row(&self, row: &[Value]) -> Value {
        let cells = self.columns.iter().zip(&self.told).zip(row).map(|((name, told), value)| {
            let value = match value {
                Value::Null if name == "visit_hour" => json!("N/A"),
                value => value.clone(),
            };
            (told.clone(), value)
        });
        Value::Object(cells.collect::<Map<_, _>>())
    }

    /// What an answer says about its columns.
    pub(super) fn told_columns(&self, old: bool) -> Value {
        let describe = |(name, told): (&String, &String)| {
            let name = plain(name).1;
            let metric = METRICS.iter().find(|(metric, ..)| *metric == name);
            let mut facts = match metric {
                Some((_, kind, customer, _)) => {
                    json!({"Name": told, "Category": "Metric", "Type": kind, "CustomerType": customer})
                }
                None => {
                    let kind =
                        PROPERTIES.iter().find(|(property, _)| *property == name).map(|(_, kind)| *kind);
                    json!({"Name": told, "Category": "Dimension", "Type": kind, "CustomerType": kind})
                }
            };
            if let (true, Some((.., summable))) = (old, metric) {
                facts["Summable"] = json!(if *summable { "True" } else { "False" });
            }
            facts
        };
        self.columns.iter().zip(&self.told).map(describe).collect()
    }

    /// The query with one row for everything.
    pub(super) fn of_totals(&self) -> Self {
        let keep = |names: &[String]| {
            self.columns
                .iter()
                .zip(names)
                .filter(|(name, _)| is_metric(name))
                .map(|(_, name)| name.clone())
                .collect()
        };
        Self { columns: keep(&self.columns), told: keep(&self.told), sort: Vec::new(), ..self.clone() }
    }
}
