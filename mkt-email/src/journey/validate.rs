//! The check of a definition, however it was made.

use super::condition::{Condition, EventMatch, Test};
use super::definition::{Action, Definition, DefinitionError, Scope, Step};
use super::span::{MAX_DURATION, Window};
use super::trigger::is_kind;
use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

const MAX_STEPS: usize = 100;
const MAX_NAME: usize = 60;
/// What an unsubscribe link takes.
const MAX_CAMPAIGN: usize = 150;
const MAX_DEPTH: usize = 8;
const MAX_PARTS: usize = 50;

type Checked = Result<(), String>;

/// Checks everything that can be wrong with a definition.
pub(super) fn validate(definition: &Definition) -> Result<(), DefinitionError> {
    let whole = |checked: Checked| checked.map_err(|reason| DefinitionError::new(None, reason));
    let within = |place: &str, checked: Checked| {
        checked.map_err(|reason| DefinitionError::new(place.to_owned(), reason))
    };
    whole(name(&definition.name, "name"))?;
    within("entry", event(&definition.entry))?;
    for exit in &definition.exits {
        within("exit", event(&exit.on).and_then(|()| text(&exit.reason, "reason", MAX_NAME)))?;
    }
    if let Some(goal) = &definition.goal {
        within("goal", event(&goal.on).and_then(|()| duration(goal.within, "within")))?;
    }
    if definition.hold_out >= 10_000 {
        whole(Err(format!(
            "hold_out_percent is {}: expected a number from 0 to less than 100",
            definition.hold_out_percent()
        )))?;
    }
    if definition.hold_out > 0 && definition.goal.is_none() {
        whole(Err("hold_out_percent without a goal: without one, nothing can be compared".to_owned()))?;
    }
    if let Some(quiet) = &definition.quiet_hours {
        within("quiet_hours", window(quiet))?;
    }
    if let Some(cap) = &definition.cap {
        let some = if cap.emails == 0 { Err("emails is 0: expected 1 or more".to_owned()) } else { Ok(()) };
        within("cap", some.and_then(|()| duration(cap.per, "per")))?;
    }
    if let Some(late) = definition.late_after {
        whole(duration(late, "late_after"))?;
    }
    if let super::ReEntry::Cooldown(cooldown) = definition.re_entry {
        whole(duration(cooldown, "re_entry"))?;
    }
    if definition.steps.is_empty() || definition.steps.len() > MAX_STEPS {
        whole(Err(format!("{} steps: expected 1 to {MAX_STEPS}", definition.steps.len())))?;
    }
    steps(definition)
}

fn steps(definition: &Definition) -> Result<(), DefinitionError> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    for (number, step) in definition.steps.iter().enumerate() {
        let place = place(step);
        name(&step.name, "name")
            .map_err(|reason| DefinitionError::new(format!("step {}", number + 1), reason))?;
        if places.insert(&step.name, number).is_some() {
            return Err(DefinitionError::new(place, "another step has this name"));
        }
    }
    let mut reached = BTreeSet::from([0]);
    for (number, step) in definition.steps.iter().enumerate() {
        let wrong = |reason: String| DefinitionError::new(place(step), reason);
        if !reached.contains(&number) {
            return Err(wrong("no other step leads here".to_owned()));
        }
        action(step).map_err(wrong)?;
        for target in targets(step) {
            let next = match target {
                None => number + 1,
                Some(target) => match places.get(target) {
                    None => return Err(wrong(format!("there is no step {target:.60?}"))),
                    Some(to) if *to <= number => {
                        return Err(wrong(format!(
                            "step {target:?} is not a later one: a journey cannot go back"
                        )));
                    }
                    Some(to) => *to,
                },
            };
            reached.insert(next);
        }
    }
    Ok(())
}

pub(super) fn place(step: &Step) -> String {
    format!("step {:?}", step.name)
}

/// Where a step may lead; `None`: to the next one.
fn targets(step: &Step) -> Vec<Option<&str>> {
    let next = step.next.as_deref();
    match &step.action {
        Action::WaitFor { otherwise, .. } => vec![next, otherwise.as_deref()],
        Action::Branch { arms } => {
            arms.iter().map(|(_, step)| Some(step.as_str())).chain(std::iter::once(next)).collect()
        }
        Action::Exit { .. } => Vec::new(),
        _ => vec![next],
    }
}

