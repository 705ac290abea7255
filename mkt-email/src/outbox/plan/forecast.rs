//! When the last email will have left, before the first one does. Pure.

use super::{Limit, Scope, SendingPlan};
use crate::EmailAddress;
use chrono::{DateTime, Utc};
use serde::Serialize;
use std::collections::BTreeMap;

/// The most steps of a forecast. A step sends to everybody for whom there is room: a million emails at ten a second are a
/// hundred thousand.
const MAX_STEPS: usize = 5_000_000;

/// Recipients that count for the same limits.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipients {
    /// Who sends.
    pub sender: EmailAddress,
    /// A domain of the recipients; which one of its group does not matter.
    pub domain: String,
    /// How many there are.
    pub emails: u64,
}

impl Recipients {
    /// So many recipients at a domain.
    #[must_use]
    pub fn new(sender: EmailAddress, domain: impl Into<String>, emails: u64) -> Self {
        Self { sender, domain: domain.into(), emails }
    }
}

/// When emails will leave by a plan, if the provider takes them as fast as the plan allows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Forecast {
    /// Emails that wait.
    pub emails: u64,
    /// When the first leaves.
    pub first_at: Option<DateTime<Utc>>,
    /// When the last leaves; `None` where there are none, or where a limit never lets them leave.
    pub last_at: Option<DateTime<Utc>>,
    /// The limit that the last email waits for, such as `gmail: 500 per hour`; `None` if it waits for none.
    pub because: Option<String>,
    /// Emails that never leave: a limit is 0.
    pub never: u64,
    /// What each limit lets through, and when it is done.
    pub limits: Vec<ForecastLimit>,
}

/// One limit in a forecast.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ForecastLimit {
    /// `account`, `sender`, or the name of a group of domains.
    pub name: String,
    /// Emails that it counts.
    pub emails: u64,
    /// When the last of them leaves.
    pub last_at: Option<DateTime<Utc>>,
}

/// What was sent in a scope, oldest first.
pub(super) type Spent = BTreeMap<Scope, Sent>;

/// Instants, and the sum of all emails up to each.
#[derive(Debug, Clone, Default)]
pub(super) struct Sent(Vec<(i64, u64)>);

impl Sent {
    /// Adds emails, not before those that are there.
    pub(super) fn add(&mut self, at: i64, emails: u64) {
        let (last, sum) = self.0.last().copied().unwrap_or((at, 0));
        self.0.push((at.max(last), sum.saturating_add(emails)));
    }

    /// Emails up to an instant.
    fn until(&self, at: i64) -> u64 {
        let count = self.0.partition_point(|(known, _)| *known <= at);
        count.checked_sub(1).and_then(|last| self.0.get(last)).map_or(0, |(_, sum)| *sum)
    }

    fn all(&self) -> u64 {
        self.0.last().map_or(0, |(_, sum)| *sum)
    }

    /// When the sum reached so many.
    fn reached(&self, sum: u64) -> Option<i64> {
        let before = self.0.partition_point(|(_, known)| *known < sum);
        self.0.get(before).map(|(at, _)| *at)
    }
}

struct Class {
    scopes: Vec<Scope>,
    left: u64,
}

