//! Brevo: the wire by hand from the vendor's description, limits, codes, the key.

use super::{common, email, file, from_template, group, rendered, unsubscribe};
use crate::help::{noon, reader};
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{ErrorKind, Secret};
use mkt_email::message::{Feature, VendorTemplate};
use mkt_email::provider::{Degrade, RejectReason, Settlement};
use mkt_email::testing::{FakeBrevo, Fault};
use mkt_email::{Brevo, Clock as _, EmailProvider as _, Mailbox, ManualClock, Message, Outcome};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

async fn fake() -> (FakeBrevo, ManualClock) {
    let clock = ManualClock::new(noon());
    (FakeBrevo::start(Arc::new(clock.clone())).await.unwrap(), clock)
}

fn body(fake: &FakeBrevo) -> Value {
    serde_json::from_slice(&fake.requests().last().unwrap().body).unwrap()
}

fn accepted(outcomes: &[Outcome]) -> Vec<&str> {
    outcomes
        .iter()
        .map(|outcome| match outcome {
            Outcome::Accepted { id } => id.as_str(),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[tokio::test]
async fn one_mail_is_written_as_the_vendor_describes_it() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let message = email(1, |builder| {
        builder
            .html("<p>Bienvenue</p>")
            .reply_to("Answers <answers@shop.example>".parse().unwrap())
            .header("x-campaign-id".parse().unwrap(), "spring".parse().unwrap())
            .list_unsubscribe(unsubscribe(1))
            .tag("welcome".parse().unwrap())
            .metadata("person", "é7")
            .attach(file("terms.PDF"))
            .send_at(noon() + chrono::TimeDelta::hours(2))
    });
    let group = group(vec![message]);
    let outcomes = provider.send(&group).await.unwrap();
    assert_eq!(
        body(&fake),
        json!({
            "sender": {"email": "news@shop.example", "name": "Shop"},
            "to": [{"email": "reader1@example.org", "name": "Reader 1"}],
            "replyTo": {"email": "answers@shop.example", "name": "Answers"},
            "subject": "Hello",
            "htmlContent": "<p>Bienvenue</p>",
            "textContent": "Bienvenue",
            "tags": ["welcome"],
            "headers": {
                "X-Campaign-Id": "spring",
                "List-Unsubscribe": "<https://shop.example/u/1>",
                "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
                "X-Mailin-custom": r#"{"person":"é7"}"#,
                "idempotencyKey": group.key().to_string(),
            },
            "attachment": [{"name": "terms.PDF", "content": "DQotLQD/"}],
            "scheduledAt": "2026-10-26T14:00:00.000Z",
        })
    );
    let request = &fake.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/smtp/email"));
    assert_eq!(request.header("api-key"), Some(fake.api_key().expose()));
    let delivered = fake.delivered();
    assert_eq!(accepted(&outcomes), [delivered[0].id.as_str()]);
    assert!(!delivered[0].id.contains('<'));
    assert_eq!(delivered[0].files, [("terms.PDF".to_owned(), b"\r\n--\x00\xff".to_vec())]);
    assert_eq!(delivered[0].metadata["person"], "é7");
}

#[tokio::test]
async fn a_campaign_of_rendered_mails_goes_a_thousand_to_the_call_and_nobody_sees_the_others() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let messages: Vec<Message> = (0..1001).map(rendered).collect();
    let plan = provider.plan(&messages.iter().collect::<Vec<_>>(), noon());
    assert_eq!(plan.groups.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1]);
    let group = group(messages[..1000].to_vec());
    let outcomes = provider.send(&group).await.unwrap();
    let delivered = fake.delivered();
    assert_eq!((fake.calls(), delivered.len()), (1, 1000));
    for (number, (outcome, email)) in accepted(&outcomes).into_iter().zip(&delivered).enumerate() {
        assert_eq!((outcome, &email.to), (email.id.as_str(), &reader(number)));
        assert_eq!(email.html.as_deref(), Some(format!("<p>Hello {number}</p>").as_str()));
        assert_eq!(email.text.as_deref(), Some(format!("Hello {number}").as_str()));
        assert_eq!(
            (email.others_shown, email.name.as_deref()),
            (0, Some(format!("Reader {number}").as_str()))
        );
    }
}

