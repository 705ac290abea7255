//! `make_sample_data`: the files are read again with readers of their own and counted from scratch; what
//! `truth.json` says has to come out.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    path::Path,
    process::Command,
};

use chrono::{DateTime, Duration, NaiveDateTime, TimeZone, Timelike, Utc};
use chrono_tz::Europe::Paris;
use serde_json::Value;
use tempfile::TempDir;

const FILES: [&str; 9] = [
    "inscrits.csv",
    "sessions.csv",
    "events.csv",
    "user_behavior.csv",
    "social_posts.csv",
    "customers.csv",
    "costs.csv",
    "access.log",
    "truth.json",
];

type Row = HashMap<String, String>;

struct Made {
    dir: TempDir,
    truth: Value,
    answer: Value,
}

/// Runs the command as its `main` does.
fn make(options: &[&str]) -> Made {
    let dir = tempfile::tempdir().unwrap();
    let answer = answer(dir.path(), options).unwrap();
    let truth = serde_json::from_slice(&fs::read(dir.path().join("truth.json")).unwrap()).unwrap();
    Made { dir, truth, answer: serde_json::from_str(&answer).unwrap() }
}

/// Standard output, or standard error where the program fails.
pub(crate) fn answer(dir: &Path, options: &[&str]) -> Result<String, String> {
    let mut command = Command::new(crate::built::example("make_sample_data"));
    let output = command.args(["--json", "--out"]).arg(dir).args(options).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

impl Made {
    fn rows(&self, name: &str) -> Vec<Row> {
        let mut reader = csv::Reader::from_path(self.dir.path().join(name)).unwrap();
        reader.deserialize().collect::<Result<_, _>>().unwrap()
    }

    fn bytes(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.path().join(name)).unwrap()
    }

    fn number(&self, pointer: &str) -> i64 {
        self.truth
            .pointer(pointer)
            .and_then(Value::as_i64)
            .unwrap_or_else(|| panic!("{pointer} in truth.json"))
    }
}

fn instant(text: &str) -> DateTime<Utc> {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").unwrap().and_utc()
}

fn cents(text: &str) -> i64 {
    let (euros, cents) = text.split_once('.').unwrap();
    assert_eq!(cents.len(), 2, "{text} has two decimals");
    euros.parse::<i64>().unwrap() * 100 + cents.parse::<i64>().unwrap()
}

fn properties(event: &Row) -> Value {
    serde_json::from_str(&event["properties"]).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_seed_others() {
    let (first, again, other) =
        (make(&["--users", "60"]), make(&["--users", "60"]), make(&["--users", "60", "--seed", "43"]));
    for name in FILES {
        assert!(first.bytes(name) == again.bytes(name), "{name} differs between two runs");
        assert!(first.bytes(name) != other.bytes(name), "{name} does not depend on the seed");
    }
    assert_eq!(fs::read_dir(first.dir.path()).unwrap().count(), FILES.len(), "no temporary file stays");
}

/// The command is the one in `examples/data/README.md`.
#[test]
fn the_committed_data_are_what_the_command_writes_today() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("data");
    let made = make(&["--users", "400", "--seed", "42"]);
    let mut size = 0;
    for name in FILES {
        let bytes = fs::read(committed.join(name)).unwrap();
        size += bytes.len();
        assert!(bytes == made.bytes(name), "{name} is stale: run the command of examples/data/README.md");
    }
    assert!(size < 1_200_000, "{size} bytes are much for a repository");
    assert_eq!(made.answer["bytes"], size);
}

