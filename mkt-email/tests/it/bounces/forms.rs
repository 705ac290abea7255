//! Forms of reports that other servers and vendors write, after their documentation and the RFCs' examples.

use mkt_email::bounce::{BounceClass, Feedback, StatusCode, Unrecognised, parse};

/// A report with these headers, this text, these fields, and the returned headers of one email.
fn report(headers: &str, text: &str, fields: &str) -> Vec<u8> {
    format!(
        "{headers}\r\nTo: bounces@shop.example\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=\"delivery-status\"; boundary=\"=_b\"\r\n\r\n\
         --=_b\r\nContent-Type: text/plain; charset=\"UTF-8\"\r\n\r\n{text}\r\n\
         --=_b\r\nContent-Type: message/delivery-status\r\n\r\n{fields}\r\n\
         --=_b\r\nContent-Type: message/rfc822\r\n\r\nReturn-Path: <bounces@shop.example>\r\n\
         From: news@shop.example\r\nMessage-ID: <ours@shop.example>\r\nSubject: Hello\r\n\r\nHello\r\n--=_b--\r\n"
    )
    .into_bytes()
}

fn class(message: &[u8]) -> (BounceClass, Option<String>) {
    let parsed = parse(message);
    assert_eq!(parsed.references.message_ids, ["ours@shop.example"]);
    match &parsed.feedback {
        Feedback::Bounce(reports) => (reports[0].class, reports[0].status.map(|status| status.to_string())),
        other => panic!("{other:?}"),
    }
}

#[test]
fn gmail_wraps_its_text_in_three_multiparts() {
    let message = "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\r\nTo: bounces@shop.example\r\n\
        X-Failed-Recipients: nobody@gmail.com\r\nAuto-Submitted: auto-replied\r\n\
        In-Reply-To: <ours@shop.example>\r\nReferences: <ours@shop.example>\r\n\
        Content-Type: multipart/report; boundary=\"r\"; report-type=delivery-status\r\n\r\n\
        --r\r\nContent-Type: multipart/related; boundary=\"l\"\r\n\r\n\
        --l\r\nContent-Type: multipart/alternative; boundary=\"a\"\r\n\r\n\
        --a\r\nContent-Type: text/plain; charset=\"UTF-8\"\r\n\r\n** Address not found **\r\n\r\n\
        Your message wasn't delivered to nobody@gmail.com because the address couldn't be found.\r\n\
        550-5.1.1 The email account that you tried to reach does not exist.\r\n--a--\r\n--l--\r\n\
        --r\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; googlemail.com\r\n\
        X-Original-Message-ID: <ours@shop.example>\r\n\r\nFinal-Recipient: rfc822; nobody@gmail.com\r\n\
        Action: failed\r\nStatus: 5.1.1\r\nRemote-MTA: dns; gmail-smtp-in.l.google.com.\r\n\
        Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist.\r\n 550 5.1.1\r\n\
        --r\r\nContent-Type: message/rfc822\r\n\r\nMessage-ID: <ours@shop.example>\r\n\r\nHello\r\n--r--\r\n";
    assert_eq!(class(message.as_bytes()), (BounceClass::Hard, Some("5.1.1".to_owned())));
}

#[test]
fn exchange_names_the_remote_code_within_its_own() {
    let fields = "Reporting-MTA: dns;PR3PR01.prod.exchangelabs.com\r\n\r\nFinal-Recipient: rfc822;x@contoso.example\r\n\
        Action: failed\r\nStatus: 5.0.350\r\nDiagnostic-Code: smtp;550 5.0.350 Remote server returned an error -> \
        550 5.1.1 <x@contoso.example>: User unknown\r\n";
    let message =
        report("From: postmaster@contoso.example\r\nSubject: Undeliverable: Hello", "Your message", fields);
    assert_eq!(class(&message), (BounceClass::Hard, Some("5.1.1".to_owned())));
    let fields =
        fields.replace("5.0.350", "5.4.1").replace("550 5.1.1 <x@contoso.example>: User unknown", "x");
    let edge = fields.replace("Remote server returned an error", "Recipient address rejected: Access denied");
    let message = report("From: postmaster@contoso.example", "", &edge);
    assert_eq!(class(&message), (BounceClass::Hard, Some("5.4.1".to_owned())));
}

