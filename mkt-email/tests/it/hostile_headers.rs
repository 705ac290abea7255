//! T1: what hostile rows, subjects and headers can do to the headers of an email, which is nothing. The emails are read
//! back by email-parser, which is neither ours nor lettre's.

use crate::help::{noon, reader};
use mail_parser::{HeaderName as Parsed, MessageParser};
use mkt_email::message::{
    Attachment, FileName, HeaderName, HeaderValue, ListUnsubscribe, MessageError, Subject, Tag,
};
use mkt_email::subscribers::Row;
use mkt_email::{EmailAddress, IdempotencyKey, Mailbox, Message, Subscribers};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use std::collections::BTreeMap;

/// What injections are made of, among what names are made of.
const PIECES: [&str; 32] = [
    "\r",
    "\n",
    "\r\n",
    "\0",
    "\u{2028}",
    "\u{2029}",
    "\u{85}",
    "\u{b}",
    "\t",
    "\u{1b}[2J",
    "\u{202e}",
    "\u{feff}",
    "=?utf-8?Q?=0D=0A?=",
    "=?utf-8?B?DQpCY2M6IHhAZXZpbC5leGFtcGxl?=",
    "=?",
    "?=",
    "\r\nBcc: x@evil.example",
    "\nContent-Type: text/html\n\n<b>",
    "%0d%0aBcc:x",
    "x@evil.example",
    "<x@evil.example>",
    ",",
    ";",
    ":",
    "\"",
    "\\",
    "(",
    ">",
    " ",
    "Jean",
    "é€😀",
    "X-Evil",
];

fn text(random: &mut Xoshiro256PlusPlus) -> String {
    let count = random.random_range(1..6);
    (0..count).map(|_| PIECES[random.random_range(0..PIECES.len())]).collect()
}

fn headers(bytes: &[u8]) -> BTreeMap<String, usize> {
    let email = MessageParser::default().parse(bytes).unwrap();
    let mut names = BTreeMap::new();
    for header in email.headers() {
        let name = match &header.name {
            Parsed::Other(name) => name.to_string(),
            known => known.as_str().to_owned(),
        };
        *names.entry(name.to_ascii_lowercase()).or_default() += 1;
    }
    names
}

/// What was taken, or `otherwise`; what was taken holds nothing that ends a line or steers a reader.
fn taken<T>(parsed: Result<T, MessageError>, text: &str, otherwise: T, refused: &mut u64) -> T {
    match parsed {
        Ok(taken) => {
            assert!(
                !text.contains(['\r', '\n', '\0', '\u{2028}', '\u{2029}', '\u{85}', '\u{1b}']),
                "{text:?}"
            );
            assert!(!text.contains("=?utf-8?Q?=0D=0A?="), "{text:?}");
            taken
        }
        Err(error) => {
            assert!(!error.to_string().contains("evil"), "{error}");
            *refused += 1;
            otherwise
        }
    }
}

