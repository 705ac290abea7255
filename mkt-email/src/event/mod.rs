//! What became of an email after it was sent: one vocabulary for every vendor, for bounces by SMTP, and for links.
//!
//! | item | what it is |
//! |---|---|
//! | [`EventKind`] | what happened |
//! | [`EmailEvent`] | one event: what, when, to whom, of which email, and the payload it was read from |
//! | [`EventId`] | the key of an event: the same event has the same id, however often and by whichever way it arrives |
//!
//! `Outbox::record_events` keeps events and applies what follows from them.

mod brevo;
mod email_event;
mod id;
mod kind;
mod mailgun;
mod reading;

pub use email_event::EmailEvent;
pub use id::EventId;
pub use kind::{EventKind, OpenedBy};
#[cfg(feature = "webhook")]
pub(crate) use mailgun::read as read_mailgun_value;
#[cfg(feature = "webhook")]
pub(crate) use mailgun::read_fields as read_mailgun_fields;
