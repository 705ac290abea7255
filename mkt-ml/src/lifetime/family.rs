//! The models of when customers buy and leave, and the likelihoods of BG/NBD and MBG/NBD.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    LifetimeError,
    newton::Local,
    special::{digamma, gauss_legendre, hypergeometric, ln_gamma, trigamma},
};

/// A model of when customers buy and leave.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Family {
    /// BG/NBD, parameters r, α, a, b. A customer without a repeat is alive for certain.
    BgNbd,
    /// Modified BG/NBD, parameters r, α, a, b.
    MbgNbd,
    /// Pareto/NBD, parameters r, α, s, β.
    ParetoNbd,
}

impl Family {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::BgNbd, Self::MbgNbd, Self::ParetoNbd];

    /// The names of the parameters.
    #[must_use]
    pub fn parameters(self) -> [&'static str; 4] {
        match self {
            Self::BgNbd | Self::MbgNbd => ["r", "alpha", "a", "b"],
            Self::ParetoNbd => ["r", "alpha", "s", "beta"],
        }
    }

    /// Whether the parameter is a time: α and β are.
    pub(super) fn is_time(self, parameter: usize) -> bool {
        parameter == 1 || (self == Self::ParetoNbd && parameter == 3)
    }

    pub(super) fn ran_away(self, parameter: usize, upwards: bool) -> LifetimeError {
        let name = self.parameters()[parameter];
        let meaning = match (name, upwards) {
            ("r" | "alpha", true) => "customers do not differ in how often they buy",
            ("r" | "alpha", false) => {
                "almost nobody came back, and what is there does not tell how often people buy"
            }
            ("a" | "s", false) | ("b" | "beta", true) => {
                "nobody seems to leave: the data show no dropping out"
            }
            ("b" | "beta", false) => "everybody seems to leave at once",
            _ => "customers do not differ in how likely they are to leave",
        };
        LifetimeError::RunsAway { parameter: name, towards: if upwards { "infinity" } else { "0" }, meaning }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::BgNbd => "BG/NBD",
            Self::MbgNbd => "MBG/NBD",
            Self::ParetoNbd => "Pareto/NBD",
        })
    }
}

/// Customers alike: repeats, last and observed in the model's unit, and how many they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Alike {
    pub(super) repeats: u32,
    pub(super) last: f64,
    pub(super) observed: f64,
    pub(super) customers: f64,
}

/// ln Γ(r + x) − ln Γ(r) with its derivatives by r.
pub(super) fn rising(r: f64, x: f64) -> [f64; 3] {
    if x == 0.0 {
        return [0.0; 3];
    }
    [ln_gamma(r + x) - ln_gamma(r), digamma(r + x) - digamma(r), trigamma(r + x) - trigamma(r)]
}

/// The log of a customer's odds of having left: ln of the second part of the likelihood over the first. `None` where a
/// customer cannot have left.
///
/// BG/NBD: a ÷ (b + x − 1) × ((α + T) ÷ (α + t))^(r + x) for x above 0; MBG/NBD: with x + 1 in place of x in the first
/// factor, for all x.
pub(super) fn left(
    family: Family,
    [r, alpha, a, b]: &[f64; 4],
    x: f64,
    last: f64,
    observed: f64,
) -> Option<f64> {
    let chances = chances(family, x);
    if chances == 0.0 {
        return None;
    }
    Some(a.ln() - (b + chances - 1.0).ln() + (r + x) * ((alpha + observed) / (alpha + last)).ln())
}

/// How often a customer had the chance to leave.
fn chances(family: Family, x: f64) -> f64 {
    if family == Family::MbgNbd { x + 1.0 } else { x }
}

