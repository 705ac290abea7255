//! Whoever carries mails away: one trait for vendors, servers and directories.
//!
//! A provider makes one call and says what became of each recipient. It never retries, never waits, and keeps no
//! queue: that is the outbox's work, which can do it across crashes.

mod capability;
mod outcome;
mod plan;

pub use capability::{Capabilities, Feature, Idempotency};
pub use outcome::{Outcome, RejectReason, Scope, Settlement, Stage};
#[cfg(feature = "http")]
pub(crate) use plan::Rules;
pub use plan::{Degrade, Dropped, Plan, Refusal};

use crate::id::IdempotencyKey;
use crate::message::Message;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use std::fmt::Debug;
use std::sync::Arc;

/// One mail of a [`Group`].
#[derive(Debug, Clone)]
pub struct Outgoing {
    /// The name of this attempt to send this mail. Kept until the attempt has a definite answer.
    pub key: IdempotencyKey,
    /// What is said, to whom.
    pub message: Arc<Message>,
}

/// What one call carries: the mails of one group of a [`Plan`].
#[derive(Debug, Clone)]
pub struct Group {
    key: IdempotencyKey,
    at: DateTime<Utc>,
    mails: Vec<Outgoing>,
}

impl Group {
    /// Mails that go out in one call, at an instant of the caller's clock.
    #[must_use]
    pub fn new(at: DateTime<Utc>, mails: Vec<Outgoing>) -> Self {
        let keys: Vec<_> = mails.iter().map(|mail| mail.key).collect();
        Self { key: IdempotencyKey::of_group(&keys), at, mails }
    }

    /// The mails of an earlier call whose answers are lost, under that call's name.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "only the outbox comes back to a call")
    )]
    pub(crate) fn of_earlier_call(key: IdempotencyKey, at: DateTime<Utc>, mails: Vec<Outgoing>) -> Self {
        Self { key, at, mails }
    }

    /// The name of the call: the same mails in the same order have the same one.
    #[must_use]
    pub fn key(&self) -> IdempotencyKey {
        self.key
    }

    /// When the attempt began. Retry times are computed from it; a provider reads no clock.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// The mails, in the order in which outcomes are expected.
    #[must_use]
    pub fn mails(&self) -> &[Outgoing] {
        &self.mails
    }
}

