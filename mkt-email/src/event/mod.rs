//! What became of an email after it was sent: one vocabulary for every vendor, for bounces by SMTP, and for links.
//!
//! | item | what it is |
//! |---|---|
//! | [`EventKind`] | what happened |
//! | [`EmailEvent`] | one event: what, when, to whom, of which email, and the payload it was read from |
//! | [`EventId`] | the key of an event: the same event has the same id, however often and by whichever way it arrives |
//!
//! `Outbox::record_events` keeps events and applies what follows from them.

mod email_event;
mod id;
mod kind;

pub use email_event::EmailEvent;
pub use id::EventId;
pub use kind::{EventKind, OpenedBy};
