//! Mailgun: the form read by an independent parser, what batches share, limits, texts of throttling, the log.

use super::{common, email, file, from_template, group, rendered, unsubscribe};
use crate::help::{noon, reader};
use mail_parser::{MessageParser, MimeHeaders as _};
use mkt_connect::testing::{Answer, Received, Server};
use mkt_connect::{ErrorKind, Secret};
use mkt_email::message::VendorTemplate;
use mkt_email::provider::{RejectReason, Settlement};
use mkt_email::testing::{FakeMailgun, Fault};
use mkt_email::{EmailProvider as _, Mailbox, Mailgun, ManualClock, Message, Outcome, Region};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

async fn fake() -> (FakeMailgun, ManualClock) {
    let clock = ManualClock::new(noon());
    (FakeMailgun::start(Arc::new(clock.clone())).await.unwrap(), clock)
}

/// The fields of a form, by a parser of MIME that is not ours.
fn fields(request: &Received) -> Vec<(String, Vec<u8>)> {
    let mut mime = format!("Content-Type: {}\r\n\r\n", request.header("content-type").unwrap()).into_bytes();
    mime.extend_from_slice(&request.body);
    let parsed = MessageParser::default().with_mime_headers().parse(&mime).unwrap();
    let parts = parsed.parts.iter().skip(1);
    parts
        .map(|part| {
            let name = part.content_disposition().unwrap().attribute("name").unwrap().to_owned();
            (name, part.contents().to_vec())
        })
        .collect()
}

fn all(request: &Received, name: &str) -> Vec<String> {
    let own = fields(request).into_iter().filter(|(field, _)| field == name);
    own.map(|(_, value)| String::from_utf8(value).unwrap()).collect()
}

fn ids(outcomes: &[Outcome]) -> Vec<&str> {
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
    let provider = fake.provider().sandbox(true).build().unwrap();
    let message = email(1, |builder| {
        builder
            .html("<p>Bienvenue</p>")
            .reply_to("Answers <answers@shop.example>".parse().unwrap())
            .header("X-Campaign".parse().unwrap(), "été".parse().unwrap())
            .list_unsubscribe(unsubscribe(1))
            .tag("welcome".parse().unwrap())
            .tag("spring".parse().unwrap())
            .metadata("person", "é7")
            .attach(file("conditions \"générales\".pdf"))
            .send_at(noon() + chrono::TimeDelta::hours(2))
    });
    let group = group(vec![message]);
    ids(&provider.send(&group).await.unwrap());
    let request = &fake.requests()[0];
    assert_eq!((request.method.as_str(), request.path.as_str()), ("POST", "/v3/mg.shop.example/messages"));
    // printf 'api:key-canary-of-the-fake' | base64
    assert_eq!(request.header("authorization"), Some("Basic YXBpOmtleS1jYW5hcnktb2YtdGhlLWZha2U="));
    let expected = [
        ("from", "\"Shop\" <news@shop.example>"),
        ("to", "\"Reader 1\" <reader1@example.org>"),
        ("subject", "Hello"),
        ("text", "Bienvenue"),
        ("html", "<p>Bienvenue</p>"),
        ("h:Reply-To", "\"Answers\" <answers@shop.example>"),
        ("o:tag", "welcome"),
        ("o:tag", "spring"),
        ("o:deliverytime", "Mon, 26 Oct 2026 14:00:00 +0000"),
        ("o:testmode", "yes"),
        ("v:mkt-call", &group.key().to_string()),
        ("h:List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("v:mkt-mail", &group.emails()[0].key.to_string()),
        ("v:person", "é7"),
        ("h:List-Unsubscribe", "<https://shop.example/u/1>"),
        ("h:X-Campaign", "été"),
    ];
    let mut fields = fields(request);
    assert_eq!(fields.pop(), Some(("attachment".to_owned(), b"\r\n--\x00\xff".to_vec())));
    let fields: Vec<_> =
        fields.iter().map(|(name, value)| (name.as_str(), std::str::from_utf8(value).unwrap())).collect();
    assert_eq!(fields, expected);
    assert!(fake.delivered().is_empty(), "it was a test mode");
    assert!(provider.capabilities().sandbox);
}

#[tokio::test]
async fn mails_that_say_the_same_share_a_call_and_nobody_sees_the_others() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let personal = |number: usize| {
        email(number, |builder| {
            builder
                .html("<p>Hello</p>")
                .metadata("person", number.to_string())
                .header("X-Person".parse().unwrap(), format!("p{number}").parse().unwrap())
                .list_unsubscribe(unsubscribe(number))
        })
    };
    let messages: Vec<Message> = (0..1001).map(personal).collect();
    let plan = provider.plan(&messages.iter().collect::<Vec<_>>(), noon());
    assert_eq!(plan.groups.iter().map(Vec::len).collect::<Vec<_>>(), [1000, 1]);
    let group = group(messages[..1000].to_vec());
    let outcomes = provider.send(&group).await.unwrap();
    let (delivered, request) = (fake.delivered(), &fake.requests()[0]);
    assert_eq!((fake.calls(), delivered.len()), (1, 1000));
    // One id for the whole call.
    assert!(ids(&outcomes).iter().all(|id| *id == delivered[0].id && !id.contains('<')));
    let variables: Value = serde_json::from_str(&all(request, "recipient-variables")[0]).unwrap();
    assert_eq!(variables.as_object().unwrap().len(), 1000);
    for (number, email) in delivered.iter().enumerate() {
        assert_eq!((&email.to, email.others_shown), (&reader(number), 0));
        assert_eq!(email.metadata["person"], number.to_string());
        assert_eq!(email.metadata["mkt-mail"], group.emails()[number].key.to_string());
        assert_eq!(email.metadata["mkt-call"], group.key().to_string());
        assert_eq!(email.headers["X-Person"], format!("p{number}"));
        assert_eq!(email.headers["List-Unsubscribe"], format!("<https://shop.example/u/{number}>"));
        let whole = format!("{:?}{:?}{:?}{:?}", email.html, email.headers, email.metadata, email.subject);
        assert!(!whole.contains("%recipient"), "{whole}");
        // What a recipient's variables hold is the recipient's own.
        let own = &variables[email.to.as_str()].to_string();
        assert!(!own.contains(&format!("/u/{}>", number + 1)), "{own}");
    }
}

