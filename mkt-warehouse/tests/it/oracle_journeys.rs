//! Paths, channel sets and campaigns over random worlds against plain Rust, which walks through each person's sessions.

use super::engines;
use super::oracle::{CURRENCIES, Oracle, Random, percent};
use super::rows::{World, at, day, event, sale, same_person, session};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use mkt_connect::{Channel, Currency};
use mkt_warehouse::model::{Amount, Campaign, Cost, Event, EventType, Session};
use mkt_warehouse::report::{self, CampaignOptions, ChannelSetOptions, PathOptions, Repeats, Scope};
use mkt_warehouse::{Batch, SliceKey, Warehouse};
use rust_decimal::{Decimal, RoundingStrategy};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CHANNELS: [Channel; 4] = [Channel::Direct, Channel::Direct, Channel::Paid, Channel::Email];

/// A world of few people who come often, and the campaigns that they come through.
pub(crate) struct Busy {
    pub(crate) world: World,
    campaigns: Vec<Campaign>,
    costs: Vec<Cost>,
}

/// Instants of a few hours a day, so that many are equal; often at the clock changes of Paris and New York.
fn instant(random: &mut Random) -> DateTime<Utc> {
    let first = if random.one_in(5) { "2026-10-24T22:00:00Z" } else { "2026-09-01T00:00:00Z" };
    let hours = if first.starts_with("2026-10") { random.below(10) } else { random.below(75 * 4) * 6 };
    at(first) + TimeDelta::hours(hours as i64)
}

pub(crate) fn busy(seed: u64) -> Busy {
    let random = &mut Random(seed);
    let mut world = World::default();
    let people = 24;
    let some_campaign = |random: &mut Random| match random.below(5) {
        0 => None,
        1 => Some(String::new()),
        n => Some(format!("c{n}")),
    };
    for n in 0..people {
        if random.one_in(3) {
            world.identities.push(same_person(&format!("u{n}"), &format!("p{}", random.below(4))));
        }
    }
    let place = |random: &mut Random| (!random.one_in(9), !random.one_in(7));
    for n in 0..350_u64 {
        let start = instant(random).to_rfc3339();
        let channel = CHANNELS[random.below(4) as usize];
        let who = format!("u{}", random.below(people));
        // Ids in another order than time.
        let mut row = session(&format!("s{}", n * 7919 % 350), &who, &start, channel, random.one_in(4));
        row.campaign_id = if random.one_in(2) { some_campaign(random) } else { None };
        row.bot = random.one_in(15).then(|| "crawler".to_owned());
        let (record, shop) = place(random);
        row.source = if record { "csv" } else { "log" }.to_owned();
        row.site = if shop { "shop" } else { "blog" }.to_owned();
        row.seq = random.below(3) as i64;
        world.sessions.push(row);
    }
    for n in 0..450_u64 {
        let when = instant(random).to_rfc3339();
        let who = format!("u{}", random.below(people));
        let mut row = match random.below(5) {
            0 => event(&who, EventType::ADD_TO_CART, &when),
            1 => event(&who, EventType::PRODUCT_VIEW, &when),
            2 => event(&who, EventType::SEARCH, &when),
            _ => {
                let amount = Decimal::new(random.below(30_000) as i64 - 8_000, 2).to_string();
                sale(&who, &when, &amount, CURRENCIES[random.below(4) as usize])
            }
        };
        row.event_id = (n * 7919 % 450) as i64;
        row.seq = random.below(3) as i64;
        // Now and then one that nobody has.
        row.session_id = random.one_in(2).then(|| format!("s{}", random.below(370)));
        let (record, shop) = place(random);
        row.source = if record { "csv" } else { "log" }.to_owned();
        row.site = if shop { "shop" } else { "blog" }.to_owned();
        world.events.push(row);
    }
    let mut campaigns = Vec::new();
    for (source, site, name, first_seen) in [
        ("ads", "shop", "c2", "2026-09-02T00:00:00Z"),
        ("csv", "shop", "c2", "2026-09-02T00:00:00Z"),
        ("csv", "blog", "c2", "2026-09-01T00:00:00Z"),
        ("csv", "shop", "c3", "2026-09-02T00:00:00Z"),
        ("csv", "shop", "c8", "2026-09-02T00:00:00Z"),
    ] {
        campaigns.push(Campaign {
            campaign_id: name.to_owned(),
            tag_source: "newsletter".to_owned(),
            tag_medium: "email".to_owned(),
            name: format!("{name} of {source} on {site}"),
            channel: if source == "ads" { Channel::Paid } else { Channel::Email },
            declared_by: "hand".to_owned(),
            first_seen: at(first_seen),
            vendor_ref: None,
            source: source.to_owned(),
            site: site.to_owned(),
            day: day("2026-09-01"),
        });
    }
    let mut costs = BTreeMap::new();
    for _ in 0..120 {
        let today = instant(random).date_naive();
        let site = if random.one_in(4) { "blog" } else { "shop" };
        // c9 costs and brings nobody.
        let campaign_id = ["c2", "c3", "c9"][random.below(3) as usize].to_owned();
        let some = |random: &mut Random| random.one_in(2).then(|| random.below(1_000) as i64);
        let cost = Cost {
            campaign_id: campaign_id.clone(),
            channel: CHANNELS[random.below(4) as usize],
            impressions: some(random),
            clicks: if campaign_id == "c3" { None } else { some(random) },
            post_view_conversions: some(random),
            cost: Amount(Decimal::new(random.below(20_000) as i64, 2)),
            currency: if random.one_in(3) { Currency::USD } else { Currency::EUR },
            source: "ads".to_owned(),
            site: site.to_owned(),
            day: today,
        };
        costs.insert((today, site, cost.channel, campaign_id), cost);
    }
    Busy { world, campaigns, costs: costs.into_values().collect() }
}

