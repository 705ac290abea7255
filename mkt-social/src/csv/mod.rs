//! Posts from a CSV file: the export of a network or tool, a spreadsheet, the sample data.
//!
//! - **Columns** are found by their usual English and French names, and by the shape of known exports (Meta Business Suite,
//!   X, TikTok Studio); others are mapped with [`Csv::column`]. Titles and descriptions before the header are skipped.
//! - **Delimiter and encoding** (UTF-8, UTF-16, Windows-1252) are detected, or declared.
//! - **Times** with an offset need no zone; others are local times of [`Csv::zone`].
//!   change the first is meant; a local time that does not exist is quarantined. The order of `03/04/2026` is declared
//!   ([`Csv::date_order`]), proven by the column, or such rows are quarantined. Numbers since 1970 are declared
//!   ([`Csv::epoch`]). A date may have its time of day in a column of its own.
//! - **Metrics** are whole numbers: groups of three digits are thousands, whatever the separator (`1.000` is 1000), unless
//!   [`Csv::decimal_mark`] says that it is the decimal mark. `1.8K` is 1800. An empty cell is [`Missing::Blank`](crate::Missing::Blank); in a column
//!   that is empty in the whole file, [`Missing::NotSupported`](crate::Missing::NotSupported).
//! - **Ids**: a file without ids, and ids rounded by a spreadsheet (`1.78946E+16`), are replaced by the full timestamp and a
//!   hash of text and URL.
//!
//! Rows that cannot be used are quarantined with line, offset, bytes and reason. What was found is in [`Findings`](crate::Findings), which
//! names the columns counted as interactions, and those that look like interactions and are not counted.
//!
//! The file is streamed: memory holds a page, and some 30 bytes per post to recognise repetitions. Its first thousand rows are
//! read twice; all rows, if the date order is still open or a column is still empty after them.
//! [`read_into`](crate::SocialSourceExt::read_into) creates no [`Post`](crate::Post) per row: for very many posts it is several
//! times as fast as pages (`cargo bench --bench social`). Reading blocks the thread for the length of a page. A file of a
//! megabyte and more is split into records by a second thread, which ends with the read.

mod columns;
mod count;
mod evidence;
mod identity;
mod pages;
mod shape;
mod write;

pub use columns::{Field, UnknownField};
pub use write::write;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use mkt_connect::Result;
use mkt_connect::table::cell::{DateOrder, DecimalMark, Epoch};
use mkt_connect::table::{Encoding, ReadOptions};

use crate::metric::Metric;
use crate::source::{Calls, Capabilities, Plan, PostPages, Request, SocialSource};
use pages::CsvPages;

#[derive(Debug, Clone)]
enum Input {
    File(PathBuf),
    Bytes(Arc<[u8]>),
}

/// A CSV file, or its bytes, as a source.
///
/// ```
/// use mkt_connect::table::cell::DateOrder;
/// use mkt_social::csv::Csv;
/// use mkt_social::{Request, SocialSourceExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> mkt_connect::Result<()> {
/// let text = "post_id;platform;published_at;likes;reach\n\
///             1;instagram;29/03/2026 18:00;1.204;\n\
///             2;instagram;29/03/2026 02:30;10;900\n";
/// let exported_at = "2026-04-10T08:00:00Z".parse().unwrap();
/// let source = Csv::from_bytes(text, exported_at).zone(chrono_tz::Europe::Paris).date_order(DateOrder::DayFirst);
/// let read = source.read_all(&Request::all()).await?;
/// assert_eq!(read.posts[0].published_at.to_rfc3339(), "2026-03-29T16:00:00+00:00");
/// assert_eq!(read.findings.interactions, ["likes"]);
/// // The clocks of Paris were put forward from 2 to 3 that night.
/// let skipped = &read.quarantined[0];
/// assert_eq!((skipped.line, skipped.reason.code()), (3, "skipped_time"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Csv {
    input: Input,
    exported_at: DateTime<Utc>,
    mapping: Vec<(String, Field)>,
    options: ReadOptions,
    skip_lines: Option<u64>,
    decimal_mark: Option<DecimalMark>,
    date_order: Option<DateOrder>,
    epoch: Option<Epoch>,
    time_pattern: Option<String>,
    zone: Option<Tz>,
    network: Option<String>,
}

