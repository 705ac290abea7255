//! The rows to learn from: a file's, or the sessions of a warehouse.

use crate::Step;
use crate::arguments::Arguments;
use chrono::{DateTime, Utc};
use mkt_ml::{CsvOptions, Frame, Labelled};
use mkt_warehouse::report::{Scope, training_set};
use mkt_warehouse::{Warehouse, model, open};
use std::path::Path;

/// What the warehouse's report calls the outcome.
const OUTCOME: &str = "converted";

pub(crate) fn read(arguments: &Arguments) -> Step<Labelled> {
    let mut frame = match (&arguments.data, &arguments.warehouse) {
        (Some(path), _) => {
            let delimiter = u8::try_from(arguments.delimiter)
                .map_err(|_| format!("`{}` cannot separate columns", arguments.delimiter))?;
            CsvOptions::default().delimiter(delimiter).read_path(path)?
        }
        (None, Some(url)) => sessions(url)?,
        (None, None) => return Err("there is neither --data nor --warehouse".into()),
    };
    if !arguments.without.is_empty() {
        let names: Vec<&str> = arguments.without.iter().map(String::as_str).collect();
        frame = frame.without(&names)?;
    }
    let target = arguments.target.as_deref().unwrap_or(OUTCOME);
    Ok(match &arguments.positive {
        Some(positive) => Labelled::with_positive(frame, target, positive)?,
        None => Labelled::new(frame, target)?,
    })
}

/// All sessions, but for their names.
fn sessions(url: &str) -> Step<Frame> {
    if let Some(path) = url.strip_prefix("sqlite:")
        && !Path::new(path.strip_prefix("//").unwrap_or(path)).is_file()
    {
        return Err(format!("there is no file {path}").into());
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let warehouse = open(url).await?;
        warehouse.migrate(&model::SCHEMA).await?;
        let all = Scope::between("UTC", DateTime::<Utc>::UNIX_EPOCH, Utc::now())?;
        let answer = training_set(warehouse.as_ref(), &all).await?;
        let frame = Frame::try_from(answer.table())?.without(&["session_id"])?;
        // What the sources do not tell, the device say, is no column.
        let untold = frame.columns().iter().filter(|column| column.missing() == column.rows());
        let untold: Vec<String> = untold.map(|column| column.name().to_owned()).collect();
        Ok(frame.without(&untold.iter().map(String::as_str).collect::<Vec<_>>())?)
    })
}
