//! Several workers, late workers, dropped runs; and the counts while they work.

use super::*;

on_each_engine!(
    late_worker_loses_its_emails_and_none_is_sent_twice,
    four_senders_send_each_email_once,
    counts_add_up_at_every_instant,
    dropped_run_loses_and_repeats_nobody,
    call_longer_than_a_lease_is_not_lost,
    long_call_keeps_its_lease,
    long_run_takes_over_emails_of_a_late_worker,
);

/// Holds the answers to some calls until it is told to give them.
#[derive(Debug, Clone)]
struct Held {
    provider: Memory,
    /// Only the first reader's call, and every other takes an eighth of a second.
    first_only: bool,
    begun: Arc<tokio::sync::watch::Sender<usize>>,
    answers: Arc<tokio::sync::watch::Sender<bool>>,
}

impl Held {
    fn new(provider: &Memory, first_only: bool) -> Self {
        let provider = provider.clone();
        Self { provider, first_only, begun: Arc::default(), answers: Arc::default() }
    }

    /// Waits until so many calls are held.
    async fn holds(&self, calls: usize) {
        self.begun.subscribe().wait_for(|begun| *begun == calls).await.unwrap();
    }

    fn answer(&self) {
        self.answers.send_replace(true);
    }
}

#[async_trait]
impl EmailProvider for Held {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &Capabilities {
        self.provider.capabilities()
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        if self.first_only && group.emails()[0].message.to().address != reader(0) {
            tokio::time::sleep(Duration::from_millis(125)).await;
        } else {
            self.begun.send_modify(|begun| *begun += 1);
            self.answers.subscribe().wait_for(|given| *given).await.unwrap();
        }
        self.provider.send(group).await
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

/// An SMTP server may take ten minutes for its last answer (RFC 5321), twice the lease.
async fn call_longer_than_a_lease_is_not_lost(engine: Engine) {
    let (outbox, provider) = (engine.with(2).await, forgetful());
    let mut options = RunOptions::default();
    options.lease = Duration::from_secs(3);
    options.calls_in_flight = 2;
    options.budgets = vec![mkt_email::outbox::Budget::calls(2, Duration::from_millis(1))];
    let (slow, clock) = (Held::new(&provider, false), SystemClock::new());
    let first = outbox.run(&slow, &clock, &options);
    let others = async {
        slow.holds(2).await;
        for _ in 0..3 {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            // Past the lease the calls still hold the budget, and nothing is taken over.
            let report = outbox.run(&provider, &clock, &options).await.unwrap();
            assert_eq!((report.accepted, report.settled, counts(&outbox).await.pending), (0, 0, 2));
        }
        slow.answer();
    };
    let (report, ()) = tokio::join!(first, others);
    assert_eq!((report.unwrap().accepted, provider.delivered().len()), (2, 2));
}

/// Takes an email and never answers: a worker that is alive and stuck.
#[derive(Debug)]
struct Stuck(Memory);

#[async_trait]
impl EmailProvider for Stuck {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        self.0.send(group).await?;
        std::future::pending().await
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

async fn late_worker_loses_its_emails_and_none_is_sent_twice(engine: Engine) {
    let outbox = engine.outbox().await;
    let emails: Vec<_> = (0..3).map(|number| transactional("test", &reader(number))).collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
    let (provider, clock) = (Memory::new(), clock());
    let stuck = {
        let (outbox, provider, clock) = (outbox.clone(), Stuck(provider.clone()), clock.clone());
        tokio::spawn(async move { outbox.run(&provider, &clock, &RunOptions::default()).await })
    };
    while provider.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // The first worker is alive and within its lease: nothing is taken from it.
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.settled, counts(&outbox).await.pending), (0, 0, 3));
    clock.advance(Duration::from_secs(301));
    let report = outbox.run(&provider, &clock, &RunOptions::default()).await.unwrap();
    assert_eq!((report.accepted, report.settled), (3, 3));
    assert_eq!(provider.delivered().len(), 3);
    stuck.abort();
}

async fn four_senders_send_each_email_once(engine: Engine) {
    let place = engine.place().await;
    let provider = forgetful();
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let (place, provider) = (place.clone(), provider.clone());
        senders.spawn(async move {
            let outbox = place.open().await;
            let emails: Vec<_> = (0..200).map(|number| transactional("test", &reader(number))).collect();
            outbox.enqueue(&emails, noon()).await.unwrap();
            let mut options = RunOptions::default();
            options.batch = 7;
            outbox.run(&provider, &SystemClock::new(), &options).await.unwrap().accepted
        });
    }
    let accepted: u64 = senders.join_all().await.into_iter().sum();
    let mut reached = reached(&provider);
    reached.sort();
    reached.dedup();
    assert_eq!((accepted, reached.len(), provider.delivered().len()), (200, 200, 200));
}