#[test]
fn qmail_and_yahoo_write_plain_text() {
    let message = "Return-Path: <>\nFrom: MAILER-DAEMON@mail.example\nTo: bounces@shop.example\nSubject: failure notice\n\n\
        Hi. This is the qmail-send program at mail.example.\n\
        I'm afraid I wasn't able to deliver your message to the following addresses.\n\
        This is a permanent error; I've given up. Sorry it didn't work out.\n\n\
        <gone@mail.example>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n\
        --- Below this line is a copy of the message.\n\nReturn-Path: <bounces@shop.example>\n\
        Message-ID: <ours@shop.example>\nSubject: Hello\n\nHello\n";
    assert_eq!(class(message.as_bytes()), (BounceClass::Hard, Some("5.1.1".to_owned())));
    let yahoo = message
        .replace(
            "Hi. This is the qmail-send program at mail.example.",
            "Sorry, we were unable to deliver your message to the following address.",
        )
        .replace(
            "Sorry, no mailbox here by that name. (#5.1.1)",
            "Remote host said: 552 5.2.2 mailbox full [RCPT_TO]",
        )
        .replace("MAILER-DAEMON@mail", "mailer-daemon@yahoo");
    assert_eq!(class(yahoo.as_bytes()), (BounceClass::Soft, Some("5.2.2".to_owned())));
}

#[test]
fn delay_notice_is_no_bounce() {
    let fields = "Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: delayed\r\n\
        Status: 4.4.1\r\nDiagnostic-Code: smtp; connect to b.example: Connection timed out\r\n";
    let parsed = parse(&report("From: MAILER-DAEMON@mx.example", "THIS IS A WARNING ONLY.", fields));
    let Feedback::Delayed(reports) = &parsed.feedback else { panic!("{parsed:?}") };
    assert_eq!(reports[0].status, StatusCode::parse("4.4.1"));
    let exim = "From: Mail Delivery System <Mailer-Daemon@mx.example>\nSubject: Warning: message delayed 24 hours\n\n\
        This message was created automatically by mail delivery software.\nA message that you sent has not yet been \
        delivered to one or more of its\nrecipients after more than 24 hours on the queue on mx.example.\n\n\
        The address to which the message has not yet been delivered is:\n\n  a@b.example\n    Delay reason: x\n\n\
        No action is required on your part. Delivery attempts will continue for\nsome time.\n";
    let with_recipient = exim.replace("Subject:", "X-Failed-Recipients: a@b.example\nSubject:");
    assert!(matches!(parse(with_recipient.as_bytes()).feedback, Feedback::Delayed(_)));
}

#[test]
fn relayed_and_delivered_are_no_bounces() {
    for action in ["relayed", "delivered (to mailbox)", "expanded"] {
        let fields =
            format!("\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: {action}\r\nStatus: 2.1.5\r\n");
        let parsed = parse(&report("From: MAILER-DAEMON@mx.example", "", &fields));
        assert!(matches!(parsed.feedback, Feedback::Delivered(_)), "{action}");
    }
}

#[test]
fn report_about_several_recipients_has_one_class_each() {
    let fields = "Reporting-MTA: dns; mx.example\r\n\r\nFinal-Recipient: rfc822; a@b.example\r\nAction: failed\r\n\
        Status: 5.0.0\r\n\r\nFinal-Recipient: rfc822; c@b.example\r\nAction: failed\r\nStatus: 5.0.0\r\n\r\n\
        Final-Recipient: rfc822; d@b.example\r\nAction: delayed\r\nStatus: 4.0.0\r\n";
    let text = "a@b.example: 550 5.1.1 no such user\r\nc@b.example: 552 5.2.2 mailbox full\r\nd@b.example: later\r\n";
    let parsed = parse(&report("From: MAILER-DAEMON@mx.example", text, fields));
    let Feedback::Bounce(reports) = parsed.feedback else { panic!() };
    let found: Vec<_> =
        reports.iter().map(|report| (report.address.as_deref().unwrap(), report.class)).collect();
    assert_eq!(found, [("a@b.example", BounceClass::Hard), ("c@b.example", BounceClass::Soft)]);
}

#[test]
fn forwarded_recipient_is_named_beside_the_original_one() {
    let fields = "\r\nOriginal-Recipient: rfc822;jean@shop.example\r\nFinal-Recipient: rfc822;jean@isp.example\r\n\
        Action: failed\r\nStatus: 5.1.1\r\n";
    let parsed = parse(&report("From: MAILER-DAEMON@mx.example", "", fields));
    let Feedback::Bounce(reports) = parsed.feedback else { panic!() };
    assert_eq!(reports[0].address.as_deref(), Some("jean@shop.example"));
    assert_eq!(reports[0].final_address.as_deref(), Some("jean@isp.example"));
    assert!(reports[0].names("JEAN@isp.example") && !reports[0].names("eve@isp.example"));
}

