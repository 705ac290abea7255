//! The builder of [`Smtp`]: from a host, a URL or a preset.

use super::auth::{Credentials, TokenSource};
use super::pool::{Pool, Wear};
use super::settings::{Security, Settings, Timeouts, is_loopback, tls};
use super::{Inner, SERVICE, Smtp};
use crate::EmailAddress;
use crate::bounce::ReturnPathKeys;
use crate::id::IdempotencyKey;
use crate::message::Feature;
use crate::provider::{Capabilities, Idempotency};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use percent_encoding::percent_decode_str;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Builder of [`Smtp`]. Created by [`Smtp::builder`], [`Smtp::from_url`] and the presets.
#[derive(Clone)]
#[must_use]
pub struct SmtpBuilder {
    host: String,
    port: Option<u16>,
    security: Security,
    credentials: Option<Credentials>,
    in_the_clear: bool,
    trusted: Option<Vec<u8>>,
    hello_name: Option<String>,
    bounces_to: Option<EmailAddress>,
    return_paths: Option<ReturnPathKeys>,
    labels_in_headers: bool,
    connections: usize,
    mails_per_call: usize,
    max_message_bytes: Option<usize>,
    wear: Wear,
    timeouts: Timeouts,
}

impl SmtpBuilder {
    pub(super) fn new(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            port: None,
            security: Security::StartTls,
            credentials: None,
            in_the_clear: false,
            trusted: None,
            hello_name: None,
            bounces_to: None,
            return_paths: None,
            labels_in_headers: false,
            connections: 4,
            mails_per_call: 1,
            max_message_bytes: None,
            wear: Wear { idle: Duration::from_secs(30), age: Duration::from_mins(5), emails: 500 },
            timeouts: Timeouts::default(),
        }
    }

    pub(super) fn from_url(url: &Secret) -> Result<Self> {
        // None of these sentences repeats the URL: it holds a password.
        let url = Url::parse(url.expose()).map_err(|_| config("the SMTP URL is not a URL"))?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        if host.is_empty() || !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(config("the SMTP URL is not of the form smtps://user:password@host:port"));
        }
        let mut builder = Self::new(host);
        builder.port = url.port();
        builder.security = match url.scheme() {
            "smtps" => Security::Implicit,
            "smtp" => Security::StartTls,
            _ => return Err(config("the SMTP URL begins with neither smtps:// nor smtp://")),
        };
        for (key, value) in url.query_pairs() {
            builder.security = match (key.as_ref(), value.as_ref(), builder.security) {
                ("tls", "required", security) => security,
                ("tls", "none", Security::StartTls) => Security::Unencrypted,
                ("tls", ..) => {
                    return Err(config("tls= in the SMTP URL is required, or none with smtp://"));
                }
                _ => return Err(config("the SMTP URL has an option other than tls=")),
            };
        }
        let decoded = |text: &str| {
            let text = percent_decode_str(text).decode_utf8();
            text.map(String::from).map_err(|_| config("the credentials in the SMTP URL are not UTF-8"))
        };
        match (url.username(), url.password()) {
            ("", None) => {}
            (user, Some(password)) if !user.is_empty() => {
                builder = builder.login(&decoded(user)?, Secret::new(decoded(password)?));
                // A password in a URL for this machine does not leave it.
                builder.in_the_clear = is_loopback(host);
            }
            _ => return Err(config("the SMTP URL has a user without a password, or the reverse")),
        }
        Ok(builder)
    }

    /// Sets the port. Default: 587, 465 with [`implicit_tls`](Self::implicit_tls), 25 when
    /// [`unencrypted`](Self::unencrypted).
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// Enables implicit TLS, as on port 465 (RFC 8314). Default: STARTTLS is required before credentials and emails; a
    /// server that does not offer it is refused.
    pub fn implicit_tls(mut self) -> Self {
        self.security = Security::Implicit;
        self
    }

    /// Disables encryption: for servers on this machine or in a trusted network, since every email can be read on the way.
    /// Credentials are refused, unless [`credentials_in_the_clear`](Self::credentials_in_the_clear).
    pub fn unencrypted(mut self) -> Self {
        self.security = Security::Unencrypted;
        self
    }

    /// Authenticates with a password (AUTH PLAIN, or LOGIN if the server offers nothing else).
    pub fn login(mut self, user: &str, password: Secret) -> Self {
        self.credentials = Some(Credentials::Password { user: user.to_owned(), password });
        self
    }

    /// Authenticates with an OAuth 2 access token (AUTH XOAUTH2).
    pub fn xoauth2(mut self, user: &str, source: impl TokenSource) -> Self {
        self.credentials = Some(Credentials::Token { user: user.to_owned(), source: Arc::new(source) });
        self
    }

    /// Allows credentials over an [`unencrypted`](Self::unencrypted) connection. For a server on this machine.
    pub fn credentials_in_the_clear(mut self) -> Self {
        self.in_the_clear = true;
        self
    }

    /// Sets the only trusted certificate authorities (PEM). Default: those of the platform.
    pub fn trust_only(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.trusted = Some(pem.into());
        self
    }

    /// Sets the host name in `EHLO`. Default: the local address of the connection.
    pub fn hello_name(mut self, name: &str) -> Self {
        self.hello_name = Some(name.to_owned());
        self
    }

    /// Sets the envelope sender, which receives bounces. Default: the sender of each message.
    pub fn bounces_to(mut self, address: EmailAddress) -> Self {
        self.bounces_to = Some(address);
        self
    }

    /// Signs the envelope sender of each attempt (VERP): its bounce leads to it whatever the receiving server returns of
    /// the email, and no other bounce does. Counts before [`bounces_to`](Self::bounces_to). Default: off.
    pub fn signed_return_paths(mut self, keys: ReturnPathKeys) -> Self {
        self.return_paths = Some(keys);
        self
    }

    /// Writes tags and metadata as `X-Mkt-Tag` and `X-Mkt-Meta-*` headers, **which recipients can read**. Default: messages
    /// with tags or metadata are rejected, since SMTP has no other place for them.
    pub fn labels_in_headers(mut self) -> Self {
        self.labels_in_headers = true;
        self
    }

    /// Sets the largest number of connections; further calls wait. Default 4, at least 1.
    pub fn connections(mut self, most: usize) -> Self {
        self.connections = most.clamp(1, tokio::sync::Semaphore::MAX_PERMITS);
        self
    }

    /// Sets the emails per call, sent one after the other over one connection. Default 1. An outbox marks the emails of a
    /// call as sending together: with more than one it commits less often, and a killed process leaves as many unknown.
    pub fn mails_per_call(mut self, most: usize) -> Self {
        self.mails_per_call = most.max(1);
        self
    }

    /// Sets the largest message in bytes; larger ones are rejected before any call. The server's limit applies in any case.
    pub fn max_message_bytes(mut self, most: usize) -> Self {
        self.max_message_bytes = Some(most);
        self
    }

    /// Sets the number of emails after which a connection is replaced. Default 500, at least 1.
    pub fn mails_per_connection(mut self, most: u32) -> Self {
        self.wear.emails = most.max(1);
        self
    }

    /// Sets the longest idle time (default 30 s) and the longest life (default 5 minutes) of a connection.
    pub fn keep_connections(mut self, idle: Duration, age: Duration) -> Self {
        (self.wear.idle, self.wear.age) = (idle, age);
        self
    }

    /// Sets the time limits.
    pub fn timeouts(mut self, timeouts: Timeouts) -> Self {
        self.timeouts = timeouts;
        self
    }

    /// Validates the settings. Opens no connection: see [`check`](crate::EmailProvider::check).
    ///
    /// # Errors
    /// [`ErrorKind::Config`]: no host, credentials that cannot be written or would go unencrypted, a name for `EHLO`
    /// that is none, certificates that cannot be read.
    pub fn build(self) -> Result<Smtp> {
        let name =
            |text: &str| !text.is_empty() && text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
        if !name(&self.host) {
            return Err(config("the host is not a name or an address"));
        }
        if self.hello_name.as_deref().is_some_and(|text| !name(text)) {
            return Err(config("the name for EHLO is not a host name"));
        }
        if let Some(credentials) = &self.credentials {
            if !credentials.are_writable() {
                return Err(config("the user or the password is empty or cannot be written"));
            }
            if self.security == Security::Unencrypted && !self.in_the_clear {
                return Err(config("credentials are not sent over an unencrypted connection"));
            }
        }
        let (tls, default_port) = match self.security {
            Security::Implicit => (Some(tls(self.trusted.as_deref())?), 465),
            Security::StartTls => (Some(tls(self.trusted.as_deref())?), 587),
            Security::Unencrypted => (None, 25),
        };
        let port = self.port.unwrap_or(default_port);
        // The user may be an address: the account is named without showing it.
        let user = self.credentials.as_ref().map(|credentials| {
            let key = IdempotencyKey::from_text(credentials.user()).to_string();
            format!("#{key:.8}")
        });
        let user = user.unwrap_or_default();
        let account = format!("{SERVICE}:{}:{port}{user}", self.host.to_ascii_lowercase());
        let capabilities = self.capabilities();
        let settings = Settings {
            host: self.host,
            port,
            security: self.security,
            tls,
            credentials: self.credentials,
            hello_name: self.hello_name,
            bounces_to: self.bounces_to,
            return_paths: self.return_paths,
            labels_in_headers: self.labels_in_headers,
            timeouts: self.timeouts,
        };
        let pool = Pool::new(self.connections, self.wear);
        Ok(Smtp(Arc::new(Inner { account, capabilities, settings, pool })))
    }

    fn capabilities(&self) -> Capabilities {
        let mut can = Capabilities::minimal();
        // Later sending is not SMTP's; an outbox waits by itself.
        can.features.extend([
            Feature::TextOnly,
            Feature::Attachments,
            Feature::ReplyTo,
            Feature::CustomHeaders,
            Feature::UnicodeHeaders,
            Feature::ListUnsubscribe,
        ]);
        if self.labels_in_headers {
            can.features.extend([Feature::Tags, Feature::Metadata]);
        }
        can.max_recipients = self.mails_per_call;
        can.max_message_bytes = self.max_message_bytes;
        // RFC 1047: whether an email arrived whose answer is lost cannot be found out.
        can.idempotency = Idempotency::None;
        can
    }
}

fn config(detail: &'static str) -> Error {
    Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail)
}

impl fmt::Debug for SmtpBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpBuilder")
            .field("host", &self.host)
            .field("port", &self.port)
            .field("security", &self.security)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}
