//! The MIME structure of a report: the parts of its multiparts, two levels deep at most.
//!
//! mail-parser reads headers and decodes parts. It is not given whole messages: it follows messages within messages as
//! deep as they go, and a report returns somebody else's message, of any shape.

use chrono::{DateTime, Utc};
use mail_parser::{Address, ContentType, Header, HeaderName, HeaderValue, MessageParser};
use std::borrow::Cow;
use std::sync::LazyLock;

/// Parts of a multipart that are looked at. Reports have three.
const MAX_PARTS: usize = 16;

/// A part: its headers, and its body as it came.
pub(super) struct Part<'a> {
    headers: Vec<Header<'a>>,
    pub(super) body: &'a [u8],
}

/// Decodes the headers that reports are recognised by, and keeps the others as they came.
static PARSER: LazyLock<MessageParser> = LazyLock::new(|| {
    MessageParser::new()
        .with_mime_headers()
        .header_date(HeaderName::Date)
        .header_text(HeaderName::Subject)
        .header_address(HeaderName::From)
        .header_address(HeaderName::To)
        .header_address(HeaderName::Cc)
        .with_message_ids()
});

impl<'a> Part<'a> {
    /// Reads the headers at the start of `bytes`.
    pub(super) fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut message = PARSER.parse_headers(bytes)?;
        let headers = message.parts.pop()?.headers;
        (!headers.is_empty()).then(|| Self { headers, body: after_headers(bytes) })
    }

    /// Reads a part of a multipart, which may have no headers: its body is plain text then.
    fn read_or_plain(bytes: &'a [u8]) -> Self {
        let plain = bytes.strip_prefix(b"\r\n").or_else(|| bytes.strip_prefix(b"\n"));
        let read = if plain.is_some() { None } else { Self::read(bytes) };
        read.unwrap_or_else(|| Self { headers: Vec::new(), body: plain.unwrap_or(bytes) })
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &HeaderValue<'a>> {
        self.headers
            .iter()
            .filter(move |header| header.name.as_str().eq_ignore_ascii_case(name))
            .map(|header| &header.value)
    }

    fn content_type(&self) -> Option<&ContentType<'a>> {
        self.values("Content-Type").find_map(HeaderValue::as_content_type)
    }

    /// The media type in lower case, `text/plain` by default.
    pub(super) fn media_type(&self) -> String {
        self.content_type().map_or_else(
            || "text/plain".to_owned(),
            |kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()).to_ascii_lowercase(),
        )
    }

    /// A parameter of the media type.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.content_type()?.attribute(name)
    }

    /// Every value of a header of text or ids, in order.
    pub(super) fn headers(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name).filter_map(HeaderValue::as_text_list).flatten().map(AsRef::as_ref)
    }

    /// The first value of a header of text or ids.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// The addresses of a header of addresses.
    pub(super) fn addresses(&self, name: &str) -> impl Iterator<Item = &str> {
        self.values(name)
            .filter_map(HeaderValue::as_address)
            .flat_map(Address::iter)
            .filter_map(|address| address.address.as_deref())
    }

    /// The date.
    pub(super) fn date(&self) -> Option<DateTime<Utc>> {
        let date = self.values("Date").find_map(HeaderValue::as_datetime).filter(|date| date.is_valid())?;
        DateTime::from_timestamp(date.to_timestamp(), 0)
    }

    /// The parts of a multipart. Empty if it is none, or its boundary does not occur.
    pub(super) fn parts(&self) -> Vec<Part<'a>> {
        if !self.media_type().starts_with("multipart/") {
            return Vec::new();
        }
        let Some(boundary) = self.parameter("boundary").filter(|text| !text.is_empty()) else {
            return Vec::new();
        };
        split(self.body, boundary.as_bytes()).into_iter().map(Self::read_or_plain).collect()
    }

    /// The body, with its transfer encoding removed.
    pub(super) fn content(&self) -> Cow<'a, [u8]> {
        let encoding = self.header("Content-Transfer-Encoding").map(str::to_ascii_lowercase);
        let decoded = match encoding.as_deref() {
            Some("base64") => mail_parser::decoders::base64::base64_decode(self.body),
            Some("quoted-printable") => {
                mail_parser::decoders::quoted_printable::quoted_printable_decode(self.body)
            }
            _ => return Cow::Borrowed(self.body),
        };
        // What cannot be decoded is read as it is: servers declare encodings that they do not use.
        decoded.map_or(Cow::Borrowed(self.body), Cow::Owned)
    }

    /// The content as text. Codes and addresses are ASCII in every character set in use, UTF-16 aside.
    pub(super) fn text(&self) -> Cow<'a, str> {
        match self.content() {
            Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
            Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }
}

