//! The form that an email has on the wire (RFC 5321 §4.5.2): every line ends in CRLF, a line that begins with a dot gets
//! a second one, and a line of one dot ends it. No other bytes can end it, whatever the email holds: a lone CR or LF, of
//! which some receivers have made line ends ("SMTP smuggling", CERT VU#302671), becomes CRLF first.

/// Writes the email with its end into `wire`.
pub(super) fn write(email: &[u8], wire: &mut Vec<u8>) {
    wire.reserve(email.len() + email.len() / 64 + 8);
    let mut rest = email;
    loop {
        let end = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
        let line = &rest[..end.unwrap_or(rest.len())];
        if line.first() == Some(&b'.') {
            wire.push(b'.');
        }
        wire.extend_from_slice(line);
        let Some(end) = end else {
            // The end of the email ends its last line.
            if !line.is_empty() {
                wire.extend_from_slice(b"\r\n");
            }
            break;
        };
        wire.extend_from_slice(b"\r\n");
        let pair = rest[end] == b'\r' && rest.get(end + 1) == Some(&b'\n');
        rest = &rest[end + 1 + usize::from(pair)..];
    }
    wire.extend_from_slice(b".\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(email: &str) -> String {
        let mut bytes = Vec::new();
        write(email.as_bytes(), &mut bytes);
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_dot_at_the_start_of_a_line_is_doubled_and_only_there() {
        assert_eq!(wire("a\r\n.b\r\n..\r\n.\r\nc.d\r\n"), "a\r\n..b\r\n...\r\n..\r\nc.d\r\n.\r\n");
        assert_eq!(wire("."), "..\r\n.\r\n");
    }

    #[test]
    fn every_line_end_becomes_crlf() {
        assert_eq!(wire("a\nb\rc\r\r\nd\n\re"), "a\r\nb\r\nc\r\n\r\nd\r\n\r\ne\r\n.\r\n");
        // What opens a second email at receivers that take a lone LF or CR for a line end.
        assert_eq!(wire("a\n.\nb\n.\r\nc\r.\rd"), "a\r\n..\r\nb\r\n..\r\nc\r\n..\r\nd\r\n.\r\n");
    }

    #[test]
    fn an_empty_mail_is_a_dot() {
        assert_eq!(wire(""), ".\r\n");
        assert_eq!(wire("\r\n"), "\r\n.\r\n");
    }
}
