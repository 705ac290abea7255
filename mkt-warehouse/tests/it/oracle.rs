//! Reports over random worlds against plain Rust that knows no SQL: whole results are equal on every engine.

use super::engines;
use super::rows::{World, at, day, event, sale, same_person, session, user};
use chrono::{DateTime, Datelike, NaiveDate, TimeDelta, Timelike, Utc};
use chrono_tz::Tz;
use mkt_connect::{Channel, Currency};
use mkt_warehouse::model::{Event, EventType, Session};
use mkt_warehouse::report::{self, CartOptions, HourOptions, Scope};
use mkt_warehouse::{Batch, SliceKey, Warehouse};
use rust_decimal::Decimal;
use std::collections::{BTreeMap, BTreeSet};

/// SplitMix64: Steele, Lea, Flood 2014, figure 17.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn campaign(&mut self) -> Option<String> {
        let names = ["spring", "sale", "spring,sale", "sum"];
        (!self.one_in(3)).then(|| names[self.below(4) as usize].to_owned())
    }

    /// An instant between 1 August and 20 November 2026, often at a clock change of Paris or New York.
    pub(crate) fn instant(&mut self) -> DateTime<Utc> {
        let micros = TimeDelta::microseconds(self.below(1_000_000) as i64);
        if self.one_in(6) {
            let change = if self.one_in(2) { "2026-10-25T00:00:00Z" } else { "2026-11-01T05:00:00Z" };
            return at(change) + TimeDelta::seconds(self.below(7_200) as i64) + micros;
        }
        at("2026-08-01T00:00:00Z") + TimeDelta::seconds(self.below(111 * 86_400) as i64) + micros
    }
}

const CHANNELS: [Channel; 4] = [Channel::Organic, Channel::Paid, Channel::Email, Channel::Social];
pub(crate) const CURRENCIES: [Option<Currency>; 4] =
    [Some(Currency::EUR), Some(Currency::USD), Some(Currency::GBP), None];

pub(crate) fn world(seed: u64) -> World {
    let random = &mut Random(seed);
    let mut world = World::default();
    let people = 60;
    for n in 0..people {
        if random.one_in(3) {
            let since = random.instant().to_rfc3339();
            world.users.push(user(&format!("u{n}"), (!random.one_in(4)).then_some(since.as_str())));
        }
        if random.one_in(4) {
            world.identities.push(same_person(&format!("u{n}"), &format!("p{}", random.below(8))));
        }
    }
    for n in 0..400 {
        let channel = CHANNELS[random.below(4) as usize];
        let start = random.instant().to_rfc3339();
        let converted = random.one_in(3);
        let mut row =
            session(&format!("s{n}"), &format!("u{}", random.below(people)), &start, channel, converted);
        row.end_time = row.start_time + TimeDelta::milliseconds(random.below(3_000_000) as i64);
        row.time_on_site = random.one_in(2).then(|| random.below(2_000) as i64);
        row.device = random.one_in(2).then(|| "mobile".to_owned());
        row.campaign_id = random.campaign();
        row.bot = random.one_in(12).then(|| "crawler".to_owned());
        if random.one_in(9) {
            row.source = "log".to_owned();
        }
        if random.one_in(5) {
            row.site = "blog".to_owned();
        }
        world.sessions.push(row);
    }
    for n in 0..400_u64 {
        let when = random.instant().to_rfc3339();
        let who = format!("u{}", random.below(people));
        let mut row = match random.below(4) {
            0 => event(&who, EventType::ADD_TO_CART, &when),
            1 => event(&who, EventType::PRODUCT_VIEW, &when),
            _ => {
                let amount = Decimal::new(random.below(30_000) as i64 - 3_000, 2).to_string();
                sale(&who, &when, &amount, CURRENCIES[random.below(4) as usize])
            }
        };
        row.event_id = n as i64;
        row.seq = random.below(3) as i64;
        row.channel = CHANNELS[random.below(4) as usize];
        row.campaign_id = random.campaign();
        // Some name a session that was never loaded.
        row.session_id = random.one_in(2).then(|| format!("s{}", random.below(430)));
        if random.one_in(9) {
            row.source = "log".to_owned();
        }
        if random.one_in(5) {
            row.site = "blog".to_owned();
        }
        world.events.push(row);
    }
    world
}

/// What a scope keeps of the traffic.
#[derive(Debug, Clone, Copy, Default)]
struct Filters {
    channels: Option<&'static [Channel]>,
    devices: Option<&'static [&'static str]>,
    campaigns: Option<&'static [&'static str]>,
}

