//! Sending plans, counted at the other side.

use super::*;
use chrono::{DateTime, TimeDelta, Utc};
use mkt_email::Mailbox;
use mkt_email::outbox::plan::{DomainGroup, Rate, SendingPlan, WarmUp};

on_each_engine!(
    no_window_holds_more_than_its_limit,
    limit_of_one_provider_does_not_hold_up_another,
    each_sender_has_its_own_limit,
    warm_up_grows_from_day_to_day,
    several_workers_share_a_plan,
    forecast_is_what_happens,
    rate_that_the_server_names_is_learnt,
);

type Arrivals = Arc<Mutex<Vec<(DateTime<Utc>, String)>>>;

/// Notes when emails arrive and to whom; every call takes 20 ms, and more than `most` in a second are refused.
#[derive(Debug, Clone)]
struct Server {
    inner: Memory,
    clock: ManualClock,
    most: Option<usize>,
    arrivals: Arrivals,
    refused: Arc<Mutex<usize>>,
}

impl Server {
    fn new(clock: &ManualClock) -> Self {
        let inner = forgetful();
        Self { inner, clock: clock.clone(), most: None, arrivals: Arc::default(), refused: Arc::default() }
    }

    fn arrivals(&self, whom: &str) -> Vec<DateTime<Utc>> {
        let arrivals = self.arrivals.lock().unwrap();
        arrivals.iter().filter(|(_, to)| to.contains(whom)).map(|(at, _)| *at).collect()
    }

    /// The most emails that any window of this length held.
    fn most_in(&self, window: TimeDelta, whom: &str) -> usize {
        let arrivals = self.arrivals(whom);
        let held =
            |end: &DateTime<Utc>| arrivals.iter().filter(|at| *at > &(*end - window) && *at <= end).count();
        arrivals.iter().map(held).max().unwrap_or(0)
    }
}

#[async_trait]
impl EmailProvider for Server {
    fn name(&self) -> &'static str {
        "server"
    }

    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    async fn send(&self, group: &Group) -> Result<Vec<Outcome>> {
        tokio::task::yield_now().await;
        let now = self.clock.now();
        if self.most.is_some_and(|most| {
            let arrivals = self.arrivals("");
            arrivals.iter().filter(|at| **at > now - TimeDelta::seconds(1)).count() >= most
        }) {
            *self.refused.lock().unwrap() += 1;
            let detail = "454 Throttling failure: Maximum sending rate exceeded.".to_owned();
            let retry_at = now + TimeDelta::seconds(1);
            return Ok(vec![Outcome::Deferred { retry_at, scope: Scope::Account, detail }]);
        }
        for email in group.emails() {
            let (from, to) = (email.message.from().address.as_str(), email.message.to().address.as_str());
            self.arrivals.lock().unwrap().push((now, format!("{from} {to}")));
        }
        let answer = self.inner.send(group).await;
        self.clock.advance(Duration::from_millis(20));
        answer
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }
}

async fn enqueue(outbox: &Outbox, from: &str, domain: &str, count: usize) {
    let from: Mailbox = from.parse().unwrap();
    let emails: Vec<_> = (0..count)
        .map(|number| {
            let to = address(&format!("reader{number}@{domain}"));
            let message =
                mkt_email::Message::builder(from.clone(), to.clone().into(), "Hello".parse().unwrap());
            let key = DedupKey::new(from.address.as_str(), to.as_str());
            NewEmail::transactional(key, message.text("Hello").build().unwrap())
        })
        .collect();
    outbox.enqueue(&emails, noon()).await.unwrap();
}

fn options(plan: SendingPlan) -> RunOptions {
    let mut options = RunOptions::default();
    options.plan = Some(plan);
    options.wait_up_to = Duration::from_hours(24 * 40);
    options
}

const NEWS: &str = "news@example.com";

async fn no_window_holds_more_than_its_limit(engine: Engine) {
    let (outbox, clock) = (engine.outbox().await, clock());
    enqueue(&outbox, NEWS, "gmail.com", 60).await;
    enqueue(&outbox, NEWS, "a.example", 60).await;
    let plan = SendingPlan::new()
        .account(Rate::per_second(3))
        .account(Rate::per_minute(30))
        .domains(DomainGroup::gmail(), Rate::per_minute(10));
    let server = Server::new(&clock);
    let report = outbox.run(&server, &clock, &options(plan)).await.unwrap();
    assert_eq!((report.accepted, report.rejected, report.deferred), (120, 0, 0));
    assert!(report.put_off > 0);
    assert!(server.most_in(TimeDelta::seconds(1), "") <= 3);
    assert!(server.most_in(TimeDelta::minutes(1), "") <= 30);
    assert!(server.most_in(TimeDelta::minutes(1), "gmail.com") <= 10);
    // Nor is the plan left unused: 60 at 10 a minute are six windows, and some wait for the limits of the account too.
    let took = *server.arrivals("gmail.com").last().unwrap() - noon();
    assert!(took >= TimeDelta::minutes(5) && took < TimeDelta::minutes(10), "{took}");
}

