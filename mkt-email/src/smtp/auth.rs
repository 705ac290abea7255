//! Authentication: AUTH PLAIN (RFC 4616), LOGIN, and XOAUTH2
//! (<https://developers.google.com/gmail/imap/xoauth2-protocol>, 2026-11). Credentials are written
//! only here; the server's answers to them are reported as codes only, since it may echo them.

use super::SERVICE;
use super::error::{code, unreachable, unwilling};
use super::reply::Reply;
use super::wire::Wire;
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use mkt_connect::{Delivery, Error, ErrorKind, Result, Secret};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

const AUTH: &str = "authenticate";

/// A source of OAuth 2 access tokens. It is called once per new connection and should cache a token until shortly before
/// it expires. The time limit is that of a command.
///
/// A [`Secret`] is a source of itself, for tokens that do not expire before the process ends.
#[async_trait]
pub trait TokenSource: fmt::Debug + Send + Sync + 'static {
    /// Returns a token that is valid now.
    async fn token(&self) -> Result<Secret>;
}

#[async_trait]
impl TokenSource for Secret {
    async fn token(&self) -> Result<Secret> {
        Ok(self.clone())
    }
}

/// User and authentication method.
#[derive(Clone)]
pub(super) enum Credentials {
    Password { user: String, password: Secret },
    Token { user: String, source: Arc<dyn TokenSource> },
}

impl Credentials {
    pub(super) fn user(&self) -> &str {
        match self {
            Self::Password { user, .. } | Self::Token { user, .. } => user,
        }
    }

    /// Whether the credentials can be written.
    pub(super) fn are_writable(&self) -> bool {
        let password = match self {
            Self::Password { password, .. } => password.expose(),
            Self::Token { .. } => "token",
        };
        let fits =
            |text: &str| !text.is_empty() && text.len() <= 4_096 && !text.chars().any(char::is_control);
        fits(self.user()) && fits(password)
    }
}

impl fmt::Debug for Credentials {
    /// A user's name is often an address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Password(…)",
            Self::Token { .. } => "Token(…)",
        })
    }
}

/// The authentication methods that the server offers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Mechanisms {
    pub(super) plain: bool,
    pub(super) login: bool,
    pub(super) xoauth2: bool,
}

/// One authentication exchange.
struct Conversation<'a> {
    wire: &'a mut Wire,
    within: Duration,
}

impl Conversation<'_> {
    /// Writes a line that holds a secret and overwrites it.
    async fn say(&mut self, line: String) -> Result<Reply> {
        let mut bytes = line.into_bytes();
        bytes.extend_from_slice(b"\r\n");
        let written = self.wire.write(&bytes, self.within).await;
        bytes.fill(0);
        std::hint::black_box(&bytes);
        written.map_err(|fault| unreachable(AUTH, fault))?;
        self.wire.reply(self.within).await.map_err(|fault| unreachable(AUTH, fault))
    }
}

/// # Errors
/// [`ErrorKind::Auth`] when the server refuses them, [`ErrorKind::Unsupported`] when it offers no way to prove them
/// (nothing was sent then), [`ErrorKind::Unavailable`] when it cannot say now.
pub(super) async fn authenticate(
    wire: &mut Wire,
    offered: Mechanisms,
    credentials: &Credentials,
    within: Duration,
) -> Result<()> {
    let lacking =
        |detail: &'static str| Error::new(ErrorKind::Unsupported, SERVICE, AUTH).with_detail(detail);
    let mut talk = Conversation { wire, within };
    let reply = match credentials {
        Credentials::Password { user, password } if offered.plain => {
            talk.say(format!("AUTH PLAIN {}", encoded(&format!("\0{user}\0{}", password.expose())))).await?
        }
        Credentials::Password { user, password } if offered.login => {
            let mut reply = talk.say("AUTH LOGIN".to_owned()).await?;
            for answer in [user.as_str(), password.expose()] {
                if reply.code != 334 {
                    break;
                }
                reply = talk.say(encoded(answer)).await?;
            }
            reply
        }
        Credentials::Password { .. } => {
            return Err(lacking("the server takes no password (it offers neither AUTH PLAIN nor LOGIN)"));
        }
        Credentials::Token { user, source } if offered.xoauth2 => {
            let token = timeout(within, source.token()).await.map_err(|_| {
                Error::new(ErrorKind::Unavailable, SERVICE, AUTH).with_detail("no token came in time")
            })??;
            let response = format!("user={user}\x01auth=Bearer {}\x01\x01", token.expose());
            let mut reply = talk.say(format!("AUTH XOAUTH2 {}", encoded(&response))).await?;
            if reply.code == 334 {
                // A refusal: the reason is in this reply, and the code comes after an empty line.
                let reason = oauth_status(&reply);
                reply = talk.say(String::new()).await?;
                if reply.class() == 5 {
                    return Err(refused(&reply, reason));
                }
            }
            reply
        }
        Credentials::Token { .. } => {
            return Err(lacking("the server takes no token (it does not offer AUTH XOAUTH2)"));
        }
    };
    match reply.class() {
        2 => Ok(()),
        5 => Err(refused(&reply, None)),
        _ => Err(unwilling(AUTH, &reply)),
    }
}

fn refused(reply: &Reply, oauth: Option<u16>) -> Error {
    let reason = oauth.map(|status| format!(" (OAuth status {status})")).unwrap_or_default();
    Error::new(ErrorKind::Auth, SERVICE, AUTH)
        .delivered(Delivery::Answered)
        .with_status(reply.code)
        .with_detail(format!("{}{reason}", code(reply)))
}

/// The status in the JSON of a 334 challenge: `{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}`.
fn oauth_status(reply: &Reply) -> Option<u16> {
    let json: serde_json::Value = serde_json::from_slice(&BASE64.decode(reply.text.trim()).ok()?).ok()?;
    let status = json.get("status")?;
    status.as_str().map_or_else(|| status.as_u64()?.try_into().ok(), |text| text.parse().ok())
}

fn encoded(text: &str) -> String {
    BASE64.encode(text)
}