#[test]
fn every_file_has_the_columns_of_its_contract() {
    let made = make(&["--users", "1", "--start", "2026-05-01", "--end", "2026-05-01"]);
    let header = |name| String::from_utf8(made.bytes(name)).unwrap().lines().next().unwrap().to_owned();
    assert_eq!(header("inscrits.csv"), "email,prenom,date_inscription");
    assert_eq!(
        header("sessions.csv"),
        "session_id,user_id,start_time,end_time,pages_viewed,converted,channel"
    );
    assert_eq!(header("events.csv"), "event_id,user_id,event_type,timestamp,channel,revenue,properties");
    assert_eq!(header("user_behavior.csv"), "time_on_site,pages_viewed,source,device,converted");
    assert_eq!(
        header("social_posts.csv"),
        "post_id,platform,published_at,type,text,likes,comments,shares,saves,reach,impressions,followers,paid"
    );
    assert_eq!(
        header("customers.csv"),
        "user_id,email,first_name,lang,consent_marketing,consent_since,signed_up_at,segment"
    );
    assert_eq!(header("costs.csv"), "day,channel,source,medium,campaign,impressions,clicks,cost,currency");
}

#[test]
fn the_totals_of_the_truth_are_those_of_the_files() {
    let made = make(&["--users", "1500", "--seed", "7"]);
    let (sessions, events) = (made.rows("sessions.csv"), made.rows("events.csv"));
    assert_eq!(made.number("/totals/users"), 1500);
    assert_eq!(sessions.iter().map(|s| &s["user_id"]).collect::<BTreeSet<_>>().len(), 1500);
    assert_eq!(made.number("/totals/sessions"), sessions.len() as i64);
    assert_eq!(made.number("/totals/events"), events.len() as i64);
    for kind in ["page_view", "product_view", "add_to_cart", "purchase", "signup"] {
        let count = events.iter().filter(|e| e["event_type"] == kind).count();
        assert_eq!(made.number(&format!("/totals/{kind}")), count as i64, "{kind}");
    }
    let revenue: i64 = events.iter().map(|e| cents(&e["revenue"])).sum();
    assert_eq!(made.truth["totals"]["revenue"].as_f64().unwrap(), revenue as f64 / 100.0);
    assert!(revenue > 0);
    let costs = made.rows("costs.csv");
    let cost: i64 = costs.iter().map(|c| cents(&c["cost"])).sum();
    assert_eq!(made.truth["totals"]["cost"].as_f64().unwrap(), cost as f64 / 100.0);
    assert_eq!(made.number("/totals/customers"), made.rows("customers.csv").len() as i64);
    assert_eq!(made.number("/totals/signup"), made.rows("inscrits.csv").len() as i64);
    assert_eq!(made.truth["last_event"], events.last().unwrap()["timestamp"]);

    for (key, pointer) in [
        ("sessions", "/totals/sessions"),
        ("events", "/totals/events"),
        ("purchases", "/totals/purchase"),
        ("signups", "/totals/signup"),
        ("posts", "/social/posts"),
        ("reachable_carts", "/carts/reachable"),
        ("log_lines", "/access_log/lines"),
    ] {
        assert_eq!(made.answer[key].as_i64(), Some(made.number(pointer)), "{key} of --json");
    }
}

