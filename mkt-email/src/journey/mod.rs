//! Journeys: event-driven sequences of emails, such as a welcome or the relaunch of a cart, durable and exact.
//!
//! A [`Definition`] says who enters, which steps follow (wait for a time, a trigger or a window of local time, branch,
//! send, exit), what ends it, and its rules: entering again, a cap over all journeys, quiet hours in the contact's zone,
//! a share of contacts that is held out. It is written in Rust or in TOML (docs/journeys.md has every key).
//! [`Journeys`] keeps it, and every contact's way through it, in the database of an [`Outbox`](crate::Outbox).
//!
//! ```
//! # #[cfg(feature = "sqlite")] {
//! use mkt_email::journey::{Definition, Journeys, Templates, Trigger};
//! use mkt_email::outbox::Consent;
//! use mkt_email::unsubscribe::UnsubscribeKeys;
//! use mkt_email::*;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::result::Result<(), Box<dyn std::error::Error>> {
//! let jean: EmailAddress = "jean@example.org".parse()?;
//! let clock = ManualClock::skipping("2026-10-26T09:00:00Z".parse()?);
//! let outbox = Outbox::in_memory().await?; // or Outbox::open("marketing.db")
//! outbox.record_consents(&[Consent::granted(jean.clone(), clock.now(), "sign-up form")]).await?;
//!
//! let journeys = Journeys::open(&outbox).await?;
//! journeys.define(&Definition::cart_relaunch()?, clock.now()).await?;
//! let cart = serde_json::json!({"currency": "EUR", "items": [{"name": "Teapot", "quantity": 1, "price": 39.9}]});
//! journeys.trigger(&[Trigger::new("cart_updated", jean, "cart-7", clock.now(), cart)?], clock.now()).await?;
//!
//! let keys = UnsubscribeKeys::new(&Secret::new("24 bytes or more from a key store"))?;
//! let templates = Templates::new("Shop <news@shop.example>".parse()?, "Shop", "https://shop.example/cart".parse()?)?
//!     .unsubscribe(keys, "https://shop.example/leave".parse()?)
//!     .value("offer", "10 %");
//! let until = "2026-10-28T09:00:00Z".parse()?;
//! let done = journeys.run(&templates, &clock, until, &Stop::new()).await?;
//! assert_eq!((done.sent, done.ended), (2, 1)); // the reminder after an hour, the promotion a day later
//!
//! let provider = Memory::new(); // or Smtp, Brevo, Mailgun, Maildir
//! outbox.run(&provider, &clock, &RunOptions::default()).await?;
//! # Ok(()) }
//! # main().unwrap();
//! # }
//! ```
//!
//! # Guarantees
//!
//! The process may be killed at any instruction, and several processes may advance the same journeys: no step is done
//! twice and none is lost. What a contact's instances decide, the emails that they enqueue and their new positions commit
//! together. When [`Journeys::trigger`] has returned, no email that the trigger forbids is enqueued any more, and one that
//! still waits in the outbox is cancelled when the journeys are next advanced.
//!
//! Triggers count by when they happened. As long as they are recorded before the journeys are advanced past that instant,
//! their order and their repetition change nothing. One that comes later counts from then on; what was sent stays sent.
//!
//! # Limits
//!
//! Of the triggers of one contact the latest 2 000, up to 2 MiB of payload, are looked at. Emails are enqueued when they
//! are due; sending is the [outbox's run](crate::Outbox::run). Only emails of journeys count for a cap.

mod compose;
mod condition;
mod decide;
mod definition;
#[cfg(feature = "chart")]
mod drawing;
pub(crate) mod engine;
mod handle;
mod report;
mod shipped;
mod span;
mod trigger;
mod validate;
mod whereabouts;
mod written;

#[cfg(test)]
mod tests;

pub use compose::{Composer, JourneyEmail, Templates};
pub use condition::{Condition, EventMatch, Of, Scalar, Test};
pub use definition::{
    Action, Cap, Definition, DefinitionBuilder, DefinitionError, ExitRule, Goal, Over, ReEntry, Scope, Step,
};
pub use handle::{Advanced, Journeys, Triggered};
pub use report::{Group, JourneyReport, Reached, Uplift};
pub use span::Window;
pub use trigger::Trigger;
pub use whereabouts::{InstanceState, StepCount, Whereabouts, WhereaboutsOptions};

const SERVICE: &str = "journey";
