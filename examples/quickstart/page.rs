//! Step 7: one page that shows everything, without asking the network for anything.

use crate::answer::{Answers, ZONE};
use crate::extract::Extracted;
use crate::mails::Mails;
use crate::predict::{Judged, Prediction};
use crate::social::Social;
use mkt_connect::chart::{
    Bar, Bars, Cell, CellText, Chart, Column, Figure, Format, HeatMap, Lang, Page, Table, Trend,
};
use mkt_warehouse::model::SliceState;
use std::collections::BTreeMap;

const LANG: Lang = Lang::En;

/// The page as HTML: the same input gives the same bytes.
pub(crate) fn render(
    extracted: &Extracted,
    answers: &Answers,
    social: &Social,
    prediction: &Prediction,
    mails: &Mails,
) -> String {
    let mut page = Page::new("Marketing, one loop", LANG)
        .subtitle(format!(
            "{} to {} · hours and days in {ZONE} · data up to {} UTC",
            answers.from,
            answers.now.with_timezone(&chrono_tz::Europe::Paris).date_naive(),
            answers.now.format("%Y-%m-%d %H:%M:%S"),
        ))
        .figures(figures(answers, social, prediction, mails));
    page = conversion(page, answers);
    page = loyalty(page, answers);
    page = posts(page, social);
    page = models(page, prediction);
    page = letters(page, mails, answers);
    page = freshness(page, extracted, answers);
    page.footer("Made by `cargo run --release --example quickstart`; running it again changes nothing.")
        .render()
}

fn count(value: impl TryInto<i64>) -> String {
    LANG.number(value.try_into().unwrap_or(i64::MAX) as f64, Format::Integer)
}

fn percent(ratio: f64) -> String {
    LANG.number(ratio, Format::Percent(1))
}

fn figures(answers: &Answers, social: &Social, prediction: &Prediction, mails: &Mails) -> Vec<Figure> {
    let converted: i64 = answers.sites.iter().map(|site| site.converted).sum();
    let mut figures = vec![
        Figure::new("Visits", count(answers.sessions)).definition("Sessions in the warehouse, all sites."),
        Figure::new("Conversion rate", percent(converted as f64 / answers.sessions.max(1) as f64))
            .definition("Sessions with at least one event of the site's conversion set ÷ sessions."),
    ];
    figures.extend(answers.arpu.rows.iter().map(|row| {
        let currency = row.currency.map(|c| c.to_string()).unwrap_or_default();
        let value = row.arpu.map_or("–".to_owned(), |arpu| format!("{} {currency}", arpu.0.round_dp(2)));
        Figure::new("ARPU", value)
            .definition("Purchases less refunds ÷ distinct users with a session in the period.")
            .note(format!("{:.2} {currency} of {} users", row.revenue.0, count(row.users)))
    }));
    figures.push(
        Figure::new("Engagement rate by reach", social.engagement_rate.map_or("–".to_owned(), percent))
            .definition("Sum of interactions ÷ sum of reach, over posts where both are known."),
    );
    figures.push(
        Figure::new("AUC-ROC of the forest", auc(&prediction.forest)).definition(
            "Chance that a converted visit scores above one that did not convert; 0.5 is guessing.",
        ),
    );
    figures.push(
        Figure::new("Mails written", count(mails.counts.sent))
            .definition("Mails that the mail directory accepted, in this run or before."),
    );
    figures
}

fn auc(judged: &Judged) -> String {
    judged.evaluation.auc_roc.map_or("–".to_owned(), |auc| format!("{auc:.3}"))
}

