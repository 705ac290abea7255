//! Control totals: every stream's numbers, from another report than its rows, or counted in Live.
//!
//! | stream | from another report | where it says that nothing happened |
//! |---|---|---|
//! | `daily` | Live: the visits that the stream `visits` read in the same run, else counted again without actions | Live |
//! | `visits` | VisitsSummary.get | VisitsSummary.get |
//! | `referrers` | VisitsSummary.get and Goals.get | Live |
//! | `referrer_names`, `campaigns` | Referrers.getReferrerType | Live |
//! | `pages` | API.get: page views | Live |
//! | `hours` | VisitsSummary.get | Live |
//! | `events` | Live: events of visits | Live |
//! | `items` | Live: pieces and prices of orders and carts; without a visits log Goals.get: pieces | Live |
//! | `goals` | Referrers.getReferrerType: conversions, revenue, carts | Live |
//!
//! A report that says zero may be one that was not archived yet: only Live, which needs no archive, makes it believed.
//! And Live that says so is believed only if VisitsSummary.get does not say otherwise (Live may be purged, and an answer
//! without rows may be a fault): where it does, its `visits` are among the totals, and no slice of a report has them.

use super::Inner;
use super::answer::{Answer, Row};
use super::call::Ask;
use super::count::Counts;
use super::reports::shape::measure;
use super::reports::{Target, goals, referrers};
use super::streams::Name;
use crate::source::Totals;
use mkt_connect::{ErrorKind, Result};
use rust_decimal::Decimal;
use serde_json::Value;

const OPERATION: &str = "read control totals";

/// What a report says, and whether it says that anything happened on that day at all.
struct Told {
    totals: Totals,
    happened: bool,
}

impl Inner {
    pub(super) async fn control(&self, target: &Target<'_>) -> Result<Option<Totals>> {
        let told = match target.name {
            Name::Daily | Name::Events => None,
            Name::Visits => return self.control_of_visits(target).await.map(Some),
            Name::Referrers => self.told_of_referrers(target).await?,
            Name::ReferrerNames | Name::Campaigns | Name::Goals => self.told_by_referrers(target).await?,
            Name::Pages => self.told_of_pages(target).await?,
            Name::Hours => self.told_of_hours(target).await?,
            Name::Items => None,
        };
        if let Some(Told { totals, happened: true }) = told {
            return Ok(Some(totals));
        }
        if target.name == Name::Daily
            && let Some(counted) = self.shared.take_count(target)
        {
            let totals = Totals::new().with("visits", counted.visits);
            return Ok(Some(totals.with("converted_visits", counted.converted)));
        }
        let details = matches!(target.name, Name::Pages | Name::Items | Name::Goals);
        match self.counts_in_live(target, details).await {
            // These came from Live themselves, and nothing else knows the day.
            Ok(counts) if target.name == Name::Hours && !counts.is_empty() => Ok(None),
            Ok(counts) => {
                let mut totals = counts.totals(target.name, |name| target.report(name));
                // The summary is what the daily numbers are made of, and is compared with Live as it is.
                if counts.is_empty() && target.name != Name::Daily {
                    self.contradict(target, &mut totals).await?;
                }
                Ok(Some(totals))
            }
            // No visits log, by the privacy settings: nothing to count another way.
            Err(error) if error.kind() == ErrorKind::Unsupported => match target.name {
                Name::Items => {
                    Ok(self.told_of_items(target).await?.filter(|told| told.happened).map(|x| x.totals))
                }
                _ => Ok(None),
            },
            Err(error) => Err(error),
        }
    }

