//! Feedback that arrives by email: bounces, delays, complaints, requests to unsubscribe, automatic replies.
//!
//! | item | what it is |
//! |---|---|
//! | [`parse`] | the pure parser: one message in, a [`ParsedMessage`] out |
//! | [`FeedbackSource`] | a mailbox: [`MaildirSource`], [`MboxSource`], [`SingleSource`] (standard input), `ImapSource` (feature `imap`) |
//! | `FeedbackReader` | reads a mailbox into an outbox: matches, records, suppresses, marks |
//! | [`ReturnPathKeys`] | signed return paths (VERP) |
//!
//! # What is recognised
//!
//! - Delivery status notifications (RFC 3464), and what Postfix, Exim, OpenSMTPD, Gmail and Exchange make of them: Exim and
//!   OpenSMTPD write `Status: 5.0.0` whatever happened, and the code that tells is in `Diagnostic-Code` or in the text. The
//!   most specific code anywhere in the report counts.
//! - Reports in plain words: qmail, Yahoo after it, old Exim and Sendmail.
//! - Feedback reports (ARF, RFC 5965), and Outlook.com's own form.
//! - Emails to the `mailto:` of `List-Unsubscribe`, by their signed token.
//! - Delay notices, notices of delivery, automatic replies and forwarded bounces are told apart from bounces.
//!
//! # Limits
//!
//! The first 256 KiB of a message are read, three levels of multiparts, 16 parts of each, 1 000 recipients. Messages within
//! messages are not followed. Amazon SES replaces the `Message-ID` of what it relays: use signed return paths there.

mod code;
mod delivery_status;
mod feedback;
mod parse;
mod prose;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod reader;
mod return_path;
mod source;
mod structure;

pub use code::{BounceClass, StatusCode};
pub use feedback::{Feedback, ParsedMessage, RecipientReport, References, Unrecognised};
pub use parse::parse;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use reader::{FeedbackReader, FeedbackReport};
pub use return_path::ReturnPathKeys;
pub use source::{FeedbackSource, MaildirSource, Mark, MboxSource, RawMessage, SingleSource};
#[cfg(feature = "imap")]
pub use source::{ImapBuilder, ImapSource};
