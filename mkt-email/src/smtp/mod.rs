//! SMTP: any server that takes emails, and Gmail. The dialogue is our own, over kept connections; lettre builds the
//! emails, rustls encrypts. What it will not do: look up who receives email for a domain (it talks to one server), send
//! to several recipients at once, or go on in the clear where TLS was asked for.
//!
//! | file | what is in it |
//! |---|---|
//! | `builder`, `settings` | where to send, as whom, how long to wait |
//! | `wire`, `reply`, `content` | bytes: replies in, emails out |
//! | `connection`, `auth` | TCP, TLS, `EHLO`, credentials |
//! | `transaction` | one email |
//! | `error` | what a reply means |
//! | `pool` | connections kept for the next email |

mod auth;
mod builder;
mod connection;
mod content;
mod error;
mod pool;
mod reply;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;
mod transaction;
mod wire;

pub use auth::TokenSource;
pub use builder::SmtpBuilder;
pub use settings::Timeouts;

use crate::provider::{Capabilities, Group, Outgoing, RejectReason, Scope};
use crate::{EmailProvider, Outcome};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use connection::Connection;
use error::{cut_off, unreachable, unwilling};
use mkt_connect::clock::later;
use mkt_connect::{Error, ErrorKind, Result, Secret};
use pool::Pool;
use settings::Settings;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use transaction::{End, Parcel};

const SERVICE: &str = "smtp";
/// How long the rest of a call waits when the server fails in the middle of it.
const REST: Duration = Duration::from_mins(1);

/// Sends emails to an SMTP server, one transaction each, over connections that it keeps.
///
/// ```
/// use mkt_connect::Secret;
/// use mkt_email::Smtp;
///
/// let smtp = Smtp::from_url(&Secret::new("smtps://shop:s3cret@email.example.com"))?.build()?;
/// let gmail = Smtp::gmail("shop@gmail.com", Secret::new("abcd efgh ijkl mnop")).build()?;
/// let relay = Smtp::builder("127.0.0.1").port(2525).unencrypted().connections(16).build()?;
/// # Ok::<(), mkt_connect::Error>(())
/// ```
///
/// # What an answer is worth
///
/// - Before the end of an email is written, nothing was accepted: a connection that is lost there, or a silence, gives
///   [`Outcome::Deferred`].
/// - After it, only the server knows: [`Outcome::Unknown`] with [`Stage::AwaitingAnswer`](crate::provider::Stage), and
///   [`settle`](EmailProvider::settle) never finds out more (RFC 1047). An outbox does not send such an email again. All
///   attempts of an email differ in their `Message-ID`; whoever repeats one by hand should do so with the same key, by
///   which most receivers recognise it.
/// - 4yz and 5yz are told apart by their enhanced codes (RFC 3463) and by who was concerned: the recipient, or the
///   account (421, 4.7.x, Gmail's 5.4.5), with which the rest of a call waits too. Wrong credentials are an error of the
///   call, and no email's fault.
/// - A kept connection that the server closed in the meantime is replaced once per email, before the server has seen
///   anything of it but a sender.
///
/// The id of an accepted email is its `Message-ID`: queue numbers have no common form.
///
/// Clones share the connections. An outbox makes use of several where its `RunOptions::calls_in_flight` says so, and
/// prolongs its lease while a call lasts, however long (see [`Timeouts`]).
#[derive(Clone)]
pub struct Smtp(Arc<Inner>);

struct Inner {
    account: String,
    capabilities: Capabilities,
    settings: Settings,
    pool: Pool,
}

impl Smtp {
    /// A server: STARTTLS on port 587 unless told otherwise.
    pub fn builder(host: &str) -> SmtpBuilder {
        SmtpBuilder::new(host)
    }

    /// A server by its URL: `smtps://user:password@host:465` for TLS from the first byte,
    /// `smtp://user:password@host:587` for STARTTLS, which is required; `smtp://host:25?tls=none` for no encryption,
    /// with credentials only on this machine. Characters such as `@` and `:` in the user or the password are
    /// percent-encoded.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], which never repeats the URL.
    pub fn from_url(url: &Secret) -> Result<SmtpBuilder> {
        SmtpBuilder::from_url(url)
    }

    /// Gmail and Google Workspace, with an [app password](https://support.google.com/accounts/answer/185833). The
    /// spaces in which Google shows it may stay.
    ///
    /// Limits (<https://support.google.com/a/answer/166852>, 2026-11): 2 000 emails a day, 500 for consumers and trials,
    /// over a rolling window; beyond them emails are deferred by a day.
    #[expect(clippy::needless_pass_by_value, reason = "the same form as `login`")]
    pub fn gmail(user: &str, app_password: Secret) -> SmtpBuilder {
        let password = Secret::new(app_password.expose().replace(' ', ""));
        Self::google().login(user, password)
    }

    /// Gmail and Google Workspace, with OAuth 2 (scope `https://mail.google.com/`).
    pub fn gmail_oauth(user: &str, source: impl TokenSource) -> SmtpBuilder {
        Self::google().xoauth2(user, source)
    }

    fn google() -> SmtpBuilder {
        // Google counts connections too; a few are plenty for a few thousand emails a day.
        Self::builder("smtp.gmail.com").port(465).implicit_tls().connections(2)
    }

    /// Says goodbye on all connections and waits for the answers, two seconds at most. Later calls fail; without it
    /// connections end when the last clone is dropped, without a word.
    pub async fn close(&self) {
        self.0.pool.close().await;
    }

