//! Data for the benches: a shop's traffic of any size, the same for the same seed.
//!
//! [`World`] makes rows one session at a time, in the order of time, so that ten million events need no memory to speak
//! of. It measures nothing itself.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use mkt_connect::{Channel, Currency};
use mkt_warehouse::model::{
    Amount, Campaign, Cost, Event, EventType, Identity, Json, KeyKind, Session, Site, User,
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rust_decimal::Decimal;
use serde_json::json;

/// The source that tells the traffic.
pub const SOURCE: &str = "matomo";

/// The zone that the reports are asked for.
pub const ZONE: &str = "Europe/Paris";

const CHANNELS: [Channel; 6] =
    [Channel::Organic, Channel::Paid, Channel::Email, Channel::Social, Channel::Direct, Channel::Referral];
const DEVICES: [&str; 3] = ["desktop", "smartphone", "tablet"];
const CAMPAIGNS: u64 = 24;
const DAYS: i64 = 184;

/// Traffic of three sites over half a year: 1 May to 31 October 2026, UTC.
///
/// Per event a fifth of a session and a twentieth of a user; three of a hundred sessions convert, more of them in the
/// evening and by mail. Every user signed up before the first session. A fifth of the users is known to the CRM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct World {
    /// Events, about: nine are made for every ten asked for.
    pub events: u64,
    /// Another seed, another world.
    pub seed: u64,
    /// Whether it has what makes reports more than the plain SQL of a course: robots, a second source for some of the
    /// traffic, several user ids of one person, users who never signed up, a second currency.
    pub tangled: bool,
}

impl World {
    /// A world without robots, second sources and shared persons: plain SQL gives the same answers.
    #[must_use]
    pub fn plain(events: u64) -> Self {
        Self { events, seed: 42, tangled: false }
    }

