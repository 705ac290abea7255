//! Reports whose rows are folded in this process, for engines that live in it ([`Warehouse::in_process`]).
//!
//! A row of such an engine costs a function call, not a way over a network; and where SQL finds a person by a search per
//! row, and puts all rows in order once per step, Rust has a hash table and sorts numbers once. The report's text stays its
//! definition and what every other engine runs; tests ask both and compare.
//!
//! **One statement, one state**: all that a fold reads is one `union all`, each part with its number in the column `part`,
//! so that a load which ends in between is seen whole or not at all.

mod campaigns;
mod carts;
mod cohort;
mod funnel;
mod journeys;
mod paths;

pub(super) use campaigns::campaigns;
pub(super) use carts::carts;
pub(super) use cohort::cohort;
pub(super) use funnel::funnel;
pub(super) use paths::{channel_sets, paths};

use super::{Definition, Scope, text, unreadable};
use crate::table::{Column, ColumnType, Table, TableError, Value};
use crate::warehouse::Warehouse;
use chrono::{DateTime, Utc};
use futures_util::stream::StreamExt;
use mkt_connect::Result;
use rust_decimal::Decimal;
use std::collections::HashMap;
use std::str::FromStr;
use std::sync::Arc;

/// Rows that are handed over at once: many enough for the handing over to cost nothing, few enough for the caches.
const CHUNK: usize = 4096;

/// What every fold reads first: who is whom, and whose word counts. Each statement appends its parts, with `null` for the
/// columns that it has more.
///
/// | part | user_id | source | site | name |
/// |---|---|---|---|---|
/// | 0, identities | user id | source | site | person |
/// | 1, sites | – | system of record | site | – |
const PEOPLE: i64 = 0;
const SITES: i64 = 1;

/// The parts that every statement begins with; `more` names the columns that it has besides `part`, `user_id`, `source`,
/// `site` and `name`.
fn people_and<const N: usize>(more: [&str; N], parts: &str) -> String {
    let named: String = more.iter().map(|column| format!(", null as {column}")).collect();
    format!(
        "
select 0 as part, i.user_id, i.source, i.site, i.person_id as name{named} from identities i
union all
select 1, null, t.record_source, t.site, null{} from sites t
union all{parts}",
        ", null".repeat(N)
    )
}

