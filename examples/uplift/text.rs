//! The answer for people.

use crate::Told;
use mkt_ml::uplift::{Effect, SplitCheck};
use std::fmt::Write;

pub(crate) fn text(told: &Told) -> Result<String, std::fmt::Error> {
    let mut text = String::new();
    let Effect { treated, control, treated_mean, control_mean, difference, low, high, p_value, .. } =
        told.effect;
    writeln!(
        text,
        "{treated} treated, {:.2} % said yes; {control} controls, {:.2} %",
        treated_mean * 100.0,
        control_mean * 100.0
    )?;
    writeln!(
        text,
        "difference {:.2} points (95 % interval {:.2} to {:.2}), p = {p_value:.2e}",
        difference * 100.0,
        low * 100.0,
        high * 100.0
    )?;
    let Effect { incremental, incremental_low, incremental_high, .. } = told.effect;
    writeln!(
        text,
        "{incremental:.0} outcomes would not have come without it ({incremental_low:.0} to {incremental_high:.0})"
    )?;
    if let Some(SplitCheck { share, planned, p_value, .. }) = told.split {
        let warning =
            if p_value < 0.001 { ": the groups are not as planned; find out why first" } else { "" };
        writeln!(
            text,
            "{:.2} % treated, {:.2} % planned, p = {p_value:.2e}{warning}",
            share * 100.0,
            planned * 100.0
        )?;
    }
    writeln!(
        text,
        "\non {} people whom the models did not see (qini, auuc: scikit-uplift's definitions)",
        told.test_people
    )?;
    for judged in &told.methods {
        writeln!(text, "  {:<22} qini {:>7.4}  auuc {:>7.4}", judged.method, judged.qini, judged.auuc)?;
    }
    if let Some(best) = told.methods.first() {
        writeln!(text, "\nuplift by decile of {}", best.method)?;
        for decile in &best.deciles {
            let shown = decile.effect.as_ref().map_or("-".to_owned(), |effect| {
                format!(
                    "{:>6.2} points ({:.2} to {:.2})",
                    effect.difference * 100.0,
                    effect.low * 100.0,
                    effect.high * 100.0
                )
            });
            writeln!(text, "  {:>2}  {:>7} people  {shown}", decile.decile, decile.people)?;
        }
    }
    Ok(text)
}
