//! Paging as a stream: a page is requested when the stream is polled, not before.
//!
//! Links to a next page are never followed, since they may hold a token or point elsewhere: a connector takes the
//! cursor out of the answer and builds its own request.

use crate::{Delivery, Error, ErrorKind, Result};
use futures_util::Stream;
use futures_util::stream;
use std::collections::HashSet;
use std::future::Future;
use std::hash::{BuildHasher, RandomState};

/// One page: its items, and the cursor of the next page where there is one. Offsets are cursors too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// Its items; a page in the middle may be empty.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` on the last page.
    pub next: Option<String>,
}

/// The limits of reading pages.
#[derive(Debug, Clone, Copy)]
pub struct Paging {
    service: &'static str,
    operation: &'static str,
    max_pages: u64,
}

impl Paging {
    /// At most 10 000 pages, empty ones included; service and operation are for the errors.
    #[must_use]
    pub fn new(service: &'static str, operation: &'static str) -> Self {
        Self { service, operation, max_pages: 10_000 }
    }

    /// Sets the most pages that are read, empty ones included. A feed that answers empty pages with fresh cursors ends here.
    #[must_use]
    pub fn max_pages(mut self, count: u64) -> Self {
        self.max_pages = count;
        self
    }

    /// The pages as a stream. `fetch` is called with `None` for the first page and then with each page's cursor, once
    /// per page and only when the stream is polled: a stream that is dropped asks for nothing more.
    ///
    /// The stream ends after the last page, or with the first error: what `fetch` failed with, or
    /// [`ErrorKind::Protocol`] for a cursor that was seen before (an endless loop) and for more pages than
    /// allowed. The items of a page whose cursor is refused have been given by then.
    pub fn pages<T, F, Fut>(self, fetch: F) -> impl Stream<Item = Result<Page<T>>>
    where
        F: FnMut(Option<String>) -> Fut,
        Fut: Future<Output = Result<Page<T>>>,
    {
        let walk = Walk {
            paging: self,
            fetch,
            seen: HashSet::new(),
            hasher: RandomState::new(),
            read: 0,
            next: Next::First,
        };
        stream::try_unfold(walk, |mut walk| async move {
            let cursor = match std::mem::replace(&mut walk.next, Next::None) {
                Next::None => return Ok(None),
                Next::First => None,
                Next::Cursor(cursor) => Some(cursor),
            };
            walk.check(cursor.as_deref())?;
            let page = (walk.fetch)(cursor).await?;
            if let Some(cursor) = &page.next {
                walk.next = Next::Cursor(cursor.clone());
            }
            Ok(Some((page, walk)))
        })
    }
}

enum Next {
    First,
    Cursor(String),
    None,
}

struct Walk<F> {
    paging: Paging,
    fetch: F,
    /// Hashes, not cursors: a hostile cursor may be long. Ten thousand of them collide by chance once in 10^11 walks.
    seen: HashSet<u64>,
    hasher: RandomState,
    read: u64,
    next: Next,
}

impl<F> Walk<F> {
    fn check(&mut self, cursor: Option<&str>) -> Result<()> {
        let refuse = |detail: String| {
            Error::new(ErrorKind::Protocol, self.paging.service, self.paging.operation)
                .delivered(Delivery::Answered)
                .with_detail(detail)
        };
        // A count of its own: each of the two checks ends a walk without the other.
        if self.read >= self.paging.max_pages {
            return Err(refuse(format!("more than {} pages", self.paging.max_pages)));
        }
        self.read += 1;
        // The first page counts as a cursor of its own.
        if !self.seen.insert(self.hasher.hash_one(cursor)) {
            return Err(refuse("the cursor of the next page was seen before: the pages repeat".to_owned()));
        }
        Ok(())
    }
}
