//! The records of a file, one after another: where each begins and ends, and its fields as text. A second thread splits a
//! long file while the first one reads what the fields say.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::mem;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread;
use std::vec;

use csv::{ByteRecord, Reader, ReaderBuilder, StringRecord};
use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use mkt_connect::{Error, ErrorKind, Result};

use super::super::Refusal;
use super::Input;

/// Bytes read at once.
const BUFFER: usize = 64 * 1024;
/// Bytes and records after which a batch is handed over, and batches that wait at most.
const BATCH: u64 = 64 * 1024;
const BATCH_RECORDS: usize = 512;
const WAITING: usize = 4;

/// One record.
#[derive(Debug)]
pub(super) struct Record {
    /// The fields, as many as the header has, or why there are none.
    pub(super) text: std::result::Result<StringRecord, Refusal>,
    /// The first byte, not counting a byte order mark; empty lines before it included.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) line: u64,
}

/// Splits a file into records.
pub(super) struct Splitter {
    reader: Reader<Guarded>,
    /// Not known while all bytes were ASCII.
    encoding: Option<&'static Encoding>,
    fields: usize,
    start_of_row: Arc<AtomicU64>,
    operation: &'static str,
}

impl Splitter {
    /// Opens a file behind its byte order mark, and reads its header.
    pub(super) fn open(
        from: &Input,
        skipped: u64,
        separator: u8,
        longest_row: usize,
        mut encoding: Option<&'static Encoding>,
        operation: &'static str,
    ) -> Result<(Self, std::result::Result<StringRecord, Refusal>)> {
        let start_of_row = Arc::new(AtomicU64::new(0));
        let guarded = Guarded {
            inner: input(from, skipped).map_err(|cause| unreadable(cause, operation))?,
            read: 0,
            longest: longest_row as u64,
            start_of_row: Arc::clone(&start_of_row),
        };
        let mut reader = ReaderBuilder::new()
            .delimiter(separator)
            .flexible(true)
            .buffer_capacity(BUFFER)
            .from_reader(guarded);
        let header = reader.byte_headers().map_err(|cause| broken(&cause, 1, operation))?.clone();
        let fields = header.len();
        let names = decoded(header, &mut encoding).map_err(|(_, refusal)| refusal);
        Ok((Self { reader, encoding, fields, start_of_row, operation }, names))
    }

    fn next(&mut self, memory: &mut Vec<ByteRecord>) -> Result<Option<Record>> {
        let start = self.reader.position();
        let (start, line) = (start.byte(), start.line());
        self.start_of_row.store(start, Ordering::Relaxed);
        let mut record = memory.pop().unwrap_or_default();
        let more = self
            .reader
            .read_byte_record(&mut record)
            .map_err(|cause| broken(&cause, line, self.operation))?;
        if !more {
            return Ok(None);
        }
        let found = record.len();
        let text = if found == self.fields {
            decoded(record, &mut self.encoding)
        } else {
            Err((record, Refusal::Fields { expected: self.fields, found }))
        };
        let text = text.map_err(|(record, refusal)| {
            memory.push(record);
            refusal
        });
        Ok(Some(Record { text, start, end: self.reader.position().byte(), line }))
    }
}

/// Where records come from.
pub(super) enum Records {
    /// Split when they are asked for.
    Here {
        /// Boxed: it is large.
        splitter: Box<Splitter>,
        /// Of records that are done with.
        memory: Vec<ByteRecord>,
    },
    /// Split by a thread of their own.
    Beside(Beside),
}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here { .. } => "Here",
            Self::Beside(_) => "Beside",
        })
    }
}

/// Batches from the thread that splits; it ends with the file, at an error, or when this is dropped.
pub(super) struct Beside {
    full: Receiver<Batch>,
    empty: Sender<Vec<ByteRecord>>,
    current: vec::IntoIter<Record>,
    last: Option<Result<()>>,
    memory: Vec<ByteRecord>,
}

/// Records, and how the file ended if they are its last.
struct Batch {
    records: Vec<Record>,
    last: Option<Result<()>>,
}

impl Records {
    pub(super) fn here(splitter: Splitter) -> Self {
        Self::Here { splitter: Box::new(splitter), memory: Vec::new() }
    }

    /// Splits in a thread of its own from here on, if the system gives one.
    pub(super) fn beside(self) -> Self {
        let Self::Here { splitter, memory } = self else { return self };
        // The thread is started before it is given its work, which a failed start would take along.
        let (work, given) = mpsc::sync_channel::<Box<Splitter>>(1);
        let (full, filled) = mpsc::sync_channel(WAITING);
        let (empty, emptied) = mpsc::channel();
        let started = thread::Builder::new().name("csv".to_owned()).spawn(move || {
            if let Ok(splitter) = given.recv() {
                split(*splitter, &full, &emptied);
            }
        });
        if started.is_err() {
            return Self::Here { splitter, memory };
        }
        match work.send(splitter) {
            Ok(()) => Self::Beside(Beside {
                full: filled,
                empty,
                current: Vec::new().into_iter(),
                last: None,
                memory,
            }),
            Err(mpsc::SendError(splitter)) => Self::Here { splitter, memory },
        }
    }