/// The first example of RFC 5965, appendix B.2, with our Message-ID.
const ARF: &str = "From: <abusedesk@example.com>\r\nDate: Thu, 8 Mar 2005 17:40:36 EDT\r\nSubject: FW: Earn money\r\n\
    To: <abuse@example.net>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report;\r\n\
    \tboundary=\"part1_13d.2e68ed54_boundary\"\r\n\r\n--part1_13d.2e68ed54_boundary\r\n\
    Content-Type: text/plain; charset=\"US-ASCII\"\r\n\r\nThis is an email abuse report.\r\n\
    --part1_13d.2e68ed54_boundary\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\n\
    User-Agent: SomeGenerator/1.0\r\nVersion: 1\r\nOriginal-Mail-From: <bounces+x@shop.example>\r\n\
    Original-Rcpt-To: <user@example.com>\r\n\r\n--part1_13d.2e68ed54_boundary\r\nContent-Type: message/rfc822\r\n\r\n\
    From: <news@shop.example>\r\nMessage-ID: <ours@shop.example>\r\n\r\nSpam\r\n--part1_13d.2e68ed54_boundary--\r\n";

#[test]
fn feedback_report_is_a_complaint() {
    let parsed = parse(ARF.as_bytes());
    assert_eq!(parsed.feedback, Feedback::Complaint { kind: "abuse".to_owned() });
    assert_eq!(parsed.references.message_ids, ["ours@shop.example"]);
    assert!(parsed.references.return_paths.contains(&"bounces+x@shop.example".to_owned()));
}

#[test]
fn not_spam_and_authentication_reports_are_no_complaints() {
    for kind in ["not-spam", "auth-failure"] {
        let message = ARF.replace("Feedback-Type: abuse", &format!("Feedback-Type: {kind}"));
        let expected = Feedback::Unrecognised(Unrecognised::NoComplaint);
        assert_eq!(parse(message.as_bytes()).feedback, expected, "{kind}");
    }
}

#[test]
fn automatic_replies_are_no_bounces() {
    for headers in [
        "Subject: Automatic reply: Hello\nAuto-Submitted: auto-replied",
        "Subject: Réponse automatique : Bonjour",
        "Subject: =?utf-8?q?R=C3=A9ponse_automatique?=",
        "Subject: Re: Hello\nX-Autoreply: yes",
        "Return-Path: <>\nSubject: Out of Office: I am away until 5 May\nPrecedence: auto_reply",
    ] {
        let message = format!(
            "From: jean@example.org\nTo: news@shop.example\nIn-Reply-To: <ours@shop.example>\n{headers}\n\n\
             I am away. Write to eve@example.org, room 550 or 5.1.1.\n"
        );
        let parsed = parse(message.as_bytes());
        assert_eq!(parsed.feedback, Feedback::AutoReply, "{headers}");
        assert_eq!(parsed.references.message_ids, ["ours@shop.example"]);
    }
}

#[test]
fn bounce_that_a_person_forwards_is_no_bounce() {
    let bounce = String::from_utf8(super::fixture("postfix-remote-unknown")).unwrap();
    let attached = format!(
        "From: eve@shop.example\nSubject: Fwd: Undelivered Mail\nMIME-Version: 1.0\n\
         Content-Type: multipart/mixed; boundary=outer\n\n--outer\n\nLook at this.\n--outer\n\
         Content-Type: message/rfc822\n\n{bounce}\n--outer--\n"
    );
    let quoted =
        format!("From: eve@shop.example\nSubject: Fwd: Undelivered Mail Returned to Sender\n\n> {bounce}");
    for message in [attached, quoted] {
        assert_eq!(parse(message.as_bytes()).feedback, Feedback::Unrecognised(Unrecognised::Forwarded));
    }
}

#[test]
fn letter_of_a_person_is_no_report() {
    let message =
        "From: jean@example.org\nSubject: 550 5.1.1\n\n<eve@example.org>:\n550 5.1.1 no such user\n";
    assert_eq!(parse(message.as_bytes()).feedback, Feedback::Unrecognised(Unrecognised::NoReport));
    assert_eq!(parse(b"").feedback, Feedback::Unrecognised(Unrecognised::NotAMessage));
}

#[test]
fn request_to_unsubscribe_shows_its_tokens() {
    let token = "A".repeat(120);
    let message =
        format!("From: jean@example.org\nSubject: unsubscribe\n {token}\n\nThis message was generated.\n");
    assert_eq!(parse(message.as_bytes()).feedback, Feedback::Unsubscribe { tokens: vec![token] });
    let plain = "From: jean@example.org\nSubject: Unsubscribe me, please\n\n";
    assert_eq!(parse(plain.as_bytes()).feedback, Feedback::Unsubscribe { tokens: Vec::new() });
}
