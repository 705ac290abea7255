//! Unsubscribe and confirmation links: GET shows, POST acts.

use super::*;
use crate::help::{consent, marketing, reader, transactional};
use chrono::TimeDelta;
use mkt_email::confirm::{ConfirmClaim, ConfirmKeys};
use mkt_email::outbox::{Consent, Suppression, SuppressionReason, SuppressionScope};
use mkt_email::template::{Confirmation, Language};
use mkt_email::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys};
use mkt_email::{Enqueued, Memory, RunOptions, State, SystemClock, Template};
use std::time::Duration;

fn secret() -> Secret {
    Secret::new("a secret of at least 24 bytes")
}

fn keys() -> UnsubscribeKeys {
    UnsubscribeKeys::new(&secret()).unwrap()
}

fn confirm_keys() -> ConfirmKeys {
    ConfirmKeys::new(&secret()).unwrap()
}

async fn stopped(outbox: &Outbox, campaign: &str, number: usize) -> bool {
    let there = outbox.enqueue(&[marketing(campaign, &reader(number))], noon()).await.unwrap();
    matches!(there[0], Enqueued::Suppressed(..))
}

#[tokio::test]
async fn get_shows_a_page_and_post_unsubscribes() {
    let server = Running::start(|builder| builder.unsubscribe(keys())).await;
    server.outbox.record_consents(&[consent(&reader(0)), consent(&reader(1))]).await.unwrap();
    let token =
        |number: usize| keys().token(&UnsubscribeClaim::marketing(&reader(number), "spring")).unwrap();
    let (by_path, by_query) = (format!("/unsubscribe/{}", token(0)), format!("/unsubscribe?u={}", token(1)));
    for path in [&by_path, &by_query] {
        for method in ["GET", "HEAD"] {
            let page = server.call(method, path, &[("accept-language", "fr-FR,fr;q=0.9")], b"").await;
            assert_eq!(page.status, 200);
            assert!(page.head.contains("content-language: fr") && page.head.contains("no-store"));
            assert!(
                page.head.contains("default-src 'none'")
                    && page.head.contains("referrer-policy: no-referrer")
            );
            assert_eq!(page.body.contains("Me désabonner"), method == "GET");
            assert!(!page.body.contains("<script") && !page.body.contains("http"));
        }
    }
    assert!(server.events().await.is_empty());
    assert!(!stopped(&server.outbox, "a", 0).await && !stopped(&server.outbox, "a", 1).await);
    // One click (RFC 8058), and the button of the page.
    let one_click = [("content-type", "application/x-www-form-urlencoded")];
    let answer = server.call("POST", &by_path, &one_click, b"List-Unsubscribe=One-Click").await;
    assert_eq!(answer.status, 200);
    assert!(answer.body.contains("You are unsubscribed") && !answer.head.contains("set-cookie"));
    let answer = server.call("POST", &by_query, &[("accept-language", "fr")], b"").await;
    assert!(answer.status == 200 && answer.body.contains("Vous êtes désabonné"));
    assert!(stopped(&server.outbox, "b", 0).await && stopped(&server.outbox, "b", 1).await);
    let receipt = server.outbox.enqueue(&[transactional("receipt", &reader(0))], noon()).await.unwrap();
    assert!(matches!(receipt[0], Enqueued::Enqueued(_)), "transactional email is not affected");
    // A repetition is answered the same.
    assert_eq!(server.call("POST", &by_path, &one_click, b"List-Unsubscribe=One-Click").await.status, 200);
}

#[tokio::test]
async fn altered_or_expired_link_changes_nothing() {
    let server = Running::start(|builder| builder.unsubscribe(keys()).confirm(confirm_keys())).await;
    let claim = UnsubscribeClaim::marketing(&reader(0), "spring");
    let token = keys().token(&claim).unwrap();
    let ended = keys().token(&claim.until(noon())).unwrap();
    let confirmation = confirm_keys().token(&ConfirmClaim::marketing(&reader(0), "form", noon())).unwrap();
    let cut = &token[..token.len() - 1];
    for (path, status) in [
        (format!("/unsubscribe/{cut}"), 404),
        (format!("/unsubscribe?u={token}&u={token}"), 404),
        ("/unsubscribe".to_owned(), 404),
        (format!("/unsubscribe/{ended}"), 410),
        // A link of one purpose is none of the other, though the secret is the same.
        (format!("/unsubscribe/{confirmation}"), 404),
        (format!("/confirm/{token}"), 404),
    ] {
        for method in ["GET", "POST"] {
            assert_eq!(server.call(method, &path, &[], b"").await.status, status, "{method} {path}");
        }
    }
    assert!(server.events().await.is_empty());
}

