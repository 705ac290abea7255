//! How calls of Mailgun are recognised:
//! <https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/securing-webhooks>, read in November 2026.

use super::multipart;
use super::{SERVICE, WebhookRefusal};
use crate::event::{EmailEvent, read_mailgun_fields, read_mailgun_value};
use crate::outbox::{Delivery, UsedToken};
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, Mac};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use std::fmt;

const MAX_KEYS: usize = 8;
/// The longest token; Mailgun's have 50 characters.
const MAX_TOKEN: usize = 128;
/// How far in the future a timestamp may be: clocks differ.
const AHEAD: TimeDelta = TimeDelta::minutes(5);

/// How calls of Mailgun are recognised: a timestamp and a token, signed with the webhook signing key. Several keys: any
/// of them, for rotation and for subaccounts.
#[derive(Clone)]
pub struct MailgunWebhook {
    keys: Vec<Hmac<Sha256>>,
    max_age: TimeDelta,
}

impl fmt::Debug for MailgunWebhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailgunWebhook")
            .field("keys", &self.keys.len())
            .field("max_age", &self.max_age)
            .finish()
    }
}

impl MailgunWebhook {
    /// With one webhook signing key.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a key of fewer than 16 bytes.
    pub fn new(key: &Secret) -> Result<Self> {
        Self { keys: Vec::new(), max_age: TimeDelta::hours(24) }.accepting(key)
    }

    /// Accepts calls signed with a further key.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a key of fewer than 16 bytes, or a ninth.
    pub fn accepting(mut self, key: &Secret) -> Result<Self> {
        let refused = |detail| Error::new(ErrorKind::Config, SERVICE, "take a key").with_detail(detail);
        if key.expose().len() < 16 {
            return Err(refused("the webhook signing key has fewer than 16 bytes"));
        }
        if self.keys.len() == MAX_KEYS {
            return Err(refused("there are eight keys already"));
        }
        let key = Hmac::new_from_slice(key.expose().as_bytes());
        self.keys.push(key.map_err(|_| refused("the secret cannot be a key"))?);
        Ok(self)
    }

    /// Sets how old a signature may be. Default: 24 hours: a call is retried for eight, and whether its timestamp is
    /// renewed then is not documented.
    #[must_use]
    pub fn max_age(mut self, age: TimeDelta) -> Self {
        self.max_age = age;
        self
    }

    /// How long a token could be used again if it was not remembered.
    pub(super) fn kept_for(&self) -> TimeDelta {
        self.max_age.checked_add(&AHEAD).unwrap_or(TimeDelta::MAX)
    }

    fn oldest(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        now.checked_sub_signed(self.max_age).unwrap_or(DateTime::<Utc>::MIN_UTC)
    }

    /// Whether Mailgun signed this timestamp (seconds since 1970) and token. `signature` is 64 lower-case hexadecimal
    /// digits. The comparison takes the same time wherever the first difference is.
    ///
    /// # Errors
    /// [`WebhookRefusal::Forged`], [`WebhookRefusal::Stale`].
    pub fn verify(
        &self,
        timestamp: &str,
        token: &str,
        signature: &str,
        now: DateTime<Utc>,
    ) -> Result<(), WebhookRefusal> {
        let plain = (1..=MAX_TOKEN).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic());
        // Digits alone: with a sign or a blank the same instant would have two forms.
        let digits = (1..=12).contains(&timestamp.len()) && timestamp.bytes().all(|b| b.is_ascii_digit());
        let given = digest(signature).filter(|_| plain && digits).ok_or(WebhookRefusal::Forged)?;
        let signed = self.keys.iter().fold(false, |signed, key| {
            let mut mac = key.clone();
            mac.update(timestamp.as_bytes());
            mac.update(token.as_bytes());
            mac.verify_slice(&given).is_ok() | signed
        });
        if !signed {
            return Err(WebhookRefusal::Forged);
        }
        // Nothing separates timestamp and token in what is signed. Moving a digit from one to the other moves the
        // instant out of any window: this check is part of the authentication.
        let seconds = timestamp.parse().map_err(|_| WebhookRefusal::Forged)?;
        let at = DateTime::from_timestamp(seconds, 0).ok_or(WebhookRefusal::Stale)?;
        if at < self.oldest(now) || at - now > AHEAD {
            return Err(WebhookRefusal::Stale);
        }
        Ok(())
    }

    /// Verifies a call and reads its event.
    pub(super) fn read(
        &self,
        content_type: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Delivery, WebhookRefusal> {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let (token, event) = match kind.as_str() {
            "application/x-www-form-urlencoded" => {
                let fields: Vec<_> = url::form_urlencoded::parse(body)
                    .map(|(k, v)| (k.into_owned(), v.into_owned()))
                    .collect();
                self.read_fields(&fields, now)?
            }
            "multipart/form-data" => {
                let fields = multipart::fields(content_type, body).ok_or(WebhookRefusal::Forged)?;
                self.read_fields(&fields, now)?
            }
            // Whatever it is called: it must be JSON to be signed.
            _ => self.read_json(body, now)?,
        };
        let body = crate::id::sha256_hex(body);
        Ok(Delivery {
            token: Some(UsedToken { token: crate::id::sha256_hex(token.as_bytes()), body }),
            events: vec![event],
        })
    }

    fn read_json(&self, body: &[u8], now: DateTime<Utc>) -> Result<(String, EmailEvent), WebhookRefusal> {
        #[derive(Deserialize)]
        struct Call {
            signature: Signature,
            #[serde(default, rename = "event-data")]
            event_data: Value,
        }
        #[derive(Deserialize)]
        struct Signature {
            timestamp: Value,
            token: String,
            signature: String,
            /// Signed with the key of the parent, in calls of subaccounts.
            #[serde(default, rename = "parent-signature")]
            parent: Option<String>,
        }
        let call: Call = serde_json::from_slice(body).map_err(|_| WebhookRefusal::Forged)?;
        let Signature { timestamp, token, signature, parent } = call.signature;
        let timestamp = match timestamp {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            _ => return Err(WebhookRefusal::Forged),
        };
        let own = self.verify(&timestamp, &token, &signature, now);
        own.or_else(|refusal| match parent {
            Some(parent) => self.verify(&timestamp, &token, &parent, now),
            None => Err(refusal),
        })?;
        let raw = call.event_data.to_string();
        Ok((token, read_mailgun_value(&call.event_data, &raw, now)))
    }

    fn read_fields(
        &self,
        fields: &[(String, String)],
        now: DateTime<Utc>,
    ) -> Result<(String, EmailEvent), WebhookRefusal> {
        let only = |name: &str| {
            let mut values =
                fields.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
            match (values.next(), values.next()) {
                (Some(value), None) => Ok(value),
                _ => Err(WebhookRefusal::Forged),
            }
        };
        let token = only("token")?;
        self.verify(only("timestamp")?, token, only("signature")?, now)?;
        Ok((token.to_owned(), read_mailgun_fields(fields, now)))
    }
}

/// 64 lower-case hexadecimal digits as bytes: one form only.
fn digest(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let bytes: &[u8; 64] = text.as_bytes().try_into().ok()?;
    let mut digest = [0; 32];
    for (place, pair) in digest.iter_mut().zip(bytes.chunks_exact(2)) {
        *place = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(digest)
}
