//! The answer for people.

use crate::Told;
use mkt_ml::lifetime::HoldOut;
use std::fmt::Write;

pub(crate) fn text(told: &Told, rows: usize) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let Told { purchases, quarantined, customers, repeaters, model, unit, horizon_weeks, .. } = told;
    writeln!(
        text,
        "{purchases} purchases ({quarantined} rows set aside), {customers} customers, {repeaters} came back"
    )?;
    for note in &told.notes {
        writeln!(text, "  {note}")?;
    }
    writeln!(text, "\n{model}, times in units of a {unit}")?;
    for parameter in told.parameters.iter().chain(told.spending.iter().flatten()) {
        let error = parameter.std_error.unwrap_or(f64::NAN);
        writeln!(text, "  {:<6} {:>10.4} ± {error:.4}", parameter.name, parameter.value)?;
    }
    if let Some(judged) = &told.hold_out {
        let HoldOut { expected, found, mean_error, mean_error_of_rate, .. } = judged;
        writeln!(
            text,
            "\nheld out: {expected:.1} purchases foretold, {found:.0} came; mean error {mean_error:.3} a customer, {mean_error_of_rate:.3} by the rate so far"
        )?;
    }
    let value = told.expected_value.map_or("unknown".to_owned(), |value| format!("{value:.2}"));
    writeln!(text, "\nin {horizon_weeks} weeks: {:.1} purchases, value {value}", told.expected_purchases)?;
    for line in told.buyers.iter().take(rows) {
        let value = line.expected_value.map_or("-".to_owned(), |value| format!("{value:.2}"));
        writeln!(
            text,
            "  {:<24} {:>4} repeats  alive {:.3}  {:>8.3} purchases  value {value}",
            line.customer, line.repeats, line.alive, line.expected_purchases
        )?;
    }
    Ok(text)
}
