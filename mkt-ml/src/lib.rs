//! Who will convert: from a table of behaviour to a probability per visitor.
//!
//! Frames from CSV, encoders fitted on training rows only, logistic regression with standard errors, decision
//! trees, random forests and gradient boosting, honest evaluation, one model file. Binary outcomes. Pure
//! computation: no async runtime, no network, no clock, no randomness but the seeds you give. The same input gives
//! the same model bit for bit, on any number of threads (linfa's tree excepted).
//!
//! ```
//! use mkt_ml::{Forest, Frame, Labelled, Logistic, TrainedModel};
//!
//! # let csv = "time_on_site,pages_viewed,source,device,converted\n".to_owned() + &(0..200).map(|i| {
//! #     let (time, pages) = (20 + i * 37 % 300, 1 + i * 7 % 12);
//! #     let source = ["paid", "email", "organic"][i % 3];
//! #     let device = ["mobile", "desktop"][i / 3 % 2];
//! #     let converted = u8::from(time + 25 * pages + if source == "email" { 60 } else { 0 } + i * 53 % 80 > 390);
//! #     format!("{time},{pages},{source},{device},{converted}\n")
//! # }).collect::<String>();
//! // time_on_site,pages_viewed,source,device,converted
//! // 20,1,paid,mobile,0 …
//! let behaviour = Labelled::new(Frame::read_csv(csv.as_bytes())?, "converted")?;
//! let (train, test) = behaviour.split(0.2, 42)?;
//!
//! let logistic = TrainedModel::fit(&train, Logistic::params())?;
//! let forest = TrainedModel::fit(&train, Forest::params().trees(100).seed(42))?;
//! for model in [&logistic, &forest] {
//!     let evaluation = model.evaluate(&test)?;
//!     println!("{}\n{}", model.algorithm().name(), model.report(&evaluation));
//!     println!("AUC-ROC {:.3}", evaluation.auc_roc.unwrap_or(f64::NAN));
//!     for importance in model.importances() {
//!         println!("{:<12} {:.3}", importance.column, importance.importance);
//!     }
//! #   assert!(evaluation.auc_roc > Some(0.9), "{evaluation:?}");
//! }
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("forest.mkt");
//! forest.save(&path)?;
//! let loaded = TrainedModel::load(&path)?;
//! assert_eq!(loaded.probabilities(test.frame())?, forest.probabilities(test.frame())?);
//! let visitor = [("time_on_site", 240.into()), ("pages_viewed", 9.into()), ("source", "email".into()),
//!                ("device", None::<&str>.into())];
//! assert!(loaded.probability(&visitor)? > 0.5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Parts
//!
//! | module | what it is for |
//! |---|---|
//! | [`frame`] | named columns of numbers and categories, with missing values; CSV |
//! | [`labelled`] | a frame with its outcome taken out |
//! | [`split`] | training and test rows, folds; seeded, stratified, by group, by time |
//! | [`leak`] | columns that know too much |
//! | [`encoder`] | frame → matrix: one-hot or ordinal, standardised, imputed |
//! | [`logistic`] | logistic regression with L2, L1 or elastic net, coefficients, odds ratios |
//! | [`tree`], [`forest`] | histogram decision tree, random forest, extra trees |
//! | [`boosting`] | gradient boosting: native categories, missing values, monotone constraints, early stopping |
//! | [`class_weights`], [`progress`] | how much either outcome counts; watching a fit and stopping it |
//! | `linfa_models` | linfa-logistic and linfa-trees behind the same trait (feature `linfa-models`) |
//! | [`classifier`] | the trait of all models |
//! | [`metrics`], [`report`] | confusion, rates, AUC, losses; scikit-learn's report |
//! | [`judging`] | lift and gain by decile, calibration error, bootstrap intervals, the most profitable threshold |
//! | [`calibration`] | Platt and isotonic corrections of probabilities |
//! | [`validation`], [`significance`] | cross-validation of several models; whether they differ by more than luck |
//! | [`targeting`] | from scores to a list of whom to act on: deciles, budgets, profit |
//! | [`importance`] | what matters |
//! | `charts` | ROC and importance charts (feature `charts`) |
//! | [`trained`], [`persist`] | encoder and model together, and their file |
//! | `onnx` | the same for programs that are not written in Rust (feature `onnx`) |
//!
//! # With linfa
//!
//! Models implement linfa's `ParamGuard`, `Fit` and `Predict` over `Dataset<f64, bool, Ix1>`, so they take part
//! in linfa's own tools; see the examples at [`Logistic`] and [`Forest`].
//!
//! # Features
//!
//! | feature | adds |
//! |---|---|
//! | `linfa-models` | linfa-logistic and linfa-trees as back ends; linfa-trees breaks ties by hash order, so that its trees may differ between two fits |
//! | `charts` | ROC, precision and recall, gain, calibration and importances as SVG |
//! | `onnx` | [`TrainedModel`]s as ONNX files, for onnxruntime |
//! | `warehouse` | frames from the tables of mkt-warehouse: its report `training_set` |

pub mod boosting;
pub mod calibration;
#[cfg(feature = "charts")]
pub mod charts;
pub mod class_weights;
pub mod classifier;
pub mod encoder;
mod error;
pub mod forest;
pub mod frame;
pub mod importance;
pub mod judging;
#[cfg(feature = "kernels")]
#[doc(hidden)]
pub mod kernels;
pub mod labelled;
pub mod leak;
#[cfg(feature = "linfa-models")]
pub mod linfa_models;
pub mod logistic;
pub mod metrics;
#[cfg(feature = "onnx")]
pub mod onnx;
pub mod persist;
mod prefetch;
pub mod progress;
pub mod report;
pub mod significance;
mod simd;
pub mod split;
pub mod targeting;
pub mod trained;
pub mod tree;
pub mod validation;
mod workers;

pub use self::{
    boosting::{Boosting, BoostingParams},
    class_weights::ClassWeights,
    classifier::{Classifier, ModelError},
    encoder::{Encoder, EncoderParams},
    error::Error,
    forest::{Forest, ForestParams},
    frame::{CsvOptions, Frame, Value},
    labelled::Labelled,
    logistic::{Logistic, LogisticParams},
    metrics::{Evaluation, MetricError},
    report::ClassificationReport,
    trained::{Algorithm, TrainedModel},
    tree::{DecisionTree, TreeParams},
};