impl Busy {
    pub(crate) async fn load_into(&self, warehouse: &dyn Warehouse) {
        self.world.load_into(warehouse).await;
        let now = at("2026-11-20T00:00:00Z");
        let batch = Batch::new(SliceKey::whole("ads", "campaigns", "shop"))
            .replace(self.campaigns.clone())
            .replace(self.costs.clone());
        warehouse.load(&batch, now).await.unwrap();
        for zone in ["America/New_York", "Asia/Kolkata", "Pacific/Apia"] {
            report::load_zone(warehouse, zone, 2026, 2026, now).await.unwrap();
        }
    }
}

/// A person's sessions in order, from the look-back on.
struct Histories<'a> {
    of: BTreeMap<String, Vec<&'a Session>>,
    look_back: TimeDelta,
}

/// Where something happens in a person's history: after so many of the sessions, at an instant.
struct Place {
    person: String,
    after: usize,
    when: DateTime<Utc>,
}

impl<'a> Histories<'a> {
    fn new(oracle: &'a Oracle, look_back: TimeDelta) -> Self {
        let mut of: BTreeMap<String, Vec<&'a Session>> = BTreeMap::new();
        for (person, visit) in oracle.visits() {
            if visit.start_time >= oracle.from - look_back {
                of.entry(person).or_default().push(visit);
            }
        }
        for sessions in of.values_mut() {
            sessions.sort_by_key(|s| (s.start_time, s.seq, s.session_id.clone()));
        }
        Self { of, look_back }
    }

    fn place(&self, oracle: &Oracle, sale: &Event) -> Place {
        for (person, sessions) in &self.of {
            let named = sessions.iter().position(|s| Some(&s.session_id) == sale.session_id.as_ref());
            if let Some(index) = named {
                return Place { person: person.clone(), after: index + 1, when: sessions[index].start_time };
            }
        }
        let person = oracle.person_of(sale);
        let before = self.sessions(&person).iter().filter(|s| s.start_time <= sale.timestamp).count();
        Place { person, after: before, when: sale.timestamp }
    }

    fn sessions(&self, person: &str) -> &[&'a Session] {
        self.of.get(person).map_or(&[], Vec::as_slice)
    }

    fn last_conversion(&self, place: &Place) -> Option<usize> {
        self.sessions(&place.person)[..place.after].iter().rposition(|s| s.converted)
    }

    /// The campaign of the last click that is not direct; empty for none.
    fn credit(&self, place: &Place) -> String {
        let campaign = |s: &Session| s.campaign_id.clone().unwrap_or_default();
        let clicked = |s: &Session| s.channel != Channel::Direct || !campaign(s).is_empty();
        let last = self.sessions(&place.person)[..place.after].iter().rev().find(|s| clicked(s));
        last.filter(|s| place.when - s.start_time <= self.look_back).map_or(String::new(), |s| campaign(s))
    }
}

type Sums = BTreeMap<String, Decimal>;

/// A path: its channels, and the value by currency of the conversion that it led to.
struct Path {
    channels: Vec<Channel>,
    value: Option<Sums>,
}

