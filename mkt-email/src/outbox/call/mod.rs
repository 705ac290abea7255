//! What a call carries, and what its answer means for each email. Pure: nothing here reads or writes.

mod grouping;
mod verdict;

pub(super) use grouping::{group, halves, without_dropped};
pub(super) use verdict::{LOST, Verdict, not_before};

use super::queue::QueuedEmail;
use crate::provider::Group;

/// A call that is marked as being made: the group for the provider and the rows of its emails, in the same order.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) group: Group,
    pub(super) emails: Vec<QueuedEmail>,
    /// The name under which the call is reserved in the budgets, where there are any.
    pub(super) reservation: Option<String>,
}

impl Call {
    /// Approximate size of its messages in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.emails.iter().map(|email| email.bytes).sum()
    }
}