async fn limit_of_one_provider_does_not_hold_up_another(engine: Engine) {
    let (outbox, clock) = (engine.outbox().await, clock());
    enqueue(&outbox, NEWS, "gmail.com", 300).await;
    enqueue(&outbox, NEWS, "outlook.fr", 40).await;
    let plan = SendingPlan::new().domains(DomainGroup::gmail(), Rate::per_hour(100));
    let server = Server::new(&clock);
    outbox.run(&server, &clock, &options(plan)).await.unwrap();
    let others = *server.arrivals("outlook.fr").last().unwrap() - noon();
    assert!(others < TimeDelta::minutes(1), "{others}");
    let gmail = *server.arrivals("gmail.com").last().unwrap() - noon();
    assert!(gmail >= TimeDelta::hours(2) && gmail < TimeDelta::hours(3), "{gmail}");
    assert_eq!(server.most_in(TimeDelta::hours(1), "gmail.com"), 100);
}

async fn each_sender_has_its_own_limit(engine: Engine) {
    let (outbox, clock) = (engine.outbox().await, clock());
    enqueue(&outbox, NEWS, "a.example", 30).await;
    enqueue(&outbox, "orders@example.com", "b.example", 10).await;
    let plan = SendingPlan::new().each_sender(Rate::per_hour(10));
    let server = Server::new(&clock);
    outbox.run(&server, &clock, &options(plan)).await.unwrap();
    assert_eq!(server.most_in(TimeDelta::hours(1), NEWS), 10);
    assert!(*server.arrivals("orders@").last().unwrap() - noon() < TimeDelta::minutes(1));
}

async fn warm_up_grows_from_day_to_day(engine: Engine) {
    let (outbox, clock) = (engine.outbox().await, clock());
    enqueue(&outbox, NEWS, "a.example", 100).await;
    let start = noon() + TimeDelta::hours(1);
    let plan = SendingPlan::new().warm_up(WarmUp::new(start, [10, 20, 40]));
    let server = Server::new(&clock);
    outbox.run(&server, &clock, &options(plan)).await.unwrap();
    let mut days = [0; 4];
    for at in server.arrivals("") {
        assert!(at >= start);
        days[usize::try_from((at - start).num_days()).unwrap()] += 1;
    }
    // Windows slide: what left late on one day counts for the first hours of the next.
    assert_eq!(days, [10, 20, 40, 30]);
}

async fn several_workers_share_a_plan(engine: Engine) {
    let (place, clock) = (engine.place().await, clock());
    enqueue(&place.open().await, NEWS, "gmail.com", 40).await;
    let plan = SendingPlan::new().domains(DomainGroup::gmail(), Rate::per_minute(8));
    let server = Server::new(&clock);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let (place, server, clock, plan) = (place.clone(), server.clone(), clock.clone(), plan.clone());
        workers.spawn(async move {
            let mut options = options(plan);
            options.calls_in_flight = 2;
            place.open().await.run(&server, &clock, &options).await.unwrap();
        });
    }
    workers.join_all().await;
    assert_eq!(server.arrivals("").len(), 40);
    assert!(server.most_in(TimeDelta::minutes(1), "") <= 8);
}

async fn forecast_is_what_happens(engine: Engine) {
    let (outbox, clock) = (engine.outbox().await, clock());
    enqueue(&outbox, NEWS, "gmail.com", 250).await;
    enqueue(&outbox, NEWS, "yahoo.fr", 30).await;
    let plan = SendingPlan::new()
        .domains(DomainGroup::gmail(), Rate::per_hour(100))
        .domains(DomainGroup::yahoo(), Rate::per_minute(10));
    let server = Server::new(&clock);
    let forecast = outbox.forecast(&plan, server.account(), None, clock.now()).await.unwrap();
    assert_eq!((forecast.emails, forecast.never), (280, 0));
    assert_eq!(forecast.because.as_deref(), Some("gmail: 100 per hour"));
    let yahoo = forecast.limits.iter().find(|limit| limit.name == "yahoo").unwrap();
    assert_eq!((yahoo.emails, yahoo.last_at), (30, Some(noon() + TimeDelta::minutes(2))));
    // After a part has left, what was sent is counted.
    let mut some = options(plan.clone());
    some.wait_up_to = Duration::ZERO;
    outbox.run(&server, &clock, &some).await.unwrap();
    let again = outbox.forecast(&plan, server.account(), None, clock.now()).await.unwrap();
    assert_eq!(again.emails, 150 + 20);
    let late = again.last_at.unwrap() - forecast.last_at.unwrap();
    assert!(late.abs() < TimeDelta::minutes(1), "{late}");
    outbox.run(&server, &clock, &options(plan)).await.unwrap();
    let last = server.arrivals("").into_iter().max().unwrap() - forecast.last_at.unwrap();
    assert!(last.abs() < TimeDelta::minutes(1), "{last}");
}

async fn rate_that_the_server_names_is_learnt(engine: Engine) {
    let (outbox, clock) = (engine.outbox().await, clock());
    enqueue(&outbox, NEWS, "a.example", 200).await;
    let server = Server { most: Some(14), ..Server::new(&clock) };
    let mut options = RunOptions::default();
    options.wait_up_to = Duration::from_hours(1);
    let report = outbox.run(&server, &clock, &options).await.unwrap();
    assert_eq!((report.accepted, report.rejected), (200, 0), "{report:?}");
    // 200 at 14 a second are 15 seconds, and not a pause of five minutes each.
    let took = *server.arrivals("").last().unwrap() - noon();
    assert!(took < TimeDelta::seconds(40), "{took}");
    let (learnt, refused) = (report.learnt_rate.unwrap(), *server.refused.lock().unwrap());
    assert!((8..=14).contains(&learnt) && refused <= 4, "{learnt} a second after {refused} refusals");
}
