//! What was found out about each file.

use super::files::{Sampled, name_of};
use super::format::Format;
use super::visits::instant;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde::Serialize;
use std::fmt;

/// What was found out about a file of a log. `Display` gives lines of text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FileFindings {
    /// The file's name.
    pub file: String,
    /// Its format; `None` for a file without lines, and for a copy, which is not read.
    pub format: Option<Format>,
    /// Lines, without blank ones and directives: read = loaded + bots + quarantined.
    pub read: u64,
    /// Lines of people.
    pub loaded: u64,
    /// Lines of robots.
    pub bots: u64,
    /// Lines that do not fit.
    pub quarantined: u64,
    /// The earliest instant.
    pub first: Option<DateTime<Utc>>,
    /// The latest instant.
    pub last: Option<DateTime<Utc>>,
    /// What a reader of the numbers should know.
    pub notes: Vec<String>,
    /// The first lines that do not fit, with number and reason.
    pub first_reasons: Vec<String>,
    #[serde(skip)]
    pub(super) without_agent: u64,
}

impl FileFindings {
    pub(super) fn of(file: &Sampled) -> Self {
        let mut notes = Vec::new();
        if let Some(other) = &file.copy_of {
            notes.push(format!("the same lines as {}, or its beginning: not read again", name_of(other)));
        } else if file.format.is_some() && file.sample.fits < file.sample.lines {
            notes.push(format!("{} of the first {} lines fit", file.sample.fits, file.sample.lines));
        }
        Self {
            file: file.name(),
            format: file.format.filter(|_| file.copy_of.is_none()),
            read: 0,
            loaded: 0,
            bots: 0,
            quarantined: 0,
            first: None,
            last: None,
            notes,
            first_reasons: Vec::new(),
            without_agent: 0,
        }
    }

    pub(super) fn span(&mut self, at: i64) {
        let at = instant(at);
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = Some(self.last.map_or(at, |last| last.max(at)));
    }

    /// Adds what is known when all lines are read.
    pub(super) fn finish(&mut self) {
        if self.without_agent > 0 {
            self.notes.push(format!(
                "{} lines have no field for the agent: robots are not told there, and visitors by their address alone",
                self.without_agent
            ));
        }
    }

    pub(super) fn local_times(&mut self, lines: u64, twice: u64, zone: Tz) {
        let mut note = format!("{lines} times without an offset, read as times of {}", zone.name());
        if twice > 0 {
            note.push_str(&format!(
                "; {twice} of them are of the hour that comes twice, and were told by the line before"
            ));
        }
        self.notes.push(note);
    }
}

impl fmt::Display for FileFindings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.format {
            Some(format) => writeln!(f, "{}: {} lines, read as {format}", self.file, self.read)?,
            None if self.notes.is_empty() => writeln!(f, "{}: no lines", self.file)?,
            None => writeln!(f, "{}:", self.file)?,
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "  {note}"))
    }
}