    /// A day without a visit in Live, of which the summary says otherwise, is no empty day: visits that no slice of a
    /// report has make it differ.
    async fn contradict(&self, target: &Target<'_>, totals: &mut Totals) -> Result<()> {
        match self.summary(target).await {
            Ok(summary) => {
                if let Some(visits) = summary.nb_visits.filter(|visits| !visits.is_zero()) {
                    totals.set("visits", visits);
                }
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn control_of_visits(&self, target: &Target<'_>) -> Result<Totals> {
        let summary = self.shared_summary(target).await?;
        let mut control = Totals::new();
        for (name, value) in [
            ("visits", summary.nb_visits),
            ("converted_visits", summary.nb_visits_converted),
            ("seconds_on_site", summary.sum_visit_length),
        ] {
            if let Some(value) = value {
                control.set(name, value);
            }
        }
        Ok(control)
    }

    /// The day's record of each report; `None` for one that the instance does not have or that is empty.
    async fn records(&self, target: &Target<'_>, asks: &[Ask]) -> Result<Vec<Option<Answer>>> {
        let answers = self.ask_all(OPERATION, asks).await?;
        answers
            .into_iter()
            .map(|answer| match answer {
                Ok(answer) => target.part(OPERATION, answer).map(Some),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported) => {
                    Ok(None)
                }
                Err(error) => Err(error),
            })
            .collect()
    }

    async fn told_of_referrers(&self, target: &Target<'_>) -> Result<Option<Told>> {
        let asks = [target.ask("VisitsSummary.get"), target.ask("Goals.get")];
        let mut records = self.records(target, &asks).await?.into_iter();
        let (Some(summary), goals) = (records.next().flatten(), records.next().flatten()) else {
            return Ok(None);
        };
        let mut told = Telling::new(target, &summary, "nb_visits");
        told.set("referrers", summary.row(), VISITS);
        told.set("referrers", goals.as_ref().and_then(Answer::row), CONVERSIONS);
        told.set("referrer_goals", goals.as_ref().and_then(Answer::row), CONVERSIONS);
        Ok(Some(told.done()))
    }

    async fn told_of_hours(&self, target: &Target<'_>) -> Result<Option<Told>> {
        let mut records = self.records(target, &[target.ask("VisitsSummary.get")]).await?.into_iter();
        let Some(summary) = records.next().flatten() else { return Ok(None) };
        let mut told = Telling::new(target, &summary, "nb_visits");
        told.set("hours", summary.row(), &VISITS[..3]);
        Ok(Some(told.done()))
    }

    async fn told_of_pages(&self, target: &Target<'_>) -> Result<Option<Told>> {
        let ask = target.ask("API.get").with("columns", "nb_visits,nb_pageviews");
        let mut records = self.records(target, &[ask]).await?.into_iter();
        let Some(summary) = records.next().flatten() else { return Ok(None) };
        // Without the number there is nothing to compare.
        if summary.row().is_some_and(|row| row.number("nb_pageviews").is_none()) {
            return Ok(None);
        }
        let mut told = Telling::new(target, &summary, "nb_visits");
        told.set("pages", summary.row(), &[("nb_pageviews", "page_views")]);
        Ok(Some(told.done()))
    }

    async fn told_of_items(&self, target: &Target<'_>) -> Result<Option<Told>> {
        let asks = [goals::ORDER, goals::CART].map(|goal| target.ask("Goals.get").with("idGoal", goal));
        let mut records = self.records(target, &asks).await?.into_iter();
        let (Some(orders), Some(carts)) = (records.next().flatten(), records.next().flatten()) else {
            return Ok(None);
        };
        let mut told = Telling::new(target, &orders, "items");
        told.happened |=
            carts.row().and_then(|row| row.number("items")).is_some_and(|items| !items.is_zero());
        told.set("items", orders.row(), &[("items", "quantity")]);
        told.set("abandoned_items", carts.row(), &[("items", "quantity")]);
        Ok(Some(told.done()))
    }

    /// Referrers.getReferrerType counts every visit and every conversion.
    async fn told_by_referrers(&self, target: &Target<'_>) -> Result<Option<Told>> {
        let mut records = self.records(target, &[target.ask(referrers::TYPES.place)]).await?.into_iter();
        let Some(table) = records.next().flatten() else { return Ok(None) };
        let rows = table.rows();
        // A missing number is not a zero.
        if target.name != Name::Goals && rows.iter().any(|row| row.number("nb_visits").is_none()) {
            return Ok(None);
        }
        let sum = |of: &dyn Fn(&Row) -> Option<Decimal>| {
            let sum = rows.iter().filter_map(of).fold(Decimal::ZERO, Decimal::saturating_add);
            measure(sum).unwrap_or_default()
        };
        let visits = |wanted: &dyn Fn(&str) -> bool| {
            sum(&|row| {
                referrers::type_of(row).filter(|kind| wanted(kind)).and_then(|_| row.number("nb_visits"))
            })
        };
        let named = |report: &str, metric: &str| format!("{}.{metric}", target.report(report));
        let mut totals = Totals::new();
        match target.name {
            Name::ReferrerNames => {
                totals.set(named("referrer_names", "visits"), visits(&|kind| kind != "direct"));
            }
            Name::Campaigns => totals.set(named("campaigns", "visits"), visits(&|kind| kind == "campaign")),
            _ => {
                totals.set(named("goals", "conversions"), sum(&|row| row.number("nb_conversions")));
                totals.set(named("goals", "revenue"), sum(&|row| row.number("revenue")));
                let carts = |row: &Row| match row.field("goals")?.get(format!("idgoal={}", goals::CART))? {
                    Value::Object(cart) => Row(cart.clone()).number("nb_conversions"),
                    _ => None,
                };
                totals.set(named("abandoned_carts", "carts"), sum(&carts));
            }
        }
        Ok(Some(Told { totals, happened: !rows.is_empty() }))
    }

    /// The visits of a day as Live has them, with or without their actions.
    pub(super) async fn counts_in_live(&self, target: &Target<'_>, details: bool) -> Result<Counts> {
        let mut walk = self.walk();
        let mut counts = Counts::default();
        while let Some(page) = self.live(target, &mut walk, details).await? {
            page.iter().for_each(|visit| counts.add(visit));
        }
        Ok(counts)
    }
}

/// Fields of VisitsSummary.get and what we call them; the first three are those that Live has too.
const VISITS: &[(&str, &str)] = &[
    ("nb_visits", "visits"),
    ("nb_visits_converted", "converted_visits"),
    ("sum_visit_length", "seconds_on_site"),
    ("nb_actions", "actions"),
    ("bounce_count", "bounces"),
];

const CONVERSIONS: &[(&str, &str)] = &[("nb_conversions", "conversions"), ("revenue", "revenue")];

/// Collects what reports say.
struct Telling<'a> {
    target: &'a Target<'a>,
    totals: Totals,
    happened: bool,
}

impl<'a> Telling<'a> {
    /// `sign` is the field that is zero when nothing happened.
    fn new(target: &'a Target<'a>, record: &Answer, sign: &str) -> Self {
        let number = record.row().and_then(|row| row.number(sign));
        Self { target, totals: Totals::new(), happened: number.is_some_and(|number| !number.is_zero()) }
    }

    fn set(&mut self, report: &str, row: Option<&Row>, fields: &[(&str, &str)]) {
        let Some(row) = row else { return };
        for (field, metric) in fields {
            if let Some(number) = row.number(field).and_then(measure) {
                self.totals.set(format!("{}.{metric}", self.target.report(report)), number);
            }
        }
    }

    fn done(self) -> Told {
        Told { totals: self.totals, happened: self.happened }
    }
}
