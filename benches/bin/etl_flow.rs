//! Traffic of any size through the pipeline, with its peak of memory; the Rust side of `compare/etl/etl.py`.
//!
//! `serve` is a Matomo that makes its visits when it is asked: 30 recorded visits of a real Matomo 5.0.2, with other ids
//! and times, about 4 KB each. `run` brings days of it into a warehouse, against such a server in a process of its own.
//! `csv` writes a file of events and brings it in. What is printed is one JSON object.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use chrono::{DateTime, NaiveDate, Utc};
use clap::{Args, Parser, Subcommand};
use mkt_connect::clock::ManualClock;
use mkt_connect::testing::{Answer, Received, Server};
use mkt_etl::csv::CsvSource;
use mkt_etl::matomo::Matomo;
use mkt_etl::{Pipeline, RunReport, Window};
use serde_json::{Value, json};
use std::error::Error;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, BufWriter, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command as Process, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Recorded on 27 and 28 March 2026, when Paris was an hour ahead of UTC.
const RECORDED: &str = include_str!("../../mkt-etl/tests/recordings/matomo/live_over_unlimited.body");
const SITE: u64 = 1;
const TOKEN: &str = "0123456789abcdef0123456789abcdef";

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Serves until its standard input is closed; prints its port first, and at the end what it sent.
    Serve(Traffic),
    /// Brings every day in.
    Run {
        #[command(flatten)]
        traffic: Traffic,
        /// `sqlite:PATH` or `postgres://…`.
        #[arg(long)]
        warehouse: String,
        /// A server that runs already, `127.0.0.1:PORT`; else one is started.
        #[arg(long)]
        server: Option<String>,
        /// Slices at once.
        #[arg(long, default_value_t = 4)]
        concurrency: usize,
        /// Visits in one request.
        #[arg(long, default_value_t = 500)]
        page: usize,
        /// Fails when more memory than so many MiB was used.
        #[arg(long)]
        at_most: Option<u64>,
    },
    /// Writes a file of events and brings it in.
    Csv {
        /// Records.
        #[arg(long, default_value_t = 1_000_000)]
        rows: u64,
        /// Days that they are spread over.
        #[arg(long, default_value_t = 100)]
        days: u64,
        /// Where the file is written; it stays there.
        #[arg(long)]
        file: PathBuf,
        /// `sqlite:PATH` or `postgres://…`.
        #[arg(long)]
        warehouse: String,
        /// Slices at once.
        #[arg(long, default_value_t = 4)]
        concurrency: usize,
    },
}

#[derive(Args, Clone)]
struct Traffic {
    /// Days, from 1 January 2026 on.
    #[arg(long, default_value_t = 10)]
    days: u64,
    /// Visits of a day, with four actions each.
    #[arg(long, default_value_t = 5_000)]
    visits: u64,
}

fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 1, 1).unwrap_or_default()
}

/// After every day of any run is final.
fn clock() -> ManualClock {
    ManualClock::new(DateTime::from_timestamp(2_000_000_000, 0).unwrap_or_default())
}

#[tokio::main]
async fn main() -> Outcome {
    match Command::parse().task {
        Task::Serve(traffic) => serve(traffic).await,
        Task::Run { traffic, warehouse, server, concurrency, page, at_most } => {
            run(&traffic, &warehouse, server, concurrency, page, at_most).await
        }
        Task::Csv { rows, days, file, warehouse, concurrency } => {
            csv(rows, days, file, &warehouse, concurrency).await
        }
    }
}

/// A part of a visit's text.
enum Part {
    Text(String),
    /// The visit's number.
    Visit,
    /// Sixteen hexadecimal digits of the visitor.
    Visitor,
    /// Seconds after the visit's first action.
    Time(i64),
    /// A number of its own for each action.
    Page(u64),
}

/// A recorded visit into which other numbers can be put.
struct Template {
    parts: Vec<Part>,
    /// From the first to the last action, in seconds.
    span: i64,
    duration: i64,
    converted: bool,
}

