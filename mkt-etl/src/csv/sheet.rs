//! A file with a header: which column is where, in which encoding, and how one record reads. Decides what a cell means
//! as text; what it means as a value is for [`super::value`].

use super::records::{Raw, Records};
use crate::clean;
use encoding_rs::WINDOWS_1252;
use mkt_connect::{Error, ErrorKind, Result};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::{Path, PathBuf};

pub(super) const SERVICE: &str = "csv";

/// How the bytes of a file are read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Encoding {
    /// Record by record: UTF-8 where it is, else Windows-1252, which holds Latin-1. After a UTF-8 byte order mark only
    /// UTF-8. The default.
    #[default]
    Detect,
    /// UTF-8 only: a record that is none is set aside.
    Utf8,
    /// Windows-1252, which holds Latin-1.
    Latin1,
}

/// A file, opened once to read its header.
#[derive(Debug, Clone)]
pub(super) struct Sheet {
    path: PathBuf,
    delimiter: u8,
    encoding: Encoding,
    /// Column names as they are wanted, by position.
    columns: Vec<String>,
    /// Where the records begin, and on which line.
    begin: (u64, u64),
}

/// A record's cells by column.
#[derive(Debug)]
pub(super) struct Row<'a> {
    sheet: &'a Sheet,
    cells: Vec<String>,
}

impl Sheet {
    /// Opens a file and reads its header. `renamed` maps a column of the file to the name that is wanted.
    pub(super) fn open(
        path: &Path,
        encoding: Encoding,
        renamed: &HashMap<String, String>,
        wanted: &[&str],
    ) -> Result<Self> {
        let name = path.display();
        let input =
            |detail: String| Error::new(ErrorKind::Input, SERVICE, "read the header").with_detail(detail);
        let mut file = open(path)?;
        let mut start = [0_u8; 3];
        let held = read_up_to(&mut file, &mut start).map_err(|cause| failed(path, cause))?;
        let bom = start[..held] == *b"\xef\xbb\xbf";
        if start.starts_with(b"\xff\xfe") || start.starts_with(b"\xfe\xff") {
            return Err(input(format!("{name} is UTF-16: save it as UTF-8")));
        }
        let begin = if bom { 3 } else { 0 };
        file.seek(SeekFrom::Start(begin)).map_err(|cause| failed(path, cause))?;
        // The delimiter is not known yet; no delimiter changes where the header's line ends.
        let header = Records::new(file, b',', 1, begin).next().map_err(|cause| failed(path, cause))?;
        let Some(header) = header else { return Err(input(format!("{name} is empty"))) };
        if let Some(fault) = header.fault {
            return Err(input(format!("the header of {name} does not read: {fault}")));
        }
        let delimiter = delimiter_of(&header.bytes);
        let encoding = if bom && encoding == Encoding::Detect { Encoding::Utf8 } else { encoding };
        let mut sheet = Self {
            path: path.to_owned(),
            delimiter,
            encoding,
            columns: Vec::new(),
            begin: (header.line + header_lines(&header), header.end),
        };
        let cells = sheet
            .cells(&header, &mut sheet.fields())
            .map_err(|fault| input(format!("the header of {name} does not read: {fault}")))?;
        sheet.columns = cells
            .iter()
            .map(|cell| {
                let name = cell.trim().to_lowercase();
                renamed.get(&name).cloned().unwrap_or(name)
            })
            .collect();
        for (index, column) in sheet.columns.iter().enumerate() {
            if sheet.columns[..index].contains(column) {
                // A file without a header has a person's row there.
                let column = shown(column);
                return Err(input(format!("{name} has the column {column:?} twice")));
            }
        }
        let missing: Vec<&str> = wanted
            .iter()
            .copied()
            .filter(|column| !sheet.columns.iter().any(|held| held == column))
            .collect();
        if !missing.is_empty() {
            let held = shown(&sheet.columns.join(", "));
            return Err(input(format!("{name} has no column {} (it has {held})", missing.join(", "))));
        }
        Ok(sheet)
    }

    /// The file's name without its folder.
    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or(self.path.as_os_str()).to_string_lossy().into_owned()
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the fields of this file's records.
    pub(super) fn fields(&self) -> Fields {
        Fields::new(self.delimiter)
    }

    pub(super) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// The columns, after renaming.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Columns that are none of these.
    pub(super) fn others<'a>(&'a self, known: &'a [&str]) -> impl Iterator<Item = &'a str> {
        self.columns.iter().map(String::as_str).filter(|column| !known.contains(column) && !column.is_empty())
    }

    /// The records after the header.
    pub(super) fn records(&self) -> Result<Records<File>> {
        self.records_from(self.begin.1, self.begin.0)
    }

    /// The records from a place on at which one begins.
    pub(super) fn records_from(&self, offset: u64, line: u64) -> Result<Records<File>> {
        let mut file = open(&self.path)?;
        file.seek(SeekFrom::Start(offset)).map_err(|cause| failed(&self.path, cause))?;
        Ok(Records::new(file, self.delimiter, line, offset))
    }

