//! The conformance suite of [`EmailProvider`], and fakes of servers and vendors. Run it on your own providers.
//!
//! Each check is a function that fails with one sentence. [`provider_conformance!`](crate::provider_conformance) generates
//! a test for each; [`violations`] runs them all and returns those that failed.
//!
//! ```
//! use mkt_email::{Memory, testing::{Fixture, violations}};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let found = violations(&|| {
//!     let provider = Memory::new();
//!     let inside = provider.clone();
//!     Fixture::new(provider, move || inside.delivered().iter().map(|email| email.message.to().address.clone()).collect())
//! })
//! .await;
//! assert!(found.is_empty(), "{found:?}");
//! # }
//! ```

/// An SMTP server for tests.
#[cfg(feature = "smtp")]
pub use crate::smtp::testing as smtp;

mod contract;
#[cfg(feature = "http")]
mod fake;
mod fault;

pub use contract::*;
#[cfg(feature = "http")]
pub use fake::{FakeBrevo, FakeEmail, FakeMailgun};
pub use fault::*;

use crate::message::MessageError;
use crate::provider::{Group, Outgoing, Settlement};
use crate::{Clock, EmailAddress, EmailProvider, IdempotencyKey, ManualClock, Message, Outcome};
use chrono::{DateTime, Utc};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

type Injector = Box<dyn Fn(Fault) -> bool + Send + Sync>;
type Refuser = Box<dyn Fn(&EmailAddress) + Send + Sync>;

/// A fault of the next call that sends. "Done" means that its emails are delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing is done, and the connection breaks without an answer.
    LostRequest,
    /// It is done, and the connection breaks without an answer.
    LostAnswer,
    /// It is done, and the connection breaks in the middle of the answer.
    CutAnswer,
    /// It is done, and the answer ends in the middle of what it says.
    GarbledAnswer,
    /// It is done, and a gateway answers 502 with nothing.
    BadGateway,
    /// Nothing is done, and the answer is 500 with a page of HTML.
    ServerError,
    /// Nothing is done: rate limited, in one of the vendor's forms of saying so, from 0.
    Throttled(usize),
    /// Nothing is done: the credentials are refused.
    Unauthorised,
}

/// A new provider, a way to see independently which addresses its emails reached, and ways to inject faults.
pub struct Fixture {
    provider: Arc<dyn EmailProvider>,
    delivered: Box<dyn Fn() -> Vec<EmailAddress> + Send + Sync>,
    inject: Option<Injector>,
    refuse: Option<Refuser>,
    clock: Option<ManualClock>,
}

impl Fixture {
    /// A provider that has sent nothing yet, and a function that returns the addresses of the emails delivered so far, one
    /// entry per email.
    pub fn new(
        provider: impl EmailProvider,
        delivered: impl Fn() -> Vec<EmailAddress> + Send + Sync + 'static,
    ) -> Self {
        let (provider, delivered) = (Arc::new(provider), Box::new(delivered));
        Self { provider, delivered, inject: None, refuse: None, clock: None }
    }

    /// Adds a function that injects a fault into the next call that sends, and returns whether it can. Without it the
    /// checks of faults are skipped.
    #[must_use]
    pub fn with_faults(mut self, inject: impl Fn(Fault) -> bool + Send + Sync + 'static) -> Self {
        self.inject = Some(Box::new(inject));
        self
    }

    /// Adds a function that makes the other side reject an address from then on. Without it the check of rejections is
    /// skipped.
    #[must_use]
    pub fn with_refusals(mut self, refuse: impl Fn(&EmailAddress) + Send + Sync + 'static) -> Self {
        self.refuse = Some(Box::new(refuse));
        self
    }

    /// Adds the clock of the provider and its other side, which should be at [`start`].
    #[must_use]
    pub fn with_clock(mut self, clock: ManualClock) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The current time.
    fn now(&self) -> DateTime<Utc> {
        self.clock.as_ref().map_or_else(start, Clock::now)
    }

    /// Advances the clock, if there is one.
    fn wait(&self, time: Duration) {
        if let Some(clock) = &self.clock {
            clock.advance(time);
        }
    }

    /// Injects a fault; returns whether it will happen.
    fn inject(&self, fault: Fault) -> bool {
        self.inject.as_ref().is_some_and(|inject| inject(fault))
    }

    /// How many emails reached each address, by normalised address.
    fn tally(&self) -> BTreeMap<String, usize> {
        let mut tally = BTreeMap::new();
        for address in (self.delivered)() {
            *tally.entry(address.normalised()).or_default() += 1;
        }
        tally
    }
}

impl fmt::Debug for Fixture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fixture").field("provider", &self.provider).finish_non_exhaustive()
    }
}

/// A broken clause of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The check that failed.
    pub check: &'static str,
    /// What was observed.
    pub seen: String,
}

type Verdict = Result<(), String>;

macro_rules! require {
    ($holds:expr, $($seen:tt)+) => {
        if !$holds {
            return Err(format!($($seen)+));
        }
    };
}

