//! Settings of a source of files.

use super::{CsvSource, FileKind, Inner, SERVICE, Settings, columns};
use chrono_tz::Tz;
use mkt_connect::table::cell::{DateOrder, DecimalMark, Epoch, TimeFormat};
use mkt_connect::table::{Encoding, ReadOptions};
use mkt_connect::{Channel, Currency, Error, ErrorKind, Result};
use mkt_warehouse::model::EventType;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The longest key, in characters.
const MAX_KEY: usize = 200;

/// Settings of a [`CsvSource`].
#[derive(Debug, Clone)]
pub struct CsvBuilder {
    settings: Settings,
    files: BTreeMap<FileKind, PathBuf>,
    invalid_time_format: Option<String>,
}

impl CsvSource {
    /// Settings for a site of this name, whose days are cut in this zone.
    #[must_use]
    pub fn builder(site: impl Into<String>, zone: Tz) -> CsvBuilder {
        CsvBuilder {
            settings: Settings {
                site: site.into(),
                zone,
                times_in: Tz::UTC,
                currency: Currency::EUR,
                key: None,
                read: ReadOptions::new(),
                renamed: BTreeMap::new(),
                time: TimeFormat::new(),
                date_order: None,
                epoch: None,
                decimal_mark: None,
                channels: BTreeMap::new(),
                event_type: None,
                default_channel: None,
                only: BTreeMap::new(),
            },
            files: BTreeMap::new(),
            invalid_time_format: None,
        }
    }
}

/// The key under which a file is kept unless another is given: its path as given, in which characters other than letters,
/// digits, `.`, `_`, `-` and `/` become `_`. A path that this changes, or that is long, also gets a hash of itself, so
/// that no two paths share a key.
#[must_use]
pub fn key_of(path: &Path) -> String {
    let text = path.to_string_lossy().replace('\\', "/");
    let key: String = text.chars().map(|c| if is_key(c) { c } else { '_' }).collect();
    if key == text && (1..=MAX_KEY).contains(&key.chars().count()) {
        return key;
    }
    let hash = mkt_warehouse::id::stable_hash(&["key", &text]);
    let tail: String = key.chars().rev().take(MAX_KEY - 17).collect::<Vec<_>>().into_iter().rev().collect();
    format!("{tail}-{hash:016x}")
}

fn is_key(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/')
}

impl CsvBuilder {
    fn file(mut self, kind: FileKind, path: impl Into<PathBuf>) -> Self {
        self.files.insert(kind, path.into());
        self
    }

    /// The file of sessions.
    #[must_use]
    pub fn sessions(self, path: impl Into<PathBuf>) -> Self {
        self.file(FileKind::Sessions, path)
    }

    /// The file of events.
    #[must_use]
    pub fn events(self, path: impl Into<PathBuf>) -> Self {
        self.file(FileKind::Events, path)
    }

    /// The file of customers.
    #[must_use]
    pub fn customers(self, path: impl Into<PathBuf>) -> Self {
        self.file(FileKind::Customers, path)
    }

    /// The file of costs.
    #[must_use]
    pub fn costs(self, path: impl Into<PathBuf>) -> Self {
        self.file(FileKind::Costs, path)
    }

    /// The zone of times that are written without an offset. Default: UTC.
    #[must_use]
    pub fn times_in(mut self, zone: Tz) -> Self {
        self.settings.times_in = zone;
        self
    }

    /// The currency of events and costs that name none. Default: the euro.
    #[must_use]
    pub fn currency(mut self, currency: Currency) -> Self {
        self.settings.currency = currency;
        self
    }

