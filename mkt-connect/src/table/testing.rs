//! Nasty files with their verdicts, for every crate that reads tables: each puts its own columns into the same sixty
//! forms, and must give the same answers.
//!
//! ```
//! use mkt_connect::table::Table;
//! use mkt_connect::table::testing::{Answer, Sample, check};
//! let sample = Sample::new(&["id", "note", "day"], 1, |row, note| vec![row.to_string(), note.to_owned(), "2026-05-02".to_owned()]);
//! check(&sample, |bytes| {
//!     let mut table = match Table::open(bytes) {
//!         Ok(table) => table,
//!         Err(error) => return Answer::Refused(error.to_string()),
//!     };
//!     let (mut texts, mut quarantined) = (Vec::new(), Vec::new());
//!     while let Some(row) = table.next().unwrap() {
//!         match row {
//!             Ok(row) => texts.push(row.field(1).to_owned()),
//!             Err(row) => quarantined.push(row),
//!         }
//!     }
//!     Answer::Read { rows: texts.len(), texts: Some(texts), quarantined }
//! });
//! ```

use super::cell::trimmed;
use super::quarantine::Quarantined;

/// The columns of a reader: at least three, one of which holds any text.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    header: &'static [&'static str],
    text: usize,
    row: fn(usize, &str) -> Vec<String>,
}

impl Sample {
    /// Column names of letters and `_`, which of them holds any text (not the first, not the last), and the cells of a
    /// good row by its number, with this in the column of text.
    #[must_use]
    pub fn new(header: &'static [&'static str], text: usize, row: fn(usize, &str) -> Vec<String>) -> Self {
        Self { header, text, row }
    }
}

/// A file, and what must become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Nasty {
    /// What is special about it.
    pub name: &'static str,
    /// The file.
    pub bytes: Vec<u8>,
    /// What must become of it.
    pub verdict: Verdict,
}

/// What must become of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// It is read.
    Read {
        /// The text of each row that is read.
        texts: Vec<String>,
        /// Line, offset and [code](super::Reason::code) of each row that is set aside.
        quarantined: Vec<(u64, u64, &'static str)>,
    },
    /// It is refused with a text that holds this.
    Refused(&'static str),
}

/// What a reader made of a file.
#[derive(Debug)]
pub enum Answer {
    /// It was read.
    Read {
        /// How many rows were read.
        rows: usize,
        /// The text of each, trimmed or not, where the reader keeps it.
        texts: Option<Vec<String>>,
        /// What was set aside.
        quarantined: Vec<Quarantined>,
    },
    /// The reader reads all or nothing, and stopped at this row, the first that does not fit.
    Stopped {
        /// Its line.
        line: u64,
    },
    /// The file as a whole was refused.
    Refused(String),
}

/// Gives every file to a reader and compares its answers with the verdicts.
///
/// # Panics
/// With the names of the files whose answers differ, and how.
#[expect(clippy::panic, reason = "a check for tests")]
pub fn check(sample: &Sample, mut read: impl FnMut(&[u8]) -> Answer) {
    let mut wrong = String::new();
    for file in files(sample) {
        let answer = read(&file.bytes);
        if let Some(difference) = difference(&file.verdict, &answer) {
            wrong.push_str(&format!("{}: {difference}\n", file.name));
        }
    }
    if !wrong.is_empty() {
        panic!("these files got other verdicts:\n{wrong}");
    }
}

fn difference(verdict: &Verdict, answer: &Answer) -> Option<String> {
    match (verdict, answer) {
        (Verdict::Refused(part), Answer::Refused(text)) => {
            (!text.contains(part)).then(|| format!("refused with {text:?}, which does not hold {part:?}"))
        }
        (Verdict::Read { quarantined, .. }, Answer::Stopped { line }) => {
            let expected = quarantined.first().map(|row| row.0);
            (expected != Some(*line)).then(|| format!("stopped at line {line}, not at {expected:?}"))
        }
        (Verdict::Read { texts, quarantined }, Answer::Read { rows, texts: read, quarantined: aside }) => {
            let aside: Vec<_> = aside.iter().map(|row| (row.line, row.offset, row.reason.code())).collect();
            if aside != *quarantined {
                Some(format!("quarantined {aside:?}, not {quarantined:?}"))
            } else if *rows != texts.len() {
                Some(format!("{rows} rows were read, not {}", texts.len()))
            } else {
                let differs = |(read, expected): &(&String, &String)| trimmed(read) != trimmed(expected);
                let first = read.iter().flatten().zip(texts).find(differs);
                first.map(|first| format!("read and expected: {first:?}"))
            }
        }
        (verdict, answer) => Some(format!("{answer:?}, not {}", verdict.kind())),
    }
}

impl Verdict {
    fn kind(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Refused(_) => "refused",
        }
    }
}

