//! Tables that nobody would call good, thrown at every model: a typed error or probabilities, never a panic, and the
//! same on any number of threads. `MKT_ML_WORLDS` sets how many (30 by default).

use std::num::NonZeroUsize;

use mkt_ml::{Algorithm, Boosting, DecisionTree, Error, Forest, Frame, Labelled, Logistic, TrainedModel};
use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_xoshiro::Xoshiro256PlusPlus;

fn algorithms(threads: usize) -> Vec<Algorithm> {
    let threads = NonZeroUsize::new(threads);
    vec![
        Logistic::params().threads(threads).into(),
        Logistic::params().penalty(0.3).l1_ratio(0.5).threads(threads).into(),
        DecisionTree::params().into(),
        Forest::params().trees(5).threads(threads).into(),
        Forest::extra_trees().trees(5).threads(threads).into(),
        Boosting::params().trees(5).min_leaf(1).threads(threads).into(),
        Boosting::params().trees(5).min_leaf(3).subsample(0.5).column_sample(0.5).threads(threads).into(),
    ]
}

fn numbers(rows: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<Option<f64>> {
    let kind = rng.random_range(0..9);
    let constant = rng.random_range(-5.0..5.0);
    (0..rows)
        .map(|row| match kind {
            0 => Some(constant),
            1 => [Some(f64::MAX), Some(f64::MIN), Some(0.0)].choose(rng).copied().flatten(),
            2 => [Some(f64::MIN_POSITIVE), Some(5e-324), Some(-5e-324), Some(-0.0), Some(0.0)]
                .choose(rng)
                .copied()
                .flatten(),
            3 => (row == rows / 2).then_some(1.0),
            4 => Some(1.0 + f64::EPSILON * f64::from(rng.random_range(0..3_u8))),
            5 => Some(row as f64),
            6 => rng.random_bool(0.5).then(|| rng.random_range(-1e15..1e15)),
            7 => Some(f64::from(u8::from(row == 0)) * 1e300),
            _ => Some(rng.random_range(-1.0..1.0)),
        })
        .collect()
}

fn categories(rows: usize, rng: &mut Xoshiro256PlusPlus) -> Vec<Option<String>> {
    let kind = rng.random_range(0..5);
    (0..rows)
        .map(|row| match kind {
            0 => Some("only".to_owned()),
            1 => Some(format!("level {row}")),
            2 => rng.random_bool(0.2).then(|| "\u{0}\u{1f}é".to_owned()),
            3 => ["", " ", "(missing)", "(rare)"].choose(rng).map(|text| (*text).to_owned()),
            _ => Some(format!("{}", rng.random_range(0..400))),
        })
        .collect()
}

/// A table of up to a few hundred rows, numeric columns first.
fn world(seed: u64) -> (Frame, Vec<bool>) {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
    let rows = *[1, 2, 3, 7, 40, 300].choose(&mut rng).unwrap();
    let mut frame = Frame::new();
    for column in 0..rng.random_range(0..4) {
        frame = frame.with_numeric(format!("n{column}"), numbers(rows, &mut rng)).unwrap();
    }
    for column in 0..rng.random_range(0..4) {
        let cells = categories(rows, &mut rng);
        frame = frame.with_categorical(format!("c{column}"), cells.iter().map(Option::as_deref)).unwrap();
    }
    let share = *[0.0, 0.02, 0.5, 1.0].choose(&mut rng).unwrap();
    (frame, (0..rows).map(|_| rng.random_bool(share)).collect())
}

fn labelled(frame: Frame, labels: &[bool]) -> Option<Labelled> {
    let outcome = labels.iter().map(|label| f64::from(u8::from(*label)));
    // A table without columns takes the target's rows.
    Labelled::new(frame.with_numeric("outcome", outcome.collect::<Vec<f64>>()).ok()?, "outcome").ok()
}

fn fitted(rows: &Labelled, threads: usize) -> Vec<Result<TrainedModel, Error>> {
    algorithms(threads).into_iter().map(|algorithm| TrainedModel::fit(rows, algorithm)).collect()
}

#[test]
fn hostile_table_neither_panics_nor_depends_on_threads() {
    let worlds: u64 = std::env::var("MKT_ML_WORLDS").ok().and_then(|count| count.parse().ok()).unwrap_or(30);
    let (mut models, mut refusals) = (0, 0);
    for seed in 0..worlds {
        let (frame, labels) = world(seed);
        let rows = labelled(frame, &labels).unwrap();
        let one_outcome = labels.iter().all(|label| *label == labels[0]);
        for (alone, together) in fitted(&rows, 1).into_iter().zip(fitted(&rows, 3)) {
            let (alone, together) = match (alone, together) {
                (Ok(alone), Ok(together)) => (alone, together),
                (Err(alone), Err(together)) => {
                    assert_eq!(alone.to_string(), together.to_string(), "world {seed}");
                    assert!(matches!(alone, Error::Encode(_) | Error::Model(_)), "world {seed}: {alone:?}");
                    refusals += 1;
                    continue;
                }
                (alone, together) => panic!("world {seed}: {alone:?} on one thread, {together:?} on three"),
            };
            assert!(!one_outcome, "world {seed}: a model of one outcome");
            models += 1;
            // By bytes: errors that are not known are NaN, which equals nothing.
            let bytes = alone.to_bytes().unwrap();
            assert!(bytes == together.to_bytes().unwrap(), "world {seed}: {}", alone.algorithm().name());
            // Its own rows, and rows of another world under the same names.
            for asked in [rows.frame().clone(), strange(rows.frame(), seed)] {
                let probabilities = alone.probabilities(&asked).unwrap();
                assert!(
                    probabilities.iter().all(|p| (0.0..=1.0).contains(p)),
                    "world {seed}: {probabilities:?}"
                );
                assert_eq!(probabilities, together.probabilities(&asked).unwrap());
            }
            let again = TrainedModel::from_bytes(&bytes).unwrap();
            assert!(again.to_bytes().unwrap() == bytes, "world {seed}");
        }
    }
    assert!(models as u64 > worlds && refusals as u64 > worlds, "{models} models, {refusals} refusals");
}

/// Other values under the same names and kinds.
fn strange(like: &Frame, seed: u64) -> Frame {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0xabcd);
    let mut frame = Frame::new();
    for column in like.columns() {
        frame = match column.kind() {
            mkt_ml::ColumnKind::Numeric => frame.with_numeric(column.name(), numbers(9, &mut rng)).unwrap(),
            mkt_ml::ColumnKind::Categorical => {
                let cells = categories(9, &mut rng);
                frame.with_categorical(column.name(), cells.iter().map(Option::as_deref)).unwrap()
            }
        };
    }
    frame
}