fn paths(oracle: &Oracle, look_back: TimeDelta) -> Vec<Path> {
    let histories = Histories::new(oracle, look_back);
    let mut values: BTreeMap<(String, usize), Sums> = BTreeMap::new();
    for (currency, sale) in oracle.sales() {
        let place = histories.place(oracle, sale);
        if let Some(index) = histories.last_conversion(&place) {
            let sums = values.entry((place.person, index)).or_default();
            *sums.entry(currency).or_default() += sale.revenue.0;
        }
    }
    let mut found = Vec::new();
    let mut add = |sessions: &[&Session], value: Option<Sums>| {
        if !sessions.is_empty() {
            found.push(Path { channels: sessions.iter().map(|s| s.channel).collect(), value });
        }
    };
    for (person, sessions) in &histories.of {
        let mut open: Vec<&Session> = Vec::new();
        for (index, visit) in sessions.iter().enumerate() {
            open.push(visit);
            if visit.converted {
                let (led, old): (Vec<&Session>, Vec<&Session>) =
                    open.drain(..).partition(|s| visit.start_time - s.start_time <= look_back);
                if visit.start_time >= oracle.from {
                    add(&led, Some(values.remove(&(person.clone(), index)).unwrap_or_default()));
                }
                let old: Vec<&Session> = old.into_iter().filter(|s| s.start_time >= oracle.from).collect();
                add(&old, None);
            }
        }
        let rest: Vec<&Session> = open.into_iter().filter(|s| s.start_time >= oracle.from).collect();
        add(&rest, None);
    }
    found
}

/// Rows of texts by name: (name, length, converted, not converted, values).
fn counted(
    paths: &[Path],
    name: impl Fn(&[Channel]) -> (String, usize),
) -> Vec<(String, usize, usize, usize, Sums)> {
    let mut rows: BTreeMap<(String, usize), (usize, usize, Sums)> = BTreeMap::new();
    for path in paths {
        let row = rows.entry(name(&path.channels)).or_default();
        match &path.value {
            None => row.1 += 1,
            Some(value) => {
                row.0 += 1;
                for (currency, sum) in value {
                    *row.2.entry(currency.clone()).or_default() += sum;
                }
            }
        }
    }
    rows.into_iter().map(|((name, n), (won, lost, sums))| (name, n, won, lost, sums)).collect()
}

/// One line per currency, or one without.
fn lines(sums: &Sums) -> Vec<String> {
    if sums.is_empty() {
        return vec![" 0".to_owned()];
    }
    sums.iter().map(|(currency, sum)| format!("{currency} {}", sum.normalize())).collect()
}

fn shown(currency: Option<Currency>) -> String {
    currency.map_or(String::new(), |currency| currency.to_string())
}

fn expected_paths(paths: &[Path], repeats: Repeats) -> Vec<String> {
    let mut rows = counted(paths, |channels| {
        let mut channels = channels.to_vec();
        if repeats == Repeats::Collapse {
            channels.dedup();
        }
        let names: Vec<&str> = channels.iter().map(|c| c.as_str()).collect();
        (names.join(" > "), names.len())
    });
    rows.sort_by(|a, b| (b.2, b.3, &a.0).cmp(&(a.2, a.3, &b.0)));
    let line = |(name, n, won, lost, sums): &(String, usize, usize, usize, Sums)| -> Vec<String> {
        lines(sums).into_iter().map(|line| format!("{name} {n} {won} {lost} {line}")).collect()
    };
    rows.iter().flat_map(line).collect()
}

fn expected_sets(paths: &[Path]) -> Vec<String> {
    let mut rows = counted(paths, |channels| {
        let names: BTreeSet<&str> = channels.iter().map(|c| c.as_str()).collect();
        let names: Vec<&str> = names.into_iter().collect();
        (names.join(" + "), names.len())
    });
    rows.sort_by(|a, b| (b.2, b.2 + b.3, &a.0).cmp(&(a.2, a.2 + a.3, &b.0)));
    let line = |(name, n, won, lost, sums): &(String, usize, usize, usize, Sums)| -> Vec<String> {
        let (all, rate) = (won + lost, percent(*won, won + lost));
        lines(sums).into_iter().map(|line| format!("{name} {n} {all} {won} {rate} {line}")).collect()
    };
    rows.iter().flat_map(line).collect()
}

#[derive(Default)]
struct Account {
    sessions: usize,
    converted: usize,
    conversions: usize,
    revenue: Sums,
    cost: Sums,
    told: [Option<i64>; 3],
}

