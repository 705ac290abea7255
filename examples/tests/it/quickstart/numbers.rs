//! What is told, against what is counted here from the files, and against what Matomo said of itself.

use super::input::small;
use super::program::{Place, committed, texts_of};
use chrono::{DateTime, Datelike, Months, NaiveDate, NaiveDateTime, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Europe::Paris;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

type Row = HashMap<String, String>;

fn rows(path: &Path) -> Vec<Row> {
    csv::Reader::from_path(path).unwrap().deserialize().collect::<Result<_, _>>().unwrap()
}

fn instant(text: &str) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap().and_utc()
}

/// One visit of either site.
struct Visit {
    day: NaiveDate,
    hour: u32,
    user: String,
    channel: String,
    converted: bool,
}

/// Visits by day that Matomo's `VisitsSummary.get` gave for 27–31 March and 24–26 October.
const MATOMO_DAYS: [(&str, i64); 8] = [
    ("2026-03-27", 13),
    ("2026-03-28", 17),
    ("2026-03-29", 18),
    ("2026-03-30", 1),
    ("2026-03-31", 15),
    ("2026-10-24", 15),
    ("2026-10-25", 19),
    ("2026-10-26", 16),
];
/// What the recorded visits were made to hold.
const MATOMO: MatomoTotals = MatomoTotals { visits: 114, converted: 42, goals: 28, orders: 14, carts: 14 };

struct MatomoTotals {
    visits: i64,
    converted: i64,
    goals: i64,
    orders: i64,
    carts: i64,
}

