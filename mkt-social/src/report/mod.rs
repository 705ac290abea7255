//! All answers about the posts of one read: as text, as JSON (through serde), as charts and as one HTML page.
//!
//! ```
//! use mkt_connect::chart::Lang;
//! use mkt_social::best_time::Question;
//! use mkt_social::csv::Csv;
//! use mkt_social::report::Report;
//! use mkt_social::{Outcome, Request, SocialSourceExt};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> mkt_connect::Result<()> {
//! let file = "published_at,likes,reach\n2026-03-02T17:05:00Z,80,1000\n";
//! let read = Csv::from_bytes(file, "2026-04-01T00:00:00Z".parse().unwrap()).read_sheet(&Request::all()).await?;
//! let question = Question::new(chrono_tz::Europe::Paris, Outcome::EngagementByReach);
//! let report = Report::of(&read, &question);
//! assert!(report.text(Lang::En).contains("Engagement rate by reach: 8.00% mean of ratios"));
//! assert!(report.page(Lang::Fr).render().starts_with("<!doctype html>"));
//! # Ok(())
//! # }
//! ```

mod page;
mod text;

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::thread;

use mkt_connect::chart::Lang;
use serde::{Serialize, Serializer};

use crate::best_time::{BestHours, BestTimeError, HourEstimate, Question, RawHour, Verdict, best_hours};
use crate::chart::verdict_sentence;
use crate::engagement::{
    Average, ByFollowers, ByImpressions, ByReach, Denominator, EngagementRate, average_reach, engagement_rate,
};
use crate::outcome::Outcome;
use crate::sheet::Measured;
use crate::source::{Findings, ReadSheet};

/// An engagement rate of any denominator. The rates are ratios: 0.05 is 5 %.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Rate {
    /// The rate as a measure of one post.
    pub outcome: Outcome,
    /// See [`EngagementRate::mean_of_ratios`].
    pub mean_of_ratios: Option<f64>,
    /// See [`EngagementRate::ratio_of_sums`].
    pub ratio_of_sums: Option<f64>,
    /// Posts used.
    pub n: usize,
    /// Posts skipped because a number was missing or the denominator was 0.
    pub n_missing: usize,
}

impl Rate {
    fn of<D: Denominator>(posts: &[Measured<'_>]) -> Self {
        let EngagementRate { mean_of_ratios, ratio_of_sums, n, n_missing, .. } = engagement_rate::<D>(posts);
        Self { outcome: D::OUTCOME, mean_of_ratios, ratio_of_sums, n, n_missing }
    }
}

/// The answers about the posts of one read. Serialises as
/// `{posts, quarantined, average_reach, median_reach, engagement_rate: {by_reach: {mean_of_ratios, ratio_of_sums, n,
/// n_missing}, …}, best_hours: {verdict, p_value, hours: [{hour, n, estimate, low, high}] best first, …}, findings}`,
/// the latter as [`Findings`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Report<'a> {
    /// The read.
    pub read: &'a ReadSheet,
    /// Its posts.
    pub posts: Vec<Measured<'a>>,
    /// Zone and measure of the hours.
    pub question: Question,
    /// The average reach.
    pub reach: Average,
    /// The engagement rates by reach, impressions and followers.
    pub rates: [Rate; 3],
    /// The best hours, or the reason for having none.
    pub hours: Result<BestHours, BestTimeError>,
}

impl<'a> Report<'a> {
    /// Computes the report. The best hours run in a thread of their own: they take as long as everything else.
    #[must_use]
    pub fn of(read: &'a ReadSheet, question: &Question) -> Self {
        let posts = read.sheet.measured();
        let (reach, rates, hours) = thread::scope(|scope| {
            let hours = scope.spawn(|| match read.findings.without_time_of_day {
                true => Err(BestTimeError::NoTimeOfDay),
                false => best_hours(&posts, question),
            });
            let rates = [
                Rate::of::<ByReach>(&posts),
                Rate::of::<ByImpressions>(&posts),
                Rate::of::<ByFollowers>(&posts),
            ];
            (average_reach(&posts), rates, hours.join().unwrap_or_else(|panic| resume_unwind(panic)))
        });
        Self { read, posts, question: *question, reach, rates, hours }
    }

    /// The verdict in one sentence, or the reason for having none.
    #[must_use]
    pub fn verdict(&self, lang: Lang) -> String {
        match &self.hours {
            Ok(hours) => verdict_sentence(hours, lang),
            Err(error) => {
                let french = match error {
                    BestTimeError::TooFewPosts { usable, needed, .. } => format!(
                        "trop peu de publications utilisables pour comparer les heures : {usable}, il en faut {needed}"
                    ),
                    BestTimeError::NoTimeOfDay => {
                        "pas d'heures à comparer : les dates de publication n'ont pas d'heure".to_owned()
                    }
                };
                lang.pick(error.to_string(), french)
            }
        }
    }
}

#[derive(Serialize)]
struct RateJson {
    mean_of_ratios: Option<f64>,
    ratio_of_sums: Option<f64>,
    n: usize,
    n_missing: usize,
}

#[derive(Serialize)]
#[serde(untagged)]
enum HoursJson<'a> {
    Found {
        verdict: Verdict,
        p_value: f64,
        measure: Outcome,
        zone: &'a str,
        n: usize,
        hours: Vec<&'a HourEstimate>,
        never_tried: &'a [u8],
        raw_ranking: &'a [RawHour],
    },
    TooFew {
        verdict: &'static str,
        p_value: Option<f64>,
        hours: [(); 0],
        reason: String,
    },
}

#[derive(Serialize)]
struct ReportJson<'a> {
    posts: usize,
    quarantined: usize,
    average_reach: Option<f64>,
    median_reach: Option<f64>,
    engagement_rate: BTreeMap<&'static str, RateJson>,
    best_hours: HoursJson<'a>,
    findings: &'a Findings,
}

impl Serialize for Report<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rate = |rate: &Rate| {
            let name = rate.outcome.as_str().trim_start_matches("engagement_");
            let Rate { mean_of_ratios, ratio_of_sums, n, n_missing, .. } = *rate;
            (name, RateJson { mean_of_ratios, ratio_of_sums, n, n_missing })
        };
        let best_hours = match &self.hours {
            Ok(found) => HoursJson::Found {
                verdict: found.verdict,
                p_value: found.p_value,
                measure: found.outcome,
                zone: found.zone.name(),
                n: found.n,
                hours: found.ranked(),
                never_tried: &found.never_tried,
                raw_ranking: &found.raw_ranking,
            },
            Err(error) => HoursJson::TooFew {
                verdict: match error {
                    BestTimeError::TooFewPosts { .. } => "too_few_posts",
                    BestTimeError::NoTimeOfDay => "no_time_of_day",
                },
                p_value: None,
                hours: [],
                reason: error.to_string(),
            },
        };
        let json = ReportJson {
            posts: self.posts.len(),
            quarantined: self.read.quarantined.len(),
            average_reach: self.reach.mean,
            median_reach: self.reach.median,
            engagement_rate: self.rates.iter().map(rate).collect(),
            best_hours,
            findings: &self.read.findings,
        };
        json.serialize(serializer)
    }
}