impl Template {
    fn new(mut visit: Value) -> Option<Self> {
        let first = visit["firstActionTimestamp"].as_i64()?;
        let span = visit["lastActionTimestamp"].as_i64()? - first;
        let (duration, converted) = (visit["visitDuration"].as_i64()?, visit["visitConverted"] == 1);
        let time =
            |at: &Value, ahead: i64| Some(Value::from(format!("@time{}@", at.as_i64()? - ahead - first)));
        visit["idVisit"] = "@visit@".into();
        visit["visitorId"] = "@visitor@".into();
        for name in ["firstActionTimestamp", "lastActionTimestamp", "serverTimestamp"] {
            visit[name] = time(&visit[name], 0)?;
        }
        for (index, action) in visit["actionDetails"].as_array_mut()?.iter_mut().enumerate() {
            // Site-local time posing as an epoch; the generated site lives in UTC.
            action["timestamp"] = time(&action["timestamp"], 3_600)?;
            for name in ["pageId", "goalPageId", "orderId"] {
                if action.get(name).is_some() {
                    action[name] = format!("@page{index}@").into();
                }
            }
        }
        let text = visit.to_string();
        let parts = text
            .split("\"@")
            .enumerate()
            .flat_map(|(index, piece)| match piece.split_once("@\"") {
                Some((mark, rest)) if index > 0 => {
                    let number =
                        |head: &str| mark.strip_prefix(head).and_then(|text| text.parse::<i64>().ok());
                    let part = match (number("time"), number("page")) {
                        (Some(seconds), _) => Part::Time(seconds),
                        (_, Some(index)) => Part::Page(index.unsigned_abs()),
                        _ if mark == "visit" => Part::Visit,
                        _ => Part::Visitor,
                    };
                    [Some(part), Some(Part::Text(rest.to_owned()))]
                }
                _ => [Some(Part::Text(piece.to_owned())), None],
            })
            .flatten()
            .collect();
        Some(Self { parts, span, duration, converted })
    }

    fn write(&self, number: u64, first: i64, out: &mut String) {
        for part in &self.parts {
            // Writing into a text does not fail.
            let _ = match part {
                Part::Text(text) => out.write_str(text),
                Part::Visit => write!(out, "{number}"),
                Part::Visitor => write!(out, "\"{:016x}\"", (number / 3).wrapping_mul(0x9e37_79b9_7f4a_7c15)),
                Part::Time(seconds) => write!(out, "{}", first + seconds),
                Part::Page(index) => write!(out, "{}", number * 100 + index),
            };
        }
    }
}

struct Matomos {
    templates: Vec<Template>,
    traffic: Traffic,
    sent: AtomicU64,
}

impl Matomos {
    fn new(traffic: Traffic) -> Outcome<Self> {
        let recorded: Vec<Value> = serde_json::from_str(RECORDED)?;
        let winter = recorded
            .into_iter()
            .filter(|visit| ["2026-03-27", "2026-03-28"].iter().any(|day| visit["serverDate"] == *day));
        let templates: Vec<Template> = winter.filter_map(Template::new).collect();
        if templates.is_empty() {
            return Err("no visit was recorded".into());
        }
        Ok(Self { templates, traffic, sent: AtomicU64::new(0) })
    }

    fn template(&self, number: u64) -> &Template {
        &self.templates[(number % self.templates.len() as u64) as usize]
    }

    /// (last action, number, first action) of the visits of a day, in the order of their ends.
    fn of_day(&self, date: NaiveDate) -> Vec<(i64, u64, i64)> {
        let Some(day) =
            u64::try_from((date - first_day()).num_days()).ok().filter(|day| *day < self.traffic.days)
        else {
            return Vec::new();
        };
        let midnight = date.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc().timestamp();
        let many = self.traffic.visits;
        let mut visits: Vec<(i64, u64, i64)> = (0..many)
            .map(|n| {
                let number = day * many + n + 1;
                // Over the day, but for its last minutes: no visit goes over midnight.
                let first = midnight + (n * 85_000 / many.max(1)) as i64;
                (first + self.template(number).span, number, first)
            })
            .collect();
        visits.sort_unstable();
        visits
    }

