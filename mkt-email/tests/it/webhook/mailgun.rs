//! Mailgun: signatures, tokens that are valid once, and every form of a call.

use super::*;
use chrono::TimeDelta;
use mkt_email::event::{EventKind, OpenedBy};
use mkt_email::webhook::WebhookRefusal;

const FAILED: &str = r#"{"event":"failed","id":"G9Bn5sl1TC6nu79C8C0bwg","timestamp":1521233195.375624,"severity":"permanent",
    "reason":"bounce","recipient":"jean@example.org","tags":["spring"],"delivery-status":{"code":550,
    "enhanced-code":"5.1.1","message":"5.1.1 no such user","attempt-no":1},
    "message":{"headers":{"message-id":"20130503192659.13651.20287@mg.shop.example","to":"jean@example.org"}}}"#;

#[test]
fn published_signature_is_verified() {
    // Computed by Python's hmac module: key, timestamp and token as below.
    // python3 -c 'import hmac; print(hmac.new(b"key-0123456789abcdef0123456789abcdef", b"17930160001234567890abcdef", "sha256").hexdigest())'
    let signature = "69b11e5f7e493d657adfcebb393ccd7f92213d291982f615557c889649cc43f7";
    let now = DateTime::from_timestamp(1_793_016_000, 0).unwrap();
    assert_eq!(mailgun().verify("1793016000", "1234567890abcdef", signature, now), Ok(()));
    let upper = signature.to_uppercase();
    assert_eq!(mailgun().verify("1793016000", "1234567890abcdef", &upper, now), Err(WebhookRefusal::Forged));
    // What is signed has no separator: a digit that moves to the other side is signed too, and is refused by its time.
    let moved = mailgun().verify("17930160001", "234567890abcdef", signature, now);
    assert_eq!(moved, Err(WebhookRefusal::Stale));
    assert_eq!(
        mailgun().verify("179301600", "01234567890abcdef", signature, now),
        Err(WebhookRefusal::Stale)
    );
    let later = |hours| now + TimeDelta::hours(hours);
    assert_eq!(mailgun().verify("1793016000", "1234567890abcdef", signature, later(24)), Ok(()));
    assert_eq!(
        mailgun().verify("1793016000", "1234567890abcdef", signature, later(25)),
        Err(WebhookRefusal::Stale)
    );
    assert_eq!(
        mailgun().verify("1793016000", "1234567890abcdef", signature, later(-1)),
        Err(WebhookRefusal::Stale)
    );
    let rotated = MailgunWebhook::new(&Secret::new("another key, that signs now")).unwrap();
    assert_eq!(rotated.verify("1793016000", "1234567890abcdef", signature, now), Err(WebhookRefusal::Forged));
    let both = rotated.accepting(&Secret::new(SIGNING_KEY)).unwrap();
    assert_eq!(both.verify("1793016000", "1234567890abcdef", signature, now), Ok(()));
}

