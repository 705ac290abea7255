//! The definition of a journey: who enters, which steps follow, what ends it, and its rules.

use super::condition::{Condition, EventMatch};
use super::span::Window;
use super::validate::validate;
use super::written::Written;
use crate::id::sha256_hex;
use chrono_tz::Tz;
use mkt_connect::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// How much later than planned an email is still sent, where the definition does not say.
pub(super) const DEFAULT_LATE_AFTER: Duration = Duration::from_secs(86_400);

/// The definition of a journey. Made by [`Definition::builder`] or read from a TOML file by [`Definition::from_toml`];
/// both are checked in the same way.
///
/// ```
/// use mkt_email::journey::{Definition, EventMatch, Step};
/// use std::time::Duration;
/// let definition = Definition::builder("tea_tips", EventMatch::new("signed_up"))
///     .exit(EventMatch::new("purchase").of_contact(), "bought")
///     .step(Step::wait("two_days", Duration::from_secs(2 * 86_400)))
///     .step(Step::send("tip", "tea_tip"))
///     .build()?;
/// assert_eq!(Definition::from_toml(&definition.to_toml())?, definition);
/// # Ok::<(), mkt_email::journey::DefinitionError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct Definition {
    pub(super) name: String,
    pub(super) zone: Tz,
    /// Of ten thousand.
    pub(super) hold_out: u32,
    pub(super) re_entry: ReEntry,
    pub(super) late_after: Option<Duration>,
    pub(super) entry: EventMatch,
    pub(super) exits: Vec<ExitRule>,
    pub(super) goal: Option<Goal>,
    pub(super) quiet_hours: Option<Window>,
    pub(super) cap: Option<Cap>,
    pub(super) steps: Vec<Step>,
}

/// Whether a contact may enter again with the same entity once an instance has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReEntry {
    /// Never.
    #[default]
    Never,
    /// With the next trigger after the end.
    AfterExit,
    /// With a trigger that comes at least so long after the end.
    Cooldown(Duration),
}

/// What ends an instance, at whatever step it is.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ExitRule {
    /// The trigger.
    pub on: EventMatch,
    /// The reason that is recorded, such as `bought`.
    pub reason: String,
}

/// What the journey is for: a trigger that counts as success in the [report](super::JourneyReport).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Goal {
    /// The trigger.
    pub on: EventMatch,
    /// How long after the entry it counts. The same for those who are written to and those held out, so that they can be
    /// compared.
    pub within: Duration,
}

/// The most emails of all journeys to one contact in a sliding window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cap {
    /// So many.
    pub emails: u32,
    /// In this time.
    pub per: Duration,
    /// What becomes of an email that is one too many.
    pub over: Over,
}

/// What becomes of an email beyond a [cap](Cap).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Over {
    /// It waits until there is room.
    #[default]
    Wait,
    /// It is skipped, and the journey goes on.
    Skip,
}

/// The purpose of a journey's email: decides which suppressions and consents apply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Needs consent, and is stopped by suppressions of its list, of marketing and of all.
    Marketing {
        /// The list it belongs to, if any.
        list: Option<String>,
    },
    /// Caused by an action of the contact; only a suppression of everything stops it.
    Transactional,
}

/// A step of a journey: a name, what it does, and where the journey goes from there.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub(super) name: String,
    pub(super) action: Action,
    pub(super) next: Option<String>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Action {
    /// Waits.
    Wait {
        /// How long.
        duration: Duration,
        /// What starts the wait again.
        restart_on: Vec<EventMatch>,
    },
    /// Waits for a trigger.
    WaitFor {
        /// The trigger, after the step was reached.
        event: EventMatch,
        /// How long at most.
        timeout: Duration,
        /// Where the journey goes when it does not come; without, to the next step.
        otherwise: Option<String>,
        /// What starts the wait again.
        restart_on: Vec<EventMatch>,
    },
    /// Waits until a window of local time is open; not at all if it is.
    WaitUntil {
        /// The window, in the contact's zone.
        window: Window,
    },
    /// Goes to the first arm whose condition holds.
    Branch {
        /// Conditions and steps.
        arms: Vec<(Condition, String)>,
    },
    /// Sends an email.
    Send {
        /// The template, as the [`Composer`](super::Composer) knows it.
        template: String,
        /// The campaign of the email in the outbox.
        campaign: String,
        /// Its purpose.
        scope: Scope,
    },
    /// Ends the instance.
    Exit {
        /// Why.
        reason: String,
    },
}