#[test]
fn the_conversion_truth_is_that_of_the_sessions() {
    let made = make(&["--users", "1500", "--seed", "7"]);
    let sessions = made.rows("sessions.csv");
    for channel in made.truth["conversion"]["channels"].as_array().unwrap() {
        let of = sessions.iter().filter(|s| s["channel"] == channel["channel"].as_str().unwrap());
        let users = |only_converted: bool| {
            let users = of.clone().filter(|s| !only_converted || s["converted"] == "true");
            users.map(|s| &s["user_id"]).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(channel["sessions"], of.clone().count());
        assert_eq!(channel["users"], users(false));
        assert_eq!(channel["converted_users"], users(true));
    }
}

#[test]
fn the_planted_hour_and_the_order_of_the_channels_show_in_the_committed_size() {
    let made = make(&["--users", "400", "--seed", "42"]);
    let mut hours = [(0, 0); 24];
    let mut channels: BTreeMap<String, (i64, i64)> = BTreeMap::new();
    for session in made.rows("sessions.csv") {
        let hour = instant(&session["start_time"]).with_timezone(&Paris).hour() as usize;
        let converted = i64::from(session["converted"] == "true");
        hours[hour] = (hours[hour].0 + 1, hours[hour].1 + converted);
        let channel = channels.entry(session["channel"].clone()).or_default();
        *channel = (channel.0 + 1, channel.1 + converted);
    }
    let rate = |(sessions, converted): (i64, i64)| converted as f64 / sessions.max(1) as f64;
    let best = (0..24).max_by(|a, b| rate(hours[*a]).total_cmp(&rate(hours[*b]))).unwrap();
    assert_eq!(made.number("/conversion/best_hour"), best as i64);
    let rates: Vec<f64> =
        ["email", "paid", "organic", "social"].iter().map(|name| rate(channels[*name])).collect();
    assert!(rates.is_sorted_by(|a, b| a > b), "{rates:?}");
}

/// In a large world the observed rate of a channel is the planted probability times the mean hour factor of
/// its sessions, within four standard errors.
#[test]
fn sessions_convert_with_the_planted_probability() {
    let made = make(&["--users", "20000", "--seed", "3"]);
    let factors: Vec<f64> =
        serde_json::from_value(made.truth.pointer("/conversion/hour_factors").unwrap().clone()).unwrap();
    let sessions = made.rows("sessions.csv");
    for channel in made.truth["conversion"]["channels"].as_array().unwrap() {
        let planted = channel["session_probability"].as_f64().unwrap();
        let (mut mean, mut variance, mut converted) = (0.0, 0.0, 0.0);
        for session in sessions.iter().filter(|s| s["channel"] == channel["channel"].as_str().unwrap()) {
            let p = planted * factors[instant(&session["start_time"]).with_timezone(&Paris).hour() as usize];
            mean += p;
            variance += p * (1.0 - p);
            converted += f64::from(u8::from(session["converted"] == "true"));
        }
        let error: f64 = variance;
        assert!((converted - mean).abs() < 4.0 * error.sqrt(), "{channel}: {converted} for {mean}");
    }
}

#[test]
fn a_session_holds_its_events_and_converts_when_it_has_a_purchase() {
    let made = make(&["--users", "800", "--seed", "5"]);
    let sessions = made.rows("sessions.csv");
    let mut events: HashMap<String, Vec<Row>> = HashMap::new();
    for event in made.rows("events.csv") {
        events.entry(properties(&event)["session_id"].as_str().unwrap().to_owned()).or_default().push(event);
    }
    assert_eq!(events.len(), sessions.len(), "every session has events and every event a session");
    let mut last_end: HashMap<String, DateTime<Utc>> = HashMap::new();
    for session in &sessions {
        let (start, end) = (instant(&session["start_time"]), instant(&session["end_time"]));
        let own = &events[&session["session_id"]];
        assert_eq!(instant(&own[0]["timestamp"]), start, "a session starts with its first event");
        for event in own {
            assert!((start..=end).contains(&instant(&event["timestamp"])), "{event:?} in {session:?}");
            assert_eq!((&event["user_id"], &event["channel"]), (&session["user_id"], &session["channel"]));
        }
        let has = |kinds: &[&str]| own.iter().filter(|e| kinds.contains(&e["event_type"].as_str())).count();
        assert_eq!(session["converted"], (has(&["purchase"]) > 0).to_string());
        assert_eq!(session["pages_viewed"], has(&["page_view", "product_view"]).to_string());
        if let Some(before) = last_end.insert(session["user_id"].clone(), end) {
            assert!(
                start - before > Duration::minutes(30),
                "two visits of one person are apart: {session:?}"
            );
        }
        let tagged = properties(&own[0])["url"].as_str().unwrap().contains("utm_source=");
        assert_eq!(tagged, ["paid", "email", "social"].contains(&session["channel"].as_str()), "{session:?}");
    }
    let starts: Vec<_> = sessions.iter().map(|s| instant(&s["start_time"])).collect();
    assert!(starts.is_sorted());
}

#[test]
fn events_are_in_order_and_a_purchase_is_worth_its_items() {
    let made = make(&["--users", "800", "--seed", "5"]);
    let events = made.rows("events.csv");
    assert!(events.iter().map(|e| instant(&e["timestamp"])).is_sorted());
    let ids: Vec<u64> = events.iter().map(|e| e["event_id"].parse().unwrap()).collect();
    assert!(ids.iter().copied().eq(1..=events.len() as u64));
    let mut orders = BTreeSet::new();
    for event in events.iter().filter(|e| e["event_type"] == "purchase") {
        let properties = properties(event);
        assert!(
            orders.insert(properties["order_id"].as_str().unwrap().to_owned()),
            "an order is placed once"
        );
        let total: f64 = properties["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["price"].as_f64().unwrap() * item["quantity"].as_f64().unwrap())
            .sum();
        assert_eq!((total * 100.0).round() as i64, cents(&event["revenue"]));
    }
    let others = events.iter().filter(|e| e["event_type"] != "purchase");
    assert!(others.map(|e| &e["revenue"]).all(|revenue| revenue == "0.00"));
    for user in events.iter().map(|e| &e["user_id"]) {
        assert!(user.len() <= 50 && user.starts_with('u') && !user.contains('@'), "{user}");
    }
}

#[test]
fn abandoned_carts_are_those_whose_last_add_to_cart_has_no_later_purchase() {
    let made = make(&["--users", "1500", "--seed", "7"]);
    let mut open: HashMap<String, bool> = HashMap::new();
    for event in made.rows("events.csv") {
        match event["event_type"].as_str() {
            "add_to_cart" => open.insert(event["user_id"].clone(), true),
            "purchase" => open.insert(event["user_id"].clone(), false),
            _ => continue,
        };
    }
    let consent: HashMap<String, bool> = made
        .rows("customers.csv")
        .iter()
        .map(|c| (c["user_id"].clone(), c["consent_marketing"] == "true"))
        .collect();
    let count = |wanted: Option<bool>| {
        open.iter().filter(|(user, open)| **open && consent.get(*user).copied() == wanted).count() as i64
    };
    assert_eq!(made.number("/carts/reachable"), count(Some(true)));
    assert_eq!(made.number("/carts/without_consent"), count(Some(false)));
    assert_eq!(made.number("/carts/unknown"), count(None));
    assert_eq!(made.number("/carts/abandoned"), count(Some(true)) + count(Some(false)) + count(None));
    assert!(count(Some(true)) > 0 && count(Some(false)) > 0 && count(None) > 0);
}

#[test]
fn cohorts_decay_and_are_those_of_the_files() {
    let made = make(&["--users", "5000", "--seed", "11"]);
    let month = |text: &str| instant(text).with_timezone(&Paris).format("%Y-%m").to_string();
    let mut joined: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in made.rows("events.csv").iter().filter(|e| e["event_type"] == "signup") {
        joined.entry(month(&event["timestamp"])).or_default().insert(event["user_id"].clone());
    }
    let mut active: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for session in made.rows("sessions.csv") {
        active.entry(month(&session["start_time"])).or_default().insert(session["user_id"].clone());
    }
    let months: Vec<_> = active.keys().cloned().collect();
    assert_eq!(months.len(), 6, "{months:?}");
    let cohorts = made.truth["retention"]["cohorts"].as_array().unwrap();
    for (cohort, from) in cohorts.iter().zip(0..) {
        assert_eq!(cohort["month"], months[from]);
        let users = &joined[&months[from]];
        assert_eq!(cohort["users"], users.len());
        let counted: Vec<_> = months[from..].iter().map(|m| users.intersection(&active[m]).count()).collect();
        assert_eq!(cohort["active"], serde_json::json!(counted));
    }
    let first: Vec<u64> = serde_json::from_value(cohorts[0]["active"].clone()).unwrap();
    let kept = |n: usize| first[n] as f64 / first[0] as f64;
    // Planted: 0.42 a month later and 0.20 five months later; 350 people give a standard error of 0.03.
    assert!((kept(1) - 0.42).abs() < 0.1 && (kept(5) - 0.20).abs() < 0.1, "{first:?}");
}

#[test]
fn people_who_sign_up_are_the_ones_to_welcome() {
    let made = make(&["--users", "800", "--seed", "5"]);
    let customers: HashMap<String, Row> =
        made.rows("customers.csv").into_iter().map(|c| (c["user_id"].clone(), c)).collect();
    let inscrits: BTreeMap<String, Row> =
        made.rows("inscrits.csv").into_iter().map(|i| (i["email"].clone(), i)).collect();
    let mut signups = 0;
    for event in made.rows("events.csv").iter().filter(|e| e["event_type"] == "signup") {
        let customer = &customers[&event["user_id"]];
        assert_eq!(customer["signed_up_at"], event["timestamp"]);
        let inscrit = &inscrits[&customer["email"]];
        assert_eq!(inscrit["prenom"], customer["first_name"]);
        let day = instant(&event["timestamp"]).with_timezone(&Paris).date_naive().to_string();
        assert_eq!(inscrit["date_inscription"], day);
        signups += 1;
    }
    assert_eq!(inscrits.len(), signups, "an address is welcomed once");
    let share = customers.len() as f64 / 800.0;
    assert!((share - 0.6).abs() < 0.07, "{share} of the visitors are customers");
    for customer in customers.values() {
        let domain = customer["email"].rsplit('@').next().unwrap();
        assert!(["example.org", "example.com", "example.net"].contains(&domain), "{domain}");
        assert!(customer["email"].is_ascii());
        assert_eq!(customer["consent_since"].is_empty(), customer["consent_marketing"] == "false");
    }
    assert!(inscrits.values().any(|i| !i["prenom"].is_ascii()), "French names have accents");
}

#[test]
fn campaigns_cost_at_least_their_tagged_visits() {
    let made = make(&["--users", "800", "--seed", "5"]);
    let mut clicks: HashMap<(String, String, String), i64> = HashMap::new();
    for cost in made.rows("costs.csv") {
        let key = (cost["day"].clone(), cost["source"].clone(), cost["campaign"].clone());
        let count = cost["clicks"].parse().unwrap();
        assert!(cost["impressions"].parse::<i64>().unwrap() >= count);
        assert_eq!(clicks.insert(key, count), None, "one row per day and campaign");
    }
    let mut tagged: HashMap<_, i64> = HashMap::new();
    for event in made.rows("events.csv") {
        let url = properties(&event)["url"].as_str().unwrap().to_owned();
        let Some((_, query)) = url.split_once('?') else { continue };
        let tags: HashMap<_, _> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
        let day = instant(&event["timestamp"]).with_timezone(&Paris).date_naive().to_string();
        let key = (day, tags["utm_source"].to_owned(), tags["utm_campaign"].to_owned());
        *tagged.entry(key).or_default() += 1;
    }
    assert!(tagged.len() > 100);
    for (key, visits) in tagged {
        assert!(clicks.get(&key).is_some_and(|clicks| *clicks >= visits), "{key:?}: {visits} visits");
    }
}

/// Medians of log rates, robust against the tail; 1.35 was planted.
#[test]
fn posts_engage_best_at_eighteen_in_paris() {
    let made = make(&["--users", "1", "--seed", "42"]);
    let posts = made.rows("social_posts.csv");
    assert_eq!(made.number("/social/posts"), posts.len() as i64);
    let missing = posts.iter().filter(|p| p["reach"].is_empty()).count();
    assert_eq!(made.number("/social/without_reach"), missing as i64);
    assert!(missing > 0 && missing < posts.len() / 10);
    let factors = &made.truth["social"]["type_factors"];
    let mut rates: BTreeMap<bool, Vec<f64>> = BTreeMap::new();
    for post in posts.iter().filter(|p| !p["reach"].is_empty() && !p["saves"].is_empty()) {
        let engaged: f64 =
            ["likes", "comments", "shares", "saves"].iter().map(|k| post[*k].parse::<f64>().unwrap()).sum();
        let at: DateTime<Utc> = post["published_at"].parse().unwrap();
        let best = i64::from(at.with_timezone(&Paris).hour()) == made.number("/social/best_hour");
        let rate = engaged
            / post["reach"].parse::<f64>().unwrap()
            / factors[post["type"].as_str()].as_f64().unwrap();
        rates.entry(best).or_default().push(rate);
    }
    let median = |best: bool| {
        let mut rates = rates[&best].clone();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let lift = median(true) / median(false);
    // 50 posts against 350 with a spread of 0.25: a standard error of some 0.05.
    assert!((lift - 1.35).abs() < 0.15, "{lift}");
}

/// The labels against the planted probabilities, recomputed here from the coefficients of `truth.json`.
#[test]
fn behaviour_follows_the_planted_model() {
    let made = make(&["--users", "5000", "--seed", "9"]);
    let model = &made.truth["behavior"]["model"];
    let of = |key: &str| model[key].as_f64().unwrap();
    let mut scored: Vec<(f64, bool)> = Vec::new();
    for row in made.rows("user_behavior.csv") {
        let (seconds, pages): (f64, f64) =
            (row["time_on_site"].parse().unwrap(), row["pages_viewed"].parse().unwrap());
        let mut score = of("intercept") + of("per_second") * seconds + of("per_page") * pages;
        score += model["source"][&row["source"]].as_f64().unwrap()
            + model["device"][&row["device"]].as_f64().unwrap();
        score += if row["device"] == "mobile" && pages > 6.0 { of("mobile_lost") } else { 0.0 };
        score += if row["source"] == "email" && seconds < 60.0 { of("email_decided") } else { 0.0 };
        scored.push((1.0 / (1.0 + (-score).exp()), row["converted"] == "1"));
    }
    assert_eq!(scored.len(), 20_000);
    let expected: f64 = scored.iter().map(|(p, _)| p).sum();
    let variance: f64 = scored.iter().map(|(p, _)| p * (1.0 - p)).sum();
    let converted = scored.iter().filter(|(_, converted)| *converted).count() as f64;
    assert_eq!(made.number("/behavior/converted"), converted as i64);
    assert!((converted - expected).abs() < 4.0 * variance.sqrt(), "{converted} for {expected}");

    // AUC by ranks (Mann and Whitney); 4500 positives give a standard error of 0.004.
    scored.sort_by(|a, b| a.0.total_cmp(&b.0));
    let ranks: f64 = scored.iter().zip(1..).filter(|((_, c), _)| *c).map(|(_, rank)| f64::from(rank)).sum();
    let auc = (ranks - converted * (converted + 1.0) / 2.0) / (converted * (scored.len() as f64 - converted));
    let bayes = made.truth["behavior"]["bayes_auc"].as_f64().unwrap();
    assert!((auc - bayes).abs() < 0.02 && (0.78..0.83).contains(&bayes), "{auc} for {bayes}");
}

#[test]
fn the_log_crosses_the_clock_change_and_holds_lines_that_do_not_parse() {
    let made = make(&["--users", "400", "--seed", "42"]);
    let bytes = made.bytes("access.log");
    let lines: Vec<&[u8]> = bytes.split(|b| *b == b'\n').filter(|line| !line.is_empty()).collect();
    assert_eq!(made.number("/access_log/lines"), lines.len() as i64);
    let mut times = Vec::new();
    for line in &lines {
        let good = std::str::from_utf8(line).ok().filter(|l| l.ends_with('"') && l.contains(" HTTP/1.1\" "));
        let stamp = good.and_then(|l| l.split(['[', ']']).nth(1));
        times.extend(stamp.and_then(|s| DateTime::parse_from_str(s, "%d/%b/%Y:%H:%M:%S %z").ok()));
    }
    assert_eq!(made.number("/access_log/malformed"), (lines.len() - times.len()) as i64);
    assert!(times.len() < lines.len());
    assert!(times.is_sorted(), "DateTime compares instants, whatever the offset");
    let repeated = |offset: &str| {
        times
            .iter()
            .filter(|t| t.format("%Y-%m-%d %H %z").to_string() == format!("2026-10-25 02 {offset}"))
            .count()
    };
    assert!(repeated("+0200") > 0 && repeated("+0100") > 0, "02 o'clock comes twice");
    let robots = lines.iter().filter(|l| {
        ["bot", "python", "\" \"-\" \"-\""].iter().any(|w| String::from_utf8_lossy(l).contains(w))
    });
    assert!(robots.count() >= 100);
}

#[test]
fn some_sessions_cross_midnight_and_some_start_in_the_repeated_hour() {
    let made = make(&["--users", "400", "--seed", "42"]);
    let change = Paris.with_ymd_and_hms(2026, 10, 25, 2, 30, 0);
    let (summer, winter) = (change.earliest().unwrap(), change.latest().unwrap());
    assert_eq!(winter - summer, Duration::hours(1));
    let (mut midnight, mut repeated) = (0, 0);
    for session in made.rows("sessions.csv") {
        let (start, end) = (instant(&session["start_time"]), instant(&session["end_time"]));
        let day = |t: DateTime<Utc>| t.with_timezone(&Paris).date_naive();
        midnight += i64::from(day(start) != day(end));
        repeated +=
            i64::from(start >= summer - Duration::minutes(30) && start < winter + Duration::minutes(30));
        assert!(start.date_naive().to_string().as_str() >= "2026-05-01");
        assert!(end.date_naive().to_string().as_str() <= "2026-10-26");
    }
    assert_eq!(made.number("/totals/sessions_across_local_midnight"), midnight);
    assert!(midnight >= 5 && repeated >= 3, "{midnight} {repeated}");
}

/// The spring change has an hour that does not exist, the autumn change one that comes twice; one day is the
/// shortest period.
#[test]
fn other_periods_work_too() {
    let spring = make(&["--users", "300", "--start", "2026-03-28", "--end", "2026-03-30"]);
    let times: Vec<_> = spring.rows("sessions.csv").iter().map(|s| instant(&s["start_time"])).collect();
    assert!(times.iter().all(|t| (28..=30).contains(&chrono::Datelike::day(t))));
    let autumn = make(&["--users", "10000", "--start", "2026-10-24", "--end", "2026-10-25"]);
    let mut two_o_clock = BTreeMap::new();
    for session in autumn.rows("sessions.csv") {
        // Visitors 8, 33, 58 … are sent there on purpose; the others come by the clock alone.
        let by_chance = session["user_id"][1..].parse::<u32>().unwrap() % 25 != 8;
        let start = instant(&session["start_time"]);
        if by_chance && start.with_timezone(&Paris).format("%d %H").to_string() == "25 02" {
            *two_o_clock.entry(start.hour()).or_insert(0) += 1;
        }
    }
    assert_eq!(two_o_clock.keys().collect::<Vec<_>>(), [&0, &1], "02 o'clock in Paris is 00 and 01 UTC");
    let one = make(&["--users", "3", "--start", "2026-10-25", "--end", "2026-10-25"]);
    assert_eq!(one.rows("sessions.csv").iter().map(|s| &s["user_id"]).collect::<BTreeSet<_>>().len(), 3);
}

#[test]
fn senseless_options_are_refused_in_one_sentence() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |options: &[&str]| answer(dir.path(), options).unwrap_err();
    assert!(refused(&["--start", "2026-06-02", "--end", "2026-06-01"]).contains("the period is empty"));
    assert!(refused(&["--start", "2020-01-01", "--end", "2026-06-01"]).contains("longer than three years"));
    assert!(refused(&["--start", "1999-01-01", "--end", "1999-06-01"]).contains("leaves the years"));
    assert!(refused(&["--users", "0"]).contains("0 is not in 1..="));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_directory_that_cannot_be_written_is_named_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("taken");
    fs::write(&file, "a file").unwrap();
    let error = answer(&file, &[]).unwrap_err();
    assert!(
        error.starts_with("make_sample_data: cannot create the directory ") && error.contains("taken"),
        "{error}"
    );

    // A directory where a file belongs: the run fails at the last moment, and takes its own files away.
    let blocked = dir.path().join("blocked");
    fs::create_dir_all(blocked.join("events.csv")).unwrap();
    let error = answer(&blocked, &["--users", "3"]).unwrap_err();
    assert!(error.contains("cannot replace ") && error.contains("events.csv"), "{error}");
    let left: Vec<_> = fs::read_dir(&blocked).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().ends_with(".partial")), "{left:?}");
    assert!(!blocked.join("truth.json").exists(), "an incomplete directory has no truth.json");
}
