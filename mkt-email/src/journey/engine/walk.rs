//! One contact's way through all journeys until an instant: pure, apart from the emails that are asked for.

use super::registry::Registry;
use crate::EmailAddress;
use crate::id::sha256_hex;
use crate::journey::decide::{COMPLETED, Decision, Facts, Happened, Position, Run, decide, entry, payload};
use crate::journey::span::{after, zone_of};
use crate::journey::{Action, Definition};
use crate::outbox::damaged;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use mkt_connect::Result;
use serde_json::{Map, Value};
use std::sync::Arc;

/// A contact with everything that is known about it.
#[derive(Default)]
pub(crate) struct Contact {
    pub(crate) key: String,
    /// None once the person is erased.
    pub(crate) address: Option<EmailAddress>,
    pub(crate) zone: Option<Tz>,
    pub(crate) zone_at: Option<DateTime<Utc>>,
    /// All triggers by time, later ones than now too.
    pub(crate) triggers: Vec<Happened>,
    pub(crate) instances: Vec<Instance>,
    pub(crate) sends: Vec<SendRecord>,
    /// When the contact is to be looked at next.
    pub(crate) due: Option<DateTime<Utc>>,
    /// Emails that must not be sent any more, with the reason.
    pub(crate) cancelled: Vec<(String, String)>,
    /// Instances that began and ended since the contact was read.
    pub(crate) entered: u64,
    pub(crate) ended: u64,
}

/// An instance of a contact, as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Instance {
    pub(crate) id: String,
    pub(crate) journey: String,
    pub(crate) version: i64,
    pub(crate) entity: String,
    pub(crate) run: i64,
    pub(crate) held_out: bool,
    pub(crate) entered_at: DateTime<Utc>,
    pub(crate) step: String,
    pub(crate) since: DateTime<Utc>,
    pub(crate) waited: Option<String>,
    pub(crate) why: Option<String>,
    pub(crate) next_at: Option<DateTime<Utc>>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
    pub(crate) reason: Option<String>,
    pub(crate) goal_at: Option<DateTime<Utc>>,
    pub(crate) goal_step: Option<String>,
    /// Whether it differs from what is stored.
    pub(crate) changed: bool,
}

/// What became of an email of an instance.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SendRecord {
    pub(crate) instance: String,
    pub(crate) step: String,
    pub(crate) at: DateTime<Utc>,
    pub(crate) outcome: Sent,
    /// Whether it is not stored yet.
    pub(crate) new: bool,
}

/// The outcome of a step that sends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Sent {
    /// In the outbox, under this id.
    Enqueued(String),
    /// Held out.
    Withheld,
    /// Skipped: too late, or beyond the cap.
    Skipped(&'static str),
    /// The outbox refuses to write to the contact.
    Suppressed(String),
    /// There is no message.
    Failed(String),
}

impl Sent {
    pub(crate) fn as_str(&self) -> &'static str {
        match self {
            Self::Enqueued(_) => "sent",
            Self::Withheld => "withheld",
            Self::Skipped(why) => why,
            Self::Suppressed(_) => "suppressed",
            Self::Failed(_) => "failed",
        }
    }

    /// Whether the contact was written to, or would have been.
    pub(crate) fn counts(&self) -> bool {
        matches!(self, Self::Enqueued(_) | Self::Withheld)
    }
}

/// An email that is due now.
pub(crate) struct Wanted {
    /// The instance's place in [`Contact::instances`].
    pub(crate) instance: usize,
    pub(crate) step: usize,
    pub(crate) definition: Arc<Definition>,
    pub(crate) payload: Map<String, Value>,
}

impl Contact {
    /// The triggers until an instant.
    pub(crate) fn past(&self, now: DateTime<Utc>) -> &[Happened] {
        let end = self.triggers.partition_point(|it| it.at <= now);
        self.triggers.get(..end).unwrap_or_default()
    }

    /// Goes on until an email is due, which the caller makes and [answers](Self::answer), or until nothing is left to do.
    pub(crate) fn walk(&mut self, registry: &Registry, now: DateTime<Utc>) -> Result<Option<Wanted>> {
        self.learn_zone(now);
        loop {
            self.enter(registry, now);
            for place in 0..self.instances.len() {
                if let Some(wanted) = self.advance(place, registry, now)? {
                    return Ok(Some(wanted));
                }
            }
            // Who left may enter again.
            if !self.enter(registry, now) {
                break;
            }
        }
        self.reach_goals(registry, now)?;
        let next = self.instances.iter().filter(|it| it.ended_at.is_none()).filter_map(|it| it.next_at);
        let future = self.triggers.iter().map(|it| it.at).find(|at| *at > now);
        self.due = next.chain(future).min();
        Ok(None)
    }

