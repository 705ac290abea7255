//! Pictures of the answers, drawn by [`mkt_connect::chart`] in French or English: SVG, and PNG with the feature `png`.

use std::cmp::Reverse;

use mkt_connect::chart::{
    self, Bar, Bars, Cell, CellText, Distribution, Distributions, Format, HeatMap, Lang,
};

use crate::best_time::{BestHours, Verdict};
use crate::calendar::Calendar;
use crate::engagement::{GroupBy, groups, mean_with_interval, spread};
use crate::outcome::Outcome;
use crate::sheet::Measured;
use crate::trend::Trend;

/// Hashtags that are drawn.
const MOST_HASHTAGS: usize = 20;

/// How values of an outcome are written: rates in per cent with two decimals, counts whole.
#[must_use]
pub fn format_of(outcome: Outcome) -> Format {
    if outcome.is_rate() { Format::Percent(2) } else { Format::Integer }
}

fn label_of(outcome: Outcome, lang: Lang) -> &'static str {
    lang.pick(outcome.label(), outcome.label_fr())
}

/// The verdict in a sentence that a marketer can act on.
#[must_use]
pub fn verdict_sentence(hours: &BestHours, lang: Lang) -> String {
    let p = lang.number(hours.p_value, Format::Decimal(if hours.p_value < 0.0995 { 4 } else { 2 }));
    let best = hours.ranked().first().map_or(0, |best| best.hour);
    match hours.verdict {
        Verdict::Clear => lang.pick(
            format!("Clear: {best}:00 does better than other hours (p = {p})."),
            format!("Net : {best} h fait mieux que les autres heures (p = {p})."),
        ),
        Verdict::Weak => lang.pick(
            format!("Weak: the hour seems to matter (p = {p}); {best}:00 is worth a trial."),
            format!("Faible : l'heure semble compter (p = {p}) ; {best} h mérite un essai."),
        ),
        Verdict::NoEvidence => lang.pick(
            format!("No evidence that the hour matters (p = {p}): choose it by other reasons."),
            format!("Rien ne montre que l'heure compte (p = {p}) : choisissez-la pour d'autres raisons."),
        ),
    }
}

/// One bar for each of the 24 hours: shrunk estimate, 95 % interval, number of posts; hours never tried stay empty. The
/// best hour stands out only if the verdict is clear. The line is the typical (geometric mean) outcome of all posts, which
/// lies below the arithmetic mean of a skewed measure.
#[must_use]
pub fn hour_chart(hours: &BestHours, lang: Lang) -> Bars {
    let label = label_of(hours.outcome, lang);
    let zone = hours.zone.name();
    let title = lang.pick(format!("{label} by hour ({zone})"), format!("{label} par heure ({zone})"));
    let best = hours.ranked().first().map(|best| best.hour).filter(|_| hours.verdict == Verdict::Clear);
    let bars = hours.hours.iter().map(|hour| {
        let bar = Bar::new(hour.hour.to_string(), hour.estimate).count(hour.n as u64);
        let bar = match (hour.low, hour.high) {
            (Some(low), Some(high)) => bar.interval(low, high),
            _ => bar,
        };
        if Some(hour.hour) == best { bar.highlighted() } else { bar }
    });
    Bars::new(title)
        .lang(lang)
        .format(format_of(hours.outcome))
        .subtitle(verdict_sentence(hours, lang))
        .bars(bars)
        .reference(lang.pick("typical post", "publication typique"), hours.mean)
}

/// Each post as a dot, the rolling mean as a line, its interval as a band.
#[must_use]
pub fn trend_chart(trend: &Trend, lang: Lang) -> chart::Trend {
    let label = label_of(trend.outcome, lang);
    let (n, missing, days) = (trend.posts.len(), trend.n_missing, trend.window_days);
    let subtitle = lang.pick(
        format!("{n} posts, {missing} without a value"),
        format!("{n} publications, {missing} sans valeur"),
    );
    let band = trend.rolling.iter().map(|window| {
        // No rate and no reach is negative, whatever the normal approximation says.
        (window.day, window.interval.map(|(low, high)| (low.max(0.0), high)))
    });
    chart::Trend::new(lang.pick(format!("{label} over time"), format!("{label} au fil du temps")))
        .lang(lang)
        .format(format_of(trend.outcome))
        .subtitle(subtitle)
        .points(
            lang.pick("posts", "publications"),
            trend.posts.iter().map(|(day, value)| (*day, Some(*value))),
        )
        .rolling(
            lang.pick(format!("mean of {days} days"), format!("moyenne de {days} jours")),
            trend.rolling.iter().map(|window| (window.day, window.mean)),
        )
        .band(lang.pick("95 % interval of the mean", "intervalle à 95 % de la moyenne"), band)
        .from_zero()
}

