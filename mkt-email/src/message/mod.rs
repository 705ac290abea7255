//! What is said: one message to one recipient, already rendered.
//!
//! Every text that ends in a header is a type that cannot hold a line break, so header injection cannot be expressed.
//! Nothing here sends, and nothing here knows a template.

mod address;
mod mime;
mod text;

pub use address::{EmailAddress, Mailbox};
pub use text::{DisplayName, FileName, HeaderName, HeaderValue, Part, Subject, Tag, Unfit};

use crate::provider::Feature;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use url::Url;

/// A message to one recipient, rendered and checked.
///
/// ```
/// use mkt_email::Message;
/// let message = Message::builder("Shop <news@example.org>".parse()?, "jean@example.org".parse()?, "Hello".parse()?)
///     .html("<p>Hello <b>Jean</b>!</p>")
///     .tag("welcome".parse()?)
///     .build()?;
/// assert_eq!(message.text(), "Hello Jean!"); // derived, because none was given
/// # Ok::<(), mkt_email::Unfit>(())
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
    /// Kept apart by the outbox: many mails share one attachment.
    #[serde(skip)]
    attachments: Vec<Attachment>,
}

impl Message {
    /// Starts a message. It needs a text or an HTML body to be built.
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

    /// Who it is from.
    #[must_use]
    pub fn from(&self) -> &Mailbox {
        &self.from
    }

    /// Who it is to.
    #[must_use]
    pub fn to(&self) -> &Mailbox {
        &self.to
    }

    /// Where answers go, if not to the sender.
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

    /// How to unsubscribe with one click.
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

    /// When the provider should send it, if not now.
    #[must_use]
    pub fn send_at(&self) -> Option<DateTime<Utc>> {
        self.send_at
    }

    /// The vendor's template that makes the body, if one does. Such a message has no body of its own, and a vendor may
    /// take the subject from the template too.
    #[must_use]
    pub fn template(&self) -> Option<&VendorTemplate> {
        self.template.as_ref()
    }

    /// The message without what these features ask for. Of them only [`Degrade::DROPPABLE`](crate::Degrade::DROPPABLE)
    /// can be left out; the others are ignored.
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

    /// Files that go with it.
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

    /// A lower bound of its size on the wire, in bytes: bodies and attachments (in base64), no headers.
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

/// Puts a [`Message`] together.
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

    /// Sets where answers go.
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

    /// Adds a key and value of the sender's own. Checked when the message is built.
    #[must_use]
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.message.metadata.insert(key.into(), value.into());
        self
    }

    /// Asks the provider to send it later. The outbox can wait by itself: see `NewMail::not_before`.
    #[must_use]
    pub fn send_at(mut self, at: DateTime<Utc>) -> Self {
        self.message.send_at = Some(at);
        self
    }

    /// Lets the vendor make the body from a template that it keeps. The message then has no body of its own.
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

    /// Checks what the types could not.
    ///
    /// # Errors
    /// [`Unfit`]: no body, a NUL in it, or a body beside a vendor's template; a metadata key that could not be a header name, or a value with a control character.
    pub fn build(mut self) -> Result<Message, Unfit> {
        for (key, value) in &self.message.metadata {
            if !key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
                return Err(Unfit::Syntax { part: Part::Metadata });
            }
            text::check(Part::Metadata, key, 60)?;
            text::check(Part::Metadata, value, 2_000)?;
        }
        for body in [Some(self.message.text.as_str()), self.message.html.as_deref()].into_iter().flatten() {
            // RFC 5322 §2.3: no NUL in a body.
            if let Some(at) = body.chars().position(|c| c == '\0') {
                return Err(Unfit::Control { part: Part::Body, code: 0, at: at + 1 });
            }
        }
        if self.message.template.is_some() {
            let bare = self.message.text.is_empty() && self.message.html.is_none();
            return if bare { Ok(self.message) } else { Err(Unfit::Syntax { part: Part::Template }) };
        }
        if self.message.text.trim().is_empty() {
            self.message.text =
                self.message.html.as_deref().map(crate::template::text_of_html).unwrap_or_default();
        }
        if self.message.text.trim().is_empty()
            && self.message.html.as_deref().is_none_or(|h| h.trim().is_empty())
        {
            return Err(Unfit::Empty { part: Part::Body });
        }
        Ok(self.message)
    }
}