impl Filters {
    fn ask(&self, mut scope: Scope) -> Scope {
        if let Some(channels) = self.channels {
            scope = scope.channels(channels.iter().copied());
        }
        if let Some(devices) = self.devices {
            scope = scope.devices(devices).unwrap();
        }
        if let Some(campaigns) = self.campaigns {
            scope = scope.campaigns(campaigns).unwrap();
        }
        scope
    }

    fn keep(&self, channel: Channel, device: Option<&str>, campaign: Option<&str>) -> bool {
        let named = |wanted: Option<&[&str]>, held: Option<&str>| {
            wanted.is_none_or(|wanted| held.is_some_and(|held| wanted.contains(&held)))
        };
        self.channels.is_none_or(|wanted| wanted.contains(&channel))
            && named(self.devices, device)
            && named(self.campaigns, campaign)
    }

    /// The world without the rest: an event goes with its session, one without a session by itself.
    fn of(&self, world: &World) -> World {
        let mut kept = world.clone();
        let keeps = |s: &Session| self.keep(s.channel, s.device.as_deref(), s.campaign_id.as_deref());
        kept.sessions.retain(keeps);
        kept.events.retain(|e| {
            let of_event = world.sessions.iter().find(|s| Some(&s.session_id) == e.session_id.as_ref());
            of_event.map_or_else(|| self.keep(e.channel, None, e.campaign_id.as_deref()), keeps)
        });
        kept
    }
}

/// The rules that every report shares, in Rust.
pub(crate) struct Oracle<'a> {
    pub(crate) world: &'a World,
    pub(crate) zone: Tz,
    pub(crate) from: DateTime<Utc>,
    pub(crate) until: DateTime<Utc>,
    pub(crate) site: Option<&'a str>,
    pub(crate) source: Option<&'a str>,
}

impl Oracle<'_> {
    /// `shop` is listed with the system of record `csv`; `blog` is not listed.
    fn counts(&self, site: &str, source: &str) -> bool {
        let record = self.source.or((site == "shop").then_some("csv"));
        self.site.is_none_or(|wanted| wanted == site) && record.is_none_or(|record| record == source)
    }

    pub(crate) fn person(&self, source: &str, site: &str, user: &str) -> String {
        let known = self
            .world
            .identities
            .iter()
            .find(|i| (i.source.as_str(), i.site.as_str(), i.user_id.as_str()) == (source, site, user));
        known.map_or(user, |i| &i.person_id).to_owned()
    }

    /// An event that names a known session is one of that session's user.
    pub(crate) fn person_of(&self, event: &Event) -> String {
        let session = self.world.sessions.iter().find(|s| Some(&s.session_id) == event.session_id.as_ref());
        self.person(&event.source, &event.site, session.map_or(&event.user_id, |s| &s.user_id))
    }

    pub(crate) fn visits(&self) -> Vec<(String, &Session)> {
        let person = |s: &Session| self.person(&s.source, &s.site, &s.user_id);
        self.world
            .sessions
            .iter()
            .filter(|s| s.bot.is_none() && s.start_time < self.until && self.counts(&s.site, &s.source))
            .map(|s| (person(s), s))
            .collect()
    }

    fn visits_in_period(&self) -> Vec<(String, &Session)> {
        self.visits().into_iter().filter(|(_, s)| s.start_time >= self.from).collect()
    }

    pub(crate) fn events(&self) -> Vec<&Event> {
        let robot = |id: &str| self.world.sessions.iter().any(|s| s.session_id == id && s.bot.is_some());
        self.world
            .events
            .iter()
            .filter(|e| self.counts(&e.site, &e.source))
            .filter(|e| !e.session_id.as_deref().is_some_and(robot))
            .filter(|e| e.timestamp >= self.from)
            .collect()
    }

    pub(crate) fn sales(&self) -> Vec<(String, &Event)> {
        let sold = |e: &Event| [EventType::PURCHASE, EventType::REFUND].contains(&e.event_type);
        let currency = |e: &Event| {
            let of_site = (e.site == "shop").then_some(Currency::EUR);
            e.currency.or(of_site).map_or(String::new(), |currency| currency.to_string())
        };
        let events = self.events().into_iter().filter(|e| sold(e) && e.timestamp < self.until);
        events.map(|e| (currency(e), e)).collect()
    }

    pub(crate) fn day(&self, at: DateTime<Utc>) -> NaiveDate {
        at.with_timezone(&self.zone).date_naive()
    }

    fn month(&self, at: DateTime<Utc>) -> i64 {
        let day = self.day(at);
        i64::from(day.year()) * 12 + i64::from(day.month0())
    }
}

