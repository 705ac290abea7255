//! The paths: a file's, or those of a warehouse's sessions.

use crate::arguments::Arguments;
use chrono::{DateTime, Days, NaiveTime, Utc};
use mkt_connect::table::ReadOptions;
use mkt_examples::{Context, Step, warehouse};
use mkt_ml::attribution::{Outcome, Paths};
use mkt_warehouse::report::{PathOptions, Scope, paths};
use serde::Serialize;
use std::fs::File;
use std::time::Duration;

/// The paths, and what was read.
pub(crate) struct Read {
    pub(crate) paths: Paths,
    pub(crate) summary: Summary,
}

/// What was read, for the answer.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    pub(crate) rows: u64,
    pub(crate) quarantined: u64,
    pub(crate) distinct_paths: usize,
    /// What was found, dropped, or is to be known.
    pub(crate) notes: Vec<String>,
}

pub(crate) async fn read(arguments: &Arguments) -> Step<Read> {
    match (&arguments.paths, &arguments.warehouse) {
        (Some(path), _) => {
            let file = File::open(path).context(|| format!("cannot read {}", path.display()))?;
            let options = ReadOptions::new().delimiter(arguments.delimiter);
            let read = Paths::read(file, &options, arguments.decimal)
                .context(|| format!("cannot read {}", path.display()))?;
            let mut notes: Vec<String> = read.found.to_string().lines().map(str::to_owned).collect();
            if !read.found.columns.iter().any(|column| column.read_as.as_deref() == Some("nulls")) {
                notes.push("no column nulls: paths without a conversion are not known".to_owned());
            }
            for row in read.quarantined_rows.iter().take(10) {
                notes.push(format!("line {} set aside: {}", row.line, row.reason));
            }
            let (rows, quarantined, distinct_paths) = (read.rows, read.quarantined, read.paths.distinct());
            let summary = Summary { rows, quarantined, distinct_paths, notes };
            Ok(Read { paths: read.paths, summary })
        }
        (None, Some(url)) => of_warehouse(url, arguments).await,
        (None, None) => Err("there is neither --paths nor --warehouse".into()),
    }
}

async fn of_warehouse(url: &str, arguments: &Arguments) -> Step<Read> {
    let warehouse = warehouse::to_read(url).await?;
    let from = arguments.from.map_or(DateTime::UNIX_EPOCH, |day| day.and_time(NaiveTime::MIN).and_utc());
    let until = arguments.to.and_then(|day| day.checked_add_days(Days::new(1)));
    let until = until.map_or_else(Utc::now, |day| day.and_time(NaiveTime::MIN).and_utc());
    let look_back = Duration::from_secs(u64::from(arguments.look_back) * 86_400);
    let options = PathOptions { look_back, ..PathOptions::default() };
    let scope = Scope::between("UTC", from, until)?;
    let answer = paths(warehouse.as_ref(), &scope, options).await?;
    let (mut read, mut notes) = (Paths::new(), Vec::new());
    notes.push(format!("sessions of {from} to {until}, paths of at most {} days", arguments.look_back));
    let currencies: std::collections::BTreeSet<_> =
        answer.rows.iter().filter_map(|row| row.currency).collect();
    if currencies.len() > 1 {
        notes.push("sales in several currencies: values are left out".to_owned());
    }
    let mut negative = 0;
    for same in answer.rows.chunk_by(|a, b| a.path == b.path) {
        let Some(first) = same.first() else { continue };
        let value =
            f64::try_from(first.value.0).ok().filter(|_| currencies.len() == 1 && first.converted > 0);
        negative += u32::from(value.is_some_and(|value| value < 0.0));
        let outcome =
            Outcome::converted(first.converted as f64).nulls(first.not_converted as f64).value(value);
        read.add(first.path.0.iter().map(|channel| channel.as_str()), outcome)?;
    }
    if negative > 0 {
        notes.push(format!("{negative} paths have more refunds than sales"));
    }
    let summary = Summary { rows: read.rows(), quarantined: 0, distinct_paths: read.distinct(), notes };
    Ok(Read { paths: read, summary })
}
