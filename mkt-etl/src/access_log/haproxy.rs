//! HAProxy's `option httplog`, with or without a syslog header. Pure.
//!
//! The log has no agent unless the configuration captures that header. Captured headers stand in braces, in the order of
//! the configuration, and are told apart by their shape: an agent has a product with a version, a referrer is a URL.

use super::clf::time_cell;
use super::escape;
use super::request::{
    Agent, Fault, Request, check_bytes, plain_host, request_line, split_target, status, token, without_port,
};
use super::time::Clock;
use std::borrow::Cow;

/// syslog and HAProxy's default `log … len`.
const CUT_AT: [usize; 3] = [1022, 1023, 1024];

/// Parses a line.
pub(super) fn parse<'a>(line: &'a [u8], clock: &mut Clock) -> Result<Request<'a>, Fault> {
    let (head, written, rest) = time_cell(line)?;
    let address = memchr::memrchr(b' ', head).map_or(head, |space| &head[space + 1..]);
    if memchr::memchr(b':', address).is_none() {
        return Err("no address and port before the time".into());
    }
    let mut rest = rest.trim_ascii_start();
    let mut fields: [&[u8]; 9] = [b""; 9];
    for field in &mut fields {
        (*field, rest) = token(rest);
    }
    let [frontend, _backend, timers, status_field, bytes, _, _, flags, connections] = fields;
    let is_http = !frontend.is_empty() && timers.iter().filter(|byte| **byte == b'/').count() == 4;
    if !is_http || flags.len() != 4 || memchr::memchr(b'/', connections).is_none() {
        return Err("not a line of option httplog".into());
    }
    let status = status(status_field)?;
    check_bytes(bytes)?;
    let (_queues, mut rest) = token(rest);
    let mut captured: Option<&[u8]> = None;
    while let Some(block) = rest.strip_prefix(b"{") {
        let end = memchr::memchr(b'}', block).ok_or_else(|| cut(line))?;
        // The first block is the request's; the answer's is not of interest.
        captured = captured.or(Some(&block[..end]));
        rest = block[end + 1..].trim_ascii_start();
    }
    let request = rest.strip_prefix(b"\"").ok_or_else(|| cut(line))?;
    let request = request.trim_ascii_end().strip_suffix(b"\"").ok_or_else(|| cut(line))?;
    let (method, target) = request_line(request)?;
    let at = clock.instant(written)?;
    let (host, path) = split_target(target);
    let mut request = Request {
        at,
        address: Cow::Borrowed(without_port(address)),
        host: host.map(Cow::Borrowed),
        method: Cow::Borrowed(method),
        target: escape::marked(path, b'#'),
        status,
        referrer: None,
        agent: Agent::NotLogged,
    };
    if let Some(captured) = captured {
        take_captured(captured, &mut request);
    }
    Ok(request)
}

fn cut(line: &[u8]) -> Fault {
    match CUT_AT.contains(&line.len()) || line.len() > 1024 {
        true => "the request is not closed: a line that was cut at 1 024 bytes".into(),
        false => "the request is not closed: a line that was cut".into(),
    }
}

fn take_captured<'a>(captured: &'a [u8], request: &mut Request<'a>) {
    for field in captured.split(|byte| *byte == b'|') {
        let value = escape::marked(field, b'#');
        if value.starts_with(b"http://") || value.starts_with(b"https://") {
            request.referrer.get_or_insert(value);
        } else if is_agent(&value) {
            if request.agent == Agent::NotLogged {
                request.agent = Agent::of(value);
            }
        } else if request.host.is_none() && is_host(&value) {
            request.host = Some(match value {
                Cow::Borrowed(host) => Cow::Borrowed(plain_host(host)),
                Cow::Owned(host) => Cow::Owned(plain_host(&host).to_vec()),
            });
        }
    }
}

/// A product and its version, as in `curl/8.5.0`.
fn is_agent(value: &[u8]) -> bool {
    value.windows(2).any(|pair| pair[0] == b'/' && pair[1].is_ascii_digit())
}

fn is_host(value: &[u8]) -> bool {
    memchr::memchr(b'.', value).is_some()
        && value.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(byte))
}
