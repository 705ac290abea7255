//! W3C extended logs: IIS (blanks between fields) and CloudFront (tabs). The line `#Fields:` names the columns, and may
//! come again with others. Times are UTC. Pure.

use super::escape;
use super::request::{Agent, Fault, Request, plain_host, present, shown, status};
use super::time::{self, Clock};
use std::borrow::Cow;

/// A column that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Date,
    Time,
    Address,
    Method,
    Stem,
    Query,
    Status,
    Agent,
    Referrer,
    Host,
    ViewerHost,
}

const FIELDS: [(Field, &str); 12] = [
    (Field::Date, "date"),
    (Field::Time, "time"),
    (Field::Address, "c-ip"),
    (Field::Method, "cs-method"),
    (Field::Stem, "cs-uri-stem"),
    (Field::Query, "cs-uri-query"),
    (Field::Status, "sc-status"),
    (Field::Agent, "cs(user-agent)"),
    (Field::Referrer, "cs(referer)"),
    (Field::Host, "cs-host"),
    (Field::Host, "cs(host)"),
    // CloudFront's `cs(Host)` is its own name of the distribution.
    (Field::ViewerHost, "x-host-header"),
];

/// The columns of the lines to come.
#[derive(Debug, Clone, Default)]
pub(super) struct Columns {
    fields: Vec<Option<Field>>,
}

impl Columns {
    /// Takes a line that begins with `#`.
    pub(super) fn directive(&mut self, line: &[u8]) {
        let Some(names) = line.get(..8).filter(|start| start.eq_ignore_ascii_case(b"#fields:")) else {
            return;
        };
        self.fields = line[names.len()..]
            .split(u8::is_ascii_whitespace)
            .filter(|name| !name.is_empty())
            .map(|name| {
                FIELDS
                    .iter()
                    .find(|(_, held)| name.eq_ignore_ascii_case(held.as_bytes()))
                    .map(|(field, _)| *field)
            })
            .collect();
    }

    /// Parses a line.
    pub(super) fn parse<'a>(&self, line: &'a [u8], clock: &mut Clock) -> Result<Request<'a>, Fault> {
        if self.fields.is_empty() {
            return Err("no #Fields line before it".into());
        }
        let tabs = memchr::memchr(b'\t', line).is_some();
        let mut values: [&[u8]; 11] = [b""; 11];
        let mut count = 0;
        for value in line.split(|byte| if tabs { *byte == b'\t' } else { *byte == b' ' }) {
            if let Some(Some(field)) = self.fields.get(count) {
                values[*field as usize] = value;
            }
            count += 1;
        }
        if count != self.fields.len() {
            return Err(
                format!("{count} fields, expected the {} of the #Fields line", self.fields.len()).into()
            );
        }
        let has = |field: Field| self.fields.contains(&Some(field));
        let of = |field: Field| values[field as usize];
        for (field, name) in [
            (Field::Date, "date"),
            (Field::Time, "time"),
            (Field::Stem, "cs-uri-stem"),
            (Field::Address, "c-ip"),
        ] {
            if !has(field) {
                return Err(format!("the #Fields line has no {name}").into());
            }
        }
        let stamp = [of(Field::Date), b" ", of(Field::Time)].concat();
        let mut written = time::iso(&stamp).ok_or_else(|| time::invalid(&stamp))?;
        written.offset = Some(0);
        let status = status(of(Field::Status))?;
        let method = of(Field::Method);
        if has(Field::Method) && !method.iter().all(|byte| byte.is_ascii_uppercase() || b"-_".contains(byte))
        {
            return Err(format!("invalid method {:?}", shown(method)).into());
        }
        let at = clock.instant(written)?;
        let stem = of(Field::Stem);
        let target = match of(Field::Query) {
            b"" | b"-" => Cow::Borrowed(stem),
            query => Cow::Owned([stem, b"?", query].concat()),
        };
        let agent = match (has(Field::Agent), tabs) {
            (false, _) => Agent::NotLogged,
            (true, true) => Agent::of(twice_encoded(of(Field::Agent))),
            (true, false) => Agent::of(escape::plus(of(Field::Agent))),
        };
        let host =
            [Field::ViewerHost, Field::Host].map(of).into_iter().find(|host| !matches!(*host, b"" | b"-"));
        let referrer =
            if tabs { twice_encoded_only(of(Field::Referrer)) } else { Cow::Borrowed(of(Field::Referrer)) };
        Ok(Request {
            at,
            address: Cow::Borrowed(of(Field::Address)),
            host: host.map(|host| Cow::Borrowed(plain_host(host))),
            method: if method == b"-" { Cow::Borrowed(b"") } else { Cow::Borrowed(method) },
            target,
            status,
            referrer: present(referrer),
            agent,
        })
    }
}

/// CloudFront encodes an agent once, and did so twice until 2019: `%2520`.
fn twice_encoded(field: &[u8]) -> Cow<'_, [u8]> {
    match escape::marked(field, b'%') {
        Cow::Owned(once) if memchr::memmem::find(&once, b"%20").is_some() => {
            Cow::Owned(escape::marked(&once, b'%').into_owned())
        }
        other => other,
    }
}

/// A URL whose percent signs were encoded again loses that second encoding.
fn twice_encoded_only(field: &[u8]) -> Cow<'_, [u8]> {
    match memchr::memmem::find(field, b"%25").is_some() {
        true => escape::marked(field, b'%'),
        false => Cow::Borrowed(field),
    }
}
