//! Effects, curves and uplift models: published figures, named definitions, planted effects.

use std::num::NonZeroUsize;

use mkt_ml::{
    Boosting, Frame,
    uplift::{
        CurveKind, Definition, Divergence, ForestOptions, Method, Trial, UpliftError, UpliftModel,
        detectable_uplift, people_needed,
    },
};
use rand::{Rng, SeedableRng, seq::SliceRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

const TREATED: [bool; 8] = [true, true, false, false, true, false, true, false];
const YES: [bool; 8] = [true, false, true, false, false, true, false, false];
const SCORES: [f64; 8] = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0];

#[track_caller]
fn close(found: f64, expected: f64, within: f64) {
    assert!((found - expected).abs() <= within, "{found} where {expected} is right");
}

#[test]
fn areas_of_eight_rows_are_those_of_the_packages_by_their_definitions() {
    let trial = Trial::new(&TREATED, &YES).unwrap();
    // scikit-uplift 0.5.1: qini_auc_score, uplift_auc_score. causalml 0.18: qini_score, auuc_score.
    for (kind, definition, expected) in [
        (CurveKind::Qini, Definition::ScikitUplift, 0.140_350_9),
        (CurveKind::Uplift, Definition::ScikitUplift, 0.093_333_3),
        (CurveKind::Qini, Definition::CausalMl, -0.185_185_2),
        (CurveKind::Uplift, Definition::CausalMl, -0.560_185_2),
    ] {
        close(trial.area(&SCORES, kind, definition).unwrap(), expected, 5e-8);
    }
    let curve = trial.curve(&SCORES, CurveKind::Qini).unwrap();
    let heights: Vec<f64> = curve.points.iter().map(|point| point.value).collect();
    assert_eq!(heights, [0.0, 1.0, 1.0, -1.0, 0.0, -0.5, -1.0, 1.0 - 8.0 / 3.0, -1.0]);
}

#[test]
fn equal_scores_enter_together_in_any_order_of_rows() {
    let mut rows: Vec<usize> = (0..8).collect();
    let mut random = Xoshiro256PlusPlus::seed_from_u64(4);
    for _ in 0..20 {
        rows.shuffle(&mut random);
        let treated: Vec<bool> = rows.iter().map(|row| TREATED[*row]).collect();
        let yes: Vec<bool> = rows.iter().map(|row| YES[*row]).collect();
        let trial = Trial::new(&treated, &yes).unwrap();
        for kind in [CurveKind::Qini, CurveKind::Uplift] {
            assert_eq!(trial.area(&[0.5; 8], kind, Definition::ScikitUplift).unwrap(), 0.0);
        }
        let constant = trial.area(&[0.5; 8], CurveKind::Qini, Definition::CausalMl).unwrap();
        // causalml's mean of nine points of a straight line to −1, less that of chance.
        close(constant, 0.0, 1e-15);
        assert_eq!(trial.deciles(&[0.5; 8]).unwrap().len(), 1);
        // Pairs of equal scores.
        let pairs: Vec<f64> = rows.iter().map(|row| (row / 2) as f64).collect();
        let sorted = Trial::new(&TREATED, &YES).unwrap();
        let expected = sorted.qini(&[0.0, 0.0, 1.0, 1.0, 2.0, 2.0, 3.0, 3.0]).unwrap();
        assert_eq!(trial.qini(&pairs).unwrap(), expected);
    }
}

#[test]
fn difference_of_rates_and_of_amounts_have_published_intervals() {
    // Newcombe (1998), method 10: 56/70 against 48/80 and 9/10 against 3/10.
    for (yes_t, n_t, yes_c, n_c, low, high) in
        [(56, 70, 48, 80, 0.0524, 0.3339), (9, 10, 3, 10, 0.1705, 0.8090)]
    {
        let treated: Vec<bool> = (0..n_t + n_c).map(|at| at < n_t).collect();
        let yes: Vec<bool> =
            (0..n_t + n_c).map(|at| at < yes_t || (n_t..n_t + yes_c).contains(&at)).collect();
        let effect = Trial::new(&treated, &yes).unwrap().difference();
        close(effect.low, low, 5e-5);
        close(effect.high, high, 5e-5);
        close(effect.incremental, effect.difference * f64::from(n_t), 1e-12);
    }
    // R: t.test(extra ~ group, data = sleep): t = -1.8608, df = 17.776, p = 0.07939, -3.3654832 to 0.2054832.
    let sleep = [
        [0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0],
        [1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4],
    ];
    let treated: Vec<bool> = (0..20).map(|at| at < 10).collect();
    let effect = Trial::of_amounts(&treated, &sleep.concat()).unwrap().difference();
    close(effect.low, -3.365_483_2, 1e-6);
    close(effect.high, 0.205_483_2, 1e-6);
    close(effect.p_value, 0.079_39, 5e-6);
}

