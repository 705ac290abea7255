//! Messages: one rendered email to one recipient.
//!
//! Every text that becomes part of a header has a type that cannot hold a line break, so header injection cannot be
//! expressed. This module sends nothing and knows neither providers nor templates.

pub(crate) mod address;
pub(crate) mod builder;
mod feature;
mod mime;
mod plain_text;
mod text;

pub(crate) use address::{EmailAddress, Mailbox};
pub(crate) use builder::Message;
pub use feature::Feature;
pub use plain_text::text_of_html;
pub use text::{DisplayName, FileName, HeaderName, HeaderValue, MessageError, Part, Subject, Tag};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use url::Url;

/// A template stored by the vendor, and its parameters for this recipient.
///
/// Emails that differ only in their parameters can share a call. The vendor decides how values are escaped; rendering
/// here ([`Template`](crate::Template)) escapes them.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VendorTemplate {
    id: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    params: BTreeMap<String, String>,
}

impl VendorTemplate {
    /// The template with this id or name of the vendor.
    ///
    /// # Errors
    /// [`MessageError`] for a blank id, one of more than 200 characters, or a control character in it.
    pub fn new(id: &str) -> Result<Self, MessageError> {
        text::check(Part::Template, id, 200)?;
        Ok(Self { id: id.to_owned(), params: BTreeMap::new() })
    }

    /// Adds a parameter, by the name that the template uses.
    ///
    /// # Errors
    /// [`MessageError`]: the name is not letters, digits and `_`, or is longer than 60; the value holds a control character
    /// other than a line end or a tab.
    pub fn with(mut self, name: &str, value: &str) -> Result<Self, MessageError> {
        let part = Part::Template;
        text::check(part, name, 60)?;
        if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            return Err(MessageError::Syntax { part });
        }
        let control = |c: char| c.is_control() && !matches!(c, '\n' | '\r' | '\t');
        if let Some((at, c)) = value.chars().enumerate().find(|(_, c)| control(*c)) {
            return Err(MessageError::Control { part, code: u32::from(c), at: at + 1 });
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

/// A one-click unsubscribe link (RFC 8058): mail programs show a button that posts to it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListUnsubscribe {
    link: Url,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mailto: Option<EmailAddress>,
    /// The subject that mail programs fill in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mailto_subject: Option<String>,
}

impl ListUnsubscribe {
    /// A link that unsubscribes on POST and only shows a page on GET. It should be opaque and signed.
    ///
    /// # Errors
    /// [`MessageError::Syntax`] unless it is an `https` link without credentials; [`MessageError::TooLong`] past 900 bytes (a header
    /// line holds 998).
    pub fn one_click(link: Url) -> Result<Self, MessageError> {
        let part = Part::UnsubscribeLink;
        let plain = link.as_str().bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'<' | b'>'));
        if link.scheme() != "https" || !link.username().is_empty() || link.password().is_some() || !plain {
            return Err(MessageError::Syntax { part });
        }
        match link.as_str().len() {
            0..=900 => Ok(Self { link, mailto: None, mailto_subject: None }),
            got => Err(MessageError::TooLong { part, max: 900, got }),
        }
    }

    /// Adds an address that also accepts unsubscriptions. Nothing in such an email proves who sent it:
    /// [`UnsubscribeKeys::with_mailto`](crate::unsubscribe::UnsubscribeKeys::with_mailto) adds a signed one.
    #[must_use]
    pub fn with_mailto(mut self, address: EmailAddress) -> Self {
        self.mailto = Some(address);
        self
    }

    /// Adds an address, and the subject of the emails to it: letters, digits, `-`, `_` and blanks.
    pub(crate) fn with_mailto_subject(self, address: EmailAddress, subject: String) -> Self {
        Self { mailto_subject: Some(subject), ..self.with_mailto(address) }
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
            Some(address) => {
                let subject = self.mailto_subject.as_ref();
                let subject = subject.map(|text| format!("?subject={}", text.replace(' ', "%20")));
                format!("<{}>, <mailto:{}{}>", self.link, address.as_str(), subject.unwrap_or_default())
            }
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

/// An attached file. Clones share the bytes.
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
    /// [`MessageError`] for an invalid media type.
    pub fn new(
        name: FileName,
        media_type: &str,
        content: impl Into<Arc<[u8]>>,
    ) -> Result<Self, MessageError> {
        text::check(Part::MediaType, media_type, 200)?;
        if lettre::message::header::ContentType::parse(media_type).is_err() {
            return Err(MessageError::Syntax { part: Part::MediaType });
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
