//! The sums of sessions by quarters of an hour: as the sessions are, whatever was loaded, replayed, replaced or taken.

use super::probe::{Probe, slice};
use super::slices::ready;
use super::{Failure, equal, instant};
use crate::batch::Batch;
use crate::model::Session;
use crate::query::Query;
use crate::table::{ColumnType, Value};
use crate::warehouse::Warehouse;
use chrono::{DateTime, Utc};
use mkt_connect::Channel;
use std::sync::Arc;

pub(super) async fn sums_by_quarters_follow_the_sessions(
    warehouse: Arc<dyn Warehouse>,
) -> Result<(), Failure> {
    ready(&warehouse).await?;
    let visit = |name: &str, second: i64, converted: bool| Session {
        converted,
        start_time: instant(second),
        end_time: instant(second),
        ..session(name)
    };
    // The quarters begin at 0 and 900 seconds.
    let first = Batch::new(slice(0)).replace([
        visit("a", 0, true),
        visit("b", 899, false),
        visit("c", 900, true),
        Session { bot: Some("names itself a crawler".to_owned()), ..visit("robot", 0, true) },
    ]);
    warehouse.load(&first, instant(0)).await?;
    equal("after a load", &quarters(&warehouse).await?, &vec![(0, 2, 1, 0), (900, 1, 1, 0)])?;
    warehouse.load(&first, instant(1)).await?;
    equal("after a replay", &quarters(&warehouse).await?, &vec![(0, 2, 1, 0), (900, 1, 1, 0)])?;
    // Another slice takes one of the two, and counts it elsewhere.
    let second = Batch::new(slice(1)).replace([visit("a", 901, false), visit("d", 1, true)]);
    let receipt = warehouse.load(&second, instant(2)).await?;
    equal("written, removed", &(receipt.written, receipt.removed), &(2, 0))?;
    equal(
        "after a robbery",
        &quarters(&warehouse).await?,
        &vec![(0, 1, 0, 0), (0, 1, 1, 1), (900, 1, 1, 0), (900, 1, 0, 1)],
    )?;
    let receipt =
        warehouse.load(&Batch::new(slice(1)).replace([Probe::new("no session", 1)]), instant(3)).await?;
    equal("sessions removed", &receipt.removed, &2)?;
    equal(
        "after other rows of the slice",
        &quarters(&warehouse).await?,
        &vec![(0, 1, 0, 0), (900, 1, 1, 0)],
    )?;
    warehouse.load(&Batch::new(slice(0)), instant(4)).await?;
    equal("after an empty slice", &quarters(&warehouse).await?, &Vec::new())
}

/// (seconds, sessions, converted sessions, number of the slice) of every row.
async fn quarters(warehouse: &dyn Warehouse) -> Result<Vec<(i64, i64, i64, usize)>, Failure> {
    let query = Query::new(
        "select quarter, sessions, converted_sessions, load_id from session_quarters \
         order by quarter, case when load_id = :1 then 0 else 1 end",
    )
    .bind(Value::Int(slice(0).load_id()))
    .column("quarter", ColumnType::Timestamp)
    .column("sessions", ColumnType::Int)
    .column("converted", ColumnType::Int)
    .column("load_id", ColumnType::Int);
    let table = warehouse.query(&query).await?;
    (0..table.rows())
        .map(|row| {
            let at: DateTime<Utc> = table.read(row, "quarter")?;
            let slices = [slice(0).load_id(), slice(1).load_id()];
            let of: i64 = table.read(row, "load_id")?;
            Ok((
                (at - instant(0)).num_seconds(),
                table.read(row, "sessions")?,
                table.read(row, "converted")?,
                slices.iter().position(|slice| *slice == of).unwrap_or(usize::MAX),
            ))
        })
        .collect()
}

fn session(name: &str) -> Session {
    Session {
        session_id: name.to_owned(),
        user_id: "anna".to_owned(),
        start_time: instant(0),
        end_time: instant(0),
        pages_viewed: 1,
        converted: false,
        channel: Channel::Email,
        channel_detail: None,
        campaign_id: None,
        device: None,
        landing_url: None,
        referrer: None,
        time_on_site: None,
        bot: None,
        seq: 0,
        source: "suite".to_owned(),
        site: "shop".to_owned(),
        day: instant(0).date_naive(),
    }
}
