//! The options with which a file of delimited text is read: `--delimiter`, `--encoding`, `--decimal-mark`,
//! `--skip-lines`, `--map`, `--missing`, the same in every example that reads frames.

use crate::failure::{Context, Step};
use crate::option;
use clap::Args;
use mkt_connect::table::cell::DecimalMark;
use mkt_connect::table::{Encoding, Found};
use mkt_ml::{CsvOptions, Frame, FrameError};
use std::path::Path;

/// How to read a file, where its content does not show it.
#[derive(Debug, Clone, Default, Args)]
pub struct FileOptions {
    /// What separates the columns: one character or `tab` [default: found]
    #[arg(long, value_name = "CHARACTER", value_parser = option::delimiter)]
    pub delimiter: Option<u8>,
    /// utf-8, utf-16le, utf-16be or windows-1252 [default: found]
    #[arg(long, value_name = "NAME")]
    pub encoding: Option<Encoding>,
    /// The decimal mark of all columns, point or comma; the other one separates
    /// thousands [default: point, unless a column proves the comma]
    #[arg(long, value_name = "MARK")]
    pub decimal_mark: Option<DecimalMark>,
    /// Lines before the header, such as a title
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub skip_lines: u64,
    /// Reads the file's column THEIRS as OURS; repeat the option for more
    #[arg(long, value_name = "THEIRS=OURS", value_parser = option::pair)]
    pub map: Vec<(String, String)>,
}

/// How to read a file into a frame, where its content does not show it.
#[derive(Debug, Clone, Default, Args)]
pub struct TableOptions {
    /// The form of the file.
    #[command(flatten)]
    pub file: FileOptions,
    /// One more word that stands for a missing value, such as -999; repeat the
    /// option for more
    #[arg(long, value_name = "WORD", allow_hyphen_values = true)]
    pub missing: Vec<String>,
}

impl TableOptions {
    /// These options on top of others.
    #[must_use]
    pub fn csv_options(&self, options: CsvOptions) -> CsvOptions {
        let mut options = options
            .delimiter(self.file.delimiter)
            .encoding(self.file.encoding)
            .decimal_mark(self.file.decimal_mark)
            .skip_lines(self.file.skip_lines);
        for (theirs, ours) in &self.file.map {
            options = options.rename(theirs, ours);
        }
        self.missing.iter().fold(options, |options, word| options.missing_word(word))
    }

    /// Reads a file; an error names the options that may help.
    ///
    /// # Errors
    /// As [`CsvOptions::read_path`].
    pub fn read(options: &CsvOptions, path: &Path) -> Step<Frame> {
        let read = options.read_path(path);
        let help = match read.as_ref().err() {
            Some(FrameError::DecimalMark { .. }) => ", --decimal-mark may help",
            Some(FrameError::Read { .. } | FrameError::Line { .. }) => ", --encoding or --delimiter may help",
            Some(FrameError::RaggedLine { .. }) => ", --delimiter or --skip-lines may help",
            Some(FrameError::UnknownColumn { .. } | FrameError::DuplicateColumn { .. }) => ", --map may help",
            _ => "",
        };
        Ok(read.context(|| format!("cannot read {}{help}", path.display()))?)
    }

    /// What to say about a file whose encoding or delimiter is not the usual one.
    #[must_use]
    pub fn found(found: Option<&Found>) -> Vec<String> {
        let Some(found) = found else { return Vec::new() };
        let encoding = found.encoding.filter(|encoding| encoding.value != Encoding::Utf8);
        let encoding = encoding.map(|encoding| format!("encoding: {encoding}"));
        let delimiter = (found.delimiter.value != ',').then(|| match found.delimiter.value {
            '\t' => format!("delimiter: tab ({})", found.delimiter.how),
            _ => format!("delimiter: {}", found.delimiter),
        });
        encoding.into_iter().chain(delimiter).collect()
    }
}
