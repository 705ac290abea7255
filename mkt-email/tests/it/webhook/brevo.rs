//! Brevo: every form of a call that its documentation shows.

use super::*;
use axum::http::{HeaderMap, HeaderValue};
use base64::Engine;
use mkt_email::event::{EventKind, OpenedBy};
use mkt_email::webhook::{BREVO_RANGES, WebhookRefusal};
use std::net::IpAddr;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    pairs.iter().map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap())).collect()
}

#[test]
fn each_credential_is_enough_and_only_that() {
    let basic = base64::engine::general_purpose::STANDARD.encode("user:a password, long enough");
    let webhook = BrevoWebhook::builder()
        .bearer(&Secret::new(TOKEN))
        .bearer(&Secret::new("the token after the next rotation"))
        .basic("user", &Secret::new("a password, long enough"))
        .header("X-Webhook-Secret", &Secret::new("0123456789abcdef"))
        .build()
        .unwrap();
    let verify = |pairs: &[(&'static str, &str)]| webhook.verify(&headers(pairs), None).is_ok();
    assert!(verify(&[("authorization", &format!("Bearer {TOKEN}"))]));
    assert!(verify(&[("authorization", &format!("bearer {TOKEN}"))]));
    assert!(verify(&[("authorization", "Bearer the token after the next rotation")]));
    assert!(verify(&[("authorization", &format!("Basic {basic}"))]));
    assert!(verify(&[("x-webhook-secret", "0123456789abcdef")]));
    for wrong in [
        format!("Bearer {TOKEN}x"),
        format!("Bearer  {TOKEN}"),
        format!("Bearer{TOKEN}"),
        TOKEN.to_owned(),
        format!("Basic {TOKEN}"),
        format!("Bearer {basic}"),
        "Bearer ".to_owned(),
        String::new(),
    ] {
        assert!(!verify(&[("authorization", &wrong)]), "{wrong}");
    }
    // Two headers: a proxy and a server may each read another one.
    let right = format!("Bearer {TOKEN}");
    let mut two = headers(&[("authorization", &right)]);
    two.append("authorization", HeaderValue::from_static("Bearer other"));
    assert_eq!(webhook.verify(&two, None), Err(WebhookRefusal::Forged));
    assert!(!verify(&[]));
    assert!(!format!("{webhook:?}").contains("password"));
}

#[test]
fn call_from_another_network_is_refused() {
    let ranges = BREVO_RANGES.map(|range| range.parse().unwrap());
    let right = headers(&[("authorization", &format!("Bearer {TOKEN}"))]);
    let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    let webhook = BrevoWebhook::builder().bearer(&Secret::new(TOKEN)).only_from(&ranges).build().unwrap();
    // ipcalc 1.179.112.0/20: 1.179.112.0 to 1.179.127.255.
    for (from, allowed) in [
        ("1.179.112.0", true),
        ("1.179.127.255", true),
        ("1.179.128.0", false),
        ("1.179.111.255", false),
        ("172.246.255.255", true),
        ("172.247.0.0", false),
        ("::ffff:1.179.112.1", true),
        ("::1", false),
    ] {
        assert_eq!(webhook.verify(&right, ip(from)).is_ok(), allowed, "{from}");
    }
    assert_eq!(webhook.verify(&right, None), Err(WebhookRefusal::Network));
    assert_eq!(webhook.verify(&HeaderMap::new(), ip("1.179.112.1")), Err(WebhookRefusal::Forged));
    // What a client writes into the header itself is not believed.
    let mut forwarded = right.clone();
    forwarded.insert("x-forwarded-for", HeaderValue::from_static("1.179.112.1, 10.0.0.7"));
    assert_eq!(webhook.verify(&forwarded, ip("127.0.0.1")), Err(WebhookRefusal::Network));
    let behind = BrevoWebhook::builder().only_from(&ranges).behind_proxies(1).build().unwrap();
    assert_eq!(behind.verify(&forwarded, ip("127.0.0.1")), Err(WebhookRefusal::Network));
    forwarded.insert("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 1.179.112.1"));
    assert_eq!(behind.verify(&forwarded, ip("127.0.0.1")), Ok(()));
    assert_eq!(behind.verify(&right, ip("1.179.112.1")), Err(WebhookRefusal::Network));
    for bad in ["1.2.3.4/33", "1.2.3/8", "x/8", "::/129", "1.2.3.4/"] {
        assert!(bad.parse::<mkt_email::webhook::IpRange>().is_err(), "{bad}");
    }
    let all: mkt_email::webhook::IpRange = "0.0.0.0/0".parse().unwrap();
    assert!(all.contains("9.9.9.9".parse().unwrap()));
}

#[test]
fn every_documented_event_is_read() {
    let kinds = [
        ("request", EventKind::Queued),
        ("delivered", EventKind::Delivered),
        ("hard_bounce", EventKind::HardBounce),
        ("soft_bounce", EventKind::SoftBounce),
        ("blocked", EventKind::Blocked),
        ("spam", EventKind::Complained),
        ("complaint", EventKind::Complained),
        ("invalid_email", EventKind::HardBounce),
        ("error", EventKind::Failed),
        ("deferred", EventKind::Deferred),
        ("opened", EventKind::Opened(OpenedBy::Human)),
        ("unique_opened", EventKind::Opened(OpenedBy::Human)),
        ("proxy_open", EventKind::Opened(OpenedBy::Proxy)),
        ("unique_proxy_open", EventKind::Opened(OpenedBy::Proxy)),
        ("click", EventKind::Clicked),
        ("unsubscribe", EventKind::Unsubscribed),
        ("unsubscribed", EventKind::Unsubscribed),
        ("list_addition", EventKind::Subscribed),
        ("contact_updated", EventKind::Unknown),
        // Names of the API.
        ("hardBounces", EventKind::HardBounce),
        ("softBounces", EventKind::SoftBounce),
        ("loadedByProxy", EventKind::Opened(OpenedBy::Proxy)),
        ("requests", EventKind::Queued),
        ("clicks", EventKind::Clicked),
        ("invalid", EventKind::HardBounce),
        ("tomorrow's", EventKind::Unknown),
    ];
    for (word, kind) in kinds {
        let body = format!(r#"{{"event":{word:?},"email":"a@example.org","ts_epoch":1604933654000}}"#);
        let events = EmailEvent::read_brevo(body.as_bytes(), noon());
        assert_eq!((events.len(), events[0].kind), (1, kind), "{word}");
        assert_eq!(events[0].vendor_kind.as_deref(), Some(word));
        assert_eq!(events[0].raw.as_deref(), Some(body.as_str()));
    }
}

/// The sample of the documentation, and what differs between it and what is delivered.
#[test]
fn forms_of_fields_are_read() {
    let one = |body: &str| EmailEvent::read_brevo(body.as_bytes(), noon()).remove(0);
    let sample = r#"{"event":"click","email":"Jean@Example.org","id":1,"date":"2020-11-09 16:54:14","ts":1604933619,
        "message-id":"<202011091554.1@smtp-relay.mailin.fr>","ts_event":1604933654,"subject":"Hello","X-Mailin-custom":
        "some_custom_header","sending_ip":"185.41.28.109","template_id":22,"tag":"[\"spring\",\"vip\"]","tags":["spring","vip"],
        "ts_epoch":1604933653123,"link":"https://shop.example/a?b=c","reason":""}"#;
    let event = one(sample);
    assert_eq!(event.at.to_rfc3339(), "2020-11-09T14:54:13.123+00:00");
    assert_eq!(event.address().unwrap().as_str(), "Jean@Example.org");
    assert_eq!(event.message_id.as_deref(), Some("202011091554.1@smtp-relay.mailin.fr"));
    assert_eq!(event.campaign.as_deref(), Some("spring"));
    assert_eq!(event.url.as_deref(), Some("https://shop.example/a?b=c"));
    for (tag, campaign) in [
        (r#""tag":"[\"spring\"]""#, Some("spring")),
        (r#""tag":"spring""#, Some("spring")),
        (r#""tag":"""#, None),
        (r#""tag":["x"]"#, None),
        (r#""tags":["spring"]"#, Some("spring")),
        (r#""tags":[]"#, None),
        (r#""campaign name":"Spring""#, Some("Spring")),
    ] {
        let event = one(&format!(r#"{{"event":"opened","ts_epoch":1604933654,{tag}}}"#));
        assert_eq!(event.campaign.as_deref(), campaign, "{tag}");
        assert_eq!(event.at.to_rfc3339(), "2020-11-09T14:54:14+00:00");
    }
    let bounce = one(
        r#"{"event":"hard_bounce","ts_event":1604933654,"email":["a@example.org"],"reason":"550 5.1.1 who"}"#,
    );
    assert_eq!((bounce.code.as_deref(), bounce.reason.as_deref()), (Some("5.1.1"), Some("550 5.1.1 who")));
    assert!(bounce.address().is_some());
    // An address that is none: the event is kept.
    assert!(one(r#"{"event":"opened","ts":1604933654,"email":"nobody"}"#).address().is_none());
}

#[tokio::test]
async fn batched_events_are_taken_and_what_is_none_is_kept() {
    let server = Running::start(|builder| builder.brevo(brevo())).await;
    let bearer = format!("Bearer {TOKEN}");
    let auth = [("authorization", bearer.as_str()), JSON];
    let event = |kind: &str, number: usize| {
        format!(
            r#"{{"event":"{kind}","email":"r{number}@example.org","ts_epoch":1604933654000,"message-id":"<{number}@x>"}}"#
        )
    };
    let batch =
        format!("[{},{},7,{}]", event("opened", 1), event("hard_bounce", 2), event("unique_opened", 1));
    for _ in 0..2 {
        assert_eq!(server.call("POST", "/webhooks/brevo", &auth, batch.as_bytes()).await.status, 200);
    }
    // One opening under two names is one; the number is kept as it came.
    let kinds: Vec<_> = server.events().await.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [EventKind::Opened(OpenedBy::Human), EventKind::HardBounce, EventKind::Unknown]);
    assert!(server.suppressions().await.contains(r#""r2@example.org","all","","hard_bounce","brevo event""#));
    for odd in ["", "nothing", "[]", "{}", "null", "\u{feff}{}", "[[]]"] {
        let answer = server.call("POST", "/webhooks/brevo", &auth, odd.as_bytes()).await;
        assert_eq!(answer.status, 200, "{odd}");
    }
    let unreadable =
        server.events().await.into_iter().filter(|event| event.vendor_kind.as_deref() == Some("unreadable"));
    assert_eq!(unreadable.count(), 7, "each but the empty array");
    let wrong = [("authorization", "Bearer wrong"), JSON];
    assert_eq!(server.call("POST", "/webhooks/brevo", &wrong, event("spam", 3).as_bytes()).await.status, 401);
    assert_eq!(
        server.call("POST", "/webhooks/brevo", &[JSON], event("spam", 3).as_bytes()).await.status,
        401
    );
    assert!(!server.suppressions().await.contains("complaint"));
}