    fn learn_zone(&mut self, now: DateTime<Utc>) {
        let told =
            self.past(now).iter().rev().find_map(|it| Some((zone_of(it.payload.get("zone")?)?, it.at)));
        if let Some((zone, at)) = told
            && self.zone_at.is_none_or(|known| known <= at)
        {
            (self.zone, self.zone_at) = (Some(zone), Some(at));
        }
    }

    /// Begins instances; returns whether there are new ones.
    fn enter(&mut self, registry: &Registry, now: DateTime<Utc>) -> bool {
        let mut journeys: Vec<&String> = registry.0.keys().collect();
        journeys.sort();
        let mut any = false;
        for journey in journeys {
            let Some(version) = registry.latest(journey).filter(|version| !version.stopped) else { continue };
            // Instances of a person who was erased and is heard of again: their entity is gone, their id is known.
            let mut erased: Vec<Run> = Vec::new();
            loop {
                let mut runs: Vec<Run> = erased.clone();
                for it in self.instances.iter().filter(|it| it.journey == *journey) {
                    let number = u32::try_from(it.run).unwrap_or(u32::MAX);
                    let run = Run { entity: it.entity.clone(), number, ended_at: it.ended_at };
                    match runs.iter_mut().find(|known| known.entity == run.entity) {
                        Some(known) if known.number < run.number => *known = run,
                        Some(_) => {}
                        None => runs.push(run),
                    }
                }
                let found = entry(&version.definition, version.since, &runs, self.past(now), now);
                let Some((entity, at, number)) = found else { break };
                let run = i64::from(number);
                let id = instance_id(journey, &self.key, &entity, run);
                if let Some(known) = self.instances.iter().find(|it| it.id == id) {
                    erased.retain(|run| run.entity != entity);
                    erased.push(Run { entity, number, ended_at: known.ended_at });
                    continue;
                }
                self.entered += 1;
                self.instances.push(Instance {
                    id,
                    journey: journey.clone(),
                    version: version.number,
                    entity,
                    run,
                    held_out: version.definition.holds_out_key(&self.key),
                    entered_at: at,
                    step: version
                        .definition
                        .steps()
                        .first()
                        .map(|step| step.name().to_owned())
                        .unwrap_or_default(),
                    since: at,
                    waited: None,
                    why: None,
                    next_at: None,
                    ended_at: None,
                    reason: None,
                    goal_at: None,
                    goal_step: None,
                    changed: true,
                });
                any = true;
            }
        }
        // The order in which a cap counts, whatever order the rows were read in.
        self.instances.sort_by(|a, b| (&a.journey, &a.entity, a.run).cmp(&(&b.journey, &b.entity, b.run)));
        any
    }

    /// Moves one instance until it stays, ends, or an email is due.
    fn advance(&mut self, place: usize, registry: &Registry, now: DateTime<Utc>) -> Result<Option<Wanted>> {
        loop {
            let Some(it) = self.instances.get(place).filter(|it| it.ended_at.is_none()) else {
                return Ok(None);
            };
            let version =
                registry.version(&it.journey, it.version).ok_or_else(|| damaged("look for a journey"))?;
            let definition = Arc::clone(&version.definition);
            let position = it.position(&definition)?;
            let mut sent: Vec<DateTime<Utc>> = self
                .sends
                .iter()
                .filter(|send| matches!(send.outcome, Sent::Enqueued(_)))
                .map(|send| send.at)
                .collect();
            sent.sort_unstable();
            let facts = Facts { past: self.past(now), zone: self.zone, sent: &sent };
            match decide(&definition, &position, &facts, now) {
                Decision::Stay { until, why } => {
                    self.change(place, |it| {
                        (it.why, it.next_at) = (Some(why.as_str().to_owned()), Some(until));
                    });
                    return Ok(None);
                }
                Decision::Move { to, at } => self.go(place, &definition, position.step, to, at),
                Decision::End { reason, at } => {
                    let cancels =
                        reason != COMPLETED && definition.exits().iter().any(|exit| exit.reason == reason);
                    self.end(place, &reason, at);
                    if cancels {
                        self.cancel(place, &reason);
                    }
                }
                Decision::Skip { why } => {
                    self.record(place, &definition, position.step, now, Sent::Skipped(why.as_str()));
                    let to = self.after_send(&definition, position.step);
                    self.go(place, &definition, position.step, to, position.since);
                }
                Decision::Send => {
                    let payload = payload(&definition, &position, facts.past, now);
                    return Ok(Some(Wanted { instance: place, step: position.step, definition, payload }));
                }
            }
        }
    }

