//! Reads a bounce mailbox into an outbox: matches, records, marks.

use super::code::BounceClass;
use super::feedback::{Feedback, ParsedMessage, RecipientReport, References};
use super::return_path::ReturnPathKeys;
use super::source::{FeedbackSource, Mark, RawMessage};
use crate::event::{EmailEvent, EventKind};
use crate::id::IdempotencyKey;
use crate::outbox::{Recorded, SentEmail, SuppressionPolicy};
use crate::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys};
use crate::{Clock, EmailAddress, Outbox};
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::{Result, Stop};
use serde::Serialize;
use std::collections::{BTreeSet, HashMap};

/// Messages that are recorded in one transaction.
const BATCH: usize = 500;
/// The oldest date of a report that is believed; its mail server may have any.
const OLDEST: TimeDelta = TimeDelta::days(60);
const PROVIDER: &str = "bounce";

/// Reads bounces, complaints and unsubscriptions from a mailbox into an outbox.
///
/// An email is found by its `Message-ID`, which the outbox stores, or else by a
/// [signed return path](Self::return_paths). A report that leads to no email of the outbox changes nothing, whatever
/// address it names, and neither does a request to unsubscribe without a signed token.
///
/// A `Message-ID` is a hash of campaign, contact and attempt: nobody guesses it, but who knows all three can compute it,
/// and everyone who was sent the email can read it. [`signed_only`](Self::signed_only) believes nothing but signatures.
///
/// ```
/// # #[cfg(feature = "sqlite")] {
/// use mkt_email::bounce::{FeedbackReader, SingleSource};
/// use mkt_email::{Outbox, Stop, SystemClock};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> mkt_email::Result<()> {
/// let outbox = Outbox::in_memory().await?;
/// let bounce: &[u8] = b"From: MAILER-DAEMON@mx.example\nSubject: failure notice\n\nHi. This is the qmail-send program.\n";
/// let report = FeedbackReader::new()
///     .read(&outbox, &mut SingleSource::new(bounce), &SystemClock::new(), &Stop::new())
///     .await?;
/// assert_eq!((report.read, report.bounces, report.matched), (1, 1, 0));
/// # Ok(()) }
/// # main().unwrap();
/// # }
/// ```
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct FeedbackReader {
    unsubscribe: Option<UnsubscribeKeys>,
    return_paths: Option<ReturnPathKeys>,
    signed_only: bool,
    policy: SuppressionPolicy,
}

/// What a run has read: `read = bounces + complaints + unsubscribes + ignored`, `bounces = hard + soft`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FeedbackReport {
    /// Messages read.
    pub read: u64,
    /// Bounces.
    pub bounces: u64,
    /// Bounces that say that the address is no good.
    pub hard: u64,
    /// The other bounces.
    pub soft: u64,
    /// Those of `soft` that refuse the sender or the content.
    pub blocked: u64,
    /// Complaints.
    pub complaints: u64,
    /// Requests to unsubscribe.
    pub unsubscribes: u64,
    /// Bounces and complaints that led to an email of the outbox, and requests with a signed token. The others are flagged
    /// in the mailbox and changed nothing.
    pub matched: u64,
    /// Those of `matched` that were recorded before.
    pub known: u64,
    /// Messages that are none of these.
    pub ignored: u64,
    /// Those of `ignored` that say that delivery is delayed.
    pub delayed: u64,
    /// Those of `ignored` that say that the email was delivered.
    pub delivered: u64,
    /// Those of `ignored` that a program answered.
    pub auto_replies: u64,
}

/// What is done about one message.
struct Decision {
    id: String,
    mark: Mark,
    event: Option<EmailEvent>,
    claim: Option<UnsubscribeClaim>,
    /// Whether it counts as matched.
    counts: bool,
}

impl FeedbackReader {
    /// A reader that believes `Message-ID`s of the outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Acts upon emails to the `mailto:` of an unsubscribe header that were signed with these keys
    /// ([`UnsubscribeKeys::with_mailto`]).
    pub fn unsubscribe_keys(mut self, keys: UnsubscribeKeys) -> Self {
        self.unsubscribe = Some(keys);
        self
    }

    /// Finds emails by their return path too, which was signed with these keys
    /// (`SmtpBuilder::signed_return_paths`).
    pub fn return_paths(mut self, keys: ReturnPathKeys) -> Self {
        self.return_paths = Some(keys);
        self
    }

