//! What is written to Brevo and read from it, in its words: <https://developers.brevo.com/reference/sendtransacemail> and
//! the OpenAPI description of 22 February 2026.

use super::limit;
use crate::provider::{Group, Outgoing};
use crate::{Mailbox, Message};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// `POST /smtp/email`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SendEmail<'a> {
    sender: Contact,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<[Contact; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Contact>,
    #[serde(flatten)]
    content: Content<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    template_id: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<&'a str>,
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attachment: Vec<File<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_at: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    message_versions: Vec<Version<'a>>,
}

#[derive(Serialize)]
struct Contact {
    email: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
}

/// What versions may have of their own.
#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Content<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    html_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<&'a BTreeMap<String, String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Version<'a> {
    /// One recipient to a version: those of one version see each other.
    to: [Contact; 1],
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<Contact>,
    #[serde(flatten)]
    content: Content<'a>,
    /// Not in the vendor's description; django-anymail sends it and reports that it is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    headers: Option<BTreeMap<String, String>>,
}

#[derive(Serialize)]
struct File<'a> {
    name: &'a str,
    content: String,
}

/// The answer to `POST /smtp/email`: 201, or 202 for a scheduled one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    message_id: Option<String>,
    #[serde(default)]
    message_ids: Vec<String>,
}

impl Sent {
    /// The ids in the order of the emails, without angle brackets; nothing when their number is another.
    pub(super) fn ids(self, count: usize) -> Option<Vec<String>> {
        let ids =
            if self.message_ids.is_empty() { Vec::from_iter(self.message_id) } else { self.message_ids };
        let bare = |id: String| id.trim().trim_start_matches('<').trim_end_matches('>').to_owned();
        let ids: Vec<String> = ids.into_iter().map(bare).collect();
        (ids.len() == count && ids.iter().all(|id| !id.is_empty())).then_some(ids)
    }
}

/// The answer to `GET /account`, as far as it is needed.
#[derive(Deserialize)]
pub(super) struct Account {
    pub(super) email: String,
}

/// The body of every refusal; the code is optional in the vendor's description.
#[derive(Deserialize)]
pub(super) struct Refused {
    #[serde(default)]
    pub(super) code: Option<String>,
    pub(super) message: String,
}

impl<'a> SendEmail<'a> {
    /// The body of one call. Everything that versions cannot differ in is taken from the first email: the planner put
    /// only emails together that agree in it. What is scheduled for `due` or earlier goes at once.
    pub(super) fn of(
        group: &'a Group,
        first: &'a Outgoing,
        own_headers: bool,
        sandbox: bool,
        due: DateTime<Utc>,
    ) -> Self {
        let message = &*first.message;
        let several = group.emails().len() > 1;
        let mut headers = if several && own_headers { BTreeMap::new() } else { custom_headers(message) };
        headers.insert("idempotencyKey".to_owned(), group.key().to_string());
        let same_metadata = group.emails().iter().all(|email| email.message.metadata() == message.metadata());
        if same_metadata && let Some(metadata) = metadata(message) {
            headers.insert("X-Mailin-custom".to_owned(), metadata);
        }
        if sandbox {
            headers.insert("X-Sib-Sandbox".to_owned(), "drop".to_owned());
        }
        let version = |email: &'a Outgoing| Version {
            to: [contact(email.message.to())],
            reply_to: email.message.reply_to().map(contact),
            content: content(&email.message),
            headers: {
                let mut headers = if own_headers { custom_headers(&email.message) } else { BTreeMap::new() };
                if !same_metadata && let Some(metadata) = metadata(&email.message) {
                    headers.insert("X-Mailin-custom".to_owned(), metadata);
                }
                Some(headers).filter(|headers| !headers.is_empty())
            },
        };
        Self {
            sender: contact(message.from()),
            to: (!several).then(|| [contact(message.to())]),
            reply_to: message.reply_to().filter(|_| !several).map(contact),
            content: Content { params: content(message).params.filter(|_| !several), ..content(message) },
            template_id: message.template().and_then(|template| template.id().parse().ok()),
            tags: message.tags().iter().map(crate::message::Tag::as_str).collect(),
            headers,
            attachment: message
                .attachments()
                .iter()
                .map(|file| File { name: file.name().as_str(), content: STANDARD.encode(file.content()) })
                .collect(),
            // A time that has passed is refused; the email is due then.
            scheduled_at: message
                .send_at()
                .filter(|at| *at > due)
                .map(|at| at.to_rfc3339_opts(SecondsFormat::Millis, true)),
            message_versions: if several { group.emails().iter().map(version).collect() } else { Vec::new() },
        }
    }
}

