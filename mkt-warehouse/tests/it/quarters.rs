//! Reports that read sums of sessions answer as those that count them, and the sums come with the upgrade.

use super::engines;
use super::rows::{World, at, day, session};
use mkt_connect::Channel;
use mkt_warehouse::model::{self, Session, SessionQuarter};
use mkt_warehouse::report::{self, HourOptions, Scope};
use mkt_warehouse::{Batch, Query, Record, Schema, SliceKey, Sqlite, Table, Warehouse};

/// The sums that the sessions have, counted here.
fn counted(sessions: &[Session], load_id: i64) -> Vec<(SessionQuarter, i64)> {
    let mut sums: Vec<(SessionQuarter, i64)> = Vec::new();
    for session in sessions.iter().filter(|session| session.bot.is_none()) {
        let seconds = session.start_time.timestamp();
        let quarter = chrono::DateTime::from_timestamp(seconds - seconds.rem_euclid(900), 0).unwrap();
        let found = sums.iter_mut().find(|(sum, _)| {
            (sum.quarter, &sum.source, &sum.site, sum.day)
                == (quarter, &session.source, &session.site, session.day)
        });
        match found {
            Some((sum, _)) => {
                sum.sessions += 1;
                sum.converted_sessions += i64::from(session.converted);
            }
            None => sums.push((
                SessionQuarter {
                    quarter,
                    sessions: 1,
                    converted_sessions: i64::from(session.converted),
                    source: session.source.clone(),
                    site: session.site.clone(),
                    day: session.day,
                },
                load_id,
            )),
        }
    }
    sums.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
    sums
}

async fn held(warehouse: &dyn Warehouse) -> Vec<(SessionQuarter, i64)> {
    let table: Table = warehouse.query(&Query::table(&SessionQuarter::SCHEMA)).await.unwrap();
    let mut sums: Vec<_> = (0..table.rows())
        .map(|row| (SessionQuarter::read(&table, row).unwrap(), table.read(row, "load_id").unwrap()))
        .collect();
    sums.sort_by(|a: &(SessionQuarter, i64), b| format!("{a:?}").cmp(&format!("{b:?}")));
    sums
}

/// Sessions every 37 seconds around the clock change of 25 October 2026 in Paris, before 1970, and a robot's.
fn sessions() -> Vec<Session> {
    let mut sessions: Vec<Session> = (0..400)
        .map(|n| {
            let start = at("2026-10-24T23:01:07Z") + chrono::TimeDelta::milliseconds(37_003 * n);
            let channel = if n % 3 == 0 { Channel::Email } else { Channel::Organic };
            session(&format!("s{n}"), &format!("u{}", n % 50), &start.to_rfc3339(), channel, n % 7 == 0)
        })
        .collect();
    sessions[11].bot = Some("names itself a crawler".to_owned());
    sessions[12].source = "log".to_owned();
    sessions.push(session("old", "u1", "1969-12-31T23:59:59.5Z", Channel::Email, true));
    sessions
}

#[tokio::test]
async fn hours_and_days_are_the_same_from_sums_and_counted() {
    let everything = Channel::ALL.iter().copied();
    let world = sessions();
    for engine in engines::all().await {
        World { sessions: sessions(), ..World::default() }.load_into(&engine).await;
        // Whole quarters, none, and parts of them at either end.
        for (from, until) in [
            ("2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"),
            ("2026-10-24T23:07:00Z", "2026-10-25T02:44:59.999999Z"),
            ("2026-10-25T00:15:00Z", "2026-10-25T00:22:30Z"),
            ("2026-10-25T00:16:00Z", "2026-10-25T00:29:00Z"),
            ("2026-10-25T00:16:00Z", "2026-10-25T00:31:00Z"),
            ("2026-10-25T00:16:00.5Z", "2026-10-25T01:00:00Z"),
            ("2026-10-25T00:16:00Z", "2026-10-25T00:16:00Z"),
        ] {
            for source in [None, Some("log")] {
                let scope = || {
                    let scope = Scope::between("Europe/Paris", at(from), at(until)).unwrap();
                    source.map_or(scope.clone(), |source| scope.source(source))
                };
                // All channels are a filter, and filters count sessions.
                let filtered = scope().channels(everything.clone());
                let options = HourOptions { hours: 24, minimum: 1 };
                let hours = report::top_hours(&engine, &scope(), options).await.unwrap().rows;
                assert_eq!(
                    hours,
                    report::top_hours(&engine, &filtered, options).await.unwrap().rows,
                    "{from}"
                );
                let days = report::daily_series(&engine, &scope()).await.unwrap().rows;
                assert_eq!(days, report::daily_series(&engine, &filtered).await.unwrap().rows, "{from}");
                // And against a count by hand.
                let wanted = source.unwrap_or("csv");
                let counts = |session: &&Session| {
                    (at(from)..at(until)).contains(&session.start_time)
                        && session.bot.is_none()
                        && session.source == wanted
                };
                let expected = i64::try_from(world.iter().filter(counts).count()).unwrap();
                assert_eq!(hours.iter().map(|hour| hour.sessions).sum::<i64>(), expected, "{from} {until}");
                assert_eq!(days.iter().map(|day| day.visits).sum::<i64>(), expected, "{from} {until}");
            }
        }
    }
}