#[tokio::test]
async fn signed_event_is_stored_and_forged_or_replayed_has_no_effect() {
    let server = Running::start(|builder| builder.mailgun(mailgun())).await;
    let send =
        async |body: String| server.call("POST", "/webhooks/mailgun", &[JSON], body.as_bytes()).await.status;
    let body = signed(noon(), "token-1", FAILED);
    assert_eq!(send(body.replace("token-1", "token-2")).await, 406);
    assert_eq!(send(FAILED.to_owned()).await, 406);
    assert_eq!(send("nothing".to_owned()).await, 406);
    assert!(server.events().await.is_empty());
    // The same call twice is one event.
    assert_eq!((send(body.clone()).await, send(body.clone()).await), (200, 200));
    let events = server.events().await;
    assert_eq!(events.len(), 1);
    let event = &events[0];
    assert_eq!((event.kind, event.code.as_deref()), (EventKind::HardBounce, Some("5.1.1")));
    assert_eq!(event.message_id.as_deref(), Some("20130503192659.13651.20287@mg.shop.example"));
    assert_eq!(event.reason.as_deref(), Some("bounce: 5.1.1 no such user"));
    assert_eq!(event.campaign.as_deref(), Some("spring"));
    assert!(server.suppressions().await.contains(r#""jean@example.org","all","","hard_bounce""#));
    // A signature that was seen, with another body: signed, and refused because its token was used.
    let altered = body.replace("jean@example.org", "eve@example.org").replace("G9Bn5", "other");
    assert_eq!(send(altered).await, 406);
    // The same event in another call, as a retry with a new token would be.
    assert_eq!(send(signed(noon(), "token-3", FAILED)).await, 200);
    assert_eq!(server.events().await.len(), 1);
    assert_eq!(send(signed(noon() - TimeDelta::hours(25), "token-4", FAILED)).await, 406);
    // Long after, the token is forgotten, and its signature is too old by then.
    server.clock.advance(std::time::Duration::from_secs(26 * 3600));
    assert_eq!(send(body).await, 406);
}

#[tokio::test]
async fn altered_replays_of_one_moment_have_one_effect() {
    let server = Running::start(|builder| builder.mailgun(mailgun())).await;
    let calls = (0..40).map(|number| {
        let event =
            FAILED.replace("jean@", &format!("jean{number}@")).replace("G9Bn5", &format!("id{number}"));
        let (body, address) = (signed(noon(), "one-token", &event), server.address.clone());
        tokio::spawn(async move {
            call(&address, "POST", "/webhooks/mailgun", &[JSON], body.as_bytes()).await.unwrap().status
        })
    });
    let calls: Vec<_> = calls.collect();
    let mut stored = 0;
    for call in calls {
        stored += usize::from(call.await.unwrap() == 200);
    }
    assert_eq!((stored, server.events().await.len()), (1, 1));
}

#[tokio::test]
async fn forms_of_calls_are_taken() {
    let server = Running::start(|builder| builder.mailgun(mailgun())).await;
    let timestamp = noon().timestamp().to_string();
    // A subaccount's call, signed with the parent's key only; a timestamp as a number.
    let own = signature("key-of-the-subaccount-unknown-here", &timestamp, "sub");
    let parent = signature(SIGNING_KEY, &timestamp, "sub");
    let body = format!(
        r#"{{"signature":{{"timestamp":{timestamp},"token":"sub","signature":"{own}","parent-signature":"{parent}"}},
           "event-data":{{"event":"opened","id":"o","timestamp":1521243339.873676,"recipient":"a@example.org",
           "client-info":{{"client-type":"webmail","bot":"gmail"}},"delivery-status":null}}}}"#
    );
    assert_eq!(server.call("POST", "/webhooks/mailgun", &[JSON], body.as_bytes()).await.status, 200);
    // The older form: fields.
    let fields = |token: &str, event: &str, more: &str| {
        let signature = signature(SIGNING_KEY, &timestamp, token);
        format!(
            "event={event}&recipient=b%40example.org&timestamp={timestamp}&token={token}&signature={signature}{more}"
        )
    };
    let form = ("content-type", "application/x-www-form-urlencoded");
    let bounced = fields("f1", "bounced", "&code=550&error=5.1.1+who&Message-Id=%3Cm%40x%3E");
    assert_eq!(server.call("POST", "/webhooks/mailgun", &[form], bounced.as_bytes()).await.status, 200);
    let dropped = fields("f2", "dropped", "&code=605&description=Not+delivering&reason=hardfail");
    assert_eq!(server.call("POST", "/webhooks/mailgun", &[form], dropped.as_bytes()).await.status, 200);
    let doubled = format!("{}&token=x", fields("f3", "complained", ""));
    assert_eq!(server.call("POST", "/webhooks/mailgun", &[form], doubled.as_bytes()).await.status, 406);
    let mut parts = String::new();
    for (name, value) in [
        ("event", "complained"),
        ("recipient", "c@example.org"),
        ("timestamp", &timestamp),
        ("token", "f4"),
        ("signature", &signature(SIGNING_KEY, &timestamp, "f4")),
    ] {
        parts.push_str(&format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    parts.push_str("--b--\r\n");
    let multipart = ("content-type", "multipart/form-data; boundary=b");
    assert_eq!(server.call("POST", "/webhooks/mailgun", &[multipart], parts.as_bytes()).await.status, 200);
    let events = server.events().await;
    let read: Vec<_> = events.iter().map(|event| (event.kind, event.address().unwrap().as_str())).collect();
    assert_eq!(
        read,
        [
            (EventKind::Opened(OpenedBy::Proxy), "a@example.org"),
            (EventKind::HardBounce, "b@example.org"),
            (EventKind::Blocked, "b@example.org"),
            (EventKind::Complained, "c@example.org"),
        ]
    );
    assert_eq!(events[1].message_id.as_deref(), Some("m@x"));
    assert!(!events[1].raw.as_ref().unwrap().contains("signature"));
}

#[test]
fn failures_are_told_apart() {
    let read = |fields: &str| {
        EmailEvent::read_mailgun(
            format!(r#"{{"event":"failed","id":"1","timestamp":1521233195.3,{fields}}}"#).as_bytes(),
            noon(),
        )
        .kind
    };
    let permanent = |reason: &str, status: &str| {
        read(&format!(r#""severity":"permanent","reason":"{reason}","delivery-status":{status}"#))
    };
    for (reason, status, kind) in [
        ("bounce", r#"{"code":550,"message":"5.1.1 unknown"}"#, EventKind::HardBounce),
        ("generic", r#"{"code":550,"message":"5.1.1 unknown"}"#, EventKind::HardBounce),
        ("bounce", r#"{"code":550,"message":"No such user"}"#, EventKind::HardBounce),
        ("bounce", r#"{"code":552,"message":"5.2.2 mailbox full"}"#, EventKind::SoftBounce),
        ("bounce", r#"{"code":550,"enhanced-code":"5.7.26","message":"DMARC"}"#, EventKind::Blocked),
        ("bounce", r#"{"code":554,"message":"rejected as spam"}"#, EventKind::Blocked),
        ("bounce", r#"{"code":550,"message":"5.4.5 daily limit exceeded"}"#, EventKind::SoftBounce),
        ("suppress-bounce", r#"{"code":605,"message":""}"#, EventKind::Blocked),
        ("suppress-unsubscribe", r#"{"code":606}"#, EventKind::Blocked),
        ("old", r#"{"code":602,"message":"Too old"}"#, EventKind::SoftBounce),
        ("generic", "null", EventKind::SoftBounce),
    ] {
        assert_eq!(permanent(reason, status), kind, "{reason} {status}");
    }
    assert_eq!(read(r#""severity":"temporary","reason":"greylisted""#), EventKind::Deferred);
}

#[test]
fn opening_by_a_scanner_is_told_apart() {
    let read = |info: &str| {
        let body = format!(r#"{{"event":"opened","id":"1","timestamp":1521233195.3,"client-info":{info}}}"#);
        EmailEvent::read_mailgun(body.as_bytes(), noon()).kind
    };
    assert_eq!(read(r#"{"bot":"apple"}"#), EventKind::Opened(OpenedBy::Proxy));
    assert_eq!(read(r#"{"bot":"","client-type":"browser"}"#), EventKind::Opened(OpenedBy::Human));
    assert_eq!(read(r#"{"client-type":"robot"}"#), EventKind::Opened(OpenedBy::Proxy));
    assert_eq!(read(r#"{"client-type":"mobile browser"}"#), EventKind::Opened(OpenedBy::Unknown));
    assert_eq!(read("null"), EventKind::Opened(OpenedBy::Unknown));
}