#[tokio::test]
async fn replies_and_parameters_differ_within_a_call() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let replying = |number: usize| {
        let to = format!("answers{number}@shop.example");
        email(number, move |builder| builder.html("<p>x</p>").reply_to(to.parse().unwrap()))
    };
    let messages = vec![replying(0), replying(1), common(2)];
    assert_eq!(provider.plan(&messages.iter().collect::<Vec<_>>(), noon()).groups, [vec![0, 1, 2]]);
    provider.send(&group(messages)).await.unwrap();
    let replies: Vec<_> =
        fake.delivered().iter().map(|email| email.headers.get("Reply-To").cloned()).collect();
    assert_eq!(replies, [Some("answers0@shop.example".into()), Some("answers1@shop.example".into()), None]);

    let messages: Vec<_> = (0..3).map(from_template).collect();
    assert_eq!(provider.plan(&messages.iter().collect::<Vec<_>>(), noon()).groups, [vec![0, 1, 2]]);
    provider.send(&group(messages)).await.unwrap();
    assert_eq!(body(&fake)["templateId"], 42);
    assert!(body(&fake).get("htmlContent").is_none());
    for (number, email) in fake.delivered()[3..].iter().enumerate() {
        let (id, params) = email.template.clone().unwrap();
        assert_eq!((id.as_str(), params["name"].as_str()), ("42", format!("Reader {number}").as_str()));
    }
}

#[tokio::test]
async fn what_versions_cannot_differ_in_is_not_mixed_in_one_call() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let html = |number: usize, with: &dyn Fn(mkt_email::MessageBuilder) -> mkt_email::MessageBuilder| {
        email(number, |builder| with(builder.html("<p>x</p>")))
    };
    let messages = [
        common(0),
        html(1, &|builder| builder.tag("a".parse().unwrap())),
        html(2, &|builder| builder.metadata("k", "1")),
        html(3, &|builder| builder.metadata("k", "2")),
        html(4, &|builder| builder.list_unsubscribe(unsubscribe(4))),
        html(5, &|builder| builder.list_unsubscribe(unsubscribe(5))),
        html(6, &|builder| builder.attach(file("a.pdf"))),
        html(7, &|builder| builder.attach(file("b.pdf"))),
        from_template(8),
        html(9, &|builder| builder.attach(file("a.pdf"))),
    ];
    let messages: Vec<&Message> = messages.iter().collect();
    // Metadata may differ: they go with each version.
    let alone: Vec<Vec<usize>> = vec![vec![0, 2, 3], vec![1], vec![4], vec![5], vec![6, 9], vec![7], vec![8]];
    assert_eq!(provider.plan(&messages, noon()).groups, alone);
    // The undocumented switch lets unsubscribe links differ.
    let provider = fake.provider().headers_per_version(true).build().unwrap();
    let links: Vec<&Message> = messages[4..6].to_vec();
    assert_eq!(provider.plan(&links, noon()).groups, [vec![0, 1]]);
    fake.headers_per_version(true);
    provider.send(&group(links.into_iter().cloned().collect())).await.unwrap();
    for (email, number) in fake.delivered().iter().zip(4..) {
        assert_eq!(email.headers["List-Unsubscribe"], format!("<https://shop.example/u/{number}>"));
    }
}