/// Weekdays by hours, with the number of posts in each cell; where nothing was posted the cell is marked as empty.
#[must_use]
pub fn calendar_chart(calendar: &Calendar, lang: Lang) -> HeatMap {
    let label = label_of(calendar.outcome, lang);
    let zone = calendar.zone.name();
    let days = lang.pick(
        ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"],
        ["lun.", "mar.", "mer.", "jeu.", "ven.", "sam.", "dim."],
    );
    let title = lang
        .pick(format!("{label} by weekday and hour ({zone})"), format!("{label} par jour et heure ({zone})"));
    let mut map = HeatMap::new(title, days, (0..24).map(|hour: u8| hour.to_string()))
        .lang(lang)
        .format(format_of(calendar.outcome))
        .subtitle(lang.pick(
            "Colour: plain mean. Number: posts. Few posts say little.",
            "Couleur : moyenne simple. Nombre : publications. Peu de publications disent peu.",
        ))
        .text(CellText::Count);
    for (day, hours) in calendar.cells.iter().enumerate() {
        for (hour, cell) in hours.iter().enumerate() {
            let count = (cell.n > 0).then_some(cell.n as u64);
            map = map.cell(day, hour, Cell { value: cell.mean, count });
        }
    }
    map
}

fn named(by: GroupBy, lang: Lang) -> &'static str {
    match by {
        GroupBy::Kind => lang.pick("by type", "par type"),
        GroupBy::Network => lang.pick("by network", "par réseau"),
        GroupBy::Paid => lang.pick("by promotion", "selon la promotion"),
        GroupBy::Hashtag => lang.pick("by hashtag", "par hashtag"),
        GroupBy::Length => lang.pick("by length of the text", "selon la longueur du texte"),
    }
}

/// One row for each group of posts: median, middle half and middle nine tenths of the measure, the number of posts. Of
/// hashtags the twenty with the most posts are drawn.
#[must_use]
pub fn spread_chart(posts: &[Measured<'_>], by: GroupBy, outcome: Outcome, lang: Lang) -> Distributions {
    let label = label_of(outcome, lang);
    let by_what = named(by, lang);
    let mut spreads = spread(posts, by, outcome);
    if by == GroupBy::Hashtag {
        spreads.sort_by_key(|spread| Reverse(spread.n));
        spreads.truncate(MOST_HASHTAGS);
    }
    let title = lang.pick(format!("Spread: {label} {by_what}"), format!("Dispersion : {label} {by_what}"));
    Distributions::new(title)
        .lang(lang)
        .format(format_of(outcome))
        .subtitle(lang.pick("every post counts alike", "chaque publication compte autant"))
        .rows(
            spreads
                .into_iter()
                .map(|spread| Distribution::new(spread.group, spread.quantiles, spread.n as u64)),
        )
}

/// One bar for each group of posts: the mean, its 95 % interval from 5 posts up, the number of posts. Of hashtags the twenty
/// with the most posts are drawn.
#[must_use]
pub fn group_chart(posts: &[Measured<'_>], by: GroupBy, outcome: Outcome, lang: Lang) -> Bars {
    let label = label_of(outcome, lang);
    let by_what = named(by, lang);
    let mut grouped = groups(posts, by);
    if by == GroupBy::Hashtag {
        grouped.sort_by_key(|(_, posts)| Reverse(posts.len()));
        grouped.truncate(MOST_HASHTAGS);
    }
    let bars = grouped.into_iter().map(|(name, posts)| {
        let values: Vec<f64> = posts.iter().filter_map(|post| outcome.of(post)).collect();
        let (mean, interval) = mean_with_interval(values.iter().copied()).unzip();
        let bar = Bar::new(name, mean).count(values.len() as u64);
        // No rate and no reach is negative, whatever the normal approximation says.
        match interval.flatten() {
            Some((low, high)) => bar.interval(low.max(0.0), high),
            None => bar,
        }
    });
    Bars::new(format!("{label} {by_what}"))
        .lang(lang)
        .format(format_of(outcome))
        .subtitle(lang.pick("mean and its 95 % interval", "moyenne et son intervalle à 95 %"))
        .bars(bars)
        .horizontal()
}