/// Every commit of a run is followed by the identity P2, seen from another connection.
async fn counts_add_up_at_every_instant(engine: Engine) {
    let place = engine.place().await;
    let outbox = place.open().await;
    let emails: Vec<_> = (0..300).map(|number| transactional("test", &reader(number))).collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
    let provider = forgetful();
    for number in 0..300 {
        match number % 5 {
            1 => provider.script(&reader(number), Script::Reject(RejectReason::Policy)),
            2 => provider.script(&reader(number), Script::LoseAnswer),
            3 => {
                let wait = Duration::from_secs(60);
                provider.script(&reader(number), Script::Defer { wait, scope: Scope::Recipient });
            }
            _ => {}
        }
    }
    let watched = place.open().await;
    let running = tokio::spawn(async move { outbox.run(&provider, &clock(), &RunOptions::default()).await });
    let mut polls = 0;
    while !running.is_finished() {
        assert_eq!(counts(&watched).await.recipients, 300);
        polls += 1;
    }
    running.await.unwrap().unwrap();
    assert!(polls > 10, "{polls}");
    let expected =
        Counts { recipients: 300, sent: 120, failed: 60, unknown: 60, pending: 60, ..Counts::default() };
    assert_eq!(counts(&watched).await, expected);
}

/// Ctrl-C in a program that selects on it: the run is dropped wherever it waits, also inside a transaction.
async fn dropped_run_loses_and_repeats_nobody(engine: Engine) {
    let outbox = engine.outbox().await;
    let emails: Vec<_> = (0..150).map(|number| transactional("test", &reader(number))).collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
    let provider = forgetful();
    let mut random = SplitMix64::seed_from_u64(7);
    let mut dropped = 0;
    for _ in 0..60 {
        let patience = Duration::from_micros(random.random_range(100..12_000));
        let clock = clock();
        let options = RunOptions::default();
        let run = outbox.run(&provider, &clock, &options);
        dropped += u64::from(tokio::time::timeout(patience, run).await.is_err());
        counts(&outbox).await;
    }
    outbox.run(&provider, &clock(), &RunOptions::default()).await.unwrap();
    let counts = counts(&outbox).await;
    assert_eq!((counts.recipients, counts.sent + counts.unknown), (150, 150));
    assert!(dropped > 0 && counts.unknown <= dropped, "{counts:?}, {dropped} dropped");
    let mut reached = reached(&provider);
    let all = reached.len() as u64;
    reached.sort();
    reached.dedup();
    assert_eq!(reached.len() as u64, all, "somebody was mailed twice");
    assert!((counts.sent..=150).contains(&all), "{all} delivered, {counts:?}");
}

/// A transaction that saw the tables before it had its lock would miss a wish, or end with an error.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_run_on_a_serializable_server() {
    if !crate::engines::postgres_is_there() {
        return;
    }
    let mut place = Engine::Postgres.place().await;
    place.url.push_str("&options[default_transaction_isolation]=serializable");
    let outbox = place.open().await;
    fill(&outbox, 200).await;
    let (provider, clock, mut options) = (forgetful(), SystemClock::new(), RunOptions::default());
    options.batch = 7;
    let run = || outbox.run(&provider, &clock, &options);
    let (a, b, c, d) = tokio::join!(run(), run(), run(), run());
    let accepted: u64 = [a, b, c, d].into_iter().map(|report| report.unwrap().accepted).sum();
    assert_eq!((accepted, provider.delivered().len()), (200, 200));
}

