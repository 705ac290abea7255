//! The command line.

use clap::{Parser, ValueEnum};
use mkt_examples::option::delimiter;
use mkt_examples::output::Output;
use mkt_ml::Boosting;
use mkt_ml::uplift::{ForestOptions, Method};
use std::path::PathBuf;

/// What a campaign with a control group changed, and in whom.
#[derive(Debug, Parser)]
#[command(
    name = "uplift",
    mut_arg("charts", |it| it.help("Draws Qini curves and uplift by decile as SVG into this folder")),
    max_term_width = 80,
    after_help = include_str!("help.txt")
)]
pub(crate) struct Arguments {
    /// Delimited text with one person a row.
    #[arg(long, value_name = "FILE", required_unless_present = "power")]
    pub(crate) data: Option<PathBuf>,
    /// The column that says who was treated.
    #[arg(long, value_name = "COLUMN", required_unless_present = "power")]
    pub(crate) treatment: Option<String>,
    /// The column that says who did what the campaign is for.
    #[arg(long, value_name = "COLUMN", required_unless_present = "power")]
    pub(crate) outcome: Option<String>,
    /// Columns to leave out, such as an identifier.
    #[arg(long, value_name = "COLUMN,…", value_delimiter = ',')]
    pub(crate) without: Vec<String>,
    /// How the effect on a person is learnt, several by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    pub(crate) method: Vec<Kind>,
    /// Trees of each model.
    #[arg(long, default_value_t = 100)]
    pub(crate) trees: usize,
    /// The share of people kept for judging.
    #[arg(long, value_name = "SHARE", default_value_t = 0.4)]
    pub(crate) test_size: f64,
    /// Decides who is kept for judging, and every draw.
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// The share of people who were to be treated: tests whether the groups are as planned.
    #[arg(long, value_name = "SHARE")]
    pub(crate) planned: Option<f64>,
    /// Instead: how many people a test needs to see the uplift with this probability.
    #[arg(long, value_name = "PROBABILITY", requires = "rate", requires = "uplift")]
    pub(crate) power: Option<f64>,
    /// The rate without the campaign, for --power.
    #[arg(long, value_name = "RATE")]
    pub(crate) rate: Option<f64>,
    /// The uplift to be seen, for --power: 0.01 is one point.
    #[arg(long, value_name = "DIFFERENCE")]
    pub(crate) uplift: Option<f64>,
    /// The share of treated people, for --power.
    #[arg(long, value_name = "SHARE", default_value_t = 0.5)]
    pub(crate) treated_share: f64,
    /// What separates the columns.
    #[arg(long, value_name = "CHARACTER", default_value = ",", value_parser = delimiter)]
    pub(crate) delimiter: u8,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// The methods on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// A model of each group
    TwoModels,
    /// One model of a transformed outcome
    ClassTransformation,
    /// The X-learner
    XLearner,
    /// A forest of uplift trees
    UpliftForest,
    /// All of them
    All,
}

impl Arguments {
    pub(crate) fn methods(&self) -> Vec<Method> {
        let boosting = || Boosting::params().trees(self.trees).leaves(8).min_leaf(50).seed(self.seed);
        let kinds = if self.method.contains(&Kind::All) { Kind::value_variants() } else { &self.method };
        let of = |kind: &Kind| match kind {
            Kind::TwoModels => Some(Method::TwoModels(boosting())),
            Kind::ClassTransformation => Some(Method::ClassTransformation(boosting())),
            Kind::XLearner => Some(Method::XLearner(boosting())),
            Kind::UpliftForest => {
                Some(Method::Forest(ForestOptions::default().trees(self.trees).seed(self.seed)))
            }
            Kind::All => None,
        };
        kinds.iter().filter_map(of).collect()
    }
}
