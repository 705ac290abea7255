//! What Mailgun takes in one call, and the plan that keeps to it. Pure.
//!
//! Limits: <https://documentation.mailgun.com/docs/mailgun/api-reference/send/mailgun/messages> and
//! <https://documentation.mailgun.com/docs/mailgun/user-manual/sending-messages/batch-sending>, read in November 2026.

use super::wire;
use crate::id::sha256_hex;
use crate::message::Feature;
use crate::provider::{Capabilities, Plan, Refusal, Rules};
use crate::{Mailbox, Message};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// Recipients of one call.
pub(super) const RECIPIENTS: usize = 1_000;
/// Bytes of one message.
pub(super) const MESSAGE_BYTES: usize = 25_000_000;
/// Bytes of all options of one call ("16KB").
const OPTION_BYTES: usize = 16_000;
/// Tags of one message: three by the documentation of 2018, ten by the vendor's Ruby library. The smaller one is safe.
pub(super) const TAGS: usize = 3;
/// How far ahead email can be scheduled on every plan; seven days on some.
pub(super) const HORIZON: Duration = Duration::from_secs(3 * 24 * 3600);
/// Bytes of the recipient variables of one call. No page gives a limit; this is our own.
const VARIABLE_BYTES: usize = 5_000_000;

/// Cuts messages into calls: emails share one when they say the same, or use the same template.
pub(super) fn plan(can: &Capabilities, messages: &[&Message], now: DateTime<Utc>) -> Plan {
    let rules = Rules {
        refuse: &refuse,
        shared: &shared,
        weigh: &|message| [wire::variable_bytes(message), 0],
        most: [VARIABLE_BYTES, 0],
        // A second email to an address is ignored, and recipient variables are kept by address.
        one_mail_per_address: true,
    };
    Plan::by_rules(can, &rules, messages, now)
}

fn refuse(position: usize, message: &Message) -> Option<Refusal> {
    let because = |detail: &str| Some(Refusal::because(position, detail));
    let bytes = wire::option_bytes(message);
    if bytes > OPTION_BYTES {
        return Some(Refusal::beyond(
            position,
            "bytes of headers, metadata, tags and parameters",
            OPTION_BYTES,
            bytes,
        ));
    }
    let link =
        message.list_unsubscribe().map(crate::message::ListUnsubscribe::header_value).unwrap_or_default();
    if texts(message).chain([link.as_str()]).any(|text| text.contains("%recipient")) {
        return because("a text holds %recipient, which Mailgun would replace");
    }
    if message.metadata().keys().any(|key| [wire::MAIL, wire::CALL].contains(&key.as_str())) {
        return because("a metadata key is one that marks the mail for Mailgun");
    }
    if message.headers().iter().any(|(name, _)| name.as_str().to_ascii_lowercase().starts_with("x-mailgun-"))
    {
        return because("a header has a name that Mailgun keeps for itself");
    }
    None
}

/// Everything in which the vendor looks for its placeholders.
fn texts(message: &Message) -> impl Iterator<Item = &str> {
    let named = [Some(message.from()), Some(message.to()), message.reply_to()].into_iter().flatten();
    let named = named.flat_map(|mailbox| {
        [Some(mailbox.address.as_str()), mailbox.name.as_ref().map(crate::message::DisplayName::as_str)]
    });
    let params = message.template().into_iter().flat_map(|template| template.params().values());
    [message.subject().as_str(), message.text(), message.html().unwrap_or_default()]
        .into_iter()
        .chain(named.flatten())
        .chain(message.headers().iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]))
        .chain(message.tags().iter().map(crate::message::Tag::as_str))
        .chain(message.metadata().values().chain(params).map(String::as_str))
}

/// What the emails of one call cannot differ in, as one text.
fn shared(message: &Message) -> String {
    let written = |mailbox: &Mailbox| {
        (mailbox.address.as_str().to_owned(), mailbox.name.as_ref().map(|name| name.as_str().to_owned()))
    };
    let files = message.attachments().iter();
    let files: Vec<_> = files.map(|file| (file.name().as_str(), sha256_hex(file.content()))).collect();
    let said = [message.subject().as_str(), message.text(), message.html().unwrap_or("\0")];
    let said = said.map(|text| sha256_hex(text.as_bytes()));
    let template =
        message.template().map(|template| (template.id(), template.params().keys().collect::<Vec<_>>()));
    let metadata: Vec<_> = message.metadata().keys().collect();
    let headers: Vec<_> = message.headers().iter().map(|(name, _)| name.as_str()).collect();
    let key = (
        (written(message.from()), message.reply_to().map(written)),
        (said, template),
        (message.tags(), metadata, headers, message.list_unsubscribe().is_some()),
        (message.send_at(), files),
    );
    // A tuple of texts is always JSON.
    serde_json::to_string(&key).unwrap_or_default()
}

/// What Mailgun can do, by its documentation: everything that a message can ask for.
pub(super) fn features() -> [Feature; 10] {
    Feature::ALL
}
