//! Signed unsubscribe links: what was signed is read back, nothing else is believed.

use crate::help::{address, instant, noon};
use mkt_connect::{ErrorKind, Secret};
use mkt_email::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys, UnsubscribeRefusal, UnsubscribeScope};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use url::Url;

const OLD: &str = "old-canary-0123456789-abcdef";
const NEW: &str = "new-canary-0123456789-abcdef";

fn keys(secret: &str) -> UnsubscribeKeys {
    UnsubscribeKeys::new(&Secret::new(secret)).unwrap()
}

fn base() -> Url {
    "https://shop.example/leave?lang=fr".parse().unwrap()
}

fn claim() -> UnsubscribeClaim {
    UnsubscribeClaim::list(&address("Jean@example.org"), "soldes", "été")
}

#[test]
fn what_was_signed_is_read_back() {
    let link = keys(NEW).link(&base(), &claim()).unwrap();
    let read = keys(NEW).verify_link(link.link(), noon()).unwrap();
    assert_eq!(read, claim());
    assert_eq!(read.address_key(), address("jean@EXAMPLE.org").key());
    assert!(read.is_about(&address("jean@example.org")) && !read.is_about(&address("zoe@example.org")));
    assert_eq!((read.scope(), read.campaign()), (&UnsubscribeScope::List("soldes".to_owned()), "été"));
    assert!(link.link().as_str().starts_with("https://shop.example/leave?lang=fr&u="), "{}", link.link());
    let everything = UnsubscribeClaim::marketing(&address("zoe@example.org"), "spring");
    let token = keys(NEW).token(&everything).unwrap();
    assert_eq!(keys(NEW).verify(&token, noon()), Ok(everything));
}

/// Computed with Python: base64.urlsafe_b64encode of the payload and hmac.new(key, b"mkt-email unsubscribe\0" +
/// payload, "sha256").
#[test]
fn the_token_is_the_one_that_python_computes() {
    let everything = UnsubscribeClaim::marketing(&address("jean@example.org"), "spring");
    assert_eq!(
        keys(NEW).token(&everything).unwrap(),
        "AWJoBksfrrFTs8wL2hx8RP0ncYL-WS33A-2aLqFV5dhxf_________9tAAZzcHJpbmcp5Nayz_n9lwXGZF3aM6eyRZHdwZTY7UaWC273R2rqfA"
    );
}

#[test]
fn a_link_shows_neither_address_nor_secret() {
    let link = keys(NEW).link(&base(), &claim()).unwrap();
    let decoded: Vec<u8> = {
        use base64::Engine;
        let token = link.link().query_pairs().find(|(name, _)| name == "u").unwrap().1.into_owned();
        base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).unwrap()
    };
    let shown = format!(
        "{} {:?} {:?} {:?} {}",
        link.header_value(),
        link,
        keys(NEW),
        claim(),
        String::from_utf8_lossy(&decoded)
    );
    for hidden in ["ean@", "Jean", "jean", "example.org", "canary"] {
        assert!(!shown.contains(hidden), "{hidden} in {shown}");
    }
}

#[test]
fn a_replaced_key_is_still_believed_and_a_retired_one_is_not() {
    let old = keys(OLD).token(&claim()).unwrap();
    let both = keys(NEW).accepting(&Secret::new(OLD)).unwrap();
    assert_eq!(both.verify(&old, noon()), Ok(claim()));
    assert_eq!(both.verify(&both.token(&claim()).unwrap(), noon()), Ok(claim()));
    assert_eq!(both.token(&claim()).unwrap(), keys(NEW).token(&claim()).unwrap(), "the first key signs");
    assert_eq!(keys(NEW).verify(&old, noon()), Err(UnsubscribeRefusal::Forged));
}

#[test]
fn a_link_ends_when_it_was_told_to_and_otherwise_never() {
    let end = instant("2026-10-26T12:00:00Z");
    let ending = keys(NEW).token(&claim().until(end)).unwrap();
    let before = end - chrono::TimeDelta::seconds(1);
    assert_eq!(keys(NEW).verify(&ending, before).unwrap().expires_at(), Some(end));
    assert_eq!(keys(NEW).verify(&ending, end), Err(UnsubscribeRefusal::Expired));
    let lasting = keys(NEW).token(&claim()).unwrap();
    assert!(keys(NEW).verify(&lasting, instant("2126-01-01T00:00:00Z")).is_ok());
}