    /// A name for these files, so that they stand beside others of the same site: the streams are then called
    /// `events:key`, and loading replaces what was loaded under this key and nothing else. Default: none. See [`key_of`].
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.settings.key = Some(key.into());
        self
    }

    /// Declares the encoding. Default: found out.
    #[must_use]
    pub fn encoding(mut self, encoding: Encoding) -> Self {
        self.settings.read = self.settings.read.encoding(encoding);
        self
    }

    /// Declares the delimiter. Default: found out.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.settings.read = self.settings.read.delimiter(delimiter);
        self
    }

    /// Skips so many lines before the header. Default: 0.
    #[must_use]
    pub fn skip_lines(mut self, lines: u64) -> Self {
        self.settings.read = self.settings.read.skip_lines(lines);
        self
    }

    /// Reads the column `theirs` of the files as `ours`: `rename("visitor", "user_id")`. Names are compared without case,
    /// accents, spaces and underscores. A name that is none of ours is what the property is called.
    #[must_use]
    pub fn rename(mut self, theirs: &str, ours: &str) -> Self {
        self.settings.renamed.insert(columns::folded(theirs), ours.trim().to_lowercase());
        self
    }

    /// Declares how timestamps are written, as a command's option names it: `epoch-s`, `epoch-ms`, `epoch-us`, `day-first`,
    /// `month-first`, or a pattern of [`chrono::format::strftime`] such as `%d.%m.%Y %H:%M`. Anything else is an error of
    /// [`build`](Self::build).
    #[must_use]
    pub fn time_format(mut self, format: &str) -> Self {
        match format.trim() {
            "epoch-s" => self.epoch(Epoch::Seconds),
            "epoch-ms" => self.epoch(Epoch::Milliseconds),
            "epoch-us" => self.epoch(Epoch::Microseconds),
            pattern if pattern.contains('%') => self.time_pattern(pattern),
            order => match order.parse() {
                Ok(order) => self.date_order(order),
                Err(_) => {
                    self.invalid_time_format = Some(format.to_owned());
                    self
                }
            },
        }
    }

    /// Declares a pattern of timestamps, as in [`chrono::format::strftime`]. Default: the usual forms.
    #[must_use]
    pub fn time_pattern(mut self, pattern: impl Into<String>) -> Self {
        self.settings.time = self.settings.time.pattern(pattern.into());
        self
    }

    /// Declares that timestamps are numbers since 1970. Default: only in exports of known shape.
    #[must_use]
    pub fn epoch(mut self, epoch: Epoch) -> Self {
        self.settings.epoch = Some(epoch);
        self
    }

    /// Declares the order of day and month. Default: proven by the file.
    #[must_use]
    pub fn date_order(mut self, order: DateOrder) -> Self {
        self.settings.date_order = Some(order);
        self
    }

    /// Declares the decimal mark of amounts. Default: proven by the file.
    #[must_use]
    pub fn decimal_mark(mut self, mark: DecimalMark) -> Self {
        self.settings.decimal_mark = Some(mark);
        self
    }

    /// Reads a word of the column `channel` (or `source / medium`) as this channel. Default: the usual words, see
    /// [`crate::channel::of_name`].
    #[must_use]
    pub fn channel(mut self, word: &str, channel: Channel) -> Self {
        self.settings.channels.insert(crate::channel::folded(word), channel);
        self
    }

    /// Declares what every row of the events is, for files without such a column: an export of orders holds purchases.
    /// Default: the column `event_type` says it.
    #[must_use]
    pub fn event_type(mut self, event_type: EventType) -> Self {
        self.settings.event_type = Some(event_type);
        self
    }

    /// Declares the channel of rows that name none. Default: a file without the column is refused, an empty cell is
    /// [`Channel::Other`].
    #[must_use]
    pub fn default_channel(mut self, channel: Channel) -> Self {
        self.settings.default_channel = Some(channel);
        self
    }

    /// Takes only the events whose column `theirs` holds one of the values declared for it, whatever the case; the others
    /// are quarantined: `only("Status", "paid")`. A call adds a value. Default: every row.
    #[must_use]
    pub fn only(mut self, theirs: &str, value: &str) -> Self {
        let values = self.settings.only.entry(columns::folded(theirs)).or_default();
        values.push(value.trim().to_lowercase());
        self
    }

    /// Checks the settings. No file is opened: see [`AnalyticsSource::check`](crate::source::AnalyticsSource::check).
    ///
    /// # Errors
    /// `Config`: no file, an invalid name of the site, an invalid time format, or a key that is not 1 to 200 letters, digits, `.`, `_`, `-` or `/`.
    pub fn build(self) -> Result<CsvSource> {
        let config = |detail: &str| Err(Error::new(ErrorKind::Config, SERVICE, "build").with_detail(detail));
        if let Some(format) = &self.invalid_time_format {
            let format: String = format.chars().take(40).collect();
            return config(&format!(
                "invalid time format {format:?}: expected epoch-s, epoch-ms, epoch-us, day-first, month-first or a pattern \
                 with %"
            ));
        }
        if self.files.is_empty() {
            return config("missing file; call `.events()`, `.sessions()`, `.customers()` or `.costs()`");
        }
        if self.settings.site.is_empty() || self.settings.site.contains('@') {
            return config("invalid name of the site: expected a text without @");
        }
        let usable = |key: &str| (1..=MAX_KEY).contains(&key.chars().count()) && key.chars().all(is_key);
        if self.settings.key.as_deref().is_some_and(|key| !usable(key)) {
            return config("invalid key: expected 1 to 200 letters, digits, '.', '_', '-' or '/'");
        }
        Ok(CsvSource(Arc::new(Inner {
            settings: self.settings,
            files: self.files,
            indexes: Mutex::default(),
        })))
    }
}
