//! The bytes of an email, read back by a parser that is not ours nor lettre's.

use crate::help::{noon, reader};
use mail_parser::{HeaderName as Parsed, MessageParser, MimeHeaders};
use mkt_email::message::{Attachment, HeaderName, HeaderValue, ListUnsubscribe, Subject};
use mkt_email::{IdempotencyKey, Mailbox, Message};
use proptest::prelude::*;
use std::collections::BTreeMap;

fn key() -> IdempotencyKey {
    IdempotencyKey::from_text("mime")
}

fn full() -> Message {
    let link = "https://shop.example/u?token=".to_owned() + &"a1B2-c3_".repeat(60);
    let unsubscribe = ListUnsubscribe::one_click(link.parse().unwrap()).unwrap();
    Message::builder(
        Mailbox::named("news@shop.example".parse().unwrap(), "Épicerie « Chez Zoé », Paris").unwrap(),
        Mailbox::named(reader(1), "Jean \"le grand\" Dupont").unwrap(),
        Subject::parse("Bienvenue Jean ! Ça commence aujourd’hui").unwrap(),
    )
    .html("<p>Bienvenue <b>Jean</b> !</p>")
    .reply_to("answers@shop.example".parse().unwrap())
    .header(HeaderName::parse("X-Campaign").unwrap(), HeaderValue::parse("été 2026").unwrap())
    .list_unsubscribe(unsubscribe.with_mailto("leave@shop.example".parse().unwrap()))
    .tag("welcome".parse().unwrap())
    .metadata("person", "7")
    .attach(
        Attachment::new("conditions générales.pdf".parse().unwrap(), "application/pdf", vec![0, 1, 2, 255])
            .unwrap(),
    )
    .build()
    .unwrap()
}

#[test]
fn parts_of_an_email_parse_back_as_written() {
    let bytes = full().to_mime(key(), noon()).unwrap();
    let parser = MessageParser::default().with_mime_headers().with_address_headers().with_date_headers();
    let email = parser
        .with_message_ids()
        .header_text(Parsed::Subject)
        .header_text("X-Campaign")
        .parse(&bytes)
        .unwrap();
    let from = email.from().unwrap().first().unwrap();
    assert_eq!(from.name(), Some("Épicerie « Chez Zoé », Paris"));
    assert_eq!(from.address(), Some("news@shop.example"));
    let to = email.to().unwrap().first().unwrap();
    assert_eq!((to.name(), to.address()), (Some("Jean \"le grand\" Dupont"), Some("reader1@example.org")));
    assert_eq!(email.subject(), Some("Bienvenue Jean ! Ça commence aujourd’hui"));
    assert_eq!(email.reply_to().unwrap().first().unwrap().address(), Some("answers@shop.example"));
    assert_eq!(email.message_id(), Some(format!("{}@shop.example", key()).as_str()));
    assert_eq!(email.date().unwrap().to_rfc3339(), "2026-10-26T12:00:00Z");
    assert_eq!(email.header("X-Campaign").unwrap().as_text(), Some("été 2026"));
    assert_eq!(email.body_html(0).unwrap(), "<p>Bienvenue <b>Jean</b> !</p>");
    assert_eq!(email.body_text(0).unwrap().trim_end(), "Bienvenue Jean !");
    let attachment = email.attachment(0).unwrap();
    assert_eq!(attachment.attachment_name(), Some("conditions générales.pdf"));
    assert_eq!(attachment.contents(), [0, 1, 2, 255]);
}

#[test]
fn the_unsubscribe_headers_survive_unfolded_and_unencoded() {
    let message = full();
    let bytes = message.to_mime(key(), noon()).unwrap();
    let email = MessageParser::default().parse(&bytes).unwrap();
    let raw = |name: &str| email.header_raw(name).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(raw("List-Unsubscribe"), message.list_unsubscribe().unwrap().header_value());
    assert_eq!(raw("List-Unsubscribe-Post"), "List-Unsubscribe=One-Click");
}

#[test]
fn recipients_see_no_tags_or_metadata() {
    let bytes = full().to_mime(key(), noon()).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    assert!(!text.contains("welcome") && !text.contains("person"), "{text}");
}

#[test]
fn same_attempt_gives_same_bytes() {
    assert_eq!(full().to_mime(key(), noon()).unwrap(), full().to_mime(key(), noon()).unwrap());
    let other = IdempotencyKey::from_text("another");
    assert_ne!(full().to_mime(key(), noon()).unwrap(), full().to_mime(other, noon()).unwrap());
}

