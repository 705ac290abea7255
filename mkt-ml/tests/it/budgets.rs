//! Return curves of planted spend, and a division of the budget against calculus.

use mkt_ml::budget::{Bounds, BudgetError, CurveOptions, FEWEST_DAYS, ReturnCurve, reallocate};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

#[track_caller]
fn close(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() <= within, "{found} where {expected} is right");
}

/// Spend around `mean` and the revenue of a curve of `top` and `half` with a carry-over, over a base, a trend, weekdays
/// and noise.
fn days(
    seed: u64,
    days: usize,
    mean: f64,
    (top, half, carried): (f64, f64, f64),
    noise: f64,
) -> (Vec<f64>, Vec<f64>) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut spend, mut revenue, mut adstock) = (Vec::new(), Vec::new(), 0.0);
    let mut level: f64 = 1.0;
    for day in 0..days {
        if day % 9 == 0 {
            level = random.random::<f64>() * 2.0;
        }
        let today = mean * level * (0.7 + 0.6 * random.random::<f64>());
        adstock = today + carried * adstock;
        let draws: f64 = (0..12).map(|_| random.random::<f64>()).sum::<f64>() - 6.0;
        let weekday = if day % 7 < 2 { 40.0 } else { 0.0 };
        spend.push(today);
        revenue.push(300.0 + 0.2 * day as f64 + weekday + top * adstock / (adstock + half) + noise * draws);
    }
    (spend, revenue)
}

#[test]
fn planted_curve_is_within_its_interval() {
    let mut held = 0;
    for seed in 0..8 {
        let (spend, revenue) = days(seed, 200, 100.0, (1000.0, 300.0, 0.5), 25.0);
        let curve = ReturnCurve::fit(&spend, &revenue, &CurveOptions::default().replicates(40)).unwrap();
        // At a constant 100 a day the adstock is 200: 1000 × 200 ÷ 500, and 1000 × 300 ÷ 500² × 2.
        let point = curve.at(100.0);
        close(point.revenue, 400.0, 130.0);
        close(point.marginal, 2.4, 0.7);
        held += u32::from(point.marginal_interval[0] <= 2.4 && 2.4 <= point.marginal_interval[1]);
        assert!(curve.r_squared() > 0.9 && point.seen && !curve.at(1000.0).seen);
        assert!(curve.points(30).is_sorted_by(|a, b| a.marginal >= b.marginal && a.revenue <= b.revenue));
    }
    assert!(held >= 5, "{held} of 8 intervals of 95 % hold the planted return");
}

#[test]
fn same_seed_gives_the_same_curve() {
    let (spend, revenue) = days(3, 90, 50.0, (400.0, 100.0, 0.3), 10.0);
    let fit = |seed| {
        ReturnCurve::fit(&spend, &revenue, &CurveOptions::default().replicates(30).seed(seed)).unwrap()
    };
    assert_eq!(fit(1), fit(1));
    assert_ne!(fit(1).at(50.0).revenue_interval, fit(2).at(50.0).revenue_interval);
    assert_eq!(fit(1).at(50.0).revenue, fit(2).at(50.0).revenue);
}