fn expected_campaigns(
    oracle: &Oracle,
    busy: &Busy,
    days: std::ops::Range<NaiveDate>,
    look_back: TimeDelta,
) -> Vec<String> {
    let histories = Histories::new(oracle, look_back);
    let mut accounts: BTreeMap<String, Account> = BTreeMap::new();
    for (person, sessions) in &histories.of {
        for (index, visit) in sessions.iter().enumerate().filter(|(_, s)| s.start_time >= oracle.from) {
            let own = accounts.entry(visit.campaign_id.clone().unwrap_or_default()).or_default();
            own.sessions += 1;
            own.converted += usize::from(visit.converted);
            if visit.converted {
                let place = Place { person: person.clone(), after: index + 1, when: visit.start_time };
                accounts.entry(histories.credit(&place)).or_default().conversions += 1;
            }
        }
    }
    for (currency, sale) in oracle.sales() {
        let mut place = histories.place(oracle, sale);
        let conversion = histories.last_conversion(&place);
        if let Some(index) = conversion.filter(|_| sale.event_type == EventType::REFUND) {
            place.after = index + 1;
            place.when = histories.sessions(&place.person)[index].start_time;
        }
        let account = accounts.entry(histories.credit(&place)).or_default();
        *account.revenue.entry(currency).or_default() += sale.revenue.0;
    }
    for cost in &busy.costs {
        if days.contains(&cost.day) && oracle.site.is_none_or(|site| site == cost.site) {
            let account = accounts.entry(cost.campaign_id.clone()).or_default();
            *account.cost.entry(cost.currency.to_string()).or_default() += cost.cost.0;
            let news = [cost.impressions, cost.clicks, cost.post_view_conversions];
            for (told, new) in account.told.iter_mut().zip(news) {
                *told = new.map_or(*told, |new| Some(told.unwrap_or_default() + new));
            }
        }
    }
    let mut rows: Vec<(String, Account)> = accounts.into_iter().collect();
    rows.sort_by(|a, b| b.1.sessions.cmp(&a.1.sessions).then_with(|| a.0.cmp(&b.0)));
    let mut shown = Vec::new();
    for (name, account) in rows {
        let declared = busy
            .campaigns
            .iter()
            .filter(|c| c.campaign_id == name && oracle.site.is_none_or(|site| site == c.site))
            .min_by_key(|c| (c.first_seen, c.source.clone(), c.site.clone()))
            .map(|c| (c.name.clone(), c.channel));
        let mut currencies: BTreeSet<&str> =
            account.revenue.keys().chain(account.cost.keys()).map(String::as_str).collect();
        if currencies.is_empty() {
            currencies.insert("");
        }
        for currency in currencies {
            let revenue = account.revenue.get(currency).copied().unwrap_or_default();
            let cost = account.cost.get(currency).copied();
            let hundredths = |amount: Decimal| i64::try_from(amount * Decimal::ONE_HUNDRED).unwrap() as f64;
            let roas = cost.filter(|cost| !cost.is_zero()).map(|cost| hundredths(revenue) / hundredths(cost));
            let cpa = cost.filter(|_| account.conversions > 0).map(|cost| {
                let strategy = RoundingStrategy::MidpointAwayFromZero;
                (cost / Decimal::from(account.conversions)).round_dp_with_strategy(6, strategy).normalize()
            });
            shown.push(format!(
                "{name:?} {declared:?} {currency} {} {} {} {} {:?} {:?} {roas:?} {cpa:?}",
                account.sessions,
                account.converted,
                account.conversions,
                revenue.normalize(),
                cost.map(|cost| cost.normalize()),
                account.told,
            ));
        }
    }
    shown
}