#[tokio::test]
async fn what_the_vendor_would_refuse_or_garble_is_refused_before_the_call() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let refusal = |message: Message| {
        let plan = provider.plan(&[&message], noon());
        plan.refused.first().map(ToString::to_string).unwrap_or_default()
    };
    let html = |html: &str| email(1, |builder| builder.html(html));
    assert_eq!(refusal(common(1)), "");
    assert!(refusal(html("<p>{{ contact.EMAIL }}</p>")).contains("{{"));
    assert!(refusal(email(1, |builder| builder.html("x").attach(file("run.exe")))).contains("extension"));
    assert!(refusal(email(1, |builder| builder.html("x").attach(file("README")))).contains("extension"));
    assert!(refusal(email(1, |builder| builder.html("x").attach(file("été.pdf")))).contains("ASCII"));
    let magic = |name: &str| {
        email(1, |builder| builder.html("x").header(name.parse().unwrap(), "drop".parse().unwrap()))
    };
    for name in ["X-Sib-Sandbox", "idempotencykey", "x-mailin-custom", "sender.ip"] {
        assert!(refusal(magic(name)).contains("keeps for itself"), "{name}");
    }
    let twice = email(1, |builder| {
        let builder = builder.html("x").header("X-A".parse().unwrap(), "1".parse().unwrap());
        builder.header("x-a".parse().unwrap(), "2".parse().unwrap())
    });
    assert!(refusal(twice).contains("two headers"));
    let ahead =
        |hours: i64| email(1, |builder| builder.html("x").send_at(noon() + chrono::TimeDelta::hours(hours)));
    assert_eq!(refusal(ahead(72)), "");
    assert!(refusal(ahead(73)).contains("seconds ahead"));
    assert!(refusal(html(&"x".repeat(20_000_001))).contains("at most 20000000 allowed"));
    assert_eq!(refusal(email(1, |builder| builder.html(" ").text("x"))), "mail without HTML not supported");
    let named = |name: &str| {
        let to = Mailbox::named(reader(1), name).unwrap();
        Message::builder("a@shop.example".parse().unwrap(), to, "x".parse().unwrap())
            .html("x")
            .build()
            .unwrap()
    };
    assert_eq!(refusal(named(&"é".repeat(70))), "");
    assert_eq!(
        refusal(named(&"é".repeat(71))),
        "71 characters in a name as Brevo wants it, at most 70 allowed"
    );
    let template = |id: &str, bytes: usize| {
        let template = VendorTemplate::new(id).unwrap().with("a", &"x".repeat(bytes)).unwrap();
        email(1, |builder| builder.template(template.clone()))
    };
    assert!(refusal(template("welcome", 1)).contains("number"));
    // `{"a":""}` takes 8 bytes.
    assert_eq!(refusal(template("1", 99_992)), "");
    assert_eq!(refusal(template("1", 99_993)), "100001 bytes of parameters, at most 100000 allowed");
    // 1 000 KB of parameters: ten emails of 100 KB fill a call.
    let heavy: Vec<Message> = (0..11)
        .map(|number| {
            let template = VendorTemplate::new("1").unwrap().with("a", &"x".repeat(99_992)).unwrap();
            email(number, |builder| builder.template(template.clone()))
        })
        .collect();
    let plan = provider.plan(&heavy.iter().collect::<Vec<_>>(), noon());
    assert_eq!(plan.groups.iter().map(Vec::len).collect::<Vec<_>>(), [10, 1]);
    let outcomes = provider.send(&group(heavy[..10].to_vec())).await.unwrap();
    assert_eq!(accepted(&outcomes).len(), 10);
}

#[tokio::test]
async fn unicode_headers_are_dropped_when_allowed_and_reported() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let message = email(1, |builder| {
        let builder = builder.html("x").header("X-One".parse().unwrap(), "one".parse().unwrap());
        builder.header("X-Two".parse().unwrap(), "été".parse().unwrap())
    });
    assert_eq!(provider.plan(&[&message], noon()).refused[0].feature, Some(Feature::UnicodeHeaders));
    let plan = provider.plan_with(&[&message], noon(), &Degrade::of([Feature::UnicodeHeaders]));
    assert_eq!((plan.refused.len(), plan.groups.len(), plan.dropped.len()), (0, 1, 1));
    let lighter = message.without(&plan.dropped[0].features);
    provider.send(&group(vec![lighter])).await.unwrap();
    assert_eq!(fake.delivered()[0].headers.keys().collect::<Vec<_>>(), ["X-One"]);
}

