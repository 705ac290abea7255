//! The public suite on our providers, and on one that breaks every clause it can.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use mkt_connect::{Delivery, Error, ErrorKind};
use mkt_email::message::Feature;
use mkt_email::provider::{
    Capabilities, Degrade, Group, Idempotency, Outgoing, Plan, RejectReason, Scope, Settlement, Stage,
};
use mkt_email::testing::{
    FakeBrevo, FakeEmail, FakeMailgun, Fault, Fixture, start, violations, violations_of,
};
use mkt_email::{
    EmailAddress, EmailProvider, IdempotencyKey, Maildir, ManualClock, Memory, Message, Outcome, Script,
};
use std::sync::{Arc, Mutex};

fn addresses(provider: &Memory) -> Vec<EmailAddress> {
    provider.delivered().iter().map(|email| email.message.to().address.clone()).collect()
}

fn in_memory(provider: Memory) -> Fixture {
    let (inside, refusing, failing) = (provider.clone(), provider.clone(), provider.clone());
    Fixture::new(provider, move || addresses(&inside))
        .with_refusals(move |address| {
            refusing.script(address, Script::RefuseGroup(RejectReason::InvalidAddress));
        })
        .with_faults(move |fault| {
            let (kind, delivery) = match fault {
                Fault::LostRequest => (ErrorKind::Unavailable, Delivery::NotSent),
                Fault::LostAnswer => (ErrorKind::Unavailable, Delivery::Unknown),
                Fault::ServerError => (ErrorKind::Unavailable, Delivery::Answered),
                Fault::Throttled(0) => (ErrorKind::RateLimited, Delivery::Answered),
                Fault::Unauthorised => (ErrorKind::Auth, Delivery::Answered),
                _ => return false,
            };
            failing.fail_next_call(kind, delivery);
            true
        })
}

mkt_email::provider_conformance!(memory, || in_memory(Memory::new()));
mkt_email::provider_conformance!(memory_without_idempotency, || {
    in_memory(Memory::with_capabilities(Capabilities::minimal()))
});
mkt_email::provider_conformance!(maildir, in_a_directory);
mkt_email::provider_conformance!(boxed_and_shared, || {
    let provider = Memory::new();
    let boxed: Box<dyn EmailProvider> = Box::new(Arc::new(provider.clone()));
    Fixture::new(boxed, move || addresses(&provider))
});

mkt_email::provider_conformance!(brevo_in_a_fake, await || brevo(false));
mkt_email::provider_conformance!(brevo_with_headers_of_each_version, await || brevo(true));
mkt_email::provider_conformance!(mailgun_in_a_fake, await mailgun);

fn reached(emails: &[FakeEmail]) -> Vec<EmailAddress> {
    emails.iter().map(|email| email.to.clone()).collect()
}

async fn brevo(headers_per_version: bool) -> Fixture {
    let clock = ManualClock::new(start());
    let fake = Arc::new(FakeBrevo::start(Arc::new(clock.clone())).await.unwrap());
    fake.headers_per_version(headers_per_version);
    let provider = fake.provider().headers_per_version(headers_per_version).build().unwrap();
    let (seen, refusing) = (Arc::clone(&fake), Arc::clone(&fake));
    Fixture::new(provider, move || reached(&seen.delivered()))
        .with_clock(clock)
        .with_refusals(move |address| refusing.refuse(address))
        .with_faults(move |fault| {
            fake.inject(fault);
            !matches!(fault, Fault::Throttled(3..))
        })
}

async fn mailgun() -> Fixture {
    let clock = ManualClock::new(start());
    let fake = Arc::new(FakeMailgun::start(Arc::new(clock.clone())).await.unwrap());
    let provider = fake.provider().build().unwrap();
    let (seen, refusing) = (Arc::clone(&fake), Arc::clone(&fake));
    Fixture::new(provider, move || reached(&seen.delivered()))
        .with_clock(clock)
        .with_refusals(move |address| refusing.refuse(address))
        .with_faults(move |fault| {
            fake.inject(fault);
            !matches!(fault, Fault::Throttled(5..))
        })
}

/// Addresses are read from the files by an independent parser.
fn recipients(directory: &std::path::Path) -> Vec<EmailAddress> {
    std::fs::read_dir(directory.join("new"))
        .unwrap()
        .map(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let email = mail_parser::MessageParser::default().parse(&bytes).unwrap();
            email.to().unwrap().first().unwrap().address().unwrap().parse().unwrap()
        })
        .collect()
}

fn in_a_directory() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let provider = Maildir::open(directory.path()).unwrap();
    let (new, away) = (directory.path().join("new"), directory.path().join("away"));
    let lost = (new.clone(), away.clone());
    let seen = move || {
        if away.exists() {
            std::fs::rename(&away, &new).unwrap();
        }
        recipients(directory.path())
    };
    // Where emails go cannot be written to until somebody looks.
    Fixture::new(provider, seen)
        .with_faults(move |fault| fault == Fault::LostRequest && std::fs::rename(&lost.0, &lost.1).is_ok())
}

