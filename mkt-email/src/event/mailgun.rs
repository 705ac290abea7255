//! Reads what Mailgun reports: by webhook, by the older webhook in form fields, or by its log.
//!
//! Sources, read in November 2026: <https://documentation.mailgun.com/docs/mailgun/user-manual/webhooks/webhook-payloads>,
//! <https://documentation.mailgun.com/docs/mailgun/user-manual/events/event-structure>.

use super::reading::{address, enhanced, instant_of_number, instant_of_text, text, unreadable};
use super::{EmailEvent, EventKind, OpenedBy};
use chrono::{DateTime, Utc};
use serde_json::Value;

const PROVIDER: &str = "mailgun";

impl EmailEvent {
    /// Reads an event of Mailgun as its webhooks (`event-data`) and its log carry it. One of an unknown type is kept as
    /// [`EventKind::Unknown`]. Its id is unique within a day, so the id here is made of both: webhook and log give the
    /// same.
    ///
    /// A permanent failure is a hard bounce only where the reply says that the address does not exist; one for policy or
    /// content is [`EventKind::Blocked`], and so is one of Mailgun's own (`suppress-…`).
    #[must_use]
    pub fn read_mailgun(event_data: &[u8], received_at: DateTime<Utc>) -> Self {
        let raw = String::from_utf8_lossy(event_data);
        match serde_json::from_slice::<Value>(event_data) {
            Ok(item) => read(&item, &raw, received_at),
            Err(_) => unreadable(PROVIDER, &raw, received_at),
        }
    }
}

/// Reads one event.
pub(crate) fn read(item: &Value, raw: &str, received_at: DateTime<Utc>) -> EmailEvent {
    let Some(word) = text(item, "event") else { return unreadable(PROVIDER, raw, received_at) };
    let at = item
        .get("timestamp")
        .and_then(instant_of_number)
        .or_else(|| text(item, "@timestamp").and_then(instant_of_text));
    let status = item.get("delivery-status").filter(|status| status.is_object()).unwrap_or(&Value::Null);
    let number =
        |name: &str| status.get(name).and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()));
    let said = ["message", "description"].into_iter().find_map(|name| text(status, name));
    let enhanced = text(status, "enhanced-code").and_then(enhanced).or_else(|| said.and_then(enhanced));
    let reason = text(item, "reason").unwrap_or_default();
    let kind = match word {
        "accepted" | "stored" => EventKind::Queued,
        "delivered" => EventKind::Delivered,
        "rejected" => EventKind::Failed,
        "failed" if text(item, "severity") == Some("temporary") => EventKind::Deferred,
        "failed" => failure(reason, number("code"), enhanced),
        "opened" => EventKind::Opened(opened_by(item)),
        "clicked" => EventKind::Clicked,
        "complained" => EventKind::Complained,
        "unsubscribed" => EventKind::Unsubscribed,
        _ => EventKind::Unknown,
    };
    let mut event = EmailEvent::new(PROVIDER, kind, at.unwrap_or(received_at)).vendor_kind(word).raw(raw);
    event = match (text(item, "id"), at) {
        (Some(id), Some(at)) => event.native_id(format!("{} {id}", at.date_naive())),
        _ => event.native_id(format!("body {}", crate::id::hex(&super::reading::sha256(raw.as_bytes())))),
    };
    if let Some(to) = item.get("recipient").and_then(address) {
        event = event.recipient(to);
    }
    if let Some(id) = item.pointer("/message/headers/message-id").and_then(Value::as_str) {
        event = event.message_id(id);
    }
    if let Some(url) = text(item, "url") {
        event = event.url(url);
    }
    let code = enhanced.map(|(class, subject, detail)| format!("{class}.{subject}.{detail}"));
    event.code = code.or_else(|| number("code").map(|code| code.to_string()));
    match (reason, said.unwrap_or_default()) {
        ("", "") => {}
        ("", said) => event = event.reason(said),
        (reason, "") => event = event.reason(reason),
        (reason, said) => event = event.reason(format!("{reason}: {said}")),
    }
    match item.pointer("/tags/0").and_then(Value::as_str) {
        Some(tag) => event.campaign(tag),
        None => event,
    }
}

