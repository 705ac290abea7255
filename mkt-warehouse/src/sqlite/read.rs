//! Reads: a query runs on a thread of the runtime's pool for blocking calls, and its rows become columns there.
//!
//! By rusqlite, since sqlx hands every row over from a thread of its own, value by value: an answer of two hundred
//! thousand rows took several times as long as its query. Both are built on one SQLite, and share its locks.

use super::answer::{self, Piece};
use super::connect::Place;
use super::error::{closed, refused, saturated};
use crate::fit;
use crate::query::Query;
use crate::table::{ColumnType, Table};
use futures_util::stream::{self, BoxStream, StreamExt};
use mkt_connect::Result;
use rusqlite::{Connection, InterruptHandle, types::Value};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Readers of a file at once; more of them queue.
const READERS: usize = 4;

/// Connections that only read. Cloning shares them.
#[derive(Debug, Clone)]
pub(super) struct Readers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    place: Place,
    busy_timeout: Duration,
    /// How long a call waits for others to end.
    patience: Duration,
    idle: Mutex<Vec<Connection>>,
    turns: Arc<Semaphore>,
}

impl Readers {
    pub(super) fn new(place: Place, busy_timeout: Duration, patience: Duration) -> Self {
        let readers = match place {
            Place::File(_) | Place::ReadOnly { .. } => READERS,
            // Readers and writers of a database in memory lock each other out, so calls take turns.
            Place::Memory(_) => 1,
        };
        let turns = Arc::new(Semaphore::new(readers));
        Self(Arc::new(Shared { place, busy_timeout, patience, idle: Mutex::default(), turns }))
    }

    fn in_memory(&self) -> bool {
        matches!(self.0.place, Place::Memory(_))
    }

    /// A turn for a writer, where readers would be in its way.
    pub(super) async fn alone(&self, operation: &'static str) -> Result<Option<OwnedSemaphorePermit>> {
        match self.in_memory() {
            true => self.turn(operation).await.map(Some),
            false => Ok(None),
        }
    }

    async fn turn(&self, operation: &'static str) -> Result<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.0.turns).acquire_owned();
        match tokio::time::timeout(self.0.patience, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(closed(operation)),
            Err(_) => Err(saturated(operation)),
        }
    }

    /// Waits for running queries and closes every connection.
    pub(super) async fn close(&self) {
        let all = if self.in_memory() { 1 } else { READERS };
        // An error says that they are closed already.
        let turns = self.0.turns.acquire_many(u32::try_from(all).unwrap_or(1)).await;
        self.0.turns.close();
        self.0.idle().clear();
        drop(turns);
    }

    /// The whole answer.
    pub(super) async fn query(&self, query: &Query) -> Result<Table> {
        let mut answer = self.ask::<Table>(query, usize::MAX).await?;
        match answer.tables.recv().await {
            Some(table) => table,
            None => Ok(fit::empty_answer(query.columns())),
        }
    }

    /// The answer in pieces of at most so many rows.
    pub(super) fn scan<'a, T: Piece>(&'a self, query: &'a Query, chunk: usize) -> BoxStream<'a, Result<T>> {
        let chunk = chunk.max(1);
        let tables = stream::once(self.ask::<T>(query, chunk)).flat_map(|asked| match asked {
            Err(error) => stream::iter([Err(error)]).boxed(),
            Ok(answer) => stream::unfold(answer, |mut answer| async {
                let table = answer.tables.recv().await?;
                Some((table, answer))
            })
            .boxed(),
        });
        if !self.in_memory() {
            return tables.boxed();
        }
        // The only turn must be free again before the caller uses another method between two chunks.
        stream::once(async move { tables.collect::<Vec<_>>().await }).flat_map(stream::iter).boxed()
    }

    async fn ask<T: Piece>(&self, query: &Query, chunk: usize) -> Result<Answer<T>> {
        let (sql, values) = answer::prepare(query)?;
        let columns = query.columns().to_vec();
        let turn = self.turn("query").await?;
        let (sender, tables) = mpsc::channel(1);
        let running = Arc::new(Mutex::new(Running::NotYet));
        let (shared, of_thread) = (Arc::clone(&self.0), Arc::clone(&running));
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let asked = Asked { sql, values, columns, chunk };
            if let Err(error) = shared.answer(&asked, &sender, &of_thread) {
                // Nobody is there to be told.
                let _ = sender.blocking_send(Err(error));
            }
        });
        Ok(Answer { tables, running })
    }
}

/// A query's pieces as they come. Dropping it interrupts the query.
struct Answer<T> {
    tables: mpsc::Receiver<Result<T>>,
    running: Arc<Mutex<Running>>,
}

enum Running {
    NotYet,
    Here(InterruptHandle),
    /// The connection serves somebody else, or the caller is gone.
    NoMore,
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Running::Here(handle) = &*running {
            handle.interrupt();
        }
        *running = Running::NoMore;
    }
}

struct Asked {
    sql: String,
    values: Vec<Value>,
    columns: Vec<(String, ColumnType)>,
    chunk: usize,
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = self.place.open(self.busy_timeout)?;
        connection.execute_batch("pragma temp_store = memory; pragma query_only = on")?;
        Ok(connection)
    }

    /// Runs a query to its end, or until nobody waits for it. A connection that failed is not used again.
    fn answer<T: Piece>(
        &self,
        asked: &Asked,
        tables: &mpsc::Sender<Result<T>>,
        running: &Mutex<Running>,
    ) -> Result<()> {
        let idle = self.idle().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open().map_err(|cause| refused("query", cause))?,
        };
        {
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            if matches!(*running, Running::NoMore) {
                self.idle().push(connection);
                return Ok(());
            }
            *running = Running::Here(connection.get_interrupt_handle());
        }
        let done = answered(&connection, asked, tables);
        // From here on an interruption would meet another query.
        *running.lock().unwrap_or_else(PoisonError::into_inner) = Running::NoMore;
        if done.is_ok() {
            self.idle().push(connection);
        }
        done
    }
}

fn answered<T: Piece>(
    connection: &Connection,
    asked: &Asked,
    tables: &mpsc::Sender<Result<T>>,
) -> Result<()> {
    let failed = |cause| refused("query", cause);
    let mut statement = connection.prepare(&asked.sql).map_err(failed)?;
    answer::fits(statement.column_count(), &asked.columns)?;
    for (index, value) in asked.values.iter().enumerate().take(statement.parameter_count()) {
        statement.raw_bind_parameter(index + 1, value).map_err(failed)?;
    }
    let mut rows = statement.raw_query();
    loop {
        let mut piece = T::empty(&asked.columns);
        let mut count = 0;
        while count < asked.chunk {
            let Some(row) = rows.next().map_err(failed)? else { break };
            piece.append(row, &asked.columns)?;
            count += 1;
        }
        if count == 0 || tables.blocking_send(Ok(piece)).is_err() || count < asked.chunk {
            return Ok(());
        }
    }
}