impl Step {
    fn new(name: impl Into<String>, action: Action) -> Self {
        Self { name: name.into(), action, next: None }
    }

    /// Waits for a duration.
    #[must_use]
    pub fn wait(name: impl Into<String>, duration: Duration) -> Self {
        Self::new(name, Action::Wait { duration, restart_on: Vec::new() })
    }

    /// Waits for a trigger, at most for `timeout`. [`then`](Self::then) says where the journey goes when it comes,
    /// [`otherwise`](Self::otherwise) where it goes when it does not.
    #[must_use]
    pub fn wait_for(name: impl Into<String>, event: EventMatch, timeout: Duration) -> Self {
        Self::new(name, Action::WaitFor { event, timeout, otherwise: None, restart_on: Vec::new() })
    }

    /// Waits until a window of the contact's local time is open.
    #[must_use]
    pub fn wait_until(name: impl Into<String>, window: Window) -> Self {
        Self::new(name, Action::WaitUntil { window })
    }

    /// Branches: [`when`](Self::when) adds an arm, [`then`](Self::then) says where the journey goes if none fits.
    #[must_use]
    pub fn branch(name: impl Into<String>) -> Self {
        Self::new(name, Action::Branch { arms: Vec::new() })
    }

    /// Sends marketing email; its campaign is the name of the template.
    #[must_use]
    pub fn send(name: impl Into<String>, template: impl Into<String>) -> Self {
        let template = template.into();
        let scope = Scope::Marketing { list: None };
        Self::new(name, Action::Send { campaign: template.clone(), template, scope })
    }

    /// Ends the instance.
    #[must_use]
    pub fn exit(name: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::new(name, Action::Exit { reason: reason.into() })
    }

    /// Goes to this step, which must be a later one, instead of the next.
    #[must_use]
    pub fn then(mut self, step: impl Into<String>) -> Self {
        self.next = Some(step.into());
        self
    }

    /// For a wait for a trigger: where the journey goes when it does not come. Other steps ignore it.
    #[must_use]
    pub fn otherwise(mut self, step: impl Into<String>) -> Self {
        if let Action::WaitFor { otherwise, .. } = &mut self.action {
            *otherwise = Some(step.into());
        }
        self
    }

    /// For a wait: a trigger that starts it again. Other steps ignore it.
    #[must_use]
    pub fn restart_on(mut self, event: EventMatch) -> Self {
        if let Action::Wait { restart_on, .. } | Action::WaitFor { restart_on, .. } = &mut self.action {
            restart_on.push(event);
        }
        self
    }

    /// For a branch: adds an arm. Other steps ignore it.
    #[must_use]
    pub fn when(mut self, condition: Condition, step: impl Into<String>) -> Self {
        if let Action::Branch { arms } = &mut self.action {
            arms.push((condition, step.into()));
        }
        self
    }

    /// For a send: sets the campaign. Other steps ignore it.
    #[must_use]
    pub fn campaign(mut self, name: impl Into<String>) -> Self {
        if let Action::Send { campaign, .. } = &mut self.action {
            *campaign = name.into();
        }
        self
    }