impl Csv {
    /// A file on disk. `exported_at` is the time at which its metrics were true; it becomes
    /// [`Observation::observed_at`](crate::Observation::observed_at).
    #[must_use]
    pub fn open(path: impl Into<PathBuf>, exported_at: DateTime<Utc>) -> Self {
        Self::over(Input::File(path.into()), exported_at)
    }

    /// The bytes of a file. `exported_at` as for [`open`](Self::open).
    #[must_use]
    pub fn from_bytes(bytes: impl AsRef<[u8]>, exported_at: DateTime<Utc>) -> Self {
        Self::over(Input::Bytes(Arc::from(bytes.as_ref())), exported_at)
    }

    fn over(input: Input, exported_at: DateTime<Utc>) -> Self {
        Self {
            input,
            exported_at,
            mapping: Vec::new(),
            options: ReadOptions::new(),
            skip_lines: None,
            decimal_mark: None,
            date_order: None,
            epoch: None,
            time_pattern: None,
            zone: None,
            network: None,
        }
    }

    /// Declares the meaning of a column; it goes before the usual names. Case, accents, spaces and punctuation of the name do
    /// not count.
    #[must_use]
    pub fn column(mut self, name: impl Into<String>, field: Field) -> Self {
        self.mapping.push((name.into(), field));
        self
    }

    /// Declares the delimiter.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.options = self.options.delimiter(delimiter);
        self
    }

    /// Declares the encoding. A byte order mark in the file goes before it.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.options = self.options.encoding(encoding);
        self
    }

    /// Declares the number of lines before the header. Without it, up to ten lines that are not a header are skipped.
    #[must_use]
    pub fn skip_lines(mut self, lines: u64) -> Self {
        self.skip_lines = Some(lines);
        self
    }

    /// Declares the decimal mark. Only needed if it precedes three digits: a metric such as `1.000` is 1000 without it, and
    /// quarantined with [`DecimalMark::Point`].
    #[must_use]
    pub fn decimal_mark(mut self, mark: DecimalMark) -> Self {
        self.decimal_mark = Some(mark);
        self
    }

    /// Declares the order of day and month in dates such as 03/04/2026.
    #[must_use]
    pub fn date_order(mut self, order: DateOrder) -> Self {
        self.date_order = Some(order);
        self
    }

    /// Declares that times are numbers since 1970.
    #[must_use]
    pub fn epoch(mut self, epoch: Epoch) -> Self {
        self.epoch = Some(epoch);
        self
    }

    /// Declares the pattern of times, in the form of [`chrono::format::strftime`]; other times are quarantined.
    #[must_use]
    pub fn time_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.time_pattern = Some(pattern.into());
        self
    }

    /// Sets the zone of times without an offset.
    #[must_use]
    pub fn zone(mut self, zone: Tz) -> Self {
        self.zone = Some(zone);
        self
    }

    /// Sets the network of rows that do not name it. Default: that of the known export, else `unknown`.
    #[must_use]
    pub fn network(mut self, network: impl Into<String>) -> Self {
        self.network = Some(network.into());
        self
    }

    /// Sets the longest row in bytes, default 1 MiB. A longer one is quarantined.
    #[must_use]
    pub fn max_record(mut self, bytes: usize) -> Self {
        self.options = self.options.max_record(bytes);
        self
    }
}

#[async_trait]
impl SocialSource for Csv {
    fn name(&self) -> &'static str {
        "csv"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Metric::ALL).with_paid()
    }

    async fn check(&self) -> Result<()> {
        CsvPages::open(self, "check").map(|_| ())
    }

    fn plan(&self, _request: &Request) -> Plan {
        Plan::new(Calls::Exactly(0))
    }

    async fn open(&self, request: &Request) -> Result<Box<dyn PostPages>> {
        Ok(Box::new(CsvPages::open(self, "read posts")?.over(request)))
    }
}
