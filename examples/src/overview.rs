//! What a run of the whole loop found out, as text for people and as one JSON object for programs.

use crate::loading::Loads;
use crate::warehouse::Held;
use chrono::NaiveDate;
use mkt_connect::chart::{Chart, Column, Format, Lang, Table};
use mkt_ml::evaluation::Evaluation;
use mkt_ml::importance::PermutationImportance;
use mkt_social::best_time::BestHours;
use mkt_social::report::Report as Social;
use mkt_warehouse::report::{
    AbandonedCart, Answer, Arpu, ChannelConversion, CohortMonth, Day, HourConversion,
};
use serde::Serialize;
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
    /// Carts that were left.
    pub carts: Answer<AbandonedCart>,
}

/// Two models, judged on rows that training did not see.
#[derive(Debug)]
pub struct Prediction {
    /// Rows of both parts.
    pub rows: usize,
    /// The logistic regression.
    pub logistic: Evaluation,
    /// The forest.
    pub forest: Evaluation,
    /// The forest's report, class by class.
    pub report: String,
    /// The AUC that shuffling a column of the forest costs, largest first.
    pub importances: Vec<PermutationImportance>,
    /// Curves and importances.
    pub charts: Vec<Chart>,
    /// Whether the model read back from its file scores every row as the one that was saved.
    pub reloaded_equal: bool,
    /// Whether the file is new.
    pub changed: bool,
}

impl Prediction {
    /// How well both models rank, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let [logistic, forest] = [&self.logistic, &self.forest].map(|it| it.auc_roc.unwrap_or(f64::NAN));
        format!("AUC-ROC {logistic:.3} (logistic regression), {forest:.3} (forest of 100 trees)")
    }

    /// Both models side by side, for a page.
    #[must_use]
    pub fn table(&self, lang: Lang) -> Table {
        let count = |rows: usize| lang.number(rows as f64, Format::Integer);
        let (test, all) = (count(self.forest.rows), count(self.rows));
        let numbers = ["Accuracy", "Precision", "Recall", "AUC-ROC"].map(Column::number);
        let mut table = Table::new([Column::text("Model")].into_iter().chain(numbers))
            .note(format!("Judged on {test} of {all} rows, which training did not see."));
        for (name, judged) in [("logistic regression", &self.logistic), ("random forest", &self.forest)] {
            let rates = [judged.accuracy, judged.precision, judged.recall];
            let [accuracy, precision, recall] = rates.map(|rate| lang.number(rate, Format::Percent(1)));
            table.push([name.to_owned(), accuracy, precision, recall, auc(judged)]);
        }
        table
    }

    fn json(&self) -> Value {
        let importances = self.importances.iter();
        let importances = importances.map(|one| json!({"feature": one.column, "importance": one.mean}));
        let mut forest = json_of(&self.forest);
        forest["rows"] = json!(self.rows);
        forest["logistic"] = json_of(&self.logistic);
        forest["importances"] = importances.collect();
        forest["reloaded_equal"] = json!(self.reloaded_equal);
        forest
    }
}

fn json_of(e: &Evaluation) -> Value {
    json!({"auc_roc": e.auc_roc, "accuracy": e.accuracy, "precision": e.precision, "recall": e.recall, "f1": e.f1})
}

/// The AUC-ROC with three digits, a dash where there is none.
#[must_use]
pub fn auc(judged: &Evaluation) -> String {
    judged.auc_roc.map_or("–".to_owned(), |auc| format!("{auc:.3}"))
}

/// What became of the emails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Emails {
    /// Written in this run.
    pub accepted: u64,
    /// Written in an earlier one.
    pub already_sent: u64,
    /// Not sent for lack of consent.
    pub suppressed: u64,
    /// Recent carts of visitors without a known address.
    pub unreachable: u64,
    /// People who cannot be written to, and rows that cannot be read.
    pub quarantined: u64,
    /// Still to be sent.
    pub pending: u64,
    /// Without an answer.
    pub unknown: u64,
    /// Written in any run.
    #[serde(skip)]
    pub sent: u64,
}

impl Emails {
    /// The counts in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let Self { accepted, already_sent, suppressed, unreachable, .. } = self;
        format!(
            "{accepted} emails written, {already_sent} written before, {suppressed} suppressed for lack of consent, \
             {unreachable} carts without an address"
        )
    }
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
        let end = match changed {
            true => "Run it again: it will change nothing.",
            false => "Nothing changed: same tables, no second mail.",
        };
        format!(
            "\nConversion rate by channel (distinct users, percent)\n{}\nAverage revenue per user\n{}\n\
             Top hours by conversion rate (local time, at least 30 sessions)\n{}\nMonthly cohort retention (percent)\n{}\n\
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
