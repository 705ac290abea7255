//! The command line.

use chrono::NaiveDate;
use clap::{Parser, ValueEnum};
use mkt_connect::table::cell::DecimalMark;
use mkt_examples::option::{day, delimiter};
use mkt_examples::output::Output;
use mkt_ml::attribution::{Game, Model};
use std::path::PathBuf;
use std::time::Duration;

/// Shares conversions and their value among channels, by rules, Markov chains and Shapley values.
#[derive(Debug, Parser)]
#[command(
    name = "attribution",
    mut_arg("charts", |it| it.help("Draws the credits side by side and the paths as a flow, as SVG, into this folder")),
    max_term_width = 80,
    after_help = include_str!("help.txt")
)]
pub(crate) struct Arguments {
    /// Delimited text with one path a row.
    #[arg(long, value_name = "FILE", required_unless_present = "warehouse", conflicts_with = "warehouse")]
    pub(crate) paths: Option<PathBuf>,
    /// The paths of a warehouse's sessions instead: sqlite:PATH or postgres://user@host/database.
    #[arg(long, value_name = "URL")]
    pub(crate) warehouse: Option<String>,
    /// The models, several by commas.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "all")]
    pub(crate) model: Vec<Kind>,
    /// How many channels a state of the Markov chain remembers, 1 to 8.
    #[arg(long, value_name = "K", default_value_t = 1)]
    pub(crate) order: usize,
    /// After how many days a touch counts half, for time_decay.
    #[arg(long, value_name = "DAYS", default_value_t = 7.0)]
    pub(crate) half_life: f64,
    /// After how many touches one counts half, for step_decay.
    #[arg(long, value_name = "TOUCHES", default_value_t = 1.0)]
    pub(crate) half_life_touches: f64,
    /// The channel that last_non_direct passes over.
    #[arg(long, value_name = "NAME", default_value = "direct")]
    pub(crate) direct: String,
    /// Makes touches of one channel in a row one touch.
    #[arg(long)]
    pub(crate) collapse: bool,
    /// Adds 95 % intervals from so many resamples of the paths.
    #[arg(long, value_name = "N")]
    pub(crate) bootstrap: Option<usize>,
    /// Decides resamples and the orders that shapley_rate draws beyond 20 channels.
    #[arg(long, default_value_t = 42)]
    pub(crate) seed: u64,
    /// Adds these paths to what the file counted before, and writes it again: a day added costs a day.
    #[arg(long, value_name = "FILE", conflicts_with = "bootstrap")]
    pub(crate) state: Option<PathBuf>,
    /// What separates the columns [default: found out].
    #[arg(long, value_name = "CHARACTER", value_parser = delimiter)]
    pub(crate) delimiter: Option<u8>,
    /// The decimal mark of the numbers: point or comma.
    #[arg(long, value_name = "MARK", default_value = "point")]
    pub(crate) decimal: DecimalMark,
    /// First day of the warehouse's conversions, in UTC [default: all].
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub(crate) from: Option<NaiveDate>,
    /// Last day, included [default: today].
    #[arg(long, value_name = "DAY", value_parser = day)]
    pub(crate) to: Option<NaiveDate>,
    /// How many days before a conversion the warehouse's paths begin at most.
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub(crate) look_back: u32,
    #[command(flatten)]
    pub(crate) output: Output,
}

/// The models on offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Kind {
    /// The first touch
    First,
    /// The last touch
    Last,
    /// The last touch that is not direct
    LastNonDirect,
    /// All touches alike
    Linear,
    /// By time before the end; needs times
    TimeDecay,
    /// By touches before the end
    StepDecay,
    /// 40 % to the first and the last touch, 20 % between
    Position,
    /// 30 % to the first, the middle and the last touch, 10 % to the others
    WShaped,
    /// By removal effects of a Markov chain
    Markov,
    /// Shared by the distinct channels of a path
    Shapley,
    /// Shapley values of conversion rates
    ShapleyRate,
    /// All of them; time_decay where there are times
    All,
}

impl Arguments {
    /// The models asked for; `timed` says whether the paths have times.
    pub(crate) fn models(&self, timed: bool) -> Vec<Model> {
        let all = self.model.contains(&Kind::All);
        let kinds = if all { Kind::value_variants().to_vec() } else { self.model.clone() };
        kinds
            .into_iter()
            .filter(|kind| timed || !all || *kind != Kind::TimeDecay)
            .filter_map(|k| self.of(k))
            .collect()
    }

    fn of(&self, kind: Kind) -> Option<Model> {
        Some(match kind {
            Kind::First => Model::First,
            Kind::Last => Model::Last,
            Kind::LastNonDirect => Model::LastNonDirect,
            Kind::Linear => Model::Linear,
            Kind::TimeDecay => Model::TimeDecay {
                half_life: Duration::try_from_secs_f64(self.half_life * 86_400.0).unwrap_or_default(),
            },
            Kind::StepDecay => Model::StepDecay { half_life: self.half_life_touches },
            Kind::Position => Model::U_SHAPED,
            Kind::WShaped => Model::W_SHAPED,
            Kind::Markov => Model::Markov { order: self.order },
            Kind::Shapley => Model::Shapley(Game::Conversions),
            Kind::ShapleyRate => Model::Shapley(Game::Rate { permutations: 1000, seed: self.seed }),
            Kind::All => return None,
        })
    }
}
