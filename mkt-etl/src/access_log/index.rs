//! Reads all files once: every line becomes a robot's, a rejected one, a number, or an event that waits for its hour.

use super::agents::{Agents, Device, Verdict};
use super::becomes::{self, Becomes};
use super::escape;
use super::files::{self, Sampled, Stamp};
use super::findings::FileFindings;
use super::format::{Parsed, Parser};
use super::own::{Own, Referrers};
use super::request::{Agent, Fault, Request};
use super::spill::{Spill, put_text};
use super::stream::{self, Line, Lines};
use super::time::Clock;
use super::visits::{self, Passing, Waiting};
use super::{SERVICE, Settings, failed};
use crate::clean;
use crate::zone::{self, Zone};
use chrono::{Datelike, NaiveDate};
use mkt_connect::{Error, ErrorKind, Result};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of records that wait in memory: by hour, and by day.
const WAITING: usize = 24 << 20;
const BY_DAY: usize = 8 << 20;
/// Reasons that are kept for the answer.
const REASONS: usize = 5;
/// Lines without a time before the first that has one.
const MOST_BEFORE: usize = 10_000;

/// What a day holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) lines: u64,
    pub(super) events: u64,
    pub(super) sessions: u64,
    pub(super) rejected: u64,
    /// By [`Becomes`].
    pub(super) becomes: [u64; Becomes::ALL.len()],
    /// By the number of the rule.
    pub(super) robots: BTreeMap<u16, u64>,
    /// A sum of hashes: the same for the same lines in any order.
    digest: u128,
}

/// What one reading of all files found.
#[derive(Debug)]
pub(super) struct Index {
    pub(super) stamps: Vec<Stamp>,
    pub(super) days: BTreeMap<NaiveDate, Day>,
    pub(super) events: Spill,
    pub(super) sessions: Spill,
    pub(super) rejected: Spill,
    pub(super) files: Vec<FileFindings>,
    /// Names of the rules, by number.
    pub(super) rules: Vec<String>,
    pub(super) own: Own,
}

impl Index {
    /// Reads the files.
    ///
    /// # Errors
    /// Of the files; `Input` for one with lines and none that fits.
    pub(super) fn build(paths: &[PathBuf], settings: &Settings) -> Result<Self> {
        let stamps = paths.iter().map(|path| Stamp::of(path)).collect::<Result<_>>()?;
        let sampled = files::sample(paths, settings.format, settings.times_in)?;
        let folder = match &settings.work_folder {
            Some(parent) => tempfile::Builder::new().prefix("mkt-log-").tempdir_in(parent),
            None => tempfile::Builder::new().prefix("mkt-log-").tempdir(),
        };
        let disk = |cause| Error::new(ErrorKind::Storage, SERVICE, "keep records on disk").with_source(cause);
        let folder = Arc::new(folder.map_err(disk)?);
        let agents = Agents::new()
            .map_err(|cause| Error::new(ErrorKind::Config, SERVICE, "read a list").with_source(cause))?;
        let mut reading = Reading {
            settings,
            agents,
            days: BTreeMap::new(),
            hours: Spill::new(&folder, "hour", WAITING),
            rejected: Spill::new(&folder, "rejected", BY_DAY),
            of_day: DayOf::new(settings.zone.into()),
            referrers: Referrers::default(),
        };
        let mut found = Vec::with_capacity(sampled.len());
        for (rank, file) in sampled.iter().enumerate() {
            found.push(reading.file(file, rank)?);
        }
        let own = reading.referrers.decide(&settings.hosts);
        let Reading { agents, mut days, mut hours, rejected, .. } = reading;
        let mut events = Spill::new(&folder, "events", BY_DAY);
        let mut sessions = Spill::new(&folder, "sessions", BY_DAY);
        let of_day = std::cell::RefCell::new(DayOf::new(settings.zone.into()));
        let counts = visits::pass(
            &mut hours,
            &mut events,
            &mut sessions,
            &Passing {
                rules: settings.rules,
                day_of: &|at| of_day.borrow_mut().of(at),
                is_own: &|host| own.contains(host),
            },
        )
        .map_err(disk)?;
        for (day, count) in counts {
            days.entry(day).or_default().sessions = count;
        }
        Ok(Self { stamps, days, events, sessions, rejected, files: found, rules: agents.into_rules(), own })
    }

    /// Changes when what a day's slice holds may have changed: its lines, and those of the days beside it, whose visits may
    /// reach into it.
    pub(super) fn signature(&self, day: NaiveDate) -> String {
        let digest =
            |day: Option<NaiveDate>| day.and_then(|day| self.days.get(&day)).map_or(0, |held| held.digest);
        format!(
            "{:?} {:x} {:x} {:?}",
            self.days.get(&day),
            digest(day.pred_opt()),
            digest(day.succ_opt()),
            self.own
        )
    }
}