/// Builds a file line by line, and its verdict with it.
struct Draft<'a> {
    sample: &'a Sample,
    delimiter: char,
    end: &'static str,
    text: String,
    line: u64,
    rows: usize,
    texts: Vec<String>,
    quarantined: Vec<(u64, u64, &'static str)>,
}

impl<'a> Draft<'a> {
    /// Nothing yet.
    fn empty(sample: &'a Sample, delimiter: char, end: &'static str) -> Self {
        let (text, texts, quarantined) = (String::new(), Vec::new(), Vec::new());
        Self { sample, delimiter, end, text, line: 1, rows: 0, texts, quarantined }
    }

    /// The header.
    fn new(sample: &'a Sample, delimiter: char, end: &'static str) -> Self {
        Self::empty(sample, delimiter, end).header()
    }

    fn joined<S: AsRef<str>>(&self, cells: impl IntoIterator<Item = S>) -> String {
        let mut line = String::new();
        for (index, cell) in cells.into_iter().enumerate() {
            if index > 0 {
                line.push(self.delimiter);
            }
            line.push_str(cell.as_ref());
        }
        line
    }

    /// Text without a meaning of its own, and a line end.
    fn line(mut self, text: &str) -> Self {
        let end = self.end;
        self.text.push_str(text);
        self.text.push_str(end);
        let ends = |c: &str| c.replace("\r\n", "\n").replace('\r', "\n").matches('\n').count() as u64;
        self.line += ends(text) + 1;
        self
    }

    fn header(self) -> Self {
        let header = self.joined(self.sample.header);
        self.line(&header)
    }

    fn named(self, rename: impl Fn(usize, &str) -> String) -> Self {
        let names = self.sample.header.iter().enumerate().map(|(index, name)| rename(index, name));
        let header = self.joined(names.collect::<Vec<_>>());
        self.line(&header)
    }

    fn cells(&mut self, written: &str) -> Vec<String> {
        self.rows += 1;
        let mut cells = (self.sample.row)(self.rows, "");
        if let Some(cell) = cells.get_mut(self.sample.text) {
            written.clone_into(cell);
        }
        cells
    }

    /// A good row: how its text is written, and what it says.
    fn row(self, written: &str, says: &str) -> Self {
        self.row_with(written, says, |line| line)
    }

    fn row_with(mut self, written: &str, says: &str, change: impl FnOnce(String) -> String) -> Self {
        let cells = self.cells(written);
        self.texts.push(says.to_owned());
        let line = change(self.joined(cells));
        self.line(&line)
    }

    /// A row that is set aside.
    fn bad(self, written: &str, code: &'static str) -> Self {
        self.bad_with(written, code, |line| line)
    }

    fn bad_with(mut self, written: &str, code: &'static str, change: impl FnOnce(String) -> String) -> Self {
        let cells = self.cells(written);
        let place = (self.line, self.text.len() as u64, code);
        self.quarantined.push(place);
        let line = change(self.joined(cells));
        self.line(&line)
    }

