//! Takes a server's escapes out of a field. Pure.
//!
//! | server | writes |
//! |---|---|
//! | nginx | `\x22`, `\x5C`, `\xC3\xA9` |
//! | Apache | `\"`, `\\`, `\t`, `\xc3\xa9` |
//! | HAProxy | `#22` |
//! | CloudFront | `%20` in the agent |
//! | IIS | `+` for a blank in the agent |
//! | morgan | nothing: quotes and bytes stand raw |

use std::borrow::Cow;

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn byte_of(digits: Option<&[u8]>) -> Option<u8> {
    match digits? {
        [high, low] => Some(hex(*high)? << 4 | hex(*low)?),
        _ => None,
    }
}

/// nginx's and Apache's escapes. A backslash that begins none of them stands for itself.
pub(super) fn backslashes(field: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(b'\\', field) else { return Cow::Borrowed(field) };
    let mut out = Vec::with_capacity(field.len());
    out.extend_from_slice(&field[..first]);
    let mut at = first;
    while let Some(byte) = field.get(at) {
        let (decoded, width) = match (byte, field.get(at + 1)) {
            (b'\\', Some(b'x')) => match byte_of(field.get(at + 2..at + 4)) {
                Some(decoded) => (decoded, 4),
                None => (b'\\', 1),
            },
            (b'\\', Some(quoted @ (b'"' | b'\\'))) => (*quoted, 2),
            (b'\\', Some(b't')) => (b'\t', 2),
            (b'\\', Some(b'n')) => (b'\n', 2),
            (b'\\', Some(b'r')) => (b'\r', 2),
            (b'\\', Some(b'b')) => (0x08, 2),
            (b'\\', Some(b'v')) => (0x0b, 2),
            (b'\\', Some(b'f')) => (0x0c, 2),
            (byte, _) => (*byte, 1),
        };
        out.push(decoded);
        at += width;
    }
    Cow::Owned(out)
}

/// HAProxy's escapes, and percent-encoding: the mark and two hex digits.
pub(super) fn marked(field: &[u8], mark: u8) -> Cow<'_, [u8]> {
    let Some(first) = memchr::memchr(mark, field) else { return Cow::Borrowed(field) };
    let mut out = Vec::with_capacity(field.len());
    out.extend_from_slice(&field[..first]);
    let mut at = first;
    while let Some(byte) = field.get(at) {
        match byte_of(field.get(at + 1..at + 3)).filter(|_| *byte == mark) {
            Some(decoded) => {
                out.push(decoded);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    Cow::Owned(out)
}

/// IIS writes `+` for every blank of an agent.
pub(super) fn plus(field: &[u8]) -> Cow<'_, [u8]> {
    if memchr::memchr(b'+', field).is_none() {
        return Cow::Borrowed(field);
    }
    Cow::Owned(field.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect())
}

/// A field as a text that can be stored: bytes that are no UTF-8 are percent-encoded, control characters too.
pub(super) fn text(field: &[u8]) -> String {
    let mut out = String::with_capacity(field.len());
    for chunk in field.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                c if c.is_ascii_control() => out.push_str(&format!("%{:02X}", u32::from(c))),
                c => out.push(c),
            }
        }
        chunk.invalid().iter().for_each(|byte| out.push_str(&format!("%{byte:02X}")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_servers_escapes_are_taken_out() {
        // As nginx 1.22 and Apache 2.4 wrote them (Debian 12).
        for (written, sent) in [
            (r"say \x22hi\x22 \x5C", "say \"hi\" \\"),
            (r"/caf\xC3\xA9", "/café"),
            (r#"say \"hi\" \\"#, "say \"hi\" \\"),
            (r"/caf\xc3\xa9\t", "/café\t"),
            (r"C:\Users\x", r"C:\Users\x"),
            (r"end\", r"end\"),
        ] {
            assert_eq!(backslashes(written.as_bytes()).as_ref(), sent.as_bytes(), "{written}");
        }
        assert_eq!(marked(b"say #22hi#22 #1", b'#').as_ref(), b"say \"hi\" #1");
        assert_eq!(marked(b"Mozilla/5.0%20(X11)", b'%').as_ref(), b"Mozilla/5.0 (X11)");
        assert_eq!(plus(b"Mozilla/5.0+(X11)").as_ref(), b"Mozilla/5.0 (X11)");
    }

    #[test]
    fn bytes_that_are_no_utf8_are_percent_encoded() {
        assert_eq!(text(b"/caf\xe9\0"), "/caf%E9%00");
        assert_eq!(text("/café".as_bytes()), "/café");
    }
}
