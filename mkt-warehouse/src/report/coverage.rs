//! Which days of a period were loaded: a day that was not is a gap, never zero.

use super::held::{text, unreadable};
use super::{Answer, CohortMonth, Day, MonthArpu, Scope};
use crate::model::Amount;
use crate::query::Query;
use crate::table::{ColumnType, Value};
use crate::warehouse::Warehouse;
use chrono::{Datelike, Months, NaiveDate};
use mkt_connect::Result;
use rust_decimal::Decimal;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};

/// The days of a scope that the ledger (`loads`) covers, whether they hold rows or not. All others were never loaded, and a
/// zero there would say nothing: [`super::daily_series`], [`super::cohort_retention`] and [`super::arpu_by_month`] leave
/// them open.
///
/// A slice covers the days of its window if it was not merely planned and did not fail; one of a whole stream covers every
/// day. Only streams of traffic count: those that are called after sessions, visits, hits or events, and those that ever
/// held a session or an event. Which slices count follows the scope: those of its site and source, else of each site's
/// system of record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Coverage {
    first: NaiveDate,
    last: NaiveDate,
    sites: BTreeMap<String, BTreeSet<NaiveDate>>,
}

/// A stretch of days of a site that was not loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Gap {
    /// The site.
    pub site: String,
    /// The first day.
    pub first: NaiveDate,
    /// The last day, included.
    pub last: NaiveDate,
}

impl Coverage {
    /// Reads the ledger.
    ///
    /// # Errors
    /// Of [`Warehouse::query`].
    pub async fn of<W: Warehouse + ?Sized>(warehouse: &W, scope: &Scope) -> Result<Self> {
        let (first, last) = (scope.first_day(), scope.last_day());
        let query = Query::new(
            "with carriers as (\
               select distinct o.source, o.stream, o.site from loads o \
               where o.stream like '%visits%' or o.stream like '%sessions%' or o.stream like '%events%' \
               or o.stream like '%hits%' \
               or exists (select 1 from sessions s where s.load_id = o.load_id) \
               or exists (select 1 from events e where e.load_id = o.load_id)\
             ) \
             select distinct l.site, l.window_from, l.window_until, \
             case when l.state in ('planned', 'failed') then 0 else 1 end as held from loads l \
             join carriers c on c.source = l.source and c.stream = l.stream and c.site = l.site \
             left join sites t on t.site = l.site \
             where l.site = coalesce(:1, l.site) and l.source = coalesce(:2, t.record_source, l.source)",
        )
        .bind(text(scope.only_site()))
        .bind(text(scope.only_source()))
        .column("site", ColumnType::Text)
        .column("window_from", ColumnType::Date)
        .column("window_until", ColumnType::Date)
        .column("held", ColumnType::Int);
        let slices = warehouse.query(&query).await?;
        let mut sites: BTreeMap<String, BTreeSet<NaiveDate>> = BTreeMap::new();
        for row in 0..slices.rows() {
            let days = sites.entry(slices.read(row, "site").map_err(unreadable)?).or_default();
            let from: NaiveDate = slices.read(row, "window_from").map_err(unreadable)?;
            let until: NaiveDate = slices.read(row, "window_until").map_err(unreadable)?;
            if slices.value(row, "held") == Value::Int(1) {
                days.extend(from.max(first).iter_days().take_while(|day| *day < until && *day <= last));
            }
        }
        Ok(Self { first, last, sites })
    }

    /// Whether a day of any site was loaded.
    #[must_use]
    pub fn has(&self, day: NaiveDate) -> bool {
        self.sites.values().any(|days| days.contains(&day))
    }

    /// Whether of every site some day of the month of `day` was loaded.
    #[must_use]
    pub fn has_month(&self, day: NaiveDate) -> bool {
        let first = first_of_month(day);
        let next = first.checked_add_months(Months::new(1)).unwrap_or(NaiveDate::MAX);
        !self.sites.is_empty() && self.sites.values().all(|days| days.range(first..next).next().is_some())
    }

    /// The stretches of days that were not loaded, site by site.
    #[must_use]
    pub fn gaps(&self) -> Vec<Gap> {
        let mut gaps: Vec<Gap> = Vec::new();
        for (site, days) in &self.sites {
            for day in self.days().filter(|day| !days.contains(day)) {
                match gaps.last_mut().filter(|gap| gap.site == *site && gap.last.succ_opt() == Some(day)) {
                    Some(gap) => gap.last = day,
                    None => gaps.push(Gap { site: site.clone(), first: day, last: day }),
                }
            }
        }
        gaps
    }