async fn long_call_keeps_its_lease(engine: Engine) {
    let (outbox, provider) = (engine.with(45).await, forgetful());
    let mut options = RunOptions::default();
    options.lease = Duration::from_secs(2);
    options.calls_in_flight = 2;
    let (slow, clock) = (Held::new(&provider, true), SystemClock::new());
    let first = outbox.run(&slow, &clock, &options);
    let another = async {
        slow.holds(1).await;
        // Past the lease of the long call; the run never paused since, for others ended all the while.
        tokio::time::sleep(Duration::from_millis(3500)).await;
        let (mut options, other) = (RunOptions::default(), forgetful());
        options.campaign = Some("another".to_owned());
        outbox.run(&other, &clock, &options).await.unwrap();
        let unknown = counts(&outbox).await.unknown;
        slow.answer();
        unknown
    };
    let (report, unknown) = tokio::join!(first, another);
    assert_eq!((report.unwrap().accepted, unknown), (45, 0));
    assert_eq!(counts(&outbox).await.sent, 45);
}

async fn long_run_takes_over_emails_of_a_late_worker(engine: Engine) {
    let (outbox, provider, clock) = (engine.outbox().await, Memory::new(), clock());
    outbox.enqueue(&[transactional("test", &reader(0))], noon()).await.unwrap();
    let stuck = {
        let (outbox, provider, clock) = (outbox.clone(), Stuck(provider.clone()), clock.clone());
        tokio::spawn(async move { outbox.run(&provider, &clock, &RunOptions::default()).await })
    };
    while provider.calls() == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Due long after the lease of the stuck call has passed.
    let mut later = transactional("test", &reader(1));
    later.not_before = Some(noon() + chrono::TimeDelta::hours(1));
    outbox.enqueue(&[later], noon()).await.unwrap();
    let mut options = RunOptions::default();
    options.wait_up_to = Duration::from_secs(7200);
    let report = outbox.run(&provider, &clock, &options).await.unwrap();
    assert_eq!((report.accepted, report.settled), (2, 1));
    assert_eq!((provider.delivered().len(), counts(&outbox).await.sent), (2, 2));
    stuck.abort();
}

/// The server ends the session by which a worker is known to be alive: the worker is taken for dead while it lives.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn worker_without_session_loses_its_emails_once() {
    use sqlx::Connection;
    if !crate::engines::postgres_is_there() {
        return;
    }
    let place = Engine::Postgres.place().await;
    let (outbox, provider, clock) = (place.open().await, forgetful(), SystemClock::new());
    fill(&outbox, 40).await;
    let mut options = RunOptions::default();
    options.calls_in_flight = 2;
    let slow = Slow(provider.clone(), Duration::from_millis(150));
    let meddler = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let mut admin = sqlx::PgConnection::connect(&place.url).await.unwrap();
        // Of this outbox only: the other tests' workers are on the same server.
        let ended: Vec<bool> = sqlx::query_scalar(
            "SELECT pg_terminate_backend(l.pid) FROM pg_locks AS l
              WHERE l.locktype = 'advisory' AND l.mode = 'ShareLock' AND l.granted
                AND (l.classid::bigint << 32) | l.objid::bigint IN (
                    SELECT hashtextextended(o.worker, ('x' || i.outbox_id)::bit(64)::bigint)
                      FROM mail_outbox AS o, mail_identity AS i WHERE o.worker IS NOT NULL)",
        )
        .fetch_all(&mut admin)
        .await
        .unwrap();
        assert_eq!(ended, [true]);
        outbox.run(&slow, &clock, &options).await.unwrap()
    };
    let (first, second) = tokio::join!(outbox.run(&slow, &clock, &options), meddler);
    // Whether the first run ended well or not, what it was sending is known or unknown, and nothing was sent twice.
    let counts = counts(&outbox).await;
    assert_eq!((counts.sent + counts.unknown, counts.pending), (40, 0), "{first:?} {second:?}");
    assert!(counts.unknown <= 2, "{counts:?}");
    let mut reached = reached(&provider);
    reached.sort();
    reached.dedup();
    assert_eq!((reached.len(), provider.delivered().len()), (40, 40));
}
