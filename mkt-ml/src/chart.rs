//! Charts of models (ROC, precision and recall, gain, calibration, what moves the model), of attribution, of uplift, of
//! return curves and of purchases foretold.

mod attribution;
mod effect;

pub use attribution::{credits, path_flow};
pub use effect::{hold_out, qini, returns, uplift_deciles};
use mkt_connect::chart::{Bar, Bars, Chart, Format, Lang, Line};

use crate::{
    Error,
    evaluation::{CalibrationBin, Decile, calibration_curve, deciles, precision_recall_curve},
    importance::{Importance, PermutationImportance},
    labelled::Labelled,
    metrics::{MetricError, auc_roc, roc_curve},
    trained::TrainedModel,
};

/// All charts of one model on test rows, each with a name for its file: `roc`, `precision_recall`, `gain`,
/// `calibration`, `importances`, `permutation`. Columns are shuffled `shuffles` times, drawn by `seed`.
///
/// # Errors
/// As [`TrainedModel::permutation_importances`].
pub fn of_model(
    model: &TrainedModel,
    test: &Labelled,
    shuffles: usize,
    seed: u64,
    lang: Lang,
) -> Result<[(&'static str, Chart); 6], Error> {
    let (name, labels, probabilities) =
        (model.algorithm().name(), test.labels(), model.probabilities(test.frame())?);
    let shuffled = model.permutation_importances(test, shuffles, seed)?;
    let tenths = deciles(labels, &probabilities)?;
    let bins = calibration_curve(labels, &probabilities, 10)?;
    let curve = precision_recall_curve(labels, &probabilities)?;
    Ok([
        ("roc", roc(labels, &[(name, &probabilities)], lang)?.into()),
        ("precision_recall", precision_recall(&[(name, &curve)], lang).into()),
        ("gain", gain(&[(name, &tenths)], lang).into()),
        ("calibration", calibration(&[(name, &bins)], lang).into()),
        ("importances", importance(&model.importances(), lang).into()),
        ("permutation", permutation_importance(&shuffled, lang).into()),
    ])
}

/// ROC curves of several models on the same rows, each with its area in the legend, and the diagonal of guessing.
///
/// `models` pairs a name with the probabilities it gave to the rows of `labels`.
///
/// # Errors
/// As [`roc_curve`].
///
/// ```
/// let labels = [false, false, true, true];
/// let chart = mkt_ml::chart::roc(&labels, &[("forest", &[0.1, 0.4, 0.35, 0.8])], Default::default())?;
/// assert!(chart.svg().contains("forest (AUC 0.750)"));
/// # Ok::<(), mkt_ml::metrics::MetricError>(())
/// ```
pub fn roc(labels: &[bool], models: &[(&str, &[f64])], lang: Lang) -> Result<Line, MetricError> {
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

/// Importances by the model's own measure: shares that add up to 1.
#[must_use]
pub fn importance(importances: &[Importance], lang: Lang) -> Bars {
    Bars::new(lang.pick("Importance by column", "Importance par colonne"))
        .subtitle(lang.pick("share of what moves the model", "part de ce qui meut le modèle"))
        .format(Format::Percent(0))
        .lang(lang)
        .horizontal()
        .bars(importances.iter().map(|one| Bar::new(&one.column, Some(one.importance))))
}

/// Permutation importances with their 95 % intervals.
#[must_use]
pub fn permutation_importance(importances: &[PermutationImportance], lang: Lang) -> Bars {
    Bars::new(lang.pick("What moves the model", "Ce qui meut le modèle"))
        .subtitle(lang.pick(
            "AUC lost when a column is shuffled, with 95 % intervals",
            "AUC perdue quand une colonne est mélangée, intervalles à 95 %",
        ))
        .format(Format::Decimal(3))
        .lang(lang)
        .horizontal()
        .bars(importances.iter().map(|one| Bar::new(&one.column, Some(one.mean)).interval(one.low, one.high)))
}

/// Cumulative gain: the share of conversions among the highest-ranked rows by decile, with the diagonal of chance.
#[must_use]
pub fn gain(models: &[(&str, &[Decile])], lang: Lang) -> Line {
    let mut chart = Line::new(lang.pick("Cumulative gain", "Gain cumulé"))
        .subtitle(lang.pick(
            "share of conversions among the rows ranked highest",
            "part des conversions parmi les lignes les mieux classées",
        ))
        .axes(
            lang.pick("share of rows contacted", "part des lignes contactées"),
            lang.pick("share of conversions reached", "part des conversions atteintes"),
        )
        .format(Format::Percent(0))
        .x_format(Format::Percent(0))
        .lang(lang)
        .diagonal()
        .from_zero();
    for (name, deciles) in models {
        let rows: usize = deciles.iter().map(|decile| decile.rows).sum();
        let mut seen = 0;
        let points = deciles.iter().map(|decile| {
            seen += decile.rows;
            (seen as f64 / rows.max(1) as f64, decile.gain)
        });
        chart = chart.series(*name, std::iter::once((0.0, 0.0)).chain(points).collect::<Vec<_>>());
    }
    chart
}

/// Calibration: mean probability against the conversion rate, with the diagonal of equality.
#[must_use]
pub fn calibration(models: &[(&str, &[CalibrationBin])], lang: Lang) -> Line {
    let mut chart = Line::new(lang.pick("Calibration", "Calibration"))
        .subtitle(lang.pick(
            "do rows with a probability of 20 % convert 20 times in 100?",
            "les lignes à 20 % convertissent-elles 20 fois sur 100 ?",
        ))
        .axes(
            lang.pick("mean probability", "probabilité moyenne"),
            lang.pick("share that converted", "part convertie"),
        )
        .format(Format::Percent(0))
        .x_format(Format::Percent(0))
        .lang(lang)
        .diagonal()
        .from_zero();
    for (name, bins) in models {
        let points: Vec<(f64, f64)> = bins.iter().map(|bin| (bin.mean_probability, bin.rate)).collect();
        chart = chart.series(*name, points);
    }
    chart
}

/// Precision against recall.
#[must_use]
pub fn precision_recall(models: &[(&str, &[(f64, f64)])], lang: Lang) -> Line {
    let mut chart = Line::new(lang.pick("Precision and recall", "Précision et rappel"))
        .subtitle(lang.pick("on rows that training did not see", "sur des lignes non vues à l’entraînement"))
        .axes(lang.pick("recall", "rappel"), lang.pick("precision", "précision"))
        .format(Format::Percent(0))
        .x_format(Format::Percent(0))
        .lang(lang)
        .from_zero();
    for (name, points) in models {
        chart = chart.series(*name, points.to_vec());
    }
    chart
}
