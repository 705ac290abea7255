//! Splits messages into calls. Pure: no clock, no call, the same plan for the same input.

use super::Capabilities;
use crate::Message;
use crate::message::Feature;
use chrono::{DateTime, TimeDelta, Utc};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt;
use std::hash::Hash;

/// How messages are split into calls. Positions are those of the planned slice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Plan {
    /// The messages of each call.
    pub groups: Vec<Vec<usize>>,
    /// The messages that the provider cannot send, and why.
    pub refused: Vec<Refusal>,
    /// Features dropped from messages, in the order of their positions. Empty unless
    /// [`plan_with`](crate::EmailProvider::plan_with) allows it.
    pub dropped: Vec<Dropped>,
}

/// Features that may be dropped from an email when the provider lacks them. Default: none.
///
/// Only features that a recipient can do without can be dropped: see [`DROPPABLE`](Self::DROPPABLE).
///
/// ```
/// use mkt_email::provider::Degrade;
/// use mkt_email::message::Feature;
/// let degrade = Degrade::of([Feature::Tags, Feature::TextOnly]);
/// assert!(degrade.allows(Feature::Tags));
/// assert!(!degrade.allows(Feature::TextOnly)); // without its body there is no email
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Degrade(BTreeSet<Feature>);

impl Degrade {
    /// The features that can be dropped.
    pub const DROPPABLE: [Feature; 6] = [
        Feature::ReplyTo,
        Feature::CustomHeaders,
        Feature::UnicodeHeaders,
        Feature::Tags,
        Feature::Metadata,
        Feature::Schedule,
    ];

    /// Drops nothing.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// May drop these. Features that cannot be dropped are ignored.
    #[must_use]
    pub fn of(features: impl IntoIterator<Item = Feature>) -> Self {
        Self(features.into_iter().filter(|feature| Self::DROPPABLE.contains(feature)).collect())
    }

    /// Whether a feature may be dropped.
    #[must_use]
    pub fn allows(&self, feature: Feature) -> bool {
        self.0.contains(&feature)
    }
}

/// The features dropped from one message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Dropped {
    /// Its position.
    pub position: usize,
    /// The dropped features.
    pub features: BTreeSet<Feature>,
}

/// A message that the provider cannot send.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// Its position.
    pub position: usize,
    /// The missing feature; `None` when a limit is exceeded or the provider has another reason.
    pub feature: Option<Feature>,
    /// One clause for people.
    pub detail: String,
}

impl Refusal {
    /// A message with a feature that the provider lacks.
    #[must_use]
    pub fn lacking(position: usize, feature: Feature) -> Self {
        Self { position, feature: Some(feature), detail: format!("{feature} not supported") }
    }

    /// A message that a provider cannot send for another reason: one clause, without personal data.
    #[must_use]
    pub fn because(position: usize, detail: impl Into<String>) -> Self {
        Self { position, feature: None, detail: detail.into() }
    }

    /// A message that exceeds a limit of the provider.
    #[must_use]
    pub fn beyond(position: usize, what: &str, max: usize, got: usize) -> Self {
        Self { position, feature: None, detail: format!("{got} {what}, at most {max} allowed") }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

/// Rules of a vendor beyond its capabilities.
pub(crate) struct Rules<'a, K> {
    /// Why a message cannot be sent, if so.
    pub(crate) refuse: &'a dyn Fn(usize, &Message) -> Option<Refusal>,
    /// What all emails of one call have in common.
    pub(crate) shared: &'a dyn Fn(&Message) -> K,
    /// What an email adds to its call, in two units of the vendor.
    pub(crate) weigh: &'a dyn Fn(&Message) -> [usize; 2],
    /// The maximum of either per call. A heavier email has a call of its own.
    pub(crate) most: [usize; 2],
    /// Whether a call must not contain an address twice.
    pub(crate) one_mail_per_address: bool,
}

/// A group that may take more emails.
struct Open {
    index: usize,
    count: usize,
    weight: [usize; 2],
    addresses: HashSet<String>,
}

impl Open {
    fn takes(&self, can: &Capabilities, most: [usize; 2], weight: [usize; 2], address: Option<&str>) -> bool {
        let fits = |unit: usize| self.weight[unit].saturating_add(weight[unit]) <= most[unit];
        let new = address.is_none_or(|address| !self.addresses.contains(address));
        self.count < can.max_recipients && fits(0) && fits(1) && new
    }

    fn add(&mut self, weight: [usize; 2], address: Option<String>) {
        self.count += 1;
        self.weight = [0, 1].map(|unit: usize| self.weight[unit].saturating_add(weight[unit]));
        self.addresses.extend(address);
    }
}

/// What all emails of one call have in common in the vendors' formats.
type Shared = (String, Option<String>, Vec<String>, Option<i64>);

impl Plan {
    /// Refuses what the capabilities exclude; groups the rest by sender, reply address, tags and schedule, each group
    /// as large as [`Capabilities::max_recipients`] allows, in the order of the input.
    #[must_use]
    pub fn by_capabilities(can: &Capabilities, messages: &[&Message], now: DateTime<Utc>) -> Self {
        let rules = Rules {
            refuse: &|_, _| None,
            shared: &shared,
            weigh: &|_| [0, 0],
            most: [usize::MAX; 2],
            one_mail_per_address: false,
        };
        Self::by_rules(can, &rules, messages, now)
    }

