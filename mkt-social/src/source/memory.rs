//! Posts held in memory: for tests, examples, and rows that come from elsewhere.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use mkt_connect::Result;

use super::{Calls, Capabilities, Plan, PostPage, PostPages, Request, SocialSource, Tally};
use crate::metric::Metric;
use crate::post::{Observation, Post};

/// A source that gives what it was given.
#[derive(Debug, Clone)]
pub struct MemorySource {
    rows: Arc<[Row]>,
}

#[derive(Debug)]
struct Row {
    post: Post,
    observation: Observation,
    repeated: bool,
}

impl MemorySource {
    /// A source of these posts, each with its observation. Of several with one (network, id) the first counts, the
    /// others are duplicates.
    #[must_use]
    pub fn new(rows: impl IntoIterator<Item = (Post, Observation)>) -> Self {
        let mut seen = HashSet::new();
        let row = |(post, observation): (Post, Observation)| {
            let repeated = !seen.insert((post.network.clone(), post.id.clone()));
            Row { post, observation, repeated }
        };
        Self { rows: rows.into_iter().map(row).collect() }
    }
}

#[async_trait]
impl SocialSource for MemorySource {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        let known =
            |metric: &Metric| self.rows.iter().any(|row| row.observation.value(*metric).known().is_some());
        Capabilities::new(Metric::ALL.into_iter().filter(known)).with_paid()
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn plan(&self, _request: &Request) -> Plan {
        Plan::new(Calls::Exactly(0))
    }

    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
        Ok(Box::new(MemoryPages { rows: Arc::clone(&self.rows), request: request.clone(), next: 0 }))
    }
}

#[derive(Debug)]
struct MemoryPages {
    rows: Arc<[Row]>,
    request: Request,
    next: usize,
}

#[async_trait]
impl PostPages for MemoryPages {
    async fn next_page(&mut self) -> Result<Option<PostPage>> {
        if self.next >= self.rows.len() {
            return Ok(None);
        }
        let mut page = PostPage::default();
        let mut tally = Tally::default();
        while self.next < self.rows.len() && page.posts.len() < self.request.page_size.max(1) {
            let Row { post, observation, repeated } = &self.rows[self.next];
            tally.read += 1;
            if *repeated {
                tally.duplicates += 1;
            } else if self.request.covers(post.published_at) {
                tally.loaded += 1;
                page.posts.push(post.clone());
                page.observations.push(observation.clone());
            } else {
                tally.outside += 1;
            }
            self.next += 1;
        }
        page.tally = tally;
        Ok(Some(page))
    }
}
