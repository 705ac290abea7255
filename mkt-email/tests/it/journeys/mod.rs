//! Journeys on every engine: rules, limits, several workers, erasure.

mod oracle;
mod order;
mod rules;
mod simulation;

use crate::engines::{Engine, Place, on_each_engine};
use crate::help::{address, instant, reader};
use chrono::{DateTime, Utc};
use mkt_email::journey::{
    Advanced, Composer, Definition, EventMatch, JourneyEmail, Journeys, Step, Templates, Trigger, Triggered,
    WhereaboutsOptions,
};
use mkt_email::outbox::Consent;
use mkt_email::unsubscribe::UnsubscribeKeys;
use mkt_email::{EmailAddress, ManualClock, Memory, Message, Outbox, RunOptions, Secret, Stop};
use serde_json::{Value, json};

/// A time of 26 October 2026.
fn at(time: &str) -> DateTime<Utc> {
    instant(&format!("2026-10-26T{time}:00Z"))
}

fn keys() -> UnsubscribeKeys {
    UnsubscribeKeys::new(&Secret::new("a secret of tests, of 24 bytes or more")).unwrap()
}

fn templates() -> Templates {
    let sender = "Shop <news@shop.example>".parse().unwrap();
    Templates::new(sender, "Shop", "https://shop.example/cart".parse().unwrap())
        .unwrap()
        .unsubscribe(keys(), "https://shop.example/leave".parse().unwrap())
        .value("offer", "10 %")
}

fn jean() -> EmailAddress {
    address("jean@example.org")
}

fn cart_of(contact: &EmailAddress, cart: &str, at: DateTime<Utc>) -> Trigger {
    let payload = json!({
        "first_name": "Jean",
        "lang": "en",
        "currency": "EUR",
        "items": [{"name": "Teapot <2 l>", "quantity": 1, "price": 39.9}],
    });
    Trigger::new("cart_updated", contact.clone(), cart, at, payload).unwrap()
}

fn trigger(kind: &str, contact: &EmailAddress, entity: &str, at: DateTime<Utc>) -> Trigger {
    Trigger::new(kind, contact.clone(), entity, at, Value::Null).unwrap()
}

/// An outbox with journeys, and everybody's consent.
struct Scene {
    place: Place,
    outbox: Outbox,
    journeys: Journeys,
}

impl Scene {
    async fn with(engine: Engine, definition: &Definition) -> Self {
        let place = engine.place().await;
        let outbox = place.open().await;
        let people: Vec<Consent> = (0..50)
            .map(reader)
            .chain([jean()])
            .map(|person| Consent::granted(person, instant("2026-01-01T00:00:00Z"), "test"))
            .collect();
        outbox.record_consents(&people).await.unwrap();
        let journeys = Journeys::open(&outbox).await.unwrap();
        journeys.define(definition, instant("2026-01-01T00:00:00Z")).await.unwrap();
        Self { place, outbox, journeys }
    }

    async fn cart(engine: Engine) -> Self {
        Self::with(engine, &Definition::cart_relaunch().unwrap()).await
    }

    async fn tell(&self, triggers: &[Trigger]) -> Vec<Triggered> {
        self.journeys.trigger(triggers, at("09:00")).await.unwrap()
    }

    /// Goes on until an instant, in virtual time.
    async fn until(&self, end: DateTime<Utc>) -> Advanced {
        let start = self.journeys.next_due().await.unwrap().unwrap_or(end).min(end);
        let clock = ManualClock::skipping(start);
        let done = self.journeys.run(&templates(), &clock, end, &Stop::new()).await.unwrap();
        self.journeys.advance(&templates(), end).await.unwrap();
        done
    }

    /// Sends what is in the outbox; the subjects of what arrived.
    async fn sent(&self, now: DateTime<Utc>) -> Vec<String> {
        let provider = Memory::new();
        self.outbox.run(&provider, &ManualClock::skipping(now), &RunOptions::default()).await.unwrap();
        let delivered = provider.delivered();
        delivered.iter().map(|email| email.message.subject().as_str().to_owned()).collect()
    }

    /// Why the instances of a journey ended, with how many.
    async fn ended(&self, journey: &str) -> Vec<(String, u64)> {
        let state = self.journeys.whereabouts(journey, &WhereaboutsOptions::default()).await.unwrap();
        state.ended.into_iter().collect()
    }

    async fn end_of_cart(&self) -> Vec<(String, u64)> {
        self.ended("cart_relaunch").await
    }
}

fn reasons(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect()
}

/// Rows of one text each, from the tables themselves.
async fn texts(place: &Place, statement: &'static str) -> Vec<String> {
    if place.url.starts_with("sqlite:") {
        let pool = sqlx::SqlitePool::connect(&place.url).await.unwrap();
        let rows = sqlx::query_scalar(statement).fetch_all(&pool).await.unwrap();
        pool.close().await;
        return rows;
    }
    #[cfg(feature = "postgres")]
    {
        let pool = sqlx::PgPool::connect(&place.url).await.unwrap();
        let rows = sqlx::query_scalar(statement).fetch_all(&pool).await.unwrap();
        pool.close().await;
        rows
    }
    #[cfg(not(feature = "postgres"))]
    unreachable!()
}
