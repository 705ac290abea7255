//! Step 7: one page that shows everything, without asking the network for anything.

use crate::arguments::Arguments;
use crate::emails::Emails;
use crate::load::Loaded;
use crate::predict::Prediction;
use crate::{Answers, Social};
use mkt_connect::chart::{Column, Figure, Format, Lang, Page, Table};
use mkt_ml::evaluation::Evaluation;
use mkt_social::engagement::{ByReach, average_reach, engagement_rate};
use mkt_warehouse::model::SliceState;
use mkt_warehouse::report::Report;

const LANG: Lang = Lang::En;

/// The page as HTML: the same input gives the same bytes.
pub(crate) fn render(
    arguments: &Arguments,
    loaded: &Loaded,
    answers: &Answers,
    social: &Social,
    model: &Prediction,
    emails: &Emails,
) -> String {
    let zone = arguments.zone;
    let last = answers.now.with_timezone(&zone).date_naive();
    let posts = social.read.sheet.measured();
    let percent =
        |ratio: Option<f64>| ratio.map_or("–".to_owned(), |ratio| LANG.number(ratio, Format::Percent(1)));
    let auc = |judged: &Evaluation| judged.auc_roc.map_or("–".to_owned(), |auc| format!("{auc:.3}"));
    let mut figures = vec![
        Figure::new("Visits", count(answers.sessions)).definition("Sessions in the warehouse, all sites."),
    ];
    figures.extend(answers.arpu.rows.iter().map(|row| {
        let currency = row.currency.map(|currency| currency.to_string()).unwrap_or_default();
        let value = row.arpu.map_or("–".to_owned(), |arpu| format!("{} {currency}", arpu.0.round_dp(2)));
        Figure::new("Revenue per user", value)
            .definition("Purchases less refunds ÷ distinct users with a session in the period.")
            .note(format!("{:.2} {currency} of {} users", row.revenue.0, count(row.users)))
    }));
    figures.extend([
        Figure::new("Engagement rate by reach", percent(engagement_rate::<ByReach>(&posts).ratio_of_sums))
            .definition("Sum of interactions ÷ sum of reach, over posts where both are known."),
        Figure::new("AUC-ROC of the forest", auc(&model.forest)).definition(
            "Chance that a converted visit scores above one that did not convert; 0.5 is guessing.",
        ),
        Figure::new("Emails written", count(emails.sent as i64)).definition(
            "Emails in the folder mails, of this run or an earlier one; send_log.ndjson lists them.",
        ),
    ]);
    let mut page = Page::new("Marketing, one loop", LANG)
        .subtitle(format!("{} to {}, days and hours of {zone}", LANG.day(answers.from), LANG.day(last)))
        .figures(figures);
    for (report, table) in [
        (Report::ConversionByChannel, answers.conversion.table()),
        (Report::TopHours, answers.hours.table()),
        (Report::DailySeries, answers.days.table()),
        (Report::CohortRetention, answers.cohorts.table()),
        (Report::AbandonedCarts, answers.carts.table()),
    ] {
        page = report.section(page, table, &[], zone, LANG);
    }
    let reach = average_reach(&posts).mean.map_or("–".to_owned(), |reach| count(reach as i64));
    page = page
        .section("Social posts")
        .figures([Figure::new("Posts", count(posts.len() as i64)), Figure::new("Average reach", reach)])
        .text(&social.sentence)
        .charts(social.charts.clone());
    let mut models = Table::new(
        ["Model"]
            .map(Column::text)
            .into_iter()
            .chain(["Accuracy", "Precision", "Recall", "AUC-ROC"].map(Column::number)),
    )
    .note(format!(
        "Judged on {} of {} rows, which training did not see.",
        count(model.test_rows as i64),
        count(model.rows as i64)
    ));
    for (name, e) in [("logistic regression", &model.logistic), ("random forest", &model.forest)] {
        models.push([
            name.to_owned(),
            percent(Some(e.accuracy)),
            percent(Some(e.precision)),
            percent(Some(e.recall)),
            auc(e),
        ]);
    }
    page = page.section("Who will convert").table(models).charts(model.charts.clone());
    // Not what this run did: the page of a second run is the same.
    page = page.section("Emails").text(format!(
        "{} emails are in the folder mails; {} carts of the last 30 days have no known address. send_log.ndjson lists who was \
         sent what, when and with which outcome.",
        count(emails.sent as i64),
        count(emails.unreachable as i64)
    ));
    let states = [SliceState::Settled, SliceState::Provisional, SliceState::SuspectEmpty, SliceState::Failed];
    let columns = states.iter().map(|state| Column::number(state.as_str().replace('_', " ")));
    let columns = [Column::text("Source")].into_iter().chain(columns).chain([Column::number("Quarantined")]);
    let mut slices = Table::new(columns)
        .note("Slices by state. Settled: final, and equal to the source's own totals where it has any.");
    for (name, report) in &loaded.0 {
        let cells = states.iter().map(|state| count(report.in_state(*state) as i64));
        slices.push(
            [name.replace('_', ", ")].into_iter().chain(cells).chain([count(report.quarantined as i64)]),
        );
    }
    page.section("Where the numbers come from")
        .table(slices)
        .footer("Made by `cargo run --release --example quickstart`; running it again changes nothing.")
        .render()
}

fn count(value: i64) -> String {
    LANG.number(value as f64, Format::Integer)
}
