//! A message and the builder that checks it.

use super::{
    Attachment, Feature, HeaderName, HeaderValue, ListUnsubscribe, Mailbox, MessageError, Part, Subject, Tag,
    VendorTemplate, text,
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// A message to one recipient, rendered and checked.
///
/// ```
/// use mkt_email::Message;
/// let message = Message::builder("Shop <news@example.org>".parse()?, "jean@example.org".parse()?, "Hello".parse()?)
///     .html("<p>Hello <b>Jean</b>!</p>")
///     .tag("welcome".parse()?)
///     .build()?;
/// assert_eq!(message.text(), "Hello Jean!"); // derived, because none was given
/// # Ok::<(), mkt_email::message::MessageError>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    from: Mailbox,
    to: Mailbox,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reply_to: Option<Mailbox>,
    subject: Subject,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    html: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    headers: Vec<(HeaderName, HeaderValue)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    list_unsubscribe: Option<ListUnsubscribe>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    tags: Vec<Tag>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    send_at: Option<DateTime<Utc>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    template: Option<VendorTemplate>,
    /// Kept apart by the outbox: many emails share one attachment.
    #[serde(skip)]
    attachments: Vec<Attachment>,
}

impl Message {
    /// Starts a message. It needs a text or an HTML body.
    #[must_use]
    pub fn builder(from: Mailbox, to: Mailbox, subject: Subject) -> MessageBuilder {
        MessageBuilder {
            message: Self {
                from,
                to,
                reply_to: None,
                subject,
                text: String::new(),
                html: None,
                headers: Vec::new(),
                list_unsubscribe: None,
                tags: Vec::new(),
                metadata: BTreeMap::new(),
                send_at: None,
                template: None,
                attachments: Vec::new(),
            },
        }
    }

    /// The sender.
    #[must_use]
    pub fn from(&self) -> &Mailbox {
        &self.from
    }

    /// The recipient.
    #[must_use]
    pub fn to(&self) -> &Mailbox {
        &self.to
    }

    /// The reply address, if it is not the sender.
    #[must_use]
    pub fn reply_to(&self) -> Option<&Mailbox> {
        self.reply_to.as_ref()
    }

    /// The subject line.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// The plain text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The HTML body, if there is one.
    #[must_use]
    pub fn html(&self) -> Option<&str> {
        self.html.as_deref()
    }

    /// Custom headers, in the order given.
    #[must_use]
    pub fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// The one-click unsubscribe link.
    #[must_use]
    pub fn list_unsubscribe(&self) -> Option<&ListUnsubscribe> {
        self.list_unsubscribe.as_ref()
    }

    /// Labels for statistics.
    #[must_use]
    pub fn tags(&self) -> &[Tag] {
        &self.tags
    }

    /// The sender's own keys and values, handed back by providers with their events.
    #[must_use]
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// When the provider shall send it, if not at once.
    #[must_use]
    pub fn send_at(&self) -> Option<DateTime<Utc>> {
        self.send_at
    }

    /// The vendor's template, if the vendor renders the body. Such a message has no body of its own, and a vendor may take
    /// the subject from the template too.
    #[must_use]
    pub fn template(&self) -> Option<&VendorTemplate> {
        self.template.as_ref()
    }

    /// The message without these features. Only those of [`Degrade::DROPPABLE`](crate::provider::Degrade::DROPPABLE) can
    /// be dropped; others are ignored.
    #[must_use]
    pub fn without(&self, features: &BTreeSet<Feature>) -> Self {
        let mut lighter = self.clone();
        for feature in features {
            match feature {
                Feature::ReplyTo => lighter.reply_to = None,
                Feature::CustomHeaders => lighter.headers.clear(),
                Feature::UnicodeHeaders => lighter.headers.retain(|(_, value)| value.as_str().is_ascii()),
                Feature::Tags => lighter.tags.clear(),
                Feature::Metadata => lighter.metadata.clear(),
                Feature::Schedule => lighter.send_at = None,
                _ => {}
            }
        }
        lighter
    }

    /// Attached files.
    #[must_use]
    pub fn attachments(&self) -> &[Attachment] {
        &self.attachments
    }