fn action(step: &Step) -> Checked {
    let restarts = |events: &[EventMatch]| {
        events.iter().try_for_each(|it| event(it).map_err(|reason| format!("restart_on: {reason}")))
    };
    match &step.action {
        Action::Wait { duration: of, restart_on } => {
            duration(*of, "wait").and_then(|()| restarts(restart_on))
        }
        Action::WaitFor { event: on, timeout, restart_on, .. } => event(on)
            .map_err(|reason| format!("wait_for: {reason}"))
            .and_then(|()| duration(*timeout, "timeout"))
            .and_then(|()| restarts(restart_on)),
        Action::WaitUntil { window: of } => window(of),
        Action::Branch { arms } => {
            if arms.is_empty() || arms.len() > MAX_PARTS {
                return Err(format!("a branch of {} arms: expected 1 to {MAX_PARTS}", arms.len()));
            }
            arms.iter().try_for_each(|(when, _)| condition(when, 0))
        }
        Action::Send { template, campaign, scope } => {
            text(template, "send", MAX_NAME)?;
            text(campaign, "campaign", MAX_CAMPAIGN)?;
            match scope {
                Scope::Marketing { list: Some(list) } => text(list, "list", MAX_CAMPAIGN),
                _ => Ok(()),
            }
        }
        Action::Exit { reason } if step.next.is_some() => {
            Err(format!("the journey ends here ({reason}): no step follows"))
        }
        Action::Exit { reason } => text(reason, "exit", MAX_NAME),
    }
}

fn name(name: &str, what: &str) -> Checked {
    let fits = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'));
    if fits {
        return Ok(());
    }
    Err(format!("invalid {what} {name:.60?}: expected 1 to {MAX_NAME} of a-z, 0-9, `_` and `-`"))
}

fn text(value: &str, what: &str, most: usize) -> Checked {
    if value.trim().is_empty() || value.len() > most || value.chars().any(char::is_control) {
        return Err(format!(
            "invalid {what} {value:.60?}: expected 1 to {most} bytes without control characters"
        ));
    }
    Ok(())
}

fn duration(value: Duration, what: &str) -> Checked {
    if value < Duration::from_secs(1) || value > MAX_DURATION || value.subsec_nanos() > 0 {
        return Err(format!("invalid {what} {value:?}: expected whole seconds, up to ten years"));
    }
    Ok(())
}

fn window(value: &Window) -> Checked {
    if value.from() == value.until() {
        return Err(format!("from and until are both {}", value.from().format("%H:%M")));
    }
    Ok(())
}

fn event(value: &EventMatch) -> Checked {
    if !is_kind(&value.kind) {
        return Err(format!(
            "invalid trigger {:.60?}: expected 1 to 60 letters, digits, `_`, `-` or `.`",
            value.kind
        ));
    }
    match &value.condition {
        Some(condition) if condition.looks_back() => {
            Err("`where` is about the trigger's own payload: past triggers belong into a branch".to_owned())
        }
        Some(of) => condition(of, 0),
        None => Ok(()),
    }
}

fn condition(value: &Condition, depth: usize) -> Checked {
    if depth >= MAX_DEPTH {
        return Err(format!("conditions are nested more than {MAX_DEPTH} deep"));
    }
    match value {
        Condition::Field { field, test } => {
            text(field, "field", MAX_CAMPAIGN)?;
            match test {
                Test::OneOf(values) if values.is_empty() || values.len() > MAX_PARTS => {
                    Err(format!("one_of {} values: expected 1 to {MAX_PARTS}", values.len()))
                }
                Test::AtLeast(number) | Test::LessThan(number) if !number.is_finite() => {
                    Err(format!("{number} is no number to compare with"))
                }
                _ => Ok(()),
            }
        }
        Condition::Happened { kind, within, .. } => {
            if !is_kind(kind) {
                return Err(format!(
                    "invalid trigger {kind:.60?}: expected 1 to 60 letters, digits, `_`, `-` or `.`"
                ));
            }
            within.map_or(Ok(()), |within| duration(within, "within"))
        }
        Condition::All(parts) | Condition::Any(parts) => {
            if parts.is_empty() || parts.len() > MAX_PARTS {
                return Err(format!("{} conditions in a list: expected 1 to {MAX_PARTS}", parts.len()));
            }
            parts.iter().try_for_each(|part| condition(part, depth + 1))
        }
        Condition::Not(part) => condition(part, depth + 1),
    }
}
