//! A pipeline that is killed at any instant and at every point of a slice's way: after each kill every slice is the old
//! one or the new one, together with its ledger row; at the end tables and ledger are those of a run that nobody killed.
//!
//! The test runs its own binary again as the pipeline. Five phases ([`story`]) bring late data, revisions, quarantine
//! and its repair, failures, and finality; in each phase processes are killed before one is let to its end. A
//! quarter of the kills comes from outside (SIGKILL after a random time), the rest from within ([`points`]: the process aborts at its n-th
//! passage of a point). `MKT_TEST_KILLS` (default 12, on each engine) and `MKT_TEST_SEED` choose how often and when.
//! A killed process loses nothing that it handed to the operating system: this says nothing about a power cut.
//!
//! That the proof bites is a test: loads that commit rows and ledger apart are found by the same checks.

mod points;
mod story;

use crate::support::dump_timeless;
use mkt_connect::clock::ManualClock;
use mkt_etl::{Pipeline, ledger};
use mkt_warehouse::{ColumnType, Query, Record, Value, Warehouse, model, open};
use points::{Fuse, FusedSource, FusedWarehouse, HALVES, POINTS, Sabotage};
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use story::Story;

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| text.parse().unwrap())
}

/// The 64-bit generator of Knuth's MMIX: the next state's upper bits, below a bound.
fn random(state: &mut u64, below: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % below.max(1)
}

/// A phase, with points that are counted or that end the process. Gives whether something was written.
async fn run_phase(
    warehouse: Arc<dyn Warehouse>,
    phase: usize,
    fuse: &Fuse,
    sabotage: Option<Sabotage>,
) -> bool {
    let source = FusedSource { inner: Story { phase }, fuse: fuse.clone() };
    let warehouse = FusedWarehouse { inner: warehouse, fuse: fuse.clone(), sabotage };
    let between = fuse.clone();
    let pipeline = Pipeline::new(source, warehouse)
        .clock(ManualClock::new(story::clock(phase)))
        .on_progress(move |_| between.pass("between slices"));
    pipeline.run(story::window()).await.unwrap().changed
}

/// What the child process does: one phase, to its end or to its point.
#[test]
fn child_that_runs_a_phase() {
    let Ok(url) = std::env::var("MKT_TEST_KILL_URL") else { return };
    let phase = number("MKT_TEST_KILL_PHASE", 0) as usize;
    let fuse = match std::env::var("MKT_TEST_KILL_POINT") {
        Ok(point) => Fuse::at(&point, number("MKT_TEST_KILL_NUMBER", 1)),
        Err(_) => Fuse::counting(),
    };
    let sabotage = std::env::var("MKT_TEST_KILL_SABOTAGE").ok().map(|name| Sabotage::parse(&name));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        run_phase(open(&url).await.unwrap(), phase, &fuse, sabotage).await;
    });
}

/// How a process is killed.
#[derive(Debug, Clone)]
enum Kill {
    /// From outside, so long after its start.
    After(Duration),
    /// By itself, at a point.
    At(&'static str, u64),
}

/// A process that is killed, whatever becomes of the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs a phase in a process of its own. Gives whether it was killed before it came to its end.
fn run_process(url: &str, phase: usize, kill: Option<&Kill>, sabotage: Option<Sabotage>) -> bool {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "killed::child_that_runs_a_phase", "--nocapture"])
        .env("MKT_TEST_KILL_URL", url)
        .env("MKT_TEST_KILL_PHASE", phase.to_string())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(Kill::At(point, number)) = kill {
        command.env("MKT_TEST_KILL_POINT", point).env("MKT_TEST_KILL_NUMBER", number.to_string());
    }
    if let Some(sabotage) = sabotage {
        command.env("MKT_TEST_KILL_SABOTAGE", sabotage.name());
    }
    let mut process = Process(command.spawn().unwrap());
    if let Some(Kill::After(wait)) = kill {
        std::thread::sleep(*wait);
        let _ = process.0.kill();
    }
    let status = process.0.wait().unwrap();
    assert!(
        status.success() || (kill.is_some() && status.signal().is_some()),
        "phase {phase}, {kill:?}: the process ended by itself: {status}"
    );
    !status.success()
}

/// What a slice holds, without what tells when and how often it was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Held {
    rows: BTreeSet<String>,
    ledger: Option<String>,
    /// Whether a row of it moved to another slice, so that it has to be loaded again.
    lost_rows: bool,
    /// The states that the ledger, the warehouse's own ledger and the rows tell.
    states: BTreeSet<String>,
}

type Slices = BTreeMap<i64, Held>;

