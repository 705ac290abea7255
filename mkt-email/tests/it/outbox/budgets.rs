//! Budgets of an account, counted at the other side.

use super::*;
use chrono::{DateTime, Utc};
use mkt_email::outbox::Budget;

on_each_engine!(
    no_period_exceeds_the_budget,
    budget_of_24_hours_is_a_rolling_window,
    calls_have_a_budget_too,
    failed_call_costs_no_email_budget,
    budget_of_zero_sends_nothing,
);

type Arrivals = Arc<Mutex<Vec<(DateTime<Utc>, usize)>>>;

/// Notes when emails arrive; every call takes 200 ms.
#[derive(Debug, Clone)]
struct Peer {
    inner: Memory,
    clock: ManualClock,
    arrivals: Arrivals,
}

impl Peer {
    fn new(group: usize, clock: &ManualClock) -> Self {
        let mut capabilities = Memory::new().capabilities().clone();
        capabilities.max_recipients = group;
        let inner = Memory::with_capabilities(capabilities);
        Self { inner, clock: clock.clone(), arrivals: Arc::default() }
    }

    /// The most units that any stretch of so many seconds held.
    fn most_in(&self, seconds: i64, unit: impl Fn(usize) -> usize) -> usize {
        let arrivals = self.arrivals.lock().unwrap();
        let from = |end: DateTime<Utc>| end - chrono::TimeDelta::seconds(seconds);
        let held = |end: DateTime<Utc>| {
            let within = arrivals.iter().filter(|(at, _)| *at > from(end) && *at <= end);
            within.map(|(_, emails)| unit(*emails)).sum()
        };
        arrivals.iter().map(|(end, _)| held(*end)).max().unwrap_or(0)
    }
}

#[async_trait]
impl EmailProvider for Peer {
    fn name(&self) -> &'static str {
        "peer"
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        tokio::task::yield_now().await;
        self.arrivals.lock().unwrap().push((self.clock.now(), group.emails().len()));
        let answer = self.inner.send(group).await;
        self.clock.advance(Duration::from_millis(200));
        answer
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

fn options(budgets: Vec<Budget>) -> RunOptions {
    let mut options = RunOptions::default();
    options.budgets = budgets;
    options.wait_up_to = Duration::from_hours(200);
    options
}

/// Three senders, each with connections of its own, two calls at a time.
async fn no_period_exceeds_the_budget(engine: Engine) {
    let (place, clock) = (engine.place().await, clock());
    fill(&place.open().await, 60).await;
    let peer = Peer::new(3, &clock);
    let (minute, ten) = (Duration::from_secs(60), Duration::from_secs(10));
    let mut senders = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (place, peer, clock) = (place.clone(), peer.clone(), clock.clone());
        senders.spawn(async move {
            let mut options = options(vec![Budget::emails(20, minute), Budget::emails(5, ten)]);
            options.calls_in_flight = 2;
            place.open().await.run(&peer, &clock, &options).await.unwrap();
        });
    }
    senders.join_all().await;
    assert_eq!(peer.inner.delivered().len(), 60);
    let (in_ten, in_a_minute) = (peer.most_in(10, |emails| emails), peer.most_in(60, |emails| emails));
    assert!(in_ten <= 5 && in_a_minute <= 20, "{in_ten} in 10 s, {in_a_minute} in 60 s");
    // Neither is the budget left unused: 60 emails at 20 a minute are sent within a few minutes. Each of the three senders
    // moves the one clock when it waits, so at worst the minutes pass three times as fast.
    let took = clock.now() - noon();
    assert!(in_ten == 5 && took.num_seconds() < 3 * 330, "{in_ten}, {took}");
}

async fn budget_of_24_hours_is_a_rolling_window(engine: Engine) {
    let (place, clock) = (engine.place().await, clock());
    fill(&place.open().await, 1200).await;
    let peer = Peer::new(100, &clock);
    let day = Duration::from_hours(24);
    // A process after the other, each some hours later: what was spent is remembered.
    let mut options = options(vec![Budget::emails(500, day)]);
    options.wait_up_to = Duration::ZERO;
    let mut sent = Vec::new();
    for _ in 0..9 {
        let report = place.open().await.run(&peer, &clock, &options).await.unwrap();
        sent.push(report.accepted);
        if report.accepted == 0 && peer.inner.delivered().len() < 1200 {
            let again = report.next_due.unwrap();
            assert!(again > clock.now() && again - clock.now() <= chrono::TimeDelta::hours(24), "{again}");
        }
        clock.advance(Duration::from_hours(8));
    }
    assert_eq!(sent, [500, 0, 0, 500, 0, 0, 200, 0, 0]);
    assert_eq!(peer.most_in(24 * 3600, |emails| emails), 500);
}

async fn calls_have_a_budget_too(engine: Engine) {
    let (outbox, clock) = (engine.with(30).await, clock());
    let peer = Peer::new(3, &clock);
    let options = options(vec![Budget::calls(2, Duration::from_secs(60))]);
    outbox.run(&peer, &clock, &options).await.unwrap();
    assert_eq!((peer.inner.delivered().len(), peer.inner.calls()), (30, 10));
    assert_eq!(peer.most_in(60, |_| 1), 2);
}

async fn failed_call_costs_no_email_budget(engine: Engine) {
    let (outbox, clock) = (engine.with(5).await, clock());
    let peer = Peer::new(5, &clock);
    peer.inner.fail_next_call(ErrorKind::RateLimited, Delivery::Answered);
    let options = options(vec![Budget::emails(5, Duration::from_hours(24))]);
    outbox.run(&peer, &clock, &options).await.unwrap();
    assert_eq!(peer.inner.delivered().len(), 5);
    assert!(clock.now() - noon() < chrono::TimeDelta::hours(1));
}

async fn budget_of_zero_sends_nothing(engine: Engine) {
    let (outbox, clock) = (engine.with(2).await, clock());
    let peer = Peer::new(5, &clock);
    let options = options(vec![Budget::emails(0, Duration::from_secs(1))]);
    let report = outbox.run(&peer, &clock, &options).await.unwrap();
    assert_eq!((peer.inner.calls(), report.next_due), (0, Some(DateTime::<Utc>::MAX_UTC)));
    assert_eq!(counts(&outbox).await.pending, 2);
}
