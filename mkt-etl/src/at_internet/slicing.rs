//! Reads a day whole although one query gives no more than so many rows.
//!
//! The rows are counted first. A query with too many is split, each part counted again:
//! 1. by the hour, where the report has it as a column, or where every metric adds up over hours: then the rows of the
//!    hours are added up again;
//! 2. by the values of another property of the report: its rows lie apart by them, so that nothing is added up;
//! 3. where nothing helps, what is allowed is read, largest first, and the slice says what it leaves out.
//!
//! A query that the vendor ends because it takes too long is split in the same way, once it was tried again. Where that is
//! the count of the whole, the slice says that the parts could not be compared with it.
//!
//! Rows read must be as many as were counted, for every part and for the whole: otherwise the reading fails.

use super::api::Api;
use super::catalogue::{self, HOURS};
use super::error::{self, protocol};
use super::filter::{Filter, Operand, Operator, Scalar};
use super::query::{Column, DataQuery, Name, Sort};
use super::url::Version;
use super::wire::{self, Cell, ColumnFacts, Row};
use crate::source::Coverage;
use mkt_connect::{Error, Result};
use rust_decimal::Decimal;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};

/// How much one query gives.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Rows of a page.
    pub(super) page: u32,
    /// Rows over all pages.
    pub(super) rows: u64,
}

/// What is said of a day of which the vendor answers 204.
pub(super) const NO_CONTENT: &str = "HTTP 204: the vendor says that there is no data, and counts nothing";

/// Values in one list of a filter: version 2 writes them into a URL.
fn values_at_once(version: Version) -> usize {
    match version {
        Version::V2 => 40,
        Version::V3 => 500,
    }
}

/// A part of the rows.
#[derive(Debug, Clone, Default)]
struct Part {
    filters: Vec<Filter>,
    /// Properties by which it was split already.
    used: Vec<Name>,
    /// The values of the last of them, where there are several.
    values: Vec<Scalar>,
    /// How many rows it has, once counted.
    rows: Option<u64>,
}

/// Where a part is being read.
#[derive(Debug)]
struct Walk {
    /// What it is a part of, where that can still be split.
    part: Option<Part>,
    query: DataQuery,
    rows: u64,
    read: u64,
}

/// Rows, and what is to be said about them.
#[derive(Debug, Default)]
pub(super) struct Portion {
    pub(super) rows: Vec<Row>,
    pub(super) columns: Vec<ColumnFacts>,
    pub(super) notes: Vec<String>,
    pub(super) coverage: Coverage,
}

/// How to split what is too large.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Split {
    /// By the hour in this property; the rows are added up again or not.
    Hours { property: Name, add_up: bool },
    /// By the values of this property.
    Values(Name),
}

/// The next way to split, or none. Pure.
fn choose(query: &DataQuery, used: &[Name], version: Version) -> Option<Split> {
    let properties = || query.columns.iter().filter(|column| !column.is_metric()).map(|column| &column.name);
    let unused = |name: &&Name| !used.contains(name);
    if let Some(hour) = properties().filter(unused).find(|name| HOURS.contains(&name.as_str())) {
        return Some(Split::Hours { property: hour.clone(), add_up: false });
    }
    let adds_up = query.metrics().all(|column| catalogue::adds_up_over_hours(&column.name));
    let has_hours = properties().any(|name| HOURS.contains(&name.as_str()));
    let hour = match version {
        Version::V2 => "d_time_hour_visit",
        Version::V3 => "visit_hour",
    };
    // Only the whole: what was split already lies in rows that must not be added to others.
    if let (true, false, true, Ok(property)) = (adds_up, has_hours, used.is_empty(), Name::new(hour)) {
        return Some(Split::Hours { property, add_up: true });
    }
    properties().find(|name| unused(name) && name.as_str() != "date").map(|name| Split::Values(name.clone()))
}

/// A reading of one query.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    api: &'a Api,
    query: DataQuery,
    limits: Limits,
    todo: VecDeque<Part>,
    walk: Option<Walk>,
    /// Rows of hours, added up: by the values of their properties.
    added_up: Option<BTreeMap<String, Row>>,
    columns: Vec<ColumnFacts>,
    /// Nothing where the count took too long.
    total: Option<u64>,
    read: u64,
    left_out: u64,
    no_content: bool,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Reading,
    Done,
}

