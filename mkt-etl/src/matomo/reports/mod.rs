//! Reports with dimensions: what each stream asks, and how its answer becomes rows of `dimension_metrics`.

pub(super) mod events;
pub(super) mod goals;
pub(super) mod hours;
pub(super) mod items;
pub(super) mod pages;
pub(super) mod referrers;
pub(super) mod shape;

use super::Inner;
use super::answer::{Answer, Row};
use super::call::Ask;
use super::error::SERVICE;
use super::segment::Segment;
use super::streams::Name;
use super::wire;
use crate::source::{Extra, Page, SiteFacts};
use chrono::NaiveDate;
use mkt_connect::{Error, ErrorKind, Result};
use mkt_warehouse::model::Json;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::json;
use shape::{Shape, Sheet};
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

/// What a slice is of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) name: Name,
    pub(super) site: &'a SiteFacts,
    pub(super) day: NaiveDate,
    pub(super) segment: Option<&'a Segment>,
}

impl<'a> Target<'a> {
    /// A report of this day, this site and this segment.
    pub(super) fn ask(&self, method: &str) -> Ask {
        Ask::day(method, self.site, self.day, self.segment)
    }

    /// A report's name, which is another one in a segment.
    pub(super) fn report(&self, name: &str) -> String {
        self.segment.map_or_else(|| name.to_owned(), |segment| segment.of(name))
    }

    fn sheet(&self, shape: &'static Shape) -> Sheet<'a> {
        Sheet::new(shape, self.report(shape.report), self.site, self.day)
    }

    /// The day's part of an answer; an empty table where nothing happened.
    pub(super) fn part(&self, operation: &'static str, answer: Answer) -> Result<Answer> {
        match answer {
            Answer::Table(rows) if rows.is_empty() => Ok(Answer::Table(rows)),
            days @ Answer::ByDate(_) => days
                .into_part(&self.day.to_string())
                .ok_or_else(|| Inner::protocol(operation, "the day that was asked for is not in the answer")),
            _ => Err(Inner::protocol(operation, "the answer has another form than documented")),
        }
    }
}

/// A report that the instance does not have: the plugin is off, or something before it answers with 404. The instance
/// itself is there, since it has described its site.
pub(super) fn lacking(error: Error) -> Error {
    if error.kind() == ErrorKind::NotFound && error.status() == Some(404) {
        return Error::new(ErrorKind::Unsupported, SERVICE, error.operation())
            .delivered(error.delivery())
            .with_status(404)
            .with_detail("HTTP 404: the instance has no such report");
    }
    error
}

/// Goes through a table by offset, as far as pages are full.
#[derive(Debug)]
struct Paging {
    offset: usize,
    limit: usize,
    last: Option<u64>,
    done: bool,
}

impl Paging {
    fn new(limit: usize) -> Self {
        Self { offset: 0, limit, last: None, done: false }
    }

    fn ask(&self, ask: &Ask) -> Ask {
        let ask = ask.clone().with("filter_limit", self.limit.to_string());
        if self.offset == 0 { ask } else { ask.with("filter_offset", self.offset.to_string()) }
    }

