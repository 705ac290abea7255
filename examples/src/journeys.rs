//! What a journey is told of in a file, and where it stands at the end.

use crate::failure::{Context, Step};
use chrono::{DateTime, Utc};
use mkt_email::Counts;
use mkt_email::journey::{Advanced, JourneyReport, Trigger, Triggered, Whereabouts};
use mkt_email::outbox::Consent;
use serde::Serialize;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// A longer line is no trigger: their payloads have at most 64 KiB.
const MAX_LINE: u64 = 256 * 1024;

/// What a file tells of.
#[derive(Debug, Default)]
pub struct Told {
    /// Its triggers.
    pub triggers: Vec<Trigger>,
    /// Those of them that are records of consent.
    pub consents: Vec<Consent>,
    /// Lines that could not be read, with the reason.
    pub quarantined: Vec<String>,
}

impl Told {
    /// The earliest instant.
    #[must_use]
    pub fn first_at(&self) -> Option<DateTime<Utc>> {
        self.triggers.iter().map(Trigger::at).min()
    }
}

/// Reads triggers, one JSON object per line; empty lines are skipped.
///
/// # Errors
/// A file that cannot be read. A line that is no trigger is quarantined.
pub fn read(path: &Path) -> Step<Told> {
    let cannot = || format!("cannot read {}", path.display());
    let mut lines = BufReader::new(File::open(path).context(cannot)?);
    let source = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut told = Told::default();
    let mut bytes = Vec::new();
    for number in 1_u64.. {
        bytes.clear();
        if lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut bytes).context(cannot)? == 0 {
            break;
        }
        if bytes.len() as u64 == MAX_LINE && bytes.last() != Some(&b'\n') {
            told.quarantined.push(format!("line {number}: longer than {MAX_LINE} bytes"));
            lines.skip_until(b'\n').context(cannot)?;
            continue;
        }
        let line = match std::str::from_utf8(&bytes) {
            Ok(line) => line.trim_start_matches('\u{feff}').trim(),
            Err(_) => {
                told.quarantined.push(format!("line {number}: not UTF-8"));
                continue;
            }
        };
        if line.is_empty() {
            continue;
        }
        match Trigger::from_json(line) {
            Ok(trigger) => {
                let (who, at) = (trigger.contact().clone(), trigger.at());
                match trigger.kind() {
                    "consent_given" => told.consents.push(Consent::granted(who, at, source.clone())),
                    "consent_withdrawn" => told.consents.push(Consent::withdrawn(who, at, source.clone())),
                    _ => {}
                }
                told.triggers.push(trigger);
            }
            Err(error) => {
                told.quarantined.push(format!("line {number}: {}", error.detail().unwrap_or("no trigger")));
            }
        }
    }
    Ok(told)
}

/// How many triggers were read, and what became of them: `read = new + known + quarantined`.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Triggers {
    read: u64,
    new: u64,
    known: u64,
    quarantined: u64,
}

/// The outbox's emails, as `welcome_email` counts them.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Emails {
    recipients: u64,
    sent: u64,
    failed: u64,
    suppressed: u64,
    cancelled: u64,
    unknown: u64,
    pending: u64,
}

/// Where a journey stands at the end of a run.
#[derive(Debug, Serialize)]
pub struct Standing {
    journey: String,
    version: u32,
    triggers: Triggers,
    /// What this run did.
    pub advanced: Advanced,
    emails: Emails,
    /// When something is due next.
    pub next_due: Option<DateTime<Utc>>,
    /// What it led to.
    pub report: Option<JourneyReport>,
    /// Who is where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whereabouts: Option<Whereabouts>,
    /// The file of the drawing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawing: Option<String>,
}

impl Standing {
    /// At the beginning.
    #[must_use]
    pub fn new(journey: &str, version: u32, told: &Told) -> Self {
        let quarantined = told.quarantined.len() as u64;
        let triggers =
            Triggers { read: told.triggers.len() as u64 + quarantined, quarantined, ..Triggers::default() };
        Self {
            journey: journey.to_owned(),
            version,
            triggers,
            advanced: Advanced::default(),
            emails: Emails::default(),
            next_due: None,
            report: None,
            whereabouts: None,
            drawing: None,
        }
    }

    /// Counts what became of triggers.
    pub fn answered(&mut self, answers: &[Triggered]) {
        let new = answers.iter().filter(|answer| **answer == Triggered::New).count() as u64;
        self.triggers.new += new;
        self.triggers.known += answers.len() as u64 - new;
    }

