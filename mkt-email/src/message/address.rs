//! Addresses and mailboxes. Values of these types cannot contain a line break, so they cannot forge a header.

use super::text::{MessageError, Part, refuse_controls};
use crate::id::hex;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// RFC 5321 §4.5.3.1.3 allows 256 with the angle brackets.
const MAX_ADDRESS: usize = 254;

/// An email address such as `jean@example.org`, checked. A domain beyond ASCII is converted to its `xn--` form (IDNA,
/// UTS 46); a local part beyond ASCII (RFC 6531) is rejected, because most servers do not accept one.
///
/// Personal data: there is no `Display`, and `Debug` shows eight digits of a hash.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EmailAddress(String);

impl EmailAddress {
    /// Checks an address. Surrounding white space is an error here; readers of files trim first.
    ///
    /// # Errors
    /// [`MessageError`], which never repeats the text.
    pub fn parse(text: &str) -> Result<Self, MessageError> {
        refuse_controls(Part::Address, text)?;
        if text.is_empty() {
            return Err(MessageError::Empty { part: Part::Address });
        }
        if !text.is_ascii() {
            return Self::parse(&with_ascii_domain(text)?);
        }
        if text.len() > MAX_ADDRESS {
            return Err(MessageError::TooLong { part: Part::Address, max: MAX_ADDRESS, got: text.len() });
        }
        // `lettre` also takes domain literals and quoted local parts; they are legal, and no mailbox provider uses them.
        let plain =
            text.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'[' | b']'));
        let host = text.rsplit_once('@').is_some_and(|(_, domain)| is_host_name(domain));
        if !plain || !host || text.parse::<lettre::Address>().is_err() {
            return Err(MessageError::Syntax { part: Part::Address });
        }
        Ok(Self(text.to_owned()))
    }

    /// The address as it was written, with its domain in ASCII.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part after the `@`.
    #[must_use]
    pub fn domain(&self) -> &str {
        self.0.rsplit_once('@').map_or("", |(_, domain)| domain)
    }

    /// The form under which two spellings count as one person: lower case. RFC 5321 lets local parts differ by case; no
    /// mailbox provider in use does, and sending to a person twice is the worse mistake.
    #[must_use]
    pub fn normalised(&self) -> String {
        self.0.to_ascii_lowercase()
    }

    /// The key of the address in tables that outlive its erasure: SHA-256 of the normalised form, in hexadecimal.
    /// Pseudonymous, not anonymous: who guesses the address can compute it.
    ///
    /// It is not keyed, on purpose. A secret of each outbox would be stored beside the tables, so who has them could still
    /// compute keys; and keys would differ where they must agree: unsubscribe links, which identify a person to any
    /// outbox, and suppressions of erased people, which move between outboxes as CSV by this key alone.
    #[must_use]
    pub fn key(&self) -> String {
        hex(&self.digest())
    }

    /// [`key`](Self::key) as bytes.
    pub(crate) fn digest(&self) -> [u8; 32] {
        // At most 254 bytes: no allocation for what may be done a million times.
        let mut lower = [0; MAX_ADDRESS];
        let lower = lower.get_mut(..self.0.len()).unwrap_or_default();
        lower.copy_from_slice(self.0.as_bytes());
        lower.make_ascii_lowercase();
        Sha256::digest(lower).into()
    }
}

/// The address with its domain in the `xn--` form.
fn with_ascii_domain(text: &str) -> Result<String, MessageError> {
    let invalid = MessageError::Syntax { part: Part::Address };
    let Some((local, domain)) = text.rsplit_once('@') else { return Err(invalid) };
    if !local.is_ascii() {
        // A mistyped blank or quotation mark is not the name of a mailbox.
        let word = local.chars().all(|c| c.is_alphanumeric() || c.is_ascii());
        return Err(if word { MessageError::NonAsciiLocalPart } else { invalid });
    }
    match url::Host::parse(domain) {
        Ok(url::Host::Domain(domain)) => Ok(format!("{local}@{domain}")),
        _ => Err(invalid),
    }
}

/// Labels of letters, digits and inner hyphens (RFC 1123 §2.1). A last label of digits is an IP address, which
/// `lettre` takes.
fn is_host_name(domain: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let numeric = domain.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    domain.split('.').all(label) && !numeric
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailAddress(#{:.8})", self.key())
    }
}

impl FromStr for EmailAddress {
    type Err = MessageError;

    fn from_str(text: &str) -> Result<Self, MessageError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for EmailAddress {
    type Error = MessageError;

    fn try_from(text: String) -> Result<Self, MessageError> {
        Self::parse(&text)
    }
}

impl From<EmailAddress> for String {
    fn from(address: EmailAddress) -> Self {
        address.0
    }
}

/// An address and the name shown beside it.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Mailbox {
    /// The address.
    pub address: EmailAddress,
    /// The name shown to readers, if any.
    pub name: Option<super::DisplayName>,
}

