//! Many records at once: for a second thread that splits while the first one reads cells.

use super::quarantine::Quarantined;
use super::reader::{ReadError, Record, Table};
use super::split::Span;
use std::io::Read;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

/// Bytes after which a batch is handed over, and batches that wait at most.
const BATCH: usize = 64 * 1024;
const WAITING: usize = 4;

/// Records that own their text. Memory is used again by [`Table::fill`].
#[derive(Debug, Default)]
pub struct Batch {
    text: String,
    raw: Vec<u8>,
    spans: Vec<Span>,
    rows: Vec<Row>,
}

#[derive(Debug)]
enum Row {
    Record(Place),
    Quarantined(Box<Quarantined>),
}

#[derive(Debug)]
struct Place {
    text: (usize, usize),
    /// Where the text is not the bytes of the file, those.
    raw: Option<(usize, usize)>,
    spans: (usize, usize),
    line: u64,
    offset: u64,
    end: u64,
}

impl Batch {
    /// An empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How many rows it holds, those set aside included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A row, in the order of the file.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Result<Record<'_>, &Quarantined>> {
        self.rows.get(index).map(|row| self.row(row))
    }

    /// The rows in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = Result<Record<'_>, &Quarantined>> {
        self.rows.iter().map(|row| self.row(row))
    }

    fn row<'a>(&'a self, row: &'a Row) -> Result<Record<'a>, &'a Quarantined> {
        match row {
            Row::Quarantined(row) => Err(row),
            Row::Record(place) => {
                let text = self.text.get(place.text.0..place.text.1).unwrap_or_default();
                let raw = match place.raw {
                    Some((start, end)) => self.raw.get(start..end).unwrap_or_default(),
                    None => text.as_bytes(),
                };
                let spans = self.spans.get(place.spans.0..place.spans.1).unwrap_or_default();
                Ok(Record::new(raw, text, spans, place.line, place.offset, place.end))
            }
        }
    }

    fn clear(&mut self) {
        self.text.clear();
        self.raw.clear();
        self.spans.clear();
        self.rows.clear();
    }

    fn push(&mut self, row: Result<Record<'_>, Quarantined>) {
        let row = match row {
            Err(row) => Row::Quarantined(Box::new(row)),
            Ok(record) => {
                let (start, spans) = (self.text.len(), self.spans.len());
                self.text.push_str(record.text());
                self.spans.extend_from_slice(record.spans());
                let raw = (!record.is_verbatim()).then(|| {
                    let start = self.raw.len();
                    self.raw.extend_from_slice(record.raw());
                    (start, self.raw.len())
                });
                Row::Record(Place {
                    text: (start, self.text.len()),
                    raw,
                    spans: (spans, self.spans.len()),
                    line: record.line(),
                    offset: record.offset(),
                    end: record.end(),
                })
            }
        };
        self.rows.push(row);
    }
}

impl<R: Read> Table<R> {
    /// Fills a batch with the next records, about 64 KiB of them; `false` at the end, with whatever came before it in the
    /// batch.
    ///
    /// # Errors
    /// As [`next`](Self::next); the records before are in the batch.
    pub fn fill(&mut self, batch: &mut Batch) -> Result<bool, ReadError> {
        batch.clear();
        while batch.text.len() < BATCH && batch.rows.len() < BATCH / 16 {
            match self.next()? {
                Some(row) => batch.push(row),
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// A table that a thread of its own splits into records; it ends with the file, at an error, or when this is dropped.
#[derive(Debug)]
pub struct Ahead {
    full: Receiver<(Batch, Option<Result<(), ReadError>>)>,
    empty: Sender<Batch>,
    current: Batch,
    next: usize,
    end: Option<Result<(), ReadError>>,
}

impl<R: Read + Send + 'static> Table<R> {
    /// Splits the rest of the table in a thread of its own; the layout that the reader of the cells needs is to be cloned
    /// before.
    ///
    /// # Errors
    /// The table itself, where the system gives no thread.
    pub fn ahead(self) -> Result<Ahead, Box<Self>> {
        // The thread is started before it is given its work, which a failed start would take along.
        let (work, given) = mpsc::sync_channel::<Self>(1);
        let (full, filled) = mpsc::sync_channel(WAITING);
        let (empty, emptied) = mpsc::channel::<Batch>();
        let started = thread::Builder::new().name("table".to_owned()).spawn(move || {
            let Ok(mut table) = given.recv() else { return };
            loop {
                let mut batch = emptied.try_recv().unwrap_or_default();
                let end = match table.fill(&mut batch) {
                    Ok(true) => None,
                    Ok(false) => Some(Ok(())),
                    Err(error) => Some(Err(error)),
                };
                let is_last = end.is_some();
                if full.send((batch, end)).is_err() || is_last {
                    return;
                }
            }
        });
        if started.is_err() {
            return Err(Box::new(self));
        }
        match work.send(self) {
            Ok(()) => Ok(Ahead { full: filled, empty, current: Batch::new(), next: 0, end: None }),
            Err(mpsc::SendError(table)) => Err(Box::new(table)),
        }
    }
}

impl Ahead {
    /// The next record, as [`Table::next`].
    ///
    /// # Errors
    /// As [`Table::next`].
    #[expect(clippy::should_implement_trait, reason = "lends from the batch, which Iterator cannot")]
    pub fn next(&mut self) -> Result<Option<Result<Record<'_>, Quarantined>>, ReadError> {
        while self.next >= self.current.len() {
            if let Some(end) = self.end.take() {
                // What follows is the end again, whatever it was.
                self.end = Some(Ok(()));
                return end.map(|()| None);
            }
            // Nobody listens after the end; then the memory is not needed either.
            let _ = self.empty.send(std::mem::take(&mut self.current));
            self.next = 0;
            match self.full.recv() {
                Ok((batch, end)) => (self.current, self.end) = (batch, end),
                Err(_) => {
                    let cause = std::io::Error::other("the thread that splits the file has failed");
                    self.end = Some(Err(ReadError::Io(cause)));
                }
            }
        }
        self.next += 1;
        Ok(self.current.get(self.next - 1).map(|row| row.map_err(Clone::clone)))
    }
}
