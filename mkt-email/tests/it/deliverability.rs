//! The deliverability check, against answers of the DNS that are given in advance.

use crate::help::{address, noon};
use base64::Engine;
use mkt_email::deliverability::{DeliverabilityCheck, DeliverabilityReport, StaticResolver, Verdict};
use mkt_email::message::ListUnsubscribe;
use mkt_email::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys};
use mkt_email::{Message, Secret};

/// A public key of so many bytes: 294 are RSA with 2048 bits, 162 with 1024.
fn key(bytes: usize) -> String {
    base64::engine::general_purpose::STANDARD.encode(vec![7; bytes])
}

fn good() -> StaticResolver {
    StaticResolver::new()
        .txt("shop.example", "google-site-verification=x")
        .txt("shop.example", "v=spf1 include:spf.relay.example mx -all")
        .txt("spf.relay.example", "v=spf1 ip4:192.0.2.0/24 -all")
        .txt("s1._domainkey.shop.example", &format!("v=DKIM1; k=rsa; p={}", key(294)))
        .txt("_dmarc.shop.example", "v=DMARC1; p=quarantine; rua=mailto:dmarc@shop.example")
        .mx("shop.example", 20, "backup.shop.example")
        .mx("shop.example", 10, "mx.shop.example")
}

fn check() -> DeliverabilityCheck {
    DeliverabilityCheck::new("Shop.example.").unwrap().selector("s1").spf_includes("spf.relay.example")
}

async fn run(dns: StaticResolver) -> DeliverabilityReport {
    check().run(&dns).await
}

#[tokio::test]
async fn domain_that_is_set_up_is_good() {
    let report = run(good()).await;
    assert_eq!(report.verdict, Verdict::Good, "{report}");
    let checks: Vec<_> = report.findings.iter().map(|finding| finding.check).collect();
    assert_eq!(checks, ["spf", "dkim", "dmarc", "mx"]);
    assert!(report.findings.iter().all(|finding| finding.change.is_none()));
    let text = report.to_string();
    assert!(text.contains("shop.example: good") && text.contains("mx.shop.example"), "{text}");
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!((&json["verdict"], &json["findings"][3]["check"]), (&"good".into(), &"mx".into()));
}

#[tokio::test]
async fn empty_zone_says_what_to_add() {
    let report = run(StaticResolver::new()).await;
    for name in ["spf", "dkim", "dmarc", "mx"] {
        assert_eq!(report.verdict(name), Some(Verdict::Bad), "{name}");
    }
    let spf = report.findings[0].change.as_deref().unwrap();
    assert_eq!(spf, "add a TXT record at shop.example: v=spf1 include:spf.relay.example ~all");
}

#[tokio::test]
async fn question_without_an_answer_is_unknown_and_not_missing() {
    for (name, check) in [
        ("shop.example", "spf"),
        ("spf.relay.example", "spf"),
        ("s1._domainkey.shop.example", "dkim"),
        ("_dmarc.shop.example", "dmarc"),
        ("shop.example", "mx"),
    ] {
        let report = run(good().failing(name)).await;
        assert_eq!(report.verdict(check), Some(Verdict::Unknown), "{name}");
    }
}

async fn spf(record: &str) -> Verdict {
    let dns = StaticResolver::new().txt("shop.example", record).txt("spf.relay.example", "v=spf1 +all");
    run(dns).await.verdict("spf").unwrap()
}

#[tokio::test]
async fn spf_is_one_record_that_ends_and_includes_the_provider() {
    assert_eq!(spf("v=spf1 include:spf.relay.example ~all").await, Verdict::Good);
    assert_eq!(spf("V=SPF1 Include:SPF.relay.example -ALL").await, Verdict::Good);
    assert_eq!(spf("v=spf1 include:spf.relay.example ?all").await, Verdict::Weak);
    assert_eq!(spf("v=spf1 include:spf.relay.example").await, Verdict::Weak);
    assert_eq!(spf("v=spf1 include:spf.relay.example all").await, Verdict::Bad);
    assert_eq!(spf("v=spf1 ip4:192.0.2.1 -all").await, Verdict::Bad);
    assert_eq!(spf("v=spf10 include:spf.relay.example -all").await, Verdict::Bad);
    let two = good().txt("shop.example", "v=spf1 -all");
    assert_eq!(run(two).await.verdict("spf"), Some(Verdict::Bad));
}

#[tokio::test]
async fn spf_with_more_than_ten_look_ups_is_bad() {
    // RFC 7208 §4.6.4 counts those of included records too.
    let mechanisms = |count: usize| "a ".repeat(count);
    for (count, verdict) in [(9, Verdict::Good), (10, Verdict::Bad)] {
        let dns = StaticResolver::new()
            .txt("shop.example", "v=spf1 include:spf.relay.example -all")
            .txt("spf.relay.example", &format!("v=spf1 {}-all", mechanisms(count)));
        assert_eq!(run(dns).await.verdict("spf"), Some(verdict), "{count}");
    }
}

