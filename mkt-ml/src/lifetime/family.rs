//! The models of when customers buy and leave, and the likelihoods of BG/NBD and MBG/NBD.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    LifetimeError,
    newton::Local,
    special::{digamma, hypergeometric, ln_gamma, trigamma},
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
    // Near a = 1 both factors vanish; the function itself is smooth there.
    if (a - 1.0).abs() < 1e-5 { f64::midpoint(at(a - 1e-4), at(a + 1e-4)) } else { at(a) }
}