#[test]
fn people_needed_are_those_of_r() {
    // R: power.prop.test(p1, p2, power): 76.7 and 3839.5 a group (rounded up).
    assert_eq!(people_needed(0.5, 0.25, 0.9, 0.5).unwrap(), 2 * 77);
    let needed = people_needed(0.10, 0.02, 0.8, 0.5).unwrap();
    assert_eq!(needed, 2 * 3841);
    let seen = detectable_uplift(0.10, needed, 0.8, 0.5).unwrap().unwrap();
    close(seen, 0.02, 1e-5);
    assert!(people_needed(0.10, 0.02, 0.8, 0.9).unwrap() > needed, "unequal groups need more");
    assert_eq!(detectable_uplift(0.5, 4, 0.9, 0.5).unwrap(), None);
    for (rate, uplift, power, share) in [
        (1.2, 0.1, 0.8, 0.5),
        (0.9, 0.2, 0.8, 0.5),
        (0.1, 0.0, 0.8, 0.5),
        (0.1, 0.1, 1.0, 0.5),
        (0.1, 0.1, 0.8, 0.0),
    ] {
        assert!(matches!(people_needed(rate, uplift, power, share), Err(UpliftError::Parameter { .. })));
    }
}

/// People of whom those with x above 0 and the plan `b` are moved by 0.25; z says how likely a yes is without.
fn people(seed: u64, count: usize) -> (Frame, Vec<bool>, Vec<bool>, Vec<f64>) {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(seed);
    let (mut x, mut z, mut plan) = (Vec::new(), Vec::new(), Vec::new());
    let (mut treated, mut yes, mut effects) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..count {
        let (a, b): (f64, f64) = (random.random::<f64>() - 0.5, random.random());
        let c = ["a", "b", "c"][random.random_range(0..3)];
        let effect = if a > 0.0 && c == "b" { 0.25 } else { 0.0 };
        let is_treated = random.random_bool(0.4);
        let chance = 0.1 + 0.4 * b + if is_treated { effect } else { 0.0 };
        x.push(if random.random_bool(0.02) { f64::NAN } else { a });
        z.push(b);
        plan.push(c);
        treated.push(is_treated);
        yes.push(random.random_bool(chance));
        effects.push(effect);
    }
    let frame = Frame::new().with_numeric("x", x).unwrap().with_numeric("z", z).unwrap();
    (frame.with_categorical("plan", plan.into_iter().map(Some)).unwrap(), treated, yes, effects)
}

#[test]
fn every_method_finds_whom_the_campaign_moves() {
    let (frame, treated, yes, _) = people(1, 12_000);
    let (other, other_treated, other_yes, effects) = people(2, 8000);
    let trial = Trial::new(&other_treated, &other_yes).unwrap();
    let best = trial.qini(&effects).unwrap();
    let boosting = Boosting::params().trees(40).leaves(8).min_leaf(100);
    let methods = [
        Method::TwoModels(boosting.clone()),
        Method::ClassTransformation(boosting.clone()),
        Method::XLearner(boosting),
        Method::Forest(ForestOptions::default().trees(30)),
        Method::Forest(ForestOptions::default().trees(30).divergence(Divergence::KullbackLeibler)),
        Method::Forest(ForestOptions::default().trees(30).divergence(Divergence::ChiSquared)),
    ];
    for method in methods {
        let model = UpliftModel::fit(&frame, &treated, &yes, &method).unwrap();
        let scores = model.uplift(&other).unwrap();
        let qini = trial.qini(&scores).unwrap();
        assert!(qini > 0.5 * best, "{}: {qini} of {best}", method.name());
        let mean = |moved: bool| {
            let of: Vec<f64> =
                scores.iter().zip(&effects).filter(|(_, e)| (**e > 0.0) == moved).map(|(s, _)| *s).collect();
            of.iter().sum::<f64>() / of.len() as f64
        };
        close(mean(true), 0.25, 0.1);
        close(mean(false), 0.0, 0.05);
        let deciles = trial.deciles(&scores).unwrap();
        let first = deciles[0].effect.as_ref().unwrap();
        assert!(first.difference > 0.12 && first.low > 0.0, "{}: {first:?}", method.name());
        assert_eq!(deciles.iter().map(|decile| decile.people).sum::<usize>(), 8000);
        let kept: UpliftModel = serde_json::from_str(&serde_json::to_string(&model).unwrap()).unwrap();
        assert_eq!(kept.uplift(&other).unwrap(), scores);
    }
}

