//! Files as people have them (`tests/cases/events`): read, or refused with the reason and the option that helps.

use crate::support::{all, late};
use mkt_connect::table::cell::{DateOrder, DecimalMark, Epoch};
use mkt_connect::{Channel, Currency, ErrorKind, Stop};
use mkt_etl::csv::{CsvBuilder, CsvSource, Load, Loaded, key_of};
use mkt_etl::ledger::QuarantineRow;
use mkt_warehouse::model::{Event, EventType, Session};
use mkt_warehouse::{Sqlite, report};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

fn case(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/events").join(name)
}

fn builder() -> CsvBuilder {
    CsvSource::builder("shop", chrono_tz::UTC)
}

async fn load(builder: CsvBuilder) -> (mkt_connect::Result<Loaded>, Sqlite) {
    let warehouse = Sqlite::in_memory().await.unwrap();
    let loaded = Load::new(builder.build().unwrap(), warehouse.clone()).run(&Stop::new()).await;
    (loaded, warehouse)
}

async fn events(name: &str) -> (Loaded, Vec<Event>, Vec<QuarantineRow>) {
    let (loaded, warehouse) = load(builder().events(case(name))).await;
    let mut events: Vec<Event> = all(&warehouse).await;
    events.sort_by_key(|event| (event.timestamp, event.seq));
    let mut quarantine: Vec<QuarantineRow> = all(&warehouse).await;
    quarantine.sort_by_key(|row| row.line);
    let loaded = loaded.unwrap();
    assert_eq!(
        loaded.read,
        loaded.loaded + loaded.replayed + loaded.quarantined + loaded.duplicates,
        "{name}"
    );
    (loaded, events, quarantine)
}

fn lines(quarantine: &[QuarantineRow]) -> Vec<i64> {
    quarantine.iter().filter_map(|row| row.line).collect()
}

fn types(events: &[Event]) -> Vec<&str> {
    events.iter().map(|event| event.event_type.as_str()).collect()
}

#[tokio::test]
async fn every_event_file_is_read_or_refused_with_what_helps() {
    for (name, read, loaded, quarantined, duplicates) in [
        ("channels.csv", 9, 9, 0, 0),
        ("conv_e.csv", 1, 1, 0, 0),
        ("dst_e.csv", 1, 1, 0, 0),
        ("dup.csv", 6, 3, 2, 1),
        ("dup_trailing.csv", 2, 1, 1, 0),
        ("header_only.csv", 0, 0, 0, 0),
        ("quote_mid.csv", 4, 3, 1, 0),
        ("refund.csv", 6, 6, 0, 0),
        ("remove.csv", 3, 3, 0, 0),
        ("semi.csv", 6, 6, 0, 0),
        ("sep_line.csv", 1, 1, 0, 0),
        ("tie.csv", 30, 30, 0, 0),
        ("uid.csv", 3, 3, 0, 0),
        ("users.csv", 15, 9, 6, 0),
        ("utf16.csv", 2, 2, 0, 0),
        // Exports of known shape.
        ("ga4_flat.csv", 2, 2, 0, 0),
        ("olist_orders.csv", 1, 1, 0, 0),
        ("rees46.csv", 4, 4, 0, 0),
        ("retailrocket.csv", 4, 4, 0, 0),
        ("shopify.csv", 2, 1, 0, 1),
        // 13/12 proves that the day stands first; the third row has no user.
        ("uci_renamed.csv", 3, 2, 1, 0),
    ] {
        let (found, stored, _) = events(name).await;
        assert_eq!(
            (found.read, found.loaded, found.quarantined, found.duplicates),
            (read, loaded, quarantined, duplicates),
            "{name}: {found:#?}"
        );
        assert_eq!(stored.len() as u64, loaded, "{name}");
        assert!(found.unknown_channels().is_empty(), "{name}: {found:#?}");
    }
    let (refused, _) = load(builder().events(case("ga4.ndjson"))).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input);
    assert!(error.to_string().contains("is JSON, not delimited text"), "{error}");
}

