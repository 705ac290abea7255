//! What a run of the whole loop found out, as text for people and as one JSON object for programs.

mod emails;
mod page;
mod prediction;

pub use emails::{Emails, write};
pub use prediction::{Prediction, auc, predict};

use crate::loading::Loads;
use crate::warehouse::Held;
use chrono::NaiveDate;
use chrono_tz::Tz;
use mkt_connect::chart::Lang;
use mkt_ml::importance::PermutationImportance;
use mkt_social::best_time::BestHours;
use mkt_social::report::Report as Social;
use mkt_warehouse::report::{
    AbandonedCart, Answer, Arpu, ChannelConversion, CohortMonth, Coverage, Day, HourConversion,
};
use serde_json::{Value, json};
use std::path::Path;

/// What the warehouse answered.
#[derive(Debug)]
pub struct Answers {
    /// The first day asked about.
    pub from: NaiveDate,
    /// What there is.
    pub held: Held,
    /// Who converts, by channel.
    pub conversion: Answer<ChannelConversion>,
    /// Revenue by user.
    pub arpu: Answer<Arpu>,
    /// The hours that convert best.
    pub hours: Answer<HourConversion>,
    /// Who comes back, by month of the first visit.
    pub cohorts: Answer<CohortMonth>,
    /// Day by day.
    pub days: Answer<Day>,
    /// Which days were loaded: the others are no zero.
    pub coverage: Coverage,
    /// Carts that were left.
    pub carts: Answer<AbandonedCart>,
}

/// All of it.
#[derive(Debug)]
pub struct Overview<'a> {
    /// The folder that everything was written into.
    pub out: &'a Path,
    /// What was loaded.
    pub loaded: Loads,
    /// What the warehouse answered.
    pub answers: Answers,
    /// How posts were received.
    pub social: &'a Social<'a>,
    /// Whether the hour of a post matters.
    pub hours: &'a BestHours,
    /// Who will convert.
    pub model: Prediction,
    /// Who was written to.
    pub emails: Emails,
}

impl Overview<'_> {
    /// For people.
    #[must_use]
    pub fn text(&self, changed: bool, seconds: f64) -> String {
        let (a, model) = (&self.answers, &self.model);
        let lost = |one: &PermutationImportance| {
            format!("  {:<16} {:>6.3} AUC lost when shuffled\n", one.column, one.mean)
        };
        let gaps = a.coverage.words(Lang::En);
        let gaps =
            gaps.map_or_else(String::new, |gaps| format!("Not loaded, and no part of any number: {gaps}\n"));
        let end = match changed {
            true => "Run it again: it will change nothing.",
            false => "Nothing changed: same tables, no second mail.",
        };
        format!(
            "\nConversion rate by channel (distinct users, percent)\n{}\nAverage revenue per user\n{}\n\
             Top hours by conversion rate (local time, at least 30 sessions)\n{}\nMonthly cohort retention (percent)\n{}{gaps}\n\
             Social: {}\n\nWho converts: {}\n{}\n{}\nEmails: {}\n{}\nOpen {}\n{seconds:.1} s. {end}\n",
            a.conversion,
            a.arpu,
            a.hours,
            a.cohorts,
            self.social.verdict(Lang::En),
            model.sentence(),
            model.report,
            model.importances.iter().map(lost).collect::<String>(),
            self.emails.sentence(),
            self.loaded.notes(),
            self.out.join("report.html").display(),
        )
    }

    /// As a page; the same input gives the same bytes.
    #[must_use]
    pub fn page(&self, zone: Tz) -> String {
        page::page(self, zone)
    }

    /// For programs; the keys are stable.
    #[must_use]
    pub fn json(&self, changed: bool, seconds: f64) -> Value {
        let Self { answers, social, hours, .. } = self;
        let rate = &social.rates[0];
        json!({
            "out": self.out,
            "seconds": seconds,
            "now": answers.held.last,
            "visits": self.loaded.rows("sessions"),
            "events": answers.held.events,
            "sessions": answers.held.sessions,
            "not_loaded": answers.coverage.gaps(),
            "reports": {
                "conversion_by_channel": answers.conversion, "arpu": answers.arpu, "top_hours": answers.hours,
                "cohort_retention": answers.cohorts,
            },
            "social": {
                "posts": social.posts.len(),
                "quarantined": social.read.tally.quarantined,
                "average_reach": social.reach.mean,
                "engagement_rate": {"by_reach": {
                    "ratio_of_sums": rate.ratio_of_sums, "mean_of_ratios": rate.mean_of_ratios, "n": rate.n,
                }},
                "best_hours": {"verdict": hours.verdict, "p_value": hours.p_value, "hours": hours.ranked()},
            },
            "model": self.model.json(),
            "mails": self.emails,
            "etl": self.loaded.json(),
            "changed": changed,
        })
    }
}
