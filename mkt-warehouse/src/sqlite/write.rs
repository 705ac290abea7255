//! Writes: loads run on a thread of the runtime's pool for blocking calls, one after the other, on one connection.
//!
//! By rusqlite, as reads: sqlx hands every value to a thread of its own in an allocation of its own, which cost more than
//! the insertion.

use super::connect::Place;
use super::error::{SERVICE, closed, refused, saturated};
use super::load::Transaction;
use crate::batch::Batch;
use crate::loading::Loading;
use crate::warehouse::Receipt;
use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::{Error, ErrorKind, Result};
use rusqlite::{Connection, InterruptHandle};
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// Pages that a load may hold in memory, in KiB with a minus sign: keys come in any order, and with SQLite's 2 MB every
/// one of them would be read again.
const CACHE: &str = "-65536";

/// Prepared statements that are kept: two for each table.
const STATEMENTS: usize = 64;

/// The connection that loads. Cloning shares it.
#[derive(Debug, Clone)]
pub(super) struct Writer(Arc<Shared>);

struct Shared {
    place: Place,
    /// What a new connection runs first.
    settings: String,
    busy_timeout: Duration,
    /// How long a call waits for others to end.
    patience: Duration,
    idle: Mutex<Option<Connection>>,
    turn: Arc<Semaphore>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn new(place: Place, settings: &str, busy_timeout: Duration, patience: Duration) -> Self {
        let settings = format!("pragma cache_size = {CACHE}; {settings}");
        let turn = Arc::new(Semaphore::new(1));
        Self(Arc::new(Shared { place, settings, busy_timeout, patience, idle: Mutex::default(), turn }))
    }

    async fn turn(&self) -> Result<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.0.turn).acquire_owned();
        match tokio::time::timeout(self.0.patience, turn).await {
            Ok(Ok(turn)) => Ok(turn),
            Ok(Err(_)) => Err(closed("load")),
            Err(_) => Err(saturated("load")),
        }
    }

    /// Creates the file, if there is none, and has it keep a write-ahead log.
    pub(super) async fn create(&self) -> Result<()> {
        let shared = Arc::clone(&self.0);
        let created = tokio::task::spawn_blocking(move || {
            let connection =
                shared.place.create(shared.busy_timeout).map_err(|cause| refused("open", cause))?;
            shared.prepare(&connection).map_err(|cause| refused("open", cause))?;
            *shared.idle() = Some(connection);
            Ok(())
        })
        .await;
        created.unwrap_or_else(|_| Err(Error::new(ErrorKind::Cancelled, SERVICE, "open")))
    }

    /// Waits for running loads and closes the connection.
    pub(super) async fn close(&self) {
        // An error says that it is closed already.
        let turn = self.0.turn.acquire().await;
        self.0.turn.close();
        drop(self.0.idle().take());
        drop(turn);
    }

    /// Loads batches in one transaction.
    pub(super) async fn load_all(&self, batches: &[Batch], at: DateTime<Utc>) -> Vec<Result<Receipt>> {
        let all = |error: &Error| batches.iter().map(|_| Err(again(error))).collect();
        let turn = match self.turn().await {
            Ok(turn) => turn,
            Err(error) => return all(&error),
        };
        let (shared, batches_there) = (Arc::clone(&self.0), batches.to_vec());
        let (guard, cancel) = Cancel::pair();
        let done = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            shared.with_connection(&cancel, |connection| {
                let coming = batches_there.as_slice();
                let mut transaction = Transaction::begin(connection, at, Some(coming), &cancel)?;
                let receipts: Vec<Result<Receipt>> = coming
                    .iter()
                    .map(|batch| transaction.load(batch))
                    .map(|loaded| match loaded {
                        Err(error) if error.kind() != ErrorKind::Input => Err(error),
                        loaded => Ok(loaded),
                    })
                    .collect::<Result<_>>()?;
                if receipts.iter().any(Result::is_ok) {
                    transaction.commit()?;
                }
                Ok(receipts)
            })
        })
        .await;
        drop(guard);
        match done {
            Ok(Ok(receipts)) => receipts,
            Ok(Err(error)) => all(&error),
            Err(_) => all(&Error::new(ErrorKind::Cancelled, SERVICE, "load")),
        }
    }

    /// A transaction that stays open.
    pub(super) async fn begin(&self, at: DateTime<Utc>) -> Result<Series> {
        let turn = self.turn().await?;
        let shared = Arc::clone(&self.0);
        let (guard, cancel) = Cancel::pair();
        let (orders, taken) = mpsc::channel(1);
        let (begun, has_begun) = oneshot::channel();
        tokio::task::spawn_blocking(move || {
            let _turn = turn;
            let mut begun = Some(begun);
            let done = shared.with_connection(&cancel, |connection| {
                let transaction = Transaction::begin(connection, at, None, &cancel)?;
                if let Some(begun) = begun.take() {
                    // Nobody waits: the orders end at once.
                    let _ = begun.send(Ok(()));
                }
                serve(transaction, taken)
            });
            if let (Err(error), Some(begun)) = (done, begun) {
                let _ = begun.send(Err(error));
            }
        });
        has_begun.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Cancelled, SERVICE, "load")))?;
        Ok(Series { orders, _guard: guard })
    }
}