/// A call that is dropped goes on writing; what is said to have stayed away must not come after that.
#[tokio::test]
async fn settle_waits_for_a_maildir_that_still_writes() {
    let directory = tempfile::tempdir().unwrap();
    let maildir = Maildir::open(directory.path()).unwrap();
    let message = Message::builder(
        "news@example.com".parse().unwrap(),
        "reader@example.org".parse().unwrap(),
        "Hello".parse().unwrap(),
    );
    let message = Arc::new(message.text("Hello").build().unwrap());
    for round in 0..3 {
        let emails = (0..64).map(|number| Outgoing {
            key: IdempotencyKey::from_text(&format!("{round} {number}")),
            message: Arc::clone(&message),
        });
        let group = Group::new(start(), emails.collect());
        // Polled once, and dropped.
        let _ = tokio::time::timeout(std::time::Duration::ZERO, maildir.send(&group)).await;
        let settled = maildir.settle(&group).await.unwrap();
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        for (email, settlement) in group.emails().iter().zip(&settled) {
            let there = maildir.path_of(email.key).exists();
            assert!(
                !there || *settlement != Settlement::NotArrived,
                "it came after it was said to be absent"
            );
        }
    }
}

/// Claims everything, delivers twice, plans by the phase of a counter, answers short, invents arrivals, and prints
/// whom it wrote to.
#[derive(Debug)]
struct Broken {
    capabilities: Capabilities,
    delivered: Arc<Mutex<Vec<EmailAddress>>>,
    written_to: Mutex<Vec<String>>,
    plans: Mutex<usize>,
}

impl Broken {
    fn fixture() -> Fixture {
        let mut capabilities = Capabilities::minimal();
        capabilities.features.extend(Feature::ALL);
        capabilities.features.remove(&Feature::Tags);
        capabilities.max_recipients = 2;
        capabilities.idempotency = Idempotency::Key { within: None };
        let delivered: Arc<Mutex<Vec<EmailAddress>>> = Arc::default();
        let seen = Arc::clone(&delivered);
        let broken = Self { capabilities, delivered, written_to: Mutex::default(), plans: Mutex::new(0) };
        Fixture::new(broken, move || seen.lock().unwrap().clone())
    }

    fn deliver(&self, email: &Outgoing) {
        let address = email.message.to().address.clone();
        self.written_to.lock().unwrap().push(address.as_str().to_owned());
        self.delivered.lock().unwrap().push(address);
    }
}

#[async_trait]
impl EmailProvider for Broken {
    fn name(&self) -> &'static str {
        ""
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn plan(&self, messages: &[&Message], _: DateTime<Utc>) -> Plan {
        let mut plans = self.plans.lock().unwrap();
        *plans += 1;
        let mut plan = Plan::default();
        plan.groups = vec![(0..messages.len().saturating_sub(*plans % 2)).collect()];
        plan
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        for email in group.emails() {
            self.deliver(email);
            self.deliver(email);
        }
        Ok(vec![Outcome::Accepted { id: String::new() }])
    }

    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        let id = "invented".to_owned();
        Ok(vec![Settlement::Known(Outcome::Accepted { id }); group.emails().len()])
    }

    async fn check(&self) -> Result<()> {
        self.delivered.lock().unwrap().push("probe@example.org".parse().unwrap());
        Ok(())
    }
}

#[tokio::test]
async fn broken_provider_fails_the_right_checks() {
    let failed: Vec<_> = violations(&Broken::fixture).await.into_iter().map(|found| found.check).collect();
    assert_eq!(
        failed,
        [
            "capabilities_are_coherent",
            "plan_covers_each_message_once_within_limits",
            "planning_is_pure",
            "unsupported_feature_is_refused_by_name",
            "send_returns_one_outcome_per_email",
            "accepted_email_is_delivered_once",
            // Delivered twice, so accepted once is not enough to fail `supported_feature_is_accepted`.
            "repeated_key_has_no_second_effect",
            "settle_finds_delivered_emails",
            "settle_invents_no_deliveries",
            "check_sends_nothing",
            "dropped_features_are_allowed_and_listed",
            "output_shows_no_address",
        ]
    );
}

/// One way of lying about what a provider that works saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    None,
    LostIsAccepted,
    LostMayBeSentAgain,
    SettlesAsNotArrived,
    SettlesBySendingWhenever,
    ThrottlingRejects,
    LostIsRejected,
    CredentialsAreUnknown,
    CredentialsReject,
    OneBadRejectsAll,
    OneBadIsSilent,
    LeavesOutUnasked,
    LeavesOutUnlisted,
    TellsItsKeyInErrors,
}

#[derive(Debug)]
struct Liar<P> {
    inner: P,
    lie: Lie,
}

