//! The conformance suite for [`SocialSource`], open to any implementation.
//!
//! Implement [`Stage`], which creates your source with given posts, then call the behaviours one by one (one test each) or
//! [`check_all`]. A failing behaviour returns a [`Violation`].
//!
//! ```
//! use mkt_social::testing::{Stage, check_all};
//! use mkt_social::{Memory, Observation, Post, SocialSource};
//!
//! #[derive(Debug)]
//! struct InMemory;
//!
//! #[async_trait::async_trait]
//! impl Stage for InMemory {
//!     async fn source(&self, rows: &[(Post, Observation)]) -> Box<dyn SocialSource> {
//!         Box::new(Memory::new(rows.to_vec()))
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! assert_eq!(check_all(&InMemory).await, []);
//! # }
//! ```

#[cfg(feature = "http")]
pub mod graph;

use std::collections::BTreeMap;
use std::fmt;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::metric::{Metric, Missing, Value};
use crate::post::{Observation, Post, Reading};
use crate::sheet::Measured;
use crate::source::{ReadPosts, Request, SocialSource, SocialSourceExt, Tally};

/// Creates a source with given posts.
#[async_trait]
pub trait Stage: fmt::Debug + Send + Sync {
    /// A source of exactly these posts, in this order.
    async fn source(&self, rows: &[(Post, Observation)]) -> Box<dyn SocialSource>;

    /// The network of all posts of the source; `None` if the source has posts of any network.
    fn network(&self) -> Option<&'static str> {
        None
    }

    /// Whether the source lists the newest posts first.
    fn newest_first(&self) -> bool {
        false
    }

    /// Metrics that the source gives for every post.
    fn always_known(&self) -> &'static [Metric] {
        &[]
    }
}

/// The [`world`] within the limits of a stage.
fn staged(stage: &dyn Stage) -> Vec<(Post, Observation)> {
    let mut rows = world();
    if stage.newest_first() {
        rows.reverse();
    }
    for (post, observation) in &mut rows {
        if let Some(network) = stage.network() {
            network.clone_into(&mut post.network);
            network.clone_into(&mut observation.network);
        }
        for reading in &mut observation.readings {
            if stage.always_known().contains(&reading.metric) && reading.value.known().is_none() {
                reading.value = Value::Known(0);
            }
        }
    }
    rows
}

/// A behaviour that a source violates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{behaviour}: {seen}")]
pub struct Violation {
    /// The behaviour.
    pub behaviour: &'static str,
    /// The observed behaviour.
    pub seen: String,
}

type Outcome = Result<(), Violation>;

fn require(behaviour: &'static str, holds: bool, seen: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(Violation { behaviour, seen: seen() }) }
}

/// The first time of [`world`].
fn start() -> DateTime<Utc> {
    // 2026-03-01T00:00:00Z.
    DateTime::UNIX_EPOCH + TimeDelta::days(20_513)
}

/// The posts of the suite: 23 of them, 7 hours apart from 2026-03-01T00:00:00Z, on two networks, with zeros, with numbers
/// missing, with text that needs quoting. Missing numbers are [`Missing::Blank`].
#[must_use]
pub fn world() -> Vec<(Post, Observation)> {
    let texts = ["plain", "comma, \"quotes\"; semicolon", "two\nlines", "thé glacé ❤"];
    (0..23_u64)
        .map(|index| {
            let network = if index % 3 == 0 { "facebook" } else { "instagram" };
            let published_at = start() + TimeDelta::hours(7 * index as i64);
            let post = Post {
                kind: (index % 5 != 4).then(|| "photo".to_owned()),
                text: (index % 7 != 6).then(|| texts[index as usize % texts.len()].to_owned()),
                paid: (index % 4 != 3).then_some(index % 4 == 1),
                ..Post::new(network, format!("1786543210987654{index:02}"), published_at)
            };
            let readings = Metric::ALL.into_iter().enumerate().map(|(place, metric)| {
                let value = match (index + place as u64) % 6 {
                    0 => Value::Known(0),
                    1 => Value::Missing(Missing::Blank),
                    other => Value::Known(other * 1_000 + index),
                };
                Reading::new(metric, metric.as_str(), value)
            });
            let observation = Observation::of(&post, start() + TimeDelta::days(30)).readings(readings);
            (post, observation)
        })
        .collect()
}