    /// For a send: sets the purpose. Other steps ignore it.
    #[must_use]
    pub fn scope(mut self, of: Scope) -> Self {
        if let Action::Send { scope, .. } = &mut self.action {
            *scope = of;
        }
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does.
    #[must_use]
    pub fn action(&self) -> &Action {
        &self.action
    }

    /// The step that follows, if it is not the next one.
    #[must_use]
    pub fn next(&self) -> Option<&str> {
        self.next.as_deref()
    }
}

/// Builds a [`Definition`].
#[derive(Debug, Clone)]
pub struct DefinitionBuilder(Definition);

impl DefinitionBuilder {
    /// The zone of contacts whose own is not known. Default: UTC.
    #[must_use]
    pub fn zone(mut self, zone: Tz) -> Self {
        self.0.zone = zone;
        self
    }

    /// Holds out so many of a hundred contacts, in hundredths of a percent: they go through the journey and are sent
    /// nothing, so that the report can tell what the emails change. Needs a [goal](Self::goal). Default: none.
    #[must_use]
    pub fn hold_out_percent(mut self, percent: f64) -> Self {
        // Out of range stays out of range, for the check.
        self.0.hold_out = (percent * 100.0).round().clamp(0.0, 1e6) as u32;
        self
    }

    /// Whether contacts may enter again. Default: never.
    #[must_use]
    pub fn re_entry(mut self, policy: ReEntry) -> Self {
        self.0.re_entry = policy;
        self
    }

    /// An email later than planned by more than this is skipped. Default: a day; `None`: never.
    #[must_use]
    pub fn late_after(mut self, late_after: Option<Duration>) -> Self {
        self.0.late_after = late_after;
        self
    }

    /// Adds a trigger that ends the journey at whatever step, and the reason that is recorded.
    #[must_use]
    pub fn exit(mut self, on: EventMatch, reason: impl Into<String>) -> Self {
        self.0.exits.push(ExitRule { on, reason: reason.into() });
        self
    }

    /// What counts as success, and for how long after the entry.
    #[must_use]
    pub fn goal(mut self, on: EventMatch, within: Duration) -> Self {
        self.0.goal = Some(Goal { on, within });
        self
    }

    /// Sends nothing in this window of the contact's local time; emails wait for its end.
    #[must_use]
    pub fn quiet_hours(mut self, window: Window) -> Self {
        self.0.quiet_hours = Some(window);
        self
    }

    /// Sends at most `emails` of all journeys to a contact in any window of `per`.
    #[must_use]
    pub fn cap(mut self, emails: u32, per: Duration, over: Over) -> Self {
        self.0.cap = Some(Cap { emails, per, over });
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.0.steps.push(step);
        self
    }

    /// Not checked yet.
    pub(super) fn unchecked(self) -> Definition {
        self.0
    }

    /// Checks the definition.
    ///
    /// # Errors
    /// The first thing that is wrong, with the step's name.
    pub fn build(self) -> Result<Definition, DefinitionError> {
        validate(&self.0)?;
        Ok(self.0)
    }
}

impl Definition {
    /// Starts a definition: its name, and the trigger with which a contact enters.
    #[must_use]
    pub fn builder(name: impl Into<String>, entry: EventMatch) -> DefinitionBuilder {
        DefinitionBuilder(Self {
            name: name.into(),
            zone: Tz::UTC,
            hold_out: 0,
            re_entry: ReEntry::Never,
            late_after: Some(DEFAULT_LATE_AFTER),
            entry,
            exits: Vec::new(),
            goal: None,
            quiet_hours: None,
            cap: None,
            steps: Vec::new(),
        })
    }

    /// Reads a definition from TOML.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and the step's name.
    pub fn from_toml(text: &str) -> Result<Self, DefinitionError> {
        super::written::from_toml(text)
    }