#[tokio::test]
async fn a_lost_call_is_settled_by_its_key_within_the_window_and_only_then() {
    for (fault, wait, again) in
        [(Fault::LostAnswer, 13, true), (Fault::LostRequest, 13, true), (Fault::LostAnswer, 14, false)]
    {
        let (fake, clock) = fake().await;
        // 15 minutes less a call's 60 seconds.
        let provider = fake.provider().build().unwrap();
        fake.inject(fault);
        let group = group(vec![rendered(1), rendered(2)]);
        let lost = provider.send(&group).await.unwrap();
        assert!(lost.iter().all(|outcome| matches!(outcome, Outcome::Unknown { .. })), "{lost:?}");
        clock.advance(Duration::from_secs(wait * 60));
        let settled = provider.settle(&group).await.unwrap();
        let found = settled.iter().all(|one| matches!(one, Settlement::Known(Outcome::Accepted { .. })));
        assert_eq!((found, fake.calls()), (again, if again { 2 } else { 1 }), "{fault:?} {wait}");
        let delivered = if again || fault == Fault::LostAnswer { 2 } else { 0 };
        assert_eq!(fake.delivered().len(), delivered, "{fault:?} {wait}");
        let (first, second) = (fake.requests()[0].clone(), fake.requests().last().unwrap().clone());
        assert_eq!(first.body, second.body, "the key and the mails are the same");
    }
}

#[tokio::test]
async fn a_vendor_that_forgot_the_key_early_shows_what_the_window_is_for() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    fake.inject(Fault::LostAnswer);
    let group = group(vec![rendered(1)]);
    provider.send(&group).await.unwrap();
    fake.forget_keys();
    provider.settle(&group).await.unwrap();
    assert_eq!(fake.delivered().len(), 2);
}

#[tokio::test]
async fn a_sandbox_delivers_nothing_and_says_so_in_its_capabilities() {
    let (fake, _) = fake().await;
    let provider = fake.provider().sandbox(true).build().unwrap();
    assert!(provider.capabilities().sandbox);
    let outcomes = provider.send(&group(vec![rendered(1), rendered(2)])).await.unwrap();
    assert_eq!(accepted(&outcomes).len(), 2);
    assert_eq!((body(&fake)["headers"]["X-Sib-Sandbox"].as_str(), fake.delivered().len()), (Some("drop"), 0));
}

#[tokio::test]
async fn the_rate_headers_stop_the_next_call_before_it_is_made() {
    let (fake, clock) = fake().await;
    let provider = fake.provider().build().unwrap();
    fake.limit(2, Duration::from_secs(60));
    clock.advance(Duration::from_secs(1));
    for number in 0..2 {
        accepted(&provider.send(&group(vec![rendered(number)])).await.unwrap());
    }
    let error = provider.send(&group(vec![rendered(3)])).await.unwrap_err();
    assert!(error.is_retryable() && !error.leaves_doubt());
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::RateLimited, Some(Duration::from_secs(60))));
    assert_eq!(fake.calls(), 2, "the third call was not made");
    // Another program on the same account learns it from the 429.
    let other = fake.provider().build().unwrap();
    let error = other.send(&group(vec![rendered(4)])).await.unwrap_err();
    assert_eq!((error.status(), error.retry_after()), (Some(429), Some(Duration::from_secs(60))));
    clock.advance(Duration::from_secs(60));
    accepted(&provider.send(&group(vec![rendered(3)])).await.unwrap());
}

#[tokio::test]
async fn an_account_without_credit_or_under_validation_stops_and_loses_nobody() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    fake.credit(1);
    let two = group(vec![rendered(1), rendered(2)]);
    let error = provider.send(&two).await.unwrap_err();
    assert_eq!((error.kind(), error.status()), (ErrorKind::Unsupported, Some(402)));
    assert!(error.detail().unwrap().contains("credit") && !error.leaves_doubt() && !error.is_retryable());
    fake.credit(2);
    fake.validated(false);
    let error = provider.send(&two).await.unwrap_err();
    assert!(error.detail().unwrap().contains("validated") && !error.leaves_doubt() && !error.is_retryable());
    fake.validated(true);
    assert_eq!(accepted(&provider.send(&two).await.unwrap()).len(), 2);
}