/// The times of the posts, in order.
fn times(rows: &[(Post, Observation)]) -> Vec<DateTime<Utc>> {
    let mut times: Vec<_> = rows.iter().map(|(post, _)| post.published_at).collect();
    times.sort_unstable();
    times
}

async fn read(
    behaviour: &'static str,
    source: &dyn SocialSource,
    request: &Request,
) -> Result<ReadPosts, Violation> {
    source
        .read_all(request)
        .await
        .map_err(|error| Violation { behaviour, seen: format!("the read failed: {error}") })
}

fn ids(posts: &[Post]) -> Vec<(&str, &str)> {
    posts.iter().map(|post| (post.network.as_str(), post.id.as_str())).collect()
}

/// A read returns every post exactly once and unchanged, whatever the page size.
///
/// # Errors
///
/// The [`Violation`].
pub async fn every_post_is_read_once_whatever_the_page_size(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "every post is read once whatever the page size";
    let rows = staged(stage);
    let source = stage.source(&rows).await;
    let expected: Vec<Post> = rows.into_iter().map(|(post, _)| post).collect();
    for size in [1, 2, 7, 22, 23, 24, 500] {
        let got = read(BEHAVIOUR, &*source, &Request::all().page_size(size)).await?.posts;
        require(BEHAVIOUR, ids(&got) == ids(&expected), || {
            format!("pages of {size} gave {} posts of {}", got.len(), expected.len())
        })?;
        for (got, expected) in got.iter().zip(&expected) {
            let same = got.published_at == expected.published_at
                && got.kind == expected.kind
                && got.text == expected.text
                && (got.paid == expected.paid || got.paid.is_none());
            require(BEHAVIOUR, same, || format!("put in {expected:?}, got {got:?}"))?;
        }
    }
    Ok(())
}

/// No page has more posts than requested.
///
/// # Errors
///
/// The [`Violation`].
pub async fn pages_are_no_larger_than_requested(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "pages are no larger than requested";
    let source = stage.source(&staged(stage)).await;
    let failed = |error: mkt_connect::Error| Violation { behaviour: BEHAVIOUR, seen: error.to_string() };
    let mut pages = source.open(&Request::all().page_size(4)).await.map_err(failed)?;
    while let Some(page) = pages.next_page().await.map_err(failed)? {
        require(BEHAVIOUR, page.posts.len() <= 4, || format!("a page of {} for 4", page.posts.len()))?;
    }
    Ok(())
}

/// Only posts with `since <= published_at < until` are returned.
///
/// # Errors
///
/// The [`Violation`].
pub async fn the_window_is_half_open(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "the window is half-open";
    let rows = staged(stage);
    let source = stage.source(&rows).await;
    // Both ends fall on a post: the 4th in time is in, the 11th is out.
    let times = times(&rows);
    let (since, until) = (times[3], times[10]);
    let got = read(BEHAVIOUR, &*source, &Request::between(since, until)).await?;
    let within = |post: &&Post| since <= post.published_at && post.published_at < until;
    let expected: Vec<Post> = rows.iter().map(|(post, _)| post).filter(within).cloned().collect();
    require(BEHAVIOUR, ids(&got.posts) == ids(&expected), || {
        format!("{} posts instead of {}", got.posts.len(), expected.len())
    })
}

