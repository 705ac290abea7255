//! The suite of faults over every source that speaks HTTP, and over a source that is careless on purpose.
//!
//! Streams and moments take turns, and pipelines see every third fault; `MKT_TEST_FAULTS=all` strikes every stream at
//! every moment.

use crate::at_internet::{SITE as SPACE, report};
use crate::matomo::{answering, has};
use crate::support::window;
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use mkt_connect::http::retry::Policy;
use mkt_connect::http::{Client, Replay, Request};
use mkt_connect::testing::{Answer, Server};
use mkt_connect::{Error, ErrorKind, Result};
use mkt_etl::at_internet::AtInternet;
use mkt_etl::matomo::Matomo;
use mkt_etl::matomo::STREAMS;
use mkt_etl::testing::faults::{Cell, Fault, Moment, Subject, Verdict, check, check_all, check_pipeline};
use mkt_etl::testing::{FakeAtInternet, RecordedMatomo};
use mkt_etl::{AnalyticsSource, Capabilities, Checked, Finality, Grain, Kind, Stream};
use mkt_etl::{Page, SiteFacts, Totals, Window};
use mkt_warehouse::model::{DailyMetric, Measure, MetricKind, SliceState};
use mkt_warehouse::{SliceKey, Sqlite};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Attempts at a request, and the time that each may take.
const ATTEMPTS: u32 = 2;
const PATIENCE: Duration = Duration::from_millis(700);

/// The longest wait that is sat out and both attempts are 4 seconds; the rest is for machines that are busy.
const DEADLINE: Duration = Duration::from_secs(15);

fn all() -> bool {
    std::env::var("MKT_TEST_FAULTS").is_ok_and(|value| value == "all")
}

fn in_turn(subject: Subject) -> Subject {
    if all() { subject } else { subject.in_turn() }
}

/// What a pipeline is put through: every third fault, or all of them.
fn for_pipelines() -> Vec<Fault> {
    Fault::ALL.iter().copied().step_by(if all() { 1 } else { 3 }).collect()
}

/// Two attempts, and no wait for longer than a date two seconds ahead.
fn quick() -> Policy {
    Policy::default()
        .max_attempts(ATTEMPTS)
        .backoff(Duration::from_millis(10), Duration::from_millis(50))
        .longest_wait(Duration::from_millis(2_500))
}

fn matomo(server: &RecordedMatomo, streams: &'static [&'static str]) -> Subject {
    let day = window("2026-03-28", "2026-03-28");
    let subject = Subject::new(&server.server().authority(), "1", day, |url, host| {
        let matomo = Matomo::builder(url)
            .allow_insecure_host(host)
            .token(RecordedMatomo::TOKEN)
            .site(1)
            .page_size(5)
            .streams(streams.iter().copied())
            .retry(quick())
            .http(|client| client.total_timeout(PATIENCE).max_body_bytes(1 << 20));
        Ok(Arc::new(matomo.build()?))
    });
    subject.secret(RecordedMatomo::TOKEN).deadline(DEADLINE)
}

/// A report of many pages, and single visits.
fn at_internet(fake: &FakeAtInternet) -> Subject {
    fake.limit_rows(20, 10_000);
    let key = fake.key();
    let policy = quick();
    let subject = Subject::new(
        &fake.server().authority(),
        SPACE,
        window("2026-10-20", "2026-10-20"),
        move |url, host| {
            let source = AtInternet::builder(url)
                .allow_insecure_host(host)
                .key(key.clone())
                .space(FakeAtInternet::SPACE, chrono_tz::Europe::Paris)
                .row_limits(20, 10_000)
                .report(report("pages", "page,m_page_loads,m_visits"))
                .visits(crate::at_internet::visit_columns())
                .retry(policy)
                .http(|client| client.total_timeout(PATIENCE).max_body_bytes(1 << 20));
            Ok(Arc::new(source.build()?))
        },
    );
    in_turn(subject.secret("canary").deadline(DEADLINE))
}

#[tokio::test]
async fn at_internet_stands_every_fault_in_every_stream() {
    let fake = FakeAtInternet::start().await.unwrap();
    none_is_violated(&check_all(&at_internet(&fake)).await.unwrap());
}

#[tokio::test]
async fn no_fault_of_at_internet_spoils_a_slice_and_all_heal() {
    let fake = FakeAtInternet::start().await.unwrap();
    let cells = check_pipeline(&at_internet(&fake), &for_pipelines(), Sqlite::in_memory).await.unwrap();
    none_is_violated(&cells);
}

