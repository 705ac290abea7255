//! `load_events` and `sql_analytics`, run as their users run them: as programs, on files, on every engine at hand.

use crate::built::example;
use chrono::{NaiveDateTime, TimeDelta, Timelike};
use mkt_warehouse::report::Report;
use mkt_warehouse::{Migration, Postgres, Query, Schema, Sqlite, Warehouse};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

fn program(name: &str) -> Command {
    Command::new(example(name))
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data").join(name)
}

/// An empty warehouse.
struct Place {
    url: String,
    folder: tempfile::TempDir,
}

impl Place {
    fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { url: format!("sqlite:{}", folder.path().join("shop.db").display()), folder }
    }

    /// An empty schema on the server that `MKT_TEST_POSTGRES` names.
    fn postgres() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let Ok(url) = std::env::var("MKT_TEST_POSTGRES") else {
            assert!(std::env::var_os("CI").is_none(), "MKT_TEST_POSTGRES is not set, and this is CI");
            return None;
        };
        let nanos = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        let schema = format!("x{}_{}_{nanos}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let admin = Postgres::connect(&url).await.unwrap();
            admin.query(&Query::new(format!("create schema {schema}"))).await.unwrap();
            admin.close().await;
        });
        let mark = if url.contains('?') { '&' } else { '?' };
        let url = format!("{url}{mark}options[search_path]={schema}");
        Some(Self { url, folder: tempfile::tempdir().unwrap() })
    }

    fn every() -> Vec<Self> {
        std::iter::once(Self::sqlite()).chain(Self::postgres()).collect()
    }

    fn file(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn load(&self, events: &Path, more: &[&str]) -> Value {
        let output = self.try_load(events, more);
        let shown = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{shown}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn try_load(&self, events: &Path, more: &[&str]) -> Output {
        let mut command = program("load_events");
        command.args(["--warehouse", &self.url, "--json", "--events"]).arg(events).args(more);
        command.output().unwrap()
    }

    fn ask(&self, report: &str, more: &[&str]) -> Value {
        let output = self.try_ask(report, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn try_ask(&self, report: &str, more: &[&str]) -> Output {
        let mut command = program("sql_analytics");
        command.args(["--warehouse", &self.url, "--json", "--report", report]).args(more);
        command.output().unwrap()
    }
}

fn counts(told: &Value) -> [u64; 5] {
    ["read", "loaded", "replayed", "quarantined", "duplicates"].map(|key| told[key].as_u64().unwrap())
}

type Row = HashMap<String, String>;

fn rows(path: &Path) -> Vec<Row> {
    csv::Reader::from_path(path).unwrap().deserialize().collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_answers_are_those_that_the_files_give() {
    let (events, sessions) = (data("events.csv"), data("sessions.csv"));
    // Counted here, without any of the crates.
    let visits = rows(&sessions);
    let mut channels: BTreeMap<&str, (BTreeSet<&str>, BTreeSet<&str>)> = BTreeMap::new();
    let mut hours: BTreeMap<u32, (f64, f64)> = BTreeMap::new();
    for visit in &visits {
        let (all, won) = channels.entry(&visit["channel"]).or_default();
        all.insert(&visit["user_id"]);
        // Paris, one hour before UTC from 25 October 01:00, two hours before that.
        let utc = NaiveDateTime::parse_from_str(&visit["start_time"], "%Y-%m-%d %H:%M:%S").unwrap();
        let winter = utc >= "2026-10-25T01:00:00".parse().unwrap();
        let hour = (utc + TimeDelta::hours(if winter { 1 } else { 2 })).hour();
        let (sessions, converted) = hours.entry(hour).or_default();
        *sessions += 1.0;
        if visit["converted"] == "true" {
            won.insert(&visit["user_id"]);
            *converted += 1.0;
        }
    }
    let mut expected: Vec<(f64, Value)> = channels
        .iter()
        .map(|(channel, (all, won))| {
            let rate = 100.0 * won.len() as f64 / all.len() as f64;
            (rate, json!([channel, all.len(), won.len(), rate]))
        })
        .collect();
    expected.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut best: Vec<(u32, f64)> = hours.iter().map(|(hour, (all, won))| (*hour, won / all)).collect();
    best.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));

    for place in Place::every() {
        let told = place.load(&events, &["--sessions", sessions.to_str().unwrap(), "--zone", "Europe/Paris"]);
        let records = (rows(&events).len() + visits.len()) as u64;
        assert_eq!(counts(&told), [records, records, 0, 0, 0], "{told}");

        let answer = place.ask("conversion_by_channel", &[]);
        assert_eq!(answer["report"], "conversion_by_channel");
        assert_eq!(answer["columns"], json!(["channel", "users", "converted_users", "conversion_rate"]));
        assert_eq!(answer["rows"], expected.iter().map(|(_, row)| row.clone()).collect::<Value>());

        // The zone is that of the only site.
        let answer = place.ask("top_hours", &[]);
        let found: Vec<u64> =
            answer["rows"].as_array().unwrap().iter().map(|r| r[0].as_u64().unwrap()).collect();
        assert_eq!(found, best.iter().take(5).map(|(hour, _)| u64::from(*hour)).collect::<Vec<_>>());

        let all = place.ask("all", &[]);
        let answered: Vec<&str> =
            all.as_array().unwrap().iter().map(|a| a["report"].as_str().unwrap()).collect();
        assert_eq!(answered, Report::ALL.map(Report::name));

        // Only the first of May's days with a visit: --to is included.
        let answer = place.ask("daily_series", &["--from", "2026-05-02", "--to", "2026-05-03"]);
        let days: Vec<&Value> = answer["rows"].as_array().unwrap().iter().map(|row| &row[0]).collect();
        assert_eq!(days, [&json!("2026-05-02"), &json!("2026-05-03")]);
    }
}

const HEADER: &str = "event_id,user_id,event_type,timestamp,channel,revenue,properties\n";

fn purchases(days: &[u32]) -> String {
    let row = |day: &u32| format!("{day},u{day},purchase,2026-03-{day:02} 10:00:00,email,{day}.50,{{}}\n");
    HEADER.to_owned() + &days.iter().map(row).collect::<String>()
}

#[test]
fn the_same_file_again_changes_nothing_and_another_under_its_key_replaces_it() {
    for place in Place::every() {
        let revenue = || place.ask("arpu", &[])["rows"][0][1].clone();
        let first = place.file("march.csv", purchases(&[1, 2, 3]));
        assert_eq!(counts(&place.load(&first, &[])), [3, 3, 0, 0, 0]);
        assert_eq!(revenue(), json!(7.5));
        assert_eq!(counts(&place.load(&first, &[])), [3, 0, 3, 0, 0]);
        assert_eq!(revenue(), json!(7.5), "nothing is doubled");

        // Beside it, under another key: added. The same rows under another key: they stay where they are, count once, and
        // that is said.
        let more = place.file("more.csv", purchases(&[4]));
        assert_eq!(counts(&place.load(&more, &[])), [1, 1, 0, 0, 0]);
        assert_eq!(revenue(), json!(12.0));
        assert_eq!(counts(&place.load(&first, &["--key", "again"])), [3, 0, 0, 0, 3]);
        assert_eq!(revenue(), json!(12.0));

        // Another content under the first key, with fewer days, also at its ends: what would go is named and stays, unless
        // that is allowed.
        let second = place.file("march.csv", purchases(&[2]));
        let refused = place.try_load(&second, &[]);
        assert_eq!(refused.status.code(), Some(1));
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("holds 2 rows of 2 days"), "{said}");
        assert_eq!(revenue(), json!(12.0));
        let told = place.load(&second, &["--replace"]);
        assert_eq!((counts(&told), &told["removed"]), ([1, 0, 1, 0, 0], &json!(2)));
        assert_eq!(revenue(), json!(7.0), "2.50 and the 4.50 of the other key");
    }
}

#[test]
fn what_has_just_happened_is_told_as_of_now_and_not_of_midnight() {
    // Added to the cart ten minutes ago: nobody left it yet, though the day asked about ends hours later. Somewhere it is
    // noon; POSIX counts offsets the other way round.
    let zone = match 12 - i64::from(chrono::Utc::now().hour()) {
        0 => "UTC".to_owned(),
        east if east > 0 => format!("Etc/GMT-{east}"),
        west => format!("Etc/GMT+{}", -west),
    };
    let time = |minutes| (chrono::Utc::now() - TimeDelta::minutes(minutes)).format("%Y-%m-%d %H:%M:%S");
    let row = |id: u8, minutes| format!("{id},u{id},add_to_cart,{},email,0,{{}}\n", time(minutes));
    for place in Place::every() {
        let file = place.file("now.csv", HEADER.to_owned() + &row(1, 10) + &row(2, 90));
        place.load(&file, &["--zone", &zone]);
        let carts = place.ask("abandoned_carts", &["--zone", &zone]);
        let people: Vec<&Value> = carts["rows"].as_array().unwrap().iter().map(|row| &row[1]).collect();
        assert_eq!(people, [&json!("u2")], "{carts}");
        let loads = place.ask("etl_status", &["--zone", &zone]);
        let hours =
            loads["columns"].as_array().unwrap().iter().position(|name| name == "hours_since").unwrap();
        let longest = loads["rows"].as_array().unwrap().iter().map(|row| row[hours].as_f64().unwrap());
        assert!(longest.fold(0.0, f64::max) < 0.5, "{loads}");
    }
}

#[test]
fn rows_without_ids_are_known_by_their_content() {
    let text = "user_id,event_type,timestamp,channel\n\
                u1,page_view,2026-03-01 10:00:00,email\n\
                u2,page_view,2026-03-01 10:00:00,email\n\
                u1,page_view,2026-03-01 10:00:00,email\n";
    let place = Place::sqlite();
    let file = place.file("plain.csv", text);
    assert_eq!(counts(&place.load(&file, &[])), [3, 2, 0, 0, 1]);
    assert_eq!(counts(&place.load(&file, &[])), [3, 0, 2, 0, 1]);
}

#[test]
fn rows_that_do_not_fit_are_set_aside_with_their_line_and_the_others_are_loaded() {
    let place = Place::sqlite();
    let text = purchases(&[1])
        + "2,u2,purchase,yesterday,email,5,{}\n3,ada@example.org,purchase,2026-03-01 11:00:00,email,much,{}\n";
    let file = place.file("mixed.csv", text);
    let output = place.try_load(&file, &[]);
    assert!(output.status.success());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(counts(&told), [3, 1, 0, 2, 0]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("mixed.csv line 3: column \"timestamp\": not a timestamp"), "{said}");
    assert!(said.contains("mixed.csv line 4: column \"revenue\""), "{said}");
    assert!(!said.contains("ada@"), "{said}");
}

#[test]
fn a_header_only_is_said_and_rows_of_which_none_fits_are_exit_code_3() {
    let place = Place::sqlite();
    let empty = place.try_load(&place.file("empty.csv", HEADER), &[]);
    assert_eq!(empty.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&empty.stderr).contains("a header and no rows"));
    let row = "1,,purchase,2026-03-01 10:00:00,email,1,{}\n";
    let none = place.try_load(&place.file("none.csv", HEADER.to_owned() + row), &[]);
    assert_eq!(none.status.code(), Some(3));
    let said = String::from_utf8_lossy(&none.stderr);
    assert!(said.contains("none.csv line 2: column \"user_id\": empty"), "{said}");
}

