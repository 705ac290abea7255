//! A request as a line of a log tells it, and the parts that all formats share. Pure.

use std::borrow::Cow;

/// Why a line does not fit: one clause.
pub(super) type Fault = Cow<'static, str>;

/// What a line says of the user agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Agent<'a> {
    /// The format has no such field: nothing is known, and nothing follows from it.
    NotLogged,
    /// The client sent none: `-` in one server's log, empty in another's.
    Absent,
    /// As it was sent, without the log's escapes.
    Named(Cow<'a, [u8]>),
}

impl<'a> Agent<'a> {
    pub(super) fn of(field: Cow<'a, [u8]>) -> Self {
        match field.trim_ascii() {
            b"" | b"-" => Self::Absent,
            _ => Self::Named(field),
        }
    }
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request<'a> {
    /// Microseconds since 1970, UTC.
    pub(super) at: i64,
    /// The client's address, in the text of the log.
    pub(super) address: Cow<'a, [u8]>,
    /// The host that was asked, where the line tells it.
    pub(super) host: Option<Cow<'a, [u8]>>,
    /// Empty where the client sent no request that the server could read.
    pub(super) method: Cow<'a, [u8]>,
    /// Path and query.
    pub(super) target: Cow<'a, [u8]>,
    /// `None` where none was sent: `-`, `000`, `-1`.
    pub(super) status: Option<u16>,
    pub(super) referrer: Option<Cow<'a, [u8]>>,
    pub(super) agent: Agent<'a>,
}

/// A field that holds a value: not `-`, not empty.
pub(super) fn present(field: Cow<'_, [u8]>) -> Option<Cow<'_, [u8]>> {
    match field.as_ref() {
        b"" | b"-" => None,
        _ => Some(field),
    }
}

/// A request line, `METHOD target PROTOCOL`: method and target, which may hold raw blanks. Both are empty where the client
/// sent none (`-`, HAProxy's `<BADREQ>`, a balancer's `- - -`); bytes of another protocol are no line of HTTP.
pub(super) fn request_line(line: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let line = line.trim_ascii();
    if matches!(line, b"" | b"-" | b"<BADREQ>") || line.starts_with(b"- ") {
        return Ok((b"", b""));
    }
    let (method, rest) = token(line);
    let rest = rest.trim_ascii();
    let is_method = method.iter().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b'-' | b'_'));
    if !is_method || method.is_empty() || rest.is_empty() {
        return Err(format!("not a request of HTTP: {:?}", shown(line)).into());
    }
    Ok(match memchr::memrchr(b' ', rest) {
        Some(last) if rest[last + 1..].starts_with(b"HTTP/") => (method, rest[..last].trim_ascii()),
        _ => (method, rest),
    })
}

/// Host and path of a target: `https://shop.example:443/a` (HAProxy's HTTP/2 lines, load balancers, proxies) has both.
/// Default ports and credentials are dropped.
pub(super) fn split_target(target: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let Some(rest) = ["http://", "https://", "ws://", "wss://"].iter().find_map(|scheme| {
        target.get(..scheme.len())?.eq_ignore_ascii_case(scheme.as_bytes()).then(|| &target[scheme.len()..])
    }) else {
        return (None, target);
    };
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?' | b'#')).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = memchr::memrchr(b'@', authority).map_or(authority, |at| &authority[at + 1..]);
    let host = plain_host(host);
    ((!host.is_empty()).then_some(host), if path.is_empty() { b"/" } else { path })
}

/// A host without a default port.
pub(super) fn plain_host(host: &[u8]) -> &[u8] {
    host.strip_suffix(b":443").or_else(|| host.strip_suffix(b":80")).unwrap_or(host)
}

