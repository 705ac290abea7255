//! What the run says at its end: a page of text for people, one JSON object for programs.

use crate::answer::Answers;
use crate::extract::Extracted;
use crate::mails::Mails;
use crate::predict::{Judged, Prediction};
use crate::social::Social;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;

/// Everything that there is to tell.
pub(crate) struct Told<'a> {
    pub(crate) out: &'a Path,
    pub(crate) seconds: f64,
    pub(crate) extracted: &'a Extracted,
    pub(crate) answers: &'a Answers,
    pub(crate) social: &'a Social,
    pub(crate) prediction: &'a Prediction,
    pub(crate) mails: &'a Mails,
    pub(crate) changed: bool,
}

/// The models in a line.
pub(crate) fn models(prediction: &Prediction) -> String {
    let auc = |judged: &Judged| judged.evaluation.auc_roc.unwrap_or(f64::NAN);
    format!(
        "AUC-ROC {:.3} (logistic regression), {:.3} (forest of 100 trees)",
        auc(&prediction.logistic),
        auc(&prediction.forest)
    )
}

/// The mails in a line.
pub(crate) fn mails(mails: &Mails) -> String {
    format!(
        "{} mails written, {} written before, {} kept back without consent, {} carts unreachable",
        mails.accepted, mails.already_sent, mails.suppressed, mails.unreachable
    )
}

/// The cohorts as a triangle.
fn cohorts(answers: &Answers) -> String {
    let months = answers.cohorts.rows.iter().map(|row| row.month).max().unwrap_or(0);
    let mut text = format!("{:<8} {:>6}", "cohort", "users");
    for month in 0..=months {
        let _ = write!(text, " {:>6}", format!("+{month}"));
    }
    for row in &answers.cohorts.rows {
        if row.month == 0 {
            let _ = write!(text, "\n{:<8} {:>6}", row.cohort.format("%Y-%m").to_string(), row.users);
        }
        let _ = match row.retention_rate {
            Some(rate) => write!(text, " {rate:>6.1}"),
            None => write!(text, " {:>6}", "–"),
        };
    }
    text.push('\n');
    text
}

impl Told<'_> {
    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let a = self.answers;
        let _ = writeln!(text, "\nConversion rate by channel (distinct users, percent)\n{}", a.conversion);
        let _ = writeln!(text, "Average revenue per user\n{}", a.arpu);
        let _ =
            writeln!(text, "Top hours by conversion rate (local time, at least 30 sessions)\n{}", a.hours);
        let _ =
            writeln!(text, "Monthly cohort retention (percent, k months after the first)\n{}", cohorts(a));
        let _ = writeln!(text, "Social: {}\n", self.social.sentence());
        let _ =
            writeln!(text, "Who converts: {}\n{}", models(self.prediction), self.prediction.forest.report);
        for one in &self.prediction.forest.importances {
            let _ = writeln!(text, "  {:<16} {:>6.3} AUC lost when shuffled", one.column, one.mean);
        }
        let _ = writeln!(text, "\nMails: {}", mails(self.mails));
        for (source, report) in self.extracted.reports() {
            for (slice, note) in &report.notes {
                let _ = writeln!(text, "Note ({source}): {slice}: {note}");
            }
        }
        let _ = writeln!(text, "\nOpen {}", self.out.join("report.html").display());
        let said = if self.changed {
            "Run it again: it will change nothing."
        } else {
            "Nothing changed: same tables, no second mail."
        };
        let _ = writeln!(text, "{:.1} s. {said}", self.seconds);
        text
    }

    /// For programs; the keys are documented in `--help` and stable.
    pub(crate) fn json(&self) -> Value {
        let a = self.answers;
        let forest = &self.prediction.forest.evaluation;
        let logistic = &self.prediction.logistic.evaluation;
        let importances: Vec<Value> = self
            .prediction
            .forest
            .importances
            .iter()
            .map(|one| json!({"feature": one.column, "importance": one.mean}))
            .collect();
        json!({
            "out": self.out,
            "seconds": self.seconds,
            "now": a.now,
            "visits": self.extracted.visits(),
            "events": a.events,
            "sessions": a.sessions,
            "reports": {
                "conversion_by_channel": a.conversion,
                "arpu": a.arpu,
                "top_hours": a.hours,
                "cohort_retention": a.cohorts,
            },
            "social": self.social.json(),
            "model": {
                "rows": self.prediction.rows,
                "auc_roc": forest.auc_roc,
                "accuracy": forest.accuracy,
                "precision": forest.precision,
                "recall": forest.recall,
                "f1": forest.f1,
                "logistic": {
                    "auc_roc": logistic.auc_roc,
                    "accuracy": logistic.accuracy,
                    "precision": logistic.precision,
                    "recall": logistic.recall,
                    "f1": logistic.f1,
                },
                "importances": importances,
                "reloaded_equal": self.prediction.reloaded_equal,
            },
            "mails": {
                "accepted": self.mails.accepted,
                "already_sent": self.mails.already_sent,
                "suppressed": self.mails.suppressed,
                "unreachable": self.mails.unreachable,
                "quarantined": self.mails.quarantined,
                "pending": self.mails.counts.pending,
                "unknown": self.mails.counts.unknown,
            },
            "etl": self.extracted.json(),
            "changed": self.changed,
        })
    }
}