#[test]
fn what_cannot_be_done_is_said_in_one_sentence() {
    let place = Place::sqlite();
    let file = place.file("events.csv", purchases(&[1]));
    place.load(&file, &[]);
    let nothing = place.folder.path().join("nothing.db");
    place.ask("arpu", &["--zone", "UTC"]);
    let cases: [(Output, &str); 7] = [
        (place.try_load(Path::new("no/such.csv"), &[]), "such.csv"),
        (place.try_load(&file, &["--key", "a b"]), "invalid key"),
        (place.try_load(&place.file("odd.csv", "a,b\n1,2\n"), &[]), "has no column user_id"),
        (place.try_ask("arp", &[]), "unknown report \"arp\": expected one of"),
        (place.try_ask("arpu", &["--site", "shpo"]), "unknown site \"shpo\": expected shop"),
        // Its offsets are loaded under that name.
        (place.try_ask("arpu", &["--site", "UTC"]), "unknown site \"UTC\": expected shop"),
        (
            program("sql_analytics")
                .args(["--warehouse", &format!("sqlite:{}", nothing.display()), "--report", "arpu"])
                .output()
                .unwrap(),
            "there is no file",
        ),
    ];
    for (output, wanted) in cases {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(wanted) && said.trim().lines().count() == 1, "{said}");
        assert!(output.stdout.is_empty());
    }
    assert!(!nothing.exists(), "a mistyped path is not created");
}

