//! Formats of logs, and which one a file has.

use super::clf::Shape;
use super::request::{Fault, Request};
use super::time::Clock;
use super::{balancer, clf, haproxy, json, w3c};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// A format of access logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Format {
    /// nginx and Apache `combined`; further fields may follow.
    Combined,
    /// The same with the host before it (Apache `vhost_combined`).
    Vhost,
    /// Apache `common`: without referrer and agent.
    Common,
    /// `common` with the host before it.
    VhostCommon,
    /// JSON, one object a line, with the usual names of fields (nginx, Apache, Traefik).
    Json,
    /// Caddy's JSON.
    Caddy,
    /// HAProxy's `option httplog`, with or without a syslog header.
    Haproxy,
    /// W3C extended with a `#Fields` line: IIS, CloudFront.
    W3c,
    /// Amazon's Classic Load Balancer.
    Elb,
    /// Amazon's Application Load Balancer.
    Alb,
}

impl Format {
    /// All of them, the more demanding first.
    pub const ALL: [Self; 10] = [
        Self::Combined,
        Self::Vhost,
        Self::Common,
        Self::VhostCommon,
        Self::Caddy,
        Self::Json,
        Self::Haproxy,
        Self::W3c,
        Self::Alb,
        Self::Elb,
    ];

    /// Its name, as options take it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Combined => "combined",
            Self::Vhost => "vhost",
            Self::Common => "common",
            Self::VhostCommon => "vhost-common",
            Self::Json => "json",
            Self::Caddy => "caddy",
            Self::Haproxy => "haproxy",
            Self::W3c => "w3c",
            Self::Elb => "elb",
            Self::Alb => "alb",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not the name of a format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid log format {0:?}: expected combined, vhost, common, vhost-common, json, caddy, haproxy, w3c (iis, cloudfront), elb or alb"
)]
pub struct InvalidFormat(String);

impl FromStr for Format {
    type Err = InvalidFormat;

    fn from_str(text: &str) -> Result<Self, InvalidFormat> {
        let name = text.trim().to_ascii_lowercase();
        let found = match name.as_str() {
            "nginx" | "apache" => Some(Self::Combined),
            "iis" | "cloudfront" => Some(Self::W3c),
            "vhost_combined" | "vhost-combined" => Some(Self::Vhost),
            name => Self::ALL.into_iter().find(|format| format.as_str() == name),
        };
        found.ok_or_else(|| InvalidFormat(text.chars().take(40).collect()))
    }
}

/// A line, parsed.
#[derive(Debug)]
pub(super) enum Parsed<'a> {
    Request(Request<'a>),
    /// A line of the format that tells no request: `#Fields: …`. Not counted.
    Directive,
    Fault(Fault),
}

/// Parses the lines of one file in their order.
#[derive(Debug, Clone)]
pub(super) struct Parser {
    pub(super) format: Format,
    pub(super) clock: Clock,
    columns: w3c::Columns,
}

impl Parser {
    pub(super) fn new(format: Format, clock: Clock) -> Self {
        Self { format, clock, columns: w3c::Columns::default() }
    }

    #[inline]
    pub(super) fn parse<'a>(&mut self, line: &'a [u8]) -> Parsed<'a> {
        let clock = &mut self.clock;
        let shape = |host, agent| Shape { host, agent };
        let parsed = match self.format {
            Format::Combined => clf::parse(line, shape(false, true), clock),
            Format::Vhost => clf::parse(line, shape(true, true), clock),
            Format::Common => clf::parse(line, shape(false, false), clock),
            Format::VhostCommon => clf::parse(line, shape(true, false), clock),
            Format::Json => json::parse(line, false, clock),
            Format::Caddy => json::parse(line, true, clock),
            Format::Haproxy => haproxy::parse(line, clock),
            Format::W3c if line.starts_with(b"#") => {
                self.columns.directive(line);
                return Parsed::Directive;
            }
            Format::W3c => self.columns.parse(line, clock),
            Format::Elb => balancer::parse(line, false, clock),
            Format::Alb => balancer::parse(line, true, clock),
        };
        match parsed {
            Ok(_) if memchr::memchr(0, line).is_some() => Parsed::Fault(
                "NUL bytes: a log that was written while the disk was full or the machine stopped".into(),
            ),
            Ok(request) => Parsed::Request(request),
            Err(fault) => Parsed::Fault(fault),
        }
    }
}

/// What the first lines of a file are.
#[derive(Debug, Clone)]
pub(super) struct Sample {
    /// The format that reads most of them; of several the one that demands more.
    pub(super) format: Option<Format>,
    /// How many of how many lines it reads.
    pub(super) fits: usize,
    pub(super) lines: usize,
    /// The earliest instant of them.
    pub(super) first: Option<i64>,
    /// Why the first line does not fit the format that was declared or came nearest.
    pub(super) fault: Option<Fault>,
}

/// Finds the format of lines by their shape.
pub(super) fn detect(lines: &[&[u8]], declared: Option<Format>, clock: &Clock) -> Sample {
    let candidates: Vec<Format> = declared.map_or_else(|| Format::ALL.to_vec(), |format| vec![format]);
    let is_caddy = lines.iter().any(|line| json::is_caddy(line));
    let mut best = Sample { format: None, fits: 0, lines: lines.len(), first: None, fault: None };
    for format in candidates {
        if declared.is_none() && format == Format::Caddy && !is_caddy {
            continue;
        }
        let mut parser = Parser::new(format, clock.clone());
        let (mut fits, mut directives, mut first, mut fault) = (0, 0, None, None);
        for line in lines {
            match parser.parse(line) {
                Parsed::Request(request) => {
                    fits += 1;
                    first = Some(first.map_or(request.at, |held: i64| held.min(request.at)));
                }
                Parsed::Directive => directives += 1,
                Parsed::Fault(why) => fault = fault.or(Some(why)),
            }
        }
        if fits > best.fits || declared.is_some() {
            let lines = lines.len() - directives;
            best = Sample { format: Some(format), fits, lines, first, fault };
        }
    }
    best
}
