//! The decision about one instance: a pure function of its position, what is known about the contact, and the time.
//!
//! Triggers count by when they happened, not by when they became known, so their order of arrival does not matter as long
//! as they are known when the instance is looked at. Three rules settle what is open then:
//!
//! - An exit that is known ends the instance before anything is sent, even if the email was due before it: a person who
//!   bought is not written to because a machine was late.
//! - A restart that is known restarts the wait that comes right before an email that is still held back, by quiet hours
//!   or a cap.
//! - At one instant an exit comes last: a purchase in the same second as the change of a cart ends it.

use super::condition::EventMatch;
use super::definition::{Action, Cap, Definition, Over, ReEntry};
use super::span::after;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use serde_json::{Map, Value};
use std::time::Duration;

/// A trigger of the contact, as decisions see it.
#[derive(Clone, PartialEq)]
pub(crate) struct Happened {
    pub(crate) kind: String,
    pub(crate) entity: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) payload: Map<String, Value>,
}

/// Where an instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) entity: String,
    pub(super) entered_at: DateTime<Utc>,
    pub(super) step: usize,
    /// When the step was reached.
    pub(super) since: DateTime<Utc>,
    /// The last wait that was passed, if nothing was sent since.
    pub(super) waited: Option<usize>,
}

/// What is known about the contact at an instant.
#[derive(Clone, Copy)]
pub(super) struct Facts<'a> {
    /// The contact's triggers until now, by time.
    pub(super) past: &'a [Happened],
    /// The contact's zone, if it is known.
    pub(super) zone: Option<Tz>,
    /// When journeys sent an email to the contact, by time.
    pub(super) sent: &'a [DateTime<Utc>],
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nothing before `until`, unless a trigger comes.
    Stay { until: DateTime<Utc>, why: Why },
    /// The next step; `None`: the end.
    Move { to: Option<usize>, at: DateTime<Utc> },
    /// The email of the step.
    Send,
    /// The email of the step is not sent; the journey goes on.
    Skip { why: Skipped },
    /// The end.
    End { reason: String, at: DateTime<Utc> },
}

/// Why an instance stays where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    Wait,
    WaitFor,
    Window,
    QuietHours,
    Cap,
}

impl Why {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Wait => "wait",
            Self::WaitFor => "wait_for",
            Self::Window => "window",
            Self::QuietHours => "quiet_hours",
            Self::Cap => "cap",
        }
    }
}

/// Why an email was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skipped {
    Late,
    Cap,
}

impl Skipped {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::Cap => "cap",
        }
    }
}

/// Decides about an instance.
pub(super) fn decide(
    definition: &Definition,
    position: &Position,
    facts: &Facts<'_>,
    now: DateTime<Utc>,
) -> Decision {
    let entity = position.entity.as_str();
    let first = |event: &EventMatch, from: DateTime<Utc>| {
        facts.past.iter().find(|it| it.at >= from && it.at <= now && event.fits(it, entity))
    };
    let exits =
        definition.exits.iter().filter_map(|exit| Some((first(&exit.on, position.entered_at)?.at, exit)));
    if let Some((at, exit)) = exits.min_by_key(|(at, _)| *at) {
        return Decision::End { reason: exit.reason.clone(), at };
    }
    let Some(step) = definition.steps.get(position.step) else {
        return Decision::End { reason: COMPLETED.to_owned(), at: position.since };
    };
    let last = |events: &[EventMatch]| {
        let fits = |it: &&Happened| it.at <= now && events.iter().any(|event| event.fits(it, entity));
        facts.past.iter().rev().find(fits).map(|it| it.at)
    };
    // The wait may have to begin again while the email after it is held back.
    let back = || {
        let waited = position.waited?;
        let (duration, restart_on) = match &definition.steps.get(waited)?.action {
            Action::Wait { duration, restart_on } => (*duration, restart_on),
            Action::WaitFor { timeout, restart_on, .. } => (*timeout, restart_on),
            _ => return None,
        };
        let at = last(restart_on)?;
        (after(at, duration) > position.since).then_some(Decision::Move { to: Some(waited), at })
    };
    let next = || definition.follow(position.step, step.next.as_deref());
    match &step.action {
        Action::Wait { duration, restart_on } => {
            let begun = last(restart_on).map_or(position.since, |at| at.max(position.since));
            let until = after(begun, *duration);
            if until <= now {
                Decision::Move { to: next(), at: until }
            } else {
                Decision::Stay { until, why: Why::Wait }
            }
        }
        Action::WaitFor { event, timeout, otherwise, restart_on } => {
            let begun = last(restart_on).map_or(position.since, |at| at.max(position.since));
            let until = after(begun, *timeout);
            let came = facts
                .past
                .iter()
                .find(|it| it.at > position.since && it.at <= until.min(now) && event.fits(it, entity));
            match came {
                Some(came) => Decision::Move { to: next(), at: came.at },
                None if until <= now => {
                    Decision::Move { to: definition.follow(position.step, otherwise.as_deref()), at: until }
                }
                None => Decision::Stay { until, why: Why::WaitFor },
            }
        }
        Action::WaitUntil { window } => back().unwrap_or_else(|| {
            let zone = facts.zone.unwrap_or(definition.zone);
            let opens = |from| window.next_open(zone, from).unwrap_or(from);
            match opens(now) {
                until if until > now => Decision::Stay { until, why: Why::Window },
                _ => Decision::Move { to: next(), at: opens(position.since) },
            }
        }),
        Action::Branch { arms } => {
            let payload = payload(definition, position, facts.past, now);
            let fits = arms.iter().find(|(when, _)| when.holds(&payload, entity, facts.past, position.since));
            let to = match fits {
                Some((_, step)) => definition.position(step),
                None => next(),
            };
            Decision::Move { to, at: position.since }
        }
        Action::Send { .. } => back().unwrap_or_else(|| send(definition, position, facts, now)),
        Action::Exit { reason } => Decision::End { reason: reason.clone(), at: position.since },
    }
}