/// A template that the vendor keeps, and what it is filled in with for this recipient.
///
/// Mails that differ in their parameters only can share a call. How values are escaped is the vendor's affair; rendering
/// here ([`Template`](crate::Template)) escapes them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorTemplate {
    id: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    params: BTreeMap<String, String>,
}

impl VendorTemplate {
    /// The template with this id or name, in the vendor's words.
    ///
    /// # Errors
    /// [`Unfit`] for a blank id, one of more than 200 characters, or a control character in it.
    pub fn new(id: &str) -> Result<Self, Unfit> {
        text::check(Part::Template, id, 200)?;
        Ok(Self { id: id.to_owned(), params: BTreeMap::new() })
    }

    /// Adds a parameter, by the name that the template uses.
    ///
    /// # Errors
    /// [`Unfit`]: the name is not letters, digits and `_`, or is longer than 60; the value holds a control character
    /// other than a line end or a tab.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self, Unfit> {
        let part = Part::Template;
        text::check(part, name, 60)?;
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(Unfit::Syntax { part });
        }
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if let Some((at, c)) = value.chars().enumerate().find(|(_, c)| control(*c)) {
            return Err(Unfit::Control { part, code: u32::from(c), at: at + 1 });
        }
        self.params.insert(name.to_owned(), value.to_owned());
        Ok(self)
    }

    /// The id or name.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The parameters.
    #[must_use]
    pub fn params(&self) -> &BTreeMap<String, String> {
        &self.params
    }
}

impl fmt::Debug for VendorTemplate {
    /// Values greet by name: only their number is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VendorTemplate({}, {} params)", self.id, self.params.len())
    }
}

/// The two headers of RFC 8058: a mail program shows an unsubscribe button and posts to the link.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListUnsubscribe {
    link: Url,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mailto: Option<EmailAddress>,
}

impl ListUnsubscribe {
    /// The link that unsubscribes on POST and must only show a page on GET. It should be opaque and signed.
    ///
    /// # Errors
    /// [`Unfit::Syntax`] unless it is an `https` link without credentials; [`Unfit::TooLong`] past 900 bytes (a header
    /// line holds 998).
    pub fn one_click(link: Url) -> Result<Self, Unfit> {
        let part = Part::UnsubscribeLink;
        let plain = link.as_str().bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'));
        if link.scheme() != "https" || !link.username().is_empty() || link.password().is_some() || !plain {
            return Err(Unfit::Syntax { part });
        }
        match link.as_str().len() {
            0..=900 => Ok(Self { link, mailto: None }),
            got => Err(Unfit::TooLong { part, max: 900, got }),
        }
    }

    /// Adds an address that also takes unsubscriptions.
    #[must_use]
    pub fn with_mailto(mut self, address: EmailAddress) -> Self {
        self.mailto = Some(address);
        self
    }

    /// The link, as it was given.
    #[must_use]
    pub fn link(&self) -> &Url {
        &self.link
    }

    /// The value of `List-Unsubscribe`.
    #[must_use]
    pub fn header_value(&self) -> String {
        match &self.mailto {
            Some(address) => format!("<{}>, <mailto:{}>", self.link, address.as_str()),
            None => format!("<{}>", self.link),
        }
    }
}

impl fmt::Debug for ListUnsubscribe {
    /// The link identifies its reader: only the host is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ListUnsubscribe(https://{}/…)", self.link.host_str().unwrap_or_default())
    }
}

/// A file that goes with a message. Clones share the bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct Attachment {
    name: FileName,
    media_type: String,
    content: Arc<[u8]>,
}

impl Attachment {
    /// A file of a media type such as `application/pdf`.
    ///
    /// # Errors
    /// [`Unfit`] for a media type that is none.
    pub fn new(name: FileName, media_type: &str, content: impl Into<Arc<[u8]>>) -> Result<Self, Unfit> {
        text::check(Part::MediaType, media_type, 200)?;
        if lettre::message::header::ContentType::parse(media_type).is_err() {
            return Err(Unfit::Syntax { part: Part::MediaType });
        }
        Ok(Self { name, media_type: media_type.to_owned(), content: content.into() })
    }

    /// The name shown.
    #[must_use]
    pub fn name(&self) -> &FileName {
        &self.name
    }

    /// The media type.
    #[must_use]
    pub fn media_type(&self) -> &str {
        &self.media_type
    }

    /// The bytes.
    #[must_use]
    pub fn content(&self) -> &Arc<[u8]> {
        &self.content
    }
}

impl fmt::Debug for Attachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Attachment({}, {} bytes)", self.media_type, self.content.len())
    }
}
