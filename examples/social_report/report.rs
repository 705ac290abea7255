//! What the posts say, as values, as JSON and as text for a terminal.

use chrono_tz::Tz;
use mkt_connect::chart::{Format, Lang};
use mkt_social::best_time::{BestHours, BestTimeError, Question, best_hours};
use mkt_social::engagement::{
    Average, ByFollowers, ByImpressions, ByReach, Denominator, EngagementRate, average_reach, engagement_rate,
};
use mkt_social::source::Quarantined;
use mkt_social::{Measured, Outcome, Tabulation, charts};
use serde_json::{Value, json};
use std::fmt::Write;
use std::panic::resume_unwind;
use std::thread;

/// Cells of a bar in the terminal.
const WIDEST: f64 = 32.0;
/// Rows set aside that are named.
const NAMED: usize = 10;

/// One engagement rate, whatever its denominator.
pub(crate) struct Rate {
    pub(crate) outcome: Outcome,
    name: &'static str,
    pub(crate) mean_of_ratios: Option<f64>,
    pub(crate) ratio_of_sums: Option<f64>,
    pub(crate) n: usize,
    pub(crate) n_missing: usize,
}

impl Rate {
    fn new<D: Denominator>(name: &'static str, posts: &[Measured<'_>]) -> Self {
        let EngagementRate { mean_of_ratios, ratio_of_sums, n, n_missing, .. } = engagement_rate::<D>(posts);
        Self { outcome: D::OUTCOME, name, mean_of_ratios, ratio_of_sums, n, n_missing }
    }
}

pub(crate) struct Report<'a> {
    pub(crate) outcome: Outcome,
    pub(crate) zone: Tz,
    pub(crate) posts: usize,
    pub(crate) quarantined: &'a [Quarantined],
    pub(crate) reach: Average,
    pub(crate) rates: [Rate; 3],
    pub(crate) hours: Result<BestHours, BestTimeError>,
}

impl<'a> Report<'a> {
    pub(crate) fn new(
        posts: &[Measured<'_>],
        read: &'a Tabulation,
        outcome: Outcome,
        zone: Tz,
        seed: u64,
    ) -> Self {
        let question = Question::new(zone, outcome).seed(seed);
        // The hours take about as long as all rates together.
        let (reach, rates, hours) = thread::scope(|scope| {
            let hours = scope.spawn(|| best_hours(posts, &question));
            let rates = [
                Rate::new::<ByReach>("by_reach", posts),
                Rate::new::<ByImpressions>("by_impressions", posts),
                Rate::new::<ByFollowers>("by_followers", posts),
            ];
            (average_reach(posts), rates, hours.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        let quarantined = &read.quarantined;
        Self { outcome, zone, posts: posts.len(), quarantined, reach, rates, hours }
    }

    pub(crate) fn json(&self) -> Value {
        let rates: serde_json::Map<String, Value> = self
            .rates
            .iter()
            .map(|rate| {
                let value = json!({
                    "mean_of_ratios": rate.mean_of_ratios, "ratio_of_sums": rate.ratio_of_sums, "n": rate.n,
                    "n_missing": rate.n_missing,
                });
                (rate.name.to_owned(), value)
            })
            .collect();
        let hours = match &self.hours {
            Ok(found) => json!({
                "verdict": found.verdict, "p_value": found.p_value, "measure": found.outcome, "zone": found.zone.name(),
                "n": found.n, "hours": found.ranked(), "never_tried": found.never_tried,
                "raw_ranking": found.raw_ranking,
            }),
            Err(few) => {
                json!({"verdict": "too_few_posts", "p_value": null, "hours": [], "reason": few.to_string()})
            }
        };
        json!({
            "posts": self.posts,
            "quarantined": self.quarantined.len(),
            "average_reach": self.reach.mean,
            "median_reach": self.reach.median,
            "engagement_rate": rates,
            "best_hours": hours,
        })
    }

    /// The verdict, or why there is none.
    pub(crate) fn verdict(&self, lang: Lang) -> String {
        match &self.hours {
            Ok(hours) => charts::verdict_sentence(hours, lang),
            Err(few) => {
                let BestTimeError::TooFewPosts { usable, needed, .. } = few else { return few.to_string() };
                lang.pick(
                    few.to_string(),
                    format!("{usable} publications utilisables sont trop peu pour comparer les heures (il en faut {needed})"),
                )
            }
        }
    }

    pub(crate) fn text(&self, lang: Lang) -> String {
        let mut text = String::new();
        let whole =
            |value: Option<f64>| value.map_or("–".to_owned(), |value| lang.number(value, Format::Integer));
        let percent = |value: Option<f64>| {
            value.map_or("–".to_owned(), |value| lang.number(value, Format::Percent(2)))
        };
        let (posts, quarantined) = (self.posts, self.quarantined.len());
        let _ = writeln!(
            text,
            "{}",
            lang.pick(
                format!("{posts} posts, {quarantined} rows set aside"),
                format!("{posts} publications, {quarantined} lignes écartées"),
            )
        );
        for row in self.quarantined.iter().take(NAMED) {
            let _ = writeln!(text, "  {} {}: {}", lang.pick("line", "ligne"), row.line, row.reason);
        }
        let _ = writeln!(
            text,
            "\n{}: {} ({} {}, n = {})",
            lang.pick("Average reach", "Portée moyenne"),
            whole(self.reach.mean),
            lang.pick("median", "médiane"),
            whole(self.reach.median),
            self.reach.n,
        );
        for rate in &self.rates {
            let _ = writeln!(
                text,
                "{}: {} {}, {} {} (n = {}, {} {})",
                lang.pick(rate.outcome.label(), rate.outcome.label_fr()),
                percent(rate.mean_of_ratios),
                lang.pick("mean of ratios", "moyenne des taux"),
                percent(rate.ratio_of_sums),
                lang.pick("ratio of sums", "taux des sommes"),
                rate.n,
                rate.n_missing,
                lang.pick("missing", "manquants"),
            );
        }
        let _ = writeln!(text, "\n{}", self.verdict(lang));
        if let Ok(hours) = &self.hours {
            let format = charts::format_of(hours.outcome);
            let most = hours.hours.iter().filter_map(|hour| hour.high).fold(0.0, f64::max);
            for hour in &hours.hours {
                let _ = match (hour.estimate, hour.low, hour.high) {
                    (Some(estimate), Some(low), Some(high)) => writeln!(
                        text,
                        "{:>3} h  {:<33}{} [{} – {}], n = {}",
                        hour.hour,
                        "█".repeat((estimate / most * WIDEST).round().clamp(0.0, WIDEST) as usize),
                        lang.number(estimate, format),
                        lang.number(low, format),
                        lang.number(high, format),
                        hour.n,
                    ),
                    _ => writeln!(text, "{:>3} h  {}", hour.hour, lang.pick("never tried", "jamais essayé")),
                };
            }
        }
        text.trim_end().to_owned()
    }
}