    fn verdict(&self) -> Verdict {
        Verdict::Read { texts: self.texts.clone(), quarantined: self.quarantined.clone() }
    }

    fn done(self, name: &'static str) -> Nasty {
        Nasty { name, verdict: self.verdict(), bytes: self.text.into_bytes() }
    }

    /// In Windows-1252, with UTF-8 in the rows that hold `marker`.
    fn latin(self, name: &'static str, marker: &str) -> Nasty {
        let mut bytes = Vec::new();
        let mut offsets = Vec::new();
        for line in self.text.split_inclusive(self.end) {
            offsets.push(bytes.len() as u64);
            match line.contains(marker) && !marker.is_empty() {
                true => bytes.extend_from_slice(line.as_bytes()),
                false => bytes.extend_from_slice(&encoding_rs::WINDOWS_1252.encode(line).0),
            }
        }
        let mut verdict = self.verdict();
        if let Verdict::Read { quarantined, .. } = &mut verdict {
            for row in quarantined {
                row.1 = offsets.get(row.0 as usize - 1).copied().unwrap_or_default();
            }
        }
        Nasty { name, bytes, verdict }
    }

    fn utf16(self, name: &'static str, big: bool, mark: bool) -> Nasty {
        let text = if mark { format!("\u{feff}{}", self.text) } else { self.text.clone() };
        let units = text.encode_utf16();
        let bytes =
            units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect();
        let mut verdict = self.verdict();
        if let Verdict::Read { quarantined, .. } = &mut verdict {
            for row in quarantined {
                let before = self.text.get(..row.1 as usize).unwrap_or_default().encode_utf16().count();
                row.1 = 2 * (before as u64 + u64::from(mark));
            }
        }
        Nasty { name, bytes, verdict }
    }
}

fn refused(name: &'static str, bytes: impl Into<Vec<u8>>, part: &'static str) -> Nasty {
    Nasty { name, bytes: bytes.into(), verdict: Verdict::Refused(part) }
}

/// The files, in the columns of a sample.
#[must_use]
pub fn files(sample: &Sample) -> Vec<Nasty> {
    let mut files = lines_and_delimiters(sample);
    files.extend(quotation_marks(sample));
    files.extend(encodings(sample));
    files.extend(widths_and_headers(sample));
    files
}