/// Sends mails.
///
/// # Contract
///
/// **Planning is pure.** [`plan`](Self::plan) reads no clock, makes no call, and gives the same plan for the same
/// input. Every message is either in exactly one group or refused, with the feature named that the provider lacks. No
/// group is larger than [`Capabilities::max_recipients`].
///
/// **A send is one call.** [`send`](Self::send) never repeats a call by itself. What it returns is one of:
/// - `Ok` with **one [`Outcome`] per mail, in the order of the group**. One bad recipient does not spoil the others: where
///   the vendor refuses a call of two or more mails because of what it holds, and provably took nothing of it, every
///   mail gets [`Outcome::GroupRefused`], and the caller sends halves. A call of one mail is never refused so.
/// - `Err` that does not [leave a doubt](Error::leaves_doubt): **nothing of the group was accepted** and the trouble
///   concerns the provider, not the recipients (credentials, throttling, a full disk). The caller keeps the mails and
///   stops or pauses.
/// - `Err` that does, since no answer came or the answer does not prove a refusal (a gateway's 502, a body that cannot
///   be read): the caller treats every mail of the group as [`Outcome::Unknown`], and stops. A provider that lost one
///   answer and is otherwise well says so by outcomes instead.
///
/// `Accepted` means that the provider has taken responsibility durably. Only `Deferred` invites a repetition. A
/// provider that cannot tell says `Unknown`; it does not guess.
///
/// **Idempotency is declared and kept.** If [`Capabilities::idempotency`] is not `None`, sending a group again with
/// the same keys within the declared time has no second effect and reports what became of the first.
///
/// **Settling finds out.** [`settle`](Self::settle) is asked about a call that was begun and whose answers were lost:
/// the group has the key and the instant of that call, and those of its mails whose answers are missing. It returns one [`Settlement`] per mail, in order. `NotArrived` is a
/// promise that the mail was not and will not be delivered by that attempt. A provider that settles by sending again
/// under the same key may settle a group of two or more as `Known(GroupRefused)`. The default knows nothing.
///
/// **Nothing personal leaks.** No error, `Debug` or log of a provider holds an address, a name or a credential.
///
/// `mkt_email::testing` executes this contract; run it on every implementation. `Arc` and `Box` of a provider are
/// providers.
#[async_trait]
pub trait EmailProvider: Debug + Send + Sync + 'static {
    /// The provider's name in tables and errors, such as `brevo`.
    fn name(&self) -> &'static str;

    /// The account whose limits all senders share; two providers with one account are paused together. Not a secret.
    fn account(&self) -> &str {
        self.name()
    }

    /// What it can do, as data.
    fn capabilities(&self) -> &Capabilities;

    /// Checks messages against the capabilities and cuts them into groups for [`send`](Self::send). `now` is needed
    /// for the horizon of scheduled mails. The default is [`Plan::by_capabilities`].
    fn plan(&self, messages: &[&Message], now: DateTime<Utc>) -> Plan {
        Plan::by_capabilities(self.capabilities(), messages, now)
    }

    /// As [`plan`](Self::plan), but what `degrade` names is left out of mails that could not be sent otherwise. What was
    /// left out is listed in [`Plan::dropped`]; the caller sends those mails [lightened](Message::without). The default
    /// asks `plan` again with lightened messages, so that a provider need not know about this.
    fn plan_with(&self, messages: &[&Message], now: DateTime<Utc>, degrade: &Degrade) -> Plan {
        Plan::degrading(messages, degrade, &|messages| self.plan(messages, now))
    }

    /// Sends one group in one call.
    async fn send(&self, group: &Group) -> Result<Vec<Outcome>>;

    /// Finds out what became of a group whose answers were lost.
    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        Ok(vec![Settlement::StillUnknown; group.mails().len()])
    }

    /// Tells whether mails could be sent now (credentials, permissions, space), without sending any.
    async fn check(&self) -> Result<()>;
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<P: EmailProvider + ?Sized> EmailProvider for $pointer<P> {
            fn name(&self) -> &'static str {
                (**self).name()
            }

            fn account(&self) -> &str {
                (**self).account()
            }

            fn capabilities(&self) -> &Capabilities {
                (**self).capabilities()
            }

            fn plan(&self, messages: &[&Message], now: DateTime<Utc>) -> Plan {
                (**self).plan(messages, now)
            }

            fn plan_with(&self, messages: &[&Message], now: DateTime<Utc>, degrade: &Degrade) -> Plan {
                (**self).plan_with(messages, now, degrade)
            }

            async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
                (**self).send(group).await
            }

            async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
                (**self).settle(group).await
            }

            async fn check(&self) -> Result<()> {
                (**self).check().await
            }
        }
    };
}

forward!(Arc);
forward!(Box);

/// Sugar over [`EmailProvider`].
#[async_trait]
pub trait EmailProviderExt: EmailProvider {
    /// Sends one message without an outbox: plans, makes the call, gives the outcome. After a crash nobody knows that
    /// it happened; use the outbox where that matters.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] naming the feature that the provider lacks, or the error of the call.
    async fn send_one(&self, message: Message, key: IdempotencyKey, now: DateTime<Utc>) -> Result<Outcome> {
        if let Some(refusal) = self.plan(&[&message], now).refused.into_iter().next() {
            return Err(
                Error::new(ErrorKind::Unsupported, self.name(), "plan").with_detail(refusal.to_string())
            );
        }
        let group = Group::new(now, vec![Outgoing { key, message: Arc::new(message) }]);
        let outcomes = self.send(&group).await?;
        outcomes.into_iter().next().ok_or_else(|| {
            Error::new(ErrorKind::Protocol, self.name(), "send")
                .delivered(mkt_connect::Delivery::Unknown)
                .with_detail("no outcome for the recipient")
        })
    }
}

impl<P: EmailProvider + ?Sized> EmailProviderExt for P {}
