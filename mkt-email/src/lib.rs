#![doc = include_str!("../README.md")]
//!
//! # Contents
//!
//! | item | purpose |
//! |---|---|
//! | [`EmailProvider`] | the trait of all providers: capabilities as data, one [`Outcome`] per recipient |
//! | [`Maildir`], [`Memory`] | writes `.eml` files to a directory; keeps emails in memory, with scripted failures |
//! | `Smtp` | any SMTP server, Gmail presets, pooled connections (feature `smtp`) |
//! | `Brevo`, `Mailgun` | HTTP APIs with batches, idempotency keys or log look-ups, rate limits (feature `http`) |
//! | [`Message`], [`message`] | a rendered email; header types that make header injection impossible |
//! | [`Template`], [`template`] | minijinja templates, strict and escaped; built-in welcome and cart emails in French and English |
//! | [`Subscribers`], [`subscribers`] | reads people from a CSV file, one row at a time; bad rows are quarantined with their line |
//! | [`bounce`] | reads bounces, complaints and unsubscriptions that arrive by email; IMAP with feature `imap` |
//! | [`unsubscribe`], [`confirm`] | signed one-click unsubscribe links (RFC 8058), confirmation links (double opt-in) |
//! | [`event`] | what became of emails: one vocabulary for every vendor, bounces and links |
//! | `Outbox`, `outbox` | a durable queue in SQLite (feature `sqlite`) or PostgreSQL (feature `postgres`), with consent and suppressions |
//! | `webhook` | receives webhooks of Brevo and Mailgun, unsubscribe and confirmation links (feature `webhook`) |
//! | `journey` | event-driven sequences of emails: definitions in TOML or Rust, durable, exact (feature `journey`) |
//! | `testing` | the conformance suite for providers, and fakes of vendors (feature `testing`) |
//!
//! # Guarantees
//!
//! The process may be killed at any instruction. After the next run **no recipient is lost and none is sent the same
//! email twice by us**: an email whose call was in progress is settled by asking the provider, and where the provider
//! cannot tell it is reported `unknown` and never sent again. `sent + failed + suppressed + cancelled + unknown +
//! pending = recipients` holds at every instant (`Outbox::counts`, one query). Once an unsubscription is recorded, no
//! email that it covers is claimed or marked for sending; calls marked before may still complete. No address appears in
//! an error or a `Debug` text.
//!
//! # From a file of sign-ups to emails on disk
//!
//! ```
//! # #[cfg(feature = "sqlite")] {
//! use mkt_email::outbox::Consent;
//! use mkt_email::subscribers::Row;
//! use mkt_email::template::{Language, Welcome};
//! use mkt_email::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys};
//! use mkt_email::*;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> mkt_email::Result<()> {
//! # let directory = tempfile::tempdir().unwrap();
//! # let (out, file) = (directory.path(), "email,prenom,date_inscription\njean@example.org,Jean,2025-01-15\neve@example.org,,\n");
//! let clock = ManualClock::skipping("2026-10-26T23:59:59Z".parse().unwrap()); // or SystemClock::new()
//! let outbox = Outbox::open(out.join("marketing.db")).await?;
//! let template = Template::welcome(Language::French)?;
//! let sender: Mailbox = "La Boutique <bonjour@boutique.example>".parse()?;
//! let keys = UnsubscribeKeys::new(&Secret::new("24 bytes or more from a key store"))?;
//! let leave = "https://boutique.example/leave".parse().unwrap();
//!
//! let (mut consents, mut emails, mut quarantined) = (Vec::new(), Vec::new(), 0);
//! for row in Subscribers::read(file.as_bytes())? {
//!     let Row::Subscriber(person) = row? else { continue }; // duplicates and bad rows are counted by the reader
//!     let first_name = person.first_name.as_ref().map(|name| name.as_str().to_owned());
//!     let context = Welcome { first_name, site: "La Boutique".into(), link: "https://boutique.example/".into() };
//!     match template.render(&context) {
//!         Err(_) => quarantined += 1, // a missing first name never becomes "Bienvenue  !"
//!         Ok(rendered) => {
//!             let link = keys.link(&leave, &UnsubscribeClaim::marketing(&person.email, "welcome"))?;
//!             let message = Message::builder(sender.clone(), person.email.clone().into(), rendered.subject)
//!                 .html(rendered.html)
//!                 .text(rendered.text)
//!                 .list_unsubscribe(link) // required for marketing email
//!                 .build()?;
//!             emails.push(NewEmail::marketing(DedupKey::for_address("welcome", &person.email), message));
//!             consents.push(Consent::granted(person.email, clock.now(), "inscrits.csv"));
//!         }
//!     }
//! }
//! outbox.record_consents(&consents).await?;
//! outbox.enqueue(&emails, clock.now()).await?;
//!
//! let maildir = Maildir::open(out.join("emails"))?;
//! let report = outbox.run(&maildir, &clock, &RunOptions::default()).await?;
//! outbox.write_send_log(out.join("send.ndjson")).await?;
//! assert_eq!((report.accepted, quarantined), (1, 1));
//!
//! // Running again sends nothing.
//! let again = outbox.enqueue(&emails, clock.now()).await?;
//! assert!(matches!(again[0], Enqueued::AlreadyThere(_, State::Accepted)));
//! assert_eq!(outbox.run(&maildir, &clock, &RunOptions::default()).await?.accepted, 0);
//! # Ok(()) }
//! # }
//! ```
//!
//! # Limits
//!
//! `Accepted` means that the provider has the email, not that the recipient has it. The crate starts no runtime,
//! schedules nothing by itself, and reads only the clock it is given (`send_now` and defaults of builders: the system
//! clock).

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod bounce;
#[cfg(feature = "http")]
mod brevo;
pub mod confirm;
pub mod deliverability;
pub mod event;
mod id;
#[cfg(all(feature = "journey", any(feature = "sqlite", feature = "postgres")))]
pub mod journey;
mod maildir;
#[cfg(feature = "http")]
mod mailgun;
mod memory;
pub mod message;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub mod outbox;
pub mod provider;
mod signing;
#[cfg(feature = "smtp")]
mod smtp;
pub mod subscribers;
pub mod template;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(any(feature = "smtp", feature = "imap"))]
mod tls;
pub mod unsubscribe;
#[cfg(feature = "http")]
mod vendor;
#[cfg(all(feature = "webhook", any(feature = "sqlite", feature = "postgres")))]
pub mod webhook;