    /// Whether the page is new; a server that ignores the offset answers with the same page for ever.
    fn take(&mut self, rows: &[Row]) -> bool {
        let mut hasher = DefaultHasher::new();
        rows.iter().for_each(|row| json!(row.0).to_string().hash(&mut hasher));
        let seen = hasher.finish();
        self.done = rows.len() < self.limit;
        self.offset += rows.len();
        rows.is_empty() || self.last.replace(seen) != Some(seen)
    }
}

type Add = Box<dyn Fn(&[Row], &mut [Sheet<'_>]) + Send + Sync>;

/// A table of a slice: how it is asked, and into which reports its rows go.
struct Table<'a> {
    ask: Ask,
    paging: Paging,
    sheets: Vec<Sheet<'a>>,
    add: Add,
}

/// The tables of a slice, read side by side.
pub(super) struct Tables<'a> {
    target: Target<'a>,
    open: Vec<Table<'a>>,
}

const READ: &str = "read a report of a day";

impl<'a> Tables<'a> {
    /// The tables of a stream, at most `limit` rows in one answer.
    pub(super) fn new(target: Target<'a>, limit: usize) -> Self {
        let table = |ask: Ask, shapes: &[&'static Shape], add: Add| Table {
            ask,
            paging: Paging::new(limit),
            sheets: shapes.iter().map(|shape| target.sheet(shape)).collect(),
            add,
        };
        let flat = |method: &str| target.ask(method).with("flat", "1");
        let one = |method: &str| Ask::date(method, target.site, target.day, target.segment);
        let open = match target.name {
            Name::Referrers => vec![table(
                target.ask(referrers::TYPES.place),
                &[&referrers::TYPES, &goals::OF_REFERRERS, &goals::CARTS_OF_REFERRERS],
                Box::new(|rows, sheets| {
                    if let [types, goals, carts] = sheets {
                        referrers::add_types(rows, types, goals, carts);
                    }
                }),
            )],
            Name::ReferrerNames => vec![table(
                one(referrers::NAMES.place),
                &[&referrers::NAMES],
                Box::new(|rows, sheets| {
                    sheets.iter_mut().for_each(|sheet| referrers::add_names(rows, sheet));
                }),
            )],
            Name::Campaigns => vec![table(
                one(referrers::CAMPAIGNS.place).with("expanded", "1"),
                &[&referrers::CAMPAIGNS],
                Box::new(|rows, sheets| {
                    sheets.iter_mut().for_each(|sheet| referrers::add_campaigns(rows, sheet));
                }),
            )],
            Name::Pages => vec![table(
                flat(pages::PAGES.place),
                &[&pages::PAGES],
                Box::new(|rows, sheets| sheets.iter_mut().for_each(|sheet| pages::add(rows, sheet))),
            )],
            Name::Events => events::TABLES
                .iter()
                .map(|kind| {
                    table(
                        flat(kind.shape.place),
                        &[&kind.shape],
                        Box::new(move |rows, sheets| {
                            sheets.iter_mut().for_each(|sheet| events::add(rows, kind, sheet));
                        }),
                    )
                })
                .collect(),
            Name::Items => [(&items::ORDERED, None), (&items::ABANDONED, Some("1"))]
                .into_iter()
                .map(|(shape, abandoned)| {
                    let ask = one("Goals.getItemsSku");
                    table(
                        match abandoned {
                            Some(one) => ask.with("abandonedCarts", one),
                            None => ask,
                        },
                        &[shape],
                        Box::new(|rows, sheets| {
                            sheets.iter_mut().for_each(|sheet| items::add(rows, sheet));
                        }),
                    )
                })
                .collect(),
            Name::Daily | Name::Visits | Name::Hours | Name::Goals => Vec::new(),
        };
        Self { target, open }
    }
}

/// Puts a page behind another one.
fn append(page: &mut Page, more: Page) {
    page.read += more.read;
    page.dimensions.extend(more.dimensions);
    page.rejected.extend(more.rejected);
    page.notes.extend(more.notes);
    page.extras.extend(more.extras);
    page.drift.extend(more.drift);
    page.coverage = page.coverage.max(more.coverage);
}

impl Inner {
    /// The next page of every table that is not at its end, in one request; `None` at the end.
    pub(super) async fn next_of_tables(&self, tables: &mut Tables<'_>) -> Result<Option<Page>> {
        if tables.open.is_empty() {
            return Ok(None);
        }
        let asks: Vec<Ask> = tables.open.iter().map(|table| table.paging.ask(&table.ask)).collect();
        let answers = self.ask_all(READ, &asks).await?;
        let mut page = Page::default();
        let mut open = Vec::with_capacity(tables.open.len());
        for (mut table, answer) in std::mem::take(&mut tables.open).into_iter().zip(answers) {
            let rows = match answer.map_err(lacking)? {
                // Asked as one date.
                Answer::Table(rows) if table.ask.is_of_one_date() => rows,
                answer => match tables.target.part(READ, answer)? {
                    Answer::Table(rows) => rows,
                    _ => return Err(Self::protocol(READ, "the day's answer is no table")),
                },
            };
            if !table.paging.take(&rows) {
                return Err(Self::protocol(READ, "the same page of the table came twice"));
            }
            (table.add)(&rows, &mut table.sheets);
            let misread = |why: String| Self::protocol(READ, why);
            if table.paging.done {
                for sheet in table.sheets {
                    append(&mut page, sheet.finish().map_err(misread)?);
                }
            } else {
                for sheet in &mut table.sheets {
                    append(&mut page, sheet.take().map_err(misread)?);
                }
                open.push(table);
            }
        }
        tables.open = open;
        Ok(Some(page))
    }

    /// The goals that the site has, by number and name, and what each converted to on the day by another report: two words
    /// on which goals there are.
    async fn goals_told(
        &self,
        target: &Target<'_>,
    ) -> Result<(Vec<(String, Option<String>)>, BTreeMap<String, Decimal>)> {
        const OPERATION: &str = "read which goals there are";
        let list = Ask::new("Goals.getGoals").with("idSite", target.site.native_id.as_str());
        let asks = [list, target.ask(referrers::TYPES.place)];
        let mut answers = self.ask_all(OPERATION, &asks).await?.into_iter();
        let (Some(list), Some(types)) = (answers.next(), answers.next()) else {
            return Err(Self::protocol(OPERATION, "a call has no answer"));
        };
        let goals = goals::listed(&list.map_err(lacking)?)
            .ok_or_else(|| Self::protocol(OPERATION, "the list of goals has another form than documented"))?;
        let told = match types.map_err(lacking) {
            Ok(types) => goals::converted(target.part(OPERATION, types)?.rows())
                .ok_or_else(|| Self::protocol(OPERATION, "conversions of a type of referrers do not read"))?,
            Err(error) if error.kind() == ErrorKind::Unsupported => BTreeMap::new(),
            Err(error) => return Err(error),
        };
        Ok((goals, told))
    }

