#![doc = include_str!("../README.md")]
//!
//! Conversion models for marketing data: from a table of visitor behaviour to a probability per visitor.
//!
//! Reads frames from CSV (or a warehouse), encodes them, fits logistic regression, decision trees, random forests and
//! gradient boosting for a yes/no outcome, evaluates them on held-out rows and saves them as one file. Pure
//! computation: no async runtime, no network, no clock, no randomness except the seeds you pass. The same input gives
//! the same model bit for bit on any number of threads (except linfa's tree, feature `linfa-models`).
//!
//! ```
//! use mkt_ml::{Forest, Frame, Labelled, TrainedModel};
//! # fn csv() -> String {
//! #     "time_on_site,pages_viewed,source,device,converted\n".to_owned() + &(0..200).map(|i| {
//! #         let (time, pages) = (20 + i * 37 % 300, 1 + i * 7 % 12);
//! #         let (source, device) = (["paid", "email", "organic"][i % 3], ["mobile", "desktop"][i / 3 % 2]);
//! #         let converted = time + 25 * pages + if source == "email" { 60 } else { 0 } + i * 53 % 80 > 390;
//! #         format!("{time},{pages},{source},{device},{}\n", u8::from(converted))
//! #     }).collect::<String>()
//! # }
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("visits.csv");
//! # std::fs::write(&path, csv())?;
//!
//! let visits = Labelled::new(Frame::read_csv_path(&path)?, "converted")?;
//! let (train, test) = visits.split(0.2, 42)?; // 20 % of the rows are held out, seed 42
//! let model = TrainedModel::fit(&train, Forest::params().trees(100).seed(42))?;
//!
//! let evaluation = model.evaluate(&test)?;
//! println!("{}AUC {:.3}", model.report(&evaluation), evaluation.auc_roc.unwrap_or(f64::NAN));
//! model.save(path.with_extension("mkt"))?;
//!
//! let visitor = [("time_on_site", 240.into()), ("pages_viewed", 9.into()), ("source", "email".into()),
//!                ("device", None::<&str>.into())];
//! println!("this visitor converts with a probability of {:.2}", model.probability(&visitor)?);
//! # assert!(evaluation.auc_roc > Some(0.9), "{evaluation:?}");
//! # assert!(model.probability(&visitor)? > 0.5);
//! # assert_eq!(TrainedModel::load(path.with_extension("mkt"))?, model);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where things are
//!
//! At the root: data ([`Frame`], [`CsvOptions`], [`Labelled`]), the models ([`Logistic`], [`DecisionTree`],
//! [`Forest`], [`Boosting`]) with their parameters, the trait [`Classifier`] that all of them implement, and
//! [`TrainedModel`]: an encoder and a model together, which is what is saved and loaded. Everything else has a module:
//!
//! | module | contents |
//! |---|---|
//! | [`encoder`] | frame → matrix: one-hot, ordinal or native categories, standardisation, imputation |
//! | [`params`] | the types that models' parameters take, and the checked parameters |
//! | [`split`] | training and test rows, folds: stratified, by group, by time; all seeded |
//! | [`metrics`] | confusion counts, AUC, average precision, log-loss, Brier score |
//! | [`evaluation`] | all metrics of one model, deciles, calibration error, bootstrap intervals, best threshold |
//! | [`assessment`] | all of it for one model, as text and JSON |
//! | [`report`] | scikit-learn's classification report |
//! | [`cross_validation`], [`significance`] | several models on the same folds; whether they differ by more than chance |
//! | [`calibration`] | Platt and isotonic calibration of probabilities |
//! | [`importance`] | how much each column matters |
//! | [`leakage`] | columns that reveal the outcome |
//! | [`targeting`] | from scores to a list of whom to contact: deciles, budget, profit |
//! | [`attribution`] | credits of channels for conversions: rules, Markov chains, Shapley values, intervals |
//! | [`lifetime`] | customer lifetime value: BG/NBD, MBG/NBD, Pareto/NBD, gamma-gamma |
//! | [`uplift`] | the effect of a campaign with a control group: difference, uplift models, Qini, power |
//! | [`budget`] | return curves by channel from spend and revenue, and a re-allocation |
//! | `linfa_models` | linfa-logistic and linfa-trees behind the same trait (feature `linfa-models`) |
//! | `chart` | ROC, precision and recall, gain, calibration and importance charts (feature `chart`) |
//!
//! # ndarray and linfa
//!
//! The crate's matrices are those of **ndarray 0.16**, re-exported as [`ndarray`]; depend on the same minor version or
//! use the re-export. A matrix and labels can be fitted without a frame: see [`Labelled::from_matrix`] and
//! [`TrainedModel::probabilities_of`]. Models also implement the traits `ParamGuard`, `Fit` and `Predict` of
//! **linfa 0.8** (re-exported as [`linfa`]) over `Dataset<f64, bool, Ix1>`; see the examples at [`Logistic`] and
//! [`Forest`].
//!
//! # Features
//!
//! None is on by default.
//!
//! | feature | adds |
//! |---|---|
//! | `chart` | charts as SVG |
//! | `linfa-models` | linfa-logistic and linfa-trees; linfa-trees breaks ties by hash order, so two fits of its tree may differ |
//! | `onnx` | [`TrainedModel`]s as ONNX files, for onnxruntime |
//! | `warehouse` | frames from tables of mkt-warehouse, such as its report `training_set` |

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod assessment;
pub mod attribution;
mod boosting;
pub mod budget;
pub mod calibration;
#[cfg(feature = "chart")]
pub mod chart;
mod cholesky;
mod class_weights;
mod classifier;
pub mod cross_validation;
pub mod encoder;
mod error;
pub mod evaluation;
mod forest;
mod frame;
pub mod importance;
#[doc(hidden)]
pub mod kernels;
mod labelled;
pub mod leakage;
pub mod lifetime;
#[cfg(feature = "linfa-models")]
pub mod linfa_models;
mod logistic;
pub mod metrics;
#[cfg(feature = "onnx")]
mod onnx;
pub mod params;
mod persist;
mod prefetch;
mod progress;
pub mod report;
pub mod significance;
mod simd;
pub mod split;
pub mod targeting;
mod trained;
mod tree;
pub mod uplift;
mod workers;

pub use linfa;
pub use ndarray;

#[cfg(feature = "onnx")]
pub use self::onnx::OnnxError;
pub use self::{
    boosting::{Boosting, BoostingParams, ValidationLoss},
    class_weights::ClassWeights,
    classifier::{Classifier, ModelError},
    error::Error,
    forest::{Forest, ForestParams, OutOfBag},
    frame::{Column, ColumnKind, CsvOptions, Field, Frame, FrameError, Value},
    labelled::{Labelled, Target},
    logistic::{Coefficient, Logistic, LogisticParams},
    persist::PersistError,
    progress::{Progress, Watcher},
    trained::{Algorithm, ColumnFit, TrainedModel, TrainingSummary},
    tree::{Contributions, DecisionTree, TreeParams},
};
