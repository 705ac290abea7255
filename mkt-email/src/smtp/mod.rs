//! SMTP: any submission server, and Gmail. An own client over pooled connections; lettre builds the messages, rustls
//! encrypts. Limits: no MX look-up (it connects to one server), one recipient per transaction, no fallback to plain text
//! where TLS is required.
//!
//! | file | contents |
//! |---|---|
//! | `builder`, `settings` | host, credentials, time limits |
//! | `wire`, `reply`, `content` | bytes: replies are read, content is written |
//! | `connection`, `auth` | TCP, TLS, `EHLO`, credentials |
//! | `transaction` | one email |
//! | `error` | the meaning of replies |
//! | `pool` | reused connections |

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
/// The delay of the rest of a call if the server fails in the middle of it.
const REST: Duration = Duration::from_mins(1);

/// An SMTP provider: one transaction per email, over pooled connections.
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
/// # Delivery
///
/// - Until the end of the content is written, nothing was accepted: a lost connection or a time-out gives
///   [`Outcome::Deferred`].
/// - After it, only the server knows: [`Outcome::Unknown`] with [`Stage::AwaitingAnswer`](crate::provider::Stage), and
///   [`settle`](EmailProvider::settle) cannot find out more (RFC 1047). An outbox does not send such an email again. The
///   attempts of an email differ in their `Message-ID`; repeat one by hand with the same key, by which most receivers
///   recognise it.
/// - 4yz and 5yz are classified by their enhanced codes (RFC 3463) and by scope: the recipient, or the account (421, 4.7.x,
///   Gmail's 5.4.5), which defers the rest of a call too. Wrong credentials are an error of the call.
/// - A reused connection is replaced once per email if the server closed it in the meantime, or answers 4yz to the sender:
///   nothing but a sender was given to it by then.
/// - A connection is replaced after eight negative replies, before Postfix slows it down.
///
/// The id of an accepted email is its `Message-ID`: queue numbers have no common form.
///
/// Clones share the connections. An outbox uses several according to its `RunOptions::calls_in_flight`, and renews its
/// lease while a call lasts (see [`Timeouts`]).
#[derive(Clone)]
pub struct Smtp(Arc<Inner>);

struct Inner {
    account: String,
    capabilities: Capabilities,
    settings: Settings,
    pool: Pool,
}

impl Smtp {
    /// A server by its host. Default: STARTTLS on port 587.
    pub fn builder(host: &str) -> SmtpBuilder {
        SmtpBuilder::new(host)
    }

    /// A server by its URL: `smtps://user:password@host:465` for implicit TLS,
    /// `smtp://user:password@host:587` for STARTTLS, which is required; `smtp://host:25?tls=none` for no encryption,
    /// with credentials only on this machine. Characters such as `@` and `:` in the user or the password are
    /// percent-encoded.
    ///
    /// # Errors
    /// [`ErrorKind::Config`]; the error does not contain the URL.
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
        // Google limits connections too; two are enough for a few thousand emails a day.
        Self::builder("smtp.gmail.com").port(465).implicit_tls().connections(2)
    }

    /// Sends QUIT on all connections and waits up to two seconds for the answers. Later calls fail. Without it,
    /// connections are closed without QUIT when the last clone is dropped.
    pub async fn close(&self) {
        self.0.pool.close().await;
    }

    /// The number of idle connections.
    #[must_use]
    pub fn resting_connections(&self) -> usize {
        self.0.pool.resting()
    }

    /// Sends one email, on the connection in hand, an idle one or a new one.
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
            // The message is at fault, not the server.
            Err(error) => {
                let detail = error.detail().unwrap_or("the mail cannot be built").to_owned();
                return Ok(Outcome::Rejected { reason: RejectReason::Other, detail });
            }
        };
        let signed = settings.return_paths.as_ref().map(|keys| keys.path(email.key));
        let unsigned = settings.bounces_to.as_ref().unwrap_or(&message.from().address).as_str();
        let sender = signed.as_deref().unwrap_or(unsigned);
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
            match end {
                // The next turn has a new connection, so there is no third.
                Ok(End::Stale(_)) if reused => {
                    tracing::debug!("the server is done with a reused connection, opening a new one");
                    connection.quit(Duration::ZERO).await;
                    continue;
                }
                _ if connection.sound => *hand = Some(connection),
                _ => {}
            }
            return match end? {
                End::Answered(outcome) => Ok(outcome),
                End::Stale(fault) => Ok(cut_off(&fault, at)),
            };
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
                // The account is deferred: the rest of the call is not offered.
                Ok(Outcome::Deferred { scope: Scope::Account, retry_at, detail }) => {
                    let unoffered = Outcome::NotOffered { retry_at, detail: detail.clone() };
                    outcomes.push(Outcome::Deferred { scope: Scope::Account, retry_at, detail });
                    outcomes.resize(group.emails().len(), unoffered);
                    break;
                }
                Ok(outcome) => outcomes.push(outcome),
                Err(error) if outcomes.is_empty() => return Err(error),
                // Earlier emails have their outcomes, so the call as a whole cannot fail; this email and those after it
                // were not offered.
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

    /// Connects, authenticates, sends `NOOP` and `QUIT`.
    async fn check(&self) -> Result<()> {
        const CHECK: &str = "check";
        let settings = &self.0.settings;
        let Some(_place) = self.0.pool.place().await else {
            return Err(
                Error::new(ErrorKind::Cancelled, SERVICE, CHECK).with_detail("the provider is closed")
            );
        };
        // The permit may belong to an idle connection.
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