fn lines_and_delimiters(sample: &Sample) -> Vec<Nasty> {
    let new = |delimiter, end| Draft::new(sample, delimiter, end);
    let empty = |delimiter, end| Draft::empty(sample, delimiter, end);
    let mut files = vec![
        new(',', "\n").row("a", "a").row("b", "b").done("plain"),
        new(',', "\r\n").row("a", "a").bad("\"", "quote").row("b", "b").done("CRLF, with a row set aside"),
        new(',', "\r").row("a", "a").bad("\"", "quote").row("b", "b").done("CR only, with a row set aside"),
        new(';', "\n").row("a", "a").row("b,c", "b,c").done("semicolons"),
        new('\t', "\n").row("a", "a").row("b,c;d", "b,c;d").done("tabs"),
        new('|', "\n").row("a", "a").row("b,c;d", "b,c;d").done("pipes"),
        empty(';', "\r\n").line("sep=;").header().row("a", "a").bad("\"", "quote").done("a line sep=;"),
        empty(';', "\n")
            .line("\"sep=;\"")
            .header()
            .row("a", "a")
            .done("a line sep=; between quotation marks"),
        empty(';', "\n").line("sep=;;;;").header().row("a", "a").done("a line sep=; that was written again"),
        empty('\t', "\n").line("SEP=\t").header().row("a", "a").done("a line SEP= with a tab"),
        empty(',', "\n").line("\u{feff}sep=,").header().row("a", "a").done("a mark and a line sep=,"),
        empty('^', "\n")
            .line("sep=^")
            .header()
            .row("a,b", "a,b")
            .done("a line sep= with an unusual delimiter"),
        empty(',', "\n")
            .line("")
            .line("")
            .header()
            .row("a", "a")
            .bad("\"", "quote")
            .done("empty lines before the header"),
        empty(',', "\r\n").line("").line("  ").header().row("a", "a").done("blank lines before the header"),
        empty(',', "\n")
            .line("\u{feff}")
            .header()
            .row("a", "a")
            .done("a mark and an empty line before the header"),
        new(',', "\n")
            .row("a", "a")
            .line("")
            .line("")
            .row("b", "b")
            .bad("\"", "quote")
            .done("empty lines between rows"),
        new(',', "\n").row("a", "a").line("   ").row("b", "b").line(" ").done("lines of spaces between rows"),
        new(',', "\r\n")
            .row("a", "a")
            .line("")
            .line("")
            .line("\u{1a}")
            .done("empty lines and the end mark of DOS at the end"),
        new(',', "\n").row("\u{b}\u{c}\u{7f}", "\u{b}\u{c}\u{7f}").done("control characters in a text"),
        new(',', "\n")
            .row("a\u{2028}b", "a\u{2028}b")
            .row("\u{85}", "\u{85}")
            .done("line separators of Unicode"),
    ];
    let mut last = new(',', "\n").row("a", "a").row("b", "b").done("no line end after the last row");
    last.bytes.pop();
    files.push(last);
    let mut mixed = new(',', "\r\n").row("a", "a");
    mixed.end = "\r";
    mixed = mixed.row("b", "b");
    mixed.end = "\n";
    files.push(mixed.bad("\"", "quote").row("c", "c").done("all three line ends"));
    // A carriage return in the middle of a line ends it: two rows that are too short.
    let mut torn = new(',', "\n").row("a", "a");
    let offset = torn.text.len() as u64;
    let cells = torn.cells("b\rc");
    let line = torn.joined(cells);
    let second = offset + line.find('\r').map_or(0, |at| at as u64 + 1);
    torn.quarantined.extend([(torn.line, offset, "width"), (torn.line + 1, second, "width")]);
    files.push(torn.line(&line).row("d", "d").done("a carriage return in the middle of a row"));
    files
}

fn quotation_marks(sample: &Sample) -> Vec<Nasty> {
    let new = |end| Draft::new(sample, ',', end);
    let long = "x".repeat((1 << 20) + 10);
    let all = |line: String| line.split(',').map(|cell| format!("\"{cell}\"")).collect::<Vec<_>>().join(",");
    vec![
        new("\n").row("\"a,b\"", "a,b").done("a delimiter between quotation marks"),
        new("\n").row("\"a\nb\"", "a\nb").bad("\"", "quote").done("a line feed between quotation marks"),
        new("\r\n").row("\"a\r\nb\"", "a\r\nb").bad("\"", "quote").done("CRLF between quotation marks"),
        new("\n")
            .row("\"a\rb\"", "a\rb")
            .bad("\"", "quote")
            .done("a carriage return between quotation marks"),
        new("\n")
            .row("\"say \"\"hi\"\"\"", "say \"hi\"")
            .row("\"\"\"\"", "\"")
            .done("doubled quotation marks"),
        new("\n")
            .row("5\" disk", "5\" disk")
            .row("a\"\"b", "a\"\"b")
            .done("quotation marks inside of a plain text"),
        new("\n")
            .row("a\"\"b", "a\"\"b")
            .row("\"a\"\"b\"", "a\"b")
            .done("doubled marks in plain and in quoted text"),
        new("\n").row("\"\"", "").row("", "").done("an empty text, with and without quotation marks"),
        new("\n").row_with("a", "a", all).row_with("b", "b", all).done("quotation marks around everything"),
        new("\n").bad("\"a", "quote").row("b", "b").row("c", "c").done("an unclosed mark in the first row"),
        new("\n")
            .row("a", "a")
            .bad("\"b", "quote")
            .row("\"c\"", "c")
            .row("d", "d")
            .done("an unclosed mark, then closed ones"),
        new("\n")
            .bad("\"a", "quote")
            .row("\"b\nc\"", "b\nc")
            .row("d", "d")
            .done("an unclosed mark, then a text of two lines"),
        new("\n").row("a", "a").bad("\"b", "quote").done("an unclosed mark in the last row"),
        new("\n").bad("\"a\"b", "quote").row("c", "c").done("text after the closing mark"),
        new("\n").bad("\"a\" ", "quote").row("c", "c").done("a space after the closing mark"),
        new("\n").bad("\"\"\"", "quote").row("c", "c").done("three quotation marks"),
        new("\n").row(" \"a\"", " \"a\"").done("a space before the opening mark"),
        new("\n")
            .row("'a'", "'a'")
            .row("`b`", "`b`")
            .row("“c”", "“c”")
            .done("other quotation marks are text"),
        new("\n").row("a", "a").bad(&long, "too_long").row("b", "b").done("a row longer than a mebibyte"),
        new("\r\n")
            .bad(&format!("\"{long}\""), "too_long")
            .row("b", "b")
            .done("a quoted row longer than a mebibyte"),
        new("\n")
            .row("\\\"a", "\\\"a")
            .bad("\"a\\\"b\"", "quote")
            .row("c", "c")
            .done("a backslash escapes nothing"),
    ]
}