/// Every code of the vendor's error model and every status of its descriptions; `-` stands for no body.
#[tokio::test]
async fn every_documented_refusal_has_its_meaning() {
    use ErrorKind::{Auth, Config, NotFound, Other, Protocol, RateLimited, Unsupported};
    let of = |status: u16, code: &str| {
        if code == "-" {
            return Answer::status(status);
        }
        Answer::json(json!({"code": code, "message": "words"}).to_string()).with_status(status)
    };
    let errors = [
        (402, "not_enough_credits", Unsupported, false),
        (402, "-", Unsupported, false),
        (400, "not_enough_credits", Unsupported, false),
        (401, "unauthorized", Auth, false),
        (401, "-", Auth, false),
        (403, "account_under_validation", Unsupported, false),
        (403, "permission_denied", Auth, false),
        (400, "permission_denied", Auth, false),
        (403, "reseller_permission_denied", Auth, false),
        (403, "-", Auth, false),
        (404, "document_not_found", NotFound, false),
        (404, "-", NotFound, false),
        (405, "method_not_allowed", Config, false),
        (405, "-", Config, false),
        (406, "not_acceptable", Config, false),
        (425, "-", RateLimited, false),
        (429, "-", RateLimited, false),
        (429, "too_many_requests", RateLimited, false),
        (400, "duplicate_request", Other, true),
        (400, "-", Protocol, true),
        (422, "-", Protocol, true),
    ];
    let provider =
        |server: &Server| Brevo::builder(Secret::new("k")).base_url(&server.url()).build().unwrap();
    for (status, code, kind, doubt) in errors {
        let server = Server::start(move |_| of(status, code)).await.unwrap();
        let error = provider(&server).send(&group(vec![rendered(1), rendered(2)])).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.leaves_doubt(), error.status()),
            (kind, doubt, Some(status)),
            "{status} {code}"
        );
    }
    let refusals = [
        (400, "invalid_parameter", "email is not valid in to", RejectReason::InvalidAddress),
        (400, "missing_parameter", "subject is missing", RejectReason::Other),
        (400, "out_of_range", "attachment size is too large", RejectReason::TooLarge),
        (400, "bad_request", "Contact is blacklisted", RejectReason::Blocked),
        (422, "unprocessable_entity", "words", RejectReason::Other),
        (400, "campaign_processing", "words", RejectReason::Other),
        (404, "document_not_found", "Template does not exist", RejectReason::Other),
        (413, "-", "", RejectReason::TooLarge),
    ];
    for (status, code, words, wanted) in refusals {
        let answer = if code == "-" {
            of(status, code)
        } else {
            Answer::json(json!({"code": code, "message": words}).to_string()).with_status(status)
        };
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let one = provider(&server).send(&group(vec![rendered(1)])).await.unwrap();
        assert_eq!(one, [Outcome::Rejected { reason: wanted, detail: words.to_owned() }], "{code}");
        let two = provider(&server).send(&group(vec![rendered(1), rendered(2)])).await.unwrap();
        assert_eq!(
            two,
            vec![Outcome::GroupRefused { reason: wanted, detail: words.to_owned() }; 2],
            "{code}"
        );
    }
    // A sender that the account may not use is not the recipients' fault.
    let words = "Sending has been rejected because the sender you used is not valid";
    let answer =
        Answer::json(json!({"code": "invalid_parameter", "message": words}).to_string()).with_status(400);
    let server = Server::start(move |_| answer.clone()).await.unwrap();
    let error = provider(&server).send(&group(vec![rendered(1)])).await.unwrap_err();
    assert_eq!((error.kind(), error.leaves_doubt()), (Config, false));
}