pub(crate) fn percent(a: usize, b: usize) -> String {
    format!("{:?}", 100.0 * a as f64 / b as f64)
}

fn conversion(oracle: &Oracle) -> BTreeSet<String> {
    let mut channels: BTreeMap<Channel, (BTreeSet<String>, BTreeSet<String>)> = BTreeMap::new();
    for (person, visit) in oracle.visits_in_period() {
        let (all, converted) = channels.entry(visit.channel).or_default();
        if visit.converted {
            converted.insert(person.clone());
        }
        all.insert(person);
    }
    let row = |(channel, (all, converted)): (Channel, (BTreeSet<String>, BTreeSet<String>))| {
        format!("{channel} {} {} {}", all.len(), converted.len(), percent(converted.len(), all.len()))
    };
    channels.into_iter().map(row).collect()
}

fn arpu(oracle: &Oracle) -> Vec<String> {
    let users =
        oracle.visits_in_period().into_iter().map(|(person, _)| person).collect::<BTreeSet<_>>().len();
    let mut sums: BTreeMap<String, Decimal> = BTreeMap::new();
    for (currency, sale) in oracle.sales() {
        *sums.entry(currency).or_default() += sale.revenue.0;
    }
    if sums.is_empty() {
        sums.insert(String::new(), Decimal::ZERO);
    }
    let mean = |sum: Decimal| {
        let strategy = rust_decimal::RoundingStrategy::MidpointAwayFromZero;
        (users > 0).then(|| (sum / Decimal::from(users)).round_dp_with_strategy(6, strategy).normalize())
    };
    sums.into_iter().map(|(c, sum)| format!("{c} {} {users} {:?}", sum.normalize(), mean(sum))).collect()
}

fn hours(oracle: &Oracle) -> Vec<(u32, usize, usize)> {
    let mut hours: BTreeMap<u32, (usize, usize)> = BTreeMap::new();
    for (_, visit) in oracle.visits_in_period() {
        let held = hours.entry(visit.start_time.with_timezone(&oracle.zone).hour()).or_default();
        held.0 += 1;
        held.1 += usize::from(visit.converted);
    }
    let mut rows: Vec<_> =
        hours.into_iter().map(|(hour, (all, won))| (hour, all, won)).filter(|r| r.1 >= 5).collect();
    // Compared as fractions: a/b > c/d when a·d > c·b.
    rows.sort_by(|a, b| (b.2 * a.1).cmp(&(a.2 * b.1)).then(a.0.cmp(&b.0)));
    rows.truncate(7);
    rows
}

fn retention(oracle: &Oracle) -> Vec<String> {
    let mut since: BTreeMap<String, DateTime<Utc>> = BTreeMap::new();
    for user in &oracle.world.users {
        let wanted = oracle.site.is_none_or(|site| site == user.site);
        if let Some(at) = user.signed_up_at.filter(|at| wanted && *at < oracle.until) {
            let first = since.entry(oracle.person(&user.source, &user.site, &user.user_id)).or_insert(at);
            *first = at.min(*first);
        }
    }
    let mut seen: BTreeMap<String, DateTime<Utc>> = BTreeMap::new();
    let mut active: BTreeMap<String, BTreeSet<i64>> = BTreeMap::new();
    for (person, visit) in oracle.visits() {
        let first = seen.entry(person.clone()).or_insert(visit.start_time);
        *first = visit.start_time.min(*first);
        if visit.start_time >= oracle.from {
            active.entry(person).or_default().insert(oracle.month(visit.start_time));
        }
    }
    for (person, first) in seen {
        since.entry(person).or_insert(first);
    }
    let mut cohorts: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (person, at) in since.into_iter().filter(|(_, at)| *at >= oracle.from) {
        cohorts.entry(oracle.month(at)).or_default().push(person);
    }
    let (last, open) = (oracle.month(oracle.until - TimeDelta::microseconds(1)), oracle.month(oracle.until));
    let mut rows = Vec::new();
    for (cohort, people) in &cohorts {
        for month in *cohort..=last {
            let back = people.iter().filter(|p| active.get(*p).is_some_and(|m| m.contains(&month))).count();
            let back = (month < open).then_some(back);
            let rate = back.map(|back| percent(back, people.len()));
            rows.push(format!("{cohort} {} {} {back:?} {rate:?}", month - cohort, people.len()));
        }
    }
    rows
}