    /// How many connections are kept and not in use.
    #[must_use]
    pub fn resting_connections(&self) -> usize {
        self.0.pool.resting()
    }

    /// Hands one email over, on the connection in hand, a kept one or a new one.
    async fn carry(
        &self,
        email: &Outgoing,
        at: DateTime<Utc>,
        hand: &mut Option<Connection>,
    ) -> Result<Outcome> {
        let Inner { settings, pool, .. } = &*self.0;
        let message = &*email.message;
        let own = if settings.labels_in_headers { labels(message) } else { Vec::new() };
        let bytes = match message.to_mime_with(email.key, at, &own) {
            Ok(bytes) => bytes,
            // The message's trouble, not the server's.
            Err(error) => {
                let detail = error.detail().unwrap_or("the mail cannot be built").to_owned();
                return Ok(Outcome::Rejected { reason: RejectReason::Other, detail });
            }
        };
        let sender = settings.bounces_to.as_ref().unwrap_or(&message.from().address).as_str();
        let parcel = Parcel { message, sender, bytes: &bytes, id: message.message_id(email.key), at };
        let mut kept = match hand.take() {
            Some(connection) if pool.is_worn(&connection) => {
                connection.quit(Duration::ZERO).await;
                None
            }
            Some(connection) => Some(connection),
            None => pool.take().await,
        };
        loop {
            let (mut connection, reused) = match kept.take() {
                Some(connection) => (connection, true),
                None => (Box::pin(Connection::open(settings)).await?, false),
            };
            let end = connection.hand_over(&parcel, &settings.timeouts).await;
            if connection.sound {
                *hand = Some(connection);
            }
            match end? {
                End::Answered(outcome) => return Ok(outcome),
                // The next turn has a new connection, so there is no third.
                End::Stale(_) if reused => tracing::debug!("a kept connection was closed, making a new one"),
                End::Stale(fault) => return Ok(cut_off(&fault, at)),
            }
        }
    }
}

fn labels(message: &crate::Message) -> Vec<(String, String)> {
    let mut own = Vec::new();
    if !message.tags().is_empty() {
        let tags: Vec<_> = message.tags().iter().map(crate::message::Tag::as_str).collect();
        own.push(("X-Mkt-Tag".to_owned(), tags.join(", ")));
    }
    own.extend(message.metadata().iter().map(|(key, value)| (format!("X-Mkt-Meta-{key}"), value.clone())));
    own
}

#[async_trait]
impl EmailProvider for Smtp {
    fn name(&self) -> &'static str {
        SERVICE
    }

    fn account(&self) -> &str {
        &self.0.account
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        let pool = &self.0.pool;
        let Some(_place) = pool.place().await else {
            return Err(
                Error::new(ErrorKind::Cancelled, SERVICE, "send").with_detail("the provider is closed")
            );
        };
        let mut outcomes = Vec::with_capacity(group.emails().len());
        let mut hand = None;
        for email in group.emails() {
            match self.carry(email, group.at(), &mut hand).await {
                // Whoever is told to slow down does not go on with the rest, which was never offered.
                Ok(Outcome::Deferred { scope: Scope::Account, retry_at, detail }) => {
                    let unoffered = Outcome::NotOffered { retry_at, detail: detail.clone() };
                    outcomes.push(Outcome::Deferred { scope: Scope::Account, retry_at, detail });
                    outcomes.resize(group.emails().len(), unoffered);
                    break;
                }
                Ok(outcome) => outcomes.push(outcome),
                Err(error) if outcomes.is_empty() => return Err(error),
                // Emails before this one have their answers, so the call as a whole cannot fail; for this one and those
                // after it, it did.
                Err(error) => {
                    let retry_at = later(group.at(), error.retry_after().unwrap_or(REST));
                    let unoffered = Outcome::NotOffered { retry_at, detail: error.to_string() };
                    outcomes.resize(group.emails().len(), unoffered);
                    break;
                }
            }
        }
        if let Some(connection) = hand {
            pool.keep(connection).await;
        }
        Ok(outcomes)
    }

    /// Connects, proves who it is, says `NOOP` and goodbye.
    async fn check(&self) -> Result<()> {
        const CHECK: &str = "check";
        let settings = &self.0.settings;
        let Some(_place) = self.0.pool.place().await else {
            return Err(
                Error::new(ErrorKind::Cancelled, SERVICE, CHECK).with_detail("the provider is closed")
            );
        };
        // The place in hand may be that of a connection which rests.
        if let Some(resting) = self.0.pool.take().await {
            resting.quit(Duration::ZERO).await;
        }
        let mut connection = Box::pin(Connection::open(settings)).await?;
        let within = settings.timeouts.command;
        connection.wire.write(b"NOOP\r\n", within).await.map_err(|fault| unreachable(CHECK, fault))?;
        let reply = connection.wire.reply(within).await.map_err(|fault| unreachable(CHECK, fault))?;
        connection.quit(Duration::from_secs(1)).await;
        if reply.is_yes() { Ok(()) } else { Err(unwilling(CHECK, &reply)) }
    }
}

impl fmt::Debug for Smtp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Smtp")
            .field("account", &self.0.account)
            .field("security", &self.0.settings.security)
            .field("credentials", &self.0.settings.credentials)
            .finish_non_exhaustive()
    }
}
