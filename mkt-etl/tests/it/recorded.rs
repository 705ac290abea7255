//! The replay itself, and the contract of every source.

use crate::support::{day, window};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use mkt_connect::Result;
use mkt_connect::http::{Client, Request};
use mkt_etl::testing::RecordedMatomo;
use mkt_etl::testing::conformance::{Finding, Subject, Verdict, check_all};
use mkt_etl::{AnalyticsSource, Memory, Page, SiteFacts, Totals, Window};
use mkt_etl::{Capabilities, Checked};
use mkt_warehouse::SliceKey;
use mkt_warehouse::model::{DailyMetric, Measure, MetricKind, SliceState};
use serde_json::Value;

fn body(name: &str) -> Value {
    let path = format!("{}/tests/recordings/matomo/{name}.body", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

async fn ask(server: &RecordedMatomo, parameters: &[(&str, &str)]) -> (u16, String) {
    let client = Client::builder("test", &server.url())
        .allow_insecure_host(&server.server().authority())
        .build()
        .unwrap();
    let request = Request::post("index.php")
        .form([("module", "API"), ("format", "JSON")])
        .form(parameters.iter().copied())
        .secret_form_field("token_auth", &server.token());
    let response = client.send(&request).await.unwrap();
    (response.status(), response.text().into_owned())
}

fn parsed((status, body): (u16, String)) -> Value {
    assert_eq!(status, 200);
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn days_cut_from_the_one_recording_are_the_days_that_were_recorded() {
    let server = RecordedMatomo::start().await.unwrap();
    for (date, name) in
        [("2026-03-29", "live_last_day"), ("2026-10-25", "live_dst_fall"), ("2026-03-30", "live_empty")]
    {
        let range = format!("{date},{date}");
        let live =
            [("method", "Live.getLastVisitsDetails"), ("idSite", "1"), ("period", "range"), ("date", &range)];
        let cut = parsed(ask(&server, &[&live[..], &[("filter_limit", "-1")]].concat()).await);
        let recorded = body(name);
        let ids = |value: &Value| -> Vec<i64> {
            value.as_array().unwrap().iter().map(|visit| visit["idVisit"].as_i64().unwrap()).collect()
        };
        assert_eq!(ids(&cut), ids(&recorded), "{date}");
        for (ours, theirs) in cut.as_array().unwrap().iter().zip(recorded.as_array().unwrap()) {
            assert_eq!(ours["actionDetails"], theirs["actionDetails"]);
        }
    }
}

#[tokio::test]
async fn paging_answers_as_the_real_one_did() {
    let server = RecordedMatomo::start().await.unwrap();
    let live = |more: &[(&str, &str)]| {
        let all = [&[("method", "Live.getLastVisitsDetails"), ("idSite", "1")], more].concat();
        all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect::<Vec<_>>()
    };
    for (name, more) in [
        (
            "live_min_ts_0",
            vec![("minTimestamp", "1774584720"), ("filter_limit", "1"), ("filter_sort_order", "asc")],
        ),
        (
            "live_min_ts_1",
            vec![("minTimestamp", "1774584721"), ("filter_limit", "1"), ("filter_sort_order", "asc")],
        ),
        (
            "live_last_p2",
            vec![
                ("period", "range"),
                ("date", "2026-03-27,2026-03-31"),
                ("filter_limit", "5"),
                ("filter_offset", "5"),
                ("filter_sort_order", "asc"),
            ],
        ),
    ] {
        let asked = live(&more);
        let asked: Vec<(&str, &str)> =
            asked.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let answer = parsed(ask(&server, &asked).await);
        let ids = |value: &Value| -> Vec<Value> {
            value.as_array().unwrap().iter().map(|v| v["idVisit"].clone()).collect()
        };
        assert_eq!(ids(&answer), ids(&body(name)), "{name}");
    }
}

#[tokio::test]
async fn what_was_not_recorded_is_not_invented() {
    let server = RecordedMatomo::start().await.unwrap();
    let asked =
        [("method", "Goals.get"), ("idSite", "1"), ("period", "day"), ("date", "2026-10-25,2026-10-25")];
    assert_eq!(ask(&server, &asked).await, (404, "not recorded: Goals.get".to_owned()));
    let unknown = parsed(ask(&server, &[("method", "Nope.other")]).await);
    assert_eq!(unknown, body("err_unknown_method"));
    assert!(server.choose("no_such_recording").is_err());
}

#[tokio::test]
async fn request_with_other_parameters_is_not_answered() {
    let server = RecordedMatomo::start().await.unwrap();
    let of = |method: &'static str, period: &'static str, date: &'static str| {
        [("method", method), ("idSite", "1"), ("period", period), ("date", date)]
    };
    // Live by day was recorded for a few days only; over several days with paging only.
    for (method, period, date) in [
        ("Live.getLastVisitsDetails", "day", "2026-03-28"),
        ("Live.getLastVisitsDetails", "range", "2026-03-27,2026-03-28"),
        ("Referrers.getCampaigns", "day", "2026-03-28,2026-03-28"),
        ("Goals.getItemsSku", "day", "2026-03-28,2026-03-28"),
        ("Referrers.getAll", "range", "2026-03-28,2026-03-28"),
    ] {
        assert_eq!(ask(&server, &of(method, period, date)).await.0, 404, "{method} {period} {date}");
    }
    // The real one refuses lists of dates.
    let refused = parsed(ask(&server, &of("Referrers.getAll", "day", "2026-03-28,2026-03-28")).await);
    assert_eq!(refused["result"], "error");
}

#[tokio::test]
async fn recordings_of_the_same_request_are_chosen_by_name() {
    let server = RecordedMatomo::start().await.unwrap();
    let asked = [
        ("method", "VisitsSummary.get"),
        ("idSite", "1"),
        ("period", "day"),
        ("date", "2026-03-27,2026-03-27"),
    ];
    let visits = |value: Value| value["2026-03-27"]["nb_visits"].as_i64();
    assert_eq!(visits(parsed(ask(&server, &asked).await)), Some(13));
    server.choose("late_before").unwrap();
    assert_eq!(visits(parsed(ask(&server, &asked).await)), Some(12));
    server.choose_nothing();
    let today = [("method", "VisitsSummary.get"), ("idSite", "1"), ("period", "day"), ("date", "today")];
    assert_eq!(parsed(ask(&server, &today).await)["nb_visits"], 0);
    server.choose("today_after_hit_1").unwrap();
    assert_eq!(parsed(ask(&server, &today).await)["nb_visits"], 1);
}

#[tokio::test]
async fn every_recorded_request_can_be_replayed() {
    let server = RecordedMatomo::start().await.unwrap();
    let client = Client::builder("test", &server.url())
        .allow_insecure_host(&server.server().authority())
        .build()
        .unwrap();
    let folder = format!("{}/tests/recordings/matomo", env!("CARGO_MANIFEST_DIR"));
    let manifest: Vec<Value> =
        serde_json::from_slice(&std::fs::read(format!("{folder}/MANIFEST.json")).unwrap()).unwrap();
    let mut replayed = 0;
    for recording in manifest {
        let name = recording["name"].as_str().unwrap();
        // The one request whose body was not kept.
        if name == "bf_tmp" {
            continue;
        }
        server.choose_nothing();
        server.choose(name).unwrap();
        let fields = recording["params"].as_object().unwrap().iter().map(|(field, value)| {
            (field.clone(), value.as_str().map_or_else(|| value.to_string(), str::to_owned))
        });
        let request = match recording["http_method"].as_str().unwrap() {
            // Recorded with the token in the URL: the body is where ours goes.
            "GET" => {
                fields.fold(Request::get("index.php"), |request, (field, value)| request.query(field, value))
            }
            _ => Request::post("index.php").form(fields),
        };
        let response = client.send(&request.secret_form_field("token_auth", &server.token())).await.unwrap();
        assert_eq!(u64::from(response.status()), recording["status"].as_u64().unwrap(), "{name}");
        assert_eq!(response.body(), &std::fs::read(format!("{folder}/{name}.body")).unwrap(), "{name}");
        replayed += 1;
    }
    assert_eq!(replayed, 116);
}

#[tokio::test]
async fn discovery_lists_every_site_with_its_zone() {
    let server = RecordedMatomo::start().await.unwrap();
    let matomo = server.source().build().unwrap();
    let sites: Vec<(String, &str)> =
        matomo.discover().await.unwrap().into_iter().map(|site| (site.site, site.zone.name())).collect();
    // SitesManager.getAllSites as recorded: "Shop Paris" and "Blog".
    assert_eq!(sites, [("1".to_owned(), "Europe/Paris"), ("2".to_owned(), "UTC")]);
}

fn violated(findings: &[Finding]) -> Vec<&'static str> {
    findings.iter().filter(|finding| finding.is_violated()).map(|finding| finding.check).collect()
}

#[tokio::test]
async fn matomo_keeps_the_contract() {
    let server = RecordedMatomo::start().await.unwrap();
    let matomo = server.source().page_size(3).build().unwrap();
    let subject =
        Subject::new(&matomo, "1", window("2026-03-28", "2026-03-30")).secret(RecordedMatomo::TOKEN);
    let findings = check_all(&subject).await;
    assert!(findings.iter().all(|finding| finding.verdict == Verdict::Held), "{findings:#?}");
}

fn metric(site: &str, date: &str, value: i64) -> DailyMetric {
    DailyMetric {
        metric: "visits".to_owned(),
        kind: MetricKind::Additive,
        value: Some(Measure::from(value)),
        numerator: None,
        denominator: None,
        currency: None,
        state: SliceState::Planned,
        source: "memory".to_owned(),
        site: site.to_owned(),
        day: day(date),
    }
}

#[tokio::test]
async fn the_source_in_memory_keeps_the_contract() {
    let source = Memory::new("memory", "shop", chrono_tz::UTC);
    let slice = source.slice(day("2026-03-28"));
    source.put(
        slice.clone(),
        vec![Page { read: 1, metrics: vec![metric("shop", "2026-03-28", 4)], ..Page::default() }],
    );
    source.put_control(slice, Totals::new().with("visits", 4));
    let subject = Subject::new(&source, "shop", window("2026-03-27", "2026-03-29"));
    assert_eq!(violated(&check_all(&subject).await), Vec::<&str>::new());
}

/// A source that breaks one sentence of the contract at a time.
#[derive(Debug)]
struct Broken {
    inner: Memory,
    how: &'static str,
    reads: std::sync::atomic::AtomicU64,
}

#[async_trait]
impl AnalyticsSource for Broken {
    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }
    async fn check(&self) -> Result<Checked> {
        let mut checked = self.inner.check().await?;
        if self.how == "the check names the site and its zone" {
            checked.sites.clear();
        }
        if self.how == "no secret is in any output" {
            checked.version = Some("canary-7".to_owned());
        }
        Ok(checked)
    }
    async fn discover(&self) -> Result<Vec<SiteFacts>> {
        self.inner.discover().await
    }
    fn plan(&self, stream: &str, site: &str, window: Window) -> Result<Vec<SliceKey>> {
        if self.how == "an unknown site is refused" {
            return self.inner.plan(stream, "shop", window);
        }
        let mut slices = self.inner.plan(stream, site, window)?;
        match self.how {
            "a plan covers every day exactly once" => drop(slices.pop()),
            "a plan is the same every time" => {
                let reads = self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                if reads % 2 == 1 {
                    slices[0].stream.push('x');
                }
            }
            _ => {}
        }
        Ok(slices)
    }
    async fn version(&self, slice: &SliceKey) -> Result<Option<String>> {
        self.inner.version(slice).await
    }
    fn read<'a>(&'a self, slice: &'a SliceKey) -> BoxStream<'a, Result<Page>> {
        let reads = self.reads.fetch_add(1, std::sync::atomic::Ordering::Relaxed) as i64;
        let mut page =
            Page { read: 1, metrics: vec![metric("shop", &slice.from.to_string(), 4)], ..Page::default() };
        match self.how {
            "rows carry the source and site of their slice" => page.metrics[0].site = "elsewhere".to_owned(),
            "days of rows are of the slice or the day before" => page.metrics[0].day = slice.until,
            "counts add up" => page.read = 9,
            "reading again gives the same rows" => page.metrics[0].value = Some(reads.into()),
            "control totals agree" => page.metrics[0].value = Some(5.into()),
            "no address is in any row" => page.notes.push("asked by jo@example.org".to_owned()),
            _ => return self.inner.read(slice),
        }
        stream::iter([Ok(page)]).boxed()
    }
    async fn verify(&self, slice: &SliceKey) -> Result<Option<Totals>> {
        self.inner.verify(slice).await
    }
}

#[tokio::test]
async fn a_broken_source_is_found_out_check_by_check() {
    for how in [
        "a plan covers every day exactly once",
        "a plan is the same every time",
        "the check names the site and its zone",
        "an unknown site is refused",
        "rows carry the source and site of their slice",
        "days of rows are of the slice or the day before",
        "counts add up",
        "reading again gives the same rows",
        "control totals agree",
        "no address is in any row",
        "no secret is in any output",
    ] {
        let inner = Memory::new("memory", "shop", chrono_tz::UTC);
        for date in window("2026-03-28", "2026-03-29").iter() {
            inner.put_control(inner.slice(date), Totals::new().with("records", 0));
            if how == "control totals agree" {
                inner.put_control(inner.slice(date), Totals::new().with("visits", 4));
            }
        }
        let broken = Broken { inner, how, reads: 0.into() };
        let subject = Subject::new(&broken, "shop", window("2026-03-28", "2026-03-29")).secret("canary-7");
        let found = violated(&check_all(&subject).await);
        assert!(found.contains(&how), "{how}: {found:?}");
    }
}