    fn answer(&self, request: &Received) -> Answer {
        let asked = |name: &str| request.value(name);
        let day = asked("date").and_then(|date| date.split(',').next().and_then(|day| day.parse().ok()));
        let day: NaiveDate = day.unwrap_or_default();
        let body = match asked("method").as_deref() {
            Some("API.getMatomoVersion") => json!({"value": "5.0.2"}).to_string(),
            Some("SitesManager.getSiteFromId") => {
                json!({"idsite": SITE, "name": "Shop", "timezone": "UTC", "currency": "EUR"}).to_string()
            }
            Some("VisitsSummary.get") => {
                let visits = self.of_day(day);
                let of = |f: &dyn Fn(&Template) -> i64| {
                    visits.iter().map(|(_, n, _)| f(self.template(*n))).sum::<i64>()
                };
                let summary = json!({
                    "nb_visits": visits.len(),
                    "nb_visits_converted": of(&|visit| i64::from(visit.converted)),
                    "sum_visit_length": of(&|visit| visit.duration),
                });
                json!({day.to_string(): summary}).to_string()
            }
            Some("Live.getLastVisitsDetails") => {
                let number = |name: &str, otherwise: i64| {
                    asked(name).and_then(|text| text.parse().ok()).unwrap_or(otherwise)
                };
                let (after, limit) = (number("minTimestamp", i64::MIN), number("filter_limit", 100));
                let offset = number("filter_offset", 0);
                let page = self
                    .of_day(day)
                    .into_iter()
                    .filter(|(last, ..)| *last > after)
                    .skip(usize::try_from(offset).unwrap_or_default())
                    .take(usize::try_from(limit).unwrap_or_default());
                let mut text = String::with_capacity(usize::try_from(limit).unwrap_or_default() * 4_500);
                text.push('[');
                for (index, (_, number, first)) in page.enumerate() {
                    if index > 0 {
                        text.push(',');
                    }
                    self.template(number).write(number, first, &mut text);
                }
                text.push(']');
                text
            }
            _ => return Answer::text("no such method").with_status(404),
        };
        self.sent.fetch_add(body.len() as u64, Ordering::Relaxed);
        Answer::json(body)
    }
}

async fn serve(traffic: Traffic) -> Outcome {
    let matomo = Arc::new(Matomos::new(traffic)?);
    let answering = Arc::clone(&matomo);
    let server = Server::start(move |request| answering.answer(request)).await?;
    println!("{}", server.port());
    tokio::task::spawn_blocking(|| std::io::stdin().lines().count()).await?;
    println!("{}", json!({"sent": matomo.sent.load(Ordering::Relaxed), "cpu_s": cpu_seconds()}));
    Ok(())
}

