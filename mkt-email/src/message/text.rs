//! Texts that go into headers, as types that cannot hold what would forge one.
//!
//! lettre 0.11.23 panics on a line break in a display name and writes one in a header name through to the wire; these
//! types stand in front of it. They refuse and never repair: a name with a line break in it was put there by someone.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Which text was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// An email address.
    Address,
    /// A name beside an address.
    DisplayName,
    /// A subject line.
    Subject,
    /// The name of a header.
    HeaderName,
    /// The value of a header.
    HeaderValue,
    /// A label for statistics.
    Tag,
    /// The key or value of a piece of metadata.
    Metadata,
    /// The file name of an attachment.
    FileName,
    /// The media type of an attachment.
    MediaType,
    /// A link for unsubscribing.
    UnsubscribeLink,
    /// The body.
    Body,
    /// The vendor's template, or a parameter of it.
    Template,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "address",
            Self::DisplayName => "display name",
            Self::Subject => "subject",
            Self::HeaderName => "header name",
            Self::HeaderValue => "header value",
            Self::Tag => "tag",
            Self::Metadata => "metadata",
            Self::FileName => "file name",
            Self::MediaType => "media type",
            Self::UnsubscribeLink => "unsubscribe link",
            Self::Body => "body",
            Self::Template => "vendor template",
        })
    }
}

/// Why a text cannot be part of an email. Never repeats the text, which may be personal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MessageError {
    /// Empty.
    #[error("the {part} is empty")]
    Empty {
        /// Which text.
        part: Part,
    },
    /// A line break, NUL or another control character.
    #[error("the {part} holds the control character U+{code:04X} at character {at}")]
    Control {
        /// Which text.
        part: Part,
        /// The code point.
        code: u32,
        /// Its position, counted in characters from 1.
        at: usize,
    },
    /// An encoded word (RFC 2047): mail programs would decode it and show something else.
    #[error("the {part} holds an encoded word (=?…?=)")]
    EncodedWord {
        /// Which text.
        part: Part,
    },
    /// Longer than receivers must accept.
    #[error("the {part} has length {got}, at most {max} allowed")]
    TooLong {
        /// Which text.
        part: Part,
        /// The limit.
        max: usize,
        /// The length found, in the unit of the limit.
        got: usize,
    },
    /// Not in the form of the standard.
    #[error("the {part} is not well-formed")]
    Syntax {
        /// Which text.
        part: Part,
    },
    /// An address with a local part beyond ASCII.
    #[error(
        "the address has characters beyond ASCII before the @, which needs servers with SMTPUTF8 (RFC 6531); use an ASCII address"
    )]
    NonAsciiLocalPart,
    /// A header that the message writes itself.
    #[error("the header {name} is reserved: the message writes it")]
    Reserved {
        /// The header.
        name: String,
    },
}

impl From<MessageError> for mkt_connect::Error {
    /// [`ErrorKind::Input`](mkt_connect::ErrorKind::Input), with the text of the error.
    fn from(error: MessageError) -> Self {
        Self::new(mkt_connect::ErrorKind::Input, "message", "build").with_detail(error.to_string())
    }
}

/// Refuses C0, DEL, C1 and the two Unicode line separators.
pub(super) fn refuse_controls(part: Part, text: &str) -> Result<(), MessageError> {
    let breaking = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    match text.chars().enumerate().find(|(_, c)| breaking(*c)) {
        Some((at, c)) => Err(MessageError::Control { part, code: u32::from(c), at: at + 1 }),
        None => Ok(()),
    }
}

pub(super) fn check(part: Part, text: &str, max: usize) -> Result<(), MessageError> {
    refuse_controls(part, text)?;
    if text.trim().is_empty() {
        return Err(MessageError::Empty { part });
    }
    if text.split_once("=?").is_some_and(|(_, rest)| rest.contains("?=")) {
        return Err(MessageError::EncodedWord { part });
    }
    let got = text.chars().count();
    if got > max { Err(MessageError::TooLong { part, max, got }) } else { Ok(()) }
}

macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $part:expr, $max:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Checks the text.
            ///
            /// # Errors
            /// [`MessageError`] when it is blank, too long or holds a control character.
            pub fn parse(text: &str) -> Result<Self, MessageError> {
                check($part, text, $max)?;
                Ok(Self(text.to_owned()))
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({} characters)"), self.0.chars().count())
            }
        }

        impl std::str::FromStr for $name {
            type Err = MessageError;

            fn from_str(text: &str) -> Result<Self, MessageError> {
                Self::parse(text)
            }
        }

        impl TryFrom<String> for $name {
            type Error = MessageError;

            fn try_from(text: String) -> Result<Self, MessageError> {
                Self::parse(&text)
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }
    };
}

checked_text!(
    /// The name shown beside an address: at most 200 characters, no control character. Personal: `Debug` hides it.
    DisplayName,
    Part::DisplayName,
    200
);
checked_text!(
    /// A subject line: at most 500 characters, no control character. `Debug` hides it, it may greet by name.
    Subject,
    Part::Subject,
    500
);
checked_text!(
    /// The value of a custom header: at most 2 000 characters, no control character. `Debug` hides it.
    HeaderValue,
    Part::HeaderValue,
    2_000
);
checked_text!(
    /// A label under which emails are counted, such as `welcome`: at most 100 characters. Not for personal data.
    Tag,
    Part::Tag,
    100
);
checked_text!(
    /// The file name of an attachment: at most 200 characters, no control character.
    FileName,
    Part::FileName,
    200
);

/// Headers that [`Message`](super::Message) writes from its own fields, or that would change how the email is read.
const RESERVED: [&str; 20] = [
    "from",
    "to",
    "cc",
    "bcc",
    "sender",
    "reply-to",
    "subject",
    "date",
    "message-id",
    "mime-version",
    "return-path",
    "received",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "dkim-signature",
    "resent-from",
    "resent-to",
    "resent-cc",
    "resent-bcc",
    "resent-sender",
];

/// The name of a custom header: printable ASCII without colon (RFC 5322 §2.2), at most 76 characters, and not one of
/// those that a message writes itself.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HeaderName(String);

impl HeaderName {
    /// Checks a header name.
    ///
    /// # Errors
    /// [`MessageError`].
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        let part = Part::HeaderName;
        check(part, text, 76)?;
        if !text.bytes().all(|b| (33..=126).contains(&b) && b != b':') {
            return Err(MessageError::Syntax { part });
        }
        let lower = text.to_ascii_lowercase();
        if RESERVED.contains(&lower.as_str()) || lower.starts_with("content-") {
            return Err(MessageError::Reserved { name: lower });
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for HeaderName {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, MessageError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for HeaderName {
    type Error = MessageError;

    fn try_from(text: String) -> Result<Self, MessageError> {
        Self::parse(&text)
    }
}

impl From<HeaderName> for String {
    fn from(name: HeaderName) -> Self {
        name.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_refused_everywhere() {
        for code in (0..0x20).chain([0x7f, 0x85, 0x2028, 0x2029]) {
            let text = format!("a{}b", char::from_u32(code).unwrap());
            for refused in [
                DisplayName::parse(&text).unwrap_err(),
                Subject::parse(&text).unwrap_err(),
                HeaderValue::parse(&text).unwrap_err(),
                Tag::parse(&text).unwrap_err(),
                FileName::parse(&text).unwrap_err(),
                HeaderName::parse(&text).unwrap_err(),
            ] {
                assert!(
                    matches!(refused, MessageError::Control { code: c, at: 2, .. } if c == code),
                    "{refused}"
                );
            }
        }
    }

    #[test]
    fn header_name_is_printable_ascii_and_not_reserved() {
        assert!(HeaderName::parse("X-Campaign").is_ok());
        for bad in ["", "X A", "X:A", "Xé", "Bcc", "content-type", "REPLY-TO"] {
            assert!(HeaderName::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn encoded_word_is_refused() {
        let refused = DisplayName::parse("Jean =?utf-8?Q?=0D=0ABcc:_x@evil.example?=").unwrap_err();
        assert_eq!(refused.to_string(), "the display name holds an encoded word (=?…?=)");
        assert!(Subject::parse("=?utf-8?B?DQo=?=").is_err() && HeaderValue::parse("a =?x?= b").is_err());
        assert!(Subject::parse("1+1=? ?").is_ok() && Subject::parse("?= and =?").is_ok());
    }

    #[test]
    fn error_names_position_and_code_point() {
        let error = DisplayName::parse("Ève\nBcc: x").unwrap_err();
        assert_eq!(error.to_string(), "the display name holds the control character U+000A at character 4");
    }
}