pub(super) fn key_of(day: NaiveDate) -> i64 {
    i64::from(day.num_days_from_ce())
}

/// The day of an instant in a zone; the last one is remembered.
#[derive(Debug, Clone)]
struct DayOf {
    zone: Zone,
    from: i64,
    until: i64,
    day: NaiveDate,
}

impl DayOf {
    fn new(zone: Zone) -> Self {
        Self { zone, from: 0, until: 0, day: NaiveDate::default() }
    }

    #[inline]
    fn of(&mut self, at: i64) -> NaiveDate {
        if !(self.from..self.until).contains(&at) {
            self.day = zone::local_day(visits::instant(at), self.zone);
            let next = self.day.succ_opt().unwrap_or(self.day);
            self.from = zone::day_start(self.day, self.zone).timestamp_micros();
            self.until = zone::day_start(next, self.zone).timestamp_micros();
        }
        self.day
    }
}

/// A line that does not fit, before its day is known.
struct Misfit {
    number: u64,
    offset: u64,
    raw: String,
    reason: String,
    digest: u128,
}

struct Reading<'a> {
    settings: &'a Settings,
    agents: Agents,
    days: BTreeMap<NaiveDate, Day>,
    hours: Spill,
    rejected: Spill,
    of_day: DayOf,
    referrers: Referrers,
}

impl Reading<'_> {
    fn file(&mut self, file: &Sampled, rank: usize) -> Result<FileFindings> {
        let mut found = FileFindings::of(file);
        let (Some(format), None) = (file.format, &file.copy_of) else { return Ok(found) };
        let reader = stream::open(&file.path).map_err(|cause| failed(&file.path, cause))?;
        let mut lines = Lines::new(reader);
        let mut parser = Parser::new(format, Clock::new(self.settings.times_in));
        let rank = i64::try_from(rank).unwrap_or(i64::MAX >> 40) << 40;
        let mut today: Option<NaiveDate> = None;
        let mut before: Vec<Misfit> = Vec::new();
        let disk = |cause| Error::new(ErrorKind::Storage, SERVICE, "keep records on disk").with_source(cause);
        while let Some(line) = lines.next().map_err(|cause| failed(&file.path, cause))? {
            if line.bytes.trim_ascii().is_empty() && !line.too_long {
                continue;
            }
            let parsed = match line.too_long {
                true => Parsed::Fault("a line of more than 1 MiB".into()),
                false => parser.parse(line.bytes),
            };
            match parsed {
                Parsed::Directive => {}
                Parsed::Fault(fault) => {
                    found.read += 1;
                    found.quarantined += 1;
                    if found.first_reasons.len() < REASONS {
                        found.first_reasons.push(format!("line {}: {}", line.number, shown(&fault)));
                    }
                    let misfit = self.misfit(&line, &fault);
                    match today {
                        Some(day) => self.reject(&found.file, day, &misfit).map_err(disk)?,
                        None if before.len() >= MOST_BEFORE => return Err(nothing_fits(file, &found)),
                        None => before.push(misfit),
                    }
                }
                Parsed::Request(request) => {
                    found.read += 1;
                    found.span(request.at);
                    let day = self.of_day.of(request.at);
                    if today != Some(day) {
                        today = Some(day);
                        for misfit in before.drain(..) {
                            self.reject(&found.file, day, &misfit).map_err(disk)?;
                        }
                    }
                    let place = rank | i64::try_from(line.number).unwrap_or(i64::MAX >> 24);
                    self.request(&request, &line, day, place, &mut found).map_err(disk)?;
                }
            }
        }
        if !before.is_empty() {
            return Err(nothing_fits(file, &found));
        }
        if parser.clock.local > 0 {
            found.local_times(parser.clock.local, parser.clock.twice, parser.clock.zone());
        }
        found.finish();
        Ok(found)
    }

    fn misfit(&self, line: &Line<'_>, fault: &Fault) -> Misfit {
        let raw = clean::raw_text(line.bytes, crate::source::Rejected::MAX_RAW);
        Misfit {
            number: line.number,
            offset: line.offset,
            raw: without_ip(&raw),
            reason: shown(fault),
            digest: self.settings.keys.line(line.bytes),
        }
    }

    fn reject(&mut self, file: &str, day: NaiveDate, misfit: &Misfit) -> std::io::Result<()> {
        let held = self.days.entry(day).or_default();
        held.lines += 1;
        held.rejected += 1;
        held.digest = held.digest.wrapping_add(misfit.digest);
        self.rejected.add(key_of(day), |out| {
            out.extend_from_slice(&misfit.number.to_le_bytes());
            out.extend_from_slice(&misfit.offset.to_le_bytes());
            put_text(out, file.as_bytes());
            put_text(out, misfit.raw.as_bytes());
            put_text(out, misfit.reason.as_bytes());
        })
    }

    #[inline]
    fn request(
        &mut self,
        request: &Request<'_>,
        line: &Line<'_>,
        day: NaiveDate,
        place: i64,
        found: &mut FileFindings,
    ) -> std::io::Result<()> {
        let held = self.days.entry(day).or_default();
        held.lines += 1;
        let agent: &[u8] = match &request.agent {
            Agent::Named(agent) => agent,
            Agent::NotLogged | Agent::Absent => b"",
        };
        let verdict = match &request.agent {
            Agent::Absent => Agents::absent(),
            Agent::Named(agent) => self.agents.judge(agent),
            Agent::NotLogged => {
                found.without_agent += 1;
                Verdict::Person(Device::Unknown)
            }
        };
        let device = match verdict {
            Verdict::Robot(rule) => {
                *held.robots.entry(rule).or_default() += 1;
                found.bots += 1;
                return Ok(());
            }
            Verdict::Person(device) => device,
        };
        let becomes = becomes::decide(&request.method, &request.target, request.status);
        if let Some(count) =
            Becomes::ALL.iter().position(|it| *it == becomes).and_then(|at| held.becomes.get_mut(at))
        {
            *count += 1;
        }
        found.loaded += 1;
        if !becomes.is_event() {
            return Ok(());
        }
        let hash = self.settings.keys.line(line.bytes);
        held.events += 1;
        held.digest = held.digest.wrapping_add(hash);
        let host = request.host.as_deref().map(|host| escape::text(host).to_lowercase());
        let target = escape::text(&request.target);
        let referrer = request.referrer.as_deref().map(|referrer| stored_url(escape::text(referrer)));
        self.referrers.see(host.as_deref(), &target, referrer.as_deref());
        let waiting = Waiting {
            at: request.at,
            place,
            line: hash,
            visitor: self.settings.keys.visitor(&request.address, agent),
            becomes,
            device,
            // The scheme is not in most logs.
            url: stored_url(match host.as_deref().or(self.settings.hosts.first().map(String::as_str)) {
                Some(host) => format!("https://{host}{target}"),
                None => target,
            }),
            referrer,
        };
        self.hours.add(request.at.div_euclid(3_600_000_000), |out| waiting.put(out))
    }
}