impl<'a> Reading<'a> {
    pub(super) fn new(api: &'a Api, query: DataQuery, limits: Limits) -> Self {
        Self {
            api,
            query,
            limits,
            todo: VecDeque::new(),
            walk: None,
            added_up: None,
            columns: Vec::new(),
            total: None,
            read: 0,
            left_out: 0,
            no_content: false,
            state: State::New,
        }
    }

    /// The next rows; nothing after the last.
    pub(super) async fn next(&mut self) -> Result<Option<Portion>> {
        if self.state == State::New {
            self.state = State::Reading;
            match self.api.count_or_no_content(&self.query).await {
                Ok(Some(total)) => {
                    self.total = Some(total);
                    self.todo.push_back(Part { rows: Some(total), ..Part::default() });
                }
                Ok(None) => {
                    self.total = Some(0);
                    self.no_content = true;
                    return Ok(Some(Portion { notes: vec![NO_CONTENT.to_owned()], ..Portion::default() }));
                }
                Err(error) if error::is_too_long(&error) => {
                    let query = self.query.clone();
                    self.split_slow(&Part::default(), &query, error).await?;
                    let note = "the vendor ended the count of the whole, which took too long: it was read in parts, whose \
                                sum could not be compared with it";
                    return Ok(Some(Portion { notes: vec![note.to_owned()], ..Portion::default() }));
                }
                Err(error) => return Err(error),
            }
        }
        while self.state == State::Reading {
            if let Some(mut walk) = self.walk.take() {
                let rows = match self.read_page(&mut walk).await {
                    Ok(rows) => rows,
                    // Of the first page nothing was given away yet.
                    Err(error) if walk.read == 0 && error::is_too_long(&error) => {
                        let Some(part) = walk.part else { return Err(error) };
                        self.split_slow(&part, &walk.query, error).await?;
                        continue;
                    }
                    Err(error) => return Err(error),
                };
                if walk.read < walk.rows {
                    self.walk = Some(walk);
                }
                match &mut self.added_up {
                    Some(held) => add_up(held, rows, &self.query)?,
                    None => return Ok(Some(self.portion(rows))),
                }
            } else if let Some(part) = self.todo.pop_front() {
                if let Some(told) = self.open(part).await? {
                    return Ok(Some(told));
                }
            } else {
                self.state = State::Done;
                return self.finish();
            }
        }
        Ok(None)
    }

    /// Whether the vendor said that there is no data, instead of a count.
    pub(super) fn is_without_content(&self) -> bool {
        self.no_content
    }

    /// Whether the rows of the whole could not be counted.
    pub(super) fn is_uncounted(&self) -> bool {
        self.state != State::New && self.total.is_none()
    }

    fn portion(&self, rows: Vec<Row>) -> Portion {
        Portion { rows, columns: self.columns.clone(), ..Portion::default() }
    }

    /// Everything is read: it must be what was counted.
    fn finish(&mut self) -> Result<Option<Portion>> {
        let added_up = self.added_up.take().map(|held| held.into_values().collect::<Vec<_>>());
        let have = added_up.as_ref().map_or(self.read, |rows| rows.len() as u64);
        // Of hours that are added up, rows that were left out cannot be counted: they may be those of another hour.
        let countable = added_up.is_none() || self.left_out == 0;
        if let Some(total) = self.total.filter(|total| countable && have + self.left_out != *total) {
            return Err(protocol(
                "read rows",
                format!(
                    "{total} rows were counted, {have} read and {} left out: the data changed meanwhile",
                    self.left_out
                ),
            ));
        }
        Ok(added_up.map(|rows| self.portion(rows)))
    }

    fn of(&self, part: &Part) -> DataQuery {
        let mut query = self.query.clone();
        query.filter = Filter::all(query.filter.into_iter().chain(part.filters.iter().cloned()));
        query
    }

    /// Begins to read a part, or splits it.
    async fn open(&mut self, part: Part) -> Result<Option<Portion>> {
        let query = self.of(&part);
        let rows = match part.rows {
            Some(rows) => rows,
            None => match self.api.count(&query).await {
                Err(error) if error::is_too_long(&error) => {
                    self.split_slow(&part, &query, error).await?;
                    return Ok(None);
                }
                counted => counted?,
            },
        };
        if rows == 0 {
            return Ok(None);
        }
        if rows <= self.limits.rows {
            self.walk = Some(Walk { part: Some(part), query, rows, read: 0 });
            return Ok(None);
        }
        match self.split(&part, &query).await? {
            true => Ok(None),
            false => Ok(Some(self.cut(query, rows))),
        }
    }

