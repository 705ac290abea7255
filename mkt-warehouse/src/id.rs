//! Stable identifiers: the same input gives the same row on every machine, so that a replay changes nothing.
//!
//! None of these is a sequence, and none holds an address.

use crate::batch::SliceKey;
use sha2::{Digest, Sha256};

/// The longest `user_id` and `session_id`, as the course's VARCHAR(50) has it.
pub const MAX_ID: usize = 50;

/// A 63-bit hash of the parts: the first eight bytes of SHA-256 over length-prefixed parts, without the sign bit.
///
/// With 100 million rows the chance of any collision is about 1 in 2 000 (n² / 2⁶⁴).
#[must_use]
pub fn stable_hash(parts: &[&str]) -> i64 {
    let digest = digest(parts);
    let mut first = [0_u8; 8];
    first.copy_from_slice(&digest[..8]);
    i64::from_be_bytes(first) & i64::MAX
}

fn digest(parts: &[&str]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

/// `event_id` of a source's own event: BIGINT from (source, site, native id).
#[must_use]
pub fn event_id(source: &str, site: &str, native: &str) -> i64 {
    stable_hash(&["event", source, site, native])
}

/// `load_id` of a slice: the same for every reload of it.
#[must_use]
pub fn load_id(key: &SliceKey) -> i64 {
    stable_hash(&["load", &key.source, &key.stream, &key.site, &key.from.to_string(), &key.until.to_string()])
}

/// `session_id`: `source:site:native`, or its hash where that is longer than [`MAX_ID`].
#[must_use]
pub fn session_id(source: &str, site: &str, native: &str) -> String {
    qualified("s", source, site, native)
}

/// `user_id` of a visitor whom the site does not know by an id of its own: `source:site:visitor`, or its hash where
/// that is longer than [`MAX_ID`].
#[must_use]
pub fn visitor_id(source: &str, site: &str, visitor: &str) -> String {
    qualified("v", source, site, visitor)
}

/// `user_id` from the site's own user id. An id that looks like an address, or is too long for the column, is replaced
/// by a hash: the warehouse holds no address.
#[must_use]
pub fn site_user_id(native: &str) -> String {
    let trimmed = native.trim();
    if holds_address(trimmed) || trimmed.chars().count() > MAX_ID {
        // Written in either form, it is one person.
        format!("u:{}", short_hash(&["user", &trimmed.to_lowercase().replace("%40", "@")]))
    } else {
        trimmed.to_owned()
    }
}

/// `cart_id` of a cart that its source gives no id: from the user and the instant of the first addition since the last
/// purchase.
#[must_use]
pub fn cart_id(user_id: &str, first_added_at: chrono::DateTime<chrono::Utc>) -> String {
    format!("c:{}", short_hash(&["cart", user_id, &first_added_at.timestamp_micros().to_string()]))
}

/// Whether it may be an address, also percent-encoded.
fn holds_address(text: &str) -> bool {
    text.contains('@') || text.contains("%40")
}

fn qualified(kind: &str, source: &str, site: &str, native: &str) -> String {
    let text = format!("{source}:{site}:{native}");
    if text.chars().count() <= MAX_ID && !holds_address(native) {
        text
    } else {
        format!("{kind}:{}", short_hash(&[kind, source, site, native]))
    }
}

/// 132 bits of the hash in 22 characters of the URL-safe base64 alphabet.
fn short_hash(parts: &[&str]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digest = digest(parts);
    let mut bits = 0_u32;
    let mut held = 0_u32;
    let mut text = String::with_capacity(22);
    // 22 × 6 bits come from the first 17 bytes.
    for byte in digest.into_iter().take(17) {
        bits = (bits << 8) | u32::from(byte);
        held += 8;
        while held >= 6 && text.len() < 22 {
            held -= 6;
            text.push(char::from(ALPHABET[(bits >> held & 63) as usize]));
        }
        bits &= (1 << held) - 1;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_not_confused_with_their_concatenation() {
        assert_ne!(stable_hash(&["ab", "c"]), stable_hash(&["a", "bc"]));
    }

    #[test]
    fn the_hash_is_the_published_sha_256() {
        // sha256 of eight zero bytes (the length prefix of an empty part), by coreutils' sha256sum:
        // af5570f5a1810b7af78caf4bc70a660f0df51e42baf91d4de5b2328de0e83dfc
        assert_eq!(stable_hash(&[""]), 0xaf55_70f5_a181_0b7a_u64 as i64 & i64::MAX);
    }

    #[test]
    fn an_address_never_becomes_a_user_id() {
        let id = site_user_id("Jean.Dupont@example.org");
        assert!(!id.contains('@') && id.len() == 24, "{id}");
        assert_eq!(
            id,
            site_user_id(" jean.dupont@example.org "),
            "case and spaces do not make a second person"
        );
        assert_eq!(site_user_id("u000042"), "u000042");
        assert_eq!(id, site_user_id("jean.dupont%40example.org"), "percent-encoded, it is the same address");
        for id in [session_id("csv", "1", "jo%40ex.org"), visitor_id("csv", "1", "jo%40ex.org")] {
            assert!(!id.contains("%40"), "{id}");
        }
    }

    #[test]
    fn ids_fit_in_the_column() {
        let long = "x".repeat(400);
        for id in [session_id("matomo", "1", &long), visitor_id("matomo", "1", &long), site_user_id(&long)] {
            assert!(id.len() <= MAX_ID, "{id}");
        }
        assert_eq!(visitor_id("matomo", "1", "00aa11"), "matomo:1:00aa11");
    }
}