    // The outbox stores attachments apart and is their only other writer.
    #[cfg_attr(
        not(any(feature = "sqlite", feature = "postgres")),
        expect(dead_code, reason = "only the outbox stores messages")
    )]
    pub(crate) fn set_attachments(&mut self, attachments: Vec<Attachment>) {
        self.attachments = attachments;
    }

    /// A lower bound of its size as sent, in bytes: bodies and attachments (in base64), without headers.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        let attached: usize = self.attachments.iter().map(|a| a.content.len().div_ceil(3) * 4).sum();
        self.text.len() + self.html.as_ref().map_or(0, String::len) + attached
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("to", &self.to)
            .field("subject", &self.subject)
            .field("tags", &self.tags)
            .field("attachments", &self.attachments)
            .finish_non_exhaustive()
    }
}

/// Builder of [`Message`].
#[derive(Debug, Clone)]
pub struct MessageBuilder {
    message: Message,
}

impl MessageBuilder {
    /// Sets the plain text. Without one it is derived from the HTML.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.message.text = text.into();
        self
    }

    /// Sets the HTML body.
    #[must_use]
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.message.html = Some(html.into());
        self
    }

    /// Sets the reply address.
    #[must_use]
    pub fn reply_to(mut self, mailbox: Mailbox) -> Self {
        self.message.reply_to = Some(mailbox);
        self
    }

    /// Adds a custom header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.message.headers.push((name, value));
        self
    }

    /// Adds the one-click unsubscribe headers.
    #[must_use]
    pub fn list_unsubscribe(mut self, link: ListUnsubscribe) -> Self {
        self.message.list_unsubscribe = Some(link);
        self
    }

    /// Adds a label.
    #[must_use]
    pub fn tag(mut self, tag: Tag) -> Self {
        self.message.tags.push(tag);
        self
    }

    /// Adds a key and value of the sender's own, handed back by providers with their events. Checked by
    /// [`build`](Self::build).
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.message.metadata.insert(key.into(), value.into());
        self
    }

    /// Asks the provider to send it later. The outbox can wait by itself: see `NewEmail::not_before`.
    #[must_use]
    pub fn send_at(mut self, at: DateTime<Utc>) -> Self {
        self.message.send_at = Some(at);
        self
    }

    /// Lets the vendor render the body from a template that it stores. The message then has no body of its own.
    #[must_use]
    pub fn template(mut self, template: VendorTemplate) -> Self {
        self.message.template = Some(template);
        self
    }

    /// Attaches a file.
    #[must_use]
    pub fn attach(mut self, attachment: Attachment) -> Self {
        self.message.attachments.push(attachment);
        self
    }

    /// Checks what the types cannot.
    ///
    /// # Errors
    /// [`MessageError`]: no body, a NUL in it, or a body beside a vendor's template; a metadata key that could not be a header name, or a value with a control character.
    pub fn build(mut self) -> Result<Message, MessageError> {
        for (key, value) in &self.message.metadata {
            if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                return Err(MessageError::Syntax { part: Part::Metadata });
            }
            text::check(Part::Metadata, key, 60)?;
            text::check(Part::Metadata, value, 2_000)?;
        }
        for body in [Some(self.message.text.as_str()), self.message.html.as_deref()].into_iter().flatten() {
            // RFC 5322 §2.3: no NUL in a body.
            if let Some(at) = body.chars().position(|c| c == '\0') {
                return Err(MessageError::Control { part: Part::Body, code: 0, at: at + 1 });
            }
        }
        if self.message.template.is_some() {
            let bare = self.message.text.is_empty() && self.message.html.is_none();
            return if bare { Ok(self.message) } else { Err(MessageError::Syntax { part: Part::Template }) };
        }
        if self.message.text.trim().is_empty() {
            self.message.text =
                self.message.html.as_deref().map(super::plain_text::text_of_html).unwrap_or_default();
        }
        if self.message.text.trim().is_empty()
            && self.message.html.as_deref().is_none_or(|h| h.trim().is_empty())
        {
            return Err(MessageError::Empty { part: Part::Body });
        }
        Ok(self.message)
    }
}
