//! Altered credentials and signatures: none is taken.

use super::*;
use axum::http::{HeaderMap, HeaderValue};
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;

fn mutated(random: &mut SplitMix64, text: &str) -> String {
    const LETTERS: &[u8] = b"0123456789abcdefABCDEFghXYZ -_.+";
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..random.random_range(1..=3) {
        let letter = LETTERS[random.random_range(0..LETTERS.len())];
        match random.random_range(0..4) {
            0 if !bytes.is_empty() => drop(bytes.remove(random.random_range(0..bytes.len()))),
            1 => bytes.insert(random.random_range(0..=bytes.len()), letter),
            2 if bytes.len() > 1 => {
                let (a, b) = (random.random_range(0..bytes.len()), random.random_range(0..bytes.len()));
                bytes.swap(a, b);
            }
            _ if !bytes.is_empty() => {
                let at = random.random_range(0..bytes.len());
                bytes[at] = letter;
            }
            _ => {}
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn count() -> usize {
    std::env::var("MKT_TEST_MUTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(20_000)
}

#[test]
fn altered_signature_is_never_taken() {
    let mut random = SplitMix64::seed_from_u64(1);
    let (webhook, now) = (mailgun(), noon());
    let (timestamp, token) =
        (now.timestamp().to_string(), "77e1e5f1a2b3c4d5e6f7a8b9c0d1e2f3a4b5c6d7e8f9a0b1c2");
    let right = signature(SIGNING_KEY, &timestamp, token);
    assert!(webhook.verify(&timestamp, token, &right, now).is_ok());
    let mut altered = 0;
    while altered < count() {
        let (mut t, mut k, mut s) = (timestamp.clone(), token.to_owned(), right.clone());
        match random.random_range(0..5) {
            0 => t = mutated(&mut random, &t),
            1 => k = mutated(&mut random, &k),
            2 => s = mutated(&mut random, &s),
            3 => {
                // Nothing is altered but the place where the timestamp ends.
                let all = format!("{t}{k}");
                let at = random.random_range(0..all.len());
                (t, k) = (all[..at].to_owned(), all[at..].to_owned());
            }
            _ => {
                (t, k) = (mutated(&mut random, &t), mutated(&mut random, &k));
                s = mutated(&mut random, &s);
            }
        }
        if (t.as_str(), k.as_str(), s.as_str()) == (timestamp.as_str(), token, right.as_str()) {
            continue;
        }
        altered += 1;
        assert!(webhook.verify(&t, &k, &s, now).is_err(), "{t} {k} {s}");
    }
}

#[test]
fn altered_credential_is_never_taken() {
    let mut random = SplitMix64::seed_from_u64(2);
    let webhook = brevo();
    let mut altered = 0;
    while altered < count() {
        let token = mutated(&mut random, TOKEN);
        // White space around a value is not part of it (RFC 9110 §5.5).
        if token == TOKEN {
            continue;
        }
        altered += 1;
        let mut headers = HeaderMap::new();
        headers.insert("authorization", HeaderValue::from_str(&format!("Bearer {token}")).unwrap());
        assert!(webhook.verify(&headers, None).is_err(), "{token}");
    }
}