fn content(message: &Message) -> Content<'_> {
    match message.template() {
        Some(template) => {
            let params = Some(template.params()).filter(|params| !params.is_empty());
            Content { params, ..Content::default() }
        }
        None => Content {
            subject: Some(message.subject().as_str()),
            html_content: message.html(),
            text_content: Some(message.text()).filter(|text| !text.trim().is_empty()),
            params: None,
        },
    }
}

fn contact(mailbox: &Mailbox) -> Contact {
    Contact {
        email: mailbox.address.as_str().to_owned(),
        name: mailbox.name.as_ref().map(|name| display_name(name.as_str())),
    }
}

/// A name as Brevo keeps it. One beyond ASCII that holds a special character is dropped by it (reported by
/// django-anymail), unless it is encoded already (RFC 2047).
pub(super) fn display_name(name: &str) -> String {
    let special = |c: char| "()<>[]:;@\\,.\"".contains(c);
    if name.is_ascii() || !name.contains(special) {
        return name.to_owned();
    }
    format!("=?utf-8?B?{}?=", STANDARD.encode(name))
}

/// The message's own headers, in the vendor's spelling of their names.
pub(super) fn custom_headers(message: &Message) -> BTreeMap<String, String> {
    let mut headers: BTreeMap<String, String> = message
        .headers()
        .iter()
        .map(|(name, value)| (title_case(name.as_str()), value.as_str().to_owned()))
        .collect();
    if let Some(link) = message.list_unsubscribe() {
        headers.insert("List-Unsubscribe".to_owned(), link.header_value());
        headers.insert("List-Unsubscribe-Post".to_owned(), "List-Unsubscribe=One-Click".to_owned());
    }
    headers
}

/// `x-campaign-id` as `X-Campaign-Id`: other spellings are changed to this by the vendor.
fn title_case(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| {
            first.to_ascii_uppercase().to_string() + &letters.as_str().to_ascii_lowercase()
        })
    };
    name.split('-').map(word).collect::<Vec<_>>().join("-")
}

/// The value of `X-Mailin-custom`: JSON in UTF-8. Recipients can read it.
pub(super) fn metadata(message: &Message) -> Option<String> {
    if message.metadata().is_empty() {
        return None;
    }
    serde_json::to_string(message.metadata()).ok()
}

/// The bytes that an email's parameters take in the vendor's count.
pub(super) fn params_bytes(message: &Message) -> usize {
    let params = message.template().map(crate::message::VendorTemplate::params);
    params.filter(|params| !params.is_empty()).map_or(0, |params| {
        serde_json::to_string(params).map_or(limit::PARAMS_BYTES_PER_MAIL + 1, |json| json.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_names_are_written_as_the_vendor_would() {
        assert_eq!(title_case("x-campaign-id"), "X-Campaign-Id");
        assert_eq!(title_case("X-MAILER"), "X-Mailer");
    }

    #[test]
    fn a_name_that_would_be_dropped_is_encoded() {
        assert_eq!(display_name("Zoé Martin"), "Zoé Martin");
        assert_eq!(display_name("Martin, Zoe"), "Martin, Zoe");
        // printf 'Épicerie, Zoé' | base64
        assert_eq!(display_name("Épicerie, Zoé"), "=?utf-8?B?w4lwaWNlcmllLCBab8Op?=");
    }

    #[test]
    fn ids_are_taken_with_and_without_brackets_and_only_in_the_right_number() {
        let sent = |json: &str| serde_json::from_str::<Sent>(json).unwrap();
        let one = sent(r#"{"messageId":"<201798300811.5787683@relay.domain.com>"}"#);
        assert_eq!(one.ids(1), Some(vec!["201798300811.5787683@relay.domain.com".to_owned()]));
        let two = || sent(r#"{"messageIds":["<a@b>","c@d"]}"#);
        assert_eq!(two().ids(2), Some(vec!["a@b".to_owned(), "c@d".to_owned()]));
        assert_eq!(two().ids(3), None);
        assert_eq!(sent("{}").ids(1), None);
    }
}
