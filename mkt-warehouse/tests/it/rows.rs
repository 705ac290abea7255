//! Rows for small worlds, with what a test does not care about filled in.

use chrono::{DateTime, NaiveDate, Utc};
use mkt_connect::{Channel, Currency};
use mkt_warehouse::model::{Amount, Event, EventType, Identity, Json, KeyKind, Session, Site, User};
use mkt_warehouse::{Batch, SliceKey, Warehouse, id, report};

pub(crate) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap_or_else(|_| panic!("{text} is no instant"))
}

pub(crate) fn day(text: &str) -> NaiveDate {
    text.parse().unwrap()
}

pub(crate) fn session(name: &str, user: &str, start: &str, channel: Channel, converted: bool) -> Session {
    let start = at(start);
    Session {
        session_id: name.to_owned(),
        user_id: user.to_owned(),
        start_time: start,
        end_time: start + chrono::TimeDelta::seconds(90),
        pages_viewed: 3,
        converted,
        channel,
        channel_detail: None,
        campaign_id: None,
        device: Some("desktop".to_owned()),
        landing_url: None,
        referrer: None,
        time_on_site: None,
        bot: None,
        seq: 0,
        source: "csv".to_owned(),
        site: "shop".to_owned(),
        day: start.date_naive(),
    }
}

pub(crate) fn event(user: &str, event_type: EventType, when: &str) -> Event {
    let timestamp = at(when);
    Event {
        event_id: id::event_id("csv", "shop", &format!("{user} {event_type} {when}")),
        user_id: user.to_owned(),
        event_type,
        timestamp,
        channel: Channel::Organic,
        revenue: Amount::default(),
        properties: Json::default(),
        session_id: None,
        campaign_id: None,
        currency: None,
        channel_detail: None,
        seq: 0,
        source: "csv".to_owned(),
        site: "shop".to_owned(),
        day: timestamp.date_naive(),
    }
}

pub(crate) fn sale(user: &str, when: &str, amount: &str, currency: Option<Currency>) -> Event {
    let event_type = if amount.starts_with('-') { EventType::REFUND } else { EventType::PURCHASE };
    Event { revenue: Amount(amount.parse().unwrap()), currency, ..event(user, event_type, when) }
}

pub(crate) fn user(name: &str, signed_up_at: Option<&str>) -> User {
    User {
        user_id: name.to_owned(),
        signed_up_at: signed_up_at.map(at),
        language: None,
        sex: None,
        age_band: None,
        occupation: None,
        segment: None,
        attributes: Json::default(),
        source: "csv".to_owned(),
        site: "shop".to_owned(),
        day: day("2026-01-01"),
    }
}

pub(crate) fn same_person(user: &str, person: &str) -> Identity {
    Identity {
        user_id: user.to_owned(),
        person_id: person.to_owned(),
        key_kind: KeyKind::CrmId,
        since: at("2026-01-01T00:00:00Z"),
        reason: "one contact of the CRM".to_owned(),
        source: "csv".to_owned(),
        site: "shop".to_owned(),
        day: day("2026-01-01"),
    }
}

/// A world: loaded as one slice, with the site `shop` (Paris, euros, source csv) and the zone's offsets.
#[derive(Debug, Default, Clone)]
pub(crate) struct World {
    pub(crate) sessions: Vec<Session>,
    pub(crate) events: Vec<Event>,
    pub(crate) users: Vec<User>,
    pub(crate) identities: Vec<Identity>,
}

impl World {
    pub(crate) async fn load_into(&self, warehouse: &dyn Warehouse) {
        let now = at("2026-11-01T00:00:00Z");
        report::load_zone(warehouse, "Europe/Paris", 2026, 2026, now).await.unwrap();
        let mut site = Site::new("shop", "Europe/Paris", "csv");
        site.currency = Some(Currency::EUR);
        let batch = Batch::new(SliceKey::whole("csv", "world", "shop"))
            .replace(self.sessions.clone())
            .replace(self.events.clone())
            .replace(self.users.clone())
            .replace(self.identities.clone())
            .upsert([site]);
        warehouse.load(&batch, now).await.unwrap();
    }
}
