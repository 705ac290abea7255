//! URLs of the REST API as analysts write them by hand, read and written.
//!
//! `https://apirest.atinternet-solutions.com/data/v2/json/getData?&columns={d_page,m_visits}&sort={-m_visits}
//! &filter={d_page:{$eq:'home'}}&space={s:123456}&period={D:2017-06-30}&max-results=50&page-num=1`, percent-encoded or
//! not; the older `/data/v2/GetData?` too. A URL of version 3 (`/v3/data/getData?param={…}`) is known as well.
//!
//! Source: the pages of "Rest API" and "Reporting API v3" on <https://developers.atinternet-solutions.com>, read in
//! November 2026. **Unconfirmed**, since no account was at hand: the parameter `apikey`, and what stands for a quote
//! within a text (nothing is: such a text is refused).

use super::braces::{self, Decoded, Entry, Node};
use super::filter::{Filter, Operand, Operator, Scalar};
use super::period::{Granularity, Moment, Period};
use super::query::{Column, DataQuery, Evolution, MAX_COLUMNS_V2, QueryError, Segment, Space};
use mkt_connect::Secret;
use rust_decimal::Decimal;
use std::str::FromStr;

/// What is asked of the API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Rows.
    Data,
    /// How many rows there are.
    RowCount,
    /// One number for each metric (version 3).
    Total,
}

impl Method {
    /// As it stands in a path.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Data => "getData",
            Self::RowCount => "getRowCount",
            Self::Total => "getTotal",
        }
    }

    fn named(text: &str) -> Option<Self> {
        [Self::Data, Self::RowCount, Self::Total]
            .into_iter()
            .find(|method| text.eq_ignore_ascii_case(method.as_str()))
    }
}

/// In which form version 2 answers. A spreadsheet's web query takes HTML.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // The names are those of the formats.
pub enum Format {
    Json,
    Xml,
    Html,
    Csv,
}

impl Format {
    /// As it stands in a path.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Xml => "xml",
            Self::Html => "html",
            Self::Csv => "csv",
        }
    }

    fn named(text: &str) -> Option<Self> {
        [Self::Json, Self::Xml, Self::Html, Self::Csv]
            .into_iter()
            .find(|it| text.eq_ignore_ascii_case(it.as_str()))
    }
}

/// Which of the two interfaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// The REST API: `d_page`, `m_visits`.
    V2,
    /// The Reporting API, Piano Analytics' too: `page`, `m_visits`.
    V3,
}

/// How a URL is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// With its braces, as people write it; only what would end or change a parameter is encoded.
    Hand,
    /// With everything encoded that RFC 3986 does not leave unreserved.
    Encoded,
}

/// A URL that was pasted. The key in it, if there is one, is kept apart; `Debug` does not show it.
#[derive(Debug, Clone, PartialEq)]
pub struct PastedUrl {
    /// Which interface.
    pub version: Version,
    /// What is asked.
    pub method: Method,
    /// The form of the answer; `None` for the URL without one (`/data/v2/GetData`), and for version 3.
    pub format: Option<Format>,
    /// The scheme and host: `https://apirest.atinternet-solutions.com`.
    pub origin: String,
    /// The query.
    pub query: DataQuery,
    /// The key of the URL.
    pub key: Option<Secret>,
}

