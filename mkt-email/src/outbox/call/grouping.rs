//! Splits due emails into calls, as the provider plans them.

use crate::EmailProvider;
use crate::id::EmailId;
use crate::message::{Feature, Message};
use crate::outbox::queue::QueuedEmail;
use crate::provider::{Degrade, Plan};
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Emails split into calls.
#[derive(Debug, Default)]
pub(in crate::outbox) struct Grouped {
    pub(in crate::outbox) groups: Vec<Vec<QueuedEmail>>,
    /// Emails that the provider cannot send, and why.
    pub(in crate::outbox) refused: Vec<(EmailId, String)>,
    pub(in crate::outbox) degraded: BTreeMap<Feature, u64>,
}

/// Splits emails into groups by the provider's plan.
pub(in crate::outbox) fn group(
    provider: &dyn EmailProvider,
    degrade: &Degrade,
    now: DateTime<Utc>,
    emails: Vec<QueuedEmail>,
) -> Grouped {
    let mut grouped = Grouped::default();
    if emails.is_empty() {
        return grouped;
    }
    let messages: Vec<&Message> = emails.iter().map(|email| email.message.as_ref()).collect();
    let plan = provider.plan_with(&messages, now, degrade);
    for refusal in &plan.refused {
        grouped.refused.extend(emails.get(refusal.position).map(|email| (email.id, refusal.to_string())));
    }
    let mut emails: Vec<Option<QueuedEmail>> = without_dropped(emails, &plan).into_iter().map(Some).collect();
    for dropped in &plan.dropped {
        for feature in &dropped.features {
            *grouped.degraded.entry(*feature).or_default() += 1;
        }
    }
    let mut left: BTreeSet<usize> = (0..emails.len()).collect();
    for refusal in &plan.refused {
        left.remove(&refusal.position);
    }
    for group in plan.groups {
        let members: Vec<QueuedEmail> = group
            .into_iter()
            .filter(|at| left.remove(at))
            .filter_map(|at| emails.get_mut(at).and_then(Option::take))
            .collect();
        // What was refused together before is not tried together again.
        match members.len() > 1 && members.iter().all(|email| email.splits > 0) {
            true => grouped.groups.extend(halves(members)),
            false if members.is_empty() => {}
            false => grouped.groups.push(members),
        }
    }
    // A plan that omits emails breaks its contract; they must not stay due for ever.
    for at in left {
        let email = emails.get(at).and_then(Option::as_ref);
        grouped.refused.extend(email.map(|email| (email.id, "omitted from the provider's plan".to_owned())));
    }
    grouped
}

/// Splits a group in two; empty halves are omitted.
pub(in crate::outbox) fn halves(mut emails: Vec<QueuedEmail>) -> impl Iterator<Item = Vec<QueuedEmail>> {
    let second = emails.split_off(emails.len().div_ceil(2));
    [emails, second].into_iter().filter(|half| !half.is_empty())
}

/// The emails without the features that the plan drops.
pub(in crate::outbox) fn without_dropped(mut emails: Vec<QueuedEmail>, plan: &Plan) -> Vec<QueuedEmail> {
    for dropped in &plan.dropped {
        if let Some(email) = emails.get_mut(dropped.position) {
            email.message = Arc::new(email.message.without(&dropped.features));
        }
    }
    emails
}
