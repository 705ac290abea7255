//! A type for secrets, without `Display` and `Serialize`, so that they are not printed by accident.

use std::fmt;

/// An API key, token or password.
///
/// There is no `Display` and no `Serialize`, and `Debug` shows only that something is there. The text leaves through
/// [`expose`](Self::expose), which should appear where a header or a form body is made and nowhere else. The memory is
/// overwritten when the value is dropped, as far as safe Rust can promise that.
///
/// ```
/// use mkt_connect::Secret;
/// let key = Secret::new("xkeysib-0123");
/// assert_eq!(format!("{key:?}"), "Secret(…)");
/// assert_eq!(key.expose(), "xkeysib-0123");
/// ```
///
/// ```compile_fail
/// println!("{}", mkt_connect::Secret::new("x")); // no Display: this does not compile
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret. Surrounding white space, as a copied key often has, is removed.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        let text: String = text.into();
        Self(text.trim().to_owned())
    }

    /// Reads the environment variable `name`; `None` when it is unset, empty or not Unicode.
    #[must_use]
    pub fn from_env(name: &str) -> Option<Self> {
        std::env::var(name).ok().map(Self::new).filter(|secret| !secret.is_empty())
    }

    /// The secret itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Replaces every occurrence of the secret in `text` by `…`: as it is, percent-encoded (upper or lower-case hex),
    /// form-encoded (`+` for a space), escaped as in JSON (`\/`, `\u002b`) or HTML (`&amp;`), and any mixture of these.
    ///
    /// For bodies of vendors that echo the caller's token (Matomo does, in `imageGraphUrl`). Secrets shorter than four
    /// bytes are left alone: replacing them would shred the text and protect nothing.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        if self.0.len() < 4 {
            return text.to_owned();
        }
        let mut redacted = String::with_capacity(text.len());
        let (mut copied, mut at) = (0, 0);
        while at < text.len() {
            match self.end_of_match(text.as_bytes(), at) {
                Some(end) => {
                    redacted.push_str(text.get(copied..at).unwrap_or_default());
                    redacted.push('…');
                    (copied, at) = (end, end);
                }
                None => at += 1,
            }
        }
        redacted.push_str(text.get(copied..).unwrap_or_default());
        redacted
    }

    /// Where an occurrence ends that begins at `start`.
    fn end_of_match(&self, text: &[u8], start: usize) -> Option<usize> {
        // Nearly every byte begins none.
        let first = *text.get(start)?;
        if self.0.as_bytes().first() != Some(&first) && !matches!(first, b'%' | b'\\' | b'&') {
            return None;
        }
        // All places at which the next byte may begin: an escape sign may stand for itself or begin an escape.
        let mut places = vec![start];
        for &byte in self.0.as_bytes() {
            let mut next: Vec<usize> = Vec::new();
            for place in places {
                let rest = text.get(place..).unwrap_or_default();
                for length in spellings(byte, rest) {
                    if !next.contains(&(place + length)) {
                        next.push(place + length);
                    }
                }
            }
            if next.is_empty() {
                return None;
            }
            places = next;
        }
        places.into_iter().max()
    }
}

/// The lengths of the spellings of `byte` with which `text` begins.
fn spellings(byte: u8, text: &[u8]) -> impl Iterator<Item = usize> {
    let hex = |digits: Option<&[u8]>| {
        let digits = std::str::from_utf8(digits?).ok()?;
        (digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .then(|| u8::from_str_radix(digits, 16).ok())?
    };
    let entity: &[&[u8]] = match byte {
        b'&' => &[b"&amp;", b"&#38;", b"&#x26;"],
        b'<' => &[b"&lt;", b"&#60;", b"&#x3c;"],
        b'>' => &[b"&gt;", b"&#62;", b"&#x3e;"],
        b'"' => &[b"&quot;", b"&#34;", b"&#x22;"],
        b'\'' => &[b"&apos;", b"&#39;", b"&#x27;"],
        b'/' => &[b"&#47;", b"&#x2f;"],
        _ => &[],
    };
    let plain = text.first() == Some(&byte);
    let form = byte == b' ' && text.first() == Some(&b'+');
    let percent = text.first() == Some(&b'%') && hex(text.get(1..3)) == Some(byte);
    let escaped = text.first() == Some(&b'\\');
    let backslash = escaped && matches!(byte, b'/' | b'"' | b'\\') && text.get(1) == Some(&byte);
    let unicode = escaped
        && byte.is_ascii()
        && text.get(1..4).is_some_and(|head| head.eq_ignore_ascii_case(b"u00"))
        && hex(text.get(4..6)) == Some(byte);
    let entity = entity
        .iter()
        .find(|entity| text.get(..entity.len()).is_some_and(|head| head.eq_ignore_ascii_case(entity)));
    [(plain || form, 1), (percent, 3), (backslash, 2), (unicode, 6)]
        .into_iter()
        .filter_map(|(fits, length)| fits.then_some(length))
        .chain(entity.map(|entity| entity.len()))
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // Safe code only: overwrite, then hide the writes from the optimiser.
        let mut bytes = std::mem::take(&mut self.0).into_bytes();
        bytes.fill(0);
        std::hint::black_box(&bytes);
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_struct_that_holds_a_secret_may_derive_debug() {
        #[derive(Debug)]
        struct Provider {
            #[allow(dead_code)]
            key: Secret,
        }
        let printed =
            format!("{:?} {:#?}", Provider { key: Secret::new("canary-7") }, Secret::new("canary-7"));
        assert!(!printed.contains("canary"), "{printed}");
    }

    #[test]
    fn echoed_token_is_redacted_in_every_spelling() {
        let token = Secret::new("ab+cd/ef &é%2");
        for spelling in [
            "ab+cd/ef &é%2",
            "ab%2Bcd%2Fef%20%26%C3%A9%252",
            "ab%2bcd%2fef%20%26%c3%a9%252",
            "ab%2Bcd%2Fef+%26%C3%A9%252",
            r"ab+cd\/ef &é%2",
            r"ab\u002Bcd\/ef \u0026é%2",
            "ab+cd&#x2F;ef &amp;é%2",
            "ab+cd%2Fef &é%252",
        ] {
            assert_eq!(token.redact(&format!("x={spelling}&y=ab")), "x=…&y=ab", "{spelling}");
            assert_eq!(token.redact(&format!("{spelling}{spelling}")), "……", "{spelling}");
        }
        assert_eq!(token.redact("ab+cd/ef"), "ab+cd/ef");
        assert_eq!(Secret::new("aaaa").redact("aaaaaé%"), "…aé%");
    }

    #[test]
    fn short_secret_is_not_redacted() {
        assert_eq!(Secret::new("a").redact("banana"), "banana");
    }
}