#[tokio::test]
async fn confirmation_gives_consent_and_ends_an_earlier_unsubscription_once() {
    let server = Running::start(|builder| builder.unsubscribe(keys()).confirm(confirm_keys())).await;
    let outbox = &server.outbox;
    assert!(stopped(outbox, "before", 0).await, "no consent yet");
    let claim = ConfirmClaim::marketing(&reader(0), "footer form", noon());
    let base = "https://shop.example/confirm".parse().unwrap();
    let link = confirm_keys().link(&base, &claim).unwrap();
    assert!(confirm_keys().link(&"http://shop.example/confirm".parse().unwrap(), &claim).is_err());
    // The mail with the link, in both languages.
    for (language, word) in [(Language::French, "Confirmez"), (Language::English, "Confirm")] {
        let values = Confirmation { site: "La Boutique".to_owned(), link: link.to_string() };
        let mail = Template::confirmation(language).unwrap().render(&values).unwrap();
        assert!(mail.subject.as_str().contains(word));
        assert!(mail.html.contains(link.as_str()) && mail.text.contains(link.as_str()));
    }
    let path = link.path().to_owned();
    let page = server.call("GET", &path, &[("accept-language", "fr")], b"").await;
    assert!(page.status == 200 && page.body.contains("Confirmer"));
    assert!(stopped(outbox, "shown", 0).await, "GET confirms nothing");
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(server.call("POST", &path, &[], b"").await.status, 200);
    let at = noon() + TimeDelta::hours(2);
    let next = async |campaign: &str, at| {
        let there = outbox.enqueue(&[marketing(campaign, &reader(0))], at).await.unwrap();
        matches!(there[0], Enqueued::Enqueued(_))
    };
    assert!(next("confirmed", at).await);
    // They leave, and an import of a list does not bring them back; nor does the old link.
    server.clock.advance(Duration::from_secs(60));
    let leave = keys().token(&UnsubscribeClaim::marketing(&reader(0), "spring")).unwrap();
    assert_eq!(server.call("POST", &format!("/unsubscribe/{leave}"), &[], b"").await.status, 200);
    outbox
        .record_consents(&[Consent::granted(reader(0), noon() + TimeDelta::hours(1), "list.csv")])
        .await
        .unwrap();
    server.clock.advance(Duration::from_secs(60));
    assert_eq!(server.call("POST", &path, &[], b"").await.status, 200);
    assert!(!next("left", at).await);
    // A new confirmation does, and it ends nothing else.
    let again = ConfirmClaim::marketing(&reader(0), "footer form", noon() + TimeDelta::minutes(5));
    let path = format!("/confirm/{}", confirm_keys().token(&again).unwrap());
    assert_eq!(server.call("POST", &path, &[], b"").await.status, 200);
    assert!(next("returned", at).await);
    let bounce =
        Suppression::new(reader(0), SuppressionScope::All, SuppressionReason::HardBounce, "test", noon());
    outbox.suppress(&[bounce]).await.unwrap();
    assert!(!next("bounced", at).await);
    server.clock.advance(Duration::from_secs(8 * 24 * 3600));
    assert_eq!(server.call("POST", &path, &[], b"").await.status, 410);
}

/// Workers race with people who press the button: what is not marked when a POST is answered is never sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_marked_for_sending_after_an_unsubscription_is_answered() {
    let number = |name: &str, default: usize| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (sends, leaves) = (number("MKT_TEST_RACE_SENDS", 2_000), number("MKT_TEST_RACE_LEAVES", 200));
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(folder.path().join("mail.db")).await.unwrap();
    let server = Running::over(outbox.clone(), |builder| {
        builder.unsubscribe(keys()).clock(Arc::new(SystemClock::new()))
    })
    .await;
    for from in (0..sends).step_by(5_000) {
        let some = from..sends.min(from + 5_000);
        let consents: Vec<_> = some.clone().map(|number| consent(&reader(number))).collect();
        outbox.record_consents(&consents).await.unwrap();
        let emails: Vec<_> = some.map(|number| marketing("race", &reader(number))).collect();
        outbox.enqueue(&emails, noon()).await.unwrap();
    }
    let provider = Memory::new();
    let worker = {
        let (outbox, provider) = (outbox.clone(), provider.clone());
        tokio::spawn(async move {
            let mut options = RunOptions::default();
            (options.batch, options.calls_in_flight) = (20, 2);
            outbox.run(&provider, &SystemClock::new(), &options).await.unwrap()
        })
    };
    let mut waiting = Vec::new();
    for place in 0..leaves {
        // From the end: they are sent last.
        let who = sends - 1 - place * (sends / leaves);
        let token = keys().token(&UnsubscribeClaim::marketing(&reader(who), "race")).unwrap();
        assert_eq!(server.call("POST", &format!("/unsubscribe/{token}"), &[], b"").await.status, 200);
        let there = outbox.enqueue(&[marketing("race", &reader(who))], noon()).await.unwrap();
        if matches!(
            there[0],
            Enqueued::Suppressed(..) | Enqueued::AlreadyThere(_, State::Pending | State::Claimed)
        ) {
            waiting.push(reader(who).as_str().to_owned());
        }
    }
    let report = worker.await.unwrap();
    let reached: std::collections::HashSet<String> =
        provider.delivered().iter().map(|email| email.message.to().address.as_str().to_owned()).collect();
    let wronged: Vec<_> = waiting.iter().filter(|who| reached.contains(*who)).collect();
    assert!(wronged.is_empty(), "{} of {}", wronged.len(), waiting.len());
    assert!(!waiting.is_empty(), "nobody left in time");
    assert_eq!(report.accepted as usize, reached.len());
}
