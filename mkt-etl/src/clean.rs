//! Removes from text what the warehouse must not hold: email addresses and credentials in URLs.
//!
//! It finds what looks like an address; it does not judge whether the address exists.

use std::borrow::Cow;
use url::Url;

/// What stands where an address stood.
pub const ADDRESS: &str = "[address]";

/// Replaces everything that looks like an email address, also percent-encoded (`%40`), by [`ADDRESS`].
///
/// ```
/// assert_eq!(mkt_etl::clean::without_addresses("?u=jo.x%2B1%40example.org&p=2"), "?u=[address]&p=2");
/// assert_eq!(mkt_etl::clean::without_addresses("3 @ 5 EUR"), "3 @ 5 EUR");
/// ```
#[must_use]
pub fn without_addresses(text: &str) -> Cow<'_, str> {
    let bytes = text.as_bytes();
    if may_be_stored(text) {
        return Cow::Borrowed(text);
    }
    let mut out = String::new();
    let mut copied = 0;
    let mut at = 0;
    // Where the word began that the scan is in: looked for backwards at each `@`, a long text would take its length
    // squared.
    let mut word = 0;
    while at < bytes.len() {
        let width = match bytes[at] {
            b'@' => 1,
            b'%' if bytes[at..].starts_with(b"%40") => 3,
            other => {
                at += 1;
                if !is_local(other) {
                    word = at;
                }
                continue;
            }
        };
        let start = word;
        let end =
            bytes[at + width..].iter().position(|b| !is_domain(*b)).map_or(bytes.len(), |i| at + width + i);
        // A domain needs an inner dot: `user@localhost` may be a login, `3 @ 5` is a price.
        let domain = trim_dots(&bytes[at + width..end]);
        if start < at && domain.contains(&b'.') {
            out.push_str(&text[copied..start]);
            out.push_str(ADDRESS);
            // A full stop after the address is not of the address.
            copied = at + width + domain.len();
            at = copied;
            word = copied;
        } else {
            at += width;
            // `%40` is also what a word may be made of; `@` ends one.
            if width == 1 {
                word = at;
            }
        }
    }
    if copied == 0 {
        return Cow::Borrowed(text);
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Whether there is no sign of an address: most texts are not looked at byte by byte.
fn may_be_stored(text: &str) -> bool {
    let bytes = text.as_bytes();
    // Looking for one byte is many times faster than looking for a text.
    !(bytes.contains(&b'@') || bytes.contains(&b'%') && text.contains("%40"))
}

/// Whether a JSON text is stored as it stands: neither it nor what its escapes stand for holds an address or NUL.
pub(crate) fn is_clean_json(text: &str) -> bool {
    may_be_stored(text) && !text.as_bytes().contains(&b'\\')
}

fn is_local(byte: u8) -> bool {
    // Bytes beyond ASCII belong to a name: `josé@example.org`. Cutting happens at ASCII bytes only, so at boundaries.
    byte.is_ascii_alphanumeric() || b".!#$*+-^_`{|}~'%".contains(&byte) || byte >= 0x80
}

fn is_domain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b".-".contains(&byte) || byte >= 0x80
}

fn trim_dots(mut domain: &[u8]) -> &[u8] {
    while let [rest @ .., b'.' | b'-'] = domain {
        domain = rest;
    }
    domain
}

/// Cleans a URL for storage: user name, password and addresses go; everything else stays as the source tells it.
/// A text that is no URL is only cleaned of addresses.
#[must_use]
pub fn url(text: &str) -> String {
    if !text.as_bytes().contains(&b'@') {
        // No user name without one.
        return without_addresses(text).into_owned();
    }
    let text = match Url::parse(text) {
        Ok(mut parsed) if !parsed.username().is_empty() || parsed.password().is_some() => {
            // Both fail only for URLs that cannot have credentials, which have none.
            let _ = parsed.set_username("");
            let _ = parsed.set_password(None);
            Cow::Owned(parsed.to_string())
        }
        _ => Cow::Borrowed(text),
    };
    without_addresses(&text).into_owned()
}

/// Replaces addresses in every text of a JSON document, keys included, and NUL, which warehouses do not hold, by U+FFFD.
#[must_use]
pub fn json(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) => Value::String(storable(&text)),
        Value::Array(items) => Value::Array(items.into_iter().map(json).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, value)| (storable(&key), json(value))).collect())
        }
        other => other,
    }
}

/// A text without addresses, and without NUL, which warehouses do not hold.
pub(crate) fn storable(text: &str) -> String {
    let text = without_addresses(text);
    match text.as_bytes().contains(&0) {
        true => text.replace('\0', "\u{fffd}"),
        false => text.into_owned(),
    }
}

/// Raw bytes as a text that can be stored: addresses replaced, bytes that are no UTF-8 and NUL shown as `\xHH`, cut at
/// `max` characters.
#[must_use]
pub fn raw_text(raw: &[u8], max: usize) -> String {
    let mut text = String::new();
    for chunk in raw.utf8_chunks() {
        text.push_str(chunk.valid());
        chunk.invalid().iter().for_each(|byte| text.push_str(&format!("\\x{byte:02x}")));
    }
    let text = text.replace('\0', "\\x00");
    let text = without_addresses(&text);
    match text.char_indices().nth(max) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_go_and_their_surroundings_stay() {
        for (text, clean) in [
            ("user9@example.org", "[address]"),
            ("a;user9@example.org;b", "a;[address];b"),
            ("mail me: jo@ex.org.", "mail me: [address]."),
            ("josé@exämple.org x", "[address] x"),
            ("two@a.org,three@b.org", "[address],[address]"),
            ("https://shop/?m=a%2Bb%40ex.org#x", "https://shop/?m=[address]#x"),
            ("no address @ all", "no address @ all"),
            ("me@localhost", "me@localhost"),
            ("@ex.org", "@ex.org"),
            ("é@", "é@"),
        ] {
            assert_eq!(without_addresses(text), clean, "{text}");
        }
    }

    #[test]
    fn a_mebibyte_of_encoded_signs_takes_no_time() {
        let text = "%40".repeat((1 << 20) / 3);
        let start = std::time::Instant::now();
        assert_eq!(without_addresses(&text), text);
        // Looking back at each of the 349 525 signs would take minutes.
        assert!(start.elapsed() < std::time::Duration::from_secs(1), "{:?}", start.elapsed());
    }

    #[test]
    fn credentials_leave_a_url() {
        assert_eq!(url("https://jo:pw@shop.example.org/a?b=1"), "https://shop.example.org/a?b=1");
        assert_eq!(url("https://shop.example.org/cat/p0?é=1"), "https://shop.example.org/cat/p0?é=1");
    }

    #[test]
    fn a_document_is_fit_for_storage_at_every_depth() {
        let dirty = serde_json::json!({"a\0": ["x\0y", {"m": "jo@example.org"}], "n": 1});
        let clean = serde_json::json!({"a\u{fffd}": ["x\u{fffd}y", {"m": "[address]"}], "n": 1});
        assert_eq!(json(dirty), clean);
    }

    #[test]
    fn raw_bytes_are_kept_readable() {
        assert_eq!(raw_text(b"caf\xe9;x@y.org\0", 99), "caf\\xe9;[address]\\x00");
        assert_eq!(raw_text(b"abcdef", 3), "abc…");
    }
}