#[test]
fn the_sql_is_printed_for_any_engine_without_a_warehouse() {
    for (engine, wanted) in [("", "with visits"), ("=postgres", "with visits"), ("=bigquery", "with visits")]
    {
        let output = program("sql_analytics")
            .args(["--warehouse", "sqlite:nowhere.db", "--report", "conversion_by_channel"])
            .arg(format!("--print-sql{engine}"))
            .output()
            .unwrap();
        let sql = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && sql.contains(wanted), "{engine} {sql}");
    }
}

#[test]
fn question_leaves_every_byte_of_the_file_as_it_was() {
    let place = Place::sqlite();
    place.load(
        &data("events.csv"),
        &["--sessions", data("sessions.csv").to_str().unwrap(), "--zone", "Europe/Paris"],
    );
    let path = place.folder.path().join("shop.db");
    let before = fs::read(&path).unwrap();
    // A zone whose offsets are not in the file.
    for zone in ["Europe/Paris", "America/New_York"] {
        let answer = place.ask("all", &["--zone", zone]);
        assert_eq!(answer.as_array().unwrap().len(), Report::ALL.len());
        assert!(fs::read(&path).unwrap() == before, "{zone}: the file was written to");
    }
}

#[test]
fn file_of_somebody_else_is_not_asked_and_not_loaded_into() {
    let place = Place::sqlite();
    let path = place.folder.path().join("shop.db");
    const THEIRS: Schema = Schema {
        owner: "theirs",
        tables: &[],
        migrations: &[Migration {
            version: 1,
            description: "notes",
            sqlite: "create table notes (text text)",
            postgres: "create table notes (text text)",
        }],
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let theirs = Sqlite::open(&path).await.unwrap();
        theirs.migrate(&THEIRS).await.unwrap();
        theirs.close().await;
    });
    let before = fs::read(&path).unwrap();
    let said = place.try_ask("arpu", &[]);
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("no tables of a warehouse"), "{said}");
    let said = place.try_load(&data("events.csv"), &[]);
    assert_eq!(said.status.code(), Some(1));
    let said = String::from_utf8_lossy(&said.stderr).into_owned();
    assert!(said.contains("notes") && said.contains("--init"), "{said}");
    assert!(fs::read(&path).unwrap() == before, "the file was written to");
    assert!(place.try_load(&data("events.csv"), &["--init"]).status.success());
    place.load(&data("events.csv"), &[]);
}