#[test]
fn forest_is_that_of_its_seed_on_any_threads() {
    let (frame, treated, yes, _) = people(3, 3000);
    let fit = |threads: usize, seed: u64| {
        let options = ForestOptions::default().trees(12).seed(seed).threads(NonZeroUsize::new(threads));
        let model = UpliftModel::fit(&frame, &treated, &yes, &Method::Forest(options)).unwrap();
        model.uplift(&frame).unwrap()
    };
    assert_eq!(fit(1, 9), fit(3, 9));
    assert_ne!(fit(1, 9), fit(1, 10));
}

#[test]
fn the_band_of_a_curve_holds_the_curve_and_the_truth_of_chance() {
    let (_, treated, yes, effects) = people(5, 4000);
    let trial = Trial::new(&treated, &yes).unwrap();
    let band = trial.qini_band(&effects, 200, 8).unwrap();
    assert_eq!(band.len(), 101);
    assert_eq!((band[0].value, band[100].share), (0.0, 1.0));
    let end = trial.curve(&effects, CurveKind::Qini).unwrap().points.last().unwrap().value;
    close(band[100].value, end, 1e-9);
    // The end is incremental outcomes among the treated; its interval is about that of the difference.
    let effect = trial.difference();
    let width = band[100].high - band[100].low;
    close(width / (effect.incremental_high - effect.incremental_low), 1.0, 0.25);
    assert!(band.iter().all(|point| point.low <= point.value && point.value <= point.high));
    assert_eq!(trial.qini_band(&effects, 200, 8).unwrap(), band);
    assert!(trial.qini_band(&effects, 3, 8).is_err());
}

#[test]
fn a_split_that_was_not_planned_is_seen() {
    let treated: Vec<bool> = (0..10_000).map(|at| at < 5200).collect();
    let trial = Trial::new(&treated, &vec![false; 10_000]).unwrap();
    let check = trial.split_check(0.5).unwrap();
    assert!(check.p_value < 1e-4 && (check.share - 0.52).abs() < 1e-12);
    assert!(trial.split_check(0.52).unwrap().p_value > 0.99);
    assert!(trial.split_check(1.0).is_err());
}

#[test]
fn what_cannot_be_judged_is_refused() {
    let trial = Trial::new(&TREATED, &YES).unwrap();
    assert_eq!(trial.qini(&[1.0; 3]).unwrap_err().to_string(), "8 people but 3 scores");
    let mut scores = SCORES;
    scores[2] = f64::NAN;
    assert_eq!(trial.qini(&scores).unwrap_err().to_string(), "the score of row 2 is NaN");
    assert_eq!(
        Trial::new(&[true; 4], &[true; 4]).unwrap_err().to_string(),
        "0 people in the control group: at least 2 are needed"
    );
    assert!(Trial::of_amounts(&TREATED, &[f64::INFINITY; 8]).is_err());
    let nobody = Trial::new(&TREATED, &[false; 8]).unwrap();
    assert!(matches!(nobody.qini(&SCORES), Err(UpliftError::NoScale { .. })));
    assert_eq!(nobody.difference().difference, 0.0);
    let amounts = Trial::of_amounts(&TREATED, &[5.0, 2.0, 1.0, 0.0, 3.0, 0.0, 9.0, 1.0]).unwrap();
    assert!(matches!(amounts.qini(&SCORES), Err(UpliftError::NotBinary { .. })));
    assert!(amounts.curve(&SCORES, CurveKind::Qini).is_ok());

    let (frame, treated, yes, _) = people(6, 300);
    let method = Method::Forest(ForestOptions::default());
    assert!(matches!(
        UpliftModel::fit(&frame, &treated[1..], &yes, &method),
        Err(UpliftError::Length { .. })
    ));
    assert!(matches!(
        UpliftModel::fit(&frame, &[true; 300], &yes, &method),
        Err(UpliftError::SmallGroup { .. })
    ));
    let none = Method::Forest(ForestOptions::default().trees(0));
    assert!(matches!(UpliftModel::fit(&frame, &treated, &yes, &none), Err(UpliftError::Parameter { .. })));
    let two = Method::TwoModels(Boosting::params());
    assert!(matches!(UpliftModel::fit(&frame, &treated, &[false; 300], &two), Err(UpliftError::Model(_))));
}
