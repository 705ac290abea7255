//! The embedded engine: one SQLite file, no server.
//!
//! The file is in WAL mode: readers see the state before or after a load and never wait for it. Loads of one process
//! queue for one writing connection; loads of several processes queue for SQLite's write lock, up to
//! [`SqliteOptions::busy_timeout`]. Reads and loads run in the runtime's pool for blocking calls; a query whose future or
//! stream is dropped is interrupted, and so is a load, which is then undone.

mod answer;
mod connect;
mod error;
mod exclusive;
mod indexes;
mod insert;
mod load;
mod read;
mod write;

use crate::batch::Batch;
use crate::chunk::Chunk;
use crate::dialect::Dialect;
use crate::exclusive::Exclusive;
use crate::loading::{Loading, OneByOne};
use crate::model;
use crate::query::Query;
use crate::schema::Schema;
use crate::statement;
use crate::table::{ColumnType, Table, Value};
use crate::warehouse::{Receipt, Warehouse};
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use connect::Place;
use error::{SERVICE, storage};
use futures_util::stream::BoxStream;
use mkt_connect::{Error, ErrorKind, Result, sql};
use read::Readers;
use sqlx::ConnectOptions;
use sqlx::migrate::Migrator;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use write::Writer;

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqliteOptions {
    /// How long a load waits for another process's load. Default 30 s.
    pub busy_timeout: Duration,
    /// Whether every load waits until the disk has it (`synchronous = FULL`). Without, as by default (`NORMAL`), a
    /// power cut may undo the last loads, each as a whole; the file stays sound and the loads can be repeated. A
    /// killed process loses nothing either way.
    pub durable: bool,
    /// Whether a new file is readable by its owner only (mode 0600), as by default: user ids are personal data, and
    /// other crates may keep addresses in the same file. Without, the process's umask decides. A file that exists keeps
    /// its mode.
    pub private: bool,
    /// The largest size of the file in bytes, rounded down to pages of 4096; a load beyond it fails and changes
    /// nothing.
    pub max_bytes: Option<u64>,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self { busy_timeout: Duration::from_secs(30), durable: false, private: true, max_bytes: None }
    }
}

/// A warehouse in one SQLite file, or in memory. Cloning shares the connections.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// use mkt_warehouse::{Sqlite, Warehouse, model};
/// let warehouse = Sqlite::in_memory().await?;
/// warehouse.migrate(&model::SCHEMA).await?;
/// # Ok::<(), mkt_connect::Error>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Sqlite {
    /// Brings tables up to date.
    tables: SqlitePool,
    write: Writer,
    read: Readers,
    /// Keeps a database in memory alive: sqlx may replace the pool's connection after a call was dropped.
    memory: Option<Arc<Mutex<SqliteConnection>>>,
    /// Where named locks are.
    locks: exclusive::Place,
}

impl std::fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sqlite").field("in_memory", &self.memory.is_some()).finish_non_exhaustive()
    }
}

