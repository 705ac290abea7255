//! `user_behavior.csv`: visits labelled by a planted logistic model with two interactions that no linear
//! score can express, so that a forest has something to find. The best possible AUC is computed from the
//! true probabilities, not from the labels.

use serde::Serialize;

use super::{
    channel::Channel,
    draw::{Draw, Topic},
    person::Device,
    staging::{Failure, Staging},
    truth::Named,
};

/// The columns.
pub(crate) const COLUMNS: [&str; 5] = ["time_on_site", "pages_viewed", "source", "device", "converted"];

/// The planted model, as `truth.json` shows it.
#[derive(Debug, Serialize)]
pub(crate) struct Model {
    pub(crate) formula: &'static str,
    pub(crate) intercept: f64,
    pub(crate) per_second: f64,
    pub(crate) per_page: f64,
    /// In the order of `Channel::ALL`.
    pub(crate) source: Named<6>,
    /// In the order of `Device::ALL`.
    pub(crate) device: Named<3>,
    /// Added when device is mobile and more than 6 pages were viewed: lost on a small screen.
    pub(crate) mobile_lost: f64,
    /// Added when the source is email and the visit lasted less than 60 s: came to buy.
    pub(crate) email_decided: f64,
}

pub(crate) const MODEL: Model = Model {
    formula: "logit P(converted) = intercept + per_second*time_on_site + per_page*pages_viewed + source[source] \
              + device[device] + mobile_lost*[device=mobile and pages_viewed>6] \
              + email_decided*[source=email and time_on_site<60]",
    intercept: -3.2,
    per_second: 0.0038,
    per_page: 0.15,
    source: Named([
        ("organic", 0.0),
        ("paid", 0.5),
        ("email", 1.2),
        ("social", -0.7),
        ("direct", 0.3),
        ("referral", -0.1),
    ]),
    device: Named([("mobile", 0.0), ("desktop", 0.6), ("tablet", 0.2)]),
    mobile_lost: -2.2,
    email_decided: 2.4,
};

impl Model {
    /// The true probability that a visit converts.
    fn probability(&self, seconds: i64, pages: i64, source: usize, device: usize) -> f64 {
        let mut score = self.intercept
            + self.per_second * seconds as f64
            + self.per_page * pages as f64
            + self.source.0[source].1
            + self.device.0[device].1;
        if Device::ALL[device] == Device::Mobile && pages > 6 {
            score += self.mobile_lost;
        }
        if Channel::ALL[source] == Channel::Email && seconds < 60 {
            score += self.email_decided;
        }
        1.0 / (1.0 + libm::exp(-score))
    }
}

/// What was written.
#[derive(Debug)]
pub(crate) struct Behaviours {
    pub(crate) rows: u64,
    pub(crate) converted: u64,
    pub(crate) bayes_auc: f64,
    pub(crate) bytes: u64,
}

/// Four rows per user, 2000 at the least.
pub(crate) fn write(seed: u64, users: u32, staging: &mut Staging) -> Result<Behaviours, Failure> {
    let rows = (u64::from(users) * 4).max(2000);
    let mut sheet = staging.sheet("user_behavior.csv", &COLUMNS)?;
    let mut draw = Draw::stream(seed, Topic::Behaviour, 0, 0);
    let mut ranks = Ranks::default();
    let mut positives = 0;
    for _ in 0..rows {
        let source = draw.weighted(&[0.32, 0.20, 0.16, 0.14, 0.12, 0.06]);
        let device = draw.weighted(&Device::SHARES);
        let seconds = (draw.log_normal(130.0, 0.95) as i64).clamp(2, 1800);
        let pages = 1 + draw.poisson(0.8 + seconds as f64 / 75.0);
        let probability = MODEL.probability(seconds, pages, source, device);
        let converted = draw.chance(probability);
        ranks.add(probability);
        positives += u64::from(converted);
        sheet.row([
            seconds.to_string().as_str(),
            &pages.to_string(),
            Channel::ALL[source].name(),
            Device::ALL[device].name(),
            if converted { "1" } else { "0" },
        ])?;
    }
    Ok(Behaviours { rows, converted: positives, bayes_auc: ranks.auc(), bytes: sheet.finish()? })
}

/// Expected AUC of the true probability as a score: every row counts as positive by its probability and as
/// negative by the rest. A histogram of 10 000 cells, ties counting half, bounds memory.
struct Ranks(Vec<(f64, f64)>);

impl Default for Ranks {
    fn default() -> Self {
        Self(vec![(0.0, 0.0); 10_000])
    }
}

impl Ranks {
    fn add(&mut self, probability: f64) {
        let cell = ((probability * self.0.len() as f64) as usize).min(self.0.len() - 1);
        self.0[cell].0 += probability;
        self.0[cell].1 += 1.0 - probability;
    }

    fn auc(&self) -> f64 {
        let (mut below, mut won) = (0.0, 0.0);
        for (positive, negative) in &self.0 {
            won += positive * (below + negative / 2.0);
            below += negative;
        }
        won / (below * self.0.iter().map(|(positive, _)| positive).sum::<f64>())
    }
}
