//! What a query asks of the stand-in, read from the JSON or the URL as it arrived, and its rows.

use super::world::{METRICS, OLD_NAMES, PROPERTIES, Visit};
use crate::at_internet::{
    self, DataQuery, Filter, Granularity, Moment, Operand, PastedUrl, Period, Scalar, Space,
};
use chrono::{NaiveDate, TimeDelta};
use serde_json::{Map, Value, json};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashSet};
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
    days: Vec<NaiveDate>,
    pub(super) max_results: u64,
    pub(super) page_num: u64,
    pub(super) segments: usize,
}

fn old_name(name: &str) -> String {
    OLD_NAMES.iter().find(|(old, _)| *old == name).map_or(name, |(_, new)| new).to_owned()
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
        let sort = texts(fields.get("sort")).into_iter().map(|text| match text.strip_prefix('-') {
            Some(name) => (true, name.to_owned()),
            None => (false, text),
        });
        let space = fields.get("space").and_then(|space| space.get("s")).and_then(Value::as_array);
        let Some(sites) = space else { return refuse("InvalidSpace", "there is no space") };
        let filter = |kind: &str| fields.get("filter").and_then(|filter| filter.get(kind)).cloned();
        let number = |name: &str| fields.get(name).map(|value| value.as_u64().unwrap_or(u64::MAX));
        let columns = texts(fields.get("columns"));
        Ok(Self {
            told: columns.clone(),
            columns,
            sort: sort.collect(),
            property: filter("property"),
            metric: filter("metric"),
            sites: sites.iter().filter_map(Value::as_u64).collect(),
            days: days_of_json(fields.get("period"), today)?,
            max_results: number("max-results").unwrap_or(u64::MAX),
            page_num: number("page-num").unwrap_or(1),
            segments: fields.get("segment").and_then(Value::as_array).map_or(0, Vec::len),
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
        let days = match query.periods.as_slice() {
            [
                Period::Absolute {
                    granularity: Granularity::Day,
                    start: Moment::Day(first),
                    end: Moment::Day(last),
                },
            ] => days_between(*first, *last),
            [Period::Relative { granularity: Granularity::Day, start, end }] => {
                days_back(today, (*start).into(), (*end).into())
            }
            _ => return refuse("3002", "the stand-in knows one period, in days"),
        };
        Ok(Self {
            columns: told.iter().map(|name| old_name(name)).collect(),
            told,
            sort: query
                .sort
                .iter()
                .map(|sort| (sort.descending, old_name(sort.column.name.as_str())))
                .collect(),
            property: all(property),
            metric: all(metric),
            sites: sites.clone(),
            days,
            max_results: query.max_results.map_or(u64::MAX, u64::from),
            page_num: query.page_num.map_or(1, u64::from),
            segments: query.segments.len(),
        })
    }

    /// Refuses columns that the account does not have, and too many.
    pub(super) fn check(&self, max_columns: usize) -> Result<(), Refusal> {
        let known = |name: &str| {
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
        if !self.columns.iter().any(|name| name.starts_with("m_")) {
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
        let mut groups: BTreeMap<String, (Vec<Value>, Counted)> = BTreeMap::new();
        let properties: Vec<&String> = self.columns.iter().filter(|name| !name.starts_with("m_")).collect();
        for (id, day) in self.sites.iter().flat_map(|id| self.days.iter().map(move |day| (id, day))) {
            let Some(visits) = visits_of(*id, *day) else {
                return Err((403, "InvalidSpace_NoActiveSite".to_owned(), "no such site".to_owned()));
            };
            for visit in visits.iter() {
                for load in 0..visit.pages.len() {
                    let value = |name: &str| visit.property(name, load, *id);
                    if !self.property.as_ref().map_or(Ok(true), |filter| holds(filter, &value))? {
                        continue;
                    }
                    let key: Vec<Value> = properties.iter().map(|name| value(name)).collect();
                    let text = Value::from(key.clone()).to_string();
                    let (_, counted) = groups.entry(text).or_insert_with(|| (key, Counted::default()));
                    counted.loads += 1;
                    counted.visitors.insert(visit.visitor());
                    if counted.visits.insert(visit.key()) {
                        counted.bounces += u64::from(visit.bounced());
                        counted.seconds += visit.seconds();
                    }
                }
            }
        }
        let mut rows = Vec::new();
        for (key, counted) in groups.into_values() {
            let metric = |name: &str| counted.metric(name);
            if self.metric.as_ref().map_or(Ok(true), |filter| holds(filter, &metric))? {
                let mut key = key.into_iter();
                let cells = self.columns.iter().map(|name| match name.starts_with("m_") {
                    true => counted.metric(name),
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
            let metric = METRICS.iter().find(|(metric, ..)| metric == name);
            let mut facts = match metric {
                Some((_, kind, customer, _)) => {
                    json!({"Name": told, "Category": "Metric", "Type": kind, "CustomerType": customer})
                }
                None => {
                    let kind =
                        PROPERTIES.iter().find(|(property, _)| property == name).map(|(_, kind)| *kind);
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
                .filter(|(name, _)| name.starts_with("m_"))
                .map(|(_, name)| name.clone())
                .collect()
        };
        Self { columns: keep(&self.columns), told: keep(&self.told), sort: Vec::new(), ..self.clone() }
    }
}

/// What is counted for a row.
#[derive(Debug, Default)]
struct Counted {
    loads: u64,
    visits: HashSet<u64>,
    visitors: HashSet<u64>,
    bounces: u64,
    seconds: i64,
}

impl Counted {
    fn metric(&self, name: &str) -> Value {
        match name {
            "m_visits" => json!(self.visits.len()),
            "m_page_loads" | "m_events" => json!(self.loads),
            "m_bounces" => json!(self.bounces),
            "m_unique_visitors" => json!(self.visitors.len()),
            "m_time_spent" => json!(self.seconds),
            // A percentage with two decimals.
            "m_bounce_rate" if !self.visits.is_empty() => {
                let share = self.bounces * 10_000 / self.visits.len() as u64;
                json!(u32::try_from(share).map_or(0.0, f64::from) / 100.0)
            }
            _ => Value::Null,
        }
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().unwrap_or_default().total_cmp(&b.as_f64().unwrap_or_default())
        }
        _ => text(a).cmp(&text(b)),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn days_between(first: NaiveDate, last: NaiveDate) -> Vec<NaiveDate> {
    first.iter_days().take_while(|day| *day <= last).take(400).collect()
}

fn days_back(today: NaiveDate, start: i64, end: i64) -> Vec<NaiveDate> {
    days_between(today + TimeDelta::days(start), today + TimeDelta::days(end))
}

fn days_of_json(period: Option<&Value>, today: NaiveDate) -> Result<Vec<NaiveDate>, Refusal> {
    let wrong = || (400, "InvalidPeriod".to_owned(), "the period does not read".to_owned());
    let first = period.and_then(|period| period.get("p1")?.get(0)).ok_or_else(wrong)?;
    let day =
        |name: &str| first.get(name).and_then(Value::as_str).and_then(|text| text.parse::<NaiveDate>().ok());
    match first.get("type").and_then(Value::as_str) {
        Some("D") => match (day("start"), day("end")) {
            (Some(start), Some(end)) if start <= end => Ok(days_between(start, end)),
            _ => Err(wrong()),
        },
        Some("R") => {
            let number = |name: &str| first.get(name).and_then(Value::as_i64);
            let start = number("offset").or_else(|| number("startOffset")).ok_or_else(wrong)?;
            let end = number("offset").or_else(|| number("endOffset")).ok_or_else(wrong)?;
            Ok(days_back(today, start, end))
        }
        _ => Err(wrong()),
    }
}

/// Whether a filter holds for the values of a row.
fn holds(filter: &Value, value: &dyn Fn(&str) -> Value) -> Result<bool, Refusal> {
    let wrong = || (400, "InvalidFilter".to_owned(), "the filter does not read".to_owned());
    let fields = filter.as_object().ok_or_else(wrong)?;
    for (key, inner) in fields {
        let list = || inner.as_array().ok_or_else(wrong);
        let held = match key.as_str() {
            "$AND" => {
                list()?.iter().map(|part| holds(part, value)).try_fold(true, |all, held| Ok(all & held?))?
            }
            "$OR" => {
                list()?.iter().map(|part| holds(part, value)).try_fold(false, |any, held| Ok(any | held?))?
            }
            name => {
                let own = value(name);
                let tests = inner.as_object().ok_or_else(wrong)?;
                tests
                    .iter()
                    .map(|(operator, wanted)| test(&own, operator, wanted))
                    .try_fold(true, |all, held| Ok(all & held?))?
            }
        };
        if !held {
            return Ok(false);
        }
    }
    Ok(true)
}

fn test(own: &Value, operator: &str, wanted: &Value) -> Result<bool, Refusal> {
    let many: Vec<&Value> = wanted.as_array().map_or_else(|| vec![wanted], |list| list.iter().collect());
    let same = |wanted: &&Value| compare(own, wanted) == Ordering::Equal && !own.is_null();
    let own_text = text(own);
    let texts = || many.iter().map(|value| text(value));
    Ok(match operator {
        "$eq" | "$in" => many.iter().any(same),
        "$neq" | "$nin" => !many.iter().any(same),
        "$gt" => compare(own, wanted) == Ordering::Greater,
        "$gte" => compare(own, wanted) != Ordering::Less,
        "$lt" => compare(own, wanted) == Ordering::Less,
        "$lte" => compare(own, wanted) != Ordering::Greater,
        "$lk" | "$inlk" => texts().any(|part| own_text.contains(&part)),
        "$nlk" => !texts().any(|part| own_text.contains(&part)),
        "$start" => texts().any(|part| own_text.starts_with(&part)),
        "$nstart" => !texts().any(|part| own_text.starts_with(&part)),
        "$end" => texts().any(|part| own_text.ends_with(&part)),
        "$nend" => !texts().any(|part| own_text.ends_with(&part)),
        "$empty" | "$na" | "$undefined" => own.is_null() == wanted.as_bool().unwrap_or_default(),
        _ => return refuse("InvalidFilter", "an operator is not known"),
    })
}

/// A filter of version 2 as JSON with the names of version 3.
fn tree(filter: &Filter) -> Value {
    let scalar = |value: &Scalar| match value {
        Scalar::Text(text) => json!(text),
        Scalar::Number(number) => json!(number.to_string().parse::<f64>().unwrap_or_default()),
    };
    match filter {
        Filter::All(parts) => json!({"$AND": parts.iter().map(tree).collect::<Vec<_>>()}),
        Filter::Any(parts) => json!({"$OR": parts.iter().map(tree).collect::<Vec<_>>()}),
        Filter::Is(at_internet::Condition { column, operator, operand }) => {
            let operand = match operand {
                Operand::Flag(flag) => json!(flag),
                Operand::One(value) => scalar(value),
                Operand::Many(values) => values.iter().map(scalar).collect(),
            };
            json!({old_name(column.name.as_str()): {operator.as_str(): operand}})
        }
    }
}