impl FromStr for PastedUrl {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let text = text.trim_end();
        let begin = text.len() - text.trim_start().len();
        let Some((address, parameters)) = text.split_once('?') else {
            return Err(QueryError::at(text.len(), "the URL has no question mark, and so no query"));
        };
        let offset = address.len() + 1;
        let (origin, path) = split_origin(address.trim_start(), begin)?;
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let unknown = |what| Err(QueryError::at(begin + origin.len(), what));
        let (version, format, method) = match parts.as_slice() {
            ["data", "v2", format, method] => {
                let Some(format) = Format::named(format) else {
                    return unknown("the path names no format (json, xml, html, csv)");
                };
                (Version::V2, Some(format), Method::named(method))
            }
            ["data", "v2", method] => (Version::V2, None, Method::named(method)),
            ["v3", "data", method] => (Version::V3, None, Method::named(method)),
            _ => return unknown("the path is neither /data/v2/… nor /v3/data/…"),
        };
        let Some(method) = method else {
            return unknown("the path names no method (getData, getRowCount, getTotal)");
        };
        if version == Version::V2 && method == Method::Total {
            return unknown("version 2 has no getTotal");
        }
        let mut found = Parameters::read(parameters, offset)?;
        let query = match version {
            Version::V2 => found.query()?,
            Version::V3 => found.json_query(method)?,
        };
        Ok(Self { version, method, format, origin: origin.to_owned(), query, key: found.key })
    }
}

fn split_origin(address: &str, begin: usize) -> Result<(&str, &str), QueryError> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    let Some(rest) = rest else { return Err(QueryError::at(begin, "the URL does not begin with https://")) };
    let host = rest.find('/').unwrap_or(rest.len());
    if rest[..host].contains('@') {
        return Err(QueryError::at(begin, "the URL holds a user and perhaps a password; take them out"));
    }
    Ok(address.split_at(address.len() - rest.len() + host))
}

/// The parameters of a URL, and where each value begins.
struct Parameters<'a> {
    values: Vec<(&'static str, &'a str, usize)>,
    key: Option<Secret>,
    end: usize,
}

/// Parameters that hold a query, in the order in which they are written.
const KNOWN: &[&str] = &[
    "columns",
    "sort",
    "filter",
    "space",
    "segment",
    "segmentdesc",
    "period",
    "evo",
    "include",
    "sample",
    "code",
    "max-results",
    "page-num",
    "sep",
    "lng",
    "param",
];
/// Parameters that hold a credential. Only the first is the vendor's; the others are what people have pasted.
const SECRETS: &[&str] = &["apikey", "api_key", "x-api-key", "key", "token", "password"];

impl<'a> Parameters<'a> {
    fn read(text: &'a str, offset: usize) -> Result<Self, QueryError> {
        let mut found = Self { values: Vec::new(), key: None, end: offset + text.len() };
        let mut at = offset;
        // `getData??&columns=` has been pasted.
        let trimmed = text.trim_start_matches('?');
        at += text.len() - trimmed.len();
        for pair in trimmed.split('&') {
            let begin = at;
            at += pair.len() + 1;
            if pair.trim().is_empty() {
                continue;
            }
            let Some((name, value)) = pair.split_once('=') else {
                return Err(QueryError::at(
                    begin,
                    "a parameter without a value (an ampersand in a text is written %26)",
                ));
            };
            let name = name.trim();
            let value_at = begin + pair.len() - value.len();
            if SECRETS.iter().any(|secret| name.eq_ignore_ascii_case(secret)) {
                found.key = Some(Secret::new(Decoded::new(value, value_at)?.text()));
                continue;
            }
            // The vendor's pages write `&Columns=` once.
            let Some(known) = KNOWN.iter().find(|known| name.eq_ignore_ascii_case(known)) else {
                return Err(QueryError::at(begin, "the API has no such parameter"));
            };
            if found.values.iter().any(|(name, ..)| name == known) {
                return Err(QueryError::at(begin, "the parameter is there twice"));
            }
            found.values.push((known, value, value_at));
        }
        Ok(found)
    }

    fn take(&mut self, name: &str) -> Option<(&'a str, usize)> {
        let index = self.values.iter().position(|(known, ..)| *known == name)?;
        let (_, value, at) = self.values.swap_remove(index);
        Some((value, at))
    }

    fn text(&mut self, name: &str) -> Result<Option<String>, QueryError> {
        self.take(name).map(|(value, at)| Ok(Decoded::new(value, at)?.text())).transpose()
    }