/// The reason of an instance that came to the end of its steps.
pub(super) const COMPLETED: &str = "completed";

/// Whether the email of a step may go now.
fn send(definition: &Definition, position: &Position, facts: &Facts<'_>, now: DateTime<Utc>) -> Decision {
    let zone = facts.zone.unwrap_or(definition.zone);
    // The first instant from `at` on at which neither quiet hours nor the cap hold it back, and which did last.
    let allowed = |at: DateTime<Utc>, with_cap: bool| {
        let (mut at, mut why) = (at, Why::QuietHours);
        // Each round ends a night or lets an email leave the cap's window: few are needed, and none is endless.
        for _ in 0..64 {
            let mut free = at;
            if let Some(end) = definition.quiet_hours.as_ref().and_then(|quiet| quiet.next_closed(zone, free))
                && end > free
            {
                (free, why) = (end, Why::QuietHours);
            }
            if with_cap
                && let Some(cap) = definition.cap
                && let Some(room) = room(cap, facts.sent, free)
                && room > free
            {
                (free, why) = (room, Why::Cap);
            }
            if free == at {
                break;
            }
            at = free;
        }
        (at, why)
    };
    let waits = definition.cap.is_none_or(|cap| cap.over == Over::Wait);
    let (earliest, _) = allowed(position.since, waits);
    let late: Duration = (now - earliest).to_std().unwrap_or_default();
    if definition.late_after.is_some_and(|most| late > most) {
        return Decision::Skip { why: Skipped::Late };
    }
    let (until, why) = allowed(now.max(position.since), waits);
    if until > now {
        return Decision::Stay { until, why };
    }
    if let Some(cap) = definition.cap
        && room(cap, facts.sent, now).is_some_and(|room| room > now)
    {
        return Decision::Skip { why: Skipped::Cap };
    }
    Decision::Send
}

/// When the cap has room from `at` on: at once, or when the email leaves the window that fills it.
fn room(cap: Cap, sent: &[DateTime<Utc>], at: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let most = usize::try_from(cap.emails).unwrap_or(usize::MAX);
    let until = sent.partition_point(|it| *it <= at);
    let fills = sent.get(until.checked_sub(most)?)?;
    Some(after(*fills, cap.per).max(at))
}

/// What templates and branches know of an instance: the payloads of the triggers with which it entered and restarted,
/// later ones over earlier ones, key by key.
pub(super) fn payload(
    definition: &Definition,
    position: &Position,
    past: &[Happened],
    now: DateTime<Utc>,
) -> Map<String, Value> {
    let restarts = definition.steps.iter().flat_map(|step| match &step.action {
        Action::Wait { restart_on, .. } | Action::WaitFor { restart_on, .. } => restart_on.as_slice(),
        _ => &[],
    });
    let told: Vec<&EventMatch> = std::iter::once(&definition.entry).chain(restarts).collect();
    let mut merged = Map::new();
    for it in past.iter().filter(|it| it.at >= position.entered_at && it.at <= now) {
        let about = it.entity == position.entity;
        if about && told.iter().any(|event| event.fits(it, &position.entity)) {
            merged.extend(it.payload.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
    merged
}

/// An instance of a contact in a journey, as far as entering again depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) entity: String,
    pub(super) number: u32,
    pub(super) ended_at: Option<DateTime<Utc>>,
}

/// The first trigger that begins an instance which is not there yet: its entity, its time and the instance's number.
/// `runs` are the latest instances, one per entity.
pub(super) fn entry(
    definition: &Definition,
    since: DateTime<Utc>,
    runs: &[Run],
    past: &[Happened],
    now: DateTime<Utc>,
) -> Option<(String, DateTime<Utc>, u32)> {
    past.iter().filter(|it| it.at >= since && it.at <= now).find_map(|it| {
        if !definition.entry.fits(it, &it.entity) {
            return None;
        }
        let number = match runs.iter().find(|run| run.entity == it.entity) {
            None => 1,
            Some(run) => {
                let ended_at = run.ended_at?;
                let allowed = match definition.re_entry {
                    ReEntry::Never => false,
                    ReEntry::AfterExit => it.at > ended_at,
                    ReEntry::Cooldown(cooldown) => it.at > ended_at && it.at >= after(ended_at, cooldown),
                };
                if !allowed {
                    return None;
                }
                run.number.saturating_add(1)
            }
        };
        Some((it.entity.clone(), it.at, number))
    })
}