#[tokio::test]
async fn what_one_body_cannot_say_goes_in_calls_of_its_own() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let html = |number: usize, with: &dyn Fn(mkt_email::MessageBuilder) -> mkt_email::MessageBuilder| {
        email(number, |builder| with(builder.html("<p>Hello</p>").text("Hello")))
    };
    let messages = [
        rendered(0),
        rendered(1),
        common(2),
        common(3),
        html(4, &|builder| builder.metadata("k", "1")),
        html(5, &|builder| builder.metadata("k", "2")),
        html(6, &|builder| builder.metadata("other", "2")),
        html(7, &|builder| builder.reply_to("a@shop.example".parse().unwrap())),
        html(8, &|builder| builder.attach(file("a.bin"))),
        from_template(9),
        from_template(10),
        // A second email to an address would be ignored.
        common(2),
        html(12, &|builder| builder.attach(file("a.bin"))),
    ];
    let plan = provider.plan(&messages.iter().collect::<Vec<_>>(), noon());
    assert_eq!(
        plan.groups,
        [vec![0], vec![1], vec![2, 3], vec![4, 5], vec![6], vec![7], vec![8, 12], vec![9, 10], vec![11]]
    );
    for positions in plan.groups {
        let group = group(positions.iter().map(|at| messages[*at].clone()).collect());
        ids(&provider.send(&group).await.unwrap());
    }
    let delivered = fake.delivered();
    assert_eq!(delivered.len(), messages.len());
    for email in delivered.iter().filter(|email| email.template.is_some()) {
        let (id, params) = email.template.clone().unwrap();
        assert_eq!((id.as_str(), Some(params["name"].as_str())), ("42", email.name.as_deref()));
    }
}