    /// Believes no `Message-ID`: only signed return paths and tokens. Default: both.
    pub fn signed_only(mut self) -> Self {
        self.signed_only = true;
        self
    }

    /// Sets which soft bounces suppress an address. Default: that of [`SuppressionPolicy`].
    pub fn policy(mut self, policy: SuppressionPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// Reads a source to its end, or until it is stopped. Each batch is recorded in one transaction and marked after it.
    ///
    /// # Errors
    /// Those of the source; [`ErrorKind::Storage`](crate::ErrorKind::Storage). What was recorded before stays recorded.
    pub async fn read(
        &self,
        outbox: &Outbox,
        source: &mut dyn FeedbackSource,
        clock: &dyn Clock,
        stop: &Stop,
    ) -> Result<FeedbackReport> {
        let mut report = FeedbackReport::default();
        while !stop.is_requested() {
            let messages = source.read(BATCH).await?;
            if messages.is_empty() {
                break;
            }
            self.batch(outbox, source, messages, clock.now(), &mut report).await?;
        }
        Ok(report)
    }

    async fn batch(
        &self,
        outbox: &Outbox,
        source: &mut dyn FeedbackSource,
        messages: Vec<RawMessage>,
        now: DateTime<Utc>,
        report: &mut FeedbackReport,
    ) -> Result<()> {
        let parsed: Vec<(String, ParsedMessage, Vec<Trace>)> = messages
            .into_iter()
            .map(|message| {
                let parsed = super::parse(&message.bytes);
                let traces = self.traces(&parsed.references);
                (message.id, parsed, traces)
            })
            .collect();
        let keys: BTreeSet<IdempotencyKey> =
            parsed.iter().flat_map(|(_, _, traces)| traces.iter().map(|trace| trace.key)).collect();
        let sent = outbox.sent_emails(keys.into_iter().collect()).await?;
        let mut decisions = Vec::with_capacity(parsed.len());
        for (id, message, traces) in &parsed {
            report.read += 1;
            let email = traces.iter().find_map(|trace| Some((trace.key, trace.email(&sent)?)));
            decisions.push(self.decide(id, message, email, now, report));
        }
        let events: Vec<EmailEvent> =
            decisions.iter().filter_map(|decision| decision.event.clone()).collect();
        let mut recorded = outbox.record_events_with(&events, now, &self.policy).await?.into_iter();
        for decision in &decisions {
            let known = decision.event.is_some() && recorded.next() == Some(Recorded::Known);
            if let Some(claim) = &decision.claim {
                outbox.unsubscribe(claim, now).await?;
            }
            report.matched += u64::from(decision.counts);
            report.known += u64::from(decision.counts && known);
        }
        let marks: Vec<(String, Mark)> =
            decisions.into_iter().map(|decision| (decision.id, decision.mark)).collect();
        source.mark(&marks).await
    }

    /// The attempts that a message may be about, best first.
    fn traces(&self, references: &References) -> Vec<Trace> {
        let mut traces = Vec::new();
        if let Some(keys) = &self.return_paths {
            let signed = references.return_paths.iter().filter_map(|path| keys.verify(path));
            traces.extend(signed.map(|key| Trace { key, message_id: None }));
        }
        if !self.signed_only {
            for id in &references.message_ids {
                let local = id.split('@').next().unwrap_or_default();
                let key = IdempotencyKey::parse(&local.to_ascii_lowercase());
                traces.extend(key.map(|key| Trace { key, message_id: Some(id.clone()) }));
            }
        }
        traces
    }

    /// Counts a message and decides what to do about it. Pure.
    fn decide(
        &self,
        id: &str,
        message: &ParsedMessage,
        email: Option<(IdempotencyKey, &SentEmail)>,
        now: DateTime<Utc>,
        report: &mut FeedbackReport,
    ) -> Decision {
        let mut decision =
            Decision { id: id.to_owned(), mark: Mark::Read, event: None, claim: None, counts: false };
        let at = message.at.filter(|at| *at <= now && *at > now - OLDEST).unwrap_or(now);
        let event =
            |kind: EventKind, name: &str| email.map(|(key, email)| event_about(key, email, kind, name, at));
        let mut is_ours = true;
        match &message.feedback {
            Feedback::Bounce(reports) => {
                let named = the_one(reports, email.map(|(_, email)| email));
                let class = named.map_or_else(|| class_of_all(reports), |report| report.class);
                report.bounces += 1;
                let kind = match class {
                    BounceClass::Hard => EventKind::HardBounce,
                    BounceClass::Blocked => EventKind::Blocked,
                    BounceClass::Soft => EventKind::SoftBounce,
                };
                match class {
                    BounceClass::Hard => report.hard += 1,
                    _ => report.soft += 1,
                }
                report.blocked += u64::from(class == BounceClass::Blocked);
                decision.event = event(kind, class.as_str()).map(|event| with_words(event, named));
            }
            Feedback::Complaint { kind } => {
                report.complaints += 1;
                decision.event =
                    event(EventKind::Complained, "complaint").map(|event| event.vendor_kind(kind));
            }
            Feedback::Unsubscribe { tokens } => {
                report.unsubscribes += 1;
                let keys = self.unsubscribe.as_ref();
                decision.claim =
                    keys.and_then(|keys| tokens.iter().find_map(|token| keys.verify(token, now).ok()));
            }
            other => {
                report.ignored += 1;
                is_ours = false;
                match other {
                    Feedback::Delayed(reports) => {
                        report.delayed += 1;
                        let named = the_one(reports, email.map(|(_, email)| email));
                        // A server may say it several times about one email.
                        decision.event = event(EventKind::Deferred, &format!("delayed {}", at.timestamp()))
                            .map(|event| with_words(event, named));
                    }
                    Feedback::Delivered(_) => {
                        report.delivered += 1;
                        decision.event = event(EventKind::Delivered, "delivered");
                    }
                    Feedback::AutoReply => {
                        report.auto_replies += 1;
                        decision.event = event(EventKind::AutoReplied, "auto-reply");
                    }
                    _ => {}
                }
            }
        }
        if is_ours {
            decision.counts = decision.event.is_some() || decision.claim.is_some();
            decision.mark = if decision.counts { Mark::Read } else { Mark::Flagged };
        }
        decision
    }
}

/// An attempt that a message may be about.
struct Trace {
    key: IdempotencyKey,
    /// `None`: the key is signed.
    message_id: Option<String>,
}

impl Trace {
    /// The email of the attempt. A `Message-ID` must be whole: its first half alone is not ours.
    fn email<'a>(&self, sent: &'a HashMap<IdempotencyKey, SentEmail>) -> Option<&'a SentEmail> {
        let email = sent.get(&self.key)?;
        match (&self.message_id, &email.message_id) {
            (Some(named), Some(ours)) if !named.eq_ignore_ascii_case(ours) => None,
            _ => Some(email),
        }
    }
}