fn conversion(page: Page, answers: &Answers) -> Page {
    let bars = Bars::new("Conversion rate by channel")
        .subtitle("distinct converted users ÷ distinct users")
        .format(Format::Percent(1))
        .horizontal()
        .bars(answers.conversion.rows.iter().map(|row| {
            Bar::new(row.channel.as_str(), row.conversion_rate.map(|rate| rate / 100.0))
                .count(u64::try_from(row.users).unwrap_or(0))
        }));
    let mut channels = Table::new([
        Column::text("Channel"),
        Column::number("Users"),
        Column::number("Converted"),
        Column::number("Rate").definition("Distinct converted users ÷ distinct users × 100."),
    ]);
    for row in &answers.conversion.rows {
        channels.push([
            row.channel.to_string(),
            count(row.users),
            count(row.converted_users),
            row.conversion_rate.map_or("–".to_owned(), |rate| percent(rate / 100.0)),
        ]);
    }
    let mut hours = Table::new([
        Column::text("Hour"),
        Column::number("Sessions"),
        Column::number("Converted"),
        Column::number("Rate"),
    ])
    .caption("Top 5 hours by conversion rate")
    .note("Hours with at least 30 sessions, by the local start of the session.");
    for row in &answers.hours.rows {
        hours.push([
            format!("{:02}:00", row.hour),
            count(row.sessions),
            count(row.converted_sessions),
            row.conversion_rate.map_or("–".to_owned(), |rate| percent(rate / 100.0)),
        ]);
    }
    page.section("Conversion").chart(bars).table(channels).table(hours)
}

fn loyalty(page: Page, answers: &Answers) -> Page {
    let mut arpu = Table::new([
        Column::text("Currency"),
        Column::number("Revenue"),
        Column::number("Users"),
        Column::number("ARPU"),
    ])
    .caption("Average revenue per user");
    for row in &answers.arpu.rows {
        arpu.push([
            row.currency.map_or("–".to_owned(), |currency| currency.to_string()),
            format!("{:.2}", row.revenue.0),
            count(row.users),
            row.arpu.map_or("–".to_owned(), |arpu| arpu.0.round_dp(2).to_string()),
        ]);
    }
    let days: BTreeMap<_, _> = answers.days.rows.iter().map(|row| (row.day, row.visits as f64)).collect();
    let trend = Trend::new("Visits a day")
        .subtitle("all sites")
        .format(Format::Integer)
        .from_zero()
        .points("visits", days.iter().map(|(day, visits)| (*day, Some(*visits))))
        .rolling("7-day mean", rolling(&days.into_iter().collect::<Vec<_>>(), 7));
    page.section("Revenue and loyalty").chart(trend).table(arpu).chart(cohorts(answers))
}

fn rolling(
    points: &[(chrono::NaiveDate, f64)],
    days: usize,
) -> impl Iterator<Item = (chrono::NaiveDate, Option<f64>)> + use<> {
    let means: Vec<_> = points
        .windows(days)
        .filter_map(|window| {
            let mean = window.iter().map(|(_, value)| value).sum::<f64>() / days as f64;
            window.last().map(|(day, _)| (*day, Some(mean)))
        })
        .collect();
    means.into_iter()
}

/// Month 0 is left out: everybody is there in the month in which they came.
fn cohorts(answers: &Answers) -> Chart {
    let sizes: BTreeMap<_, _> = answers.cohorts.rows.iter().map(|row| (row.cohort, row.users)).collect();
    let months = answers.cohorts.rows.iter().map(|row| row.month).max().unwrap_or(0).max(1);
    let rows: Vec<_> = sizes.keys().copied().collect();
    let mut map = HeatMap::new(
        "Monthly cohort retention",
        rows.iter().map(|cohort| format!("{} (n={})", cohort.format("%Y-%m"), sizes[cohort])),
        (1..=months).map(|month| format!("+{month}")),
    )
    .subtitle("users by month of sign-up, else of the first visit; share with a session k months later")
    .format(Format::Percent(0))
    .text(CellText::Value);
    for row in &answers.cohorts.rows {
        let position = rows.iter().position(|cohort| *cohort == row.cohort);
        if let (Some(at), Some(rate), 1..) = (position, row.retention_rate, row.month) {
            let n = u64::try_from(row.users).unwrap_or(0);
            let column = usize::try_from(row.month - 1).unwrap_or(0);
            map = map.cell(at, column, Cell { value: Some(rate / 100.0), count: Some(n) });
        }
    }
    map.into()
}

