//! Keys of visitors. No address is stored anywhere.
//!
//! A request's visitor is a keyed hash of address and agent (SipHash-2-4 with 128 bits under the secret). It is held in
//! memory and in the temporary records only, and links a visit over midnight. What is stored is a hash of it with a salt
//! of the day on which the visit began, so that one person's visits of two days cannot be brought together.

use mkt_connect::Secret;
use sha2::{Digest, Sha256};
use siphasher::sip128::{Hasher128, SipHasher24};
use std::fmt;
use std::hash::Hasher;

/// Makes keys from a secret.
#[derive(Clone)]
pub(super) struct Keys {
    secret: Secret,
    of_visitors: [u8; 16],
    of_lines: [u8; 16],
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

fn derived(secret: &Secret, purpose: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in [purpose, secret.expose()] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.finalize().into()
}

fn half(whole: [u8; 32]) -> [u8; 16] {
    let mut half = [0; 16];
    half.copy_from_slice(&whole[..16]);
    half
}

impl Keys {
    pub(super) fn new(secret: Secret) -> Self {
        let (of_visitors, of_lines) = (half(derived(&secret, "visitors")), half(derived(&secret, "lines")));
        Self { secret, of_visitors, of_lines }
    }

    /// The visitor of a request, not to be stored.
    #[inline]
    pub(super) fn visitor(&self, address: &[u8], agent: &[u8]) -> u128 {
        let mut hash = SipHasher24::new_with_key(&self.of_visitors);
        hash.write(address);
        hash.write_u8(0xff);
        hash.write(agent);
        hash.finish128().as_u128()
    }

    /// A hash of a whole line. Keyed: a line holds the address, and may otherwise be guessed.
    #[inline]
    pub(super) fn line(&self, line: &[u8]) -> u128 {
        let mut hash = SipHasher24::new_with_key(&self.of_lines);
        hash.write(line);
        hash.finish128().as_u128()
    }

    /// The salt of a day.
    pub(super) fn of_day(&self, day: i64) -> DayKeys {
        DayKeys(derived(&self.secret, &format!("day {day}")))
    }

    /// Changes with the secret, and does not tell it.
    pub(super) fn fingerprint(&self) -> u128 {
        self.line(b"fingerprint")
    }
}

/// Makes the keys of visitors whose visits began on one day.
#[derive(Clone)]
pub(super) struct DayKeys([u8; 32]);

impl DayKeys {
    /// The key that is stored, in 22 characters.
    pub(super) fn stored(&self, visitor: u128) -> String {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut hash = Sha256::new();
        hash.update(self.0);
        hash.update(visitor.to_be_bytes());
        hash.finalize().iter().take(22).map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visitor_has_another_key_on_another_day_and_under_another_secret() {
        let keys = Keys::new(Secret::new("s"));
        let (anna, same) = (keys.visitor(b"192.0.2.1", b"Firefox"), keys.visitor(b"192.0.2.1", b"Firefox"));
        assert_eq!(anna, same);
        assert_ne!(anna, keys.visitor(b"192.0.2.1F", b"irefox"));
        assert_ne!(keys.of_day(1).stored(anna), keys.of_day(2).stored(anna));
        assert_eq!(keys.of_day(1).stored(anna).len(), 22);
        assert_ne!(anna, Keys::new(Secret::new("t")).visitor(b"192.0.2.1", b"Firefox"));
        assert_eq!(format!("{keys:?}"), "Keys { .. }");
    }
}