/// `MKT_TEST_HOSTILE` strings (12 000) drawn from `MKT_TEST_SEED`, in every place of an email that takes a text.
#[test]
fn hostile_text_changes_no_header_or_recipient() {
    let number = |name: &str, otherwise| std::env::var(name).map_or(otherwise, |text| text.parse().unwrap());
    let (count, seed): (u64, u64) = (number("MKT_TEST_HOSTILE", 12_000), number("MKT_TEST_SEED", 1));
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let key = IdempotencyKey::from_text("hostile");
    let (mut refused, mut built) = (0, 0);
    while (built + 1) * 8 <= count {
        let drawn: [String; 8] = std::array::from_fn(|_| text(&mut random));
        let [to_name, from_name, subject, name, value, file, link, tag] = &drawn;
        let plain = |address: EmailAddress| Mailbox::from(address);
        let to = taken(Mailbox::named(reader(1), to_name), to_name, plain(reader(1)), &mut refused);
        let from = taken(Mailbox::named(reader(2), from_name), from_name, plain(reader(2)), &mut refused);
        let subject = taken(Subject::parse(subject), subject, "Hello".parse().unwrap(), &mut refused);
        let name = taken(HeaderName::parse(name), name, "X-Check".parse().unwrap(), &mut refused);
        let value = taken(HeaderValue::parse(value), value, "1".parse().unwrap(), &mut refused);
        let file = taken(FileName::parse(file), file, "a.pdf".parse().unwrap(), &mut refused);
        let tag = taken(Tag::parse(tag), tag, "welcome".parse().unwrap(), &mut refused);
        let link = format!("https://shop.example/leave?u={link}").parse().unwrap();
        let message = Message::builder(from, to, subject)
            .header(name.clone(), value)
            .tag(tag)
            .list_unsubscribe(ListUnsubscribe::one_click(link).unwrap())
            .attach(Attachment::new(file, "application/pdf", vec![1]).unwrap())
            .text("Hello")
            .build()
            .unwrap();
        let bytes = message.to_mime(key, noon()).unwrap();
        let mut expected: BTreeMap<String, usize> = [
            "from",
            "to",
            "subject",
            "date",
            "message-id",
            "mime-version",
            "content-type",
            "list-unsubscribe",
            "list-unsubscribe-post",
        ]
        .into_iter()
        .map(|name| (name.to_owned(), 1))
        .collect();
        *expected.entry(name.as_str().to_ascii_lowercase()).or_default() += 1;
        assert_eq!(headers(&bytes), expected, "{drawn:?} (seed {seed})");
        let email = MessageParser::default().parse(&bytes).unwrap();
        let people = |list: Option<&mail_parser::Address<'_>>| -> Vec<String> {
            list.unwrap().iter().filter_map(|person| Some(person.address()?.to_owned())).collect()
        };
        assert_eq!(people(email.to()), ["reader1@example.org"], "{drawn:?}");
        assert_eq!(people(email.from()), ["reader2@example.org"], "{drawn:?}");
        assert!(!email.subject().unwrap_or_default().contains(['\r', '\n']), "{drawn:?}");
        assert_eq!(email.attachment_count(), 1, "{drawn:?}");
        built += 1;
    }
    assert!(refused > count / 4 && refused < count * 3 / 4, "both happen: {refused} of {count}");
}

/// The same strings as first names in a file: a row is set aside with its own line, or its email is harmless.
#[test]
fn hostile_row_is_quarantined_with_its_line() {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let quoted = |text: &str| format!("\"{}\"", text.replace('"', "\"\""));
    let (mut file, mut lines, mut line) = ("email,prenom\n".to_owned(), Vec::new(), 2);
    for number in 0..3000 {
        let row = format!("reader{number}@example.org,{}", quoted(&text(&mut random)));
        lines.push(line);
        let normal = row.replace("\r\n", "\n").replace('\r', "\n");
        line += 1 + normal.matches('\n').count() as u64;
        file += &row;
        file.push('\n');
    }
    let mut set_aside = 0;
    for (row, line) in Subscribers::read(file.as_bytes()).unwrap().zip(lines) {
        match row.unwrap() {
            Row::Subscriber(person) => {
                assert_eq!(person.line, line);
                let name = person.first_name.map(|name| name.as_str().to_owned()).unwrap_or_default();
                assert!(!name.contains(['\r', '\n', '\0', '\u{2028}']), "{name:?}");
            }
            Row::Quarantined(error) => {
                assert_eq!(error.line, line);
                let reason = error.reason.to_string();
                let named = reason.starts_with("the display name holds ");
                assert!(named || error.reason.code() == "nul", "{error}");
                set_aside += 1;
            }
            Row::Duplicate { .. } => panic!("everybody has an address of their own"),
        }
    }
    assert!((1000..2900).contains(&set_aside), "{set_aside}");
}