use require;

/// Passes the names of all checks to another macro of this crate.
#[doc(hidden)]
#[macro_export]
macro_rules! __provider_checks {
    ($then:ident, $($given:tt)*) => {
        $crate::$then! {
            [$($given)*]
            capabilities_are_coherent
            plan_covers_each_message_once_within_limits
            planning_is_pure
            unsupported_feature_is_refused_by_name
            send_returns_one_outcome_per_email
            accepted_email_is_delivered_once
            supported_feature_is_accepted
            repeated_key_has_no_second_effect
            settle_finds_delivered_emails
            settle_invents_no_deliveries
            check_sends_nothing
            dropped_features_are_allowed_and_listed
            output_shows_no_address
            lost_request_is_not_reported_as_answered
            lost_answer_is_unknown_and_settles_correctly
            lost_answer_settles_correctly_later
            rate_limit_defers_and_loses_nothing
            server_error_leaves_the_outcome_unknown
            rejected_credentials_stop_and_lose_nothing
            rejected_address_does_not_affect_others
        }
    };
}

/// Generates one test for each check: `provider_conformance!(acme, || Fixture::new(…))` makes a module `acme` of them, and
/// so does `provider_conformance!(acme, await || acme())` for a fixture that has to be waited for.
/// The caller needs tokio with `macros` and `rt`.
#[macro_export]
macro_rules! provider_conformance {
    ($module:ident, await $fresh:expr) => {
        $crate::__provider_checks! { __provider_tests, $module, $fresh }
    };
    ($module:ident, $fresh:expr) => {
        $crate::__provider_checks! { __provider_tests, $module, || std::future::ready(($fresh)()) }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __provider_tests {
    ([$module:ident, $fresh:expr] $($check:ident)+) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test]
                async fn $check() {
                    let fresh: $crate::testing::Fixture = ($fresh)().await;
                    let seen = $crate::testing::$check(&fresh).await;
                    assert!(seen.is_ok(), "{}", seen.unwrap_err());
                }
            )+
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __provider_violations {
    ([] $($check:ident)+) => {
        /// Runs every check on a provider of its own and returns those that failed.
        pub async fn violations(fresh: &(dyn Fn() -> Fixture + Sync)) -> Vec<Violation> {
            violations_of(&async || fresh()).await
        }

        /// As [`violations`], for fixtures that have to be waited for.
        pub async fn violations_of(fresh: &impl AsyncFn() -> Fixture) -> Vec<Violation> {
            let mut found = Vec::new();
            $(
                if let Err(seen) = $check(&fresh().await).await {
                    found.push(Violation { check: stringify!($check), seen });
                }
            )+
            found
        }
    };
}

__provider_checks! { __provider_violations, }

/// When the checks begin: noon of 26 October 2026, UTC. A provider that reads a clock should be given one that starts
/// there.
#[must_use]
pub fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_793_016_000, 0).unwrap_or_default()
}

fn address(number: usize) -> Result<EmailAddress, MessageError> {
    format!("reader{number}.canary@example.org").parse()
}

fn plain(number: usize) -> Result<Message, String> {
    build(number, |builder| Ok(builder.html("<p>Hello</p>").text("Hello")))
}

fn build(
    number: usize,
    with: impl Fn(crate::MessageBuilder) -> Result<crate::MessageBuilder, MessageError>,
) -> Result<Message, String> {
    let sender: Result<EmailAddress, MessageError> = "sender.canary@example.com".parse();
    let make = || {
        let builder = Message::builder(sender?.into(), address(number)?.into(), "Hello".parse()?);
        with(builder)?.build()
    };
    make().map_err(|error| format!("the check's own message is refused: {error}"))
}

fn outgoing(number: usize, message: Message) -> Outgoing {
    Outgoing { key: IdempotencyKey::from_text(&format!("conformance {number}")), message: Arc::new(message) }
}

/// The largest group that the provider takes, up to five emails.
fn group(fixture: &Fixture, first: usize) -> Result<Group, String> {
    let size = fixture.provider.capabilities().max_recipients.clamp(1, 5);
    let emails = (first..first + size)
        .map(|number| Ok(outgoing(number, plain(number)?)))
        .collect::<Result<_, String>>()?;
    Ok(Group::new(fixture.now(), emails))
}

async fn send(fixture: &Fixture, group: &Group) -> Result<Vec<Outcome>, String> {
    fixture.provider.send(group).await.map_err(|error| format!("an ordinary group failed: {error}"))
}

async fn settle(fixture: &Fixture, group: &Group) -> Result<Vec<Settlement>, String> {
    let settlements =
        fixture.provider.settle(group).await.map_err(|error| format!("settling failed: {error}"))?;
    let (emails, count) = (group.emails().len(), settlements.len());
    require!(count == emails, "{emails} emails gave {count} settlements");
    Ok(settlements)
}

fn all_accepted(outcomes: &[Outcome]) -> bool {
    outcomes.iter().all(|outcome| matches!(outcome, Outcome::Accepted { .. }))
}
