//! Triggers: what happened to a contact, as a journey is told.

use super::span::zone_of;
use crate::EmailAddress;
use crate::id::sha256_hex;
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::fmt;

const MAX_KIND: usize = 60;
const MAX_ENTITY: usize = 200;
const MAX_PAYLOAD: usize = 64 * 1024;

/// Something that happened to a contact: a cart was changed, an order was placed, a person signed up.
///
/// Two triggers with the same five values are the same trigger: recording it again changes nothing. Timestamps have
/// milliseconds. These keys of the payload have a meaning beside the one that templates and conditions give them:
///
/// | key | meaning |
/// |---|---|
/// | `zone` | the contact's time zone, a name of the IANA database; the latest one that is known counts |
/// | `lang` | the language of the emails, `fr` or `en`, for [`Templates`](super::Templates) |
///
/// Personal data: `Debug` shows neither the address nor the payload.
///
/// ```
/// use mkt_email::journey::Trigger;
/// let cart = serde_json::json!({"first_name": "Jean", "zone": "Europe/Paris", "items": [{"name": "Teapot", "quantity": 1}]});
/// let trigger = Trigger::new("cart_updated", "jean@example.org".parse()?, "cart-7", "2026-10-26T09:00:00Z".parse()?, cart)?;
/// assert!(!format!("{trigger:?}").contains("jean@"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Trigger {
    kind: String,
    contact: EmailAddress,
    entity: String,
    at: DateTime<Utc>,
    payload: Map<String, Value>,
}