fn encodings(sample: &Sample) -> Vec<Nasty> {
    let new = |delimiter, end| Draft::new(sample, delimiter, end);
    let mark = |mut file: Nasty| {
        file.bytes.splice(0..0, *b"\xef\xbb\xbf");
        if let Verdict::Read { quarantined, .. } = &mut file.verdict {
            quarantined.iter_mut().for_each(|row| row.1 += 3);
        }
        file
    };
    let mut broken = new(',', "\n")
        .row("Zoé", "Zoé")
        .row("Léa", "Léa")
        .bad("N?", "encoding")
        .row("b", "b")
        .done("a row of Windows-1252 in a file of UTF-8");
    if let Some(byte) = broken.bytes.iter_mut().rev().find(|byte| **byte == b'?') {
        *byte = 0xe9;
    }
    vec![
        mark(new(',', "\n").row("Zoé", "Zoé").bad("\"", "quote").done("UTF-8 with a mark")),
        new(';', "\r\n").row("Zoé 日本 😀", "Zoé 日本 😀").done("UTF-8 without a mark"),
        new(',', "\n")
            .row("e\u{301}\u{200b}\u{202e}", "e\u{301}\u{200b}\u{202e}")
            .done("combining and invisible characters"),
        broken,
        new(';', "\r\n")
            .row("Zoé", "Zoé")
            .row("Léa’s “€”", "Léa’s “€”")
            .row("é\"\"", "é\"\"")
            .bad("\"", "quote")
            .latin("Windows-1252", ""),
        new(',', "\n")
            .row("Zoé", "Zoé")
            .row("Léa", "Léa")
            .bad("Noé!", "encoding")
            .row("b", "b")
            .latin("a row of UTF-8 in a file of Windows-1252", "!"),
        new(',', "\n").row("\"a\"\"é\"", "a\"é").latin("doubled quotation marks in Windows-1252", ""),
        new(',', "\n").row("Zoé", "Zoé").bad("\"", "quote").row("😀", "😀").utf16(
            "UTF-16, low byte first",
            false,
            true,
        ),
        new(';', "\r\n").row("Zoé", "Zoé").bad("\"", "quote").row("b", "b").utf16(
            "UTF-16, high byte first",
            true,
            true,
        ),
        new(',', "\n").row("Zoé", "Zoé").bad("\"", "quote").utf16(
            "UTF-16 without a mark, low byte first",
            false,
            false,
        ),
        new(',', "\n").row("Zoé", "Zoé").bad("\"", "quote").utf16(
            "UTF-16 without a mark, high byte first",
            true,
            false,
        ),
        Draft::empty(sample, ';', "\r\n").line("sep=;").header().row("é", "é").utf16(
            "UTF-16 with a line sep=;",
            false,
            true,
        ),
        new('\t', "\r\n").row("\"a\r\nb\"", "a\r\nb").bad("\"", "quote").utf16(
            "UTF-16 with tabs, as Excel writes it",
            false,
            true,
        ),
        new(',', "\n").row("a", "a").bad("b\0c", "nul").row("d", "d").done("a NUL character"),
        new(',', "\n").bad("\"\0\"", "nul").row("d", "d").done("a NUL character between quotation marks"),
    ]
}