    /// The next record, or `None` after the last one.
    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        match self {
            Self::Here { splitter, memory } => splitter.next(memory),
            Self::Beside(beside) => beside.next(),
        }
    }

    /// Takes back the memory of a record.
    pub(super) fn reuse(&mut self, record: StringRecord) {
        let (Self::Here { memory, .. } | Self::Beside(Beside { memory, .. })) = self;
        memory.push(record.into_byte_record());
    }
}

impl Beside {
    fn next(&mut self) -> Result<Option<Record>> {
        loop {
            if let Some(record) = self.current.next() {
                return Ok(Some(record));
            }
            if let Some(end) = self.last.take() {
                // What follows is the end again, whatever it was.
                self.last = Some(Ok(()));
                return end.map(|()| None);
            }
            // Nobody listens after the end; then the memory is not needed either.
            let _ = self.empty.send(mem::take(&mut self.memory));
            match self.full.recv() {
                Ok(batch) => (self.current, self.last) = (batch.records.into_iter(), batch.last),
                Err(_) => {
                    self.last = Some(Ok(()));
                    return Err(Error::new(ErrorKind::Other, "csv", "read posts")
                        .with_detail("the thread that reads the file has failed"));
                }
            }
        }
    }
}

fn split(mut splitter: Splitter, full: &SyncSender<Batch>, emptied: &Receiver<Vec<ByteRecord>>) {
    let mut memory = Vec::new();
    loop {
        memory.extend(emptied.try_iter().flatten());
        let mut batch = Batch { records: Vec::with_capacity(BATCH_RECORDS), last: None };
        let mut bytes = 0;
        while batch.last.is_none() && bytes < BATCH && batch.records.len() < BATCH_RECORDS {
            match splitter.next(&mut memory) {
                Ok(Some(record)) => {
                    bytes += record.end - record.start;
                    batch.records.push(record);
                }
                Ok(None) => batch.last = Some(Ok(())),
                Err(error) => batch.last = Some(Err(error)),
            }
        }
        let is_last = batch.last.is_some();
        if full.send(batch).is_err() || is_last {
            return;
        }
    }
}

/// The fields as text. The first row that is not ASCII decides the encoding of a file that does not declare it.
fn decoded(
    record: ByteRecord,
    encoding: &mut Option<&'static Encoding>,
) -> Result<StringRecord, (ByteRecord, Refusal)> {
    if *encoding == Some(WINDOWS_1252) && !record.as_slice().is_ascii() {
        return Ok(as_windows_1252(&record));
    }
    if encoding.is_some() || record.as_slice().is_ascii() {
        return StringRecord::from_byte_record(record)
            .map_err(|error| (error.into_byte_record(), Refusal::Encoding { encoding: UTF_8.name() }));
    }
    Ok(match StringRecord::from_byte_record(record) {
        Ok(text) => {
            *encoding = Some(UTF_8);
            text
        }
        Err(error) => {
            *encoding = Some(WINDOWS_1252);
            as_windows_1252(&error.into_byte_record())
        }
    })
}

/// Every byte is a character of Windows-1252.
fn as_windows_1252(record: &ByteRecord) -> StringRecord {
    record.iter().map(|field| WINDOWS_1252.decode_without_bom_handling(field).0).collect()
}

type Bytes = Box<dyn Read + Send + Sync>;

pub(super) fn input(input: &Input, from: u64) -> io::Result<Bytes> {
    match input {
        Input::Bytes(bytes) => {
            let mut reader = Cursor::new(Arc::clone(bytes));
            reader.set_position(from);
            Ok(Box::new(reader))
        }
        Input::File(path) => {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::Start(from))?;
            Ok(Box::new(file))
        }
    }
}

/// Stops a row that does not end. The csv reader would take the rest of the file for one field.
struct Guarded {
    inner: Bytes,
    read: u64,
    longest: u64,
    start_of_row: Arc<AtomicU64>,
}

impl Read for Guarded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let pending = self.read - self.start_of_row.load(Ordering::Relaxed).min(self.read);
        // The reader fills its buffer before it looks for rows: that much may be pending in good order.
        if pending > self.longest + buffer.len() as u64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TooLong { longest: self.longest }));
        }
        let count = self.inner.read(buffer)?;
        self.read += count as u64;
        Ok(count)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("longer than {longest} bytes")]
struct TooLong {
    longest: u64,
}

pub(super) fn unreadable(cause: io::Error, operation: &'static str) -> Error {
    let (kind, detail) = match cause.kind() {
        io::ErrorKind::NotFound => (ErrorKind::NotFound, "the file does not exist"),
        io::ErrorKind::PermissionDenied => (ErrorKind::Storage, "the file may not be read"),
        io::ErrorKind::IsADirectory => (ErrorKind::Input, "this is a directory, not a file"),
        _ => (ErrorKind::Storage, "the file cannot be read"),
    };
    Error::new(kind, "csv", operation).with_detail(detail).with_source(cause)
}