/// The body after the empty line that ends the headers.
fn after_headers(bytes: &[u8]) -> &[u8] {
    let mut at = 0;
    while let Some(length) = bytes[at..].iter().position(|byte| *byte == b'\n') {
        let line = &bytes[at..at + length];
        at += length + 1;
        if matches!(line, [] | [b'\r']) {
            return &bytes[at..];
        }
    }
    &[]
}

/// Splits a body at lines of `--boundary`; stops at `--boundary--`. The last part of a message that was cut ends with it.
fn split<'a>(body: &'a [u8], boundary: &[u8]) -> Vec<&'a [u8]> {
    let (mut parts, mut begin, mut at) = (Vec::new(), None, 0);
    while at < body.len() {
        let end =
            body[at..].iter().position(|byte| *byte == b'\n').map_or(body.len(), |length| at + length + 1);
        if let Some(rest) = body[at..end].strip_prefix(b"--").and_then(|line| line.strip_prefix(boundary)) {
            let closes = rest.starts_with(b"--");
            let blank = rest.iter().all(u8::is_ascii_whitespace);
            if closes || blank {
                if let Some(begin) = begin {
                    parts.push(without_line_end(&body[begin..at]));
                }
                begin = (!closes).then_some(end);
                if closes || parts.len() == MAX_PARTS {
                    return parts;
                }
            }
        }
        at = end;
    }
    parts.extend(begin.map(|begin| &body[begin..]));
    parts
}

/// The line end before a boundary belongs to the boundary.
fn without_line_end(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REPORT: &[u8] = b"Subject: x\r\nContent-Type: Multipart/Report; boundary=\"a b\"\r\n\r\npreamble\r\n--a b\r\n\r\nplain\r\n--a b \r\nContent-Type: Message/Delivery-Status\r\n\r\nX: y\r\n--a b--\r\nepilogue";

    #[test]
    fn parts_lie_between_lines_of_the_boundary() {
        let report = Part::read(REPORT).unwrap();
        assert_eq!(report.media_type(), "multipart/report");
        let parts = report.parts();
        let read: Vec<_> = parts.iter().map(|part| (part.media_type(), part.body)).collect();
        assert_eq!(
            read,
            [("text/plain".to_owned(), &b"plain"[..]), ("message/delivery-status".to_owned(), &b"X: y"[..])]
        );
    }

    #[test]
    fn message_cut_within_a_part_keeps_the_part() {
        let cut = &REPORT[..REPORT.len() - 20];
        assert_eq!(Part::read(cut).unwrap().parts().len(), 2);
    }

    #[test]
    fn encoded_text_is_decoded() {
        let part = Part::read(b"Content-Transfer-Encoding: BASE64\n\naGVsbG8=\n").unwrap();
        assert_eq!(part.text(), "hello");
        let part = Part::read(b"Content-Transfer-Encoding: quoted-printable\n\n550=20x=\n y\n").unwrap();
        assert_eq!(part.text(), "550 x y\n");
    }

    #[test]
    fn what_has_no_headers_is_no_message() {
        assert!(Part::read(b"").is_none());
        assert!(Part::read(b"\n\nhello").is_none());
    }

    #[test]
    fn thousands_of_parts_and_boundaries_are_bounded() {
        let mut many = b"Content-Type: multipart/mixed; boundary=b\n\n".to_vec();
        many.extend(b"--b\n\nx\n".repeat(10_000));
        assert_eq!(Part::read(&many).unwrap().parts().len(), MAX_PARTS);
    }
}