    fn node(&mut self, name: &str) -> Result<Option<Node>, QueryError> {
        self.take(name).map(|(value, at)| braces::parse(&Decoded::new(value, at)?)).transpose()
    }

    fn needed(&mut self, name: &str) -> Result<Node, QueryError> {
        let end = self.end;
        self.node(name)?.ok_or_else(|| QueryError::at(end, format!("the parameter {name} is missing")))
    }

    fn number<N: FromStr>(&mut self, name: &str) -> Result<Option<N>, QueryError> {
        let Some((value, at)) = self.take(name) else { return Ok(None) };
        let read = Decoded::new(value, at)?.text().trim().parse().ok();
        read.map(Some).ok_or_else(|| QueryError::at(at, format!("{name} is not a number")))
    }

    fn query(&mut self) -> Result<DataQuery, QueryError> {
        if let Some((_, at)) = self.take("param") {
            return Err(QueryError::at(at, "param is a parameter of version 3"));
        }
        let columns = list(&self.needed("columns")?, "a column")?;
        let space = space(&self.needed("space")?)?;
        let period = self.needed("period")?;
        let (periods, named) = periods(&period)?;
        let mut query =
            DataQuery { periods, ..DataQuery::new(columns, space, Period::relative(Granularity::Day, 0)) };
        if let Some(node) = self.node("sort")? {
            query.sort = list(&node, "a column")?;
        }
        // `filter={}` is what an interface writes where nothing is filtered.
        query.filter = match self.take("filter") {
            Some((value, at)) => {
                let decoded = Decoded::new(value, at)?;
                match decoded.text().replace(char::is_whitespace, "") == "{}" {
                    true => None,
                    false => Some(filter(&braces::parse(&decoded)?)?),
                }
            }
            None => None,
        };
        query.segments.extend(self.number::<u64>("segment")?.map(Segment::Id));
        query.evo = self.node("evo")?.map(|node| evolution(&node)).transpose()?;
        query.max_results = self.number("max-results")?;
        query.page_num = self.number("page-num")?;
        let presentation = &mut query.presentation;
        presentation.sep = self.text("sep")?;
        presentation.lng = self.text("lng")?;
        presentation.include = self.text("include")?;
        presentation.segmentdesc = self.text("segmentdesc")?;
        presentation.code = self.text("code")?;
        presentation.sample = self.text("sample")?;
        if named && !query.names_periods() {
            return Err(QueryError::at(
                period.at(),
                "the period has a label, and no column names it (p1.m_…)",
            ));
        }
        query.check(MAX_COLUMNS_V2)?;
        Ok(query)
    }

    fn json_query(&mut self, method: Method) -> Result<DataQuery, QueryError> {
        let Some((value, at)) = self.take("param") else {
            return Err(QueryError::at(self.end, "the parameter param is missing"));
        };
        if let Some((_, _, at)) = self.values.first() {
            return Err(QueryError::at(*at, "version 3 has one parameter, param"));
        }
        super::json::parse(&Decoded::new(value, at)?.text(), method)
    }
}

fn list<T: FromStr<Err = QueryError>>(node: &Node, what: &str) -> Result<Vec<T>, QueryError> {
    node.group("a list")?
        .iter()
        .map(|entry| {
            let text = entry.value.text().filter(|_| entry.key.is_none());
            text.and_then(|text| text.parse().ok())
                .ok_or_else(|| QueryError::at(entry.at, format!("{what} was expected")))
        })
        .collect()
}

fn id(node: &Node) -> Result<u64, QueryError> {
    node.text()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| QueryError::at(node.at(), "the number of a site was expected"))
}