/// A URL without credentials and addresses of email.
fn stored_url(url: String) -> String {
    match url.contains('@') || url.contains("%40") {
        true => clean::url(&url),
        false => url,
    }
}

fn shown(fault: &Fault) -> String {
    clean::without_addresses(&without_ip(fault)).into_owned()
}

/// A text without IP addresses: a line that is set aside keeps everything else.
pub(super) fn without_ip(text: &str) -> String {
    let is_part = |c: char| c.is_ascii_hexdigit() || matches!(c, '.' | ':');
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(is_part) {
        let (head, tail) = rest.split_at(start);
        out.push_str(head);
        let end = tail.find(|c| !is_part(c)).unwrap_or(tail.len());
        let (run, after) = tail.split_at(end);
        let (address, port) = match run.rsplit_once(':') {
            _ if is_ip(run) => (run, ""),
            Some((address, _)) if is_ip(address) => (address, &run[address.len()..]),
            _ => ("", run),
        };
        // `Chrome/130.0.0.0` is a version.
        if !address.is_empty() && !out.ends_with('/') {
            out.push_str("[ip]");
        } else {
            out.push_str(address);
        }
        out.push_str(port);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn is_ip(text: &str) -> bool {
    text.parse::<std::net::IpAddr>().is_ok()
}

fn nothing_fits(file: &Sampled, found: &FileFindings) -> Error {
    Error::new(ErrorKind::Input, SERVICE, "read a log").with_detail(format!(
        "none of the first {} lines of {} fits; {}; name its format",
        found.read,
        file.path.display(),
        found.first_reasons.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ip_addresses_leave_a_text_and_times_and_versions_stay() {
        for (text, clean) in [
            (
                "192.0.2.1 - - [10/Oct/2026:13:55:36 +0200] \"GET /\"",
                "[ip] - - [10/Oct/2026:13:55:36 +0200] \"GET /\"",
            ),
            ("haproxy[1]: 192.0.2.1:33317 [x]", "haproxy[1]: [ip]:33317 [x]"),
            ("2001:db8::1 x ::1", "[ip] x [ip]"),
            ("Chrome/130.0.0.0 Safari", "Chrome/130.0.0.0 Safari"),
            ("2026-10-10T13:55:36Z é", "2026-10-10T13:55:36Z é"),
        ] {
            assert_eq!(without_ip(text), clean);
        }
    }
}
