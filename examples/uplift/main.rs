//! What a campaign changed, and in whom:
//! `cargo run --release --example uplift -- --data campaign.csv --treatment mailed --outcome bought`.

mod arguments;
mod text;

use arguments::Arguments;
use clap::Parser;
use mkt_examples::{Answer, Context, Program, Step};
use mkt_ml::uplift::{
    CurveKind, Definition, Effect, SplitCheck, Trial, UpliftDecile, UpliftModel, people_needed,
};
use mkt_ml::{CsvOptions, Frame, Labelled, chart, split};
use serde::Serialize;
use serde_json::json;
use std::process::ExitCode;

/// Resamples for the band of a Qini curve.
const RESAMPLES: usize = 200;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    Program::new("uplift").run_blocking(move || run(&arguments))
}

/// The answer.
#[derive(Debug, Serialize)]
struct Told {
    people: usize,
    /// Over all people.
    effect: Effect,
    #[serde(skip_serializing_if = "Option::is_none")]
    split: Option<SplitCheck>,
    /// People kept for judging the methods.
    test_people: usize,
    methods: Vec<Judged>,
}

/// One method on people whom it did not see.
#[derive(Debug, Serialize)]
struct Judged {
    method: &'static str,
    /// By the definition of scikit-uplift.
    qini: f64,
    /// The area under the uplift curve, by the definition of scikit-uplift.
    auuc: f64,
    deciles: Vec<UpliftDecile>,
}

fn run(arguments: &Arguments) -> Step<Answer> {
    if let (Some(power), Some(rate), Some(uplift)) = (arguments.power, arguments.rate, arguments.uplift) {
        let people = people_needed(rate, uplift, power, arguments.treated_share)?;
        let answer = json!({"people": people, "rate": rate, "uplift": uplift, "power": power,
                            "treated_share": arguments.treated_share});
        return arguments.output.answer(&answer, |_| {
            format!("{people} people show an uplift of {uplift} over {rate} with a probability of {power}")
        });
    }
    let (frame, treated, outcomes) = read(arguments)?;
    let trial = Trial::new(&treated, &outcomes)?;
    // Both groups and both outcomes in the same shares on either side.
    let cells: Vec<bool> = treated.iter().zip(&outcomes).map(|(t, y)| t == y).collect();
    let parts = split::stratified(&cells, arguments.test_size, arguments.seed)?;
    let pick =
        |values: &[bool], rows: &[usize]| -> Vec<bool> { rows.iter().map(|row| values[*row]).collect() };
    let test = Trial::new(&pick(&treated, &parts.test), &pick(&outcomes, &parts.test))?;
    let (train_frame, test_frame) = (frame.take(&parts.train), frame.take(&parts.test));
    let mut methods = Vec::new();
    for method in arguments.methods() {
        let (train_treated, train_outcomes) = (pick(&treated, &parts.train), pick(&outcomes, &parts.train));
        let model = UpliftModel::fit(&train_frame, &train_treated, &train_outcomes, &method)?;
        let scores = model.uplift(&test_frame)?;
        let judged = Judged {
            method: method.name(),
            qini: test.qini(&scores)?,
            auuc: test.area(&scores, CurveKind::Uplift, Definition::ScikitUplift)?,
            deciles: test.deciles(&scores)?,
        };
        arguments.output.draw(&format!("qini_{}", judged.method), |lang| {
            let band = test.qini_band(&scores, RESAMPLES, arguments.seed)?;
            Ok(chart::qini(judged.method, &band, lang))
        })?;
        let deciles = |lang| Ok(chart::uplift_deciles(&judged.deciles, lang));
        arguments.output.draw(&format!("deciles_{}", judged.method), deciles)?;
        methods.push(judged);
    }
    methods.sort_by(|a, b| b.qini.total_cmp(&a.qini));
    let told = Told {
        people: trial.people(),
        effect: trial.difference(),
        split: arguments.planned.map(|planned| trial.split_check(planned)).transpose()?,
        test_people: test.people(),
        methods,
    };
    arguments.output.answer(&told, |told| text::text(told).unwrap_or_default())
}

/// The features, who was treated, and who said yes.
fn read(arguments: &Arguments) -> Step<(Frame, Vec<bool>, Vec<bool>)> {
    let (Some(path), Some(treatment), Some(outcome)) =
        (&arguments.data, &arguments.treatment, &arguments.outcome)
    else {
        return Err("there is no --data with --treatment and --outcome".into());
    };
    let frame = CsvOptions::default().delimiter(arguments.delimiter).read_path(path);
    let mut frame = frame.context(|| format!("cannot read {}", path.display()))?;
    if !arguments.without.is_empty() {
        let names: Vec<&str> = arguments.without.iter().map(String::as_str).collect();
        frame = frame.without(&names)?;
    }
    let by_treatment = Labelled::new(frame, treatment)?;
    let treated = by_treatment.labels().to_vec();
    let by_outcome = Labelled::new(by_treatment.frame().clone(), outcome)?;
    let outcomes = by_outcome.labels().to_vec();
    Ok((by_outcome.frame().clone(), treated, outcomes))
}
