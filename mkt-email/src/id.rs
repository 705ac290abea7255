//! Ids of emails and keys of attempts. They are hashes of what they identify and never random, so that a run after a
//! crash, or on another machine, computes the same ones.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// 128 bits of SHA-256 over length-prefixed parts: no two lists of parts give the same input.
pub(crate) fn digest(domain: &str, parts: &[&[u8]]) -> u128 {
    let mut hash = Sha256::new();
    for part in std::iter::once(domain.as_bytes()).chain(parts.iter().copied()) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut half = [0; 16];
    half.copy_from_slice(&hash.finalize()[..16]);
    u128::from_be_bytes(half)
}

/// Lower-case hexadecimal SHA-256 of `bytes`.
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres", feature = "http")),
    expect(dead_code, reason = "only what stores or compares contents needs it")
)]
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        text.push(char::from_digit(u32::from(byte >> 4), 16).unwrap_or('0'));
        text.push(char::from_digit(u32::from(byte & 15), 16).unwrap_or('0'));
        text
    })
}

/// The id of one email to one person: 32 hexadecimal digits, a hash of its [`DedupKey`](crate::DedupKey).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EmailId(u128);

#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    expect(dead_code, reason = "only the outbox identifies emails")
)]
impl EmailId {
    pub(crate) fn of(campaign: &str, contact: &str, entity: &str) -> Self {
        Self(digest("mkt-email mail", &[campaign.as_bytes(), contact.as_bytes(), entity.as_bytes()]))
    }

    /// The attempt with this number; the same attempt always has the same key.
    #[must_use]
    pub fn attempt(self, number: u32) -> IdempotencyKey {
        IdempotencyKey::from_hash(digest(
            "mkt-email attempt",
            &[&self.0.to_be_bytes(), &number.to_be_bytes()],
        ))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32).map(Self)
    }
}

impl fmt::Display for EmailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for EmailId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EmailId({self})")
    }
}

/// The key by which a provider recognises a repeated call: a UUID (version 8, RFC 9562: from a hash).
///
/// It is stored before the call; a call repeated after a crash has the same key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(u128);

impl IdempotencyKey {
    fn from_hash(hash: u128) -> Self {
        // Version 8 in bits 48-51, variant 10 in bits 64-65.
        let versioned = (hash & !(0xf << 76)) | (0x8 << 76);
        Self((versioned & !(0x3 << 62)) | (0x2 << 62))
    }

    /// A key for an email outside of an outbox: the same text gives the same key.
    #[must_use]
    pub fn from_text(text: &str) -> Self {
        Self::from_hash(digest("mkt-email text", &[text.as_bytes()]))
    }

    /// The key of a call with several emails: the same emails in the same order give the same key.
    #[must_use]
    pub fn of_group(members: &[Self]) -> Self {
        let bytes: Vec<u8> = members.iter().flat_map(|key| key.0.to_be_bytes()).collect();
        Self::from_hash(digest("mkt-email group", &[&bytes]))
    }

    /// The key as bytes.
    pub(crate) fn bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// The key of these bytes.
    pub(crate) fn of_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let hex: String = text.chars().filter(|c| *c != '-').collect();
        let value = u128::from_str_radix(&hex, 16).ok().filter(|_| hex.len() == 32).map(Self)?;
        (value.to_string() == text).then_some(value)
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = format!("{:032x}", self.0);
        write!(f, "{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({self})")
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("an idempotency key is a lower-case UUID")
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_email_id_are_separated() {
        assert_ne!(EmailId::of("ab", "c", ""), EmailId::of("a", "bc", ""));
        assert_ne!(EmailId::of("a", "", "b"), EmailId::of("a", "b", ""));
    }

    #[test]
    fn idempotency_key_is_a_version_8_uuid() {
        for number in 0..200 {
            let key = EmailId::of("welcome", "7", "").attempt(number);
            let text = key.to_string();
            assert_eq!(text.as_bytes()[14], b'8', "{text}");
            assert!(matches!(text.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{text}");
            assert_eq!(IdempotencyKey::parse(&text), Some(key));
        }
    }

    #[test]
    fn each_attempt_has_its_own_key() {
        let email = EmailId::of("welcome", "7", "");
        assert_ne!(email.attempt(1), email.attempt(2));
        assert_eq!(email.attempt(1), email.attempt(1));
    }

    #[test]
    fn sha256_is_the_published_one() {
        // FIPS 180-2, appendix B.1.
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
