//! The Rust side of `compare/warehouse/{load,batch}.py`: writes rows as CSV for the peers, and loads the same rows through the
//! library.

#![allow(clippy::print_stdout)]

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use clap::{Parser, Subcommand, ValueEnum};
use mkt_benches::World;
use mkt_connect::Stop;
use mkt_etl::csv::{CsvSource, Load as Files};
use mkt_warehouse::model::{self, Amount, Event};
use mkt_warehouse::{Batch, Column, Migration, Record, Schema, SliceKey, Warehouse, record};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use rust_decimal::Decimal;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::Instant;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

record! {
    /// A narrow row.
    Narrow in "narrow" sliced, key [id] {
        /// In the order of the rows.
        id: i64,
        /// Eight characters.
        user_id: String,
        /// When.
        at: DateTime<Utc>,
        /// One of a few short texts.
        kind: String,
        /// Money.
        amount: Amount,
    }
}

const NARROW: Schema = Schema {
    owner: "narrow",
    tables: &[Narrow::SCHEMA],
    migrations: &[Migration {
        version: 1,
        description: "narrow rows",
        sqlite: "create table narrow (id integer not null primary key, user_id text not null, at integer not null, \
                 kind text not null, amount integer not null, load_id integer not null) strict; \
                 create index narrow_user on narrow (user_id); create index narrow_load on narrow (load_id);",
        postgres: "create table narrow (id bigint not null primary key, user_id text collate \"C\" not null, \
                   at timestamptz not null, kind text collate \"C\" not null, amount decimal(10, 2) not null, \
                   load_id bigint not null); \
                   create index narrow_user on narrow (user_id); create index narrow_load on narrow (load_id);",
    }],
};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Shape {
    /// Six columns, two indexes and the key.
    Narrow,
    /// The table `events`: fourteen columns, four indexes and the key.
    Events,
}

#[derive(Parser)]
struct Command {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Creates the table in a warehouse, and nothing else.
    Migrate {
        /// `sqlite:PATH` or `postgres://…`.
        #[arg(long)]
        warehouse: String,
        #[arg(long)]
        shape: Shape,
    },
    /// Writes the rows as CSV, as the engine stores them.
    Csv {
        #[arg(long)]
        shape: Shape,
        #[arg(long)]
        rows: u64,
        /// SQLite's whole numbers instead of PostgreSQL's texts for instants and amounts.
        #[arg(long)]
        sqlite: bool,
        #[arg(long)]
        out: PathBuf,
    },
    /// Loads files of sessions and events as the example `load_events` does.
    Files {
        /// `sqlite:PATH`; its tables are created.
        #[arg(long)]
        warehouse: String,
        #[arg(long)]
        events: PathBuf,
        #[arg(long)]
        sessions: PathBuf,
    },
    /// Makes the rows, then loads them, and prints the seconds of the load alone.
    Load {
        /// `sqlite:PATH` or `postgres://…`; its tables are created.
        #[arg(long)]
        warehouse: String,
        #[arg(long)]
        shape: Shape,
        #[arg(long)]
        rows: u64,
        /// Puts one row there first, so that SQLite's indexes are kept up row by row.
        #[arg(long)]
        indexed: bool,
    },
}

#[tokio::main]
async fn main() -> Outcome {
    match Command::parse().task {
        Task::Migrate { warehouse, shape } => {
            migrate(&*mkt_warehouse::open(&warehouse).await?, shape).await?;
            Ok(())
        }
        Task::Csv { shape, rows, sqlite, out } => {
            let mut writer = csv::Writer::from_path(out)?;
            for rows in batch(shape, rows).replaced() {
                for row in 0..rows.table.rows() {
                    writer.write_record(
                        rows.table
                            .columns()
                            .iter()
                            .map(|column| cell(column, row, sqlite).unwrap_or_default()),
                    )?;
                }
            }
            Ok(writer.flush()?)
        }
        Task::Files { warehouse, events, sessions } => files(&warehouse, &events, &sessions).await,
        Task::Load { warehouse, shape, rows, indexed } => load(&warehouse, shape, rows, indexed).await,
    }
}