fn summary(cells: &[Cell]) -> String {
    let mut counts = BTreeMap::<&str, usize>::new();
    for cell in cells {
        *counts
            .entry(match cell.verdict {
                Verdict::Right => "right",
                Verdict::Refused(_) => "refused",
                Verdict::Flagged(_) => "flagged",
                Verdict::Violated(_) => "violated",
            })
            .or_default() += 1;
    }
    let slowest = cells.iter().max_by_key(|cell| cell.took);
    format!("{} cells: {counts:?}; the slowest: {slowest:?}", cells.len())
}

fn none_is_violated(cells: &[Cell]) {
    for cell in cells.iter().filter(|cell| matches!(cell.verdict, Verdict::Flagged(_))) {
        println!("{cell:?}");
    }
    println!("{}", summary(cells));
    let violated: Vec<&Cell> = cells.iter().filter(|cell| cell.is_violated()).collect();
    assert!(violated.is_empty(), "{violated:#?}");
}

#[tokio::test]
async fn matomo_stands_every_fault_in_every_stream() {
    let server = RecordedMatomo::start().await.unwrap();
    let subject = in_turn(matomo(&server, &STREAMS));
    let cells = check_all(&subject).await.unwrap();
    let streams: BTreeSet<&str> = cells.iter().map(|cell| cell.stream.as_str()).collect();
    // Of the recorded instance and day; nothing else of it was recorded.
    assert_eq!(streams.len(), 9, "{streams:?}");
    none_is_violated(&cells);
}

#[tokio::test]
async fn no_fault_of_matomo_spoils_a_slice_and_all_heal() {
    let server = RecordedMatomo::start().await.unwrap();
    let subject = in_turn(matomo(&server, &STREAMS));
    let cells = check_pipeline(&subject, &for_pipelines(), Sqlite::in_memory).await.unwrap();
    none_is_violated(&cells);
}

#[tokio::test]
async fn answers_of_matomo_that_agree_in_being_wrong_are_found_out_by_another_report() {
    let server = RecordedMatomo::start().await.unwrap();
    let subject = matomo(&server, &["referrer_names", "campaigns", "items", "goals"]);
    let faults = [Fault::EmptyPage, Fault::WrongTypes, Fault::ReversedPage];
    let cells = check(&subject, &faults).await.unwrap();
    none_is_violated(&cells);
    let verdict = |stream: &str, fault: Fault, moment: Moment| {
        let mut of = cells.iter().filter(|cell| (cell.fault, cell.moment) == (fault, moment));
        of.find(|cell| cell.stream == stream).unwrap().verdict.clone()
    };
    let refused = Verdict::Refused(ErrorKind::Protocol);
    // No list has a row then, of referrers or of visits; the summary, which is no list, has 17 visits.
    let Verdict::Flagged(how) = verdict("referrer_names", Fault::EmptyPage, Moment::Always) else {
        panic!("referrer_names")
    };
    assert_eq!(how, "visits is None, the control says 17");
    // A campaign that says it has keywords, and has none.
    assert_eq!(verdict("campaigns", Fault::EmptyPage, Moment::Always), refused);
    for stream in ["referrer_names", "campaigns"] {
        assert_eq!(verdict(stream, Fault::WrongTypes, Moment::First), refused);
    }
    // Articles of orders and of carts, each under the other's name; goals, orders and carts likewise.
    assert_eq!(verdict("items", Fault::ReversedPage, Moment::First), refused);
    assert_eq!(verdict("goals", Fault::ReversedPage, Moment::Last), refused);
}

/// A day on which both goals converted, read with this list of goals; with their records in each other's place if swapped.
async fn goals_of(listed: Value, swapped: bool) -> mkt_connect::Result<Page> {
    let server = answering(move |method, fields| {
        let record = |count: i64| json!({"2026-03-28": {"nb_conversions": count, "revenue": 0}});
        match (method, fields.get("idGoal").map(String::as_str)) {
            ("Goals.getGoals", _) => Some(listed.clone()),
            ("Referrers.getReferrerType", _) => Some(json!({"2026-03-28": [{
                "label": "Direct Entry", "referrer_type": 1, "nb_visits": 9, "nb_conversions": 7,
                "goals": {"idgoal=1": {"nb_conversions": 4}, "idgoal=2": {"nb_conversions": 3}},
            }]})),
            ("Goals.get", None) => Some(record(7)),
            ("Goals.get", Some(id @ ("1" | "2"))) => Some(record(if (id == "1") == swapped { 3 } else { 4 })),
            _ => None,
        }
    })
    .await;
    let matomo = crate::matomo::source(&server).streams(["goals"]).build().unwrap();
    let mut pages = crate::matomo::pages(&matomo, "goals", "2026-03-28").await;
    assert_eq!(pages.len(), 1);
    pages.remove(0)
}

