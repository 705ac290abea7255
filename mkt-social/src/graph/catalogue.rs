//! The catalogue of Meta's metrics: name, product, and the period in which Meta answers it.
//!
//! Meta retires a metric in all API versions at once, so pinning a version does not help. The catalogue is data; metrics
//! that were retired later are detected while reading ([`insights`](super::insights)).

use crate::metric::Metric;
use chrono::NaiveDate;

/// A kind of account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Surface {
    /// The posts of a Facebook page.
    FacebookPage,
    /// The media of an Instagram business or creator account.
    Instagram,
}

impl Surface {
    /// The network's name, as stored.
    #[must_use]
    pub fn network(self) -> &'static str {
        match self {
            Self::FacebookPage => "facebook",
            Self::Instagram => "instagram",
        }
    }
}

/// A kind of post with its own set of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Product {
    /// A post of a Facebook page.
    PagePost,
    /// A reel of a Facebook page: it has the insights of a video, not those of a post.
    PageReel,
    /// An image or an album on Instagram.
    Feed,
    /// A video in Instagram's feed that is not a reel.
    FeedVideo,
    /// A reel on Instagram.
    Reel,
    /// A story on Instagram: its metrics are available for 24 hours.
    Story,
}

impl Product {
    /// The name in messages.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::PagePost => "post",
            Self::PageReel | Self::Reel => "reel",
            Self::Feed => "image or album",
            Self::FeedVideo => "video",
            Self::Story => "story",
        }
    }
}

/// How a metric is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// A field of the post itself.
    Field,
    /// A metric of its insights.
    Insight,
}

/// A metric of Meta's, and the [`Metric`] it stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The products that have it.
    pub products: &'static [Product],
    /// The metric of this crate.
    pub metric: Metric,
    /// Meta's name.
    pub native: &'static str,
    /// How it is requested.
    pub origin: Origin,
    /// The first day on which Meta does not answer it; `None` for a current metric.
    pub valid_until: Option<NaiveDate>,
    /// Meta's replacement, which may have another meaning.
    pub replaced_by: Option<&'static str>,
}

const fn day(year: i32, month: u32, day: u32) -> Option<NaiveDate> {
    NaiveDate::from_ymd_opt(year, month, day)
}

const fn entry(products: &'static [Product], metric: Metric, native: &'static str, origin: Origin) -> Entry {
    Entry { products, metric, native, origin, valid_until: None, replaced_by: None }
}

impl Entry {
    const fn until(mut self, day: Option<NaiveDate>, replaced_by: &'static str) -> Self {
        self.valid_until = day;
        self.replaced_by = Some(replaced_by);
        self
    }

    /// Whether Meta answers it on a day.
    #[must_use]
    pub fn is_current_on(&self, day: NaiveDate) -> bool {
        self.valid_until.is_none_or(|until| day < until)
    }
}

/// All requested metrics: current metrics first, deprecated last.
///
/// Sources: Meta's pages on deprecated metrics of pages (2 March 2026) and on media insights (18 June 2026). What replaced
/// impressions counts views of media and is therefore [`Metric::Views`], never [`Metric::Impressions`]; unique viewers of
/// media are people reached, as before.
pub const CATALOGUE: &[Entry] = {
    use Metric::{Comments, Impressions, Likes, Reach, Saves, Shares, Views};
    use Origin::{Field, Insight};
    use Product::{Feed, FeedVideo, PagePost, PageReel, Reel, Story};
    &[
        entry(&[PagePost, PageReel], Likes, "reactions", Field),
        entry(&[PagePost, PageReel], Comments, "comments", Field),
        entry(&[PagePost, PageReel], Shares, "shares", Field),
        entry(&[PagePost], Views, "post_media_view", Insight),
        entry(&[PagePost], Reach, "post_total_media_view_unique", Insight),
        entry(&[PageReel], Views, "blue_reels_play_count", Insight),
        entry(&[Feed, FeedVideo, Reel], Likes, "like_count", Field),
        entry(&[Feed, FeedVideo, Reel], Comments, "comments_count", Field),
        entry(&[Feed, FeedVideo, Reel, Story], Views, "views", Insight),
        entry(&[Feed, FeedVideo, Reel, Story], Reach, "reach", Insight),
        entry(&[Feed, FeedVideo, Reel], Saves, "saved", Insight),
        entry(&[Feed, FeedVideo, Reel, Story], Shares, "shares", Insight),
        entry(&[Story], Comments, "replies", Insight),
        entry(&[PagePost], Impressions, "post_impressions", Insight)
            .until(day(2025, 11, 15), "post_media_view"),
        entry(&[PagePost], Reach, "post_impressions_unique", Insight)
            .until(day(2026, 6, 15), "post_total_media_view_unique"),
        entry(&[Feed, FeedVideo, Story], Impressions, "impressions", Insight)
            .until(day(2025, 4, 21), "views"),
        entry(&[Reel], Views, "plays", Insight).until(day(2025, 4, 21), "views"),
    ]
};

/// The entry of a metric of a product on a day: the first current one, else the deprecated one.
pub(super) fn of(product: Product, metric: Metric, today: NaiveDate) -> Option<&'static Entry> {
    let mut entries =
        CATALOGUE.iter().filter(|entry| entry.metric == metric && entry.products.contains(&product));
    let first = entries.clone().next();
    entries.find(|entry| entry.is_current_on(today)).or(first)
}

/// The insights to request.
pub(super) fn insights(product: Product, today: NaiveDate) -> impl Iterator<Item = &'static Entry> {
    Metric::ALL
        .into_iter()
        .filter_map(move |metric| of(product, metric, today))
        .filter(move |entry| entry.origin == Origin::Insight && entry.is_current_on(today))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retired_metric_is_replaced_only_by_one_of_the_same_meaning() {
        let on = |text: &str| text.parse::<NaiveDate>().unwrap();
        let native = |metric, day| of(Product::PagePost, metric, on(day)).unwrap().native;
        assert_eq!(native(Metric::Reach, "2026-11-26"), "post_total_media_view_unique");
        let dead = of(Product::PagePost, Metric::Impressions, on("2026-11-26")).unwrap();
        assert_eq!((dead.native, dead.is_current_on(on("2025-11-14"))), ("post_impressions", true));
        assert!(!dead.is_current_on(on("2025-11-15")));
        let asked: Vec<_> = insights(Product::Story, on("2026-11-26")).map(|entry| entry.native).collect();
        assert_eq!(asked, ["replies", "shares", "reach", "views"]);
    }
}