    /// Takes the counts of the outbox.
    pub fn emails(&mut self, counts: &Counts) {
        self.emails = Emails {
            recipients: counts.recipients,
            sent: counts.sent,
            failed: counts.failed,
            suppressed: counts.suppressed,
            cancelled: counts.cancelled,
            unknown: counts.unknown,
            pending: counts.pending,
        };
    }

    /// 3 where emails are pending or unknown.
    #[must_use]
    pub fn code(&self) -> u8 {
        if self.emails.pending > 0 || self.emails.unknown > 0 { 3 } else { 0 }
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        let (told, done, emails) = (&self.triggers, &self.advanced, &self.emails);
        let mut text = format!("{}, version {}\n", self.journey, self.version);
        let _ = writeln!(
            text,
            "triggers: {} read: {} new, {} known, {} quarantined",
            told.read, told.new, told.known, told.quarantined
        );
        let _ = writeln!(
            text,
            "this run: {} entered, {} emails enqueued, {} withheld (held out), {} skipped, {} not allowed, {} failed, {} ended",
            done.entered, done.sent, done.withheld, done.skipped, done.suppressed, done.failed, done.ended
        );
        let _ = writeln!(
            text,
            "emails: {} sent, {} failed, {} suppressed, {} cancelled, {} unknown, {} pending",
            emails.sent, emails.failed, emails.suppressed, emails.cancelled, emails.unknown, emails.pending
        );
        if let Some(next) = self.next_due {
            let _ = writeln!(text, "next due: {}", next.to_rfc3339_opts(chrono::SecondsFormat::Secs, true));
        }
        if let Some(report) = &self.report {
            report_text(&mut text, report);
        }
        if let Some(whereabouts) = &self.whereabouts {
            whereabouts_text(&mut text, whereabouts);
        }
        if let Some(drawing) = &self.drawing {
            let _ = writeln!(text, "drawn: {drawing}");
        }
        text
    }
}

fn report_text(text: &mut String, report: &JourneyReport) {
    for (name, group) in [("written to", &report.written_to), ("held out", &report.held_out)] {
        if group.instances == 0 {
            continue;
        }
        let _ = write!(text, "{name}: {} instances, {} under way", group.instances, group.running);
        if report.has_goal {
            let _ = write!(text, "; {} reached the goal", group.reached);
            let mut parts: Vec<String> =
                group.reached_after.iter().map(|(step, count)| format!("{count} after {step}")).collect();
            if group.reached_before_any > 0 {
                parts.insert(0, format!("{} before any email", group.reached_before_any));
            }
            if !parts.is_empty() {
                let _ = write!(text, " ({})", parts.join(", "));
            }
            if let Some(rate) = group.rate {
                let _ = write!(text, "; {:.1} % of {} whose time is over", rate * 100.0, group.over);
            }
        }
        text.push('\n');
    }
    if let Some(uplift) = &report.uplift {
        let _ = writeln!(
            text,
            "difference: {:+.1} points (95 %: {:+.1} to {:+.1}), {:.1} additional",
            uplift.difference * 100.0,
            uplift.low * 100.0,
            uplift.high * 100.0,
            uplift.additional
        );
    }
    for (step, reasons) in &report.reasons {
        for (reason, count) in reasons {
            let _ = writeln!(text, "not sent at {step}: {count}: {reason}");
        }
    }
}

fn whereabouts_text(text: &mut String, whereabouts: &Whereabouts) {
    for step in &whereabouts.steps {
        let why: Vec<String> = step.why.iter().map(|(why, count)| format!("{why} {count}")).collect();
        let why = if why.is_empty() { String::new() } else { format!(" ({})", why.join(", ")) };
        let _ = writeln!(text, "at {}: {}{why}", step.step, step.here);
    }
    for (reason, count) in &whereabouts.ended {
        let _ = writeln!(text, "ended, {reason}: {count}");
    }
    for it in &whereabouts.instances {
        let who = it.contact.as_deref().unwrap_or(it.id.get(..8).unwrap_or_default());
        let next =
            it.next_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)).unwrap_or_default();
        let (why, held) = (it.why.as_deref().unwrap_or("due"), if it.held_out { ", held out" } else { "" });
        let _ = writeln!(text, "  {who} {}: {}, {why} until {next}{held}", it.entity, it.step);
    }
    if whereabouts.more > 0 {
        let _ = writeln!(text, "  and {} more", whereabouts.more);
    }
}
