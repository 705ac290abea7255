//! Reports whose rows are folded in this process, for engines that live in it ([`Warehouse::in_process`]).
//!
//! A row of such an engine costs a function call, not a way over a network; and where SQL finds a person by a search per
//! row, and puts all rows in order once per step, Rust has a hash table and sorts numbers once. The report's text stays its
//! definition and what every other engine runs; tests ask both and compare.
//!
//! **One statement, one state**: all that a fold reads is one `union all`, each part with its number in the column `part`,
//! so that a load which ends in between is seen whole or not at all.

mod arpu;
mod campaigns;
mod carts;
mod cohort;
mod conversion;
mod funnel;
mod journeys;
mod paths;

pub(super) use arpu::arpu;
pub(super) use campaigns::campaigns;
pub(super) use carts::carts;
pub(super) use cohort::cohort;
pub(super) use conversion::conversion;
pub(super) use funnel::funnel;
pub(super) use paths::{channel_sets, paths};

use super::{Definition, Scope, text, unreadable, zone};
use crate::chunk::Chunk;
use crate::table::{ColumnType, TableError, Value};
use crate::warehouse::Warehouse;
use foldhash::fast::RandomState;
use futures_util::stream::StreamExt;
use hashbrown::HashTable;
use mkt_connect::Result;
use std::collections::HashMap;
use std::hash::BuildHasher;
use std::str::FromStr;

/// Rows that are handed over at once: many enough for the handing over to cost nothing, few enough for the caches.
const CHUNK: usize = 4096;

/// What every fold reads first: who is whom, and which source is the system of record. Each statement appends its parts,
/// with `null` for the columns that it has more.
///
/// | part | user_id | source | site | name |
/// |---|---|---|---|---|
/// | 0, identities | user id | source | site | person |
/// | 1, sites | – | system of record | site | – |
/// | -1, sessions, for folds of events | user id; null for a robot | – | – | session id |
const PEOPLE: i64 = 0;
const SITES: i64 = 1;
const SESSION_USERS: i64 = -1;

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

/// As [`people_and`], with the users of sessions: for [`People::of_event`].
fn people_sessions_and<const N: usize>(more: [&str; N], parts: &str) -> String {
    let sessions = format!(
        "
select -1, case when s.bot is null then s.user_id end, null, null, s.session_id{} from sessions s
union all{parts}",
        ", null".repeat(N)
    );
    people_and(more, &sessions)
}

/// Reads a statement row by row.
///
/// # Errors
/// Of [`Warehouse::chunks`], and of `take`.
async fn read<W: Warehouse + ?Sized>(
    report: &Definition,
    warehouse: &W,
    scope: &Scope,
    statement: &str,
    columns: &[(&'static str, ColumnType)],
    options: &[(&'static str, Value)],
    mut take: impl FnMut(&Row<'_>) -> std::result::Result<(), TableError>,
) -> Result<()> {
    let mut values = scope.values();
    values.extend(options.iter().cloned());
    super::readable_values(&values)?;
    let local = statement.contains("zone_offsets");
    let offsets = if local { zone::missing(warehouse, scope).await? } else { Vec::new() };
    let mut query = text::bound(statement, warehouse.dialect(), &values, &offsets);
    for (name, ty) in columns {
        query = query.column(*name, *ty);
    }
    let mut chunks = warehouse.chunks(&query, CHUNK);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        for row in 0..chunk.rows() {
            take(&Row { chunk: &chunk, columns, row }).map_err(|cause| unreadable(report.name, cause))?;
        }
    }
    Ok(())
}

/// A row of a statement; columns are named by their place.
struct Row<'a> {
    chunk: &'a Chunk,
    columns: &'a [(&'static str, ColumnType)],
    row: usize,
}

impl<'a> Row<'a> {
    fn wrong(&self, column: usize, wanted: &'static str) -> TableError {
        let name = self.columns.get(column).map_or("", |(name, _)| name).to_owned();
        TableError::Unreadable { row: self.row, column: name, wanted }
    }

    /// A whole number; a timestamp is one of microseconds, an amount one of hundredths.
    fn int(&self, column: usize) -> std::result::Result<i64, TableError> {
        self.chunk.number(self.row, column).ok_or_else(|| self.wrong(column, "a number"))
    }

    fn bool(&self, column: usize) -> std::result::Result<bool, TableError> {
        Ok(self.int(column)? == 1)
    }

    fn text(&self, column: usize) -> std::result::Result<&'a str, TableError> {
        self.text_or_null(column).ok_or_else(|| self.wrong(column, "text"))
    }

    fn text_or_null(&self, column: usize) -> Option<&'a str> {
        self.chunk.text(self.row, column)
    }

    fn parsed<T: FromStr>(&self, column: usize, wanted: &'static str) -> std::result::Result<T, TableError> {
        self.text(column)?.parse().map_err(|_| self.wrong(column, wanted))
    }

    fn parsed_or_null<T: FromStr>(
        &self,
        column: usize,
        wanted: &'static str,
    ) -> std::result::Result<Option<T>, TableError> {
        match self.text_or_null(column) {
            Some(_) => self.parsed(column, wanted).map(Some),
            None => Ok(None),
        }
    }
}

