//! Posts of social networks into a warehouse (feature `social`).
//!
//! Each run is one slice: its observations stand next to those of other runs, so that growth can be followed; a post of an
//! earlier run moves to this one with its current text and type. The ledger records whether a run was complete.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use chrono_tz::Tz;
use mkt_connect::{Error, ErrorKind, Result};
use mkt_social::{Missing, ReadPosts, Value as Reading};
use mkt_warehouse::model::{self, Measure, MissingReason, Observation, Post, SliceState};
use mkt_warehouse::{Batch, ColumnType, Query, SliceKey, Value, Warehouse};

/// The prefix of the streams; the time of the run follows.
const STREAM: &str = "posts at ";

/// Loads the posts of one account into a warehouse.
///
/// ```
/// use mkt_etl::social::PostLoader;
/// use mkt_social::{Memory, Metric, Observation, Post, Request, SocialSourceExt, Value};
/// use mkt_warehouse::Sqlite;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let now = "2026-11-26T12:00:00Z".parse()?;
/// let post = Post::new("facebook", "17_1", "2026-11-20T08:00:00Z".parse()?);
/// let seen = Observation::of(&post, now).reading(Metric::Reach, "reach", Value::Known(1_200));
/// let read = Memory::new([(post, seen)]).read_all(&Request::all()).await?;
///
/// let loader = PostLoader::open(Sqlite::in_memory().await?, "facebook", "17").await?;
/// assert_eq!(loader.last_complete().await?, None);
/// loader.load(&read, true, now).await?;
/// assert_eq!(loader.last_complete().await?, Some(now));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct PostLoader {
    warehouse: Arc<dyn Warehouse>,
    source: String,
    account: String,
    site: String,
    zone: Tz,
}

impl PostLoader {
    /// A loader for the account of a source ([`SocialSource::name`](mkt_social::SocialSource::name)). Creates the
    /// warehouse's tables if they are missing. The site is the account, days are UTC days, unless set otherwise.
    ///
    /// # Errors
    /// If the warehouse cannot be migrated.
    pub async fn open(
        warehouse: impl Warehouse,
        source: impl Into<String>,
        account: impl Into<String>,
    ) -> Result<Self> {
        warehouse.migrate(&model::SCHEMA).await?;
        let account = account.into();
        let site = account.clone();
        Ok(Self { warehouse: Arc::new(warehouse), source: source.into(), account, site, zone: Tz::UTC })
    }

    /// Sets the site or brand in the warehouse.
    #[must_use]
    pub fn site(mut self, site: impl Into<String>) -> Self {
        self.site = site.into();
        self
    }

    /// Sets the zone of days.
    #[must_use]
    pub fn zone(mut self, zone: Tz) -> Self {
        self.zone = zone;
        self
    }

    /// The end of the last complete run of this source and site.
    ///
    /// # Errors
    /// If the warehouse fails.
    pub async fn last_complete(&self) -> Result<Option<DateTime<Utc>>> {
        let query = Query::new(
            "select max(loaded_at) as last from loads \
             where source = :1 and site = :2 and substr(stream, 1, 9) = :3 and state = 'settled'",
        )
        .bind(Value::Text(self.source.clone()))
        .bind(Value::Text(self.site.clone()))
        .bind(Value::Text(STREAM.to_owned()))
        .column("last", ColumnType::Timestamp);
        let table = self.warehouse.query(&query).await?;
        table.read(0, "last").map_err(|cause| {
            let error = Error::new(ErrorKind::Protocol, "warehouse", "read the last run");
            error.with_detail("the answer has no timestamp").with_source(cause)
        })
    }

    /// Loads the posts and observations of a run that ended at `now`, all or nothing. An incomplete run is loaded too, but
    /// does not count for [`last_complete`](Self::last_complete).
    ///
    /// # Errors
    /// If the warehouse fails; nothing is loaded then.
    pub async fn load(&self, read: &ReadPosts, complete: bool, now: DateTime<Utc>) -> Result<()> {
        let days: HashMap<&str, NaiveDate> = read
            .posts
            .iter()
            .map(|post| (post.id.as_str(), post.published_at.with_timezone(&self.zone).date_naive()))
            .collect();
        let day = |id: &str| days.get(id).copied().unwrap_or_default();
        let posts = read.posts.iter().map(|post| self.post(post, day(&post.id)));
        let observations =
            read.observations.iter().flat_map(|seen| self.observations(seen, day(&seen.post_id)));
        let stream = format!("{STREAM}{}", now.to_rfc3339_opts(SecondsFormat::Micros, true));
        let state = if complete { SliceState::Settled } else { SliceState::Truncated };
        let batch = Batch::new(SliceKey::whole(self.source.clone(), stream, self.site.clone()))
            .replace(posts.collect::<Vec<_>>())
            .replace(observations.collect::<Vec<_>>())
            .state(state);
        self.warehouse.load(&batch, now).await?;
        Ok(())
    }

    fn post(&self, post: &mkt_social::Post, day: NaiveDate) -> Post {
        Post {
            post_id: post.id.clone(),
            network: post.network.clone(),
            account: Some(self.account.clone()),
            published_at: post.published_at,
            post_type: post.kind.clone().unwrap_or_else(|| "unknown".to_owned()),
            text: post.text.clone(),
            url: post.url.clone(),
            paid: post.paid,
            campaign_id: None,
            source: self.source.clone(),
            site: self.site.clone(),
            day,
        }
    }

    fn observations<'a>(
        &'a self,
        seen: &'a mkt_social::Observation,
        day: NaiveDate,
    ) -> impl Iterator<Item = Observation> + 'a {
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
                source: self.source.clone(),
                site: self.site.clone(),
                day,
            }
        })
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
