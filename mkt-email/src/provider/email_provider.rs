//! The trait that every provider implements.

use super::{Capabilities, Degrade, Group, Outcome, Outgoing, Plan, Settlement};
use crate::Message;
use crate::id::IdempotencyKey;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::clock::{Clock, SystemClock};
use mkt_connect::{Delivery, Error, ErrorKind, Result};
use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

/// An email provider: sends messages and reports one outcome per recipient.
///
/// Implementors put `#[mkt_email::async_trait]` on their `impl` block:
///
/// ```
/// use mkt_email::provider::{Capabilities, Group};
/// use mkt_email::{EmailProvider, Outcome, Result, async_trait};
///
/// #[derive(Debug)]
/// struct Discard(Capabilities);
///
/// #[async_trait]
/// impl EmailProvider for Discard {
///     fn name(&self) -> &'static str {
///         "discard"
///     }
///     fn capabilities(&self) -> &Capabilities {
///         &self.0 // for example Capabilities::minimal()
///     }
///     async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
///         Ok(group.emails().iter().map(|email| Outcome::Accepted { id: email.key.to_string() }).collect())
///     }
///     async fn check(&self) -> Result<()> {
///         Ok(())
///     }
/// }
/// ```
///
/// # Contract
///
/// **Planning is pure.** [`plan`](Self::plan) reads no clock, makes no call, and returns the same plan for the same
/// input. Every message is either in exactly one group or refused, with the missing feature named. No group is larger
/// than [`Capabilities::max_recipients`].
///
/// **A send is one call.** [`send`](Self::send) never retries by itself. It returns one of:
/// - `Ok` with **one [`Outcome`] per email, in the order of the group**. One bad recipient does not affect the others:
///   where the vendor refuses a call of two or more emails because of its content, and provably accepted none of them,
///   every email gets [`Outcome::GroupRefused`] and the caller sends the group again in halves. A call of one email is
///   never refused as a group.
/// - `Err` that does not [leave a doubt](Error::leaves_doubt): **no email of the group was accepted**, and the failure
///   concerns the provider, not the recipients (credentials, rate limit, full disk). The caller keeps the emails and
///   stops or pauses.
/// - `Err` that does, because no answer came or the answer does not prove a refusal (a gateway's 502, an unreadable
///   body): the caller treats every email of the group as [`Outcome::Unknown`].
///
/// `Accepted` means that the provider has durably taken responsibility. Only `Deferred` invites a retry. A provider
/// that cannot tell returns `Unknown`; it does not guess.
///
/// **Idempotency is declared and kept.** If [`Capabilities::idempotency`] is not `None`, sending a group again with the
/// same keys within the declared time has no second effect and reports the outcome of the first call.
///
/// **Settling finds out.** [`settle`](Self::settle) is called about a call that was begun and whose answer was lost: the
/// group has the key and the start of that call, and those of its emails whose answers are missing. It returns one
/// [`Settlement`] per email, in order. `NotArrived` is a promise that the email was not and will not be delivered by that
/// attempt. A provider that settles by sending again under the same key may settle a group of two or more as
/// `Known(GroupRefused)`. The default returns `StillUnknown`.
///
/// **No personal data leaks.** No error, `Debug` or log of a provider contains an address, a name or a credential.
///
/// The module `testing` (feature `testing`) runs this contract against any implementation. `Arc` and `Box` of a provider
/// are providers.
#[async_trait]
pub trait EmailProvider: Debug + Send + Sync + 'static {
    /// The provider's name in tables and errors, such as `brevo`.
    fn name(&self) -> &'static str;

    /// The account whose limits are shared: two providers with one account are paused together. Not a secret. Default:
    /// the name.
    fn account(&self) -> &str {
        self.name()
    }

    /// The supported features and limits.
    fn capabilities(&self) -> &Capabilities;

    /// Checks messages against the capabilities and splits them into groups for [`send`](Self::send). `now` is needed
    /// for the horizon of scheduled emails. Default: [`Plan::by_capabilities`].
    fn plan(&self, messages: &[&Message], now: DateTime<Utc>) -> Plan {
        Plan::by_capabilities(self.capabilities(), messages, now)
    }

    /// As [`plan`](Self::plan), but drops the features in `degrade` from emails that could not be sent otherwise. What was
    /// dropped is listed in [`Plan::dropped`]; the caller sends those emails [without](Message::without) it. The default
    /// calls `plan` again with the reduced messages, so that providers need not implement this.
    fn plan_with(&self, messages: &[&Message], now: DateTime<Utc>, degrade: &Degrade) -> Plan {
        Plan::degrading(messages, degrade, &|messages| self.plan(messages, now))
    }

    /// Sends one group in one call.
    async fn send(&self, group: &Group) -> Result<Vec<Outcome>>;

    /// Finds out the outcomes of a group whose answers were lost. Default: all unknown.
    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        Ok(vec![Settlement::StillUnknown; group.emails().len()])
    }

    /// Checks whether emails could be sent now (credentials, permissions, space), without sending any.
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