#[test]
fn the_numbers_are_those_that_the_files_and_matomo_give() {
    let place = Place::new();
    let answer = place.answer();
    let at = |pointer: &str| answer.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {answer}"));
    let data = committed();
    let (sessions, events) = (rows(&data.join("sessions.csv")), rows(&data.join("events.csv")));

    assert_eq!(MATOMO_DAYS.iter().map(|(_, visits)| visits).sum::<i64>(), MATOMO.visits);
    assert_eq!(*at("/visits"), sessions.len() as i64 + MATOMO.visits);
    assert_eq!(*at("/sessions"), sessions.len() as i64 + MATOMO.visits);
    // Daily metrics are counted for every day of the files: twelve, of a day without visits ten.
    let days = |rows: &[Row], column: &str| -> BTreeSet<NaiveDate> {
        rows.iter().map(|row| instant(&row[column]).with_timezone(&Paris).date_naive()).collect()
    };
    let visited = days(&sessions, "start_time");
    let told: BTreeSet<NaiveDate> = &visited | &days(&events, "timestamp");
    let span = (*told.last().unwrap() - *told.first().unwrap()).num_days() as usize + 1;
    assert_eq!(
        *at("/etl/shop/rows"),
        json!({
            "daily_metrics": 12 * visited.len() + 10 * (span - visited.len()),
            "sessions": sessions.len(),
            "events": events.len(),
            "users": rows(&data.join("customers.csv")).len(),
            "costs": rows(&data.join("costs.csv")).len(),
            "campaigns": campaigns(&data),
        })
    );

    let page = std::fs::read_to_string(place.out().join("report.html")).unwrap();
    assert!(page.contains("<html") && !page.contains("src=\"http") && !page.contains("href=\"http"));

    // The warehouse, asked in SQL written here.
    let file = place.out().join("mkt.sqlite");
    let days =
        texts_of(&file, "select day || ' ' || count(*) as name from sessions where site = '1' group by day");
    let expected: Vec<String> = MATOMO_DAYS.iter().map(|(day, visits)| format!("{day} {visits}")).collect();
    assert_eq!(days, expected);
    let counted = "select 'visits ' || (sum(value) / 1000000) as name from daily_metrics \
         where site = 'shop' and metric = 'visits'";
    assert_eq!(texts_of(&file, counted), [format!("visits {}", sessions.len())]);
    let kinds = "select event_type || ' ' || count(*) as name from events where site = '1' \
         and event_type <> 'page_view' group by event_type";
    let expected = [("cart_abandoned", MATOMO.carts), ("goal", MATOMO.goals), ("purchase", MATOMO.orders)];
    assert_eq!(texts_of(&file, kinds), expected.map(|(kind, count)| format!("{kind} {count}")));

    let (matomo, revenue, october_carts) = recorded();
    assert_eq!(matomo.len() as i64, MATOMO.visits);
    assert_eq!(matomo.iter().filter(|visit| visit.converted).count() as i64, MATOMO.converted);
    let shop = sessions.iter().map(|session| {
        let start = instant(&session["start_time"]).with_timezone(&Paris);
        Visit {
            day: start.date_naive(),
            hour: start.hour(),
            user: session["user_id"].clone(),
            channel: session["channel"].clone(),
            converted: session["converted"] == "true",
        }
    });
    let visits: Vec<Visit> = matomo.into_iter().chain(shop).collect();
    conversion(at("/reports/conversion_by_channel/rows"), &visits);
    hours(at("/reports/top_hours/rows"), &visits);
    cohorts(at("/reports/cohort_retention/rows"), &visits);
    let cents: i64 =
        events.iter().map(|event| event["revenue"].replace('.', "").parse::<i64>().unwrap()).sum();
    let (revenue, users) = (revenue + cents as f64 / 100.0, distinct(visits.iter()));
    close(at("/reports/arpu/rows/0/1"), revenue);
    assert_eq!(*at("/reports/arpu/rows/0/2"), users);
    close(at("/reports/arpu/rows/0/3"), revenue / users as f64);

    let truth: Value = serde_json::from_slice(&std::fs::read(data.join("truth.json")).unwrap()).unwrap();
    assert_eq!(
        (at("/social/best_hours/hours/0/hour"), &truth["social"]["best_hour"]),
        (&json!(18), &json!(18))
    );
    assert_eq!(
        (at("/reports/top_hours/rows/0/0"), &truth["conversion"]["best_hour"]),
        (&json!(20), &json!(20))
    );
    assert_eq!(*at("/social/best_hours/verdict"), "clear");
    social(at("/social"), &rows(&data.join("social_posts.csv")));
    // No model can beat the one that the outcomes were drawn from by more than chance.
    let (auc, best) =
        (at("/model/auc_roc").as_f64().unwrap(), truth["behavior"]["bayes_auc"].as_f64().unwrap());
    assert!((0.70..best + 0.05).contains(&auc), "{auc}, at best {best}");
    assert_eq!((at("/model/rows"), at("/model/reloaded_equal")), (&json!(2000), &json!(true)));

    mails(at("/mails"), &data, &events, instant_of(at("/now")), october_carts);
}

fn instant_of(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

fn close(value: &Value, expected: f64) {
    assert!((value.as_f64().unwrap() - expected).abs() < 1e-4, "{value} for {expected}");
}

fn distinct<'a>(visits: impl Iterator<Item = &'a Visit>) -> usize {
    visits.map(|visit| &visit.user).collect::<BTreeSet<_>>().len()
}

fn campaigns(data: &Path) -> usize {
    let costs = rows(&data.join("costs.csv"));
    costs.iter().map(|row| (&row["source"], &row["medium"], &row["campaign"])).collect::<BTreeSet<_>>().len()
}