/// Reads the fields of the older webhooks (before 2018, still offered): `event`, `recipient`, `Message-Id`, …
pub(crate) fn read_fields(fields: &[(String, String)], received_at: DateTime<Utc>) -> EmailEvent {
    let field = |name: &str| {
        let found = fields.iter().find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    };
    // What signs the call is not part of what it says.
    let said: serde_json::Map<String, Value> = fields
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "signature" | "token"))
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let raw = Value::Object(said).to_string();
    let Some(word) = field("event") else { return unreadable(PROVIDER, &raw, received_at) };
    let at = field("timestamp").and_then(|text| instant_of_number(&Value::from(text)));
    let (reason, words) =
        (field("reason").unwrap_or_default(), field("description").or_else(|| field("error")));
    let (code, enhanced) = (field("code").and_then(|code| code.parse().ok()), words.and_then(enhanced));
    let kind = match word {
        "delivered" => EventKind::Delivered,
        "bounced" => failure("bounce", code, enhanced),
        "dropped" => failure(if reason == "old" { "old" } else { "suppress" }, code, enhanced),
        "opened" => EventKind::Opened(match field("client-type") {
            Some("robot") => OpenedBy::Proxy,
            _ => OpenedBy::Unknown,
        }),
        "clicked" => EventKind::Clicked,
        "complained" => EventKind::Complained,
        "unsubscribed" => EventKind::Unsubscribed,
        _ => EventKind::Unknown,
    };
    let mut event =
        EmailEvent::new(PROVIDER, kind, at.unwrap_or(received_at)).vendor_kind(word).raw(raw.as_str());
    // There is no id of the event; the token is of one call.
    let id =
        field("token").map_or_else(|| crate::id::hex(&super::reading::sha256(raw.as_bytes())), str::to_owned);
    event = event.native_id(format!("fields {id}"));
    if let Some(to) = field("recipient").and_then(|to| address(&Value::from(to))) {
        event = event.recipient(to);
    }
    if let Some(id) = field("Message-Id").or_else(|| field("message-id")) {
        event = event.message_id(id);
    }
    if let Some(url) = field("url") {
        event = event.url(url);
    }
    event.code = enhanced
        .map(|(class, subject, detail)| format!("{class}.{subject}.{detail}"))
        .or_else(|| code.map(|code: u64| code.to_string()));
    if let Some(words) = words.or(Some(reason).filter(|reason| !reason.is_empty())) {
        event = event.reason(words);
    }
    match field("tag").or_else(|| field("campaign-name")) {
        Some(tag) => event.campaign(tag),
        None => event,
    }
}

/// What a permanent failure says about the address. 605 to 607 are Mailgun's own: the address is on one of its lists.
fn failure(reason: &str, code: Option<u64>, enhanced: Option<(u16, u16, u16)>) -> EventKind {
    match (reason, code, enhanced) {
        (_, Some(605..=607), _) => EventKind::Blocked,
        (reason, _, _) if reason.starts_with("suppress") => EventKind::Blocked,
        // It was tried for too long.
        ("old" | "greylisted", _, _) => EventKind::SoftBounce,
        (_, _, Some((5, 1, 0 | 1 | 2 | 3 | 4 | 6 | 9 | 10) | (5, 2, 1))) => EventKind::HardBounce,
        (_, _, Some((4, _, _) | (5, 2, _) | (5, 4, _))) => EventKind::SoftBounce,
        (_, _, Some((5, 3 | 5 | 6 | 7, _))) => EventKind::Blocked,
        (_, Some(550 | 551 | 553), _) => EventKind::HardBounce,
        (_, Some(554), _) => EventKind::Blocked,
        _ => EventKind::SoftBounce,
    }
}

/// `client-info.bot` names a proxy or scanner and is empty for a person; without it nothing is known.
fn opened_by(item: &Value) -> OpenedBy {
    let info = item.get("client-info").unwrap_or(&Value::Null);
    match (info.get("bot").and_then(Value::as_str), text(info, "client-type")) {
        (_, Some("robot")) => OpenedBy::Proxy,
        (Some(""), _) => OpenedBy::Human,
        (Some(_), _) => OpenedBy::Proxy,
        (None, _) => OpenedBy::Unknown,
    }
}
