//! The guarantees of the outbox, with scripted providers, on every engine.

mod accounts;
mod budgets;
mod campaigns;
mod consent;
mod erasure;
mod events;
mod files;
mod groups;
mod losses;
mod plans;
mod sending;
mod suppression_csv;
mod workers;

use crate::engines::{Engine, fill, on_each_engine};
use crate::help::{address, clock, consent, instant, marketing, message, noon, reader, transactional};
use async_trait::async_trait;
use mkt_connect::{Delivery, ErrorKind, Result};
use mkt_email::message::{Attachment, Feature};
use mkt_email::outbox::{Consent, Purpose, Suppression, SuppressionReason, SuppressionScope};
use mkt_email::provider::{Capabilities, Group, Idempotency, RejectReason, Scope, Settlement};
use mkt_email::unsubscribe::{UnsubscribeClaim, UnsubscribeKeys};
use mkt_email::{
    Clock, Counts, DedupKey, EmailAddress, EmailProvider, Enqueued, ManualClock, Memory, NewEmail, Outbox,
    Outcome, RunOptions, Script, State, Stop, SystemClock,
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::SplitMix64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn reached(provider: &Memory) -> Vec<String> {
    provider.delivered().iter().map(|email| email.message.to().address.as_str().to_owned()).collect()
}

/// Delivers a repeated key again and settles nothing, one email to the call: like SMTP.
fn forgetful() -> Memory {
    let mut capabilities = Capabilities::minimal();
    capabilities.features.extend(Feature::ALL);
    Memory::with_capabilities(capabilities)
}

fn suppression(to: &EmailAddress, scope: SuppressionScope) -> Suppression {
    Suppression::new(to.clone(), scope, SuppressionReason::Unsubscribed, "test", noon())
}

async fn counts(outbox: &Outbox) -> Counts {
    let counts = outbox.counts(None).await.unwrap();
    assert!(counts.add_up(), "{counts:?}");
    counts
}

/// Does something to the outbox while it makes its first call.
#[derive(Debug)]
struct Meddling {
    inner: Memory,
    outbox: Outbox,
    act: Act,
    clock: ManualClock,
    done: Mutex<bool>,
}

#[derive(Debug, Clone, Copy)]
enum Act {
    Nothing,
    Suppress,
    Cancel,
    Pause,
}

impl Meddling {
    /// Meddles in the first call; every call takes six seconds of `clock`.
    fn with(inner: Memory, outbox: &Outbox, act: Act, clock: &ManualClock) -> Self {
        let (outbox, clock) = (outbox.clone(), clock.clone());
        Self { inner, outbox, act, clock, done: Mutex::new(false) }
    }
}

#[async_trait]
impl EmailProvider for Meddling {
    fn name(&self) -> &'static str {
        "meddling"
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        let first = !std::mem::replace(&mut *self.done.lock().unwrap(), true);
        match self.act {
            Act::Suppress if first => {
                self.outbox.suppress(&[suppression(&reader(2), SuppressionScope::All)]).await?;
            }
            Act::Pause if first => drop(self.outbox.pause("test", noon()).await?),
            Act::Cancel if first => {
                self.outbox.cancel("test", noon()).await?;
            }
            _ => {}
        }
        let answer = self.inner.send(group).await;
        self.clock.advance(Duration::from_secs(6));
        answer
    }

    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        self.inner.settle(group).await
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// Recognises repeated keys, one email to the call.
fn one_by_one() -> Memory {
    let mut capabilities = Memory::new().capabilities().clone();
    capabilities.max_recipients = 1;
    Memory::with_capabilities(capabilities)
}

/// Takes its time.
#[derive(Debug)]
struct Slow(Memory, Duration);

#[async_trait]
impl EmailProvider for Slow {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        tokio::time::sleep(self.1).await;
        self.0.send(group).await
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}