/// Every slice by its `load_id`.
async fn slices(warehouse: &dyn Warehouse) -> Slices {
    let mut slices = Slices::new();
    let sliced = model::TABLES.iter().chain(ledger::TABLES).filter(|schema| schema.is_sliced());
    for schema in sliced {
        let table = warehouse.query(&Query::table(schema)).await.unwrap();
        for row in 0..table.rows() {
            let Value::Int(load_id) = table.value(row, "load_id") else { panic!("a row without a slice") };
            let held = slices.entry(load_id).or_default();
            let mut line = format!("{}:", schema.name);
            for (name, value) in table.names().iter().zip(table.row(row)) {
                if name == "state" {
                    held.states.insert(format!("{value:?}"));
                } else {
                    line.push_str(&format!(" {value:?}"));
                }
            }
            held.rows.insert(line);
        }
    }
    let loads = warehouse.query(&Query::table(&model::Load::SCHEMA)).await.unwrap();
    for row in 0..loads.rows() {
        let load = model::Load::read(&loads, row).unwrap();
        // Ledgers of sites and of failures are slices without rows.
        if load.source == "etl" {
            continue;
        }
        let held = slices.entry(load.load_id).or_default();
        held.lost_rows = load.content_hash.is_empty();
        held.states.insert(format!("{:?}", Value::Text(load.state.to_string())));
    }
    let ledger = warehouse.query(&Query::table(&ledger::SliceRow::SCHEMA)).await.unwrap();
    for row in 0..ledger.rows() {
        let mut row = ledger::SliceRow::read(&ledger, row).unwrap();
        let held = slices.entry(row.key().load_id()).or_default();
        if row.fingerprint.is_some() {
            held.states.insert(format!("{:?}", Value::Text(row.state.to_string())));
        }
        // A second look may settle what the first one found.
        (row.state, row.is_final) = (model::SliceState::Planned, false);
        (row.failed_attempts, row.last_error, row.changed_at) = (0, None, story::clock(0));
        held.ledger = Some(format!("{row:?}"));
    }
    slices
}

/// Looks whether every slice is as it was before the phase or as it will be after it.
fn check_slices(held: &Slices, before: &Slices, after: &Slices) -> Result<(), String> {
    let nothing = Held::default();
    for load_id in held.keys().chain(before.keys()).chain(after.keys()) {
        let of = |slices: &Slices| slices.get(load_id).cloned().unwrap_or_else(|| nothing.clone());
        let found = of(held);
        let is = |version: &Held| {
            // The one visit that moves has three rows.
            let lacks = version.rows.len().saturating_sub(found.rows.len());
            let rows = found.rows == version.rows
                || found.lost_rows && lacks <= 3 && found.rows.is_subset(&version.rows);
            rows && found.ledger == version.ledger
        };
        if !is(&of(before)) && !is(&of(after)) {
            return Err(format!(
                "slice {load_id} is neither the old nor the new one: {} rows, {} before, {} after; ledger {:?}",
                found.rows.len(),
                of(before).rows.len(),
                of(after).rows.len(),
                found.ledger
            ));
        }
        if found.states.len() > 1 {
            return Err(format!("slice {load_id} is in the states {:?} at once", found.states));
        }
    }
    Ok(())
}

/// A run that nobody kills.
struct Clean {
    /// The slices before the first phase and after each.
    slices: Vec<Slices>,
    /// Tables and ledger after the last phase.
    tables: String,
    /// How often each point is passed in each phase.
    passed: Vec<BTreeMap<&'static str, u64>>,
}

async fn clean(url: &str) -> Clean {
    let warehouse = open(url).await.unwrap();
    let mut clean = Clean { slices: vec![Slices::new()], tables: String::new(), passed: Vec::new() };
    for phase in 0..=story::LAST {
        let fuse = Fuse::counting();
        run_phase(Arc::clone(&warehouse), phase, &fuse, None).await;
        clean.slices.push(slices(&*warehouse).await);
        clean.passed.push(fuse.passed());
    }
    clean.tables = dump_timeless(&warehouse).await;
    clean
}

/// A kill of the `turn`th process: points in turn, each at a random passage, and instants.
fn choose(turn: u64, passed: &BTreeMap<&'static str, u64>, takes: Duration, seed: &mut u64) -> Kill {
    let point = POINTS[turn as usize % POINTS.len()];
    match passed.get(point) {
        Some(passages) if random(seed, 4) > 0 => Kill::At(point, 1 + random(seed, *passages)),
        _ => Kill::After(Duration::from_micros(random(seed, takes.as_micros() as u64))),
    }
}

