//! What two streams of one day ask alike, kept between them for one run: `visits` is read first, its control total is
//! the summary that `daily` is made of, and its count is the control total of `daily`. Each is used once.

use super::answer::Row;
use super::reports::Target;
use chrono::NaiveDate;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

type Key = (String, NaiveDate);

/// Visits of a day as Live has them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted {
    pub(super) visits: u64,
    pub(super) converted: u64,
}

#[derive(Debug, Default)]
struct Held {
    /// VisitsSummary.get; `None` for a day without anything.
    summaries: HashMap<Key, Option<Row>>,
    counts: HashMap<Key, Counted>,
}

/// Answers that another stream of the same day can use. Of segments nothing is kept.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Held>);

impl Shared {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn key(target: &Target<'_>) -> Option<Key> {
        target.segment.is_none().then(|| (target.site.site.clone(), target.day))
    }

    /// Forgets everything: another run begins.
    pub(super) fn clear(&self) {
        *self.held() = Held::default();
    }

    pub(super) fn put_summary(&self, target: &Target<'_>, row: Option<Row>) {
        if let Some(key) = Self::key(target) {
            self.held().summaries.insert(key, row);
        }
    }

    pub(super) fn take_summary(&self, target: &Target<'_>) -> Option<Option<Row>> {
        self.held().summaries.remove(&Self::key(target)?)
    }

    pub(super) fn put_count(&self, target: &Target<'_>, counted: Counted) {
        if let Some(key) = Self::key(target) {
            self.held().counts.insert(key, counted);
        }
    }

    pub(super) fn take_count(&self, target: &Target<'_>) -> Option<Counted> {
        self.held().counts.remove(&Self::key(target)?)
    }
}