/// Known numbers are unchanged, 0 included; missing ones stay missing, with a reason.
///
/// # Errors
///
/// The [`Violation`].
pub async fn missing_stays_missing_and_zero_stays_zero(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "missing stays missing and zero stays zero";
    let rows = staged(stage);
    let source = stage.source(&rows).await;
    let can = source.capabilities().metrics;
    let got = read(BEHAVIOUR, &*source, &Request::all()).await?;
    let by_id: BTreeMap<&str, &Observation> =
        got.observations.iter().map(|observation| (observation.post_id.as_str(), observation)).collect();
    for (post, expected) in &rows {
        let Some(observation) = by_id.get(post.id.as_str()) else {
            return require(BEHAVIOUR, false, || format!("post {} has no observation", post.id));
        };
        for metric in Metric::ALL {
            let (put, got) = (expected.value(metric), observation.value(metric));
            let right =
                if can.contains(&metric) { put.known() == got.known() } else { got.known().is_none() };
            require(BEHAVIOUR, right, || {
                format!("{metric} of post {}: put in {put:?}, got {got:?}", post.id)
            })?;
        }
    }
    Ok(())
}

/// A source with the promotion flag returns it unchanged; one without returns none.
///
/// # Errors
///
/// The [`Violation`].
pub async fn promotion_flag_follows_the_capabilities(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "promotion flag follows the capabilities";
    let rows = staged(stage);
    let source = stage.source(&rows).await;
    let has_flag = source.capabilities().paid;
    let got = read(BEHAVIOUR, &*source, &Request::all()).await?;
    for (got, (expected, _)) in got.posts.iter().zip(&rows) {
        let expected = expected.paid.filter(|_| has_flag);
        require(BEHAVIOUR, got.paid == expected, || {
            format!("post {}: {:?}, not {expected:?}", got.id, got.paid)
        })?;
    }
    Ok(())
}

/// Each page has one observation per post, in the same order.
///
/// # Errors
///
/// The [`Violation`].
pub async fn every_post_has_its_observation_on_its_page(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "every post has its observation on its page";
    let source = stage.source(&staged(stage)).await;
    let failed = |error: mkt_connect::Error| Violation { behaviour: BEHAVIOUR, seen: error.to_string() };
    let mut pages = source.open(&Request::all().page_size(5)).await.map_err(failed)?;
    while let Some(page) = pages.next_page().await.map_err(failed)? {
        let observed: Vec<(&str, &str)> = page
            .observations
            .iter()
            .map(|observation| (observation.network.as_str(), observation.post_id.as_str()))
            .collect();
        require(BEHAVIOUR, observed == ids(&page.posts), || {
            format!("{observed:?} beside {:?}", ids(&page.posts))
        })?;
    }
    Ok(())
}

/// read = loaded + quarantined + duplicates + outside on every page; loaded and quarantined are the lengths of the lists.
///
/// # Errors
///
/// The [`Violation`].
pub async fn counts_add_up(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "counts add up";
    let rows = staged(stage);
    let source = stage.source(&rows).await;
    let failed = |error: mkt_connect::Error| Violation { behaviour: BEHAVIOUR, seen: error.to_string() };
    let request = Request::all().page_size(4).until(times(&rows)[15]);
    let mut pages = source.open(&request).await.map_err(failed)?;
    let mut total = Tally::default();
    while let Some(page) = pages.next_page().await.map_err(failed)? {
        let right = page.tally.adds_up()
            && page.tally.loaded == page.posts.len() as u64
            && page.tally.quarantined == page.quarantined.len() as u64;
        require(BEHAVIOUR, right, || format!("{:?} over {} posts", page.tally, page.posts.len()))?;
        total.add(&page.tally);
    }
    require(BEHAVIOUR, total.loaded == 15, || format!("{total:?} where 15 posts were asked for"))
}

/// A source without posts returns none, and no error.
///
/// # Errors
///
/// The [`Violation`].
pub async fn an_empty_source_gives_nothing_and_no_error(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "an empty source gives nothing and no error";
    let source = stage.source(&[]).await;
    let got = read(BEHAVIOUR, &*source, &Request::all()).await?;
    require(BEHAVIOUR, got.posts.is_empty() && got.tally == Tally::default(), || format!("{:?}", got.tally))
}