#[tokio::test]
async fn what_the_vendor_would_refuse_or_replace_is_refused_before_the_call() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let refusal = |message: Message| {
        let plan = provider.plan(&[&message], noon());
        plan.refused.first().map(ToString::to_string).unwrap_or_default()
    };
    let placeholder = "%recipient.mkt0%";
    assert!(refusal(email(1, |builder| builder.html(placeholder))).contains("%recipient"));
    assert!(refusal(email(1, |builder| builder.html("x").metadata("k", placeholder))).contains("%recipient"));
    let named = Mailbox::named(reader(1), placeholder).unwrap();
    let named =
        Message::builder("a@shop.example".parse().unwrap(), named, "x".parse().unwrap()).html("x").build();
    assert!(refusal(named.unwrap()).contains("%recipient"));
    let template = VendorTemplate::new("welcome").unwrap().with("a", placeholder).unwrap();
    assert!(refusal(email(1, |builder| builder.template(template.clone()))).contains("%recipient"));
    assert!(
        refusal(email(1, |builder| builder.html("x").metadata("mkt-mail", "1"))).contains("marks the mail")
    );
    let to = |address: &str| {
        let from = "a@shop.example".parse().unwrap();
        let message = Message::builder(from, address.parse().unwrap(), "x".parse().unwrap());
        message.html("x").build().unwrap()
    };
    assert!(refusal(to("%recipient.mkt0%@example.org")).contains("%recipient"));
    assert!(refusal(email(1, |b| b.html("x").tag(placeholder.parse().unwrap()))).contains("%recipient"));
    let named = "X-%recipient.mkt0%";
    let named = email(1, |b| b.html("x").header(named.parse().unwrap(), "x".parse().unwrap()));
    assert!(refusal(named).contains("%recipient"));
    let link = "https://shop.example/u/%recipient.mkt0%";
    let link = mkt_email::message::ListUnsubscribe::one_click(link.parse().unwrap()).unwrap();
    assert!(refusal(email(1, |b| b.html("x").list_unsubscribe(link.clone()))).contains("%recipient"));
    // In JSON every quotation mark takes two bytes.
    let quotes = VendorTemplate::new("welcome").unwrap().with("a", &"\"".repeat(9_000)).unwrap();
    assert!(refusal(email(1, |builder| builder.template(quotes.clone()))).contains("at most 16000 allowed"));
    let magic = email(1, |b| b.html("x").header("X-Mailgun-Tag".parse().unwrap(), "a".parse().unwrap()));
    assert!(refusal(magic).contains("keeps for itself"));
    let tagged = |count: usize| {
        email(1, |builder| {
            (0..count)
                .fold(builder.html("x"), |builder, number| builder.tag(format!("t{number}").parse().unwrap()))
        })
    };
    assert_eq!(
        (refusal(tagged(3)), refusal(tagged(4))),
        (String::new(), "4 tags, at most 3 allowed".to_owned())
    );
    let ahead =
        |days: i64| email(1, |builder| builder.html("x").send_at(noon() + chrono::TimeDelta::days(days)));
    assert_eq!(refusal(ahead(3)), "");
    assert!(refusal(ahead(4)).contains("seconds ahead"));
    // Seven values of 2 000 characters fit into 16 KB, eight do not; what fits is taken by the vendor.
    let heavy = |count: usize| {
        email(1, |builder| {
            (0..count).fold(builder.html("x"), |builder, number| {
                builder.metadata(format!("k{number}"), "v".repeat(2000))
            })
        })
    };
    assert_eq!(refusal(heavy(7)), "");
    assert!(refusal(heavy(8)).contains("at most 16000 allowed"));
    ids(&provider.send(&group(vec![heavy(7)])).await.unwrap());
}

#[tokio::test]
async fn throttling_is_read_from_the_text_in_all_its_forms() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    // By the vendor's texts: 120 seconds, or a date 31 seconds from now; the client's clock is the fake's.
    for (form, status, wait) in
        [(0, 429, Some(120)), (1, 420, Some(31)), (2, 421, Some(31)), (3, 403, Some(120)), (4, 429, None)]
    {
        fake.inject(Fault::Throttled(form));
        let error = provider.send(&group(vec![rendered(1)])).await.unwrap_err();
        assert_eq!((error.kind(), error.status()), (ErrorKind::RateLimited, Some(status)), "{form}");
        assert!(error.is_retryable() && !error.leaves_doubt());
        assert_eq!(error.retry_after(), wait.map(Duration::from_secs), "{form}");
    }
    assert!(fake.delivered().is_empty());
}

