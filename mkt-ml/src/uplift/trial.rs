//! A campaign with a control group, its effect, and how many people it takes to see one.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::UpliftError;

/// Who was treated, and the outcome of each: 1 and 0 for yes and no, or an amount.
#[derive(Debug, Clone, PartialEq)]
pub struct Trial {
    pub(super) treated: Vec<bool>,
    pub(super) outcomes: Vec<f64>,
}

/// The effect of a campaign on one outcome.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Effect {
    /// People treated.
    pub treated: usize,
    /// People in the control group.
    pub control: usize,
    /// The mean outcome of the treated: of yes and no, the rate.
    pub treated_mean: f64,
    /// The mean outcome of the control group.
    pub control_mean: f64,
    /// The difference of both.
    pub difference: f64,
    /// The lower end of its 95 % interval: Newcombe's (1998, method 10) for rates, Welch's (1947) for amounts.
    pub low: f64,
    /// The upper end.
    pub high: f64,
    /// Two-sided, of a difference as large if there were none: the pooled z test for rates, Welch's t for amounts.
    pub p_value: f64,
    /// The difference ÷ the control's mean; none where that is 0.
    pub relative: Option<f64>,
    /// Outcomes that would not have come without the campaign: difference × treated.
    pub incremental: f64,
    /// The ends of its interval.
    pub incremental_low: f64,
    /// The upper end.
    pub incremental_high: f64,
}

/// Whether groups are as large as was planned.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[non_exhaustive]
pub struct SplitCheck {
    /// The share treated.
    pub share: f64,
    /// The share planned.
    pub planned: f64,
    /// Two-sided: the probability of a share as far off by chance. Below 0.001, look for the error (in the assignment, in
    /// the filters) before the effect.
    pub p_value: f64,
}

impl Trial {
    /// A trial whose outcome is yes or no.
    ///
    /// # Errors
    /// Other numbers of both; a group without two people.
    pub fn new(treated: &[bool], outcomes: &[bool]) -> Result<Self, UpliftError> {
        let outcomes: Vec<f64> = outcomes.iter().map(|outcome| f64::from(u8::from(*outcome))).collect();
        Self::of_amounts(treated, &outcomes)
    }

    /// A trial whose outcome is an amount.
    ///
    /// # Errors
    /// As [`Trial::new`]; an amount that is not finite.
    pub fn of_amounts(treated: &[bool], outcomes: &[f64]) -> Result<Self, UpliftError> {
        if treated.len() != outcomes.len() {
            let (expected, found) = (treated.len(), outcomes.len());
            return Err(UpliftError::Length { what: "outcomes", expected, found });
        }
        if let Some((row, value)) = outcomes.iter().enumerate().find(|(_, value)| !value.is_finite()) {
            return Err(UpliftError::NotFinite { what: "outcome", row, value: *value });
        }
        let count = treated.iter().filter(|treated| **treated).count();
        for (group, found) in [("treated", count), ("control", treated.len() - count)] {
            if found < 2 {
                return Err(UpliftError::SmallGroup { group, found, least: 2 });
            }
        }
        Ok(Self { treated: treated.to_vec(), outcomes: outcomes.to_vec() })
    }

    /// People.
    #[must_use]
    pub fn people(&self) -> usize {
        self.treated.len()
    }

    /// Whether all outcomes are 0 or 1.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.outcomes.iter().all(|outcome| *outcome == 0.0 || *outcome == 1.0)
    }

    /// The effect over all people.
    ///
    /// ```
    /// use mkt_ml::uplift::Trial;
    ///
    /// // 56 of 70 against 48 of 80: Newcombe's example has the interval .0524 to .3339.
    /// let treated: Vec<bool> = (0..150).map(|at| at < 70).collect();
    /// let bought: Vec<bool> = (0..150).map(|at| at < 56 || (70..118).contains(&at)).collect();
    /// let effect = Trial::new(&treated, &bought)?.difference();
    /// assert!((effect.low - 0.0524).abs() < 5e-5 && (effect.high - 0.3339).abs() < 5e-5);
    /// # Ok::<(), mkt_ml::uplift::UpliftError>(())
    /// ```
    #[must_use]
    pub fn difference(&self) -> Effect {
        let [treated, control] = [true, false].map(|group| {
            let rows = self.treated.iter().zip(&self.outcomes).filter(|(treated, _)| **treated == group);
            rows.map(|(_, outcome)| *outcome).collect::<Vec<f64>>()
        });
        effect(&treated, &control, self.is_binary())
    }

    /// Tests whether the share of treated people is the planned one, by the normal approximation.
    ///
    /// # Errors
    /// A share that is not between 0 and 1.
    pub fn split_check(&self, planned: f64) -> Result<SplitCheck, UpliftError> {
        if !(planned > 0.0 && planned < 1.0) {
            let expected = "a share between 0 and 1";
            return Err(UpliftError::Parameter { name: "planned share", value: planned, expected });
        }
        let people = self.people() as f64;
        let share = self.treated.iter().filter(|treated| **treated).count() as f64 / people;
        let z = (share - planned) / (planned * (1.0 - planned) / people).sqrt();
        Ok(SplitCheck { share, planned, p_value: 2.0 * Normal::standard().cdf(-z.abs()) })
    }
}