#[tokio::test]
async fn order_of_the_file_is_kept_for_equal_timestamps() {
    let (_, stored, _) = events("tie.csv").await;
    let mut by_seq: Vec<&Event> = stored.iter().collect();
    by_seq.sort_by_key(|event| (event.timestamp, event.seq));
    let kinds: Vec<&str> = by_seq.iter().map(|event| event.event_type.as_str()).collect();
    for person in kinds.chunks(3) {
        assert_eq!(person, ["product_view", "add_to_cart", "purchase"]);
    }
    let places: Vec<i64> = by_seq.iter().map(|event| event.seq).collect();
    // Ten days of three: other days of the file do not change the places of a day.
    assert_eq!(places, [1, 2, 3].repeat(10));
}

#[tokio::test]
async fn exports_of_known_shape_become_our_events() {
    let (found, stored, _) = events("rees46.csv").await;
    assert_eq!(found.files[0].export, Some("REES46 events"));
    assert_eq!(types(&stored), ["product_view", "add_to_cart", "purchase", "remove_from_cart"]);
    // The price is revenue only where something was bought.
    let revenue: Vec<String> = stored.iter().map(|event| event.revenue.0.normalize().to_string()).collect();
    assert_eq!(revenue, ["0", "0", "35.79", "0"]);
    assert!(stored.iter().all(|event| event.session_id.is_some()));

    let (found, stored, _) = events("retailrocket.csv").await;
    assert_eq!(types(&stored), ["product_view", "product_view", "add_to_cart", "purchase"]);
    assert_eq!(stored[0].timestamp.to_rfc3339(), "2026-03-01T09:00:00.123+00:00");
    assert!(found.files[0].notes[0].contains("neither amounts nor channels"));

    let (_, stored, _) = events("ga4_flat.csv").await;
    assert_eq!(types(&stored), ["page_view", "purchase"]);
    assert_eq!(
        (stored[0].channel, stored[0].timestamp.timestamp_micros()),
        (Channel::Organic, 1_772_355_600_123_456)
    );

    let (_, stored, _) = events("shopify.csv").await;
    assert_eq!(
        (stored[0].revenue.0.to_string().as_str(), stored[0].currency),
        ("54.50", Some(Currency::EUR))
    );
    assert!(stored[0].user_id.starts_with("u:") && !format!("{stored:?}").contains('@'));
    assert_eq!(stored[0].timestamp.to_rfc3339(), "2025-03-01T09:15:20+00:00");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("retail.csv");
    let rows = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n\
                536365,85123A,HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom\n\
                C536379,D,Discount,-1,12/1/2010 9:41,27.5,14527,United Kingdom\n";
    std::fs::write(&path, rows).unwrap();
    let (loaded, warehouse) = load(builder().events(path).currency("GBP".parse().unwrap())).await;
    assert_eq!(loaded.unwrap().files[0].export, Some("UCI Online Retail"));
    let mut stored: Vec<Event> = all(&warehouse).await;
    stored.sort_by_key(|event| event.timestamp);
    assert_eq!(types(&stored), ["purchase", "refund"]);
    assert_eq!(stored[0].revenue.0.to_string(), "15.30");
    assert_eq!(stored[1].revenue.0.normalize().to_string(), "-27.5");
    assert_eq!(stored[0].timestamp.to_rfc3339(), "2010-12-01T08:26:00+00:00");
}

#[tokio::test]
async fn amounts_are_proven_by_the_file_or_refused_with_the_option() {
    let (_, stored, quarantine) = events("semi.csv").await;
    let revenue: Vec<String> = stored.iter().map(|event| event.revenue.0.normalize().to_string()).collect();
    assert_eq!(revenue, ["12.5", "1234.56", "1234.56", "1234", "1.23", "12.5"]);
    assert!(quarantine.is_empty());
    // `1e3`, `(5.00)`, `$12.00` of an account in euros, NaN, inf, `1_000`, 100 000 000, `5.`, `0x10`, Arabic comma.
    let (_, stored, quarantine) = events("money.csv").await;
    assert_eq!(lines(&quarantine), [3, 8, 9, 13, 14, 16, 19, 21, 22, 25]);
    assert_eq!(stored[1].revenue.0.normalize().to_string(), "1234", "1,234 beside 1,234.50");
    // Alone, `1.234` has two meanings.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.csv");
    std::fs::write(
        &path,
        "user_id,event_type,timestamp,channel,revenue\nu,purchase,2026-01-01 10:00:00,email,1.234\n",
    )
    .unwrap();
    let (loaded, warehouse) = load(builder().events(&path)).await;
    assert!(loaded.unwrap().is_fruitless());
    let rows: Vec<QuarantineRow> = all(&warehouse).await;
    assert!(rows[0].reason.contains("declare the decimal mark"), "{}", rows[0].reason);
    for (mark, amount) in [(DecimalMark::Point, "1.23"), (DecimalMark::Comma, "1234")] {
        let (_, warehouse) = load(builder().events(&path).decimal_mark(mark)).await;
        assert_eq!(all::<Event>(&warehouse).await[0].revenue.0.normalize().to_string(), amount);
    }
}