#[async_trait]
impl<P: EmailProvider> EmailProvider for Liar<P> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn plan(&self, messages: &[&Message], now: DateTime<Utc>) -> Plan {
        self.inner.plan(messages, now)
    }

    fn plan_with(&self, messages: &[&Message], now: DateTime<Utc>, degrade: &Degrade) -> Plan {
        let asked = if self.lie == Lie::LeavesOutUnasked { &Degrade::of(Feature::ALL) } else { degrade };
        let mut plan = self.inner.plan_with(messages, now, asked);
        if self.lie == Lie::LeavesOutUnlisted {
            plan.dropped.clear();
        }
        plan
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        let all = |outcome: Outcome| Ok(vec![outcome; group.emails().len()]);
        let rejected = || Outcome::Rejected { reason: RejectReason::Other, detail: String::new() };
        let accepted = || Outcome::Accepted { id: "lie".to_owned() };
        let answer = self.inner.send(group).await;
        let lost = matches!(&answer, Ok(outcomes) if matches!(outcomes[0], Outcome::Unknown { .. }));
        let refused = matches!(&answer, Ok(outcomes) if matches!(outcomes[0], Outcome::GroupRefused { .. }));
        let failed = answer.as_ref().err().map(Error::kind);
        match (self.lie, failed) {
            (Lie::LostIsAccepted, _) if lost => all(accepted()),
            (Lie::LostMayBeSentAgain, _) if lost => all(Outcome::Deferred {
                retry_at: group.at(),
                scope: Scope::Recipient,
                detail: String::new(),
            }),
            (Lie::ThrottlingRejects, Some(ErrorKind::RateLimited)) => all(rejected()),
            // A server error is a lost answer too.
            (Lie::LostIsRejected, _) if lost => all(rejected()),
            (Lie::CredentialsReject, Some(ErrorKind::Auth)) => all(rejected()),
            (Lie::CredentialsAreUnknown, Some(ErrorKind::Auth)) => {
                all(Outcome::Unknown { stage: Stage::AwaitingAnswer })
            }
            (Lie::OneBadRejectsAll, _) if refused => all(rejected()),
            (Lie::OneBadIsSilent, _) if refused => all(accepted()),
            (Lie::TellsItsKeyInErrors, Some(kind)) => {
                let told = Error::new(kind, "liar", "send").with_detail("the canary is wrong");
                Err(told.delivered(answer.err().map_or(Delivery::Unknown, |error| error.delivery())))
            }
            _ => answer,
        }
    }

    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        match self.lie {
            Lie::SettlesAsNotArrived => Ok(vec![Settlement::NotArrived; group.emails().len()]),
            Lie::SettlesBySendingWhenever => {
                Ok(self.inner.send(group).await?.into_iter().map(Settlement::Known).collect())
            }
            _ => self.inner.settle(group).await,
        }
    }

    async fn check(&self) -> Result<()> {
        self.inner.check().await
    }
}

async fn liar(lie: Lie) -> Fixture {
    let clock = ManualClock::new(start());
    let fake = Arc::new(FakeBrevo::start(Arc::new(clock.clone())).await.unwrap());
    let provider = Liar { inner: fake.provider().build().unwrap(), lie };
    let (seen, refusing) = (Arc::clone(&fake), Arc::clone(&fake));
    Fixture::new(provider, move || reached(&seen.delivered()))
        .with_clock(clock)
        .with_refusals(move |address| refusing.refuse(address))
        .with_faults(move |fault| {
            fake.inject(fault);
            !matches!(fault, Fault::Throttled(3..))
        })
}

#[tokio::test]
async fn broken_provider_under_faults_fails_the_right_checks() {
    let lost = [
        "lost_request_is_not_reported_as_answered",
        "lost_answer_is_unknown_and_settles_correctly",
        "server_error_leaves_the_outcome_unknown",
    ];
    let expected: [(Lie, &[&str]); 14] = [
        (Lie::None, &[]),
        (Lie::LostIsAccepted, &lost),
        (Lie::LostMayBeSentAgain, &lost),
        (
            Lie::SettlesAsNotArrived,
            &["settle_finds_delivered_emails", lost[1], "lost_answer_settles_correctly_later"],
        ),
        (Lie::SettlesBySendingWhenever, &["lost_answer_settles_correctly_later"]),
        (Lie::ThrottlingRejects, &["rate_limit_defers_and_loses_nothing"]),
        (Lie::LostIsRejected, &lost),
        (Lie::CredentialsAreUnknown, &["rejected_credentials_stop_and_lose_nothing"]),
        (Lie::CredentialsReject, &["rejected_credentials_stop_and_lose_nothing"]),
        (Lie::OneBadRejectsAll, &["rejected_address_does_not_affect_others"]),
        (Lie::OneBadIsSilent, &["rejected_address_does_not_affect_others"]),
        (Lie::LeavesOutUnasked, &["dropped_features_are_allowed_and_listed"]),
        (Lie::LeavesOutUnlisted, &["dropped_features_are_allowed_and_listed"]),
        (
            Lie::TellsItsKeyInErrors,
            &["rate_limit_defers_and_loses_nothing", "rejected_credentials_stop_and_lose_nothing"],
        ),
    ];
    for (lie, checks) in expected {
        let found = violations_of(&async || liar(lie).await).await;
        let failed: Vec<_> = found.iter().map(|violation| violation.check).collect();
        assert_eq!(failed, checks, "{lie:?}: {found:?}");
    }
}
