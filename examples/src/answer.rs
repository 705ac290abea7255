//! What a program prints: on standard output its answer, on standard error everything else.

use crate::failure::{Context, Step};
use serde::Serialize;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};

/// What an example prints at its end, and its exit code.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answer {
    pub(crate) text: String,
    pub(crate) code: u8,
}

impl Answer {
    /// Text for people; it ends with a line break or gets one.
    pub fn text(text: impl Into<String>) -> Self {
        let mut text = text.into();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        Self { text, code: 0 }
    }

    /// One line of JSON for programs.
    ///
    /// # Errors
    /// A value that JSON cannot hold.
    pub fn json(value: &impl Serialize) -> Step<Self> {
        Ok(Self::text(serde_json::to_string(value)?))
    }

    /// JSON where `--json` asks for it, else text.
    ///
    /// # Errors
    /// As [`Answer::json`].
    pub fn of<T: Serialize>(json: bool, value: &T, text: impl FnOnce(&T) -> String) -> Step<Self> {
        if json { Self::json(value) } else { Ok(Self::text(text(value))) }
    }

    /// Nothing to print.
    #[must_use]
    pub fn nothing() -> Self {
        Self::default()
    }

    /// With this exit code instead of 0.
    #[must_use]
    pub fn code(self, code: u8) -> Self {
        Self { code, ..self }
    }
}

/// The reader of standard output has gone: the program ends without a word.
#[derive(Debug)]
pub(crate) struct Closed;

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("standard output is closed")
    }
}

impl Error for Closed {}

/// Writes to standard output before the end, for programs that run on. An [`Answer`] is printed by [`crate::Program`].
///
/// # Errors
/// A full disk, with a sentence. A closed pipe, which [`crate::Program::run`] turns into a quiet end.
pub fn print(text: &str) -> Step<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Closed.into()),
        written => Ok(written.context(|| "cannot write to standard output".to_owned())?),
    }
}

/// Whether an error says that the reader of standard output has gone, which is no failure.
#[must_use]
pub fn is_closed(error: &(dyn Error + Send + Sync + 'static)) -> bool {
    error.is::<Closed>()
}

/// Writes a line to standard error. Where that is closed too there is nowhere left to say so.
pub fn say(line: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Words in lines of at most `width` characters.
#[must_use]
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    text.split_whitespace().fold(Vec::new(), |mut lines: Vec<String>, word| {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
        lines
    })
}