pub(super) fn effect(treated: &[f64], control: &[f64], binary: bool) -> Effect {
    let moments = |values: &[f64]| {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        (n, mean, squares / (n - 1.0))
    };
    let ((n_t, t, var_t), (n_c, c, var_c)) = (moments(treated), moments(control));
    let difference = t - c;
    let (low, high, p_value) = if binary {
        let wilson = crate::attribution::wilson;
        let ((l_t, u_t), (l_c, u_c)) = (wilson(t * n_t, n_t, 0.95), wilson(c * n_c, n_c, 0.95));
        let low = difference - (t - l_t).hypot(u_c - c);
        let high = difference + (u_t - t).hypot(c - l_c);
        let pooled = (t * n_t + c * n_c) / (n_t + n_c);
        let error = (pooled * (1.0 - pooled) * (1.0 / n_t + 1.0 / n_c)).sqrt();
        let p = if error > 0.0 { 2.0 * Normal::standard().cdf(-(difference / error).abs()) } else { 1.0 };
        (low, high, p)
    } else {
        let (e_t, e_c) = (var_t / n_t, var_c / n_c);
        let error = (e_t + e_c).sqrt();
        let freedom = (e_t + e_c).powi(2) / (e_t * e_t / (n_t - 1.0) + e_c * e_c / (n_c - 1.0));
        match StudentsT::new(0.0, 1.0, freedom) {
            Ok(student) if error > 0.0 => {
                let reach = student.inverse_cdf(0.975) * error;
                (difference - reach, difference + reach, 2.0 * student.cdf(-(difference / error).abs()))
            }
            // Nothing varies: what is seen is certain.
            _ => (difference, difference, if difference == 0.0 { 1.0 } else { 0.0 }),
        }
    };
    Effect {
        treated: treated.len(),
        control: control.len(),
        treated_mean: t,
        control_mean: c,
        difference,
        low,
        high,
        p_value,
        relative: (c != 0.0).then(|| difference / c),
        incremental: difference * n_t,
        incremental_low: low * n_t,
        incremental_high: high * n_t,
    }
}

/// Checks what all questions of power have in common.
fn check_power(power: f64, treated_share: f64) -> Result<(f64, f64), UpliftError> {
    for (name, value) in [("power", power), ("treated share", treated_share)] {
        if !(value > 0.0 && value < 1.0) {
            return Err(UpliftError::Parameter { name, value, expected: "a share between 0 and 1" });
        }
    }
    let normal = Normal::standard();
    Ok((normal.inverse_cdf(0.975), normal.inverse_cdf(power)))
}

/// How many people a test needs, treated and controls together, to see an uplift of `rate` to `rate + uplift` with the
/// probability `power` by a two-sided test at 5 % (Fleiss, Levin and Paik 2003, without correction for continuity).
///
/// # Errors
/// Rates outside 0 to 1, no uplift, shares that are not between 0 and 1.
///
/// ```
/// use mkt_ml::uplift::people_needed;
///
/// // R: power.prop.test(p1 = .50, p2 = .75, power = .90) gives 76.7 a group.
/// assert_eq!(people_needed(0.50, 0.25, 0.90, 0.5)?, 154);
/// # Ok::<(), mkt_ml::uplift::UpliftError>(())
/// ```
pub fn people_needed(rate: f64, uplift: f64, power: f64, treated_share: f64) -> Result<u64, UpliftError> {
    let (z, beta) = check_power(power, treated_share)?;
    let lifted = rate + uplift;
    for (name, value) in [("rate", rate), ("rate with the uplift", lifted)] {
        if !(0.0..=1.0).contains(&value) {
            return Err(UpliftError::Parameter { name, value, expected: "a rate from 0 to 1" });
        }
    }
    if uplift == 0.0 {
        return Err(UpliftError::Parameter { name: "uplift", value: uplift, expected: "a difference" });
    }
    let (share_t, share_c) = (treated_share, 1.0 - treated_share);
    let pooled = share_t * lifted + share_c * rate;
    let spread = |p: f64| p * (1.0 - p);
    let alike = z * (spread(pooled) * (1.0 / share_t + 1.0 / share_c)).sqrt();
    let apart = beta * (spread(lifted) / share_t + spread(rate) / share_c).sqrt();
    let people = ((alike + apart) / uplift).powi(2);
    // Each group is rounded up by itself.
    Ok((people * share_t).ceil() as u64 + (people * share_c).ceil() as u64)
}

/// The smallest uplift above `rate` that so many people show with the probability `power`, as [`people_needed`] counts;
/// none where even certainty would not be seen.
///
/// # Errors
/// As there.
pub fn detectable_uplift(
    rate: f64,
    people: u64,
    power: f64,
    treated_share: f64,
) -> Result<Option<f64>, UpliftError> {
    let enough =
        |uplift: f64| people_needed(rate, uplift, power, treated_share).map(|needed| needed <= people);
    let most = 1.0 - rate;
    if most.is_nan() || most <= 0.0 || !enough(most)? {
        // The rate itself is checked by the question at `most`.
        return if most <= 0.0 {
            people_needed(rate, 0.0, power, treated_share).map(|_| None)
        } else {
            Ok(None)
        };
    }
    let (mut low, mut high) = (0.0, most);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if middle > 0.0 && enough(middle)? {
            high = middle;
        } else {
            low = middle;
        }
    }
    Ok(Some(high))
}
