//! Posts and observations in a warehouse.
//!
//! A run is a slice of its own: its observations stand beside those of other runs, and a post that another run brought moves
//! to this one, with what it says now. The ledger says whether a run was complete.

use crate::Step;
use crate::arguments::Arguments;
use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use chrono_tz::Tz;
use mkt_social::{Missing, Reception, Value as Reading};
use mkt_warehouse::model::{self, Measure, MissingReason, Observation, Post, SliceState};
use mkt_warehouse::{Batch, ColumnType, Query, SliceKey, Value, Warehouse, open};
use std::collections::HashMap;
use std::sync::Arc;

/// The beginning of the names of the streams; the instant of the run follows.
const STREAM: &str = "posts at ";

pub(crate) struct Kept {
    warehouse: Arc<dyn Warehouse>,
    source: &'static str,
    site: String,
    account: String,
    zone: Tz,
}

impl Kept {
    pub(crate) async fn open(url: &str, arguments: &Arguments, source: &'static str) -> Step<Self> {
        let warehouse = open(url).await?;
        warehouse.migrate(&model::SCHEMA).await?;
        let account = arguments.account.clone();
        let site = arguments.site.clone().unwrap_or_else(|| account.clone());
        Ok(Self { warehouse, source, site, account, zone: arguments.zone })
    }

    /// When the last run ended that read everything.
    pub(crate) async fn last_complete(&self) -> Step<Option<DateTime<Utc>>> {
        let query = Query::new(
            "select max(loaded_at) as last from loads \
             where source = :1 and site = :2 and substr(stream, 1, 9) = :3 and state = 'settled'",
        )
        .bind(Value::Text(self.source.to_owned()))
        .bind(Value::Text(self.site.clone()))
        .bind(Value::Text(STREAM.to_owned()))
        .column("last", ColumnType::Timestamp);
        Ok(self.warehouse.query(&query).await?.read(0, "last")?)
    }

    pub(crate) async fn add(&self, read: &Reception, complete: bool, now: DateTime<Utc>) -> Step<()> {
        let days: HashMap<&str, NaiveDate> = read
            .posts
            .iter()
            .map(|post| (post.id.as_str(), post.published_at.with_timezone(&self.zone).date_naive()))
            .collect();
        let day = |id: &str| days.get(id).copied().unwrap_or_default();
        let posts = read.posts.iter().map(|post| Post {
            post_id: post.id.clone(),
            network: post.network.clone(),
            account: Some(self.account.clone()),
            published_at: post.published_at,
            post_type: post.kind.clone().unwrap_or_else(|| "unknown".to_owned()),
            text: post.text.clone(),
            url: post.url.clone(),
            paid: post.paid,
            campaign_id: None,
            source: self.source.to_owned(),
            site: self.site.clone(),
            day: day(&post.id),
        });
        let observations = read.observations.iter().flat_map(|seen| {
            seen.readings.iter().map(move |reading| {
                let (value, missing) = match reading.value {
                    // Counts beyond 2⁶³ do not exist.
                    Reading::Known(count) => {
                        (Some(Measure::from(i64::try_from(count).unwrap_or(i64::MAX))), None)
                    }
                    Reading::Missing(why) => (None, Some(reason(why))),
                };
                Observation {
                    post_id: seen.post_id.clone(),
                    metric: reading.metric.to_string(),
                    value,
                    missing,
                    native_metric: Some(reading.native.to_string()),
                    observed_at: seen.observed_at,
                    api_version: seen.version.as_ref().map(ToString::to_string),
                    source: self.source.to_owned(),
                    site: self.site.clone(),
                    day: day(&seen.post_id),
                }
            })
        });
        let stream = format!("{STREAM}{}", now.to_rfc3339_opts(SecondsFormat::Micros, true));
        let state = if complete { SliceState::Settled } else { SliceState::Truncated };
        let batch = Batch::new(SliceKey::whole(self.source, stream, self.site.clone()))
            .replace(posts.collect::<Vec<_>>())
            .replace(observations.collect::<Vec<_>>())
            .state(state);
        self.warehouse.load(&batch, now).await?;
        Ok(())
    }
}

fn reason(why: Missing) -> MissingReason {
    match why {
        Missing::NotSupported => MissingReason::NotSupported,
        Missing::Deprecated => MissingReason::Deprecated,
        Missing::TooFewViewers => MissingReason::TooFewViewers,
        Missing::NotYet => MissingReason::NotYet,
        Missing::Permission => MissingReason::Permission,
        Missing::Hidden => MissingReason::Hidden,
        _ => MissingReason::Blank,
    }
}
