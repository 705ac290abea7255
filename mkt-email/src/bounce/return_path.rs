//! Signed return paths (VERP, variable envelope return path): every attempt has an envelope sender of its own, so that its
//! bounce leads to it whatever the server returns of the email.
//!
//! ```text
//! bounces+mzxw6ytboi2dmmjtgq3tqojqgezdgnbvgy3tqojqgezq@shop.example
//!         └ 16 bytes: the key of the attempt; 10 bytes: their signature; in base 32, which survives lower-casing
//! ```

use crate::EmailAddress;
use crate::id::IdempotencyKey;
use hmac::{Hmac, Mac};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use sha2::Sha256;
use std::fmt;

const SERVICE: &str = "return path";
const MIN_SECRET: usize = 24;
const MAX_KEYS: usize = 8;
const KEY: usize = 16;
/// 80 bits: each guess is an email to us, and there is no other way to try one.
const SIGNATURE: usize = 10;
const TOKEN: usize = ((KEY + SIGNATURE) * 8).div_ceil(5);
/// Octets of a local part (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL: usize = 64;
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Signs and verifies return paths.
///
/// The first secret signs; paths signed with the others are still accepted, for rotation. The secret may be that of the
/// [unsubscribe links](crate::unsubscribe::UnsubscribeKeys): the signatures are separated.
///
/// The mailbox behind the address must take sub-addresses (RFC 5233, `bounces+anything@`), as Gmail's, Postfix' with
/// `recipient_delimiter = +` and most others do.
///
/// ```
/// use mkt_email::bounce::ReturnPathKeys;
/// use mkt_email::{IdempotencyKey, Secret};
/// let keys = ReturnPathKeys::new(&"bounces@shop.example".parse()?, &Secret::new("24 bytes or more from a key store"))?;
/// let key = IdempotencyKey::from_text("order 7");
/// let path = keys.path(key);
/// assert_eq!(keys.verify(path.as_str()), Some(key));
/// assert_eq!(keys.verify("bounces+mzxw6@shop.example"), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct ReturnPathKeys {
    local: String,
    domain: String,
    keys: Vec<Hmac<Sha256>>,
}

impl fmt::Debug for ReturnPathKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ReturnPathKeys({})", self.keys.len())
    }
}

impl ReturnPathKeys {
    /// Return paths at sub-addresses of `bounces`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a secret of fewer than 24 bytes, and for a local part of more than 21.
    pub fn new(bounces: &EmailAddress, secret: &Secret) -> Result<Self> {
        let (local, domain) = bounces.as_str().rsplit_once('@').unwrap_or((bounces.as_str(), ""));
        let most = MAX_LOCAL - TOKEN - 1;
        if local.len() > most || local.starts_with('"') {
            return Err(config(format!(
                "the local part of the bounce address has {} bytes: expected at most {most}, unquoted",
                local.len()
            )));
        }
        let (local, domain) = (local.to_owned(), domain.to_owned());
        Self { local, domain, keys: Vec::new() }.accepting(secret)
    }

    /// Accepts paths signed with an earlier secret too.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] for a secret of fewer than 24 bytes, or a ninth one.
    pub fn accepting(mut self, former: &Secret) -> Result<Self> {
        if former.expose().len() < MIN_SECRET {
            return Err(config("the secret has fewer than 24 bytes".to_owned()));
        }
        if self.keys.len() == MAX_KEYS {
            return Err(config("there are eight keys already".to_owned()));
        }
        let key = <Hmac<Sha256> as Mac>::new_from_slice(former.expose().as_bytes());
        let mut key = key.map_err(|_| config("the secret cannot be a key".to_owned()))?;
        key.update(b"mkt-email return path\0");
        self.keys.push(key);
        Ok(self)
    }

    /// The envelope sender of an attempt.
    #[must_use]
    pub fn path(&self, key: IdempotencyKey) -> String {
        let mut bytes = [0; KEY + SIGNATURE];
        bytes[..KEY].copy_from_slice(&key.bytes());
        if let Some(signer) = self.keys.first() {
            bytes[KEY..].copy_from_slice(&signature(signer, &key.bytes()));
        }
        format!("{}+{}@{}", self.local, encode(&bytes), self.domain)
    }

    /// The attempt of a return path that one of the secrets has signed, whatever its local part and domain: servers may
    /// rewrite both. The comparison takes the same time wherever the first difference is.
    #[must_use]
    pub fn verify(&self, address: &str) -> Option<IdempotencyKey> {
        let (local, _) = address.trim().trim_matches(['<', '>']).rsplit_once('@')?;
        let token = local.get(local.len().checked_sub(TOKEN)?..)?;
        let bytes = decode(token)?;
        let (key, signed) = bytes.split_first_chunk::<KEY>()?;
        let genuine = self.keys.iter().fold(false, |genuine, signer| {
            let mut mac = signer.clone();
            mac.update(key);
            mac.verify_truncated_left(signed).is_ok() | genuine
        });
        genuine.then(|| IdempotencyKey::of_bytes(*key))
    }
}

