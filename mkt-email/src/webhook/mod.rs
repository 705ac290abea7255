//! Receives what vendors report, and the links that people follow (feature `webhook`, axum).
//!
//! | item | what it is |
//! |---|---|
//! | [`WebhookServer`] | routes over an outbox: webhooks, unsubscribe and confirmation pages, health |
//! | [`BrevoWebhook`] | how calls of Brevo are recognised: bearer token, basic credentials, a header, IP ranges |
//! | [`MailgunWebhook`] | how calls of Mailgun are recognised: HMAC and a token that is valid once |
//! | [`WebhookRefusal`] | why a call has no effect |
//!
//! # What an answer means
//!
//! 200 is sent after the events, and what follows from them, are committed. Calls that arrive while a commit is under
//! way share the next one. Answers are such that a vendor neither drops an event nor floods:
//!
//! | case | Brevo | Mailgun |
//! |---|---|---|
//! | stored, or known already | 200 | 200 |
//! | the outbox cannot be written, or too many calls at once | 429: any other 4xx ends its retries, and a 5xx may | 503: retried for eight hours |
//! | not authenticated, or replayed with another body | 401 | 406: not retried |
//! | authenticated and not an event | 200: kept as [`EventKind::Unknown`](crate::event::EventKind::Unknown) with its payload | the same |
//! | body too large | 413 | 406 |
//!
//! # What each scheme proves
//!
//! - **Brevo signs nothing.** A bearer token, basic credentials or a header of one's own prove that the caller knows
//!   the secret; IP ranges, that the call comes from Brevo's network, for which any Brevo customer can cause calls.
//!   Nothing proves that a body was not altered on the way except TLS, and nothing tells a replay from a retry: a
//!   replayed event is known by what it says and changes nothing.
//! - **Mailgun signs a timestamp and a token, not the body.** The signature proves that Mailgun made this pair. Who sees
//!   one pair could attach another body to it: so a token is taken once, and its repetition only with the same bytes. A
//!   pair that is seen before its first use can be used with any body: TLS must end at a host that you trust.
//!
//! So serve behind a proxy that ends TLS; it should also limit how long a head may take.

mod brevo;
mod mailgun;
mod multipart;
mod page;
mod secret;
mod server;
mod writer;

pub use brevo::{BREVO_RANGES, BrevoWebhook, BrevoWebhookBuilder, IpRange};
pub use mailgun::MailgunWebhook;
pub use server::{WebhookServer, WebhookServerBuilder};

const SERVICE: &str = "webhook";

/// Why a call has no effect. It repeats nothing of the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookRefusal {
    /// Credential or signature are missing or wrong.
    #[error("the call is not authenticated")]
    Forged,
    /// Signed, too long ago or in the future.
    #[error("the signature is too old, or of the future")]
    Stale,
    /// The token came before, with another body.
    #[error("the token was used before")]
    Replayed,
    /// The call comes from an address outside of the allowed ranges.
    #[error("the call comes from another network")]
    Network,
}