/// The log-likelihood of customers sorted by repeats, after equation (6) of Fader, Hardie and Lee (2005) and equation (4)
/// of Batislam, Denizel and Filiztekin (2007): ln Γ(r + x) − ln Γ(r) + r ln α + ln Γ(a + b) + ln Γ(b + k) − ln Γ(b) −
/// ln Γ(a + b + k) + ln((α + T)^−(r + x) + a ÷ (b + k − 1) × (α + t)^−(r + x)), k being the chances to leave.
pub(super) fn log_likelihood(family: Family, parameters: &[f64; 4], customers: &[Alike]) -> Local<4> {
    let [r, alpha, a, b] = *parameters;
    let mut sum = Local::ZERO;
    for same in customers.chunk_by(|one, other| one.repeats == other.repeats) {
        let Some(first) = same.first() else { continue };
        let x = f64::from(first.repeats);
        let k = chances(family, x);
        let [buys, buys1, buys2] = rising(r, x);
        let [both, both1, both2] = rising(a + b, k);
        let [stays, stays1, stays2] = rising(b, k);
        // What all of them have in common.
        let mut common = Local::ZERO;
        common.value = buys + r * alpha.ln() + stays - both;
        common.gradient = [buys1 + alpha.ln(), r / alpha, -both1, stays1 - both1];
        common.hessian[0][0] = buys2;
        common.hessian[0][1] = 1.0 / alpha;
        common.hessian[1][1] = -r / (alpha * alpha);
        common.hessian[2][2] = -both2;
        common.hessian[2][3] = -both2;
        common.hessian[3][3] = stays2 - both2;
        let leaves = (k > 0.0).then(|| a.ln() - (b + k - 1.0).ln());
        let (by_a, by_b) = (1.0 / a, if k > 0.0 { -1.0 / (b + k - 1.0) } else { 0.0 });
        let mut own = Local::ZERO;
        let mut count = 0.0;
        for one in same {
            let n = one.customers;
            count += n;
            let (here, then) = (alpha + one.observed, alpha + one.last);
            let ln_here = here.ln();
            let (g3, h3) = ([-ln_here, -(r + x) / here], [-1.0 / here, (r + x) / (here * here)]);
            let Some(leaves) = leaves else {
                own.value -= n * (r + x) * ln_here;
                own.gradient[0] += n * g3[0];
                own.gradient[1] += n * g3[1];
                own.hessian[0][1] += n * h3[0];
                own.hessian[1][1] += n * h3[1];
                continue;
            };
            let ln_then = then.ln();
            let (g4, h4) = ([-ln_then, -(r + x) / then], [-1.0 / then, (r + x) / (then * then)]);
            let odds = leaves + (r + x) * (ln_here - ln_then);
            // The share of the second part, w, and ln of the sum of both.
            let (w, sum_ln) = if odds > 0.0 {
                let e = (-odds).exp();
                (1.0 / (1.0 + e), leaves - (r + x) * ln_then + e.ln_1p())
            } else {
                let e = odds.exp();
                (e / (1.0 + e), -(r + x) * ln_here + e.ln_1p())
            };
            own.value += n * sum_ln;
            let (v, d) = (1.0 - w, [g4[0] - g3[0], g4[1] - g3[1], by_a, by_b]);
            own.gradient[0] += n * (v * g3[0] + w * g4[0]);
            own.gradient[1] += n * (v * g3[1] + w * g4[1]);
            own.gradient[2] += n * w * by_a;
            own.gradient[3] += n * w * by_b;
            own.hessian[0][1] += n * (v * h3[0] + w * h4[0]);
            own.hessian[1][1] += n * (v * h3[1] + w * h4[1]);
            own.hessian[2][2] -= n * w * by_a * by_a;
            own.hessian[3][3] += n * w * by_b * by_b;
            let vw = n * v * w;
            for row in 0..4 {
                for column in row..4 {
                    own.hessian[row][column] += vw * d[row] * d[column];
                }
            }
        }
        sum.add(&common, count);
        sum.add(&own, 1.0);
    }
    for row in 1..4 {
        for column in 0..row {
            sum.hessian[row][column] = sum.hessian[column][row];
        }
    }
    sum
}

