//! A model's verdict as pictures: the ROC curve and what moves the model.

use mkt_connect::chart::{Bar, Bars, Format, Lang, Line};

use crate::{
    importance::{Importance, PermutationImportance},
    metrics::{MetricError, auc_roc, roc_curve},
};

/// ROC curves of several models on the same rows, each with its area in the legend, and the diagonal of guessing.
///
/// `models` pairs a name with the probabilities it gave to the rows of `labels`.
///
/// # Errors
/// As [`roc_curve`].
///
/// ```
/// let labels = [false, false, true, true];
/// let chart = mkt_ml::charts::roc_chart(&labels, &[("forest", &[0.1, 0.4, 0.35, 0.8])], Default::default())?;
/// assert!(chart.svg().contains("forest (AUC 0.750)"));
/// # Ok::<(), mkt_ml::MetricError>(())
/// ```
pub fn roc_chart(labels: &[bool], models: &[(&str, &[f64])], lang: Lang) -> Result<Line, MetricError> {
    let mut chart = Line::new(lang.pick("ROC curve", "Courbe ROC"))
        .subtitle(lang.pick("on rows that training did not see", "sur des lignes non vues à l’entraînement"))
        .axes(
            lang.pick("false positive rate", "taux de faux positifs"),
            lang.pick("true positive rate", "taux de vrais positifs"),
        )
        .format(Format::Percent(0))
        .x_format(Format::Percent(0))
        .lang(lang)
        .diagonal()
        .from_zero();
    for (name, probabilities) in models {
        let area = lang.number(auc_roc(labels, probabilities)?, Format::Decimal(3));
        chart = chart.series(format!("{name} (AUC {area})"), roc_curve(labels, probabilities)?);
    }
    Ok(chart)
}

/// What moves a model, by its own account: shares that add up to 1.
#[must_use]
pub fn importance_chart(importances: &[Importance], lang: Lang) -> Bars {
    Bars::new(lang.pick("Importance by column", "Importance par colonne"))
        .subtitle(lang.pick("share of what moves the model", "part de ce qui meut le modèle"))
        .format(Format::Percent(0))
        .lang(lang)
        .horizontal()
        .bars(importances.iter().map(|one| Bar::new(&one.column, Some(one.importance))))
}

/// What shuffling each column costs in AUC, with one standard deviation over the repeats to both sides.
#[must_use]
pub fn permutation_chart(importances: &[PermutationImportance], lang: Lang) -> Bars {
    Bars::new(lang.pick("What moves the model", "Ce qui meut le modèle"))
        .subtitle(lang.pick(
            "AUC lost when a column is shuffled, ± one standard deviation over the repeats",
            "AUC perdue quand une colonne est mélangée, ± un écart type des répétitions",
        ))
        .format(Format::Decimal(3))
        .lang(lang)
        .horizontal()
        .bars(importances.iter().map(|one| {
            Bar::new(&one.column, Some(one.mean)).interval(one.mean - one.deviation, one.mean + one.deviation)
        }))
}
