//! Small makers of test data.

use chrono::{DateTime, Utc};
use mkt_email::message::ListUnsubscribe;
use mkt_email::outbox::Consent;
use mkt_email::{DedupKey, EmailAddress, ManualClock, Message, NewEmail, Outbox};

pub(crate) fn instant(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(crate) fn noon() -> DateTime<Utc> {
    instant("2026-10-26T12:00:00Z")
}

pub(crate) fn clock() -> ManualClock {
    ManualClock::skipping(noon())
}

pub(crate) fn address(text: &str) -> EmailAddress {
    text.parse().unwrap()
}

pub(crate) fn reader(number: usize) -> EmailAddress {
    address(&format!("reader{number}@example.org"))
}

pub(crate) fn message(to: &EmailAddress) -> Message {
    Message::builder("Shop <news@example.com>".parse().unwrap(), to.clone().into(), "Hello".parse().unwrap())
        .html("<p>Hello</p>")
        .build()
        .unwrap()
}

pub(crate) fn marketing(campaign: &str, to: &EmailAddress) -> NewEmail {
    let link = ListUnsubscribe::one_click("https://shop.example/leave?u=token".parse().unwrap()).unwrap();
    let message = Message::builder(
        "Shop <news@example.com>".parse().unwrap(),
        to.clone().into(),
        "Hello".parse().unwrap(),
    )
    .html("<p>Hello</p>")
    .list_unsubscribe(link)
    .build()
    .unwrap();
    NewEmail::marketing(DedupKey::for_address(campaign, to), message)
}

pub(crate) fn transactional(campaign: &str, to: &EmailAddress) -> NewEmail {
    NewEmail::transactional(DedupKey::for_address(campaign, to), message(to))
}

pub(crate) fn consent(to: &EmailAddress) -> Consent {
    Consent::granted(to.clone(), instant("2025-01-15T00:00:00Z"), "inscrits.csv")
}

/// An outbox in memory that holds `count` transactional emails.
pub(crate) async fn outbox_with(count: usize) -> Outbox {
    let outbox = Outbox::in_memory().await.unwrap();
    let emails: Vec<_> = (0..count).map(|number| transactional("test", &reader(number))).collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
    outbox
}