#[tokio::test]
async fn timestamps_in_every_usual_spelling_are_read_and_others_name_the_option() {
    let (_, _, quarantine) = events("times.csv").await;
    let reasons =
        |line: i64| quarantine.iter().find(|row| row.line == Some(line)).map(|row| row.reason.clone());
    // Offsets in every spelling, fractions, one digit, month words, AM.
    for line in [2, 3, 4, 5, 6, 7, 8, 18, 19, 20, 21, 25, 26, 28, 33, 34, 36, 37] {
        assert_eq!(reasons(line), None, "line {line}");
    }
    // 15/01 and 01/15 contradict each other: one of them is refused.
    assert!(reasons(10).is_some() || reasons(11).is_some());
    assert!(reasons(13).unwrap().contains("declare the time format"));
    // A date alone, 24:00, a 60th second, 30 February, another era.
    for line in [9, 16, 17, 29, 30, 31, 32] {
        assert!(reasons(line).is_some(), "line {line}");
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.csv");
    let at = async |cell: &str, declared: fn(CsvBuilder) -> CsvBuilder| {
        let text = format!("user_id,event_type,timestamp,channel\nu,page_view,{cell},email\n");
        std::fs::write(&path, text).unwrap();
        let (loaded, warehouse) = load(declared(builder().events(&path))).await;
        loaded.map(|_| ()).map_err(|error| error.to_string())?;
        Ok::<_, String>(all::<Event>(&warehouse).await[0].timestamp.to_rfc3339())
    };
    let error = at("1736935200", |it| it).await.unwrap_err();
    assert!(error.contains("line 2") && error.contains("declare the time format"), "{error}");
    assert_eq!(at("1736935200", |it| it.epoch(Epoch::Seconds)).await.unwrap(), "2025-01-15T10:00:00+00:00");
    let error = at("03/04/2026 10:00", |it| it).await.unwrap_err();
    assert!(error.contains("declare the date order"), "{error}");
    let month_first = |it: CsvBuilder| it.date_order(DateOrder::MonthFirst);
    assert_eq!(at("03/04/2026 10:00", month_first).await.unwrap(), "2026-03-04T10:00:00+00:00");
    let pattern = |it: CsvBuilder| it.time_pattern("%d_%m_%Y %H.%M");
    assert_eq!(at("03_04_2026 10.30", pattern).await.unwrap(), "2026-04-03T10:30:00+00:00");
}

#[tokio::test]
async fn channels_of_vendors_are_known_and_others_are_counted_kept_and_can_be_mapped() {
    let (_, stored, _) = events("channels.csv").await;
    use Channel::{Direct, Email, Organic, Paid};
    let channels: Vec<Channel> = stored.iter().map(|event| event.channel).collect();
    assert_eq!(channels, [Organic, Organic, Paid, Paid, Paid, Email, Organic, Direct, Email]);
    assert_eq!(stored[3].channel_detail.as_deref(), Some("google / cpc"));
    let (loaded, warehouse) = load(builder().sessions(case("channels_s.csv"))).await;
    assert_eq!(loaded.unwrap().loaded, 9);
    let sessions: Vec<Session> = all(&warehouse).await;
    assert!(sessions.iter().any(|session| session.channel_detail.as_deref() == Some("Facebook Ads")));

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("e.csv");
    let row = |n: u32| format!("u{n},page_view,2026-01-01 10:00:0{n},Carrier pigeon\n");
    std::fs::write(&path, format!("user_id,event_type,timestamp,channel\n{}{}", row(1), row(2))).unwrap();
    let (loaded, warehouse) = load(builder().events(&path)).await;
    let loaded = loaded.unwrap();
    assert_eq!(loaded.unknown_channels().into_iter().collect::<Vec<_>>(), [("Carrier pigeon", 2)]);
    let event = all::<Event>(&warehouse).await.remove(0);
    assert_eq!((event.channel, event.channel_detail.as_deref()), (Channel::Other, Some("Carrier pigeon")));
    let (loaded, warehouse) =
        load(builder().events(&path).channel("carrier PIGEON", Channel::Referral)).await;
    assert!(loaded.unwrap().unknown_channels().is_empty());
    assert_eq!(all::<Event>(&warehouse).await[0].channel, Channel::Referral);
}

const HEADER: &str = "user_id,event_type,timestamp,channel\n";

fn day_rows(day: u32, users: std::ops::Range<u32>) -> String {
    users.map(|user| format!("u{user},page_view,2026-01-{day:02} 10:00:00,email\n")).collect()
}

async fn keyed(warehouse: &Sqlite, path: &Path, replace: bool) -> mkt_connect::Result<Loaded> {
    let source = builder().events(path).key(key_of(path)).build().unwrap();
    Load::new(source, warehouse.clone()).replace(replace).run(&Stop::new()).await
}

#[tokio::test]
async fn files_of_one_name_in_two_folders_do_not_replace_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str, rows: String| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, format!("{HEADER}{rows}")).unwrap();
        path
    };
    let january = path("jan/events.csv", day_rows(1, 0..3));
    let february = path("feb/events.csv", day_rows(2, 0..2));
    assert_ne!(key_of(&january), key_of(&february));
    assert_ne!(key_of(Path::new("a b.csv")), key_of(Path::new("a_b.csv")));
    let warehouse = Sqlite::in_memory().await.unwrap();
    keyed(&warehouse, &january, false).await.unwrap();
    let loaded = keyed(&warehouse, &february, false).await.unwrap();
    assert_eq!((loaded.loaded, loaded.removed), (2, 0));
    assert_eq!(all::<Event>(&warehouse).await.len(), 5);
    // The same rows under another path are said, and counted once; loading either again changes nothing.
    let copy = path("copy/events.csv", day_rows(1, 0..4));
    let loaded = keyed(&warehouse, &copy, false).await.unwrap();
    assert_eq!((loaded.loaded, loaded.duplicates), (1, 3));
    assert_eq!(loaded.elsewhere.values().sum::<u64>(), 3);
    assert_eq!(all::<Event>(&warehouse).await.len(), 6);
    for path in [&january, &copy, &january, &february] {
        let again = keyed(&warehouse, path, false).await.unwrap();
        assert_eq!((again.days_changed, again.removed), (0, 0), "{path:?}");
    }
}