fn broken(cause: &csv::Error, line: u64, operation: &'static str) -> Error {
    if let csv::ErrorKind::Io(cause) = cause.kind()
        && let Some(TooLong { longest }) = cause.get_ref().and_then(|inner| inner.downcast_ref())
    {
        return Error::new(ErrorKind::Input, "csv", operation).with_detail(format!(
            "the row that begins on line {line} is longer than {longest} bytes; perhaps a quotation mark never ends"
        ));
    }
    Error::new(ErrorKind::Storage, "csv", operation)
        .with_detail(format!("reading stopped on line {line}"))
        .with_source(io::Error::other(cause.to_string()))
}

/// Bytes of the input; 0 where that cannot be told.
pub(super) fn length(input: &Input) -> u64 {
    match input {
        Input::Bytes(bytes) => bytes.len() as u64,
        Input::File(path) => fs::metadata(path).map_or(0, |file| file.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{Rng, SeedableRng};
    use rand_xoshiro::Xoshiro256PlusPlus;

    type Told = Vec<(std::result::Result<Vec<String>, Refusal>, u64, u64, u64)>;

    fn opened(bytes: &[u8], longest_row: usize) -> Records {
        let input = Input::Bytes(Arc::from(bytes));
        Records::here(Splitter::open(&input, 0, b',', longest_row, None, "read posts").unwrap().0)
    }

    /// What the records say, and how they end.
    fn told(mut records: Records) -> (Told, Option<String>) {
        let mut told = Vec::new();
        loop {
            match records.next() {
                Ok(Some(Record { text, start, end, line })) => {
                    let fields = text.map(|record| {
                        let fields = record.iter().map(str::to_owned).collect();
                        records.reuse(record);
                        fields
                    });
                    told.push((fields, start, end, line));
                }
                Ok(None) => {
                    assert!(matches!(records.next(), Ok(None)), "it stays at its end");
                    return (told, None);
                }
                Err(error) => return (told, Some(error.to_string())),
            }
        }
    }

    /// Rows of two fields, some with line ends in quotation marks, some too short, some empty, some in Latin-1.
    fn file(rows: usize, seed: u64) -> Vec<u8> {
        let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
        let mut bytes = b"a,b\n".to_vec();
        for row in 0..rows {
            let text = "x".repeat(random.random_range(0..200));
            bytes.extend_from_slice(
                match random.random_range(0..20) {
                    0 => format!("{row},\"two\nlines {text}\"\r\n").into_bytes(),
                    1 => format!("{row}\n").into_bytes(),
                    2 => b"\n\n".to_vec(),
                    3 => [format!("{row},").as_bytes(), b"th\xe9\n"].concat(),
                    _ => format!("{row},{text}\n").into_bytes(),
                }
                .as_slice(),
            );
        }
        bytes
    }

    #[test]
    fn a_thread_beside_splits_as_the_reader_does() {
        for (rows, seed) in [(0, 1), (1, 2), (BATCH_RECORDS, 3), (BATCH_RECORDS + 1, 4), (20_000, 5)] {
            let bytes = file(rows, seed);
            let (here, beside) = (told(opened(&bytes, 1 << 20)), told(opened(&bytes, 1 << 20).beside()));
            assert_eq!(here, beside, "{rows} rows");
            assert_eq!(here.1, None);
        }
        let (records, _) = told(opened(&file(20_000, 5), 1 << 20).beside());
        assert!(records.len() > 18_000 && records.iter().any(|(fields, ..)| fields.is_err()));
    }

    #[test]
    fn an_error_in_the_middle_comes_after_the_records_before_it() {
        let mut bytes = file(3_000, 6);
        bytes.extend_from_slice(b"1,\"never closed\n");
        bytes.extend_from_slice(&b"2,x\n".repeat(50_000));
        let (here, beside) = (told(opened(&bytes, 10_000)), told(opened(&bytes, 10_000).beside()));
        assert_eq!(here, beside);
        assert!(
            here.0.len() > 2_500 && here.1.is_some_and(|error| error.contains("longer than 10000 bytes"))
        );
    }

    #[test]
    fn a_reader_that_is_dropped_ends_its_thread() {
        let bytes = file(50_000, 8);
        let records = opened(&bytes, 1 << 20);
        let Records::Here { splitter, .. } = &records else { panic!("split here at first") };
        let read = Arc::clone(&splitter.start_of_row);
        let mut records = records.beside();
        assert!(matches!(records.next(), Ok(Some(_))));
        let Records::Beside(beside) = records else { panic!("no thread") };
        let Beside { full, empty, .. } = beside;
        drop(full);
        // The thread holds the other end until it returns.
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
        while empty.send(Vec::new()).is_ok() {
            assert!(std::time::Instant::now() < deadline, "the thread goes on");
            thread::sleep(std::time::Duration::from_millis(5));
        }
        // Two batches more than wait: the one that was taken, and the one that nobody took.
        let most = (WAITING as u64 + 2) * (BATCH + 1_000);
        let read = read.load(Ordering::Relaxed);
        assert!(read <= most && most < bytes.len() as u64 / 2, "{read} of {} bytes were read", bytes.len());
    }
}
