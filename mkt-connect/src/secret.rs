//! A secret as a type: what has no `Display` and no `Serialize` cannot be printed by accident.

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

    /// Replaces every occurrence of the secret in `text` (as it is, and percent-encoded) by `…`.
    ///
    /// For bodies of vendors that echo the caller's token (Matomo does, in `imageGraphUrl`). Secrets shorter than four
    /// characters are left alone: replacing them would shred the text and protect nothing.
    #[must_use]
    pub fn redact(&self, text: &str) -> String {
        if self.0.len() < 4 {
            return text.to_owned();
        }
        let encoded =
            percent_encoding::utf8_percent_encode(&self.0, percent_encoding::NON_ALPHANUMERIC).to_string();
        text.replace(&self.0, "…").replace(&encoded, "…")
    }
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
    fn an_echoed_token_is_redacted_plain_and_encoded() {
        let token = Secret::new("ab+cd/ef");
        assert_eq!(token.redact("a=ab+cd/ef&b=ab%2Bcd%2Fef&c=1"), "a=…&b=…&c=1");
    }

    #[test]
    fn a_short_secret_does_not_shred_the_text() {
        assert_eq!(Secret::new("a").redact("banana"), "banana");
    }
}
