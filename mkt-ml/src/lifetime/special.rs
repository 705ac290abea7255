//! Functions of analysis that likelihoods need.

pub(super) use statrs::function::gamma::ln_gamma;

/// Below this, functions are carried upwards by their recurrence; above, their asymptotic series has all digits.
const ASYMPTOTIC: f64 = 12.0;

/// ψ(x), the derivative of ln Γ, for x above 0 (Abramowitz and Stegun 6.3.5, 6.3.18).
pub(super) fn digamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < ASYMPTOTIC {
        sum -= 1.0 / x;
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = y
        * (1.0 / 12.0
            - y * (1.0 / 120.0
                - y * (1.0 / 252.0 - y * (1.0 / 240.0 - y * (1.0 / 132.0 - y * 691.0 / 32760.0)))));
    sum + x.ln() - 0.5 / x - series
}

/// ψ′(x) for x above 0 (Abramowitz and Stegun 6.4.6, 6.4.12).
pub(super) fn trigamma(mut x: f64) -> f64 {
    let mut sum = 0.0;
    while x < ASYMPTOTIC {
        sum += 1.0 / (x * x);
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = y
        * (1.0 / 6.0
            - y * (1.0 / 30.0 - y * (1.0 / 42.0 - y * (1.0 / 30.0 - y * (5.0 / 66.0 - y * 691.0 / 2730.0)))));
    sum + 1.0 / x + 0.5 * y + series / x
}

/// The hypergeometric function ₂F₁(a, b; c; z) for 0 ≤ z < 1 by its series; NaN where that does not converge.
pub(super) fn hypergeometric(a: f64, b: f64, c: f64, z: f64) -> f64 {
    const MOST_TERMS: usize = 1_000_000;
    let (mut term, mut sum) = (1.0_f64, 1.0_f64);
    for n in 0..MOST_TERMS {
        let n = n as f64;
        term *= (a + n) * (b + n) / ((c + n) * (1.0 + n)) * z;
        sum += term;
        if term.abs() <= sum.abs() * 1e-17 || !term.is_finite() {
            break;
        }
    }
    sum
}

/// Nodes on 0..1 and weights of the quadrature of Gauss and Legendre with `N` points, by Newton's method on the
/// polynomial's roots.
pub(super) fn gauss_legendre<const N: usize>() -> [(f64, f64); N] {
    let mut nodes = [(0.0, 0.0); N];
    for (at, node) in nodes.iter_mut().enumerate() {
        let mut x = (std::f64::consts::PI * (at as f64 + 0.75) / (N as f64 + 0.5)).cos();
        let mut slope = 1.0;
        for _ in 0..100 {
            let (mut p, mut before) = (1.0, 0.0);
            for k in 0..N {
                let k = k as f64;
                (p, before) = (((2.0 * k + 1.0) * x * p - k * before) / (k + 1.0), p);
            }
            slope = N as f64 * (x * p - before) / (x * x - 1.0);
            let step = p / slope;
            x -= step;
            if step.abs() < 1e-16 {
                break;
            }
        }
        *node = (0.5 - x / 2.0, 1.0 / ((1.0 - x * x) * slope * slope));
    }
    nodes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn close(found: f64, expected: f64) {
        assert!((found - expected).abs() <= 1e-13 * expected.abs().max(1.0), "{found}, not {expected}");
    }

    #[test]
    fn digamma_and_trigamma_have_their_known_values() {
        let gamma = 0.577_215_664_901_532_9;
        close(digamma(1.0), -gamma);
        close(digamma(0.5), -gamma - 2.0 * 2.0_f64.ln());
        close(digamma(30.0), -gamma + (1..30).map(|k| 1.0 / f64::from(k)).sum::<f64>());
        let pi2 = std::f64::consts::PI.powi(2);
        close(trigamma(1.0), pi2 / 6.0);
        close(trigamma(0.5), pi2 / 2.0);
        close(trigamma(4.0), pi2 / 6.0 - 1.0 - 0.25 - 1.0 / 9.0);
    }

    #[test]
    fn hypergeometric_has_its_known_values() {
        // −ln(1 − z) ÷ z and (1 − z)^−a.
        close(hypergeometric(1.0, 1.0, 2.0, 0.9), 10.0_f64.ln() / 0.9);
        close(hypergeometric(0.3, 2.0, 2.0, 0.5), 0.5_f64.powf(-0.3));
    }

    #[test]
    fn quadrature_integrates_polynomials_of_its_degree() {
        let nodes = gauss_legendre::<24>();
        for power in [0, 1, 5, 30, 47] {
            let sum: f64 = nodes.iter().map(|(x, w)| w * x.powi(power)).sum();
            close(sum, 1.0 / f64::from(power + 1));
        }
    }
}
