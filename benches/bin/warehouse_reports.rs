//! The Rust side of `compare/warehouse/reports.py`: makes the data, and answers reports line by line.

#![allow(clippy::print_stdout)]

use chrono::{DateTime, SecondsFormat, TimeDelta};
use clap::{Args, Parser, Subcommand};
use mkt_benches::{SOURCE, World, ZONE};
use mkt_warehouse::report::{self, Report, Scope};
use mkt_warehouse::{Batch, LOAD_ID, Record, SliceKey, Table, Value, Warehouse, model};
use std::error::Error;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Writes a CSV per table, in the columns of the tables.
    Csv {
        #[command(flatten)]
        world: WorldArguments,
        /// The folder.
        #[arg(long)]
        out: PathBuf,
    },
    /// Creates the tables.
    Migrate {
        /// `sqlite:PATH` or `postgres://…`.
        #[arg(long)]
        warehouse: String,
    },
    /// Creates the tables and loads the world through the library.
    Fill {
        /// `sqlite:PATH` or `postgres://…`.
        #[arg(long)]
        warehouse: String,
        #[command(flatten)]
        world: WorldArguments,
    },
    /// Reads a report's name per line and answers each with a line of JSON: the answer, and the seconds it took.
    Ask {
        /// `sqlite:PATH` or `postgres://…`.
        #[arg(long)]
        warehouse: String,
    },
    /// Prints the names of the reports.
    Names,
}

#[derive(Args)]
struct WorldArguments {
    #[arg(long, default_value_t = 1_000_000)]
    events: u64,
    #[arg(long, default_value_t = 42)]
    seed: u64,
    /// With robots, second sources, shared persons and two currencies.
    #[arg(long)]
    tangled: bool,
}

impl WorldArguments {
    fn world(&self) -> World {
        World { events: self.events, seed: self.seed, tangled: self.tangled }
    }
}

/// Sessions, with their events, that are held at once.
const CHUNK: usize = 50_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome {
    match Command::parse().task {
        Task::Csv { world, out } => csv(&world.world(), &out),
        Task::Migrate { warehouse } => {
            let warehouse = mkt_warehouse::open(&warehouse).await?;
            warehouse.migrate(&model::SCHEMA).await?;
            zone(&warehouse).await
        }
        Task::Fill { warehouse, world } => {
            let warehouse = mkt_warehouse::open(&warehouse).await?;
            warehouse.migrate(&model::SCHEMA).await?;
            zone(&warehouse).await?;
            fill(&warehouse, &world.world()).await
        }
        Task::Ask { warehouse } => ask(&mkt_warehouse::open(&warehouse).await?).await,
        Task::Names => {
            for report in Report::ALL {
                println!("{}", report.name());
            }
            Ok(())
        }
    }
}

async fn zone(warehouse: &dyn Warehouse) -> Outcome {
    Ok(report::load_zone(warehouse, ZONE, 2025, 2027, DateTime::UNIX_EPOCH).await?)
}

async fn fill(warehouse: &dyn Warehouse, world: &World) -> Outcome {
    let at = DateTime::UNIX_EPOCH;
    let people = Batch::new(SliceKey::whole(SOURCE, "people", "all"))
        .replace(world.users())
        .replace(world.identities())
        .replace(world.campaigns())
        .replace(world.costs())
        .upsert(world.sites());
    warehouse.load(&people, at).await?;
    let (mut traffic, mut day) = (world.traffic(), World::first_day());
    loop {
        let (mut sessions, mut events) = (Vec::new(), Vec::new());
        for (session, of_session) in traffic.by_ref().take(CHUNK) {
            sessions.push(session);
            events.extend(of_session);
        }
        if sessions.is_empty() {
            return Ok(());
        }
        let batch = Batch::new(SliceKey::day(SOURCE, "visits", "all", day)).replace(sessions).replace(events);
        warehouse.load(&batch, at).await?;
        day += TimeDelta::days(1);
    }
}

/// A file that rows of one table are written to.
struct File {
    writer: csv::Writer<std::fs::File>,
    table: Table,
}

impl File {
    fn create<R: Record>(folder: &Path) -> Result<Self, csv::Error> {
        let mut writer = csv::Writer::from_path(folder.join(format!("{}.csv", R::SCHEMA.name)))?;
        writer.write_record(R::SCHEMA.columns.iter().map(|column| column.name))?;
        Ok(Self { writer, table: R::SCHEMA.empty() })
    }

    fn write<R: Record>(&mut self, rows: impl IntoIterator<Item = R>) -> Result<(), csv::Error> {
        for row in rows {
            row.append(&mut self.table, 1);
            if self.table.rows() == 10_000 {
                self.flush::<R>()?;
            }
        }
        Ok(())
    }

    fn flush<R: Record>(&mut self) -> Result<(), csv::Error> {
        for row in 0..self.table.rows() {
            self.writer.write_record(self.table.row(row).iter().map(cell))?;
        }
        self.table = R::SCHEMA.empty();
        Ok(())
    }
}

fn csv(world: &World, folder: &Path) -> Outcome {
    fn whole<R: Record>(folder: &Path, rows: impl IntoIterator<Item = R>) -> Outcome {
        let mut file = File::create::<R>(folder)?;
        file.write(rows)?;
        file.flush::<R>()?;
        Ok(file.writer.flush()?)
    }
    debug_assert_eq!(LOAD_ID, "load_id");
    std::fs::create_dir_all(folder)?;
    whole(folder, world.sites())?;
    whole(folder, world.users())?;
    whole(folder, world.identities())?;
    whole(folder, world.campaigns())?;
    whole(folder, world.costs())?;
    let mut sessions = File::create::<model::Session>(folder)?;
    let mut events = File::create::<model::Event>(folder)?;
    for (session, of_session) in world.traffic() {
        sessions.write([session])?;
        events.write(of_session)?;
    }
    sessions.flush::<model::Session>()?;
    events.flush::<model::Event>()?;
    sessions.writer.flush()?;
    events.writer.flush()?;
    Ok(())
}

/// As PostgreSQL, DuckDB and Polars read it; null is empty.
fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Timestamp(at) => at.to_rfc3339_opts(SecondsFormat::Micros, true),
        Value::Bool(truth) => truth.to_string(),
        Value::Float(value) => value.to_string(),
        other => other.to_string(),
    }
}

async fn ask(warehouse: &dyn Warehouse) -> Outcome {
    let scope = Scope::days(ZONE, World::first_day(), World::until_day() + TimeDelta::days(1))?;
    for line in std::io::stdin().lock().lines() {
        let name = line?;
        let report: Report = name.trim().parse()?;
        let asked = Instant::now();
        let table = report.run(warehouse, &scope).await?;
        let seconds = asked.elapsed().as_secs_f64();
        // Long answers are counted, not shown.
        let rows: Vec<Vec<Value>> = (0..table.rows().min(2_000)).map(|row| table.row(row)).collect();
        let answer = serde_json::json!({
            "report": report.name(), "seconds": seconds, "count": table.rows(), "columns": table.names(), "rows": rows,
        });
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}