async fn files(url: &str, events: &Path, sessions: &Path) -> Outcome {
    let warehouse = mkt_warehouse::open(url).await?;
    let builder = CsvSource::builder("shop", chrono_tz::Europe::Paris);
    let source = builder.events(events).sessions(sessions).build()?;
    let loaded = Files::new(source, warehouse).run(&Stop::new()).await?;
    println!("{{\"read\": {}, \"loaded\": {}}}", loaded.read, loaded.loaded);
    Ok(())
}

async fn migrate(warehouse: &dyn Warehouse, shape: Shape) -> mkt_connect::Result<()> {
    warehouse.migrate(&model::SCHEMA).await?;
    if shape == Shape::Narrow {
        warehouse.migrate(&NARROW).await?;
    }
    Ok(())
}

async fn load(url: &str, shape: Shape, rows: u64, indexed: bool) -> Outcome {
    let warehouse = mkt_warehouse::open(url).await?;
    migrate(&*warehouse, shape).await?;
    let at = DateTime::UNIX_EPOCH;
    if indexed {
        let key = SliceKey::whole("bench", "first", "shop");
        let first = match shape {
            Shape::Narrow => Batch::new(key).replace(narrow(1).map(|row| Narrow { id: -1, ..row })),
            Shape::Events => {
                Batch::new(key).replace(events(1).into_iter().map(|row| Event { event_id: -1, ..row }))
            }
        };
        warehouse.load(&first, at).await?;
    }
    let batch = batch(shape, rows);
    let (begin, cpu) = (Instant::now(), cpu_seconds());
    let receipt = warehouse.load(&batch, at).await?;
    let (wall, cpu) = (begin.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!("{{\"rows\": {}, \"wall_s\": {wall:.4}, \"cpu_s\": {cpu:.4}}}", receipt.written);
    Ok(())
}

/// User and system time of this process, where the kernel tells.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: f64 = after.split_whitespace().skip(11).take(2).filter_map(|x| x.parse::<f64>().ok()).sum();
    ticks / 100.0
}

fn batch(shape: Shape, rows: u64) -> Batch {
    let key = SliceKey::whole("bench", "load", "shop");
    match shape {
        Shape::Narrow => Batch::new(key).replace(narrow(rows)),
        Shape::Events => Batch::new(key).replace(events(rows)),
    }
}

fn narrow(rows: u64) -> impl Iterator<Item = Narrow> {
    const KINDS: [&str; 5] = ["page_view", "goal", "search", "download", "purchase"];
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(7);
    let first =
        NaiveDate::from_ymd_opt(2026, 5, 1).unwrap_or_default().and_time(chrono::NaiveTime::MIN).and_utc();
    (0..rows).map(move |row| Narrow {
        id: i64::try_from(row).unwrap_or(i64::MAX),
        user_id: format!("u{:07}", rng.random_range(0..rows / 20 + 1)),
        at: first + TimeDelta::milliseconds(i64::try_from(row).unwrap_or(0) * 250),
        kind: KINDS[rng.random_range(0..KINDS.len())].to_owned(),
        amount: Amount(Decimal::new(rng.random_range(0..20_000), 2)),
    })
}

/// The first events of the shop of the reports' bench.
fn events(rows: u64) -> Vec<Event> {
    let world = World::plain(rows + rows / 10 + 1_000);
    world.traffic().flat_map(|(_, events)| events).take(usize::try_from(rows).unwrap_or(usize::MAX)).collect()
}

/// The cell as the engine's own loader reads it; nothing for null.
fn cell(column: &Column, row: usize, sqlite: bool) -> Option<String> {
    match column {
        Column::Timestamp(values) => values.get(row).copied().flatten().map(|at| match sqlite {
            true => at.timestamp_micros().to_string(),
            false => at.to_rfc3339(),
        }),
        Column::Decimal(scale, values) if sqlite => values.get(row).copied().flatten().map(|mut value| {
            value.rescale(*scale);
            value.mantissa().to_string()
        }),
        Column::Text(values) | Column::Json(values) => values.get(row).cloned().flatten(),
        other => match other.value(row) {
            mkt_warehouse::Value::Null => None,
            value => Some(serde_json::to_string(&value).unwrap_or_default().trim_matches('"').to_owned()),
        },
    }
}
