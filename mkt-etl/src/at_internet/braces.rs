//! The notation of version 2: `{d_page:{$eq:'home'},m_visits:{$gt:10}}`. It looks like JSON and is none.
//!
//! A value is a word (up to `,`, `{` or `}`), a text in quotes, or a group in braces; the entries of a group have a key
//! and a colon before them, or not. Typographic quotes are taken too: the vendor's own pages have them in examples.
//! Every part knows the byte at which it stood in the text as it was given, percent-encoding included.

use super::query::QueryError;

/// The longest parameter, in bytes: a URL that a browser or a spreadsheet holds is shorter.
const MAX_LENGTH: usize = 64 * 1024;
/// Groups within groups.
const MAX_DEPTH: usize = 24;

/// A parsed value.
#[derive(Debug)]
pub(super) enum Node {
    Word(String, usize),
    Text(String, usize),
    Group(Vec<Entry>, usize),
}

/// An entry of a group.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: Option<String>,
    pub(super) at: usize,
    pub(super) value: Node,
}

impl Node {
    pub(super) fn at(&self) -> usize {
        match self {
            Self::Word(_, at) | Self::Text(_, at) | Self::Group(_, at) => *at,
        }
    }

    /// A word or a text.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Word(text, _) | Self::Text(text, _) => Some(text),
            Self::Group(..) => None,
        }
    }

    pub(super) fn group(&self, what: &str) -> Result<&[Entry], QueryError> {
        match self {
            Self::Group(entries, _) => Ok(entries),
            _ => Err(QueryError::at(self.at(), format!("{what} in braces was expected"))),
        }
    }
}

/// A text with its percent-encoding read, and where each character stood.
#[derive(Debug)]
pub(super) struct Decoded {
    chars: Vec<(char, usize)>,
    end: usize,
}

impl Decoded {
    /// Reads `%XX` and `+`; a percent sign that encodes nothing stands for itself, as in a URL typed by hand.
    pub(super) fn new(raw: &str, offset: usize) -> Result<Self, QueryError> {
        if raw.len() > MAX_LENGTH {
            return Err(QueryError::at(offset, "the parameter is too long"));
        }
        let bytes = raw.as_bytes();
        let mut plain = Vec::with_capacity(bytes.len());
        let mut places = Vec::with_capacity(bytes.len());
        let mut at = 0;
        while at < bytes.len() {
            let encoded = (bytes[at] == b'%')
                .then(|| bytes.get(at + 1..at + 3))
                .flatten()
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
                .and_then(|digits| u8::from_str_radix(digits, 16).ok());
            plain.push(match (encoded, bytes[at]) {
                (Some(byte), _) => byte,
                (None, b'+') => b' ',
                (None, byte) => byte,
            });
            places.push(offset + at);
            at += if encoded.is_some() { 3 } else { 1 };
        }
        let text = std::str::from_utf8(&plain).map_err(|error| {
            let at = places.get(error.valid_up_to()).copied().unwrap_or(offset);
            QueryError::at(at, "this is not UTF-8")
        })?;
        let chars = text.char_indices().map(|(index, c)| (c, places[index])).collect();
        Ok(Self { chars, end: offset + raw.len() })
    }

    pub(super) fn text(&self) -> String {
        self.chars.iter().map(|(c, _)| *c).collect()
    }
}

/// Reads one value and nothing after it.
pub(super) fn parse(decoded: &Decoded) -> Result<Node, QueryError> {
    let mut reader = Reader { chars: &decoded.chars, at: 0, end: decoded.end };
    reader.skip_space();
    let node = reader.value(0)?;
    reader.skip_space();
    match reader.peek() {
        None => Ok(node),
        Some(_) => Err(QueryError::at(reader.place(), "nothing more was expected here")),
    }
}