    /// Records what became of an email that was due.
    pub(crate) fn answer(&mut self, wanted: &Wanted, outcome: Sent, now: DateTime<Utc>) {
        let place = wanted.instance;
        let suppressed = matches!(outcome, Sent::Suppressed(_));
        self.record(place, &wanted.definition, wanted.step, now, outcome);
        if suppressed {
            self.end(place, SUPPRESSED, now);
        } else {
            let to = self.after_send(&wanted.definition, wanted.step);
            self.go(place, &wanted.definition, wanted.step, to, now);
        }
    }

    fn after_send(&self, definition: &Definition, step: usize) -> Option<usize> {
        let next = definition.steps().get(step).and_then(|step| step.next());
        definition.follow(step, next)
    }

    fn record(
        &mut self,
        place: usize,
        definition: &Definition,
        step: usize,
        at: DateTime<Utc>,
        outcome: Sent,
    ) {
        let (Some(it), Some(step)) = (self.instances.get(place), definition.steps().get(step)) else {
            return;
        };
        let (instance, step) = (it.id.clone(), step.name().to_owned());
        self.sends.push(SendRecord { instance, step, at, outcome, new: true });
    }

    fn go(
        &mut self,
        place: usize,
        definition: &Definition,
        from: usize,
        to: Option<usize>,
        at: DateTime<Utc>,
    ) {
        let Some(to) = to else { return self.end(place, COMPLETED, at) };
        let steps = definition.steps();
        let Some(step) = steps.get(to) else { return };
        let waited = match steps.get(from).map(|step| (step.name(), step.action())) {
            // Back to a wait.
            _ if to <= from => None,
            Some((name, Action::Wait { .. } | Action::WaitFor { .. })) => Some(name.to_owned()),
            Some((_, Action::Send { .. })) | None => None,
            _ => self.instances.get(place).and_then(|it| it.waited.clone()),
        };
        self.change(place, |it| {
            (it.step, it.since, it.waited) = (step.name().to_owned(), at, waited);
            (it.why, it.next_at) = (None, None);
        });
    }

    fn end(&mut self, place: usize, reason: &str, at: DateTime<Utc>) {
        self.ended += 1;
        self.change(place, |it| {
            (it.ended_at, it.reason) = (Some(at), Some(reason.to_owned()));
            (it.why, it.next_at) = (None, None);
        });
    }

    /// Emails of an instance that ended are not sent, if the outbox still has them.
    fn cancel(&mut self, place: usize, reason: &str) {
        let Some(it) = self.instances.get(place) else { return };
        for send in self.sends.iter().filter(|send| send.instance == it.id) {
            if let Sent::Enqueued(email) = &send.outcome {
                self.cancelled.push((email.clone(), format!("journey ended: {reason}")));
            }
        }
    }

    fn change(&mut self, place: usize, change: impl FnOnce(&mut Instance)) {
        if let Some(it) = self.instances.get_mut(place) {
            let before = it.clone();
            change(it);
            it.changed |= *it != before;
        }
    }

    fn reach_goals(&mut self, registry: &Registry, now: DateTime<Utc>) -> Result<()> {
        for place in 0..self.instances.len() {
            let Some(it) = self.instances.get(place) else { continue };
            let version =
                registry.version(&it.journey, it.version).ok_or_else(|| damaged("look for a journey"))?;
            let Some(goal) = version.definition.goal() else { continue };
            let until = after(it.entered_at, goal.within).min(now);
            let reached = self
                .past(now)
                .iter()
                .find(|past| past.at >= it.entered_at && past.at <= until && goal.on.fits(past, &it.entity));
            let Some(at) =
                reached.map(|past| past.at).filter(|at| it.goal_at.is_none_or(|known| *at < known))
            else {
                continue;
            };
            let sends = self.sends.iter().filter(|send| send.instance == it.id && send.outcome.counts());
            let last = sends.filter(|send| send.at <= at).max_by_key(|send| send.at);
            let step = last.map(|send| send.step.clone()).unwrap_or_default();
            self.change(place, |it| (it.goal_at, it.goal_step) = (Some(at), Some(step)));
        }
        Ok(())
    }
}

/// The reason of an instance whose contact must not be written to.
const SUPPRESSED: &str = "suppressed";

impl Instance {
    fn position(&self, definition: &Definition) -> Result<Position> {
        let step = definition.position(&self.step).ok_or_else(|| damaged("look for a step"))?;
        let waited = self.waited.as_deref().and_then(|name| definition.position(name));
        Ok(Position {
            entity: self.entity.clone(),
            entered_at: self.entered_at,
            step,
            since: self.since,
            waited,
        })
    }
}

fn instance_id(journey: &str, contact: &str, entity: &str, run: i64) -> String {
    let mut joined = Vec::new();
    for part in [journey, contact, entity, &run.to_string()] {
        joined.extend((part.len() as u64).to_be_bytes());
        joined.extend(part.as_bytes());
    }
    let mut id = sha256_hex(&joined);
    id.truncate(32);
    id
}
