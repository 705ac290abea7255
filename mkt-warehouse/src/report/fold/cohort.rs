//! Retention from each person's first instant and months.

use super::{Map, People, Visitor, people_and, read};
use crate::report::cohort::{CohortMonth, REPORT};
use crate::report::{Answer, Scope};
use crate::table::ColumnType;
use crate::warehouse::Warehouse;
use chrono::{DateTime, Datelike, NaiveDate};
use mkt_connect::Result;
use std::collections::{BTreeMap, HashMap};

const SESSIONS: i64 = 2;
const OFFSETS: i64 = 3;

/// After those of [`people_and`]; 2: sessions so far; 3: the zone's offsets; 4: sign-ups so far.
const PARTS: &str = "
select 2, s.user_id, s.source, s.site, null, s.start_time, null, null
{visited by origin}
union all
select 3, null, null, null, null, z.from_utc, z.until_utc, z.offset_s from zone_offsets z where z.zone = :zone
union all
select 4, u.user_id, u.source, u.site, null, u.signed_up_at, null, null
from users u
where u.signed_up_at < :until and (:site is null or u.site = :site)";

const COLUMNS: [(&str, ColumnType); 8] = [
    ("part", ColumnType::Int),
    ("user_id", ColumnType::Text),
    ("source", ColumnType::Text),
    ("site", ColumnType::Text),
    ("name", ColumnType::Text),
    ("happened", ColumnType::Timestamp),
    ("until", ColumnType::Timestamp),
    ("offset_s", ColumnType::Int),
];

/// From when to when an offset holds: microseconds since 1970, half-open; and its seconds.
struct Offset {
    from: i64,
    until: i64,
    seconds: i64,
}

/// Months since the year 0.
type Month = i64;

/// As [`crate::report::cohort_retention()`].
pub(crate) async fn cohort<W: Warehouse + ?Sized>(
    warehouse: &W,
    scope: &Scope,
) -> Result<Answer<CohortMonth>> {
    let (mut people, mut offsets) = (People::default(), Vec::new());
    let mut visits: Vec<(Visitor, i64)> = Vec::new();
    let mut signups: Vec<(Visitor, i64)> = Vec::new();
    let statement = people_and(["happened", "until", "offset_s"], PARTS);
    read(&REPORT, warehouse, scope, &statement, &COLUMNS, &[], |row| {
        if people.learn(row)? {
            return Ok(());
        }
        let happened = row.int(5)?;
        match row.int(0)? {
            OFFSETS => {
                let until = row.int(6)?;
                offsets.push(Offset { from: happened, until, seconds: row.int(7)? });
            }
            part => {
                let visitor = people.visitor(row.text(1)?, row.text(2)?, row.text(3)?);
                let into = if part == SESSIONS { &mut visits } else { &mut signups };
                into.push((visitor, happened));
            }
        }
        Ok(())
    })
    .await?;
    offsets.sort_unstable_by_key(|offset| offset.from);
    let month_at = |at: i64| {
        let index = offsets.partition_point(|offset| offset.from <= at).checked_sub(1)?;
        let offset = offsets.get(index).filter(|offset| at < offset.until)?;
        let local = DateTime::from_timestamp_micros(at.checked_add(offset.seconds * 1_000_000)?)?;
        Some(month(local.date_naive()))
    };
    let from = scope.from().timestamp_micros();
    // Whose cohort is that of the sign-up; nobody's where they signed up before the period.
    let mut signed: Map<u32, i64> = Map::default();
    for (visitor, since) in signups {
        signed.entry(people.person(visitor)).and_modify(|held| *held = since.min(*held)).or_insert(since);
    }
    let signed: Map<u32, Option<Month>> = signed
        .into_iter()
        .filter_map(|(person, since)| {
            Some((person, month_at(since).map(|month| (since >= from).then_some(month))?))
        })
        .collect();
    let mut users: BTreeMap<Month, i64> = BTreeMap::new();
    for cohort in signed.values().flatten() {
        *users.entry(*cohort).or_default() += 1;
    }
    let mut visits: Vec<(u32, i64)> = people.resolved(scope, visits).collect();
    visits.sort_unstable();
    let mut active: HashMap<(Month, Month), i64> = HashMap::new();
    let mut months = Vec::new();
    for of_person in visits.chunk_by(|a, b| a.0 == b.0) {
        let Some((person, first)) = of_person.first() else { continue };
        let cohort = match signed.get(person) {
            Some(cohort) => *cohort,
            None => {
                let cohort = month_at(*first).filter(|_| *first >= from);
                if let Some(cohort) = cohort {
                    *users.entry(cohort).or_default() += 1;
                }
                cohort
            }
        };
        let Some(cohort) = cohort else { continue };
        months.clear();
        let in_period = of_person.iter().filter(|(_, at)| *at >= from);
        months.extend(in_period.filter_map(|(_, at)| month_at(*at)));
        months.sort_unstable();
        months.dedup();
        for month in &months {
            *active.entry((cohort, *month)).or_default() += 1;
        }
    }
    let (last, open) = (month(scope.last_month()), month(scope.open_month()));
    let mut rows = Vec::new();
    for (cohort, users) in users {
        for month in cohort..=last {
            let active = (month < open).then(|| active.get(&(cohort, month)).copied().unwrap_or(0));
            rows.push(CohortMonth {
                cohort: first_day(cohort),
                month: month - cohort,
                users,
                active,
                retention_rate: active.map(|active| (100 * active) as f64 / users as f64),
            });
        }
    }
    Ok(Answer::from_rows(rows))
}

fn month(day: NaiveDate) -> Month {
    i64::from(day.year()) * 12 + i64::from(day.month0())
}

fn first_day(month: Month) -> NaiveDate {
    let year = i32::try_from(month.div_euclid(12)).unwrap_or(i32::MAX);
    let in_year = u32::try_from(month.rem_euclid(12)).unwrap_or(0);
    NaiveDate::from_ymd_opt(year, in_year + 1, 1).unwrap_or(NaiveDate::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_read_back_as_their_first_day() {
        for day in ["1969-12-31", "1970-01-01", "2026-02-28", "9998-12-01"] {
            let day: NaiveDate = day.parse().unwrap();
            assert_eq!(Some(first_day(month(day))), day.with_day(1));
        }
    }
}