/// A server in a process of its own, so that its memory is not counted.
struct Serving {
    process: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Serving {
    fn start(traffic: &Traffic) -> Outcome<(Self, String)> {
        let mut process = Process::new(std::env::current_exe()?)
            .args(["serve", "--days", &traffic.days.to_string(), "--visits", &traffic.visits.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut answers = BufReader::new(process.stdout.take().ok_or("no output")?);
        let mut port = String::new();
        answers.read_line(&mut port)?;
        Ok((Self { process, answers }, format!("127.0.0.1:{}", port.trim())))
    }

    /// What it sent and what that took.
    fn stop(mut self) -> Outcome<Value> {
        drop(self.process.stdin.take());
        let mut text = String::new();
        self.answers.read_line(&mut text)?;
        self.process.wait()?;
        Ok(serde_json::from_str(&text)?)
    }
}

async fn run(
    traffic: &Traffic,
    warehouse: &str,
    server: Option<String>,
    concurrency: usize,
    page: usize,
    at_most: Option<u64>,
) -> Outcome {
    let (serving, host) = match server {
        Some(host) => (None, host),
        None => {
            let (serving, host) = Serving::start(traffic)?;
            (Some(serving), host)
        }
    };
    let matomo = Matomo::builder(&format!("http://{host}"))
        .allow_insecure_host(&host)
        .token(TOKEN)
        .site(SITE)
        .page_size(page)
        .concurrency(concurrency)
        .build()?;
    let until = first_day() + chrono::Days::new(traffic.days);
    let warehouse = mkt_warehouse::open(warehouse).await?;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let report = Pipeline::new(matomo, warehouse)
        .streams(["visits"])
        .concurrency(concurrency)
        .clock(clock())
        .run(Window { from: first_day(), until })
        .await?;
    let seconds = began.elapsed().as_secs_f64();
    let expected = traffic.days * traffic.visits;
    if !report.failures.is_empty() || !report.unreconciled.is_empty() || report.rows["sessions"] != expected {
        return Err(format!("{report:#?}").into());
    }
    let mut told = told(&report, seconds, cpu_seconds() - cpu);
    if let Some(serving) = serving {
        told["server"] = serving.stop()?;
    }
    println!("{told}");
    let peak = peak_mib();
    match at_most {
        Some(most) if peak > most => Err(format!("{peak} MiB of memory, more than {most}").into()),
        _ => Ok(()),
    }
}

async fn csv(rows: u64, days: u64, file: PathBuf, warehouse: &str, concurrency: usize) -> Outcome {
    let mut out = BufWriter::new(std::fs::File::create(&file)?);
    writeln!(out, "event_id,user_id,event_type,timestamp,channel,revenue,properties")?;
    // In the order of time, as an export is.
    for n in 0..rows {
        let second = n.saturating_mul(days * 86_400) / rows.max(1);
        let at = first_day().and_hms_opt(0, 0, 0).unwrap_or_default().and_utc().timestamp() + second as i64;
        let at: DateTime<Utc> = DateTime::from_timestamp(at, 0).unwrap_or_default();
        let (kind, revenue) = if n % 50 == 0 { ("purchase", "19.90") } else { ("page_view", "0") };
        writeln!(
            out,
            "{n},u{},{kind},{},organic,{revenue},\"{{\"\"url\"\":\"\"https://shop.example.org/category/product-{}\"\"}}\"",
            n % 100_003,
            at.format("%Y-%m-%d %H:%M:%S"),
            n % 997
        )?;
    }
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    let bytes = std::fs::metadata(&file)?.len();
    let source = CsvSource::builder("shop", chrono_tz::UTC).events(file).build()?;
    let warehouse = mkt_warehouse::open(warehouse).await?;
    let (began, cpu) = (Instant::now(), cpu_seconds());
    let until = first_day() + chrono::Days::new(days);
    let report = Pipeline::new(source, warehouse)
        .streams(["events"])
        .concurrency(concurrency)
        .clock(clock())
        .run(Window { from: first_day(), until })
        .await?;
    if !report.failures.is_empty() || report.rows["events"] != rows {
        return Err(format!("{report:#?}").into());
    }
    let mut told = told(&report, began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    told["file_bytes"] = bytes.into();
    println!("{told}");
    Ok(())
}

fn told(report: &RunReport, wall_s: f64, cpu_s: f64) -> Value {
    let rows: u64 = report.rows.values().sum();
    json!({"rows": rows, "by_table": report.rows, "wall_s": wall_s, "cpu_s": cpu_s, "peak_mib": peak_mib()})
}

/// The most memory that this process has held, in MiB, as Linux counts it (`VmHWM`); 0 where it is not told.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
}

/// Seconds of all threads, user and system, as Linux counts them in hundredths; 0 where they are not told.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
