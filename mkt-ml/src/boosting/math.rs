//! The logistic function in plain arithmetic: the same bits on every machine, and fit for wide registers.

use std::f64::consts::LN_2;

/// Adding it moves a number's whole part into the low bits of its representation, rounded to nearest.
pub(crate) const ROUND: f64 = 6_755_399_441_055_744.0;

/// 1 ÷ (1 + e⁻ˣ), within 4 units in the last place; no branches.
#[inline(always)]
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// eˣ, held within e^±708.
///
/// x = k ln 2 + r with |r| ≤ ln 2 / 2; eʳ by its series up to r¹³ / 13!, whose rest is below 2⁻⁵⁷.
#[inline(always)]
fn exp(x: f64) -> f64 {
    // ln 2 in two parts: the upper has trailing zeros, so that its multiples by k are exact.
    const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
    const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;
    let x = x.clamp(-708.0, 708.0);
    let shifted = x * (1.0 / LN_2) + ROUND;
    let k = shifted - ROUND;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let mut sum = 1.0 / 6_227_020_800.0;
    for inverse in [
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
        1.0,
    ] {
        sum = sum * r + inverse;
    }
    // 2ᵏ: k stands in the low bits of `shifted`, the exponent's place is 52 bits further up.
    let power = f64::from_bits(shifted.to_bits().wrapping_add(1023) << 52);
    sum * power
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_agrees_with_the_system_s() {
        for at in -70_800..=70_800 {
            let x = f64::from(at) / 100.0 + 1e-3;
            let x = x.clamp(-708.0, 708.0);
            let (found, expected) = (exp(x), x.exp());
            assert!(((found - expected) / expected).abs() < 1e-15, "{x} {found:e} {expected:e}");
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn the_logistic_function_is_a_probability_everywhere() {
        for x in [f64::MIN, -1e4, -708.0, -1.0, 0.0, 1.0, 40.0, 1e4, f64::MAX] {
            assert!((0.0..=1.0).contains(&sigmoid(x)), "{x}");
        }
        assert_eq!(sigmoid(0.0), 0.5);
        // 1 / (1 + 1/3) and its mirror.
        assert!((sigmoid(3.0_f64.ln()) - 0.75).abs() < 2e-16);
        assert!((sigmoid(-(3.0_f64.ln())) - 0.25).abs() < 2e-16);
    }
}
