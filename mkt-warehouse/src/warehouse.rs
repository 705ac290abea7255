//! The trait that every engine implements.

use crate::batch::Batch;
use crate::chunk::Chunk;
use crate::dialect::Dialect;
use crate::exclusive::Exclusive;
use crate::loading::{Loading, OneByOne};
use crate::query::Query;
use crate::schema::Schema;
use crate::table::Table;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::{BoxStream, StreamExt};
use mkt_connect::{Error, ErrorKind, Result};
use std::fmt::Debug;
use std::sync::Arc;

/// What a load did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Receipt {
    /// Whether the slice already held exactly this content, so that none of its rows was written.
    pub replayed: bool,
    /// Rows of the slice written now.
    pub written: u64,
    /// Rows of the slice removed now.
    pub removed: u64,
    /// How often the slice's content changed, this load included; 1 after the first.
    pub revision: i64,
}

/// Keeps rows and answers queries.
///
/// # Contract
/// - [`migrate`](Self::migrate) brings the tables of one owner to their last version, or changes nothing; running it
///   again, or twice at once, is harmless.
/// - [`load`](Self::load) replaces the slice named by the batch's key, in every table that slices fill, also in those
///   that the batch does not name. **All or nothing**: after an error, a dropped future or a killed process the tables
///   hold the old slice or the new one, never a mixture, and never the rows without the ledger row in `loads`.
///   **Replay**: content whose [`Batch::content_hash`] the ledger already holds for this key writes no row of the
///   slice, and changes the ledger row at most in its state ([`Batch::state`]). A row whose primary key another slice holds moves to this slice; the other slice's hash is then cleared, so
///   that its next load is no replay. Rows of [`Batch::upserted`] are written in the same transaction in both cases.
/// - The sums of [`SessionQuarter`](crate::model::SessionQuarter) are those of the sessions after every load, in the same
///   transaction, and count in no [`Receipt`].
/// - Two rows of one primary key in one batch, rows to be replaced in a table without `load_id`, and rows to be upserted
///   in a table with one, are errors of the input.
/// - Two loads at once neither corrupt nor double; loads of one key are serialised.
/// - [`query`](Self::query) sees the state before or after any load.
/// - [`exclusive`](Self::exclusive) gives the lock of a name to one holder at a time, whatever process or machine asks:
///   `None` while another has it. It never waits for the holder. The lock ends when it is released (at once) or dropped
///   (soon), and the operating system or the server ends it when its process dies. Other names, and other warehouses,
///   are not concerned. It keeps nobody from loading or querying; it is for jobs of which one should run at a time.
///   An engine without such locks answers with an error of kind `Unsupported`.
/// - No method panics; errors are of kind `Storage` (disk, connection, corrupt file), `Input` (rows that do not fit,
///   named by table and column), `Config` (URL).
/// - Timestamps are kept to the microsecond, decimals exactly.
///
/// The conformance suite (feature `testing`) executes this text against every engine.
#[async_trait]
pub trait Warehouse: Debug + Send + Sync + 'static {
    /// The SQL that [`query`](Self::query) understands.
    fn dialect(&self) -> Dialect;

    /// Whether the engine runs in this process, so that a row costs a function call and no way over a network. Reports
    /// may then read rows by [`chunks`](Self::chunks) and add them up in Rust, where that is faster than the engine's own way;
    /// the numbers are the same. No, unless an engine says so; it must answer a `union all` part by part.
    fn in_process(&self) -> bool {
        false
    }

    /// Opens a connection and reads the schema version, without changing anything.
    async fn check(&self) -> Result<()>;

    /// Creates or upgrades the tables of one owner.
    async fn migrate(&self, schema: &Schema) -> Result<()>;

    /// Replaces a slice. `at` is written to the ledger when the content changed; the engine has no clock.
    async fn load(&self, batch: &Batch, at: DateTime<Utc>) -> Result<Receipt>;

    /// Loads several batches in their order, each as [`load`](Self::load) would; one answer for each. An engine may
    /// commit them together, which writes less. Then all of those that fit are there, or none is: a batch that does not
    /// fit (`Input`) changes nothing and keeps no other out.
    async fn load_all(&self, batches: &[Batch], at: DateTime<Utc>) -> Vec<Result<Receipt>> {
        let mut receipts = Vec::with_capacity(batches.len());
        for batch in batches {
            receipts.push(self.load(batch, at).await);
        }
        receipts
    }

    /// Begins a series of loads that are committed together, for what is at hand in many slices: one transaction writes
    /// less than many. An engine may keep other writers out until it is committed or dropped, so a slow source is better
    /// loaded slice by slice. `at` as in [`load`](Self::load).
    async fn begin<'a>(&'a self, at: DateTime<Utc>) -> Result<Box<dyn Loading + 'a>> {
        Ok(Box::new(OneByOne::new(self, at)))
    }

    /// Takes the lock of a name; `None` when somebody else holds it.
    async fn exclusive(&self, name: &str) -> Result<Option<Exclusive>> {
        let _ = name;
        Err(Error::new(ErrorKind::Unsupported, "warehouse", "lock").with_detail("this engine has no locks"))
    }

    /// Answers a query with all rows.
    async fn query(&self, query: &Query) -> Result<Table>;

    /// Answers a query in tables of at most `chunk` rows, with memory bounded by `chunk`. Dropping the stream stops
    /// the query.
    fn scan<'a>(&'a self, query: &'a Query, chunk: usize) -> BoxStream<'a, Result<Table>>;

    /// As [`scan`](Self::scan), in the form that is fastest to read row by row.
    fn chunks<'a>(&'a self, query: &'a Query, chunk: usize) -> BoxStream<'a, Result<Chunk>> {
        self.scan(query, chunk).map(|table| table.map(|table| Chunk::from(&table))).boxed()
    }
}

macro_rules! forward {
    ($pointer:ident) => {
        #[async_trait]
        impl<W: Warehouse + ?Sized> Warehouse for $pointer<W> {
            fn dialect(&self) -> Dialect {
                (**self).dialect()
            }
            fn in_process(&self) -> bool {
                (**self).in_process()
            }
            async fn check(&self) -> Result<()> {
                (**self).check().await
            }
            async fn migrate(&self, schema: &Schema) -> Result<()> {
                (**self).migrate(schema).await
            }
            async fn load(&self, batch: &Batch, at: DateTime<Utc>) -> Result<Receipt> {
                (**self).load(batch, at).await
            }
            async fn load_all(&self, batches: &[Batch], at: DateTime<Utc>) -> Vec<Result<Receipt>> {
                (**self).load_all(batches, at).await
            }
            async fn begin<'a>(&'a self, at: DateTime<Utc>) -> Result<Box<dyn Loading + 'a>> {
                (**self).begin(at).await
            }
            async fn exclusive(&self, name: &str) -> Result<Option<Exclusive>> {
                (**self).exclusive(name).await
            }
            async fn query(&self, query: &Query) -> Result<Table> {
                (**self).query(query).await
            }
            fn scan<'a>(&'a self, query: &'a Query, chunk: usize) -> BoxStream<'a, Result<Table>> {
                (**self).scan(query, chunk)
            }
            fn chunks<'a>(&'a self, query: &'a Query, chunk: usize) -> BoxStream<'a, Result<Chunk>> {
                (**self).chunks(query, chunk)
            }
        }
    };
}
forward!(Arc);
forward!(Box);