#[tokio::test]
async fn a_lost_call_is_looked_up_once_the_log_can_be_relied_on() {
    let (fake, clock) = fake().await;
    let provider = fake.provider().build().unwrap();
    let arrived = group(vec![common(1), common(2)]);
    let vanished = group(vec![common(3), common(4)]);
    fake.inject(Fault::LostAnswer);
    fake.inject(Fault::LostRequest);
    for group in [&arrived, &vanished] {
        let outcomes = provider.send(group).await.unwrap();
        assert!(outcomes.iter().all(|one| matches!(one, Outcome::Unknown { .. })));
    }
    let unknown = [Settlement::StillUnknown, Settlement::StillUnknown];
    clock.advance(Duration::from_secs(29 * 60));
    assert_eq!(provider.settle(&vanished).await.unwrap(), unknown);
    assert_eq!(fake.requests().len(), 2, "nothing was asked yet");
    clock.advance(Duration::from_secs(60));
    let id = fake.delivered()[0].id.clone();
    let known = Settlement::Known(Outcome::Accepted { id });
    assert_eq!(provider.settle(&arrived).await.unwrap(), [known.clone(), known]);
    assert_eq!(provider.settle(&vanished).await.unwrap(), [Settlement::NotArrived, Settlement::NotArrived]);
    let query: Value = serde_json::from_slice(&fake.requests()[2].body).unwrap();
    assert_eq!(fake.requests()[2].path, "/v1/analytics/logs");
    assert_eq!(
        query,
        json!({
            "start": "Mon, 26 Oct 2026 11:50:00 +0000",
            "end": "Mon, 26 Oct 2026 12:11:00 +0000",
            "events": ["accepted"],
            "filter": {"AND": [{"attribute": "domain", "comparator": "=",
                "values": [{"label": "mg.shop.example", "value": "mg.shop.example"}]}]},
            "pagination": {"sort": "timestamp:asc", "limit": 100},
        })
    );
    // When the log is no longer kept, an absence proves nothing.
    clock.advance(Duration::from_secs(24 * 3600));
    assert_eq!(provider.settle(&vanished).await.unwrap(), unknown);
    assert_eq!(fake.delivered().len(), 2, "settling sends nothing");
}

#[tokio::test]
async fn a_long_log_is_read_page_by_page() {
    let (fake, clock) = fake().await;
    let provider = fake.provider().build().unwrap();
    let group = group((0..250).map(common).collect());
    fake.inject(Fault::LostAnswer);
    provider.send(&group).await.unwrap();
    clock.advance(Duration::from_secs(1800));
    let settled = provider.settle(&group).await.unwrap();
    assert!(settled.len() == 250 && settled.iter().all(|one| matches!(one, Settlement::Known(_))));
    assert_eq!(fake.requests().len(), 4, "one call and three pages");
}

