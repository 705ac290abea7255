//! Encodes a [`Message`] as MIME. lettre encodes; no header is written by hand.

use super::{Mailbox, Message};
use crate::id::IdempotencyKey;
use chrono::{DateTime, Datelike, Utc};
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, MultiPart, SinglePart};
use mkt_connect::{Error, ErrorKind};
use std::time::SystemTime;

/// Characters of a line, its end aside.
const MAX_LINE: usize = 998;

impl Message {
    /// The `Message-ID` of this attempt: `<key@domain of the sender>`. It depends on nothing else, so that an email that
    /// arrives twice can be recognised.
    #[must_use]
    pub fn message_id(&self, key: IdempotencyKey) -> String {
        format!("<{key}@{}>", self.from().address.domain())
    }

    /// The email in RFC 5322 form, lines ending in CRLF. The same message, key and instant give the same bytes.
    ///
    /// Tags and metadata are not written: recipients would see them.
    ///
    /// # Errors
    /// [`ErrorKind::Input`] when the MIME builder refuses the message, or the instant is not in the years 1970 to 9999.
    pub fn to_mime(&self, key: IdempotencyKey, at: DateTime<Utc>) -> Result<Vec<u8>, Error> {
        self.to_mime_with(key, at, &[])
    }

    /// As [`to_mime`](Self::to_mime), with headers of the provider's own.
    pub(crate) fn to_mime_with(
        &self,
        key: IdempotencyKey,
        at: DateTime<Utc>,
        own: &[(String, String)],
    ) -> Result<Vec<u8>, Error> {
        // The date's writer panics outside of them.
        if !(1970..=9999).contains(&at.year()) {
            return Err(refused("the date is not in the years 1970 to 9999"));
        }
        if self.template().is_some() {
            return Err(refused("the body is rendered by a vendor's template"));
        }
        let (from, to) = (mailbox(self.from())?, mailbox(self.to())?);
        let envelope = lettre::address::Envelope::new(Some(from.email.clone()), vec![to.email.clone()])
            .map_err(|_| refused("no envelope can be made"))?;
        let mut builder = lettre::Message::builder().envelope(envelope);
        builder = addressed(builder, "From", from, lettre::message::MessageBuilder::from);
        builder = addressed(builder, "To", to, lettre::message::MessageBuilder::to);
        builder = builder
            .subject(self.subject().as_str())
            .date(SystemTime::from(at))
            .message_id(Some(self.message_id(key)));
        if let Some(reply_to) = self.reply_to() {
            let reply_to = mailbox(reply_to)?;
            builder = addressed(builder, "Reply-To", reply_to, lettre::message::MessageBuilder::reply_to);
        }
        if let Some(link) = self.list_unsubscribe() {
            builder = builder
                .raw_header(header("List-Unsubscribe", link.header_value())?)
                .raw_header(header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click".to_owned())?);
        }
        for (name, value) in self.headers() {
            builder = builder.raw_header(header(name.as_str(), value.as_str().to_owned())?);
        }
        for (name, value) in own {
            builder = builder.raw_header(header(name, value.clone())?);
        }
        let built = match (self.html(), self.attachments()) {
            (None, []) => builder.singlepart(SinglePart::plain(canonical(self.text()))),
            (_, []) => builder.multipart(self.alternative(key)),
            (_, attachments) => {
                let mut mixed =
                    MultiPart::mixed().boundary(format!("mixed-{key}")).multipart(self.alternative(key));
                for attachment in attachments {
                    let media_type = ContentType::parse(attachment.media_type())
                        .map_err(|_| refused("an attachment has no media type"))?;
                    mixed = mixed.singlepart(
                        Attachment::new(attachment.name().as_str().to_owned())
                            .body(attachment.content().to_vec(), media_type),
                    );
                }
                builder.multipart(mixed)
            }
        };
        built
            .map(|email| email.formatted())
            .map_err(|cause| refused("the email cannot be built").with_source(cause))
    }

    // lettre draws random boundaries by default; a repetition should give the same bytes.
    fn alternative(&self, key: IdempotencyKey) -> MultiPart {
        let parts = MultiPart::alternative()
            .boundary(format!("alternative-{key}"))
            .singlepart(SinglePart::plain(canonical(self.text())));
        match self.html() {
            Some(html) => parts.singlepart(SinglePart::html(canonical(html))),
            None => parts,
        }
    }
}

fn refused(why: &'static str) -> Error {
    Error::new(ErrorKind::Input, "mail", "build").with_detail(why)
}

/// Every line end as CRLF. lettre keeps some lone carriage returns, which some receivers treat as line ends (SMTP
/// smuggling).
fn canonical(body: &str) -> String {
    body.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

fn mailbox(mailbox: &Mailbox) -> Result<lettre::message::Mailbox, Error> {
    let address = mailbox.address.as_str().parse().map_err(|_| refused("an address is not well-formed"))?;
    let name = mailbox.name.as_ref().map(|name| name.as_str().to_owned());
    Ok(lettre::message::Mailbox::new(name, address))
}

/// Adds a mailbox by `add`. lettre leaves a name such as `.` or `J.D.` unquoted, which is no phrase (RFC 5322 §3.2.5):
/// those are quoted here.
fn addressed(
    builder: lettre::message::MessageBuilder,
    header: &'static str,
    mailbox: lettre::message::Mailbox,
    add: impl FnOnce(lettre::message::MessageBuilder, lettre::message::Mailbox) -> lettre::message::MessageBuilder,
) -> lettre::message::MessageBuilder {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    match &mailbox.name {
        Some(name) if name.contains('.') && name.bytes().all(plain) => {
            let value = format!("\"{name}\" <{}>", mailbox.email);
            let header = HeaderName::new_from_ascii_str(header);
            builder.raw_header(HeaderValue::dangerous_new_pre_encoded(header, value.clone(), value))
        }
        _ => add(builder, mailbox),
    }
}

fn header(name: &str, value: String) -> Result<HeaderValue, Error> {
    // RFC 5322 §2.1.1: lettre folds at spaces and encodes what is not ASCII; anything else stays in one line.
    if value.split(' ').any(|word| word.is_ascii() && name.len() + 2 + word.len() > MAX_LINE) {
        return Err(refused("a header has a word longer than a line"));
    }
    let name = HeaderName::new_from_ascii(name.to_owned())
        .map_err(|_| refused("a header name is not well-formed"))?;
    Ok(HeaderValue::new(name, value))
}
