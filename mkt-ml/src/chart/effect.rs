//! Qini curves, uplift by decile, return curves, and purchases foretold.

use mkt_connect::chart::{Bar, Bars, Format, Lang, Line};

use crate::{
    budget::ReturnCurve,
    lifetime::HoldOut,
    uplift::{Band, UpliftDecile},
};

/// A Qini curve with its band, and the straight line of an order by chance.
#[must_use]
pub fn qini(name: &str, band: &[Band], lang: Lang) -> Line {
    let end = band.last().map_or(0.0, |point| point.value);
    Line::new(lang.pick("Qini curve", "Courbe de Qini"))
        .subtitle(lang.pick(
            "outcomes gained among the treated, people with the highest scores first",
            "résultats gagnés parmi les personnes traitées, les meilleurs scores d’abord",
        ))
        .axes(
            lang.pick("share of people", "part des personnes"),
            lang.pick("outcomes gained", "résultats gagnés"),
        )
        .x_format(Format::Percent(0))
        .format(Format::Integer)
        .lang(lang)
        .from_zero()
        .series(name, band.iter().map(|point| (point.share, point.value)))
        .band(
            lang.pick("95 % of resampled people", "95 % des rééchantillons"),
            band.iter().map(|point| (point.share, point.low, point.high)),
        )
        .series(lang.pick("by chance", "au hasard"), [(0.0, 0.0), (1.0, end)])
}

/// The effect among each tenth of the people, the highest scores first, with 95 % intervals.
#[must_use]
pub fn uplift_deciles(deciles: &[UpliftDecile], lang: Lang) -> Bars {
    let bar = |decile: &UpliftDecile| {
        let name = decile.decile.to_string();
        let bar = Bar::new(name, decile.effect.as_ref().map(|effect| effect.difference))
            .count(decile.people as u64);
        match &decile.effect {
            Some(effect) => bar.interval(effect.low, effect.high),
            None => bar,
        }
    };
    Bars::new(lang.pick("Uplift by decile of the score", "Effet par décile du score"))
        .subtitle(lang.pick(
            "rate of the treated less that of the control group, 95 % intervals",
            "taux des traités moins celui des témoins, intervalles à 95 %",
        ))
        .format(Format::Percent(1))
        .lang(lang)
        .bars(deciles.iter().map(bar))
}

/// Return curves of channels with their 95 % bands, and where each stands. Curves end at twice the spend that was seen.
#[must_use]
pub fn returns(channels: &[(&str, &ReturnCurve)], lang: Lang) -> Line {
    let mut chart = Line::new(lang.pick("Return of spend", "Rendement des dépenses"))
        .subtitle(lang.pick(
            "revenue a day at a constant spend a day, 95 % bands; dots: spend so far",
            "revenu par jour à dépense constante, bandes à 95 % ; points : dépense actuelle",
        ))
        .axes(lang.pick("spend a day", "dépense par jour"), lang.pick("revenue a day", "revenu par jour"))
        .x_format(Format::Integer)
        .format(Format::Integer)
        .lang(lang)
        .from_zero();
    for (name, curve) in channels {
        let points = curve.points(80);
        chart = chart
            .series(*name, points.iter().map(|point| (point.spend, point.revenue)))
            .band("", points.iter().map(|p| (p.spend, p.revenue_interval[0], p.revenue_interval[1])));
    }
    for (name, curve) in channels {
        let here = curve.at(curve.spend());
        let label = lang.pick(
            format!("{name}: next unit {}", lang.number(here.marginal, Format::Decimal(2))),
            format!("{name} : unité suivante {}", lang.number(here.marginal, Format::Decimal(2))),
        );
        chart = chart.mark(label, here.spend, here.revenue);
    }
    chart
}

/// Purchases foretold and found in the time held out, by purchases before it.
#[must_use]
pub fn hold_out(name: &str, judged: &HoldOut, lang: Lang) -> Line {
    let of = |value: fn(&crate::lifetime::HoldOutGroup) -> f64| {
        judged.groups.iter().map(move |group| (f64::from(group.repeats), value(group))).collect::<Vec<_>>()
    };
    Line::new(lang.pick("Purchases in the time held out", "Achats pendant la période de contrôle"))
        .subtitle(lang.pick(
            "mean of a customer by repeats before it (7: seven and more)",
            "moyenne par client selon les réachats antérieurs (7 : sept et plus)",
        ))
        .axes(lang.pick("repeats before", "réachats antérieurs"), lang.pick("purchases", "achats"))
        .x_format(Format::Integer)
        .format(Format::Decimal(1))
        .lang(lang)
        .from_zero()
        .series(lang.pick("found", "observés"), of(|group| group.found))
        .series(name, of(|group| group.expected))
}