/// The visits that the recorded Matomo lists for the eight days, what they brought, and the carts of October.
fn recorded() -> (Vec<Visit>, f64, usize) {
    let path = "../mkt-etl/tests/recordings/matomo/live_over_unlimited.body";
    let body = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap();
    let told: Vec<Value> = serde_json::from_slice(&body).unwrap();
    let (mut visits, mut revenue, mut carts) = (Vec::new(), 0.0, 0);
    for visit in told {
        let local = |key: &str| Paris.timestamp_opt(visit[key].as_i64().unwrap(), 0).unwrap();
        let last = local("lastActionTimestamp").date_naive();
        if !MATOMO_DAYS.iter().any(|(day, _)| *day == last.to_string()) {
            continue;
        }
        let number = |key: &str| visit[key].to_string().trim_matches('"').parse::<f64>().unwrap_or(0.0);
        let first = local("firstActionTimestamp");
        let channel =
            match (visit["referrerType"].as_str().unwrap(), visit["referrerName"].as_str().unwrap_or("")) {
                ("direct", _) => "direct",
                // A search engine to Matomo, a social network to the rest of the world.
                ("search", "Facebook") => "social",
                ("search", _) => "organic",
                ("website", _) => "referral",
                // Its only campaign is one of newsletters.
                ("campaign", "spring") => "email",
                other => panic!("{other:?}"),
            };
        revenue += number("totalEcommerceRevenue");
        carts += if last.month() == 10 { number("totalAbandonedCarts") as usize } else { 0 };
        visits.push(Visit {
            day: first.date_naive(),
            hour: first.hour(),
            user: visit["userId"].as_str().or(visit["visitorId"].as_str()).unwrap().to_owned(),
            channel: channel.to_owned(),
            converted: number("visitConverted") > 0.0,
        });
    }
    (visits, revenue, carts)
}

fn conversion(told: &Value, visits: &[Visit]) {
    let channels: BTreeSet<&str> = visits.iter().map(|visit| visit.channel.as_str()).collect();
    assert_eq!(told.as_array().unwrap().len(), channels.len());
    for row in told.as_array().unwrap() {
        let of = || visits.iter().filter(|visit| row[0] == visit.channel);
        let (users, converted) = (distinct(of()), distinct(of().filter(|visit| visit.converted)));
        assert_eq!((&row[1], &row[2]), (&json!(users), &json!(converted)), "{row}");
        close(&row[3], 100.0 * converted as f64 / users as f64);
    }
}

fn hours(told: &Value, visits: &[Visit]) {
    let mut hours: Vec<(u32, usize, usize)> = (0..24)
        .map(|hour| {
            let of = || visits.iter().filter(move |visit| visit.hour == hour);
            (hour, of().count(), of().filter(|visit| visit.converted).count())
        })
        .filter(|(_, sessions, _)| *sessions >= 30)
        .collect();
    let rate = |(_, sessions, converted): &(u32, usize, usize)| 100.0 * *converted as f64 / *sessions as f64;
    hours.sort_by(|a, b| rate(b).total_cmp(&rate(a)));
    assert_eq!(told.as_array().unwrap().len(), 5);
    for (row, hour) in told.as_array().unwrap().iter().zip(&hours) {
        assert_eq!((&row[0], &row[1], &row[2]), (&json!(hour.0), &json!(hour.1), &json!(hour.2)));
        close(&row[3], rate(hour));
    }
}

fn cohorts(told: &Value, visits: &[Visit]) {
    let mut months: BTreeMap<&str, BTreeSet<NaiveDate>> = BTreeMap::new();
    for visit in visits {
        months.entry(&visit.user).or_default().insert(visit.day.with_day(1).unwrap());
    }
    let mut judged = 0;
    for row in told.as_array().unwrap() {
        let cohort: NaiveDate = row[0].as_str().unwrap().parse().unwrap();
        let after = cohort + Months::new(u32::try_from(row[1].as_u64().unwrap()).unwrap());
        let joined = || months.values().filter(|seen| seen.first() == Some(&cohort));
        assert_eq!(row[2], joined().count(), "{row}");
        let active = joined().filter(|seen| seen.contains(&after)).count();
        // A month that is not over is not judged; nor is a zero of months in which nothing of Matomo was loaded.
        let (from, until) = ("2026-04-01".parse().unwrap(), "2026-10-01".parse().unwrap());
        let unloaded = active == 0 && (from..until).contains(&after);
        if row[3].is_null() {
            assert!(after == until || unloaded, "{row}");
        } else {
            assert!(!unloaded, "{row}");
            assert_eq!(row[3], active, "{row}");
            close(&row[4], 100.0 * active as f64 / joined().count() as f64);
            judged += 1;
        }
    }
    assert!(judged > 15, "{judged}");
}