impl Sqlite {
    /// Opens the file, creating it if there is none. Its folder must exist. No table is created.
    ///
    /// # Errors
    /// `Storage` when the file cannot be opened or created, or is not a SQLite database.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// Opens the file as the options say.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub async fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self> {
        let path = path.as_ref();
        let connect = connect_options(&options).filename(path).journal_mode(SqliteJournalMode::Wal);
        let failed = |error: Error| {
            let clause = error.detail().unwrap_or("it cannot be opened").to_owned();
            error.with_detail(format!("{}: {clause}", path.display()))
        };
        if options.private {
            // SQLite names what is wrong with the path.
            let _ = sql::sqlite::create_private(path);
        }
        let patience = options.busy_timeout.saturating_mul(4);
        let one = SqlitePoolOptions::new().max_connections(1).acquire_timeout(patience);
        // Opened when tables have to be brought up to date, which is rare: it starts a thread.
        let tables = one.connect_lazy_with(connect);
        let place = Place::File(path.to_owned());
        let write = Writer::new(place.clone(), &settings(&options), options.busy_timeout, patience);
        write.create().await.map_err(failed)?;
        let read = Readers::new(place, options.busy_timeout, patience);
        let locks = exclusive::Place::Beside(path.to_owned());
        Ok(Self { tables, write, read, memory: None, locks })
    }

    /// Opens a file to ask it: nothing is created, migrated or changed, and loads fail. A file in a folder that cannot be
    /// written to, a copy on read-only media, is read as it stands.
    ///
    /// # Errors
    /// `Storage` when there is no such file, or it is not a SQLite database.
    pub async fn open_read_only(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let options = SqliteOptions::default();
        let frozen = connect::is_frozen(path);
        let connect = connect_options(&options).filename(path).read_only(true).immutable(frozen);
        let patience = options.busy_timeout.saturating_mul(4);
        let one = SqlitePoolOptions::new().max_connections(1).acquire_timeout(patience);
        // Opened lazily, so that a stranger's file has no more connections than it is asked through.
        let tables = one.connect_lazy_with(connect);
        let place = Place::ReadOnly { path: path.to_owned(), frozen };
        let write = Writer::new(place.clone(), "", options.busy_timeout, patience);
        let read = Readers::new(place, options.busy_timeout, patience);
        read.query(&Query::new("select count(*) from sqlite_master").column("count", ColumnType::Int))
            .await
            .map_err(|error| {
                let clause = error.detail().unwrap_or("it cannot be opened").to_owned();
                error.with_detail(format!("{}: {clause}", path.display()))
            })?;
        let locks = exclusive::Place::Beside(path.to_owned());
        Ok(Self { tables, write, read, memory: None, locks })
    }

    /// An empty warehouse in memory, gone when the last clone is dropped.
    ///
    /// Calls queue, and a scan holds its whole answer.
    ///
    /// # Errors
    /// `Storage` when there is no memory.
    pub async fn in_memory() -> Result<Self> {
        // Databases of this VFS are shared by name within the process, and gone with their last connection.
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("/mkt-warehouse-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let options = SqliteOptions::default();
        let connect = connect_options(&options).vfs("memdb").filename(&name).create_if_missing(true);
        let keeper = connect.connect().await.map_err(|cause| storage("open", cause))?;
        let patience = options.busy_timeout.saturating_mul(4);
        let tables = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(patience)
            .connect_with(connect)
            .await
            .map_err(|cause| storage("open", cause))?;
        let place = Place::Memory(name);
        let write = Writer::new(place.clone(), &settings(&options), options.busy_timeout, patience);
        let read = Readers::new(place, options.busy_timeout, patience);
        let locks = exclusive::Place::Here(Arc::default());
        Ok(Self { tables, write, read, memory: Some(Arc::new(Mutex::new(keeper))), locks })
    }

    /// The one number that a query answers.
    async fn count(&self, sql: &str) -> Result<Value> {
        Ok(self.read.query(&Query::new(sql).column("count", ColumnType::Int)).await?.value(0, "count"))
    }

    /// Whether just these migrations ran; whatever differs is for sqlx to judge.
    async fn is_current(&self, owner: &str, migrator: &Migrator) -> bool {
        let sql = format!(
            "select version || ' ' || hex(checksum) as step from {owner}_migrations where success order by version"
        );
        let Ok(ran) = self.read.query(&Query::new(sql).column("step", ColumnType::Text)).await else {
            return false;
        };
        let mut steps: Vec<_> = migrator.iter().collect();
        steps.sort_by_key(|step| step.version);
        ran.rows() == steps.len()
            && steps.iter().enumerate().all(|(row, step)| {
                let checksum: String = step.checksum.iter().map(|byte| format!("{byte:02X}")).collect();
                ran.text(row, "step").is_ok_and(|ran| ran == format!("{} {checksum}", step.version))
            })
    }

    /// Waits for running calls, folds the write-ahead log into the file and closes it. Dropping the last clone closes
    /// too, in the background; nothing committed is lost either way.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
        self.tables.close().await;
    }
}

