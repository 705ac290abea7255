//! Posts held in memory: for tests, examples, and posts from other systems.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use mkt_connect::Result;

use crate::metric::Metric;
use crate::post::{Observation, Post};
use crate::source::{Calls, Capabilities, Plan, PostPage, PostPages, Request, SocialSource, Tally};

/// A source of posts in memory.
#[derive(Debug, Clone)]
pub struct Memory {
    posts: Arc<[Held]>,
}

#[derive(Debug)]
struct Held {
    post: Post,
    observation: Observation,
    repeated: bool,
}

impl Memory {
    /// A source of these posts, each with its observation. Of several with the same (network, id) the first is read, the
    /// others are counted as duplicates.
    #[must_use]
    pub fn new(posts: impl IntoIterator<Item = (Post, Observation)>) -> Self {
        let mut seen = HashSet::new();
        let held = |(post, observation): (Post, Observation)| {
            let repeated = !seen.insert((post.network.clone(), post.id.clone()));
            Held { post, observation, repeated }
        };
        Self { posts: posts.into_iter().map(held).collect() }
    }
}

#[async_trait]
impl SocialSource for Memory {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> Capabilities {
        let known =
            |metric: &Metric| self.posts.iter().any(|held| held.observation.value(*metric).known().is_some());
        Capabilities::new(Metric::ALL.into_iter().filter(known)).with_paid()
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    fn plan(&self, _request: &Request) -> Plan {
        Plan::new(Calls::Exactly(0))
    }

    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
        Ok(Box::new(MemoryPages { posts: Arc::clone(&self.posts), request: request.clone(), next: 0 }))
    }
}

#[derive(Debug)]
struct MemoryPages {
    posts: Arc<[Held]>,
    request: Request,
    next: usize,
}

#[async_trait]
impl PostPages for MemoryPages {
    async fn next_page(&mut self) -> Result<Option<PostPage>> {
        if self.next >= self.posts.len() {
            return Ok(None);
        }
        let mut page = PostPage::default();
        let mut tally = Tally::default();
        while self.next < self.posts.len() && page.posts.len() < self.request.page_size.max(1) {
            let Held { post, observation, repeated } = &self.posts[self.next];
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
