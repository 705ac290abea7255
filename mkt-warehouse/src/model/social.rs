//! Posts, and what was observed of them. Observations are appended, so that growth curves exist.

use super::field::Measure;
use crate::{record, vocabulary};
use chrono::{DateTime, NaiveDate, Utc};

record! {
    /// A post on a social network.
    Post in "posts" sliced, key [source, site, post_id] {
        /// The network's id, as text: some exceed 2⁵³.
        post_id: String,
        /// `facebook`, `instagram`, `bluesky`, ….
        network: String,
        /// The page or account.
        account: Option<String>,
        /// When, UTC.
        published_at: DateTime<Utc>,
        /// `photo`, `video`, `reel`, `link`, `status`, ….
        post_type: String,
        /// The text.
        text: Option<String>,
        /// Its public address.
        url: Option<String>,
        /// Whether it was promoted.
        paid: Option<bool>,
        /// The campaign it promotes.
        campaign_id: Option<String>,
        /// The source.
        source: String,
        /// The site or brand.
        site: String,
        /// The day in the site's zone.
        day: NaiveDate,
    }
}

impl Post {
    /// A post with the required fields, for struct update syntax as in [`Event::new`](super::Event::new). `source` is
    /// the network, `day` that of `published_at` in UTC, `post_type` is `status`; everything else is missing.
    #[must_use]
    pub fn new(
        network: impl Into<String>,
        site: impl Into<String>,
        post_id: impl Into<String>,
        published_at: DateTime<Utc>,
    ) -> Self {
        let network = network.into();
        Self {
            post_id: post_id.into(),
            source: network.clone(),
            network,
            account: None,
            published_at,
            post_type: "status".to_owned(),
            text: None,
            url: None,
            paid: None,
            campaign_id: None,
            site: site.into(),
            day: published_at.date_naive(),
        }
    }

    /// A metric of this post at a timestamp: a value, or why there is none.
    #[must_use]
    pub fn observed(
        &self,
        metric: impl Into<String>,
        value: Result<Measure, MissingReason>,
        observed_at: DateTime<Utc>,
    ) -> Observation {
        Observation {
            post_id: self.post_id.clone(),
            metric: metric.into(),
            value: value.ok(),
            missing: value.err(),
            native_metric: None,
            observed_at,
            api_version: None,
            source: self.source.clone(),
            site: self.site.clone(),
            day: self.day,
        }
    }
}

vocabulary! {
    /// Why a metric has no value. Missing is never zero.
    MissingReason, "a reason for a missing value" {
        /// The network has no such metric for this kind of post.
        NotSupported = "not_supported",
        /// The network removed the metric.
        Deprecated = "deprecated",
        /// Too few people saw it.
        TooFewViewers = "too_few_viewers",
        /// Not computed yet.
        NotYet = "not_yet",
        /// The token may not read it.
        Permission = "permission",
        /// The owner hides it.
        Hidden = "hidden",
        /// The cell is empty in the file.
        Blank = "blank",
    }
}

record! {
    /// What a metric of a post was at an instant.
    Observation in "observations" sliced, key [source, site, post_id, metric, observed_at] {
        /// The post.
        post_id: String,
        /// The metric: `reach`, `likes`, ….
        metric: String,
        /// The value, or null with a reason.
        value: Option<Measure>,
        /// Why there is none.
        missing: Option<MissingReason>,
        /// The network's own name of the metric.
        native_metric: Option<String>,
        /// When it was read, UTC.
        observed_at: DateTime<Utc>,
        /// The API version it was read with.
        api_version: Option<String>,
        /// The source.
        source: String,
        /// The site or brand.
        site: String,
        /// The day of the post in the site's zone.
        day: NaiveDate,
    }
}
