//! What customers spend, and what they are worth over a horizon.

use serde::{Deserialize, Serialize};

use super::{
    Buyer, Customer, LifetimeError, Parameter, Purchasing, Span, Unit,
    newton::{Local, maximise},
    purchasing::parameters,
    special::{digamma, ln_gamma, trigamma},
};

/// The fewest customers with a value that a model is fitted to.
const FEWEST_BUYERS: usize = 10;

/// The gamma-gamma model of the mean value of a purchase (Fader and Hardie 2013), parameters p, q, v: values scatter
/// around each customer's mean as gamma(p, ν), and ν is gamma(q, v) over customers.
///
/// It takes for granted that what customers spend does not depend on how often they buy; [`GammaGamma::correlation`]
/// says how far that is so. Only repeats are seen (see [`Buyer::mean_value`]).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GammaGamma {
    parameters: Vec<Parameter>,
    log_likelihood: Option<f64>,
    buyers: usize,
    left_out: usize,
    correlation: Option<f64>,
}

impl GammaGamma {
    /// Fits the model by maximum likelihood to the repeats of buyers and their mean values: (repeats with a value, mean
    /// value). Buyers without a repeat, and those whose mean value is not above 0, are left out and counted.
    ///
    /// # Errors
    /// Fewer than ten buyers; a likelihood without a maximum.
    pub fn fit(buyers: impl IntoIterator<Item = (u32, f64)>) -> Result<Self, LifetimeError> {
        let mut seen: Vec<(u32, f64)> = Vec::new();
        let mut left_out = 0;
        for (repeats, mean) in buyers {
            if repeats > 0 && mean.is_finite() && mean > 0.0 {
                seen.push((repeats, mean));
            } else {
                left_out += 1;
            }
        }
        if seen.len() < FEWEST_BUYERS {
            let (what, found) = ("buyers with a repeat of known value", seen.len());
            return Err(LifetimeError::TooFew { what, found, least: FEWEST_BUYERS });
        }
        seen.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let count = seen.len() as f64;
        let scale = seen.iter().map(|(_, mean)| mean).sum::<f64>() / count;
        let likelihood = |parameters: &[f64; 3]| log_likelihood(parameters, &seen, scale);
        let ran_away = |at: usize, upwards: bool| LifetimeError::RunsAway {
            parameter: ["p", "q", "v"][at],
            towards: if upwards { "infinity" } else { "0" },
            meaning: match at {
                0 if upwards => "a customer's purchases all have the same value",
                _ => "customers do not differ in what they spend",
            },
        };
        let mut found = maximise([1.0, 3.0, 2.0], count, likelihood, ran_away);
        if found.is_err() {
            found = maximise([6.0, 4.0, 0.5], count, likelihood, ran_away).or(found);
        }
        let found = found?;
        let mut parameters = parameters(["p", "q", "v"], &found);
        if let Some(v) = parameters.last_mut() {
            v.value *= scale;
            for number in [&mut v.std_error, &mut v.low, &mut v.high] {
                *number = number.map(|number| number * scale);
            }
        }
        Ok(Self {
            parameters,
            log_likelihood: Some(found.value - count * scale.ln()),
            buyers: seen.len(),
            left_out,
            correlation: correlation(&seen),
        })
    }

    /// Fits the model to buyers, as [`GammaGamma::fit`].
    ///
    /// # Errors
    /// As there.
    pub fn of(buyers: &[Buyer]) -> Result<Self, LifetimeError> {
        Self::fit(buyers.iter().map(|buyer| (buyer.valued_repeats, buyer.mean_value.unwrap_or(f64::NAN))))
    }

    /// A model whose parameters p, q and v are known; v in the currency of the values.
    ///
    /// # Errors
    /// A parameter that is not a number above 0.
    pub fn with_parameters(values: [f64; 3]) -> Result<Self, LifetimeError> {
        let names = ["p", "q", "v"];
        for (name, value) in names.into_iter().zip(values) {
            if !(value.is_finite() && value > 0.0) {
                return Err(LifetimeError::Parameter { name, value, expected: "a number above 0" });
            }
        }
        let of = |(name, value): (&str, f64)| Parameter {
            name: name.to_owned(),
            value,
            std_error: None,
            low: None,
            high: None,
        };
        let parameters = names.into_iter().zip(values).map(of).collect();
        Ok(Self { parameters, log_likelihood: None, buyers: 0, left_out: 0, correlation: None })
    }

    /// p, q and v.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The log-likelihood at the maximum; none for parameters that were given.
    #[must_use]
    pub fn log_likelihood(&self) -> Option<f64> {
        self.log_likelihood
    }

    /// Buyers fitted to.
    #[must_use]
    pub fn buyers(&self) -> usize {
        self.buyers
    }

    /// Buyers left out: without a repeat of known value, or of a mean value that is not above 0.
    #[must_use]
    pub fn left_out(&self) -> usize {
        self.left_out
    }

    /// Pearson's correlation of repeats and mean values; the model takes it for 0.
    #[must_use]
    pub fn correlation(&self) -> Option<f64> {
        self.correlation
    }

    /// The expected value of a purchase by a customer with so many valued repeats of a mean value: v + x m over p x + q −
    /// 1, times p. None for a customer without repeats where q is at most 1: the mean over customers is then infinite.
    #[must_use]
    pub fn expected_value(&self, repeats: u32, mean: Option<f64>) -> Option<f64> {
        let [p, q, v]: [f64; 3] =
            std::array::from_fn(|at| self.parameters.get(at).map_or(f64::NAN, |parameter| parameter.value));
        let (x, mean) = match mean {
            Some(mean) if repeats > 0 => (f64::from(repeats), mean),
            _ => (0.0, 0.0),
        };
        let weight = p * x + q - 1.0;
        (weight > 0.0).then(|| p * (v + x * mean) / weight)
    }
}

