//! What customers will buy and spend: `cargo run --release --example customer_value -- --data orders.csv`.

mod arguments;
mod purchases;
mod text;

use arguments::Arguments;
use clap::Parser;
use mkt_examples::{Answer, Program, Step};
use mkt_ml::chart;
use mkt_ml::lifetime::{
    Buyer, Customer, GammaGamma, HoldOut, Horizon, Parameter, Purchasing, Span, Unit, hold_out,
};
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    Program::new("customer_value").run(async move { run(&arguments).await })
}

/// The answer.
#[derive(Debug, Serialize)]
struct Told {
    purchases: u64,
    quarantined: u64,
    customers: usize,
    repeaters: usize,
    model: String,
    /// The unit of α and β.
    unit: Unit,
    parameters: Vec<Parameter>,
    log_likelihood: Option<f64>,
    /// Of the value of a purchase; none where values are not known or cannot be fitted.
    spending: Option<Vec<Parameter>>,
    horizon_weeks: f64,
    discount_a_year: f64,
    expected_purchases: f64,
    expected_value: Option<f64>,
    hold_out: Option<HoldOut>,
    /// Buyers by RFM segment, from a warehouse.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    segments: BTreeMap<String, u32>,
    notes: Vec<String>,
    /// By what they are worth, the highest first; without values by purchases.
    buyers: Vec<Line>,
}

/// One customer.
#[derive(Debug, Serialize)]
struct Line {
    customer: String,
    repeats: u32,
    alive: f64,
    expected_purchases: f64,
    expected_value: Option<f64>,
}

async fn run(arguments: &Arguments) -> Step<Answer> {
    let read = purchases::read(arguments).await?;
    let mut notes = read.notes;
    let customers: Vec<Customer> = read.buyers.iter().map(|buyer| buyer.customer).collect();
    let model = match arguments.model.family() {
        Some(family) => Purchasing::fit(&customers, family, Unit::Week)?,
        None => best(&customers, &mut notes)?,
    };
    let spending = match GammaGamma::of(&read.buyers) {
        Ok(spending) => {
            if let Some(correlation) = spending.correlation().filter(|correlation| correlation.abs() > 0.2) {
                notes.push(format!("what customers spend goes with how often they buy (correlation {correlation:.2}): values are off"));
            }
            Some(spending)
        }
        Err(error) => {
            notes.push(format!("no values: {error}"));
            None
        }
    };
    let judged = arguments.hold_out.and_then(|weeks| {
        let held = read.buyers.iter().filter_map(|buyer| Some((buyer.customer, buyer.held_out?)));
        hold_out(&model, held, Span::weeks(f64::from(weeks)))
    });
    if let Some(judged) = &judged {
        let family = model.family().to_string();
        arguments.output.draw("hold_out", |lang| Ok(chart::hold_out(&family, judged, lang)))?;
    }
    let span = Span::weeks(arguments.horizon);
    let horizon = Horizon::new(span).discount(arguments.discount, Span::new(1.0, Unit::Year));
    let line = |buyer: &Buyer| -> Step<Line> {
        let value = spending.as_ref().and_then(|s| s.expected_value(buyer.valued_repeats, buyer.mean_value));
        Ok(Line {
            customer: buyer.id.clone(),
            repeats: buyer.customer.repeats(),
            alive: model.alive(&buyer.customer),
            expected_purchases: model.expected(&buyer.customer, span),
            expected_value: value.map(|value| horizon.value(&model, &buyer.customer, value)).transpose()?,
        })
    };
    let mut buyers = read.buyers.iter().map(line).collect::<Step<Vec<Line>>>()?;
    let worth = |line: &Line| line.expected_value.unwrap_or(line.expected_purchases);
    buyers.sort_by(|a, b| worth(b).total_cmp(&worth(a)));
    let told = Told {
        purchases: read.purchases,
        quarantined: read.quarantined,
        customers: buyers.len(),
        repeaters: buyers.iter().filter(|line| line.repeats > 0).count(),
        model: model.family().to_string(),
        unit: model.unit(),
        parameters: model.parameters().to_vec(),
        log_likelihood: model.log_likelihood(),
        spending: spending.map(|spending| spending.parameters().to_vec()),
        horizon_weeks: arguments.horizon,
        discount_a_year: arguments.discount,
        expected_purchases: buyers.iter().map(|line| line.expected_purchases).sum(),
        expected_value: buyers.iter().map(|line| line.expected_value).sum(),
        hold_out: judged,
        segments: read.segments,
        notes,
        buyers,
    };
    arguments.output.answer(&told, |told| text::text(told, arguments.rows).unwrap_or_default())
}

/// The family of the highest likelihood; what the others had is noted.
fn best(customers: &[Customer], notes: &mut Vec<String>) -> Step<Purchasing> {
    let mut fits = Purchasing::best(customers, Unit::Week).into_iter();
    let (_, first) = fits.next().ok_or("there is no model")?;
    for (family, fit) in fits {
        notes.push(match fit {
            Ok(fit) => format!("{family}: log-likelihood {:.2}", fit.log_likelihood().unwrap_or(f64::NAN)),
            Err(error) => format!("{family}: {error}"),
        });
    }
    Ok(first?)
}
