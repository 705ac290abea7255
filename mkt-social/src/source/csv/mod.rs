//! Posts from a CSV file: an export of a network's own statistics page, a spreadsheet, our sample data.
//!
//! The header names the columns; the usual English and French names are known, others are mapped by
//! [`CsvSource::column`]. Separator (`,` `;` tab), byte order mark and encoding (UTF-8, or Windows-1252, which contains
//! Latin-1) are found out; they can be declared. A `;` file is read with decimal commas unless told otherwise.
//!
//! Times with an offset are taken as they are; times without need a declared zone, because a fixed offset would be
//! wrong for half the year. A local time that occurs twice (the hour of the clock change in autumn) is read as the
//! first of the two; one that never existed is quarantined.
//!
//! Rows that cannot be used are quarantined with line, byte offset, bytes and reason. The file is streamed: memory
//! holds a page, and some 30 bytes of each post to recognise repetitions. [`read_into`](super::SocialSourceExt::read_into) makes no
//! [`Post`](crate::Post) of a row: for very many posts it is several times as fast as pages (`cargo bench --bench social`).
//!
//! Reading blocks the thread for the length of a page; this crate starts no runtime. A file of a megabyte and more is split
//! into records by a thread of its own, which ends with the read.

mod cell;
mod columns;
mod records;
mod rows;

pub use columns::Field;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use mkt_connect::Result;

use super::{Calls, Capabilities, Plan, PostPages, Request, SocialSource};
use crate::metric::Metric;
use rows::Rows;

/// Which sign separates whole from fraction; the other one groups thousands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecimalMark {
    /// 1,234.5
    Point,
    /// 1.234,5
    Comma,
}

/// The order of a date written with slashes, such as 03/04/2026.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DateOrder {
    /// 3 April.
    DayFirst,
    /// March 4.
    MonthFirst,
}

/// How text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TextEncoding {
    /// UTF-8.
    Utf8,
    /// Windows-1252, the superset of Latin-1 (ISO 8859-1) that files so called are written in.
    Latin1,
}

#[derive(Debug, Clone)]
pub(super) enum Input {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

/// A CSV file, or its bytes, as a source.
///
/// ```
/// use mkt_social::source::csv::CsvSource;
/// use mkt_social::source::{Request, SocialSourceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> mkt_connect::Result<()> {
/// let text = "post_id;platform;published_at;likes;reach\n\
///             1;instagram;29/03/2026 18:00;1.204;\n\
///             2;instagram;29/03/2026 02:30;10;900\n";
/// let read_at = "2026-04-10T08:00:00Z".parse().unwrap();
/// let source = CsvSource::from_bytes(text, read_at)
///     .zone(chrono_tz::Europe::Paris)
///     .date_order(mkt_social::source::csv::DateOrder::DayFirst);
/// let read = source.read_all(&Request::all()).await?;
/// assert_eq!(read.posts[0].published_at.to_rfc3339(), "2026-03-29T16:00:00+00:00");
/// // The clocks of Paris jumped from 2 to 3 that night.
/// assert_eq!(read.quarantined[0].reason.to_string(), "has a local time that did not exist in Europe/Paris");
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct CsvSource {
    pub(super) input: Input,
    pub(super) read_at: DateTime<Utc>,
    pub(super) mapping: Vec<(String, Field)>,
    pub(super) separator: Option<u8>,
    pub(super) encoding: Option<TextEncoding>,
    pub(super) decimal: Option<DecimalMark>,
    pub(super) date_order: Option<DateOrder>,
    pub(super) zone: Option<Tz>,
    pub(super) network: Option<String>,
    pub(super) longest_row: usize,
}

impl CsvSource {
    /// A file on disk. `read_at` is the instant at which its numbers were true: when it was exported. It becomes
    /// [`Observation::observed_at`](crate::Observation::observed_at).
    #[must_use]
    pub fn open(path: impl Into<PathBuf>, read_at: DateTime<Utc>) -> Self {
        Self::over(Input::File(path.into()), read_at)
    }

    /// The bytes of a file. `read_at` as for [`open`](Self::open).
    #[must_use]
    pub fn from_bytes(bytes: impl AsRef<[u8]>, read_at: DateTime<Utc>) -> Self {
        Self::over(Input::Bytes(Arc::from(bytes.as_ref())), read_at)
    }

    fn over(input: Input, read_at: DateTime<Utc>) -> Self {
        Self {
            input,
            read_at,
            mapping: Vec::new(),
            separator: None,
            encoding: None,
            decimal: None,
            date_order: None,
            zone: None,
            network: None,
            longest_row: 1 << 20,
        }
    }

    /// Says what a column holds; goes before the names that are known. Case, white space and underscores around and
    /// in the name do not matter.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, field: Field) -> Self {
        self.mapping.push((name.into(), field));
        self
    }

    /// Declares the separator.
    #[must_use]
    pub fn separator(mut self, separator: u8) -> Self {
        self.separator = Some(separator);
        self
    }

    /// Declares the encoding. A byte order mark in the file wins.
    #[must_use]
    pub fn encoding(mut self, encoding: TextEncoding) -> Self {
        self.encoding = Some(encoding);
        self
    }

    /// Declares the decimal mark.
    #[must_use]
    pub fn decimal(mut self, mark: DecimalMark) -> Self {
        self.decimal = Some(mark);
        self
    }

    /// Allows dates with slashes and says how to read them; without this they are quarantined.
    #[must_use]
    pub fn date_order(mut self, order: DateOrder) -> Self {
        self.date_order = Some(order);
        self
    }

    /// The zone of times that are written without one.
    #[must_use]
    pub fn zone(mut self, zone: Tz) -> Self {
        self.zone = Some(zone);
        self
    }

    /// The network of rows that name none; `unknown` unless said.
    #[must_use]
    pub fn network(mut self, network: impl Into<String>) -> Self {
        self.network = Some(network.into());
        self
    }

    /// The longest row accepted, in bytes; 1 MiB unless said. A longer one (a quotation mark that never ends) is an
    /// error: nothing after it could be trusted.
    #[must_use]
    pub fn longest_row(mut self, bytes: usize) -> Self {
        self.longest_row = bytes.max(1);
        self
    }
}

#[async_trait]
impl SocialSource for CsvSource {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Metric::ALL).with_paid()
    }

    async fn check(&self) -> Result<()> {
        Rows::open(self, "check").map(|_| ())
    }

    fn plan(&self, _request: &Request) -> Plan {
        Plan::new(Calls::Exactly(0))
    }

    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
        Ok(Box::new(Rows::open(self, "read posts")?.over(request)))
    }
}
