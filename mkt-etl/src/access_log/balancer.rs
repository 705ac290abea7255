//! Amazon's Classic and Application Load Balancers. Pure.

use super::escape;
use super::request::{
    Agent, Fault, Request, closing_quote, plain_host, request_line, split_target, status, token, without_port,
};
use super::time::{self, Clock};
use std::borrow::Cow;

/// Parses a line of a Classic Load Balancer, or, with `typed`, of an Application Load Balancer, whose lines begin with
/// the kind of connection.
pub(super) fn parse<'a>(line: &'a [u8], typed: bool, clock: &mut Clock) -> Result<Request<'a>, Fault> {
    let mut rest = line;
    if typed {
        let kind;
        (kind, rest) = token(rest);
        if !matches!(kind, b"http" | b"https" | b"h2" | b"grpcs" | b"ws" | b"wss") {
            return Err("no kind of connection at the start".into());
        }
    }
    let mut fields: [&[u8]; 11] = [b""; 11];
    for field in &mut fields {
        (*field, rest) = token(rest);
    }
    let [at, _name, address, _target, _, _, _, status_field, _, _received, _sent] = fields;
    let written =
        time::iso(at).filter(|written| written.offset.is_some()).ok_or_else(|| time::invalid(at))?;
    let status = status(status_field)?;
    let rest = rest.strip_prefix(b"\"").ok_or("no request in quotes: a line that was cut")?;
    let end = closing_quote(rest, |rest| rest.starts_with(b" ") || rest.is_empty())
        .ok_or("the request's quote is not closed: a line that was cut")?;
    let (request, rest) = (&rest[..end], rest[end + 1..].trim_ascii_start());
    let agent = match rest.strip_prefix(b"\"") {
        Some(rest) => {
            let is_end = |rest: &[u8]| rest.starts_with(b" ") || rest.is_empty();
            let end =
                closing_quote(rest, is_end).ok_or("the agent's quote is not closed: a line that was cut")?;
            Agent::of(escape::backslashes(&rest[..end]))
        }
        // The first logs of 2014 had no agent.
        None if rest.is_empty() && !typed => Agent::NotLogged,
        None => return Err("no agent in quotes: a line that was cut".into()),
    };
    let (method, target) = request_line(request)?;
    let at = clock.instant(written)?;
    let (host, path) = split_target(target);
    Ok(Request {
        at,
        address: Cow::Borrowed(without_port(address)),
        host: host.map(|host| Cow::Borrowed(plain_host(host))),
        method: Cow::Borrowed(method),
        target: escape::backslashes(path),
        status,
        referrer: None,
        agent,
    })
}
