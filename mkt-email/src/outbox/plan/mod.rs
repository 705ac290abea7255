//! Sending plans: how fast an account, a sender and the mailboxes of each large provider may be sent to, and how a new
//! sender warms up over days.
//!
//! A plan is enforced where emails are marked as sending, in the same transaction, over all workers, processes and
//! restarts: no period of a limit's length holds more emails than the limit, wherever it begins. An email without room is
//! put off to the moment when there is room for it, and others go before it: a limit for Gmail does not hold up Outlook.
//! All runs that use an account must be given the same plan.
//!
//! ```
//! use mkt_email::outbox::plan::{DomainGroup, Rate, SendingPlan, WarmUp};
//! use mkt_email::RunOptions;
//! use std::time::Duration;
//! let plan = SendingPlan::new()
//!     .account(Rate::per_second(14))
//!     .each_sender(Rate::new(2_000, Duration::from_hours(24)))
//!     .domains(DomainGroup::gmail(), Rate::per_hour(500))
//!     .domains(DomainGroup::new("ours", ["example.org"]), Rate::per_minute(60))
//!     .warm_up(WarmUp::doubling("2026-10-26T08:00:00Z".parse()?, 50, 10_000));
//! let mut options = RunOptions::default();
//! options.plan = Some(plan);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod domain;
mod forecast;
mod pending;
mod rate;
mod room;

pub use domain::DomainGroup;
pub use forecast::{Forecast, ForecastLimit, Recipients};
pub(super) use pending::pending;
pub use rate::{Rate, WarmUp};
pub(super) use room::{PlanRoom, PutOff, end_call, extend_reservations, reserve};

use crate::{EmailAddress, Message};
use chrono::{DateTime, Utc};

/// Limits of an account, of each sender and of groups of recipients' domains, and a warm-up. Empty: no limits.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[must_use]
pub struct SendingPlan {
    account: Vec<Rate>,
    senders: Vec<Rate>,
    groups: Vec<(DomainGroup, Vec<Rate>)>,
    warm_up: Option<WarmUp>,
}

impl SendingPlan {
    /// A plan without limits.
    pub fn new() -> Self {
        Self::default()
    }

    /// Limits the account as a whole. Several rates hold together.
    pub fn account(mut self, rate: Rate) -> Self {
        self.account.push(rate);
        self
    }

    /// Limits each sender's address, by its own count.
    pub fn each_sender(mut self, rate: Rate) -> Self {
        self.senders.push(rate);
        self
    }

    /// Limits the recipients of a group of domains. A group that is named again gets another rate. A domain that is in
    /// several groups belongs to the first.
    pub fn domains(mut self, group: DomainGroup, rate: Rate) -> Self {
        match self.groups.iter_mut().find(|(known, _)| *known == group) {
            Some((_, rates)) => rates.push(rate),
            None => self.groups.push((group, vec![rate])),
        }
        self
    }

    /// Warms the account up: what it may send in 24 hours grows day by day.
    pub fn warm_up(mut self, warm_up: WarmUp) -> Self {
        self.warm_up = Some(warm_up);
        self
    }

    /// Whether there are no limits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.account.is_empty() && self.senders.is_empty() && self.groups.is_empty() && self.warm_up.is_none()
    }

    /// The name of the group of a domain, if it has limits.
    #[must_use]
    pub fn group_of(&self, domain: &str) -> Option<&str> {
        self.groups.iter().find(|(group, _)| group.contains(domain)).map(|(group, _)| group.name())
    }

    /// The limits of an email between these, as numbers of scopes.
    fn scopes(&self, sender: &EmailAddress, domain: &str) -> Vec<Scope> {
        let mut scopes = Vec::with_capacity(3);
        if !self.account.is_empty() || self.warm_up.is_some() {
            scopes.push(Scope::Account);
        }
        if !self.senders.is_empty() {
            scopes.push(Scope::Sender(sender.key()));
        }
        if let Some(at) = self.groups.iter().position(|(group, _)| group.contains(domain)) {
            scopes.push(Scope::Group(at));
        }
        scopes
    }

    fn scopes_of(&self, message: &Message) -> Vec<Scope> {
        self.scopes(&message.from().address, message.to().address.domain())
    }

    /// The limits of a scope at an instant: so many emails in so many milliseconds, and the name of the limit.
    fn limits(&self, scope: &Scope, at: DateTime<Utc>) -> Vec<Limit> {
        let of = |rates: &[Rate], whose: &str| -> Vec<Limit> {
            rates
                .iter()
                .map(|rate| Limit {
                    most: u64::from(rate.most),
                    per: rate.millis(),
                    name: format!("{whose}: {rate}"),
                    changes_at: None,
                })
                .collect()
        };
        match scope {
            Scope::Account => {
                let mut limits = of(&self.account, "account");
                limits.extend(self.warm_up.as_ref().and_then(|warm_up| warm_up.limit(at)));
                limits
            }
            Scope::Sender(_) => of(&self.senders, "sender"),
            Scope::Group(at) => {
                self.groups.get(*at).map(|(group, rates)| of(rates, group.name())).unwrap_or_default()
            }
        }
    }

    /// How a scope is stored.
    fn stored(&self, scope: &Scope) -> String {
        match scope {
            Scope::Account => "account".to_owned(),
            Scope::Sender(key) => format!("sender {key}"),
            Scope::Group(at) => {
                format!("domains {}", self.groups.get(*at).map_or("", |(group, _)| group.name()))
            }
        }
    }

    /// The length of the longest window, in milliseconds.
    fn longest(&self) -> i64 {
        let groups = self.groups.iter().flat_map(|(_, rates)| rates);
        let rates = self.account.iter().chain(&self.senders).chain(groups).map(|rate| rate.millis());
        rates.chain(self.warm_up.as_ref().map(|_| rate::DAY)).max().unwrap_or(0)
    }
}

/// What a limit counts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Scope {
    Account,
    /// By the key of the address.
    Sender(String),
    /// By its place in the plan.
    Group(usize),
}

/// A limit at an instant.
#[derive(Debug, Clone)]
struct Limit {
    most: u64,
    /// Milliseconds.
    per: i64,
    name: String,
    /// When the limit itself changes.
    changes_at: Option<DateTime<Utc>>,
}