/// Reads a statement row by row.
///
/// # Errors
/// Of [`Warehouse::scan`], and of `take`.
async fn read<W: Warehouse + ?Sized>(
    report: &Definition,
    warehouse: &W,
    scope: &Scope,
    statement: &str,
    columns: &[(&'static str, ColumnType)],
    options: &[(&'static str, Value)],
    mut take: impl FnMut(&mut Row<'_>) -> std::result::Result<(), TableError>,
) -> Result<()> {
    let mut values = scope.values();
    values.extend(options.iter().cloned());
    super::readable_values(&values)?;
    let mut query = text::bound(statement, warehouse.dialect(), &values);
    for (name, ty) in columns {
        query = query.column(*name, *ty);
    }
    let mut chunks = warehouse.scan(&query, CHUNK);
    while let Some(chunk) = chunks.next().await {
        let mut chunk = chunk?;
        for row in 0..chunk.rows() {
            take(&mut Row { table: &mut chunk, row }).map_err(|cause| unreadable(report.name, cause))?;
        }
    }
    Ok(())
}

/// A row of a statement; columns are told by their place.
struct Row<'a> {
    table: &'a mut Table,
    row: usize,
}

impl Row<'_> {
    fn wrong(&self, column: usize, wanted: &'static str) -> TableError {
        let name = self.table.names().get(column).cloned().unwrap_or_default();
        TableError::Unreadable { row: self.row, column: name, wanted }
    }

    fn int(&self, column: usize) -> std::result::Result<i64, TableError> {
        match self.table.columns().get(column) {
            Some(Column::Int(values)) => values.get(self.row).copied().flatten(),
            _ => None,
        }
        .ok_or_else(|| self.wrong(column, "an integer"))
    }

    fn at(&self, column: usize) -> std::result::Result<DateTime<Utc>, TableError> {
        match self.table.columns().get(column) {
            Some(Column::Timestamp(values)) => values.get(self.row).copied().flatten(),
            _ => None,
        }
        .ok_or_else(|| self.wrong(column, "an instant"))
    }

    fn text(&self, column: usize) -> std::result::Result<&str, TableError> {
        match self.table.columns().get(column) {
            Some(Column::Text(values) | Column::Json(values)) => {
                values.get(self.row).and_then(Option::as_deref)
            }
            _ => None,
        }
        .ok_or_else(|| self.wrong(column, "text"))
    }

    fn bool(&self, column: usize) -> std::result::Result<bool, TableError> {
        match self.table.columns().get(column) {
            Some(Column::Bool(values)) => values.get(self.row).copied().flatten(),
            _ => None,
        }
        .ok_or_else(|| self.wrong(column, "a truth value"))
    }

    fn decimal(&self, column: usize) -> std::result::Result<Decimal, TableError> {
        match self.table.columns().get(column) {
            Some(Column::Decimal(_, values)) => values.get(self.row).copied().flatten(),
            _ => None,
        }
        .ok_or_else(|| self.wrong(column, "a decimal"))
    }

    fn parsed<T: FromStr>(&self, column: usize, wanted: &'static str) -> std::result::Result<T, TableError> {
        self.text(column)?.parse().map_err(|_| self.wrong(column, wanted))
    }

    fn parsed_or_null<T: FromStr>(
        &self,
        column: usize,
        wanted: &'static str,
    ) -> std::result::Result<Option<T>, TableError> {
        match self.text(column) {
            Ok(_) => self.parsed(column, wanted).map(Some),
            Err(_) => Ok(None),
        }
    }

    /// The text itself, which the row has no longer.
    fn take(&mut self, column: usize) -> Option<String> {
        match self.table.columns_mut().get_mut(column) {
            Some(Column::Text(values) | Column::Json(values)) => {
                values.get_mut(self.row).and_then(Option::take)
            }
            _ => None,
        }
    }
}

/// Texts as numbers, in the order in which they were first seen.
#[derive(Default)]
struct Names {
    number: HashMap<Arc<str>, u32>,
    names: Vec<Arc<str>>,
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.number.get(name) {
            return *number;
        }
        // Four thousand million different texts do not fit in memory.
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = Arc::from(name);
        self.number.insert(Arc::clone(&name), number);
        self.names.push(name);
        number
    }

    fn name(&self, number: u32) -> &str {
        self.names.get(number as usize).map_or("", AsRef::as_ref)
    }
}

/// Somebody as one source knows them on one site: the number of the two, and that of the user id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Visitor {
    origin: u32,
    user: u32,
}

/// A source on a site.
struct Origin {
    source: String,
    site: u32,
}

/// Who is whom, and whose word counts: what the joins of `identities` and `sites` are in the reports' texts.
#[derive(Default)]
struct People {
    origins: Vec<Origin>,
    /// The origin of the row before, which is most often that of the next.
    last: usize,
    sites: Names,
    /// User ids and persons: somebody without identity is the person of that name.
    names: Names,
    persons: HashMap<Visitor, u32>,
    /// Systems of record by site.
    records: HashMap<u32, String>,
}

impl People {
    /// Takes a row of the parts that every statement begins with; false for any other.
    fn learn(&mut self, row: &Row<'_>) -> std::result::Result<bool, TableError> {
        match row.int(0)? {
            PEOPLE => {
                let visitor = self.visitor(row.text(1)?, row.text(2)?, row.text(3)?);
                let person = self.names.number(row.text(4)?);
                self.persons.insert(visitor, person);
            }
            SITES => {
                let site = self.sites.number(row.text(3)?);
                self.records.insert(site, row.text(2)?.to_owned());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn visitor(&mut self, user_id: &str, source: &str, site: &str) -> Visitor {
        let is = |origin: &Origin, sites: &Names| origin.source == source && sites.name(origin.site) == site;
        if !self.origins.get(self.last).is_some_and(|origin| is(origin, &self.sites)) {
            self.last = self.origins.iter().position(|origin| is(origin, &self.sites)).unwrap_or_else(|| {
                let site = self.sites.number(site);
                self.origins.push(Origin { source: source.to_owned(), site });
                self.origins.len() - 1
            });
        }
        Visitor { origin: u32::try_from(self.last).unwrap_or(u32::MAX), user: self.names.number(user_id) }
    }

    /// The person: that of the identity, else the user id. Known when all identities are.
    fn person(&self, visitor: Visitor) -> u32 {
        self.persons.get(&visitor).copied().unwrap_or(visitor.user)
    }

    fn site(&self, visitor: Visitor) -> u32 {
        self.origins.get(visitor.origin as usize).map_or(u32::MAX, |origin| origin.site)
    }

    /// Whether the word of each origin counts, by number: the source that the scope names, else the site's system of
    /// record, else everybody.
    fn counted(&self, scope: &Scope) -> Vec<bool> {
        let counts = |origin: &Origin| match (scope.only_source(), self.records.get(&origin.site)) {
            (Some(source), _) => origin.source == source,
            (None, Some(record)) => origin.source == *record,
            (None, None) => true,
        };
        self.origins.iter().map(counts).collect()
    }
}

impl People {
    /// What was found of visitors whose word counts, by person. Known when all identities and sites are.
    fn resolved<T>(&self, scope: &Scope, found: Vec<(Visitor, T)>) -> impl Iterator<Item = (u32, T)> {
        let counted = self.counted(scope);
        let of_person =
            move |(visitor, of): (Visitor, T)| counts(&counted, visitor).then(|| (self.person(visitor), of));
        found.into_iter().filter_map(of_person)
    }
}

/// Whether an origin of [`People::counted`] counts.
fn counts(counted: &[bool], visitor: Visitor) -> bool {
    counted.get(visitor.origin as usize).copied().unwrap_or(false)
}