async fn a_killed_pipeline(url: &str, clean: &Clean) {
    const PHASES: u64 = story::LAST as u64 + 1;
    let (kills, mut seed) = (number("MKT_TEST_KILLS", 12), number("MKT_TEST_SEED", 7));
    let (mut done, mut turn, mut round) = (0, 0, 0);
    let mut at_points = BTreeMap::<&str, u64>::new();
    // A warehouse of its own for each story; a story has four kills in each of its phases.
    while done < kills {
        let url = fresh(url, round).await;
        let warehouse = open(&url).await.unwrap();
        let mut takes = Duration::from_millis(500);
        for phase in 0..PHASES as usize {
            let until = (done + kills.div_ceil(PHASES).min(4)).min(kills);
            while done < until {
                let kill = choose(turn, &clean.passed[phase], takes, &mut seed);
                turn += 1;
                if !run_process(&url, phase, Some(&kill), None) {
                    continue;
                }
                done += 1;
                if let Kill::At(point, _) = kill {
                    *at_points.entry(point).or_default() += 1;
                }
                // A process that was killed in its first moments has made no table.
                if phase > 0 || warehouse.query(&Query::table(&ledger::SliceRow::SCHEMA)).await.is_ok() {
                    let (before, after) = (&clean.slices[phase], &clean.slices[phase + 1]);
                    if check_slices(&slices(&*warehouse).await, before, after).is_err() {
                        // A server goes on with a commit that it got before the client died, and the tables and
                        // the ledger are read one after the other: what is torn stays torn.
                        tokio::time::sleep(Duration::from_secs(1)).await;
                        if let Err(torn) = check_slices(&slices(&*warehouse).await, before, after) {
                            panic!("phase {phase}, {kill:?}, seed {seed}: {torn}");
                        }
                    }
                }
            }
            let began = Instant::now();
            assert!(!run_process(&url, phase, None, None));
            takes = began.elapsed();
        }
        let held = dump_timeless(&warehouse).await;
        for (held, expected) in held.lines().zip(clean.tables.lines()) {
            assert_eq!(held, expected, "round {round}: the tables are not those of a clean run");
        }
        assert_eq!(held.lines().count(), clean.tables.lines().count());
        let before = imprint(&warehouse, &url).await;
        assert!(!run_phase(Arc::clone(&warehouse), story::LAST, &Fuse::counting(), None).await);
        assert!(imprint(&warehouse, &url).await == before, "a replay wrote something");
        round += 1;
    }
    println!("{done} kills in {round} stories, of them {at_points:?}; 0 torn, all equal to a clean run");
}

/// An empty warehouse beside another one.
async fn fresh(url: &str, round: u64) -> String {
    match url.split_once("options[search_path]=") {
        None => format!("{url}{round}"),
        Some((server, schema)) => {
            let schema = format!("{schema}_{round}");
            let admin = open(url).await.unwrap();
            admin.query(&Query::new(format!("create schema {schema}"))).await.unwrap();
            format!("{server}options[search_path]={schema}")
        }
    }
}

/// What changes with every write, whatever is written: the bytes of an SQLite file and its log, the transactions that
/// PostgreSQL's rows come from.
async fn imprint(warehouse: &Arc<dyn Warehouse>, url: &str) -> Vec<Vec<u8>> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        return ["", "-wal"]
            .iter()
            .map(|end| std::fs::read(format!("{path}{end}")).unwrap_or_default())
            .collect();
    }
    let mut imprint = Vec::new();
    for schema in model::TABLES.iter().chain(ledger::TABLES) {
        let query = Query::new(format!(
            "select coalesce(string_agg(ctid::text || xmin::text, ' ' order by ctid), '') from \"{}\"",
            schema.name
        ))
        .column("rows", ColumnType::Text);
        imprint.push(format!("{:?}", warehouse.query(&query).await.unwrap().row(0)).into_bytes());
    }
    imprint
}

/// Where rows and ledger do not commit together, a kill between them is seen by [`check_slices`].
async fn sabotaged(url: &str, clean: &Clean, sabotage: Sabotage) {
    let warehouse = open(url).await.unwrap();
    for (phase, number) in [(0, 6), (1, 2)] {
        assert!(run_process(url, phase, Some(&Kill::At(HALVES, number)), Some(sabotage)));
        let held = slices(&*warehouse).await;
        let verdict = check_slices(&held, &clean.slices[phase], &clean.slices[phase + 1]);
        assert!(
            verdict.is_err(),
            "phase {phase}: a load in two halves, {sabotage:?}, was torn and not found"
        );
        assert!(!run_process(url, phase, None, None));
    }
}

async fn every_proof(url: &str) {
    let clean = clean(&fresh(url, 1_000_000).await).await;
    let passed: BTreeSet<&str> = clean.passed.iter().flat_map(BTreeMap::keys).copied().collect();
    assert_eq!(passed, POINTS.into_iter().collect(), "the story passes every point");
    a_killed_pipeline(url, &clean).await;
    for (number, sabotage) in [Sabotage::LedgerFirst, Sabotage::RowsFirst].into_iter().enumerate() {
        sabotaged(&fresh(url, 2_000_000 + number as u64).await, &clean, sabotage).await;
    }
}

#[tokio::test]
async fn a_killed_pipeline_leaves_whole_slices_in_sqlite_and_ends_as_a_clean_run() {
    let folder = tempfile::tempdir().unwrap();
    every_proof(&format!("sqlite:{}", folder.path().join("w").display())).await;
}

#[cfg(feature = "postgres")]
#[tokio::test]
async fn a_killed_pipeline_leaves_whole_slices_in_postgres_and_ends_as_a_clean_run() {
    let Some(url) = crate::support::postgres_url().await else { return };
    every_proof(&url).await;
}