#[tokio::test]
async fn spf_that_includes_itself_ends() {
    let dns = StaticResolver::new()
        .txt("shop.example", "v=spf1 include:spf.relay.example -all")
        .txt("spf.relay.example", "v=spf1 include:spf.relay.example include:spf.relay.example -all");
    assert_eq!(run(dns).await.verdict("spf"), Some(Verdict::Bad));
}

#[tokio::test]
async fn dkim_key_is_there_and_long_enough() {
    let with = |record: String| run(StaticResolver::new().txt("s1._domainkey.shop.example", &record));
    for (record, verdict) in [
        (format!("p={}", key(294)), Verdict::Good),
        (format!("v=DKIM1; p={} {}", &key(294)[..100], &key(294)[100..]), Verdict::Good),
        (format!("v=DKIM1; t=y; p={}", key(294)), Verdict::Weak),
        (format!("v=DKIM1; k=rsa; p={}", key(162)), Verdict::Weak),
        (format!("v=DKIM1; k=ed25519; p={}", key(32)), Verdict::Weak),
        (format!("v=DKIM1; k=rsa; p={}", key(94)), Verdict::Bad),
        ("v=DKIM1; p=".to_owned(), Verdict::Bad),
        ("v=DKIM1; p=abc*".to_owned(), Verdict::Bad),
        ("v=DKIM1; k=dsa; p=AAAA".to_owned(), Verdict::Bad),
    ] {
        assert_eq!(with(record.clone()).await.verdict("dkim"), Some(verdict), "{record}");
    }
}

#[tokio::test]
async fn dmarc_has_a_policy_and_is_aligned() {
    let with = |record: &'static str| async move {
        run(StaticResolver::new().txt("_dmarc.shop.example", record)).await.verdict("dmarc").unwrap()
    };
    assert_eq!(with("v=DMARC1; p=reject").await, Verdict::Good);
    assert_eq!(with("v=DMARC1; p=none; rua=mailto:x@shop.example").await, Verdict::Weak);
    assert_eq!(with("v=DMARC1; p=none").await, Verdict::Weak);
    assert_eq!(with("v=DMARC1; rua=mailto:x@shop.example").await, Verdict::Bad);
    // The record of the domain above.
    let above = DeliverabilityCheck::new("news.shop.example").unwrap();
    let dns = StaticResolver::new().txt("_dmarc.shop.example", "v=DMARC1; p=reject");
    assert_eq!(above.run(&dns).await.verdict("dmarc"), Some(Verdict::Good));
    // Without DKIM, the envelope sender has to be of the domain.
    let elsewhere = DeliverabilityCheck::new("shop.example").unwrap().return_path("relay.example").unwrap();
    assert_eq!(elsewhere.clone().run(&dns).await.verdict("dmarc"), Some(Verdict::Bad));
    assert_eq!(elsewhere.selector("s1").run(&dns).await.verdict("dmarc"), Some(Verdict::Good));
}

#[tokio::test]
async fn null_mx_receives_nothing() {
    let report = run(StaticResolver::new().mx("shop.example", 0, ".")).await;
    assert_eq!(report.verdict("mx"), Some(Verdict::Bad));
}

#[tokio::test]
async fn unsubscribe_link_is_signed_for_the_recipient() {
    let keys = UnsubscribeKeys::new(&Secret::new("a secret of at least 24 bytes")).unwrap();
    let base = "https://shop.example/leave".parse().unwrap();
    let verdict = |link: Option<ListUnsubscribe>| {
        let mut message = Message::builder(
            "news@shop.example".parse().unwrap(),
            "jean@example.org".parse().unwrap(),
            "Hello".parse().unwrap(),
        )
        .text("Hello");
        if let Some(link) = link {
            message = message.list_unsubscribe(link);
        }
        let check = check().unsubscribe(&message.build().unwrap(), &keys, noon());
        async move { check.run(&good()).await.verdict("unsubscribe").unwrap() }
    };
    let link = |to: &str| keys.link(&base, &UnsubscribeClaim::marketing(&address(to), "spring")).unwrap();
    assert_eq!(verdict(Some(link("jean@example.org"))).await, Verdict::Good);
    assert_eq!(verdict(Some(link("eve@example.org"))).await, Verdict::Bad);
    let unsigned = ListUnsubscribe::one_click("https://shop.example/leave?u=1".parse().unwrap()).unwrap();
    assert_eq!(verdict(Some(unsigned)).await, Verdict::Bad);
    assert_eq!(verdict(None).await, Verdict::Bad);
}

#[test]
fn what_is_no_domain_is_refused() {
    for name in ["", "shop", "shop example.org", "-shop.example", "a@b.example", "192.0.2.1"] {
        assert!(DeliverabilityCheck::new(name).is_err(), "{name}");
    }
}