#[test]
fn short_secrets_long_names_and_links_that_are_not_https_are_refused() {
    let error = UnsubscribeKeys::new(&Secret::new("canary-of-23-bytes-12345")).map(drop);
    assert!(error.is_ok(), "24 bytes are enough");
    let error = UnsubscribeKeys::new(&Secret::new("canary-of-23-bytes-1234")).unwrap_err();
    assert_eq!(
        (error.kind(), error.detail()),
        (ErrorKind::Config, Some("the secret has fewer than 24 bytes"))
    );
    let mut many = keys(NEW);
    for _ in 1..8 {
        many = many.accepting(&Secret::new(OLD)).unwrap();
    }
    assert_eq!(many.accepting(&Secret::new(OLD)).unwrap_err().kind(), ErrorKind::Config);
    let long = UnsubscribeClaim::marketing(&address("jean@example.org"), "x".repeat(151));
    assert_eq!(keys(NEW).token(&long).unwrap_err().kind(), ErrorKind::Input);
    let longest = UnsubscribeClaim::list(&address("jean@example.org"), "é".repeat(75), "x".repeat(150));
    assert_eq!(keys(NEW).verify(&keys(NEW).token(&longest).unwrap(), noon()), Ok(longest.clone()));
    assert!(keys(NEW).link(&base(), &longest).is_ok());
    for base in ["http://shop.example/leave", "https://me:pw@shop.example/leave", "mailto:leave@shop.example"]
    {
        let error = keys(NEW).link(&base.parse().unwrap(), &claim()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{base}");
    }
}

#[test]
fn links_without_or_with_two_tokens_are_refused() {
    let token = keys(NEW).token(&claim()).unwrap();
    for (query, good) in [
        (format!("u={token}"), true),
        (format!("x=1&u={token}&y=2"), true),
        (String::new(), false),
        ("u=".to_owned(), false),
        (format!("u={token}&u={token}"), false),
        (format!("U={token}"), false),
        (format!("u={token}%00"), false),
        (format!("u=%20{token}"), false),
        (format!("u={token}="), false),
        (format!("u={}", "A".repeat(1 << 20)), false),
    ] {
        let link: Url = format!("https://shop.example/leave?{query}").parse().unwrap();
        assert_eq!(keys(NEW).verify_link(&link, noon()).is_ok(), good, "{query:.80}");
    }
}

/// T12: every bit of every byte of the token flipped; every prefix; and `MKT_TEST_MUTATIONS` (20 000) random
/// mutations drawn from `MKT_TEST_SEED`: none is believed.
#[test]
fn no_altered_token_is_believed() {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (count, seed) = (number("MKT_TEST_MUTATIONS", 20_000), number("MKT_TEST_SEED", 1));
    let both = keys(NEW).accepting(&Secret::new(OLD)).unwrap();
    let token = both.token(&claim()).unwrap();
    let other = both.token(&UnsubscribeClaim::marketing(&address("zoe@example.org"), "été")).unwrap();
    let refused = |forged: &str| {
        assert!(forged == token || forged == other || both.verify(forged, noon()).is_err(), "{forged}");
    };
    for at in 0..token.len() {
        refused(&token[..at]);
        for bit in 0..8 {
            let mut bytes = token.clone().into_bytes();
            bytes[at] ^= 1 << bit;
            refused(&String::from_utf8_lossy(&bytes));
        }
    }
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_=+/ ";
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    for _ in 0..count {
        let mut bytes = token.clone().into_bytes();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len().max(1));
            match random.random_range(0..5) {
                _ if bytes.len() < 2 => bytes.push(b'A'),
                0 => bytes[at] = alphabet[random.random_range(0..alphabet.len())],
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, alphabet[random.random_range(0..alphabet.len())]),
                // The head of one and the tail of another: a claim under somebody else's signature.
                3 => bytes = [&bytes[..at], &other.as_bytes()[at.min(other.len())..]].concat(),
                _ => bytes.truncate(at.max(1)),
            }
        }
        refused(&String::from_utf8(bytes).unwrap());
    }
}

#[cfg(feature = "sqlite")]
#[tokio::test]
async fn marketing_email_without_link_is_refused() {
    use mkt_email::{DedupKey, NewEmail, Outbox};
    let outbox = Outbox::in_memory().await.unwrap();
    let to = address("jean@example.org");
    let key = DedupKey::for_address("spring", &to);
    let with = crate::help::marketing("autumn", &to);
    let error = outbox
        .enqueue(&[with, NewEmail::marketing(key, crate::help::message(&to))], noon())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("MessageBuilder::list_unsubscribe"), "{error}");
    assert_eq!(outbox.counts(None).await.unwrap().recipients, 0, "all or none");
}

#[test]
fn base_with_a_parameter_of_the_same_name_is_refused() {
    for base in [
        "https://shop.example/leave?u=1",
        "https://shop.example/leave?lang=fr&u=",
        "https://shop.example/?%75=x",
    ] {
        let failed = keys(NEW).link(&base.parse().unwrap(), &claim()).unwrap_err();
        assert_eq!(failed.kind(), ErrorKind::Input, "{base}");
        assert_eq!(failed.detail(), Some("the base URL already has the query parameter u"));
    }
}
