//! What was found out about a file.

use super::columns::Column;
use super::index::Index;
use super::{FileKind, Inner};
use mkt_connect::table::Found;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// What was found out about a file, for the answer of whoever loads it. `Display` gives lines of text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileFindings {
    /// The file's name.
    pub file: String,
    /// The stream that it fills: `events`, `events:key`.
    pub stream: String,
    /// The known export that the file is, recognised by its header.
    pub export: Option<&'static str>,
    /// Records, without the header.
    pub records: u64,
    /// Encoding, delimiter, columns.
    pub table: Found,
    /// Words for channels that are not known, and in how many records; they are read as `other`.
    pub unknown_channels: BTreeMap<String, u64>,
    /// Words for events that were read as another name (`commande -> purchase`), and in how many records.
    pub renamed_events: BTreeMap<String, u64>,
    /// What a reader of the numbers should know.
    pub notes: Vec<String>,
    /// The first records that do not fit, with line and reason.
    pub first_reasons: Vec<String>,
}

impl fmt::Display for FileFindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} records", self.file, self.records)?;
        if let Some(export) = self.export {
            write!(f, ", read as {export}")?;
        }
        writeln!(f)?;
        for line in self.table.to_string().lines() {
            writeln!(f, "  {line}")?;
        }
        for note in &self.notes {
            writeln!(f, "  {note}")?;
        }
        for (words, records) in &self.renamed_events {
            writeln!(f, "  event {words} ({records} records)")?;
        }
        for (word, records) in &self.unknown_channels {
            writeln!(f, "  unknown channel {word:?}, read as other ({records} records)")?;
        }
        Ok(())
    }
}

impl Inner {
    pub(super) fn findings(&self, kind: FileKind, index: &Index) -> FileFindings {
        let preset = index.columns.preset;
        let note = preset.map(|preset| preset.note.to_owned()).filter(|note| !note.is_empty());
        let is_read = |column| index.columns.at(column).is_some();
        let without_revenue = (kind == FileKind::Events && preset.is_none() && !is_read(Column::Revenue))
            .then(|| "no column is read as revenue: it is 0 in every row; map one to revenue".to_owned());
        let in_utc = [Column::Timestamp, Column::StartTime]
            .iter()
            .any(|column| index.columns.says_utc(*column))
            .then(|| "times without an offset are UTC, as the name of their column says".to_owned());
        let reasons = index.reasons.iter().map(|(line, reason)| format!("line {line}: {reason}"));
        FileFindings {
            file: index.name(),
            stream: self.settings.stream(kind).into_owned(),
            export: preset.map(|preset| preset.name),
            records: index.records,
            table: index.found.clone(),
            unknown_channels: index.unknown_channels.clone(),
            renamed_events: index
                .renamed_events
                .iter()
                .map(|((theirs, ours), records)| (format!("{theirs} -> {ours}"), *records))
                .collect(),
            notes: note.into_iter().chain(without_revenue).chain(in_utc).collect(),
            first_reasons: reasons.collect(),
        }
    }
}
