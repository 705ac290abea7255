//! Threads for fitting. No result depends on their number.

use std::num::NonZeroUsize;

use rayon::prelude::*;

use crate::classifier::ModelError;

/// A pool of threads, or none for work on one.
#[derive(Debug)]
pub(crate) struct Workers(Option<rayon::ThreadPool>);

impl Workers {
    /// As many threads as requested, by default all that the machine offers, at most `most`.
    pub(crate) fn new(threads: Option<NonZeroUsize>, most: usize) -> Result<Self, ModelError> {
        let offered = || std::thread::available_parallelism().ok();
        let threads = threads.or_else(offered).map_or(1, NonZeroUsize::get).min(most);
        if threads <= 1 {
            return Ok(Self(None));
        }
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .thread_name(|at| format!("mkt-ml {at}"))
            .build()
            .map(|pool| Self(Some(pool)))
            .map_err(|cause| ModelError::Backend { model: "the thread pool", source: Box::new(cause) })
    }

    /// Runs `work` inside the pool, so that the calls below find its threads awake.
    pub(crate) fn enter<R: Send>(&self, work: impl FnOnce(Crew) -> R + Send) -> R {
        match &self.0 {
            None => work(Crew { threads: 1 }),
            Some(pool) => pool.install(|| work(Crew { threads: pool.current_num_threads() })),
        }
    }
}

/// The threads of the pool that the caller runs in; on one thread everything is done by the caller itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crew {
    threads: usize,
}

impl Crew {
    /// A caller on one thread.
    pub(crate) const ALONE: Self = Self { threads: 1 };

    /// The number of threads.
    pub(crate) fn threads(self) -> usize {
        self.threads
    }

    /// The same caller on one thread, for work too small to share.
    pub(crate) fn alone(self) -> Self {
        Self { threads: 1 }
    }

    /// Applies `work` to every item; results come in the order of the items.
    pub(crate) fn map<I: Send, R: Send>(self, items: Vec<I>, work: impl Fn(I) -> R + Sync + Send) -> Vec<R> {
        if self.threads <= 1 || items.len() <= 1 {
            items.into_iter().map(work).collect()
        } else {
            items.into_par_iter().with_max_len(1).map(work).collect()
        }
    }

    /// Does both, in parallel where there are threads.
    pub(crate) fn both<A: Send, B: Send>(
        self,
        a: impl FnOnce() -> A + Send,
        b: impl FnOnce() -> B + Send,
    ) -> (A, B) {
        if self.threads <= 1 { (a(), b()) } else { rayon::join(a, b) }
    }
}