    fn days(&self) -> impl Iterator<Item = NaiveDate> + use<> {
        let last = self.last;
        self.first.iter_days().take_while(move |day| *day <= last)
    }

    /// The gaps for a reader, `1 Apr 2026 to 23 Oct 2026; 1 Nov 2026 (207 days)`, with the site before them where there are
    /// several; `None` where every day was loaded.
    #[must_use]
    #[cfg(feature = "chart")]
    pub fn words(&self, lang: mkt_connect::chart::Lang) -> Option<String> {
        use mkt_connect::chart::Format;
        const SHOWN: usize = 6;
        let count = |n: usize| lang.number(n as f64, Format::Integer);
        let gaps = self.gaps();
        let of_site = |(site, days): (&String, &BTreeSet<NaiveDate>)| {
            let gaps: Vec<&Gap> = gaps.iter().filter(|gap| gap.site == *site).collect();
            let mut words: Vec<String> = gaps
                .iter()
                .take(SHOWN)
                .map(|gap| match (lang.day(gap.first), lang.day(gap.last)) {
                    (first, last) if first == last => first,
                    (first, last) => lang.pick(format!("{first} to {last}"), format!("du {first} au {last}")),
                })
                .collect();
            let more = gaps.len().saturating_sub(SHOWN);
            if more > 0 {
                let more = count(more);
                words.push(lang.pick(format!("{more} more gaps"), format!("{more} autres lacunes")));
            }
            let days = match self.days().filter(|day| !days.contains(day)).count() {
                0 => return None,
                1 => lang.pick("1 day", "1 jour").to_owned(),
                days => format!("{} {}", count(days), lang.pick("days", "jours")),
            };
            let words = format!("{} ({days})", words.join(lang.pick("; ", " ; ")));
            Some(if self.sites.len() > 1 {
                format!("{site}{}{words}", lang.pick(": ", " : "))
            } else {
                words
            })
        };
        let words: Vec<String> = self.sites.iter().filter_map(of_site).collect();
        (!words.is_empty()).then(|| words.join(". "))
    }

    /// Takes out the days that were not loaded. One with a visit or revenue was, whatever the ledger says.
    pub(super) fn series(&self, answer: Answer<Day>) -> Answer<Day> {
        let mut rows = answer.rows;
        let held = |row: &&Day| row.visits > 0 || !row.revenue.0.is_zero();
        let held: BTreeSet<NaiveDate> = rows.iter().filter(held).map(|row| row.day).collect();
        rows.retain(|row| held.contains(&row.day) || self.has(row.day));
        Answer::from_rows(rows)
    }

    /// Leaves months open of which some site has no loaded day: its users may be the cohort's.
    pub(super) fn cohorts(&self, answer: Answer<CohortMonth>) -> Answer<CohortMonth> {
        let mut rows = answer.rows;
        for row in &mut rows {
            let later = u32::try_from(row.month).unwrap_or(0);
            let month = row.cohort.checked_add_months(Months::new(later));
            if row.active == Some(0) && month.is_some_and(|month| !self.has_month(month)) {
                (row.active, row.retention_rate) = (None, None);
            }
        }
        Answer::from_rows(rows)
    }

    /// Adds the months that were loaded and found empty: the others without a row were not loaded.
    pub(super) fn months(&self, answer: Answer<MonthArpu>) -> Answer<MonthArpu> {
        let mut by_month: BTreeMap<NaiveDate, Vec<MonthArpu>> = BTreeMap::new();
        for row in answer.rows {
            by_month.entry(row.month).or_default().push(row);
        }
        for month in self.sites.values().flatten().map(|day| first_of_month(*day)) {
            by_month.entry(month).or_insert_with(|| {
                vec![MonthArpu {
                    month,
                    currency: None,
                    revenue: Amount(Decimal::new(0, 2)),
                    users: 0,
                    arpu: None,
                }]
            });
        }
        Answer::from_rows(by_month.into_values().flatten().collect())
    }
}

fn first_of_month(day: NaiveDate) -> NaiveDate {
    day.with_day(1).unwrap_or(day)
}