    /// Splits what took too long, or gives the error back.
    async fn split_slow(&mut self, part: &Part, query: &DataQuery, error: Error) -> Result<()> {
        match self.split(part, query).await? {
            true => Ok(()),
            false => Err(error),
        }
    }

    /// Puts the parts of a part on the list, where there is a way to split it.
    async fn split(&mut self, part: &Part, query: &DataQuery) -> Result<bool> {
        if part.values.len() > 1 {
            let (first, second) = part.values.split_at(part.values.len() / 2);
            for half in [second, first] {
                self.todo.push_front(with_values(part, half.to_vec()));
            }
            return Ok(true);
        }
        let mut used = part.used.clone();
        while let Some(split) = choose(&self.query, &used, self.api.version) {
            match split {
                Split::Hours { property, add_up } => {
                    if add_up {
                        self.added_up = Some(BTreeMap::new());
                    }
                    let each = (0..24).map(|hour| Filter::equals(property.clone(), i64::from(hour)));
                    let parts = each.chain([empty(&property)]);
                    self.todo.extend(parts.map(|filter| split_off(part, &property, filter)));
                    return Ok(true);
                }
                Split::Values(property) => {
                    used.push(property.clone());
                    let Some(values) = self.values(query, &property).await? else { continue };
                    for values in values.chunks(values_at_once(self.api.version)) {
                        let lead = split_off(part, &property, empty(&property));
                        self.todo.push_back(with_values(&lead, values.to_vec()));
                    }
                    self.todo.push_back(split_off(part, &property, empty(&property)));
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Reads what is allowed of a part that cannot be split any more, largest first.
    fn cut(&mut self, mut query: DataQuery, rows: u64) -> Portion {
        let metric = query.metrics().next().cloned();
        query.sort =
            metric.map(|column| Sort { descending: true, column }).into_iter().chain(query.sort).collect();
        let allowed = self.limits.rows;
        self.left_out += rows - allowed;
        self.walk = Some(Walk { part: None, query, rows: allowed, read: 0 });
        let share = Decimal::from(allowed * 100) / Decimal::from(rows);
        Portion {
            notes: vec![format!(
                "one query gives {allowed} rows, and a part that could not be split has {rows}: {}% of its rows are here, the largest",
                share.round_dp(1)
            )],
            coverage: Coverage::Truncated,
            ..Portion::default()
        }
    }

    /// The values of a property within a query; nothing where they are too many themselves.
    async fn values(&self, query: &DataQuery, property: &Name) -> Result<Option<Vec<Scalar>>> {
        let column = Column::from(property.clone());
        let mut query = query.clone();
        let metric = query.metrics().next().cloned();
        query.columns = [column.clone()].into_iter().chain(metric).collect();
        query.sort = vec![Sort { descending: false, column }];
        let rows = self.api.count(&query).await?;
        if rows > self.limits.rows {
            return Ok(None);
        }
        let mut walk = Walk { part: None, query, rows, read: 0 };
        let mut values = Vec::new();
        while walk.read < walk.rows {
            for row in self.fetch(&mut walk).await?.rows {
                match row.get(property.as_str()) {
                    Some(Value::String(text)) if text != "N/A" => values.push(Scalar::from(text.as_str())),
                    Some(number @ Value::Number(_)) => {
                        if let Cell::Number(number) = wire::number(number) {
                            values.push(number.into());
                        }
                    }
                    // Null, "N/A" and what is no value: the part of the empty ones, and the count at the end.
                    _ => {}
                }
            }
        }
        Ok(Some(values))
    }

    async fn read_page(&mut self, walk: &mut Walk) -> Result<Vec<Row>> {
        let feed = self.fetch(walk).await?;
        self.read += feed.rows.len() as u64;
        if self.columns.is_empty() {
            self.columns = feed.columns;
        }
        Ok(feed.rows)
    }

    /// The next page of a walk: as many rows as the count promises.
    async fn fetch(&self, walk: &mut Walk) -> Result<wire::Feed> {
        let page = u64::from(self.limits.page);
        walk.query.max_results = Some(self.limits.page);
        walk.query.page_num = u32::try_from(walk.read / page + 1).ok();
        let feed = self.api.page(&walk.query).await?;
        let (promised, came) = ((walk.rows - walk.read).min(page), feed.rows.len() as u64);
        // What was cut off by us goes on after the last row that is wanted.
        let cut = walk.rows == self.limits.rows && came > promised && came <= page;
        if came != promised && !cut {
            return Err(protocol(
                "read rows",
                format!("a page has {came} rows, and {promised} were counted: the data changed meanwhile"),
            ));
        }
        let mut feed = feed;
        feed.rows.truncate(usize::try_from(promised).unwrap_or(usize::MAX));
        walk.read += promised;
        Ok(feed)
    }
}

fn empty(property: &Name) -> Filter {
    Filter::is(property.clone(), Operator::Empty, Operand::Flag(true))
}

fn split_off(part: &Part, property: &Name, filter: Filter) -> Part {
    let mut new = part.clone();
    new.used.push(property.clone());
    new.filters.push(filter);
    (new.values, new.rows) = (Vec::new(), None);
    new
}

/// The same part with its last filter set to these values.
fn with_values(part: &Part, values: Vec<Scalar>) -> Part {
    let mut new = part.clone();
    if let (Some(property), Some(last)) = (new.used.last(), new.filters.last_mut()) {
        let operand = Operand::Many(values.clone());
        *last = Filter::is(property.clone(), Operator::In, operand);
    }
    (new.values, new.rows) = (values, None);
    new
}

/// Adds rows of an hour to those held with the same properties. Metrics that add up are the only ones here.
fn add_up(held: &mut BTreeMap<String, Row>, rows: Vec<Row>, query: &DataQuery) -> Result<()> {
    let names = |metrics: bool| query.columns.iter().filter(move |column| column.is_metric() == metrics);
    for row in rows {
        let key: Vec<String> = names(false)
            .map(|column| row.get(column.name.as_str()).map(Value::to_string).unwrap_or_default())
            .collect();
        let key = key.join("\u{1f}");
        let Some(before) = held.get_mut(&key) else {
            held.insert(key, row);
            continue;
        };
        for column in names(true) {
            let name = column.name.as_str();
            let cell = |row: &Row| row.get(name).map_or(Cell::Nothing, wire::number);
            let sum = match (cell(before), cell(&row)) {
                (Cell::Number(a), Cell::Number(b)) => a.saturating_add(b),
                (Cell::Nothing, Cell::Number(b)) => b,
                (_, Cell::Nothing) => continue,
                _ => {
                    return Err(protocol(
                        "read rows",
                        "a number of an hour is none, and the hours cannot be added up",
                    ));
                }
            };
            before.insert(name.to_owned(), Value::String(sum.to_string()));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::period::Period;
    use super::super::query::Space;
    use super::*;

    fn query(columns: &[&str]) -> DataQuery {
        let columns = columns.iter().map(|text| text.parse().unwrap()).collect();
        DataQuery::new(columns, Space::Sites(vec![1]), Period::day("2026-03-28".parse().unwrap()))
    }

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    #[test]
    fn hours_come_first_and_are_added_up_only_where_every_metric_adds_up() {
        let hours = |property: &str, add_up| Some(Split::Hours { property: name(property), add_up });
        let values = |property: &str| Some(Split::Values(name(property)));
        for (columns, used, expected) in [
            (&["page", "visit_hour", "m_unique_visitors"][..], vec![], hours("visit_hour", false)),
            (&["page", "visit_hour", "m_visits"], vec![name("visit_hour")], values("page")),
            (&["page", "m_visits", "m_page_loads"], vec![], hours("visit_hour", true)),
            (&["page", "src", "m_visits"], vec![name("visit_hour")], values("page")),
            (&["page", "src", "m_unique_visitors"], vec![], values("page")),
            (&["page", "src", "m_unique_visitors"], vec![name("page")], values("src")),
            (&["date", "m_unique_visitors"], vec![], None),
            (&["m_unique_visitors"], vec![], None),
        ] {
            assert_eq!(choose(&query(columns), &used, Version::V3), expected, "{columns:?} {used:?}");
        }
        assert_eq!(
            choose(&query(&["d_page", "m_visits"]), &[], Version::V2),
            hours("d_time_hour_visit", true)
        );
    }
}
