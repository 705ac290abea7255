//! `:1` in a query's text becomes the engine's own mark. Quoted text, quoted names, comments and `::` are left alone.

/// Rewrites `:n` to `mark` followed by n. Also tells the largest n.
pub(crate) fn numbered(sql: &str, mark: char) -> (String, usize) {
    let mut text = String::with_capacity(sql.len());
    let mut largest = 0;
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let taken = if let Some(length) = quoted(rest, first) {
            text.push_str(&rest[..length]);
            length
        } else if rest.starts_with("::") {
            text.push_str("::");
            2
        } else if first == ':' && rest[1..].starts_with(|c: char| c.is_ascii_digit()) {
            let digits = rest[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - 1);
            text.push(mark);
            text.push_str(&rest[1..=digits]);
            largest = largest.max(rest[1..=digits].parse().unwrap_or(usize::MAX));
            1 + digits
        } else {
            text.push(first);
            first.len_utf8()
        };
        rest = &rest[taken..];
    }
    (text, largest)
}

/// The length of a string, name or comment that starts here. One that never ends runs to the end of the text.
fn quoted(rest: &str, first: char) -> Option<usize> {
    let close = match first {
        '\'' => "'",
        '"' => "\"",
        '-' if rest.starts_with("--") => "\n",
        '/' if rest.starts_with("/*") => "*/",
        _ => return None,
    };
    let opening = if close == "*/" || close == "\n" { 2 } else { 1 };
    Some(rest[opening..].find(close).map_or(rest.len(), |at| opening + at + close.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_become_the_engines_own() {
        let sql =
            "select ':1', \"a:2\", x::text, :12 -- :3\n from t /* :4 */ where a = :1 and b = 'it''s :9'";
        assert_eq!(
            numbered(sql, '$'),
            (
                "select ':1', \"a:2\", x::text, $12 -- :3\n from t /* :4 */ where a = $1 and b = 'it''s :9'"
                    .into(),
                12
            )
        );
    }

    #[test]
    fn unterminated_text_is_left_unchanged() {
        for sql in ["'é:1", "/* :1", "\":1", "-- :1", ":", ":x", "a :"] {
            assert_eq!(numbered(sql, '?'), (sql.to_owned(), 0), "{sql}");
        }
    }
}
