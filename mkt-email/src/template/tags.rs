//! Expressions and statements of a source, found without parsing them. Pure, in linear time.

/// The expressions (`{{ … }}`) and statements (`{% … %}`) of a source, in order. Comments and raw blocks hold none.
pub(super) struct Tags<'a> {
    source: &'a str,
    from: usize,
}

/// An expression or a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tag<'a> {
    /// The byte at which it opens.
    pub(super) start: usize,
    /// What stands between its signs.
    pub(super) text: &'a str,
    /// Whether it is a statement.
    pub(super) is_statement: bool,
}

impl<'a> Tags<'a> {
    pub(super) fn of(source: &'a str) -> Self {
        Self { source, from: 0 }
    }
}

impl<'a> Tag<'a> {
    /// The byte after what stands between its signs.
    pub(super) fn end(&self) -> usize {
        self.start + 2 + self.text.len()
    }

    /// The statement's keyword, and the byte of `text` after it.
    pub(super) fn keyword(&self) -> (&'a str, usize) {
        let text = self.text.strip_prefix(['-', '+']).unwrap_or(self.text);
        let word = text.trim_start();
        let length = word.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(word.len());
        let at = self.text.len() - word.len() + length;
        (if self.is_statement { word.get(..length).unwrap_or_default() } else { "" }, at)
    }

    /// The byte of `text` before the sign that trims the space after it, if there is one.
    pub(super) fn last(&self) -> usize {
        self.text.strip_suffix(['-', '+']).unwrap_or(self.text).len()
    }
}

impl<'a> Iterator for Tags<'a> {
    type Item = Tag<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.source.as_bytes();
        let mut start = self.from;
        let close = loop {
            match bytes.get(start..start + 2)? {
                b"{{" => break b'}',
                b"{%" => break b'%',
                b"{#" => start += 2 + self.source.get(start + 2..)?.find("#}")? + 2,
                _ => start += 1,
            }
        };
        // A closing sign inside of a string is not the end.
        let (mut at, mut quote) = (start + 2, None);
        while let Some(&byte) = bytes.get(at) {
            match quote {
                Some(_) if byte == b'\\' => at += 1,
                Some(open) if byte == open => quote = None,
                Some(_) => {}
                None if matches!(byte, b'"' | b'\'') => quote = Some(byte),
                None if byte == close && bytes.get(at + 1) == Some(&b'}') => break,
                None => {}
            }
            at += 1;
        }
        self.from = at.min(bytes.len());
        let text = self.source.get(start + 2..self.from).unwrap_or_default();
        let tag = Tag { start, text, is_statement: close == b'%' };
        if tag.keyword().0 == "raw" {
            self.from = end_of_raw(self.source, self.from);
        }
        Some(tag)
    }
}

/// Where the statement that ends a raw block begins.
fn end_of_raw(source: &str, from: usize) -> usize {
    let mut at = from;
    while let Some(found) = source.get(at..).and_then(|rest| rest.find("{%")) {
        let inner = source.get(at + found + 2..).unwrap_or_default();
        let inner = inner.strip_prefix(['-', '+']).unwrap_or(inner).trim_start();
        if inner.starts_with("endraw") {
            return at + found;
        }
        at += found + 2;
    }
    source.len()
}

/// Words and signs of a tag that stand outside of strings and brackets, with the byte of each.
pub(super) fn outer(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    let mut depth = 0_usize;
    std::iter::from_fn(move || {
        loop {
            let rest = text.get(at..)?;
            let first = rest.chars().next()?;
            let begin = at;
            match first {
                '"' | '\'' => {
                    let mut escaped = false;
                    let close = rest.char_indices().skip(1).find(|(_, c)| {
                        let closes = *c == first && !escaped;
                        escaped = *c == '\\' && !escaped;
                        closes
                    });
                    at += close.map_or(rest.len(), |(place, _)| place + 1);
                }
                c if c.is_alphanumeric() || c == '_' => {
                    let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                    at += length;
                    if depth == 0 {
                        return Some((begin, rest.get(..length)?));
                    }
                }
                c => {
                    at += c.len_utf8();
                    match c {
                        '(' | '[' | '{' => depth += 1,
                        ')' | ']' | '}' => depth = depth.saturating_sub(1),
                        _ if depth == 0 && !c.is_whitespace() => {
                            return Some((begin, rest.get(..c.len_utf8())?));
                        }
                        _ => {}
                    }
                }
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_raw_blocks_hold_no_tags() {
        let found = |source| Tags::of(source).map(|tag| tag.text.trim()).collect::<Vec<_>>();
        assert_eq!(found("a {{ b }}{# {{ ' #}{%- if c -%}{{ '}}' }}"), ["b", "- if c -", "'}}'"]);
        assert_eq!(found("{% raw %}{{ b }}{% set c %}{%- endraw %}{{ d }}"), ["raw", "- endraw", "d"]);
        assert_eq!(found("{# open {{ a }}"), Vec::<&str>::new());
        assert_eq!(found("{% raw %}{{ b }}"), ["raw"]);
    }

    #[test]
    fn words_in_strings_and_brackets_are_not_outer() {
        let words = |text| outer(text).map(|(_, word)| word).collect::<Vec<_>>();
        assert_eq!(words("x in f(a if b) | g('if') if c"), ["x", "in", "f", "|", "g", "if", "c"]);
        assert_eq!(words(r"a = 'it\'s =' == [1, 2]"), ["a", "=", "=", "="]);
        assert_eq!(words("été = 'é"), ["été", "="]);
    }
}