#[tokio::test]
async fn sums_of_a_load_are_those_of_its_sessions() {
    for engine in engines::all().await {
        let key = SliceKey::whole("csv", "visits", "shop");
        let now = at("2026-11-01T00:00:00Z");
        engine.load(&Batch::new(key.clone()).replace(sessions()), now).await.unwrap();
        assert_eq!(held(&engine).await, counted(&sessions(), key.load_id()), "{}", engine.dialect());
    }
}

/// A database as version 3 left it.
async fn before_the_sums(warehouse: &dyn Warehouse) {
    let migrations: &'static [_] = Box::leak(model::SCHEMA.migrations[..3].to_vec().into_boxed_slice());
    warehouse.migrate(&Schema { migrations, ..model::SCHEMA }).await.unwrap();
    let place = |n: usize| if n == 2 { "'blog'" } else { "'shop'" };
    let rows: Vec<String> = ["2026-10-25T00:59:59.999999Z", "2026-10-25T01:00:00Z", "2026-10-25T01:14:00Z", "1969-12-31T23:59:59Z"]
        .iter()
        .enumerate()
        .map(|(n, start)| {
            let (start, truth) = match warehouse.dialect() {
                mkt_warehouse::Dialect::Sqlite => (at(start).timestamp_micros().to_string(), (n % 2).to_string()),
                _ => (format!("timestamptz '{start}'"), (n % 2 == 1).to_string()),
            };

            format!(
                "('s{n}', 'u{n}', {start}, {start}, 1, {truth}, 'email', null, null, null, null, null, null, null, 'csv', {}, \
                 '2026-10-25', 7)",
                place(n)
            )
        })
        .collect();
    let text: &'static str = format!("insert into sessions values {}", rows.join(", ")).leak();
    let fill = mkt_warehouse::Migration { version: 1, description: "rows", sqlite: text, postgres: text };
    let fill: &'static [_] = Box::leak(Box::new([fill]));
    warehouse.migrate(&Schema { owner: "fill", tables: &[], migrations: fill }).await.unwrap();
}

#[tokio::test]
async fn a_warehouse_of_version_3_is_upgraded_with_the_sums_of_its_sessions() {
    let mut engines: Vec<std::sync::Arc<dyn Warehouse>> =
        vec![std::sync::Arc::new(Sqlite::in_memory().await.unwrap())];
    #[cfg(feature = "postgres")]
    engines.extend(engines::postgres().await);
    for engine in engines {
        before_the_sums(&engine).await;
        engine.migrate(&model::SCHEMA).await.unwrap();
        let sum = |quarter: &str, sessions, converted_sessions, site: &str| {
            let (source, site) = ("csv".to_owned(), site.to_owned());
            let quarter = at(quarter);
            (
                SessionQuarter {
                    quarter,
                    sessions,
                    converted_sessions,
                    source,
                    site,
                    day: day("2026-10-25"),
                },
                7,
            )
        };
        let mut expected = vec![
            sum("1969-12-31T23:45:00Z", 1, 1, "shop"),
            sum("2026-10-25T00:45:00Z", 1, 0, "shop"),
            sum("2026-10-25T01:00:00Z", 1, 0, "blog"),
            sum("2026-10-25T01:00:00Z", 1, 1, "shop"),
        ];
        expected.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
        assert_eq!(held(&engine).await, expected, "{}", engine.dialect());
    }
}

/// Loads that take each other's sessions at the same time: the sums are those of whoever holds a session in the end.
#[tokio::test]
async fn sums_stay_right_when_slices_take_sessions_from_each_other_at_once() {
    for engine in engines::all().await {
        let now = at("2026-11-01T00:00:00Z");
        for round in 0..6_usize {
            let loads = (0..4_usize).map(|n| {
                let key = SliceKey::whole("csv", format!("stream {n}"), "shop");
                let mut rows: Vec<Session> =
                    sessions().into_iter().skip(n * 40).step_by(1 + (n + round) % 3).take(150).collect();
                if (n + round) % 2 == 0 {
                    rows.reverse();
                }
                let (engine, batch) = (engine.clone(), Batch::new(key).replace(rows));
                async move { engine.load(&batch, now).await }
            });
            for receipt in futures_util::future::join_all(loads).await {
                receipt.unwrap();
            }
            let table = engine.query(&Query::table(&Session::SCHEMA)).await.unwrap();
            let mut expected = Vec::new();
            for n in 0..4 {
                let load_id = SliceKey::whole("csv", format!("stream {n}"), "shop").load_id();
                let of: Vec<Session> = (0..table.rows())
                    .filter(|row| table.read::<i64>(*row, "load_id").unwrap() == load_id)
                    .map(|row| Session::read(&table, row).unwrap())
                    .collect();
                expected.extend(counted(&of, load_id));
            }
            expected.sort_by(|a, b| format!("{a:?}").cmp(&format!("{b:?}")));
            assert!(table.rows() >= 150);
            assert_eq!(held(&engine).await, expected, "{} round {round}", engine.dialect());
        }
    }
}
