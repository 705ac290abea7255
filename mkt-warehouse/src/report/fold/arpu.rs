//! Revenue per user: people are counted here, sales are few and are added up by the engine.

use super::campaigns::mean;
use super::journeys::amount;
use super::{People, counts, people_and, read};
use crate::report::revenue::{Arpu, REPORT};
use crate::report::{Answer, Scope};
use crate::table::ColumnType;
use crate::warehouse::Warehouse;
use mkt_connect::{Currency, Result};
use std::collections::BTreeMap;

const SALES: i64 = 3;

/// After those of [`people_and`]; 2: sessions of the period; 3: sales by currency.
const PARTS: &str = "
select 2, s.user_id, s.source, s.site, null, null
{visited by origin}
  and s.start_time >= :from
union all
select 3, null, null, null, coalesce(e.currency, t.currency), sum(e.revenue)
{sales}
group by coalesce(e.currency, t.currency)";

const COLUMNS: [(&str, ColumnType); 6] = [
    ("part", ColumnType::Int),
    ("user_id", ColumnType::Text),
    ("source", ColumnType::Text),
    ("site", ColumnType::Text),
    ("name", ColumnType::Text),
    ("money", ColumnType::Decimal { scale: 2 }),
];

/// As [`crate::report::arpu()`].
pub(crate) async fn arpu<W: Warehouse + ?Sized>(warehouse: &W, scope: &Scope) -> Result<Answer<Arpu>> {
    let mut people = People::default();
    let (mut counted, mut seen, mut users) = (Vec::new(), Vec::new(), 0);
    let mut revenue: BTreeMap<Option<Currency>, i128> = BTreeMap::new();
    read(&REPORT, warehouse, scope, &people_and(["money"], PARTS), &COLUMNS, &[], |row| {
        if people.learn(row)? {
            return Ok(());
        }
        if row.int(0)? == SALES {
            *revenue.entry(row.parsed_or_null(4, "a currency")?).or_default() += i128::from(row.int(5)?);
            return Ok(());
        }
        let visitor = people.visitor(row.text(1)?, row.text(2)?, row.text(3)?);
        if counted.len() <= visitor.origin as usize {
            counted = people.counted(scope);
        }
        if counts(&counted, visitor) {
            let person = people.person(visitor) as usize;
            if seen.len() <= person {
                seen.resize(person + person / 2 + 64, false);
            }
            if let Some(seen) = seen.get_mut(person).filter(|seen| !**seen) {
                *seen = true;
                users += 1;
            }
        }
        Ok(())
    })
    .await?;
    if revenue.is_empty() {
        revenue.insert(None, 0);
    }
    let row = |(currency, hundredths): (Option<Currency>, i128)| Arpu {
        currency,
        revenue: amount(hundredths),
        users,
        arpu: mean(hundredths, users),
    };
    Ok(Answer::from_rows(revenue.into_iter().map(row).collect()))
}
