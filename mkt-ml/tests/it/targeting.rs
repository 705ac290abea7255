//! Lists of whom to act on, against sums done by hand.

use mkt_ml::targeting::{TargetList, TargetingError};

#[test]
fn rows_rank_by_expected_value_with_stable_ties() {
    let list = TargetList::by_expected_value(&[0.5, 0.25, 0.5, 0.0], &[10.0, 40.0, 20.0, 1e9]).unwrap();
    let order: Vec<usize> = list.ranked().iter().map(|row| row.row).collect();
    assert_eq!(order, [1, 2, 0, 3], "10, 10, 5, 0: the earlier of equals first");
    assert_eq!(list.in_order().iter().map(|row| row.rank).collect::<Vec<_>>(), [3, 1, 2, 4]);
    assert_eq!(list.ranked()[0].expected_value, 10.0);
}

#[test]
fn first_deciles_hold_the_extra_rows() {
    for rows in [1_usize, 7, 10, 13, 99, 100, 1234] {
        let scores: Vec<f64> = (0..rows).map(|row| (row * 37 % rows) as f64 / rows as f64).collect();
        let list = TargetList::by_probability(&scores).unwrap();
        let deciles = list.deciles();
        assert_eq!(deciles.len(), rows.min(10));
        for (at, decile) in deciles.iter().enumerate() {
            assert_eq!(decile.decile, at + 1);
            assert_eq!(
                decile.rows,
                rows / 10 + usize::from(at < rows % 10),
                "{rows} rows, decile {}",
                at + 1
            );
        }
        let promised: f64 = deciles.iter().map(|decile| decile.expected_conversions).sum();
        assert!((promised - scores.iter().sum::<f64>()).abs() < 1e-9);
        assert!(rows == 1 || (deciles[deciles.len() - 1].cumulative_share - 1.0).abs() < 1e-12);
        assert!(list.ranked().is_sorted_by(|a, b| a.probability >= b.probability && a.decile <= b.decile));
    }
}

#[test]
fn list_is_cut_by_profit_or_budget() {
    let list = TargetList::by_expected_value(&[0.9, 0.5, 0.2, 0.1], &[100.0; 4]).unwrap();
    assert_eq!(list.profitable(20.0).unwrap().len(), 2, "90 and 50; 20 brings nothing");
    assert_eq!(list.profitable(0.0).unwrap().len(), 4);
    assert_eq!(list.profitable(f64::INFINITY).unwrap().len(), 0);
    assert_eq!(
        list.within_budget(0.1, 0.3).unwrap().len(),
        3,
        "three, though 0.3 ÷ 0.1 is below 3 in binary"
    );
    assert_eq!(list.within_budget(1.0, f64::INFINITY).unwrap().len(), 4);
    assert_eq!(list.within_budget(1.0, 0.99).unwrap().len(), 0);
    assert_eq!(list.best(9).len(), 4);
}

#[test]
fn a_list_is_written_with_the_names_of_its_rows() {
    let list = TargetList::by_expected_value(&[0.25, 0.5], &[8.0, 3.0]).unwrap();
    let names = ["c;1".to_owned(), "c,2".to_owned()];
    let mut text = Vec::new();
    list.write_csv(list.ranked(), &names, &mut text).unwrap();
    let expected = "id,rank,decile,probability,expected_value\nc;1,1,1,0.25,2.0\n\"c,2\",2,2,0.5,1.5\n";
    assert_eq!(String::from_utf8(text).unwrap(), expected);
    let error = list.write_csv(list.ranked(), &names[..1], Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "2 probabilities but 1 names");
}

#[test]
fn invalid_scores_are_refused() {
    let refused = |probabilities: &[f64], values: &[f64]| {
        TargetList::by_expected_value(probabilities, values).unwrap_err().to_string()
    };
    assert_eq!(refused(&[0.1, 1.5], &[1.0; 2]), "the probability of row 1 is 1.5");
    assert_eq!(refused(&[f64::NAN], &[1.0]), "the probability of row 0 is NaN");
    assert_eq!(refused(&[0.1, 0.2], &[1.0, -3.0]), "the value of row 1 is -3: expected an amount from 0 up");
    assert_eq!(refused(&[0.1], &[f64::INFINITY]), "the value of row 0 is inf: expected an amount from 0 up");
    assert_eq!(refused(&[0.1], &[]), "1 probabilities but 0 values");
    let list = TargetList::by_probability(&[]).unwrap();
    assert!(list.ranked().is_empty() && list.deciles().is_empty());
    assert!(matches!(list.within_budget(0.0, 5.0), Err(TargetingError::Amount { name: "the cost", .. })));
    assert!(matches!(
        list.within_budget(1.0, f64::NAN),
        Err(TargetingError::Amount { name: "the budget", .. })
    ));
    assert!(matches!(list.profitable(-1.0), Err(TargetingError::Amount { .. })));
}