    /// As [`by_capabilities`](Self::by_capabilities), with the rules of a vendor.
    pub(crate) fn by_rules<K: Hash + Eq>(
        can: &Capabilities,
        rules: &Rules<'_, K>,
        messages: &[&Message],
        now: DateTime<Utc>,
    ) -> Self {
        let mut plan = Self::default();
        let mut open: HashMap<K, Open> = HashMap::new();
        for (position, message) in messages.iter().enumerate() {
            let refusal = refuse(can, position, message, now).or_else(|| (rules.refuse)(position, message));
            if let Some(refusal) = refusal {
                plan.refused.push(refusal);
                continue;
            }
            if can.max_recipients <= 1 {
                plan.groups.push(vec![position]);
                continue;
            }
            let weight = (rules.weigh)(message);
            let address = rules.one_mail_per_address.then(|| message.to().address.normalised());
            let key = (rules.shared)(message);
            if let Some(group) = open.get_mut(&key)
                && group.takes(can, rules.most, weight, address.as_deref())
                && let Some(positions) = plan.groups.get_mut(group.index)
            {
                positions.push(position);
                group.add(weight, address);
                continue;
            }
            let mut group =
                Open { index: plan.groups.len(), count: 0, weight: [0, 0], addresses: HashSet::new() };
            group.add(weight, address);
            open.insert(key, group);
            plan.groups.push(vec![position]);
        }
        plan
    }
}

impl Plan {
    /// Plans by `plan`; where a missing feature that may be dropped is the reason of a refusal, plans again without it.
    pub(super) fn degrading(
        messages: &[&Message],
        degrade: &Degrade,
        plan: &dyn Fn(&[&Message]) -> Self,
    ) -> Self {
        let mut dropped: BTreeMap<usize, BTreeSet<Feature>> = BTreeMap::new();
        let mut lighter: Vec<Cow<'_, Message>> =
            messages.iter().map(|message| Cow::Borrowed(*message)).collect();
        loop {
            let mut planned = plan(&lighter.iter().map(AsRef::as_ref).collect::<Vec<_>>());
            let mut changed = false;
            for refusal in &planned.refused {
                let Some(feature) = refusal.feature.filter(|feature| degrade.allows(*feature)) else {
                    continue;
                };
                let Some(message) = lighter.get_mut(refusal.position) else { continue };
                // A feature is dropped from a message once, so the loop ends.
                if dropped.entry(refusal.position).or_default().insert(feature) {
                    *message = Cow::Owned(message.without(&BTreeSet::from([feature])));
                    changed = true;
                }
            }
            if !changed {
                let refused: BTreeSet<usize> =
                    planned.refused.iter().map(|refusal| refusal.position).collect();
                planned.dropped = dropped
                    .into_iter()
                    .filter(|(position, _)| !refused.contains(position))
                    .map(|(position, features)| Dropped { position, features })
                    .collect();
                return planned;
            }
        }
    }
}

fn shared(message: &Message) -> Shared {
    let written = |mailbox: &crate::Mailbox| {
        let name = mailbox.name.as_ref().map_or("", |name| name.as_str());
        format!("{name} <{}>", mailbox.address.as_str())
    };
    (
        written(message.from()),
        message.reply_to().map(written),
        message.tags().iter().map(|tag| tag.as_str().to_owned()).collect(),
        message.send_at().map(|at| at.timestamp_millis()),
    )
}

fn refuse(can: &Capabilities, position: usize, message: &Message, now: DateTime<Utc>) -> Option<Refusal> {
    let bare = message.html().is_none_or(|html| html.trim().is_empty());
    let ascii = message.headers().iter().all(|(_, value)| value.as_str().is_ascii());
    let wanted = [
        (bare && message.template().is_none(), Feature::TextOnly),
        (!message.attachments().is_empty(), Feature::Attachments),
        (message.reply_to().is_some(), Feature::ReplyTo),
        (!message.headers().is_empty(), Feature::CustomHeaders),
        (!ascii, Feature::UnicodeHeaders),
        (message.list_unsubscribe().is_some(), Feature::ListUnsubscribe),
        (!message.tags().is_empty(), Feature::Tags),
        (!message.metadata().is_empty(), Feature::Metadata),
        (message.send_at().is_some(), Feature::Schedule),
        (message.template().is_some(), Feature::VendorTemplate),
    ];
    if let Some((_, feature)) = wanted.into_iter().find(|&(asked, feature)| asked && !can.has(feature)) {
        return Some(Refusal::lacking(position, feature));
    }
    let (tags, bytes) = (message.tags().len(), message.body_bytes());
    if let Some(max) = can.max_tags.filter(|&max| tags > max) {
        return Some(Refusal::beyond(position, "tags", max, tags));
    }
    if let Some(max) = can.max_message_bytes.filter(|&max| bytes > max) {
        return Some(Refusal::beyond(position, "bytes", max, bytes));
    }
    let horizon = can.schedule_horizon.and_then(|horizon| TimeDelta::from_std(horizon).ok());
    if let (Some(horizon), Some(at)) = (horizon, message.send_at())
        && at - now > horizon
    {
        let (max, got) = (horizon.num_seconds(), (at - now).num_seconds());
        let whole = |seconds: i64| usize::try_from(seconds).unwrap_or(usize::MAX);
        return Some(Refusal::beyond(position, "seconds ahead", whole(max), whole(got)));
    }
    None
}
