//! A provider that keeps emails in memory, with scripted failures, for tests and experiments.

use crate::message::Feature;
use crate::provider::{Capabilities, Group, Idempotency, Outgoing, RejectReason, Scope, Settlement, Stage};
use crate::{EmailAddress, IdempotencyKey, Message};
use crate::{EmailProvider, Outcome};
use async_trait::async_trait;
use mkt_connect::clock::later;
use mkt_connect::{Delivery, Error, ErrorKind, Result};
use std::collections::{HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

const SERVICE: &str = "memory";

/// An email that the provider accepted.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivered {
    /// The key of the attempt.
    pub key: IdempotencyKey,
    /// The message.
    pub message: Arc<Message>,
}

/// A scripted answer for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Script {
    /// Reject permanently.
    Reject(RejectReason),
    /// Defer.
    Defer {
        /// How long after the attempt to retry.
        wait: Duration,
        /// What has to wait.
        scope: Scope,
    },
    /// Accept the email and lose the answer.
    LoseAnswer,
    /// Lose the email and the answer.
    LoseRequest,
    /// Refuse every call of two or more emails that contains the address, as vendors do that check a call as a whole; a
    /// call of this email alone is rejected, once.
    RefuseGroup(RejectReason),
}

#[derive(Default)]
struct State {
    delivered: Vec<Delivered>,
    seen: HashSet<IdempotencyKey>,
    calls: usize,
    /// By normalised address.
    scripts: HashMap<String, VecDeque<Script>>,
    failures: VecDeque<(ErrorKind, Delivery)>,
}

/// A provider in memory. Clones share the emails and the scripts.
///
/// ```
/// use mkt_email::{EmailProviderExt, IdempotencyKey, Memory, Message, Outcome};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let provider = Memory::new();
/// let message = Message::builder("news@example.org".parse()?, "jean@example.org".parse()?, "Hello".parse()?)
///     .text("Hello Jean!")
///     .build()?;
/// let key = IdempotencyKey::from_text("hello jean");
/// let outcome = provider.send_one(message, key, "2026-10-26T08:00:00Z".parse()?).await?;
/// assert!(matches!(outcome, Outcome::Accepted { .. }));
/// assert_eq!(provider.delivered().len(), 1);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Memory {
    capabilities: Capabilities,
    state: Arc<Mutex<State>>,
}

impl fmt::Debug for Memory {
    /// Scripts are kept by address, so only their number is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.lock();
        f.debug_struct("Memory")
            .field("delivered", &state.delivered.len())
            .field("calls", &state.calls)
            .field("scripts", &state.scripts.len())
            .finish_non_exhaustive()
    }
}

impl Default for Memory {
    fn default() -> Self {
        Self::new()
    }
}

impl Memory {
    /// A provider with every feature, 100 emails per call, that recognises repeated keys for ever.
    #[must_use]
    pub fn new() -> Self {
        let mut capabilities = Capabilities::minimal();
        capabilities.features.extend(Feature::ALL);
        capabilities.max_recipients = 100;
        capabilities.idempotency = Idempotency::Key { within: None };
        Self::with_capabilities(capabilities)
    }

    /// A provider with the given capabilities. Without idempotency it delivers a repeated key again and settles nothing,
    /// like SMTP.
    #[must_use]
    pub fn with_capabilities(capabilities: Capabilities) -> Self {
        Self { capabilities, state: Arc::default() }
    }

    /// The emails accepted so far, in order.
    #[must_use]
    pub fn delivered(&self) -> Vec<Delivered> {
        self.lock().delivered.clone()
    }

    /// The number of calls of `send`.
    #[must_use]
    pub fn calls(&self) -> usize {
        self.lock().calls
    }

    /// Scripts the answer for the next email to an address. Several are used in order.
    pub fn script(&self, address: &EmailAddress, script: Script) {
        self.lock().scripts.entry(address.normalised()).or_default().push_back(script);
    }

    /// Fails the next call as a whole. With [`Delivery::Unknown`] the emails of the call are accepted all the same.
    pub fn fail_next_call(&self, kind: ErrorKind, delivery: Delivery) {
        self.lock().failures.push_back((kind, delivery));
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, state: &mut State, email: &Outgoing) {
        let again = !state.seen.insert(email.key);
        if again && matches!(self.capabilities.idempotency, Idempotency::Key { .. }) {
            return;
        }
        state.delivered.push(Delivered { key: email.key, message: Arc::clone(&email.message) });
    }
}

/// Why a call with this email is refused as a whole, if so.
fn refusal(state: &State, email: &Outgoing) -> Option<RejectReason> {
    match state.scripts.get(&email.message.to().address.normalised())?.front()? {
        Script::RefuseGroup(reason) => Some(*reason),
        _ => None,
    }
}

#[async_trait]
impl EmailProvider for Memory {
    fn name(&self) -> &'static str {
        SERVICE
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        let mut state = self.lock();
        state.calls += 1;
        if let Some((kind, delivery)) = state.failures.pop_front() {
            if delivery == Delivery::Unknown {
                for email in group.emails() {
                    self.take(&mut state, email);
                }
            }
            return Err(Error::new(kind, SERVICE, "send")
                .delivered(delivery)
                .with_detail("scripted failure"));
        }
        if group.emails().len() > 1
            && let Some(reason) = group.emails().iter().find_map(|email| refusal(&state, email))
        {
            let refused = Outcome::GroupRefused { reason, detail: "scripted".to_owned() };
            return Ok(vec![refused; group.emails().len()]);
        }
        let mut outcomes = Vec::with_capacity(group.emails().len());
        for email in group.emails() {
            let address = email.message.to().address.normalised();
            let script = state.scripts.get_mut(&address).and_then(VecDeque::pop_front);
            let detail = "scripted".to_owned();
            outcomes.push(match script {
                Some(Script::Reject(reason) | Script::RefuseGroup(reason)) => {
                    Outcome::Rejected { reason, detail }
                }
                Some(Script::Defer { wait, scope }) => {
                    Outcome::Deferred { retry_at: later(group.at(), wait), scope, detail }
                }
                Some(Script::LoseRequest) => Outcome::Unknown { stage: Stage::Content },
                Some(Script::LoseAnswer) => {
                    self.take(&mut state, email);
                    Outcome::Unknown { stage: Stage::AwaitingAnswer }
                }
                None => {
                    self.take(&mut state, email);
                    Outcome::Accepted { id: email.message.message_id(email.key) }
                }
            });
        }
        Ok(outcomes)
    }

    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        let state = self.lock();
        let look = |email: &Outgoing| match self.capabilities.idempotency {
            Idempotency::None => Settlement::StillUnknown,
            _ if state.seen.contains(&email.key) => {
                Settlement::Known(Outcome::Accepted { id: email.message.message_id(email.key) })
            }
            _ => Settlement::NotArrived,
        };
        Ok(group.emails().iter().map(look).collect())
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
