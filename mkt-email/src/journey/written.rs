//! The definition as it is written: in TOML by people, in JSON by the store.

use super::condition::{Condition, EventMatch, Of, Scalar, Test};
use super::definition::{
    Action, Cap, DEFAULT_LATE_AFTER, Definition, DefinitionError, ExitRule, Goal, Over, ReEntry, Scope, Step,
};
use super::span::{Window, parse_duration, write_duration};
use super::validate::validate;
use chrono::{NaiveTime, Weekday};
use chrono_tz::Tz;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::time::Duration;
use toml::Spanned;

/// The largest file that is read.
const MAX_BYTES: usize = 256 * 1024;

macro_rules! written {
    ($(#[$meta:meta])* $name:ident { $($(#[$field_meta:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        #[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        $(#[$meta])*
        pub(super) struct $name {
            $($(#[$field_meta])* #[serde(skip_serializing_if = "Option::is_none")] $field: Option<$type>,)+
        }
    };
}

written!(Written {
    name: String,
    zone: String,
    hold_out_percent: f64,
    re_entry: String,
    late_after: String,
    entry: WrittenEvent,
    goal: WrittenGoal,
    quiet_hours: WrittenWindow,
    cap: WrittenCap,
    exit: Vec<WrittenExit>,
    step: Vec<WrittenStep>,
});

written!(WrittenEvent { on: String, of: Of, #[serde(rename = "where")] condition: Box<WrittenCondition> });

written!(WrittenExit {
    on: String,
    of: Of,
    reason: String,
    #[serde(rename = "where")]
    condition: WrittenCondition
});

written!(WrittenGoal {
    on: String,
    of: Of,
    within: String,
    #[serde(rename = "where")]
    condition: WrittenCondition
});

written!(WrittenWindow { from: String, until: String, days: Vec<String> });

written!(WrittenCap { emails: u32, per: String, over: Over });

written!(WrittenStep {
    name: String,
    wait: String,
    wait_for: WrittenEvent,
    timeout: String,
    restart_on: Vec<WrittenEvent>,
    wait_until: WrittenWindow,
    branch: Vec<WrittenArm>,
    send: String,
    campaign: String,
    purpose: String,
    list: String,
    exit: String,
    then: String,
    otherwise: String,
});

written!(WrittenArm { when: WrittenCondition, then: String });

written!(WrittenCondition {
    field: String,
    exists: bool,
    equals: Scalar,
    one_of: Vec<Scalar>,
    at_least: f64,
    less_than: f64,
    happened: String,
    of: Of,
    within: String,
    all: Vec<WrittenCondition>,
    any: Vec<WrittenCondition>,
    not: Box<WrittenCondition>,
});

/// Where the parts of a file begin.
#[derive(Deserialize)]
struct Places {
    #[serde(default)]
    step: Vec<Spanned<IgnoredAny>>,
    #[serde(default)]
    exit: Vec<Spanned<IgnoredAny>>,
}

/// Reads a definition from TOML.
pub(super) fn from_toml(text: &str) -> Result<Definition, DefinitionError> {
    if text.len() > MAX_BYTES {
        return Err(DefinitionError::new(
            None,
            format!("{} bytes: expected at most {MAX_BYTES}", text.len()),
        ));
    }
    let line_of = |span: Option<Range<usize>>| {
        span.and_then(|span| text.get(..span.start)).map(|before| before.matches('\n').count() + 1)
    };
    let written: Written = toml::from_str(text).map_err(|error| DefinitionError {
        line: line_of(error.span()),
        place: None,
        reason: error.message().to_owned(),
    })?;
    let names: Vec<String> =
        written.step.iter().flatten().map(|step| step.name.clone().unwrap_or_default()).collect();
    Definition::try_from(written).map_err(|error| {
        let places = toml::from_str::<Places>(text).ok();
        let line = places.and_then(|places| {
            let place = error.place.as_deref()?;
            let number = names
                .iter()
                .rposition(|name| place == format!("step {name:?}"))
                .or_else(|| place.strip_prefix("step ")?.parse::<usize>().ok()?.checked_sub(1));
            let span = match number {
                Some(number) => places.step.get(number)?.span(),
                None if place == "exit" && places.exit.len() == 1 => places.exit.first()?.span(),
                None => return None,
            };
            line_of(Some(span))
        });
        DefinitionError { line, ..error }
    })
}

/// Writes a definition as TOML.
pub(super) fn to_toml(definition: &Definition) -> String {
    toml::to_string(&Written::from(definition.clone())).unwrap_or_default()
}

fn need<T>(value: Option<T>, what: &str) -> Result<T, String> {
    value.ok_or_else(|| format!("{what} is missing"))
}

fn time(text: &str) -> Result<NaiveTime, String> {
    let form = text.len() == 5 && text.is_ascii();
    let time = form.then(|| NaiveTime::parse_from_str(text, "%H:%M").ok()).flatten();
    time.ok_or_else(|| format!("invalid time {text:.20?}: expected HH:MM"))
}

impl WrittenCondition {
    fn read(self) -> Result<Condition, String> {
        let Self { field, exists, equals, one_of, at_least, less_than, happened, of, within, all, any, not } =
            self;
        let tests: Vec<Test> = [
            exists.map(
                |wanted| if wanted { Ok(Test::Exists) } else { Err("exists = false: write not = { … }") },
            ),
            equals.map(|it| Ok(Test::Equals(it))),
            one_of.map(|it| Ok(Test::OneOf(it))),
            at_least.map(|it| Ok(Test::AtLeast(it))),
            less_than.map(|it| Ok(Test::LessThan(it))),
        ]
        .into_iter()
        .flatten()
        .collect::<Result<_, _>>()?;
        let list = |parts: Vec<Self>| parts.into_iter().map(Self::read).collect::<Result<Vec<_>, _>>();
        let mut forms = Vec::new();
        let (about_past, tested) = (of.is_some() || within.is_some(), !tests.is_empty());
        if let Some(field) = field {
            if tests.len() != 1 {
                return Err(format!(
                    "field {field:.60?} with {} tests: expected one of exists, equals, one_of, at_least, less_than",
                    tests.len()
                ));
            }
            forms.extend(tests.into_iter().map(|test| Condition::Field { field: field.clone(), test }));
        } else if tested {
            return Err("a test without a field".to_owned());
        }
        if let Some(kind) = happened {
            let within = within.as_deref().map(parse_duration).transpose()?;
            forms.push(Condition::Happened { kind, of: of.unwrap_or_default(), within });
        } else if about_past {
            return Err("of and within belong to happened".to_owned());
        }
        forms.extend(all.map(list).transpose()?.map(Condition::All));
        forms.extend(any.map(list).transpose()?.map(Condition::Any));
        forms.extend(not.map(|part| part.read()).transpose()?.map(|part| Condition::Not(Box::new(part))));
        match <[Condition; 1]>::try_from(forms) {
            Ok([one]) => Ok(one),
            Err(forms) => Err(format!(
                "a condition of {} forms: expected one of field, happened, all, any, not",
                forms.len()
            )),
        }
    }

    fn of(condition: Condition) -> Self {
        let list = |parts: Vec<Condition>| Some(parts.into_iter().map(Self::of).collect());
        let mut it = Self::default();
        match condition {
            Condition::Field { field, test } => {
                it.field = Some(field);
                match test {
                    Test::Exists => it.exists = Some(true),
                    Test::Equals(value) => it.equals = Some(value),
                    Test::OneOf(values) => it.one_of = Some(values),
                    Test::AtLeast(number) => it.at_least = Some(number),
                    Test::LessThan(number) => it.less_than = Some(number),
                }
            }
            Condition::Happened { kind, of, within } => {
                it.happened = Some(kind);
                it.of = stated(of);
                it.within = within.map(write_duration);
            }
            Condition::All(parts) => it.all = list(parts),
            Condition::Any(parts) => it.any = list(parts),
            Condition::Not(part) => it.not = Some(Box::new(Self::of(*part))),
        }
        it
    }
}

/// Not written where it is the default.
fn stated(of: Of) -> Option<Of> {
    Some(of).filter(|of| *of != Of::Entity)
}

impl WrittenEvent {
    fn read(self) -> Result<EventMatch, String> {
        let condition = self.condition.map(|it| it.read()).transpose()?;
        Ok(EventMatch { kind: need(self.on, "on")?, of: self.of.unwrap_or_default(), condition })
    }

    fn of(event: EventMatch) -> Self {
        let condition = event.condition.map(|it| Box::new(WrittenCondition::of(it)));
        Self { on: Some(event.kind), of: stated(event.of), condition }
    }
}

impl WrittenWindow {
    fn read(self) -> Result<Window, String> {
        let window = Window::new(time(&need(self.from, "from")?)?, time(&need(self.until, "until")?)?);
        let Some(days) = self.days else { return Ok(window) };
        if days.is_empty() {
            return Err("days is empty: leave it out for all days".to_owned());
        }
        let days: Result<Vec<Weekday>, String> = days
            .iter()
            .map(|day| {
                day.parse().map_err(|_| {
                    format!("invalid day {day:.20?}: expected mon, tue, wed, thu, fri, sat or sun")
                })
            })
            .collect();
        Ok(window.on(days?))
    }

    fn of(window: &Window) -> Self {
        let days: Vec<String> = window.days().iter().map(|day| day.to_string().to_lowercase()).collect();
        let hour = |time: NaiveTime| Some(time.format("%H:%M").to_string());
        Self {
            from: hour(window.from()),
            until: hour(window.until()),
            days: Some(days).filter(|it| !it.is_empty()),
        }
    }
}

impl WrittenStep {
    fn read(self) -> Result<Step, String> {
        let given = |there: bool, key: &'static str| there.then_some(key);
        let actions: Vec<&str> = [
            given(self.wait.is_some(), "wait"),
            given(self.wait_for.is_some(), "wait_for"),
            given(self.wait_until.is_some(), "wait_until"),
            given(self.branch.is_some(), "branch"),
            given(self.send.is_some(), "send"),
            given(self.exit.is_some(), "exit"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let [action] = actions[..] else {
            return Err(format!(
                "{} actions: expected one of wait, wait_for, wait_until, branch, send, exit",
                actions.len()
            ));
        };
        for (key, there, owners) in [
            ("timeout", self.timeout.is_some(), &["wait_for"][..]),
            ("restart_on", self.restart_on.is_some(), &["wait", "wait_for"][..]),
            ("campaign", self.campaign.is_some(), &["send"][..]),
            ("purpose", self.purpose.is_some(), &["send"][..]),
            ("list", self.list.is_some(), &["send"][..]),
            ("otherwise", self.otherwise.is_some(), &["wait_for", "branch"][..]),
            ("then", self.then.is_some() && action == "branch", &["an arm of branch"][..]),
        ] {
            if there && !owners.contains(&action) {
                return Err(format!("{key} belongs to {}", owners.join(" or ")));
            }
        }
        let restart_on: Vec<EventMatch> = self
            .restart_on
            .unwrap_or_default()
            .into_iter()
            .map(|event| event.read().map_err(|reason| format!("restart_on: {reason}")))
            .collect::<Result<_, _>>()?;
        let mut next = self.then;
        let action = if let Some(duration) = self.wait {
            Action::Wait { duration: parse_duration(&duration)?, restart_on }
        } else if let Some(event) = self.wait_for {
            let event = event.read().map_err(|reason| format!("wait_for: {reason}"))?;
            let timeout = parse_duration(&need(self.timeout, "timeout")?)?;
            Action::WaitFor { event, timeout, otherwise: self.otherwise, restart_on }
        } else if let Some(window) = self.wait_until {
            Action::WaitUntil { window: window.read()? }
        } else if let Some(arms) = self.branch {
            next = self.otherwise;
            let arms = arms
                .into_iter()
                .map(|arm| Ok::<_, String>((need(arm.when, "when")?.read()?, need(arm.then, "then")?)));
            Action::Branch { arms: arms.collect::<Result<_, _>>()? }
        } else if let Some(template) = self.send {
            let scope = match (self.purpose.as_deref(), self.list) {
                (None | Some("marketing"), list) => Scope::Marketing { list },
                (Some("transactional"), None) => Scope::Transactional,
                (Some("transactional"), Some(_)) => {
                    return Err("list belongs to purpose = \"marketing\"".to_owned());
                }
                (Some(other), _) => {
                    return Err(format!("invalid purpose {other:.40?}: expected marketing or transactional"));
                }
            };
            Action::Send { campaign: self.campaign.unwrap_or_else(|| template.clone()), template, scope }
        } else {
            Action::Exit { reason: need(self.exit, "exit")? }
        };
        Ok(Step { name: need(self.name, "name")?, action, next })
    }

    fn of(step: Step) -> Self {
        let mut it = Self { name: Some(step.name), then: step.next, ..Self::default() };
        let events = |events: Vec<EventMatch>| {
            Some(events.into_iter().map(WrittenEvent::of).collect::<Vec<_>>()).filter(|it| !it.is_empty())
        };
        match step.action {
            Action::Wait { duration, restart_on } => {
                it.wait = Some(write_duration(duration));
                it.restart_on = events(restart_on);
            }
            Action::WaitFor { event, timeout, otherwise, restart_on } => {
                it.wait_for = Some(WrittenEvent::of(event));
                it.timeout = Some(write_duration(timeout));
                it.otherwise = otherwise;
                it.restart_on = events(restart_on);
            }
            Action::WaitUntil { window } => it.wait_until = Some(WrittenWindow::of(&window)),
            Action::Branch { arms } => {
                it.otherwise = it.then.take();
                let arms = arms.into_iter().map(|(when, then)| WrittenArm {
                    when: Some(WrittenCondition::of(when)),
                    then: Some(then),
                });
                it.branch = Some(arms.collect());
            }
            Action::Send { template, campaign, scope } => {
                it.campaign = Some(campaign).filter(|campaign| *campaign != template);
                it.send = Some(template);
                match scope {
                    Scope::Marketing { list } => it.list = list,
                    Scope::Transactional => it.purpose = Some("transactional".to_owned()),
                }
            }
            Action::Exit { reason } => it.exit = Some(reason),
        }
        it
    }
}

impl TryFrom<Written> for Definition {
    type Error = DefinitionError;

    fn try_from(it: Written) -> Result<Self, DefinitionError> {
        let whole = |reason: String| DefinitionError::new(None, reason);
        let within =
            |place: &'static str| move |reason: String| DefinitionError::new(place.to_owned(), reason);
        let zone = match it.zone {
            None => Tz::UTC,
            Some(zone) => zone.parse().map_err(|_| {
                whole(format!(
                    "invalid zone {zone:.60?}: expected a name of the IANA database such as \"Europe/Paris\""
                ))
            })?,
        };
        let re_entry = match it.re_entry.as_deref() {
            None | Some("never") => ReEntry::Never,
            Some("after_exit") => ReEntry::AfterExit,
            Some(text) => ReEntry::Cooldown(parse_duration(text).map_err(|_| {
                whole(format!(
                    "invalid re_entry {text:.40?}: expected never, after_exit or a duration such as \"30d\""
                ))
            })?),
        };
        let late_after = match it.late_after.as_deref() {
            None => Some(DEFAULT_LATE_AFTER),
            Some("never") => None,
            Some(text) => {
                Some(parse_duration(text).map_err(|reason| whole(format!("late_after: {reason}")))?)
            }
        };
        let mut exits = Vec::new();
        for exit in it.exit.unwrap_or_default() {
            let reason = exit.reason.clone().or_else(|| exit.on.clone());
            let event =
                WrittenEvent { on: exit.on, of: exit.of, condition: exit.condition.map(Box::new) }.read();
            let on = event.map_err(within("exit"))?;
            exits.push(ExitRule { on, reason: reason.unwrap_or_default() });
        }
        let goal = match it.goal {
            None => None,
            Some(goal) => {
                let event =
                    WrittenEvent { on: goal.on, of: goal.of, condition: goal.condition.map(Box::new) };
                let time = need(goal.within, "within").and_then(|text| parse_duration(&text));
                let within_time = time.map_err(within("goal"))?;
                Some(Goal { on: event.read().map_err(within("goal"))?, within: within_time })
            }
        };
        let cap = match it.cap {
            None => None,
            Some(cap) => {
                let emails = need(cap.emails, "emails").map_err(within("cap"))?;
                let per =
                    need(cap.per, "per").and_then(|text| parse_duration(&text)).map_err(within("cap"))?;
                Some(Cap { emails, per, over: cap.over.unwrap_or_default() })
            }
        };
        let quiet_hours =
            it.quiet_hours.map(WrittenWindow::read).transpose().map_err(within("quiet_hours"))?;
        let entry = need(it.entry, "entry").map_err(whole)?.read().map_err(within("entry"))?;
        let mut steps = Vec::new();
        for (number, step) in it.step.unwrap_or_default().into_iter().enumerate() {
            let place = match &step.name {
                Some(name) => format!("step {name:?}"),
                None => format!("step {}", number + 1),
            };
            steps.push(step.read().map_err(|reason| DefinitionError::new(place, reason))?);
        }
        let mut builder = Self::builder(need(it.name, "name").map_err(whole)?, entry)
            .zone(zone)
            .re_entry(re_entry)
            .late_after(late_after);
        if let Some(percent) = it.hold_out_percent {
            if !(0.0..100.0).contains(&percent) {
                return Err(whole(format!(
                    "hold_out_percent is {percent}: expected a number from 0 to less than 100"
                )));
            }
            builder = builder.hold_out_percent(percent);
        }
        let mut definition = builder.unchecked();
        (definition.exits, definition.goal, definition.cap) = (exits, goal, cap);
        (definition.quiet_hours, definition.steps) = (quiet_hours, steps);
        validate(&definition)?;
        Ok(definition)
    }
}

impl From<Definition> for Written {
    fn from(it: Definition) -> Self {
        let span = |duration: Duration| Some(write_duration(duration));
        Self {
            hold_out_percent: Some(it.hold_out_percent()).filter(|percent| *percent > 0.0),
            name: Some(it.name),
            zone: Some(it.zone).filter(|zone| *zone != Tz::UTC).map(|zone| zone.name().to_owned()),
            re_entry: match it.re_entry {
                ReEntry::Never => None,
                ReEntry::AfterExit => Some("after_exit".to_owned()),
                ReEntry::Cooldown(cooldown) => span(cooldown),
            },
            late_after: match it.late_after {
                None => Some("never".to_owned()),
                Some(late) if late == DEFAULT_LATE_AFTER => None,
                Some(late) => span(late),
            },
            entry: Some(WrittenEvent::of(it.entry)),
            exit: Some(
                it.exits
                    .into_iter()
                    .map(|exit| {
                        let event = WrittenEvent::of(exit.on);
                        let reason = Some(exit.reason).filter(|reason| Some(reason) != event.on.as_ref());
                        WrittenExit {
                            on: event.on,
                            of: event.of,
                            reason,
                            condition: event.condition.map(|it| *it),
                        }
                    })
                    .collect::<Vec<_>>(),
            )
            .filter(|it| !it.is_empty()),
            goal: it.goal.map(|goal| {
                let event = WrittenEvent::of(goal.on);
                let condition = event.condition.map(|it| *it);
                WrittenGoal { on: event.on, of: event.of, within: span(goal.within), condition }
            }),
            quiet_hours: it.quiet_hours.as_ref().map(WrittenWindow::of),
            cap: it.cap.map(|cap| WrittenCap {
                emails: Some(cap.emails),
                per: span(cap.per),
                over: Some(cap.over).filter(|over| *over != Over::Wait),
            }),
            step: Some(it.steps.into_iter().map(WrittenStep::of).collect()),
        }
    }
}
