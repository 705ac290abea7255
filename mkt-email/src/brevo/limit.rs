//! What Brevo takes in one call, and the plan that keeps to it. Pure.
//!
//! Limits: <https://developers.brevo.com/docs/batch-send-transactional-emails> and the OpenAPI description of 22 February
//! 2026, read in November 2026.

use super::wire;
use crate::Message;
use crate::id::sha256_hex;
use crate::message::Feature;
use crate::provider::{Capabilities, Plan, Refusal, Rules};
use chrono::{DateTime, Utc};
use std::collections::HashSet;
use std::time::Duration;

/// Versions of one call. With one recipient each, the vendor's 2 000 recipients of a call and 99 of a version are never
/// reached.
pub(super) const VERSIONS: usize = 1_000;
/// The parameters of one email, in bytes ("100 KB").
pub(super) const PARAMS_BYTES_PER_MAIL: usize = 100_000;
/// The parameters of all emails of a call ("1000 KB").
const PARAMS_BYTES_PER_CALL: usize = 1_000_000;
/// Bytes of one email with its files ("20MB", <https://help.brevo.com/hc/en-us/articles/4402811730962>).
pub(super) const MESSAGE_BYTES: usize = 20_000_000;
/// How far ahead an email can be scheduled ("72 hours", <https://developers.brevo.com/docs/schedule-batch-sendings>).
pub(super) const HORIZON: Duration = Duration::from_secs(72 * 3600);
/// Characters of a name beside an address.
const NAME: usize = 70;
/// Bodies and files of one call. No page gives a limit; this is our own, so that a call stays one that can be made.
const BYTES_PER_CALL: usize = 10_000_000;
/// The extensions that a file may have.
const EXTENSIONS: [&str; 53] = [
    "xlsx", "xls", "ods", "docx", "docm", "doc", "csv", "pdf", "txt", "gif", "jpg", "jpeg", "png", "tif",
    "tiff", "rtf", "bmp", "cgm", "css", "shtml", "html", "htm", "zip", "xml", "ppt", "pptx", "tar", "ez",
    "ics", "mobi", "msg", "pub", "eps", "odt", "mp3", "m4a", "m4v", "wma", "ogg", "flac", "wav", "aif",
    "aifc", "aiff", "mp4", "mov", "avi", "mkv", "mpeg", "mpg", "wmv", "pkpass", "xlsm",
];
/// Keys of the body's `headers` object that mean something else than a header.
const MAGIC: [&str; 5] =
    ["idempotencykey", "idempotency-key", "sender.ip", "x-mailin-custom", "x-sib-sandbox"];

/// Cuts messages into calls. `own_headers`: whether emails of one call may differ in their headers.
pub(super) fn plan(can: &Capabilities, own_headers: bool, messages: &[&Message], now: DateTime<Utc>) -> Plan {
    let rules = Rules {
        refuse: &refuse,
        shared: &|message| shared(message, own_headers),
        weigh: &|message| [body_bytes(message), wire::params_bytes(message)],
        most: [BYTES_PER_CALL, PARAMS_BYTES_PER_CALL],
        one_mail_per_address: false,
    };
    Plan::by_rules(can, &rules, messages, now)
}

/// Files go once with a call, bodies with each email.
fn body_bytes(message: &Message) -> usize {
    message.text().len() + message.html().map_or(0, str::len)
}

fn refuse(position: usize, message: &Message) -> Option<Refusal> {
    let because = |detail: &str| Some(Refusal::because(position, detail));
    for mailbox in [Some(message.from()), Some(message.to()), message.reply_to()].into_iter().flatten() {
        let name = mailbox.name.as_ref().map_or(0, |name| wire::display_name(name.as_str()).chars().count());
        if name > NAME {
            return Some(Refusal::beyond(position, "characters in a name as Brevo wants it", NAME, name));
        }
    }
    if let Some(template) = message.template() {
        if template.id().parse::<i64>().is_err() {
            return because("a template of Brevo's has a number");
        }
        let bytes = wire::params_bytes(message);
        if bytes > PARAMS_BYTES_PER_MAIL {
            return Some(Refusal::beyond(position, "bytes of parameters", PARAMS_BYTES_PER_MAIL, bytes));
        }
    }
    let texts = [message.subject().as_str(), message.text(), message.html().unwrap_or_default()];
    if message.template().is_none() && texts.iter().any(|text| text.contains("{{") || text.contains("{%")) {
        return because("a text holds {{ or {%, which Brevo would replace");
    }
    if message.headers().iter().any(|(name, _)| MAGIC.contains(&name.as_str().to_ascii_lowercase().as_str()))
    {
        return because("a header has a name that Brevo keeps for itself");
    }
    let mut names = HashSet::new();
    if !message.headers().iter().all(|(name, _)| names.insert(name.as_str().to_ascii_lowercase())) {
        return because("two headers have the same name, and Brevo takes one");
    }
    for file in message.attachments() {
        let name = file.name().as_str();
        let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase());
        if !extension
            .is_some_and(|extension| !extension.is_empty() && EXTENSIONS.contains(&extension.as_str()))
        {
            return because("an attachment has an extension that Brevo does not take");
        }
        if !name.is_ascii() {
            return because("an attachment has a name beyond ASCII, which Brevo garbles");
        }
    }
    None
}

/// What the versions of one call cannot differ in, as one text.
fn shared(message: &Message, own_headers: bool) -> String {
    let files = message.attachments().iter();
    let files: Vec<_> = files.map(|file| (file.name().as_str(), sha256_hex(file.content()))).collect();
    let from = (
        message.from().address.as_str(),
        message.from().name.as_ref().map(crate::message::DisplayName::as_str),
    );
    let headers = if own_headers { None } else { Some(wire::custom_headers(message)) };
    let template = message.template().map(crate::message::VendorTemplate::id);
    let with_text = !message.text().trim().is_empty();
    let key = (from, message.tags(), message.send_at(), headers, files, template, with_text);
    // A tuple of texts and maps of texts is always JSON.
    serde_json::to_string(&key).unwrap_or_default()
}

/// What Brevo can do, by its documentation.
pub(super) fn features() -> [Feature; 8] {
    // No `TextOnly`: HTML is mandatory. No `UnicodeHeaders`: they go out as raw bytes (reported by django-anymail).
    [
        Feature::Attachments,
        Feature::ReplyTo,
        Feature::CustomHeaders,
        Feature::ListUnsubscribe,
        Feature::Tags,
        Feature::Metadata,
        Feature::Schedule,
        Feature::VendorTemplate,
    ]
}
