//! The report as charts and as one HTML page, and their files.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, TimeDelta, Utc};
use mkt_connect::chart::{Chart, Column, Figure, Format, Lang, Page, Table};

use super::Report;
use super::text::findings;
use crate::best_time::Verdict;
use crate::calendar::calendar;
use crate::chart::{calendar_chart, format_of, group_chart, hour_chart, spread_chart, trend_chart};
use crate::engagement::{ByReach, GroupBy, average_reach, engagement_rate, groups};
use crate::metric::Metric;
use crate::outcome::Outcome;
use crate::sheet::Measured;
use crate::trend::trend;

/// Posts in the table of the best.
const TOP: usize = 10;
/// Days of the rolling mean.
const WINDOW: u32 = 28;
/// The period of the key figures' change.
const PERIOD: TimeDelta = TimeDelta::days(28);

impl Report<'_> {
    /// All charts with their names: `trend`, `hours` (if there are best hours), `week` (if times have a time of day), `types`, `spread`, `networks`,
    /// `promotion`, `length`, and `hashtags` if there are any.
    #[must_use]
    pub fn charts(&self, lang: Lang) -> Vec<(&'static str, Chart)> {
        let (posts, outcome, zone) = (&self.posts[..], self.question.outcome(), self.question.zone());
        let grouped = |by| Chart::from(group_chart(posts, by, outcome, lang));
        let mut charts =
            vec![("trend", Chart::from(trend_chart(&trend(posts, outcome, zone, WINDOW), lang)))];
        if let Ok(hours) = &self.hours {
            charts.push(("hours", hour_chart(hours, lang).into()));
        }
        if !self.read.findings.without_time_of_day {
            charts.push(("week", calendar_chart(&calendar(posts, outcome, zone), lang).into()));
        }
        charts.extend([
            ("types", grouped(GroupBy::Kind)),
            ("spread", spread_chart(posts, GroupBy::Kind, outcome, lang).into()),
            ("networks", grouped(GroupBy::Network)),
            ("promotion", grouped(GroupBy::Paid)),
            ("length", grouped(GroupBy::Length)),
        ]);
        // Without hashtags there is one group.
        if groups(posts, GroupBy::Hashtag).len() > 1 {
            charts.push(("hashtags", grouped(GroupBy::Hashtag)));
        }
        charts
    }

    /// The self-contained HTML page.
    #[must_use]
    pub fn page(&self, lang: Lang) -> Page {
        self.page_of(&self.charts(lang), lang)
    }

    /// Writes the page `social_report.html` and every chart as SVG into a folder, which is created if missing; with the
    /// feature `png` and `bitmaps`, every chart as PNG too, light and dark (`trend.png`, `trend_dark.png`).
    ///
    /// Returns the paths of the files.
    ///
    /// # Errors
    ///
    /// The first I/O error, with the path in its text. `Unsupported` for `bitmaps` without the feature `png`.
    pub fn write(&self, folder: &Path, lang: Lang, bitmaps: bool) -> io::Result<Vec<PathBuf>> {
        let charts = self.charts(lang);
        let mut files: Vec<(String, Vec<u8>)> =
            charts.iter().map(|(name, chart)| (format!("{name}.svg"), chart.svg().into_bytes())).collect();
        if bitmaps {
            files.extend(pictures(&charts)?);
        }
        files.push(("social_report.html".to_owned(), self.page_of(&charts, lang).render().into_bytes()));
        let at = |path: &Path, cause: io::Error| {
            io::Error::new(cause.kind(), format!("{}: {cause}", path.display()))
        };
        fs::create_dir_all(folder).map_err(|cause| at(folder, cause))?;
        let write = |(name, bytes): (String, Vec<u8>)| {
            let path = folder.join(name);
            fs::write(&path, bytes).map_err(|cause| at(&path, cause))?;
            Ok(path)
        };
        files.into_iter().map(write).collect()
    }

    fn page_of(&self, charts: &[(&'static str, Chart)], lang: Lang) -> Page {
        let chart =
            |name| charts.iter().filter(move |(held, _)| *held == name).map(|(_, chart)| chart.clone());
        Page::new(lang.pick("Social report", "Rapport réseaux sociaux"), lang)
            .subtitle(subtitle(self, lang))
            .figures(figures(self, lang))
            .text(findings(&self.read.findings, lang).join(" · "))
            .section(lang.pick("Over time", "Au fil du temps"))
            .charts(chart("trend"))
            .section(lang.pick("Best publishing hours", "Meilleures heures de publication"))
            .text(self.verdict(lang))
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
            .table(best(self, lang))
    }
}

/// Every chart, light and dark.
#[cfg(feature = "png")]
fn pictures(charts: &[(&str, Chart)]) -> io::Result<Vec<(String, Vec<u8>)>> {
    use mkt_connect::chart::Scheme;

    /// Pixels of a bitmap per unit of the drawing.
    const SCALE: f32 = 2.0;
    let mut files = Vec::new();
    for (name, chart) in charts {
        let png = |scheme| chart.png(scheme, SCALE).map_err(io::Error::other);
        files.push((format!("{name}.png"), png(Scheme::Light)?));
        files.push((format!("{name}_dark.png"), png(Scheme::Dark)?));
    }
    Ok(files)
}

#[cfg(not(feature = "png"))]
fn pictures(_: &[(&str, Chart)]) -> io::Result<Vec<(String, Vec<u8>)>> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "PNG needs the feature png of mkt-social"))
}

fn subtitle(report: &Report<'_>, lang: Lang) -> String {
    let (posts, quarantined) = (report.posts.len(), report.read.quarantined.len());
    let zone = report.question.zone().name();
    lang.pick(
        format!("{posts} posts, {quarantined} rows quarantined, hours of {zone}"),
        format!("{posts} publications, {quarantined} lignes écartées, heures de {zone}"),
    )
}

/// Key figures, each with its change of the last 28 days from the 28 before.
fn figures(report: &Report<'_>, lang: Lang) -> Vec<Figure> {
    let posts = &report.posts[..];
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
            Figure::new(lang.pick("Posts", "Publications"), number(Some(posts.len() as f64), Format::Integer)),
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

fn best(report: &Report<'_>, lang: Lang) -> Table {
    let outcome = report.question.outcome();
    let mut ranked: Vec<(f64, &Measured<'_>)> =
        report.posts.iter().filter_map(|post| Some((outcome.of(post)?, post))).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    let format = format_of(outcome);
    let mut columns = vec![
        Column::text(lang.pick("Day", "Jour")),
        Column::text(lang.pick("Network", "Réseau")),
        Column::text("Type"),
        Column::text(lang.pick("Text", "Texte")),
        Column::number(lang.pick("Reach", "Portée")),
    ];
    if outcome != Outcome::Reach {
        columns.push(Column::number(lang.pick(outcome.label(), outcome.label_fr())));
    }
    let mut table = Table::new(columns);
    for (value, post) in ranked.into_iter().take(TOP) {
        let reach = post.value(Metric::Reach).known();
        let mut cells = vec![
            lang.day(post.published_at().with_timezone(&report.question.zone()).date_naive()),
            post.network().to_owned(),
            post.kind().unwrap_or("–").to_owned(),
            post.text().unwrap_or_default().chars().take(80).collect(),
            reach.map_or("–".to_owned(), |reach| lang.number(reach as f64, Format::Integer)),
        ];
        if outcome != Outcome::Reach {
            cells.push(lang.number(value, format));
        }
        table.push(cells);
    }
    table
}