/// A map by keys of this process, which nobody chooses.
type Map<K, V> = HashMap<K, V, RandomState>;

/// Texts as numbers, in the order in which they were first seen.
#[derive(Default)]
struct Names {
    numbers: HashTable<u32>,
    state: RandomState,
    text: String,
    ends: Vec<usize>,
}

fn named<'a>(text: &'a str, ends: &[usize], number: u32) -> &'a str {
    let number = number as usize;
    let from = number.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
    ends.get(number).and_then(|end| text.get(from..*end)).unwrap_or("")
}

impl Names {
    fn number(&mut self, name: &str) -> u32 {
        let Self { numbers, state, text, ends } = self;
        let hash = state.hash_one(name);
        let known = |number: &u32| named(text, ends, *number) == name;
        if let Some(number) = numbers.find(hash, known) {
            return *number;
        }
        // Four thousand million different texts do not fit in memory.
        let number = u32::try_from(ends.len()).unwrap_or(u32::MAX);
        text.push_str(name);
        ends.push(text.len());
        numbers.insert_unique(hash, number, |number| state.hash_one(named(text, ends, *number)));
        number
    }

    /// The number of a name that was seen.
    fn find(&self, name: &str) -> Option<u32> {
        let known = |number: &u32| named(&self.text, &self.ends, *number) == name;
        self.numbers.find(self.state.hash_one(name), known).copied()
    }

    fn name(&self, number: u32) -> &str {
        named(&self.text, &self.ends, number)
    }

    fn len(&self) -> usize {
        self.ends.len()
    }
}

/// A visitor as one source knows them on one site: the number of the two, and that of the user id.
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

/// Who is whom, and whose rows count: what the joins of `identities` and `sites` are in the reports' texts.
#[derive(Default)]
struct People {
    origins: Vec<Origin>,
    /// The origin of the row before, which is most often that of the next.
    last: usize,
    sites: Names,
    /// User ids and persons: somebody without identity is the person of that name.
    names: Names,
    persons: Map<Visitor, u32>,
    /// Systems of record by site.
    records: HashMap<u32, String>,
    /// Session ids, and the user of each by its number; nobody for a robot.
    sessions: Names,
    session_users: Vec<Option<u32>>,
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
            SESSION_USERS => {
                let user = row.text_or_null(1).map(|user| self.names.number(user));
                // Keys of a table: each is new.
                self.sessions.number(row.text(4)?);
                self.session_users.push(user);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Whose event it is: the user of the session that it names, where this is known, else its own; `None` for a
    /// robot's.
    fn of_event(
        &mut self,
        user_id: &str,
        source: &str,
        site: &str,
        session: Option<&str>,
    ) -> Option<Visitor> {
        let session = session.and_then(|session| self.sessions.find(session));
        let user = match session.and_then(|session| self.session_users.get(session as usize)) {
            Some(user) => (*user)?,
            None => self.names.number(user_id),
        };
        Some(Visitor { origin: self.origin(source, site), user })
    }

    fn visitor(&mut self, user_id: &str, source: &str, site: &str) -> Visitor {
        Visitor { origin: self.origin(source, site), user: self.names.number(user_id) }
    }

    fn origin(&mut self, source: &str, site: &str) -> u32 {
        let is = |origin: &Origin, sites: &Names| origin.source == source && sites.name(origin.site) == site;
        if !self.origins.get(self.last).is_some_and(|origin| is(origin, &self.sites)) {
            self.last = self.origins.iter().position(|origin| is(origin, &self.sites)).unwrap_or_else(|| {
                let site = self.sites.number(site);
                self.origins.push(Origin { source: source.to_owned(), site });
                self.origins.len() - 1
            });
        }
        u32::try_from(self.last).unwrap_or(u32::MAX)
    }

    /// The person: that of the identity, else the user id. Known when all identities are.
    fn person(&self, visitor: Visitor) -> u32 {
        self.persons.get(&visitor).copied().unwrap_or(visitor.user)
    }

    fn site(&self, visitor: Visitor) -> u32 {
        self.origins.get(visitor.origin as usize).map_or(u32::MAX, |origin| origin.site)
    }

    /// Whether the rows of each origin count, by number: the source that the scope names, else the site's system of
    /// record, else all.
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
    /// What was found of visitors whose source counts, by person. Known when all identities and sites are.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_number_each_and_read_back() {
        let mut names = Names::default();
        let texts = ["", "a", "ab", "b", "é", "a b"];
        let numbers: Vec<u32> = texts.iter().map(|text| names.number(text)).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5]);
        for _ in 0..2 {
            assert!(texts.iter().all(|text| names.name(names.find(text).unwrap()) == *text));
            for n in 0..1_000 {
                names.number(&format!("user {n}"));
            }
        }
        assert_eq!((names.len(), names.find("nobody")), (1_006, None));
    }
}