fn social(told: &Value, posts: &[Row]) {
    assert_eq!(told["posts"], posts.len());
    let number = |post: &Row, name: &str| post[name].parse::<f64>().ok();
    let reaches: Vec<f64> = posts.iter().filter_map(|post| number(post, "reach")).collect();
    close(&told["average_reach"], reaches.iter().sum::<f64>() / reaches.len() as f64);
    // Interactions are known where each of them is: posts without saves are left out on Instagram.
    let rated: Vec<(f64, f64)> = posts
        .iter()
        .filter_map(|post| {
            let parts = ["likes", "comments", "shares", "saves"].map(|name| number(post, name));
            Some((parts.into_iter().sum::<Option<f64>>()?, number(post, "reach")?))
        })
        .collect();
    let rate = &told["engagement_rate"]["by_reach"];
    assert_eq!(rate["n"], rated.len());
    let (above, below) = rated.iter().fold((0.0, 0.0), |sum, post| (sum.0 + post.0, sum.1 + post.1));
    close(&rate["ratio_of_sums"], above / below);
    close(
        &rate["mean_of_ratios"],
        rated.iter().map(|post| post.0 / post.1).sum::<f64>() / rated.len() as f64,
    );
}

/// Everybody who signed up is welcomed; of the carts of the last thirty days those of customers who agreed.
fn mails(told: &Value, data: &Path, events: &[Row], now: DateTime<Utc>, matomo_carts: usize) {
    let welcome = rows(&data.join("inscrits.csv")).len();
    let mut left: HashMap<&str, Option<DateTime<Utc>>> = HashMap::new();
    for event in events {
        match event["event_type"].as_str() {
            "add_to_cart" => left.insert(&event["user_id"], Some(instant(&event["timestamp"]))),
            "purchase" => left.insert(&event["user_id"], None),
            _ => continue,
        };
    }
    let customers = rows(&data.join("customers.csv"));
    let agreed: HashMap<&str, bool> =
        customers.iter().map(|row| (row["user_id"].as_str(), row["consent_marketing"] == "true")).collect();
    let recent = left.iter().filter(|(_, at)| at.is_some_and(|at| now - at <= TimeDelta::days(30)));
    let carts: Vec<Option<bool>> = recent.map(|(user, _)| agreed.get(user).copied()).collect();
    let count = |wanted: Option<bool>| carts.iter().filter(|agreed| **agreed == wanted).count();
    assert_eq!((welcome, count(Some(true))), (197, 11));
    assert_eq!(told["accepted"], welcome + count(Some(true)));
    assert_eq!(told["suppressed"], count(Some(false)));
    // Visitors of Matomo's site are nobody's customers here.
    assert_eq!(told["unreachable"], count(None) + matomo_carts);
    assert_eq!((&told["pending"], &told["unknown"], &told["quarantined"]), (&json!(0), &json!(0), &json!(0)));
}

#[test]
fn the_help_names_every_key_of_the_object_and_no_other() {
    let place = small();
    let answer = place.answer();
    let help = place.command(&["--help"]).output().unwrap();
    assert!(help.status.success());
    let help = String::from_utf8(help.stdout).unwrap();
    let (_, keys) = help.split_once("KEYS OF --json\n").unwrap();
    let (keys, _) = keys.split_once("\n\n").unwrap();
    let mut documented = BTreeSet::new();
    document(&keys.replace(char::is_whitespace, ""), &mut documented);
    let mut printed = BTreeSet::new();
    print(&answer, "", &mut printed);
    assert_eq!(documented, printed);
    for code in ["0 ", "1 ", "2 ", "130 "] {
        let (_, codes) = help.split_once("EXIT CODE").unwrap();
        assert!(codes.lines().any(|line| line.trim_start().starts_with(code)), "{code} in {codes}");
    }
}