fn series(oracle: &Oracle, from: NaiveDate, until: NaiveDate) -> Vec<String> {
    let sales = oracle.sales();
    let mut currencies: BTreeSet<&str> = sales.iter().map(|(currency, _)| currency.as_str()).collect();
    if currencies.is_empty() {
        currencies.insert("");
    }
    let visits = oracle.visits_in_period();
    let mut rows = Vec::new();
    for day in from.iter_days().take_while(|day| *day < until) {
        let today: Vec<_> = visits.iter().filter(|(_, v)| oracle.day(v.start_time) == day).collect();
        let won = today.iter().filter(|(_, v)| v.converted).count();
        for currency in &currencies {
            let sum: Decimal = sales
                .iter()
                .filter(|(c, e)| c == currency && oracle.day(e.timestamp) == day)
                .map(|(_, e)| e.revenue.0)
                .sum();
            rows.push(format!("{day} {} {won} {currency} {}", today.len(), sum.normalize()));
        }
    }
    rows
}

/// Carts of all events; listed where one of the events that the filters keep put something in.
fn carts(oracle: &Oracle, kept: &[Event], now: DateTime<Utc>, idle: TimeDelta) -> Vec<String> {
    let kept: BTreeSet<i64> = kept.iter().map(|e| e.event_id).collect();
    let mut histories: BTreeMap<(String, String), Vec<&Event>> = BTreeMap::new();
    for event in oracle.events().into_iter().filter(|e| e.timestamp <= now) {
        let person = oracle.person_of(event);
        histories.entry((event.site.clone(), person)).or_default().push(event);
    }
    let mut rows = Vec::new();
    for ((site, person), events) in histories {
        let of = |wanted: EventType| events.iter().filter(move |e| e.event_type == wanted);
        let bought = of(EventType::PURCHASE).map(|e| (e.timestamp, e.seq)).max();
        // A touch after the period keeps a cart alive, and is not shown.
        let touched: Vec<_> = of(EventType::ADD_TO_CART)
            .filter(|e| bought.is_none_or(|bought| (e.timestamp, e.seq) > bought))
            .collect();
        let added: Vec<_> = touched.iter().filter(|e| e.timestamp < oracle.until).collect();
        let times = || added.iter().map(|e| e.timestamp);
        if let (Some(first), Some(last)) = (times().min(), times().max())
            && touched.iter().all(|e| e.timestamp <= now - idle)
            && added.iter().any(|e| kept.contains(&e.event_id))
        {
            rows.push(format!("{site} {person} {first} {last}"));
        }
    }
    rows
}

