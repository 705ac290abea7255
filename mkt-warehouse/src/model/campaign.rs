//! Campaigns: declared, and paid for.

use super::field::Amount;
use crate::record;
use chrono::{DateTime, NaiveDate, Utc};
use mkt_connect::{Channel, Currency};

record! {
    /// A campaign that was declared, by hand or at first sight.
    Campaign in "campaigns" sliced, key [source, site, campaign_id] {
        /// The slug of (source, medium, name), one function in `mkt_connect`.
        campaign_id: String,
        /// `utm_source` and its equivalents.
        tag_source: String,
        /// `utm_medium` and its equivalents.
        tag_medium: String,
        /// The name.
        name: String,
        /// The channel it belongs to.
        channel: Channel,
        /// `manual`, `range` or `auto`.
        declared_by: String,
        /// First seen, UTC.
        first_seen: DateTime<Utc>,
        /// The vendor's own id.
        vendor_ref: Option<String>,
        /// The source.
        source: String,
        /// The site.
        site: String,
        /// The day of `first_seen`.
        day: NaiveDate,
    }
}

record! {
    /// What a campaign cost and showed on a day.
    Cost in "costs" sliced, key [source, site, day, channel, campaign_id] {
        /// The campaign.
        campaign_id: String,
        /// The channel.
        channel: Channel,
        /// Impressions.
        impressions: Option<i64>,
        /// Clicks.
        clicks: Option<i64>,
        /// Conversions after a view, before any click; never added to conversions after a click.
        post_view_conversions: Option<i64>,
        /// The cost, in `currency`.
        cost: Amount,
        /// Its currency.
        currency: Currency,
        /// The source.
        source: String,
        /// The site.
        site: String,
        /// The day in the site's zone.
        day: NaiveDate,
    }
}