/// Two reads of an unchanged source are equal, and so are two plans.
///
/// # Errors
///
/// The [`Violation`].
pub async fn reading_twice_gives_the_same(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "reading twice gives the same";
    let source = stage.source(&staged(stage)).await;
    let request = Request::all().page_size(6);
    let plan = source.plan(&request);
    let first = read(BEHAVIOUR, &*source, &request).await?;
    let second = read(BEHAVIOUR, &*source, &request).await?;
    require(BEHAVIOUR, first == second, || format!("{:?}, then {:?}", first.tally, second.tally))?;
    require(BEHAVIOUR, plan == source.plan(&request), || "the plan changed".to_owned())
}

/// A read into columns has the posts of a read of pages, in the same order, with the same counts.
///
/// # Errors
///
/// The [`Violation`].
pub async fn columns_hold_what_pages_hold(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "columns hold what pages hold";
    let source = stage.source(&staged(stage)).await;
    let failed = |error: mkt_connect::Error| Violation { behaviour: BEHAVIOUR, seen: error.to_string() };
    let request = Request::all().page_size(6);
    let by_page = read(BEHAVIOUR, &*source, &request).await?;
    let by_column = source.read_sheet(&request).await.map_err(failed)?;
    let cells = |post: Measured<'_>| {
        let values = Metric::ALL.map(|metric| post.value(metric));
        let said = [post.id(), Some(post.network()), post.kind(), post.text(), post.url()];
        (
            said.map(|text| text.map(str::to_owned)),
            post.published_at(),
            post.observed_at(),
            post.paid(),
            values,
        )
    };
    let pages = by_page.sheet();
    require(BEHAVIOUR, pages.len() == by_column.sheet.len(), || {
        format!("{} posts in pages, {} in columns", pages.len(), by_column.sheet.len())
    })?;
    for (page, column) in pages.iter().map(cells).zip(by_column.sheet.iter().map(cells)) {
        require(BEHAVIOUR, page == column, || format!("in a page {page:?}, in columns {column:?}"))?;
    }
    require(BEHAVIOUR, by_page.tally == by_column.tally, || {
        format!("{:?} by pages, {:?} by columns", by_page.tally, by_column.tally)
    })
}

/// After the last page, every further call returns `None`.
///
/// # Errors
///
/// The [`Violation`].
pub async fn a_finished_read_stays_finished(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "a finished read stays finished";
    let source = stage.source(&staged(stage)).await;
    let failed = |error: mkt_connect::Error| Violation { behaviour: BEHAVIOUR, seen: error.to_string() };
    let mut pages = source.open(&Request::all().page_size(10)).await.map_err(failed)?;
    let mut left = 100;
    while pages.next_page().await.map_err(failed)?.is_some() {
        left -= 1;
        require(BEHAVIOUR, left > 0, || "100 pages for 23 posts".to_owned())?;
    }
    for _ in 0..3 {
        let more = pages.next_page().await.map_err(failed)?;
        require(BEHAVIOUR, more.is_none(), || "a page after the end".to_owned())?;
    }
    Ok(())
}

/// A readable source passes its check.
///
/// # Errors
///
/// The [`Violation`].
pub async fn a_readable_source_passes_its_check(stage: &dyn Stage) -> Outcome {
    const BEHAVIOUR: &str = "a readable source passes its check";
    let checked = stage.source(&staged(stage)).await.check().await;
    checked.map_err(|error| Violation { behaviour: BEHAVIOUR, seen: error.to_string() })
}

/// Runs every behaviour and returns the violations.
pub async fn check_all(stage: &dyn Stage) -> Vec<Violation> {
    [
        every_post_is_read_once_whatever_the_page_size(stage).await,
        pages_are_no_larger_than_requested(stage).await,
        the_window_is_half_open(stage).await,
        missing_stays_missing_and_zero_stays_zero(stage).await,
        promotion_flag_follows_the_capabilities(stage).await,
        every_post_has_its_observation_on_its_page(stage).await,
        counts_add_up(stage).await,
        an_empty_source_gives_nothing_and_no_error(stage).await,
        reading_twice_gives_the_same(stage).await,
        columns_hold_what_pages_hold(stage).await,
        a_finished_read_stays_finished(stage).await,
        a_readable_source_passes_its_check(stage).await,
    ]
    .into_iter()
    .filter_map(Result::err)
    .collect()
}