    /// The first day.
    #[must_use]
    pub fn first_day() -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 5, 1).unwrap_or_default()
    }

    /// The day after the last.
    #[must_use]
    pub fn until_day() -> NaiveDate {
        Self::first_day() + TimeDelta::days(DAYS)
    }

    fn user_count(&self) -> u64 {
        (self.events / 20).max(10)
    }

    fn random(&self, stream: u64) -> Xoshiro256PlusPlus {
        Xoshiro256PlusPlus::seed_from_u64(self.seed ^ mixed(stream))
    }

    /// The sites: six tenths of the users, three, and one.
    #[must_use]
    pub fn sites(&self) -> Vec<Site> {
        ["shop", "blog", "outlet"]
            .into_iter()
            .map(|name| {
                let mut site = Site::new(name, ZONE, SOURCE);
                let dollars = self.tangled && name == "outlet";
                site.currency = Some(if dollars { Currency::USD } else { Currency::EUR });
                site
            })
            .collect()
    }

    /// Who signed up.
    pub fn users(&self) -> impl Iterator<Item = User> + '_ {
        (0..self.user_count()).filter(|n| !self.tangled || mixed(*n) % 10 < 7).map(|n| {
            let at = self.signed_up(n);
            User {
                user_id: user_id(n),
                signed_up_at: Some(at),
                language: Some("fr".to_owned()),
                sex: None,
                age_band: None,
                occupation: None,
                segment: None,
                attributes: Json::default(),
                source: SOURCE.to_owned(),
                site: site(n).to_owned(),
                day: at.date_naive(),
            }
        })
    }

    /// Whom the CRM knows: every fifth user.
    pub fn identities(&self) -> impl Iterator<Item = Identity> + '_ {
        (0..self.user_count()).filter(|n| n % 5 == 0).map(|n| {
            // Tangled: two user ids to a person.
            let person = if self.tangled { n - n % 10 } else { n };
            Identity {
                user_id: user_id(n),
                person_id: format!("crm-{:012x}", mixed(person) >> 16),
                key_kind: KeyKind::CrmId,
                since: start(),
                reason: "one contact of the CRM".to_owned(),
                source: SOURCE.to_owned(),
                site: site(n).to_owned(),
                day: Self::first_day(),
            }
        })
    }

    /// The campaigns of paid and mailed traffic.
    pub fn campaigns(&self) -> impl Iterator<Item = Campaign> + '_ {
        (0..CAMPAIGNS).map(|n| Campaign {
            campaign_id: campaign_id(n),
            tag_source: "newsletter".to_owned(),
            tag_medium: campaign_channel(n).as_str().to_owned(),
            name: format!("campaign {n}"),
            channel: campaign_channel(n),
            declared_by: "hand".to_owned(),
            first_seen: start(),
            vendor_ref: None,
            source: SOURCE.to_owned(),
            site: "shop".to_owned(),
            day: Self::first_day(),
        })
    }

    /// What they cost, day by day.
    pub fn costs(&self) -> impl Iterator<Item = Cost> + '_ {
        (0..CAMPAIGNS).flat_map(|n| {
            (0..DAYS).map(move |day| Cost {
                campaign_id: campaign_id(n),
                channel: campaign_channel(n),
                impressions: Some(1_000),
                clicks: Some(40),
                post_view_conversions: None,
                cost: Amount(Decimal::new(5_000 + (mixed(n * 1_000 + day as u64) % 2_000) as i64, 2)),
                currency: Currency::EUR,
                source: SOURCE.to_owned(),
                site: "shop".to_owned(),
                day: Self::first_day() + TimeDelta::days(day),
            })
        })
    }

    fn signed_up(&self, user: u64) -> DateTime<Utc> {
        // One to five months before the end, to the minute.
        start() + TimeDelta::minutes((mixed(user ^ self.seed) % (150 * 1_440)) as i64)
    }

    /// Sessions with their events, in the order of the sessions' start.
    pub fn traffic(&self) -> impl Iterator<Item = (Session, Vec<Event>)> + '_ {
        let (users, mut random) = (self.user_count(), self.random(1));
        let end = start() + TimeDelta::days(DAYS) - TimeDelta::hours(2);
        let mut plan: Vec<(i64, u64)> = (0..self.events / 5)
            .map(|_| {
                // Some users come often, most of them once or twice.
                let user = (random.random::<f64>().powi(2) * users as f64) as u64 % users;
                let since = self.signed_up(user).timestamp_micros();
                // Most come back soon after sign-up.
                let later = random.random::<f64>().powi(2) * (end.timestamp_micros() - since) as f64;
                (since + later as i64, user)
            })
            .collect();
        plan.sort_unstable();
        let mut random = self.random(2);
        plan.into_iter()
            .enumerate()
            .map(move |(n, (micros, user))| self.session(n as u64, micros, user, &mut random))
    }

    fn session(
        &self,
        n: u64,
        micros: i64,
        user: u64,
        random: &mut Xoshiro256PlusPlus,
    ) -> (Session, Vec<Event>) {
        let at = DateTime::from_timestamp_micros(micros).unwrap_or_default();
        // The outlet's mornings are slow; the evening and mail sell.
        let evening = (17..21).contains(&(micros / 3_600_000_000 % 24));
        let channel = CHANNELS[random.random_range(0..CHANNELS.len())];
        let likely =
            0.02 * (1.0 + f64::from(u8::from(evening)) + f64::from(u8::from(channel == Channel::Email)));
        let converted = random.random::<f64>() < likely;
        let campaign = matches!(channel, Channel::Paid | Channel::Email)
            .then(|| random.random_range(0..CAMPAIGNS / 2) * 2 + u64::from(channel == Channel::Email));
        let second = self.tangled && random.random_range(0..20) == 0;
        let source = if second { "log" } else { SOURCE };
        let robot = self.tangled && random.random_range(0..50) == 0;
        let session_id = format!("{}:{:016x}", site(user), mixed(n ^ (self.seed << 40)));
        let mut session = Session {
            session_id,
            user_id: user_id(user),
            start_time: at,
            end_time: at,
            pages_viewed: 0,
            converted,
            channel,
            channel_detail: None,
            campaign_id: campaign.map(campaign_id),
            device: (random.random_range(0..20) > 0)
                .then(|| DEVICES[random.random_range(0..DEVICES.len())].to_owned()),
            landing_url: Some("https://shop.example/".to_owned()),
            referrer: None,
            time_on_site: None,
            bot: robot.then(|| "names itself a crawler".to_owned()),
            seq: 0,
            source: source.to_owned(),
            site: site(user).to_owned(),
            day: at.date_naive(),
        };
        let pages = random.random_range(1..9_u64);
        let mut events = Vec::with_capacity(pages as usize + 1);
        for page in 0..pages {
            let (event_type, properties) = match random.random_range(0..20) {
                0 => (EventType::ADD_TO_CART, items(random)),
                1..6 => (EventType::PRODUCT_VIEW, items(random)),
                _ => (EventType::PAGE_VIEW, json!({"url": format!("/page/{}", random.random_range(0..500))})),
            };
            events.push(event(&session, n * 16 + page, event_type, Decimal::ZERO, properties));
            session.end_time += TimeDelta::milliseconds(random.random_range(2_000..180_000));
        }
        session.pages_viewed = pages as i64;
        if converted {
            let euros = Decimal::new(random.random_range(500..20_000), 2);
            events.push(event(&session, n * 16 + 14, EventType::PURCHASE, euros, json!({"order_id": n})));
        } else if random.random_range(0..1_000) == 0 {
            let back = Decimal::new(-random.random_range(500..5_000_i64), 2);
            events.push(event(&session, n * 16 + 15, EventType::REFUND, back, json!({})));
        }
        (session, events)
    }
}

