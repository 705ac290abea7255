//! The names of the columns, and finding a column by its name.

use std::collections::HashMap;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// The header of a table.
///
/// ```
/// use mkt_connect::table::Header;
/// let header = Header::new(["E-Mail", " Prénom", "Date d’inscription", "", "note", "note"]);
/// assert_eq!(header.find(&["email", "courriel"]), Ok(Some(0)));
/// assert_eq!(header.find(&["date_inscription", "date d'inscription"]), Ok(Some(2)));
/// assert_eq!(header.find(&["phone"]), Ok(None));
/// assert_eq!(header.find(&["note"]).unwrap_err().to_string(), "the header has 2 columns \"note\": rename one");
/// assert_eq!((header.label(3), header.label(5)), ("column 4", "note (2)"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    names: Vec<String>,
    folded: Vec<String>,
    labels: Vec<String>,
}

/// A name that several columns have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the header has {count} columns {name:?}: rename one")]
pub struct AmbiguousColumn {
    /// The name that was looked for.
    pub name: String,
    /// How many columns have it.
    pub count: usize,
}

impl Header {
    /// A header of these names.
    pub fn new<S: AsRef<str>>(names: impl IntoIterator<Item = S>) -> Self {
        let names: Vec<String> =
            names.into_iter().map(|name| super::cell::trimmed(name.as_ref()).to_owned()).collect();
        let folded = names.iter().map(|name| fold(name)).collect();
        let mut seen: HashMap<&str, usize> = HashMap::new();
        let mut labels: Vec<String> = Vec::new();
        for (index, name) in names.iter().enumerate() {
            let count = seen.entry(name).and_modify(|count| *count += 1).or_insert(1);
            labels.push(match (name.is_empty(), *count) {
                (true, _) => format!("column {}", index + 1),
                (false, 1) => name.clone(),
                (false, count) => format!("{name} ({count})"),
            });
        }
        Self { names, folded, labels }
    }

    /// How many columns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Whether there are no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// The names as they stand in the file, trimmed.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A name for a column that no other column has: the name as written; `name (2)` for the second of one name;
    /// `column 4` for one without a name. Empty beyond the last column.
    #[must_use]
    pub fn label(&self, index: usize) -> &str {
        self.labels.get(index).map_or("", String::as_str)
    }

    /// The column of the first of these names that the header has; see [`fold`] for what counts of a name.
    ///
    /// # Errors
    /// [`AmbiguousColumn`] where that name is there more than once. Of several, the one that is written exactly so is
    /// taken, if there is one.
    pub fn find(&self, names: &[&str]) -> Result<Option<usize>, AmbiguousColumn> {
        for name in names {
            let wanted = fold(name);
            let mut found = self.folded.iter().enumerate().filter(|(_, folded)| **folded == wanted);
            let Some((first, _)) = found.next() else { continue };
            let count = 1 + found.count();
            if count == 1 {
                return Ok(Some(first));
            }
            return match self.find_exact(name) {
                Ok(Some(index)) => Ok(Some(index)),
                _ => Err(AmbiguousColumn { name: shown(name), count }),
            };
        }
        Ok(None)
    }

    /// The column of this name as written.
    ///
    /// # Errors
    /// [`AmbiguousColumn`] where it is there more than once.
    pub fn find_exact(&self, name: &str) -> Result<Option<usize>, AmbiguousColumn> {
        let mut found = self.names.iter().enumerate().filter(|(_, held)| *held == name);
        let first = found.next().map(|(index, _)| index);
        match found.count() {
            0 => Ok(first),
            more => Err(AmbiguousColumn { name: shown(name), count: more + 1 }),
        }
    }

