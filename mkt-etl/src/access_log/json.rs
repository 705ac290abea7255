//! Logs of JSON objects, one a line: Caddy's, and those that nginx, Apache, Traefik and others are configured to write.
//! Pure.
//!
//! The names of fields are the owner's choice; the usual ones are known, without case and signs: `remote_addr`,
//! `time_iso8601`, `request_uri`, `http_user_agent`, ….

use super::request::{
    Agent, Fault, Request, plain_host, present, request_line, split_target, status, without_port,
};
use super::time::{self, Clock, Written};
use serde_json::{Map, Value};
use std::borrow::Cow;

type Object = Map<String, Value>;

const TIMES: &[&str] = &[
    "timeiso8601",
    "timelocal",
    "timestamp",
    "time",
    "msec",
    "ts",
    "startutc",
    "datetime",
    "date",
    "starttime",
];
const ADDRESSES: &[&str] =
    &["remoteaddr", "remoteip", "clientip", "clienthost", "clientaddr", "ip", "remotehost", "client"];
const METHODS: &[&str] = &["requestmethod", "method", "httpmethod", "verb"];
const TARGETS: &[&str] = &["requesturi", "uri", "requestpath", "url", "path", "requesturl"];
const QUERIES: &[&str] = &["querystring", "query", "args"];
const STATUSES: &[&str] =
    &["status", "statuscode", "downstreamstatus", "response", "responsestatus", "httpstatus"];
const REFERRERS: &[&str] = &["httpreferer", "httpreferrer", "referer", "referrer", "requestreferer"];
const AGENTS: &[&str] = &["httpuseragent", "useragent", "agent", "requestuseragent"];
const HOSTS: &[&str] = &["host", "httphost", "servername", "vhost", "requesthost", "virtualhost"];

/// Parses a line.
pub(super) fn parse(line: &[u8], caddy: bool, clock: &mut Clock) -> Result<Request<'static>, Fault> {
    let object: Object = serde_json::from_slice(line).map_err(|cause| not_json(line, &cause))?;
    match (&object.get("request"), caddy) {
        (Some(Value::Object(request)), _) => of_caddy(&object, request, clock),
        (_, true) => Err("no object \"request\"".into()),
        (_, false) => of_fields(&object, clock),
    }
}

/// Whether a line may be Caddy's.
pub(super) fn is_caddy(line: &[u8]) -> bool {
    memchr::memmem::find(line, b"\"request\":{").is_some()
}

fn not_json(line: &[u8], cause: &serde_json::Error) -> Fault {
    match memchr::memmem::find(line, br"\x").is_some() {
        true => "not JSON: nginx's default escapes (\\x22); write the log with escape=json".into(),
        false if cause.is_eof() => "not JSON: a line that was cut".into(),
        false => format!("not JSON (column {})", cause.column()).into(),
    }
}

fn of_caddy(object: &Object, request: &Object, clock: &mut Clock) -> Result<Request<'static>, Fault> {
    let text = |name: &str| request.get(name).and_then(Value::as_str);
    let headers = request.get("headers").and_then(Value::as_object);
    let header = |name: &str| {
        let (_, value) = headers?.iter().find(|(held, _)| held.eq_ignore_ascii_case(name))?;
        value.as_str().or_else(|| value.get(0)?.as_str())
    };
    let written = instant(object.get("ts").or_else(|| object.get("time")).ok_or("no field ts")?)?;
    let address = text("client_ip").or_else(|| text("remote_ip"));
    let address = match (address, text("remote_addr")) {
        (Some(address), _) => address.as_bytes(),
        (None, Some(both)) => without_port(both.as_bytes()),
        (None, None) => return Err("no field request.remote_ip".into()),
    };
    let status = match object.get("status") {
        Some(status_field) => status_of(status_field)?,
        None => return Err("no field status: not a line about a request".into()),
    };
    let target = text("uri").ok_or("no field request.uri")?.as_bytes();
    let (of_target, path) = split_target(target);
    let host = of_target.or_else(|| text("host").map(|host| plain_host(host.as_bytes())));
    let at = clock.instant(written)?;
    Ok(Request {
        at,
        address: owned(address),
        host: host.and_then(|host| present(owned(host))),
        method: owned(text("method").unwrap_or_default().as_bytes()),
        target: owned(path),
        status,
        referrer: header("referer").and_then(|text| present(owned(text.as_bytes()))),
        agent: match headers {
            Some(_) => Agent::of(owned(header("user-agent").unwrap_or_default().as_bytes())),
            None => Agent::NotLogged,
        },
    })
}