/// The report about the recipient of the email, or the only one: an email that was forwarded fails for an address that we
/// do not know.
fn the_one<'a>(reports: &'a [RecipientReport], email: Option<&SentEmail>) -> Option<&'a RecipientReport> {
    let named = email.and_then(|email| reports.iter().find(|report| report.names(&email.recipient)));
    named.or(match reports {
        [only] => Some(only),
        _ => None,
    })
}

/// The class of a report about several recipients, none of which is known: soft. They may be the members of a list that the
/// recipient stands for.
fn class_of_all(reports: &[RecipientReport]) -> BounceClass {
    match reports {
        [only] => only.class,
        _ => BounceClass::Soft,
    }
}

/// The event of an email. Its id is made of the attempt and of what is said about it: the same bounce is the same event,
/// whichever copy of it is read.
fn event_about(
    key: IdempotencyKey,
    email: &SentEmail,
    kind: EventKind,
    name: &str,
    at: DateTime<Utc>,
) -> EmailEvent {
    let mut event = EmailEvent::new(PROVIDER, kind, at)
        .native_id(format!("{name} {key}"))
        .email(email.id)
        .campaign(&email.campaign);
    if let Some(id) = &email.message_id {
        event = event.message_id(id);
    }
    // Empty once the person is erased.
    match EmailAddress::parse(&email.recipient) {
        Ok(address) => event.recipient(address),
        Err(_) => event,
    }
}

fn with_words(event: EmailEvent, report: Option<&RecipientReport>) -> EmailEvent {
    let Some(report) = report else { return event };
    let code = report
        .status
        .filter(|status| status.is_specific())
        .map(|status| status.to_string())
        .or_else(|| report.reply.map(|reply| reply.to_string()))
        .or_else(|| report.status.map(|status| status.to_string()));
    let event = event.reason(report.diagnostic.as_str());
    match code {
        Some(code) => event.code(code),
        None => event,
    }
}