/// An event at the moment that the session has reached.
fn event(
    session: &Session,
    id: u64,
    event_type: EventType,
    revenue: Decimal,
    properties: serde_json::Value,
) -> Event {
    Event {
        // Spread like the hashes that real ids are.
        event_id: (mixed(id) >> 1) as i64,
        user_id: session.user_id.clone(),
        event_type,
        timestamp: session.end_time,
        channel: session.channel,
        revenue: Amount(revenue),
        properties: Json(properties),
        session_id: Some(session.session_id.clone()),
        campaign_id: session.campaign_id.clone(),
        currency: None,
        channel_detail: None,
        seq: 0,
        source: session.source.clone(),
        site: session.site.clone(),
        day: session.end_time.date_naive(),
    }
}

fn items(random: &mut Xoshiro256PlusPlus) -> serde_json::Value {
    let sku = random.random_range(0..900);
    json!({"items": [{"sku": format!("p{sku}"), "name": format!("Product {sku}"), "price": "19.90", "quantity": 1}]})
}

/// SplitMix64's finisher (Steele, Lea, Flood 2014): different numbers stay different.
fn mixed(n: u64) -> u64 {
    let z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn start() -> DateTime<Utc> {
    World::first_day().and_time(chrono::NaiveTime::MIN).and_utc()
}

fn user_id(n: u64) -> String {
    format!("{:016x}", mixed(n ^ 0xabcd))
}

fn site(user: u64) -> &'static str {
    match mixed(user) % 10 {
        0..6 => "shop",
        6..9 => "blog",
        _ => "outlet",
    }
}

fn campaign_id(n: u64) -> String {
    format!("newsletter-{}-campaign-{n}", campaign_channel(n))
}

fn campaign_channel(n: u64) -> Channel {
    if n.is_multiple_of(2) { Channel::Paid } else { Channel::Email }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_the_same_again_and_in_order() {
        let sessions = |seed| -> Vec<Session> {
            World { events: 5_000, seed, tangled: true }.traffic().map(|(session, _)| session).collect()
        };
        let once = sessions(1);
        assert_eq!(once, sessions(1));
        assert_ne!(once, sessions(2));
        assert!(once.is_sorted_by_key(|session| session.start_time));
        assert_eq!(once.len(), 1_000);
    }

    #[test]
    fn events_belong_to_the_period_and_have_ids_of_their_own() {
        let world = World::plain(50_000);
        let events: Vec<Event> = world.traffic().flat_map(|(_, events)| events).collect();
        let ids: std::collections::BTreeSet<i64> = events.iter().map(|event| event.event_id).collect();
        assert_eq!(ids.len(), events.len());
        // Nine for every ten that are asked for, give or take.
        assert!(events.len().abs_diff(45_000) < 2_500, "{} events", events.len());
        let days = World::first_day()..World::until_day();
        assert!(events.iter().all(|event| days.contains(&event.timestamp.date_naive())));
    }
}
