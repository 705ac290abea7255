//! What the run prints: a page of text for people, one JSON object for programs.

use crate::arguments::Arguments;
use crate::emails::Emails;
use crate::load::Loaded;
use crate::predict::Prediction;
use crate::{Answers, Social};
use mkt_ml::evaluation::Evaluation;
use mkt_social::engagement::{ByReach, average_reach, engagement_rate};
use serde_json::{Map, Value, json};

pub(crate) struct All<'a> {
    pub(crate) arguments: &'a Arguments,
    pub(crate) loaded: Loaded,
    pub(crate) answers: Answers,
    pub(crate) social: Social,
    pub(crate) model: Prediction,
    pub(crate) emails: Emails,
    pub(crate) changed: bool,
    pub(crate) seconds: f64,
}

impl All<'_> {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let (a, model) = (&self.answers, &self.model);
        let mut text = format!(
            "\nConversion rate by channel (distinct users, percent)\n{}\nAverage revenue per user\n{}\n\
             Top hours by conversion rate (local time, at least 30 sessions)\n{}\nMonthly cohort retention (percent)\n{}\n\
             Social: {}\n\nWho converts: {}\n{}\n",
            a.conversion,
            a.arpu,
            a.hours,
            a.cohorts,
            self.social.sentence,
            model.sentence(),
            model.report
        );
        for one in &model.importances {
            text += &format!("  {:<16} {:>6.3} AUC lost when shuffled\n", one.column, one.mean);
        }
        text += &format!("\nEmails: {}\n", self.emails.sentence());
        for (source, report) in &self.loaded.0 {
            for (slice, note) in &report.notes {
                text += &format!("Note ({source}): {slice}: {note}\n");
            }
        }
        let end = match self.changed {
            true => "Run it again: it will change nothing.",
            false => "Nothing changed: same tables, no second mail.",
        };
        text + &format!(
            "\nOpen {}\n{:.1} s. {end}\n",
            self.arguments.out.join("report.html").display(),
            self.seconds
        )
    }

    /// For programs; the keys are documented in `--help` and stable.
    pub(crate) fn json(&self) -> Value {
        let (a, model) = (&self.answers, &self.model);
        let posts = self.social.read.sheet.measured();
        let (rate, hours) = (engagement_rate::<ByReach>(&posts), &self.social.hours);
        let ranked = hours.ranked().into_iter();
        let ranked = ranked
            .map(|h| json!({"hour": h.hour, "n": h.n, "estimate": h.estimate, "low": h.low, "high": h.high}));
        let etl = self.loaded.0.iter().map(|(name, run)| {
            let told = json!({
                "slices": run.slices, "rows": run.rows, "quarantined": run.quarantined, "revised": run.revised,
                "replayed": run.replayed,
            });
            ((*name).to_owned(), told)
        });
        let importances = model.importances.iter();
        let importances = importances.map(|one| json!({"feature": one.column, "importance": one.mean}));
        let mut forest = judged(&model.forest);
        forest["rows"] = json!(model.rows);
        forest["logistic"] = judged(&model.logistic);
        forest["importances"] = importances.collect();
        forest["reloaded_equal"] = json!(model.reloaded_equal);
        json!({
            "out": self.arguments.out,
            "seconds": self.seconds,
            "now": a.now,
            "visits": self.loaded.visits(),
            "events": a.events,
            "sessions": a.sessions,
            "reports": {
                "conversion_by_channel": a.conversion, "arpu": a.arpu, "top_hours": a.hours, "cohort_retention": a.cohorts,
            },
            "social": {
                "posts": posts.len(),
                "quarantined": self.social.read.tally.quarantined,
                "average_reach": average_reach(&posts).mean,
                "engagement_rate": {"by_reach": {
                    "ratio_of_sums": rate.ratio_of_sums, "mean_of_ratios": rate.mean_of_ratios, "n": rate.n,
                }},
                "best_hours": {"verdict": hours.verdict, "p_value": hours.p_value, "hours": ranked.collect::<Vec<_>>()},
            },
            "model": forest,
            "mails": self.emails,
            "etl": etl.collect::<Map<_, _>>(),
            "changed": self.changed,
        })
    }
}

fn judged(e: &Evaluation) -> Value {
    json!({"auc_roc": e.auc_roc, "accuracy": e.accuracy, "precision": e.precision, "recall": e.recall, "f1": e.f1})
}