impl Mailbox {
    /// An address with a name. An empty or blank name is no name.
    ///
    /// # Errors
    /// [`MessageError`] when the name holds a control character or is too long.
    pub fn named(address: EmailAddress, name: &str) -> Result<Self, MessageError> {
        // Before trimming, which would remove line breaks: they are refused.
        refuse_controls(Part::DisplayName, name)?;
        let name = if name.trim().is_empty() { None } else { Some(super::DisplayName::parse(name.trim())?) };
        Ok(Self { address, name })
    }
}

impl From<EmailAddress> for Mailbox {
    fn from(address: EmailAddress) -> Self {
        Self { address, name: None }
    }
}

impl FromStr for Mailbox {
    type Err = MessageError;

    /// Reads `jean@example.org` or `Jean Dupont <jean@example.org>`.
    fn from_str(text: &str) -> Result<Self, MessageError> {
        refuse_controls(Part::Address, text)?;
        match text.trim().strip_suffix('>').and_then(|rest| rest.rsplit_once('<')) {
            Some((name, address)) => Self::named(address.parse()?, name.trim().trim_matches('"')),
            None => Ok(Self::from(text.trim().parse::<EmailAddress>()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_address_is_kept_as_written() {
        for good in ["jean@example.org", "Jean.Dupont+news@sub.example.co.uk", "a@xn--bcher-kva.example"] {
            assert_eq!(EmailAddress::parse(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn invalid_address_is_refused_without_repeating_it() {
        for bad in [
            "",
            "jean",
            "jean@",
            "@example.org",
            "a b@example.org",
            "jean@exa mple.org",
            "é@example.org",
            "jean@é@example.org",
            "jean@thé .test",
            "“jean”@example.org",
            "jean@é..test",
            "a\u{200b}b@example.org",
        ] {
            let error = EmailAddress::parse(bad).unwrap_err().to_string();
            assert!(bad.is_empty() || !error.contains(bad), "{error}");
        }
        for bad in [
            "a@b.org\r\nBcc: x@y.org",
            "a\n@b.org",
            "a@b.org\0",
            "a@[127.0.0.1]",
            "a@127.0.0.1",
            "a@::",
            "a@-b.org",
            "a@b..org",
            "\"a b\"@c.org",
        ] {
            assert!(EmailAddress::parse(bad).is_err(), "{bad:?}");
        }
        assert!(EmailAddress::parse(&format!("{}@example.org", "a".repeat(250))).is_err());
    }

    #[test]
    fn domain_with_accents_becomes_ascii() {
        // Python: "boutique-thé.test".encode("idna")
        for (text, ascii) in [
            ("jean@boutique-thé.test", "jean@xn--boutique-th-lbb.test"),
            ("jean@BÜCHER.example", "jean@xn--bcher-kva.example"),
        ] {
            assert_eq!(EmailAddress::parse(text).unwrap().as_str(), ascii);
        }
        let error = EmailAddress::parse("é@example.org").unwrap_err();
        assert_eq!(error, MessageError::NonAsciiLocalPart);
    }

    #[test]
    fn spellings_that_differ_by_case_share_a_key() {
        let (a, b) = (
            EmailAddress::parse("Jean@Example.org").unwrap(),
            EmailAddress::parse("jean@example.ORG").unwrap(),
        );
        assert_eq!(a.key(), b.key());
        assert_ne!(a, b);
    }

    #[test]
    fn debug_shows_no_address() {
        let mailbox: Mailbox = "Jean Dupont <jean@example.org>".parse().unwrap();
        let shown = format!("{mailbox:?}");
        assert!(
            !shown.contains("jean") && !shown.contains("Dupont") && !shown.contains("example"),
            "{shown}"
        );
    }

    #[test]
    fn mailbox_is_parsed_with_and_without_name() {
        let named: Mailbox = "\"Jean, le grand\" <jean@example.org>".parse().unwrap();
        assert_eq!(named.name.unwrap().as_str(), "Jean, le grand");
        assert_eq!(named.address.as_str(), "jean@example.org");
        assert_eq!("jean@example.org".parse::<Mailbox>().unwrap().name, None);
        assert!("Eve\nX <eve@example.org>".parse::<Mailbox>().is_err());
        let eve = EmailAddress::parse("eve@example.org").unwrap();
        for name in ["Eve\n", "\r\nEve", "Eve\u{2028}", "\n"] {
            assert!(Mailbox::named(eve.clone(), name).is_err(), "{name:?}");
        }
        assert_eq!(Mailbox::named(eve, "  ").unwrap().name, None);
    }
}