fn space(node: &Node) -> Result<Space, QueryError> {
    match node.group("a space")? {
        [Entry { key: Some(key), value, .. }] if key == "s" => match value {
            Node::Group(sites, _) => sites.iter().map(|entry| id(&entry.value)).collect::<Result<_, _>>(),
            one => id(one).map(|site| vec![site]),
        }
        .map(Space::Sites),
        [Entry { key: Some(key), value, .. }] if key == "l2s" => {
            let (mut site, mut level2) = (None, None);
            for entry in value.group("a site and a part of it")? {
                match entry.key.as_deref() {
                    Some("s") => site = Some(id(&entry.value)?),
                    Some("l2") => level2 = Some(id(&entry.value)?),
                    _ => return Err(QueryError::at(entry.at, "s or l2 was expected")),
                }
            }
            match (site, level2) {
                (Some(site), Some(level2)) => Ok(Space::Level2 { site, level2 }),
                _ => Err(QueryError::at(value.at(), "both s and l2 are needed")),
            }
        }
        _ => Err(QueryError::at(node.at(), "a space is {s:…} or {l2s:{s:…,l2:…}}")),
    }
}

/// The periods, and whether they have labels.
fn periods(node: &Node) -> Result<(Vec<Vec<Period>>, bool), QueryError> {
    let entries = node.group("a period")?;
    let label = |entry: &Entry| match entry.key.as_deref().map(str::as_bytes) {
        Some([b'p', digit @ b'1'..=b'9']) => Some(usize::from(digit - b'0')),
        _ => None,
    };
    if !entries.iter().any(|entry| label(entry).is_some()) {
        return Ok((vec![period(node)?], false));
    }
    let mut found = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        if label(entry) != Some(index + 1) {
            return Err(QueryError::at(entry.at, format!("the period p{} was expected", index + 1)));
        }
        found.push(period(&entry.value)?);
    }
    Ok((found, true))
}

/// The spans of a period, which count together: `{D:'2018-02-21',W:'2018-02'}`.
fn period(node: &Node) -> Result<Vec<Period>, QueryError> {
    let mut spans = Vec::new();
    for Entry { key, value, at } in node.group("a period")? {
        match key.as_deref() {
            Some("R") => {
                let offset = |node: &Node| {
                    node.text().and_then(|text| text.parse::<i32>().ok()).ok_or_else(|| {
                        QueryError::at(node.at(), "a number of units was expected, such as -1")
                    })
                };
                for Entry { key, value, at } in value.group("a relative period")? {
                    let granularity = granularity(key.as_deref().unwrap_or_default(), *at)?;
                    let (start, end) = bounds(value, offset)?;
                    spans.push(Period::Relative { granularity, start, end });
                }
            }
            Some("filter") => {
                return Err(QueryError::at(*at, "a filter of days (DW, DM, …) is not read; name the days"));
            }
            Some(unit) => {
                let granularity = granularity(unit, *at)?;
                let moment = |node: &Node| {
                    let read = node.text().and_then(|text| Moment::read(granularity, text));
                    read.filter(|moment| !matches!(moment, Moment::Second(_)))
                        .ok_or_else(|| QueryError::at(node.at(), "this is no such moment as its unit wants"))
                };
                let (start, end) = bounds(value, moment)?;
                spans.push(Period::Absolute { granularity, start, end });
            }
            None => return Err(QueryError::at(*at, "a period is {D:…}, {R:{D:…}} or the like")),
        }
    }
    Ok(spans)
}

fn granularity(key: &str, at: usize) -> Result<Granularity, QueryError> {
    Granularity::named(key)
        .ok_or_else(|| QueryError::at(at, "a unit was expected: Y, S, Q, M, W, D, H, He, MN, MNe, or R"))
}

/// One value for both ends, or `{start:…,end:…}`.
fn bounds<T: Copy>(node: &Node, read: impl Fn(&Node) -> Result<T, QueryError>) -> Result<(T, T), QueryError> {
    let Node::Group(entries, at) = node else { return read(node).map(|both| (both, both)) };
    let (mut start, mut end) = (None, None);
    for entry in entries {
        match entry.key.as_deref() {
            Some("start") => start = Some(read(&entry.value)?),
            Some("end") => end = Some(read(&entry.value)?),
            _ => return Err(QueryError::at(entry.at, "start or end was expected")),
        }
    }
    start.zip(end).ok_or_else(|| QueryError::at(*at, "both start and end are needed"))
}

