//! A CSV file in the columns of the course.

use crate::Step;
use chrono::SecondsFormat;
use mkt_social::{Metric, Reception};
use std::fs;
use std::path::Path;

/// Writes the posts beside their numbers; a number that is missing is an empty cell. Whole or not at all.
pub(crate) fn write(path: &Path, read: &Reception) -> Step<()> {
    let beside = path.with_extension("part");
    let told = |cause: std::io::Error| format!("{}: {cause}", path.display());
    let mut writer = csv::Writer::from_writer(fs::File::create(&beside).map_err(told)?);
    let columns = ["post_id", "platform", "published_at", "type", "text"];
    let columns =
        columns.into_iter().chain(Metric::ALL.iter().map(|metric| metric.as_str())).chain(["paid", "url"]);
    writer.write_record(columns)?;
    for (post, observation) in read.newest() {
        let mut cells = vec![
            post.id.clone(),
            post.network.clone(),
            post.published_at.to_rfc3339_opts(SecondsFormat::Secs, true),
            post.kind.clone().unwrap_or_default(),
            post.text.clone().unwrap_or_default(),
        ];
        let number = |metric: &Metric| observation.value(*metric).known().map(|count| count.to_string());
        cells.extend(Metric::ALL.iter().map(|metric| number(metric).unwrap_or_default()));
        cells.push(post.paid.map(|paid| paid.to_string()).unwrap_or_default());
        cells.push(post.url.clone().unwrap_or_default());
        writer.write_record(cells)?;
    }
    writer.flush().map_err(told)?;
    drop(writer);
    fs::rename(&beside, path).map_err(told)?;
    Ok(())
}
