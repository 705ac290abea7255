//! The page and its charts.

use crate::Step;
use crate::report::Report;
use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::chart::{Chart, Column, Figure, Format, Lang, Page, Table};
use mkt_social::best_time::Verdict;
use mkt_social::calendar::calendar;
use mkt_social::engagement::{ByReach, GroupBy, average_reach, engagement_rate, groups};
use mkt_social::trend::trend;
use mkt_social::{Measured, Metric, Outcome, charts};

/// Posts in the table of the best.
const TOP: usize = 10;
/// Days of the rolling mean.
const WINDOW: u32 = 28;
/// The period of the key figures' change.
const PERIOD: TimeDelta = TimeDelta::days(28);

/// Names and contents of what is written.
pub(crate) fn files(
    report: &Report<'_>,
    posts: &[Measured<'_>],
    lang: Lang,
    png: bool,
) -> Step<Vec<(String, Vec<u8>)>> {
    let (outcome, zone) = (report.outcome, report.zone);
    let mut drawn: Vec<(&str, Chart)> = vec![
        ("trend", charts::trend_chart(&trend(posts, outcome, zone, WINDOW), lang).into()),
        ("week", charts::calendar_chart(&calendar(posts, outcome, zone), lang).into()),
        ("types", charts::group_chart(posts, GroupBy::Kind, outcome, lang).into()),
        ("spread", charts::spread_chart(posts, GroupBy::Kind, outcome, lang).into()),
        ("networks", charts::group_chart(posts, GroupBy::Network, outcome, lang).into()),
        ("promotion", charts::group_chart(posts, GroupBy::Paid, outcome, lang).into()),
        ("length", charts::group_chart(posts, GroupBy::Length, outcome, lang).into()),
    ];
    // Where nobody writes hashtags there is nothing to compare.
    if groups(posts, GroupBy::Hashtag).len() > 1 {
        drawn.push(("hashtags", charts::group_chart(posts, GroupBy::Hashtag, outcome, lang).into()));
    }
    if let Ok(hours) = &report.hours {
        drawn.insert(1, ("hours", charts::hour_chart(hours, lang).into()));
    }
    let mut files: Vec<(String, Vec<u8>)> =
        drawn.iter().map(|(name, chart)| (format!("{name}.svg"), chart.svg().into_bytes())).collect();
    if png {
        // Without the feature, the program has refused to begin.
        #[cfg(feature = "png")]
        files.extend(bitmaps(&drawn)?);
    }
    let chart = |name| drawn.iter().filter(move |(held, _)| *held == name).map(|(_, chart)| chart.clone());
    let page = Page::new(lang.pick("Social report", "Rapport réseaux sociaux"), lang)
        .subtitle(subtitle(report, lang))
        .figures(figures(report, posts, lang))
        .section(lang.pick("Over time", "Au fil du temps"))
        .charts(chart("trend"))
        .section(lang.pick("Best publishing hours", "Meilleures heures de publication"))
        .text(report.verdict(lang))
        .charts(chart("hours"))
        .charts(chart("week"))
        .section(lang.pick("What was posted", "Ce qui a été publié"))
        .charts(chart("types"))
        .charts(chart("spread"))
        .charts(chart("networks"))
        .charts(chart("promotion"))
        .charts(chart("length"))
        .charts(chart("hashtags"))
        .section(lang.pick("Best posts", "Meilleures publications"))
        .table(best(report, posts, lang));
    files.push(("social_report.html".to_owned(), page.render().into_bytes()));
    Ok(files)
}

/// Every chart, light and dark.
#[cfg(feature = "png")]
fn bitmaps(charts: &[(&str, Chart)]) -> Step<Vec<(String, Vec<u8>)>> {
    use mkt_connect::chart::Scheme;

    /// Pixels of a bitmap for each one of the drawing.
    const SCALE: f32 = 2.0;
    let mut files = Vec::new();
    for (name, chart) in charts {
        files.push((format!("{name}.png"), chart.png(Scheme::Light, SCALE)?));
        files.push((format!("{name}_dark.png"), chart.png(Scheme::Dark, SCALE)?));
    }
    Ok(files)
}

fn subtitle(report: &Report<'_>, lang: Lang) -> String {
    let (posts, aside, zone) = (report.posts, report.quarantined.len(), report.zone.name());
    lang.pick(
        format!("{posts} posts, {aside} rows set aside, hours of {zone}"),
        format!("{posts} publications, {aside} lignes écartées, heures de {zone}"),
    )
}

/// Key figures, each with its change of the last 28 days against the 28 before.
fn figures(report: &Report<'_>, posts: &[Measured<'_>], lang: Lang) -> Vec<Figure> {
    let last = posts.iter().map(Measured::published_at).max();
    let between = |from: DateTime<Utc>, until: DateTime<Utc>| -> Vec<Measured<'_>> {
        posts
            .iter()
            .filter(|post| from < post.published_at() && post.published_at() <= until)
            .copied()
            .collect()
    };
    let periods = last.map(|last| (between(last - PERIOD, last), between(last - PERIOD * 2, last - PERIOD)));
    let changed = |figure: Figure, of: &dyn Fn(&[Measured<'_>]) -> Option<f64>| {
        let change = periods.as_ref().and_then(|(now, before)| {
            let (now, before) = (of(now)?, of(before).filter(|before| *before != 0.0)?);
            Some(now / before - 1.0)
        });
        match change {
            Some(change) => figure.change(change).note(
                lang.pick("last 28 days against the 28 before", "28 derniers jours contre les 28 d'avant"),
            ),
            None => figure,
        }
    };
    let number =
        |value: Option<f64>, format| value.map_or("–".to_owned(), |value| lang.number(value, format));
    let [by_reach, ..] = &report.rates;
    let best = report.hours.as_ref().ok().and_then(|hours| {
        if hours.verdict == Verdict::NoEvidence {
            let none = lang.pick("none", "aucune");
            let label = lang.pick("Best hour", "Meilleure heure");
            return Some(Figure::new(label, none).note(report.verdict(lang)));
        }
        let best = hours.ranked().first().map(|best| best.hour)?;
        Some(
            Figure::new(lang.pick("Best hour", "Meilleure heure"), format!("{best:02}:00"))
                .note(report.verdict(lang)),
        )
    });
    let mut figures = vec![
        changed(
            Figure::new(lang.pick("Posts", "Publications"), number(Some(report.posts as f64), Format::Integer)),
            &|posts| Some(posts.len() as f64),
        ),
        changed(
            Figure::new(lang.pick("Average reach", "Portée moyenne"), number(report.reach.mean, Format::Integer))
                .definition(lang.pick(
                    "Mean number of people who saw a post, over the posts whose reach is known.",
                    "Nombre moyen de personnes qui ont vu une publication, parmi celles dont la portée est connue.",
                )),
            &|posts| average_reach(posts).mean,
        ),
        changed(
            Figure::new(
                lang.pick("Engagement rate by reach", "Taux d'engagement sur la portée"),
                number(by_reach.ratio_of_sums, Format::Percent(2)),
            )
            .definition(lang.pick(
                "Ratio of sums: likes, comments, shares and saves of all posts ÷ their reach.",
                "Taux des sommes : j'aime, commentaires, partages et enregistrements ÷ portée.",
            )),
            &|posts| engagement_rate::<ByReach>(posts).ratio_of_sums,
        ),
    ];
    figures.extend(best);
    figures
}