/// An address with a port behind it: `192.0.2.1:33317`, `[2001:db8::1]:443`, `2001:db8::1:443`.
pub(super) fn without_port(address: &[u8]) -> &[u8] {
    if let Some(rest) = address.strip_prefix(b"[") {
        return memchr::memchr(b']', rest).map_or(address, |end| &rest[..end]);
    }
    memchr::memrchr(b':', address).map_or(address, |colon| &address[..colon])
}

/// Whether a text is an IP address.
pub(super) fn is_address(text: &[u8]) -> bool {
    std::str::from_utf8(text).is_ok_and(|text| text.parse::<std::net::IpAddr>().is_ok())
}

/// A status: three digits; `None` for what stands for none.
pub(super) fn status(field: &[u8]) -> Result<Option<u16>, Fault> {
    match field {
        b"-" | b"000" | b"0" | b"-1" | b"" => Ok(None),
        [a @ b'1'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            Ok(Some(u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')))
        }
        other => Err(format!("invalid status {:?}: expected three digits", shown(other)).into()),
    }
}

/// A count of bytes, or `-`.
pub(super) fn check_bytes(field: &[u8]) -> Result<(), Fault> {
    let digits = field.strip_prefix(b"+").unwrap_or(field);
    if digits == b"-" || !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        return Ok(());
    }
    Err(format!("invalid number of bytes {:?}", shown(field)).into())
}

/// A piece of a line as a reason may show it.
pub(super) fn shown(piece: &[u8]) -> String {
    crate::clean::raw_text(piece, 40)
}

/// The next token before a blank, and what follows the blank.
pub(super) fn token(text: &[u8]) -> (&[u8], &[u8]) {
    memchr::memchr(b' ', text).map_or((text, b""), |space| (&text[..space], &text[space + 1..]))
}

/// The end of a quoted field that begins at the start of `text` (after its opening quote): the first quote that no
/// backslash escapes and that `is_end` accepts by what follows it. Some servers write quotes raw.
pub(super) fn closing_quote(text: &[u8], is_end: impl Fn(&[u8]) -> bool) -> Option<usize> {
    memchr::memchr_iter(b'"', text).find(|at| {
        let escapes = text[..*at].iter().rev().take_while(|byte| **byte == b'\\').count();
        escapes % 2 == 0 && is_end(&text[at + 1..])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn absolute_targets_give_host_and_path() {
        for (target, host, path) in [
            ("/a?b=1", None, "/a?b=1"),
            ("https://shop.example:443/a?b", Some("shop.example"), "/a?b"),
            ("http://shop.example:8080/", Some("shop.example:8080"), "/"),
            ("HTTP://me:pw@shop.example", Some("shop.example"), "/"),
            ("*", None, "*"),
        ] {
            let found = split_target(target.as_bytes());
            assert_eq!(found, (host.map(str::as_bytes), path.as_bytes()), "{target}");
        }
    }

    #[test]
    fn request_lines_give_method_and_target() {
        let cases: [(&[u8], &[u8], &[u8]); 6] = [
            (b"GET /a HTTP/1.1", b"GET", b"/a"),
            (b"GET /a b c HTTP/2.0", b"GET", b"/a b c"),
            (b"GET /", b"GET", b"/"),
            (b"<BADREQ>", b"", b""),
            (b"-", b"", b""),
            (b"- http://shop.example:80- ", b"", b""),
        ];
        for (line, method, target) in cases {
            assert_eq!(request_line(line), Ok((method, target)), "{}", shown(line));
        }
        let tls = request_line(br"\x16\x03\x01 \x02").unwrap_err();
        assert_eq!(tls, r#"not a request of HTTP: "\\x16\\x03\\x01 \\x02""#);
    }

    #[test]
    fn ports_are_not_part_of_an_address() {
        for (text, address) in [
            ("192.0.2.1:33317", "192.0.2.1"),
            ("[2001:db8::1]:443", "2001:db8::1"),
            ("2001:db8::1:443", "2001:db8::1"),
        ] {
            assert_eq!(without_port(text.as_bytes()), address.as_bytes());
        }
    }
}