#[tokio::test]
async fn a_log_that_cannot_be_read_settles_nothing() {
    for answer in [
        Answer::json("{"),
        Answer::json(r#"{"items": 7}"#),
        Answer::json(r#"{"items": [{"event": "accepted"}], "pagination": {"next": "again"}}"#),
        Answer::status(502),
        Answer::json(r#"{"message":"try again after 10 seconds"}"#).with_status(429),
        Answer::json(r#"{"message":"no such attribute"}"#).with_status(400),
        // A key that may only send.
        Answer::text("Forbidden").with_status(401),
        Answer::json(r#"{"message":"Forbidden"}"#).with_status(403),
        Answer::json(r#"{"message":"not found"}"#).with_status(404),
        Answer::reset(),
    ] {
        let clock = ManualClock::new(noon());
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let provider = Mailgun::builder(Secret::new("k"), "mg.shop.example").base_url(&server.url());
        let provider = provider.clock(Arc::new(clock.clone())).build().unwrap();
        clock.advance(Duration::from_secs(1800));
        let settled = provider.settle(&group(vec![common(1)])).await.unwrap();
        assert_eq!(settled, [Settlement::StillUnknown]);
    }
}

#[tokio::test]
async fn server_errors_are_lost_answers() {
    for answer in [
        Answer::status(408),
        Answer::html("<h1>oops</h1>").with_status(500),
        Answer::status(502),
        Answer::status(503).header("retry-after", "30"),
    ] {
        let pauses = format!("{answer:?}").contains("retry-after");
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let provider = Mailgun::builder(Secret::new("k"), "mg.shop.example").base_url(&server.url());
        let provider = provider.build().unwrap();
        let outcomes = provider.send(&group(vec![common(1), common(2)])).await.unwrap();
        assert!(outcomes.iter().all(|one| matches!(one, Outcome::Unknown { .. })), "{outcomes:?}");
        let next = provider.send(&group(vec![common(3)])).await;
        assert_eq!(next.is_err_and(|error| error.kind() == ErrorKind::RateLimited), pauses);
    }
}

#[tokio::test]
async fn check_accepts_only_the_domain() {
    for body in ["{}", r#"{"domain":{"name":"other.example"}}"#, "<html>", ""] {
        let server = Server::start(move |_| Answer::json(body)).await.unwrap();
        let provider = Mailgun::builder(Secret::new("k"), "mg.shop.example").base_url(&server.url());
        assert_eq!(
            provider.build().unwrap().check().await.unwrap_err().kind(),
            ErrorKind::Protocol,
            "{body}"
        );
    }
    let server =
        Server::start(|_| Answer::json(r#"{"domain":{"name":"mg.shop.example","state":"active"}}"#)).await;
    let server = server.unwrap();
    let provider = Mailgun::builder(Secret::new("k"), "mg.shop.example").base_url(&server.url());
    provider.build().unwrap().check().await.unwrap();
}

#[tokio::test]
async fn every_documented_refusal_has_its_meaning() {
    use ErrorKind::{Auth, Config, NotFound, Protocol, Unsupported};
    let says =
        |status: u16, words: &str| Answer::json(json!({"message": words}).to_string()).with_status(status);
    let errors = [
        (Answer::text("Forbidden").with_status(401), Auth, false),
        (Answer::json("\"Forbidden\"").with_status(401), Auth, false),
        (says(402, "Payment required"), Unsupported, false),
        (says(403, "Forbidden"), Auth, false),
        (says(404, "Domain not found"), NotFound, false),
        (Answer::text("Mailgun Magnificent API"), Config, false),
        (says(405, "x"), Config, false),
        (says(400, "'from' parameter is not a valid address. please check documentation"), Config, false),
        (
            says(400, "Domain mg.shop.example is not allowed to send: Please activate your account"),
            Unsupported,
            false,
        ),
        (Answer::html("<h1>Bad Request</h1>").with_status(400), Protocol, true),
        (Answer::status(302).header("location", "https://example.com/"), Protocol, true),
    ];
    let provider = |server: &Server| {
        Mailgun::builder(Secret::new("k"), "mg.shop.example").base_url(&server.url()).build().unwrap()
    };
    for (answer, kind, doubt) in errors {
        let shown = format!("{answer:?}");
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let error = provider(&server).send(&group(vec![common(1), common(2)])).await.unwrap_err();
        assert_eq!((error.kind(), error.leaves_doubt()), (kind, doubt), "{shown}");
    }
    let invalid = "'to' parameter is not a valid address. please check documentation";
    for (status, words, reason) in [
        (400, invalid, RejectReason::InvalidAddress),
        (
            400,
            "Send options (parameters starting with o:, h:, or v:) are limited to 16KB total",
            RejectReason::TooLarge,
        ),
        (413, "Message is too large", RejectReason::TooLarge),
        (400, "Only one parameters 'html' or 'template' is allowed.", RejectReason::Other),
    ] {
        let answer = says(status, words);
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let one = provider(&server).send(&group(vec![common(1)])).await.unwrap();
        assert_eq!(one, [Outcome::Rejected { reason, detail: words.to_owned() }]);
        let two = provider(&server).send(&group(vec![common(1), common(2)])).await.unwrap();
        assert_eq!(two, vec![Outcome::GroupRefused { reason, detail: words.to_owned() }; 2]);
    }
    // Other successes that cannot be read may have been one.
    for answer in [Answer::json("{}"), Answer::json("{\"id\":\"\"}"), Answer::text("ok"), Answer::status(204)]
    {
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let answer = provider(&server).send(&group(vec![common(1)])).await;
        let doubt = match &answer {
            Ok(outcomes) => matches!(outcomes.as_slice(), [Outcome::Unknown { .. }]),
            Err(error) => error.leaves_doubt(),
        };
        assert!(doubt, "{answer:?}");
    }
}

#[tokio::test]
async fn a_domain_that_is_elsewhere_stops_and_names_the_region() {
    let (fake, _) = fake().await;
    let elsewhere = Mailgun::builder(fake.api_key(), "other.example").base_url(&fake.url()).build().unwrap();
    for error in
        [elsewhere.check().await.unwrap_err(), elsewhere.send(&group(vec![common(1)])).await.unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert!(error.detail().unwrap().contains("region") && !error.is_retryable(), "{error}");
    }
    fake.provider().build().unwrap().check().await.unwrap();
}

#[test]
fn the_regions_have_their_hosts_and_a_domain_is_one() {
    let built =
        |region| Mailgun::builder(Secret::new("k"), "mg.shop.example").region(region).build().unwrap();
    assert!(format!("{:?}", built(Region::Us)).contains("\"api.mailgun.net\""));
    assert!(format!("{:?}", built(Region::Eu)).contains("\"api.eu.mailgun.net\""));
    for domain in ["", " ", "a/b", "a b", "é.example", "../x", "a?b"] {
        let error = Mailgun::builder(Secret::new("k"), domain).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{domain}");
    }
}

#[tokio::test]
async fn the_fake_refuses_what_the_vendor_would_whoever_forgot_to_plan() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    let html = |with: &dyn Fn(mkt_email::MessageBuilder) -> mkt_email::MessageBuilder| {
        email(1, |builder| with(builder.html("<p>x</p>")))
    };
    let calls = [
        ((0..1001).map(common).collect(), "1000 recipients"),
        (vec![html(&|b| (0..11).fold(b, |b, number| b.tag(format!("t{number}").parse().unwrap())))], "tags"),
        (
            vec![html(&|b| (0..9).fold(b, |b, number| b.metadata(format!("k{number}"), "v".repeat(2000))))],
            "16KB",
        ),
        (vec![html(&|b| b.send_at(noon() + chrono::TimeDelta::days(4)))], "deliverytime"),
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
async fn what_a_vendor_repeats_of_a_recipient_decides_nothing() {
    let (fake, _) = fake().await;
    let provider = fake.provider().build().unwrap();
    fake.refuse(&reader(1));
    let to = Mailbox::named(reader(1), "not allowed to send").unwrap();
    let message = Message::builder("news@shop.example".parse().unwrap(), to, "x".parse().unwrap()).html("x");
    let outcomes = provider.send(&group(vec![message.build().unwrap()])).await.unwrap();
    assert!(
        matches!(&outcomes[..], [Outcome::Rejected { reason: RejectReason::InvalidAddress, .. }]),
        "{outcomes:?}"
    );
}

/// The log cuts variables off after 4 KB, and with them our key: an email that was taken must not look absent.
#[tokio::test]
async fn variables_that_the_log_cuts_off_are_no_proof_of_absence() {
    let (fake, clock) = fake().await;
    let provider = fake.provider().build().unwrap();
    let heavy = |number: usize| {
        email(number, |builder| {
            (0..3)
                .fold(builder.html("x"), |builder, key| builder.metadata(format!("k{key}"), "v".repeat(2000)))
        })
    };
    let lost = group(vec![heavy(1)]);
    fake.inject(Fault::LostAnswer);
    provider.send(&lost).await.unwrap();
    assert_eq!(fake.delivered().len(), 1);
    clock.advance(Duration::from_secs(1800));
    assert_eq!(provider.settle(&lost).await.unwrap(), [Settlement::StillUnknown]);
}

#[tokio::test]
async fn a_log_without_our_variables_leaves_those_in_doubt_whom_it_names() {
    let page = |items: Vec<Value>| json!({"items": items, "pagination": {"next": "again"}}).to_string();
    let of = |address: &str| json!({"event": "accepted", "recipient": address});
    let theirs =
        json!({"event": "accepted", "recipient": "reader1@example.org", "user-variables": "{\"a\":\"b\"}"});
    let (doubt, absent) = (Settlement::StillUnknown, Settlement::NotArrived);
    for (answer, expected) in [
        (page(vec![of("Reader1@example.org")]), [&doubt, &absent]),
        (page(vec![theirs]), [&absent, &absent]),
        (page(vec![json!({"event": "accepted"})]), [&doubt, &doubt]),
        // A full page that names itself as the next one: there is more, and no way to it.
        (
            page(vec![json!({"event": "accepted", "recipient": "x@y.example", "user-variables": {}}); 100]),
            [&doubt, &doubt],
        ),
    ] {
        let clock = ManualClock::new(noon());
        let answer = Answer::json(answer);
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let provider = Mailgun::builder(Secret::new("k"), "mg.shop.example").base_url(&server.url());
        let provider = provider.clock(Arc::new(clock.clone())).build().unwrap();
        clock.advance(Duration::from_secs(1800));
        let settled = provider.settle(&group(vec![common(1), common(2)])).await.unwrap();
        assert_eq!(settled.iter().collect::<Vec<_>>(), expected);
    }
}

/// Events carry the vendor's time, the call carries ours.
#[tokio::test]
async fn a_clock_that_is_minutes_ahead_does_not_hide_what_arrived() {
    let (fake, clock) = fake().await;
    let provider = fake.provider().build().unwrap();
    let emails = group(vec![common(1)]).emails().to_vec();
    let call = mkt_email::provider::Group::new(noon() + chrono::TimeDelta::minutes(5), emails);
    fake.inject(Fault::LostAnswer);
    provider.send(&call).await.unwrap();
    clock.advance(Duration::from_secs(40 * 60));
    assert!(matches!(provider.settle(&call).await.unwrap()[..], [Settlement::Known(_)]));
}
