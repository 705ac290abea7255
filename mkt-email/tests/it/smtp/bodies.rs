//! Whatever an email says, it stays one email: read by the test server, which knows no line end but CRLF, and by a parser
//! that is neither ours nor lettre's.

use super::*;
use mail_parser::MessageParser;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// What smuggling is made of, among ordinary text.
fn pieces() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("\r".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just(".".to_owned()),
        Just("..".to_owned()),
        Just("\r\n.\r\n".to_owned()),
        Just("\n.\n".to_owned()),
        Just("\n.\r\n".to_owned()),
        Just("\r\n.\r".to_owned()),
        Just("\r.\r".to_owned()),
        Just("\r\n.\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<evil@example.org>\r\nDATA\r\n".to_owned()),
        Just("\u{1}\u{7f}".to_owned()),
        Just("x".repeat(1_200)),
        "[a-zé€ .]{1,30}",
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

/// Line ends as one, trailing ones off: what two readers of an email must agree on.
fn plain(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").trim_end_matches('\n').to_owned()
}

#[test]
fn no_body_ends_its_mail_begins_another_or_changes_on_the_way() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _inside = runtime.enter();
    let server = good();
    let smtp = to(&server).build().unwrap();
    let config = ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() };
    let number = std::cell::Cell::new(0);
    TestRunner::new(config)
        .run(&(pieces(), any::<bool>()), |(text, html)| {
            number.set(number.get() + 1);
            let text = format!("{text}z");
            let builder = Message::builder(
                "news@example.com".parse().unwrap(),
                reader(number.get()).into(),
                "Hello".parse().unwrap(),
            );
            let builder = if html { builder.html(format!("<p>{text}</p>")) } else { builder };
            let message = builder.text(text.clone()).build().unwrap();
            let group = Group::new(noon(), vec![outgoing(number.get(), message.clone())]);
            let outcomes = runtime.block_on(smtp.send(&group)).unwrap();
            prop_assert!(is_accepted(&outcomes[0]), "{:?}", outcomes);
            let emails = server.emails();
            prop_assert_eq!(emails.len(), number.get(), "a body made mails of its own");
            let email = &emails[number.get() - 1];
            prop_assert_eq!(&email.to, &vec![reader(number.get()).as_str().to_owned()]);
            prop_assert_eq!(&email.bytes, &message.to_mime(group.emails()[0].key, noon()).unwrap());
            // RFC 5321 §4.5.3.1.6: a line has 1 000 octets and no more, its end included.
            let longest = email.bytes.split(|byte| *byte == b'\n').map(<[u8]>::len).max().unwrap_or(0);
            prop_assert!(longest < 1_000, "a line of {}", longest);
            let parsed = MessageParser::default().parse(&email.bytes).unwrap();
            prop_assert_eq!(plain(&parsed.body_text(0).unwrap()), plain(&text));
            if html {
                prop_assert_eq!(plain(&parsed.body_html(0).unwrap()), plain(&format!("<p>{text}</p>")));
            }
            Ok(())
        })
        .unwrap();
    assert_eq!(server.connections(), 1, "the dialogue came apart");
}

/// Attachments are base64, whatever is in them.
#[tokio::test]
async fn every_byte_of_an_attachment_arrives() {
    let server = good();
    let content: Vec<u8> = (0..=255).cycle().take(70_000).chain(*b"\r\n.\r\n\0\n.\n").collect();
    let file = mkt_email::message::Attachment::new(
        "a.bin".parse().unwrap(),
        "application/octet-stream",
        content.clone(),
    )
    .unwrap();
    let message =
        Message::builder("news@example.com".parse().unwrap(), reader(1).into(), "Hello".parse().unwrap())
            .text("Hello")
            .attach(file)
            .build()
            .unwrap();
    to(&server).build().unwrap().send(&Group::new(noon(), vec![outgoing(1, message)])).await.unwrap();
    let email =
        MessageParser::default().with_mime_headers().parse(&server.emails()[0].bytes).unwrap().into_owned();
    assert_eq!(email.attachment(0).unwrap().contents(), content);
}