/// For implementors of [`EmailProvider`]: `#[mkt_email::async_trait]` on the `impl` block.
pub use async_trait::async_trait;
#[cfg(feature = "http")]
pub use brevo::{Brevo, BrevoBuilder};
pub use id::{EmailId, IdempotencyKey};
pub use maildir::Maildir;
#[cfg(feature = "http")]
pub use mailgun::{Mailgun, MailgunBuilder, Region};
pub use memory::{Delivered, Memory, Script};
pub use message::address::{EmailAddress, Mailbox};
pub use message::builder::{Message, MessageBuilder};
pub use mkt_connect::clock::{Clock, ManualClock, SystemClock};
pub use mkt_connect::{Delivery, Error, ErrorKind, Result, Secret, Stop};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use outbox::{
    enqueue::{DedupKey, Enqueued, NewEmail},
    handle::Outbox,
    options::{RunOptions, RunReport},
    reading::counts::Counts,
    state::State,
};
pub use provider::email_provider::{EmailProvider, EmailProviderExt};
pub use provider::outcome::Outcome;
#[cfg(feature = "smtp")]
pub use smtp::{Smtp, SmtpBuilder, Timeouts, TokenSource};
pub use subscribers::reader::{Subscriber, Subscribers};
pub use template::engine::Template;
