//! Planted leaks are named, honest columns are not.

use mkt_ml::{
    Error, Frame, Labelled,
    leakage::{LeakCheck, Reason},
};
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

/// Visits of which a tenth convert; `extra` adds a column from what is known of each.
fn visits(
    rows: usize,
    seed: u64,
    extra: impl Fn(Frame, &[bool], &mut Xoshiro256PlusPlus) -> Frame,
) -> Labelled {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let labels: Vec<bool> = (0..rows).map(|_| rng.random_bool(0.1)).collect();
    let pages: Vec<f64> =
        labels.iter().map(|label| f64::from(rng.random_range(1..10) + 3 * i32::from(*label))).collect();
    let sources: Vec<&str> =
        labels.iter().map(|_| ["paid", "email", "organic"][rng.random_range(0..3)]).collect();
    let frame =
        Frame::new().with_numeric("pages", pages).unwrap().with_categorical("source", sources).unwrap();
    let outcome: Vec<f64> = labels.iter().map(|label| f64::from(u8::from(*label))).collect();
    let frame = extra(frame, &labels, &mut rng).with_numeric("converted", outcome).unwrap();
    Labelled::new(frame, "converted").unwrap()
}

#[test]
fn honest_column_is_not_suspected() {
    for seed in 0..20 {
        let rows = visits(2000, seed, |frame, _, _| frame);
        assert_eq!(LeakCheck::default().run(&rows).unwrap(), []);
        let strengths = LeakCheck::default().single_columns(&rows).unwrap();
        assert_eq!(strengths[0].0, "pages");
        // P(X + 3 > Y) with X, Y uniform on 1..=9: 60 pairs of 81 above, 6 equal.
        assert!((strengths[0].1 - (60.0 + 6.0 / 2.0) / 81.0).abs() < 0.06, "{strengths:?}");
        assert!((strengths[1].1 - 0.5).abs() < 0.1, "{strengths:?}");
    }
}

#[test]
fn column_that_decides_alone_is_suspected() {
    let rows = visits(2000, 1, |frame, labels, rng| {
        let amounts = labels.iter().map(|label| if *label { rng.random_range(20.0..90.0) } else { 0.0 });
        frame.with_numeric("basket_paid", amounts.collect::<Vec<f64>>()).unwrap()
    });
    let found = LeakCheck::default().run(&rows).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].column.as_str(), found[0].reason), ("basket_paid", Reason::DecidesAlone));
    assert!(found[0].auc > 0.99);
    // The bound is the caller's.
    assert_eq!(
        LeakCheck::default().auc(1.01).run(&rows).unwrap()[0].reason,
        Reason::FilledWithOutcome {
            filled: rows.labels().iter().filter(|label| **label).count(),
            share: 1.0,
            positive: true
        }
    );
}

#[test]
fn column_filled_after_the_outcome_is_suspected() {
    // A refund is known for one buyer in five only: as a ranking it is hardly above chance.
    let rows = visits(3000, 2, |frame, labels, rng| {
        let refunds =
            labels.iter().map(|label| (*label && rng.random_bool(0.2)).then(|| rng.random_range(5.0..50.0)));
        frame.with_numeric("refund", refunds.collect::<Vec<Option<f64>>>()).unwrap()
    });
    let found = LeakCheck::default().run(&rows).unwrap();
    assert_eq!(found.len(), 1);
    assert!(found[0].auc < 0.65, "{found:?}");
    assert!(
        matches!(found[0].reason, Reason::FilledWithOutcome { positive: true, share: 1.0, filled } if filled > 30)
    );
}

#[test]
fn column_filled_for_negatives_is_suspected() {
    let rows = visits(3000, 3, |frame, labels, rng| {
        let reasons = labels.iter().map(|label| {
            (!*label && rng.random_bool(0.3)).then(|| ["price", "delivery"][rng.random_range(0..2)])
        });
        frame.with_categorical("reason_for_leaving", reasons.collect::<Vec<Option<&str>>>()).unwrap()
    });
    let found = LeakCheck::default().run(&rows).unwrap();
    assert!(matches!(found[0].reason, Reason::FilledWithOutcome { positive: false, .. }), "{found:?}");
}

#[test]
fn a_rare_value_that_happened_to_convert_is_not_suspected() {
    let rows = visits(3000, 4, |frame, labels, _| {
        let mut left = 10;
        let coupons = labels.iter().map(|label| {
            let has = *label && left > 0;
            left -= usize::from(has);
            has.then_some("WELCOME")
        });
        let coupons: Vec<Option<&str>> = coupons.collect();
        frame.with_categorical("coupon", coupons).unwrap()
    });
    assert_eq!(LeakCheck::default().run(&rows).unwrap(), []);
}

#[test]
fn unique_category_is_suspected() {
    let rows = visits(500, 5, |frame, labels, _| {
        let names: Vec<String> = (0..labels.len()).map(|row| format!("visit-{row}")).collect();
        frame.with_categorical("visit_id", names.iter().map(|name| Some(name.as_str()))).unwrap()
    });
    let found = LeakCheck::default().run(&rows).unwrap();
    assert_eq!(found.iter().map(|one| one.reason).collect::<Vec<_>>(), [Reason::NamesTheRow { levels: 500 }]);
    assert!((found[0].auc - 0.5).abs() < 0.1, "names carry nothing over: {found:?}");
}

#[test]
fn too_few_rows_of_an_outcome_are_refused() {
    let frame = Frame::read_csv("pages,converted\n1,0\n2,0\n3,1\n".as_bytes()).unwrap();
    let rows = Labelled::new(frame, "converted").unwrap();
    assert!(matches!(LeakCheck::default().run(&rows), Err(Error::Split(_))));
}

#[test]
fn numeric_identifier_is_suspected() {
    let rows = visits(600, 9, |frame, labels, rng| {
        let count = labels.len();
        let run: Vec<f64> = (0..count).map(|row| (70_000 + row * 7 % count) as f64).collect();
        let customer: Vec<f64> = (0..count).map(|_| f64::from(rng.random_range(1_u32..900_000))).collect();
        let cents: Vec<f64> = (0..count).map(|_| f64::from(rng.random_range(1_u32..900_000))).collect();
        let frame = frame.with_numeric("visit", run).unwrap().with_numeric("CustomerID", customer).unwrap();
        frame.with_numeric("paid_cents", cents).unwrap()
    });
    let suspects = LeakCheck::default().run(&rows).unwrap();
    let mut names: Vec<&str> = suspects
        .iter()
        .filter(|one| matches!(one.reason, Reason::NumbersTheRow { .. }))
        .map(|one| one.column.as_str())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["CustomerID", "visit"]);
}