    /// The columns whose folded name is this one's; for readers that look from the file's names to their own.
    pub fn matching<'a>(&'a self, name: &str) -> impl Iterator<Item = usize> + use<'a> {
        let wanted = fold(name);
        self.folded.iter().enumerate().filter(move |(_, folded)| **folded == wanted).map(|(index, _)| index)
    }

    /// Whether the name of a column says that its times are UTC: `Created (UTC)`, `date GMT`.
    #[must_use]
    pub fn says_utc(&self, index: usize) -> bool {
        let name = self.names.get(index).map_or("", String::as_str);
        name.split(|c: char| !c.is_alphanumeric()).any(|word| matches!(word, "UTC" | "utc" | "GMT"))
    }

    /// The folded name of a column.
    #[must_use]
    pub fn folded(&self, index: usize) -> &str {
        self.folded.get(index).map_or("", String::as_str)
    }

    /// One more than the last column that has a name.
    pub(super) fn named(&self) -> usize {
        self.names.iter().rposition(|name| !name.is_empty()).map_or(0, |last| last + 1)
    }
}

fn shown(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// What counts of a column name: its letters and digits, in lower case and without accents. Spaces, underscores,
/// hyphens, apostrophes, other punctuation, byte order marks and invisible characters do not count. A name without
/// letters and digits (`#`) is kept as it is.
///
/// ```
/// use mkt_connect::table::fold;
/// assert_eq!(fold("\u{feff}Date d’Inscription "), "datedinscription");
/// assert_eq!(fold("first_name"), fold("First-Name"));
/// assert_eq!(fold("Cœur"), "coeur");
/// ```
#[must_use]
pub fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    for c in name.nfkd().filter(|c| !is_combining_mark(*c)).flat_map(char::to_lowercase) {
        match c {
            'œ' => folded.push_str("oe"),
            'æ' => folded.push_str("ae"),
            'ß' => folded.push_str("ss"),
            'ø' => folded.push('o'),
            'ł' => folded.push('l'),
            c if c.is_alphanumeric() => folded.push(c),
            _ => {}
        }
    }
    if folded.is_empty() { super::cell::trimmed(name).to_owned() } else { folded }
}

/// The usual delimiters, the first of equals first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// The delimiter of a sample that begins with the header: the most frequent of `, ; tab |` in the header, outside of
/// quotation marks. Where the header has several, the rows decide: the one by which most of the next rows are as wide as
/// the header. The flag says whether they did.
pub(super) fn delimiter(sample: &[u8]) -> Option<(u8, bool)> {
    let mut records = Outside { bytes: sample };
    let counts = |record: &[u8]| {
        let mut quoted = false;
        let mut counts = [0_usize; DELIMITERS.len()];
        for byte in record {
            quoted ^= *byte == b'"';
            if !quoted && let Some(at) = DELIMITERS.iter().position(|delimiter| delimiter == byte) {
                counts[at] += 1;
            }
        }
        counts
    };
    let header = counts(records.next()?);
    let candidates = header.iter().filter(|count| **count > 0).count();
    if candidates < 2 {
        let at = header.iter().position(|count| *count > 0)?;
        return Some((DELIMITERS[at], false));
    }
    let mut fits = [0_usize; DELIMITERS.len()];
    for record in records.take(20) {
        for ((fits, count), header) in fits.iter_mut().zip(counts(record)).zip(header) {
            *fits += usize::from(header > 0 && count == header);
        }
    }
    let best = |key: &dyn Fn(usize) -> (usize, usize)| {
        (0..DELIMITERS.len()).rev().max_by_key(|at| key(*at)).unwrap_or_default()
    };
    let by_header = best(&|at| (header[at], 0));
    let by_rows = best(&|at| (fits[at], header[at]));
    Some((DELIMITERS[by_rows], by_rows != by_header))
}

/// Records of a sample, as far as that can be known without the delimiter.
struct Outside<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Outside<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let mut quoted = false;
            let mut end = None;
            for (at, byte) in self.bytes.iter().enumerate() {
                quoted ^= *byte == b'"';
                if !quoted && matches!(byte, b'\n' | b'\r') {
                    end = Some(at);
                    break;
                }
            }
            // An open quotation mark: the first line.
            let end = end.or_else(|| self.bytes.iter().position(|byte| matches!(byte, b'\n' | b'\r')));
            let (record, rest) = match end {
                Some(end) => (self.bytes.get(..end)?, self.bytes.get(end + 1..)?),
                None => (self.bytes, &[][..]),
            };
            if record.is_empty() && rest.is_empty() {
                return None;
            }
            self.bytes = rest;
            if !record.is_empty() {
                return Some(record);
            }
        }
    }
}