fn connect_options(options: &SqliteOptions) -> SqliteConnectOptions {
    let connect = SqliteConnectOptions::new()
        .busy_timeout(options.busy_timeout)
        .synchronous(if options.durable { SqliteSynchronous::Full } else { SqliteSynchronous::Normal })
        .pragma("temp_store", "memory")
        // Statements hold no values, but a log line per chunk of a load helps nobody.
        .disable_statement_logging();
    match options.max_bytes {
        Some(bytes) => connect.page_size(4096).pragma("max_page_count", (bytes / 4096).max(1).to_string()),
        None => connect,
    }
}

/// What the connection that loads runs first. Indexes are sorted in files of the system's folder for temporary files: in
/// memory they would take as much as they are large.
fn settings(options: &SqliteOptions) -> String {
    let synchronous = if options.durable { "full" } else { "normal" };
    let most = options.max_bytes.map(|bytes| format!("; pragma max_page_count = {}", (bytes / 4096).max(1)));
    format!("pragma synchronous = {synchronous}; pragma temp_store = default{}", most.unwrap_or_default())
}

#[async_trait]
impl Warehouse for Sqlite {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    fn in_process(&self) -> bool {
        true
    }

    async fn check(&self) -> Result<()> {
        let known = model::SCHEMA.migrations.iter().map(|step| step.version).max().unwrap_or(0);
        let exists = "select count(*) from sqlite_master where name = 'warehouse_migrations'";
        if self.count(exists).await? == Value::Int(0) {
            return Ok(());
        }
        let held = self.count("select coalesce(max(version), 0) from warehouse_migrations").await?;
        if matches!(held, Value::Int(held) if held > known) {
            Err(sql::newer(SERVICE, "check"))
        } else {
            Ok(())
        }
    }

    async fn migrate(&self, schema: &Schema) -> Result<()> {
        let migrator = statement::migrator(schema, SERVICE, |step| step.sqlite)?;
        if self.is_current(schema.owner, &migrator).await {
            return Ok(());
        }
        let _turn = self.read.alone("migrate").await?;
        sql::sqlite::migrate(SERVICE, &self.tables, &migrator).await
    }

    async fn load(&self, batch: &Batch, at: DateTime<Utc>) -> Result<Receipt> {
        let _turn = self.read.alone("load").await?;
        let loaded = self.write.load_all(std::slice::from_ref(batch), at).await;
        loaded.into_iter().next().unwrap_or_else(|| Err(Error::new(ErrorKind::Other, SERVICE, "load")))
    }

    async fn load_all(&self, batches: &[Batch], at: DateTime<Utc>) -> Vec<Result<Receipt>> {
        match self.read.alone("load").await {
            Ok(_turn) => self.write.load_all(batches, at).await,
            Err(error) => batches.iter().map(|_| Err(write::again(&error))).collect(),
        }
    }

    async fn begin<'a>(&'a self, at: DateTime<Utc>) -> Result<Box<dyn Loading + 'a>> {
        if self.memory.is_some() {
            // Readers would be kept out.
            return Ok(Box::new(OneByOne::new(self, at)));
        }
        Ok(Box::new(self.write.begin(at).await?))
    }

    async fn exclusive(&self, name: &str) -> Result<Option<Exclusive>> {
        self.locks.exclusive(name).await
    }

    async fn query(&self, query: &Query) -> Result<Table> {
        self.read.query(query).await
    }

    fn scan<'a>(&'a self, query: &'a Query, chunk: usize) -> BoxStream<'a, Result<Table>> {
        self.read.scan(query, chunk)
    }

    fn chunks<'a>(&'a self, query: &'a Query, chunk: usize) -> BoxStream<'a, Result<Chunk>> {
        self.read.scan(query, chunk)
    }
}