/// Reads `a,b:{c,d},e,f:{g}` into paths; `a,b:{…}` gives the braces to `b`, `{a,b}:{…}` to both.
fn document(text: &str, into: &mut BTreeSet<String>) {
    fn list(text: &[u8], at: &mut usize, parents: &[String], into: &mut BTreeSet<String>) {
        while *at < text.len() && text[*at] != b'}' {
            let begin = *at;
            let mut names = Vec::new();
            if text[*at] == b'{' {
                let end = begin + text[begin..].iter().position(|byte| *byte == b'}').unwrap();
                names.extend(text[begin + 1..end].split(|byte| *byte == b','));
                *at = end + 1;
            } else {
                while *at < text.len() && (text[*at].is_ascii_alphanumeric() || text[*at] == b'_') {
                    *at += 1;
                }
                names.push(&text[begin..*at]);
            }
            let mut paths = Vec::new();
            for (parent, name) in
                parents.iter().flat_map(|parent| names.iter().map(move |name| (parent, name)))
            {
                let path = format!("{parent}/{}", std::str::from_utf8(name).unwrap());
                into.insert(path.clone());
                paths.push(path);
            }
            if text.get(*at) == Some(&b':') {
                // A list of objects is written `[{…}]`.
                *at += 1 + usize::from(text[*at + 1] == b'[') + 1;
                list(text, at, &paths, into);
                *at += 1 + usize::from(text.get(*at + 1) == Some(&b']'));
            }
            *at += usize::from(text.get(*at) == Some(&b','));
            assert!(*at > begin, "{} does not read", String::from_utf8_lossy(&text[begin..]));
        }
    }
    list(text.as_bytes(), &mut 0, &[String::new()], into);
}

/// The paths of the keys of an object, those of lists by their first entry. What counts by table or by state is data.
fn print(value: &Value, path: &str, into: &mut BTreeSet<String>) {
    if path.ends_with("/rows") && path.starts_with("/etl") || path.ends_with("/slices") {
        return;
    }
    let inner = value.as_array().map_or(value, |list| list.first().unwrap_or(&Value::Null));
    for (key, value) in inner.as_object().into_iter().flatten() {
        let path = format!("{path}/{key}");
        print(value, &path, into);
        into.insert(path);
    }
}

#[test]
fn a_world_of_another_size_time_and_seed_goes_the_same_way() {
    for options in [
        ["--users", "50", "--seed", "7", "--start", "2025-01-01", "--end", "2025-06-30"],
        ["--users", "60", "--seed", "8", "--start", "2026-11-01", "--end", "2027-02-28"],
    ] {
        let place = Place::world(&options);
        let answer = place.answer();
        let sessions = rows(&place.file("sessions.csv"));
        assert_eq!(answer["visits"], sessions.len() as i64 + MATOMO.visits);
        assert_eq!(answer["sessions"], answer["visits"], "every visit is in the warehouse and in its period");
        let welcome = rows(&place.file("inscrits.csv")).len() as u64;
        assert!(answer["mails"]["accepted"].as_u64().unwrap() >= welcome, "{}", answer["mails"]);
        let last = sessions.iter().map(|session| instant(&session["end_time"])).max().unwrap();
        assert!(instant_of(&answer["now"]) >= last, "the clock stands at the end of the data");
        if options[5].starts_with("2025") {
            assert_eq!(answer["reports"]["cohort_retention"]["rows"][0][0], "2025-01-01");
        } else {
            assert!(instant_of(&answer["now"]) < last + TimeDelta::days(1));
        }
        assert_eq!(place.answer()["changed"], false);
    }
}

#[test]
fn another_seed_gives_another_model_and_the_same_reports() {
    let place = small();
    let of = |seed: &str| {
        let output = place.command(&["--seed", seed]).output().unwrap();
        let model = std::fs::read(place.out().join("model.mkt")).unwrap();
        (super::program::Run::of(output).json(), model)
    };
    let ((first, one), (second, two), (third, three)) = (of("1"), of("2"), of("1"));
    assert_eq!(first["reports"], second["reports"]);
    assert!(one != two && first["model"] != second["model"]);
    assert_eq!((&second["changed"], second["mails"]["accepted"].as_u64()), (&json!(true), Some(0)));
    assert!(one == three && first["model"] == third["model"]);
}