async fn compare(
    engine: &dyn Warehouse,
    busy: &Busy,
    scope: &Scope,
    days: std::ops::Range<NaiveDate>,
    oracle: &Oracle<'_>,
    look_back: Duration,
) {
    let context =
        format!("{} {} {:?} {:?} {look_back:?}", engine.dialect(), oracle.zone, oracle.site, oracle.source);
    let back = TimeDelta::from_std(look_back).unwrap();
    let expected = paths(oracle, back);

    for repeats in [Repeats::Keep, Repeats::Collapse] {
        let options = PathOptions { look_back, repeats, limit: None };
        let found = report::paths(engine, scope, options).await.unwrap();
        let rows: Vec<String> = found
            .rows
            .iter()
            .map(|r| {
                let (currency, value) = (shown(r.currency), r.value.0.normalize());
                format!("{} {} {} {} {currency} {value}", r.path, r.length, r.converted, r.not_converted)
            })
            .collect();
        assert_eq!(rows, expected_paths(&expected, repeats), "paths {repeats:?} {context}");
        let steps: i64 =
            report::path_counts(&found.rows).map(|r| r.length * (r.converted + r.not_converted)).sum();
        let all: usize = expected.iter().map(|path| path.channels.len()).sum();
        assert!(repeats == Repeats::Collapse || steps == all as i64, "{steps} of {all} steps {context}");
    }

    let found = report::channel_sets(engine, scope, ChannelSetOptions { look_back }).await.unwrap();
    let rows: Vec<String> = found
        .rows
        .iter()
        .map(|r| {
            let (currency, value) = (shown(r.currency), r.value.0.normalize());
            let rate = r.conversion_rate.unwrap();
            format!("{} {} {} {} {rate:?} {currency} {value}", r.channels, r.size, r.paths, r.converted)
        })
        .collect();
    assert_eq!(rows, expected_sets(&expected), "channel sets {context}");

    let found = report::campaign_performance(engine, scope, CampaignOptions { look_back }).await.unwrap();
    let rows: Vec<String> = found
        .rows
        .iter()
        .map(|r| {
            let declared = r.name.clone().zip(r.channel);
            format!(
                "{:?} {declared:?} {} {} {} {} {} {:?} {:?} {:?} {:?}",
                r.campaign_id.clone().unwrap_or_default(),
                shown(r.currency),
                r.sessions,
                r.converted_sessions,
                r.conversions,
                r.revenue.0.normalize(),
                r.cost.map(|cost| cost.0.normalize()),
                [r.impressions, r.clicks, r.post_view_conversions],
                r.roas,
                r.cpa.map(|cpa| cpa.0.normalize()),
            )
        })
        .collect();
    assert_eq!(rows, expected_campaigns(oracle, busy, days, back), "campaigns {context}");

    // Conversions and revenue add up to those of the plain reports.
    let conversions: i64 = {
        let mut seen = BTreeSet::new();
        found.rows.iter().filter(|r| seen.insert(r.campaign_id.clone())).map(|r| r.conversions).sum()
    };
    let days = report::daily_series(engine, scope).await.unwrap();
    let mut seen = BTreeSet::new();
    let expected: i64 = days.rows.iter().filter(|r| seen.insert(r.day)).map(|r| r.conversions).sum();
    assert_eq!(conversions, expected, "{context}");
    for arpu in report::arpu(engine, scope).await.unwrap().rows {
        let rows = found.rows.iter().filter(|r| r.currency == arpu.currency);
        assert_eq!(rows.map(|r| r.revenue.0).sum::<Decimal>(), arpu.revenue.0, "{context}");
    }
}

/// `MKT_TEST_SEED` chooses another first world, `MKT_TEST_WORLDS` more of them.
#[tokio::test]
async fn journeys_of_random_worlds_equal_plain_rust() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (seed, worlds): (u64, u64) = (number("MKT_TEST_SEED", 1), number("MKT_TEST_WORLDS", 3));
    for seed in seed..seed + worlds {
        println!("seed {seed}");
        let busy = busy(seed);
        for engine in engines::all().await {
            busy.load_into(&engine).await;
            let hour = Duration::from_secs(3_600);
            for (zone, site, source, look_back) in [
                ("Europe/Paris", None, None, 30 * 24 * hour),
                ("America/New_York", Some("shop"), None, 36 * hour),
                ("Asia/Kolkata", Some("blog"), None, 200 * hour),
                ("Pacific/Apia", Some("shop"), Some("log"), 100 * hour),
                ("Europe/Paris", Some("shop"), None, Duration::ZERO),
            ] {
                for (from, until) in [("2026-09-20", "2026-10-26"), ("2026-10-25", "2026-10-26")] {
                    let (from, until) = (day(from), day(until));
                    let mut scope = Scope::days(zone, from, until).unwrap();
                    if let Some(site) = site {
                        scope = scope.site(site);
                    }
                    if let Some(source) = source {
                        scope = scope.source(source);
                    }
                    let (world, zone) = (&busy.world, zone.parse().unwrap());
                    let oracle =
                        Oracle { world, zone, from: scope.from(), until: scope.until(), site, source };
                    compare(&engine, &busy, &scope, from..until, &oracle, look_back).await;
                }
            }
        }
    }
}