#[tokio::test]
async fn a_goal_that_converted_is_read_also_when_the_list_of_goals_lacks_it() {
    let goal = |id: i64| json!({"idsite": 1, "idgoal": id, "name": "signup"});
    for listed in [json!([goal(1), goal(2)]), json!([goal(2)]), json!([])] {
        let read = goals_of(listed.clone(), false).await.unwrap();
        for (id, conversions) in [("1", "4"), ("2", "3")] {
            has(&read.dimensions, "goals", &json!({"goal": id}), &[("conversions", conversions)]);
        }
        assert!(
            read.notes.is_empty() && read.dimensions.iter().all(|row| !row.dimensions.0["goal"].is_null())
        );
        // The record of one goal in the other one's place of a bulk request.
        assert_eq!(goals_of(listed, true).await.unwrap_err().kind(), ErrorKind::Protocol);
    }
}

/// A vendor with three pages of two numbers each, and a count of them.
async fn toy_server() -> Server {
    Server::start(|request| {
        if request.path == "/count" {
            return Answer::json(r#"{"count":6}"#);
        }
        let page: i64 = request.query_value("page").unwrap().parse().unwrap();
        let row = |n: i64| format!(r#"{{"name":"metric_{n}","visits":{}}}"#, 10 + n);
        Answer::json(format!(r#"{{"rows":[{},{}],"more":{}}}"#, row(page * 2), row(page * 2 + 1), page < 2))
    })
    .await
    .unwrap()
}

#[derive(Deserialize)]
struct Numbers {
    rows: Vec<Number>,
    more: bool,
}

#[derive(Deserialize)]
struct Number {
    name: String,
    visits: i64,
}

#[derive(Deserialize)]
struct Count {
    count: u64,
}

const KEY: &str = "canary-5f3a";

/// A source of the toy server: as it should be, or careless in five ways.
#[derive(Debug)]
struct Toy {
    client: Client,
    careless: bool,
}

impl Toy {
    /// A page as text, from an answer of status 200.
    async fn ask(&self, path: &str, page: i64) -> Result<String> {
        let request = Request::post(path)
            .operation("read numbers")
            .replay(Replay::Idempotent)
            .query("page", page.to_string())
            .form([("key", KEY)]);
        let careless = self.careless;
        self.client
            .send_with(&request, &Policy::once(), |response| match response.status() {
                // Lossy text would be other data.
                200 => String::from_utf8(response.body().to_vec())
                    .map_err(|_| response.error(ErrorKind::Protocol)),
                429 => Err(response.error(ErrorKind::RateLimited)),
                500.. => {
                    let error = response.error(ErrorKind::Unavailable);
                    // First: the answer, which repeats the key, is shown.
                    Err(if careless { error.with_detail(response.text().into_owned()) } else { error })
                }
                _ => Err(response.error(ErrorKind::Protocol)),
            })
            .await
    }

    async fn page(&self, slice: &SliceKey, page: i64) -> Result<(Page, bool)> {
        let text = self.ask("numbers", page).await?;
        let protocol = || Error::new(ErrorKind::Protocol, "toy", "read numbers");
        let numbers: Numbers = match serde_json::from_str(&text) {
            Ok(numbers) => numbers,
            Err(_) if !self.careless => return Err(protocol()),
            // Second: what does not fit stops the process. Third: what does not read is the end.
            Err(error) if error.is_data() => panic!("{error}"),
            Err(_) => return Ok((Page::default(), false)),
        };
        if !self.careless && numbers.rows.is_empty() && numbers.more || page > 9 {
            return Err(protocol());
        }
        let metric = |number: Number| DailyMetric {
            metric: number.name,
            kind: MetricKind::Additive,
            value: Some(Measure::from(number.visits)),
            numerator: None,
            denominator: None,
            currency: None,
            state: SliceState::Planned,
            source: "toy".to_owned(),
            site: slice.site.clone(),
            day: slice.from,
        };
        let metrics: Vec<DailyMetric> = numbers.rows.into_iter().map(metric).collect();
        Ok((Page { read: metrics.len() as u64, metrics, ..Page::default() }, numbers.more))
    }
}

#[async_trait]
impl AnalyticsSource for Toy {
    fn capabilities(&self) -> Capabilities {
        let finality = Finality::After(chrono::TimeDelta::days(2));
        let stream = Stream::new("numbers", Grain::Day, &[Kind::Metrics], finality);
        Capabilities::new("toy", vec![stream]).control_totals(!self.careless)
    }

    async fn check(&self) -> Result<Checked> {
        Ok(Checked::new(self.discover().await?))
    }

    async fn discover(&self) -> Result<Vec<SiteFacts>> {
        Ok(vec![SiteFacts::new("shop", chrono_tz::UTC).native_id("1").conversion_set(Vec::new())])
    }

    fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>> {
        Ok(window.iter().map(|day| SliceKey::day("toy", stream, site, day)).collect())
    }

    async fn version(&self, _slice: &SliceKey) -> Result<Option<String>> {
        Ok(None)
    }

    fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>> {
        stream::try_unfold(Some(0), move |number| async move {
            let Some(number) = number else { return Ok(None) };
            let (page, more) = self.page(slice, number).await?;
            Ok(Some((page, more.then_some(number + 1))))
        })
        .boxed()
    }

    async fn verify(&self, _slice: &SliceKey) -> Result<Option<Totals>> {
        // Fourth: nobody counts.
        if self.careless {
            return Ok(None);
        }
        let count: Count = serde_json::from_str(&self.ask("count", 0).await?)
            .map_err(|_| Error::new(ErrorKind::Protocol, "toy", "count"))?;
        Ok(Some(Totals::new().with("records", count.count)))
    }
}

fn toy(server: &Server, careless: bool) -> Subject {
    // Fifth: it waits for ever.
    let patience = Duration::from_millis(if careless { 60_000 } else { 400 });
    let deadline = if careless { Duration::from_secs(5) } else { DEADLINE };
    Subject::new(&server.authority(), "shop", window("2026-03-28", "2026-03-28"), move |url, host| {
        let client = Client::builder("toy", url)
            .allow_insecure_host(host)
            .total_timeout(patience)
            .max_body_bytes(1 << 20)
            .build()?;
        Ok(Arc::new(Toy { client, careless }))
    })
    .secret(KEY)
    .deadline(deadline)
}

#[tokio::test]
async fn a_careful_source_stands_every_fault() {
    let server = toy_server().await;
    let subject = toy(&server, false);
    none_is_violated(&check_all(&subject).await.unwrap());
    let some = [Fault::InternalError, Fault::Truncated, Fault::EmptyPage, Fault::Nul];
    none_is_violated(&check_pipeline(&subject, &some, Sqlite::in_memory).await.unwrap());
}

#[tokio::test]
async fn the_suite_finds_what_a_careless_source_does_wrong() {
    let server = toy_server().await;
    let faults = [
        Fault::InternalError,
        Fault::WrongTypes,
        Fault::Truncated,
        Fault::EmptyPage,
        Fault::Silence,
        Fault::BadGateway,
    ];
    let cells = check(&toy(&server, true), &faults).await.unwrap();
    let found: BTreeMap<Fault, BTreeSet<String>> = cells.iter().fold(BTreeMap::new(), |mut found, cell| {
        if let Verdict::Violated(how) = &cell.verdict {
            let how = how.split([':', '6']).next().unwrap_or_default().trim().to_owned();
            found.entry(cell.fault).or_insert_with(BTreeSet::new).insert(how);
        }
        found
    });
    let expected = [
        (Fault::InternalError, "it shows a secret"),
        (Fault::WrongTypes, "it panics"),
        (Fault::Truncated, "other data without a word"),
        (Fault::EmptyPage, "other data without a word"),
        (Fault::Silence, "it takes longer than"),
    ];
    // A gateway's page, which repeats nothing, it takes as it should.
    assert_eq!(
        found,
        expected.into_iter().map(|(fault, how)| (fault, BTreeSet::from([how.to_owned()]))).collect()
    );
    let cells = check_pipeline(&toy(&server, true), &faults, Sqlite::in_memory).await.unwrap();
    let found: BTreeSet<Fault> =
        cells.iter().filter(|cell| cell.is_violated()).map(|cell| cell.fault).collect();
    assert_eq!(found, expected.into_iter().map(|(fault, _)| fault).collect());
}
