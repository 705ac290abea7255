//! linfa's own models as back ends, and as oracles for ours.

use linfa::{prelude::Predict, traits::Fit};
use mkt_ml::{
    Classifier, DecisionTree, Frame, Labelled, Logistic, ModelError, TrainedModel,
    linfa_models::{LinfaLogistic, LinfaTree},
};
use ndarray::{Array1, array};

use crate::{cars::cars, logistic::planted, pipeline::behaviour};

#[test]
fn our_solver_and_linfas_find_the_same_coefficients() {
    for penalty in [0.1, 1.0, 30.0] {
        let data = cars(1);
        let ours = Logistic::params().penalty(penalty).fit(&data).unwrap();
        let theirs = LinfaLogistic::params()
            .penalty(penalty)
            .tolerance(1e-10)
            .max_iterations(1000)
            .fit(&data)
            .unwrap();
        // The line search of L-BFGS ends where the loss stops changing in double precision.
        assert!((ours.coefficients()[0].estimate - theirs.weights()[0]).abs() < 1e-5);
        assert!((ours.intercept().estimate - theirs.intercept()).abs() < 1e-5);
    }
}

#[test]
fn positive_stays_positive_whichever_outcome_is_more_frequent() {
    // linfa calls the more frequent outcome positive.
    for positives in [2, 6] {
        let records = ndarray::Array2::from_shape_fn((8, 1), |(row, _)| row as f64);
        let labels = Array1::from_shape_fn(8, |row| row >= 8 - positives);
        let data = linfa::Dataset::new(records, labels);
        let model = LinfaLogistic::params().penalty(0.1).fit(&data).unwrap();
        let ends = model.probabilities(array![[0.0], [7.0]].view()).unwrap();
        assert!(ends[0] < 0.5 && ends[1] > 0.5, "{ends}");
    }
}

#[test]
fn the_copied_tree_predicts_what_linfas_own_and_our_tree_predict() {
    let mut compared = 0;
    for seed in 0..10 {
        // With 251 rows our bins are exact.
        let data = planted(251, seed);
        let ours = DecisionTree::params().max_depth(3).min_leaf(20).fit(&data).unwrap();
        // linfa breaks a tie between outcomes at random.
        if ours.probabilities(data.records().view()).unwrap().iter().any(|p| *p == 0.5) {
            continue;
        }
        compared += 1;
        let own =
            linfa_trees::DecisionTree::params().max_depth(Some(3)).min_weight_leaf(20.0).fit(&data).unwrap();
        let copied = LinfaTree::params().max_depth(3).min_leaf(20.0).fit(&data).unwrap();
        assert_eq!(copied.predict(data.records()), own.predict(data.records()));
        let gains = copied.gains().iter().zip(own.relative_impurity_decrease());
        assert!(gains.into_iter().all(|(copied, own)| (copied - own).abs() < 1e-12));
        // linfa prunes leaves of equal label, which changes no label.
        assert_eq!(copied.predict(data.records()), ours.predict(data.records()));
    }
    assert!(compared >= 5, "{compared}");
}

#[test]
fn back_ends_train_save_and_load_like_our_own_models() {
    let (train, test) = behaviour(600, 1).split(0.2, 42).unwrap();
    let models = [
        TrainedModel::fit(&train, LinfaLogistic::params()).unwrap(),
        TrainedModel::fit(&train, LinfaTree::params().max_depth(4)).unwrap(),
    ];
    for (model, name) in models.iter().zip(["linfa-logistic", "linfa-tree"]) {
        assert_eq!(model.algorithm().name(), name);
        assert!(model.evaluate(&test).unwrap().auc_roc.unwrap() > 0.7);
        let loaded = TrainedModel::from_bytes(&model.to_bytes().unwrap()).unwrap();
        assert_eq!(&loaded, model);
        assert_eq!(loaded.probabilities(test.frame()).unwrap(), model.probabilities(test.frame()).unwrap());
    }
}

#[test]
fn data_on_which_linfa_would_panic_are_refused() {
    let frame = Frame::read_csv("x,y\n1,0\n,1\n".as_bytes()).unwrap();
    let labelled = Labelled::new(frame, "y").unwrap();
    let missing = array![[1.0], [f64::NAN]];
    let data = linfa::Dataset::new(missing, Array1::from(labelled.labels().to_vec()));
    assert!(matches!(LinfaTree::params().fit(&data), Err(ModelError::NotFinite { .. })));
    assert!(matches!(LinfaLogistic::params().fit(&data), Err(ModelError::NotFinite { .. })));
    assert!(TrainedModel::fit(&labelled, LinfaTree::params()).is_ok(), "the encoder imputes");
    assert!(matches!(LinfaTree::params().max_depth(201).fit(&cars(1)), Err(ModelError::Parameter { .. })));
    let constant = linfa::Dataset::new(array![[1.0], [1.0]], Array1::from(vec![true, false]));
    let tree = LinfaTree::params().fit(&constant).unwrap();
    assert_eq!((tree.gains(), tree.probabilities(array![[1.0]].view()).unwrap()[0]), (&[0.0][..], 0.5));
}