impl SendingPlan {
    /// When these emails leave, if the first is sent at `now` and nothing was sent before. Each group of recipients is sent
    /// to as fast as its limits allow.
    ///
    /// ```
    /// use mkt_email::outbox::plan::{DomainGroup, Rate, Recipients, SendingPlan};
    /// let plan = SendingPlan::new().domains(DomainGroup::gmail(), Rate::per_hour(500));
    /// let now = "2026-10-26T08:00:00Z".parse()?;
    /// let recipients = [Recipients::new("news@shop.example".parse()?, "gmail.com", 1_200)];
    /// let forecast = plan.forecast(&recipients, now);
    /// assert_eq!(forecast.last_at, Some("2026-10-26T10:00:00Z".parse()?));
    /// assert_eq!(forecast.because.as_deref(), Some("gmail: 500 per hour"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn forecast(&self, recipients: &[Recipients], now: DateTime<Utc>) -> Forecast {
        self.forecast_from(recipients, Spent::new(), now)
    }

    pub(super) fn forecast_from(
        &self,
        recipients: &[Recipients],
        spent: Spent,
        now: DateTime<Utc>,
    ) -> Forecast {
        let mut classes: BTreeMap<Vec<Scope>, u64> = BTreeMap::new();
        for some in recipients {
            *classes.entry(self.scopes(&some.sender, &some.domain)).or_default() += some.emails;
        }
        let emails = classes.values().sum();
        let mut limits: BTreeMap<Scope, ForecastLimit> = BTreeMap::new();
        for (scopes, count) in &classes {
            for scope in scopes {
                let name = self.name(scope);
                limits
                    .entry(scope.clone())
                    .or_insert(ForecastLimit { name, emails: 0, last_at: None })
                    .emails += count;
            }
        }
        let classes = classes.into_iter().map(|(scopes, left)| Class { scopes, left }).collect();
        let mut run =
            Simulation { plan: self, spent, classes, limits, first: None, last: None, because: None };
        run.run(now);
        let never = run.classes.iter().map(|class| class.left).sum();
        Forecast {
            emails,
            first_at: run.first,
            last_at: run.last.filter(|_| never == 0),
            because: run.because,
            never,
            limits: run.limits.into_values().collect(),
        }
    }

    fn name(&self, scope: &Scope) -> String {
        match scope {
            Scope::Account => "account".to_owned(),
            Scope::Sender(key) => format!("sender #{key:.8}"),
            Scope::Group(at) => {
                self.groups.get(*at).map(|(group, _)| group.name().to_owned()).unwrap_or_default()
            }
        }
    }
}

struct Simulation<'a> {
    plan: &'a SendingPlan,
    spent: Spent,
    classes: Vec<Class>,
    limits: BTreeMap<Scope, ForecastLimit>,
    first: Option<DateTime<Utc>>,
    last: Option<DateTime<Utc>>,
    because: Option<String>,
}

