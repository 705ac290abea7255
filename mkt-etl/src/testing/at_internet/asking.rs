//! What a query asks of the stand-in, read from the JSON or the URL as it arrived, and its rows.

use super::dates;
use super::segment;
use super::world::{METRICS, OLD_NAMES, PROPERTIES, Visit};
use crate::at_internet::{self, DataQuery, Filter, Operand, PastedUrl, Period, Scalar, Segment, Space};
use chrono::{Datelike, NaiveDate};
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
    /// The days that `p1` is compared with.
    days_beside: Option<Vec<NaiveDate>>,
    pub(super) evo: Option<Evo>,
    ignore_nulls: bool,
    /// What a segment says of visits.
    section: Option<Value>,
    pub(super) max_results: u64,
    pub(super) page_num: u64,
    pub(super) segments: usize,
}

/// Steps of an evolution, and the days by which its rows are chosen.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Evo {
    monthly: bool,
    days_of_top: Option<Vec<NaiveDate>>,
}

fn old_name(name: &str) -> String {
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
                monthly: match evo.get("granularity").and_then(Value::as_str) {
                    Some("D") => false,
                    Some("M") => true,
                    _ => return refuse("InvalidEvo", "the stand-in knows evolutions by days and months"),
                },
                days_of_top: top
                    .get("period")
                    .map(|period| days_of_json(period.get("p1"), today))
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
            days: days_of_json(period("p1"), today)?,
            days_beside: period("p2").map(|period| days_of_json(Some(period), today)).transpose()?,
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
        let days = |period: &Period| match period {
            Period::Absolute { granularity, start, end } => {
                dates::absolute(granularity.as_str(), &start.to_string(), &end.to_string())
            }
            Period::Relative { granularity, start, end } => {
                dates::relative(today, granularity.as_str(), (*start).into(), (*end).into())
            }
        };
        let mut days = query.periods.iter().map(days);
        let (Some(Some(first)), second, None) = (days.next(), days.next(), days.next()) else {
            return refuse("3002", "the stand-in knows two periods, in days or longer units");
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
            days: first,
            days_beside: second.flatten(),
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
            if beside && self.days_beside.is_none() {
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
        let days = self.days.iter().map(|day| (0, *day));
        let days = days.chain(self.days_beside.iter().flatten().map(|day| (1, *day))).collect::<Vec<_>>();
        for (id, (place, day)) in self.sites.iter().flat_map(|id| days.iter().map(move |day| (id, *day))) {
            let Some(visits) = visits_of(*id, day) else {
                return Err((403, "InvalidSpace_NoActiveSite".to_owned(), "no such site".to_owned()));
            };
            for visit in visits.iter() {
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
        let days = self.evo.as_ref().and_then(|evo| evo.days_of_top.clone());
        Self { days: days.unwrap_or_else(|| self.days.clone()), evo: None, ..self.clone() }
    }

    /// The steps of an evolution: the name and the text of each, and its query.
    pub(super) fn steps(&self) -> Vec<(&'static str, String, Self)> {
        let monthly = self.evo.as_ref().is_some_and(|evo| evo.monthly);
        let mut steps: Vec<(&'static str, String, Self)> = Vec::new();
        for day in &self.days {
            let (name, text) = match monthly {
                true => ("d_evo_month", format!("{:04}-{:02}-01", day.year(), day.month())),
                false => ("d_evo_day", day.to_string()),
            };
            match steps.last_mut() {
                Some((_, last, step)) if *last == text => step.days.push(*day),
                _ => steps.push((name, text, Self { days: vec![*day], evo: None, ..self.clone() })),
            }
        }
        steps
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
    fn add(&mut self, visit: &Visit) {
        self.loads += 1;
        self.visitors.insert(visit.visitor());
        if self.visits.insert(visit.key()) {
            self.bounces += u64::from(visit.bounced());
            self.seconds += visit.seconds();
        }
    }

    /// So much for each visit, with two decimals.
    fn per_visit(&self, sum: u64) -> Value {
        let hundredths = sum * 100 / (self.visits.len() as u64).max(1);
        json!(u32::try_from(hundredths).map_or(0.0, f64::from) / 100.0)
    }

    fn metric(&self, name: &str) -> Value {
        match name {
            "m_visits" => json!(self.visits.len()),
            "m_page_loads" | "m_events" => json!(self.loads),
            "m_bounces" => json!(self.bounces),
            "m_unique_visitors" => json!(self.visitors.len()),
            "m_time_spent" => json!(self.seconds),
            "m_time_spent_per_visits" if !self.visits.is_empty() => {
                self.per_visit(self.seconds.unsigned_abs())
            }
            "m_page_loads_per_visits" if !self.visits.is_empty() => self.per_visit(self.loads),
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

/// A list of one period.
fn days_of_json(period: Option<&Value>, today: NaiveDate) -> Result<Vec<NaiveDate>, Refusal> {
    let wrong = || (400, "InvalidPeriod".to_owned(), "the period does not read".to_owned());
    let first = period.and_then(|period| period.get(0)).ok_or_else(wrong)?;
    let text = |name: &str| first.get(name).and_then(Value::as_str).ok_or_else(wrong);
    let days = match text("type")? {
        "R" => {
            let number = |name: &str| first.get(name).and_then(Value::as_i64);
            let start = number("offset").or_else(|| number("startOffset")).ok_or_else(wrong)?;
            let end = number("offset").or_else(|| number("endOffset")).ok_or_else(wrong)?;
            dates::relative(today, text("granularity")?, start, end)
        }
        unit => dates::absolute(unit, text("start")?, text("end")?),
    };
    days.ok_or_else(wrong)
}

/// Whether a filter holds for the values of a row.
pub(super) fn holds(filter: &Value, value: &dyn Fn(&str) -> Value) -> Result<bool, Refusal> {
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