#[tokio::test]
async fn rows_of_days_that_the_new_file_does_not_cover_are_removed_only_when_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.csv");
    let write = |rows: String| std::fs::write(&path, format!("{HEADER}{rows}")).unwrap();
    let warehouse = Sqlite::in_memory().await.unwrap();
    write(format!("{}{}", day_rows(1, 0..3), day_rows(2, 0..2)));
    keyed(&warehouse, &path, false).await.unwrap();
    // Fewer rows of the same days: said and done.
    write(format!("{}{}", day_rows(1, 0..1), day_rows(2, 0..2)));
    let loaded = keyed(&warehouse, &path, false).await.unwrap();
    assert_eq!((loaded.removed, loaded.removed_of_other_days), (2, 0));
    // Another day only, or nothing at all: refused.
    for rows in [day_rows(3, 0..2), String::new()] {
        write(rows);
        let error = keyed(&warehouse, &path, false).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
        assert!(error.to_string().contains("holds 3 rows of 2 days"), "{error}");
        assert_eq!(all::<Event>(&warehouse).await.len(), 3);
    }
    write(day_rows(3, 0..2));
    let loaded = keyed(&warehouse, &path, true).await.unwrap();
    assert_eq!((loaded.loaded, loaded.removed, loaded.removed_of_other_days), (2, 3, 3));
    assert_eq!(all::<Event>(&warehouse).await.len(), 2);
    let _ = late();
}