/// The wire form of django-anymail 15: the metadata of each version in its own `X-Mailin-custom`, as UTF-8.
#[tokio::test]
async fn metadata_of_each_email_goes_with_its_version() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let with = |number: usize, value: &str| {
        let value = value.to_owned();
        email(number, move |builder| builder.html("<p>x</p>").metadata("person", value.clone()))
    };
    let messages = vec![with(0, "Zoé"), with(1, "Max")];
    assert_eq!(provider.plan(&messages.iter().collect::<Vec<_>>(), noon()).groups, [vec![0, 1]]);
    provider.send(&group(messages)).await.unwrap();
    let sent = body(&fake);
    assert!(sent["headers"].get("X-Mailin-custom").is_none());
    assert_eq!(sent["messageVersions"][0]["headers"], json!({"X-Mailin-custom": r#"{"person":"Zoé"}"#}));
    let people: Vec<_> = fake.delivered().iter().map(|email| email.metadata["person"].clone()).collect();
    assert_eq!(people, ["Zoé", "Max"]);
}

#[tokio::test]
async fn server_errors_are_lost_answers_and_retry_after_pauses_the_next_call() {
    for status in [408, 500, 502, 503, 504] {
        let server =
            Server::start(move |_| Answer::status(status).header("retry-after", "30")).await.unwrap();
        let provider = Brevo::builder(Secret::new("k")).base_url(&server.url()).build().unwrap();
        let outcomes = provider.send(&group(vec![rendered(1), rendered(2)])).await.unwrap();
        assert!(
            outcomes.len() == 2 && outcomes.iter().all(|one| matches!(one, Outcome::Unknown { .. })),
            "{status}: {outcomes:?}"
        );
        let next = provider.send(&group(vec![rendered(3)])).await.unwrap_err();
        assert_eq!((next.kind(), next.leaves_doubt()), (ErrorKind::RateLimited, false), "{status}");
        assert!(next.retry_after().is_some_and(|wait| (25..=30).contains(&wait.as_secs())), "{next:?}");
        assert_eq!(server.hits(), 1);
    }
}

#[tokio::test]
async fn check_accepts_only_an_account() {
    for body in ["{}", "[]", "<html>welcome</html>", r#"{"email":7}"#, ""] {
        let server = Server::start(move |_| Answer::json(body)).await.unwrap();
        let provider = Brevo::builder(Secret::new("k")).base_url(&server.url()).build().unwrap();
        assert_eq!(provider.check().await.unwrap_err().kind(), ErrorKind::Protocol, "{body}");
    }
}

#[tokio::test]
async fn a_success_that_cannot_be_read_is_not_taken_for_one_that_can() {
    for answer in [
        r#"{"messageIds":["<a@b>"]}"#,
        "{}",
        "<html>",
        "",
        r#"{"messageIds":["a","b","c"]}"#,
        r#"{"messageIds":["a",""]}"#,
    ] {
        let server = Server::start(move |_| Answer::json(answer).with_status(201)).await.unwrap();
        let provider = Brevo::builder(Secret::new("k")).base_url(&server.url()).build().unwrap();
        let outcomes = provider.send(&group(vec![rendered(1), rendered(2)])).await.unwrap();
        assert!(
            outcomes.len() == 2 && outcomes.iter().all(|one| matches!(one, Outcome::Unknown { .. })),
            "{answer}"
        );
    }
}

#[test]
fn keys_go_to_https_or_to_this_machine() {
    let build = |url: &str| Brevo::builder(Secret::new("k")).base_url(url).build();
    for good in ["https://api.brevo.com/v3", "http://127.0.0.1:9/v3", "http://localhost:9", "http://[::1]:9"]
    {
        assert!(build(good).is_ok(), "{good}");
    }
    for bad in [
        "http://api.brevo.com/v3",
        "http://10.0.0.1",
        "http://127.0.0.1.nip.io",
        "ftp://x",
        "",
        "https://u:p@api.brevo.com",
    ] {
        assert_eq!(build(bad).unwrap_err().kind(), ErrorKind::Config, "{bad}");
    }
    assert_eq!(Brevo::builder(Secret::new(" ")).build().unwrap_err().kind(), ErrorKind::Config);
    assert_eq!(Brevo::builder(Secret::new("a\nb")).build().unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_time_that_has_passed_is_not_asked_for() {
    let (fake, clock) = fake().await;
    let provider = fake.provider().build().unwrap();
    let message = email(1, |builder| builder.html("x").send_at(noon() - chrono::TimeDelta::hours(1)));
    accepted(&provider.send(&group(vec![message])).await.unwrap());
    assert_eq!((body(&fake).get("scheduledAt"), fake.delivered()[0].at), (None, None));
    assert_eq!(clock.now(), noon());
}

#[tokio::test]
async fn the_fake_refuses_what_the_vendor_would_whoever_forgot_to_plan() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let html = |with: &dyn Fn(mkt_email::MessageBuilder) -> mkt_email::MessageBuilder| {
        email(1, |builder| with(builder.html("<p>x</p>")))
    };
    let params = |number: usize, bytes: usize| {
        let template = VendorTemplate::new("1").unwrap().with("a", &"x".repeat(bytes)).unwrap();
        email(number, |builder| builder.template(template.clone()))
    };
    let calls = [
        ((0..1001).map(rendered).collect(), "1000 versions"),
        (vec![email(1, |builder| builder.text("x"))], "mandatory"),
        (vec![html(&|builder| builder.attach(file("run.exe")))], "extension"),
        (vec![html(&|builder| builder.header("X-A".parse().unwrap(), "é".parse().unwrap()))], "ASCII"),
        (vec![params(1, 100_001)], "100 KB"),
        ((0..11).map(|number| params(number, 99_000)).collect(), "1000 KB"),
    ];
    for (messages, words) in calls {
        let outcomes = provider.send(&group(messages)).await.unwrap();
        let (Outcome::Rejected { detail, .. } | Outcome::GroupRefused { detail, .. }) = &outcomes[0] else {
            panic!("{words}: {:?}", outcomes[0]);
        };
        assert!(detail.contains(words), "{detail}");
    }
    assert!(fake.delivered().is_empty());
}

#[tokio::test]
async fn the_log_of_the_fake_has_a_line_for_each_delivery_at_once() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("delivered.ndjson");
    let (fake, _) = fake().await;
    fake.log_to(&path).unwrap();
    let provider = fake.provider().build().unwrap();
    fake.inject_every(std::num::NonZeroUsize::new(2).unwrap(), Fault::LostAnswer);
    for number in 0..4 {
        provider.send(&group(vec![rendered(number)])).await.unwrap();
    }
    let lines = std::fs::read_to_string(path).unwrap();
    let to: Vec<_> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["to"].clone()).collect();
    assert_eq!(to, (0..4).map(|number| json!(reader(number).as_str())).collect::<Vec<_>>());
}

/// Anybody can sign up under such a name, and a vendor may repeat it.
#[tokio::test]
async fn what_a_vendor_repeats_of_a_recipient_decides_nothing() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let (address, name): (mkt_email::EmailAddress, _) = ("sender@example.org".parse().unwrap(), "Sender");
    fake.refuse(&address);
    let to = Mailbox::named(address, name).unwrap();
    let message = Message::builder("news@shop.example".parse().unwrap(), to, "x".parse().unwrap()).html("x");
    let outcomes = provider.send(&group(vec![message.build().unwrap()])).await.unwrap();
    assert!(
        matches!(&outcomes[..], [Outcome::Rejected { reason: RejectReason::InvalidAddress, .. }]),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn a_scheduled_mail_whose_time_came_before_it_was_settled_goes_once_and_at_once() {
    for fault in [Fault::LostAnswer, Fault::LostRequest] {
        for minutes in [5, 10] {
            let (fake, clock) = fake().await;
            let provider = fake.provider().build().unwrap();
            let scheduled = |number: usize| {
                email(number, |builder| {
                    builder.html("x").send_at(noon() + chrono::TimeDelta::minutes(minutes))
                })
            };
            let group = group(vec![scheduled(1), scheduled(2)]);
            fake.inject(fault);
            provider.send(&group).await.unwrap();
            clock.advance(Duration::from_secs(599));
            let settled = provider.settle(&group).await.unwrap();
            let known = settled.iter().all(|one| matches!(one, Settlement::Known(Outcome::Accepted { .. })));
            assert!(known, "{fault:?} {minutes}: {settled:?}");
            assert_eq!(fake.delivered().len(), 2, "{fault:?} {minutes}");
            if fault == Fault::LostRequest {
                // A second before its time a call may arrive after it.
                assert!(fake.delivered().iter().all(|email| email.at.is_none()), "{minutes}");
            }
        }
    }
}

#[tokio::test]
async fn a_duplicate_of_something_else_proves_no_arrival() {
    for (words, arrived) in [
        ("Request with the same idempotencyKey was seen", true),
        ("Duplicate request", true),
        ("", true),
        ("a recipient is named twice in to", false),
        ("duplicate attachment name", false),
        ("batchId is used already", false),
    ] {
        let answer = Answer::json(json!({"code": "duplicate_parameter", "message": words}).to_string());
        let answer = answer.with_status(400);
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let clock = Arc::new(ManualClock::new(noon()));
        let provider = Brevo::builder(Secret::new("k")).base_url(&server.url()).clock(clock).build().unwrap();
        let group = group(vec![rendered(1), rendered(2)]);
        let outcomes = provider.send(&group).await.unwrap();
        let settled = provider.settle(&group).await.unwrap();
        if arrived {
            assert_eq!(accepted(&outcomes).len(), 2);
            assert!(settled.iter().all(|one| matches!(one, Settlement::Known(Outcome::Accepted { .. }))));
        } else {
            assert!(
                outcomes.iter().all(|one| matches!(one, Outcome::Unknown { .. })),
                "{words}: {outcomes:?}"
            );
            assert_eq!(settled, vec![Settlement::StillUnknown; 2], "{words}");
        }
    }
}

#[tokio::test]
async fn a_key_of_the_future_is_not_relied_upon() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    // Another machine's clock is ahead: when the key will be forgotten cannot be told.
    let emails = group(vec![rendered(1)]).emails().to_vec();
    let ahead = mkt_email::provider::Group::new(noon() + chrono::TimeDelta::minutes(10), emails);
    assert_eq!(provider.settle(&ahead).await.unwrap(), [Settlement::StillUnknown]);
    assert_eq!((fake.calls(), fake.delivered().len()), (0, 0));
}

/// The account has a limit of its own (100 calls an hour), which says nothing about sending.
#[tokio::test]
async fn what_a_check_may_still_ask_is_not_what_may_still_be_sent() {
    let server = Server::start(move |request| match request.method.as_str() {
        "GET" => Answer::json(r#"{"email":"owner@shop.example"}"#)
            .header("x-sib-ratelimit-remaining", "0")
            .header("x-sib-ratelimit-reset", "3600"),
        _ => Answer::json(r#"{"messageId":"<a@b>"}"#).with_status(201),
    })
    .await
    .unwrap();
    let provider = Brevo::builder(Secret::new("k")).base_url(&server.url()).build().unwrap();
    provider.check().await.unwrap();
    assert_eq!(accepted(&provider.send(&group(vec![rendered(1)])).await.unwrap()), ["a@b"]);
}

/// The order of the vendor's checks is not documented: the first call may have been taken before somebody was blocked.
#[tokio::test]
async fn a_refusal_of_a_repeated_call_is_believed_where_its_bytes_decide() {
    for (words, believed) in [
        ("email is not valid in to", true),
        ("the size of the content is too large", true),
        ("a contact is blacklisted", false),
        ("no", false),
    ] {
        let answer = Answer::json(json!({"code": "invalid_parameter", "message": words}).to_string());
        let answer = answer.with_status(400);
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let clock = Arc::new(ManualClock::new(noon()));
        let provider = Brevo::builder(Secret::new("k")).base_url(&server.url()).clock(clock).build().unwrap();
        let settled = provider.settle(&group(vec![rendered(1), rendered(2)])).await.unwrap();
        let known = |one: &Settlement| matches!(one, Settlement::Known(Outcome::GroupRefused { .. }));
        assert_eq!(settled.iter().all(known), believed, "{words}: {settled:?}");
        assert_eq!(settled == [Settlement::StillUnknown, Settlement::StillUnknown], !believed, "{words}");
    }
}