#[test]
fn printed_sql_is_that_of_the_question() {
    let place = Place::sqlite();
    let days = ["--from", "2026-10-01", "--to", "2026-10-31", "--zone", "Europe/Paris", "--site", "shop"];
    place.load(&data("events.csv"), &["--zone", "Europe/Paris"]);
    let print = |more: &[&str]| {
        let mut command = program("sql_analytics");
        command
            .args(["--warehouse", &place.url, "--report", "top_hours", "--print-sql"])
            .args(days)
            .args(more);
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    let sql = print(&["--min-sessions", "30", "--channel", "email,paid"]);
    // October in Paris: from 22:00 UTC of 30 September to 23:00 UTC of 31 October.
    for wanted in
        ["2026-09-30 22:00:00", "2026-10-31 23:00:00", "'Europe/Paris'", "'shop'", "'email,paid'", "\"30\""]
    {
        assert!(sql.contains(wanted), "{wanted} in {sql}");
    }
}

#[test]
fn page_in_french_has_french_words_and_no_code_names() {
    let place = Place::sqlite();
    place.load(
        &data("events.csv"),
        &["--sessions", data("sessions.csv").to_str().unwrap(), "--zone", "Europe/Paris"],
    );
    let page = place.folder.path().join("page.html");
    place.ask("all", &["--page", page.to_str().unwrap(), "--lang", "fr", "--zone", "Europe/Paris"]);
    let html = fs::read_to_string(&page).unwrap();
    assert!(html.contains("lang=\"fr\"") && html.contains("Taux de conversion par canal"));
    for code in [
        "conversion_by_channel",
        "converted_users",
        "look_back_s",
        "window_s",
        "idle_since",
        "add_to_cart",
        "&quot;sku",
        "+00:00",
        "Per channel",
        "more rows",
    ] {
        assert!(!html.contains(code), "{code} is on the page");
    }
    assert!(html.contains("recherche en arrière : 30 jours"), "what the numbers assume is shown");
}