/// Sums of revenue by currency, of what is stored.
fn sums(events: &[Event]) -> BTreeMap<String, String> {
    let mut sums: BTreeMap<String, rust_decimal::Decimal> = BTreeMap::new();
    for event in events {
        let currency = event.currency.map_or("none".to_owned(), |currency| currency.to_string());
        *sums.entry(currency).or_default() += event.revenue.0;
    }
    sums.into_iter().map(|(currency, sum)| (currency, sum.normalize().to_string())).collect()
}

#[tokio::test]
async fn currencies_of_rows_are_kept_apart_and_words_that_are_no_code_are_refused() {
    let (found, stored, quarantine) = events("currency.csv").await;
    assert_eq!((found.read, found.loaded), (7, 5));
    // `EURO` and `ZZZ` are no codes. An empty cell is in the currency of the file, the euro unless another is declared; `usd` is USD.
    assert_eq!(lines(&quarantine), [5, 7]);
    assert!(quarantine[1].reason.contains("\"currency\": not an ISO 4217 code"), "{}", quarantine[1].reason);
    let expected = [("EUR", "200"), ("JPY", "1000"), ("KWD", "1.5"), ("USD", "100")];
    let expected = expected.map(|(code, sum)| (code.to_owned(), sum.to_owned()));
    assert_eq!(sums(&stored), BTreeMap::from(expected));
    let (loaded, warehouse) =
        load(builder().events(case("currency.csv")).currency("CHF".parse().unwrap())).await;
    assert_eq!(loaded.unwrap().loaded, 5);
    let sums = sums(&all::<Event>(&warehouse).await);
    assert_eq!((sums["EUR"].as_str(), sums["CHF"].as_str()), ("100", "100"));
}

#[tokio::test]
async fn usual_words_for_events_become_ours_and_are_said_and_others_stay() {
    let (found, stored, quarantine) = events("types.csv").await;
    assert!(quarantine.is_empty());
    assert_eq!(types(&stored), [&["page_view"; 4][..], &["purchase"; 6], &["_x", "123"]].concat());
    let said = &found.files[0].renamed_events;
    for words in [
        "commande -> purchase",
        "achat -> purchase",
        "checkout.completed -> purchase",
        "$pageview -> page_view",
    ] {
        assert_eq!(said.get(words), Some(&1), "{words}: {said:?}");
    }
    // Five everywhere: 60 in all, of which purchases are 30.
    let bought = stored.iter().filter(|event| event.event_type == EventType::PURCHASE);
    assert_eq!(bought.map(|event| event.revenue.0).sum::<rust_decimal::Decimal>(), 30.into());
}

async fn sessions(builder: CsvBuilder) -> (Loaded, Vec<Session>, Vec<QuarantineRow>) {
    let (loaded, warehouse) = load(builder).await;
    let mut sessions: Vec<Session> = all(&warehouse).await;
    sessions.sort_by_key(|session| session.seq);
    let mut quarantine: Vec<QuarantineRow> = all(&warehouse).await;
    quarantine.sort_by_key(|row| row.line);
    (loaded.unwrap(), sessions, quarantine)
}

#[tokio::test]
async fn truth_and_pages_of_sessions_are_read_in_usual_words_and_missing_is_never_zero() {
    let (found, stored, quarantine) = sessions(builder().sessions(case("conv_s.csv"))).await;
    // TRUE, True, 1 (of 3.0 pages), 1.0, VRAI.
    let read: Vec<_> = stored.iter().map(|session| (session.pages_viewed, session.converted)).collect();
    assert_eq!(read, [(3, true); 5]);
    // -1 pages, `x`, no truth value, no number of pages.
    assert_eq!(lines(&quarantine), [6, 8, 9, 10]);
    let columns = ["\"pages_viewed\"", "\"converted\"", "\"converted\"", "\"pages_viewed\""];
    for (row, column) in quarantine.iter().zip(columns) {
        assert!(row.reason.contains(column), "{:?}: {}", row.line, row.reason);
    }
    assert_eq!((found.read, found.loaded, found.quarantined), (9, 5, 4));
}