    /// Writes the definition as TOML, which [`from_toml`](Self::from_toml) reads.
    #[must_use]
    pub fn to_toml(&self) -> String {
        super::written::to_toml(self)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The trigger with which a contact enters.
    #[must_use]
    pub fn entry(&self) -> &EventMatch {
        &self.entry
    }

    /// Its steps, in order.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What ends it at whatever step.
    #[must_use]
    pub fn exits(&self) -> &[ExitRule] {
        &self.exits
    }

    /// What counts as success.
    #[must_use]
    pub fn goal(&self) -> Option<&Goal> {
        self.goal.as_ref()
    }

    /// When nothing is sent.
    #[must_use]
    pub fn quiet_hours(&self) -> Option<&Window> {
        self.quiet_hours.as_ref()
    }

    /// The most emails to one contact.
    #[must_use]
    pub fn cap(&self) -> Option<Cap> {
        self.cap
    }

    /// The share of contacts that is held out, in percent.
    #[must_use]
    pub fn hold_out_percent(&self) -> f64 {
        f64::from(self.hold_out) / 100.0
    }

    /// Whether contacts may enter again.
    #[must_use]
    pub fn re_entry(&self) -> ReEntry {
        self.re_entry
    }

    /// The zone of contacts whose own is not known.
    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// SHA-256 of the content in hexadecimal: definitions that say the same have the same hash, however they were
    /// written.
    #[must_use]
    pub fn hash(&self) -> String {
        sha256_hex(self.json().as_bytes())
    }

    /// Whether a contact is held out: SHA-256 of the journey's name, a NUL and the [key](crate::EmailAddress::key) of the
    /// address; its first eight bytes as a big-endian number, modulo 10 000, are below the share in hundredths of a
    /// percent. So a contact stays in its group whatever is stored, and a larger share keeps those of a smaller one.
    #[must_use]
    pub fn holds_out(&self, contact: &crate::EmailAddress) -> bool {
        self.holds_out_key(&contact.key())
    }

    pub(super) fn holds_out_key(&self, contact_key: &str) -> bool {
        let hash = sha256_hex(format!("{}\0{contact_key}", self.name).as_bytes());
        let first = hash.get(..16).and_then(|digits| u64::from_str_radix(digits, 16).ok());
        first.is_some_and(|first| first % 10_000 < u64::from(self.hold_out))
    }

    /// The templates that it sends.
    pub fn templates(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|step| match &step.action {
            Action::Send { template, .. } => Some(template.as_str()),
            _ => None,
        })
    }

    pub(super) fn json(&self) -> String {
        serde_json::to_value(self)
            .map(|value| {
                let mut text = String::new();
                super::trigger::write_sorted(&mut text, &value);
                text
            })
            .unwrap_or_default()
    }

    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.steps.iter().position(|step| step.name == name)
    }

    /// Where the journey goes from a step: to the named one, or the next; `None` at the end.
    pub(super) fn follow(&self, from: usize, name: Option<&str>) -> Option<usize> {
        match name {
            Some(name) => self.position(name),
            None => Some(from + 1).filter(|next| *next < self.steps.len()),
        }
    }
}

/// What is wrong with a definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DefinitionError {
    pub(super) line: Option<usize>,
    pub(super) place: Option<String>,
    pub(super) reason: String,
}

impl DefinitionError {
    pub(super) fn new(place: impl Into<Option<String>>, reason: impl Into<String>) -> Self {
        Self { line: None, place: place.into(), reason: reason.into() }
    }

    /// The line of the TOML file, if known.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        self.line
    }

    /// The step or part, such as `step "reminder"`, if it is in one.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }
}

impl fmt::Display for DefinitionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("invalid journey")?;
        match (&self.place, self.line) {
            (Some(place), Some(line)) => write!(f, ", {place} (line {line})")?,
            (Some(place), None) => write!(f, ", {place}")?,
            (None, Some(line)) => write!(f, ", line {line}")?,
            (None, None) => {}
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for DefinitionError {}

impl From<DefinitionError> for Error {
    /// [`ErrorKind::Input`], with the text of the error.
    fn from(error: DefinitionError) -> Self {
        Self::new(ErrorKind::Input, super::SERVICE, "define")
            .with_detail(error.to_string())
            .with_source(error)
    }
}