    /// Reads a record as a row, or says why it is none.
    pub(super) fn row(&self, raw: &Raw, fields: &mut Fields) -> Result<Row<'_>, String> {
        let cells = self.cells(raw, fields)?;
        if cells.len() != self.columns.len() {
            return Err(format!(
                "it has {} columns where the header has {}",
                cells.len(),
                self.columns.len()
            ));
        }
        // No warehouse holds a NUL in a text; refused there, it would fail the whole slice.
        if cells.iter().any(|cell| cell.contains('\0')) {
            return Err("it holds a NUL character".to_owned());
        }
        Ok(Row { sheet: self, cells })
    }

    fn cells(&self, raw: &Raw, fields: &mut Fields) -> Result<Vec<String>, String> {
        if let Some(fault) = raw.fault {
            return Err(fault.to_owned());
        }
        let record = fields.read(&raw.bytes)?;
        let utf8 = std::str::from_utf8(&raw.bytes).is_ok();
        record
            .iter()
            .map(|cell| match (self.encoding, utf8) {
                (Encoding::Latin1, _) | (Encoding::Detect, false) => {
                    Ok(WINDOWS_1252.decode_without_bom_handling(cell).0.into_owned())
                }
                (_, true) => Ok(String::from_utf8_lossy(cell).into_owned()),
                (Encoding::Utf8, false) => Err("it is not UTF-8".to_owned()),
            })
            .collect()
    }
}

impl Row<'_> {
    /// The cell of a column, trimmed; `None` where it is empty or the file has no such column.
    pub(super) fn get(&self, column: &str) -> Option<&str> {
        let index = self.sheet.columns.iter().position(|held| held == column)?;
        self.cells.get(index).map(|cell| cell.trim()).filter(|cell| !cell.is_empty())
    }

    /// Whether the file has such a column.
    pub(super) fn has(&self, column: &str) -> bool {
        self.sheet.columns.iter().any(|held| held == column)
    }

    /// The cell of a column that must not be empty.
    pub(super) fn need(&self, column: &str) -> Result<&str, String> {
        self.get(column).ok_or_else(|| format!("{column} is empty"))
    }

    /// The cells of columns that are none of these, where they are not empty.
    pub(super) fn others<'b>(&'b self, known: &'b [&str]) -> impl Iterator<Item = (&'b str, &'b str)> {
        self.sheet.others(known).filter_map(|column| self.get(column).map(|cell| (column, cell)))
    }

    /// All cells, told apart: what two records must share to be one.
    pub(super) fn cells(&self) -> &[String] {
        &self.cells
    }
}

/// Takes records apart. One reader serves many records: building the tables of the `csv` crate costs more than reading a
/// record with them.
#[derive(Debug)]
pub(super) struct Fields {
    delimiter: u8,
    reader: csv::Reader<Feed>,
    record: csv::ByteRecord,
    fed: u64,
}

/// Bytes handed over record by record.
#[derive(Debug, Default)]
struct Feed {
    bytes: Vec<u8>,
    used: usize,
}

impl io::Read for Feed {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let rest = &self.bytes[self.used..];
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        self.used += length;
        Ok(length)
    }
}

impl Fields {
    fn new(delimiter: u8) -> Self {
        let reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(Feed::default());
        Self { delimiter, reader, record: csv::ByteRecord::new(), fed: 0 }
    }

    fn read(&mut self, bytes: &[u8]) -> Result<&csv::ByteRecord, String> {
        let feed = self.reader.get_mut();
        feed.bytes.clear();
        feed.bytes.extend_from_slice(bytes);
        feed.bytes.push(b'\n');
        feed.used = 0;
        self.fed += feed.bytes.len() as u64;
        let read = self.reader.read_byte_record(&mut self.record);
        let used_up = self.reader.position().byte() == self.fed;
        if !matches!(read, Ok(true)) || !used_up {
            // A carriage return in the middle: two records to the `csv` crate, one line to everybody else. What is left
            // in this reader must not be taken for the next record.
            *self = Self::new(self.delimiter);
            return Err("it holds a carriage return".to_owned());
        }
        Ok(&self.record)
    }
}

/// Column names as an error may show them: short, on one line, without addresses.
fn shown(names: &str) -> String {
    let names = names.replace(char::is_control, " ");
    clean::raw_text(names.as_bytes(), 200)
}

fn header_lines(header: &Raw) -> u64 {
    1 + header.bytes.iter().filter(|byte| **byte == b'\n').count() as u64
}

/// The most frequent of the usual delimiters outside of quotes; a comma where there is none.
fn delimiter_of(header: &[u8]) -> u8 {
    let mut quoted = false;
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    for byte in header {
        quoted ^= *byte == b'"';
        if let Some(count) = counts.iter_mut().find(|(delimiter, _)| !quoted && delimiter == byte) {
            count.1 += 1;
        }
    }
    // The first of equals wins, hence the order reversed.
    counts.iter().rev().max_by_key(|(_, count)| *count).map_or(b',', |(delimiter, _)| *delimiter)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|cause| failed(path, cause))
}

fn read_up_to(file: &mut File, into: &mut [u8]) -> io::Result<usize> {
    use io::Read;
    let mut held = 0;
    while held < into.len() {
        match file.read(&mut into[held..])? {
            0 => break,
            read => held += read,
        }
    }
    Ok(held)
}

/// An error of the file system, with the file it speaks of.
pub(super) fn failed(path: &Path, cause: io::Error) -> Error {
    let kind = match cause.kind() {
        io::ErrorKind::NotFound => ErrorKind::NotFound,
        _ => ErrorKind::Storage,
    };
    Error::new(kind, SERVICE, "read a file").with_detail(path.display().to_string()).with_source(cause)
}