impl Trigger {
    /// A trigger about a contact and an entity, such as a cart; the entity is empty where there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for a kind that is empty, longer than 60 bytes or not of letters, digits, `_`, `-` and `.`; an
    /// entity longer than 200 bytes or with control characters; a payload that is neither an object nor null, longer
    /// than 64 KiB, or whose `zone` is no name of the IANA database.
    pub fn new(
        kind: impl Into<String>,
        contact: EmailAddress,
        entity: impl Into<String>,
        at: DateTime<Utc>,
        payload: Value,
    ) -> Result<Self> {
        let invalid = |detail: String| {
            Error::new(ErrorKind::Input, super::SERVICE, "make a trigger").with_detail(detail)
        };
        let (kind, entity) = (kind.into(), entity.into());
        if !is_kind(&kind) {
            return Err(invalid(format!(
                "invalid kind {kind:.60?}: expected 1 to {MAX_KIND} letters, digits, `_`, `-` or `.`"
            )));
        }
        if entity.len() > MAX_ENTITY || entity.chars().any(char::is_control) {
            return Err(invalid(format!(
                "invalid entity of {} bytes: expected at most {MAX_ENTITY}, without control characters",
                entity.len()
            )));
        }
        let payload = match payload {
            Value::Object(payload) => payload,
            Value::Null => Map::new(),
            _ => return Err(invalid("invalid payload: expected an object".to_owned())),
        };
        let bytes = Value::Object(payload.clone()).to_string().len();
        if bytes > MAX_PAYLOAD {
            return Err(invalid(format!("payload of {bytes} bytes: expected at most {MAX_PAYLOAD}")));
        }
        if let Some(zone) = payload.get("zone")
            && zone_of(zone).is_none()
        {
            return Err(invalid(format!(
                "invalid zone {zone:.60}: expected a name of the IANA database such as \"Europe/Paris\""
            )));
        }
        let at = DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at);
        Ok(Self { kind, contact, entity, at, payload })
    }

    /// Reads a trigger from one JSON object: `kind`, `contact`, `at`, and `entity` and `payload` where there are any.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] for what is no JSON, a key that is missing, unknown or of another type, an invalid address or
    /// timestamp, and as [`new`](Self::new). The error repeats no address.
    pub fn from_json(text: &str) -> Result<Self> {
        let invalid = |detail: String| {
            Error::new(ErrorKind::Input, super::SERVICE, "read a trigger").with_detail(detail)
        };
        // serde's own texts repeat values, which may be personal.
        let value: Value = serde_json::from_str(text)
            .map_err(|error| invalid(format!("invalid JSON at column {}", error.column())))?;
        let Value::Object(mut keys) = value else {
            return Err(invalid("expected an object".to_owned()));
        };
        let mut take = |key: &'static str| match keys.remove(key) {
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(invalid(format!("{key} is no text"))),
            None => Ok(None),
        };
        let missing = |key: &str| invalid(format!("{key} is missing"));
        let kind = take("kind")?.ok_or_else(|| missing("kind"))?;
        let contact = take("contact")?.ok_or_else(|| missing("contact"))?;
        let entity = take("entity")?.unwrap_or_default();
        let at = take("at")?.ok_or_else(|| missing("at"))?;
        let payload = keys.remove("payload").unwrap_or(Value::Null);
        if let Some(key) = keys.keys().next() {
            return Err(invalid(format!(
                "unknown key {key:.40?}: expected kind, contact, entity, at and payload"
            )));
        }
        let contact = EmailAddress::parse(&contact).map_err(|error| invalid(format!("contact: {error}")))?;
        let at = DateTime::parse_from_rfc3339(&at)
            .map_err(|_| invalid("invalid at: expected a timestamp as 2026-05-01T18:30:00Z".to_owned()))?;
        Self::new(kind, contact, entity, at.to_utc(), payload)
    }

    /// What happened, such as `cart_updated`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// Whom it happened to.
    #[must_use]
    pub fn contact(&self) -> &EmailAddress {
        &self.contact
    }

    /// What it is about, such as a cart; empty where there is nothing.
    #[must_use]
    pub fn entity(&self) -> &str {
        &self.entity
    }

    /// When it happened, not when it became known.
    #[must_use]
    pub fn at(&self) -> DateTime<Utc> {
        self.at
    }

    /// Its details.
    #[must_use]
    pub fn payload(&self) -> &Map<String, Value> {
        &self.payload
    }

    /// A hash of all values: the same trigger has the same id, whatever the order of the payload's keys.
    pub(super) fn id(&self) -> String {
        let mut text = String::new();
        write_sorted(&mut text, &Value::Object(self.payload.clone()));
        let parts =
            [&self.kind, &self.contact.key(), &self.entity, &self.at.timestamp_millis().to_string(), &text];
        let mut joined = Vec::new();
        for part in parts {
            joined.extend((part.len() as u64).to_be_bytes());
            joined.extend(part.as_bytes());
        }
        let mut id = sha256_hex(&joined);
        id.truncate(32);
        id
    }
}

/// Whether a text can be the kind of a trigger.
pub(super) fn is_kind(text: &str) -> bool {
    (1..=MAX_KIND).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// JSON with sorted keys: another crate of the program may make serde_json keep their order.
pub(super) fn write_sorted(out: &mut String, value: &Value) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for (number, key) in keys.into_iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                write_sorted(out, map.get(key).unwrap_or(&Value::Null));
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (number, item) in items.iter().enumerate() {
                if number > 0 {
                    out.push(',');
                }
                write_sorted(out, item);
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trigger")
            .field("kind", &self.kind)
            .field("contact", &self.contact)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

/// A trigger as JSON.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    kind: String,
    contact: EmailAddress,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    entity: String,
    at: DateTime<Utc>,
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    payload: Map<String, Value>,
}

impl TryFrom<Written> for Trigger {
    type Error = String;

    fn try_from(it: Written) -> Result<Self, String> {
        Self::new(it.kind, it.contact, it.entity, it.at, Value::Object(it.payload))
            .map_err(|error| error.detail().unwrap_or("invalid trigger").to_owned())
    }
}

impl From<Trigger> for Written {
    fn from(it: Trigger) -> Self {
        Self { kind: it.kind, contact: it.contact, entity: it.entity, at: it.at, payload: it.payload }
    }
}