#[test]
fn budget_goes_where_one_more_unit_brings_most() {
    let exact = CurveOptions::default().replicates(20);
    let curve = |seed, shape| {
        let (spend, revenue) = days(seed, 150, 100.0, shape, 0.0);
        ReturnCurve::fit(&spend, &revenue, &exact).unwrap()
    };
    let (a, b) = (curve(1, (1000.0, 100.0, 0.0)), curve(2, (4000.0, 100.0, 0.0)));
    let wide = Bounds { low: 0.0, high: 1000.0 };
    let found = reallocate(&[("a", &a, wide), ("b", &b, wide)], 200.0).unwrap();
    // Equal margins: (s_b + 100) ÷ (s_a + 100) = √4, and both add up to 200: 33.3 and 166.7.
    close(found.channels[0].proposed, 100.0 / 3.0, 3.0);
    close(found.channels[1].proposed, 500.0 / 3.0, 3.0);
    close(found.channels[0].marginal, found.channels[1].marginal, 1e-6);
    close(found.channels.iter().map(|one| one.proposed).sum(), 200.0, 1e-9);
    assert!(found.assumptions.len() >= 5, "{found:?}");
    // The money that is spent already, better divided.
    let found = reallocate(&[("a", &a, wide), ("b", &b, wide)], a.spend() + b.spend()).unwrap();
    let half = |s_a: f64, s_b: f64| 1000.0 * s_a / (s_a + 100.0) + 4000.0 * s_b / (s_b + 100.0);
    let [s_a, s_b] = [found.channels[0].proposed, found.channels[1].proposed];
    close(found.gained, half(s_a, s_b) - half(a.spend(), b.spend()), 5.0);
    assert!(found.gained > 20.0 && found.gained_interval[0] > 0.0);

    // Bounds hold, and say so.
    let tight = Bounds { low: 90.0, high: 110.0 };
    let found = reallocate(&[("a", &a, tight), ("b", &b, tight)], 200.0).unwrap();
    close(found.channels[0].proposed, 90.0, 1e-6);
    assert!(found.channels.iter().all(|one| one.bound));
    assert!(matches!(reallocate(&[("a", &a, tight)], 200.0), Err(BudgetError::Bounds { .. })));
    assert!(reallocate(&[("a", &a, tight)], f64::NAN).is_err());
    assert!(reallocate(&[], 5.0).is_err());
    let seen = Bounds::seen(&a);
    assert!(seen.low < a.spend() && seen.high >= a.spend() && seen.high <= a.most_seen());
}

#[test]
fn too_few_days_or_spend_that_does_not_vary_is_not_enough_data() {
    let (spend, revenue) = days(4, FEWEST_DAYS, 50.0, (400.0, 100.0, 0.3), 10.0);
    let fit = |spend: &[f64], revenue: &[f64]| {
        ReturnCurve::fit(spend, revenue, &CurveOptions::default().replicates(20))
    };
    assert!(fit(&spend, &revenue).is_ok());
    let error = fit(&spend[1..], &revenue[1..]).unwrap_err();
    assert_eq!(error.to_string(), "not enough data: 55 days, at least 56 are needed");
    let error = fit(&vec![50.0; 90], &vec![1.0; 90]).unwrap_err();
    assert_eq!(error.to_string(), "not enough data: spend varies by less than a tenth of its mean");
    let mut once = vec![0.0; 90];
    once[4] = 100.0;
    assert_eq!(
        fit(&once, &vec![1.0; 90]).unwrap_err().to_string(),
        "not enough data: fewer than ten days with spend"
    );
    let mut wrong = spend.clone();
    wrong[7] = -1.0;
    assert_eq!(
        fit(&wrong, &revenue).unwrap_err().to_string(),
        "the spend of day 7 is -1: expected an amount from 0 up"
    );
    wrong[7] = f64::NAN;
    assert!(fit(&wrong, &revenue).is_err());
    assert!(fit(&spend, &wrong).is_err());
    assert!(fit(&spend, &revenue[1..]).is_err());
}

#[test]
fn spend_that_does_nothing_returns_nothing() {
    let mut held = 0;
    for seed in 0..6 {
        let (spend, _) = days(seed, 120, 100.0, (0.0, 100.0, 0.0), 0.0);
        let (_, noise) = days(seed + 100, 120, 100.0, (0.0, 100.0, 0.0), 20.0);
        let curve = ReturnCurve::fit(&spend, &noise, &CurveOptions::default().replicates(40)).unwrap();
        held += u32::from(curve.at(100.0).marginal_interval[0] < 0.02);
    }
    assert!(held >= 4, "{held} of 6 intervals reach down to nothing");
}