    /// The goals of a day, one by one.
    pub(super) async fn goals_page(&self, target: &Target<'_>) -> Result<Page> {
        const OPERATION: &str = "read the goals of a day one by one";
        let (goals, told) = self.goals_told(target).await?;
        let mut ids: Vec<&str> = goals.iter().map(|(id, _)| id.as_str()).collect();
        if self.is_shop(target.site).await? {
            ids.extend([goals::ORDER, goals::CART]);
        }
        let known = ids.len();
        for id in told.keys().map(String::as_str) {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let mut asks = vec![target.ask("Goals.get")];
        asks.extend(ids.iter().map(|id| target.ask("Goals.get").with("idGoal", *id)));
        let mut answers = Vec::with_capacity(asks.len());
        for (place, answer) in self.ask_all(OPERATION, &asks).await?.into_iter().enumerate() {
            let answer = match answer.map_err(lacking) {
                // A goal that is not listed need not be told: it is in the row without a goal then.
                Err(error)
                    if place > known && matches!(error.kind(), ErrorKind::Input | ErrorKind::Unsupported) =>
                {
                    answers.push(None);
                    continue;
                }
                answer => answer?,
            };
            answers.push(match target.part(OPERATION, answer)? {
                Answer::Row(row) => Some(row),
                Answer::Table(rows) if rows.is_empty() => None,
                _ => return Err(Self::protocol(OPERATION, "the day's answer is no record")),
            });
        }
        let mut answers = answers.into_iter();
        let all = answers.next().flatten();
        let answers: Vec<(&str, Row)> =
            ids.into_iter().zip(answers).filter_map(|(id, row)| Some((id, row?))).collect();
        let theirs: Vec<(&str, &Row)> = answers.iter().map(|(id, row)| (*id, row)).collect();
        if !goals::are_theirs(all.as_ref(), &theirs, &told) {
            return Err(Self::protocol(OPERATION, "the conversions of goals are not those of the day"));
        }
        let mut sheet = target.sheet(&goals::GOALS);
        let mut visitors = target.sheet(&goals::VISITORS);
        let mut carts = target.sheet(&goals::ABANDONED);
        let mut listed = Vec::new();
        // A day without anything has no rows.
        for (id, row) in answers {
            let told = if id == goals::CART {
                goals::add_carts(&row, &mut carts)
            } else {
                let told = goals::add(id, &row, &mut sheet, &mut visitors);
                listed.push(row);
                told
            };
            // A missing number is not a zero.
            told.ok_or_else(|| Self::protocol(OPERATION, "a goal has no nb_conversions"))?;
        }
        let mut notes = Vec::new();
        if let Some(left) = all.and_then(|all| goals::unlisted(&all, &listed.iter().collect::<Vec<_>>())) {
            goals::add_unlisted(&left, &mut sheet);
            notes.push(
                "conversions of goals that are not listed any more are in a row without a goal".to_owned(),
            );
        }
        let misread = |why: String| Self::protocol(OPERATION, why);
        let mut page = sheet.finish().map_err(misread)?;
        append(&mut page, visitors.finish().map_err(misread)?);
        append(&mut page, carts.finish().map_err(misread)?);
        page.notes.extend(notes);
        page.extras.extend(goals.iter().filter_map(|(id, name)| {
            let fields = crate::clean::json(json!({ "name": name.as_ref()? }));
            Some(Extra { record: format!("goal {id}"), fields: Json(fields) })
        }));
        Ok(page)
    }

    /// The hours of a day, counted in Live.
    pub(super) async fn hours_page(&self, target: &Target<'_>) -> Result<Page> {
        let mut walk = self.walk();
        let mut day = hours::Day::new(target.day, target.site.days_in());
        let mut sheet = target.sheet(&hours::HOURS);
        while let Some(visits) = self.live(target, &mut walk, false).await.map_err(lacking)? {
            for raw in visits {
                let placed = wire::Visit::deserialize(&raw)
                    .map_err(|_| "the visit is no object")
                    .and_then(|visit| day.add(&visit));
                if let (Err(reason), serde_json::Value::Object(fields)) = (placed, raw) {
                    sheet.reject(&Row(fields), reason);
                }
            }
        }
        let note = day.write(&mut sheet);
        let foreign = (walk.foreign > 0)
            .then(|| format!("{} visits of another day were in the answer and are left out", walk.foreign));
        let mut page = sheet.finish().map_err(|why| Self::protocol("count the hours of a day", why))?;
        page.notes.extend(note.into_iter().chain(foreign));
        Ok(page)
    }
}
