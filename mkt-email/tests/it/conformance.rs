//! The public suite on our providers, and on one that breaks every clause it can.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use mkt_connect::Result;
use mkt_email::testing::{Fixture, violations};
use mkt_email::{
    Capabilities, EmailAddress, EmailProvider, Feature, Group, Idempotency, Maildir, Memory, Message,
    Outcome, Outgoing, Plan, Settlement,
};
use std::sync::{Arc, Mutex};

fn addresses(provider: &Memory) -> Vec<EmailAddress> {
    provider.delivered().iter().map(|mail| mail.message.to().address.clone()).collect()
}

fn in_memory(provider: Memory) -> Fixture {
    let inside = provider.clone();
    Fixture::new(provider, move || addresses(&inside))
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

/// Addresses are read from the files by an independent parser.
fn recipients(directory: &std::path::Path) -> Vec<EmailAddress> {
    std::fs::read_dir(directory.join("new"))
        .unwrap()
        .map(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            let mail = mail_parser::MessageParser::default().parse(&bytes).unwrap();
            mail.to().unwrap().first().unwrap().address().unwrap().parse().unwrap()
        })
        .collect()
}

fn in_a_directory() -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let provider = Maildir::open(directory.path()).unwrap();
    Fixture::new(provider, move || recipients(directory.path()))
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

    fn deliver(&self, mail: &Outgoing) {
        let address = mail.message.to().address.clone();
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
        for mail in group.mails() {
            self.deliver(mail);
            self.deliver(mail);
        }
        Ok(vec![Outcome::Accepted { id: String::new() }])
    }

    async fn settle(&self, group: &Group) -> Result<Vec<Settlement>> {
        let id = "invented".to_owned();
        Ok(vec![Settlement::Known(Outcome::Accepted { id }); group.mails().len()])
    }

    async fn check(&self) -> Result<()> {
        self.delivered.lock().unwrap().push("probe@example.org".parse().unwrap());
        Ok(())
    }
}

#[tokio::test]
async fn a_broken_provider_fails_every_check_that_its_faults_concern() {
    let failed: Vec<_> = violations(&Broken::fixture).await.into_iter().map(|found| found.check).collect();
    assert_eq!(
        failed,
        [
            "the_declaration_is_coherent",
            "a_plan_covers_every_message_once_and_keeps_the_limit",
            "planning_is_pure",
            "what_is_not_supported_is_refused_by_name",
            "there_is_one_outcome_for_each_mail",
            "what_is_accepted_is_delivered_once",
            // Delivered twice, so accepted once is not enough to fail `everything_supported_is_accepted`.
            "a_repeated_key_has_no_second_effect",
            "settling_finds_what_arrived",
            "settling_does_not_invent_arrivals",
            "checking_sends_nothing",
            "nothing_shown_holds_an_address",
        ]
    );
}