#[test]
fn lines_end_in_crlf_and_fit() {
    let bytes = full().to_mime(key(), noon()).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    assert_eq!(text.matches('\r').count(), text.matches("\r\n").count());
    // RFC 5322 §2.1.1: 998 characters and no more.
    let longest = text.lines().map(str::len).max().unwrap();
    assert!(longest <= 998, "{longest}");
}

#[test]
fn a_nul_in_a_body_is_refused() {
    let builder =
        || Message::builder("a@shop.example".parse().unwrap(), reader(1).into(), "Hello".parse().unwrap());
    assert!(builder().text("a\0b").build().is_err());
    assert!(builder().html("<p>\0</p>").build().is_err());
}

/// Pieces that injections are made of, among ordinary ones.
fn hostile() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("\r".to_owned()),
        Just("\n".to_owned()),
        Just("\0".to_owned()),
        Just("\u{2028}".to_owned()),
        Just("=?utf-8?Q?=0D=0ABcc:_x@evil.example?=".to_owned()),
        Just("\r\nBcc: x@evil.example".to_owned()),
        Just(" <x@evil.example>".to_owned()),
        Just(", ".to_owned()),
        Just("\"".to_owned()),
        Just("\\".to_owned()),
        Just(":".to_owned()),
        "[a-zA-Zé€ ]{1,12}",
        any::<char>().prop_map(String::from),
    ];
    proptest::collection::vec(pieces, 1..6).prop_map(|pieces| pieces.concat())
}

fn headers(bytes: &[u8]) -> BTreeMap<String, usize> {
    let email = MessageParser::default().parse(bytes).unwrap();
    let mut names = BTreeMap::new();
    for header in email.headers() {
        let name = match &header.name {
            Parsed::Other(name) => name.to_string(),
            known => known.as_str().to_owned(),
        };
        *names.entry(name).or_default() += 1;
    }
    names
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, failure_persistence: None, ..ProptestConfig::default() })]

    /// T1: whatever a name, subject or header says, the set of headers is the one of a harmless email and one person
    /// gets it.
    #[test]
    fn no_text_adds_a_header_or_a_recipient(name in hostile(), subject in hostile(), value in hostile()) {
        let harmless = Message::builder(
            "news@shop.example".parse().unwrap(),
            Mailbox::named(reader(1), "Jean").unwrap(),
            "Hello".parse().unwrap(),
        )
        .header("X-Check".parse().unwrap(), "1".parse().unwrap())
        .text("Hello").build().unwrap().to_mime(key(), noon()).unwrap();
        let (Ok(to), Ok(subject), Ok(value)) =
            (Mailbox::named(reader(1), &name), Subject::parse(&subject), HeaderValue::parse(&value))
        else {
            return Ok(());
        };
        let message = Message::builder("news@shop.example".parse().unwrap(), to, subject)
            .header("X-Check".parse().unwrap(), value)
            .text("Hello").build().unwrap();
        let bytes = message.to_mime(key(), noon()).unwrap();
        prop_assert_eq!(headers(&bytes), headers(&harmless));
        let email = MessageParser::default().parse(&bytes).unwrap();
        let to: Vec<_> = email.to().unwrap().iter().filter_map(|to| to.address()).collect();
        prop_assert_eq!(to, vec!["reader1@example.org"]);
    }

    /// Addresses: what is taken is one address; the rest is refused, never a panic.
    #[test]
    fn an_address_that_is_taken_is_one_address(text in hostile(), host in hostile()) {
        for text in [format!("{text}@example.org"), format!("a@{host}"), text] {
            if let Ok(address) = mkt_email::EmailAddress::parse(&text) {
                let written = address.as_str().to_owned();
                let to = address.into();
                let message = Message::builder("news@shop.example".parse().unwrap(), to, "Hello".parse().unwrap())
                    .text("Hello").build().unwrap();
                let bytes = message.to_mime(key(), noon()).unwrap();
                let email = MessageParser::default().parse(&bytes).unwrap();
                let to: Vec<_> = email.to().unwrap().iter().filter_map(|to| to.address()).collect();
                prop_assert_eq!(to, vec![written.as_str()]);
            }
        }
    }

    /// T2: a body cannot end the email or smuggle a second one: line ends are CRLF, whatever it holds, and what is read
    /// back is what was written, up to the form of its line ends.
    #[test]
    fn body_cannot_end_the_email(text in proptest::collection::vec(
        prop_oneof![Just("\r".to_owned()), Just("\n".to_owned()), Just("\r\n.\r\n".to_owned()), Just("\n.\n".to_owned()),
            Just("\r\nDATA\r\n".to_owned()), "[a-zé€. ]{1,40}"], 1..8)) {
        let text = format!("begin {} end", text.concat());
        let message = Message::builder("news@shop.example".parse().unwrap(), reader(1).into(), "Hello".parse().unwrap())
            .text(text.clone()).build().unwrap();
        let bytes = message.to_mime(key(), noon()).unwrap();
        let bare = bytes.iter().enumerate().any(|(at, byte)| match byte {
            b'\n' => at == 0 || bytes[at - 1] != b'\r',
            b'\r' => bytes.get(at + 1) != Some(&b'\n'),
            _ => false,
        });
        prop_assert!(!bare, "a bare line end");
        let email = MessageParser::default().parse(&bytes).unwrap();
        let read = email.body_text(0).unwrap();
        let lines = |text: &str| text.replace("\r\n", "\n").replace('\r', "\n").trim_end_matches('\n').to_owned();
        prop_assert_eq!(lines(&read), lines(&text));
    }
}