impl Simulation<'_> {
    fn run(&mut self, mut now: DateTime<Utc>) {
        let mut waited_for: Option<String> = None;
        for _ in 0..MAX_STEPS {
            let mut next: Option<(DateTime<Utc>, String)> = None;
            let mut sent = false;
            for at in 0..self.classes.len() {
                let Some(class) = self.classes.get(at).filter(|class| class.left > 0) else { continue };
                let (scopes, left) = (class.scopes.clone(), class.left);
                let mut most = left;
                for scope in &scopes {
                    for limit in self.plan.limits(scope, now) {
                        most = most.min(self.room(scope, &limit, now));
                    }
                }
                if most > 0 {
                    sent = true;
                    for scope in &scopes {
                        self.spent.entry(scope.clone()).or_default().add(now.timestamp_millis(), most);
                        if let Some(limit) = self.limits.get_mut(scope) {
                            limit.last_at = Some(now);
                        }
                    }
                    if let Some(class) = self.classes.get_mut(at) {
                        class.left -= most;
                    }
                }
                if most < left {
                    // The limit that holds up longest decides.
                    let again = scopes
                        .iter()
                        .flat_map(|scope| {
                            self.plan.limits(scope, now).into_iter().map(move |limit| (scope, limit))
                        })
                        .filter(|(scope, limit)| self.room(scope, limit, now) == 0)
                        .map(|(scope, limit)| (self.again_at(scope, &limit, now), limit.name));
                    let mut held: Option<(Option<DateTime<Utc>>, String)> = None;
                    for (until, name) in again {
                        let longer = held.as_ref().is_none_or(|(known, _)| match (known, until) {
                            (None, _) => false,
                            (Some(_), None) => true,
                            (Some(known), Some(until)) => until > *known,
                        });
                        if longer {
                            held = Some((until, name));
                        }
                    }
                    if let Some((Some(until), name)) = held
                        && next.as_ref().is_none_or(|(known, _)| until < *known)
                    {
                        next = Some((until, name));
                    }
                }
            }
            if sent {
                self.first = self.first.or(Some(now));
                self.last = Some(now);
                self.because = waited_for.take();
            }
            let Some((until, name)) = next else { return };
            (now, waited_for) = (until, Some(name));
        }
    }

    /// What is left of a limit.
    fn room(&self, scope: &Scope, limit: &Limit, now: DateTime<Utc>) -> u64 {
        let from = now.timestamp_millis().saturating_sub(limit.per);
        let spent = self.spent.get(scope).map_or(0, |sent| sent.all() - sent.until(from));
        limit.most.saturating_sub(spent)
    }

    /// When there is room for one email more.
    fn again_at(&self, scope: &Scope, limit: &Limit, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        // The window must have left so many behind that one fits.
        let leaves = self
            .spent
            .get(scope)
            .filter(|_| limit.most > 0)
            .and_then(|sent| sent.reached((sent.all() + 1).saturating_sub(limit.most)));
        let free = leaves.and_then(|at| DateTime::from_timestamp_millis(at.saturating_add(limit.per)));
        [free, limit.changes_at.filter(|at| *at > now)].into_iter().flatten().min()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{DomainGroup, Rate, WarmUp};
    use super::*;
    use chrono::TimeDelta;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn to(domain: &str, emails: u64) -> Recipients {
        Recipients::new("news@shop.example".parse().unwrap(), domain, emails)
    }

    const NOW: &str = "2026-10-26T08:00:00Z";

    #[test]
    fn plan_without_limits_sends_at_once() {
        let forecast = SendingPlan::new().forecast(&[to("gmail.com", 10)], at(NOW));
        assert_eq!((forecast.emails, forecast.last_at, forecast.because), (10, Some(at(NOW)), None));
        assert_eq!(SendingPlan::new().forecast(&[], at(NOW)).last_at, None);
    }

    #[test]
    fn slowest_group_is_the_reason() {
        let plan = SendingPlan::new()
            .account(Rate::per_hour(1_000))
            .domains(DomainGroup::gmail(), Rate::per_hour(100))
            .domains(DomainGroup::outlook(), Rate::per_hour(400));
        // 10 + 1 windows of Gmail: the last leaves after ten hours; the others are done in three.
        let forecast =
            plan.forecast(&[to("gmail.com", 1_001), to("hotmail.fr", 1_000), to("x.example", 200)], at(NOW));
        assert_eq!(forecast.last_at, Some(at("2026-10-26T18:00:00Z")));
        assert_eq!(forecast.because.as_deref(), Some("gmail: 100 per hour"));
        let done: Vec<_> = forecast.limits.iter().map(|limit| (limit.name.as_str(), limit.emails)).collect();
        assert_eq!(done, [("account", 2_201), ("gmail", 1_001), ("outlook", 1_000)]);
        assert_eq!(forecast.limits[2].last_at, Some(at("2026-10-26T10:00:00Z")));
    }

    #[test]
    fn warm_up_takes_as_many_days_as_its_sums() {
        // 50 + 100 + 200 + 400 = 750 on four days, the rest on the fifth.
        let plan = SendingPlan::new().warm_up(WarmUp::doubling(at(NOW), 50, 800));
        let forecast = plan.forecast(&[to("a.example", 751)], at(NOW));
        let last = forecast.last_at.unwrap();
        assert!(last >= at("2026-10-30T08:00:00Z") && last < at("2026-10-31T08:00:00Z"), "{last}");
        assert!(forecast.because.unwrap().starts_with("warm-up, day"));
        // Before it begins, nothing leaves.
        let early = plan.forecast(&[to("a.example", 1)], at("2026-10-26T07:00:00Z"));
        assert_eq!((early.first_at, early.because.as_deref()), (Some(at(NOW)), Some("warm-up: not begun")));
    }

    #[test]
    fn limit_of_zero_never_ends() {
        let plan = SendingPlan::new().domains(DomainGroup::gmail(), Rate::per_hour(0));
        let forecast = plan.forecast(&[to("gmail.com", 5), to("a.example", 1)], at(NOW));
        assert_eq!((forecast.never, forecast.last_at, forecast.first_at), (5, None, Some(at(NOW))));
    }

    #[test]
    fn million_emails_are_forecast_in_seconds() {
        let plan = SendingPlan::new().account(Rate::per_second(14)).account(Rate::per_day(2_000_000));
        let forecast = plan.forecast(&[to("a.example", 1_000_000)], at(NOW));
        // 71 428 times 14 are 999 992; the last eight leave in the second after.
        assert_eq!(forecast.last_at, Some(at(NOW) + TimeDelta::seconds(71_428)));
    }
}
