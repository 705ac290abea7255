//! What a user brings in, by channel and by month, computed by hand.

use super::engines;
use super::rows::{World, at, day, sale, same_person, session};
use mkt_connect::{Channel, Currency};
use mkt_warehouse::model::{Amount, Event, Measure};
use mkt_warehouse::report::{self, Scope};
use std::collections::BTreeMap;

fn within(session: &str, sale: Event) -> Event {
    Event { session_id: Some(session.to_owned()), ..sale }
}

/// Paris has UTC+2 until 25 October 2026 at 01:00 UTC, then UTC+1.
fn autumn() -> World {
    use Channel::{Email, Organic, Paid};
    let euros = Some(Currency::EUR);
    let mut robot = session("s7", "u9", "2026-10-12T09:00:00Z", Organic, true);
    robot.bot = Some("names itself a crawler".to_owned());
    let mut by_push = sale("u8", "2026-11-02T10:00:00Z", "9.99", euros);
    by_push.channel = Channel::Push;
    World {
        sessions: vec![
            session("s1", "u1", "2026-09-30T21:59:59Z", Organic, true), // 30 September, 23:59:59
            session("s2", "u1", "2026-09-30T22:00:00Z", Email, true),   // 1 October, 00:00
            session("s3", "u2", "2026-10-10T09:00:00Z", Email, false),
            session("s4", "u3", "2026-10-31T22:59:59Z", Paid, true), // 31 October, 23:59:59
            session("s5", "u3", "2026-10-31T23:00:00Z", Paid, false), // 1 November, 00:00
            session("s6", "u4", "2026-11-05T09:00:00Z", Paid, false),
            robot,
        ],
        events: vec![
            within("s1", sale("u1", "2026-09-30T22:30:00Z", "10", euros)), // in October, of an organic session
            within("s2", sale("u1", "2026-09-30T22:10:00Z", "20", euros)),
            within("s4", sale("u3", "2026-10-31T22:59:59Z", "70.01", euros)),
            within("s4", sale("u3", "2026-11-03T10:00:00Z", "-0.02", None)), // the site's euros
            within("s3", sale("u2", "2026-10-10T09:05:00Z", "5", Some(Currency::USD))),
            within("s7", sale("u9", "2026-10-12T09:01:00Z", "1000", euros)), // a robot's
            by_push, // of no session, nobody visited by push
        ],
        identities: vec![same_person("u3", "p3"), same_person("u4", "p3")],
        users: Vec::new(),
    }
}

fn quarter() -> Scope {
    Scope::days("Europe/Paris", day("2026-09-01"), day("2026-12-01")).unwrap().site("shop")
}

fn shown(currency: Option<Currency>, revenue: Amount, users: i64, arpu: Option<Measure>) -> String {
    let currency = currency.map_or("-".to_owned(), |currency| currency.to_string());
    let arpu = arpu.map_or("null".to_owned(), |arpu| arpu.0.normalize().to_string());
    format!("{currency} {} {users} {arpu}", revenue.0.normalize())
}

#[tokio::test]
async fn a_purchase_belongs_to_the_channel_of_its_session_and_without_one_to_its_own() {
    for engine in engines::all().await {
        autumn().load_into(&engine).await;
        let answer = report::arpu_by_channel(&engine, &quarter()).await.unwrap();
        let rows: Vec<String> = answer
            .rows
            .iter()
            .map(|r| format!("{} {}", r.channel, shown(r.currency, r.revenue, r.users, r.arpu)))
            .collect();
        assert_eq!(
            rows,
            [
                "email EUR 20 2 10",      // u1, u2
                "email USD 5 2 2.5",      // one row a currency, the same users
                "organic EUR 10 1 10",    // u1; the robot is left out
                "paid EUR 69.99 1 69.99", // u3 and u4 are one person; 70.01 − 0.02
                "push EUR 9.99 0 null",   // nobody to divide by
            ],
            "{}",
            engine.dialect()
        );
    }
}

#[tokio::test]
async fn months_are_cut_in_the_scopes_zone() {
    for engine in engines::all().await {
        autumn().load_into(&engine).await;
        let answer = report::arpu_by_month(&engine, &quarter()).await.unwrap();
        let rows: Vec<String> = answer
            .rows
            .iter()
            .map(|r| format!("{} {}", r.month, shown(r.currency, r.revenue, r.users, r.arpu)))
            .collect();
        assert_eq!(
            rows,
            [
                "2026-09-01 - 0 1 0",                // u1 came, bought in October
                "2026-10-01 EUR 100.01 3 33.336667", // 10 + 20 + 70.01 over u1, u2, p3
                "2026-10-01 USD 5 3 1.666667",
                "2026-11-01 EUR 9.97 1 9.97", // 9.99 − 0.02 over p3
            ],
            "{}",
            engine.dialect()
        );
    }
}

#[tokio::test]
async fn the_parts_of_a_currency_add_up_to_the_whole() {
    for engine in engines::all().await {
        autumn().load_into(&engine).await;
        report::load_zone(&engine, "UTC", 2026, 2026, at("2026-11-01T00:00:00Z")).await.unwrap();
        for scope in [
            quarter(),
            Scope::between("UTC", at("2026-10-01T00:00:00Z"), at("2026-11-03T12:00:00Z")).unwrap(),
        ] {
            let mut whole = BTreeMap::new();
            for row in report::arpu(&engine, &scope).await.unwrap().rows {
                whole.insert(row.currency, row.revenue.0.normalize());
            }
            assert!(whole.len() > 1, "{whole:?}");
            let (mut channels, mut months) = (BTreeMap::new(), BTreeMap::new());
            for row in report::arpu_by_channel(&engine, &scope).await.unwrap().rows {
                *channels.entry(row.currency).or_default() += row.revenue.0;
            }
            for row in report::arpu_by_month(&engine, &scope).await.unwrap().rows {
                *months.entry(row.currency).or_default() += row.revenue.0;
            }
            for parts in [&mut channels, &mut months] {
                parts.retain(|currency, sum: &mut rust_decimal::Decimal| {
                    *sum = sum.normalize();
                    currency.is_some()
                });
            }
            assert_eq!((&channels, &months), (&whole, &whole));
        }
    }
}