fn evolution(node: &Node) -> Result<Evolution, QueryError> {
    let refuse = || QueryError::at(node.at(), "an evolution is {D} or {D,p1}");
    let texts: Vec<&str> = node
        .group("an evolution")?
        .iter()
        .filter(|entry| entry.key.is_none())
        .filter_map(|entry| entry.value.text())
        .collect();
    let (unit, period) = match texts.as_slice() {
        [unit] => (unit, None),
        [unit, label] => match label.as_bytes() {
            [b'p', digit @ b'1'..=b'9'] => (unit, Some(digit - b'0')),
            _ => return Err(refuse()),
        },
        _ => return Err(refuse()),
    };
    Ok(Evolution { granularity: Granularity::named(unit).ok_or_else(refuse)?, period, top: None })
}

fn filter(node: &Node) -> Result<Filter, QueryError> {
    let parts = filters(node.group("a filter")?)?;
    Filter::all(parts).ok_or_else(|| QueryError::at(node.at(), "a filter was expected"))
}

fn filters(entries: &[Entry]) -> Result<Vec<Filter>, QueryError> {
    entries
        .iter()
        .map(|entry| {
            let empty = || QueryError::at(entry.at, "a filter was expected");
            match entry.key.as_deref() {
                None => filter(&entry.value),
                Some("$OR") => Filter::any(filters(entry.value.group("filters")?)?).ok_or_else(empty),
                Some("$AND") => Filter::all(filters(entry.value.group("filters")?)?).ok_or_else(empty),
                Some(name) => {
                    let column: Column = name
                        .parse()
                        .map_err(|_| QueryError::at(entry.at, "a column, $OR or $AND was expected"))?;
                    let tests = entry.value.group("an operator and a value")?;
                    let tests =
                        tests.iter().map(|test| condition(&column, test)).collect::<Result<Vec<_>, _>>()?;
                    Filter::all(tests).ok_or_else(empty)
                }
            }
        })
        .collect()
}

fn condition(column: &Column, test: &Entry) -> Result<Filter, QueryError> {
    let operator =
        test.key.as_deref().and_then(Operator::named).filter(|operator| operator.is_in_v2()).ok_or_else(
            || QueryError::at(test.at, "an operator of version 2 was expected ($eq, $gt, $lk, …)"),
        )?;
    let at = test.value.at();
    let operand = match &test.value {
        Node::Word(word, _) if operator.wants_flag() => match word.as_str() {
            "true" => Operand::Flag(true),
            "false" => Operand::Flag(false),
            _ => return Err(QueryError::at(at, "true or false was expected")),
        },
        Node::Group(entries, _) if operator.wants_list() => {
            let values = entries.iter().map(|entry| {
                scalar(&entry.value)
                    .filter(|_| entry.key.is_none())
                    .ok_or_else(|| QueryError::at(entry.at, "a value was expected"))
            });
            Operand::Many(values.collect::<Result<_, _>>()?)
        }
        other if !operator.wants_flag() && !operator.wants_list() => {
            Operand::One(scalar(other).ok_or_else(|| QueryError::at(at, "one value was expected"))?)
        }
        _ => return Err(QueryError::at(at, "this operator wants another kind of value")),
    };
    Ok(Filter::is(column.clone(), operator, operand))
}

/// A text in quotes is a text; a word is a number where it reads as one.
fn scalar(node: &Node) -> Option<Scalar> {
    match node {
        Node::Text(text, _) => Some(Scalar::Text(text.clone())),
        Node::Word(word, _) => Some(match Decimal::from_str(word) {
            Ok(number) => number.into(),
            Err(_) => Scalar::Text(word.clone()),
        }),
        Node::Group(..) => None,
    }
}
