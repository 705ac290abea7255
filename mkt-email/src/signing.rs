//! Signed tokens of links: a payload and its HMAC-SHA256, in URL-safe base64. What the payload means is the caller's.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use mkt_connect::{Error, ErrorKind, Result, Secret};
use sha2::Sha256;

/// What Standard Webhooks asks of a secret, and more than anybody guesses.
const MIN_SECRET: usize = 24;
const MAX_KEYS: usize = 8;
/// Names of lists and campaigns: two of them, in base64, leave room in a link of 900 bytes.
pub(crate) const MAX_NAME: usize = 150;
/// The bytes of a hash and of a signature.
pub(crate) const DIGEST: usize = 32;

/// Keys for one purpose: the first signs, all verify.
#[derive(Clone)]
pub(crate) struct Keys {
    service: &'static str,
    purpose: &'static [u8],
    keys: Vec<Hmac<Sha256>>,
}

impl Keys {
    /// No key yet. The purpose is signed too: a token of one purpose is none of another.
    pub(crate) fn new(service: &'static str, purpose: &'static [u8]) -> Self {
        Self { service, purpose, keys: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }

    /// Adds a key.
    pub(crate) fn accepting(mut self, secret: &Secret) -> Result<Self> {
        let refused = |detail| Error::new(ErrorKind::Config, self.service, "take a key").with_detail(detail);
        if secret.expose().len() < MIN_SECRET {
            return Err(refused("the secret has fewer than 24 bytes"));
        }
        if self.keys.len() == MAX_KEYS {
            return Err(refused("there are eight keys already"));
        }
        let key = <Hmac<Sha256> as Mac>::new_from_slice(secret.expose().as_bytes());
        let mut key = key.map_err(|_| refused("the secret cannot be a key"))?;
        key.update(self.purpose);
        self.keys.push(key);
        Ok(self)
    }

    /// The token of a payload.
    pub(crate) fn token(&self, mut payload: Vec<u8>) -> Result<String> {
        let key = self.keys.first().cloned();
        let mut mac = key.ok_or_else(|| Error::new(ErrorKind::Config, self.service, "sign"))?;
        mac.update(&payload);
        payload.extend(mac.finalize().into_bytes());
        Ok(URL_SAFE_NO_PAD.encode(payload))
    }

    /// The payload of a token of at most so many characters, if one of the keys signed it.
    pub(crate) fn payload(&self, token: &str, longest: usize) -> Option<Vec<u8>> {
        if token.len() > longest {
            return None;
        }
        // The decoder takes each text for one sequence of bytes only: no padding, no stray bits at the end.
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (payload, signature) = bytes.split_last_chunk::<DIGEST>()?;
        // All keys are tried, so that the time does not tell which one fits.
        let signed = self.keys.iter().fold(false, |signed, key| {
            let mut mac = key.clone();
            mac.update(payload);
            mac.verify_slice(signature).is_ok() | signed
        });
        signed.then(|| payload.to_vec())
    }
}

/// Writes a name with its length before it.
pub(crate) fn push_name(service: &'static str, payload: &mut Vec<u8>, name: &str) -> Result<()> {
    match u8::try_from(name.len()).ok().filter(|length| usize::from(*length) <= MAX_NAME) {
        Some(length) => payload.push(length),
        None => {
            let detail = format!("the name of a list or campaign is longer than {MAX_NAME} bytes");
            return Err(Error::new(ErrorKind::Input, service, "sign").with_detail(detail));
        }
    }
    payload.extend(name.as_bytes());
    Ok(())
}

/// Reads a name, and what follows it.
pub(crate) fn name(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (&length, rest) = bytes.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(length))?;
    Some((String::from_utf8(name.to_vec()).ok()?, rest))
}