fn posts(page: Page, social: &Social) -> Page {
    page.section("Social posts")
        .figures([
            Figure::new("Posts", count(social.posts as u64)),
            Figure::new("Average reach", social.average_reach.map_or("–".to_owned(), |reach| count(reach as i64)))
                .definition("Mean over the posts whose reach is known."),
            Figure::new("Best hour", social.best_hour()).definition(
                "By shrunken hourly means of log engagement, adjusted for type and paid; the verdict comes from one \
                 permutation test for any effect of the hour.",
            ),
        ])
        .text(social.sentence())
        .charts(social.charts.clone())
}

fn models(page: Page, prediction: &Prediction) -> Page {
    let mut table = Table::new([
        Column::text("Model"),
        Column::number("Accuracy"),
        Column::number("Precision").definition("Right among those called converted."),
        Column::number("Recall").definition("Found among those who converted."),
        Column::number("AUC-ROC"),
    ])
    .note(format!(
        "Trained on {} rows, judged on {} that training did not see; a row counts as converted above a probability of \
         0.5.",
        count((prediction.rows - prediction.test_rows) as u64),
        count(prediction.test_rows as u64)
    ));
    for (name, judged) in
        [("logistic regression", &prediction.logistic), ("random forest", &prediction.forest)]
    {
        let e = &judged.evaluation;
        table.push([
            name.to_owned(),
            percent(e.accuracy),
            percent(e.precision),
            percent(e.recall),
            auc(judged),
        ]);
    }
    page.section("Who will convert").table(table).charts(prediction.charts.clone())
}

fn letters(page: Page, mails: &Mails, answers: &Answers) -> Page {
    page.section("Mails")
        .figures([
            Figure::new("Welcome", count(mails.welcome as u64)).definition("One per valid row of inscrits.csv."),
            Figure::new("Cart relaunch", count(mails.relaunch as u64))
                .definition("First mail about a cart left within 30 days, to a customer whose address we have."),
            Figure::new("Kept back", count(mails.counts.suppressed)).definition("No consent to marketing mail."),
            Figure::new("Unreachable carts", count(mails.unreachable as u64))
                .definition("Left within 30 days by visitors whose address nobody gave us."),
        ])
        .text(format!(
            "{} carts were left for at least an hour; {} of them more than 30 days ago. Each mail is an .eml file in \
             the mails folder; send_log.ndjson says who was written to, when and with which outcome.",
            count(answers.carts.rows.len() as u64),
            count(mails.too_old as u64)
        ))
}

fn freshness(page: Page, extracted: &Extracted, answers: &Answers) -> Page {
    let mut sites = Table::new([
        Column::text("Site"),
        Column::text("System of record").definition("The one source whose traffic reports count."),
        Column::text("Zone"),
        Column::number("Visits"),
        Column::number("Converted"),
        Column::number("Events"),
    ]);
    for site in &answers.sites {
        sites.push([
            site.site.clone(),
            site.source.clone(),
            site.zone.clone(),
            count(site.sessions),
            count(site.converted),
            count(site.events),
        ]);
    }
    let states = [SliceState::Settled, SliceState::Provisional, SliceState::SuspectEmpty, SliceState::Failed];
    let mut slices = Table::new(
        [Column::text("Source")]
            .into_iter()
            .chain(states.iter().map(|state| Column::number(state.as_str().replace('_', " "))))
            .chain([Column::number("Quarantined")]),
    )
    .caption("Slices by state")
    .note("Settled: old enough to be final, and in agreement with the source's own totals.");
    for (name, report) in extracted.reports() {
        let row = [name.to_owned()]
            .into_iter()
            .chain(states.iter().map(|state| count(report.in_state(*state))))
            .chain([count(report.quarantined)]);
        slices.push(row);
    }
    page.section("Where the numbers come from").table(sites).table(slices)
}