/// Convenience methods of every [`EmailProvider`].
#[async_trait]
pub trait EmailProviderExt: EmailProvider {
    /// Sends one message now and returns the provider's id of it. Every call is a new email, also of an equal message:
    /// after an error of [`Delivery::Unknown`] the email may have been sent. Programs that must not send twice use an
    /// [`Outbox`](crate::Outbox), or [`send_one`](Self::send_one) with a key of their own.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> mkt_email::Result<()> {
    /// use mkt_email::{EmailProviderExt, Memory, Message};
    /// let provider = Memory::new();
    /// let message = Message::builder("Shop <news@example.org>".parse()?, "jean@example.org".parse()?, "Hello".parse()?)
    ///     .text("Hello Jean!")
    ///     .build()?;
    /// let id = provider.send_now(message).await?;
    /// assert!(!id.is_empty());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] names the feature that the provider lacks; [`ErrorKind::Input`]: the recipient or the
    /// message was rejected; [`ErrorKind::RateLimited`]: deferred, with the wait in [`Error::retry_after`];
    /// [`ErrorKind::Unavailable`] with [`Delivery::Unknown`]: the answer was lost; or the error of the call.
    async fn send_now(&self, message: Message) -> Result<String> {
        let now = SystemClock::new().now();
        let chance = RandomState::new().hash_one(now.timestamp_nanos_opt());
        let key = IdempotencyKey::from_text(&format!("{chance:016x} {}", now.timestamp_micros()));
        let error = |kind, delivery, detail| {
            Error::new(kind, self.name(), "send").delivered(delivery).with_detail(detail)
        };
        match self.send_one(message, key, now).await? {
            Outcome::Accepted { id } => Ok(id),
            Outcome::Rejected { reason, detail } | Outcome::GroupRefused { reason, detail } => {
                Err(error(ErrorKind::Input, Delivery::Answered, format!("{reason}: {detail}")))
            }
            Outcome::Deferred { retry_at, detail, .. } | Outcome::NotOffered { retry_at, detail } => {
                let wait = (retry_at - now).to_std().unwrap_or_default();
                Err(error(ErrorKind::RateLimited, Delivery::Answered, detail).with_retry_after(wait))
            }
            Outcome::Unknown { stage } => {
                let detail = format!("the answer was lost ({})", stage.as_str());
                Err(error(ErrorKind::Unavailable, Delivery::Unknown, detail))
            }
        }
    }

    /// Sends one message under a key, without an outbox: plans, makes the call, returns the outcome. A provider with
    /// [idempotency](Capabilities::idempotency) recognises a repeated key; after a crash nothing but the caller
    /// remembers it.
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
                .delivered(Delivery::Unknown)
                .with_detail("no outcome for the recipient")
        })
    }
}

impl<P: EmailProvider + ?Sized> EmailProviderExt for P {}
