//! A post in a list of the Graph API.

use super::catalogue::{self, Origin, Product, Surface};
use crate::feed::{no, not_a_time};
use crate::metric::{Metric, Missing, Value};
use crate::post::{Observation, Post, Reading};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use mkt_connect::table::Reason;
use serde_json::Value as Json;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Numbers come up to this late (Meta's page on media insights, 18 June 2026).
const LATE: TimeDelta = TimeDelta::hours(48);

/// A listed post.
#[derive(Debug)]
pub(super) struct Item {
    pub(super) post: Post,
    pub(super) product: Product,
    /// Path of its insights, if the list does not contain them.
    pub(super) insights_at: Option<String>,
    /// Native name → number, of insights.
    pub(super) insights: HashMap<String, u64>,
    /// The reason for having no insights at all.
    pub(super) without_insights: Option<Missing>,
    /// Metrics that Meta refused, or did not answer, for this post.
    pub(super) refused: BTreeSet<&'static str>,
    fields: HashMap<&'static str, Value>,
}

fn text(value: &Json, name: &str) -> Option<String> {
    match value.get(name)? {
        Json::String(text) if !text.is_empty() => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `2021-07-04T19:50:58+0000`: without the colon of RFC 3339 in the offset.
fn instant(text: &str) -> Option<DateTime<Utc>> {
    let at =
        DateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%z").or_else(|_| DateTime::parse_from_rfc3339(text));
    at.ok().map(|at| at.with_timezone(&Utc))
}

fn total(value: &Json, name: &str) -> Value {
    let count = value.get(name).and_then(|edge| edge.get("summary")?.get("total_count")?.as_u64());
    count.map_or(Value::Missing(Missing::Blank), Value::Known)
}

impl Item {
    /// Parses an item of a list.
    pub(super) fn read(value: &Json, surface: Surface, story: bool) -> Result<Self, Reason> {
        let id = text(value, "id").ok_or_else(|| no("id"))?;
        let (time, written, url) = match surface {
            Surface::FacebookPage => ("created_time", "message", "permalink_url"),
            Surface::Instagram => ("timestamp", "caption", "permalink"),
        };
        let published_at = text(value, time).ok_or_else(|| no("time"))?;
        let published_at = instant(&published_at).ok_or_else(|| not_a_time(&published_at))?;
        let url = text(value, url);
        let mut fields = HashMap::new();
        let (product, kind, insights_at) = match surface {
            Surface::FacebookPage => {
                fields.insert("reactions", total(value, "reactions"));
                fields.insert("comments", total(value, "comments"));
                // Meta leaves out 0 shares.
                let shares = value.get("shares").map_or(Some(0), |shares| shares.get("count")?.as_u64());
                fields.insert("shares", shares.map_or(Value::Missing(Missing::Blank), Value::Known));
                page_post(value, &id, url.as_deref())
            }
            Surface::Instagram => {
                let count = |name, otherwise| {
                    value.get(name).and_then(Json::as_u64).map_or(Value::Missing(otherwise), Value::Known)
                };
                // If the owner hides likes, the field is absent.
                fields.insert("like_count", count("like_count", Missing::Hidden));
                fields.insert("comments_count", count("comments_count", Missing::Blank));
                let (product, kind) = media(value, story);
                (product, kind, Some(format!("{id}/insights")))
            }
        };
        let post =
            Post { kind, text: text(value, written), url, ..Post::new(surface.network(), id, published_at) };
        let mut item = Self {
            post,
            product,
            insights_at,
            insights: HashMap::new(),
            without_insights: None,
            refused: BTreeSet::new(),
            fields,
        };
        if let Some(insights) = value.get("insights") {
            item.learn(insights);
        }
        Ok(item)
    }

    /// Adds the numbers of an answer of insights.
    pub(super) fn learn(&mut self, insights: &Json) {
        for metric in insights.get("data").and_then(Json::as_array).into_iter().flatten() {
            let first = metric.get("values").and_then(|values| values.get(0)?.get("value"));
            // With `metric_type=total_value` the number is elsewhere.
            let value = first.or_else(|| metric.get("total_value")?.get("value"));
            if let (Some(name), Some(number)) = (text(metric, "name"), value.and_then(Json::as_u64)) {
                self.insights.insert(name, number);
            }
        }
    }

    /// The observation of the post.
    pub(super) fn observation(
        &self,
        observed_at: DateTime<Utc>,
        version: &Arc<str>,
        retired: impl Fn(Product, &'static str) -> Option<Missing>,
    ) -> Observation {
        let today = observed_at.date_naive();
        let readings = Metric::ALL.into_iter().filter_map(|metric| {
            let entry = catalogue::of(self.product, metric, today)?;
            let value = match entry.origin {
                _ if !entry.is_current_on(today) => Value::Missing(Missing::Deprecated),
                Origin::Field => *self.fields.get(entry.native)?,
                Origin::Insight => self.insights.get(entry.native).map_or_else(
                    || {
                        Value::Missing(self.reason(
                            entry.native,
                            retired(self.product, entry.native),
                            observed_at,
                        ))
                    },
                    |number| Value::Known(*number),
                ),
            };
            Some(Reading::new(metric, entry.native, value))
        });
        Observation::of(&self.post, observed_at).version(Arc::clone(version)).readings(readings)
    }

    /// The reason for a missing insight: Meta leaves out metrics without a value.
    fn reason(&self, native: &str, retired: Option<Missing>, observed_at: DateTime<Utc>) -> Missing {
        let young = observed_at - self.post.published_at < LATE;
        let of_post = self.refused.contains(native).then_some(Missing::Blank);
        let otherwise = if young { Missing::NotYet } else { Missing::Blank };
        self.without_insights.or(retired).or(of_post).unwrap_or(otherwise)
    }
}

/// Product, type and path of insights of a page's post. A reel's insights are those of its video.
fn page_post(value: &Json, id: &str, url: Option<&str>) -> (Product, Option<String>, Option<String>) {
    let attachment = value.get("attachments").and_then(|edge| edge.get("data")?.get(0));
    if url.is_some_and(|url| url.contains("/reel/")) {
        let video = attachment.and_then(|attachment| text(attachment.get("target")?, "id"));
        // The second part of a reel's id is that of its video.
        let video = video.or_else(|| id.split_once('_').map(|(_, video)| video.to_owned()));
        let at = video.filter(|id| is_id(id)).map(|id| format!("{id}/video_insights"));
        return (Product::PageReel, Some("reel".to_owned()), at);
    }
    let kind = attachment.and_then(|attachment| text(attachment, "media_type"));
    (Product::PagePost, kind.map(|kind| kind.to_lowercase()), None)
}

fn media(value: &Json, story: bool) -> (Product, Option<String>) {
    let lower = |name| text(value, name).map(|text| text.to_lowercase());
    let (kind, product) = (lower("media_type"), lower("media_product_type"));
    if story || product.as_deref() == Some("story") {
        return (Product::Story, Some("story".to_owned()));
    }
    if product.as_deref() == Some("reels") {
        return (Product::Reel, Some("reel".to_owned()));
    }
    let product = if kind.as_deref() == Some("video") { Product::FeedVideo } else { Product::Feed };
    let kind = kind.map(|kind| match kind.as_str() {
        "image" => "photo".to_owned(),
        "carousel_album" => "album".to_owned(),
        _ => kind,
    });
    (product, kind)
}

/// Whether a text is an id: ids become parts of paths.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= 64 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The insights to request on a day, without retired ones.
pub(super) fn wanted(
    product: Product,
    today: NaiveDate,
    retired: impl Fn(Product, &'static str) -> Option<Missing>,
) -> Vec<&'static str> {
    let entries = catalogue::insights(product, today).map(|entry| entry.native);
    entries.filter(|native| retired(product, native).is_none()).collect()
}
