//! The common and combined formats of nginx and Apache, with or without the host before them. Pure.

use super::escape;
use super::request::{
    Agent, Fault, Request, check_bytes, closing_quote, is_address, plain_host, present, request_line,
    split_target, status, token,
};
use super::time::{self, Clock};
use std::borrow::Cow;

/// What a line holds beside the fields that all have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// The host, before the address.
    pub(super) host: bool,
    /// Referrer and agent, after the bytes.
    pub(super) agent: bool,
}

/// Parses a line.
pub(super) fn parse<'a>(line: &'a [u8], shape: Shape, clock: &mut Clock) -> Result<Request<'a>, Fault> {
    let (head, written, rest) = time_cell(line)?;
    let (host, head) = if shape.host {
        let (host, rest) = token(head);
        let known = !host.is_empty() && !is_address(host) && is_client(rest);
        if !known {
            return Err("no host before the address".into());
        }
        (present(Cow::Borrowed(plain_host(host))), rest)
    } else {
        (None, head)
    };
    let address = client(head)?;
    let rest = rest.trim_ascii_start().strip_prefix(b"\"").ok_or("no request in quotes after the time")?;
    // A quote that is part of the target may stand raw: the closing one is before the status.
    let before_status = |rest: &[u8]| matches!(rest, [b' ', b'0'..=b'9' | b'-', ..]);
    let end =
        closing_quote(rest, before_status).ok_or("the request's quote is not closed: a line that was cut")?;
    let (line, rest) = (&rest[..end], rest[end + 1..].trim_ascii_start());
    let (status_field, rest) = token(rest);
    let status = status(status_field)?;
    let (bytes, rest) = token(rest);
    check_bytes(bytes)?;
    let (referrer, agent) = if shape.agent {
        let (referrer, agent) = quoted_pair(rest)?;
        (present(escape::backslashes(referrer)), Agent::of(escape::backslashes(agent)))
    } else if rest.trim_ascii().is_empty() {
        (None, Agent::NotLogged)
    } else {
        return Err("fields after the bytes".into());
    };
    let (method, target) = request_line(line)?;
    let at = clock.instant(written)?;
    let (of_target, path) = split_target(target);
    let host = of_target.map(Cow::Borrowed).or(host);
    Ok(Request {
        at,
        address: Cow::Borrowed(address),
        host,
        method: Cow::Borrowed(method),
        target: escape::backslashes(path),
        status,
        referrer,
        agent,
    })
}

/// What is before the time, the time, and what is after it. A user name may hold blanks and brackets.
pub(super) fn time_cell(line: &[u8]) -> Result<(&[u8], time::Written, &[u8]), Fault> {
    let mut invalid = None;
    for open in memchr::memchr_iter(b'[', line) {
        if open > 0 && line[open - 1] != b' ' {
            continue;
        }
        let rest = &line[open + 1..];
        let Some(close) = memchr::memchr(b']', &rest[..rest.len().min(48)]) else { continue };
        match time::bracketed(&rest[..close]) {
            Some(written) => return Ok((line[..open].trim_ascii_end(), written, &rest[close + 1..])),
            None => {
                let is_time = rest.first().is_some_and(u8::is_ascii_digit);
                invalid = invalid.or(is_time.then_some(&rest[..close]));
            }
        }
    }
    Err(invalid.map_or_else(|| "no time in brackets".into(), time::invalid))
}

/// Whether the text after a host is `ADDRESS IDENTITY USER`.
fn is_client(text: &[u8]) -> bool {
    let (address, rest) = token(text);
    is_address(address) || address != b"-" && rest.starts_with(b"- ")
}

/// The address of `ADDRESS IDENTITY USER`; the user's name may hold blanks, and is not kept.
fn client(head: &[u8]) -> Result<&[u8], Fault> {
    let (address, rest) = token(head);
    let (identity, user) = token(rest);
    if address.is_empty() || identity.is_empty() {
        return Err("expected address, identity and user before the time".into());
    }
    if is_address(identity) || !is_address(address) && is_address(token(user).0) {
        return Err("two addresses before the time: the host is logged too (vhost)".into());
    }
    Ok(address)
}

/// Referrer and agent. Further fields may follow.
fn quoted_pair(rest: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    const CUT: &str = "referrer and agent are not whole: a line that was cut";
    let rest = rest.trim_ascii_start().strip_prefix(b"\"").ok_or(CUT)?;
    let end = closing_quote(rest, |rest| rest.starts_with(b" \"")).ok_or(CUT)?;
    let (referrer, rest) = (&rest[..end], &rest[end + 3..]);
    let is_end = |rest: &[u8]| matches!(rest.trim_ascii_end(), b"" | [b' ', b'"' | b'-' | b'0'..=b'9', ..]);
    let end = closing_quote(rest, is_end).ok_or(CUT)?;
    Ok((referrer, &rest[..end]))
}
