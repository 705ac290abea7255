//! Compares credentials in a time that does not depend on where they differ.

use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use mkt_connect::Secret;
use sha2::Sha256;
use std::hash::{BuildHasher, RandomState};

/// The secrets of which a caller must know one. What is kept is their HMAC under a key of this process: comparing two of
/// those tells nothing about the secrets, not even their lengths.
#[derive(Clone)]
pub(super) struct Secrets {
    key: Hmac<Sha256>,
    kept: Vec<[u8; 32]>,
}

impl Secrets {
    pub(super) fn new() -> Self {
        // Chance of the process, from the standard library; it need not be kept.
        let mut chance = [0; 64];
        for part in chance.chunks_exact_mut(8) {
            part.copy_from_slice(&RandomState::new().hash_one(0).to_be_bytes());
        }
        Self { key: <Hmac<Sha256> as KeyInit>::new(&chance.into()), kept: Vec::new() }
    }

    pub(super) fn add(&mut self, secret: &Secret) {
        self.add_bytes(secret.expose().as_bytes());
    }

    pub(super) fn add_bytes(&mut self, secret: &[u8]) {
        let mut mac = self.key.clone();
        mac.update(secret);
        self.kept.push(mac.finalize().into_bytes().into());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether it is one of the secrets. All are compared.
    pub(super) fn knows(&self, given: &[u8]) -> bool {
        self.kept.iter().fold(false, |known, kept| {
            let mut mac = self.key.clone();
            mac.update(given);
            mac.verify_slice(kept).is_ok() | known
        })
    }
}