/// The expected purchases in a time `t` after `observed` of a customer who is still one at that moment: equation (10) of
/// Fader, Hardie and Lee (2005) without its denominator, in Euler's form of ₂F₁, which converges for every horizon.
pub(super) fn expected_if_alive(family: Family, parameters: &[f64; 4], x: f64, observed: f64, t: f64) -> f64 {
    let [r, alpha, a, b] = *parameters;
    let k = chances(family, x);
    let at = |a: f64| {
        let z = t / (alpha + observed + t);
        let c = a + b + k - 1.0;
        // A pole of both factors that cancels: step beside it.
        let c = if c.abs() < 1e-9 { 1e-9 } else { c };
        let f = hypergeometric(c - r - x, a - 1.0, c, z);
        c / (a - 1.0) * (1.0 - (1.0 - z).powf(a - 1.0) * f)
    };
    if a <= LARGE {
        // Near a = 1 both factors vanish; the function itself is smooth there.
        let expected = if (a - 1.0).abs() < 1e-5 { f64::midpoint(at(a - 1e-4), at(a + 1e-4)) } else { at(a) };
        if expected.is_finite() {
            return expected;
        }
    }
    by_quadrature(parameters, x, k, observed, t)
}

/// Beyond this, the terms of the series grow out of all numbers before they fall.
const LARGE: f64 = 50.0;

/// The same as the mean over p, beta(a, b + k), of (1 − ((α + T) ÷ (α + T + p t))^(r + x)) ÷ p: what is expected of a
/// customer who leaves with probability p. Over ln(p ÷ (1 − p)) the density has one hump and no poles.
fn by_quadrature(parameters: &[f64; 4], x: f64, k: f64, observed: f64, t: f64) -> f64 {
    const PANELS: usize = 60;
    let [r, alpha, a, b] = *parameters;
    let (b, there) = (b + k, alpha + observed);
    let nodes = gauss_legendre::<24>();
    let middle = (a / b).ln();
    let spread = 12.0 * (1.0 / a + 1.0 / b).sqrt();
    let (from, until) = (middle - spread - 40.0 / a, middle + spread + 40.0 / b);
    let ln_density = |v: f64| -a * (-v).exp().ln_1p() - b * v.exp().ln_1p();
    let highest = ln_density(middle);
    let width = (until - from) / PANELS as f64;
    let (mut sum, mut weights) = (0.0, 0.0);
    for panel in 0..PANELS {
        for (place, weight) in nodes {
            let v = from + width * (panel as f64 + place);
            let p = 1.0 / (1.0 + (-v).exp());
            let weight = weight * (ln_density(v) - highest).exp();
            // Who never leaves buys at the rate (r + x) ÷ (α + T).
            let gained = if p > 1e-300 {
                -(-(r + x) * (p * t / there).ln_1p()).exp_m1() / p
            } else {
                (r + x) * t / there
            };
            sum += weight * gained;
            weights += weight;
        }
    }
    sum / weights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quadrature_agrees_with_the_series_and_goes_on_where_it_ends() {
        for [r, alpha, a, b] in [[0.24, 4.4, 0.79, 2.4], [0.8, 6.0, 3.0, 9.0], [2.0, 1.0, 20.0, 60.0]] {
            for (x, observed, t) in [(0.0, 38.0, 39.0), (2.0, 38.0, 39.0), (9.0, 20.0, 400.0)] {
                let parameters = [r, alpha, a, b];
                let series = expected_if_alive(Family::BgNbd, &parameters, x, observed, t);
                let quadrature = by_quadrature(&parameters, x, x, observed, t);
                assert!(
                    (series / quadrature - 1.0).abs() < 1e-6,
                    "{parameters:?} {x}: {series} and {quadrature}"
                );
            }
        }
        // All leave with a probability of a quarter: the mean over λ alone.
        let expected = expected_if_alive(Family::BgNbd, &[2.0, 1.0, 1e7, 3e7], 3.0, 9.0, 5.0);
        let alone = (1.0 - (10.0_f64 / (10.0 + 0.25 * 5.0)).powi(5)) / 0.25;
        assert!((expected / alone - 1.0).abs() < 1e-6, "{expected} and {alone}");
    }
}
