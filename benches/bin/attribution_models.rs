//! Credits of channels and a fit of BG/NBD; the Rust side of `compare/attribution/attribution.py`.

#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, reason = "a measuring program")]

use std::{fs::File, io::BufReader, path::PathBuf, time::Instant};

use clap::{Parser, Subcommand};
use mkt_connect::table::{ReadOptions, Table, cell::DecimalMark, cell::float};
use mkt_ml::attribution::{Game, Model, Paths, Tally};
use mkt_ml::lifetime::{Customer, Family, Purchasing, Span, Unit};
use serde_json::json;

/// Computes credits or fits a model; prints its answer and what each part took, in JSON.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    work: Work,
}

#[derive(Debug, Subcommand)]
enum Work {
    /// Credits of the paths of a file
    Credits {
        /// path, conversions, value, nulls
        file: PathBuf,
        /// markov, rules (first, last, linear) or shapley
        #[arg(long, value_delimiter = ',', value_parser = ["markov", "rules", "shapley"])]
        models: Vec<String>,
        #[arg(long, default_value_t = 1)]
        order: usize,
    },
    /// A fit to customers
    Fit {
        /// frequency, recency, T in weeks
        file: PathBuf,
        /// bg, mbg or pareto
        #[arg(long, default_value = "bg")]
        family: String,
    },
}

/// The most memory that the process ever had, in MB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 1024.0 / 1e6
}

fn main() {
    let begun = Instant::now();
    match Arguments::parse().work {
        Work::Credits { file, models, order } => {
            let mut wanted = Vec::new();
            for model in &models {
                match model.as_str() {
                    "markov" => wanted.push(Model::Markov { order }),
                    "rules" => wanted.extend([Model::First, Model::Last, Model::Linear]),
                    _ => wanted.push(Model::Shapley(Game::Conversions)),
                }
            }
            let file = File::open(file).unwrap();
            let read = Paths::read(file, &ReadOptions::new(), DecimalMark::Point).unwrap();
            let read_seconds = begun.elapsed().as_secs_f64();
            let mut tally = Tally::of(wanted).unwrap();
            tally.add(&read.paths).unwrap();
            let counted_seconds = begun.elapsed().as_secs_f64();
            let credits = tally.credits().unwrap();
            let answers: Vec<_> = credits
                .iter()
                .map(|credits| {
                    let of = |credit: &mkt_ml::attribution::Credit| json!([credit.channel, credit.conversions]);
                    json!({"model": credits.model.name(), "credits": credits.channels.iter().map(of).collect::<Vec<_>>()})
                })
                .collect();
            println!(
                "{}",
                json!({"rows": read.rows, "quarantined": read.quarantined, "distinct": read.paths.distinct(),
                       "answers": answers, "read_seconds": read_seconds, "counted_seconds": counted_seconds,
                       "seconds": begun.elapsed().as_secs_f64(), "peak_mb": peak()})
            );
        }
        Work::Fit { file, family } => {
            let mut table = Table::open(BufReader::new(File::open(file).unwrap())).unwrap();
            let mut customers = Vec::new();
            while let Some(row) = table.next().unwrap() {
                let row = row.unwrap();
                let number = |at: usize| float(row.cell(at), DecimalMark::Point).unwrap();
                let (last, observed) = (Span::weeks(number(1)), Span::weeks(number(2)));
                customers.push(Customer::new(number(0) as u32, last, observed).unwrap());
            }
            let read_seconds = begun.elapsed().as_secs_f64();
            let family = match family.as_str() {
                "mbg" => Family::MbgNbd,
                "pareto" => Family::ParetoNbd,
                _ => Family::BgNbd,
            };
            let fit = Purchasing::fit(&customers, family, Unit::Week).unwrap();
            let parameters: Vec<f64> = fit.parameters().iter().map(|parameter| parameter.value).collect();
            println!(
                "{}",
                json!({"customers": customers.len(), "parameters": parameters, "log_likelihood": fit.log_likelihood(),
                       "read_seconds": read_seconds, "seconds": begun.elapsed().as_secs_f64(), "peak_mb": peak()})
            );
        }
    }
}