/// One error of a transaction is that of each of its loads.
pub(super) fn again(cause: &Error) -> Error {
    let mut error = Error::new(cause.kind(), SERVICE, "load").delivered(cause.delivery());
    if let Some(detail) = cause.detail() {
        error = error.with_detail(detail);
    }
    match cause.code() {
        Some(code) => error.with_code(code),
        None => error,
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Option<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let connection = self.place.open(self.busy_timeout)?;
        self.prepare(&connection)?;
        Ok(connection)
    }

    fn prepare(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch(&self.settings)
    }

    /// Runs work on the connection, in a transaction that is rolled back unless the work ended it. A connection that is
    /// still in a transaction is not used again.
    fn with_connection<T>(&self, cancel: &Cancel, work: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let failed = |cause| refused("load", cause);
        let idle = self.idle().take();
        let connection = match idle {
            Some(connection) => connection,
            None => self.open().map_err(failed)?,
        };
        if !cancel.arm(&connection) {
            *self.idle() = Some(connection);
            return Err(Error::new(ErrorKind::Cancelled, SERVICE, "load"));
        }
        let done = work(&connection);
        cancel.disarm();
        if !connection.is_autocommit() {
            // Where this fails too, the connection is closed, which undoes the transaction.
            let _ = connection.execute_batch("rollback");
        }
        if connection.is_autocommit() {
            *self.idle() = Some(connection);
        }
        done
    }
}

/// Tells a thread that nobody waits for it any more.
pub(super) struct Cancel {
    asked: AtomicBool,
    handle: Mutex<Option<InterruptHandle>>,
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// The caller's side: dropped before the work is over, it interrupts it.
#[derive(Debug)]
struct Guard(Arc<Cancel>);

impl Cancel {
    fn pair() -> (Guard, Arc<Self>) {
        let cancel = Arc::new(Self { asked: AtomicBool::new(false), handle: Mutex::default() });
        (Guard(Arc::clone(&cancel)), cancel)
    }

    /// Whether nobody waits.
    pub(super) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    fn handle(&self) -> std::sync::MutexGuard<'_, Option<InterruptHandle>> {
        self.handle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arm(&self, connection: &Connection) -> bool {
        let mut handle = self.handle();
        *handle = Some(connection.get_interrupt_handle());
        !self.is_asked()
    }

    /// From here on an interruption would meet another's work.
    fn disarm(&self) {
        *self.handle() = None;
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.asked.store(true, Ordering::Release);
        if let Some(handle) = &*self.0.handle() {
            handle.interrupt();
        }
    }
}

enum Order {
    Load(Batch, oneshot::Sender<Result<Receipt>>),
    Commit(oneshot::Sender<Result<()>>),
}

/// Loads what is ordered until the order to commit, or until nobody orders any more.
fn serve(mut transaction: Transaction<'_>, mut orders: mpsc::Receiver<Order>) -> Result<()> {
    while let Some(order) = orders.blocking_recv() {
        match order {
            Order::Load(batch, answer) => {
                let loaded = transaction.load(&batch);
                let over = loaded.as_ref().is_err_and(|error| error.kind() != ErrorKind::Input);
                // A caller that is gone has no use for it.
                let _ = answer.send(loaded);
                if over {
                    return Ok(());
                }
            }
            Order::Commit(answer) => {
                let _ = answer.send(transaction.commit());
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Loads in one transaction, on a thread that holds the connection.
#[derive(Debug)]
pub(super) struct Series {
    orders: mpsc::Sender<Order>,
    _guard: Guard,
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Load(..) => "Load",
            Self::Commit(_) => "Commit",
        })
    }
}

impl Series {
    async fn ordered<T>(&self, order: impl FnOnce(oneshot::Sender<Result<T>>) -> Order) -> Result<T> {
        let over = || {
            Error::new(ErrorKind::Storage, SERVICE, "load")
                .with_detail("the loads before it failed: nothing of them is kept")
        };
        let (answer, answered) = oneshot::channel();
        self.orders.send(order(answer)).await.map_err(|_| over())?;
        answered.await.unwrap_or_else(|_| Err(over()))
    }
}

#[async_trait]
impl Loading for Series {
    async fn load(&mut self, batch: &Batch) -> Result<Receipt> {
        let batch = batch.clone();
        self.ordered(|answer| Order::Load(batch, answer)).await
    }

    async fn commit(self: Box<Self>) -> Result<()> {
        self.ordered(Order::Commit).await
    }
}