fn widths_and_headers(sample: &Sample) -> Vec<Nasty> {
    let new = |delimiter| Draft::new(sample, delimiter, "\n");
    let empty = |delimiter| Draft::empty(sample, delimiter, "\n");
    let without_last =
        |line: String| line.rsplit_once(',').map_or(String::new(), |(head, _)| head.to_owned());
    let with = |tail: &'static str| move |line: String| line + tail;
    let header = |delimiter: &str| sample.header.join(delimiter);
    vec![
        new(',').bad_with("a", "width", |_| "one".to_owned()).row("b", "b").done("a row of one field"),
        new(',').bad_with("a", "width", without_last).row("b", "b").done("a row that is one field short"),
        new(',').bad_with("a", "width", with(",more")).row("b", "b").done("a row with a surplus field"),
        new(',')
            .row_with("a", "a", with(","))
            .row_with("b", "b", with(", ,\t"))
            .done("rows with blank surplus fields"),
        empty(';')
            .line(&(header(";") + ";"))
            .row_with("a", "a", with(";"))
            .row_with("b", "b", with(";"))
            .done("a delimiter at the end of every line"),
        empty(';')
            .line(&(header(";") + ";;"))
            .row("a", "a")
            .row_with("b", "b", with(";"))
            .done("delimiters at the end of the header only"),
        empty(',').named(|_, name| name.to_uppercase()).row("a", "a").done("a header in capitals"),
        empty(',')
            .named(|_, name| format!("\u{feff} {name}\u{a0}\u{200b}"))
            .row("a", "a")
            .done("invisible characters around names"),
        empty(',')
            .named(|_, name| format!("\"{name}\""))
            .row("a", "a")
            .done("a header between quotation marks"),
        empty(',').named(|_, name| name.replace('_', " ")).row("a", "a").done("names with spaces"),
        empty(',').named(|_, name| name.replace('_', "-")).row("a", "a").done("names with hyphens"),
        empty(';')
            .line(&format!("{};\"x, y, z, and more, and more, and more, and more\"", header(";")))
            .row_with("a", "a", with(";1"))
            .done("commas in a quoted name"),
        empty(';')
            .line(&format!("{};x, y", header(";")))
            .row_with("a", "a", with(";1"))
            .row_with("b", "b", with(";2"))
            .done("a comma in a plain name"),
        empty(',')
            .line(&format!("{},extra,extra", header(",")))
            .row_with("a", "a", with(",1,2"))
            .done("two columns of one name that are not read"),
        empty(',')
            .line(&format!("{},,extra", header(",")))
            .row_with("a", "a", with(",1,2"))
            .done("a column without a name"),
        empty(',')
            .line(&format!("{},\"ex\ntra\"", header(",")))
            .row_with("a", "a", with(",1"))
            .bad("\"", "quote")
            .done("a name of two lines"),
        new(',').done("a header only"),
        refused("an empty file", "", "empty"),
        refused("a mark only", "\u{feff}", "empty"),
        refused("blank lines only", "\n \r\n\n", "empty"),
        refused("an archive", *b"PK\x03\x04\x14\x00\x00\x00\x08\x00,;\n\x00\x01", "not text"),
        refused("a header with an unclosed mark", format!("\"{}\n1,2,3\n", header(",")), "quotation mark"),
    ]
}