#[tokio::test]
async fn sessions_of_clock_changes_have_their_true_length_or_are_set_aside() {
    let paris = chrono_tz::Europe::Paris;
    let local = |name| CsvSource::builder("shop", paris).times_in(paris).sessions(case(name));
    let (_, stored, quarantine) = sessions(local("dst_s.csv")).await;
    // The clocks of Paris went from 02:00 to 03:00 on 2025-03-30 and from 03:00 to 02:00 on 2025-10-26, both at 01:00 UTC
    // (tz database). 02:30 in spring does not exist; 02:50 to 02:10 would end before it starts.
    assert_eq!(lines(&quarantine), [3, 4]);
    assert!(quarantine[1].reason.contains("before start_time"), "{}", quarantine[1].reason);
    let read: Vec<_> = stored
        .iter()
        .map(|session| (session.start_time.to_rfc3339(), session.time_on_site, session.day.to_string()))
        .collect();
    let expected = [
        ("2025-03-30T00:59:00+00:00", Some(120), "2025-03-30"),
        ("2025-10-26T00:30:00+00:00", Some(600), "2025-10-26"),
    ];
    assert_eq!(read, expected.map(|(at, spent, day)| (at.to_owned(), spent, day.to_owned())));
    // As UTC, 01:59 to 03:01 is an hour and two minutes, and 02:30 exists.
    let (_, stored, quarantine) = sessions(builder().sessions(case("dst_s.csv"))).await;
    assert_eq!(lines(&quarantine), [4]);
    let spent: Vec<_> = stored.iter().filter_map(|session| session.time_on_site).collect();
    assert_eq!(spent, [3720, 600, 600]);
    let (loaded, warehouse) = load(
        CsvSource::builder("shop", paris)
            .times_in(paris)
            .sessions(case("dst_s.csv"))
            .events(case("dst_e.csv")),
    )
    .await;
    assert_eq!(loaded.unwrap().loaded, 3);
    let event = all::<Event>(&warehouse).await.remove(0);
    assert_eq!(event.timestamp.to_rfc3339(), "2025-03-30T00:59:00+00:00");
}

#[tokio::test]
async fn refunds_are_taken_off_with_and_without_a_minus() {
    let (loaded, warehouse) = load(builder().sessions(case("refund_s.csv")).events(case("refund.csv"))).await;
    assert_eq!(loaded.unwrap().loaded, 7);
    let mut stored: Vec<Event> = all(&warehouse).await;
    stored.sort_by_key(|event| event.seq);
    assert_eq!(types(&stored), ["purchase", "refund", "refund", "purchase", "refund", "refund"]);
    let revenue: Vec<String> = stored.iter().map(|event| event.revenue.0.normalize().to_string()).collect();
    assert_eq!(revenue, ["100", "-40", "-10", "-20", "-5", "-5"]);
    let session = all::<Session>(&warehouse).await.remove(0);
    assert_eq!((session.pages_viewed, session.converted, session.time_on_site), (3, true, Some(6 * 3600)));
}

#[tokio::test]
async fn purchase_under_another_user_id_of_the_same_session_is_in_the_funnel() {
    let (loaded, warehouse) = load(builder().sessions(case("uid_s.csv")).events(case("uid.csv"))).await;
    assert_eq!(loaded.unwrap().loaded, 4);
    let session = all::<Session>(&warehouse).await.remove(0);
    let stored: Vec<Event> = all(&warehouse).await;
    assert_eq!(stored.len(), 3);
    assert!(stored.iter().all(|event| event.session_id.as_ref() == Some(&session.session_id)));
    let day = |text: &str| text.parse().unwrap();
    let scope = report::Scope::days("UTC", day("2025-01-15"), day("2025-01-16")).unwrap();
    let options = report::FunnelOptions {
        steps: vec![EventType::PRODUCT_VIEW, EventType::ADD_TO_CART, EventType::PURCHASE],
        window: std::time::Duration::from_secs(86_400),
    };
    let funnel = report::funnel(&warehouse, &scope, &options).await.unwrap();
    let users: Vec<i64> = funnel.rows.iter().map(|step| step.users).collect();
    assert_eq!(users, [1, 1, 1]);
}
