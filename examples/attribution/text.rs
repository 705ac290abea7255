//! The answer for people.

use crate::LEAST_PATHS;
use crate::paths::Summary;
use mkt_ml::attribution::{Combination, Credits};
use std::fmt::Write;

pub(crate) fn text(
    answers: &[Credits],
    read: &Summary,
    best: &[Combination],
) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let Summary { rows, quarantined, distinct_paths, notes } = read;
    writeln!(text, "{rows} rows, {quarantined} set aside, {distinct_paths} distinct paths")?;
    for note in notes {
        writeln!(text, "  {note}")?;
    }
    for answer in answers {
        let all = answer.conversions;
        writeln!(
            text,
            "\n{}: {all:.2} conversions, {:.2} of them without a touch",
            answer.model, answer.unattributed
        )?;
        for note in &answer.notes {
            writeln!(text, "  note: {note}")?;
        }
        for credit in answer.ranked() {
            let value = credit.value.map_or("-".to_owned(), |value| format!("{value:.2}"));
            let effect =
                credit.removal_effect.map_or(String::new(), |effect| format!("  removal effect {effect:.4}"));
            let error = credit.std_error.map_or(String::new(), |error| format!("  ± {error:.3}"));
            writeln!(
                text,
                "  {:<20} {:>12.3}  value {value:>12}{effect}{error}",
                credit.channel, credit.conversions
            )?;
        }
    }
    writeln!(
        text,
        "\nbest combinations of channels (at least {LEAST_PATHS} paths; 95 % interval of the rate)"
    )?;
    for one in best {
        let Combination { paths, rate, low, high, .. } = one;
        let name = one.channels.join(" + ");
        writeln!(
            text,
            "  {name:<40} {paths:>9} paths  {:.2} % ({:.2} to {:.2})",
            rate * 100.0,
            low * 100.0,
            high * 100.0
        )?;
    }
    Ok(text)
}
