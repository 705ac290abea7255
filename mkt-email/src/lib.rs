//! Say something to a person, once.
//!
//! | part | what it is for |
//! |---|---|
//! | [`EmailProvider`] | whoever carries mails away: one trait, capabilities as data, one outcome per recipient |
//! | [`Maildir`], [`Memory`] | a directory of `.eml` files, the provider without an account; mails kept in memory, with scripted misbehaviour |
//! | `Smtp` | any SMTP server, Gmail: over kept connections, with an answer for each recipient (feature `smtp`) |
//! | `Brevo`, `Mailgun` | vendors behind HTTP: batches, idempotency keys or look-ups, throttling in each of its forms (feature `http`) |
//! | [`Message`] | what is said: types that cannot hold a line break where one would forge a header |
//! | [`Template`] | minijinja, strict and escaped; welcome and cart relaunch mails in French and English |
//! | [`Subscribers`] | people from a CSV file, row by row; bad rows are set aside with their line |
//! | [`UnsubscribeKeys`] | signed links to unsubscribe with one click (RFC 8058) |
//! | `Outbox` | the durable heart: one row per recipient, sent once, whatever happens to the process (feature `sqlite`: in a file; `postgres`: on a server) |
//! | `testing` | the provider contract, executed (feature `testing`) |
//!
//! # What is promised
//!
//! The process may be killed at any instruction. Then, after the next run, **nobody is lost and nobody is mailed twice
//! by us**: a mail whose call was on the wire when the process died is settled by asking the provider, and where the
//! provider cannot tell it is reported `unknown` and never sent again. `sent + failed + suppressed + cancelled +
//! unknown + pending = recipients` holds at every instant (`Outbox::counts`, one query). After an unsubscription is
//! recorded, no mail that it covers is claimed or marked for sending any more, nor asked about where asking may send; what
//! was marked before, for a call that begins at once, may still go. No address appears in an error or a `Debug` text.
//!
//! # From a file of sign-ups to mails on disk
//!
//! ```
//! use mkt_connect::Secret;
//! use mkt_email::*;
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let (out, file) = (directory.path(), "email,prenom,date_inscription\njean@example.org,Jean,2025-01-15\neve@example.org,,\n");
//! let clock = ManualClock::skipping("2026-10-26T23:59:59Z".parse()?); // or SystemClock::new()
//! let outbox = Outbox::open(out.join("marketing.db")).await?;
//! let template = Template::welcome(Language::French)?;
//! let sender: Mailbox = "La Boutique <bonjour@boutique.example>".parse()?;
//! let keys = UnsubscribeKeys::new(&Secret::new("24 bytes or more from a key store"))?;
//! let leave = "https://boutique.example/leave".parse()?;
//!
//! let (mut consents, mut mails, mut quarantined) = (Vec::new(), Vec::new(), 0);
//! for row in Subscribers::read(file.as_bytes())? {
//!     let Row::Subscriber(person) = row? else { continue }; // duplicates and bad rows are counted by the reader
//!     let prenom = person.prenom.as_ref().map(|name| name.as_str().to_owned());
//!     let context = Welcome { prenom, site: "La Boutique".into(), link: "https://boutique.example/".into() };
//!     match template.render(&context) {
//!         Err(_) => quarantined += 1, // nobody gets "Bienvenue  !", the others go
//!         Ok(mail) => {
//!             let message = Message::builder(sender.clone(), person.email.clone().into(), mail.subject)
//!                 .html(mail.html)
//!                 .text(mail.text)
//!                 // Marketing mail must have one; who follows it need not log in.
//!                 .list_unsubscribe(keys.link(&leave, &UnsubscribeClaim::marketing(&person.email, "welcome"))?)
//!                 .build()?;
//!             mails.push(NewMail::marketing(DedupKey::for_address("welcome", &person.email), message));
//!             consents.push(Consent::granted(person.email, clock.now(), "inscrits.csv"));
//!         }
//!     }
//! }
//! outbox.record_consents(&consents).await?;
//! outbox.enqueue(&mails, clock.now()).await?;
//!
//! let maildir = Maildir::open(out.join("mails"))?;
//! let report = outbox.run(&maildir, &clock, &RunOptions::default()).await?;
//! outbox.write_send_log(out.join("send.ndjson")).await?;
//! assert_eq!((report.accepted, quarantined), (1, 1));
//!
//! // A second time nothing is sent.
//! let again = outbox.enqueue(&mails, clock.now()).await?;
//! assert!(matches!(again[0], Enqueued::AlreadyThere(_, State::Accepted)));
//! assert_eq!(outbox.run(&maildir, &clock, &RunOptions::default()).await?.accepted, 0);
//! # Ok(()) }
//! ```
//!
//! # What it does not do
//!
//! It does not deliver: a provider's `Accepted` means that the provider has the mail, not that the recipient has. It
//! draws nothing, schedules nothing by itself, starts no runtime and reads no clock but the one it is given.

#[cfg(feature = "http")]
mod brevo;
mod id;
mod maildir;
#[cfg(feature = "http")]
mod mailgun;
mod memory;
mod message;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod outbox;
mod provider;
#[cfg(feature = "smtp")]
mod smtp;
mod subscribers;
mod template;
#[cfg(feature = "testing")]
pub mod testing;
mod unsubscribe;
#[cfg(feature = "http")]
mod vendor;

#[cfg(feature = "http")]
pub use brevo::{Brevo, BrevoBuilder};
pub use id::{IdempotencyKey, MailId};
pub use maildir::Maildir;
#[cfg(feature = "http")]
pub use mailgun::{Mailgun, MailgunBuilder, Region};
pub use memory::{Delivered, Memory, Script};
pub use message::{
    Attachment, DisplayName, EmailAddress, FileName, HeaderName, HeaderValue, ListUnsubscribe, Mailbox,
    Message, MessageBuilder, Part, Subject, Tag, Unfit, VendorTemplate,
};
pub use mkt_connect::Stop;
pub use mkt_connect::clock::{Clock, ManualClock, SystemClock};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use outbox::{
    Budget, Consent, ConsentScope, Counts, DedupKey, DryRun, Enqueued, Erased, ErasedSuppression, NewMail,
    Outbox, Purpose, RunOptions, RunReport, State, Suppression, SuppressionImport, SuppressionProblem,
    SuppressionReason, SuppressionRow, SuppressionRowError, SuppressionScope, Suppressions,
};
pub use provider::{
    Capabilities, Degrade, Dropped, EmailProvider, EmailProviderExt, Feature, Group, Idempotency, Outcome,
    Outgoing, Plan, Refusal, RejectReason, Scope, Settlement, Stage,
};
#[cfg(feature = "smtp")]
pub use smtp::{Smtp, SmtpBuilder, Timeouts, TokenSource};
pub use subscribers::{Columns, Row, RowCounts, RowError, RowProblem, Subscriber, Subscribers};
pub use template::{
    CartItem, CartRelaunch, Language, MAX_ITEMS, Rendered, Template, TemplateError, Welcome, format_money,
    text_of_html,
};
pub use unsubscribe::{UnsubscribeClaim, UnsubscribeKeys, UnsubscribeRefusal, UnsubscribeScope};