fn config(detail: String) -> Error {
    Error::new(ErrorKind::Config, SERVICE, "take a key").with_detail(detail)
}

fn signature(signer: &Hmac<Sha256>, key: &[u8; KEY]) -> [u8; SIGNATURE] {
    let mut mac = signer.clone();
    mac.update(key);
    let whole = mac.finalize().into_bytes();
    std::array::from_fn(|at| whole[at])
}

/// Base 32 (RFC 4648 §6) in lower case, without padding.
fn encode(bytes: &[u8]) -> String {
    let (mut text, mut bits, mut count) = (String::with_capacity(TOKEN), 0_u32, 0);
    for byte in bytes {
        bits = bits << 8 | u32::from(*byte);
        count += 8;
        while count >= 5 {
            count -= 5;
            text.push(char::from(ALPHABET[(bits >> count & 31) as usize]));
        }
    }
    if count > 0 {
        text.push(char::from(ALPHABET[(bits << (5 - count) & 31) as usize]));
    }
    text
}

/// The bytes of a token, in either case; none if it is not the encoding of any.
fn decode(token: &str) -> Option<[u8; KEY + SIGNATURE]> {
    let mut bytes = [0; KEY + SIGNATURE];
    let (mut bits, mut count, mut at) = (0_u32, 0, 0);
    for letter in token.bytes() {
        let value = match letter.to_ascii_lowercase() {
            letter @ b'a'..=b'z' => letter - b'a',
            digit @ b'2'..=b'7' => digit - b'2' + 26,
            _ => return None,
        };
        bits = (bits << 5 | u32::from(value)) & 0xfff;
        count += 5;
        if count >= 8 {
            count -= 8;
            *bytes.get_mut(at)? = (bits >> count & 0xff) as u8;
            at += 1;
        }
    }
    // Stray bits at the end would make a second text of the same bytes.
    (at == bytes.len() && bits & ((1 << count) - 1) == 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> ReturnPathKeys {
        ReturnPathKeys::new(&"bounces@shop.example".parse().unwrap(), &Secret::new(secret)).unwrap()
    }

    const SECRET: &str = "a secret of at least 24 bytes";

    #[test]
    fn base_32_is_that_of_the_rfc() {
        // RFC 4648 §10.
        for (bytes, text) in [("f", "my"), ("fo", "mzxq"), ("foobar", "mzxw6ytboi")] {
            assert_eq!(encode(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn path_fits_a_local_part_and_survives_upper_case() {
        let keys = keys(SECRET);
        for number in 0..200 {
            let key = IdempotencyKey::from_text(&format!("{number}"));
            let path = keys.path(key);
            assert!(path.split_once('@').unwrap().0.len() <= MAX_LOCAL, "{path}");
            assert!(path.parse::<EmailAddress>().is_ok());
            assert_eq!(keys.verify(&path), Some(key));
            assert_eq!(keys.verify(&format!("<{}>", path.to_uppercase())), Some(key));
        }
    }

    #[test]
    fn altered_path_is_refused() {
        let keys = keys(SECRET);
        let path = keys.path(IdempotencyKey::from_text("7"));
        let (local, domain) = path.split_once('@').unwrap();
        for at in "bounces+".len()..local.len() {
            for letter in ALPHABET {
                let mut altered = local.as_bytes().to_vec();
                altered[at] = *letter;
                let altered = String::from_utf8(altered).unwrap();
                let verified = keys.verify(&format!("{altered}@{domain}"));
                assert_eq!(verified.is_some(), altered == local, "{altered}");
            }
        }
    }

    #[test]
    fn former_secret_is_accepted_and_a_foreign_one_is_not() {
        let former = keys(SECRET).path(IdempotencyKey::from_text("7"));
        let rotated = keys("another secret of 24 bytes or more");
        assert_eq!(rotated.verify(&former), None);
        let rotated = rotated.accepting(&Secret::new(SECRET)).unwrap();
        assert!(rotated.verify(&former).is_some());
    }

    #[test]
    fn long_local_parts_and_short_secrets_are_refused() {
        let long = "bounces.of.the.whole.shop@shop.example".parse().unwrap();
        assert!(ReturnPathKeys::new(&long, &Secret::new(SECRET)).is_err());
        assert!(ReturnPathKeys::new(&"b@shop.example".parse().unwrap(), &Secret::new("short")).is_err());
    }
}