async fn compare(
    engine: &dyn Warehouse,
    world: &World,
    zone: &str,
    site: Option<&str>,
    source: Option<&str>,
    filters: Filters,
) {
    let (from, until) = (day("2026-08-10"), day("2026-11-11"));
    let mut scope = filters.ask(Scope::days(zone, from, until).unwrap());
    let (whole, world) = (world, &filters.of(world));
    if let Some(site) = site {
        scope = scope.site(site);
    }
    if let Some(source) = source {
        scope = scope.source(source);
    }
    let oracle =
        Oracle { world, zone: zone.parse().unwrap(), from: scope.from(), until: scope.until(), site, source };
    let context = format!("{} {zone} {site:?} {source:?} {filters:?}", engine.dialect());

    let found = report::conversion_by_channel(engine, &scope).await.unwrap();
    let rate = |rate: Option<f64>| format!("{:?}", rate.unwrap());
    let rows = found.rows.iter();
    let shown: BTreeSet<String> = rows
        .map(|r| format!("{} {} {} {}", r.channel, r.users, r.converted_users, rate(r.conversion_rate)))
        .collect();
    assert_eq!(shown, conversion(&oracle), "conversion {context}");

    let found = report::arpu(engine, &scope).await.unwrap();
    let shown: Vec<String> = found
        .rows
        .iter()
        .map(|r| {
            let currency = r.currency.map_or(String::new(), |currency| currency.to_string());
            format!(
                "{currency} {} {} {:?}",
                r.revenue.0.normalize(),
                r.users,
                r.arpu.map(|a| a.0.normalize())
            )
        })
        .collect();
    assert_eq!(shown, arpu(&oracle), "arpu {context}");

    let found = report::top_hours(engine, &scope, HourOptions { hours: 7, minimum: 5 }).await.unwrap();
    let shown: Vec<_> = found
        .rows
        .iter()
        .map(|r| (r.hour as u32, r.sessions as usize, r.converted_sessions as usize))
        .collect();
    assert_eq!(shown, hours(&oracle), "hours {context}");

    let found = report::cohort_retention(engine, &scope).await.unwrap();
    let shown: Vec<String> = found
        .rows
        .iter()
        .map(|r| {
            let cohort = i64::from(r.cohort.year()) * 12 + i64::from(r.cohort.month0());
            let rate = r.retention_rate.map(|rate| format!("{rate:?}"));
            format!("{cohort} {} {} {:?} {rate:?}", r.month, r.users, r.active)
        })
        .collect();
    assert_eq!(shown, retention(&oracle), "retention {context}");

    let found = report::daily_series(engine, &scope).await.unwrap();
    let shown: Vec<String> = found
        .rows
        .iter()
        .map(|r| {
            let currency = r.currency.map_or(String::new(), |currency| currency.to_string());
            format!("{} {} {} {currency} {}", r.day, r.visits, r.conversions, r.revenue.0.normalize())
        })
        .collect();
    assert_eq!(shown, series(&oracle, from, until), "series {context}");

    let now = scope.until() + TimeDelta::days(2);
    let options = CartOptions { now: Some(now), idle: std::time::Duration::from_secs(4 * 86_400) };
    let found = report::abandoned_carts(engine, &scope, options).await.unwrap();
    let shown: Vec<String> = found
        .rows
        .iter()
        .map(|r| format!("{} {} {} {}", r.site, r.person, r.first_added_at, r.last_added_at))
        .collect();
    let unfiltered = Oracle { world: whole, ..oracle };
    assert_eq!(shown, carts(&unfiltered, &world.events, now, TimeDelta::days(4)), "carts {context}");

    let found = report::training_set(engine, &scope).await.unwrap();
    let expected: BTreeSet<(String, i64)> = oracle
        .visits_in_period()
        .into_iter()
        .map(|(_, s)| {
            let between = (s.end_time - s.start_time).num_seconds();
            (s.session_id.clone(), s.time_on_site.unwrap_or(between))
        })
        .collect();
    let shown: BTreeSet<_> = found.rows.iter().map(|r| (r.session_id.clone(), r.time_on_site)).collect();
    assert_eq!(shown, expected, "training set {context}");
    assert!(
        !expected.is_empty()
            && !report::top_hours(engine, &scope, HourOptions::default()).await.unwrap().rows.is_empty()
    );
}

/// `MKT_TEST_SEED` chooses another first world, `MKT_TEST_WORLDS` more of them.
#[tokio::test]
async fn reports_of_random_worlds_equal_plain_rust() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, worlds): (u64, u64) = (number("MKT_TEST_SEED", 1), number("MKT_TEST_WORLDS", 3));
    for seed in seed..seed + worlds {
        println!("seed {seed}");
        let world = world(seed);
        for engine in engines::all().await {
            world.load_into(&engine).await;
            // The ledger covers every day of what the one slice above brought along.
            for (source, site) in [("csv", "blog"), ("log", "shop"), ("log", "blog")] {
                let covers = Batch::new(SliceKey::whole(source, "visits", site));
                engine.load(&covers, "2026-12-01T00:00:00Z".parse().unwrap()).await.unwrap();
            }
            for zone in ["America/New_York", "Asia/Kolkata", "Pacific/Apia"] {
                report::load_zone(&engine, zone, 2026, 2026, at("2026-11-01T00:00:00Z")).await.unwrap();
            }
            let all = Filters::default();
            compare(&engine, &world, "Europe/Paris", None, None, all).await;
            compare(&engine, &world, "America/New_York", Some("shop"), None, all).await;
            compare(&engine, &world, "Asia/Kolkata", Some("blog"), None, all).await;
            compare(&engine, &world, "Pacific/Apia", Some("shop"), Some("log"), all).await;
            let paid = Filters { channels: Some(&[Channel::Paid, Channel::Email]), ..all };
            compare(&engine, &world, "Europe/Paris", None, None, paid).await;
            let mobile = Filters { devices: Some(&["mobile", "watch"]), ..all };
            compare(&engine, &world, "Europe/Paris", Some("shop"), None, mobile).await;
            // Neither is "spring,sale", and _ is no wildcard.
            let spring = Filters { campaigns: Some(&["spring", "sale", "s_m"]), ..all };
            compare(&engine, &world, "Europe/Paris", None, None, spring).await;
            let both =
                Filters { channels: Some(&CHANNELS[..3]), campaigns: Some(&["sale", "sum"]), ..mobile };
            compare(&engine, &world, "Asia/Kolkata", None, None, both).await;
        }
    }
}
