//! Calls that a vendor refuses as a whole: halved until the email that spoils them is alone.

use super::*;
use std::collections::BTreeSet;

on_each_engine!(
    one_bad_email_of_a_group_stops_no_other,
    a_group_of_bad_mails_ends,
    lost_answer_while_splitting_is_settled,
    campaign_cancelled_while_a_group_is_split_is_cancelled,
);

/// Refuses every call that holds a bad email, as vendors that check a whole request do.
#[derive(Debug)]
struct Picky {
    inner: Memory,
    bad: BTreeSet<String>,
    /// What each call held.
    calls: Mutex<Vec<usize>>,
    keys: Mutex<Vec<(String, mkt_email::IdempotencyKey)>>,
    meddle: Option<Outbox>,
    lose_from: usize,
}

impl Picky {
    fn new(bad: &[usize]) -> Self {
        Self {
            inner: Memory::new(),
            bad: bad.iter().map(|number| reader(*number).as_str().to_owned()).collect(),
            calls: Mutex::default(),
            keys: Mutex::default(),
            meddle: None,
            lose_from: usize::MAX,
        }
    }
}

#[async_trait]
impl EmailProvider for Picky {
    fn name(&self) -> &'static str {
        "picky"
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        let emails = group.emails();
        let call = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(emails.len());
            let named =
                emails.iter().map(|email| (email.message.to().address.as_str().to_owned(), email.key));
            self.keys.lock().unwrap().extend(named);
            calls.len()
        };
        if let Some(outbox) = self.meddle.as_ref().filter(|_| call == 1) {
            outbox.cancel("test", noon()).await?;
        }
        let bad = emails.iter().any(|email| self.bad.contains(email.message.to().address.as_str()));
        let (reason, detail) = (RejectReason::InvalidAddress, "scripted".to_owned());
        match (bad, emails.len()) {
            (true, 1) => Ok(vec![Outcome::Rejected { reason, detail }]),
            (true, _) => Ok(vec![Outcome::GroupRefused { reason, detail }; emails.len()]),
            (false, _) => {
                let answer = self.inner.send(group).await;
                let lost = Outcome::Unknown { stage: mkt_email::provider::Stage::AwaitingAnswer };
                if call >= self.lose_from { Ok(vec![lost; emails.len()]) } else { answer }
            }
        }
    }

    async fn settle(&self, group: &Group) -> Result<Vec<mkt_email::provider::Settlement>> {
        self.inner.settle(group).await
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

async fn one_bad_email_of_a_group_stops_no_other(engine: Engine) {
    for bad in [0, 37, 63] {
        let (outbox, provider) = (engine.with(64).await, Picky::new(&[bad]));
        let report = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
        assert_eq!((report.accepted, report.rejected, report.split), (63, 1, 6));
        assert_eq!(
            counts(&outbox).await,
            Counts { recipients: 64, sent: 63, failed: 1, ..Counts::default() }
        );
        assert_eq!(provider.inner.delivered().len(), 63);
        // The whole, then two halves on each of log2(64) levels.
        let mut calls = provider.calls.lock().unwrap().clone();
        calls.sort_unstable();
        assert_eq!(calls, [1, 1, 2, 2, 4, 4, 8, 8, 16, 16, 32, 32, 64]);
        // Every attempt has a key of its own.
        let keys = provider.keys.lock().unwrap().clone();
        let spoilt: BTreeSet<_> =
            keys.iter().filter(|(to, _)| provider.bad.contains(to)).map(|(_, key)| *key).collect();
        assert_eq!(spoilt.len(), 7);
    }
}

async fn a_group_of_bad_mails_ends(engine: Engine) {
    let (outbox, provider) = (engine.with(16).await, Picky::new(&(0..16).collect::<Vec<_>>()));
    let mut options = RunOptions::default();
    // Refusals because of others do not use up attempts.
    options.max_attempts = 1;
    let report = outbox.run(&provider, &clock(), &options).await.unwrap();
    assert_eq!((report.accepted, report.rejected), (0, 16));
    assert_eq!(provider.calls.lock().unwrap().len(), 31);
}

async fn lost_answer_while_splitting_is_settled(engine: Engine) {
    let (outbox, mut provider) = (engine.with(8).await, Picky::new(&[7]));
    provider.lose_from = 2;
    let report = outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert!(report.unknown > 0 && report.settled == report.unknown, "{report:?}");
    assert_eq!(counts(&outbox).await, Counts { recipients: 8, sent: 7, failed: 1, ..Counts::default() });
    assert_eq!(provider.inner.delivered().len(), 7);
}

async fn campaign_cancelled_while_a_group_is_split_is_cancelled(engine: Engine) {
    let (outbox, mut provider) = (engine.with(8).await, Picky::new(&[3]));
    provider.meddle = Some(outbox.clone());
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    assert_eq!(counts(&outbox).await, Counts { recipients: 8, cancelled: 8, ..Counts::default() });
    assert_eq!(*provider.calls.lock().unwrap(), [8]);
}