fn best(report: &Report<'_>, posts: &[Measured<'_>], lang: Lang) -> Table {
    let mut ranked: Vec<(f64, &Measured<'_>)> =
        posts.iter().filter_map(|post| Some((report.outcome.of(post)?, post))).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let format = charts::format_of(report.outcome);
    let mut columns = vec![
        Column::text(lang.pick("Day", "Jour")),
        Column::text(lang.pick("Network", "Réseau")),
        Column::text("Type"),
        Column::text(lang.pick("Text", "Texte")),
        Column::number(lang.pick("Reach", "Portée")),
    ];
    if report.outcome != Outcome::Reach {
        columns.push(Column::number(lang.pick(report.outcome.label(), report.outcome.label_fr())));
    }
    let mut table = Table::new(columns);
    for (value, post) in ranked.into_iter().take(TOP) {
        let reach = post.value(Metric::Reach).known();
        let mut cells = vec![
            lang.day(post.published_at().with_timezone(&report.zone).date_naive()),
            post.network().to_owned(),
            post.kind().unwrap_or("–").to_owned(),
            post.text().unwrap_or_default().chars().take(80).collect(),
            reach.map_or("–".to_owned(), |reach| lang.number(reach as f64, Format::Integer)),
        ];
        if report.outcome != Outcome::Reach {
            cells.push(lang.number(value, format));
        }
        table.push(cells);
    }
    table
}
