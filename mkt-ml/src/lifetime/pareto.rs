//! The likelihood of Pareto/NBD.
//!
//! Given the rates λ of buying and μ of leaving, x repeats, the last at t, observed until T have the likelihood
//! λ^x (e^−(λ + μ)T + ∫ μ e^−(λ + μ)y dy), the integral from t to T. Over gamma(r, α) and gamma(s, β) that becomes
//! Γ(r + x) ÷ Γ(r) α^r β^s ((α + T)^−(r + x) (β + T)^−s + s ∫ (α + y)^−(r + x) (β + y)^−(s + 1) dy): the same as the
//! form with two ₂F₁ of Fader and Hardie (2005), without their cancellation, and with derivatives under the integral.

use super::{
    family::{Alike, rising},
    newton::Local,
    special::gauss_legendre,
};

const NODES: usize = 24;
/// A part of the integral in which the integrand falls by e^−this has all its digits from the nodes.
const FALL: f64 = 25.0;
/// The most parts of one integral: as many as a customer of some hundred purchases has.
const MOST_PANELS: f64 = 64.0;

/// Shares of the likelihood with their derivatives, gathered around the largest.
#[derive(Debug)]
struct Parts {
    nodes: [(f64, f64); NODES],
    parts: Vec<Part>,
}

#[derive(Debug, Clone, Copy)]
struct Part {
    ln: f64,
    gradient: [f64; 4],
    /// Second derivatives: r α, α α, s s, s β, β β.
    second: [f64; 5],
}

impl Parts {
    fn new() -> Self {
        Self { nodes: gauss_legendre(), parts: Vec::new() }
    }

    /// The parts of one customer: still there first, then the nodes of having left at y.
    fn fill(&mut self, [r, alpha, s, beta]: &[f64; 4], x: f64, last: f64, observed: f64) {
        self.parts.clear();
        let (a, b) = (alpha + observed, beta + observed);
        let power = r + x;
        self.parts.push(Part {
            ln: -power * a.ln() - s * b.ln(),
            gradient: [-a.ln(), -power / a, -b.ln(), -s / b],
            second: [-1.0 / a, power / (a * a), 0.0, -1.0 / b, s / (b * b)],
        });
        // Over u = ln(shift + y) the integrand is nearly an exponential.
        let shift = alpha.min(*beta);
        let (mut from, until) = ((shift + last).ln(), (shift + observed).ln());
        // How fast it falls at most: at the end, since shift is neither above α nor above β.
        let end = shift + observed;
        let steep = power * end / a + (s + 1.0) * end / b + 1.0;
        let mut most = f64::NEG_INFINITY;
        // No more panels than this, where parameters run away on the climb: their number must stay bounded.
        let narrowest = (until - from) / MOST_PANELS;
        // What is e⁻⁶⁰ of the largest part, and falls on, adds nothing.
        while from < until && self.parts.last().is_some_and(|part| part.ln > most - 60.0) {
            let width = (until - from).min((FALL / steep).max(narrowest));
            for (place, weight) in self.nodes {
                let u = from + width * place;
                let y = u.exp() - shift;
                let (a, b) = (alpha + y, beta + y);
                let (ln_a, ln_b) = (a.ln(), b.ln());
                self.parts.push(Part {
                    ln: (weight * width * s).ln() + u - power * ln_a - (s + 1.0) * ln_b,
                    gradient: [-ln_a, -power / a, 1.0 / s - ln_b, -(s + 1.0) / b],
                    second: [-1.0 / a, power / (a * a), -1.0 / (s * s), -1.0 / b, (s + 1.0) / (b * b)],
                });
            }
            from += width;
            most = self.parts.iter().map(|part| part.ln).fold(most, f64::max);
        }
    }

    /// ln of the sum of all parts, and the share of the first.
    fn sum(&self) -> (f64, f64) {
        let most = self.parts.iter().map(|part| part.ln).fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = self.parts.iter().map(|part| (part.ln - most).exp()).sum();
        let first = self.parts.first().map_or(0.0, |part| (part.ln - most).exp());
        (most + sum.ln(), first / sum)
    }
}

/// The log-likelihood of customers sorted by repeats.
pub(super) fn log_likelihood(parameters: &[f64; 4], customers: &[Alike]) -> Local<4> {
    let [r, alpha, s, beta] = *parameters;
    let mut parts = Parts::new();
    let mut sum = Local::ZERO;
    for same in customers.chunk_by(|one, other| one.repeats == other.repeats) {
        let Some(first) = same.first() else { continue };
        let x = f64::from(first.repeats);
        let [buys, buys1, buys2] = rising(r, x);
        for one in same {
            parts.fill(parameters, x, one.last, one.observed);
            let (ln, _) = parts.sum();
            let mut own = Local::ZERO;
            own.value = buys + r * alpha.ln() + s * beta.ln() + ln;
            let mut mean = [0.0; 4];
            let mut h = [[0.0; 4]; 4];
            for part in &parts.parts {
                let share = (part.ln - ln).exp();
                for (row, g) in part.gradient.iter().enumerate() {
                    mean[row] += share * g;
                    h[row].iter_mut().zip(part.gradient).for_each(|(h, other)| *h += share * g * other);
                }
                for ((row, column), second) in
                    [(0, 1), (1, 1), (2, 2), (2, 3), (3, 3)].into_iter().zip(part.second)
                {
                    h[row][column] += share * second;
                }
            }
            own.gradient =
                [buys1 + alpha.ln() + mean[0], r / alpha + mean[1], beta.ln() + mean[2], s / beta + mean[3]];
            for row in 0..4 {
                for column in row..4 {
                    own.hessian[row][column] = h[row][column] - mean[row] * mean[column];
                }
            }
            own.hessian[0][0] += buys2;
            own.hessian[0][1] += 1.0 / alpha;
            own.hessian[1][1] -= r / (alpha * alpha);
            own.hessian[2][3] += 1.0 / beta;
            own.hessian[3][3] -= s / (beta * beta);
            sum.add(&own, one.customers);
        }
    }
    for row in 1..4 {
        for column in 0..row {
            sum.hessian[row][column] = sum.hessian[column][row];
        }
    }
    sum
}

/// The probability that a customer has not left at the end of the observation.
pub(super) fn alive(parameters: &[f64; 4], x: f64, last: f64, observed: f64) -> f64 {
    let mut parts = Parts::new();
    parts.fill(parameters, x, last, observed);
    parts.sum().1
}

/// The expected purchases in a time `t` after `observed` of a customer who is still one: (r + x)(β + T) ÷ ((α + T)(s −
/// 1)) × (1 − ((β + T) ÷ (β + T + t))^(s − 1)), equation (41) of Fader and Hardie (2005) without P(alive).
pub(super) fn expected_if_alive([r, alpha, s, beta]: &[f64; 4], x: f64, observed: f64, t: f64) -> f64 {
    let rate = (r + x) / (alpha + observed);
    let there = beta + observed;
    // ((1 − q^(s − 1)) ÷ (s − 1) through expm1, which has its limit ln(1 ÷ q) at s = 1.
    let ln = ((there + t) / there).ln();
    let power = s - 1.0;
    let grown = if power.abs() < 1e-12 { ln } else { -(-power * ln).exp_m1() / power };
    rate * there * grown
}
