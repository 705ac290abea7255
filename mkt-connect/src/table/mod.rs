//! The one reader of delimited text: CSV and its relatives, as people's programs write them.
//!
//! | part | what it does |
//! |---|---|
//! | [`ReadOptions`], [`Table`], [`Record`] | finds encoding, delimiter and header, reads record by record in bounded memory |
//! | [`Batch`], [`Ahead`] | many records at once; a thread that splits ahead |
//! | [`Header`], [`fold`] | finds columns by name, whatever case, accents, spaces and apostrophes |
//! | [`Quarantined`], [`Reason`] | a row set aside: line, offset, raw bytes, reason |
//! | [`Found`] | what was found out and how, as text and JSON |
//! | `testing` | sixty nasty files with their verdicts (feature `table-testing`) |
//! | [`cell`] | what a cell means: counts, amounts, truth values, dates, timestamps |
//!
//! Nothing is guessed silently: a meaning is declared, proven by the file, or refused with the option that decides it.
//!
//! - **Lines** end in LF, CRLF or CR. Empty lines are skipped. Lines and offsets are those of the file.
//! - **Quotation marks** are those of RFC 4180. A record in which they do not work out (unclosed, or text after the closing
//!   one) costs one line, and so does a record longer than [`ReadOptions::max_record`].
//! - **Delimiter**: a line `sep=;` before the header, else the most frequent of `, ; tab |` in the header outside of
//!   quotation marks; where the header has several, the rows decide.
//! - **Encoding**: UTF-8 with or without byte order mark, UTF-16 with or without, Windows-1252. Without a mark, the lines of
//!   the first 64 KiB that are not ASCII decide by majority, or the first such record after them; once decided, a record
//!   that contradicts is quarantined.
//! - **Columns** without a name, or with one that another has, are numbered and listed; only reading one of two is refused.
//! - **Width**: surplus fields that are blank are dropped, and a last column without a name need not be there; other rows
//!   that do not fit the header are quarantined, see [`ShortRows`].
//!
//! ```
//! use mkt_connect::table::{Table, cell};
//! let file = "Date d’inscription;Likes\n2026-05-02;1 204\n2026-05-03;n/a\n\"never closed;1\n";
//! let mut table = Table::open(file.as_bytes())?;
//! let likes = table.header().find(&["likes"]).unwrap().unwrap();
//! table.found_mut().read_as(likes, "likes");
//! let (missing, mut sum, mut quarantined) = (cell::Missing::usual(), 0, Vec::new());
//! while let Some(row) = table.next()? {
//!     match row {
//!         Ok(row) if missing.is(row.cell(likes)) => {}
//!         Ok(row) => sum += cell::count(row.cell(likes), None).unwrap_or_default(),
//!         Err(row) => quarantined.push(row),
//!     }
//! }
//! assert_eq!((sum, quarantined[0].line, quarantined[0].raw()), (1204, 4, &b"\"never closed;1"[..]));
//! assert_eq!(table.found().ignored().collect::<Vec<_>>(), ["Date d’inscription"]);
//! # Ok::<(), mkt_connect::table::ReadError>(())
//! ```

mod batch;
pub mod cell;
mod encoding;
mod found;
mod header;
mod quarantine;
mod reader;
mod records;
mod split;
#[cfg(any(test, feature = "table-testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

pub use batch::{Ahead, Batch};
pub use encoding::{Encoding, UnknownEncoding};
pub use found::{Decided, Found, FoundColumn, How};
pub use header::{AmbiguousColumn, Header, fold};
pub use quarantine::{MAX_RAW, Quarantined, Reason};
pub use reader::{Layout, ReadError, ReadOptions, Record, ShortRows, Table};