struct Reader<'a> {
    chars: &'a [(char, usize)],
    at: usize,
    end: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).map(|(c, _)| *c)
    }

    fn place(&self) -> usize {
        self.chars.get(self.at).map_or(self.end, |(_, place)| *place)
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.at += 1;
        }
    }

    fn value(&mut self, depth: usize) -> Result<Node, QueryError> {
        let place = self.place();
        match self.peek() {
            Some('{') => self.group(depth + 1),
            Some(open @ ('\'' | '"' | '‘' | '’')) => {
                self.at += 1;
                let text = self.quoted(open, place)?;
                Ok(Node::Text(text, place))
            }
            _ => {
                let word = self.word(&[',', '{', '}']);
                if word.is_empty() {
                    return Err(QueryError::at(place, "a value was expected"));
                }
                Ok(Node::Word(word, place))
            }
        }
    }

    fn quoted(&mut self, open: char, place: usize) -> Result<String, QueryError> {
        let close = |c: char| match open {
            '‘' | '’' => c == '’',
            open => c == open,
        };
        let start = self.at;
        while let Some(c) = self.peek() {
            self.at += 1;
            if close(c) {
                return Ok(self.chars[start..self.at - 1].iter().map(|(c, _)| *c).collect());
            }
        }
        Err(QueryError::at(place, "the text that begins here does not end"))
    }

    /// Characters up to one of these, without the space around them.
    fn word(&mut self, ends: &[char]) -> String {
        let start = self.at;
        while self.peek().is_some_and(|c| !ends.contains(&c)) {
            self.at += 1;
        }
        let word: String = self.chars[start..self.at].iter().map(|(c, _)| *c).collect();
        word.trim().to_owned()
    }

    fn group(&mut self, depth: usize) -> Result<Node, QueryError> {
        let place = self.place();
        if depth > MAX_DEPTH {
            return Err(QueryError::at(place, "there are too many braces within each other"));
        }
        self.at += 1;
        let mut entries = Vec::new();
        loop {
            self.skip_space();
            match self.peek() {
                None => return Err(QueryError::at(place, "the brace that opens here does not close")),
                Some('}') if entries.is_empty() => {
                    return Err(QueryError::at(place, "there is nothing in these braces"));
                }
                _ => {}
            }
            entries.push(self.entry(depth)?);
            self.skip_space();
            match self.peek() {
                Some(',') => self.at += 1,
                Some('}') => {
                    self.at += 1;
                    return Ok(Node::Group(entries, place));
                }
                None => return Err(QueryError::at(place, "the brace that opens here does not close")),
                Some(_) => {
                    return Err(QueryError::at(self.place(), "a comma or a closing brace was expected"));
                }
            }
        }
    }

    fn entry(&mut self, depth: usize) -> Result<Entry, QueryError> {
        let at = self.place();
        if matches!(self.peek(), Some('{' | '\'' | '"' | '‘' | '’')) {
            return Ok(Entry { key: None, at, value: self.value(depth)? });
        }
        let before = self.at;
        let key = self.word(&[':', ',', '{', '}']);
        if self.peek() == Some(':') {
            if key.is_empty() {
                return Err(QueryError::at(at, "a name was expected before the colon"));
            }
            self.at += 1;
            self.skip_space();
            return Ok(Entry { key: Some(key), at, value: self.value(depth)? });
        }
        self.at = before;
        Ok(Entry { key: None, at, value: self.value(depth)? })
    }
}

/// A text as version 2 writes it. It knows no way to write a quote within a text.
pub(super) fn quoted(text: &str) -> Result<String, QueryError> {
    if text.contains(['\'', '\0']) {
        return Err(QueryError::part("filter", "version 2 knows no way to write a quote within a text"));
    }
    Ok(format!("'{text}'"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(raw: &str) -> Result<Node, QueryError> {
        parse(&Decoded::new(raw, 0).unwrap())
    }

    #[test]
    fn an_error_names_the_byte_of_the_text_as_it_was_given() {
        for (raw, position) in [
            ("{a:{b:'x}", 6),
            ("%7Ba:%7Bb:'x'%7D", 0),
            ("{a:1}}", 5),
            ("{a:1,,b:2}", 5),
            ("{é:{}}", 4),
            ("{%C3%A9:{}}", 8),
            ("{}", 0),
            ("{:1}", 1),
        ] {
            assert_eq!(read(raw).unwrap_err().position(), Some(position), "{raw}");
        }
    }

    #[test]
    fn braces_without_end_are_refused() {
        let deep = "{".repeat(10_000);
        assert!(read(&deep).unwrap_err().to_string().contains("too many braces"));
    }

    #[test]
    fn bytes_that_are_no_text_are_refused_where_they_stand() {
        assert_eq!(Decoded::new("abc%FF", 10).unwrap_err().position(), Some(13));
    }
}