#[test]
fn date_outside_the_email_range_is_refused() {
    for (at, fits) in [
        ("1969-12-31T23:59:59Z", false),
        ("1970-01-01T00:00:00Z", true),
        ("9999-12-31T23:59:59Z", true),
        ("+10000-01-01T00:00:00Z", false),
    ] {
        let built = full().to_mime(key(), at.parse().unwrap());
        assert_eq!(built.map_err(|error| error.kind()).is_ok(), fits, "{at}");
    }
}

/// RFC 5322 §2.1.1: a line has 998 characters at the most; servers refuse longer ones or break them.
#[test]
fn no_line_exceeds_the_smtp_limit() {
    let long = |text: &str, count: usize| text.repeat(count);
    for (value, subject, fits) in [
        (long("x", 2_000), long("x", 500), false),
        (long("x", 980), long("x", 500), true),
        (long("é", 2_000), long("é", 500), true),
        (long("x ", 1_000), long("x ", 250), true),
        (format!("{} é", long("x", 1_900)), format!("é {}", long("x", 400)), false),
    ] {
        let to = Mailbox::named(reader(1), &long("n", 200)).unwrap();
        let message = Message::builder("news@shop.example".parse().unwrap(), to, subject.parse().unwrap())
            .header("X-Check".parse().unwrap(), value.parse().unwrap())
            .text(long("body", 1_000))
            .html(long("<b>body</b>", 1_000))
            .build()
            .unwrap();
        let built = message.to_mime(key(), noon());
        // What cannot be folded anywhere is refused.
        if !fits {
            assert_eq!(built.unwrap_err().detail(), Some("a header has a word longer than a line"));
            continue;
        }
        let bytes = built.unwrap();
        let longest = bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap();
        assert!(longest <= 999, "a line has {longest} bytes");
        let parser = MessageParser::default().header_text(Parsed::Subject).header_text("X-Check");
        let email = parser.parse(&bytes).unwrap();
        assert_eq!(email.subject(), Some(subject.trim()));
        let read = email.header("X-Check").unwrap().as_text().unwrap();
        assert_eq!(read, value.trim());
    }
}

/// RFC 5322 §3.2.5: a display name is atoms, encoded words or quoted strings. A full stop is none of the first.
#[test]
fn display_name_is_a_valid_phrase() {
    for name in [
        ".",
        "J.D.",
        "Amazon.fr",
        "J. Dupont",
        "M. de La Tour",
        "Martin, Zoe",
        "Zoe (Lyon)",
        "Zoe; Anna: x",
        "a@b",
        "Zoé",
    ] {
        let to = Mailbox::named(reader(1), name).unwrap();
        let message = Message::builder("news@shop.example".parse().unwrap(), to, "Hello".parse().unwrap())
            .text("Hello");
        let bytes = message.build().unwrap().to_mime(key(), noon()).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let header = text.lines().find(|line| line.starts_with("To: ")).unwrap();
        let phrase = header["To: ".len()..].split('<').next().unwrap().trim();
        let quoted = phrase.len() > 1 && phrase.starts_with('"') && phrase.ends_with('"');
        let atoms = phrase
            .chars()
            .all(|c| c == ' ' || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c));
        assert!(quoted || (atoms && !phrase.is_empty()), "{name}: {header}");
        let parsed = MessageParser::default().parse(text.as_bytes()).unwrap().into_owned();
        assert_eq!(parsed.to().unwrap().first().unwrap().name(), Some(name), "{header}");
    }
}
