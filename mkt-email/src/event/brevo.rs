//! Reads what Brevo reports, by webhook or by `GET /smtp/statistics/events`.
//!
//! Sources, read in November 2026: <https://developers.brevo.com/docs/transactional-webhooks>,
//! <https://developers.brevo.com/docs/marketing-webhooks>, <https://developers.brevo.com/docs/batch-webhooks>,
//! <https://developers.brevo.com/reference/getemaileventreport-1>.

use super::reading::{address, instant_of_number, instant_of_text, text, unreadable};
use super::{EmailEvent, EventKind, OpenedBy};
use chrono::{DateTime, Utc};
use serde_json::Value;

const PROVIDER: &str = "brevo";

impl EmailEvent {
    /// Reads the body of a webhook call of Brevo: one event, or an array of them (batched webhooks). An event of an
    /// unknown type, and an element that is no event, are kept as [`EventKind::Unknown`] with their payload: nothing is
    /// dropped. Brevo's events have no id; theirs is made of what they say, so that one event which is delivered twice,
    /// under two names (`opened`, `unique_opened`) or by the API too, is one.
    ///
    /// ```
    /// use mkt_email::event::{EmailEvent, EventKind};
    /// let body = r#"{"event":"hard_bounce","email":"jean@example.org","ts_epoch":1604933654000,"ts_event":1604933654,
    ///     "message-id":"<202011091554@relay.example>","reason":"550 5.1.1 unknown","tag":"[\"spring\"]"}"#;
    /// let events = EmailEvent::read_brevo(body.as_bytes(), chrono::Utc::now());
    /// assert_eq!(events[0].kind, EventKind::HardBounce);
    /// assert_eq!(events[0].campaign.as_deref(), Some("spring"));
    /// ```
    #[must_use]
    pub fn read_brevo(body: &[u8], received_at: DateTime<Utc>) -> Vec<Self> {
        match serde_json::from_slice(body) {
            Ok(Value::Array(items)) => {
                items.iter().map(|item| read(item, &item.to_string(), received_at)).collect()
            }
            Ok(item) => vec![read(&item, &String::from_utf8_lossy(body), received_at)],
            Err(_) => vec![unreadable(PROVIDER, &String::from_utf8_lossy(body), received_at)],
        }
    }
}

/// Reads one event.
pub(crate) fn read(item: &Value, raw: &str, received_at: DateTime<Utc>) -> EmailEvent {
    let Some(word) = text(item, "event") else { return unreadable(PROVIDER, raw, received_at) };
    // `ts_epoch` is milliseconds by the description and seconds in its example. The API has an RFC 3339 date. A date
    // without a zone is in the account's and is not read.
    let at = ["ts_epoch", "ts_event", "ts"]
        .into_iter()
        .find_map(|name| item.get(name).and_then(instant_of_number))
        .or_else(|| text(item, "date").and_then(instant_of_text));
    let kind = kind(word);
    let mut event = EmailEvent::new(PROVIDER, kind, at.unwrap_or(received_at)).vendor_kind(word).raw(raw);
    if let Some(to) = item.get("email").and_then(address) {
        event = event.recipient(to);
    }
    if let Some(id) = text(item, "message-id").or_else(|| text(item, "messageId")) {
        event = event.message_id(id);
    }
    if let Some(url) = ["link", "URL", "url"].into_iter().find_map(|name| text(item, name)) {
        event = event.url(url);
    }
    if let Some(reason) = text(item, "reason") {
        let code = super::reading::reply_code(reason);
        event = event.reason(reason);
        event.code = code;
    }
    if let Some(campaign) = campaign(item) {
        event = event.campaign(campaign);
    }
    if at.is_none() {
        // Without a timestamp, only the same bytes are the same event.
        event = event.native_id(format!("body {}", crate::id::hex(&super::reading::sha256(raw.as_bytes()))));
    }
    event
}

/// What a word of Brevo's means: names of webhooks (`hard_bounce`), of subscriptions (`hardBounce`) and of the API
/// (`hardBounces`).
fn kind(word: &str) -> EventKind {
    let plain: String =
        word.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
    match plain.as_str() {
        "request" | "requests" => EventKind::Queued,
        "sent" => EventKind::Sent,
        "delivered" => EventKind::Delivered,
        "deferred" => EventKind::Deferred,
        "softbounce" | "softbounces" => EventKind::SoftBounce,
        // An address that is none will not be one later.
        "hardbounce" | "hardbounces" | "invalid" | "invalidemail" => EventKind::HardBounce,
        "blocked" => EventKind::Blocked,
        "error" => EventKind::Failed,
        "spam" | "complaint" | "complaints" => EventKind::Complained,
        "opened" | "open" | "uniqueopened" | "firstopening" => EventKind::Opened(OpenedBy::Human),
        "proxyopen" | "proxyopened" | "uniqueproxyopen" | "loadedbyproxy" => {
            EventKind::Opened(OpenedBy::Proxy)
        }
        "click" | "clicks" | "clicked" => EventKind::Clicked,
        "unsubscribe" | "unsubscribed" => EventKind::Unsubscribed,
        "listaddition" => EventKind::Subscribed,
        _ => EventKind::Unknown,
    }
}

/// The campaign of a marketing webhook, or else the first tag. `tag` is a name, or a text with an array in JSON.
fn campaign(item: &Value) -> Option<String> {
    if let Some(name) = text(item, "campaign name") {
        return Some(name.to_owned());
    }
    if let Some(first) = item.get("tags").and_then(|tags| tags.get(0)).and_then(Value::as_str) {
        return Some(first.to_owned());
    }
    let tag = text(item, "tag")?;
    match serde_json::from_str::<Vec<String>>(tag) {
        Ok(tags) => tags.into_iter().next(),
        Err(_) => Some(tag.to_owned()),
    }
}