fn of_fields(object: &Object, clock: &mut Clock) -> Result<Request<'static>, Fault> {
    let fields: Vec<(String, &Value)> = object.iter().map(|(name, value)| (folded(name), value)).collect();
    let get = |names: &[&str]| {
        names
            .iter()
            .find_map(|wanted| fields.iter().find(|(name, _)| name == wanted))
            .map(|(_, value)| *value)
    };
    let text = |names: &[&str]| match get(names)? {
        Value::String(text) => Some(Cow::Borrowed(text.as_str())),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    };
    let written = instant(get(TIMES).ok_or("no field of a time (time_iso8601, timestamp, …)")?)?;
    let address = text(ADDRESSES).ok_or("no field of an address (remote_addr, client_ip, …)")?;
    let status = get(STATUSES).map(status_of).transpose()?.flatten();
    // A whole request line, unless its parts stand apart.
    let line = text(&["request"]);
    let (of_line, target_of_line) = match line.as_deref() {
        Some(line) => request_line(line.as_bytes())?,
        None => (&b""[..], &b""[..]),
    };
    let method = text(METHODS).map_or_else(|| owned(of_line), |text| owned(text.as_bytes()));
    let target = match text(TARGETS) {
        Some(target) => {
            let query =
                text(QUERIES).filter(|query| !matches!(query.as_ref(), "" | "-") && !target.contains('?'));
            let query = query.map(|query| format!("?{}", query.trim_start_matches('?'))).unwrap_or_default();
            owned(format!("{target}{query}").as_bytes())
        }
        None if line.is_some() => owned(target_of_line),
        None => return Err("no field of a request (request, request_uri, …)".into()),
    };
    let (of_target, path) = split_target(&target);
    let host = of_target.map(owned).or_else(|| text(HOSTS).map(|host| owned(plain_host(host.as_bytes()))));
    let at = clock.instant(written)?;
    Ok(Request {
        at,
        address: owned(address.as_bytes()),
        host: host.and_then(present),
        method: if method.as_ref() == b"-" { Cow::Borrowed(b"") } else { method },
        target: owned(path),
        status,
        referrer: text(REFERRERS).and_then(|text| present(owned(text.as_bytes()))),
        agent: match get(AGENTS) {
            Some(value) => Agent::of(owned(value.as_str().unwrap_or_default().as_bytes())),
            None => Agent::NotLogged,
        },
    })
}

fn owned(text: &[u8]) -> Cow<'static, [u8]> {
    Cow::Owned(text.to_vec())
}

fn folded(name: &str) -> String {
    name.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

fn status_of(value: &Value) -> Result<Option<u16>, Fault> {
    match value {
        Value::Number(number) => status(number.to_string().as_bytes()),
        Value::String(text) => status(text.as_bytes()),
        Value::Null => Ok(None),
        _ => Err("invalid status: expected a number".into()),
    }
}

/// A time as a text, or as seconds or milliseconds since 1970.
fn instant(value: &Value) -> Result<Written, Fault> {
    let of_number = |number: f64| time::epoch(number).map(|wall| Written { wall, offset: Some(0) });
    let found = match value {
        Value::Number(number) => number.as_f64().and_then(of_number),
        Value::String(text) => {
            let bytes = text.trim().as_bytes();
            time::iso(bytes)
                .or_else(|| time::bracketed(bytes))
                .or_else(|| time::bracketed(bytes.strip_prefix(b"[")?.strip_suffix(b"]")?))
                .or_else(|| caddy_wall(bytes))
                .or_else(|| text.trim().parse().ok().and_then(of_number))
        }
        _ => None,
    };
    found.ok_or_else(|| time::invalid(value.to_string().as_bytes()))
}

/// Caddy's `time_format wall`: `2026/03/29 10:00:00.123`, in its zone.
fn caddy_wall(text: &[u8]) -> Option<Written> {
    let mut dashed = text.to_vec();
    for place in [4, 7] {
        match dashed.get_mut(place) {
            Some(byte @ b'/') => *byte = b'-',
            _ => return None,
        }
    }
    time::iso(&dashed)
}