/// Pearson's correlation.
fn correlation(seen: &[(u32, f64)]) -> Option<f64> {
    let count = seen.len() as f64;
    let x = seen.iter().map(|(x, _)| f64::from(*x)).sum::<f64>() / count;
    let m = seen.iter().map(|(_, m)| m).sum::<f64>() / count;
    let mut sums = [0.0; 3];
    for (repeats, mean) in seen {
        let (dx, dm) = (f64::from(*repeats) - x, mean - m);
        sums[0] += dx * dx;
        sums[1] += dm * dm;
        sums[2] += dx * dm;
    }
    (sums[0] > 0.0 && sums[1] > 0.0).then(|| sums[2] / (sums[0] * sums[1]).sqrt())
}

/// Equation (1a) of Fader and Hardie (2013), summed; values in units of `scale`.
fn log_likelihood(parameters: &[f64; 3], seen: &[(u32, f64)], scale: f64) -> Local<3> {
    let [p, q, v] = *parameters;
    let (ln_gamma_q, digamma_q, trigamma_q) = (ln_gamma(q), digamma(q), trigamma(q));
    let mut sum = Local::ZERO;
    for same in seen.chunk_by(|a, b| a.0 == b.0) {
        let Some((repeats, _)) = same.first() else { continue };
        let x = f64::from(*repeats);
        let shape = p * x + q;
        let [both, both1, both2] = [ln_gamma(shape), digamma(shape), trigamma(shape)];
        let [own, own1, own2] = [ln_gamma(p * x), digamma(p * x), trigamma(p * x)];
        let count = same.len() as f64;
        let mut part = Local::ZERO;
        for (_, mean) in same {
            let m = mean / scale;
            let z = x * m + v;
            let ln_z = z.ln();
            part.value += (p * x - 1.0) * m.ln() + p * x * x.ln() - shape * ln_z;
            part.gradient[0] += x * (m.ln() + x.ln() - ln_z);
            part.gradient[1] -= ln_z;
            part.gradient[2] -= shape / z;
            part.hessian[0][2] -= x / z;
            part.hessian[1][2] -= 1.0 / z;
            part.hessian[2][2] += shape / (z * z);
        }
        part.value += count * (both - own - ln_gamma_q + q * v.ln());
        part.gradient[0] += count * x * (both1 - own1);
        part.gradient[1] += count * (both1 - digamma_q + v.ln());
        part.gradient[2] += count * q / v;
        part.hessian[0][0] += count * x * x * (both2 - own2);
        part.hessian[0][1] += count * x * both2;
        part.hessian[1][1] += count * (both2 - trigamma_q);
        part.hessian[1][2] += count / v;
        part.hessian[2][2] -= count * q / (v * v);
        sum.add(&part, 1.0);
    }
    for row in 1..3 {
        for column in 0..row {
            sum.hessian[row][column] = sum.hessian[column][row];
        }
    }
    sum
}

/// How far ahead value is counted, and how much less later money is worth.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Horizon {
    span: Span,
    step: Span,
    rate: f64,
    per: Span,
}

impl Horizon {
    /// Value over `span`, not discounted, counted week by week.
    #[must_use]
    pub fn new(span: Span) -> Self {
        Self { span, step: Span::weeks(1.0), rate: 0.0, per: Span::new(1.0, Unit::Year) }
    }

    /// Discounts by `rate` for each `per` that passes: 0.1 per year, say. Purchases are discounted from the end of the
    /// step in which they are expected.
    #[must_use]
    pub fn discount(mut self, rate: f64, per: Span) -> Self {
        (self.rate, self.per) = (rate, per);
        self
    }

    /// The step in which purchases are counted (default a week).
    #[must_use]
    pub fn step(mut self, step: Span) -> Self {
        self.step = step;
        self
    }

    /// The expected value of what a customer buys within the horizon after the end of the observation, given the
    /// expected value of a purchase.
    ///
    /// # Errors
    /// A horizon, a step or a period of the discount that is not above 0, more than 100,000 steps, a rate at or below −1.
    pub fn value(
        &self,
        model: &Purchasing,
        customer: &Customer,
        value_of_purchase: f64,
    ) -> Result<f64, LifetimeError> {
        let [span, step, per] = [self.span, self.step, self.per].map(|span| span.in_unit(Unit::Day));
        for (name, value) in
            [("horizon in days", span), ("step in days", step), ("discount period in days", per)]
        {
            if !(value.is_finite() && value > 0.0) {
                return Err(LifetimeError::Parameter { name, value, expected: "a time above 0" });
            }
        }
        if !(self.rate.is_finite() && self.rate > -1.0) {
            return Err(LifetimeError::Parameter {
                name: "discount",
                value: self.rate,
                expected: "a rate above -1",
            });
        }
        if span / step > 1e5 {
            let expected = "at least a hundred-thousandth of the horizon";
            return Err(LifetimeError::Parameter { name: "step in days", value: step, expected });
        }
        let alive = model.alive(customer);
        if self.rate == 0.0 {
            return Ok(value_of_purchase * alive * model.expected_if_alive(customer, self.span));
        }
        let (mut worth, mut before, mut until) = (0.0, 0.0, 0.0);
        while until < span * (1.0 - 1e-12) {
            until = (until + step).min(span);
            let expected = model.expected_if_alive(customer, Span::days(until));
            worth += (expected - before) * (1.0 + self.rate).powf(-until / per);
            before = expected;
        }
        Ok(value_of_purchase * alive * worth)
    }
}
